"""SQUEEZE: the input without dimensions of length 1, all of them or those of `squeeze_dims`.

TFLM: `kernels/squeeze.cc`.
"""

from __future__ import annotations

from functools import partial

from ..errors import consistent
from ..kernel import Draw, Facts, Kernel, Node, Numerics, Quantizing, Toolbox
from . import _copies, reshape


def prepare(node: Node, numerics: Numerics) -> reshape.Params:
    """Refuses dimensions that are not 1, and an output of another type or shape."""
    consistent(len(node.inputs) == 1, f"expected 1 input, got {len(node.inputs)}")
    p = reshape.prepare(node, numerics)
    (input,) = node.inputs
    assert input is not None
    rank = len(input.shape)
    dropped = [axis + rank if axis < 0 else axis for axis in node.options["squeeze_dims"] or ()]
    for axis in dropped:
        consistent(
            0 <= axis < rank and input.shape[axis] == 1,
            f"dimension {axis} of input '{input.name}' {input.shape} is not of length 1",
        )
    squeezed = tuple(size for axis, size in enumerate(input.shape) if (axis not in dropped if dropped else size != 1))
    consistent(
        p.output_shape == squeezed, f"the output has shape {p.output_shape}; squeezed, '{input.name}' has {squeezed}"
    )
    return p


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Dimensions of length 1 anywhere, squeezed by name, counted from either end, or all of them."""
    rank = draw(make.integers(1, 5))
    shape = tuple(1 if draw(make.booleans()) else draw(make.integers(1, 4)) for _ in range(rank))
    input = draw(make.input(shape, dtype, make.quantization(dtype), lambda t: len(t.shape) >= 1))
    shape = input.shape
    dims = [axis for axis, size in enumerate(shape) if size == 1 and draw(make.booleans())]
    squeezed = [size for axis, size in enumerate(shape) if (axis not in dims if dims else size != 1)]
    named = [axis - draw(make.booleans()) * len(shape) for axis in dims]
    output = make.tensor(squeezed, dtype, input.quantization)
    return Node("SQUEEZE", {"squeeze_dims": named}, (input,), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing({"int8": 1, "int16": 1}),
    c_kernels=dict.fromkeys(_copies.TYPES[:7], "reshape"),
)

KERNELS = {
    ("SQUEEZE", dtype): Kernel(prepare, reshape.evaluate, reshape.explain, partial(example, dtype=dtype), FACTS)
    for dtype in _copies.TYPES
}
