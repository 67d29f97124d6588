"""BROADCAST_ARGS: the shape that two shapes broadcast to, as NumPy's do.

TFLM: `kernels/broadcast_args.cc`; the loop in `kernels/internal/reference/broadcast_args.h`, which takes int64 through
an int32. On lengths that clash TFLM aborts the whole process; here the inference fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import InferenceError, consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array, Tensor
from ..numerics import scalar
from ..numerics.fixedpoint import wrap32
from . import _copies


@dataclass(frozen=True)
class Params:
    """How many dimensions the result has."""

    rank: int


_COMPLAINT = "the shapes do not broadcast, on which TFLM aborts"


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses mixed types, shapes that are no rows, and constant ones that clash."""
    shape1, shape2, output = _copies.given(node, "shape", "shape")
    _copies.same_type(shape1, shape2, output)
    for tensor in (shape1, shape2):
        consistent(len(tensor.shape) == 1, f"the shape '{tensor.name}' has shape {tensor.shape}; it must be a row")
    p = Params(max(*shape1.shape, *shape2.shape))
    _copies.declared(output, (p.rank,), "the longer of the shapes")
    if shape1.data is not None and shape2.data is not None:
        require(not _clash(*_aligned(p, shape1.data[np.newaxis], shape2.data[np.newaxis])).any(), _COMPLAINT)
    return p


def _aligned(p: Params, *shapes: Array) -> list[Array]:
    """The shapes with ones in front, as many as they lack, in 32 bits."""
    return [np.pad(wrap32(x), ((0, 0), (p.rank - x.shape[1], 0)), constant_values=1) for x in shapes]


def _clash(a: Array, b: Array) -> Array:
    """Which inferences have lengths that differ, neither of them 1."""
    return np.asarray(((a != b) & (a != 1) & (b != 1)).any(axis=1))


def evaluate(p: Params, shape1: Array, shape2: Array) -> Array:
    """(B, dimensions) and (B, dimensions) → (B, rank). Raises `InferenceError` for shapes that do not broadcast."""
    a, b = _aligned(p, shape1, shape2)
    clash = _clash(a, b)
    if clash.any():
        raise InferenceError(_COMPLAINT, rows=clash)
    return np.where(a == 1, b, a).astype(shape1.dtype)


def explain(p: Params, at: At, shape1: Array, shape2: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    behind = p.rank - at.index[0]
    first, second = (scalar.wrap(int(x[len(x) - behind])) if behind <= len(x) else 1 for x in (shape1, shape2))
    yield Line("lengths", f"{first} and {second}, counted from the last dimension: 1 gives way", first)
    yield Line("length", "of the result", second if first == 1 else first)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Rows of any lengths that do not clash: constant, or one fed and the other the same or all ones."""
    rank = draw(make.integers(1, 6))
    kind = draw(make.sampled_from(("constant", "fed", "same")))
    shape1: Tensor
    if kind == "constant":
        values = draw(make.array((rank,), dtype))
        shape1, shape2 = (
            make.constant(np.where(draw(make.array((rank,), "bool")), values, 1).astype(dtype)[start:])
            for start in (0, draw(make.integers(0, rank - 1)))
        )
    else:
        shape1 = draw(make.input((rank,), dtype, None, lambda t: len(t.shape) == 1))
        shape2 = shape1 if kind == "same" else make.constant(np.ones(draw(make.integers(1, 6)), dtype))
    inputs = (shape1, shape2) if draw(make.booleans()) else (shape2, shape1)
    output = make.tensor((max(*shape1.shape, *shape2.shape),), dtype)
    return Node("BROADCAST_ARGS", {}, inputs, (output,))


FACTS = Facts(c_kernels={"int32": "broadcast_args", "int64": "broadcast_args"})

KERNELS = {
    ("BROADCAST_ARGS", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("int32", "int64")
}
