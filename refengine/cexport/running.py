"""What runs in an inference: the steps that are left, their calls, and what they write for the golden input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from ..errors import InferenceError, InputError, require
from ..execute import Record, execute, kept, require_room_for_all
from ..kernels.circular_buffer import ABORT
from ..model import Array, Tensor
from ..plan import Plan, Step, require_whole
from .call import At, Call, Kept, Place, Resource
from .calls import calls_of, with_known
from .control import control_call
from .memory import resource_of

TENSOR_TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool", "uint32", "uint64")
"""Those of `enum dtype` in step.h."""

Outputs = tuple[Array | None, ...]
"""Of a step, or of one output each time that the step runs; None where elements are left as they are."""


class Running(NamedTuple):
    """The golden input, and how many inferences on it end early before one that does not; what runs, by subgraph, the
    main one first; and how variables begin."""

    golden: tuple[Array, ...]
    early: int
    parts: dict[int, Part]
    begins: dict[Place, Array]

    @property
    def rows(self) -> list[Row]:
        return [row for part in self.parts.values() for row in part.rows]

    @property
    def calls(self) -> list[Call]:
        return [call for row in self.rows for call in row.calls]

    @property
    def live(self) -> dict[int, tuple[Step, ...]]:
        """The steps that run, by subgraph."""
        return {graph: part.live for graph, part in self.parts.items()}

    @property
    def folded(self) -> tuple[Step, ...]:
        return tuple(step for part in self.parts.values() for step in part.folded)

    @property
    def ends(self) -> bool:
        """Whether an inference may end early."""
        return any(call.ends for call in self.calls)


class Part(NamedTuple):
    """What becomes of a subgraph: tensors known beforehand, the steps that run, and those that need not."""

    known: dict[int, Array]
    live: tuple[Step, ...]
    folded: tuple[Step, ...]
    rows: list[Row]


class Row(NamedTuple):
    """An output of a step, its values for the golden input, and the calls that write it: a line of the step table.

    What a step assigns to a resource variable, at `to`, is no line, nor are subgraphs that give nothing back: these
    have no output.
    """

    step: Step
    to: Place | None
    output: Tensor | None
    values: Outputs
    calls: tuple[Call, ...]


def running(plan: Plan, *inputs: Array) -> Running:
    """What runs; the golden input are `inputs`, noise by default. Raises what `export` raises of plans and inputs."""
    golden = inputs or tuple(_noise(tensor, i) for i, tensor in enumerate(plan.inputs))
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
    try:
        early, records = _whole_inference(plan, golden)
    except InferenceError:
        if inputs:
            raise
        golden = tuple(_as_positions(t, x) for t, x in zip(plan.inputs, golden, strict=True))
        early, records = _whole_inference(plan, golden)
    return Running(golden, early, _parts(plan, records), _beginnings(plan))


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


def _parts(plan: Plan, records: Sequence[Record]) -> dict[int, Part]:
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
        parts[graph] = Part(known[graph], live, folded, rows)
    return parts


def _written(record: Record) -> Outputs:
    """The outputs, None where TFLM leaves elements as they are."""
    masks = record.undefined or (None,) * len(record.outputs)
    return tuple(x if mask is None else None for x, mask in zip(record.outputs, masks, strict=True))


def _runs(step: Step, known: Mapping[int, Array]) -> bool:
    """Whether anything is left to do of it."""
    return step.facts.resource == "assign" or bool(step.calls) or any(t.index not in known for t in step.outputs)


def _rows(step: Step, plan: Plan, known: Mapping[int, Mapping[int, Array]], values: Sequence[Outputs]) -> Iterator[Row]:
    in_its_place = step.facts.elementwise and all(t is None or t.shape == step.outputs[0].shape for t in step.inputs)
    require(
        in_its_place or not any(t.is_variable and t.index in step.reads for t in step.outputs),
        f"{step} writes to a variable tensor that it reads at the same time; export takes layers' states and "
        "resource variables: convert again with these",
    )
    constants = known[step.subgraph]
    calls = (control_call(step, plan.plans, known),) if step.calls else calls_of(step, constants)
    if not step.outputs:
        yield Row(step, None if step.calls else resource_of(with_known(constants, step)), None, (), calls)
    require(
        step.subgraph == 0 or not any(call.ends for call in calls),
        f"subgraph {step.subgraph}, {step} may end the inference; the C export takes that in the main graph only",
    )
    for number, tensor in enumerate(step.outputs):
        _check_type(tensor)
        own = tuple(call for call in calls if (call.output or 0) == number)
        yield Row(step, At(step.subgraph, tensor.index), tensor, tuple(each[number] for each in values), own)


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
    if tensor.dtype == "bool":
        return np.asarray(rng.integers(0, 2, tensor.shape), np.bool_)
    bits = rng.integers(0, 256, (*tensor.shape, np.dtype(tensor.dtype).itemsize), np.uint8)
    return bits.view(tensor.dtype).reshape(tensor.shape)


def _as_positions(tensor: Tensor, noise: Array) -> Array:
    """Integers that are no codes as 0 or 1: they may be positions, where others lie outside."""
    return noise if tensor.quantization or tensor.dtype not in ("int32", "int64") else noise & noise.dtype.type(1)


def _known(plan: Plan) -> dict[int, Array]:
    """The values known when exporting: constants, and what depends on nothing but them and on shapes."""
    known = dict(plan.constants)
    for step in plan.steps:
        inputs = [t for t in step.inputs if t is not None]
        alone = not (step.remembers or step.facts.control) and all(t.index in known for t in inputs)
        if alone or step.facts.shapes_only:
            given = (None if t is None else known.get(t.index, np.zeros((1, *t.shape), t.dtype)) for t in step.inputs)
            with suppress(InferenceError):  # where it runs, it fails
                known |= {t.index: np.ma.filled(x, 0) for t, x in zip(step.outputs, step.evaluate(*given), strict=True)}
    return known
