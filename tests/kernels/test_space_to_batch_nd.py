"""SPACE_TO_BATCH_ND's own facts: the order of the images, and a padding that is 0 where TFLite's is the zero point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model
from tests.models import const, fed, one_op, q


def cut(block: Any, paddings: Any, input: tuple[int, ...], output: tuple[int, ...], dtype: str = "int8") -> Model:
    tensors = fed(input, dtype, q(1, -9)), const(block, "int32"), const(paddings, "int32")
    return one_op("SPACE_TO_BATCH_ND", {}, [*tensors], fed(output, dtype, q(1, -9)))


def test_every_place_of_a_block_becomes_an_image() -> None:
    model = cut([2, 2], [[0, 0], [0, 0]], (1, 2, 4, 1), (4, 1, 2, 1))
    (y,) = run(model, np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int8).reshape(1, 2, 4, 1))
    assert y.reshape(4, 2).tolist() == [[1, 3], [2, 4], [5, 7], [6, 8]]


def test_images_of_one_place_lie_together() -> None:
    model = cut([2, 1], [[0, 0], [0, 0]], (2, 2, 1, 1), (4, 1, 1, 1))
    (y,) = run(model, np.array([[1, 2], [3, 4]], np.int8).reshape(2, 2, 1, 1))
    assert y.reshape(-1).tolist() == [1, 3, 2, 4]


def test_padding_is_zero_and_not_the_zero_point() -> None:
    """Three dimensions have rows only. TFLite would pad with −9."""
    (y,) = run(cut([2], [[1, 2]], (1, 3, 1), (2, 3, 1)), np.array([[[1], [2], [3]]], np.int8))
    assert y.reshape(2, 3).tolist() == [[0, 2, 0], [1, 3, 0]]


def test_computed_blocks_that_do_not_fit_fail_their_inference_alone() -> None:
    tensors = [fed((1, 2, 1), "int8"), fed((1,), "int32"), const([[0, 0]], "int32")]
    plan = make_plan(one_op("SPACE_TO_BATCH_ND", {}, [*tensors], fed((2, 1, 1), "int8")))
    x, blocks = np.array([[[[1], [2]]]] * 3, np.int8), np.array([[2], [1], [0]], np.int32)
    with pytest.raises(InferenceError, match=r"blocks \[0\] must be positive|the blocks lead to the shape") as error:
        infer(plan, 3, [x, blocks])
    assert error.value.rows.tolist() == [False, True, True]
    assert error.value.outputs[0][0].reshape(-1).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (cut([2, 2], [[0, 0], [0, 0]], (1, 2, 3, 1), (4, 1, 1, 1)), r"blocks of \(2, 2\) do not divide .* 2 by 3"),
        (
            cut([2, 1], [[0, 0], [0, 0]], (1, 2, 2, 1), (4, 1, 1, 1)),
            r"lead to the shape \(2, 1, 2, 1\), but the output",
        ),
        (cut([0, 1], [[0, 0], [0, 0]], (1, 2, 2, 1), (4, 1, 1, 1)), r"blocks \[0, 1\] must be positive"),
        (
            cut([1, 1], [[0, 0], [-1, 0]], (1, 2, 2, 1), (1, 2, 1, 1)),
            r"before and after \[\[0, 0\], \[-1, 0\]\], not negative",
        ),
        (cut([2], [[0, 0]], (1, 2, 2, 1), (2, 1, 2, 1)), r"'input1' is int32 \(1,\); TFLM reads it as int32 \(2,\)"),
        (cut([2], [0, 0], (1, 2, 1), (2, 1, 1)), r"'input2' is int32 \(2,\); TFLM reads it as int32 \(1, 2\)"),
        (cut([2], [[0, 0]], (2, 1), (1, 1)), r"'input0' \(2, 1\) and output 'output0' \(1, 1\) must both have 3 or 4"),
        (cut([2], [[0, 0]], (1, 2, 1), (2, 1, 1), "int16"), r"'input0' is int16; supported here: float32, int8"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
