"""SPLIT's own facts: pieces in order, along an axis counted from either end, and what TFLM would misread."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def split(axis: Tensor | None, *outputs: tuple[int, ...], dtype: str = "int8", input: str = "int8") -> Model:
    """Of a fed (2, 4)."""
    made = [fed(shape, dtype) for shape in outputs]
    return one_op("SPLIT", {"num_splits": len(outputs)}, [axis, fed((2, 4), input)], *made)


@pytest.mark.parametrize("axis", [const(1, "int32"), const([1], "int32"), const(-1, "int32")])
def test_pieces_follow_each_other_along_the_axis(axis: Tensor) -> None:
    left, right = run(split(axis, (2, 2), (2, 2)), np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int8))
    assert (left.tolist(), right.tolist()) == ([[1, 2], [5, 6]], [[3, 4], [7, 8]])


def test_a_batch_is_split_behind_the_batch() -> None:
    model = one_op("SPLIT", {}, [const(0, "int32"), fed((1, 2), "int32")], fed((1, 2), "int32"))
    assert run(model, np.array([[1, 2], [3, 4]], np.int32))[0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (split(fed((1,), "int32"), (2, 2), (2, 2)), r"axis 'input0' must be one constant int32"),
        (split(const(1, "int64"), (2, 2), (2, 2)), r"axis 'input0' must be one constant int32"),
        (split(const([1, 1], "int32"), (2, 2), (2, 2)), r"axis 'input0' must be one constant int32"),
        (split(const(2, "int32"), (2, 2), (2, 2)), r"axis 2 is outside the 2 dimensions of 'input1'"),
        (split(const(1, "int32"), (2, 2)), r"along axis 1 add up to 2, but input 'input1' has 4"),
        (
            split(const(1, "int32"), (1, 2), (1, 2)),
            r"'output0' \(1, 2\) and input 'input1' \(2, 4\) differ beside axis 1",
        ),
        (split(const(1, "int32"), (2, 1), (2, 3)), r"the outputs have shapes .*SPLIT_V"),
        (split(const(1, "int32"), (2, 2), (2, 2), dtype="uint8"), r"'output0' is uint8 but 'input1' is int8"),
        (split(const(1, "int32"), (2, 2), (2, 2), dtype="int64", input="int64"), r"'input1' is int64; supported here"),
        (split(None, (2, 2), (2, 2)), r"expected axis and input"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
