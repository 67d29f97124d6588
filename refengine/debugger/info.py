"""The topics of `info`: each a function of the session and what was said behind the topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

import numpy as np

from ..cexport.lifetimes import lifetimes
from ..model import Array, Tensor
from ..plan import Step, resource_of
from ..reading.arena import peak, tflm_greedy
from ..tensors.stats import clamp_range
from . import text
from .condition import shown_index
from .names import step_named, tensor_named
from .session import START, Breakpoint, Resource, Session, Watch

CHANNELS = 10
"""How many of a tensor's channels `info quant` lists."""

FEW = 8
"""How many elements of a variable `info state` shows."""

COLUMNS = 200
"""Of the times at which `info arena` shows what is alive."""


def operator(session: Session, name: str) -> Iterator[str]:
    """Options, tensors and prepared params."""
    step = step_named(session.plan, name) if name else session.current.step
    yield f"{step}, version {step.op.version}"
    yield from (f"  {option} = {value!r}" for option, value in step.op.options.items())
    for role, tensors in (("reads", step.inputs), ("writes", step.writes)):
        yield from (f"  {role} {'nothing' if tensor is None else text.about(tensor)}" for tensor in tensors)
    if step.gap:
        yield f"not prepared: {step.gap}"
        return
    yield "prepared:"
    yield from text.params(step.params)


def tensor(session: Session, name: str) -> Iterator[str]:
    for each in _chosen(session, name):
        writer, readers = session.writer(each), session.readers(each)
        source = "a variable" if each.is_variable else "constant" if each.data is not None else "an input"
        yield text.about(each)
        if (resource := session.resource_of(each)) is not None:
            steps = (f"{step}{_of(step.subgraph)}" for step in _assigning(session, resource))
            yield f"  a resource variable, assigned by {', '.join(steps) or 'nobody'}"
        else:
            yield f"  {source if writer is None else f'written by {writer}'}"
        yield f"  read by {', '.join(map(str, readers)) or 'nobody'}"
        yield f"  {session.values(each).nbytes:,} bytes, full name {each.name!r}"


def quantisation(session: Session, name: str) -> Iterator[str]:
    for each in _chosen(session, name):
        yield f"{each.index} {text.name_of(each)} {text.type_of(each)}"
        yield from _scales(each)


def arena(session: Session, name: str) -> Iterator[str]:
    """Time 0 is before the first step, so that step i is at time i + 1."""
    plan, now = session.plan, session.reached + 1
    places, buffers = lifetimes(plan, {plan.graph.index: plan.steps})
    offsets, times = tflm_greedy(buffers), range(len(plan.steps) + 1)
    change = [0] * (len(times) + 1)
    for buffer in buffers:
        change[buffer.first] += buffer.size
        change[buffer.last + 1] -= buffer.size
    live = [*accumulate(change[:-1])]
    stride = -(-len(times) // COLUMNS)
    together = f", {stride} in a column" if stride > 1 else ""
    rows = [("tensor", "bytes", "offset", f"alive from start to operator {len(plan.steps) - 1}{together}", "")]
    for (_, i), buffer, offset in zip(places, buffers, offsets, strict=True):
        spans = (buffer.first - stride < time <= buffer.last for time in times[::stride])
        alive = "".join("█" if span else "·" for span in spans)
        rows.append((str(i), f"{buffer.bytes:,}", f"{offset:,}", alive, text.name_of(plan.graph.tensors[i])))
    yield from text.columns([*rows, ("", "", "", " " * (now // stride) + "^", "")], "rrr")
    worst = live.index(max(live))
    place = str(plan.steps[worst - 1]) if worst else "the start"
    yield f"alive now {live[now]:,} bytes; at most {max(live):,}, at {place}"
    yield f"TFLM's greedy layout takes {peak(buffers, offsets):,} bytes, its own bookkeeping not counted"


def breakpoints(session: Session, name: str) -> Iterator[str]:
    if not session.breakpoints:
        yield "no breakpoints"
    for number, each in session.breakpoints.items():
        yield f"{number}  {each.text}  ({places(session, each)})"


def changes(session: Session, name: str) -> Iterator[str]:
    if not session.changes:
        yield "nothing is set"
    for tensor, at, value, real, inference in session.changes:
        shown = f"real({text.number(value)})" if real else text.number(value)
        where = f" in inference {inference}" if session.inferences > 1 and tensor.data is None else ""
        yield f"{tensor.index} {text.name_of(tensor)}{shown_index(at)} = {shown}{where}"


def state(session: Session, name: str) -> Iterator[str]:
    """What lives on, as it is where one stands; values as `print` shows them, the first few."""
    state, graphs = session.state, session.plan.model.graphs
    if not state:
        yield "nothing lives on from one inference to the next"
    for (graph, index), value in state.variables.items():
        place = f" of subgraph {graph}" if graph else ""
        yield f"variable {text.about(graphs[graph].tensors[index])}{place}: {_few(value)}"
    for (_, shared), value in state.resources.items():
        yield f"resource variable {shared!r} {value.dtype} {'×'.join(map(str, value.shape[1:]))}: {_few(value)}"
    for (graph, operator), memory in state.memory.items():
        step = session.plan.plans[graph].steps[operator]
        what = "has run" if step.facts.control == "once" else "keeps"
        yield f"operator {step.number} ({step.name}) {what}: {'; '.join(map(_few, memory))}"


TOPICS: dict[str, Callable[[Session, str], Iterator[str]]] = {
    "op": operator,
    "tensor": tensor,
    "quant": quantisation,
    "arena": arena,
    "break": breakpoints,
    "changes": changes,
    "state": state,
}


def places(session: Session, breakpoint: Breakpoint | Watch) -> str:
    """Where a breakpoint may stop."""
    plans = session.plan.plans
    if isinstance(breakpoint, Watch):
        if breakpoint.resource is not None:
            return ", ".join(f"{step}{_of(step.subgraph)}" for step in _assigning(session, breakpoint.resource))
        steps = (step for step in plans[breakpoint.subgraph].steps if breakpoint.tensor.index in _written(step))
        return ", ".join(f"{step}{_of(breakpoint.subgraph)}" for step in steps)
    if len(breakpoint.steps) == sum(len(plan.steps) for plan in plans.values()):
        return "any operator"
    return ", ".join(f"{plans[graph].steps[i]}{_of(graph)}" for graph, i in sorted(breakpoint.steps))


def _assigning(session: Session, resource: Resource) -> Iterator[Step]:
    """The operators that assign a resource variable by a handle made in their own subgraph."""
    for plan in session.plan.plans.values():
        for step in plan.steps:
            maker = plan.writers.get(step.op.inputs[0]) if step.facts.resource == "assign" else None
            if maker is not None and maker.facts.resource == "handle" and resource_of(maker.op) == resource:
                yield step


def _of(subgraph: int) -> str:
    return f" of subgraph {subgraph}" if subgraph else ""


def _written(step: Step) -> list[int]:
    """The tensors that a step writes, by index."""
    return [tensor.index for tensor in step.writes]


def _few(value: Array) -> str:
    """The first elements of an array that has a batch axis in front."""
    if np.ma.getmaskarray(value).all() and value.size:
        return "not known"
    flat = np.ma.filled(value[0], 0).ravel()
    more = f" … {flat.size} in all" if flat.size > FEW else ""
    return f"[{' '.join(text.number(x) for x in flat[:FEW].tolist())}{more}]"


def _scales(tensor: Tensor) -> Iterator[str]:
    bounds, quantization = clamp_range(tensor), tensor.quantization
    if quantization is None or not quantization.scale or bounds is None:
        yield "  no quantisation: values are what they are"
        return
    count = len(quantization.scale)
    for channel, scale in enumerate(quantization.scale[:CHANNELS]):
        zero_point = ((*quantization.zero_point, 0) * count)[channel if len(quantization.zero_point) > 1 else 0]
        place = "" if count == 1 else f"channel {channel} of dimension {quantization.quantized_dimension}: "
        sign = "+" if zero_point < 0 else "−"
        low, high = (f"{bound} is {text.real(scale * (bound - zero_point))}" for bound in bounds)
        yield f"  {place}real = {scale:.9g} · (code {sign} {abs(zero_point)}): {low}, {high}"
    if count > CHANNELS:
        yield f"  … {count - CHANNELS} more of {count} channels"


def _chosen(session: Session, name: str) -> list[Tensor]:
    """The tensor named, or all of the current operator."""
    if name:
        return [tensor_named(session, name)[0]]
    if session.position == START:
        return list(session.plan.inputs)
    step = session.current.step
    return list({each.index: each for each in (*step.inputs, *step.writes) if each is not None}.values())
