"""A plan as a folder of plain C11 that builds with `cc -std=c11 DIR/*.c -lm` and checks itself.

What is written here is data: arrays, struct initialisers, sizes, and one straight list of calls. The code that they
call is `firmware/kernels`, copied along.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, UnsupportedError, require
from ..execute import Record, batch_size, execute, kept, require_room_for_all
from ..files import write_all
from ..identity import identity
from ..kernel import Numerics
from ..model import Array, Tensor
from ..numerics.fixedpoint import Multiplier
from ..plan import Plan, Source, Step, plan_of, require_whole
from ..reading.arena import ALIGNMENT, Buffer, lower_bound, merged, peak, plan_arena, tflm_greedy
from ..text import in_c
from .call import Call, Constant, Resource, Values
from .calls import calls_of, with_known
from .layouts import LAYOUTS, MODEL, Layout, check_prefix, laid_out, prefixed
from .memory import resource_of
from .packing import PATCH

HERE = Path(__file__).parent
KERNELS = next(path for path in (HERE / "kernels", HERE.parents[1] / "firmware" / "kernels") if path.is_dir())
"""The hand-written C: beside this file in an installed package, else the repository's own."""

NAMELESS = "A model"
"""What files call a model whose name is to be left out."""

HEADERS = ("kernels.h", "fixedpoint.h", "layers.h", "dot.h", "packed.h", "mve.h", "walk.h", "step.h")
COMMON = (*HEADERS, "selftest.c")

C_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "uint64": "uint64_t",
    "bool": "uint8_t",
}
TENSOR_TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool", "uint32", "uint64")
"""Those of `enum dtype` in step.h."""
WIDTH = 120


@dataclass(frozen=True)
class Exported:
    """What was written: `files` in `directory`, the arena's bytes, what TFLM's planner would need, and the constants'.

    `least_bytes` is a bound that no arena of these tensors can beat; `folded` are the operators left out because they
    depend on constants only.
    """

    directory: Path
    files: tuple[str, ...]
    arena_bytes: int
    tflm_arena_bytes: int
    least_bytes: int
    constant_bytes: int
    steps: int
    folded: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        folded = [identity(step.op, step.subgraph) for step in self.folded]
        return {**vars(self), "directory": str(self.directory), "folded": folded}


def export(
    source: Source,
    directory: str | Path,
    *inputs: Array,
    numerics: Numerics | str | None = None,
    name: str = "model",
    prefix: str = MODEL,
    layout: Layout = "plain",
    names: bool = True,
) -> Exported:
    """Write a model to `directory` as C; `inputs` are the golden input of the self-test (noise by default), and
    `numerics` is for `make_plan`, where `source` is no plan yet.

    `name` is what the files call the model, `prefix` what its functions and files begin with, and `layout` for which
    tool they are laid out; without `names`, those of the model, its tensors and operators are left out. Raises
    `UnsupportedError` for what has no C kernel, `InputError` for inputs that do not fit, a prefix that begins no name
    in C or is another file's, or a directory that is none.
    """
    check_prefix(prefix)
    if layout not in LAYOUTS:
        raise InputError(f"there is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    if not isinstance(directory, str | os.PathLike):
        raise InputError(f"the folder to export to is a path, not of the type {type(directory).__name__}")
    plan, name = plan_of(source, numerics=numerics), name if names else NAMELESS
    if inputs:
        batch_size(plan, inputs)
    golden = inputs or tuple(_noise(tensor, i) for i, tensor in enumerate(plan.inputs))
    records, known, rows, begins, offsets, sizes = _laid_out(plan, golden)
    data, tables = _Data(), _Tables(offsets, names)
    steps = _steps(rows, offsets, data)
    shown = [row for row in rows if row.output is not None]
    written = {
        "model.h": _header(plan, name, tables, offsets, sizes["arena_bytes"], len(shown)),
        "model.c": _source(plan, name, tables, data, steps, shown, known, begins, golden),
        "numerics.h": _numerics(plan, rows),
    }
    copied = (*COMMON, *sorted({file for row in rows for call in row.calls for file in (call.source, *call.uses)}))
    written |= {file: (KERNELS / file).read_text(encoding="utf-8") for file in copied}
    included = {file for text in written.values() for file in re.findall(r'#include "(\w+\.h)"', text)} - written.keys()
    written |= {file: (KERNELS / file).read_text(encoding="utf-8") for file in included}
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file; give a folder to export to")
    written = laid_out(prefixed(written, prefix), layout, prefix, in_c(name))
    for folder in {(directory / file).parent for file in written}:
        folder.mkdir(parents=True, exist_ok=True)
    write_all({directory / file: text for file, text in written.items()})
    folded = tuple(r.step for r in records if r.step.outputs and not _runs(r.step, known))
    return Exported(
        directory, tuple(sorted(written)), constant_bytes=data.bytes, steps=len(shown), folded=folded, **sizes
    )


def offsets_of(plan: Source) -> dict[int, int]:
    """Where the arena of an export has the tensors: offsets in bytes, by index. Raises what `export` raises."""
    plan = plan_of(plan)
    offsets = _laid_out(plan, tuple(_noise(tensor, i) for i, tensor in enumerate(plan.inputs))).offsets
    return {place: offset for place, offset in offsets.items() if isinstance(place, int)}


# ---- what runs ---------------------------------------------------------------------------------------------


Place = int | Resource
"""Of what lies in the arena: a tensor's index, or a resource variable."""


class _LaidOut(NamedTuple):
    """What runs and what is known beforehand, the lines of the step table, how variables begin, and where all lie."""

    records: tuple[Record, ...]
    known: dict[int, Array]
    rows: list[_Row]
    begins: dict[Place, Array]
    offsets: dict[Place, int]
    sizes: dict[str, int]


def _laid_out(plan: Plan, golden: tuple[Array, ...]) -> _LaidOut:
    require(
        plan.numerics.kernels == "tflm",
        f"the C kernels compute what TFLM's do, not those of {plan.numerics.kernels}; export in another dialect",
    )
    require_whole(plan, "C export")
    for step in plan.steps:
        does = "runs other subgraphs" if step.facts.control else "remembers something of its own for the next inference"
        require(
            step.facts.control in ("", "once") and not step.memory,
            f"{step} {does}; the C export has one subgraph, and remembers variables only",
        )
        require(
            not any(t.is_variable for t in step.outputs),
            f"{step} writes to a variable tensor, which it may read at the same time; export takes layers' states and "
            "resource variables: convert again with these",
        )
    for tensor, x in zip(plan.inputs, golden, strict=False):
        if x.shape != tensor.shape:
            raise InputError(
                f"golden input '{tensor.name}' has shape {x.shape}; it takes one inference, {tensor.shape}"
            )
    for tensor in (*plan.inputs, *plan.outputs):
        require(tensor.dtype in TENSOR_TYPES, f"tensor '{tensor.name}' is {tensor.dtype}, which has no C type here")
    require_room_for_all(plan)
    records = tuple(record for record in kept(plan, execute(plan, *golden)) if not record.path)
    known = _known(plan, records)
    live = [record for record in records if _runs(record.step, known)]
    rows = [row for record in live for row in _rows(record, known)]
    begins = _beginnings(plan, records)
    return _LaidOut(records, known, rows, begins, *_layout(plan, live, rows, begins))


class _Row(NamedTuple):
    """One line of the step table: an output of a step, its value for the golden input, and the calls that write it.

    What a step assigns to a resource variable, at `to`, is no line.
    """

    step: Step
    to: Place
    output: Tensor | None
    value: Array | None
    calls: tuple[Call, ...]


def _runs(step: Step, known: Mapping[int, Array]) -> bool:
    """Whether anything is left to do of it: CALL_ONCE has been done when the variables begin."""
    return step.facts.resource == "assign" or any(t.index not in known for t in step.outputs)


def _rows(record: Record, known: Mapping[int, Array]) -> Iterator[_Row]:
    step, calls = record.step, calls_of(record.step, known)
    if not step.outputs:
        yield _Row(step, resource_of(with_known(known, step)), None, None, calls)
    for number, (tensor, value) in enumerate(zip(step.outputs, record.outputs, strict=True)):
        require(tensor.dtype in TENSOR_TYPES, f"tensor '{tensor.name}' is {tensor.dtype}, which has no C type here")
        yield _Row(step, tensor.index, tensor, value, tuple(call for call in calls if call.output == number))


def _beginnings(plan: Plan, records: Sequence[Record]) -> dict[Place, Array]:
    """What variables hold before the first inference, those that CALL_ONCE assigns as it leaves them."""
    resources, touched = plan.initial.resources, False
    for record in records:
        if record.step.facts.control == "once":
            require(
                not touched,
                f"{record.step} runs after variables were read or assigned; the C export sets up all of them first",
            )
            resources = record.state.resources
        touched = touched or record.step.facts.resource in ("read", "assign")
    variables = {index: x for (graph, index), x in plan.initial.variables.items() if graph == plan.graph.index}
    return variables | {Resource(*name): x for name, x in resources.items()}


def _noise(tensor: Tensor, seed: int) -> Array:
    """An input that exercises everything: every code, or floats between −1 and 1."""
    rng = np.random.default_rng(seed)
    if tensor.dtype == "float32":
        return rng.uniform(-1, 1, tensor.shape).astype(np.float32)
    bits = rng.integers(0, 256, (*tensor.shape, np.dtype(tensor.dtype).itemsize), np.uint8)
    return bits.view(tensor.dtype).reshape(tensor.shape) if tensor.dtype != "bool" else bits[..., 0] > 127


def _known(plan: Plan, records: Iterable[Record]) -> dict[int, Array]:
    """The values known when exporting: constants, and what depends on nothing but them and on shapes."""
    known = dict(plan.constants)
    for record in records:
        inputs = [t for t in record.step.inputs if t is not None]
        if record.step.facts.shapes_only or (not record.step.remembers and all(t.index in known for t in inputs)):
            known |= {t.index: x[np.newaxis] for t, x in zip(record.step.outputs, record.outputs, strict=True)}
    return known


def _layout(
    plan: Plan, live: Sequence[Record], rows: Sequence[_Row], begins: Mapping[Place, Array]
) -> tuple[dict[Place, int], dict[str, int]]:
    """The offset of every tensor and resource variable in the arena, and the sizes to report."""
    tensors, buffers = lifetimes(plan, [record.step for record in live], plan.graph.outputs)
    resources = {place: x.nbytes for place, x in begins.items() if isinstance(place, Resource)}
    indices: list[Place] = [*tensors, *resources]
    buffers += [Buffer(size, 0, len(live)) for size in resources.values()]
    places = {index: place for place, index in enumerate(indices)}
    shared = list(range(len(indices)))  # tensor → the first of those that share its memory
    for row in rows:
        if len(row.calls) == 1 and row.calls[0].in_place and isinstance(source := row.calls[0].arguments[0], Tensor):
            shared[places[row.to]] = shared[places[source.index]]
    sharing: dict[int, list[int]] = {}
    for i, first in enumerate(shared):
        sharing.setdefault(first, []).append(i)
    groups = [*sharing.values()]
    together = merged(buffers, groups)
    _, theirs = lifetimes(plan, plan.steps, plan.graph.outputs)
    candidates = [(together, plan_arena(together), groups), (buffers, plan_arena(buffers), [[i] for i in shared])]
    blocks, starts, groups = min(candidates, key=lambda candidate: peak(candidate[0], candidate[1]))
    offsets = {indices[i]: start for group, start in zip(groups, starts, strict=True) for i in group}
    return offsets, {
        "arena_bytes": peak(blocks, starts),
        "tflm_arena_bytes": peak(theirs, tflm_greedy(theirs)),
        "least_bytes": lower_bound(together),
    }


def lifetimes(plan: Plan, steps: Sequence[Step], kept: Iterable[int]) -> tuple[list[int], list[Buffer]]:
    """The run-time tensors that `steps` and the model's inputs need, by index, and when each is alive.

    As TFLM counts: inputs and variables from time 0, step i at time i + 1, variables and `kept` until the end.
    TFLM: `micro_allocation_info.cc`, `MarkAllocationLifetimes`.
    """
    variables = {t.index for step in steps for t in step.inputs if t is not None and t.is_variable}
    first = dict.fromkeys((*plan.graph.inputs, *sorted(variables)), 0)
    last = dict(first)
    for time, step in enumerate(steps, 1):
        first |= {t.index: time for t in step.outputs}
        last |= {t.index: time for t in (*step.inputs, *step.outputs) if t is not None and t.index in first}
    last |= {index: len(steps) for index in (*kept, *variables) if index in first}
    indices = sorted(i for i in first if plan.graph.tensors[i].data is None or i in variables)
    return indices, [Buffer(_bytes(plan.graph.tensors[i]), first[i], last[i]) for i in indices]


def _bytes(tensor: Tensor) -> int:
    """Of a handle, those of its id."""
    return prod(tensor.shape) * np.dtype({"resource": "int32"}.get(tensor.dtype, tensor.dtype)).itemsize


# ---- as text -----------------------------------------------------------------------------------------------


class _Data:
    """The constant arrays and params of model.c, in the order they were asked for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bytes = 0

    def constant(self, name: str, constant: Constant) -> str:
        """Define the data of an argument, for cores with Helium as it is; its name."""
        if constant.plain is None:
            return self.array(name, constant.data)
        self.lines.append("#if REFENGINE_MVE")
        self.array(name, constant.plain)
        self.bytes -= constant.plain.nbytes
        self.lines.append("#else")
        self.array(name, constant.data)
        self.lines += ["#endif", ""]
        return name

    def array(self, name: str, array: Array) -> str:
        """Define a constant array; its name."""
        flat = np.ascontiguousarray(array).reshape(-1)
        self.bytes += flat.nbytes
        kind = C_TYPES[flat.dtype.name]
        self.lines += [
            f"_Alignas({ALIGNMENT}) static const {kind} {name}[{max(1, flat.size)}] = {{",
            *_wrapped(map(_number, flat.tolist() if flat.dtype != np.float32 else flat)),
            "};",
            "",
        ]
        return name

    def multipliers(self, name: str, multiplier: Multiplier) -> str:
        """Define an array of `struct multiplier`; its name."""
        rows = [_multiplier(multiplier, i) for i in range(multiplier.multiplier.size)]
        self.bytes += len(rows) * 8
        self.lines += [f"static const struct multiplier {name}[{len(rows)}] = {{", *_wrapped(rows), "};", ""]
        return name

    def params(self, name: str, call: Call) -> str:
        """Define the params struct of a call; its name."""
        fields = self._fields(name, call.params)
        self.lines += [f"static const struct {call.struct} {name}_params = {{", *_wrapped(fields), "};", ""]
        return f"{name}_params"

    def _fields(self, name: str, fields: Mapping[str, Any]) -> list[str]:
        return [f".{field} = {self._value(f'{name}_{field}', value)}" for field, value in fields.items()]

    def _value(self, name: str, value: Any) -> str:
        match value:
            case dict():
                return f"{{{', '.join(self._fields(name, value))}}}"
            case Values():
                return f"{{{', '.join(map(str, value))}}}"
            case Multiplier() if np.ndim(value.multiplier):
                return self.multipliers(name, value)
            case Multiplier():
                return _multiplier(value, 0)
            case np.ndarray():
                return self.array(name, value)
        return _number(value)


def _multiplier(m: Multiplier, channel: int) -> str:
    multiplier, shift, scale = (field.reshape(-1)[channel] for field in (m.multiplier, m.shift, m.scale))
    return f"{{{multiplier}, {shift}{f', {_number(scale)}' if m.rounding == 'xnnpack' else ''}}}"


def _number(value: Any) -> str:
    """A C literal with just this value."""
    if isinstance(value, np.floating):
        if np.isnan(value):
            return "NAN"
        return f"{float(value).hex()}f" if np.isfinite(value) else ("INFINITY" if value > 0 else "-INFINITY")
    number = int(value)
    return f"INT64_C({number})" if abs(number) > 2**31 else "INT32_MIN" if number == -(2**31) else str(number)


def _wrapped(items: Iterable[str]) -> Iterator[str]:
    """Comma-separated, in lines of at most WIDTH."""
    line = " "
    for item in items:
        if len(line) + len(item) + 2 > WIDTH and line.strip():
            yield line
            line = " "
        line += f" {item},"
    yield line if line.strip() else "  0"


LONGEST_NAME = 64
"""Longer ones are cut: some compilers limit strings, and every board its flash."""


def _string(text: str) -> str:
    """A C string literal."""
    return f'"{in_c(text)}"'


class _Tables(NamedTuple):
    """What the tables of steps and tensors say: where they lie, and what they are called, if anything."""

    offsets: Mapping[Place, int]
    names: bool

    def name(self, text: str) -> str:
        cut = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "..."
        return _string(cut if self.names else "")

    def tensor(self, tensor: Tensor) -> str:
        """A row of `struct tensor`."""
        scale, zero_point = _affine(tensor)
        if len(tensor.shape) > 6:
            raise UnsupportedError(
                f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions; an export takes at most 6"
            )
        shape = ", ".join(map(str, tensor.shape)) or "0"
        return (
            f"{{{self.name(tensor.name)}, {tensor.index}, {self.offsets.get(tensor.index, 0)}, {_bytes(tensor)}, "
            f"DTYPE_{tensor.dtype.upper()}, {len(tensor.shape)}, {{{shape}}}, {_number(np.float32(scale))}, "
            f"{zero_point}}}"
        )


def _affine(tensor: Tensor) -> tuple[float, int]:
    """Scale and zero point, 0 where there are none."""
    quantization = tensor.quantization
    if not quantization or not quantization.scale:
        return 0.0, 0
    return quantization.scale[0], (*quantization.zero_point, 0)[0]


def _told(label: str, tensor: Tensor) -> str:
    """What a tensor of the interface holds, in a line of model.h."""
    scale, zero_point = _affine(tensor)
    codes = f", scale {np.float32(scale):.9g}, zero point {zero_point}" if scale else ""
    return f" * {label}: {tensor.dtype} {'x'.join(map(str, tensor.shape)) or 'of one element'}{codes}"


def _steps(rows: Sequence[_Row], offsets: Mapping[Place, int], data: _Data) -> list[str]:
    """The lines of the rows, the data that they need defined."""
    lines: list[str] = []
    place = 0
    for row in rows:
        if row.output is None:
            lines.append(f"  {_calls(row, f'assign{row.step.index}', offsets, data)};")
        else:
            lines.append(f"  STEP({place}, {_calls(row, f'step{place}', offsets, data)});")
            place += 1
    return lines


def _calls(row: _Row, name: str, offsets: Mapping[Place, int], data: _Data) -> str:
    """The calls of a row, one behind the other, the data that they need defined."""
    several = len(row.calls) > 1
    named = ((call, f"{name}_{i}" if several else name) for i, call in enumerate(row.calls))
    end = f"AT({offsets[row.to]})"
    return "; ".join(f"{call.kernel}({_arguments(call, label, offsets, data)}, {end})" for call, label in named)


def _arguments(call: Call, name: str, offsets: Mapping[Place, int], data: _Data) -> str:
    """The arguments of a call but its output, their data defined."""
    places = [
        data.constant(f"{name}_{a.name}", a)
        if isinstance(a, Constant)
        else f"AT({offsets[a.index if isinstance(a, Tensor) else a]})"
        for a in call.arguments
    ]
    return ", ".join([f"&{data.params(name, call)}", *places])


def _names(plan: Plan) -> tuple[list[str], list[str]]:
    """What the inputs and outputs are called in C: `input`, or `input0`, `input1`, … where there are several."""

    def numbered(kind: str, count: int) -> list[str]:
        return [kind] if count == 1 else [f"{kind}{i}" for i in range(count)]

    return numbered("input", len(plan.inputs)), numbered("output", len(plan.outputs))


def _prototype(plan: Plan) -> str:
    inputs, outputs = _names(plan)
    return f"void model_invoke({', '.join([f'const void *{i}' for i in inputs] + [f'void *{o}' for o in outputs])})"


def _about(plan: Plan, name: str) -> str:
    return (
        f"/* {in_c(name)}: made by `refengine export` from the .tflite with SHA-256\n"
        f" * {plan.model.sha256 or 'unknown'},\n"
        f" * numerics {plan.numerics}. */\n"
    )


def _header(plan: Plan, name: str, tables: _Tables, offsets: Mapping[Place, int], arena_bytes: int, steps: int) -> str:
    inputs, outputs = _names(plan)
    defines = [
        ("NAME", tables.name(name)),
        ("SHA256", _string(plan.model.sha256)),
        ("NUMERICS", _string(str(plan.numerics))),
        ("ARENA_BYTES", arena_bytes),
        ("STEPS", steps),
        ("INPUTS", len(inputs)),
        ("OUTPUTS", len(outputs)),
    ]
    for label, tensor in zip((*inputs, *outputs), (*plan.inputs, *plan.outputs), strict=True):
        defines.append((f"{label.upper()}_BYTES", _bytes(tensor)))
        if tensor.index in offsets:
            defines.append((f"{label.upper()}_OFFSET", offsets[tensor.index]))
    return "\n".join(
        [
            _about(plan, name) + "#ifndef MODEL_H",
            "#define MODEL_H",
            "",
            '#include "step.h"',
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            *(f"#define MODEL_{key} {value}" for key, value in defines),
            "",
            "/* Inputs are copied into the arena, outputs out of it. A NULL, or the tensor's own place in the arena",
            " * (model_arena + MODEL_…_OFFSET), copies nothing.",
            " *",
            *(_told(i, t) for i, t in zip((*inputs, *outputs), (*plan.inputs, *plan.outputs), strict=True)),
            " */",
            f"{_prototype(plan)};",
            "",
            "extern uint8_t model_arena[MODEL_ARENA_BYTES];",
            "extern const struct step model_steps[MODEL_STEPS];",
            "extern const struct tensor model_inputs[MODEL_INPUTS];",
            "extern const struct tensor model_outputs[MODEL_OUTPUTS];",
            "",
            "/* Forgets what lives on from one inference to the next; before the first one that is done for you. */",
            "void model_reset(void);",
            "",
            "/* Runs the golden input that the CRCs belong to; int model_selftest(void) in step.h checks them. */",
            "void model_invoke_golden(void);",
            "",
            "/* Runs on what lies in the inputs' places in the arena. */",
            "void model_invoke_in_place(void);",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            "#endif",
            "",
        ]
    )


def _source(
    plan: Plan,
    name: str,
    tables: _Tables,
    data: _Data,
    calls: Sequence[str],
    rows: Sequence[_Row],
    known: Mapping[int, Array],
    begins: Mapping[Place, Array],
    golden: Sequence[Array],
) -> str:
    (inputs, outputs), offsets = _names(plan), tables.offsets
    goldens = [data.array(f"golden_{label}", x) for label, x in zip(inputs, golden, strict=True)]
    results = [
        f"AT({offsets[t.index]})" if t.index in offsets else data.array(f"constant_{label}", known[t.index])
        for label, t in zip(outputs, plan.outputs, strict=True)
    ]
    steps = [
        f"    {{{row.step.index}, {tables.name(row.step.name)}, {tables.tensor(row.output)}, "
        f"0x{zlib.crc32(np.ascontiguousarray(row.value).tobytes()):08x}}},"
        for row in rows
        if row.output is not None and row.value is not None
    ]
    forgotten = [
        _begun(offsets[place], f"initial{i}", value, data)
        for i, (place, value) in enumerate(begins.items())
        if place in offsets
    ]
    return "\n".join(
        [
            _about(plan, name),
            "#include <math.h>",
            "#include <string.h>",
            "",
            '#include "kernels.h"',
            '#include "model.h"',
            "",
            *data.lines,
            f"_Alignas({ALIGNMENT}) uint8_t model_arena[MODEL_ARENA_BYTES];",
            "",
            "#define AT(offset) ((void *)(model_arena + (offset)))",
            "",
            *_STEP,
            "",
            "const struct step model_steps[MODEL_STEPS] = {",
            *steps,
            "};",
            "",
            "const struct tensor model_inputs[MODEL_INPUTS] = {",
            *(f"    {tables.tensor(t)}," for t in plan.inputs),
            "};",
            "",
            "const struct tensor model_outputs[MODEL_OUTPUTS] = {",
            *(f"    {tables.tensor(t)}," for t in plan.outputs),
            "};",
            "",
            *(["static int remembers; /* whether model_reset was called */", ""] if forgotten else []),
            "void model_reset(void) {",
            *([*forgotten, "  remembers = 1;"] if forgotten else []),
            "}",
            "",
            f"{_prototype(plan)} {{",
            *(["  if (!remembers) {", "    model_reset();", "  }"] if forgotten else []),
            *(
                f"  model_copy(AT({offsets[t.index]}), {label}, {_bytes(t)});"
                for label, t in zip(inputs, plan.inputs, strict=True)
            ),
            *calls,
            *(
                f"  model_copy({label}, {result}, {_bytes(t)});"
                for label, t, result in zip(outputs, plan.outputs, results, strict=True)
            ),
            "}",
            "",
            "void model_invoke_golden(void) {",
            "  model_reset();",
            f"  model_invoke({', '.join(goldens + ['0'] * len(outputs))});",
            "}",
            "",
            f"void model_invoke_in_place(void) {{ model_invoke({', '.join(['0'] * len(inputs + outputs))}); }}",
            "",
        ]
    )


_STEP = """\
#define STEP(place, call)     \\
  do {                        \\
    call;                     \\
    if (model_step_hook) {    \\
      model_step_hook(place); \\
    }                         \\
  } while (0)""".splitlines()


def _begun(offset: int, name: str, value: Array, data: _Data) -> str:
    """A line that sets a variable to what it is before the first inference."""
    if len(set(value.tobytes())) == 1:
        return f"  memset(AT({offset}), {value.tobytes()[0]}, {value.nbytes});"
    return f"  memcpy(AT({offset}), {data.array(name, value)}, {value.nbytes});"


def _numerics(plan: Plan, rows: Sequence[_Row]) -> str:
    n = plan.numerics
    patch = max([call.patch for row in rows for call in row.calls if call.patch <= PATCH], default=0)
    chosen = {
        "SINGLE_ROUNDING": n.rounding == "single",
        "XNNPACK_ROUNDING": n.rounding == "xnnpack",
        "FMA": n.contraction == "fma",
        "SATURATE": ("x86", "arm", "riscv").index(n.float_to_int),
    }
    lines = (
        f"#ifndef REFENGINE_{key}\n#define REFENGINE_{key} {int(value)}\n#endif\n" for key, value in chosen.items()
    )
    return (
        f"/* The arithmetic this model was planned for: {n}.\n * The weights and CRCs belong to it. */\n"
        "#ifndef REFENGINE_NUMERICS_H\n#define REFENGINE_NUMERICS_H\n\n" + "\n".join(lines) + "\n"
        f"/* The most taps of a window that is copied to the stack, five bytes each. */\n"
        f"#define REFENGINE_PATCH {max(4, -(-patch // 4) * 4)}\n\n#endif\n"
    )
