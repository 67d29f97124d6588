"""DEPTH_TO_SPACE's own facts: the inverse of SPACE_TO_DEPTH."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import fed, one_op


def wide(input: tuple[int, ...], output: tuple[int, ...], size: int = 2, dtype: str = "int8") -> Model:
    return one_op("DEPTH_TO_SPACE", {"block_size": size}, [fed(input, dtype)], fed(output, dtype))


def test_channels_become_a_block_row_by_row() -> None:
    (y,) = run(wide((1, 1, 1, 8), (1, 2, 2, 2)), np.array([1, 10, 2, 20, 3, 30, 4, 40], np.int8).reshape(1, 1, 1, 8))
    assert y.tolist() == [[[[1, 10], [2, 20]], [[3, 30], [4, 40]]]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (wide((1, 1, 1, 6), (1, 2, 2, 1)), r"6 channels of input 'input0' do not make up blocks of 2 by 2"),
        (wide((1, 1, 1, 4), (1, 2, 2, 1), -1), r"block_size is -1; it must be positive"),
        (
            wide((1, 1, 1, 4), (1, 1, 4, 1)),
            r"'output0' has shape \(1, 1, 4, 1\); .* laid out in blocks has \(1, 2, 2, 1\)",
        ),
        (wide((1, 1, 4), (2, 2, 1)), r"'input0' \(1, 1, 4\) must have 4 dimensions for TFLM"),
        (wide((1, 1, 1, 4), (1, 2, 2, 1), dtype="int32"), r"'input0' is int32; supported here: float32, int8"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
