"""RESIZE_BILINEAR: images of another height and width, each pixel blended from the four around its place in the input.

Source row of output row y: y · scale, with half_pixel_centers (y + ½) · scale − ½, where scale = in / out, with
align_corners (in − 1) / (out − 1). Integer kernels count positions in 1024ths, whose bounds C rounds towards zero, and
ties of the blend away from zero; scale and zero point play no part. Float kernels weigh with every product rounded.

TFLM: `kernels/resize_bilinear.cc`; the loops in `kernels/internal/reference/resize_bilinear.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Facts, Ints, Kernel, Line, Node, Numerics, Options, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import scalar
from ..numerics.float32 import Float32
from . import _copies, _litert, _window

ONE = 1 << 10
"""1 in the integer kernels' positions."""

XNNPACK_ONE = 1 << 11
"""1 in those of XNNPACK's."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Along one dimension, for each output index: TFLM's lower and upper bound, and how far it is from the lower."""

    lower: Ints
    upper: Ints
    offset: Array

    def at(self, index: int) -> tuple[int, int, Any]:
        """(lower, upper, offset) of one output index."""
        return int(self.lower[index]), int(self.upper[index]), self.offset[index]


@dataclass(frozen=True, eq=False)
class Params:
    """Where the rows and columns of the output lie; offsets are in int32, `one` to a pixel, or float32."""

    height: Axis
    width: Axis
    rounding: str
    one: int = ONE


def _operands(node: Node) -> tuple[Tensor, Tensor]:
    """(input, output) after the checks that do not depend on the type."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs and len(node.outputs) == 1,
        f"expected input and size, and 1 output, got {node.arity}",
    )
    input, size, output = node.inputs[0], node.inputs[1], node.outputs[0]
    assert input is not None and size is not None
    _copies.same_type(input, output)
    require(
        size.data is not None and (size.dtype, size.shape) == ("int32", (2,)),
        f"size '{size.name}' must be a constant of 2 int32 for TFLM; convert again with a fixed size",
    )
    assert size.data is not None
    height, width = size.data.tolist()
    consistent(
        len(input.shape) == 4 and output.shape == (input.shape[0], height, width, input.shape[3]),
        f"resizing '{input.name}' {input.shape} to {(height, width)} does not give output '{output.name}' "
        f"{output.shape}",
    )
    require(
        not (node.options["align_corners"] and node.options["half_pixel_centers"]),
        "TFLM takes either align_corners or half_pixel_centers, this operator has both; convert again with one",
    )
    return input, output


def _prepare(node: Node, rounding: str, axis: Callable[[int, int, Options], Axis]) -> Params:
    input, output = _operands(node)
    (_, *before, _), (_, *after, _) = input.shape, output.shape
    height, width = (axis(*sizes, node.options) for sizes in zip(before, after, strict=True))
    require(
        height.lower.max() < before[0] and width.lower.max() < before[1],
        f"output '{output.name}' {output.shape} is so large that TFLM reads beyond the input's {before[0]} rows or "
        f"{before[1]} columns; do it in steps",
    )
    return Params(height, width, rounding)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a size computed at run time, both flags, and outputs so large that TFLM reads beyond the image."""
    if _litert.takes(numerics, "int8"):
        return replace(_prepare(node, "single", _axis_xnnpack), one=XNNPACK_ONE)
    within_limits(
        numerics.rounding != "xnnpack",
        "refengine does not know how XNNPACK resizes codes; take another dialect, such as litert, or give a kernel of "
        "your own to make_plan(kernels=…)",
    )
    return _prepare(node, numerics.rounding, _axis)


def _axis(before: int, after: int, options: Options) -> Axis:
    """Positions in 1024ths; int64, for TFLM's int32 overflows only beyond images of 2²⁰ rows."""
    less = 1 if options["align_corners"] and after > 1 else 0
    scale = (ONE * (before - less) + (after - less) // 2) // (after - less)
    position = np.arange(after) * scale
    if options["half_pixel_centers"]:
        position += scale // 2 - ONE // 2
    # C's division truncates: of the numerators below 0, all above −1024, it makes 0.
    lower = np.maximum(position, 0) // ONE
    upper = np.minimum(np.maximum(position + ONE - 1, 0) // ONE, before - 1)
    return Axis(lower, upper, (position - ONE * lower).astype(np.int32))


def _axis_xnnpack(before: int, after: int, options: Options) -> Axis:
    """Positions in float32, and their fractions in 2048ths, ties to even."""
    less = 1 if options["align_corners"] and after > 1 else 0
    scale, half = np.float32(before - less) / np.float32(after - less), np.float32(0.5)
    offset = half * scale - half if options["half_pixel_centers"] else np.float32(0)
    position = np.clip(np.arange(after).astype(np.float32) * scale + offset, 0, before - 1)
    lower = position.astype(np.int64)
    fraction = np.rint((position - lower.astype(np.float32)) * np.float32(XNNPACK_ONE))
    return Axis(lower, np.minimum(lower + 1, before - 1), fraction.astype(np.int32))


def evaluate(p: Params, input: Array, size: Array) -> Array:
    """(B, n, h, w, c) codes → (B, n, height, width, c) codes, rows first: integers do not mind the order."""
    y, x = p.height, p.width
    dy, dx = y.offset[:, None, None], x.offset[:, None]
    rows = input.take(y.lower, axis=2) * (p.one - dy) + input.take(y.upper, axis=2) * dy
    blended = rows.take(x.lower, axis=3) * (p.one - dx) + rows.take(x.upper, axis=3) * dx
    # The weights come to `one`²; ties go away from zero, or up.
    blended += p.one**2 // 2 - ((blended < 0) & (p.rounding == "double"))
    codes: Array = (blended // p.one**2).astype(input.dtype)
    return codes


def explain(p: Params, at: At, input: Array, size: Array) -> Iterator[Line]:
    """Element `index` = (image, y, x, channel) of the output, as TFLM blends it."""
    image, y, x, channel = at.index
    (y0, y1, dy), (x0, x1, dx) = p.height.at(y), p.width.at(x)
    total, bits = 0, 2 * (p.one.bit_length() - 1)
    for iy, ix, wy, wx in (
        (y0, x0, p.one - int(dy), p.one - int(dx)),
        (y1, x0, int(dy), p.one - int(dx)),
        (y0, x1, p.one - int(dy), int(dx)),
        (y1, x1, int(dy), int(dx)),
    ):
        code = int(input[image, iy, ix, channel])
        total += code * wy * wx
        yield Line("pixel", f"input[{iy}, {ix}, {channel}] = {code} · {wy}/{p.one} · {wx}/{p.one}", code * wy * wx)
    yield Line("sum", f"of the four, in 2^{bits}ths", total)
    if p.rounding == "single":
        result = (total + 2 ** (bits - 1)) >> bits
        yield Line("blended", f"{total} / 2^{bits} = {total / 2**bits:.6f}, ties up", result)
    else:
        result = scalar.truncated_division(total + (2**19 if total > 0 else -(2**19)), 2**20)
        yield Line("blended", f"{total} / 2^20 = {total / 2**20:.6f}, ties away from zero", result)


def prepare_float(node: Node, numerics: Numerics) -> Params:
    """Refuses what `prepare` refuses, and targets whose compiler fuses products of the four with their sums."""
    within_limits(
        numerics.contraction == "none",
        "refengine does not know which of RESIZE_BILINEAR's float products a compiler for this target fuses with "
        "which sum; take another dialect, quantise the model, or give a kernel of your own to make_plan(kernels=…)",
    )
    return _prepare(node, numerics.rounding, _axis_float)


def _axis_float(before: int, after: int, options: Options) -> Axis:
    less = 1 if options["align_corners"] and after > 1 else 0
    scale = np.float32(before - less) / np.float32(after - less)
    index = np.arange(after).astype(np.float32)
    half = np.float32(0.5)
    position = (index + half) * scale - half if options["half_pixel_centers"] else index * scale
    lower = np.maximum(np.floor(position).astype(np.int64), 0)
    upper = np.minimum(np.ceil(position).astype(np.int64), before - 1)
    return Axis(lower, upper, position - lower.astype(np.float32))


def evaluate_float(p: Params, input: Array, size: Array) -> Array:
    """(B, n, h, w, c) float32 → (B, n, height, width, c) float32, four products of three factors in TFLM's order."""
    y, x = p.height, p.width
    dy, dx = y.offset[:, None, None], x.offset[:, None]
    with np.errstate(all="ignore"):
        above = input.take(y.lower, axis=2) * (1 - dy)
        below = input.take(y.upper, axis=2) * dy
        left: Float32 = above.take(x.lower, axis=3) * (1 - dx) + below.take(x.lower, axis=3) * (1 - dx)
        blended: Float32 = left + above.take(x.upper, axis=3) * dx + below.take(x.upper, axis=3) * dx
        blended += np.float32(0)  # TFLM's rounding offset, which makes +0 of −0
    return blended


def explain_float(p: Params, at: At, input: Array, size: Array) -> Iterator[Line]:
    """Element `index` = (image, y, x, channel) of the output, as TFLM blends it."""
    image, y, x, channel = at.index
    (y0, y1, dy), (x0, x1, dx) = p.height.at(y), p.width.at(x)
    one, total = np.float32(1), None
    with np.errstate(all="ignore"):
        for iy, ix, wy, wx in (
            (y0, x0, one - dy, one - dx),
            (y1, x0, dy, one - dx),
            (y0, x1, one - dy, dx),
            (y1, x1, dy, dx),
        ):
            value = input[image, iy, ix, channel]
            term = value * wy * wx
            total = term if total is None else total + term
            yield Line("pixel", f"input[{iy}, {ix}, {channel}] = {value:.9g} · {wy:.9g} · {wx:.9g}", term)
        assert total is not None
        yield Line("blended", "the four, added in this order, and +0", total + np.float32(0))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Larger, smaller and equal sizes, down to one pixel; each way to place pixels."""
    input = draw(_window.image_input(make, dtype))
    n, height, width, channels = input.shape
    sizes = [draw(make.sampled_from((draw(make.integers(1, 12)), 2 * before, before, 1))) for before in (height, width)]
    ways = (False, False), (True, False), (False, True)
    align_corners, half_pixel_centers = draw(make.sampled_from(ways))
    options = {"align_corners": align_corners, "half_pixel_centers": half_pixel_centers}
    output = make.tensor((n, *sizes, channels), dtype, input.quantization)
    return Node("RESIZE_BILINEAR", options, (input, make.constant(np.array(sizes, np.int32))), (output,))


FACTS = Facts(
    homogeneous=True,
    shares_scale=True,
    quantized=Quantizing(),
    c_kernels={t: f"resize_bilinear_{t}" for t in ("int8", "float32")},
)

KERNELS = {
    ("RESIZE_BILINEAR", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("RESIZE_BILINEAR", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
