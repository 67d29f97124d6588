"""TRANSPOSE_CONV: out[b, y, x, oc] = act(Σ (in[b, iy, ix, ic] − zx) · filter[oc, fy, fx, ic] + bias[oc]), over all
iy, fy with iy · stride − pad + fy = y, and x alike: a convolution backwards, which scatters each pixel over a window.

TFLM: `kernels/transpose_conv.cc`; the sums in `kernels/internal/reference/{integer_ops/,}transpose_conv.h`. The padding
is that of the forward convolution of an image of the output's size. The first input, that size, is never read: the
output tensor's shape counts. Filters are OHWI; their zero point is ignored, and int16 layers add no output zero point.
Float sums run over input rows, columns and channels, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Options, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import float32
from ..numerics.quantize import float_activation_range
from ..numerics.requantize import Requantizer
from . import _affine, _linear, _litert, _narrate

TYPES: _linear.Types = {
    "int8": (("int8",), ("int32",)),
    "int16": (("int8",), ("int64", "int16")),
    "float32": (("float32",), ("float32",)),
}
"""No int4 weights."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """(height, width) pairs throughout; `pad` is how far the output begins before its first pixel."""

    filter: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    input: tuple[int, int]
    output: tuple[int, int]

    def reach(self, tap: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Rows and columns of the input whose products with a filter tap lie inside the output, and where there."""
        sources, targets = [], []
        for t, stride, pad, size, length in zip(tap, self.stride, self.pad, self.input, self.output, strict=True):
            first = max(0, -(-(pad - t) // stride))
            stop = max(first, min(size, -(-(length + pad - t) // stride)))
            start = first * stride - pad + t
            sources.append(slice(first, stop))
            targets.append(slice(start, start + (stop - first) * stride, stride))
        return (sources[0], sources[1]), (targets[0], targets[1])

    def taps(self, y: int, x: int) -> Iterator[tuple[int, int, int, int]]:
        """(filter row, filter column, input row, input column) of what comes to an output pixel, in TFLM's order."""
        for iy in range(self.input[0]):
            for ix in range(self.input[1]):
                fy, fx = y - iy * self.stride[0] + self.pad[0], x - ix * self.stride[1] + self.pad[1]
                if 0 <= fy < self.filter[0] and 0 <= fx < self.filter[1]:
                    yield fy, fx, iy, ix


@dataclass(frozen=True, eq=False)
class Params:
    """Integer layers: `weights` (filter rows, filter columns, ic, oc) in a float type that sums them exactly."""

    scatter: Scatter
    input_offset: int
    weights: Array
    requantize: Requantizer
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def macs(self) -> int:
        """Products, those that fall outside the output too."""
        return prod(self.input_shape) * prod(self.scatter.filter) * self.output_shape[3]


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float layers: `weights` (filter rows, filter columns, ic, oc); `bias` is −0, which changes no sum, for none."""

    scatter: Scatter
    weights: Array
    bias: Array
    float_activation_min: np.float32
    float_activation_max: np.float32
    contraction: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def macs(self) -> int:
        """Products, those that fall outside the output too."""
        return prod(self.input_shape) * prod(self.scatter.filter) * self.output_shape[3]


def _operands(node: Node) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Scatter]:
    """(input, filter, bias, output, scatter) after the checks that do not depend on the type."""
    consistent(
        len(node.inputs) in (3, 4) and None not in node.inputs[:3] and len(node.outputs) == 1,
        f"expected output size, filter, input and an optional bias, and 1 output, got {node.arity}",
    )
    (_, filter, input, *rest), output = node.inputs, node.outputs[0]
    assert filter is not None and input is not None
    bias = rest[0] if rest else None
    require(
        bias is None or (input.dtype, bias.dtype) != ("int16", "int32"),
        f"bias '{bias and bias.name}' is int32, which TFLM's int16 layers of this kind read as int64, and beyond its "
        "end; they take int64 or int16: convert the model again",
    )
    _linear.check_types(input, filter, bias, output, TYPES)
    consistent(
        len(input.shape) == len(filter.shape) == len(output.shape) == 4
        and (input.shape[0], filter.shape[0], filter.shape[3]) == (output.shape[0], output.shape[3], input.shape[3]),
        f"input '{input.name}' {input.shape}, filter '{filter.name}' {filter.shape} and output '{output.name}' "
        f"{output.shape} do not fit together",
    )
    return input, filter, bias, output, _scatter(node.options, input.shape, filter.shape, output.shape)


def _scatter(options: Options, input: tuple[int, ...], filter: tuple[int, ...], output: tuple[int, ...]) -> Scatter:
    """TFLM: `ComputePaddingHeightWidth`, kernels/padding.h, called with the output's size for the image's."""
    stride = (options["stride_h"], options["stride_w"])
    require(
        min(*stride, *filter[1:3]) > 0 and max(stride) < 2**15,
        f"filter {filter[1:3]} and stride {stride} must be positive, and fit TFLM's 16 bits; convert again with such",
    )
    consistent(options["padding"] in ("SAME", "VALID"), f"padding {options['padding']} is neither SAME nor VALID")
    pads = []
    for step, taps, size in zip(stride, filter[1:3], output[1:3], strict=True):
        # C's division truncates: outputs smaller than the filter have one position too many.
        positions = -(-size // step) if options["padding"] == "SAME" else int((size + step - taps) / step)
        pads.append(max(0, (positions - 1) * step + taps - size) // 2)
    return Scatter((filter[1], filter[2]), stride, (pads[0], pads[1]), (input[1], input[2]), (output[1], output[2]))


def prepare(node: Node, numerics: Numerics, prove: bool = True) -> Params:
    """Refuses hybrid layers, int4 weights, int32 biases of int16 layers, and shapes that do not fit together."""
    input, filter, bias, output, scatter = _operands(node)
    assert filter.data is not None
    offset = _linear.convolution_offset(input)
    reach = np.abs(filter.data.astype(np.int64)).sum(axis=(1, 2, 3)) * _linear.magnitude(input.dtype, offset)
    dtype = np.float32 if reach.max() <= 2**24 else np.float64
    options = {**node.options, "quantized_bias_type": ""}  # which TFLM does not read here: without bias 64 bits, too
    requantize = _linear.channel_requantizer(
        options,
        input,
        filter,
        bias,
        output,
        _litert.layer_rounding(numerics, node),
        0,
        slice(None),
        reach if prove else None,
        _linear.accumulator_bits(input, bias, options),
    )
    weights = np.ascontiguousarray(filter.data.transpose(1, 2, 3, 0), dtype)
    return Params(scatter, offset, weights, requantize, input.shape, output.shape)


def evaluate(p: Params, size: Array, filter: Array, input: Array, bias: Array | None = None) -> Array:
    """(B, n, h, w, c) codes → (B, *output_shape) codes, a matrix product a tap, exact in any order."""
    images = np.add(input.reshape(-1, *p.input_shape[1:]), p.input_offset, dtype=p.weights.dtype)
    acc = np.zeros((len(images), *p.output_shape[1:]), p.weights.dtype)
    for tap in np.ndindex(p.scatter.filter):
        (rows, columns), (y, x) = p.scatter.reach(tap)
        seen = images[:, rows, columns]
        acc[:, y, x] += (seen.reshape(-1, seen.shape[3]) @ p.weights[tap]).reshape(*seen.shape[:3], p.output_shape[3])
    return p.requantize(acc).reshape(-1, *p.output_shape)


def explain(p: Params, at: At, size: Array, filter: Array, input: Array, bias: Array | None = None) -> Iterator[Line]:
    """Element `index` = (image, y, x, oc) of the output, as TFLM sums it."""
    image, y, x, channel = at.index
    acc = 0
    for fy, fx, iy, ix in p.scatter.taps(y, x):
        for ic, (code, weight) in enumerate(
            zip(input[image, iy, ix].tolist(), filter[channel, fy, fx].tolist(), strict=True)
        ):
            product = (code + p.input_offset) * weight
            acc += product
            yield Line(
                "tap",
                f"input[{iy}, {ix}, {ic}] = {code} {p.input_offset:+d}, filter[{fy}, {fx}, {ic}] = {weight}: "
                f"{code + p.input_offset} · {weight}",
                product,
            )
    yield from _linear.explain_requantized(acc, channel, p.requantize)


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses what `prepare` refuses."""
    input, filter, bias, output, scatter = _operands(node)
    assert filter.data is not None
    channels = filter.shape[0]
    low, high = float_activation_range(node.options["fused_activation_function"])
    return FloatParams(
        scatter,
        np.ascontiguousarray(filter.data.transpose(1, 2, 3, 0)),
        np.full(channels, np.float32(-0.0)) if bias is None else _linear.float_bias(bias, channels),
        low,
        high,
        numerics.contraction,
        input.shape,
        output.shape,
    )


def evaluate_float(p: FloatParams, size: Array, filter: Array, input: Array, bias: Array | None = None) -> Array:
    """(B, n, h, w, c) float32 → (B, *output_shape) float32, each sum in order from 0.0, the bias last.

    Rows and columns of the input that come later meet earlier taps.
    """
    images = input.reshape(-1, *p.input_shape[1:])
    acc = np.zeros((len(images), *p.output_shape[1:]), np.float32)
    with np.errstate(all="ignore"):
        for tap in reversed(list(np.ndindex(p.scatter.filter))):
            (rows, columns), (y, x) = p.scatter.reach(tap)
            seen, total = images[:, rows, columns, :, None], acc[:, y, x]
            for ic, weights in enumerate(p.weights[tap]):
                total[...] = _linear.accumulate(total, seen[..., ic, :], weights, p.contraction)
        acc += p.bias
    return float32.clamp(acc, p.float_activation_min, p.float_activation_max).reshape(-1, *p.output_shape)


def explain_float(
    p: FloatParams, at: At, size: Array, filter: Array, input: Array, bias: Array | None = None
) -> Iterator[Line]:
    """Element `index` = (image, y, x, oc) of the output, as TFLM sums it."""
    image, y, x, channel = at.index
    taps = (
        (f"input[{iy}, {ix}, {ic}]", value, weight)
        for fy, fx, iy, ix in p.scatter.taps(y, x)
        for ic, (value, weight) in enumerate(zip(input[image, iy, ix], filter[channel, fy, fx], strict=True))
    )
    yield from _narrate.float_layer(
        taps, p.bias[channel], p.contraction, p.float_activation_min, p.float_activation_max
    )


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any padding, stride and filter; outputs that fit the input, and at times others; the size constant or fed."""
    quantization = make.quantization(dtype, asymmetric=True)
    input = draw(make.input(make.image(), dtype, quantization, lambda t: len(t.shape) == 4))
    n, *image, depth = input.shape
    padding = draw(make.sampled_from(("SAME", "VALID")))
    stride, filter = ([draw(make.integers(1, most)) for _ in image] for most in (3, 4))
    output = [
        max(
            1, (size * step if padding == "SAME" else (size - 1) * step + taps) + draw(make.sampled_from((0, 0, -1, 2)))
        )
        for size, step, taps in zip(image, stride, filter, strict=True)
    ]
    channels = draw(make.integers(1, draw(make.sampled_from((4, 17)))))
    shape = (channels, *filter, depth)
    layer = _linear.draw_layer(draw, make, input, shape, 0, bias_types=("int64", "int16"), int4=())
    result = make.tensor((n, *output, channels), dtype, layer.output)
    size = make.constant(np.array(result.shape, np.int32)) if draw(make.booleans()) else make.tensor((4,), "int32")
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "fused_activation_function": _affine.draw_activation(draw, make, result),
    }
    return Node("TRANSPOSE_CONV", options, (size, layer.filter, input, layer.bias), (result,))


FACTS = Facts(
    data=2,
    weights=1,
    bias=3,
    layout="OHWI",
    quantized=Quantizing({"int8": 2, "int16": 3}, {"quantized_bias_type": "int64"}),
    c_kernels={t: f"transpose_conv_{t}" for t in ("int8", "int16", "float32")},
)

_CODES = _linear.layer(prepare, evaluate, explain, partial(prepare, prove=False), (1, 3))
_FLOATS = _linear.layer(prepare_float, evaluate_float, explain_float, places=(1, 3))

KERNELS = {
    ("TRANSPOSE_CONV", "int8"): Kernel(*_CODES, partial(example, dtype="int8"), FACTS),
    ("TRANSPOSE_CONV", "int16"): Kernel(*_CODES, partial(example, dtype="int16"), FACTS),
    ("TRANSPOSE_CONV", "float32"): Kernel(*_FLOATS, partial(example, dtype="float32"), FACTS),
}
