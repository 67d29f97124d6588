"""How much memory refengine allows itself: sizes are known from shapes and headers, and added up before they are taken.

The limit is far above any microcontroller's memory. It is a plan's (`make_plan(…, memory=…)`, `--memory`), and whoever
reads files for a plan, runs it or keeps its tensors obeys it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from .errors import RefengineError
from .model import Graph, Tensor

MEMORY = 1 << 30
"""Bytes that an inference, or an input, may take unless told otherwise."""

WORK = 8
"""Bytes counted for every element that a running operator reads or writes, beside the tensors themselves.

Kernels calculate in int64 or float64 at the widest, and hold few such arrays at a time. Measured, none takes more but
SOFTMAX: 14 bytes from int8, 23 from int16.
"""


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
    return f"{bytes} bytes"


def tensor_bytes(tensor: Tensor) -> int:
    """What a computed tensor takes here; 0 for dynamic shapes and for types that NumPy does not have."""
    return _elements(tensor) * (np.dtype(tensor.dtype).itemsize if tensor.dtype in np.sctypeDict else 1)


def needs(graph: Graph) -> Iterator[int]:
    """The bytes that one inference takes while each operator runs: the tensors that live, and `WORK`.

    A tensor lives from the operator that writes it (an input from the start) to its last reader, an output to the end.
    """
    last = {i: op.index for op in graph.ops for i in (*op.inputs, *op.outputs)}
    last |= dict.fromkeys(graph.outputs, len(graph.ops))
    seen = {i for i in graph.inputs if graph.tensors[i].data is None}
    taken = sum(tensor_bytes(graph.tensors[i]) for i in seen)
    for op in graph.ops:
        touched = {i for i in (*op.inputs, *op.outputs) if i >= 0 and graph.tensors[i].data is None}
        taken += sum(tensor_bytes(graph.tensors[i]) for i in touched - seen)
        yield taken + WORK * sum(_elements(graph.tensors[i]) for i in touched)
        over = {i for i in touched if last[i] == op.index}
        taken -= sum(tensor_bytes(graph.tensors[i]) for i in over)
        seen |= touched


def _elements(tensor: Tensor) -> int:
    return max(0, prod(tensor.shape))
