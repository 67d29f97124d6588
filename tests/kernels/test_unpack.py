"""UNPACK's own facts: each slice loses the axis, and what TFLM would misread."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import fed, one_op


def unpack(axis: int, *outputs: tuple[int, ...], num: int | None = None, dtype: str = "int8") -> Model:
    """Of a fed (2, 3)."""
    made = [fed(shape, dtype) for shape in outputs]
    return one_op("UNPACK", {"axis": axis, "num": len(outputs) if num is None else num}, [fed((2, 3), "int8")], *made)


X = np.array([[1, 2, 3], [4, 5, 6]], np.int8)


def test_slices_along_the_first_axis_are_rows() -> None:
    assert [y.tolist() for y in run(unpack(0, (3,), (3,)), X)] == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("axis", [1, -1])
def test_slices_along_the_last_axis_are_columns(axis: int) -> None:
    assert [y.tolist() for y in run(unpack(axis, (2,), (2,), (2,)), X)] == [[1, 4], [2, 5], [3, 6]]


def test_slices_of_a_row_are_scalars() -> None:
    model = one_op("UNPACK", {"axis": 0, "num": 1}, [fed((1,), "int32")], fed((), "int32"))
    (y,) = run(model, np.array([7], np.int32))
    assert (y.shape, int(y)) == ((), 7)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (unpack(2, (3,), (3,)), r"axis 2 is outside the 2 dimensions of 'input0'"),
        (unpack(0, (3,)), r"1 output, num 1 and input 'input0' \(2, 3\) with axis 0 do not agree"),
        (unpack(0, (3,), (3,), num=1), r"2 outputs, num 1 and input"),
        (unpack(0, (3,), (1, 3)), r"'output1' has shape \(1, 3\); 'input0' \(2, 3\) without axis 0 has \(3,\)"),
        (unpack(0, (3,), (3,), dtype="uint8"), r"'output0' is uint8 but 'input0' is int8"),
        (one_op("UNPACK", {"axis": 0, "num": 1}, [fed((1,), "int8")] * 2, fed((), "int8")), r"expected 1 input, got 2"),
        (
            one_op("UNPACK", {"axis": 0, "num": 1}, [fed((1,), "bool")], fed((), "bool")),
            r"'input0' is bool; supported here",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
