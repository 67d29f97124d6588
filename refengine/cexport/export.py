"""A plan as a folder of plain C11 that builds with `cc -std=c11 DIR/*.c -lm` and checks itself.

What is written here is data: arrays, struct initialisers, sizes, and one straight list of calls for each subgraph. The
code that they call is `firmware/kernels`, copied along.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InferenceError, InputError, UnsupportedError, require
from ..execute import Record, batch_size, execute, kept, require_room_for_all
from ..files import write_all, written_or_told
from ..identity import identity
from ..kernel import Numerics
from ..kernels.circular_buffer import ABORT
from ..model import Array, Graph, Tensor
from ..numerics.fixedpoint import Multiplier
from ..plan import Plan, Source, Step, plan_of, require_whole
from ..reading.arena import ALIGNMENT, Buffer, lower_bound, merged, peak, plan_arena, tflm_greedy
from ..text import in_c, kind_of
from .call import (
    Argument,
    At,
    Call,
    Constant,
    Function,
    Kept,
    Place,
    Resource,
    Rows,
    Scratch,
    Several,
    Values,
    bytes_of,
)
from .calls import calls_of, with_known
from .control import control_call
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
    in C or is another file's, or a directory that is none or cannot be written to.
    """
    for what, given in (("name", name), ("prefix", prefix)):
        if not isinstance(given, str):
            raise InputError(f"the {what} is {kind_of(given)}; give text, such as {MODEL!r}")
    check_prefix(prefix)
    if layout not in LAYOUTS:
        raise InputError(f"there is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    if not isinstance(directory, str | os.PathLike):
        raise InputError(f"the folder to export to is a path, not {kind_of(directory)}")
    plan, name = plan_of(source, numerics=numerics), name if names else NAMELESS
    if inputs:
        batch_size(plan, inputs)
    golden = inputs or tuple(_noise(tensor, i) for i, tensor in enumerate(plan.inputs))
    early, parts, begins, offsets, sizes = _laid_out(plan, golden)
    rows = [row for part in parts.values() for row in part.rows]
    data, tables = _Data(offsets), _Tables(offsets, names)
    calls = _steps(parts, data)
    shown = [row for row in rows if row.output is not None]
    written = {
        "model.h": _header(plan, name, tables, offsets, sizes["arena_bytes"], shown),
        "model.c": _source(plan, name, tables, data, calls, shown, parts[0].known, begins, golden, early),
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
    with written_or_told():
        for folder in {(directory / file).parent for file in written}:
            folder.mkdir(parents=True, exist_ok=True)
        write_all({directory / file: text for file, text in written.items()})
    folded = tuple(step for part in parts.values() for step in part.folded)
    return Exported(
        directory, tuple(sorted(written)), constant_bytes=data.bytes, steps=len(shown), folded=folded, **sizes
    )


def offsets_of(plan: Source) -> dict[int, int]:
    """Where the arena of an export has the tensors of the main graph: offsets in bytes, by index.

    Raises what `export` raises, and `UnsupportedError` for models that run subgraphs, whose tensors lie over these.
    """
    plan = plan_of(plan)
    for step in plan.steps:
        require(
            not step.calls,
            f"{step} runs other subgraphs, whose tensors lie in the same memory; print tensors as they are made",
        )
    offsets = _laid_out(plan, tuple(_noise(tensor, i) for i, tensor in enumerate(plan.inputs))).offsets
    return {at.tensor: offset for at, offset in offsets.items() if isinstance(at, At) and at.subgraph == 0}


# ---- what runs ---------------------------------------------------------------------------------------------


Outputs = tuple[Array | None, ...]
"""Of a step, or of one output each time that the step runs; None where elements are left as they are."""


class _LaidOut(NamedTuple):
    """How many inferences on the golden input end early before one that does not; what runs, by subgraph, the main one
    first; how variables begin, where everything lies, and sizes to report."""

    early: int
    parts: dict[int, _Part]
    begins: dict[Place, Array]
    offsets: dict[Place, int]
    sizes: dict[str, int]


class _Part(NamedTuple):
    """What becomes of a subgraph: tensors known beforehand, the steps that run, and those that need not."""

    known: dict[int, Array]
    live: tuple[Step, ...]
    folded: tuple[Step, ...]
    rows: list[_Row]


class _Row(NamedTuple):
    """One line of the step table: an output of a step, its values for the golden input, and the calls that write it.

    What a step assigns to a resource variable, at `to`, is no line, nor are subgraphs that give nothing back.
    """

    step: Step
    to: Place | None
    output: Tensor | None
    values: Outputs
    calls: tuple[Call, ...]


def _laid_out(plan: Plan, golden: tuple[Array, ...]) -> _LaidOut:
    require(
        plan.numerics.kernels == "tflm",
        f"the C kernels compute what TFLM's do, not those of {plan.numerics.kernels}; export in another dialect",
    )
    require_whole(plan, "C export")
    for tensor, x in zip(plan.inputs, golden, strict=False):
        if x.shape != tensor.shape:
            raise InputError(
                f"golden input '{tensor.name}' has shape {x.shape}; it takes one inference, {tensor.shape}"
            )
    for tensor in (*plan.inputs, *plan.outputs):
        _check_type(tensor)
    require_room_for_all(plan)
    early, records = _whole_inference(plan, golden)
    parts = _parts(plan, records)
    begins = _beginnings(plan)
    return _LaidOut(early, parts, begins, *_layout(plan, parts, begins))


def _whole_inference(plan: Plan, golden: tuple[Array, ...]) -> tuple[int, tuple[Record, ...]]:
    """The first inference on the golden input that is not ended early, and how many come before it."""
    early, state = 0, plan.initial
    while True:
        try:
            return early, tuple(kept(plan, execute(plan, *golden, state=state)))
        except InferenceError as error:
            if error.status != ABORT:
                raise
            early, state = early + 1, error.state


def _check_type(tensor: Tensor) -> None:
    require(tensor.dtype in TENSOR_TYPES, f"tensor '{tensor.name}' is {tensor.dtype}, which has no C type here")


def _parts(plan: Plan, records: Sequence[Record]) -> dict[int, _Part]:
    """The subgraphs that run in an inference."""
    values: dict[tuple[int, int], list[Outputs]] = {}
    for record in records:
        values.setdefault((record.step.subgraph, record.step.index), []).append(_written(record))
    known: dict[int, dict[int, Array]] = {}
    waiting = [plan.graph.index]
    while waiting:
        graph = waiting.pop()
        if graph not in known:
            known[graph] = _known(plan.plans[graph])
            waiting += (callee for step in plan.plans[graph].steps for callee in step.calls)
    parts = {}
    for graph in sorted(known):
        steps = plan.plans[graph].steps
        live = tuple(step for step in steps if _runs(step, known[graph]))
        folded = tuple(step for step in steps if step.outputs and step not in live)
        rows = [r for s in live for r in _rows(s, plan, known, values.get((graph, s.index), []))]
        parts[graph] = _Part(known[graph], live, folded, rows)
    return parts


def _written(record: Record) -> Outputs:
    """The outputs, None where TFLM leaves elements as they are."""
    masks = record.undefined or (None,) * len(record.outputs)
    return tuple(x if mask is None else None for x, mask in zip(record.outputs, masks, strict=True))


def _runs(step: Step, known: Mapping[int, Array]) -> bool:
    """Whether anything is left to do of it."""
    return step.facts.resource == "assign" or bool(step.calls) or any(t.index not in known for t in step.outputs)


def _rows(
    step: Step, plan: Plan, known: Mapping[int, Mapping[int, Array]], values: Sequence[Outputs]
) -> Iterator[_Row]:
    in_its_place = step.facts.elementwise and all(t is None or t.shape == step.outputs[0].shape for t in step.inputs)
    require(
        in_its_place or not any(t.is_variable and t.index in step.reads for t in step.outputs),
        f"{step} writes to a variable tensor that it reads at the same time; export takes layers' states and "
        "resource variables: convert again with these",
    )
    constants = known[step.subgraph]
    calls = (control_call(step, plan.plans, known),) if step.calls else calls_of(step, constants)
    if not step.outputs:
        yield _Row(step, None if step.calls else resource_of(with_known(constants, step)), None, (), calls)
    require(
        step.subgraph == 0 or not any(call.ends for call in calls),
        f"subgraph {step.subgraph}, {step} may end the inference; the C export takes that in the main graph only",
    )
    for number, tensor in enumerate(step.outputs):
        _check_type(tensor)
        own = tuple(call for call in calls if (call.output or 0) == number)
        yield _Row(step, At(step.subgraph, tensor.index), tensor, tuple(each[number] for each in values), own)


def _beginnings(plan: Plan) -> dict[Place, Array]:
    """What lives on, as it is before the first inference."""
    state = plan.initial
    found: dict[Place, Array] = {At(*key): x for key, x in state.variables.items()}
    found |= {Resource(*name): x for name, x in state.resources.items()}
    found |= {Kept(*key, i): x for key, memory in state.memory.items() for i, x in enumerate(memory)}
    return found


def _noise(tensor: Tensor, seed: int) -> Array:
    """An input that exercises everything: every code, or floats between −1 and 1."""
    rng = np.random.default_rng(seed)
    if tensor.dtype == "float32":
        return rng.uniform(-1, 1, tensor.shape).astype(np.float32)
    bits = rng.integers(0, 256, (*tensor.shape, np.dtype(tensor.dtype).itemsize), np.uint8)
    return bits.view(tensor.dtype).reshape(tensor.shape) if tensor.dtype != "bool" else bits[..., 0] > 127


def _known(plan: Plan) -> dict[int, Array]:
    """The values known when exporting: constants, and what depends on nothing but them and on shapes."""
    known = dict(plan.constants)
    for step in plan.steps:
        inputs = [t for t in step.inputs if t is not None]
        alone = not (step.remembers or step.facts.control) and all(t.index in known for t in inputs)
        if alone or step.facts.shapes_only:
            given = (None if t is None else known.get(t.index, np.zeros((1, *t.shape))) for t in step.inputs)
            with suppress(InferenceError):  # where it runs, it fails
                known |= {t.index: np.ma.filled(x, 0) for t, x in zip(step.outputs, step.evaluate(*given), strict=True)}
    return known


def _layout(
    plan: Plan, parts: Mapping[int, _Part], begins: Mapping[Place, Array]
) -> tuple[dict[Place, int], dict[str, int]]:
    """The offset of everything in the arena, and the sizes to report."""
    rows = [row for part in parts.values() for row in part.rows]
    tensors, buffers = lifetimes(plan, {graph: part.live for graph, part in parts.items()})
    used = {argument for row in rows for call in row.calls for argument in call.arguments if isinstance(argument, Kept)}
    scratches = {a for row in rows for call in row.calls for a in call.arguments if isinstance(a, Scratch)}
    clock = _clock(plan, {graph: part.live for graph, part in parts.items()})
    living = {place: x.nbytes for place, x in begins.items() if isinstance(place, Resource) or place in used}
    indices: list[Place] = [*tensors, *living, *sorted(scratches)]
    end = max((buffer.last for buffer in buffers), default=0)
    buffers += [Buffer(size, 0, end) for size in living.values()]
    buffers += [Buffer(each.bytes, *clock.spans[each.subgraph, each.operator]) for each in sorted(scratches)]
    places = {index: place for place, index in enumerate(indices)}
    shared = list(range(len(indices)))  # tensor → the first of those that share its memory
    for row in rows:
        source = row.calls[0].arguments[0] if len(row.calls) == 1 and row.calls[0].in_place else None
        if isinstance(source, Tensor) and not any(t and t.is_variable for t in (source, row.output)):
            assert row.to is not None
            shared[places[row.to]] = shared[places[At(row.step.subgraph, source.index)]]
    sharing: dict[int, list[int]] = {}
    for i, first in enumerate(shared):
        sharing.setdefault(first, []).append(i)
    groups = [*sharing.values()]
    together = merged(buffers, groups)
    _, theirs = lifetimes(plan, {graph: plan.plans[graph].steps for graph in parts})
    candidates = [(together, plan_arena(together), groups), (buffers, plan_arena(buffers), [[i] for i in shared])]
    blocks, starts, groups = min(candidates, key=lambda candidate: peak(candidate[0], candidate[1]))
    offsets = {indices[i]: start for group, start in zip(groups, starts, strict=True) for i in group}
    return offsets, {
        "arena_bytes": peak(blocks, starts),
        "tflm_arena_bytes": peak(theirs, tflm_greedy(theirs)),
        "least_bytes": lower_bound(together),
    }


def lifetimes(plan: Plan, steps: Mapping[int, Sequence[Step]]) -> tuple[list[At], list[Buffer]]:
    """The run-time tensors that the `steps` of the subgraphs and the model's inputs need, and when each is alive.

    As TFLM counts: inputs and variables from time 0, step i at time i + 1 and the subgraphs that it runs behind it, one
    after the other, before its own time ends; variables and the model's outputs until the end.
    TFLM: `micro_allocation_info.cc`, `MarkAllocationLifetimes`.
    """
    clock = _clock(plan, steps)
    tensors = {at: plan.plans[at.subgraph].graph.tensors[at.tensor] for at in sorted(clock.first)}
    places = [at for at, tensor in tensors.items() if tensor.data is None or tensor.is_variable]
    return places, [Buffer(bytes_of(tensors[at]), clock.first[at], clock.last[at]) for at in places]


def _clock(plan: Plan, steps: Mapping[int, Sequence[Step]]) -> _Clock:
    variables = {
        At(graph, t.index)
        for graph, each in steps.items()
        for step in each
        for t in (*step.inputs, *step.outputs)
        if t is not None and t.is_variable
    }
    clock = _Clock(plan, steps, variables)
    clock.walk(plan.graph)
    clock.last |= dict.fromkeys(variables, clock.now)
    return clock


class _Clock:
    """When each tensor is first and last needed, variables from the start; `spans` are when the steps run."""

    def __init__(self, plan: Plan, steps: Mapping[int, Sequence[Step]], variables: Iterable[At]) -> None:
        self.plan, self.steps, self.now = plan, steps, 0
        self.first = dict.fromkeys(sorted(variables), 0)
        self.last = dict(self.first)
        self.spans: dict[tuple[int, int], tuple[int, int]] = {}

    def walk(self, graph: Graph) -> None:
        self._need(graph, graph.inputs)
        for step in self.steps[graph.index]:
            self.now += 1
            began, _ = self.spans.get((graph.index, step.index), (self.now, 0))
            self._need(graph, [t.index for t in step.outputs])
            for callee in step.calls:
                if callee in self.steps:
                    self.now += 1
                    self.walk(self.plan.plans[callee].graph)
            self.spans[graph.index, step.index] = began, self.now
            written = [t.index for t in (*step.inputs, *step.outputs) if t is not None]
            self._need(graph, [i for i in written if At(graph.index, i) in self.first])
        self._need(graph, [i for i in graph.outputs if At(graph.index, i) in self.first])

    def _need(self, graph: Graph, tensors: Iterable[int]) -> None:
        for at in (At(graph.index, tensor) for tensor in tensors):
            self.first.setdefault(at, self.now)
            self.last[at] = self.now


# ---- as text -----------------------------------------------------------------------------------------------


class _Data:
    """The constant arrays and params of model.c, in the order they were asked for."""

    def __init__(self, offsets: Mapping[Place, int]) -> None:
        self.offsets = offsets
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

    def structs(self, name: str, rows: Rows) -> str:
        """Define an array of structs; its name."""
        listed = [f"{{{', '.join(self._fields(f'{name}{i}', fields))}}}" for i, fields in enumerate(rows.rows)]
        self.lines += [f"static const struct {rows.struct} {name}[{len(listed)}] = {{", *_wrapped(listed), "};", ""]
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
            case At():
                return f"AT({self.offsets[value]})"
            case Function():
                return str(value)
            case Rows():
                return self.structs(name, value) if value.rows else "0"
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

    def step(self, step: Step) -> str:
        """The operator's name, and in which subgraph it is."""
        return self.name(f"subgraph {step.subgraph}: {step.name}" if step.subgraph else step.name)

    def tensor(self, tensor: Tensor, subgraph: int = 0) -> str:
        """A row of `struct tensor`."""
        scale, zero_point = _affine(tensor)
        if len(tensor.shape) > 6:
            raise UnsupportedError(
                f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions; an export takes at most 6"
            )
        shape, offset = ", ".join(map(str, tensor.shape)) or "0", self.offsets.get(At(subgraph, tensor.index), 0)
        return (
            f"{{{self.name(tensor.name)}, {tensor.index}, {offset}, {bytes_of(tensor)}, "
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


def _steps(parts: Mapping[int, _Part], data: _Data) -> dict[int, list[str]]:
    """The lines of each subgraph, the data that they need defined."""
    place = 0
    lines: dict[int, list[str]] = {}
    for graph, part in parts.items():
        lines[graph] = []
        for row in part.rows:
            if row.output is None:
                inside = f"subgraph{graph}_" if graph else ""
                lines[graph].append(f"  {_calls_in_c(row, f'{inside}assign{row.step.index}', data)};")
            else:
                step = "STEP_OR_END" if any(call.ends for call in row.calls) else "STEP"
                lines[graph].append(f"  {step}({place}, {_calls_in_c(row, f'step{place}', data) or '(void)0'});")
                place += 1
    return lines


def _calls_in_c(row: _Row, name: str, data: _Data) -> str:
    """The calls of a row, one behind the other, the data that they need defined."""
    several = len(row.calls) > 1
    named = ((call, f"{name}_{i}" if several else name) for i, call in enumerate(row.calls))
    return "; ".join(f"{call.kernel}({_arguments(row, call, label, data)})" for call, label in named)


def _arguments(row: _Row, call: Call, name: str, data: _Data) -> str:
    """The arguments of a call, their data defined."""
    places = [_argument(a, row, name, data) for a in call.arguments]
    if call.output is not None:
        assert row.to is not None
        places.append(f"AT({data.offsets[row.to]})")
    return ", ".join([f"&{data.params(name, call)}", *places])


def _argument(argument: Argument, row: _Row, name: str, data: _Data) -> str:
    match argument:
        case Constant():
            return data.constant(f"{name}_{argument.name}", argument)
        case Several():
            each = ", ".join(_argument(a, row, name, data) for a in argument.arguments)
            return f"(const void *const[]){{{each}}}"
        case Tensor():
            return f"AT({data.offsets[At(row.step.subgraph, argument.index)]})"
    return f"AT({data.offsets[argument]})"


def _names(plan: Plan) -> tuple[list[str], list[str]]:
    """What the inputs and outputs are called in C: `input`, or `input0`, `input1`, … where there are several."""

    def numbered(kind: str, count: int) -> list[str]:
        return [kind] if count == 1 else [f"{kind}{i}" for i in range(count)]

    return numbered("input", len(plan.inputs)), numbered("output", len(plan.outputs))


def _prototype(plan: Plan, ends: bool) -> str:
    inputs, outputs = _names(plan)
    given = ", ".join([f"const void *{i}" for i in inputs] + [f"void *{o}" for o in outputs])
    return f"{_kind(ends)} model_invoke({given})"


def _kind(ends: bool) -> str:
    """Of what invokes the model: whether the inference ended early, where that may be."""
    return "int" if ends else "void"


def _may_end(rows: Iterable[_Row]) -> bool:
    return any(call.ends for row in rows for call in row.calls)


def _about(plan: Plan, name: str) -> str:
    return (
        f"/* {in_c(name)}: made by `refengine export` from the .tflite with SHA-256\n"
        f" * {plan.model.sha256 or 'unknown'},\n"
        f" * numerics {plan.numerics}. */\n"
    )


def _header(
    plan: Plan, name: str, tables: _Tables, offsets: Mapping[Place, int], arena_bytes: int, rows: Sequence[_Row]
) -> str:
    (inputs, outputs), ends = _names(plan), _may_end(rows)
    defines = [
        ("NAME", tables.name(name)),
        ("SHA256", _string(plan.model.sha256)),
        ("NUMERICS", _string(str(plan.numerics))),
        ("ARENA_BYTES", arena_bytes),
        ("STEPS", sum(row.step.subgraph == 0 for row in rows)),
        ("INNER_STEPS", sum(row.step.subgraph != 0 for row in rows)),
        ("INPUTS", len(inputs)),
        ("OUTPUTS", len(outputs)),
    ]
    for label, tensor in zip((*inputs, *outputs), (*plan.inputs, *plan.outputs), strict=True):
        defines.append((f"{label.upper()}_BYTES", bytes_of(tensor)))
        if (at := At(0, tensor.index)) in offsets:
            defines.append((f"{label.upper()}_OFFSET", offsets[at]))
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
            *(
                [" *", " * 0; or 1 if the inference ended early, as TFLM's with kTfLiteAbort: no output then."]
                if ends
                else []
            ),
            " */",
            f"{_prototype(plan, ends)};",
            "",
            "extern uint8_t model_arena[MODEL_ARENA_BYTES];",
            "/* The model's steps, then those of the subgraphs that it runs. */",
            "extern const struct step model_steps[MODEL_STEPS + MODEL_INNER_STEPS];",
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
            f"{_kind(ends)} model_invoke_in_place(void);",
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
    calls: Mapping[int, Sequence[str]],
    rows: Sequence[_Row],
    known: Mapping[int, Array],
    begins: Mapping[Place, Array],
    golden: Sequence[Array],
    early: int,
) -> str:
    (inputs, outputs), offsets = _names(plan), tables.offsets
    goldens = [data.array(f"golden_{label}", x) for label, x in zip(inputs, golden, strict=True)]
    results = [
        f"AT({offsets[At(0, t.index)]})"
        if At(0, t.index) in offsets
        else data.array(f"constant_{label}", known[t.index])
        for label, t in zip(outputs, plan.outputs, strict=True)
    ]
    steps = [
        f"    {{{row.step.index}, {tables.step(row.step)}, {tables.tensor(row.output, row.step.subgraph)}, "
        f"0x{_crc32(row.values):08x}}},"
        for row in rows
        if row.output is not None
    ]
    forgotten = [
        _begun(offsets[place], f"initial{i}", value, data)
        for i, (place, value) in enumerate(begins.items())
        if place in offsets
    ]
    inner, ends = [graph for graph in calls if graph], _may_end(rows)
    return "\n".join(
        [
            _about(plan, name),
            "#include <math.h>",
            "#include <string.h>",
            "",
            *(['#include "control.h"'] if inner else []),
            '#include "kernels.h"',
            '#include "model.h"',
            "",
            "#define AT(offset) ((void *)(model_arena + (offset)))",
            "",
            *(f"static void subgraph{graph}(void);" for graph in inner),
            *([""] if inner else []),
            *data.lines,
            f"_Alignas({ALIGNMENT}) uint8_t model_arena[MODEL_ARENA_BYTES];",
            "",
            *_STEP,
            *(_STEP_OR_END if ends else []),
            "",
            "const struct step model_steps[MODEL_STEPS + MODEL_INNER_STEPS] = {",
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
            *(line for g in inner for line in (f"static void subgraph{g}(void) {{", *calls[g], "}", "")),
            f"{_prototype(plan, ends)} {{",
            *(["  if (!remembers) {", "    model_reset();", "  }"] if forgotten else []),
            *(
                f"  model_copy(AT({offsets[At(0, t.index)]}), {label}, {bytes_of(t)});"
                for label, t in zip(inputs, plan.inputs, strict=True)
            ),
            *calls[0],
            *(
                f"  model_copy({label}, {result}, {bytes_of(t)});"
                for label, t, result in zip(outputs, plan.outputs, results, strict=True)
            ),
            *(["  return 0;"] if ends else []),
            "}",
            "",
            "void model_invoke_golden(void) {",
            "  model_reset();",
            *_unheard(f"  model_invoke({', '.join(goldens + ['0'] * len(outputs))});", early),
            f"  model_invoke({', '.join(goldens + ['0'] * len(outputs))});",
            "}",
            "",
            f"{_kind(ends)} model_invoke_in_place(void) {{",
            f"  {'return ' if ends else ''}model_invoke({', '.join(['0'] * len(inputs + outputs))});",
            "}",
            "",
        ]
    )


def _crc32(values: Outputs) -> int:
    """Of the bytes of a step's output; 0 if nobody knows them, or they are others from one time to the next."""
    found = {0 if x is None else zlib.crc32(np.ascontiguousarray(x).tobytes()) for x in values}
    return found.pop() if len(found) == 1 else 0


_STEP = """\
#define STEP(place, call)     \\
  do {                        \\
    call;                     \\
    if (model_step_hook) {    \\
      model_step_hook(place); \\
    }                         \\
  } while (0)""".splitlines()


_STEP_OR_END = """\

#define STEP_OR_END(place, call) \\
  do {                           \\
    const int ends = call;       \\
    if (model_step_hook) {       \\
      model_step_hook(place);    \\
    }                            \\
    if (ends) {                  \\
      return 1;                  \\
    }                            \\
  } while (0)""".splitlines()


def _unheard(line: str, times: int) -> list[str]:
    """The line so often, while no hook hears of it."""
    if not times:
        return []
    hook = "  void (*const hook)(int32_t) = model_step_hook;", "  model_step_hook = 0;"
    return [*hook, *[line] * times, "  model_step_hook = hook;"]


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
