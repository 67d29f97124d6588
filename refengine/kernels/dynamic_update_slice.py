"""DYNAMIC_UPDATE_SLICE: the operand with another tensor in place of a part of it, from given indices on.

TFLM: `kernels/dynamic_update_slice.cc`. Indices that would push the update over an edge are clamped, so that it always
fits. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _affine, _copies


@dataclass(frozen=True)
class Params:
    """The largest index along each dimension at which the update fits."""

    largest: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses mixed types, other than 1 to 6 dimensions, an update larger than the operand, and other indices."""
    operand, update, indices, output = _copies.given(node, "operand", "update", "indices")
    _copies.same_type(operand, update, output)
    rank = len(operand.shape)
    require(
        1 <= rank <= _copies.MAX_RANK,
        f"operand '{operand.name}' has {rank} dimensions; TFLM updates 1 to {_copies.MAX_RANK}: convert again",
    )
    consistent(
        len(update.shape) == rank and all(n <= size for n, size in zip(update.shape, operand.shape, strict=True)),
        f"update '{update.name}' {update.shape} does not fit into operand '{operand.name}' {operand.shape}",
    )
    require(
        indices.dtype in ("int32", "int64") and indices.shape == (rank,),
        f"indices '{indices.name}' are {indices.dtype} {indices.shape}; TFLM takes int32 or int64, one for each of the "
        f"{rank} dimensions of '{operand.name}': convert again",
    )
    _copies.declared(output, operand.shape, f"operand '{operand.name}'")
    return Params(tuple(size - n for size, n in zip(operand.shape, update.shape, strict=True)))


def evaluate(p: Params, operand: Array, update: Array, indices: Array) -> Array:
    """(B, …), (B, …) and (B, dimensions) → (B, …)."""
    n, rank = max(len(operand), len(update), len(indices)), len(p.largest)
    output: Array = np.broadcast_to(operand, (n, *operand.shape[1:])).copy()
    starts = np.clip(indices, 0, p.largest).reshape(len(indices), rank, *(1,) * rank)
    steps = np.ogrid[tuple(slice(0, length) for length in update.shape[1:])]
    rows = np.arange(n).reshape(n, *(1,) * rank)
    part = rows, *(starts[:, d] + step for d, step in enumerate(steps))
    output[part] = update
    return output


def explain(p: Params, at: At, operand: Array, update: Array, indices: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    starts = [max(0, min(int(i), most)) for i, most in zip(indices, p.largest, strict=True)]
    inside = tuple(i - start for i, start in zip(at.index, starts, strict=True))
    where = f"the update begins at {starts}, clamped from {indices.tolist()}"
    if all(0 <= i < size for i, size in zip(inside, update.shape, strict=True)):
        yield _copies.copied("update", update, inside, where)
    else:
        yield _copies.copied("operand", operand, at.index, f"outside; {where}")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Up to six dimensions; updates up to the whole, constant or fed; indices too, of either type, and far outside."""
    operand = _affine.draw_input(draw, make, dtype, (1, _copies.MAX_RANK), 4)
    rank = len(operand.shape)
    part = tuple(draw(make.integers(1, size)) for size in operand.shape)

    def fits(other: Tensor) -> bool:
        pairs = zip(other.shape, operand.shape, strict=False)
        return len(other.shape) == rank and all(n <= size for n, size in pairs)

    if draw(make.booleans()):
        update = make.constant(draw(make.array(part, dtype)), operand.quantization)
    else:
        update = draw(make.input(part, dtype, make.quantization(dtype), fits))
    index_type = draw(make.sampled_from(("int32", "int64")))
    indices: dict[str, Tensor] = {
        "near": make.constant(draw(make.array((rank,), index_type, -1, 5))),
        "far": make.constant(draw(make.array((rank,), index_type))),
        "fed": draw(make.input((rank,), index_type, None, lambda t: t.shape == (rank,))),
    }
    chosen = indices[draw(make.sampled_from(tuple(indices)))]
    output = make.tensor(operand.shape, dtype, operand.quantization)
    return Node("DYNAMIC_UPDATE_SLICE", {}, (operand, update, chosen), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing({}),
    c_kernels=dict.fromkeys(("float32", "int8", "int16", "int32"), "dynamic_update_slice"),
)

KERNELS = {
    ("DYNAMIC_UPDATE_SLICE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16", "int32")
}
