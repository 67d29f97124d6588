"""GATHER_ND's own facts: rows of indices, which need only stay inside the memory of the input."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def gather_nd(indices: Tensor, output: tuple[int, ...], shape: tuple[int, ...] = (2, 3), dtype: str = "int8") -> Model:
    return one_op("GATHER_ND", {}, [fed(shape, dtype), indices], fed(output, dtype))


X = np.array([[1, 2, 3], [4, 5, 6]], np.int8)


def test_full_rows_of_indices_choose_elements() -> None:
    assert run(gather_nd(const([[0, 2], [1, 0]], "int32"), (2,)), X)[0].tolist() == [3, 4]


def test_short_rows_of_indices_choose_slices() -> None:
    assert run(gather_nd(const([[[1]], [[0]]], "int32"), (2, 1, 3)), X)[0].tolist() == [[[4, 5, 6]], [[1, 2, 3]]]


@pytest.mark.parametrize(("indices", "element"), [([0, 3], 4), ([1, -1], 3), ([-1, 3], 1)])
def test_an_index_beyond_its_dimension_reads_another_row(indices: list[int], element: int) -> None:
    """Only the place in memory is checked: [0, 3] of a (2, 3) is [1, 0]."""
    assert run(gather_nd(const(indices, "int32"), ()), X)[0].item() == element


def test_indices_that_leave_the_input_fail_their_inference_alone() -> None:
    plan = make_plan(gather_nd(fed((1, 2), "int32"), (1,)))
    with pytest.raises(InferenceError, match=r"indices lead out of the input, on which TFLM's Invoke fails") as error:
        infer(plan, 3, [np.stack([X] * 3), np.array([[[1, 2]], [[1, 3]], [[0, -1]]], np.int32)])
    assert error.value.rows.tolist() == [False, True, True]
    assert error.value.outputs[0][0].tolist() == 6


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (gather_nd(const([[1, 3]], "int32"), (1,)), r"indices lead out of the input"),
        (gather_nd(fed((0, 1), "int32"), (0,), (0,)), r"'input0' \(0,\) has a dimension of 0, by which TFLM divides"),
        (gather_nd(const([[1, 1]], "int64"), (1,)), r"indices 'input1' are int64; TFLM gathers by int32"),
        (gather_nd(const(1, "int32"), (3,)), r"'input1' have shape \(\); its last dimension must lie in 1 … 2"),
        (gather_nd(const([[0, 0, 0]], "int32"), (1,)), r"'input1' have shape \(1, 3\); its last dimension"),
        (gather_nd(const([[0] * 6], "int32"), (1,), (1,) * 6), r"must lie in 1 … 5"),
        (gather_nd(const([[0]], "int32"), (3,)), r"'output0' has shape \(3,\); .* has \(1, 3\)"),
        (gather_nd(const([[0]], "int32"), (1, 3), dtype="int32"), r"'input0' is int32; supported here: float32, int8"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
