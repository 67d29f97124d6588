"""A failing case in files: the model, its tensors, and a C test that stands alone.

What is generated of the C test is data; its code is `test.c`, written by hand.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..execute import batch_size
from ..files import write_all, write_npz
from ..model import Array, Quantization, Tensor
from ..plan import Plan
from ..tflite_io import dump
from .case import Case
from .search import Result

HERE = Path(__file__).parent
HEADER, EXAMPLE, TEST = (HERE / name for name in ("refengine_fuzz.h", "example.c", "test.c"))

C_TYPES = {"float32": "uint32_t", "float64": "double", "bool": "uint8_t"}
"""What an array's elements are in C, where it is not their name with _t; float32 by their bits, for NaN's sake."""

WIDTH = 118


def save(result: Result, folder: Path) -> list[Path]:
    """Write a result's smallest failing case, and return the files: `OP-type.tflite`, `.npz`, `.c`, and the header.

    The `.npz` holds the inputs by name, the tensor `expected`, and `got` where the kernel gave anything. Of an operator
    with several outputs these are the one that differs, and there is no C test.
    Raises `OSError`, and `InputError` for a result without a finding.
    """
    if result.finding is None:
        raise InputError(f"{result}: nothing was found that could be saved")
    case, got = result.finding.case, result.finding.outcome.got
    stem = folder / f"{result.op}-{result.dtype}"
    model, tensors, test = (stem.with_name(stem.name + suffix) for suffix in (".tflite", ".npz", ".c"))
    outputs = case.record.outputs
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {t.name: x for t, x in zip(case.plan.inputs, case.inputs, strict=True)}
    arrays["expected"] = outputs[result.finding.outcome.output]
    write_npz(tensors, arrays | ({} if got is None else {"got": got}))
    if len(outputs) > 1:  # the C test's struct has room for one
        write_all({model: dump(case.model)})
        return [model, tensors]
    header = folder / HEADER.name
    write_all({model: dump(case.model), test: c_test(case), header: HEADER.read_bytes()})
    return [model, tensors, test, header]


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
    tensors = []
    for i, (tensor, array) in enumerate(zip(case.tensors, case.arrays, strict=True)):
        lines, initialiser = _tensor(f"input{i}", tensor, array)
        yield from lines
        tensors.append(initialiser)
    lines, output = _tensor("output", case.step.outputs[0], None)
    yield from lines
    yield from _array("expected", case.expected)
    numbers = []
    for i, (name, values) in enumerate(case.numbers.items()):
        yield from _array(f"number{i}", values)
        pair = f"number{i}, NULL" if values.dtype == np.int32 else f"NULL, number{i}"
        numbers.append(f'    {{"{name}", {values.size}, {pair}}},')
    yield from ("static const struct refengine_tensor inputs[] = {", *(f"    {t}," for t in tensors), "};")
    yield f"static const struct refengine_tensor output =\n    {output};"
    yield from (
        ("static const struct refengine_number numbers[] = {", *numbers, "};")
        if numbers
        else ("static const struct refengine_number *const numbers = NULL;",)
    )
    yield f'static const char operator_name[] = "{case.op}";'
    yield f"enum {{ n_inputs = {len(tensors)}, n_numbers = {len(numbers)}, EXPECTED_SIZE = {case.expected.nbytes} }};"


def _tensor(name: str, tensor: Tensor | None, array: Array | None) -> tuple[list[str], str]:
    """The arrays that a tensor points to, and its own initialiser."""
    if tensor is None:
        return [], '{"", 0, NULL, NULL, 0, 0, NULL, NULL, 0, 0}'
    q = tensor.quantization or Quantization()
    points = (*q.zero_point, *(0,) * len(q.scale))[: len(q.scale)]
    lines = [*_array(f"{name}_dims", np.array(tensor.shape, np.int32))]
    lines += [*_array(f"{name}_scale", np.array(q.scale, np.float32), "float")]
    lines += [*_array(f"{name}_zero_point", np.array(points, np.int32))]
    data = "NULL, 0"
    if array is not None:
        lines += [*_array(f"{name}_data", array)]
        data = f"(void *){name}_data, {array.nbytes}"
    constant = int(tensor.data is not None)
    return lines, (
        f'{{"{tensor.dtype}", {len(tensor.shape)}, {name}_dims, {data}, '
        f"{len(q.scale)}, {name}_scale, {name}_zero_point, {q.quantized_dimension}, {constant}}}"
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
