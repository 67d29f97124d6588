"""FILL: a tensor of the shape that the first input tells, all elements the value of the second.

TFLM: `kernels/fill.cc`. The dimensions are constant and those of the declared output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _copies

DIMS_TYPES = ("int32", "int64", "int8", "int16")


@dataclass(frozen=True)
class Params:
    """The declared shape."""

    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a value that is no scalar, more than 6 dimensions, and those that are computed or not the output's."""
    dims, value, output = _copies.given(node, "dimensions", "value")
    _copies.same_type(value, output)
    _copies.require_rank(output)
    require(
        value.shape == (),
        f"the value '{value.name}' has shape {value.shape}; TFLM fills with a scalar, of shape (): convert again",
    )
    require(
        dims.data is not None and dims.dtype in DIMS_TYPES and len(dims.shape) == 1,
        f"the dimensions '{dims.name}' are {dims.dtype} {dims.shape}; TFLM takes a constant row of "
        f"{', '.join(DIMS_TYPES)}: convert again with fixed shapes",
    )
    assert dims.data is not None
    require(
        dims.data.size > 0,
        f"the dimensions '{dims.name}' are none at all, and TFLM takes a constant without elements for a computed one; "
        "convert again with the shape (1,)",
    )
    _copies.declared(output, tuple(dims.data.tolist()), f"what '{dims.name}' tells")
    return Params(output.shape)


def evaluate(p: Params, dims: Array, value: Array) -> Array:
    """(B,) → (B, *output_shape)."""
    return np.broadcast_to(value.reshape(-1, *(1,) * len(p.output_shape)), (len(value), *p.output_shape))


def explain(p: Params, at: At, dims: Array, value: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    yield _copies.copied("value", value, (), "everywhere")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Up to six dimensions, of any type, with a value that is constant or fed."""
    shape = draw(make.shape((1, 6), 3))
    dims = make.constant(np.array(shape, draw(make.sampled_from(DIMS_TYPES))))
    quantization = draw(make.quantization(dtype)) if dtype == "int8" else None
    if draw(make.integers(0, 2)) == 2:
        value = make.constant(draw(make.array((), dtype)), quantization)
    else:
        value = draw(make.input((), dtype, quantization, lambda t: t.shape == ()))
    return Node("FILL", {}, (dims, value), (make.tensor(shape, dtype, value.quantization),))


FACTS = Facts(
    data=1,
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 3, "int16": 3}),
    c_kernels=dict.fromkeys(("float32", "int8", "int32"), "copies"),
)

KERNELS = {
    ("FILL", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int32")
}
