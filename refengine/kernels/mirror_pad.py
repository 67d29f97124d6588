"""MIRROR_PAD: the input with its own mirror image before and after it along each dimension.

TFLM: `kernels/mirror_pad.cc`. REFLECT leaves the border element out of the image, SYMMETRIC repeats it. An image longer
than the input has no elements left: **behind, TFLM repeats the first element** for the rest; in front it would read
other memory, which refengine refuses, or, where paddings are computed, fails the inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _affine, _copies

Positions = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Params:
    """`offset` is 1 for REFLECT, 0 for SYMMETRIC.

    `positions` are those of the input along each dimension, one a position of the output; known only where the paddings
    are constant.
    """

    offset: int
    input_name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    positions: Positions | None = None

    def resolve(self, paddings: Array) -> Positions:
        """The positions for paddings in front and behind along each dimension; refuses those that do not fit."""
        pairs = paddings.tolist()
        padded = tuple(left + size + right for size, (left, right) in zip(self.input_shape, pairs, strict=True))
        consistent(
            padded == self.output_shape,
            f"input '{self.input_name}' {self.input_shape} is padded by {pairs} to {padded}, but the output is "
            f"declared {self.output_shape}",
        )
        for size, (left, right) in zip(self.input_shape, pairs, strict=True):
            require(
                left == right == 0 or (0 <= left <= size - self.offset and right >= 0 < size),
                f"paddings {(left, right)} for {size} elements: in front there can be 0 to {size - self.offset}, or "
                "TFLM would read other memory, behind no less than 0, and beside nothing only nothing: convert again",
            )
        return tuple(
            tuple(self._position(i - left, size) for i in range(left + size + right))
            for size, (left, right) in zip(self.input_shape, pairs, strict=True)
        )

    def _position(self, i: int, size: int) -> int:
        """Where `i`, counted from the input's first element, is found in an input of `size`."""
        if i < 0:
            return self.offset - 1 - i
        return i if i < size else max(0, 2 * size - 1 - self.offset - i)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses paddings of another type or shape, and constant ones that leave the input or miss the output's shape."""
    input, paddings, output = _copies.given(node, "input", "paddings")
    _copies.same_type(input, output)
    rank = len(input.shape)
    require(
        rank >= 1 and paddings.shape == (rank, 2) and paddings.dtype in ("int32", "int64"),
        f"paddings '{paddings.name}' are {paddings.dtype} {paddings.shape}; TFLM takes pairs of int32 or int64, one "
        f"for each of the {rank} dimensions of '{input.name}': convert again",
    )
    p = Params(int(node.options["mode"] == "REFLECT"), input.name, input.shape, output.shape)
    return replace(p, positions=_copies.settled(p.resolve, paddings))


def evaluate(p: Params, input: Array, paddings: Array) -> Array:
    """(B, …) → (B, *output_shape). Raises `InferenceError` for computed paddings that do not fit."""

    def move(positions: Positions, input: Array) -> Array:
        for axis, along in enumerate(positions, 1):
            input = input.take(along, axis)
        return input

    return _copies.moved(p.positions, p.resolve, move, [input], [paddings])


def explain(p: Params, at: At, input: Array, paddings: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    source = []
    for i, size, (left, _) in zip(at.index, input.shape, paddings.tolist(), strict=True):
        inside = i - left
        if inside < 0:
            source.append(-inside - 1 + p.offset)
        elif inside < size:
            source.append(inside)
        else:
            source.append(max(size - 1 - p.offset - (inside - size), 0))
    mode = "REFLECT" if p.offset else "SYMMETRIC"
    why = f"the output's index less the paddings in front {paddings[:, 0].tolist()}, mirrored ({mode})"
    yield _copies.copied("input", input, tuple(source), why)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Up to five dimensions; paddings of either type up to the length of the input, and behind beyond it."""
    input = _affine.draw_input(draw, make, dtype, (1, 5), 4)
    mode = draw(make.sampled_from(("REFLECT", "SYMMETRIC")))
    pairs = [
        (draw(make.integers(0, size - (mode == "REFLECT"))), draw(make.integers(0, size + 1)))
        if draw(make.booleans())
        else (0, 0)
        for size in input.shape
    ]
    paddings = make.constant(np.array(pairs, draw(make.sampled_from((np.int32, np.int64)))))
    padded = tuple(size + sum(pair) for size, pair in zip(input.shape, pairs, strict=True))
    output = make.tensor(padded, dtype, input.quantization)
    return Node("MIRROR_PAD", {"mode": mode}, (input, paddings), (output,))


FACTS = Facts(
    copies=True,
    pads=True,
    shares_scale=True,
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("float32", "int8"), "copies"),
)

KERNELS = {
    ("MIRROR_PAD", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
