"""DEPTH_TO_SPACE: the channels of an element become a block of elements, row by row.

TFLM: `kernels/depth_to_space.cc`; the loop in `kernels/internal/reference/depth_to_space.h`. The inverse of
SPACE_TO_DEPTH. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _copies, space_to_depth
from .space_to_depth import Params


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses channels that do not make up blocks, and an output of another shape."""
    input, output, size = space_to_depth.operands(node)
    n, h, w, c = input.shape
    require(
        c % (size * size) == 0,
        f"{c} channels of input '{input.name}' do not make up blocks of {size} by {size}, which TFLM refuses",
    )
    shape = (n, h * size, w * size, c // (size * size))
    _copies.declared(output, shape, f"'{input.name}' {input.shape} laid out in blocks")
    return Params(size, output.shape)


def evaluate(p: Params, input: Array) -> Array:
    """(B, N, H, W, C) → (B, *output_shape)."""
    blocks = input.reshape(*input.shape[:-1], p.block_size, p.block_size, p.output_shape[-1])
    output: Array = blocks.transpose(0, 1, 2, 4, 3, 5, 6).reshape(-1, *p.output_shape)
    return output


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    batch, y, x, channel = at.index
    row, column = y % p.block_size, x % p.block_size
    depth = (row * p.block_size + column) * p.output_shape[-1] + channel
    source = batch, y // p.block_size, x // p.block_size, depth
    yield _copies.copied("input", input, source, f"row {row} and column {column} of the block, channel {channel}")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Blocks of one element to four by four."""
    size = draw(make.integers(1, 4))
    n, h, w, c = draw(make.shape(4, 3))

    def fits(tensor: Tensor) -> bool:
        return len(tensor.shape) == 4 and tensor.shape[3] % (size * size) == 0

    input = draw(make.input((n, h, w, c * size * size), dtype, make.quantization(dtype), fits))
    n, h, w, c = input.shape
    output = make.tensor((n, h * size, w * size, c // (size * size)), dtype, input.quantization)
    return Node("DEPTH_TO_SPACE", {"block_size": size}, (input,), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 2}),
    c_kernels=dict.fromkeys(("float32", "int8"), "copies"),
)

KERNELS = {
    ("DEPTH_TO_SPACE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
