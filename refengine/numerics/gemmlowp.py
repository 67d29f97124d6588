"""gemmlowp's fixed-point functions on arrays: e^x for x ≤ 0, quotients for sigmoid, tanh and softmax, and TFLM's log.

A number in Qm.n is an int32 code (held in int64) worth code / 2ⁿ, with m integer bits and m + n = 31.
`scalar_gemmlowp` has the same names on Python integers. Sources: gemmlowp `fixedpoint/fixedpoint.h`; the logarithm
TFLM `kernels/internal/common.h`.
"""

from __future__ import annotations

import math

import numpy as np

from .fixedpoint import Ints, rounding_divide_by_pot, saturating_rounding_doubling_high_mul

ONE = 2**31 - 1
"""1 in Q0.31: the nearest there is."""


def _q31(real: float) -> int:
    return round(real * 2**31)


def exp_on_negative_values(a: Ints, integer_bits: int) -> Ints:
    """e^a in Q0.31 for a ≤ 0 in Q`integer_bits`.(31 − `integer_bits`).

    a is split into a remainder in [−¼, 0), for a Taylor polynomial, and quarters, a factor for each bit.
    """
    fractional_bits = 31 - integer_bits
    quarter = 1 << (fractional_bits - 2)
    remainder = (a & (quarter - 1)) - quarter
    quarters = (remainder - a) // quarter
    result = _exp_on_interval_between_negative_one_quarter_and_0_excl(remainder << integer_bits)
    for bit in range(min(integer_bits, 5) + 2):
        factored = saturating_rounding_doubling_high_mul(result, _q31(math.exp(-(2.0 ** (bit - 2)))))
        result = np.where((quarters >> bit) & 1, factored, result)
    if integer_bits > 5:
        result = np.where(a < -32 << fractional_bits, 0, result)
    return np.where(a == 0, ONE, result)


def _exp_on_interval_between_negative_one_quarter_and_0_excl(a: Ints) -> Ints:
    """e^a in Q0.31 for a in Q0.31, −¼ ≤ a < 0: four terms of the Taylor series around −⅛."""
    mul = saturating_rounding_doubling_high_mul
    x = a + (1 << 28)
    square = mul(x, x)
    fourth_over_24_and_cube_over_6_and_half_square = rounding_divide_by_pot(
        mul(rounding_divide_by_pot(mul(square, square), 2) + mul(square, x), _q31(1 / 3)) + square, 1
    )
    at_center = _q31(math.exp(-1 / 8))
    return at_center + mul(x + fourth_over_24_and_cube_over_6_and_half_square, at_center)


def one_over_one_plus_x_for_x_in_0_1(a: Ints) -> Ints:
    """1 / (1 + a) in Q0.31 for 0 ≤ a < 1 in Q0.31."""
    quotient: Ints = np.minimum(_two_over_one_plus_x(a) << 1, ONE)
    return quotient


def one_minus_x_over_one_plus_x_for_x_in_0_1(a: Ints) -> Ints:
    """(1 − a) / (1 + a) in Q0.31 for 0 ≤ a < 1 in Q0.31."""
    quotient: Ints = np.minimum((_two_over_one_plus_x(a) - (1 << 29)) << 2, ONE)
    return quotient


def _two_over_one_plus_x(a: Ints) -> Ints:
    """2 / (1 + a) in Q2.29: three Newton steps x ← x + x · (1 − d · x) towards 1/d, d = (1 + a) / 2."""
    mul = saturating_rounding_doubling_high_mul
    half_denominator = (a + 2**31) >> 1
    x = round(48 / 17 * 2**29) + mul(half_denominator, round(-32 / 17 * 2**29))
    for _ in range(3):
        x = x + (mul(x, (1 << 29) - mul(half_denominator, x)) << 2)
    return x


def log_x_for_x_greater_than_or_equal_to_1(x: Ints) -> Ints:
    """log(x) in Q5.26 for x ≥ 1 in Q12.19.

    x is 2^power · r, with r within a factor of √√½ around √√½: a Padé approximant of log r there, and power · log 2.
    """
    mul, sqrt_half, center = saturating_rounding_doubling_high_mul, _q31(0.5**0.5), _q31(0.5**0.25)
    leading, halved = _leading_zeros(x), mul(x, sqrt_half)
    headroom = _leading_zeros(halved) - 1
    # Either by ½ ≤ r < 1 lowered by √½ and doubled, or straight: whichever r is the smaller has the larger power.
    r = np.minimum(np.minimum(mul(x << (leading - 1), sqrt_half) << 1, ONE), np.minimum(x << headroom, ONE))
    power = np.maximum(((12 - leading) << 25) + (1 << 23), ((12 - headroom) << 25) - (1 << 23))
    mean, twice_difference = (r + center + 1) >> 1, (r - center) << 1
    square = mul(twice_difference, twice_difference)
    root = 2**0.25
    numerator = mul(twice_difference, r) + mul(mul(twice_difference, square), _q31(11 / 240 * root))
    denominator_minus_one = mul(mean, _q31(2 / root - root) + twice_difference + mul(square, _q31(root / 20))) + mul(
        twice_difference, _q31(root / 4)
    )
    log_r = mul(rounding_divide_by_pot(numerator, 6), one_over_one_plus_x_for_x_in_0_1(denominator_minus_one))
    return (mul(power, _q31(math.log(2))) + log_r) << 1


def _leading_zeros(x: Ints) -> Ints:
    """Of positive int32."""
    return 32 - np.frexp(x)[1].astype(np.int64)
