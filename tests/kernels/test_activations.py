"""RELU's and RELU6's own facts: whose quantisation counts, and what passes a float clamp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q


def model(op: str, dtype: str, input: Quantization | None, output: Quantization | None, size: int = 4) -> Model:
    return one_op(op, {}, [fed((size,), dtype, input)], fed((size,), dtype, output, "y"))


def test_relu_requantises_and_clamps_at_the_output_zero_point() -> None:
    """Codes 10 + (−3, 0, 3, 100): times 0.5 / 0.25, from −20 on."""
    (y,) = run(model("RELU", "int8", q(0.5, 10), q(0.25, -20)), np.array([7, 10, 13, 110], np.int8))
    assert y.tolist() == [-20, -20, -14, 127]


def test_relu_on_int16() -> None:
    (y,) = run(model("RELU", "int16", q(0.5), q(0.25)), np.array([-5, 0, 5, 30000], np.int16))
    assert y.tolist() == [0, 0, 10, 32767]


@pytest.mark.parametrize("op", ["RELU", "RELU6"])
def test_the_ends_of_the_range_clamp_too(op: str) -> None:
    (y,) = run(model(op, "int8", q(1.0, 127), q(1.0, 127)), np.array([-128, 0, 126, 127], np.int8))
    assert y.tolist() == [127] * 4


def test_relu6_ignores_the_output_quantisation() -> None:
    """With scale 0.5 and zero point 10, 0 and 6 are the codes 10 and 22, whatever the output's would be."""
    (y,) = run(model("RELU6", "int8", q(0.5, 10), q(3.0, -77)), np.array([-128, 15, 22, 23], np.int8))
    assert y.tolist() == [10, 15, 22, 22]


def test_relu6_takes_int16_with_a_zero_point() -> None:
    (y,) = run(model("RELU6", "int16", q(0.01, 100), q(0.01, 100)), np.array([-9, 500, 700, 701], np.int16))
    assert y.tolist() == [100, 500, 700, 700]


@pytest.mark.parametrize(
    ("op", "expected"), [("RELU", [0.0, -0.0, 5.0, np.inf, 0.0]), ("RELU6", [0.0, -0.0, 5.0, 6.0, 0.0])]
)
def test_minus_zero_passes(op: str, expected: list[float]) -> None:
    (y,) = run(model(op, "float32", None, None, 5), np.array([-1, -0.0, 5, np.inf, -np.inf], np.float32))
    assert y.tobytes() == np.array(expected, np.float32).tobytes()


@pytest.mark.parametrize("op", ["RELU", "RELU6"])
def test_nan_passes(op: str) -> None:
    assert np.isnan(run(model(op, "float32", None, None, 1), np.array([np.nan], np.float32))[0]).all()


@pytest.mark.parametrize(("rounding", "tie", "less"), [("double", 7, 1), ("single", 7, 0), ("xnnpack", 6, 0)])
def test_relu_in_three_dialects(rounding: Any, tie: int, less: int) -> None:
    """13 · 0.5 is a tie; 63 · 0.00786 is 31.69 / 64, less than a half until 31.69 is rounded."""
    numerics = Numerics(rounding=rounding)
    for scale, code, expected in ((0.5, 13, tie), (1080000000 * 2.0**-37, 63, less)):
        (y,) = run(model("RELU", "int8", q(scale), q(1.0), 1), np.array([code], np.int8), numerics=numerics)
        assert y == expected


def test_scale_math_reaches_the_multiplier() -> None:
    double, single = (
        make_plan(model("RELU", "int16", q(0.1), q(0.3)), numerics=Numerics(scale_math=math)).steps[0].params.multiplier
        for math in ("double", "float32")
    )
    assert int(double.multiplier) != int(single.multiplier)
    assert int(single.multiplier) == int(np.float32(0.1) / np.float32(0.3) * np.float64(2**32))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (model("RELU", "int16", q(1.0, 3), q(1.0)), "int16 takes zero points of 0"),
        (model("RELU", "int8", None, q(1.0)), "has no positive scale"),
        (model("RELU", "int8", q(1.0), q(2.0**-40)), r"their factor is 2\^41"),
        (model("RELU6", "int8", q(1e-9), q(1.0)), "too small for a code of 6"),
        (one_op("RELU", {}, [fed((4,), "float32")], fed((5,), "float32", None, "y")), "must agree"),
        (one_op("RELU6", {}, [fed((4,), "int8", q(1.0))], fed((4,), "int16", q(1.0), "y")), "must agree"),
        (model("RELU", "int32", q(1.0), q(1.0)), "int32"),
    ],
)
def test_refusals(node: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(node)
