"""PACK: inputs of one shape, stacked along a new dimension of the output.

TFLM: `kernels/pack.cc`. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..text import counted
from . import _affine, _copies


@dataclass(frozen=True)
class Params:
    """`axis` is the new dimension, counted from the front of `output_shape`."""

    axis: int
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses what TFLM does not check but would misread: mixed types, other shapes, a wrong count or axis."""
    tensors, output = _copies.operands(node)
    axis, rank = node.options["axis"], len(output.shape)
    consistent(-rank <= axis < rank, f"axis {axis} is outside the {rank} dimensions of output '{output.name}'")
    axis %= rank
    consistent(
        output.shape[axis] == len(tensors) == node.options["values_count"],
        f"{counted(len(tensors), 'input')}, values_count {node.options['values_count']} and output '{output.name}' "
        f"{output.shape} with axis {axis} do not agree",
    )
    for tensor in tensors:
        consistent(
            tensor.shape == output.shape[:axis] + output.shape[axis + 1 :],
            f"input '{tensor.name}' {tensor.shape} is not output '{output.name}' {output.shape} without axis {axis}",
        )
    return Params(axis, output.shape)


def evaluate(p: Params, *inputs: Array) -> Array:
    """(B, …) each → (B, *output_shape)."""
    output = np.empty((max(map(len, inputs)), *p.output_shape), inputs[0].dtype)
    for slot, input in zip(np.moveaxis(output, 1 + p.axis, 0), inputs, strict=True):
        slot[...] = input
    return output


def explain(p: Params, at: At, *inputs: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    chosen, rest = at.index[p.axis], at.index[: p.axis] + at.index[p.axis + 1 :]
    yield _copies.copied(f"input {chosen}", inputs[chosen], rest, f"position {chosen} along the new axis {p.axis}")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Up to five inputs of any rank, constants among them, and any axis, counted from either end."""
    first = _affine.draw_input(draw, make, dtype, (0, 4), 4)
    shape, quantization = first.shape, first.quantization
    inputs = [first]

    def fits(other: Tensor) -> bool:
        return (other.shape, other.quantization) == (shape, quantization)

    for _ in range(draw(make.integers(0, 4))):
        if draw(make.integers(0, 2)) == 2:
            inputs.append(make.constant(draw(make.array(shape, dtype)), quantization))
        else:
            inputs.append(draw(make.input(shape, dtype, quantization, fits)))
    if draw(make.booleans()):
        inputs.reverse()
    axis = draw(make.integers(0, len(shape)))
    output = make.tensor((*shape[:axis], len(inputs), *shape[axis:]), dtype, quantization)
    from_the_end = draw(make.booleans()) * (len(shape) + 1)
    return Node("PACK", {"axis": axis - from_the_end, "values_count": len(inputs)}, tuple(inputs), (output,))


FACTS = Facts(
    joins=True,
    copies=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("float32", "int8", "int16", "int32", "int64"), "copies"),
)

KERNELS = {
    ("PACK", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16", "int32", "int64")
}
