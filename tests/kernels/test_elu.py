"""ELU's own facts: a table in float32, and what is beyond int32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q

INT8 = np.arange(-128, 128).astype(np.int8)


def model(dtype: str, size: int, input: Quantization | None = None, output: Quantization | None = None) -> Model:
    return one_op("ELU", {}, [fed((size,), dtype, input)], fed((size,), dtype, output))


@pytest.mark.parametrize("zero_point", [0, 100, -128])
def test_int8_is_elu_to_a_rounding(zero_point: int) -> None:
    (y,) = run(model("int8", 256, q(0.05, zero_point), q(0.02, -78)), INT8)
    x = 0.05 * (INT8.astype(np.float64) - zero_point)
    real = np.where(x < 0, np.expm1(x), x) / 0.02 - 78
    assert np.abs(y - np.clip(real, -128, 127)).max() < 0.5001


def test_ties_go_away_from_zero() -> None:
    (y,) = run(model("int8", 3, q(0.5), q(1)), np.array([1, 3, 4], np.int8))
    assert y.tolist() == [1, 2, 2]


@pytest.mark.parametrize(("float_to_int", "code"), [("x86", -128), ("arm", 127)])
def test_beyond_int32_the_processor_decides(float_to_int: Any, code: int) -> None:
    plan = make_plan(model("int8", 1, q(1), q(2.0**-30)), numerics=Numerics(float_to_int=float_to_int))
    assert run(plan, np.array([2], np.int8))[0].tolist() == [code]


def test_floats() -> None:
    x = np.array([1.5, 0.0, -0.0, -1e-30, -100, np.inf, -np.inf, np.nan], np.float32)
    (y,) = run(model("float32", 8), x)
    assert y[:7].tobytes() == np.array([1.5, 0.0, -0.0, -1e-30, -1, np.inf, -1], np.float32).tobytes()
    assert np.isnan(y[7])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (model("int8", 1, q(1)), r"'output0' is int8 but has no positive scale"),
        (model("int16", 1, q(1), q(1)), r"'input0' is int16"),
    ],
)
def test_refusals(wrong: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(wrong)
