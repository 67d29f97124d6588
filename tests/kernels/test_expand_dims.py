"""EXPAND_DIMS' own facts: where the new dimension goes."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def expand_dims(axis: Tensor, output: tuple[int, ...]) -> Model:
    """Of a fed (2, 3)."""
    return one_op("EXPAND_DIMS", {}, [fed((2, 3), "int8"), axis], fed(output, "int8"))


@pytest.mark.parametrize(("axis", "shape"), [(0, (1, 2, 3)), (1, (2, 1, 3)), (-1, (2, 3, 1)), (-3, (1, 2, 3))])
def test_the_new_axis_counts_in_the_output(axis: int, shape: tuple[int, ...]) -> None:
    (y,) = run(expand_dims(const(axis, "int32"), shape), np.arange(6, dtype=np.int8).reshape(2, 3))
    assert y.shape == shape
    assert y.ravel().tolist() == [*range(6)]


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (const(3, "int32"), (2, 3, 1), r"axis 3 is outside the output's 3 dimensions"),
        (const(1, "int32"), (1, 2, 3), r"the output has shape \(1, 2, 3\); expanded, 'input0' has \(2, 1, 3\)"),
        (const(0, "int64"), (1, 2, 3), r"the axis must be one constant int32"),
        (const([[0]], "int32"), (1, 2, 3), r"the axis must be one constant int32"),
        (fed((), "int32"), (1, 2, 3), r"the axis must be one constant int32"),
    ],
)
def test_refusals(axis: Tensor, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(expand_dims(axis, shape))
