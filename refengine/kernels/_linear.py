"""What CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV share: a layer's weights, bias and scales.

Weights and bias may be computed at run time. What is computed from constants once is then computed from those of each
inference, but for proofs that take longer than they save.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Evaluate, Explain, Ints, Line, Node, Numerics, Options, Prepare, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, scalar
from ..numerics.fixedpoint import Multiplier
from ..numerics.float32 import Float32
from ..numerics.quantize import activation_range, code_range, product_multiplier
from ..numerics.requantize import Requantizer, requantizer
from . import _litert, _narrate
from ._affine import RANGE_ADVICE, draw_output, quantized
from ._window import Window

Types = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Which (weights, biases) a kernel of TFLM accepts for which activations."""

TYPES: Types = {
    "int8": (("int8", "int4"), ("int32",)),
    "int16": (("int8",), ("int64", "int32")),
    "float32": (("float32",), ("float32",)),
}

INT8_WEIGHTS_ADVICE = (
    "TFLM has no hybrid kernels; convert again with a representative dataset and "
    "inference_input_type = tf.int8 (full integer), or without optimizations (all float32)"
)


def check_types(input: Tensor, filter: Tensor, bias: Tensor | None, output: Tensor, types: Types = TYPES) -> None:
    """Refuse the type combinations that TFLM's Prepare and Eval refuse, hybrid ones with the way out."""
    filters, biases = types[input.dtype]
    consistent(
        output.dtype == input.dtype,
        f"output '{output.name}' is {output.dtype} but input '{input.name}' is {input.dtype}; they must agree",
    )
    hybrid = input.dtype == "float32" and filter.dtype != "float32"
    require(
        filter.dtype in filters,
        f"{input.dtype} activations with {filter.dtype} weights '{filter.name}' are not supported: "
        + (
            INT8_WEIGHTS_ADVICE
            if hybrid
            else f"TFLM takes {' or '.join(filters)} weights here; convert the model again"
        ),
    )
    require(
        bias is None or bias.dtype in biases,
        f"bias '{bias and bias.name}' is {bias and bias.dtype}; TFLM's {input.dtype} layers of this kind take "
        f"{' or '.join(biases)}; convert the model again",
    )


def operands(node: Node) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """(input, filter, bias, output) of a convolution over NHWC images, after the checks of count, rank and type."""
    consistent(
        len(node.inputs) in (2, 3) and None not in node.inputs[:2] and len(node.outputs) == 1,
        f"expected input, filter and an optional bias, got {node.arity}",
    )
    input, filter, bias, output = (
        node.inputs[0],
        node.inputs[1],
        node.inputs[2] if len(node.inputs) == 3 else None,
        node.outputs[0],
    )
    assert input is not None and filter is not None and output is not None
    for tensor in (input, filter, output):
        consistent(
            len(tensor.shape) == 4,
            f"tensor '{tensor.name}' has shape {tensor.shape}; a convolution takes four dimensions",
        )
    check_types(input, filter, bias, output)
    return input, filter, bias, output


def taps_inside(filter: Tensor, window: Window) -> Array | None:
    """Which taps lie inside the image, (*output, *filter), if that matters to float weights; else None.

    TFLM skips the others. Products with what pads are zeros as long as the weights are finite, and change no sum.
    """
    assert filter.data is not None
    if not window.is_padded or np.isfinite(filter.data).all():
        return None
    inside: Array = window.patches(window.padded(np.ones((1, *window.input, 1), np.bool_), False))[0, ..., 0]
    return inside


def accumulate(total: Float32, x: Float32, w: Float32, contraction: str, inside: Any = True) -> Float32:
    """`total` + x · w as TFLM's target rounds it, where the tap lies `inside`."""
    added = float32.fma(x, w, total) if contraction == "fma" else total + x * w
    return added if inside is True else np.where(inside, added, total)


def accumulator_bits(input: Tensor, bias: Tensor | None, options: Options) -> int:
    """32 or 64: int16 layers accumulate in their bias's type, or without bias in `quantized_bias_type`'s.

    DEPTHWISE_CONV_2D has no such option: its int16 bias is int64, and so is its accumulator.
    """
    narrow = bias.dtype == "int32" if bias is not None else options.get("quantized_bias_type") == "int32"
    return 32 if input.dtype == "int8" or narrow else 64


def bias_values(bias: Tensor | None, channels: int) -> Ints:
    """The bias as int64, zeros where it is left out."""
    if bias is None or bias.data is None:
        return np.zeros(channels, np.int64)
    consistent(
        bias.data.size == channels, f"bias '{bias.name}' has {bias.data.size} values for {channels} output channels"
    )
    return bias.data.reshape(-1).astype(np.int64)


def float_bias(bias: Tensor | None, channels: int) -> Array:
    """The bias as float32, zeros where it is left out, as TFLM adds it."""
    if bias is None or bias.data is None:
        return np.zeros(channels, np.float32)
    consistent(
        bias.data.size == channels, f"bias '{bias.name}' has {bias.data.size} values for {channels} output channels"
    )
    return bias.data.reshape(-1)


def channel_scales(filter: Tensor, channels: int, dimension: int) -> Array:
    """The weights' scale of each channel: one given means all, else one for each along `dimension`."""
    quantization = filter.quantization or Quantization()
    count = len(quantization.scale)
    require(
        all(0 <= scale < math.inf for scale in quantization.scale) and count and quantization.zero_point,
        f"weights '{filter.name}' lack a finite scale and zero point, as TFLM needs; convert the model again",
    )
    require(
        all(-128 <= zero_point < 128 for zero_point in quantization.zero_point),
        f"weights '{filter.name}' have a zero point that is no int8 code, as TFLM takes it to be; convert again",
    )
    consistent(count in (1, channels), f"weights '{filter.name}' have {count} scales for {channels} channels")
    consistent(
        count == 1 or quantization.quantized_dimension == dimension,
        f"weights '{filter.name}' are quantised along dimension {quantization.quantized_dimension}, not {dimension}",
    )
    return np.broadcast_to(np.array(quantization.scale, np.float64), channels)


def channel_requantizer(
    options: Options,
    input: Tensor,
    filter: Tensor,
    bias: Tensor | None,
    output: Tensor,
    rounding: str,
    dimension: int,
    part: slice,
    bound: Ints | None,
    bits: int,
) -> Requantizer:
    """The requantisation of the channels `part` of a convolution, whose |sums| stay within `bound`, if that is known.

    int16 convolutions add no output zero point, though their activation range has it.
    """
    channels, (si, _), (so, zero_point) = filter.shape[dimension], quantized(input), quantized(output)
    scales = channel_scales(filter, channels, dimension)
    multiplier = product_multiplier(si, scales[part], so, rounding, "double")
    check_shifts(multiplier, bits, output)
    low, high = activation_range(options["fused_activation_function"], output.dtype, so, zero_point, rounding)
    output_offset = 0 if output.dtype == "int16" else zero_point
    return requantizer(
        bias_values(bias, channels)[part], multiplier, output_offset, low, high, output.dtype, bound, bits
    )


def check_shifts(multiplier: Multiplier, bits: int, output: Tensor) -> None:
    """Refuse factors so large that C's shift by them is undefined: 2³¹ for 32-bit accumulators, 2¹⁵ for 64-bit ones."""
    limit = 31 if bits == 32 else 14
    require(
        multiplier.shift.max(initial=0) <= limit,
        f"the scale of output '{output.name}' is too small for the scales of input and weights: their factor reaches "
        f"2^{multiplier.shift.max(initial=0)}, and TFLM can shift by {limit} bits at most; {RANGE_ADVICE}",
    )


def convolution_offset(input: Tensor) -> int:
    """What a convolution adds to its input codes: minus the zero point, but nothing to int16 ones."""
    return 0 if input.dtype == "int16" else -quantized(input)[1]


def magnitude(dtype: str, input_offset: int) -> int:
    """The largest |code + input_offset| of a type."""
    low, high = code_range(dtype)
    return max(abs(low + input_offset), abs(high + input_offset))


def explain_requantized(acc: int, channel: int, r: Requantizer) -> Iterator[Line]:
    """From the sum of products to the code: bias, scaling, output offset, clamp."""
    bias = int(r.bias[channel])
    total = acc + bias
    wrapped = scalar.wrap(total, r.bits)
    yield Line("accumulator", f"sum of the products, {r.bits} bits", acc)
    yield Line("bias", f"{acc} + bias {bias}" + ("" if wrapped == total else ", wrapped to 32 bits"), wrapped)
    rescale = _narrate.rescale if r.bits == 32 else _narrate.rescale_64
    scaled, high = (yield from rescale(wrapped, r.multiplier, channel)), r.activation_max
    if r.multiplier.rounding == "xnnpack-int32":
        scaled, high = min(scaled, high - r.output_offset), code_range(r.dtype)[1]
        yield Line("upper clamp", f"at most {r.activation_max} less the output zero point", scaled)
    yield from _narrate.finish(scaled, r.output_offset, r.activation_min, high)


@dataclass(frozen=True, eq=False)
class Computed:
    """Params of a layer whose weights or bias are computed at run time: the inputs `places` of `node`.

    `prepare` makes of their values what it would make of constants; `alike` is what it made of zeros.
    """

    node: Node
    numerics: Numerics
    places: tuple[int, ...]
    prepare: Prepare
    alike: Any = None

    @property
    def macs(self) -> int:
        macs: int = self.alike.macs
        return macs

    def of(self, arrays: Sequence[Array | None]) -> Any:
        """The params with the values that one inference has computed; `arrays` have their tensors' shapes."""
        inputs = list(self.node.inputs)
        for place in self.places:
            tensor = inputs[place]
            assert tensor is not None
            inputs[place] = replace(tensor, data=arrays[place])
        return self.prepare(self.node._replace(inputs=tuple(inputs)), self.numerics)


def layer(
    prepare: Prepare,
    evaluate: Evaluate,
    explain: Explain,
    of_each: Prepare | None = None,
    places: tuple[int, int] = (1, 2),
) -> tuple[Prepare, Evaluate, Explain]:
    """The three functions of a layer with constants, fit for weights and a bias, in `places`, computed at run time.

    `of_each` is `prepare` without proofs, where it has some: what is quickest for one inference.
    """
    return (
        partial(_prepare, constant=prepare, of_each=of_each or prepare, places=places),
        partial(_evaluate, constant=evaluate),
        partial(_explain, constant=explain),
    )


def _prepare(node: Node, numerics: Numerics, constant: Prepare, of_each: Prepare, places: tuple[int, int]) -> Any:
    computed = [(i, t) for i, t in enumerate(node.inputs) if i in places and t is not None and t.data is None]
    if not computed:
        return constant(node, numerics)
    zeros: list[Array | None] = [None] * len(node.inputs)
    for place, tensor in computed:
        within_limits(
            tensor.dtype != "int4",
            f"weights '{tensor.name}' are int4 and computed at run time; TFLM runs that, but refengine needs int4 "
            "weights constant, and no operator of TFLM computes any: convert again",
            tflm_runs=True,
        )
        zeros[place] = np.zeros(tensor.shape, np.int8)  # of whatever type: only the tensor's is looked at
    deferred = Computed(node, _litert.behind(numerics), tuple(i for i, _ in computed), of_each)
    return replace(deferred, alike=deferred.of(zeros))


def _evaluate(p: Any, *arrays: Array | None, constant: Evaluate) -> Any:
    if not isinstance(p, Computed):
        return constant(p, *arrays)
    of_each = [x for place in p.places if (x := arrays[place]) is not None]
    if all(len(x) == 1 for x in of_each):
        return constant(p.of([None if x is None else x[0] for x in arrays]), *arrays)
    results = []
    for b in range(max(map(len, of_each))):
        one = [x if x is None or len(x) == 1 else x[b : b + 1] for x in arrays]
        results.append(_evaluate(p, *one, constant=constant))
    return np.concatenate(results)


def _explain(p: Any, at: At, *arrays: Array | None, constant: Explain) -> Iterator[Line]:
    return constant(p.of(arrays) if isinstance(p, Computed) else p, at, *arrays)


class Layer(NamedTuple):
    """An invented layer: the filter, a bias or None, and the output's quantisation."""

    filter: Tensor
    bias: Tensor | None
    output: Quantization | None


def draw_layer(
    draw: Draw,
    make: Toolbox,
    input: Tensor,
    shape: tuple[int, ...],
    dimension: int,
    biased: bool | None = None,
    bias_types: tuple[str, ...] = ("int64", "int32"),
    int4: tuple[str, ...] = ("per tensor", "per channel"),
    zero_points: tuple[int, ...] = (0,),
) -> Layer:
    """Weights of `shape`, channels along `dimension`, per tensor or per channel, with a bias and scales that fit.

    `bias_types`: those that int16 layers may have; `int4`: which weights may be int4; `zero_points`: those of
    per-tensor weights. At times the bias makes the accumulator wrap, and weights or bias are fed instead.
    """
    channels, dtype = shape[dimension], input.dtype
    biased = draw(make.booleans()) if biased is None else biased
    fed = draw(make.sampled_from(((False, False),) * 12 + ((True, False), (False, True), (True, True))))

    def given(constant: Tensor, is_fed: bool) -> Tensor:
        is_fed &= constant.dtype != "int4"
        return make.tensor(constant.shape, constant.dtype, constant.quantization) if is_fed else constant

    if dtype == "float32":
        weights = make.constant(draw(make.array(shape, dtype, -4, 4)))
        bias = given(make.constant(draw(make.array((channels,), dtype))), fed[1]) if biased else None
        return Layer(given(weights, fed[0]), bias, None)
    step, zero_point = quantized(input)
    count = channels if draw(make.booleans()) else 1
    scales = draw(make.scales(count, 2.0**-14, 2.0**-2))
    points = (0,) * channels if count > 1 else (draw(make.sampled_from(zero_points)),)
    kind = "per channel" if count > 1 else "per tensor"
    nibbles = dtype == "int8" and kind in int4 and draw(make.booleans())
    codes = draw(make.array(shape, "int8", *((-8, 7) if nibbles else (-127, 127))))
    filter = make.constant(
        codes, Quantization(scales, points[:count], dimension if count > 1 else 0), "int4" if nibbles else "int8"
    )
    # what sums of noise come to: mean ± 2 standard deviations, for each channel
    rows = np.moveaxis(codes, dimension, 0).reshape(channels, -1).astype(np.float64) - points[0]
    mean = rows.sum(1) * (convolution_offset(input) if len(shape) == 4 else -zero_point)
    deviation = 2 * np.sqrt((rows**2).sum(1)) * (code_range(dtype)[1] / 3**0.5)
    bias, extreme = None, False
    if biased:
        bias_type = "int32" if dtype == "int8" else draw(make.sampled_from(bias_types))
        typical, most = int(deviation.max(initial=1)), 2**31 - 1
        rare = (-100, 100), (-30_000, 30_000), (most - typical, most), (-most, typical - most)
        least, largest = np.clip(draw(make.sampled_from(((-typical, typical),) * 12 + rare)), *code_range(bias_type))
        bias_scales = tuple(float(np.float32(step * s)) for s in scales)
        bias = make.constant(
            draw(make.array((channels,), bias_type, least, largest)), Quantization(bias_scales, (0,) * count)
        )
        assert bias.data is not None
        extreme = abs(least) > 2**30
        mean = mean + np.clip(bias.data.astype(np.int64), -(2**27), 2**27)
        bias = given(bias, fed[1])
    units = step * np.array(scales)
    low, high = (units * (mean - deviation)).min(), (units * (mean + deviation)).max()
    output = draw_output(draw, make, dtype, float(units[0]), float(low), float(high), extreme)
    return Layer(given(filter, fed[0]), bias, output)
