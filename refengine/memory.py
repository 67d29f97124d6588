"""How much memory refengine allows itself: sizes are known from shapes and headers, and added up before they are taken.

The limit is far above any microcontroller's memory. It is a plan's (`make_plan(…, memory=…)`, `--memory`), and whoever
reads files for a plan, runs it or keeps its tensors obeys it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from graphlib import TopologicalSorter
from math import prod
from operator import add

import numpy as np

from .errors import InputError, RefengineError
from .model import Graph, Op, Tensor
from .text import counted, shown

MEMORY = 1 << 30
"""Bytes that an inference, or an input, may take unless told otherwise."""

ALIGNMENT = 16
"""Of every tensor in an arena, its offset and its size, in bytes: TFLM's `MicroArenaBufferAlignment`."""

WORK = 8
"""Bytes counted for every element that a running operator reads or writes, beside the tensors themselves.

Kernels calculate in int64 or float64 at the widest, and hold few such arrays at a time. Measured, none takes more but
SOFTMAX: 14 bytes from int8, 23 from int16.
"""


STATES = 2
"""How often what lives from one inference to the next is counted: as an inference finds it, and as it leaves it."""


Memory = int | str
"""Bytes, as a number or as text with K, M or G behind it: ``1 << 30`` or ``"1G"``."""

SUFFIXES = {"K": 10, "M": 20, "G": 30}


def byte_count(memory: Memory) -> int:
    """The bytes that are meant. Raises `InputError` for anything else."""
    number, shift = str(memory), 0
    if isinstance(memory, str) and memory[-1:].upper() in SUFFIXES:
        number, shift = memory[:-1], SUFFIXES[memory[-1].upper()]
    if isinstance(memory, bool) or not isinstance(memory, int | np.integer | str):
        raise InputError(f"memory is {shown(memory)}; give bytes as a whole number, or text such as '512M' or '1G'")
    if not (number.isascii() and number.isdecimal() and int(number)):
        raise InputError(f"{number!r} is no positive number; memory is bytes, or text with K, M or G, such as '1G'")
    return int(number) << shift


def require_room(needed: int, memory: int, what: str, error: type[RefengineError]) -> None:
    """Raise `error` unless `what`, which may take `needed` bytes, fits into `memory`."""
    if needed > memory:
        raise error(
            f"{what} may take {size(needed)} of memory, and refengine allows itself {size(memory)}; allow more with "
            f"--memory {-(-needed >> 30)}G, in Python with memory={needed}"
        )


def size(bytes: int) -> str:
    """The number as people read it: 8.6 GiB."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if bytes >= 1 << shift:
            return f"{bytes / (1 << shift):,.1f} {unit}"
    return counted(bytes, "byte")


def tensor_bytes(tensor: Tensor) -> int:
    """What a computed tensor takes here; 0 for dynamic shapes and for types that NumPy does not have."""
    return _elements(tensor) * (np.dtype(tensor.dtype).itemsize if tensor.dtype in np.sctypeDict else 1)


def needs(
    graphs: Sequence[Graph], index: int, calls: Callable[[Op], tuple[int, ...]] = lambda op: ()
) -> tuple[int, ...]:
    """The bytes that one inference takes while each operator of a subgraph runs: the tensors that live, and `WORK`.

    A tensor lives from the operator that writes it (an input from the start) to its last reader, an output to the end.
    What the subgraphs that an operator `calls` take comes on top of what lives where they are called. Variables are not
    counted among the tensors: they live on, and so are part of the state.
    """
    peaks: dict[int, int] = {}
    each: tuple[int, ...] = ()
    for called in _callees_first(graphs, index, calls):
        tops = [max((peaks[i] for i in calls(op)), default=0) for op in graphs[called].ops]
        each = tuple(map(add, _own_needs(graphs[called]), tops))
        peaks[called] = max(each, default=0)
    return each


def _callees_first(graphs: Sequence[Graph], index: int, calls: Callable[[Op], tuple[int, ...]]) -> Iterator[int]:
    """The subgraph and all that it reaches, it last. None calls itself: the reader has seen to that."""
    reached: dict[int, set[int]] = {}
    waiting = {index}
    while waiting:
        graph = waiting.pop()
        reached[graph] = {i for op in graphs[graph].ops for i in calls(op)}
        waiting |= reached[graph] - reached.keys()
    yield from TopologicalSorter(reached).static_order()


def _own_needs(graph: Graph) -> Iterator[int]:
    last = {i: op.index for op in graph.ops for i in (*op.inputs, *op.outputs)}
    last |= dict.fromkeys(graph.outputs, len(graph.ops))
    seen = {i for i in graph.inputs if _lives(graph.tensors[i])}
    taken = sum(tensor_bytes(graph.tensors[i]) for i in seen)
    for op in graph.ops:
        touched = [graph.tensors[i] for i in {*op.inputs, *op.outputs} if i >= 0]
        work = WORK * sum(_elements(t) for t in touched if t.data is None or t.is_variable)
        living = {t.index for t in touched if _lives(t)}
        taken += sum(tensor_bytes(graph.tensors[i]) for i in living - seen)
        yield taken + work
        taken -= sum(tensor_bytes(graph.tensors[i]) for i in living if last[i] == op.index)
        seen |= living


def _lives(tensor: Tensor) -> bool:
    """Whether memory is taken for the tensor in the course of an inference."""
    return tensor.data is None and not tensor.is_variable


def _elements(tensor: Tensor) -> int:
    return max(0, prod(tensor.shape))
