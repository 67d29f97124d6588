"""RESIZE_NEAREST_NEIGHBOR's own facts: four ways to say what is nearest, in float32."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def resized(
    width: int, output: int, align: bool = False, half: bool = False, size: Tensor | None = None, dtype: str = "int8"
) -> Model:
    """Of a fed image of one row."""
    options = {"align_corners": align, "half_pixel_centers": half}
    inputs = [fed((1, 1, width, 1), dtype), size or const([1, output], "int32")]
    return one_op("RESIZE_NEAREST_NEIGHBOR", options, [*inputs], fed((1, 1, output, 1), dtype))


@pytest.mark.parametrize(
    ("align", "half", "expected"),
    [
        (False, False, [0, 0, 0, 1, 1]),  # 0, .4, .8, 1.2, 1.6, down
        (False, True, [0, 0, 1, 1, 1]),  # .2, .6, 1, 1.4, 1.8, down
        (True, False, [0, 0, 1, 1, 1]),  # 0, .25, .5, .75, 1, to the nearest
        (True, True, [0, 0, 1, 1, 1]),  # .125, .375, .625, .875, 1.125
    ],
)
def test_two_elements_become_five(align: bool, half: bool, expected: list[int]) -> None:
    x = np.array([0, 1], np.int8).reshape(1, 1, 2, 1)
    assert run(resized(2, 5, align, half), x)[0].reshape(-1).tolist() == expected


def test_positions_are_reckoned_in_float32() -> None:
    """23 · (14 / 46) is 7, but in float32 less, which is element 6."""
    x = np.arange(14, dtype=np.int8).reshape(1, 1, 14, 1)
    assert run(resized(14, 46), x)[0].reshape(-1)[22:25].tolist() == [6, 6, 7]


def test_rows_and_columns_have_factors_of_their_own() -> None:
    options = {"align_corners": False, "half_pixel_centers": False}
    inputs = [fed((1, 2, 2, 1), "int16"), const([4, 1], "int32")]
    model = one_op("RESIZE_NEAREST_NEIGHBOR", options, [*inputs], fed((1, 4, 1, 1), "int16"))
    (y,) = run(model, np.array([[1, 2], [3, 4]], np.int16).reshape(1, 2, 2, 1))
    assert y.reshape(-1).tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            resized(2, 5, size=const([1, 4], "int32")),
            r"'output0' has shape \(1, 1, 5, 1\); .* resized has \(1, 1, 4, 1\)",
        ),
        (resized(2, 5, size=fed((2,), "int32")), r"the size 'input1' is int32 \(2,\); TFLM takes two constant int32"),
        (resized(2, 5, size=const([1, 5], "int64")), r"the size 'input1' is int64 \(2,\)"),
        (resized(2, 5, size=const([5], "int32")), r"the size 'input1' is int32 \(1,\)"),
        (resized(2, 5, dtype="int32"), r"'input0' is int32; supported here: float32, int16, int8"),
        (
            one_op("RESIZE_NEAREST_NEIGHBOR", {}, [fed((2, 2, 1), "int8"), const([1, 1], "int32")], fed((1,), "int8")),
            r"'input0' \(2, 2, 1\) must have 4 dimensions for TFLM",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
