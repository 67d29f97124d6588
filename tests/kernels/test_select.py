"""SELECT_V2's own facts: three inputs that broadcast, and codes that stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op, q


def select(condition: Tensor, x: Tensor, y: Tensor, output: tuple[int, ...], dtype: str = "int8") -> Model:
    return one_op("SELECT_V2", {}, [condition, x, y], fed(output, dtype, q(1) if dtype == "int8" else None))


ROW, COLUMN = fed((3,), "int8", q(1)), fed((2, 1), "int8", q(2, 5))
DEEP, WORDS = fed((1,) * 7, "int8"), fed((3,), "int32")


def test_all_three_broadcast_and_codes_of_another_scale_are_copied() -> None:
    model = select(const([[True, False, True]], "bool"), ROW, COLUMN, (2, 3))
    (y,) = run(model, np.array([1, 2, 3], np.int8), np.array([[8], [9]], np.int8))
    assert y.tolist() == [[1, 8, 3], [1, 9, 3]]


def test_a_condition_of_a_lower_rank_broadcasts_behind_the_batch() -> None:
    model = select(const([True, False], "bool"), fed((1, 2), "int16"), const([7], "int16"), (1, 2), "int16")
    assert run(model, np.array([[1, 2], [3, 4], [5, 6]], np.int16))[0].tolist() == [[1, 7], [3, 7], [5, 7]]


def test_single_elements_may_have_an_output_of_any_rank() -> None:
    model = select(fed((1,), "bool"), const(4, "int8", q(1)), const([[5]], "int8", q(1)), ())
    assert run(model, np.array([False]))[0].item() == 5


def test_every_bit_of_a_nan_survives() -> None:
    x = np.array([0x7FC00001, 0xFFC12345], np.uint32).view(np.float32)
    model = select(const([True, False], "bool"), fed((2,), "float32"), const([0, 0], "float32"), (2,), "float32")
    assert run(model, x)[0].tobytes() == x[:1].tobytes() + bytes(4)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (select(fed((3,), "int8"), ROW, ROW, (3,)), r"the condition 'input0' is int8; TFLM takes bool"),
        (select(fed((2,), "bool"), ROW, ROW, (3,)), r"'input0' \(2,\), x 'input1' \(3,\) and y .* do not broadcast to"),
        (select(fed((3,), "bool"), ROW, ROW, (1, 3)), r"do not broadcast to output 'output0' \(1, 3\)"),
        (select(fed((3,), "bool"), ROW, fed((3,), "int16"), (3,)), r"'input2' is int16 but 'input1' is int8"),
        (select(fed((1,), "bool"), DEEP, DEEP, (1,) * 7), r"has 7 dimensions; TFLM holds at most 6"),
        (select(fed((3,), "bool"), WORDS, WORDS, (3,), "int32"), r"'input1' is int32; supported here"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
