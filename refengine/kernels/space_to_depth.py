"""SPACE_TO_DEPTH: the elements of a block become channels of one element, row by row.

TFLM: `kernels/space_to_depth.cc`; the loop in `kernels/internal/reference/space_to_depth.h`. Quantisation is not looked
at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _copies


@dataclass(frozen=True)
class Params:
    """A block is `block_size` by `block_size`."""

    block_size: int
    output_shape: tuple[int, ...]


def operands(node: Node) -> tuple[Tensor, Tensor, int]:
    """(input, output, block size); refuses other than four dimensions, and blocks of nothing."""
    input, output = _copies.given(node, "input")
    _copies.same_type(input, output)
    require(len(input.shape) == 4, f"input '{input.name}' {input.shape} must have 4 dimensions for TFLM: convert again")
    size = node.options["block_size"]
    consistent(size >= 1, f"block_size is {size}; it must be positive")
    return input, output, size


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses blocks that do not divide the image, and an output of another shape."""
    input, output, size = operands(node)
    n, h, w, c = input.shape
    require(
        h % size == w % size == 0,
        f"block_size {size} does not divide {h} rows and {w} columns of input '{input.name}', which TFLM "
        "refuses: convert again",
    )
    _copies.declared(output, (n, h // size, w // size, c * size * size), f"'{input.name}' {input.shape} in blocks")
    return Params(size, output.shape)


def evaluate(p: Params, input: Array) -> Array:
    """(B, N, H, W, C) → (B, *output_shape)."""
    n, h, w, _ = p.output_shape
    blocks = input.reshape(-1, n, h, p.block_size, w, p.block_size, input.shape[-1])
    output: Array = blocks.transpose(0, 1, 2, 4, 3, 5, 6).reshape(-1, *p.output_shape)
    return output


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    batch, y, x, depth = at.index
    place, channel = divmod(depth, input.shape[-1])
    row, column = divmod(place, p.block_size)
    source = batch, y * p.block_size + row, x * p.block_size + column, channel
    yield _copies.copied("input", input, source, f"row {row} and column {column} of the block, channel {channel}")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Blocks of one element to four by four."""
    size = draw(make.integers(1, 4))
    n, h, w, c = draw(make.shape(4, 3))

    def fits(tensor: Tensor) -> bool:
        return len(tensor.shape) == 4 and tensor.shape[1] % size == tensor.shape[2] % size == 0

    input = draw(make.input((n, h * size, w * size, c), dtype, make.quantization(dtype), fits))
    n, h, w, c = input.shape
    output = make.tensor((n, h // size, w // size, c * size * size), dtype, input.quantization)
    return Node("SPACE_TO_DEPTH", {"block_size": size}, (input,), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 2}),
    c_kernels=dict.fromkeys(("float32", "int8"), "copies"),
)

KERNELS = {
    ("SPACE_TO_DEPTH", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
