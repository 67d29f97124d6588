"""PACK's own facts: the new axis, and constants in a batch."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def pack(inputs: list[Tensor | None], output: Tensor, axis: int = 0, count: int | None = None) -> Model:
    return one_op("PACK", {"axis": axis, "values_count": len(inputs) if count is None else count}, inputs, output)


@pytest.mark.parametrize("axis", [1, -1])
def test_inputs_alternate_along_a_last_axis(axis: int) -> None:
    model = pack([fed((3,), "int8"), const([7, 8, 9], "int8")], fed((3, 2), "int8"), axis)
    assert run(model, np.array([1, 2, 3], np.int8))[0].tolist() == [[1, 7], [2, 8], [3, 9]]


def test_constants_serve_a_whole_batch() -> None:
    model = pack([const([[7]], "int8"), fed((1, 1), "int8")], fed((1, 2, 1), "int8"), 1)
    assert run(model, np.array([[1], [2]], np.int8))[0].tolist() == [[[7], [1]], [[7], [2]]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (pack([fed((3,), "int8")], fed((1, 3), "int8"), 2), r"axis 2 is outside the 2 dimensions"),
        (pack([fed((3,), "int8")], fed((1, 3), "int8"), count=2), r"1 input, values_count 2"),
        (pack([fed((3,), "int8")], fed((2, 3), "int8")), r"with axis 0 do not agree"),
        (
            pack([fed((4,), "int8")], fed((1, 3), "int8")),
            r"'input0' \(4,\) is not output 'output0' \(1, 3\) without axis 0",
        ),
        (pack([fed((3,), "int8")], fed((1, 3), "int16")), r"'input0' is int8 but 'output0' is int16"),
        (pack([fed((3,), "int8"), None], fed((2, 3), "int8")), r"an input is missing"),
        (pack([fed((3,), "bool")], fed((1, 3), "bool")), r"'input0' is bool; supported here"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
