"""BROADCAST_TO: the input repeated along dimensions of length 1, and along new ones in front, as NumPy does.

TFLM: `kernels/broadcast_to.cc`; the loop in `kernels/internal/reference/broadcast_to.h`. The shape is constant and that
of the declared output. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _copies

MAX_RANK = 5


@dataclass(frozen=True)
class Params:
    """The declared shape."""

    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses more than 5 dimensions, a shape that is computed or not the output's, and inputs that do not fit it."""
    input, shape, output = _copies.given(node, "input", "shape")
    _copies.same_type(input, output)
    require(
        1 <= len(output.shape) <= MAX_RANK,
        f"output '{output.name}' has {len(output.shape)} dimensions; TFLM broadcasts to 1 to {MAX_RANK}: convert again",
    )
    require(
        shape.data is not None and shape.dtype in ("int32", "int64") and len(shape.shape) == 1,
        f"the shape '{shape.name}' is {shape.dtype} {shape.shape}; TFLM takes a constant row of int32 or int64: "
        "convert again with fixed shapes",
    )
    assert shape.data is not None
    _copies.declared(output, tuple(shape.data.tolist()), f"what '{shape.name}' tells")
    fitting = zip(input.shape[::-1], output.shape[::-1], strict=False)
    consistent(
        len(input.shape) <= len(output.shape) and all(size in (1, length) for size, length in fitting),
        f"input '{input.name}' {input.shape} does not broadcast to {output.shape}",
    )
    return Params(output.shape)


def evaluate(p: Params, input: Array, shape: Array) -> Array:
    """(B, …) → (B, *output_shape), a view."""
    lacking = (1,) * (len(p.output_shape) + 1 - input.ndim)
    return np.broadcast_to(input.reshape(len(input), *lacking, *input.shape[1:]), (len(input), *p.output_shape))


def explain(p: Params, at: At, input: Array, shape: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    own = at.index[len(at.index) - input.ndim :]
    source = tuple(i if size > 1 else 0 for i, size in zip(own, input.shape, strict=True))
    yield _copies.copied("input", input, source, "dimensions of length 1 stay at 0")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Inputs of up to five dimensions, ones among them, and new dimensions in front."""
    drawn = draw(make.shape((0, MAX_RANK), 4))
    shape = tuple(1 if draw(make.booleans()) else size for size in drawn)
    input = draw(make.input(shape, dtype, make.quantization(dtype), lambda t: len(t.shape) <= MAX_RANK))
    rank = len(input.shape)
    new = draw(make.shape((0 if rank else 1, MAX_RANK - rank), 3))
    broad = (*new, *(draw(make.integers(1, 4)) if size == 1 else size for size in input.shape))
    dims = make.constant(np.array(broad, draw(make.sampled_from((np.int32, np.int64)))))
    return Node("BROADCAST_TO", {}, (input, dims), (make.tensor(broad, dtype, input.quantization),))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 3, "int16": 3}),
    c_kernels=dict.fromkeys(_copies.TYPES[:7], "copies"),
)

KERNELS = {
    ("BROADCAST_TO", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in _copies.TYPES
}
