"""SUB's own facts: its order, what int32 does, and the older scale arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernel import At
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q


def model(dtype: str, *quantizations: Quantization | None, activation: str = "NONE", size: int = 3) -> Model:
    first, second, output = quantizations or (None, None, None)
    options = {"fused_activation_function": activation, "pot_scale_int16": True}
    inputs = [fed((size,), dtype, first), fed((size,), dtype, second)]
    return one_op("SUB", options, inputs, fed((size,), dtype, output, "y"))


def test_the_second_input_is_subtracted_each_in_its_own_scale() -> None:
    """(10 − 2) · 0.5 − (codes − 3) · 0.25, in steps of 0.125 from −7 on."""
    a, b = np.array([10, 10, 10], np.int8), np.array([3, 7, -100], np.int8)
    (y,) = run(model("int8", q(0.5, 2), q(0.25, 3), q(0.125, -7)), a, b)
    assert y.tolist() == [25, 17, 127]


def test_int16_ignores_the_pot_scale_option() -> None:
    a, b = np.array([1000, -5, 32767], np.int16), np.array([1, 7, -32768], np.int16)
    (y,) = run(model("int16", q(1.0), q(0.5), q(1.0)), a, b)
    assert y.tolist() == [1000, -9, 32767]  # 999.5 and −8.5 away from zero


def test_int32_wraps_before_the_activation() -> None:
    """−2³¹ − 1 becomes 2³¹ − 1; unlike ADD's, the activation is applied."""
    a, b = np.array([-(2**31), 5, 9], np.int32), np.array([1, 7, 1], np.int32)
    assert run(model("int32"), a, b)[0].tolist() == [2**31 - 1, -2, 8]
    assert run(model("int32", activation="RELU6"), a, b)[0].tolist() == [6, 0, 6]


def test_float_clamps_infinities_but_not_nan() -> None:
    a, b = np.array([np.inf, np.inf, 1], np.float32), np.array([1, np.inf, 3], np.float32)
    (y,) = run(model("float32"), a, b)
    assert y[0] == np.finfo(np.float32).max
    assert np.isnan(y[1])
    assert y[2] == -2


def test_an_explanation_subtracts() -> None:
    plan = make_plan(model("int8", q(0.5, 2), q(0.25, 3), q(0.125, -7)))
    a, b = np.array([10, 10, 10], np.int8), np.array([3, 7, -100], np.int8)
    lines = list(plan.steps[0].kernel.explain(plan.steps[0].params, At(0, (1,)), a, b))
    assert lines[-1].value == 17
    assert any(line.name == "difference" and float(line.value) > 0 for line in lines)


def test_scale_math_reaches_all_three_multipliers() -> None:
    node = model("int16", q(0.1), q(0.3), q(0.07))
    double, single = (
        make_plan(node, numerics=numerics).steps[0].params for numerics in (Numerics(), Numerics(scale_math="float32"))
    )
    for name in ("input1_multiplier", "output_multiplier"):
        assert getattr(double, name).multiplier != getattr(single, name).multiplier
    assert double.input2_multiplier.multiplier == single.input2_multiplier.multiplier == 2**30  # a half, always


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (model("int8", q(1.0), q(1.0), q(2.0**-20)), "TFLM aborts"),
        (model("int32", q(1.0), None, None), "int32 with a scale"),
        (model("int32", None, None, q(1.0)), "'output0' is int32 with a scale"),
        (model("int32", q(0.0), None, None), "int32 with a scale"),
        (model("uint8", q(1.0), q(1.0), q(1.0)), "uint8; supported here"),
    ],
)
def test_refusals(node: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(node)
