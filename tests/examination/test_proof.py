"""refengine/examination/proof.py: no inference leaves the ranges, and they are no wider than they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine import KERNELS, InferenceError, LimitError, UnsupportedError, make_plan
from refengine.bundled import bundled_models
from refengine.examination import health
from refengine.examination.proof import Range, code_ranges, constant_channels
from refengine.execute import execute
from refengine.kernel import PRESETS, Node
from refengine.model import Array
from refengine.numerics.quantize import code_range
from refengine.plan import Plan
from refengine.strategies import Case, inputs_of, model_of, models, nodes
from refengine.tensors.datasets import load_mnist
from refengine.tensors.inputs import pixels_to_input
from refengine.tflite_io import load
from tests.examination.nets import WINDOW
from tests.models import const, fed, network, one_op, q

DENSE = {"keep_num_dims": False, "weights_format": "DEFAULT", "quantized_bias_type": "float32"}
RELU, NONE = {"fused_activation_function": "RELU"}, {"fused_activation_function": "NONE"}
INTEGERS = [key for key in KERNELS if key[1].lstrip("u").startswith("int")]


def extremes(plan: Plan) -> Iterator[tuple[Array, ...]]:
    """All inputs at one end of their types, and at the other, and both by turns."""
    for pick in (lambda i: 0, lambda i: 1, lambda i: i % 2):
        yield tuple(_ends(t.shape, t.dtype, pick) for t in plan.inputs)


def _ends(shape: tuple[int, ...], dtype: str, pick: Callable[[int], int]) -> Array:
    count = int(np.prod(shape))
    if not dtype.lstrip("u").startswith("int"):
        return np.zeros(shape, dtype)
    ends = code_range(dtype)
    return np.array([ends[pick(i)] for i in range(count)], dtype).reshape(shape)


def assert_within(plan: Plan, inputs: tuple[Array, ...]) -> None:
    ranges = code_ranges(plan)
    for record in execute(plan, *inputs):
        for tensor, array in zip(record.step.outputs, record.outputs, strict=True):
            if tensor.index in ranges:
                low, high = (end.reshape(tensor.shape) for end in ranges[tensor.index])
                assert (low <= array).all() and (array <= high).all(), record.step


@pytest.mark.parametrize("preset", ["tflm", "single", "xnnpack"])
@pytest.mark.parametrize("key", INTEGERS)
def test_no_operator_leaves_its_range(key: tuple[str, str], preset: str) -> None:
    tried = 0

    @settings(max_examples=5)
    @given(data=st.data())
    def law(data: st.DataObject) -> None:
        nonlocal tried
        model = model_of(data.draw(nodes(*key)))
        with suppress(UnsupportedError, InferenceError):  # of which the dialect says nothing, or that waits for more
            plan = make_plan(model, numerics=PRESETS[preset])
            tried += 1
            for inputs in (data.draw(inputs_of(plan.model)), *extremes(plan)):
                assert_within(plan, inputs)

    law()
    assert tried or preset != "tflm"


@pytest.mark.slow
@settings(max_examples=60)
@given(case=models(dtypes=["int8", "int16"]), rounding=st.sampled_from(["tflm", "single"]))
def test_no_network_leaves_its_ranges(case: Case, rounding: str) -> None:
    with suppress(LimitError):  # of some operators, nothing is known under another rounding
        plan = make_plan(load(case.model), numerics=PRESETS[rounding])
        for inputs in (case.inputs, *extremes(plan)):
            assert_within(plan, inputs)


def dense(weights: list[list[int]], bias: list[int], activation: dict[str, str] = RELU, zero_point: int = -128) -> Plan:
    inputs = [
        fed((1, len(weights[0])), "int8", q(0.05, -3)),
        const(weights, "int8", q(0.01)),
        const(bias, "int32", q(0.05 * 0.01)),
    ]
    output = fed((1, len(weights)), "int8", q(0.004, zero_point))
    return make_plan(one_op("FULLY_CONNECTED", DENSE | activation, inputs, output))


def output_range(plan: Plan) -> Range:
    return code_ranges(plan)[plan.steps[-1].outputs[0].index]


def every_input(depth: int) -> Array:
    codes = np.arange(-128, 128)
    return np.stack(np.meshgrid(*[codes] * depth), axis=-1).reshape(-1, depth).astype(np.int8)


@pytest.mark.parametrize("activation", [NONE, RELU])
@settings(max_examples=20)
@given(
    weights=st.lists(st.lists(st.integers(-128, 127), min_size=2, max_size=2), min_size=1, max_size=4),
    bias=st.integers(-20_000, 20_000),
)
def test_the_ends_are_reached(activation: dict[str, str], weights: list[list[int]], bias: int) -> None:
    """All 65,536 inputs of two codes: the smallest and largest outputs are the range's."""
    plan = dense(weights, [bias] * len(weights), activation)
    (record,) = execute(plan, every_input(2))
    low, high = output_range(plan)
    np.testing.assert_array_equal(low[0, 0], record.outputs[0].min(axis=0))
    np.testing.assert_array_equal(high[0, 0], record.outputs[0].max(axis=0))


def test_a_relu_that_no_input_opens_is_told_from_one_that_a_single_code_opens() -> None:
    largest = 100 * (127 + 3)
    plan = dense([[100], [100], [0]], [-largest, 8 - largest, 77])
    (record,) = execute(plan, every_input(1))
    opened = (record.outputs[0] > -128).sum(axis=0)
    assert opened.tolist() == [0, 1, 256]
    assert constant_channels(plan.outputs[0], output_range(plan)).tolist() == [True, False, True]


def test_weights_of_a_zero_point_of_their_own() -> None:
    """TFLM subtracts it in FULLY_CONNECTED: a channel full of it is constant, one full of zeros is not."""
    weights = const([[5, 5], [0, 0]], "int8", q(0.01, 5))
    inputs = [fed((1, 2), "int8", q(0.05, -3)), weights, const([40, 40], "int32", q(0.05 * 0.01))]
    plan = make_plan(one_op("FULLY_CONNECTED", DENSE | NONE, inputs, fed((1, 2), "int8", q(0.004, 0))))
    assert constant_channels(plan.outputs[0], output_range(plan)).tolist() == [True, False]


def test_padding_is_zero_and_not_any_code() -> None:
    """The taps outside count as the zero point: the corner of a 1×1 picture is one weight's doing."""
    filter = const(np.full((1, 3, 3, 1), 10), "int8", q((0.01,)))
    inputs = [fed((1, 1, 1, 1), "int8", q(1.0, 0)), filter, const([0], "int32", q((0.01,)))]
    options = WINDOW | NONE | {"padding": "SAME"}
    plan = make_plan(one_op("CONV_2D", options, inputs, fed((1, 1, 1, 1), "int8", q(1.0, 0))))
    low, high = output_range(plan)
    assert (low.item(), high.item()) == (-13, 13)


def test_what_is_certain_stays_certain_through_any_operator() -> None:
    """A dead channel behind LOGISTIC, which nothing is known of, holds LOGISTIC of its code."""
    hidden = fed((1, 2), "int8", q(0.004, -128), "hidden")
    x = fed((1, 1), "int8", q(0.05, -3))
    weights = const([[0], [0]], "int8", q(0.01))
    bias = const([3000, -5], "int32", q(0.05 * 0.01))
    out = fed((1, 2), "int8", q(1 / 256, -128), "out")
    nodes = (
        Node("FULLY_CONNECTED", DENSE | RELU, (x, weights, bias), (hidden,)),
        Node("LOGISTIC", {}, (hidden,), (out,)),
    )
    plan = make_plan(network(*nodes))
    _, record = execute(plan, np.array([[9]], np.int8))
    low, high = output_range(plan)
    assert low.tolist() == high.tolist() == [record.outputs[0].tolist()]


def test_a_zero_point_that_leaves_the_register_proves_nothing() -> None:
    """QUANTIZE to int32 wraps where the zero point is the smallest number: codes −1 and 0 are at opposite ends."""
    lowest = -(2**31)
    output = fed((1, 1), "int32", q(1.0, lowest))
    plan = make_plan(one_op("QUANTIZE", {}, [fed((1, 1), "int16", q(1.0))], output))
    (record,) = execute(plan, np.array([[-1], [0]], np.int16))
    assert record.outputs[0].ravel().tolist() == [2**31 - 1, lowest]
    low, high = output_range(plan)
    assert (low.item(), high.item()) == code_range("int32")


def test_registers_that_may_wrap_prove_nothing() -> None:
    weights = const(np.full((1, 70_000), 127), "int8", q(0.01))
    inputs = [fed((1, 70_000), "int8", q(1.0, -128)), weights, const([0], "int32", q(0.01))]
    plan = make_plan(one_op("FULLY_CONNECTED", DENSE | NONE, inputs, fed((1, 1), "int8", q(1e6))))
    low, high = output_range(plan)
    assert (low.item(), high.item()) == (-128, 127)


def test_a_sum_that_may_wrap_proves_nothing() -> None:
    """2²⁵ codes of −128 are 0 in 32 bits."""
    x, axis = fed((1, 2**25), "int8", q(1.0)), const([1], "int32")
    plan = make_plan(one_op("SUM", {"keep_dims": True}, [x, axis], fed((1, 1), "int8", q(1e6))))
    low, high = output_range(plan)
    assert (low.item(), high.item()) == (-128, 127)


def test_a_channel_of_certain_but_unlike_codes_is_not_one_code() -> None:
    codes = np.array([[3, 5], [3, 6]], np.int8)[np.newaxis]
    assert constant_channels(fed((2, 2), "int8", q(1.0)), Range(codes, codes)).tolist() == [True, False]


def test_what_is_floating_has_no_range_and_its_codes_may_be_any() -> None:
    model = one_op("QUANTIZE", {}, [fed((1, 2), "float32")], fed((1, 2), "int8", q(0.1)))
    low, high = output_range(make_plan(model))
    assert low.tolist() == [[[-128, -128]]] and high.tolist() == [[[127, 127]]]


def test_a_channel_that_three_digits_of_ten_thousand_wake_is_not_dead() -> None:
    """Channel 52 of operator 9 is silent on the bundled digits; these three of MNIST's test images use it."""
    plan = make_plan(bundled_models()["stm32f746_int8"])
    images, _ = load_mnist("tests/data", "test")
    *_, dense, _, _ = execute(plan, pixels_to_input(plan, images[[279, 419, 5880]]))
    assert dense.step.index == 9 and (dense.outputs[0][:, 52] > -128).all()
    ranges = code_ranges(plan)
    constant = {
        step.index: np.flatnonzero(constant_channels(step.outputs[0], ranges[step.outputs[0].index])).tolist()
        for step in plan.steps
        if step.index in (0, 2, 4, 9)
    }
    assert constant == {0: [25], 2: [], 4: [], 9: []}


def test_nothing_is_known_of_a_users_own_kernel() -> None:
    plan = dense([[0]], [5])
    assert output_range(plan).is_certain
    own = replace(plan.steps[0].kernel, evaluate=lambda *arrays: np.zeros((1, 1, 1), np.int8))
    assert not output_range(replace(plan, steps=(replace(plan.steps[0], kernel=own),))).is_certain


def test_an_empty_constant_has_a_range_too() -> None:
    """A MEAN along no axes: its axes are an array of no elements."""
    axes = const(np.zeros(0), "int32")
    model = one_op("MEAN", {"keep_dims": True}, [fed((1, 2), "int8", q(0.1)), axes], fed((1, 2), "int8", q(0.1)))
    *_, result = health(make_plan(model), [(np.zeros((12, 2), np.int8),)])
    assert result.layers[-1].silent == [0, 1]
