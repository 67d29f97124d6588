"""FLOOR_DIV's own facts: a division in double, and divisors of 0."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def model(size: int, divisor: Tensor | None = None) -> Model:
    inputs = [fed((1, size), "float32"), divisor or fed((1, size), "float32")]
    return one_op("FLOOR_DIV", {}, [*inputs], fed((1, size), "float32"))


def test_it_rounds_down() -> None:
    a, b = np.array([[7, -7, 7, -0.0]], np.float32), np.array([[2, 2, -2, 5]], np.float32)
    (y,) = run(model(4), a, b)
    assert y.tobytes() == np.array([[3, -4, -4, -0.0]], np.float32).tobytes()


def test_the_division_is_in_double() -> None:
    """1 / 0.1 is 10 in float32, and in double a little less, for the float32 next to 0.1 is a little more."""
    a, b = np.ones((1, 1), np.float32), np.full((1, 1), 0.1, np.float32)
    assert (a / b).item() == 10
    assert run(model(1), a, b)[0].item() == 9


def test_infinities_and_nan() -> None:
    a, b = np.array([[np.inf, 1, -1, np.nan]], np.float32), np.array([[2, np.inf, np.inf, 1]], np.float32)
    (y,) = run(model(4), a, b)
    assert y[:, :3].tobytes() == np.array([np.inf, 0.0, -0.0], np.float32).tobytes()
    assert np.isnan(y[0, 3])


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_divisor_of_0_fails_its_inference_alone(zero: float) -> None:
    with pytest.raises(InferenceError, match="a divisor is 0") as caught:
        run(model(1), np.array([[5], [5]], np.float32), np.array([[2], [zero]], np.float32))
    assert caught.value.rows.tolist() == [False, True]
    assert caught.value.outputs[0][0].tolist() == [2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (model(2, const([[1, 0]], "float32")), r"the constant divisor 'input1' holds a 0"),
        (one_op("FLOOR_DIV", {}, [fed((1,), "int32"), fed((1,), "int32")], fed((1,), "int32")), r"'input0' is int32"),
        (model(2, const([1], "int32")), r"they must agree"),
    ],
)
def test_refusals(wrong: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(wrong)
