"""SHAPE: the input's declared shape, as int32.

TFLM: `kernels/shape.cc`. The values of the input do not matter, nor does the batch: each inference sees the declared
shape, in a batch as alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _affine, _copies, _unary


@dataclass(frozen=True)
class Params:
    """The input's declared shape."""

    input_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output that is not int32 with one element a dimension."""
    input, output = _unary.one_each(node)
    require(
        output.dtype == "int32",
        f"output '{output.name}' is {output.dtype}; TFLM gives shapes as int32: convert again with out_type=tf.int32",
    )
    consistent(
        output.shape == (len(input.shape),),
        f"output '{output.name}' has shape {output.shape}; input '{input.name}' {input.shape} has {len(input.shape)} "
        "dimensions",
    )
    return Params(input.shape)


def evaluate(p: Params, input: Array) -> Array:
    """(B, *input_shape) → (1, dimensions) int32."""
    return np.array([p.input_shape], np.int32)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    (dimension,) = at.index
    yield Line("dimension", f"length of the input's dimension {dimension}, as declared", p.input_shape[dimension])


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """An input of any rank."""
    input = _affine.draw_input(draw, make, dtype, (1, 6), 3)
    return Node("SHAPE", {"out_type": "int32"}, (input,), (make.tensor((len(input.shape),), "int32"),))


FACTS = Facts(
    shapes_only=True, computes=dict.fromkeys(_copies.TYPES, ("int32",)), quantized=Quantizing({"int8": 1, "int16": 1})
)

KERNELS = {
    ("SHAPE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in _copies.TYPES
}
