"""DIV's own facts: quotients that C leaves undefined, divisors of 0, and what int32 has no room for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, Numerics, UnsupportedError, execute, make_plan, run
from refengine.explanation import explain
from refengine.model import Model, Quantization, Tensor
from tests.models import const, fed, one_op, q

FLT_MAX = np.finfo(np.float32).max


def div(
    dtype: str,
    first: Quantization | None = None,
    second: Quantization | None = None,
    output: Quantization | None = None,
    activation: str = "NONE",
    size: int = 1,
    divisor: Tensor | None = None,
) -> Model:
    inputs: list[Tensor | None] = [fed((1, size), dtype, first), divisor or fed((1, size), dtype, second)]
    return one_op("DIV", {"fused_activation_function": activation}, inputs, fed((1, size), dtype, output))


def codes(model: Model, a: list[int], b: list[int], **numerics: Any) -> list[int]:
    plan = make_plan(model, numerics=Numerics(**numerics))
    dtype = plan.inputs[0].dtype
    codes: list[int] = run(plan, np.array([a], dtype), np.array([b], dtype))[0][0].tolist()
    return codes


# ---- int8 ----------------------------------------------------------------------------------------------------


def test_int8_divides_real_numbers() -> None:
    """0.5 · (13 − 3) / (0.25 · (7 + 3)) = 2, in steps of 0.125 from −10 on."""
    model = div("int8", q(0.5, 3), q(0.25, -3), q(0.125, -10), size=4)
    assert codes(model, [13, 13, -7, -7], [7, -13, 7, -13]) == [6, -26, -26, 6]


def test_a_fused_activation_clamps() -> None:
    assert codes(div("int8", q(1), q(1), q(1), "RELU6", 3), [100, -100, 30], [2, 2, 10]) == [6, 0, 3]


def test_a_quotient_that_vanishes_is_what_the_processor_makes_of_it() -> None:
    """1 / 127 is 2⁻²⁷ steps of 2²⁰, or 270549122 / 2⁵⁵: x86 shifts by 55 − 32 = 23."""
    model = div("int8", q(1), q(1), q(2.0**20), size=3)
    assert codes(model, [0, 1, -1], [127] * 3, float_to_int="arm") == [1, 1, -1]
    assert codes(model, [0, 1, -1], [127] * 3) == [1, 33, -33]


@pytest.mark.parametrize("float_to_int", ["x86", "arm"])
def test_a_quotient_of_0_may_be_1_too_much(float_to_int: Any) -> None:
    """By 3 it takes a shift of 1 + 31 − 2 bits, by 100 one of 6 + 31 − 2."""
    model = div("int8", q(1), q(1), q(0.5, 10), size=2)
    assert codes(model, [0, 0], [3, 100], float_to_int=float_to_int) == [10, 11]


def test_on_x86_a_shift_by_64_is_none() -> None:
    """2 + 31 + 31 bits. The mask of 64 bits comes round, too, so that nothing is added."""
    assert codes(div("int8", q(1), q(1), q(2.0**32)), [0], [4]) == [0]
    assert codes(div("int8", q(1), q(1), q(2.0**31)), [0], [4]) == [1]


def test_a_divisor_of_0_leaves_its_element_undefined() -> None:
    plan = make_plan(div("int8", q(1), q(1, 5), q(1), size=2))
    (record,) = execute(plan, np.array([[7, 8]], np.int8), np.array([[5, 9]], np.int8))
    assert record.undefined[0] is not None
    assert record.undefined[0].tolist() == [[True, False]]
    assert record.outputs[0].tolist() == [[0, 2]]
    line = explain(plan, record, (0, 0)).lines[-1]
    assert (line.name, line.value) == ("undefined", 0)


def test_scale_math_reaches_the_multiplier() -> None:
    double, single = (
        make_plan(div("int8", q(0.1), q(0.3), q(0.7)), numerics=Numerics(scale_math=math)).steps[0].params  # type: ignore[arg-type]
        for math in ("double", "float32")
    )
    assert double.output_multiplier.multiplier != single.output_multiplier.multiplier


@pytest.mark.parametrize("rounding", ["single", "xnnpack"])
def test_other_roundings_are_not_guessed(rounding: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"int8 quotients .* rounding=double"):
        make_plan(div("int8", q(1), q(1), q(1)), numerics=Numerics(rounding=rounding))
    make_plan(div("int32"), numerics=Numerics(rounding=rounding))


# ---- float32, int32 ------------------------------------------------------------------------------------------


def test_floats_are_clamped_as_cpp_does() -> None:
    a, b = np.array([[1, -1, 0.0, -6, 7]], np.float32), np.array([[0.0, 0.0, -1, 4, 2]], np.float32)
    (y,) = run(div("float32", size=5), a, b)
    assert y.tobytes() == np.array([FLT_MAX, -FLT_MAX, -0.0, -1.5, 3.5], np.float32).tobytes()
    (y,) = run(div("float32", activation="RELU_N1_TO_1", size=5), a, b)
    assert y.tobytes() == np.array([1, -1, -0.0, -1, 1], np.float32).tobytes()
    assert np.isnan(run(div("float32"), np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))[0]).all()


def test_int32_is_cut_off_towards_zero_then_clamped() -> None:
    assert codes(div("int32", size=4), [7, -7, 7, -(2**31)], [2, 2, -2, 3]) == [3, -3, -3, -715827882]
    assert codes(div("int32", activation="RELU6", size=3), [70, -7, 9], [2, 2, 3]) == [6, 0, 3]


@pytest.mark.parametrize(
    ("a", "b", "message"), [(5, 0, r"a divisor is 0"), (-(2**31), -1, r"−2147483648 is divided by −1")]
)
def test_what_int32_cannot_divide_fails_its_inference_alone(a: int, b: int, message: str) -> None:
    with pytest.raises(InferenceError, match=message) as caught:
        run(div("int32"), np.array([[6], [a]], np.int32), np.array([[3], [b]], np.int32))
    assert caught.value.rows.tolist() == [False, True]
    assert caught.value.outputs[0][0].tolist() == [2]


def test_minus_1_divides_what_else_there_is() -> None:
    assert codes(div("int32", size=2), [5, -(2**31) + 1], [-1, -1]) == [-5, 2**31 - 1]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (div("int32", q(1)), r"input 'input0' is int32 with a scale; TFLM divides int32 only unquantised"),
        (div("int32", divisor=const([[0]], "int32")), r"the constant divisor 'input1' holds a 0"),
        (div("int8", q(1), q(1)), r"'output0' is int8 but has no positive scale"),
        (div("int8", q(1), q(1e-30), q(1e-30)), r"are too far apart"),
        (div("int16", q(1), q(1), q(1)), r"'input0' is int16"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
