"""SVDF's own facts: a state that moves up, a zero point that makes features wrap, activations that count or do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, Session, UnsupportedError, execute, make_plan, run
from refengine.explanation import explain
from refengine.kernel import Node
from refengine.model import Model, Quantization, Tensor
from refengine.numerics import scalar
from refengine.strategies import model_of
from tests.models import const, fed, q

INF, NAN = float("inf"), float("nan")


def variable(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> Tensor:
    return Tensor(0, "", shape, dtype, quantization, is_variable=True)


def svdf(rank: int = 1, activation: str = "NONE", output: Tensor | None = None, **inputs: Tensor | None) -> Model:
    """Two inputs, one filter of weights 2 and 1 with a memory of two, weighted 10 and 3; every factor is 1.

    `inputs` replace some of x, feature, time, bias and state.
    """
    given = {
        "x": fed((1, 2), "int8", q(0.5, 1)),
        "feature": const([[2, 1]], "int8", q(0.5)),
        "time": const([[10, 3]], "int16", q(0.5)),
        "bias": const([5], "int32", q(0.125)),
        "state": variable((1, 2), "int16", q(0.25)),
        **inputs,
    }
    y = output or fed((1, 1), "int8", q(0.125, -1))
    options = {"rank": rank, "fused_activation_function": activation, "asymmetric_quantize_inputs": False}
    return model_of(Node("SVDF", options, tuple(given.values()), (y,)))


def floats(activation: str = "NONE", bias: float = 0.0, time: tuple[float, ...] = (1.0,)) -> Model:
    """One float input with weight 1, one filter."""
    return svdf(
        activation=activation,
        output=fed((1, 1), "float32"),
        x=fed((1, 1), "float32"),
        feature=const([[1.0]], "float32"),
        time=const([time], "float32"),
        bias=const([bias], "float32"),
        state=variable((1, len(time)), "float32"),
    )


def codes(*values: int) -> np.ndarray[Any, Any]:
    return np.array([values], np.int8)


def test_features_move_up_the_oldest_first() -> None:
    """2 · (3 − 1) + 1 · (−2 − 1) = 1, then 2 · 0 + 1 · 6 = 6, then 0: weighted 10 and 3, plus bias 5, minus 1."""
    session = Session(svdf())
    outputs = [session.run(codes(*x))[0].item() for x in ((3, -2), (1, 7), (1, 1), (1, 1))]
    assert outputs == [3 + 4, 10 + 18 + 4, 60 + 4, 4]
    session.reset()
    assert session.run(codes(3, -2))[0].item() == 7


@pytest.mark.parametrize(("dtype", "largest"), [("int8", 127), ("int16", 32767)])
def test_the_states_zero_point_is_added_after_the_clamp_and_wraps(dtype: str, largest: int) -> None:
    state = variable((1, 1), dtype, q(2.0**-16, 5))
    model = svdf(time=const([[1]], dtype, q(0.5)), bias=const([0], "int32", q(2.0**-17)), state=state)
    plan = make_plan(model)
    (record,), (small,) = execute(plan, codes(100, 100)), execute(plan, codes(1, 1))
    assert record.updates[0].item() == scalar.wrap(largest + 5, 8 * np.dtype(dtype).itemsize) < 0
    for each, wraps in ((record, True), (small, False)):
        assert any(f"wrapped to {dtype}" in line.text for line in explain(plan, each, (0, 0)).lines) == wraps


def test_rank_is_how_many_filters_in_a_row_make_a_unit() -> None:
    """Features 1, 2, 4 and 8 with time weight 1: units of two are 3 and 12."""
    model = svdf(
        rank=2,
        output=fed((1, 2), "int8", q(0.125)),
        feature=const([[1, 0], [2, 0], [4, 0], [8, 0]], "int8", q(0.5)),
        time=const([[1]] * 4, "int16", q(0.5)),
        bias=const([0, 0], "int32", q(0.125)),
        state=variable((1, 4), "int16", q(0.25)),
    )
    assert run(model, codes(2, 0))[0].tolist() == [[3, 12]]


def test_integers_know_no_activation_and_no_zero_points_of_weights() -> None:
    negative = codes(-100, -100)
    plain = run(svdf(), negative)[0].item()
    assert plain < -1
    assert run(svdf(activation="RELU"), negative)[0].item() == plain
    feature, time = const([[2, 1]], "int8", q(0.5, 9)), const([[10, 3]], "int16", q(0.5, 9))
    assert run(svdf(feature=feature, time=time), negative)[0].item() == plain


def test_floats_are_not_kept_from_infinity_without_an_activation() -> None:
    assert run(floats(bias=3.4e38), np.array([[3.4e38]], np.float32))[0].item() == INF


@pytest.mark.parametrize(("activation", "number"), [("RELU", 0), ("RELU6", 6), ("RELU_N1_TO_1", 1), ("TANH", NAN)])
def test_most_activations_make_nan_a_number(activation: str, number: float) -> None:
    np.testing.assert_equal(run(floats(activation), np.array([[NAN]], np.float32))[0].item(), number)


@pytest.mark.parametrize(("activation", "low", "high"), [("RELU", 0, 30), ("RELU6", 0, 6), ("RELU_N1_TO_1", -1, 1)])
def test_activations_bound_floats(activation: str, low: float, high: float) -> None:
    (y,) = run(floats(activation), np.array([[-30], [30]], np.float32))
    assert y.ravel().tolist() == [low, high]


def test_sums_over_time_begin_at_zero_and_the_unit_at_its_bias() -> None:
    """2²⁴ + 1 + 1 in order is 2²⁴, as float32 has it; the bias comes first, and −2²⁴ with that is 0."""
    session = Session(floats(bias=-(2.0**24), time=(2.0**24, 1.0, 1.0)))
    outputs = [session.run(np.ones((1, 1), np.float32))[0].item() for _ in range(3)]
    assert outputs == [1 - 2.0**24, 2 - 2.0**24, 0]


def test_streams_of_a_batch_have_states_of_their_own() -> None:
    session = Session(svdf())
    session.run(np.array([[1, 1], [3, 1]], np.int8))
    assert session.run(np.array([[1, 1], [1, 1]], np.int8))[0].ravel().tolist() == [4, 44]


@pytest.mark.parametrize(("scale_math", "real"), [("double", float), ("float32", np.float32)])
def test_two_precisions_of_scales(scale_math: Any, real: Any) -> None:
    x, feature = fed((1, 2), "int8", q(0.1, 1)), const([[2, 1]], "int8", q(0.3))
    state, bias = variable((1, 2), "int16", q(0.7)), const([5], "int32", q(0.35))
    model = svdf(x=x, feature=feature, state=state, bias=bias)
    multiplier = make_plan(model, numerics=Numerics(scale_math=scale_math)).steps[0].params.feature.multiplier
    si, sf, ss = (real(np.float32(s)) for s in (0.1, 0.3, 0.7))
    assert (int(multiplier.multiplier), int(multiplier.shift)) == scalar.quantize_multiplier(float(si * sf / ss))


def test_half_a_code_of_a_feature_in_two_dialects() -> None:
    """−2 · ¼ is −1 where the second of two roundings takes ties away from zero, and 0 where ties go up."""
    state, bias = variable((1, 1), "int16", q(1)), const([0], "int32", q(0.5))
    model = svdf(time=const([[1]], "int16", q(0.5)), bias=bias, state=state)
    for rounding, feature in (("double", -1), ("single", 0)):
        (record,) = execute(make_plan(model, numerics=Numerics(rounding=rounding)), codes(1, -1))  # type: ignore[arg-type]
        assert record.updates[0].item() == feature


def test_an_explanation_goes_down_to_features_old_and_new() -> None:
    plan = make_plan(svdf())
    first = list(execute(plan, codes(3, -2)))[-1]
    second = list(execute(plan, codes(1, 7), state=first.state))[-1]
    lines = explain(plan, second, (0, 0)).lines
    assert [line.value for line in lines if line.name == "time"] == [10, 18]
    assert [line.value for line in lines if line.name == "input"] == [0, 6]
    assert explain(plan, second, (0, 0), 1).lines[-1].text == "the feature that was one place further, moved up"
    assert explain(plan, second, (0, 1), 1).value == 6


def test_multiplications_of_features_and_time_are_counted() -> None:
    assert make_plan(svdf()).macs == 2 + 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (svdf(bias=None), r"the bias is left out, on which TFLM crashes"),
        (svdf(feature=None), r"an input is left out, and TFLM needs all five"),
        (svdf(rank=0), r"the rank is 0; TFLM divides by it"),
        (svdf(rank=2), r"1 filters in 'input1' do not make units of 2"),
        (svdf(x=fed((2,), "int8", q(0.5))), r"'input0' has shape \(2,\); expected two dimensions"),
        (
            svdf(time=const(np.zeros((1, 0)), "int16", q(0.5))),
            r"'input2' has shape \(1, 0\); expected two dimensions of 1",
        ),
        (svdf(x=fed((1, 3), "int8", q(0.5))), r"'input1' has shape \(1, 2\); expected \(1, 3\)"),
        (svdf(time=const([[1], [2]], "int16", q(0.5))), r"'input2' has shape \(2, 1\); expected \(1, 1\)"),
        (svdf(bias=const([1, 2], "int32", q(0.125))), r"'input3' has shape \(2,\); expected \(1,\)"),
        (svdf(state=variable((1, 3), "int16", q(0.25))), r"'input4' has shape \(1, 3\); expected \(1, 2\)"),
        (svdf(output=fed((1, 2), "int8", q(0.125))), r"'output0' has shape \(1, 2\); expected \(1, 1\)"),
        (svdf(state=fed((1, 2), "int16", q(0.25))), r"the state 'input4' is no variable"),
        (svdf(feature=fed((1, 2), "int8", q(0.5))), r"'input1' is computed at run time"),
        (svdf(state=variable((1, 2), "int32", q(0.25))), r"the state 'input4' is int32; TFLM takes int8 or int16"),
        (
            svdf(state=variable((1, 2), "int8", q(0.25))),
            r"'input2' are int16 and the state 'input4' is int8, for which",
        ),
        (svdf(feature=const([[2, 1]], "int4", q(0.5))), r"'input1' is int4, .*: TFLM takes int8 here"),
        (svdf(bias=const([5], "int64", q(0.125))), r"'input3' is int64, .*: TFLM takes int32 here"),
        (svdf(output=fed((1, 1), "int16", q(0.125))), r"'output0' is int16, .*: TFLM takes int8 here"),
        (
            svdf(bias=const([5], "int32", q(0.12502))),
            r"bias 'input3' is not state scale · time weights scale \(0.12502,",
        ),
        (svdf(feature=const([[2, 1]], "int8")), r"the weights have no positive scale"),
        (svdf(state=variable((1, 2), "int16")), r"'input4' is int16 but has no positive scale"),
        (svdf(output=fed((1, 1), "int8", q(2.0**-40))), r"scale of output 'output0' is too small"),
        (svdf(x=fed((1, 2), "float32")), r"'input1' is int8, but input 'input0' is float32.*no hybrid kernels"),
        (floats("SIGN_BIT"), r"activation SIGN_BIT is not supported, for it may depend on the sign of a NaN"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_xnnpack_has_no_svdf() -> None:
    with pytest.raises(UnsupportedError, match="XNNPACK has no SVDF"):
        make_plan(svdf(), numerics=Numerics(rounding="xnnpack"))
    make_plan(floats(), numerics=Numerics(rounding="xnnpack"))
