"""STRIDED_SLICE's own facts: Python's slices, the masks that count, and those that do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import const, fed, one_op

X = np.arange(24, dtype=np.int32).reshape(4, 6)
MASKS = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}


def sliced(begin: Any, end: Any, strides: Any, output: tuple[int, ...], **masks: int) -> Model:
    """Of a fed `X`."""
    inputs = [fed(X.shape, "int32"), *(const(x, "int32") for x in (begin, end, strides))]
    return one_op("STRIDED_SLICE", MASKS | masks, inputs, fed(output, "int32"))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (sliced([1, 0], [3, 6], [1, 2], (2, 3)), X[1:3, ::2]),
        (sliced([-1, -2], [0, -5], [-1, -1], (3, 3)), X[-1:0:-1, -2:-5:-1]),
        (sliced([-9, 9], [9, -9], [1, -5], (4, 2)), X[-9:9, 9:-9:-5]),
        (sliced([2, 3], [2, 3], [1, 1], (4, 6), begin_mask=3, end_mask=3), X),
        (sliced([2, 3], [2, 3], [-1, -1], (4, 6), begin_mask=3, end_mask=3), X[::-1, ::-1]),
        (sliced([2, -1], [0, 0], [1, 3], (), shrink_axis_mask=3), X[2, -1]),
        (sliced([-9, 0], [0, 6], [1, 1], (6,), shrink_axis_mask=1), X[0]),
        (sliced([3, 1], [0, 3], [1, 1], (2,), shrink_axis_mask=1, begin_mask=1), X[0, 1:3]),
        (sliced([1, 0], [3, 6], [1, 2], (2, 3), ellipsis_mask=1, new_axis_mask=2), X[1:3, ::2]),
    ],
    ids=str,
)
def test_slices(model: Model, expected: Any) -> None:
    (y,) = run(model, X)
    assert (y.shape, y.tolist()) == (expected.shape, expected.tolist())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (sliced([0, 0], [4, 6], [1, 0], (4, 6)), r"a stride is 0"),
        (
            sliced([0, 0], [4, 6], [1, 1], (4, 5)),
            r"'output0' has shape \(4, 5\); the slice of 'input0' \(4, 6\) has \(4, 6\)",
        ),
        (
            sliced([4, 0], [5, 6], [1, 1], (6,), shrink_axis_mask=1),
            r"position 4 with stride 1 picks no element of dimension 0",
        ),
        (sliced([1, 0], [0, 6], [-1, 1], (6,), shrink_axis_mask=1), r"position 1 with stride -1 picks no element"),
        (sliced([0], [4], [1], (4,), ellipsis_mask=2), r"'input1' must be a constant of int32, one for each of the 2"),
        (
            one_op("STRIDED_SLICE", MASKS, [fed((2,), "int8"), *[fed((1,), "int32")] * 3], fed((2,), "int8")),
            r"'input1' must be a constant",
        ),
        (
            one_op(
                "STRIDED_SLICE", MASKS, [fed((1,) * 5, "int8"), *[const([0] * 5, "int32")] * 3], fed((1,) * 5, "int8")
            ),
            r"has 5 dimensions; TFLM slices 1 to 4",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
