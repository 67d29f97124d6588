"""RESIZE_NEAREST_NEIGHBOR: an image of another size, each pixel the nearest of the input's.

TFLM: `kernels/resize_nearest_neighbor.cc`; positions in `kernels/internal/reference/resize_nearest_neighbor.h`, which
are reckoned in float32. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..numerics import scalar_float
from . import _copies


@dataclass(frozen=True)
class Params:
    """TFLM's ResizeNearestNeighborParams, and for each row and column of the output that of the input."""

    align_corners: bool
    half_pixel_centers: bool
    output_size: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses other than four dimensions, a size that is computed, and an output of another shape."""
    input, size, output = _copies.given(node, "input", "size")
    _copies.same_type(input, output)
    require(len(input.shape) == 4, f"input '{input.name}' {input.shape} must have 4 dimensions for TFLM: convert again")
    require(
        size.data is not None and size.dtype == "int32" and size.shape == (2,),
        f"the size '{size.name}' is {size.dtype} {size.shape}; TFLM takes two constant int32, height and width: "
        "convert again with a fixed size",
    )
    assert size.data is not None
    n, h, w, c = input.shape
    height, width = size.data.tolist()
    _copies.declared(output, (n, height, width, c), f"'{input.name}' {input.shape} resized")
    options = bool(node.options["align_corners"]), bool(node.options["half_pixel_centers"])
    return Params(*options, (height, width), _nearest(h, height, *options), _nearest(w, width, *options))


def _nearest(input_size: int, output_size: int, align_corners: bool, half_pixel_centers: bool) -> tuple[int, ...]:
    """The input's position nearest to each of the output's, along one dimension."""
    scale = _ratio(input_size, output_size, align_corners)
    offset = np.float32(0.5 if half_pixel_centers else 0)
    positions = ((np.arange(output_size, dtype=np.float32) + offset) * scale).astype(np.float64)
    nearest = np.floor(positions + (0.5 if align_corners else 0))
    chosen: tuple[int, ...] = tuple(np.minimum(nearest, input_size - 1).astype(int).tolist())
    return chosen


def _ratio(input_size: int, output_size: int, align_corners: bool) -> np.float32:
    """How far apart, in elements of the input, neighbours of the output lie."""
    less = int(align_corners and output_size > 1)
    ratio: np.float32 = np.float32(input_size - less) / np.float32(output_size - less)
    return ratio


def evaluate(p: Params, input: Array, size: Array) -> Array:
    """(B, N, H, W, C) → (B, N, *output_size, C)."""
    return input.take(p.rows, axis=2).take(p.columns, axis=3)


def explain(p: Params, at: At, input: Array, size: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    source = list(at.index)
    for axis, name, length in ((1, "row", p.output_size[0]), (2, "column", p.output_size[1])):
        ratio = _ratio(input.shape[axis], length, p.align_corners)
        offset = np.float32(0.5 if p.half_pixel_centers else 0.0)
        place = (np.float32(at.index[axis]) + offset) * ratio
        yield Line(f"{name} scale", f"from {length} to {input.shape[axis]} elements, in float32", ratio)
        yield Line(f"{name} place", f"({at.index[axis]} + {offset:g}) · {ratio:.9g} in float32", place)
        whole = scalar_float.round_half_away(float(place)) if p.align_corners else float(place) // 1
        source[axis] = min(int(whole), input.shape[axis] - 1)
        how = "to the nearest, ties up" if p.align_corners else "down"
        yield Line(name, f"rounded {how}, at most {input.shape[axis] - 1}", source[axis])
    yield _copies.copied("input", input, tuple(source), "the nearest element")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Images that grow and shrink by any factor, in all four modes."""
    input = draw(make.input(make.shape(4, 7), dtype, make.quantization(dtype), lambda t: len(t.shape) == 4))
    n, h, w, c = input.shape
    size = tuple(
        draw(make.sampled_from((1, length, 2 * length, draw(make.integers(1, 24)), -(-length // 2))))
        for length in (h, w)
    )
    options = {"align_corners": draw(make.booleans()), "half_pixel_centers": draw(make.booleans())}
    inputs = (input, make.constant(np.array(size, np.int32)))
    return Node("RESIZE_NEAREST_NEIGHBOR", options, inputs, (make.tensor((n, *size, c), dtype, input.quantization),))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("float32", "int8", "int16"), "copies"),
)

KERNELS = {
    ("RESIZE_NEAREST_NEIGHBOR", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16")
}
