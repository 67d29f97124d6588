"""TFLM's fixed-point arithmetic on arrays: `scalar`'s names, int64 inside, each value what the int32 code gives.

Sources: gemmlowp `fixedpoint/fixedpoint.h`; TFLM `kernels/internal/common.cc`, `kernels/internal/quantization_util.cc`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .float32 import round_half_away
from .scalar import XNNPACK_LOWEST

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


class Multiplier(NamedTuple):
    """A positive real factor as TFLM carries it, multiplier · 2^(shift − 31), with the dialect that applies it.

    Scalars have shape (), per-channel factors (channels,). `scale` is the same factor as a float: in float32, which
    only ``xnnpack`` roundings use, or in float64 for ``real``. ``narrow`` is a way of int64 accumulators alone.
    """

    multiplier: Ints
    shift: Ints
    scale: npt.NDArray[np.float32 | np.float64]
    rounding: str = "double"


def quantize_multiplier(
    real: npt.ArrayLike, rounding: str = "double", scale: npt.ArrayLike | None = None
) -> Multiplier:
    """`real` (float64, any shape) as fixed-point multipliers; `scale` overrides its float32 reading.

    Factors below 2⁻³² are flushed to zero; single-rounding builds saturate those of 2³⁰ and more.
    Source: `QuantizeMultiplier`, quantization_util.cc.
    """
    real = np.asarray(real, np.float64)
    mantissa, shift = np.frexp(real)
    multiplier = round_half_away(mantissa * 2.0**31).astype(np.int64)
    full = np.abs(multiplier) == 2**31
    multiplier = np.where(full, multiplier // 2, multiplier)
    shift = np.where(full, shift + 1, shift).astype(np.int64)
    flushed = (shift < -31) | (real == 0)
    multiplier, shift = np.where(flushed, 0, multiplier), np.where(flushed, 0, shift)
    if rounding == "single":
        saturated = shift > 30
        multiplier, shift = np.where(saturated, 2**31 - 1, multiplier), np.where(saturated, 30, shift)
    if rounding == "real":
        return Multiplier(multiplier, shift, real, rounding)
    return Multiplier(multiplier, shift, np.asarray(real if scale is None else scale, np.float32), rounding)


def wrap32(x: Ints) -> Ints:
    """`x` as int32 registers keep it, in int64."""
    return x.astype(np.int32).astype(np.int64)


def saturating_rounding_doubling_high_mul(a: Ints, b: Ints | int) -> Ints:
    """The high 32 bits of 2·a·b, rounded; the one overflowing pair (−2³¹, −2³¹) saturates."""
    high: Ints = np.minimum(_rounded_high(a * b), 2**31 - 1)
    return high


def _rounded_high(product: Ints) -> Ints:
    """The high 32 bits of twice a product, rounded, in its place."""
    product += 1 << 30
    product >>= 31
    return product


def rounding_divide_by_pot(x: Ints, exponent: Ints | int) -> Ints:
    """x / 2^exponent to the nearest integer, ties away from zero."""
    half = (np.int64(1) << np.asarray(exponent, np.int64)) >> 1
    quotient: Ints = x + half
    quotient += (x >> 63) * (half > 0)  # of negative ones, ties go down
    quotient >>= exponent
    return quotient


def _shifted_up(x: Ints, exponent: Ints) -> Ints:
    """x / 2^exponent to the nearest integer, ties up."""
    quotient: Ints = (x + ((np.int64(1) << exponent) >> 1)) >> exponent
    return quotient


def multiply_by_quantized_multiplier(x: Ints, factor: Multiplier) -> Ints:
    """int32 accumulators `x` (held in int64) times `factor`, which broadcasts against them. See `scalar`."""
    multiplier, shift, scale, rounding = factor
    if rounding == "real":
        return _rounded_product(x, scale)
    if rounding in XNNPACK_LOWEST:
        even: Ints = np.rint(x.astype(np.float32) * scale).astype(np.int64)
        return np.clip(even, XNNPACK_LOWEST[rounding], 2**30)
    if rounding == "single":
        return wrap32((x * multiplier + (np.int64(1) << (30 - shift))) >> (31 - shift))
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    high = _rounded_high(wrap32(x << left if left.any() else x) * multiplier)  # that is never −2³¹: nothing saturates
    if not right.any():
        return high
    return _shifted_up(high, right) if rounding == "ruy" else rounding_divide_by_pot(high, right)


def multiply_by_quantized_multiplier_64(x: Ints, factor: Multiplier) -> Ints:
    """int64 accumulators times the multiplier reduced to 16 bits, rounded once (int16 kernels, every dialect).

    ``narrow`` cuts the product to 32 bits while it still has the one bit that is rounded away, and wraps there.
    """
    if factor.rounding == "real":
        return _rounded_product(x, factor.scale)
    multiplier, shift = factor.multiplier, factor.shift
    reduced = np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)
    if factor.rounding == "narrow":
        return wrap32(wrap32((x * reduced) >> (14 - shift)) + 1) >> 1
    return wrap32((x * reduced + (np.int64(1) << (14 - shift))) >> (15 - shift))


def _rounded_product(x: Ints, scale: Array) -> Ints:
    """x · `scale` in float64, rounded half away from zero; what does not fit 32 bits is INT_MIN, as on x86."""
    rounded = round_half_away(x.astype(np.float64) * scale)
    return np.where(np.abs(rounded + 0.5) < 2.0**31, rounded, -(2.0**31)).astype(np.int64)


def inverse_sqrt(x: Ints) -> tuple[Ints, Ints]:
    """(multiplier, shift) of 1 / √x = multiplier · 2^(shift − 31), for 0 ≤ x < 2³¹; of 0 as of 1. See `scalar`."""
    mul = saturating_rounding_doubling_high_mul
    reduced = np.where(x >= 1 << 29, x >> 2, np.maximum(x, 2))
    pairs = (31 - np.frexp(reduced.astype(np.float64))[1]) // 2 - 1
    half = rounding_divide_by_pot(reduced << (2 * pairs) >> 1, 1)
    root = np.full(x.shape, 1 << 28, np.int64)  # Q3.28
    for _ in range(5):  # Newton: y ← y · (3 − x · y²) / 2
        cube = np.clip(mul(mul(root, root), root) << 6, -(2**31), 2**31 - 1)
        root = np.clip(wrap32(mul(root, 3 << 27) - mul(half, cube)) << 3, -(2**31), 2**31 - 1)
    multiplier = mul(root, round(np.sqrt(0.5) * 2**31))
    right = np.where(x >= 1 << 29, 12, 11) - pairs
    multiplier = np.where(x <= 1, 2**31 - 1, multiplier << np.maximum(-right, 0))
    return multiplier, np.where(x <= 1, 0, -np.maximum(right, 0))
