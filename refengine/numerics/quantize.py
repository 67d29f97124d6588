"""Affine quantisation as TFLM's Prepare functions compute it: ranges of types, fused activations, effective scales."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import require
from .fixedpoint import Multiplier, quantize_multiplier
from .scalar import round_half_away

FLOAT_MAX = float(np.finfo(np.float32).max)

ACTIVATIONS: dict[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}
"""The fused activations that TFLM's kernels clamp to: (low, high), None where a side stays open."""

LEFT_OUT = ("TANH", "SIGN_BIT")
"""Fused activations that TFLM's kernels take for none, without a word (`CalculateActivationRange` and its like)."""


@cache
def code_range(dtype: str) -> tuple[int, int]:
    """The smallest and largest code of an integer type, ``"int8"`` → (−128, 127)."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def activation_range(
    activation: str, dtype: str, scale: float, zero_point: int, rounding: str = "double"
) -> tuple[int, int]:
    """The codes that a fused activation clamps to: zero point + round(bound / scale), the quotient in float32.

    Ties go away from zero, but in LiteRT's XNNPACK (`rounding` ``xnnpack-int16`` or ``xnnpack-int32``) to even.
    Source: `CalculateActivationRangeQuantized`, tensorflow/lite/kernels/kernel_util.cc.
    """
    low, high = code_range(dtype)

    def code(bound: float) -> int:
        quotient = min(float(np.float32(bound) / np.float32(scale)), 2.0**32)
        ratio = round(quotient) if rounding in ("xnnpack-int16", "xnnpack-int32") else round_half_away(quotient)
        require(
            abs(ratio) < 2**31,
            f"the output scale {scale:g} is so small that TFLM has no int32 bound for {activation}; convert again",
        )
        return zero_point + ratio

    below, above = _bounds(activation)
    return (low if below is None else max(low, code(below)), high if above is None else min(high, code(above)))


def float_activation_range(activation: str) -> tuple[np.float32, np.float32]:
    """The float32 bounds of a fused activation; an open side is ±FLT_MAX, so that infinities are clamped too.

    Source: `CalculateActivationRange`, tensorflow/lite/kernels/kernel_util.h.
    """
    below, above = _bounds(activation)
    return np.float32(-FLOAT_MAX if below is None else below), np.float32(FLOAT_MAX if above is None else above)


def _bounds(activation: str) -> tuple[float | None, float | None]:
    require(
        activation in ACTIVATIONS or activation in LEFT_OUT,
        f"the fused activation {activation} is none that TFLM knows; convert again with it as an operator of its own",
    )
    return ACTIVATIONS.get(activation, (None, None))


def product_multiplier(
    input_scale: float, filter_scale: npt.ArrayLike, output_scale: float, rounding: str, scale_math: str
) -> Multiplier:
    """input_scale · filter_scale / output_scale as multipliers, in the order and precision of `scale_math`.

    ``double`` is TFLM since commit 7b49bf8; ``float32`` is the older float product of the two input scales, which
    only some kernels ever had. ``tflite`` keeps the whole chain in float32, as XNNPACK does.
    """
    filters = np.asarray(filter_scale, np.float64)
    product = input_scale * filters
    if scale_math == "float32":
        product = product.astype(np.float32).astype(np.float64)
    single = (np.float32(input_scale) * filters.astype(np.float32)) / np.float32(output_scale)
    return quantize_multiplier(single if scale_math == "tflite" else product / output_scale, rounding, single)


def quantize(x: npt.ArrayLike, scale: float, zero_point: int, dtype: str) -> npt.NDArray[Any]:
    """Real values to codes: clip(round(x / scale) + zero_point), float32 quotient, ties away from zero.

    For front ends that prepare inputs; NaN becomes the zero point, infinities the type's ends. What a QUANTIZE
    operator of a graph does with such values is the kernel's affair.
    """
    with np.errstate(all="ignore"):  # infinities are results here
        ratio = np.nan_to_num(np.asarray(x, np.float32) / np.float32(scale), nan=0.0).astype(np.float64)
        rounded = np.trunc(ratio + np.copysign(0.5, ratio))
        low, high = code_range(dtype)
        codes = np.clip(rounded + zero_point, low, high)
        return np.asarray(np.where(codes >= high, high, codes.astype(dtype)), dtype)  # float64 has no 2⁶³ − 1


def dequantize(codes: npt.NDArray[Any], scale: float, zero_point: int) -> npt.NDArray[np.float32]:
    """Codes to real values: scale · (code − zero_point), one float32 multiplication."""
    with np.errstate(all="ignore"):  # infinities and NaN are results here
        return ((codes.astype(np.float64) - zero_point) * scale).astype(np.float32)
