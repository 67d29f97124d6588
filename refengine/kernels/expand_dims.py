"""EXPAND_DIMS: the input with a dimension of length 1 more, at the position `axis`.

TFLM: `kernels/expand_dims.cc`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import Draw, Facts, Kernel, Node, Numerics, Quantizing, Toolbox
from ..text import counted
from . import _affine, reshape


def prepare(node: Node, numerics: Numerics) -> reshape.Params:
    """Refuses an axis that is computed or outside, and an output of another type or shape."""
    consistent(len(node.inputs) == 2, f"expected an input and an axis, got {counted(len(node.inputs), 'input')}")
    p = reshape.prepare(node, numerics)
    input, axis = node.inputs
    assert input is not None
    require(
        axis is not None and axis.data is not None and axis.dtype == "int32" and axis.shape in ((), (1,)),
        "the axis must be one constant int32, of shape () or (1,), in TFLM; convert again with such a one",
    )
    assert axis is not None and axis.data is not None
    rank, at = len(input.shape) + 1, int(axis.data.flat[0])
    consistent(-rank <= at < rank, f"axis {at} is outside the output's {rank} dimensions")
    at %= rank
    expanded = (*input.shape[:at], 1, *input.shape[at:])
    consistent(
        p.output_shape == expanded, f"the output has shape {p.output_shape}; expanded, '{input.name}' has {expanded}"
    )
    return p


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank, and any axis, counted from either end."""
    input = _affine.draw_input(draw, make, dtype, (0, 4), 4)
    shape = input.shape
    at = draw(make.integers(0, len(shape)))
    axis = np.array([at - draw(make.booleans()) * (len(shape) + 1)], np.int32)
    inputs = (input, make.constant(axis if draw(make.booleans()) else axis[0:1].reshape(())))
    output = make.tensor((*shape[:at], 1, *shape[at:]), dtype, input.quantization)
    return Node("EXPAND_DIMS", {}, inputs, (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing({"int8": 1, "int16": 1}),
    c_kernels=dict.fromkeys(("float32", "int8", "int16"), "reshape"),
)

KERNELS = {
    ("EXPAND_DIMS", dtype): Kernel(prepare, reshape.evaluate, reshape.explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16")
}
