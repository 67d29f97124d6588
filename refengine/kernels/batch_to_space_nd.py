"""BATCH_TO_SPACE_ND: images become the elements of blocks, one place each, and what is left over is cropped.

TFLM: `kernels/batch_to_space_nd.cc`; the loop in `kernels/internal/reference/batch_to_space_nd.h`. The inverse of
SPACE_TO_BATCH_ND. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _copies, space_to_batch_nd
from .space_to_batch_nd import Blocks


@dataclass(frozen=True)
class Params(space_to_batch_nd.Params):
    """As SPACE_TO_BATCH_ND's; `before` and `after` of the blocks are the crops."""

    def resolve(self, block_shape: Array, crops: Array) -> Blocks:
        """The blocks that two control inputs tell; refuses those that do not lead to the output's shape."""
        blocks = space_to_batch_nd.read_blocks(block_shape, crops)
        n, *sizes, channels = self.input_shape
        images = blocks.block_shape[0] * blocks.block_shape[1]
        require(
            n % images == 0,
            f"{n} images do not make up blocks of {blocks.block_shape}; TFLM needs whole ones: convert again",
        )
        joined = (
            size * length - a - b
            for size, length, a, b in zip(sizes, blocks.block_shape, blocks.before, blocks.after, strict=True)
        )
        space_to_batch_nd.require_shape((n // images, *joined, channels), self.output_shape)
        return blocks


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses other than three or four dimensions, and constant blocks and crops that do not fit the shapes."""
    shapes, block_shape, crops = space_to_batch_nd.checked(node, "crops")
    p = Params(shapes.input_shape, shapes.output_shape, shapes.declared_shape)
    return replace(p, blocks=_copies.settled(p.resolve, block_shape, crops))


def evaluate(p: Params, input: Array, block_shape: Array, crops: Array) -> Array:
    """(B, …) → (B, …). Raises `InferenceError` for computed blocks and crops that do not fit the shapes."""

    def move(blocks: Blocks, input: Array) -> Array:
        n, height, width, channels = p.output_shape
        rows, columns = blocks.block_shape
        _, h, w, _ = p.input_shape
        joined = input.reshape(-1, rows, columns, n, h, w, channels).transpose(0, 3, 4, 1, 5, 2, 6)
        top, left = blocks.before
        whole = joined.reshape(-1, n, h * rows, w * columns, channels)
        cropped: Array = whole[:, :, top : top + height, left : left + width]
        return cropped.reshape(-1, *p.declared_shape)

    return _copies.moved(p.blocks, p.resolve, move, [input], [block_shape, crops])


def explain(p: Params, at: At, input: Array, block_shape: Array, crops: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    blocks = p.blocks or p.resolve(block_shape, crops)
    places = [i + top for i, top in zip(at.index[1:-1], blocks.before, strict=False)]
    source = [i // length for i, length in zip(places, blocks.block_shape, strict=False)]
    row, column = (*(i % length for i, length in zip(places, blocks.block_shape, strict=False)), 0)[:2]
    batch = (row * blocks.block_shape[1] + column) * p.output_shape[0] + at.index[0]
    where = f"place ({row}, {column}) of the block {tuple(source)}, which image {batch} has"
    yield _copies.copied("input", input, (batch, *source, at.index[-1]), where)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Three and four dimensions, blocks of any lengths, crops at either end."""
    input = space_to_batch_nd.draw_image(draw, make, dtype)
    images, sizes = input.shape[0], input.shape[1:-1]
    lengths = []
    for _ in sizes:
        lengths.append(draw(make.sampled_from([k for k in range(1, images + 1) if images % k == 0])))
        images //= lengths[-1]
    pairs = []
    for size, length in zip(sizes, lengths, strict=True):
        before = draw(make.integers(0, min(3, size * length - 1)))
        pairs.append((before, draw(make.integers(0, min(3, size * length - 1 - before)))))
    joined = (size * length - sum(pair) for size, length, pair in zip(sizes, lengths, pairs, strict=True))
    controls = make.constant(np.array(lengths, np.int32)), make.constant(np.array(pairs, np.int32))
    output = make.tensor((images, *joined, input.shape[-1]), dtype, input.quantization)
    return Node("BATCH_TO_SPACE_ND", {}, (input, *controls), (output,))


FACTS = Facts(
    copies=True, shares_scale=True, quantized=Quantizing(), c_kernels=dict.fromkeys(("float32", "int8"), "copies")
)

KERNELS = {
    ("BATCH_TO_SPACE_ND", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
