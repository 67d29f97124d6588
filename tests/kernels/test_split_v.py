"""SPLIT_V's own facts: the declared outputs count, whatever the sizes say."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def split_v(sizes: Tensor, axis: Tensor, *outputs: tuple[int, ...]) -> Model:
    """Of a fed (2, 4)."""
    made = [fed(shape, "int16") for shape in outputs]
    return one_op("SPLIT_V", {"num_splits": len(outputs)}, [fed((2, 4), "int16"), sizes, axis], *made)


X = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int16)
LAST = const(-1, "int32")


@pytest.mark.parametrize("sizes", [const([1, 3], "int32"), const([1, -1], "int64"), const([9], "int32")])
def test_the_sizes_are_not_read(sizes: Tensor) -> None:
    left, right = run(split_v(sizes, LAST, (2, 1), (2, 3)), X)
    assert (left.tolist(), right.tolist()) == ([[1], [5]], [[2, 3, 4], [6, 7, 8]])


def test_the_sizes_may_be_fed() -> None:
    top, bottom = run(split_v(fed((2,), "int32"), const(0, "int32"), (1, 4), (1, 4)), X, np.array([7, 7], np.int32))
    assert (top.tolist(), bottom.tolist()) == ([[1, 2, 3, 4]], [[5, 6, 7, 8]])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            split_v(const([1, 3], "int32"), fed((1,), "int32"), (2, 1), (2, 3)),
            r"axis 'input2' must be one constant int32",
        ),
        (split_v(const([1, 3], "int32"), const(-3, "int32"), (2, 1), (2, 3)), r"axis -3 is outside the 2 dimensions"),
        (split_v(const([1, 3], "int32"), LAST, (2, 1), (2, 2)), r"add up to 3, but input 'input0' has 4"),
        (split_v(const([1, 3], "int32"), LAST, (2, 1), (3,)), r"'output1' \(3,\) and input 'input0' \(2, 4\) differ"),
        (one_op("SPLIT_V", {}, [fed((2,), "int8"), LAST], fed((2,), "int8")), r"expected input, sizes and axis"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
