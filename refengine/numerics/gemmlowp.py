"""gemmlowp's fixed-point functions on arrays: e^x for x ≤ 0, and the quotients in sigmoid, tanh and softmax.

A number in Qm.n is an int32 code (held in int64) worth code / 2ⁿ, with m integer bits and m + n = 31.
`scalar_gemmlowp` has the same names on Python integers. Source: gemmlowp `fixedpoint/fixedpoint.h`.
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
