"""FULLY_CONNECTED: output[b, o] = activation(Σ_d (input[b, d] − zx) · (weights[o, d] − zw) + bias[o], rescaled).

TFLM: `kernels/fully_connected.cc`, `fully_connected_common.cc`; the sums in
`kernels/internal/reference/{integer_ops/,}fully_connected.h`. The leading dimensions of input and output are one long
batch. The zero point of the weights counts only with per-tensor weights; per-channel ones are taken as symmetric, and
by CMSIS-NN's int16 kernel all are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import float32
from ..numerics.gemm import Gemm, exact_gemm
from ..numerics.quantize import activation_range, float_activation_range, product_multiplier
from ..numerics.requantize import Requantizer, requantizer
from . import _cmsis_nn, _linear, _litert, _narrate
from ._affine import draw_activation, params_of, quantized


@dataclass(frozen=True, eq=False)
class Params:
    """Integer layers. `gemm` holds weights plus `weights_offset`, `requantize` the rest of TFLM's OpData."""

    input_offset: int
    weights_offset: int
    output_shape: tuple[int, ...]
    accum_depth: int
    gemm: Gemm
    requantize: Requantizer

    @property
    def macs(self) -> int:
        return prod(self.output_shape) * self.accum_depth


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float layers. `weights` (outputs, depth) as the transpose of a contiguous array, `bias` (outputs,)."""

    weights: Array
    bias: Array
    float_activation_min: np.float32
    float_activation_max: np.float32
    contraction: str
    output_shape: tuple[int, ...]

    @property
    def macs(self) -> int:
        return prod(self.output_shape) * int(self.weights.shape[1])


def _operands(node: Node) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """(input, weights, bias, output) after the checks that do not depend on the type."""
    consistent(
        len(node.inputs) in (2, 3)
        and node.inputs[0] is not None
        and node.inputs[1] is not None
        and len(node.outputs) == 1,
        f"expected input, weights and an optional bias, got {node.arity}",
    )
    input, filter, bias, output = (
        node.inputs[0],
        node.inputs[1],
        node.inputs[2] if len(node.inputs) == 3 else None,
        node.outputs[0],
    )
    assert input is not None and filter is not None and output is not None
    _linear.check_types(input, filter, bias, output)
    consistent(len(filter.shape) == 2, f"weights '{filter.name}' have shape {filter.shape}; expected (outputs, depth)")
    channels, depth = filter.shape
    batches = prod(output.shape[:-1])
    consistent(
        output.shape and output.shape[-1] == channels and prod(input.shape) == batches * depth,
        f"input '{input.name}' {input.shape}, weights {filter.shape} and output '{output.name}' {output.shape} "
        "do not fit together",
    )
    return input, filter, bias, output


def _check_bias_scale(bias: Tensor, product: float, output: Tensor) -> None:
    """Refuse a bias whose scale is further from input scale · weights scale than 0.02 of the output's.

    Source: `GetQuantizedConvolutionMultipler`, tensorflow/lite/kernels/kernel_util.cc.
    """
    scale, output_scale = params_of(bias)[0], params_of(output)[0]
    if abs(scale - product) <= 1e-5 * product:  # as float32 rounds, and the product of rounded scales
        why = (
            f"the scale {output_scale:g} of output '{output.name}' is so small that TFLM takes the last digits of that "
            f"of bias '{bias.name}' for a mistake; convert again with data for which the output is not always 0, or "
            "keep this layer in float"
        )
    else:
        why = (
            f"the scale of bias '{bias.name}' is not input scale · weights scale ({scale:.7g}, not {product:.7g}), as "
            "TFLM needs; convert the model again"
        )
    require(abs(product - scale) / output_scale <= 0.02, why)


def prepare(node: Node, numerics: Numerics, prove: bool = True) -> Params:
    """Refuses int4 per channel, and a bias scale that is not input scale · weights scale."""
    input, filter, bias, output = _operands(node)
    channels, depth = filter.shape
    (si, input_zero_point), (so, zero_point) = quantized(input), quantized(output)
    scales = _linear.channel_scales(filter, channels, 0)
    assert filter.quantization is not None and filter.data is not None
    per_channel = len(filter.quantization.scale) > 1
    require(
        not (per_channel and filter.dtype == "int4"),
        f"int4 weights '{filter.name}' must have one scale in TFLM, not {channels}; convert again with int8 ones",
    )
    if bias is not None and not per_channel:
        _check_bias_scale(bias, si * scales[0], output)
    bits = _linear.accumulator_bits(input, bias, node.options)
    if numerics.kernels == "litert" and bias is None and node.options.get("quantized_bias_type") != "int64":
        bits = 32
    if _cmsis_nn.speaks(numerics) and input.dtype == "int16":
        _cmsis_nn.check_symmetric(numerics, input, output)
        bits = _cmsis_nn_bits(bias, per_channel)
        most = filter.data if prove else np.full_like(filter.data, -128)  # those computed at run time may be any
        _cmsis_nn.check_sums(most[:, : _cmsis_nn.FAST_TAPS], np.zeros(1, np.int64), filter.name)
    scale_math = "double" if per_channel or numerics.scale_math == "tflite" else numerics.scale_math
    factors = scales if per_channel else scales[:1]
    rounding = _cmsis_nn.rounding(numerics, bits, _rounding(node, input.dtype, bits, numerics))
    multiplier = product_multiplier(si, factors, so, rounding, scale_math)
    input_offset = -input_zero_point
    ignored = per_channel or (input.dtype == "int16" and _cmsis_nn.speaks(numerics))
    weights_offset = 0 if ignored else -params_of(filter)[1]
    weights = np.add(filter.data, weights_offset, dtype=np.int16) if weights_offset else filter.data
    gemm = exact_gemm(weights, _linear.magnitude(input.dtype, input_offset))
    low, high = activation_range(node.options["fused_activation_function"], output.dtype, so, zero_point, rounding)
    _linear.check_shifts(multiplier, bits, output)
    bound = gemm.bound if prove else None
    requantize = requantizer(
        _linear.bias_values(bias, channels), multiplier, zero_point, low, high, output.dtype, bound, bits
    )
    return Params(input_offset, weights_offset, output.shape, depth, gemm, requantize)


def _cmsis_nn_bits(bias: Tensor | None, per_channel: bool) -> int:
    """64, always: CMSIS-NN's kernel reads any bias as int64. Refuses others, and a scale for each channel, as TFLM's
    build with it does."""
    require(
        not per_channel,
        "TFLM with CMSIS-NN has no int16 dense layer with a scale for each channel: convert again with weights "
        "quantised per tensor",
    )
    within_limits(
        bias is None or bias.dtype == "int64",
        f"the bias '{bias and bias.name}' is int32, and CMSIS-NN's int16 dense layer reads an int64 one, beyond its "
        "end, which refengine does not repeat: convert again with an int64 bias",
    )
    return 64


def _rounding(node: Node, dtype: str, bits: int, numerics: Numerics) -> str:
    """TFLite's reference kernels multiply by the real factor in float64; others of int16 it has for 32 bits only."""
    if numerics.kernels == "litert-ref" or (numerics.kernels == "litert" and dtype == "int16" and bits == 64):
        return "real"
    if numerics.kernels == "litert" and dtype == "int16":
        return "real" if _litert.is_asymmetric(node.inputs[1]) else "ruy"
    return _litert.layer_rounding(numerics, node)


def evaluate(p: Params, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """(B, …) codes → (B, *output_shape) codes."""
    x = np.add(input.reshape(-1, p.accum_depth), p.input_offset, dtype=p.gemm.dtype)
    return p.requantize(p.gemm(x), overwrite=True).reshape(-1, *p.output_shape)


def explain(p: Params, at: At, input: Array, filter: Array, bias: Array | None = None) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    channel, row = at.index[-1], int(np.ravel_multi_index(at.index, p.output_shape)) // p.output_shape[-1]
    codes = input.reshape(-1, p.accum_depth)[row].tolist()
    acc = 0
    for d, (x, w) in enumerate(zip(codes, filter[channel].tolist(), strict=True)):
        product = (x + p.input_offset) * (w + p.weights_offset)
        acc += product
        yield Line(
            "tap",
            f"input[{d}] = {x} {p.input_offset:+d}, weight {w} {p.weights_offset:+d}: "
            f"{x + p.input_offset} · {w + p.weights_offset}",
            product,
        )
    yield from _linear.explain_requantized(acc, channel, p.requantize)


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses hybrid layers."""
    _, filter, bias, output = _operands(node)
    assert filter.data is not None
    low, high = float_activation_range(node.options["fused_activation_function"])
    weights = np.ascontiguousarray(filter.data.T).T
    return FloatParams(weights, _linear.float_bias(bias, len(weights)), low, high, numerics.contraction, output.shape)


def evaluate_float(p: FloatParams, input: Array, filter: Array, bias: Array | None = None) -> Array:
    """(B, …) float32 → (B, *output_shape) float32, each sum in order from 0.0, the bias last."""
    total = float32.sequential_matmul(input.reshape(-1, p.weights.shape[1]), p.weights, p.contraction)
    with np.errstate(all="ignore"):
        total += p.bias
    clamped = float32.clamp_sums(total, p.float_activation_min, p.float_activation_max, p.contraction)
    return clamped.reshape(-1, *p.output_shape)


def explain_float(p: FloatParams, at: At, input: Array, filter: Array, bias: Array | None = None) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    channel, row = at.index[-1], int(np.ravel_multi_index(at.index, p.output_shape)) // p.output_shape[-1]
    values = input.reshape(-1, p.weights.shape[1])[row]
    taps = ((f"input[{d}]", x, w) for d, (x, w) in enumerate(zip(values, filter[channel], strict=True)))
    yield from _narrate.float_layer(
        taps, p.bias[channel], p.contraction, p.float_activation_min, p.float_activation_max
    )


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """A layer of any rank, flattened or not, with and without bias, per tensor or per channel, int8 or int4 weights."""
    lead, depth = (
        draw(make.shape((1, 3), 3)),
        draw(make.sampled_from((draw(make.channels()), draw(make.integers(1, 40))))),
    )
    asymmetric = make.quantization(dtype, asymmetric=True)
    input = draw(make.input((*lead, depth), dtype, asymmetric, lambda t: 2 <= len(t.shape) <= 4))
    flat = draw(make.integers(0, 3)) == 3
    lead = input.shape[:1] if flat else input.shape[:-1]
    depth, channels = prod(input.shape[len(lead) :]), draw(make.channels())
    options = {
        "keep_num_dims": len(lead) > 1,
        "quantized_bias_type": draw(make.sampled_from(("float32", "int32"))) if dtype == "int16" else "float32",
    }
    layer = _linear.draw_layer(
        draw, make, input, (channels, depth), 0, int4=("per tensor",), zero_points=(0, 0, 3, -128)
    )
    output = make.tensor((*lead, channels), dtype, layer.output)
    options["fused_activation_function"] = draw_activation(draw, make, output)
    return Node("FULLY_CONNECTED", options, (input, layer.filter, layer.bias), (output,))


FACTS = Facts(
    weights=1,
    bias=2,
    layout="OI",
    quantized=Quantizing({"int8": 4, "int16": 4}, {"quantized_bias_type": "int64"}),
    c_kernels={dtype: f"fully_connected_{dtype}" for dtype in ("int8", "float32", "int16")},
)

_CODES = _linear.layer(prepare, evaluate, explain, partial(prepare, prove=False))
_FLOATS = _linear.layer(prepare_float, evaluate_float, explain_float)

KERNELS = {
    ("FULLY_CONNECTED", "int8"): Kernel(*_CODES, partial(example, dtype="int8"), FACTS),
    ("FULLY_CONNECTED", "int16"): Kernel(*_CODES, partial(example, dtype="int16"), FACTS),
    ("FULLY_CONNECTED", "float32"): Kernel(*_FLOATS, partial(example, dtype="float32"), FACTS),
}
