"""SPACE_TO_DEPTH's own facts: a block's rows first, then its columns, then the channels."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import fed, one_op


def deep(input: tuple[int, ...], output: tuple[int, ...], size: int = 2, dtype: str = "int8") -> Model:
    return one_op("SPACE_TO_DEPTH", {"block_size": size}, [fed(input, dtype)], fed(output, dtype))


def test_a_block_becomes_channels_row_by_row() -> None:
    x = np.array([[[1, 10], [2, 20]], [[3, 30], [4, 40]]], np.int8)[np.newaxis]
    (y,) = run(deep((1, 2, 2, 2), (1, 1, 1, 8)), x)
    assert y.reshape(-1).tolist() == [1, 10, 2, 20, 3, 30, 4, 40]


def test_blocks_keep_their_places_in_a_batch() -> None:
    x = np.arange(16, dtype=np.int8).reshape(2, 2, 4, 1)
    (y,) = run(deep((1, 2, 4, 1), (1, 1, 2, 4)), x)
    assert y.reshape(2, 2, 4).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (deep((1, 3, 2, 1), (1, 1, 1, 4)), r"block_size 2 does not divide 3 rows and 2 columns of input 'input0'"),
        (deep((1, 2, 2, 1), (1, 1, 1, 4), 0), r"block_size is 0; it must be positive"),
        (deep((1, 2, 2, 1), (1, 1, 4, 1)), r"'output0' has shape \(1, 1, 4, 1\); .* in blocks has \(1, 1, 1, 4\)"),
        (deep((2, 2, 1), (1, 1, 4)), r"'input0' \(2, 2, 1\) must have 4 dimensions for TFLM"),
        (deep((1, 2, 2, 1), (1, 1, 1, 4), dtype="int16"), r"'input0' is int16; supported here: float32, int8"),
        (one_op("SPACE_TO_DEPTH", {}, [], fed((1,), "int8")), r"input 0, which holds the data, is missing"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
