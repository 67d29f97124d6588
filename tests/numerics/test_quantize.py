"""Ranges, activations, effective scales, and codes to real values and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.numerics import scalar
from refengine.numerics.quantize import (
    activation_range,
    code_range,
    dequantize,
    float_activation_range,
    product_multiplier,
    quantize,
)

SCALES = st.floats(2.0**-12, 2.0**4, width=32)


def test_code_range() -> None:
    assert code_range("int8") == (-128, 127)
    assert code_range("int16") == (-32768, 32767)


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        ("NONE", 0.1, 3, (-128, 127)),
        ("RELU", 0.1, 3, (3, 127)),
        ("RELU", 0.1, -128, (-128, 127)),
        ("RELU6", 0.1, 3, (3, 63)),
        ("RELU6", 0.01, 3, (3, 127)),  # 6 is beyond the largest code
        ("RELU6", 4.0, 0, (0, 2)),  # 1.5 rounds away from zero
        ("RELU_N1_TO_1", 0.1, 3, (-7, 13)),
        ("RELU_N1_TO_1", 2.0, 0, (-1, 1)),  # so do ±0.5
    ],
)
def test_activation_range(activation: str, scale: float, zero_point: int, expected: tuple[int, int]) -> None:
    assert activation_range(activation, "int8", scale, zero_point) == expected


def test_activation_bounds_are_float32_quotients() -> None:
    """6 / 2.4 is 2.4999999 in double, but in float32 it is 2.5, which rounds to 3."""
    scale = float(np.float32(2.4))
    assert 6 / scale < 2.5
    assert activation_range("RELU6", "int8", scale, 0) == (0, 3)


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [
        ("NONE", -3.4028234663852886e38, 3.4028234663852886e38),
        ("RELU", 0, 3.4028234663852886e38),
        ("RELU6", 0, 6),
        ("RELU_N1_TO_1", -1, 1),
    ],
)
def test_float_activation_range(activation: str, low: float, high: float) -> None:
    assert [*map(float, float_activation_range(activation))] == [low, high]
    assert all(type(bound) is np.float32 for bound in float_activation_range(activation))


@given(SCALES, SCALES, SCALES)
def test_product_multiplier_is_a_double_product_unless_told(input: float, filter: float, output: float) -> None:
    double = product_multiplier(input, filter, output, "double", "double")
    assert (int(double.multiplier), int(double.shift)) == scalar.quantize_multiplier(input * filter / output)
    single = product_multiplier(input, filter, output, "double", "float32")
    product = float(np.float32(input) * np.float32(filter))
    assert (int(single.multiplier), int(single.shift)) == scalar.quantize_multiplier(product / output)
    assert double.scale == np.float32(input) * np.float32(filter) / np.float32(output)


def test_the_two_scale_maths_differ() -> None:
    a, b, c = (float(np.float32(s)) for s in (0.1, 0.003, 0.05))
    double, single = (int(product_multiplier(a, b, c, "double", math).multiplier) for math in ("double", "float32"))
    assert (double, single) == (1649267456, 1649267495)


def test_product_multiplier_takes_a_scale_per_channel() -> None:
    factors = product_multiplier(0.5, (0.25, 1.0), 1.0, "double", "double")
    assert factors.multiplier.tolist() == [2**30, 2**30]
    assert factors.shift.tolist() == [-2, 0]


@given(SCALES, st.integers(-128, 127))
def test_every_code_survives_the_round_trip(scale: float, zero_point: int) -> None:
    codes = np.arange(-128, 128).astype(np.int8)
    assert np.array_equal(quantize(dequantize(codes, scale, zero_point), scale, zero_point, "int8"), codes)


@pytest.mark.parametrize(
    ("x", "code"),
    [
        (0.25, 1),
        (-0.25, -1),
        (0.24999999, 0),
        (1e10, 127),
        (-1e10, -128),
        (np.inf, 127),
        (-np.inf, -128),
        (np.nan, 0),
        (-0.0, 0),
        (0.75, 2),
    ],
)
def test_quantize_rounds_ties_away_and_saturates(x: float, code: int) -> None:
    assert quantize(x, 0.5, 0, "int8") == code
    assert isinstance(quantize(x, 0.5, 0, "int8"), np.ndarray)


def test_nan_becomes_the_zero_point() -> None:
    assert quantize([np.nan, 1.0], 0.5, -7, "int8").tolist() == [-7, -5]


def test_dequantize_is_one_float32_product() -> None:
    scale = float(np.float32(0.1))
    real = dequantize(np.array([-128, 127], np.int8), scale, 3)
    assert real.dtype == np.float32
    assert real.tolist() == [np.float32(0.1) * np.float32(-131), np.float32(0.1) * np.float32(124)]
