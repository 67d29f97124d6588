"""How large TFLM's arena must be: what its allocator takes of it, request by request.

TFLM: `micro_allocator.cc`, `arena_allocator/single_arena_buffer_allocator.cc`, `micro_allocation_info.cc`,
`memory_planner/greedy_memory_planner.cc`. The arena has two ends. From its end down grows what lives as long as the
interpreter (the *tail*): structs for tensors and operators, what kernels keep, variables. At its start (the *head*) lie
the tensors and scratch buffers that a planner lays over one another. TFLM reports head + tail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, NamedTuple

import numpy as np

from .kernels._arena import NEEDS, Needs, elements
from .memory import ALIGNMENT
from .model import Graph, Tensor
from .plan import Plan
from .reading.arena import Buffer, tflm_greedy
from .refusals import offline_offsets

ANYWHERE = -1
"""The offset of what the file leaves to the planner (`kOnlinePlannedBuffer`)."""

Target = Literal["x86-64", "arm"]


@dataclass(frozen=True)
class _Sizes:
    """TFLM's own structs on a target, in bytes."""

    pointer: int
    allocators: tuple[int, ...]
    resources: tuple[int, int]
    builtin_data_allocator: int
    subgraph: int
    eval_tensor: int
    node: int
    scratch_handle: int
    tensor: int
    quantization: int


SIZES: Mapping[Target, _Sizes] = {
    "x86-64": _Sizes(8, (104, 72, 272), (16, 40), 16, 24, 24, 64, 8, 64, 24),
    "arm": _Sizes(4, (36, 44, 36), (12, 20), 8, 8, 12, 32, 4, 32, 12),
}
"""x86-64 is the wheel: its recording allocator, with compression; arm is a 32-bit Cortex-M, without either."""


@dataclass(frozen=True)
class Allocation:
    """What TFLM's arena holds once everything is allocated, in bytes.

    `planned` are tensors and scratch buffers that share memory, `persistent` all that lives as long as the interpreter.
    `unknown` names the operators whose own requests are not known, and which are counted without. `minimum` is the
    smallest arena, a multiple of 16 that begins at one, in which TFLM gets as far: while it prepares operators and
    plans it may hold more than in the end. It is None where that is not known, as on Arm.
    """

    planned: int
    persistent: int
    unknown: tuple[str, ...] = ()
    minimum: int | None = None

    @property
    def total(self) -> int:
        return self.planned + self.persistent


class Placed(NamedTuple):
    """What lies at an `offset` of the planned part: (subgraph, `tensor`), or an operator's scratch buffer (None)."""

    tensor: tuple[int, int] | None
    offset: int
    buffer: Buffer


REQUEST, INFO, PLANNED = 16, 32, 40
"""Bytes of a `ScratchBufferRequest`, an `AllocationInfo`, and what the greedy planner keeps a buffer, on x86-64."""

REQUESTS = 12
"""Scratch buffers that an operator may ask for (`kMaxScratchBuffersPerOp`): there is always room for so many more."""

COPIES = 3
"""How many temporary structs of a tensor a kernel's Prepare takes at most, each of them until it ends."""


class _Tail:
    """The end of the arena that grows downwards."""

    def __init__(self) -> None:
        self.used = 0

    def take(self, size: int, align: int) -> None:
        if size:
            self.used = -(-(self.used + size) // align) * align


def allocation(plan: Plan, target: Target = "x86-64") -> Allocation:
    """What TFLM allocates for a model, exactly as its allocator does on x86-64 with reference kernels.

    For ``arm`` the structs are those of 32-bit builds; kernels of CMSIS-NN ask for scratch buffers of their own.
    """
    sizes, which = SIZES[target], 0 if target == "x86-64" else 1
    plans = [plan.plans[i] for i in sorted(plan.plans)]
    steps = [(p, step) for p in plans for step in p.steps]
    tail, scratch = _Tail(), dict[tuple[int, int], list[int]]()
    for size in sizes.allocators:
        tail.take(size, sizes.pointer)
    resources = {name for p in plans for step in p.steps for name in step.node.resources}
    if resources:
        tail.take(sizes.resources[0], 16)
        tail.take(sizes.resources[1] * len(resources), 16)
    tail.take(sizes.builtin_data_allocator, sizes.pointer)
    tail.take(sizes.subgraph * len(plans), sizes.pointer)
    for p in plans:
        tail.take(sizes.eval_tensor * len(p.graph.tensors), sizes.pointer)
    for p in plans:
        tail.take(sizes.node * len(p.graph.ops), sizes.pointer)
    needs = [Needs() if step.gap else NEEDS.get(step.name, Needs()) for _, step in steps]
    for need in needs:
        if need.options:
            tail.take(*need.options[which])
    for need in needs:
        if need.data:
            tail.take(need.data[which], 16)
    preparing = 0
    for (p, step), need in zip(steps, needs, strict=True):
        preparing = max(preparing, _head(scratch) + COPIES * sum(map(_temporary, (*step.inputs, *step.outputs))))
        for request in need.more(step.node, sizes.pointer) if need.more else ():
            if request.scratch:
                scratch.setdefault((p.graph.index, step.index), []).append(request.size)
            else:
                tail.take(request.size, 16)
    for size in _variable_sizes(plans):
        tail.take(size, 16)
    tail.take(sizes.scratch_handle * sum(map(len, scratch.values())), sizes.pointer)
    offsets = offline_offsets(plan.model)
    for p in plans:
        for tensor in p.graph.tensors:
            if tensor.is_variable and (offsets is None or offsets[tensor.index] == ANYWHERE):  # as if of subgraph 0
                tail.take(_bytes(tensor), 16)
    infos = sum(len(p.graph.tensors) for p in plans) + sum(map(len, scratch.values()))
    before = tail.used
    for tensors in (plan.inputs, plan.outputs):
        tail.take(sizes.pointer * len(tensors), 16)
        for tensor in tensors:
            tail.take(sizes.tensor, sizes.pointer)
            if tensor.quantization and tensor.quantization.scale and tensor.quantization.zero_point:
                tail.take(sizes.quantization, sizes.pointer)
                tail.take(4 + 4 * len(tensor.quantization.scale), 4)
    planned = _placed(plan, scratch)
    head = max((each.offset + each.buffer.size for each in planned), default=0)
    custom = {step.name for _, step in steps if step.op.kind != step.op.name and step.name not in NEEDS}
    unknown = sorted(custom | {step.name for _, step in steps if step.gap})
    planning = _up(_head(scratch) + sizes.pointer * len(plans) + INFO * infos) + PLANNED * len(planned) + before
    minimum = max(planning, head + tail.used)
    known = target == "x86-64" and not unknown and preparing + before <= minimum
    return Allocation(head, tail.used, tuple(unknown), _up(minimum) if known else None)


def _up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _head(scratch: Mapping[tuple[int, int], Sequence[int]]) -> int:
    """What the requests for scratch buffers take while operators are prepared."""
    return REQUEST * (REQUESTS + sum(map(len, scratch.values())))


def _temporary(tensor: Tensor | None) -> int:
    """The most that a temporary TfLiteTensor takes, with its quantisation."""
    if tensor is None:
        return 0
    sizes, scales = SIZES["x86-64"], len(tensor.quantization.scale) if tensor.quantization else 0
    return sizes.tensor + sizes.quantization + 8 + 4 * scales


def _variable_sizes(plans: Sequence[Plan]) -> Iterator[int]:
    """The bytes of each resource variable, by the first operator that assigns it."""
    seen = set()
    for p in plans:
        handles = {s.outputs[0].index: s.op for s in p.steps if s.facts.resource == "handle"}
        for step in p.steps:
            if step.facts.resource == "assign":
                handle, value = step.inputs
                assert handle is not None and value is not None
                name = handles[handle.index].options["shared_name"] if handle.index in handles else None
                if name is not None and name not in seen:
                    seen.add(name)
                    yield _bytes(value)


def _bytes(tensor: Tensor) -> int:
    """As TFLM counts them: an int4 element has a byte of its own, a handle of a resource variable four."""
    size = {"int4": 1, "resource": 4}.get(tensor.dtype) or np.dtype(tensor.dtype).itemsize
    return elements(tensor) * size


def placed(plan: Plan) -> list[Placed]:
    """Where TFLM's planner lays tensors and scratch buffers, by its reference kernels on x86-64.

    `first` and `last` of the buffers count operators in the order in which they run, called subgraphs' too; what is
    there before the first is of 0.
    """
    return _placed(plan, _scratch(plan))


def _scratch(plan: Plan) -> dict[tuple[int, int], list[int]]:
    """The bytes of the scratch buffers that each operator asks for."""
    found: dict[tuple[int, int], list[int]] = {}
    for p in (plan.plans[i] for i in sorted(plan.plans)):
        for step in p.steps:
            need = Needs() if step.gap else NEEDS.get(step.name, Needs())
            for request in need.more(step.node, SIZES["x86-64"].pointer) if need.more else ():
                if request.scratch:
                    found.setdefault((p.graph.index, step.index), []).append(request.size)
    return found


def _placed(plan: Plan, scratch: Mapping[tuple[int, int], Sequence[int]]) -> list[Placed]:
    """Everything that is planned, where the file or else the planner places it."""
    found = list(_lifetimes(plan, scratch, offline_offsets(plan.model)))
    given = {i: at for i, (_, _, at) in enumerate(found) if at != ANYWHERE}
    offsets = tflm_greedy([buffer for _, buffer, _ in found], given)
    return [Placed(key, offset, buffer) for (key, buffer, _), offset in zip(found, offsets, strict=True)]


def _lifetimes(
    plan: Plan, scratch: Mapping[tuple[int, int], Sequence[int]], offsets: Sequence[int] | None
) -> Iterator[tuple[tuple[int, int] | None, Buffer, int]]:
    """The planned tensors and scratch buffers (None), their first and last use on a clock that runs through called
    subgraphs, and their offsets.

    TFLM: `AllocationInfoBuilder::MarkSubgraphLifetimesIfNecessary`. First all tensors, then all scratch buffers, in the
    order of which the planner breaks ties.
    """
    clock = _Clock(plan, scratch)
    clock.walk(plan, start=True)
    places = iter(offsets or repeat(ANYWHERE))
    for p in (plan.plans[i] for i in sorted(plan.plans)):
        handles = {step.outputs[0].index for step in p.steps if step.facts.resource == "handle"}
        for tensor in p.graph.tensors:
            key, place = (p.graph.index, tensor.index), next(places)
            planned = place != ANYWHERE if tensor.is_variable else tensor.data is None
            if planned and elements(tensor) and key in clock.first and tensor.index not in handles:
                yield key, Buffer(_bytes(tensor), clock.first[key], clock.last.get(key, clock.first[key])), place
    for operator in sorted(scratch):
        for size in scratch[operator]:
            yield None, Buffer(size, *clock.calls.get(operator, (0, 0))), ANYWHERE


class _Clock:
    """When each tensor is first and last used."""

    def __init__(self, plan: Plan, scratch: Mapping[tuple[int, int], Sequence[int]]) -> None:
        self.plans, self.now = plan.plans, 0
        self.first: dict[tuple[int, int], int] = {}
        self.last: dict[tuple[int, int], int] = {}
        self.calls: dict[tuple[int, int], tuple[int, int]] = {}

    def walk(self, plan: Plan, start: bool = False) -> None:
        graph = plan.graph
        for index in graph.inputs:
            self._begin(graph, index)
        for step in plan.steps:
            self.now += 1
            began = self.now
            for tensor in step.outputs:
                self._begin(graph, tensor.index)
            for callee in step.calls:
                self.now += 1
                self.walk(self.plans[callee])
            for index in (*step.op.inputs, *step.op.outputs):
                if index >= 0:
                    self.last[graph.index, index] = self.now
            self.calls[graph.index, step.index] = began, self.now
        for index in graph.outputs:
            self._begin(graph, index)
            self.last[graph.index, index] = self.now

    def _begin(self, graph: Graph, index: int) -> None:
        self.first.setdefault((graph.index, index), self.now)
        self.last.setdefault((graph.index, index), self.now)
