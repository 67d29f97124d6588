"""BROADCAST_TO's own facts: new dimensions in front, and behind the batch."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def broad(input: tuple[int, ...], shape: Tensor, output: tuple[int, ...], dtype: str = "int8") -> Model:
    return one_op("BROADCAST_TO", {}, [fed(input, dtype), shape], fed(output, dtype))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_ones_are_stretched_and_dimensions_added_in_front(dtype: str) -> None:
    (y,) = run(broad((2, 1), const([2, 2, 3], dtype), (2, 2, 3)), np.array([[1], [2]], np.int8))
    assert y.tolist() == [[[1, 1, 1], [2, 2, 2]]] * 2


def test_new_dimensions_come_behind_the_batch() -> None:
    (y,) = run(broad((1,), const([2, 3], "int32"), (2, 3)), np.array([7, 8, 9, 10], np.int8))
    assert y.tolist() == [[[k] * 3] * 2 for k in (7, 8, 9, 10)]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (broad((2, 3), const([2, 2], "int32"), (2, 2)), r"'input0' \(2, 3\) does not broadcast to \(2, 2\)"),
        (broad((1, 2), const([2], "int32"), (2,)), r"'input0' \(1, 2\) does not broadcast to \(2,\)"),
        (
            broad((2,), const([-1, 2], "int32"), (1, 2)),
            r"'output0' has shape \(1, 2\); what 'input1' tells has \(-1, 2\)",
        ),
        (broad((2,), fed((2,), "int32"), (1, 2)), r"the shape 'input1' is int32 \(2,\); TFLM takes a constant row"),
        (broad((2,), const([1, 2], "int16"), (1, 2)), r"the shape 'input1' is int16 \(2,\)"),
        (broad((2,), const([[1, 2]], "int32"), (1, 2)), r"the shape 'input1' is int32 \(1, 2\)"),
        (broad((1,), const([1] * 6, "int32"), (1,) * 6), r"has 6 dimensions; TFLM broadcasts to 1 to 5"),
        (broad((), const(np.zeros(0), "int32"), ()), r"has 0 dimensions; TFLM broadcasts to 1 to 5"),
        (one_op("BROADCAST_TO", {}, [fed((1,), "int8"), const([1], "int32")], fed((1,), "uint8")), r"is uint8 but"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
