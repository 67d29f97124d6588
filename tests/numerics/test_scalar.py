"""The integer arithmetic in Python integers: definitions, known values, ties."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.numerics import scalar
from refengine.numerics.scalar import INT32_MAX, INT32_MIN

EDGES = (0, 1, -1, INT32_MIN, INT32_MIN + 1, INT32_MAX, 2**30, -(2**30))
INT32 = st.sampled_from(EDGES) | st.integers(INT32_MIN, INT32_MAX)


@given(st.integers(-(2**40), 2**40))
def test_wrap_is_what_an_int32_register_keeps(x: int) -> None:
    assert scalar.wrap(x) == int(np.array(x).astype(np.int32))


@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40).filter(bool))
def test_truncated_division_rounds_towards_zero(a: int, b: int) -> None:
    assert scalar.truncated_division(a, b) == int(Fraction(a, b))


@pytest.mark.parametrize(
    ("x", "rounded"),
    [
        (0.5, 1),
        (-0.5, -1),
        (1.5, 2),
        (2.5, 3),
        (-2.5, -3),
        (0.0, 0),
        (-0.0, 0),
        (0.49999999999999994, 0),
        (-0.49999999999999994, 0),
        (2.0**52 + 1, 2**52 + 1),
    ],
)
def test_round_half_away(x: float, rounded: int) -> None:
    assert scalar.round_half_away(x) == rounded


@given(st.floats(2.0**-31, 2.0**31))
def test_a_multiplier_is_within_half_a_unit_of_the_real_number(real: float) -> None:
    multiplier, shift = scalar.quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert abs(multiplier - Fraction(real) * Fraction(2) ** (31 - shift)) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("real", "multiplier", "shift"),
    [
        (1.0, 2**30, 1),
        (0.5, 2**30, 0),
        (2.0**-32, 2**30, -31),
        (2.0**-33, 0, 0),
        (0.0, 0, 0),
        (0.1, 1717986918, -3),
        (-0.1, -1717986918, -3),
        (1 - 2.0**-40, 2**30, 1),
        (1 - 2.0**-31, 2**31 - 1, 0),
    ],
)
def test_known_multipliers(real: float, multiplier: int, shift: int) -> None:
    assert scalar.quantize_multiplier(real) == (multiplier, shift)


@given(INT32, INT32)
def test_high_mul_rounds_ties_up_and_saturates(a: int, b: int) -> None:
    """gemmlowp's nudge and truncating division are ⌊a·b / 2³¹ + ½⌋."""
    rounded = (Fraction(a * b, 2**31) + Fraction(1, 2)).__floor__()
    assert scalar.saturating_rounding_doubling_high_mul(a, b) == min(rounded, INT32_MAX)


@pytest.mark.parametrize(
    ("a", "b", "high"), [(INT32_MIN, INT32_MIN, INT32_MAX), (2**30, 1, 1), (-(2**30), 1, 0), (2**30, 3, 2)]
)
def test_high_mul_at_ties(a: int, b: int, high: int) -> None:
    assert scalar.saturating_rounding_doubling_high_mul(a, b) == high


@pytest.mark.parametrize(
    ("x", "exponent", "rounded"),
    [
        (1, 1, 1),
        (-1, 1, -1),
        (-3, 1, -2),
        (6, 2, 2),
        (-6, 2, -2),
        (5, 2, 1),
        (-5, 2, -1),
        (-7, 0, -7),
        (INT32_MIN, 31, -1),
        (INT32_MAX, 31, 1),
    ],
)
def test_divide_by_pot_rounds_ties_away_from_zero(x: int, exponent: int, rounded: int) -> None:
    assert scalar.rounding_divide_by_pot(x, exponent) == rounded


@pytest.mark.parametrize(("rounding", "code"), [("double", -119), ("single", -119), ("xnnpack", -120)])
def test_three_dialects_of_one_accumulator(rounding: str, code: int) -> None:
    """585 · 0.0111111 is a little over 6½, but in XNNPACK's float32 it is a tie, and goes to the even 6."""
    multiplier, shift, zero_point = 1527099593, -6, -126
    scale = 1527099520 * 2.0**-37  # the same factor, had its operands been multiplied in float32
    scaled = scalar.multiply_by_quantized_multiplier(585, multiplier, shift, scale, rounding)
    assert scaled + zero_point == code


@pytest.mark.parametrize(
    ("x", "multiplier", "double", "single"),
    [(63, 1080000000, 1, 0), (-63, 1080000000, -1, 0), (64, 2**30, 1, 1), (-64, 2**30, -1, 0), (62, 1080000000, 0, 0)],
)
def test_double_rounding_rounds_twice(x: int, multiplier: int, double: int, single: int) -> None:
    """63 · 0.503 = 31.69 of 64 is less than half, but 32 is half; and the ties of the two roundings differ."""
    assert scalar.multiply_by_quantized_multiplier(x, multiplier, -6) == double
    assert scalar.multiply_by_quantized_multiplier(x, multiplier, -6, rounding="single") == single


def test_a_left_shift_wraps_before_the_multiplication() -> None:
    assert scalar.multiply_by_quantized_multiplier(2**30, 2**30, 1) == -(2**30)


def test_64_bit_accumulators_take_a_16_bit_multiplier() -> None:
    assert scalar.multiply_by_quantized_multiplier_64(2**40, 2**30, -20) == 2**19
    assert scalar.multiply_by_quantized_multiplier_64(2**15, 2**30 + 2**14, 0) == 2**14  # the low 15 bits are dropped
    assert scalar.multiply_by_quantized_multiplier_64(2**15, 2**31 - 1, 0) == 0x7FFF
    assert scalar.multiply_by_quantized_multiplier_64(-1, 2**30, 0) == 0  # a tie goes up


@pytest.mark.parametrize(
    ("x", "narrow", "wide"),
    [
        (2**30 - 1, 2**30 - 1, 2**30 - 1),  # twice that just fits 32 bits
        (2**30, -(2**30), 2**30),
        (2**31, 0, -(2**31)),  # a multiple of 2^32 is nothing
        (-(2**30), -(2**30), -(2**30)),
        (-(2**30) - 1, 2**30 - 1, -(2**30) - 1),
    ],
)
def test_narrow_products_wrap_one_bit_early(x: int, narrow: int, wide: int) -> None:
    """The factor is 1: 2³⁰ of 2³¹, and 2^1."""
    assert scalar.multiply_by_quantized_multiplier_64(x, 2**30, 1, rounding="narrow") == narrow
    assert scalar.multiply_by_quantized_multiplier_64(x, 2**30, 1) == wide


def test_narrow_products_wrap_once_more_where_they_are_rounded() -> None:
    """2³¹ − 1 and the half make INT_MIN, of which half is left."""
    assert scalar.multiply_by_quantized_multiplier_64(2**31 - 1, 2**30, 0, rounding="narrow") == -(2**30)
    assert scalar.multiply_by_quantized_multiplier_64(2**31 - 1, 2**30, 0) == 2**30


@given(st.sampled_from((1, 2, 3, 4, 2**29 - 1, 2**29, 2**31 - 1)) | st.integers(1, 2**31 - 1))
def test_inverse_sqrt_is_near(x: int) -> None:
    """Five of Newton's steps, from 1 to at most 2, leave up to 10⁻⁵."""
    multiplier, shift = scalar.inverse_sqrt(x)
    assert -31 <= shift <= 0 < multiplier < 2**31
    assert abs(multiplier * 2.0 ** (shift - 31) * math.sqrt(x) - 1) < 1.5e-5


def test_the_inverse_root_of_0_is_that_of_1() -> None:
    assert scalar.inverse_sqrt(0) == scalar.inverse_sqrt(1) == (2**31 - 1, 0)


@pytest.mark.parametrize(
    ("rounding", "lowest", "highest"),
    [
        ("xnnpack", -(2**30), 2**30),
        ("xnnpack-int16", -(2**30), 2**30),
        ("xnnpack-int32", -2147483648, 2**30),
        ("real", -2147483648, -2147483648),
    ],
)
def test_where_products_end(rounding: str, lowest: int, highest: int) -> None:
    """What no register holds: XNNPACK clamps, and x86 makes INT_MIN of a float that is too large."""
    ends = [scalar.multiply_by_quantized_multiplier(x, 2**30, 13, 4096.0, rounding) for x in (-(2**31), 2**31 - 1)]
    assert ends == [lowest, highest]
