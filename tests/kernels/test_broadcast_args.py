"""BROADCAST_ARGS' own facts: 1 gives way, int64 passes through 32 bits, and a clash."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def args(first: Tensor, second: Tensor, rank: int, dtype: str = "int32") -> Model:
    return one_op("BROADCAST_ARGS", {}, [first, second], fed((rank,), dtype))


def test_a_length_of_one_gives_way_and_shorter_shapes_have_ones_in_front() -> None:
    (y,) = run(args(fed((3,), "int32"), const([4, 1], "int32"), 3), np.array([2, 1, 5], np.int32))
    assert y.tolist() == [2, 4, 5]


def test_int64_passes_through_an_int32() -> None:
    """2³² + 1 is 1 there, and 2³² + 7 is 7."""
    x = np.array([2**32 + 1, 2**32 + 7], np.int64)
    assert run(args(fed((2,), "int64"), const([5, 1], "int64"), 2, "int64"), x)[0].tolist() == [5, 7]


def test_a_clash_fails_its_inference_alone() -> None:
    """TFLM aborts the whole process."""
    plan = make_plan(args(fed((2,), "int32"), const([3, 1], "int32"), 2))
    with pytest.raises(InferenceError, match=r"the shapes do not broadcast, on which TFLM aborts") as error:
        infer(plan, 2, [np.array([[2, 1], [1, 4]], np.int32)])
    assert error.value.rows.tolist() == [True, False]
    assert error.value.outputs[0][1].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (args(const([2], "int32"), const([3], "int32"), 1), r"the shapes do not broadcast"),
        (
            args(fed((2,), "int32"), fed((1,), "int32"), 1),
            r"'output0' has shape \(1,\); the longer of the shapes has \(2,\)",
        ),
        (args(fed((1, 2), "int32"), fed((1,), "int32"), 2), r"the shape 'input0' has shape \(1, 2\); it must be a row"),
        (args(fed((1,), "int32"), fed((1,), "int64"), 1), r"'input1' is int64 but 'input0' is int32"),
        (args(fed((1,), "int8"), fed((1,), "int8"), 1, "int8"), r"'input0' is int8; supported here: int32, int64"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
