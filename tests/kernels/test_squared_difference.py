"""SQUARED_DIFFERENCE's own facts: one scale for both inputs, zero points, what wraps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels import squared_difference as kernel
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q


def model(
    dtype: str,
    first: Quantization | None = None,
    second: Quantization | None = None,
    output: Quantization | None = None,
    size: int = 3,
) -> Model:
    inputs = [fed((size,), dtype, first), fed((size,), dtype, second)]
    return one_op("SQUARED_DIFFERENCE", {}, [*inputs], fed((size,), dtype, output))


def test_int8_squares_real_differences() -> None:
    """0.5 · (7 − 3) − 0.25 · (1 + 3) = 1: its square in steps of 0.25, from −10 on."""
    given = run(model("int8", q(0.5, 3), q(0.25, -3), q(0.25, -10)), *np.array([[7, 3, 127], [1, 5, -128]], np.int8))[0]
    assert given.tolist() == [-6, 6, 127]


def test_int16_has_no_zero_points() -> None:
    given = run(model("int16", q(1), q(2), q(4), 2), *np.array([[-32768, 100], [32767, 30]], np.int16))[0]
    assert given.tolist() == [32767, 400]


def test_int16_is_coarse() -> None:
    """5 · 1 is 1.25 of the common scale 4: rounded to 3 halves, then to 2, whose square is 16 and not 6."""
    given = run(model("int16", q(1), q(2), q(4), 1), np.array([5], np.int16), np.array([0], np.int16))[0]
    assert given.tolist() == [16]


@pytest.mark.parametrize("rounding", ["double", "single"])
def test_half_a_code_goes_up(rounding: Any) -> None:
    plan = make_plan(model("int8", q(1), q(1), q(2), 1), numerics=Numerics(rounding=rounding))
    assert run(plan, np.array([1], np.int8), np.array([0], np.int8))[0].tolist() == [1]


def test_int32_wraps_twice() -> None:
    a, b = np.array([2**31 - 1, 2**16, 3], np.int32), np.array([-1, 0, 5], np.int32)
    assert run(model("int32"), a, b)[0].tolist() == [0, 0, 4]  # the difference is −2³¹, whose square is 2⁶²


def test_floats_are_not_clamped() -> None:
    a, b = np.array([1e20, 1, np.nan], np.float32), np.array([0, 2**-25, 0], np.float32)
    y = run(model("float32"), a, b)[0]
    assert y[:2].tolist() == [np.inf, 1]
    assert np.isnan(y[2])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (model("int16", q(1), q(1, 5), q(1)), r"the zero point of 'input1' is 5; TFLM takes int16 here only"),
        (model("int16", q(1), q(1), q(1, -5)), r"the zero point of 'output0' is -5"),
        (model("int8", q(1), q(1)), r"'output0' is int8 but has no positive scale"),
        (model("int8", q(2.0**20), q(1), q(2.0**-10)), r"TFLM can shift by 31 bits at most"),
        (model("int64"), r"'input0' is int64"),
    ],
)
def test_refusals(wrong: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(wrong)


def test_xnnpack_is_not_guessed() -> None:
    with pytest.raises(UnsupportedError, match=r"what XNNPACK makes of a quantised SQUARED_DIFFERENCE is not known"):
        make_plan(model("int8", q(1), q(1), q(1)), numerics=Numerics(rounding="xnnpack"))


@pytest.mark.parametrize("scales", [(1, 1, 64), (1, 2, 4096), (0.013, 0.0007, 0.2), (0.001, 0.0009, 0.07)])
def test_many_int16_codes_by_float64_are_those_by_integers(scales: tuple[float, ...]) -> None:
    a, b = np.random.default_rng(1).integers(-(2**15), 2**15, (2, 1 << 14)).astype(np.int16)
    a[:4], b[:4] = (-(2**15), -(2**15), 2**15 - 1, 2**15 - 1), (-(2**15), 2**15 - 1, -(2**15), 2**15 - 1)
    p = make_plan(model("int16", q(scales[0]), q(scales[1]), q(scales[2]))).steps[0].params
    assert p.lines is not None
    assert np.array_equal(kernel._square_of_lines(p.lines, a, b), kernel._square(p, a, b))
