"""SPACE_TO_BATCH_ND: every block's elements at one place become an image of their own, after padding.

TFLM: `kernels/space_to_batch_nd.cc`; the loop in `kernels/internal/reference/space_to_batch_nd.h`. The pair with
BATCH_TO_SPACE_ND around a convolution is how converters write a dilated one.

**Padding is bytes of 0, also of int8**, where TFLite takes the zero point: TFLM never sets the parameter, and fills
with a byte of its arena that nobody has written. That is 0 where the arena starts as zeros, as a static array does; in
an arena used before, it may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _affine, _copies, _litert


@dataclass(frozen=True)
class Blocks:
    """How an image is cut, by rows and columns: length of a block, and elements more (or less) in front and behind."""

    block_shape: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True)
class Params:
    """Shapes are NHWC, with a width of 1 where the tensors have three dimensions.

    `blocks` are known only where their tensors are constant. `declared_shape` is that of the output.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    declared_shape: tuple[int, ...]
    blocks: Blocks | None = None
    pad_value: int = 0

    def resolve(self, block_shape: Array, paddings: Array) -> Blocks:
        """The blocks that two control inputs tell; refuses those that do not lead to the output's shape."""
        blocks = read_blocks(block_shape, paddings)
        n, rows, columns, channels = self.input_shape
        padded = [size + a + b for size, a, b in zip((rows, columns), blocks.before, blocks.after, strict=True)]
        consistent(
            all(size % length == 0 for size, length in zip(padded, blocks.block_shape, strict=True)),
            f"blocks of {blocks.block_shape} do not divide the padded image of {padded[0]} by {padded[1]}",
        )
        height, width = (size // length for size, length in zip(padded, blocks.block_shape, strict=True))
        shape = (n * blocks.block_shape[0] * blocks.block_shape[1], height, width, channels)
        require_shape(shape, self.output_shape)
        return blocks


def read_blocks(block_shape: Array, pairs: Array) -> Blocks:
    """The blocks of one or two dimensions, and the pairs of elements before and after; refuses negative ones."""
    lengths, ends = block_shape.tolist(), pairs.tolist()
    require(
        min(lengths) >= 1 and min(map(min, ends)) >= 0,
        f"blocks {lengths} must be positive, and the elements before and after {ends}, not negative; TFLM does not "
        "look: convert again",
    )
    (rows, columns), (above, beside) = (*lengths, 1)[:2], (*ends, [0, 0])[:2]
    return Blocks((rows, columns), (above[0], beside[0]), (above[1], beside[1]))


def require_shape(shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
    """Refuse blocks that lead to another shape than the output has; both NHWC."""
    require(
        shape == output_shape,
        f"the blocks lead to the shape {shape}, but the output is declared as {output_shape}, with which TFLM reckons "
        "unchecked (both as images, of width 1 where there is none): convert again",
    )


def image(tensor: Tensor) -> tuple[int, ...]:
    """The shape as NHWC: three dimensions lack the width."""
    shape = tensor.shape
    return shape if len(shape) == 4 else (*shape[:2], 1, shape[2])


def checked(node: Node, pairs: str) -> tuple[Params, Tensor, Tensor]:
    """Params without blocks, and the tensors that tell them; `pairs` is what the third input is called."""
    input, block_shape, ends, output = _copies.given(node, "input", "block shape", pairs)
    _copies.same_type(input, output)
    rank = len(input.shape)
    require(
        rank in (3, 4) and len(output.shape) == rank,
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} must both have 3 or 4 "
        "dimensions for TFLM: convert again",
    )
    for tensor, shape in ((block_shape, (rank - 2,)), (ends, (rank - 2, 2))):
        require(
            tensor.dtype == "int32" and tensor.shape == shape,
            f"'{tensor.name}' is {tensor.dtype} {tensor.shape}; TFLM reads it as int32 {shape}: convert again",
        )
    return Params(image(input), image(output), output.shape), block_shape, ends


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses other than three or four dimensions, and constant blocks and paddings that do not fit the shapes."""
    p, block_shape, paddings = checked(node, "paddings")
    pad_value = _affine.params_of(node.outputs[0])[1] if _litert.speaks(numerics) else 0
    return replace(p, blocks=_copies.settled(p.resolve, block_shape, paddings), pad_value=pad_value)


def evaluate(p: Params, input: Array, block_shape: Array, paddings: Array) -> Array:
    """(B, …) → (B, …). Raises `InferenceError` for computed blocks and paddings that do not fit the shapes."""

    def move(blocks: Blocks, input: Array) -> Array:
        n, height, width, channels = p.output_shape
        rows, columns = blocks.block_shape
        images = input.reshape(-1, *p.input_shape)
        around = zip(blocks.before, blocks.after, strict=True)
        padded = np.pad(images, ((0, 0), (0, 0), *around, (0, 0)), constant_values=p.pad_value)
        cut = padded.reshape(-1, n // (rows * columns), height, rows, width, columns, channels)
        output: Array = cut.transpose(0, 3, 5, 1, 2, 4, 6).reshape(-1, *p.declared_shape)
        return output

    return _copies.moved(p.blocks, p.resolve, move, [input], [block_shape, paddings])


def explain(p: Params, at: At, input: Array, block_shape: Array, paddings: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    blocks = p.blocks or p.resolve(block_shape, paddings)
    count, columns = p.input_shape[0], blocks.block_shape[1]
    batch, rest = at.index[0] % count, at.index[0] // count
    shift = (rest // columns, rest % columns)
    places = at.index[1:-1]
    source = tuple(
        i * length + s - before
        for i, length, s, before in zip(places, blocks.block_shape, shift, blocks.before, strict=False)
    )
    where = f"place {shift} of the block {places}, less the padding in front {blocks.before}"
    if all(0 <= i < size for i, size in zip(source, p.input_shape[1:], strict=False)):
        yield _copies.copied("input", input, (batch, *source, at.index[-1]), where)
    else:
        what = f"code {p.pad_value}, the zero point" if p.pad_value else "bytes of 0, whatever the zero point"
        yield Line("pad", f"{where}, is {source}, outside: {what}", input.dtype.type(p.pad_value))


def draw_image(draw: Draw, make: Toolbox, dtype: str) -> Tensor:
    """For an example: an input of three or four dimensions."""

    def fits(tensor: Tensor) -> bool:
        return len(tensor.shape) in (3, 4)

    input: Tensor = draw(make.input(make.shape((3, 4), 5), dtype, make.quantization(dtype), fits))
    return input


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Three and four dimensions, blocks of any lengths, paddings at either end."""
    input = draw_image(draw, make, dtype)
    lengths, pairs, cut = [], [], []
    for size in input.shape[1:-1]:
        length, before = draw(make.integers(1, 3)), draw(make.integers(0, 3))
        after = -(size + before) % length + draw(make.integers(0, 1)) * length
        lengths.append(length)
        pairs.append((before, after))
        cut.append((size + before + after) // length)
    controls = make.constant(np.array(lengths, np.int32)), make.constant(np.array(pairs, np.int32))
    output = make.tensor((input.shape[0] * prod(lengths), *cut, input.shape[-1]), dtype, input.quantization)
    return Node("SPACE_TO_BATCH_ND", {}, (input, *controls), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("float32", "int8"), "space_to_batch_nd"),
)

KERNELS = {
    ("SPACE_TO_BATCH_ND", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
