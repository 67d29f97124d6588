"""The integer arithmetic on arrays is that on Python integers, edges first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.numerics import fixedpoint, float32, scalar
from refengine.numerics.fixedpoint import Multiplier
from refengine.numerics.scalar import INT32_MAX, INT32_MIN

EDGES = (0, 1, -1, INT32_MIN, INT32_MIN + 1, INT32_MAX, 2**30, -(2**30))
TIES = st.tuples(st.integers(-300, 300), st.integers(0, 20)).map(lambda t: (2 * t[0] + 1) << t[1])
INT32 = st.sampled_from(EDGES) | TIES | st.integers(INT32_MIN, INT32_MAX)
INT48 = TIES | st.integers(-(2**47), 2**47 - 1)
MULTIPLIERS = st.sampled_from((0, 2**30, 2**30 + 1, 3 * 2**29, 2**31 - 1)) | st.integers(2**30, 2**31 - 1)
REALS = st.sampled_from((0.0, 1.0, 0.5, 2.0**-32, 2.0**-33, 2.0**30, 2.0**31, 1 - 2.0**-31, 1 - 2.0**-33)) | st.floats(
    2.0**-40, 2.0**40
)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


ROUNDINGS = ("double", "single", "ruy", "real", "xnnpack", "xnnpack-int16", "xnnpack-int32")


def factor(multiplier: int, shift: int, scale: float, rounding: str) -> Multiplier:
    real = np.array(scale, np.float64 if rounding == "real" else np.float32)
    return Multiplier(np.array(multiplier), np.array(shift), real, rounding)


@given(st.lists(st.floats(-(2.0**53), 2.0**53) | st.integers(-9, 9).map(lambda n: n / 2), min_size=1))
def test_round_half_away(values: list[float]) -> None:
    expected = [scalar.round_half_away(x) for x in values]
    assert float32.round_half_away(np.array(values)).tolist() == expected


@given(st.lists(REALS | REALS.map(lambda x: -x), min_size=1))
def test_quantize_multiplier(reals: list[float]) -> None:
    ours = fixedpoint.quantize_multiplier(reals)
    pairs = list(zip(ours.multiplier.tolist(), ours.shift.tolist(), strict=True))
    assert pairs == [scalar.quantize_multiplier(real) for real in reals]


def test_only_single_rounding_builds_saturate_the_multiplier() -> None:
    assert [*map(int, fixedpoint.quantize_multiplier(2.0**31, "single")[:2])] == [2**31 - 1, 30]
    assert [*map(int, fixedpoint.quantize_multiplier(2.0**31, "double")[:2])] == [2**30, 32]


def test_the_float_reading_of_a_multiplier_can_be_given() -> None:
    assert fixedpoint.quantize_multiplier(0.1).scale == np.float32(0.1)
    assert fixedpoint.quantize_multiplier(0.1, scale=0.25).scale == 0.25


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_wrap32(values: list[int]) -> None:
    assert fixedpoint.wrap32(array(values)).tolist() == [scalar.wrap(x) for x in values]


@given(st.lists(INT32, min_size=1), INT32)
def test_saturating_rounding_doubling_high_mul(values: list[int], b: int) -> None:
    expected = [scalar.saturating_rounding_doubling_high_mul(a, b) for a in values]
    assert fixedpoint.saturating_rounding_doubling_high_mul(array(values), b).tolist() == expected


@given(st.lists(INT32, min_size=1), st.integers(0, 31))
def test_rounding_divide_by_pot(values: list[int], exponent: int) -> None:
    expected = [scalar.rounding_divide_by_pot(x, exponent) for x in values]
    assert fixedpoint.rounding_divide_by_pot(array(values), exponent).tolist() == expected


@given(st.lists(INT32, min_size=1), MULTIPLIERS, st.integers(-31, 30), st.sampled_from(ROUNDINGS))
def test_multiply_by_quantized_multiplier(values: list[int], multiplier: int, shift: int, rounding: str) -> None:
    scale = multiplier * 2.0 ** (shift - 31)
    expected = [scalar.multiply_by_quantized_multiplier(x, multiplier, shift, scale, rounding) for x in values]
    ours = fixedpoint.multiply_by_quantized_multiplier(array(values), factor(multiplier, shift, scale, rounding))
    assert ours.tolist() == expected


@given(st.lists(INT48, min_size=1), MULTIPLIERS, st.integers(-31, 7))
def test_64_bits_times_a_real_number(values: list[int], multiplier: int, shift: int) -> None:
    scale = multiplier * 2.0 ** (shift - 31)
    expected = [scalar.multiply_by_quantized_multiplier_64(x, multiplier, shift, scale, "real") for x in values]
    ours = fixedpoint.multiply_by_quantized_multiplier_64(array(values), factor(multiplier, shift, scale, "real"))
    assert ours.tolist() == expected


@given(st.lists(INT48, min_size=1), MULTIPLIERS, st.integers(-31, 7))
def test_multiply_by_quantized_multiplier_64(values: list[int], multiplier: int, shift: int) -> None:
    expected = [scalar.multiply_by_quantized_multiplier_64(x, multiplier, shift) for x in values]
    ours = fixedpoint.multiply_by_quantized_multiplier_64(array(values), factor(multiplier, shift, 0, "double"))
    assert ours.tolist() == expected


@given(st.lists(INT48, min_size=1), MULTIPLIERS, st.integers(-31, 7))
def test_64_bits_cut_early(values: list[int], multiplier: int, shift: int) -> None:
    expected = [scalar.multiply_by_quantized_multiplier_64(x, multiplier, shift, rounding="narrow") for x in values]
    ours = fixedpoint.multiply_by_quantized_multiplier_64(array(values), factor(multiplier, shift, 0, "narrow"))
    assert ours.tolist() == expected


@pytest.mark.parametrize("rounding", ["double", "single", "xnnpack"])
def test_a_factor_per_channel_broadcasts(rounding: str) -> None:
    factors = fixedpoint.quantize_multiplier([0.1, 0.0037, 1.9], rounding)
    x = np.arange(-500, 500).reshape(-1, 1) * np.array([1, 7, 3])
    ours = fixedpoint.multiply_by_quantized_multiplier(x, factors)
    for channel, (multiplier, shift, scale) in enumerate(zip(*factors[:3], strict=True)):
        expected = [
            scalar.multiply_by_quantized_multiplier(v, int(multiplier), int(shift), float(scale), rounding)
            for v in x[:, channel].tolist()
        ]
        assert ours[:, channel].tolist() == expected


SQUARES = st.sampled_from((0, 1, 2, 3, 2**27 - 1, 2**27, 2**29 - 1, 2**29, INT32_MAX)) | st.integers(0, INT32_MAX)


@given(st.lists(SQUARES, min_size=1))
def test_inverse_sqrt(values: list[int]) -> None:
    multiplier, shift = fixedpoint.inverse_sqrt(array(values))
    pairs = list(zip(multiplier.tolist(), shift.tolist(), strict=True))
    assert pairs == [scalar.inverse_sqrt(x) for x in values]
