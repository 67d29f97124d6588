"""BATCH_TO_SPACE_ND's own facts: the inverse of SPACE_TO_BATCH_ND, and its crops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import const, fed, one_op


def join(block: Any, crops: Any, input: tuple[int, ...], output: tuple[int, ...], dtype: str = "int8") -> Model:
    tensors = fed(input, dtype), const(block, "int32"), const(crops, "int32")
    return one_op("BATCH_TO_SPACE_ND", {}, [*tensors], fed(output, dtype))


X = np.array([[1, 3], [2, 4], [5, 7], [6, 8]], np.int8).reshape(4, 1, 2, 1)


def test_every_image_becomes_a_place_of_the_blocks() -> None:
    (y,) = run(join([2, 2], [[0, 0], [0, 0]], (4, 1, 2, 1), (1, 2, 4, 1)), X)
    assert y.reshape(2, 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_crops_take_rows_and_columns_away() -> None:
    (y,) = run(join([2, 2], [[1, 0], [0, 3]], (4, 1, 2, 1), (1, 1, 1, 1)), X)
    assert y.reshape(-1).tolist() == [5]


def test_three_dimensions_have_rows_only() -> None:
    (y,) = run(join([2], [[1, 0]], (2, 2, 1), (1, 3, 1)), np.array([[[1], [3]], [[2], [4]]], np.int8))
    assert y.reshape(-1).tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (join([3, 1], [[0, 0], [0, 0]], (4, 1, 2, 1), (1, 3, 2, 1)), r"4 images do not make up blocks of \(3, 1\)"),
        (
            join([2, 2], [[0, 0], [0, 1]], (4, 1, 2, 1), (1, 2, 4, 1)),
            r"lead to the shape \(1, 2, 3, 1\), but the output",
        ),
        (join([2, 0], [[0, 0], [0, 0]], (4, 1, 2, 1), (1, 2, 4, 1)), r"blocks \[2, 0\] must be positive"),
        (join([2, 2], [[0, -1], [0, 0]], (4, 1, 2, 1), (1, 3, 4, 1)), r"not negative"),
        (join([2], [[0, 0]], (2, 1), (1, 2)), r"must both have 3 or 4 dimensions"),
        (join([2], [[0, 0]], (2, 1, 1), (1, 2, 1), "uint8"), r"'input0' is uint8; supported here: float32, int8"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
