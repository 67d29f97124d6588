"""CONV_2D: out[b, y, x, oc] = activation(Σ_{fy, fx, ic} (in[b, iy, ix, ic] − zx) · filter[oc, fy, fx, ic] + bias[oc]).

TFLM: `kernels/conv.cc`, `conv_common.cc`; the sums in `kernels/internal/reference/{integer_ops/,}conv.h`. Taps outside
the image are skipped, which equals padding with zx. Filters are OHWI; where they have fewer input channels than the
input, channels fall into groups. The weights' zero point is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..errors import consistent, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import float32
from ..numerics.float32 import Float32
from ..numerics.gemm import Gemm, exact_gemm
from ..numerics.quantize import float_activation_range
from ..numerics.requantize import Requantizer
from . import _affine, _cmsis_nn, _linear, _litert, _narrate, _window


@dataclass(frozen=True, eq=False)
class Params:
    """Integer layers: for each group of channels its matrix product and its `Requantizer`."""

    window: _window.Window
    input_offset: int
    groups: tuple[tuple[Gemm, Requantizer], ...]
    filter_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def macs(self) -> int:
        return prod(self.output_shape) * prod(self.filter_shape[1:])


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float layers: for each group its weights (outputs, taps), as the transpose of a contiguous array.

    `inside`: see `_linear.taps_inside`.
    """

    window: _window.Window
    groups: tuple[Array, ...]
    inside: Array | None
    bias: Array
    float_activation_min: np.float32
    float_activation_max: np.float32
    contraction: str
    filter_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def macs(self) -> int:
        return prod(self.output_shape) * prod(self.filter_shape[1:])


def _operands(node: Node) -> tuple[Tensor, Tensor, Tensor | None, Tensor, _window.Window, int]:
    """(input, filter, bias, output, window, groups) after the checks that do not depend on the type."""
    input, filter, bias, output = _linear.operands(node)
    channels, depth = filter.shape[0], filter.shape[3]
    consistent(
        min(depth, input.shape[3]) > 0 and input.shape[3] % depth == 0 and channels % (input.shape[3] // depth) == 0,
        f"{input.shape[3]} input channels are no multiple of the {depth} of filter '{filter.name}' {filter.shape}",
    )
    consistent(
        output.shape[0] == input.shape[0] and output.shape[3] == channels,
        f"input '{input.name}' {input.shape}, filter {filter.shape} and output '{output.name}' {output.shape} "
        "do not fit together",
    )
    window = _window.window_of(node.options, input.shape, (filter.shape[1], filter.shape[2]), output.shape)
    return input, filter, bias, output, window, input.shape[3] // depth


def prepare(node: Node, numerics: Numerics, prove: bool = True) -> Params:
    """Refuses hybrid layers, and shapes or groups that do not fit together."""
    input, filter, bias, output, window, groups = _operands(node)
    channels = filter.shape[0]
    assert filter.data is not None
    _cmsis_nn.check_symmetric(numerics, input, output)
    within_limits(
        groups == 1 or input.dtype == "int8" or not _cmsis_nn.speaks(numerics),
        "CMSIS-NN's int16 convolution knows no groups of channels, and reads beyond the weights, which refengine does "
        "not repeat: convert again without groups, or to int8",
    )
    weights, offset = filter.data.reshape(channels, -1), _linear.convolution_offset(input)
    bits = _accumulator_bits(node, input, bias, numerics)
    rounding = _cmsis_nn.rounding(numerics, bits, _rounding(numerics, node, bits, groups))
    if bits == 64 and _cmsis_nn.speaks(numerics):
        most = weights if prove else np.full_like(weights, -128)  # those computed at run time may be any
        _cmsis_nn.check_convolution(most, prod(output.shape[1:3]), filter.name)
    parts = []
    for part in _parts(channels, groups):
        gemm = exact_gemm(weights[part], _linear.magnitude(input.dtype, offset))
        requantize = _linear.channel_requantizer(
            node.options, input, filter, bias, output, rounding, 0, part, gemm.bound if prove else None, bits
        )
        parts.append((gemm, requantize))
    return Params(window, offset, tuple(parts), filter.shape, output.shape)


def _rounding(numerics: Numerics, node: Node, bits: int, groups: int) -> str:
    """LiteRT's own kernel multiplies matrices by ruy, int8 ones and int16 ones of a 32-bit sum, but for groups."""
    behind = "double" if groups > 1 else "ruy"
    if numerics.kernels == "litert" and node.outputs[0].dtype == "int16" and bits == 32:
        return behind
    return _litert.layer_rounding(numerics, node, behind)


def _accumulator_bits(node: Node, input: Tensor, bias: Tensor | None, numerics: Numerics) -> int:
    """32 or 64. TFLM's kernel for CMSIS-NN takes a bias that is left out for one of int32, whatever the options say."""
    if bias is None and _cmsis_nn.speaks(numerics):
        return 32
    return _linear.accumulator_bits(input, bias, node.options)


def evaluate(p: Params, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """(B, n, h, w, c) codes → (B, *output_shape) codes, by exact matrix products over gathered patches."""
    images = input.reshape(-1, *input.shape[2:])
    taps, channels, dtype = prod(p.filter_shape[1:]), p.output_shape[3], p.groups[0][0].dtype
    size = max(taps * len(p.groups), 2 * channels) * dtype.itemsize
    output = p.window.in_tiles(
        images, size, lambda part: p.window.centred(part, p.input_offset, dtype), partial(_codes, p)
    )
    return output.reshape(-1, *p.output_shape)


def _codes(p: Params, padded: Array, rows: slice, out: Array | None) -> Array:
    """(n, rows, columns, channels) of output `rows`."""
    made, depth = [], p.filter_shape[3]
    for g, (gemm, requantize) in enumerate(p.groups):
        columns = p.window.columns(padded[..., g * depth : (g + 1) * depth], rows)
        made.append(requantize(gemm(columns.astype(gemm.dtype, copy=False)), overwrite=True))
    codes = made[0] if len(made) == 1 else np.concatenate(made, axis=1)
    return codes.reshape(len(padded), -1, *p.output_shape[2:])


def explain(p: Params, at: At, input: Array, filter: Array, bias: Array | None = None) -> Iterator[Line]:
    """Element `index` = (image, y, x, oc) of the output, as TFLM sums it."""
    image, y, x, channel = at.index
    _, _, _, depth = p.filter_shape
    group, within = divmod(channel, p.filter_shape[0] // len(p.groups))
    acc = 0
    for fy, fx, iy, ix in p.window.taps(y, x):
        for ic in range(depth):
            code, weight = int(input[image, iy, ix, group * depth + ic]), int(filter[channel, fy, fx, ic])
            product = (code + p.input_offset) * weight
            acc += product
            yield Line(
                "tap",
                f"input[{iy}, {ix}, {group * depth + ic}] = {code} {p.input_offset:+d}, "
                f"filter[{fy}, {fx}, {ic}] = {weight}: {code + p.input_offset} · {weight}",
                product,
            )
    yield from _linear.explain_requantized(acc, within, p.groups[group][1])


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses what `prepare` refuses."""
    _, filter, bias, output, window, groups = _operands(node)
    channels = filter.shape[0]
    assert filter.data is not None
    weights = filter.data.reshape(channels, -1)
    low, high = float_activation_range(node.options["fused_activation_function"])
    return FloatParams(
        window,
        tuple(np.ascontiguousarray(weights[part].T).T for part in _parts(channels, groups)),
        _linear.taps_inside(filter, window),
        _linear.float_bias(bias, channels),
        low,
        high,
        numerics.contraction,
        filter.shape,
        output.shape,
    )


def evaluate_float(p: FloatParams, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """(B, n, h, w, c) float32 → (B, *output_shape) float32, each sum in order from 0.0, the bias last."""
    images = input.reshape(-1, *input.shape[2:])
    size = 4 * max(prod(p.filter_shape[1:]), 2 * p.output_shape[3])
    return p.window.in_tiles(images, size, p.window.padded, partial(_floats, p)).reshape(-1, *p.output_shape)


def _floats(p: FloatParams, padded: Array, rows: slice, out: Array | None) -> Array:
    """(n, rows, columns, channels) of output `rows`, in `out` if there is one."""
    patches = p.window.patches(padded)[:, rows]
    made, (taps, depth) = [], (prod(p.filter_shape[1:]), p.filter_shape[3])
    for g, weights in enumerate(p.groups):
        seen = patches[..., g * depth : (g + 1) * depth]
        columns = np.ascontiguousarray(seen.transpose(3, 4, 5, 0, 1, 2)).reshape(taps, -1)
        if p.inside is None:
            made.append(float32.sequential_matmul(columns.T, weights, p.contraction))
        else:
            inside = np.broadcast_to(p.inside[rows, ..., None], seen.shape).transpose(3, 4, 5, 0, 1, 2)
            made.append(_sum_inside(columns, weights, inside.reshape(taps, -1), p.contraction))
    total = made[0] if len(made) == 1 else np.concatenate(made, axis=1)
    with np.errstate(all="ignore"):
        total += p.bias
    total = total.reshape(*patches.shape[:3], -1)
    return float32.clamp_sums(total, p.float_activation_min, p.float_activation_max, p.contraction, out)


def _sum_inside(columns: Float32, weights: Float32, inside: Array, contraction: str) -> Float32:
    """(taps, positions) by (outputs, taps) to (positions, outputs), over the taps `inside` (taps, positions)."""
    total = np.zeros((columns.shape[1], len(weights)), np.float32)
    with np.errstate(all="ignore"):
        for x, w, counts in zip(columns, weights.T, inside, strict=True):
            total = _linear.accumulate(total, x[:, None], w, contraction, counts[:, None])
    return total


def explain_float(p: FloatParams, at: At, input: Array, filter: Array, bias: Array | None = None) -> Iterator[Line]:
    """Element `index` = (image, y, x, oc) of the output, as TFLM sums it."""
    image, y, x, channel = at.index
    depth = p.filter_shape[3]
    first = channel // (p.filter_shape[0] // len(p.groups)) * depth
    taps = (
        (f"input[{iy}, {ix}, {first + ic}]", input[image, iy, ix, first + ic], filter[channel, fy, fx, ic])
        for fy, fx, iy, ix in p.window.taps(y, x)
        for ic in range(depth)
    )
    yield from _narrate.float_layer(
        taps, p.bias[channel], p.contraction, p.float_activation_min, p.float_activation_max
    )


def _parts(channels: int, groups: int) -> list[slice]:
    """The output channels of each group."""
    step = channels // groups
    return [slice(g * step, (g + 1) * step) for g in range(groups)]


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any padding, stride, dilation, grouping and activation; int8 or int4 weights; with and without bias."""
    input = draw(_window.image_input(make, dtype, asymmetric=True))
    options, (fh, fw), (oh, ow) = _window.draw_window(draw, make, input.shape)
    groups = draw(make.sampled_from([groups for groups in (1, 1, 2, 3) if input.shape[3] % groups == 0]))
    channels = groups * draw(make.channels()) if groups == 1 else groups * draw(make.integers(1, 4))
    layer = _linear.draw_layer(draw, make, input, (channels, fh, fw, input.shape[3] // groups), 0)
    options["quantized_bias_type"] = draw(make.sampled_from(("float32", "int32"))) if dtype == "int16" else "float32"
    output = make.tensor((input.shape[0], oh, ow, channels), dtype, layer.output)
    options["fused_activation_function"] = _affine.draw_activation(draw, make, output)
    return Node("CONV_2D", options, (input, layer.filter, layer.bias), (output,))


FACTS = Facts(
    weights=1,
    bias=2,
    layout="OHWI",
    quantized=Quantizing({"int8": 3, "int16": 3}, {"quantized_bias_type": "int64"}),
    c_kernels={"int8": "conv_int8", "float32": "conv_float32", "int16": "conv_int16"},
)

_CODES = _linear.layer(prepare, evaluate, explain, partial(prepare, prove=False))
_FLOATS = _linear.layer(prepare_float, evaluate_float, explain_float)

KERNELS = {
    ("CONV_2D", "int8"): Kernel(*_CODES, partial(example, dtype="int8"), FACTS),
    ("CONV_2D", "int16"): Kernel(*_CODES, partial(example, dtype="int16"), FACTS),
    ("CONV_2D", "float32"): Kernel(*_FLOATS, partial(example, dtype="float32"), FACTS),
}
