"""Fixed-point rescaling: TFLM's `quantization_util.cc` (QuantizeMultiplier), `common.cc` (MultiplyBy… of that).

Fractions and floors of exact integers are the judges; accumulators and multipliers come edges first.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from refengine.kernel import Node, Numerics
from refengine.kernels import KERNELS
from refengine.model import Array
from refengine.numerics.fixedpoint import (
    Ints,
    Multiplier,
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_64,
    quantize_multiplier,
    wrap32,
)
from refengine.strategies import multipliers, scales, zero_points
from tests.models import evaluated, fed, q
from tests.properties.one import every_code

INT32 = st.integers(-(2**31), 2**31 - 1)
ACCUMULATORS = st.integers(-300, 300) | st.integers(-(2**24), 2**24) | INT32
REALS = st.floats(2.0**-31, 2.0**30) | st.integers(-31, 29).flatmap(
    lambda e: st.sampled_from((1.0, 1 - 2.0**-53, 1 + 2.0**-32, 1 + 2.0**-31, 1.5)).map(lambda f: f * 2.0**e)
)
RIGHT = multipliers(-31, 0)
"""(multiplier, shift) of factors below 1."""

EIGHT_BITS = np.arange(-255, 256)
"""Every int8 code less every zero point."""


def rescale(a: int | Ints, factor: tuple[int | Ints, int | Ints], rounding: str = "double") -> Ints:
    multiplier, shift = (np.asarray(part, np.int64) for part in factor)
    scale = np.ldexp(multiplier.astype(np.float64), shift - 31).astype(np.float32)
    return multiply_by_quantized_multiplier(np.asarray(a, np.int64), Multiplier(multiplier, shift, scale, rounding))


def rescale_64(a: int | Ints, factor: tuple[int | Ints, int | Ints]) -> Ints:
    multiplier, shift = (np.asarray(part, np.int64) for part in factor)
    return multiply_by_quantized_multiplier_64(
        np.asarray(a, np.int64), Multiplier(multiplier, shift, np.array([0], np.float32), "double")
    )


def value(factor: tuple[int, int]) -> Fraction:
    return Fraction(factor[0]) * Fraction(2) ** (factor[1] - 31)


def multiplier_of(real: float) -> tuple[int, int]:
    multiplier, shift, _, _ = quantize_multiplier(real)
    return multiplier.item(), shift.item()


# ── The multiplier ────────────────────────────────────────────────────────────────────────────────


@given(REALS)
@example(0.5 + 2.0**-32)
def test_the_multipliers_error(real: float) -> None:
    """At most 1 / (2³¹ + 1), attained; and a multiplier's own value is kept."""
    factor = multiplier_of(real)
    error = abs(value(factor) / Fraction(real) - 1)
    assert 2**30 <= factor[0] < 2**31
    assert error <= Fraction(1, 2**31 + 1)
    assert (error == Fraction(1, 2**31 + 1)) == (np.frexp(real)[0] == 0.5 + 2.0**-32)
    assert multiplier_of(float(value(factor))) == factor


@given(st.lists(REALS, min_size=2))
def test_the_multiplier_keeps_the_order(reals: list[float]) -> None:
    values = [value(multiplier_of(real)) for real in sorted(reals)]
    assert values == sorted(values)


def test_small_factors_become_zero() -> None:
    """At 2⁻³² · (1 − 2⁻³²), where the multiplier rounds up to the next power of two."""
    edge = 2.0**-32 * (1 - 2.0**-32)
    assert multiplier_of(edge) == (2**30, -31)
    assert multiplier_of(float(np.nextafter(edge, 0))) == (0, 0)


@given(multipliers(-14, 14))
@example((2**31 - 1, 0))
@example((0x7FFF0000, 0))
@example((2**30 + 2**15, 0))
def test_the_narrow_multipliers_error(factor: tuple[int, int]) -> None:
    """16 bits, recovered as the product with 2³² at a shift that rounds nothing."""
    multiplier, _ = factor
    narrow = Fraction(rescale_64(2**15, (multiplier, 0)).item())
    error = 1 - narrow * 2**16 / multiplier
    assert -Fraction(2**15, 2**30) <= error <= Fraction(65535, 2**31 - 1)
    assert (error == Fraction(65535, 2**31 - 1)) == (multiplier == 2**31 - 1)


# ── One rescaling ─────────────────────────────────────────────────────────────────────────────────


def closed_form(a: int, factor: tuple[int, int]) -> int:
    """⌊a·r + ½ ± e⌋, e = 2^(shift − 1) for shift < 0, upwards for a ≥ 0."""
    early = Fraction(2) ** (factor[1] - 1) if factor[1] < 0 else 0
    return floor(a * value(factor) + Fraction(1, 2) + (early if a >= 0 else -early))


@given(ACCUMULATORS, multipliers(-31, 30))
def test_the_closed_form_of_double_rounding(a: int, factor: tuple[int, int]) -> None:
    assume(-(2**31) <= a * 2 ** max(factor[1], 0) < 2**31)
    result = rescale(a, factor).item()
    assert result == closed_form(a, factor)
    early = Fraction(2) ** (factor[1] - 1) if factor[1] < 0 else 0
    assert abs(result - a * value(factor)) <= Fraction(1, 2) + early <= Fraction(3, 4)


def test_every_code_by_a_quarter() -> None:
    """Three quarters of a step are attained, by 1 · ¼ and every fourth code after it."""
    results = rescale(EIGHT_BITS, (2**30, -1))
    assert results.tolist() == [closed_form(a, (2**30, -1)) for a in EIGHT_BITS.tolist()]
    error = results - EIGHT_BITS / 4
    assert error.max() == 0.75 and (EIGHT_BITS[error == 0.75] % 4 == 1).all() and error.min() == -0.5


@given(st.integers(-(2**47), 2**47), multipliers(-14, 14))
@example(32767, (2**31 - 1, 0))
def test_the_error_of_64_bit_accumulators(a: int, factor: tuple[int, int]) -> None:
    exact = a * value(factor)
    assume(abs(exact) < 2**30)
    assert abs(rescale_64(a, factor).item() - exact) <= Fraction(1, 2) + abs(exact) / 2**15


# ── The dialects ──────────────────────────────────────────────────────────────────────────────────


@given(ACCUMULATORS, multipliers(-31, 30))
def test_double_and_single_rounding_differ_by_at_most_one(a: int, factor: tuple[int, int]) -> None:
    """And then the double one is the farther from zero."""
    assume(-(2**31) <= a * 2 ** max(factor[1], 0) < 2**31)
    double, single = rescale(a, factor).item(), rescale(a, factor, "single").item()
    assert 0 <= abs(double) - abs(single) <= (1 if factor[1] < 0 else 0)
    assert double * single >= 0


@given(ACCUMULATORS, RIGHT)
def test_where_double_and_single_rounding_differ(a: int, factor: tuple[int, int]) -> None:
    fraction, early = abs(a * value(factor)) % 1, Fraction(2) ** (factor[1] - 1)
    half = Fraction(1, 2)
    window = half - early < fraction <= half if a < 0 else half - early <= fraction < half
    expected = factor[1] < 0 and window
    assert (rescale(a, factor).item() != rescale(a, factor, "single").item()) == expected


def test_the_rate_at_which_they_differ() -> None:
    rng = np.random.default_rng(0)
    for shift, percent in ((-1, "25.0"), (-2, "12.5"), (-4, "3.1"), (-8, "0.2"), (0, "0.0")):
        a, multiplier = rng.integers(-(2**24), 2**24, 400_000), rng.integers(2**30, 2**31, 400_000)
        rate = np.mean(rescale(a, (multiplier, shift)) != rescale(a, (multiplier, shift), "single"))
        assert f"{100 * rate:.1f}" == percent
        assert shift == 0 or abs(rate / 2.0 ** (shift - 1) - 1) < 0.05


@given(ACCUMULATORS, RIGHT, st.sampled_from(("double", "single")))
def test_xnnpack_differs_by_at_most_one(a: int, factor: tuple[int, int], other: str) -> None:
    assume(abs(a * value(factor)) <= 2**16)
    assert abs(rescale(a, factor, "xnnpack") - rescale(a, factor, other)).item() <= 1


# ── Order, sign, identity ─────────────────────────────────────────────────────────────────────────


@given(st.lists(ACCUMULATORS, min_size=2), multipliers(-31, 30), st.sampled_from(("double", "single", "xnnpack")))
def test_rescaling_keeps_the_order(values: list[int], factor: tuple[int, int], rounding: str) -> None:
    a = np.sort(np.array(values)) >> max(factor[1], 0)
    for ordered in (a, EIGHT_BITS >> max(factor[1] - 22, 0)):
        assert (np.diff(rescale(ordered, factor, rounding)) >= 0).all()
    if factor[1] <= 14:
        assert (np.diff(rescale_64(a, factor)) >= 0).all()


@pytest.mark.parametrize("shift", range(1, 31))
def test_registers_wrap(shift: int) -> None:
    """The first accumulator that is too large, in each kind of arithmetic."""
    last = 2 ** (31 - shift) - 1
    assert rescale(last, (2**30, shift)).item() == last * 2 ** (shift - 1)
    assert rescale(last + 1, (2**30, shift)).item() == -(2**30)
    if shift <= 14:
        last = 2**31 // 2 ** (shift - 1) - 1
        assert rescale_64(last, (2**30, shift)).item() == last * 2 ** (shift - 1)
        assert rescale_64(last + 1, (2**30, shift)).item() == -(2**31)


@given(st.integers(-(2**31) + 1, 2**31 - 1), multipliers(-31, 30))
@example(1, (2**30, 0))
@example(2**30, (2**30 + 1, -3))
def test_rescaling_is_odd_except_at_ties(a: int, factor: tuple[int, int]) -> None:
    """The tie is that of the high multiply: (a · 2^shift) · m an odd multiple of 2³⁰."""
    shifted = a * 2 ** max(factor[1], 0)
    assume(abs(shifted) < 2**31)
    tie = shifted * factor[0] % 2**31 == 2**30
    odd = rescale(-a, factor).item() == -rescale(a, factor).item()
    if not tie:
        assert odd
    elif factor[1] >= 0:
        assert not odd
    assert odd or tie


@given(scales(2.0**-120, 2.0**120), st.data(), st.sampled_from(("int8", "int16")))
def test_equal_parameters_change_nothing(scale: float, data: st.DataObject, dtype: str) -> None:
    """QUANTIZE of all codes, in the dialects with fixed-point multipliers."""
    zero_point = data.draw(zero_points(dtype))
    codes = every_code(dtype)
    for rounding in ("double", "single"):
        numerics = Numerics(rounding=rounding)
        assert np.array_equal(quantize(codes, scale, zero_point, dtype, scale, zero_point, numerics), codes)
    assert np.array_equal(rescale_64(codes.astype(np.int64), multiplier_of(1.0)), codes)


def quantize(
    codes: Array,
    scale: float,
    zero_point: int,
    dtype: str,
    to_scale: float,
    to: int = 0,
    numerics: Numerics | None = None,
) -> Array:
    """What the operator QUANTIZE makes of `codes`."""
    kernel = KERNELS["QUANTIZE", codes.dtype.name]
    node = Node("QUANTIZE", {}, (fed((), codes.dtype.name, q(scale, zero_point)),), (fed((), dtype, q(to_scale, to)),))
    return evaluated(kernel, kernel.prepare(node, numerics or Numerics()), codes)


@given(scales(), zero_points("int8"), st.floats(0.0, 1.0), st.integers(0, 24))
@example(1.0, 0, 1.0, 0)
@example(0.1, -128, 0.0, 1)
def test_there_and_back_through_int16(scale: float, zero_point: int, part: float, close: int) -> None:
    """int16 scales from the least that reaches all codes to the int8 scale, and just below powers of two of it."""
    reach = max(127 - zero_point, 128 + zero_point)
    least = reach / 32767
    ratio = least * (1 / least) ** part * (1 - 2.0**-close if close else 1.0)
    finer = float(np.float32(scale * ratio))
    assume(reach * scale <= 32767 * finer and finer <= scale)
    codes = every_code("int8")
    there = quantize(codes, scale, zero_point, "int16", finer)
    assert np.array_equal(quantize(there, finer, 0, "int8", scale, zero_point), codes)


# ── Compositions ──────────────────────────────────────────────────────────────────────────────────


@given(st.lists(ACCUMULATORS, min_size=1), multipliers(-31, 7), RIGHT)
def test_two_rescalings_are_one_within_a_step(
    values: list[int], first: tuple[int, int], second: tuple[int, int]
) -> None:
    """For int16-sized results, where the multipliers' own errors do not count."""
    both = float(value(first) * value(second))
    assume(both > 2.0**-31)
    for a in (EIGHT_BITS, np.array(values) >> max(first[1], 0)):
        kept = a[np.abs(a) * both < 2**16]
        twice = rescale(rescale(kept, first), second)
        assert (np.abs(twice - rescale(kept, multiplier_of(both))) <= 1).all()


@given(st.lists(st.tuples(ACCUMULATORS, ACCUMULATORS), min_size=1), multipliers(-31, 7))
def test_a_sums_rescaling_is_the_sum_within_a_step(pairs: list[tuple[int, int]], factor: tuple[int, int]) -> None:
    a, b = np.array(pairs).T >> max(factor[1], 0) + 1
    for x, y in ((a, b), (EIGHT_BITS, EIGHT_BITS[:, None])):
        assert (np.abs(rescale(x, factor) + rescale(y, factor) - rescale(wrap32(x + y), factor)) <= 1).all()
