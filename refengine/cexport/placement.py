"""Where everything lies in the arena."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import require
from ..model import Tensor
from ..plan import Plan, Source, plan_of
from ..reading.arena import Buffer, lower_bound, merged, peak, plan_arena, tflm_greedy
from .call import At, Kept, Place, Resource, Scratch
from .lifetimes import clock_of, lifetimes
from .running import Row, Running, running


class Placement(NamedTuple):
    """The offset of everything, and the sizes that `Exported` reports."""

    offsets: dict[Place, int]
    sizes: dict[str, int]


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
    offsets = placement(plan, running(plan)).offsets
    return {at.tensor: offset for at, offset in offsets.items() if isinstance(at, At) and at.subgraph == 0}


def placement(plan: Plan, run: Running) -> Placement:
    """Tensors, what lives on, and scratch memory; in-place calls share, where that makes the arena no larger."""
    tensors, buffers = lifetimes(plan, run.live)
    used = {argument for call in run.calls for argument in call.arguments if isinstance(argument, Kept)}
    scratches = sorted({a for call in run.calls for a in call.arguments if isinstance(a, Scratch)})
    spans = clock_of(plan, run.live).spans
    living = {place: x.nbytes for place, x in run.begins.items() if isinstance(place, Resource) or place in used}
    indices: list[Place] = [*tensors, *living, *scratches]
    end = max((buffer.last for buffer in buffers), default=0)
    buffers += [Buffer(size, 0, end) for size in living.values()]
    buffers += [Buffer(each.bytes, *spans[each.subgraph, each.operator]) for each in scratches]
    groups = _sharing(indices, run.rows)
    together = merged(buffers, groups)
    alone = [[i] for i in range(len(indices))]
    candidates = [(together, plan_arena(together), groups), (buffers, plan_arena(buffers), alone)]
    blocks, starts, groups = min(candidates, key=lambda candidate: peak(candidate[0], candidate[1]))
    offsets = {indices[i]: start for group, start in zip(groups, starts, strict=True) for i in group}
    _, theirs = lifetimes(plan, {graph: plan.plans[graph].steps for graph in run.parts})
    sizes = {
        "arena_bytes": peak(blocks, starts),
        "tflm_arena_bytes": peak(theirs, tflm_greedy(theirs)),
        "least_bytes": lower_bound(together),
    }
    return Placement(offsets, sizes)


def _sharing(indices: Sequence[Place], rows: Sequence[Row]) -> list[list[int]]:
    """Groups of those that may share their memory, each by its place in `indices`."""
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
    return [*sharing.values()]
