"""TRANSPOSE's own facts: the direction of the permutation, and which ones are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def model(shape: tuple[int, ...], perm: Tensor, output: tuple[int, ...], dtype: str = "float32") -> Model:
    return one_op("TRANSPOSE", {}, [fed(shape, dtype), perm], fed(output, dtype, None, "y"))


def order(*perm: int) -> Tensor:
    return const(perm, "int32", name="perm")


def test_output_dimension_d_is_input_dimension_perm_d() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    (y,) = run(model((2, 3, 4), order(1, 2, 0), (3, 4, 2)), x)
    assert y.shape == (3, 4, 2)
    assert y[2, 3, 1] == x[1, 2, 3]


def test_a_batch_keeps_its_axis_in_front() -> None:
    x = np.arange(12, dtype=np.int8).reshape(2, 2, 3)
    (y,) = run(model((1, 2, 3), order(0, 2, 1), (1, 3, 2), "int8"), x)
    assert np.array_equal(y, x.transpose(0, 2, 1))


def test_every_bit_of_a_nan_survives() -> None:
    x = np.array([[0x7FC00001, 0xFFC12345]], np.uint32).view(np.float32)
    (y,) = run(model((1, 2), order(1, 0), (2, 1)), x)
    assert y.tobytes() == x.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1,) * 6, order(0, 1, 2, 3, 4, 5), (1,) * 6), "6 dimensions"),
        (((2, 3), fed((2,), "int32"), (3, 2)), "must be a constant of 2 int32"),
        (((2, 3), order(0), (3, 2)), "must be a constant of 2 int32"),
        (((2, 2), order(0, 0), (2, 2)), "is none of 2 dimensions"),
        (((2, 3), order(0, -1), (2, 3)), "is none of 2 dimensions"),
        (((2, 3), order(1, 0), (2, 3)), "transposing gives \\(3, 2\\)"),
        (((2, 3), order(1, 0), (3, 2), "int32"), "int32; supported here"),
    ],
)
def test_refusals(arguments: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model(*arguments))
