"""What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED share: weights, bias and scales of a multiply-accumulate layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import require
from ..kernel import Draw, Ints, Line, Options, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics.quantize import code_range
from ..numerics.requantize import Requantizer
from . import _narrate

FILTER_TYPES = {"int8": ("int8", "int4"), "int16": ("int8",), "float32": ("float32",)}
"""Which weights TFLM's kernels accept for which activations."""

INT8_WEIGHTS_ADVICE = ("TFLM has no hybrid kernels; convert again with a representative dataset and "
                       "inference_input_type = tf.int8 (full integer), or without optimizations (all float32)")


def scale_of(tensor: Tensor) -> float:
    """The per-tensor (or first) scale; refuses a tensor without quantisation, which TFLM would misread as scale 0."""
    require(tensor.quantization is not None and tensor.quantization.scale,
            f"tensor '{tensor.name}' is {tensor.dtype} but carries no quantisation; convert the model again")
    assert tensor.quantization is not None
    return tensor.quantization.scale[0]


def zero_point_of(tensor: Tensor) -> int:
    """The per-tensor (or first) zero point, 0 where none is given."""
    return tensor.quantization.zero_point[0] if tensor.quantization and tensor.quantization.zero_point else 0


def check_types(input: Tensor, filter: Tensor, bias: Tensor | None, output: Tensor) -> None:
    """Refuse the type combinations that TFLM's Prepare and Eval refuse, hybrid ones with the way out."""
    require(output.dtype == input.dtype,
            f"output '{output.name}' is {output.dtype} but input '{input.name}' is {input.dtype}; they must agree")
    hybrid = input.dtype == "float32" and filter.dtype != "float32"
    require(filter.dtype in FILTER_TYPES[input.dtype],
            f"{input.dtype} activations with {filter.dtype} weights '{filter.name}' are not supported: "
            + (INT8_WEIGHTS_ADVICE if hybrid else f"TFLM takes {' or '.join(FILTER_TYPES[input.dtype])} weights here"))
    require(filter.data is not None,
            f"weights '{filter.name}' are computed at run time; refengine needs them constant, as the converter leaves them")
    if bias is not None:
        wanted = {"int8": ("int32",), "int16": ("int64", "int32"), "float32": ("float32",)}[input.dtype]
        require(bias.dtype in wanted, f"bias '{bias.name}' is {bias.dtype}; {input.dtype} layers take {' or '.join(wanted)}")
        require(bias.data is not None, f"bias '{bias.name}' is computed at run time; refengine needs it constant")


def accumulator_bits(input: Tensor, bias: Tensor | None, options: Options) -> int:
    """32 or 64: int16 layers accumulate in their bias's type, or without bias in `quantized_bias_type`'s."""
    narrow = bias.dtype == "int32" if bias is not None else options["quantized_bias_type"] == "int32"
    return 32 if input.dtype == "int8" or narrow else 64


def bias_values(bias: Tensor | None, channels: int) -> Ints:
    """The bias as int64, zeros where it is left out."""
    if bias is None or bias.data is None:
        return np.zeros(channels, np.int64)
    require(bias.data.size == channels, f"bias '{bias.name}' has {bias.data.size} values for {channels} output channels")
    return bias.data.reshape(-1).astype(np.int64)


def float_bias(bias: Tensor | None, channels: int) -> Array:
    """The bias as float32, zeros where it is left out, as TFLM adds it."""
    if bias is None or bias.data is None:
        return np.zeros(channels, np.float32)
    require(bias.data.size == channels, f"bias '{bias.name}' has {bias.data.size} values for {channels} output channels")
    return bias.data.reshape(-1)


def channel_scales(filter: Tensor, channels: int, dimension: int) -> Array:
    """The weights' scale of each channel: one given means all, else one for each along `dimension`."""
    scale_of(filter)
    quantization = filter.quantization or Quantization()
    count = len(quantization.scale)
    require(count in (1, channels), f"weights '{filter.name}' have {count} scales for {channels} channels")
    require(count == 1 or quantization.quantized_dimension == dimension,
            f"weights '{filter.name}' are quantised along dimension {quantization.quantized_dimension}, not {dimension}")
    return np.broadcast_to(np.array(quantization.scale, np.float64), channels)


def magnitude(dtype: str, input_offset: int) -> int:
    """The largest |code + input_offset| of a type."""
    low, high = code_range(dtype)
    return max(abs(low + input_offset), abs(high + input_offset))


def explain_requantized(acc: int, channel: int, r: Requantizer) -> Iterator[Line]:
    """From the sum of products to the code: bias, scaling, output offset, clamp."""
    bias = int(r.bias[channel])
    total = acc + bias
    wrapped = ((total + 2**31) % 2**32 - 2**31) if r.bits == 32 else total
    yield Line("accumulator", f"sum of the products, {r.bits} bits", acc)
    yield Line("bias", f"{acc} + bias {bias}" + ("" if wrapped == total else ", wrapped to 32 bits"), wrapped)
    line = Line("", "", 0)
    for line in (_narrate.rescale if r.bits == 32 else _narrate.rescale_64)(wrapped, r.multiplier, channel):
        yield line
    yield from _narrate.finish(int(line.value), r.output_offset, r.activation_min, r.activation_max)


def draw_scales(draw: Draw, make: Toolbox, channels: int, dimension: int) -> Quantization:
    """Symmetric weights' quantisation for an example: one scale, or one for each channel."""
    count = channels if draw(make.booleans()) else 1
    scales = tuple(draw(make.scale()) for _ in range(count))
    return Quantization(scales, (0,) * count, dimension if count > 1 else 0)


def draw_output(draw: Draw, make: Toolbox, dtype: str, input: Quantization, filter: Quantization, depth: int) -> Quantization:
    """An output quantisation that keeps most results inside the type's range, and some at and beyond its ends."""
    typical = input.scale[0] * max(filter.scale) * 2.0 ** (7 if dtype == "int8" else 8) * max(1, depth) ** 0.5
    scale = float(np.float32(typical * draw(make.scale(2.0**-4, 2.0**4))))
    return Quantization((scale,), (draw(make.zero_point(dtype)) if dtype == "int8" else 0,))


def draw_bias(draw: Draw, make: Toolbox, dtype: str, input: Quantization | None, filter: Quantization | None,
              channels: int) -> Tensor | None:
    """A constant bias of a type that fits the layer, or none."""
    bias_type = {"int8": "int32", "float32": "float32", "int16": draw(make.sampled_from(("int64", "int32")))}[dtype]
    if input is None or filter is None:
        return make.constant(draw(make.array((channels,), "float32")))
    reach = draw(make.sampled_from((100, 30_000, 2**27)))
    values = draw(make.array((channels,), bias_type, -reach, reach))
    scales = tuple(float(np.float32(input.scale[0]) * np.float32(s)) for s in filter.scale)
    return make.constant(values, Quantization(scales, (0,) * len(scales)))
