"""SQUEEZE's own facts: which dimensions go."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import fed, one_op


def squeeze(dims: list[int], output: tuple[int, ...]) -> Model:
    """Of a fed (1, 3, 1)."""
    return one_op("SQUEEZE", {"squeeze_dims": dims}, [fed((1, 3, 1), "int8")], fed(output, "int8"))


@pytest.mark.parametrize(("dims", "shape"), [([], (3,)), ([0], (3, 1)), ([-1], (1, 3)), ([0, 2], (3,))])
def test_named_dimensions_or_all_that_are_1(dims: list[int], shape: tuple[int, ...]) -> None:
    (y,) = run(squeeze(dims, shape), np.array([[[1], [2], [3]]], np.int8))
    assert y.shape == shape
    assert y.ravel().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("dims", "shape", "message"),
    [
        ([1], (1, 3), r"dimension 1 of input 'input0' \(1, 3, 1\) is not of length 1"),
        ([3], (1, 3), r"dimension 3 of input"),
        ([0], (1, 3), r"the output has shape \(1, 3\); squeezed, 'input0' has \(3, 1\)"),
    ],
)
def test_refusals(dims: list[int], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(squeeze(dims, shape))
