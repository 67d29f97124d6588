"""CUMSUM's own facts: both directions, the sum without the element itself, and TFLM's wrong beginning of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Quantization, Tensor
from tests.models import const, fed, one_op, q


def cumsum(
    shape: tuple[int, ...],
    dtype: str = "float32",
    input: Quantization | None = None,
    output: Quantization | None = None,
    axis: Any = -1,
    exclusive: bool = False,
    reverse: bool = False,
) -> Model:
    at = axis if isinstance(axis, Tensor) else const(axis, "int32")
    options = {"exclusive": exclusive, "reverse": reverse}
    return one_op("CUMSUM", options, [fed(shape, dtype, input), at], fed(shape, dtype, output))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(
    ("exclusive", "reverse", "expected"),
    [
        (False, False, [1, 3, 6, 10]),
        (True, False, [0, 1, 3, 6]),
        (False, True, [10, 9, 7, 4]),
        (True, True, [9, 7, 4, 0]),
    ],
)
def test_both_ways_with_and_without_itself(dtype: str, exclusive: bool, reverse: bool, expected: list[int]) -> None:
    scale = q(1) if dtype == "int8" else None
    model = cumsum((4,), dtype, scale, scale, exclusive=exclusive, reverse=reverse)
    assert run(model, np.array([1, 2, 3, 4], dtype))[0].tolist() == expected


@pytest.mark.parametrize("axis", [0, 1, 2, -1, [-3]])
def test_any_axis(axis: Any) -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert np.array_equal(run(cumsum((2, 3, 4), axis=axis), x)[0], x.cumsum(np.ravel(axis)[0]))


def test_codes_begin_with_minus_the_zero_point_not_with_0() -> None:
    """As if −10 came first: zeros, in code 10, sum to −10, and 3 more to −7. The output's zero point is 5."""
    model = cumsum((3,), "int8", q(1, 10), q(1, 5))
    assert run(model, np.array([10, 10, 13], np.int8))[0].tolist() == [-5, -5, -2]


def test_each_sum_is_rescaled_from_the_exact_one() -> None:
    """½, 1, 1½, 2 codes of the output: ties away from zero."""
    model = cumsum((4,), "int8", q(0.5), q(1))
    assert run(model, np.ones(4, np.int8))[0].tolist() == [1, 1, 2, 2]
    assert run(model, -np.ones(4, np.int8))[0].tolist() == [-1, -1, -2, -2]


def test_sums_wrap_at_4096_steps_of_the_input() -> None:
    """The int32 sum is in 2⁻¹⁹ of the input's scale: 33 · 127 = 4191 becomes 4191 − 8192."""
    (y,) = run(cumsum((33,), "int8", q(1), q(64)), np.full(33, 127, np.int8))
    assert y[31] == round(32 * 127 / 64)
    assert y[32] == round((33 * 127 - 8192) / 64)


def test_floats_are_added_in_order_from_plus_0() -> None:
    x = np.array([-0.0, 1, 2.0**-24, 2.0**-24], np.float32)
    (y,) = run(cumsum((4,)), x)
    assert y.tobytes() == np.array([0, 1, 1, 1], np.float32).tobytes()
    (y,) = run(cumsum((4,), reverse=True), x)
    assert y.tobytes() == np.array([1 + 2.0**-23, 1 + 2.0**-23, 2.0**-23, 2.0**-24], np.float32).tobytes()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (cumsum((3,), axis=fed((1,), "int32", name="a")), r"axis 'input1' is computed at run time; TFLM runs that"),
        (cumsum((3,), axis=[0, 0]), r"axis 'input1' must be one int32"),
        (cumsum((3,), axis=1), r"axis 1 is outside the 1 dimensions of 'input0' \(3,\)"),
        (cumsum((), axis=0), r"axis 0 is outside the 0 dimensions"),
        (cumsum((3,), "int8", q(1), q(2.0**-19)), r"scale .* of output 'output0' is too small .* TFLM aborts"),
        (cumsum((3,), "int8", q(1)), r"'output0' is int8 but has no positive scale"),
        (one_op("CUMSUM", {}, [fed((3,), "float32")], fed((3,), "float32")), r"expected input and axis, got 1 input"),
        (one_op("CUMSUM", {}, [fed((3,), "float32"), const(0, "int32")], fed((4,), "float32")), r"they must agree"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_the_smallest_output_scale_that_tflm_takes() -> None:
    make_plan(cumsum((3,), "int8", q(1), q(float(np.nextafter(np.float32(2.0**-19), np.float32(1))))))
