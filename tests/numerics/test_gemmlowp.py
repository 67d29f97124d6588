"""gemmlowp's functions: the ends, the two phrasings against each other, and against mathematics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.numerics import gemmlowp, scalar_gemmlowp

ONE = 2**31 - 1
NEGATIVE = st.integers(-(2**31), 0) | st.integers(0, 31).map(lambda n: -(2**n)) | st.integers(-1000, 0)
UNIT = st.integers(0, ONE) | st.sampled_from((0, 1, ONE - 1, ONE))


AT_LEAST_ONE = st.integers(2**19, ONE) | st.integers(19, 30).map(lambda n: 2**n) | st.just(ONE)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


@given(st.lists(NEGATIVE, min_size=1, max_size=30), st.integers(0, 8))
def test_exp_is_the_same_in_both_phrasings(values: list[int], integer_bits: int) -> None:
    expected = [scalar_gemmlowp.exp_on_negative_values(a, integer_bits) for a in values]
    assert gemmlowp.exp_on_negative_values(array(values), integer_bits).tolist() == expected


@given(st.lists(UNIT, min_size=1, max_size=30))
def test_quotients_are_the_same_in_both_phrasings(values: list[int]) -> None:
    for name in ("one_over_one_plus_x_for_x_in_0_1", "one_minus_x_over_one_plus_x_for_x_in_0_1"):
        expected = [getattr(scalar_gemmlowp, name)(a) for a in values]
        assert getattr(gemmlowp, name)(array(values)).tolist() == expected


@given(st.lists(AT_LEAST_ONE, min_size=1, max_size=30))
def test_the_logarithm_is_the_same_in_both_phrasings(values: list[int]) -> None:
    expected = [scalar_gemmlowp.log_x_for_x_greater_than_or_equal_to_1(x) for x in values]
    assert gemmlowp.log_x_for_x_greater_than_or_equal_to_1(array(values)).tolist() == expected


@given(AT_LEAST_ONE)
def test_the_logarithm_is_the_logarithm(x: int) -> None:
    assert abs(scalar_gemmlowp.log_x_for_x_greater_than_or_equal_to_1(x) / 2**26 - math.log(x / 2**19)) < 3e-7


@given(NEGATIVE, st.integers(0, 8))
def test_exp_is_the_exponential(a: int, integer_bits: int) -> None:
    result = scalar_gemmlowp.exp_on_negative_values(a, integer_bits)
    assert abs(result / 2**31 - math.exp(a / 2 ** (31 - integer_bits))) < 4e-7


@given(UNIT)
def test_quotients_are_quotients(a: int) -> None:
    x = a / 2**31
    assert abs(scalar_gemmlowp.one_over_one_plus_x_for_x_in_0_1(a) / 2**31 - 1 / (1 + x)) < 1e-8
    assert abs(scalar_gemmlowp.one_minus_x_over_one_plus_x_for_x_in_0_1(a) / 2**31 - (1 - x) / (1 + x)) < 2e-8


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("exp_on_negative_values", (0, 5), ONE),
        ("exp_on_negative_values", (-(2**26), 5), 790015308),  # e⁻¹ · 2³¹ = 790015083.6
        ("exp_on_negative_values", (-(2**31), 5), 0),
        ("exp_on_negative_values", (-33 * 2**25, 6), 0),
        ("one_over_one_plus_x_for_x_in_0_1", (0,), ONE),
        ("one_over_one_plus_x_for_x_in_0_1", (2**30,), 1431655762),  # ⅔ · 2³¹ = 1431655765.3
        ("one_over_one_plus_x_for_x_in_0_1", (ONE,), 1073741820),
        ("one_minus_x_over_one_plus_x_for_x_in_0_1", (0,), ONE),
        ("one_minus_x_over_one_plus_x_for_x_in_0_1", (2**30,), 715827876),  # ⅓ · 2³¹ = 715827882.7
        ("one_minus_x_over_one_plus_x_for_x_in_0_1", (ONE,), -8),
    ],
)
def test_what_gemmlowp_gives(name: str, arguments: tuple[int, ...], expected: int) -> None:
    """Printed by a program compiled with gemmlowp's own header."""
    a, *rest = arguments
    assert getattr(scalar_gemmlowp, name)(a, *rest) == expected
    assert getattr(gemmlowp, name)(array([a]), *rest).tolist() == [expected]
