"""Scales, zero points and codes from ranges and constants, each step in the precision the converter computes it in.

Sources: `DownCastScale`, `GetQuantizedType` and `QuantizeLegacy` (tensorflow/compiler/mlir/lite/quantization/common/
quantization_lib/quantization_utils.cc) with `SetBiasParamsWithAdjustments` (quantization_driver.cc) for int8, and
prepare_quantize_lstm.h for an LSTM's states; `quantization_utils.cc` of tensorflow/lite/tools/optimize for int16×8.
"""

from __future__ import annotations

from math import ceil, log2
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..model import Array, Quantization
from ..numerics.float32 import round_half_away

Reals = npt.NDArray[np.float32]

SMALLEST_RANGE = 1e-6
NOTHING = 1e-12
INT16_LOW, INT16_BOUND = -32768, 32767
BIAS_BOUND = (2**31 - 1) // 2  # leaves the accumulator as much room as the bias takes

f = np.float32


class Weights(NamedTuple):
    """Weights and bias (None where there is none) in codes, with their parameters."""

    codes: Array
    quantization: Quantization
    bias: Array | None
    bias_quantization: Quantization


def activation(low: float, high: float, dtype: str) -> Quantization:
    """The parameters of a tensor calibrated to [low, high], which is widened to contain 0.

    int8 is asymmetric; a range narrower than 1e-6, such as that of a layer that only ever gave zeros, grows by 1e-6 at
    either side. int16 is symmetric; a range that is next to nothing gets the scale that int8 gives it. (The converter
    writes a scale of 0 then, or a denormal one, and infinite weights behind it.)
    """
    low, high = min(float(f(low)), 0.0), max(float(f(high)), 0.0)
    if dtype == "int16":
        return _symmetric_parameters(max(-low, high))
    if high - low < SMALLEST_RANGE:
        low, high = low - SMALLEST_RANGE, high + SMALLEST_RANGE
    return _asymmetric_parameters(low, high)


def constant(values: Reals, dtype: str, wanted: Quantization | None = None) -> tuple[Array, Quantization]:
    """A constant among the activations in codes of the parameters `wanted`, or by default those of its own range.

    int16 constants get their own parameters first and are then rescaled to those wanted: they are rounded twice.
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if dtype == "int8":
        if high - low <= SMALLEST_RANGE:
            low, high = min(low, -SMALLEST_RANGE / 2), max(high, SMALLEST_RANGE / 2)
        parameters = wanted or _asymmetric_parameters(low, high)
        codes = round_half_away(values.astype(np.float64) / parameters.scale[0] + parameters.zero_point[0])
        return np.clip(codes, -128, 127).astype(np.int8), parameters
    own = _symmetric_parameters(max(-low, high))
    codes = _symmetric_codes(values, own.scale[0], INT16_BOUND)
    if wanted:
        codes = _symmetric_codes(f(own.scale[0]) * codes.astype(f), wanted.scale[0], INT16_BOUND)
    return codes.astype(np.int16), wanted or own


def state(low: float, high: float) -> Quantization:
    """The int16 parameters of an LSTM's cell state: its end is the next power of two, at least 2⁻¹⁵ · 2⁻¹⁵."""
    bound = max(-float(f(low)), float(f(high)), 2.0**-15)
    return Quantization((2.0 ** ceil(log2(bound)) / -INT16_LOW,), (0,))


def weights(
    values: Reals, axis: int | None, bias: Reals | None, input_scale: float, dtype: str, largest: int = 127
) -> Weights:
    """Weights of `values` in int8, −127 … 127, and the bias in int32 (int64 for int16 activations).

    The scale of a channel along `axis` is max |w| / 127, that of its bias the input's times the weights'. Where the
    bias would then take more than half of an int32, both grow until it fits: weights lose precision, but no accumulator
    overflows. Without an axis everything is one channel; a `largest` code that leaves int8 makes them int16.
    """
    channels = values.reshape(1, -1) if axis is None else np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    bound = np.abs(channels).max(axis=1)
    size = np.zeros_like(bound) if bias is None else np.abs(bias).reshape(len(bound), -1).max(axis=1)
    scales = _int8_scales if dtype == "int8" else _int16_scales
    scale, bias_scale, inverse = scales(bound, size, f(input_scale), f(largest))
    along = [-1 if axis == dimension else 1 for dimension in range(values.ndim)]
    codes = np.clip(round_half_away(values * inverse.reshape(along)), -largest, largest)
    zeros = (0,) * len(scale)
    bias_dtype = np.int32 if dtype == "int8" else np.int64
    return Weights(
        codes.astype(np.int8 if largest < 128 else np.int16),
        Quantization(tuple(scale.tolist()), zeros, axis or 0),
        None if bias is None else _symmetric_codes(bias, bias_scale, 2**31 - 1).astype(bias_dtype),
        Quantization(tuple(bias_scale.tolist()), zeros),
    )


def _int8_scales(bound: Reals, bias: Reals, input_scale: np.float32, most: np.float32) -> tuple[Reals, Reals, Reals]:
    """The scales of weights and biases, and what the weights are multiplied by: 1 / scale."""
    bound = np.where(2 * bound.astype(np.float64) <= SMALLEST_RANGE, f(SMALLEST_RANGE / 2), bound)
    scale: Reals = (bound / most).astype(f)
    bias_scale: Reals = input_scale * scale
    needed = bias.astype(np.float64) / BIAS_BOUND
    grows = bias > BIAS_BOUND * bias_scale.astype(np.float64)
    bias_scale = np.where(grows, needed.astype(f), bias_scale)
    scale = np.where(grows, (needed / np.float64(input_scale)).astype(f), scale)
    return scale, bias_scale, _inverse(scale)


def _int16_scales(bound: Reals, bias: Reals, input_scale: np.float32, most: np.float32) -> tuple[Reals, Reals, Reals]:
    """As `_int8_scales`, but the weights are multiplied by most / bound, which may differ from 1 / scale in a bit."""
    room = 2.0**31 - 1
    fits = bias < 0.5 * np.float64(input_scale) * (bound / most) * room
    needed = 2.0 * bias.astype(np.float64) / room * (most / input_scale)
    bound = np.where(fits, bound, needed.astype(f))
    scale: Reals = (bound / most).astype(f)
    return scale, input_scale * scale, _inverse(bound, most)


def _asymmetric_parameters(low: float, high: float) -> Quantization:
    scale = (f(high) - f(low)) / f(255)
    zero_point = round_half_away(f(-128 - low / float(scale)))
    return Quantization((float(scale),), (int(np.clip(zero_point, -128, 127)),))


def _symmetric_parameters(bound: float) -> Quantization:
    scale = f(2 * SMALLEST_RANGE) / f(255) if bound < NOTHING else f(bound) / f(INT16_BOUND)
    return Quantization((float(scale),), (0,))


def _symmetric_codes(values: Array, scale: Reals | float, most: int) -> Array:
    """Codes around zero: a float32 product with 1 / scale, ties away from zero, no more than `most` in size."""
    codes = round_half_away(values * _inverse(np.asarray(scale, f))).astype(np.float64)
    return np.clip(codes, -most, most)


def _inverse(scale: Reals, one: float | np.float32 = 1.0) -> Reals:
    """one / scale, rounded once to float32; 0 where there is none, as for the scale 0 of a channel of zeros."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = (np.float64(one) / scale).astype(f)
    finite: Reals = np.where(np.isfinite(inverse), inverse, f(0))
    return finite
