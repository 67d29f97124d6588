"""TFLM's fixed-point arithmetic on Python integers, phrased as gemmlowp phrases it, for people and for proofs.

`fixedpoint` has the same names on arrays, phrased differently; the tests hold the two and the real TFLM together.
Sources: gemmlowp `fixedpoint/fixedpoint.h`; TFLM `kernels/internal/common.cc`, `kernels/internal/quantization_util.cc`.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

XNNPACK_LOWEST = {"xnnpack": -(2**30), "xnnpack-int16": -(2**30), "xnnpack-int32": INT32_MIN}
"""What XNNPACK's roundings give at least, however far below the product is; at most it is 2³⁰.

It clamps to the output's largest code before it adds the zero point. To the smallest it does so afterwards: in 16
bits, which saturate, or in 32 (the matrix products, on x86), where INT_MIN and a negative zero point wrap around. Both
are LiteRT's, whose fused activations XNNPACK rounds to even, too; ``xnnpack`` is TFLM with another multiplication.
"""


def wrap(x: int, bits: int = 32) -> int:
    """`x` as a two's-complement register of `bits` bits keeps it."""
    half = 1 << (bits - 1)
    return (x + half) % (2 * half) - half


def clamp(x: int, low: int, high: int) -> int:
    """`x` limited from below first, then from above, as `std::min(std::max(x, low), high)`."""
    return min(max(x, low), high)


def truncated_division(a: int, b: int) -> int:
    """`a / b` of C: the quotient rounded towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def round_half_away(x: Fraction | float) -> int:
    """C's `round`: to the nearest integer, ties away from zero."""
    return int(math.copysign(1, x)) * math.floor(abs(Fraction(x)) + Fraction(1, 2))


def quantize_multiplier(real: float) -> tuple[int, int]:
    """The (multiplier, shift) that stands for `real` as multiplier · 2^(shift − 31), |multiplier| in [2³⁰, 2³¹).

    Factors below 2⁻³² are flushed to (0, 0). Source: `QuantizeMultiplier`, quantization_util.cc.
    """
    if real == 0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    multiplier = round_half_away(Fraction(mantissa) * 2**31)
    if abs(multiplier) == 2**31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    """The high 32 bits of 2·a·b, rounded; the one overflowing pair (−2³¹, −2³¹) saturates."""
    if a == b == INT32_MIN:
        return INT32_MAX
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    return truncated_division(product + nudge, 2**31)


def rounding_divide_by_pot(x: int, exponent: int) -> int:
    """x / 2^exponent to the nearest integer, ties away from zero."""
    return round_half_away(Fraction(x, 2**exponent))


def multiply_by_quantized_multiplier(
    x: int, multiplier: int, shift: int, scale: float = 0.0, rounding: str = "double"
) -> int:
    """The int32 accumulator `x` times multiplier · 2^(shift − 31), in the dialect `rounding`.

    ``double`` rounds the high multiply and then the right shift (TFLM's default), ``single`` rounds once
    (`TFLITE_SINGLE_ROUNDING`), ``ruy`` twice, but the shift's ties up (TFLite's matrix products), ``xnnpack`` and
    its two kin multiply in float32 by `scale` and round ties to even, ``real`` multiplies in float64 and rounds
    ties away from zero (TFLite's reference FULLY_CONNECTED, on x86).
    """
    if rounding == "real":
        return _rounded_product(x, scale)
    if rounding in XNNPACK_LOWEST:
        product = np.float32(x) * np.float32(scale)
        return clamp(round(Fraction(float(product))), XNNPACK_LOWEST[rounding], 2**30)
    if rounding == "single":
        return wrap((x * multiplier + (1 << (30 - shift))) >> (31 - shift))
    left, right = max(shift, 0), max(-shift, 0)
    if rounding == "ruy":
        return (saturating_rounding_doubling_high_mul(wrap(x << left), multiplier) + ((1 << right) >> 1)) >> right
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(wrap(x << left), multiplier), right)


def _rounded_product(x: int, scale: float) -> int:
    """x · `scale` in float64, rounded half away from zero; what does not fit 32 bits is INT_MIN, as on x86."""
    rounded = round_half_away(float(x) * scale)
    return rounded if INT32_MIN <= rounded <= INT32_MAX else INT32_MIN


def multiply_by_quantized_multiplier_64(
    x: int, multiplier: int, shift: int, scale: float = 0.0, rounding: str = "double"
) -> int:
    """The int64 accumulator `x` times the multiplier reduced to 16 bits, rounded once; but ``real`` is as above.

    ``narrow`` is CMSIS-NN's: the product is cut to 32 bits while it still has the bit that is rounded away.
    Source: `arm_nn_requantize_s64`, CMSIS-NN Include/arm_nnsupportfunctions.h.
    """
    if rounding == "real":
        return _rounded_product(x, scale)
    reduced = (multiplier + 2**15) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    if rounding == "narrow":
        return wrap(wrap(x * reduced >> (14 - shift)) + 1) >> 1
    return wrap((x * reduced + (1 << (14 - shift))) >> (15 - shift))


def inverse_sqrt(x: int) -> tuple[int, int]:
    """The (multiplier, shift) of 1 / √x = multiplier · 2^(shift − 31), for 0 ≤ x < 2³¹; of 0 as of 1.

    Source: `GetInvSqrtQuantizedMultiplierExp`, tensorflow/lite/kernels/internal/common.h.
    """
    if x <= 1:
        return INT32_MAX, 0
    right = 11
    while x >= 2**29:
        x //= 4
        right += 1
    while x < 2**27:
        x *= 4
        right -= 1
    half_input = rounding_divide_by_pot(x // 2, 1)
    y = 2**28
    for _ in range(5):
        square = saturating_rounding_doubling_high_mul(y, y)
        cube = clamp(saturating_rounding_doubling_high_mul(square, y) * 2**6, INT32_MIN, INT32_MAX)
        one_and_a_half = saturating_rounding_doubling_high_mul(3 * 2**27, y)
        difference = wrap(one_and_a_half - saturating_rounding_doubling_high_mul(half_input, cube))
        y = clamp(difference * 2**3, INT32_MIN, INT32_MAX)
    y = saturating_rounding_doubling_high_mul(y, 1518500250)  # √½ in Q0.31
    return (y * 2**-right, 0) if right < 0 else (y, -right)
