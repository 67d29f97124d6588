"""Records of what sound kernels make of a device's own values: one step, with the subgraphs that it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..execute import Record, execute
from ..model import Array
from ..plan import Plan, Step
from ..state import State, frozen, is_masked


def record_of(plan: Plan, step: Step, values: Mapping[int, Array], state: State) -> Record:
    """The record of a step on `values`, by tensor index, without a batch; variables are among them.

    What else lives on is in `state`, and in that of the record afterwards; what TFLM leaves unwritten is 0, and
    `undefined`. Raises `InferenceError` where TFLM's Invoke would fail.
    """
    if step.facts.control or step.facts.resource:
        return _alone(plan, step, values, state)
    memory = state.memory.get((step.subgraph, step.index), ())
    arrays = tuple(None if t is None else values[t.index] for t in step.inputs)
    batched = (None if x is None else x[np.newaxis] for x in arrays)
    made = [x[0] for x in step.evaluate(*batched, *memory)]
    masks = [np.ma.getmaskarray(x) if is_masked(x) else None for x in made[: len(step.outputs)]]
    results = [np.asarray(np.ma.filled(x, 0) if is_masked(x) else x) for x in made]
    count, written = len(step.outputs), len(step.writes)
    kept = tuple(frozen(x[np.newaxis]) for x in results[written:])
    after = state.with_memory(step.subgraph, step.index, kept) if kept else state
    return Record(
        step,
        arrays,
        tuple(results[:count]),
        tuple(results[count:written]),
        after,
        tuple(x[0] for x in memory),
        undefined=tuple(masks) if any(mask is not None for mask in masks) else (),
    )


def _alone(plan: Plan, step: Step, values: Mapping[int, Array], state: State) -> Record:
    """The same through `execute`, which runs subgraphs and knows resource variables."""
    read = tuple(dict.fromkeys(t.index for t in step.inputs if t is not None and t.data is None))
    tensors = tuple(replace(t, dtype="int32") if t.dtype == "resource" else t for t in plan.graph.tensors)  # handles
    graph = replace(plan.graph, tensors=tensors, inputs=read, outputs=tuple(t.index for t in step.outputs))
    one = replace(plan, graph=graph, steps=(replace(step, last_use=()),))
    *_, record = execute(one, *(np.asarray(values[i]) for i in read), state=state)
    return replace(record, step=step)


def set_up(plan: Plan, state: State, once: Iterable[Step]) -> State:
    """The state once those steps have run their subgraphs, each at its first time."""
    for step in once:
        state = _alone(plan, step, {}, state).state
    return state
