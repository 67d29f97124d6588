"""When each tensor is alive, as TFLM counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..model import Graph
from ..plan import Plan, Step
from ..reading.arena import Buffer
from .call import At, bytes_of


def lifetimes(plan: Plan, steps: Mapping[int, Sequence[Step]]) -> tuple[list[At], list[Buffer]]:
    """The run-time tensors that the `steps` of the subgraphs and the model's inputs need, and when each is alive.

    As TFLM counts: inputs and variables from time 0, step i at time i + 1 and the subgraphs that it runs behind it, one
    after the other, before its own time ends; variables and the model's outputs until the end.
    TFLM: `micro_allocation_info.cc`, `MarkAllocationLifetimes`.
    """
    clock = clock_of(plan, steps)
    tensors = {at: plan.plans[at.subgraph].graph.tensors[at.tensor] for at in sorted(clock.first)}
    places = [at for at, tensor in tensors.items() if tensor.data is None or tensor.is_variable]
    return places, [Buffer(bytes_of(tensors[at]), clock.first[at], clock.last[at]) for at in places]


def clock_of(plan: Plan, steps: Mapping[int, Sequence[Step]]) -> Clock:
    variables = {
        At(graph, t.index)
        for graph, each in steps.items()
        for step in each
        for t in (*step.inputs, *step.outputs)
        if t is not None and t.is_variable
    }
    clock = Clock(plan, steps, variables)
    clock.walk(plan.graph)
    clock.last |= dict.fromkeys(variables, clock.now)
    return clock


class Clock:
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
