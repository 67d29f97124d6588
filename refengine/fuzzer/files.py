"""A failing case in files: the model, its tensors, and a C test that stands alone.

What is generated of the C test is data; its code is `test.c`, written by hand.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError, located
from ..execute import batch_size
from ..files import write_all, write_npz
from ..memory import MEMORY
from ..model import Array, Quantization, Tensor
from ..plan import Plan
from ..tensors.arrays import read_npz
from ..tflite_io import dump
from .case import Case
from .image import begins, packed_int4
from .search import Result

HERE = Path(__file__).parent
HEADER, EXAMPLE, TEST, SERVER = (
    HERE / name for name in ("refengine_fuzz.h", "example.c", "test.c", "refengine_server.c")
)

C_TYPES = {"float32": "uint32_t", "float64": "double", "bool": "uint8_t"}
"""What an array's elements are in C, where it is not their name with _t; float32 by their bits, for NaN's sake."""

WIDTH = 118

RESETS = "resets"
"""What a file calls the inferences of a stream before which it was reset."""


def save(result: Result, folder: Path) -> list[Path]:
    """Write the smallest failing case of each finding, and return the files: `OP-type.tflite`, `.npz`, `.c`, and the
    header; those of the second finding are called `OP-type-2`.

    The `.npz` holds the inputs by name, what was `expected`, and `got` where the kernel gave anything; of a stream the
    inputs are those of all inferences, one behind another, and `resets` says before which of them the state was reset.
    Of an operator that writes several tensors these are the one that differs. There is no C test for operators that
    keep something for themselves. Raises `OSError`, and `InputError` for a result without a finding.
    """
    if not result.findings:
        raise InputError(f"{result}: nothing was found that could be saved")
    folder.mkdir(parents=True, exist_ok=True)
    written = [path for i in range(len(result.findings)) for path in _saved(result, i, folder)]
    return [*dict.fromkeys(written)]


def stem(result: Result, place: int, folder: Path) -> Path:
    """The path of a finding's files, without what tells them apart."""
    return folder / (f"{result.op}-{result.dtype}" + (f"-{place + 1}" if place else ""))


def _saved(result: Result, place: int, folder: Path) -> list[Path]:
    finding, path = result.findings[place], stem(result, place, folder)
    case, got = finding.case, finding.outcome.got
    model, tensors, test = (path.with_name(path.name + suffix) for suffix in (".tflite", ".npz", ".c"))
    arrays = fed(case) | {"expected": case.results[finding.outcome.output]} | ({} if got is None else {"got": got})
    write_npz(tensors, arrays)
    if case.step.memory:
        write_all({model: dump(case.model)})
        return [model, tensors]
    header = folder / HEADER.name
    write_all({model: dump(case.model), test: c_test(case), header: HEADER.read_bytes()})
    return [model, tensors, test, header]


def fed(case: Case) -> dict[str, Array]:
    """The inputs of a case by name, all those of a stream, and where that was reset."""
    names, stream = [t.name for t in case.plan.inputs], case.stream
    if len(stream) == 1:
        return dict(zip(names, case.inputs, strict=True))
    arrays = {name: np.stack([one.inputs[i] for one in stream]) for i, name in enumerate(names)}
    return arrays | {RESETS: np.array([one.reset for one in stream])}


def read_stream(plan: Plan, path: Path, memory: int = MEMORY) -> Case | None:
    """The case that an `.npz` of `save` holds, if it is a stream. Raises `InputError` for one that cannot be read."""
    with located(str(path)):
        arrays = read_npz(str(path), memory)
        if RESETS not in arrays:
            return None
        if missing := [t.name for t in plan.inputs if t.name not in arrays]:
            raise InputError(f"has no array '{missing[0]}', an input of the model")
        case: Case | None = None
        for k, reset in enumerate(arrays[RESETS].tolist()):
            inputs = tuple(arrays[t.name][k] for t in plan.inputs)
            case = Case(plan, inputs, case, bool(reset) and case is not None)
        return case


def replayed(plan: Plan, inputs: tuple[Array, ...]) -> Case:
    """A saved case. Raises `InputError` if the model has not one operator, or the inputs are not one inference."""
    if len(plan.steps) != 1:
        raise InputError(f"the model has {len(plan.steps)} operators; a case has one")
    if batch_size(plan, inputs) is not None and any(
        x.shape != t.shape for x, t in zip(inputs, plan.inputs, strict=True)
    ):
        raise InputError("the input is a batch; a case is one inference")
    return Case(plan, inputs)


def c_test(case: Case) -> str:
    """A C test that links with a library of kernels."""
    return TEST.read_text(encoding="utf-8").replace('#include "case.h"\n', "\n".join(_data(case)) + "\n")


def _data(case: Case) -> Iterator[str]:
    """The C initialisers of a case."""
    yield from _tensors("inputs", "input", list(zip(case.tensors, case.arrays, strict=True)))
    yield from _tensors("outputs", "output", [(tensor, None) for tensor in case.step.outputs])
    numbers = []
    for i, (name, values) in enumerate(case.numbers.items()):
        yield from _array(f"number{i}", values)
        pair = f"number{i}, NULL" if values.dtype == np.int32 else f"NULL, number{i}"
        numbers.append(f'    {{"{name}", {values.size}, {pair}}},')
    yield from (
        ("static const struct refengine_number numbers[] = {", *numbers, "};")
        if numbers
        else ("static const struct refengine_number *const numbers = NULL;",)
    )
    yield from _results(case)
    yield f'static const char operator_name[] = "{case.op}", operator_type[] = "{case.dtype}";'
    counts = f"n_inputs = {len(case.tensors)}, n_outputs = {len(case.step.outputs)}, n_numbers = {len(numbers)}"
    yield f"enum {{ {counts}, begins = {begins(case)} }};"


def _tensors(name: str, each: str, tensors: Sequence[tuple[Tensor | None, Array | None]]) -> Iterator[str]:
    """An array of tensors, and before it what they point to."""
    initialisers = []
    for i, (tensor, array) in enumerate(tensors):
        lines, initialiser = _tensor(f"{each}{i}", tensor, array)
        yield from lines
        initialisers.append(f"    {initialiser},")
    yield from (f"static struct refengine_tensor {name}[] = {{", *initialisers, "};")


def _results(case: Case) -> Iterator[str]:
    """What is right, and room for what the kernel writes."""
    outputs = len(case.step.outputs)
    variables = [i for i in case.step.facts.updates if case.tensors[i] is not None]
    initialisers = []
    for i, right in enumerate(case.results):
        yield from _array(f"expected{i}", right)
        undefined = case.record.undefined[i] if i < len(case.record.undefined) else None
        if undefined is not None:
            yield from _array(f"undefined{i}", undefined)
        yield f"ALIGNED static unsigned char memory{i}[GUARD + {right.nbytes} + GUARD];"
        where = f"&outputs[{i}]" if i < outputs else f"&inputs[{variables[i - outputs]}]"
        mask = "NULL" if undefined is None else f"undefined{i}"
        initialisers.append(f"    {{{where}, memory{i}, expected{i}, {mask}, {right.nbytes}, {right.size}}},")
    yield from ("static const struct result results[] = {", *initialisers, "};")


def _tensor(name: str, tensor: Tensor | None, array: Array | None) -> tuple[list[str], str]:
    """The arrays that a tensor points to, and its own initialiser."""
    if tensor is None:
        return [], '{"", 0, NULL, NULL, 0, 0, NULL, NULL, 0, 0, 0, NULL, 0}'
    q = tensor.quantization or Quantization()
    points = (*q.zero_point, *(0,) * len(q.scale))[: len(q.scale)]
    lines = [*_array(f"{name}_dims", np.array(tensor.shape, np.int32))]
    lines += [*_array(f"{name}_scale", np.array(q.scale, np.float32), "float")]
    lines += [*_array(f"{name}_zero_point", np.array(points, np.int32))]
    data, packed = "NULL, 0", "NULL, 0"
    if array is not None:
        lines += [*_array(f"{name}_data", array)]
        data = f"(void *){name}_data, {array.nbytes}"
    if array is not None and tensor.dtype == "int4":
        codes = np.frombuffer(packed_int4(array), np.uint8)
        lines += [*_array(f"{name}_packed", codes)]
        packed = f"{name}_packed, {codes.size}"
    flags = f"{int(tensor.data is not None)}, {int(tensor.is_variable)}"
    return lines, (
        f'{{"{tensor.dtype}", {len(tensor.shape)}, {name}_dims, {data}, '
        f"{len(q.scale)}, {name}_scale, {name}_zero_point, {q.quantized_dimension}, {flags}, {packed}}}"
    )


def _array(name: str, array: Array, c_type: str = "") -> Iterator[str]:
    """`ALIGNED static const int8_t name[] = {…};`, in lines; an array without elements holds one, since C has none."""
    c_type = c_type or C_TYPES.get(array.dtype.name, f"{array.dtype.name}_t")
    values = ", ".join(_values(array, c_type)) or "0"
    wrapped = textwrap.wrap(values, WIDTH - 4, break_long_words=False)
    yield f"ALIGNED static const {c_type} {name}[] = {{"
    yield from (f"    {line}" for line in wrapped)
    yield "};"


def _values(array: Array, c_type: str) -> Iterator[str]:
    flat = np.ascontiguousarray(array).reshape(-1)
    if c_type == "uint32_t":
        return (f"0x{bits:08x}" for bits in flat.view(np.uint32).tolist())
    if c_type == "float":
        return (f"{value}f" for value in map(str, flat))
    if c_type == "double":
        return (repr(value) for value in flat.tolist())
    return ("(-9223372036854775807 - 1)" if value == -(2**63) else str(int(value)) for value in flat.tolist())
