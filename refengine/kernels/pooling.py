"""MAX_POOL_2D, AVERAGE_POOL_2D: output[b, y, x, c] = activation(max or mean of the input[b, iy, ix, c] in the window).

TFLM: `kernels/pooling.cc`, `pooling_common.cc`; the loops in `kernels/internal/reference/{integer_ops/,}pooling.h`.
Taps outside the image are skipped and do not count. Integer means are of the codes themselves, which is why input and
output must be quantised alike, and round half away from code 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import float32, scalar
from ..numerics.quantize import activation_range, code_range, float_activation_range
from . import _affine, _litert, _narrate, _unary, _window

MINUS_ZERO = -(2**31)
"""The bits of −0.0, as int32."""


@dataclass(frozen=True, eq=False)
class Params:
    """Integer pools. `count` (y, x, 1), or (1, 1, 1) if all are equal, is how many taps lie inside the image."""

    window: _window.Window
    count: Array
    activation_min: int
    activation_max: int
    output_shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float pools. `count` as in `Params`."""

    window: _window.Window
    count: Array
    float_activation_min: np.float32
    float_activation_max: np.float32
    output_shape: tuple[int, ...]


def _operands(node: Node) -> tuple[Tensor, Tensor, _window.Window, Array]:
    """(input, output, window, count) after the checks that do not depend on the type."""
    input, output = _unary.one_each(node)
    consistent(
        output.dtype == input.dtype,
        f"output '{output.name}' is {output.dtype} but input '{input.name}' is {input.dtype}; they must agree",
    )
    consistent(
        len(input.shape) == len(output.shape) == 4
        and (input.shape[0], input.shape[3]) == (output.shape[0], output.shape[3]),
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} must be (batch, height, width, "
        "channels), with the same batch and channels",
    )
    window = _window.window_of(
        node.options, input.shape, (node.options["filter_height"], node.options["filter_width"]), output.shape
    )
    rows, columns = (
        np.minimum(size, starts + taps) - np.maximum(0, starts)
        for taps, size, starts in zip(window.filter, window.input, window.starts, strict=True)
    )
    count = np.outer(rows, columns)[:, :, None].astype(np.int32)
    return input, output, window, count if np.ptp(count) else count[:1, :1]


def prepare(node: Node, numerics: Numerics, largest: bool) -> Params:
    """Refuses an output quantised unlike the input, and shapes that do not fit together.

    XNNPACK takes the `largest` of int8, and leaves means to TFLite.
    """
    input, output, window, count = _operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    apart = si - so if numerics.scale_math == "double" else float(np.float32(si) - np.float32(so))
    require(
        abs(apart) <= 1e-6 and zi == zo,
        f"input '{input.name}' (scale {si:g}, zero point {zi}) and output '{output.name}' (scale {so:g}, zero point "
        f"{zo}) must be quantised alike for TFLM; convert the model again",
    )
    rounding = _litert.rounding(numerics, taken=largest and _litert.takes(numerics, output.dtype))
    low, high = activation_range(node.options["fused_activation_function"], output.dtype, so, zo, rounding)
    return Params(window, count, low, high, output.shape)


def evaluate_max(p: Params, input: Array) -> Array:
    """(B, n, h, w, c) codes → (B, *output_shape) codes."""
    padded = p.window.padded(input.reshape(-1, *input.shape[2:]), code_range(input.dtype.name)[0])
    largest = _over_window(p.window, np.maximum, padded)
    return largest.clip(p.activation_min, p.activation_max).reshape(-1, *p.output_shape)


def evaluate_average(p: Params, input: Array) -> Array:
    """(B, n, h, w, c) codes → (B, *output_shape) codes, by the int32 sums of the codes."""
    images = input.reshape(-1, *input.shape[2:])
    total = _sums(p.window, p.window.padded(images).astype(np.int32))
    # Half away from zero by a division that floors: ties, which only even counts have, go up unless negative.
    total += p.count // 2 - ((total < 0) & (p.count % 2 == 0))
    mean: Array = (total // p.count).clip(p.activation_min, p.activation_max)
    return mean.astype(input.dtype).reshape(-1, *p.output_shape)


def _sums(window: _window.Window, padded: Array) -> Array:
    """The sum over every window; over one that holds the whole image, in one call."""
    if window.output == (1, 1):
        whole: Array = np.einsum("nyxc->nc", padded)
        return whole[:, None, None]
    return _over_window(window, np.add, padded)


def _over_window(window: _window.Window, combine: np.ufunc, padded: Array) -> Array:
    """`combine`, whose order must not matter, over every window: its rows first, whose memory is contiguous."""
    (filter_height, filter_width), (stride_height, stride_width) = window.filter, window.stride
    height, width = ((out - 1) * stride + 1 for out, stride in zip(window.output, window.stride, strict=True))
    rows = reduce(combine, (padded[:, fy : fy + height : stride_height] for fy in range(filter_height)))
    result: Array = reduce(combine, (rows[:, :, fx : fx + width : stride_width] for fx in range(filter_width)))
    return result


def explain_max(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` = (image, y, x, channel) of the output, as TFLM finds it."""
    image, y, x, channel = at.index
    largest = code_range(input.dtype.name)[0]
    for _, _, iy, ix in p.window.taps(y, x):
        code = int(input[image, iy, ix, channel])
        largest = max(largest, code)
        yield Line("tap", f"input[{iy}, {ix}, {channel}] = {code}, largest so far {largest}", largest)
    yield from _clamp(p, largest)


def explain_average(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` = (image, y, x, channel) of the output, as TFLM sums and divides it."""
    image, y, x, channel = at.index
    acc = count = 0
    for _, _, iy, ix in p.window.taps(y, x):
        code = int(input[image, iy, ix, channel])
        acc, count = scalar.wrap(acc + code), count + 1
        yield Line("tap", f"input[{iy}, {ix}, {channel}] = {code}, running sum {acc}", acc)
    nudged = acc + (count // 2 if acc > 0 else -(count // 2))
    mean = scalar.truncated_division(nudged, count)
    yield Line("nudge", f"{acc} {nudged - acc:+d}: half the {count} taps inside the image, away from zero", nudged)
    yield Line("mean", f"{nudged} / {count}, rounded towards zero: {acc / count:.6f} → {mean}", mean)
    yield from _clamp(p, mean)


def _clamp(p: Params, code: int) -> Iterator[Line]:
    result = scalar.clamp(code, p.activation_min, p.activation_max)
    yield Line("clamp", f"{code} limited to [{p.activation_min}, {p.activation_max}]", result)


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses shapes that do not fit together."""
    _, output, window, count = _operands(node)
    low, high = float_activation_range(node.options["fused_activation_function"])
    return FloatParams(window, count.astype(np.float32), low, high, output.shape)


def evaluate_max_float(p: FloatParams, input: Array) -> Array:
    """(B, n, h, w, c) float32 → (B, *output_shape) float32; NaN never wins, of −0 and +0 the first does."""
    padded = p.window.padded(input.reshape(-1, *input.shape[2:]), -float32.FLT_MAX)
    has_minus_zero = (padded.view(np.int32) == MINUS_ZERO).any()
    return _finished(p, (largest_in_order if has_minus_zero else largest_in_any_order)(p.window, padded))


def largest_in_order(window: _window.Window, padded: Array) -> Array:
    """The largest of each window, as TFLM compares."""
    taps = window.patches(padded)
    largest = np.full(taps.shape[:3] + taps.shape[5:], -float32.FLT_MAX)
    for fy, fx in np.ndindex(window.filter):
        largest = float32.select(largest < taps[:, :, :, fy, fx], taps[:, :, :, fy, fx], largest)
    return largest


def largest_in_any_order(window: _window.Window, padded: Array) -> Array:
    """The same where all zeros are +0."""
    largest: Array = np.fmax(_over_window(window, np.fmax, padded), -float32.FLT_MAX)
    return largest


def evaluate_average_float(p: FloatParams, input: Array) -> Array:
    """(B, n, h, w, c) float32 → (B, *output_shape) float32, each sum row by row from 0.0."""
    padded = p.window.padded(input.reshape(-1, *input.shape[2:]))
    taps = p.window.patches(padded)
    total = np.zeros((len(padded), *p.output_shape[1:]), np.float32)
    with np.errstate(all="ignore"):
        for fy, fx in np.ndindex(p.window.filter):
            total += taps[:, :, :, fy, fx]  # what pads is +0, which changes no sum that began with +0
        return _finished(p, total / p.count)


def _finished(p: FloatParams, values: Array) -> Array:
    return float32.clamp(values, p.float_activation_min, p.float_activation_max).reshape(-1, *p.output_shape)


def explain_max_float(p: FloatParams, at: At, input: Array) -> Iterator[Line]:
    """Element `index` = (image, y, x, channel) of the output, as TFLM finds it."""
    image, y, x, channel = at.index
    largest = np.finfo(np.float32).min
    for _, _, iy, ix in p.window.taps(y, x):
        value = input[image, iy, ix, channel]
        largest = value if largest < value else largest
        yield Line("tap", f"input[{iy}, {ix}, {channel}] = {value:.9g}, largest so far {largest:.9g}", largest)
    yield from _narrate.finish_float(largest, p.float_activation_min, p.float_activation_max)


def explain_average_float(p: FloatParams, at: At, input: Array) -> Iterator[Line]:
    """Element `index` = (image, y, x, channel) of the output, as TFLM sums and divides it."""
    image, y, x, channel = at.index
    total, count = np.float32(0), np.float32(0)
    with np.errstate(all="ignore"):
        for _, _, iy, ix in p.window.taps(y, x):
            value = input[image, iy, ix, channel]
            total, count = total + value, count + np.float32(1)
            yield Line("tap", f"input[{iy}, {ix}, {channel}] = {value:.9g}, running sum {total:.9g}", total)
        yield Line("mean", f"{total:.9g} / {count:g} taps inside the image", total / count)
        yield from _narrate.finish_float(total / count, p.float_activation_min, p.float_activation_max)


def example(draw: Draw, make: Toolbox, op: str, dtype: str) -> Node:
    """Any padding, stride, filter and activation."""
    input = draw(_window.image_input(make, dtype))
    options, (fh, fw), (oh, ow) = _window.draw_window(draw, make, input.shape, dilated=False)
    options |= {"filter_height": fh, "filter_width": fw}
    n, _, _, channels = input.shape
    output = make.tensor((n, oh, ow, channels), dtype, input.quantization)
    options["fused_activation_function"] = _affine.draw_activation(draw, make, output)
    return Node(op, options, (input,), (output,))


MAX = Facts(
    homogeneous=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing(),
    c_kernels={dtype: f"max_pool_{dtype}" for dtype in ("int8", "float32", "int16")},
)
AVERAGE = replace(
    MAX, inexact="sums", c_kernels={dtype: f"average_pool_{dtype}" for dtype in ("int8", "float32", "int16")}
)

KERNELS = {
    (op, dtype): Kernel(
        partial(prepare, largest=op == "MAX_POOL_2D"), evaluate, explain, partial(example, op=op, dtype=dtype), facts
    )
    for op, evaluate, explain, facts in (
        ("MAX_POOL_2D", evaluate_max, explain_max, MAX),
        ("AVERAGE_POOL_2D", evaluate_average, explain_average, AVERAGE),
    )
    for dtype in ("int8", "int16")
} | {
    (op, "float32"): Kernel(prepare_float, evaluate, explain, partial(example, op=op, dtype="float32"), facts)
    for op, evaluate, explain, facts in (
        ("MAX_POOL_2D", evaluate_max_float, explain_max_float, MAX),
        ("AVERAGE_POOL_2D", evaluate_average_float, explain_average_float, AVERAGE),
    )
}
