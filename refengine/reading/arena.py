"""Where run-time tensors lie in one static arena: lifetimes are known, so tensors that never meet share memory.

A layout places buffers one by one, each at the lowest offset that is free of what is already placed and alive at the
same time. Only the order differs between planners: TFLM's takes the largest first; ours tries several and keeps the
best, TFLM's among them, so it is never worse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from types import MappingProxyType

from ..memory import ALIGNMENT

ATTEMPTS = 500
"""Shuffled orders tried when no other reaches the lower bound."""

NONE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Buffer:
    """`bytes` that are alive from step `first` to step `last`, both included."""

    bytes: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """`bytes`, aligned."""
        return -(-self.bytes // ALIGNMENT) * ALIGNMENT

    def meets(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


def tflm_greedy(buffers: Sequence[Buffer], given: Mapping[int, int] = NONE) -> list[int]:
    """Offsets as TFLM's `GreedyMemoryPlanner` chooses them: the largest first, of equals the last one added.

    Buffers whose offsets are `given` come first, and stay there. TFLM: `memory_planner/greedy_memory_planner.cc`; its
    lifetimes come from `micro_allocation_info.cc`.
    """
    return place(buffers, sorted(range(len(buffers)), key=lambda i: (i not in given, -buffers[i].size, -i)), given)


def plan_arena(buffers: Sequence[Buffer]) -> list[int]:
    """Offsets of the smallest arena found: never larger than TFLM's, and optimal if it reaches `lower_bound`."""
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-buffers[i].size, i),
        lambda i: (buffers[i].first, -buffers[i].size),
        lambda i: (-buffers[i].last, -buffers[i].size),
        lambda i: (buffers[i].first - buffers[i].last, -buffers[i].size),
        lambda i: (-buffers[i].size * (1 + buffers[i].last - buffers[i].first),),
    )
    best, least = tflm_greedy(buffers), lower_bound(buffers)
    orders: list[list[int]] = [sorted(range(len(buffers)), key=key) for key in keys]
    random = Random(0)
    orders += [random.sample(range(len(buffers)), len(buffers)) for _ in range(ATTEMPTS if len(buffers) < 200 else 0)]
    for order in orders:
        if peak(buffers, best) == least:
            break
        best = min(best, place(buffers, order), key=lambda offsets: peak(buffers, offsets))
    return best


def place(buffers: Sequence[Buffer], order: Sequence[int], given: Mapping[int, int] = NONE) -> list[int]:
    """The offset of each buffer when they are placed in this order, each where it is `given`, or as low as can be."""
    offsets = [0] * len(buffers)
    placed = _Placed(1 + max((b.last for b in buffers), default=0))
    for i in order:
        offset = given.get(i, 0)
        for j in () if i in given else sorted(placed.meeting(buffers[i]), key=lambda j: offsets[j]):
            if offsets[j] - offset >= buffers[i].size:
                break
            offset = max(offset, offsets[j] + buffers[j].size)
        offsets[i] = offset
        placed.add(i, buffers[i])
    return offsets


class _Placed:
    """Buffers by their lifetimes: a segment tree, so that most of a long graph need not be looked at.

    A node holds those alive throughout its span of time and not throughout its parent's; the leaf of a time is
    `times` + time, and a node's parent has half its number.
    """

    def __init__(self, times: int) -> None:
        self.times = times
        self.alive: list[list[int]] = [[] for _ in range(2 * times)]
        self.starting: list[list[int]] = [[] for _ in range(times)]

    def add(self, index: int, buffer: Buffer) -> None:
        self.starting[buffer.first].append(index)
        low, high = buffer.first + self.times, buffer.last + self.times + 1
        while low < high:
            if low % 2:
                self.alive[low].append(index)
                low += 1
            if high % 2:
                high -= 1
                self.alive[high].append(index)
            low, high = low // 2, high // 2

    def meeting(self, buffer: Buffer) -> list[int]:
        """Those alive when `buffer` begins, and those that begin while it lives."""
        found = [i for each in self.starting[buffer.first + 1 : buffer.last + 1] for i in each]
        node = buffer.first + self.times
        while node:
            found += self.alive[node]
            node //= 2
        return found


def peak(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """How many bytes an arena with this layout needs."""
    return max((offset + buffer.size for buffer, offset in zip(buffers, offsets, strict=True)), default=0)


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """The most bytes alive at once: no arena is smaller."""
    change: Counter[int] = Counter()
    for buffer in buffers:
        change[buffer.first] += buffer.size
        change[buffer.last + 1] -= buffer.size
    return max(accumulate(change[time] for time in sorted(change)), default=0)


def merged(buffers: Sequence[Buffer], groups: Sequence[Sequence[int]]) -> list[Buffer]:
    """One buffer for each group: large enough and alive long enough for all of it."""
    return [
        replace(
            buffers[group[0]],
            bytes=max(buffers[i].bytes for i in group),
            first=min(buffers[i].first for i in group),
            last=max(buffers[i].last for i in group),
        )
        for group in groups
    ]
