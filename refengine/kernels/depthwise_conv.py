"""DEPTHWISE_CONV_2D: out[b, y, x, oc] = act(Σ_{fy, fx} (in[b, iy, ix, oc // m] − zx) · filter[fy, fx, oc] + bias).

TFLM: `kernels/depthwise_conv.cc`, `depthwise_conv_common.cc`; the sums in
`kernels/internal/reference/{integer_ops/depthwise_conv.h,depthwiseconv_float.h}`. m is the depth multiplier.
Filters are 1HW(C·m), quantised along dimension 3; int16 layers take an int64 bias only. The weights' zero point is
ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import float32
from ..numerics.gemm import exact_gemm
from ..numerics.quantize import float_activation_range
from ..numerics.requantize import Requantizer
from . import _affine, _cmsis_nn, _linear, _litert, _narrate, _window


@dataclass(frozen=True, eq=False)
class Params:
    """Integer layers: `weights` (filter rows, filter columns, channels, m) in a float type that sums them exactly."""

    window: _window.Window
    input_offset: int
    weights: Array
    requantize: Requantizer
    output_shape: tuple[int, ...]

    @property
    def macs(self) -> int:
        return prod(self.output_shape) * prod(self.window.filter)

    @cached_property
    def lines(self) -> Array:
        return _lines(self.weights, self.window)


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float layers: `weights` (filter rows, filter columns, channels, m); `inside`: see `_linear.taps_inside`."""

    window: _window.Window
    weights: Array
    inside: Array | None
    bias: Array
    float_activation_min: np.float32
    float_activation_max: np.float32
    contraction: str
    output_shape: tuple[int, ...]

    @property
    def macs(self) -> int:
        return prod(self.output_shape) * prod(self.window.filter)

    @cached_property
    def lines(self) -> Array:
        return _lines(self.weights, self.window)

    @cached_property
    def bias_of_lines(self) -> Array:
        return np.tile(self.bias, self.window.side_by_side(self.bias.size))


def _lines(weights: Array, window: _window.Window) -> Array:
    """The weights as `Window.lines` meet them."""
    channels = weights.shape[2] * weights.shape[3]
    return np.tile(weights.reshape(*window.filter, 1, channels), window.side_by_side(channels))


def _operands(node: Node) -> tuple[Tensor, Tensor, Tensor | None, Tensor, _window.Window]:
    """(input, filter, bias, output, window) after the checks that do not depend on the type."""
    input, filter, bias, output = _linear.operands(node)
    channels = filter.shape[3]
    consistent(
        filter.shape[0] == 1
        and channels == output.shape[3]
        and channels == input.shape[3] * node.options["depth_multiplier"]
        and input.shape[0] == output.shape[0],
        f"input '{input.name}' {input.shape}, filter '{filter.name}' {filter.shape}, depth multiplier "
        f"{node.options['depth_multiplier']} and output '{output.name}' {output.shape} do not fit together",
    )
    require(
        len(node.inputs) == 2 or bias is not None,
        "the bias is listed as left out, on which TFLM crashes; convert again with a bias, or with two inputs",
    )
    require(
        not (input.dtype == "int16" and bias is not None and bias.dtype == "int32"),
        "TFLM's int16 depthwise convolution reads an int64 bias, this one is int32; convert again with int64 bias",
    )
    return (
        input,
        filter,
        bias,
        output,
        _window.window_of(node.options, input.shape, (filter.shape[1], filter.shape[2]), output.shape),
    )


def prepare(node: Node, numerics: Numerics, prove: bool = True) -> Params:
    """Refuses hybrid layers, and shapes that do not fit together."""
    input, filter, bias, output, window = _operands(node)
    assert filter.data is not None
    _cmsis_nn.check_symmetric(numerics, input, output)
    bits = _linear.accumulator_bits(input, bias, node.options)
    channels, offset = filter.shape[3], _linear.convolution_offset(input)
    gemm = exact_gemm(filter.data.reshape(-1, channels).T, _linear.magnitude(input.dtype, offset))
    dtype = gemm.dtype if len(gemm.blocks) == 1 else np.float64
    weights = filter.data.reshape(*window.filter, input.shape[3], -1).astype(dtype)
    requantize = _linear.channel_requantizer(
        node.options,
        input,
        filter,
        bias,
        output,
        _cmsis_nn.rounding(numerics, bits, _rounding(node, input, filter, numerics)),
        3,
        slice(None),
        gemm.bound if prove else None,
        bits,
    )
    return Params(window, offset, weights, requantize, output.shape)


def _rounding(node: Node, input: Tensor, filter: Tensor, numerics: Numerics) -> str:
    """XNNPACK has kernels of its own for up to 25 taps of one output channel an input channel."""
    rounding = _litert.layer_rounding(numerics, node)
    small = filter.shape[1] * filter.shape[2] <= 25 and filter.shape[3] == input.shape[3] > 1
    return "xnnpack-int16" if rounding == "xnnpack-int32" and small else rounding


def evaluate(p: Params, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """(B, n, h, w, c) codes → (B, *output_shape) codes."""
    images = input.reshape(-1, *input.shape[2:])
    dtype, alone = p.weights.dtype, p.weights.shape[2] == 1
    passed = p.output_shape[3] * prod(p.window.stride)  # numbers of the image for each position
    sums, size = (by_product, prod(p.window.filter)) if alone else (by_lines, passed)
    output = p.window.in_tiles(
        images,
        size * dtype.itemsize,
        lambda part: p.window.centred(part, p.input_offset, dtype),
        lambda padded, rows, out: p.requantize(sums(p, padded, rows), overwrite=True),
    )
    return output.reshape(-1, *p.output_shape)


def by_product(p: Params, padded: Array, rows: slice) -> Array:
    """The sums (n, rows, columns, channels) of output `rows` of one input channel: a matrix product."""
    product: Array = p.window.columns(padded, rows) @ p.weights.reshape(prod(p.window.filter), -1)
    return product.reshape(len(padded), -1, p.window.output[1], product.shape[1])


def by_lines(p: Params, padded: Array, rows: slice) -> Array:
    """The same of any, over whole lines of pixels: NumPy's loops are slow over a few channels only."""
    total: Array = np.einsum("abnyxc,abxc->nyxc", p.window.lines(_repeated(p, padded), rows), p.lines)
    return total.reshape(*total.shape[:2], p.window.output[1], -1)


def _repeated(p: Params | FloatParams, images: Array) -> Array:
    """The images with each channel as often as it is weighted."""
    times = p.weights.shape[3]
    return images if times == 1 else images.repeat(times, axis=3)


def explain(p: Params, at: At, input: Array, filter: Array, bias: Array | None = None) -> Iterator[Line]:
    """Element `index` = (image, y, x, oc) of the output, as TFLM sums it."""
    image, y, x, channel = at.index
    ic = channel // p.weights.shape[3]
    acc = 0
    for fy, fx, iy, ix in p.window.taps(y, x):
        code, weight = int(input[image, iy, ix, ic]), int(filter[0, fy, fx, channel])
        product = (code + p.input_offset) * weight
        acc += product
        yield Line(
            "tap",
            f"input[{iy}, {ix}, {ic}] = {code} {p.input_offset:+d}, filter[{fy}, {fx}, {channel}] = {weight}: "
            f"{code + p.input_offset} · {weight}",
            product,
        )
    yield from _linear.explain_requantized(acc, channel, p.requantize)


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses what `prepare` refuses."""
    input, filter, bias, output, window = _operands(node)
    assert filter.data is not None
    weights = filter.data.reshape(*window.filter, input.shape[3], -1)
    low, high = float_activation_range(node.options["fused_activation_function"])
    return FloatParams(
        window,
        weights,
        _linear.taps_inside(filter, window),
        _linear.float_bias(bias, filter.shape[3]),
        low,
        high,
        numerics.contraction,
        output.shape,
    )


def evaluate_float(p: FloatParams, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """(B, n, h, w, c) float32 → (B, *output_shape) float32, each sum in order from 0.0, the bias last."""
    images = input.reshape(-1, *input.shape[2:])
    sums = floats_by_lines if p.inside is None else floats_by_patches

    def compute(padded: Array, rows: slice, out: Array | None) -> Array:
        with np.errstate(all="ignore"):
            total = sums(p, padded, rows)
        return float32.clamp_sums(total, p.float_activation_min, p.float_activation_max, p.contraction, out)

    output = p.window.in_tiles(images, 4 * p.output_shape[3] * prod(p.window.stride), p.window.padded, compute)
    return output.reshape(-1, *p.output_shape)


def floats_by_patches(p: FloatParams, padded: Array, rows: slice) -> Array:
    """The sums (n, rows, columns, channels) of output `rows`, of the taps inside the image, and the bias."""
    patches = p.window.patches(padded)[:, rows]
    total = np.zeros((*patches.shape[:3], *p.weights.shape[2:]), np.float32)
    for fy, fx in np.ndindex(p.window.filter):
        x, w = patches[:, :, :, fy, fx, :, None], p.weights[fy, fx]
        inside = True if p.inside is None else p.inside[rows, :, fy, fx, None, None]
        total = _linear.accumulate(total, x, w, p.contraction, inside)
    return total.reshape(*patches.shape[:3], -1) + p.bias


def floats_by_lines(p: FloatParams, padded: Array, rows: slice) -> Array:
    """The same over whole lines of pixels, where it is no matter what pads: see `_linear.taps_inside`."""
    total = float32.sums_over_taps(p.window.lines(_repeated(p, padded), rows), p.lines, p.contraction)
    total += p.bias_of_lines
    return total.reshape(*total.shape[:2], p.window.output[1], -1)


def explain_float(p: FloatParams, at: At, input: Array, filter: Array, bias: Array | None = None) -> Iterator[Line]:
    """Element `index` = (image, y, x, oc) of the output, as TFLM sums it."""
    image, y, x, channel = at.index
    ic = channel // p.weights.shape[3]
    taps = (
        (f"input[{iy}, {ix}, {ic}]", input[image, iy, ix, ic], filter[0, fy, fx, channel])
        for fy, fx, iy, ix in p.window.taps(y, x)
    )
    yield from _narrate.float_layer(
        taps, p.bias[channel], p.contraction, p.float_activation_min, p.float_activation_max
    )


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any padding, stride, dilation, depth multiplier and activation, with a bias or two inputs only."""
    input = draw(_window.image_input(make, dtype, asymmetric=True))
    options, (fh, fw), (oh, ow) = _window.draw_window(draw, make, input.shape)
    multiplier = draw(make.integers(1, 3))
    options["depth_multiplier"] = multiplier
    channels = input.shape[3] * multiplier
    layer = _linear.draw_layer(draw, make, input, (1, fh, fw, channels), 3, bias_types=("int64",))
    output = make.tensor((input.shape[0], oh, ow, channels), dtype, layer.output)
    options["fused_activation_function"] = _affine.draw_activation(draw, make, output)
    inputs = (input, layer.filter) if layer.bias is None else (input, layer.filter, layer.bias)
    return Node("DEPTHWISE_CONV_2D", options, inputs, (output,))


FACTS = Facts(
    weights=1,
    bias=2,
    layout="1HWO",
    quantized=Quantizing({"int8": 3, "int16": 3}),
    c_kernels={dtype: f"depthwise_conv_{dtype}" for dtype in ("int8", "float32", "int16")},
)

_CODES = _linear.layer(prepare, evaluate, explain, partial(prepare, prove=False))
_FLOATS = _linear.layer(prepare_float, evaluate_float, explain_float)

KERNELS = {
    ("DEPTHWISE_CONV_2D", "int8"): Kernel(*_CODES, partial(example, dtype="int8"), FACTS),
    ("DEPTHWISE_CONV_2D", "int16"): Kernel(*_CODES, partial(example, dtype="int16"), FACTS),
    ("DEPTHWISE_CONV_2D", "float32"): Kernel(*_FLOATS, partial(example, dtype="float32"), FACTS),
}
