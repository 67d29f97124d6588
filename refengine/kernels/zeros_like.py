"""ZEROS_LIKE: code 0 in the input's shape. **Of int8 too**, where 0.0 would be the zero point.

TFLM: `kernels/zeros_like.cc`. The values of the input do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _affine, _copies, _unary


@dataclass(frozen=True)
class Params:
    """The declared shape."""

    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output of another type or shape, and more than 6 dimensions."""
    _, output = _unary.operands(node)
    _copies.require_rank(output)
    return Params(output.shape)


def evaluate(p: Params, input: Array) -> Array:
    """(B, …) → (1, …) zeros of the same type."""
    return np.zeros((1, *p.output_shape), input.dtype)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    yield Line("zero", "code 0, whatever the input and the zero point", input.dtype.type(0))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """An input of any rank."""
    input = _affine.draw_input(draw, make, dtype)
    return _unary.node(make, "ZEROS_LIKE", {}, input, input.quantization)


FACTS = Facts(shapes_only=True, shares_scale=True, quantized=Quantizing({}))

KERNELS = {
    ("ZEROS_LIKE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int32", "int64")
}
