"""refengine/reading/float_reading.py: the dequantised graph, computed in floats."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.kernels import KERNELS
from refengine.reading.float_reading import float_reading, is_quantized, real_values
from tests.models import const, fed, one_op, q

DENSE = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}


def test_codes_have_real_values_per_tensor_and_per_channel() -> None:
    codes = np.array([[-128, 127], [0, 5]], np.int8)
    one = real_values(codes, fed((2, 2), "int8", q(0.5, -3)))
    np.testing.assert_array_equal(one, np.array([[-62.5, 65], [1.5, 4]], np.float32))
    rows = real_values(codes, fed((2, 2), "int8", q((0.5, 2.0), 0, 0)))
    np.testing.assert_array_equal(rows, np.array([[-64, 63.5], [0, 10]], np.float32))
    columns = real_values(codes, fed((2, 2), "int8", q((0.5, 2.0), 1, 1)))
    np.testing.assert_array_equal(columns, np.array([[-64.5, 252], [-0.5, 8]], np.float32))
    assert real_values(codes, fed((2, 2), "int8")) is codes


@pytest.mark.parametrize(
    ("dtype", "scaled", "expected"),
    [("int8", True, True), ("uint8", True, True), ("int32", False, False), ("float32", True, False)],
)
def test_what_counts_as_quantised(dtype: str, scaled: bool, expected: bool) -> None:
    assert is_quantized(fed((1,), dtype, q(1.0) if scaled else None)) is expected


@pytest.mark.parametrize("scales", [0.25, (0.25, 0.75)])
def test_a_dense_layer_in_floats(scales: float | tuple[float, ...]) -> None:
    weights = const([[1, -2, 3], [4, 5, -6]], "int8", q(scales))
    bias = const([10, -20], "int32", q(0.5 * np.max(scales)))  # not what counts where there are two
    model = one_op(
        "FULLY_CONNECTED", DENSE, [fed((1, 3), "int8", q(0.5, 3)), weights, bias], fed((1, 2), "int8", q(4.0))
    )
    reading = float_reading(make_plan(model))
    x = np.array([[1.5, -2, 0.25]], np.float32)
    w = np.array([[1, -2, 3], [4, 5, -6]]) * np.reshape(scales, (-1, 1))
    b = np.array([10, -20]) * 0.5 * np.array(scales)
    np.testing.assert_allclose(run(reading, x)[0], x @ w.T + b, rtol=1e-6)
    assert [t.dtype for t in reading.graph.tensors] == ["float32"] * 4


def test_quantize_and_dequantize_hand_their_input_on() -> None:
    for name, input, output in (("QUANTIZE", "float32", "int8"), ("DEQUANTIZE", "int8", "float32")):
        model = one_op(name, {}, [fed((1, 3), input, q(0.5))], fed((1, 3), output, q(0.5)))
        x = np.array([[1e9, 0.3, -0.1]], np.float32)
        np.testing.assert_array_equal(run(float_reading(make_plan(model)), x)[0], x)


def test_integers_that_are_no_codes_stay() -> None:
    shape = const([3, 1], "int32")
    model = one_op("RESHAPE", {"new_shape": (3, 1)}, [fed((1, 3), "int8", q(0.5)), shape], fed((3, 1), "int8", q(0.5)))
    reading = float_reading(make_plan(model))
    assert reading.graph.tensors[1].dtype == "int32"
    np.testing.assert_array_equal(run(reading, np.array([[1, 2, 3]], np.float32))[0], [[1], [2], [3]])


def test_an_operator_without_a_float_kernel_is_refused() -> None:
    kernels = {("MINE", "int8"): KERNELS["RELU", "int8"]}
    model = one_op("MINE", {}, [fed((1, 3), "int8", q(0.5))], fed((1, 3), "int8", q(0.5)))
    with pytest.raises(UnsupportedError, match=r"^the float reading of the model: subgraph 0, operator 0 \(MINE\)"):
        float_reading(make_plan(model, kernels=kernels))


def test_a_third_input_of_codes_is_no_bias() -> None:
    """Only int32 and int64 constants are: CONCATENATION's keep their shape, and their own scale."""
    x = fed((1, 2), "int8", q(0.5, 1))
    model = one_op("CONCATENATION", {"axis": 1, "fused_activation_function": "NONE"},
                   [x, x, const([[3, 5]], "int8", q(0.5, 1))], fed((1, 6), "int8", q(0.5, 1)))  # fmt: skip
    plan = make_plan(model)
    codes = np.array([[-7, 9]], np.int8)
    inputs = [codes] * len(plan.inputs)
    (exact,) = run(plan, *inputs)
    (floats,) = run(float_reading(plan), *(real_values(c, t) for c, t in zip(inputs, plan.inputs, strict=True)))
    np.testing.assert_array_equal(floats, real_values(exact, plan.outputs[0]))
    np.testing.assert_array_equal(floats[0, -2:], np.array([1, 2], np.float32))
