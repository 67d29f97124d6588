"""LOG_SOFTMAX's own facts: its fixed output scale, what falls below it, and what would overflow or abort TFLM."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q

FIXED = q(1 / 16, 127)


def log_softmax(
    shape: tuple[int, ...], input: Quantization | None = None, output: Quantization | None = FIXED, dtype: str = "int8"
) -> Model:
    return one_op("LOG_SOFTMAX", {}, [fed(shape, dtype, input)], fed(shape, dtype, output))


def test_codes_are_sixteenths_below_127() -> None:
    """Three logits 0, −1 and −4: log Σ = 0.3266; −0.3266, −1.3266 and −4.3266 are 5.2, 21.2 and 69.2 sixteenths."""
    (y,) = run(log_softmax((1, 3), q(0.25)), np.array([[20, 16, 4]], np.int8))
    assert y.tolist() == [[127 - 5, 127 - 21, 127 - 69]]


def test_equal_logits_share_log_n() -> None:
    (y,) = run(log_softmax((1, 300), q(1)), np.full((1, 300), -7, np.int8))
    assert set(y.flat) == {127 - round(16 * math.log(300))}


def test_the_input_zero_point_plays_no_part() -> None:
    x = np.array([[-3, 9]], np.int8)
    assert np.array_equal(*(run(log_softmax((1, 2), q(0.5, zero)), x)[0] for zero in (-128, 55)))


def test_what_lies_16_below_is_the_lowest_code() -> None:
    (y,) = run(log_softmax((1, 4), q(1)), np.array([[100, 85, 84, -128]], np.int8))
    assert y.tolist() == [[127, 127 - 240, -128, -128]]


def test_a_scale_beyond_fixed_point_leaves_only_the_largest() -> None:
    (y,) = run(log_softmax((1, 3), q(1e6)), np.array([[1, 0, 1]], np.int8))
    assert y.tolist() == [[127 - 11, -128, 127 - 11]]


def test_both_roundings_agree_with_the_logarithm() -> None:
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
    real = x * 0.05 - np.log(np.exp(x * 0.05).sum())
    for rounding in ("double", "single"):
        (y,) = run(make_plan(log_softmax((1, 256), q(0.05)), numerics=Numerics(rounding=rounding)), x)
        assert np.abs(y - np.clip(127 + 16 * real, -128, 127)).max() < 0.51


def test_floats_and_what_is_not_finite() -> None:
    model = log_softmax((4, 2), None, None, "float32")
    inf, nan = np.inf, np.nan
    (y,) = run(model, np.array([[0, 0], [1, -inf], [nan, 0], [inf, 0]], np.float32))
    assert y[0].tolist() == [np.float32(-math.log(2))] * 2
    assert y[1].tolist() == [0, -inf]
    assert np.isnan(y[2]).all()
    assert np.isnan(y[3]).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (log_softmax((1, 2), q(1), q(1 / 16, 126)), r"has scale 0.0625 and zero point 126; TFLM takes scale 1/16"),
        (log_softmax((1, 2), q(1), q(1 / 8, 127)), r"has scale 0.125 and zero point 127; TFLM takes scale 1/16"),
        (
            log_softmax((1, 2), q(2.0**-26)),
            r"scale 1.49012e-08 of input 'input0' is not above 2\^-26, where TFLM aborts",
        ),
        (log_softmax((1, 4096), q(1)), r"the 4096 exponentials of a row of 'input0' may overflow TFLM's 32-bit sum"),
        (log_softmax((1, 2)), r"'input0' is int8 but has no positive scale"),
        (log_softmax((), q(1)), r"must have at least one dimension"),
        (one_op("LOG_SOFTMAX", {}, [fed((2,), "int8", q(1))], fed((3,), "int8", FIXED)), r"they must agree"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_4095_logits_fit() -> None:
    (y,) = run(log_softmax((1, 4095), q(1)), np.zeros((1, 4095), np.int8))
    assert set(y.flat) == {127 - round(16 * math.log(4095))}
