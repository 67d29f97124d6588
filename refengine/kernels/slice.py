"""SLICE: `size` elements from `begin` on along each dimension; a size of −1 means up to the end.

TFLM: `kernels/slice.cc`; the loop in `kernels/internal/reference/slice.h`. TFLM checks nothing, and reads and writes
other memory where begin or size do not fit; refengine refuses that, or, where they are computed, fails the inference.
Quantisation is not looked at: codes are copied.
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

MAX_RANK = 5


@dataclass(frozen=True)
class Params:
    """`begin` is known only where begin and size are constant."""

    input_name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    begin: tuple[int, ...] | None = None

    def resolve(self, begin: Array, size: Array) -> tuple[int, ...]:
        """Where the slice begins along each dimension; refuses one that leaves the input or misses the output."""
        place = f"a slice of '{self.input_name}' {self.input_shape} from {begin.tolist()} on, of size {size.tolist()},"
        starts = tuple(begin.tolist())
        sizes = tuple(
            length - start if n == -1 else n
            for length, start, n in zip(self.input_shape, starts, size.tolist(), strict=True)
        )
        fits = (
            0 <= start <= start + n <= length for length, start, n in zip(self.input_shape, starts, sizes, strict=True)
        )
        require(all(fits), f"{place} leaves it, and TFLM would read other memory; keep it inside: convert again")
        require(
            sizes == self.output_shape,
            f"{place} has shape {sizes}, but the output is declared {self.output_shape}; TFLM would not fit "
            "it in: convert again",
        )
        return starts


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses more than 5 dimensions, begins and sizes of other types or shapes, and constant ones that do not fit."""
    input, begin, size, output = _copies.given(node, "input", "begin", "size")
    _copies.same_type(input, output)
    rank = len(input.shape)
    require(
        1 <= rank <= MAX_RANK, f"input '{input.name}' has {rank} dimensions; TFLM slices 1 to {MAX_RANK}: convert again"
    )
    for tensor in (begin, size):
        consistent(
            tensor.shape == (rank,) and tensor.dtype == begin.dtype and tensor.dtype in ("int32", "int64"),
            f"'{tensor.name}' is {tensor.dtype} {tensor.shape}; begin and size must both be int32, or int64, with one "
            f"element for each of the {rank} dimensions of '{input.name}'",
        )
    consistent(len(output.shape) == rank, f"output '{output.name}' {output.shape} must have {rank} dimensions")
    p = Params(input.name, input.shape, output.shape)
    return replace(p, begin=_copies.settled(p.resolve, begin, size))


def evaluate(p: Params, input: Array, begin: Array, size: Array) -> Array:
    """(B, …), (B, rank) and (B, rank) → (B, *output_shape). Raises `InferenceError` for a slice that does not fit."""

    def move(begin: tuple[int, ...], input: Array) -> Array:
        part = slice(None), *(slice(b, b + n) for b, n in zip(begin, p.output_shape, strict=True))
        taken: Array = input[part]
        return taken

    return _copies.moved(p.begin, p.resolve, move, [input], [begin, size])


def explain(p: Params, at: At, input: Array, begin: Array, size: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    source = tuple(int(b) + i for b, i in zip(begin, at.index, strict=True))
    yield _copies.copied("input", input, source, f"begin {begin.tolist()} + the output's index")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Up to five dimensions; begin and size constant, of either type, or computed."""
    input = _affine.draw_input(draw, make, dtype, (1, MAX_RANK), 5)
    shape = input.shape
    sizes = [draw(make.integers(1, length)) for length in shape]
    output = make.tensor(sizes, dtype, input.quantization)
    room = [length - n for length, n in zip(shape, sizes, strict=True)]
    if draw(make.booleans()):
        begin, before = _copies.draw_positions(draw, make, (len(shape),), 0, min(room))
        size = make.constant(np.array(sizes, np.int32))
        if draw(make.booleans()):
            size = make.tensor((len(shape),), "int32")
            like = make.tensor(sizes, "int32")
            before = (*before, Node("SHAPE", {"out_type": "int32"}, (like,), (size,)))
        return Node("SLICE", {}, (input, begin, size), (output,), before=before)
    starts = [draw(make.integers(0, most)) for most in room]
    index_type = draw(make.sampled_from((np.int32, np.int64)))
    rest = [
        -1 if b + n == length and draw(make.booleans()) else n
        for b, n, length in zip(starts, sizes, shape, strict=True)
    ]
    inputs = (input, make.constant(np.array(starts, index_type)), make.constant(np.array(rest, index_type)))
    return Node("SLICE", {}, inputs, (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("float32", "int8", "int16", "int32", "bool"), "copies"),
)

KERNELS = {
    ("SLICE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16", "int32", "bool")
}
