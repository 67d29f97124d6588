"""GATHER's own facts: positions along an axis, dimensions in common, and positions on which Invoke fails."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def gather(
    positions: Tensor, output: tuple[int, ...], axis: int = 0, batch_dims: int = 0, dtype: str = "int8"
) -> Model:
    """Of a fed (2, 3)."""
    options = {"axis": axis, "batch_dims": batch_dims}
    return one_op("GATHER", options, [fed((2, 3), dtype), positions], fed(output, dtype))


X = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
ROW = fed((2,), "int32")


@pytest.mark.parametrize("axis", [1, -1])
def test_positions_choose_along_the_axis(axis: int) -> None:
    assert run(gather(const([2, 0], "int32"), (2, 2), axis), X)[0].tolist() == [[3, 1], [6, 4]]


def test_a_scalar_position_takes_the_axis_away() -> None:
    assert run(gather(const(1, "int32"), (3,)), X)[0].tolist() == [4, 5, 6]


@pytest.mark.parametrize("batch_dims", [1, -1])
def test_dimensions_in_common_have_positions_of_their_own(batch_dims: int) -> None:
    """Row 0 takes its element 2 and row 1 its element 0."""
    assert run(gather(const([[2], [0]], "int32"), (2, 1), 1, batch_dims), X)[0].tolist() == [[3], [4]]


def test_computed_positions_may_differ_between_inferences() -> None:
    plan = make_plan(gather(ROW, (2, 3)))
    (y,), _ = infer(plan, 2, [np.stack([X, X]), np.array([[0, 1], [1, 1]], np.int32)])
    assert y.tolist() == [[[1, 2, 3], [4, 5, 6]], [[4, 5, 6], [4, 5, 6]]]


@pytest.mark.parametrize("outside", [2, -1])
def test_a_position_outside_fails_its_inference_alone(outside: int) -> None:
    """TFLM's Invoke fails; positions do not count from the end."""
    plan = make_plan(gather(ROW, (2, 3)))
    with pytest.raises(InferenceError, match=r"a position lies outside 0 … 1 along axis 0, .*Invoke fails") as error:
        infer(plan, 2, [np.stack([X, X]), np.array([[0, 1], [outside, 0]], np.int32)])
    assert error.value.rows.tolist() == [False, True]
    assert error.value.outputs[0][0].tolist() == X.tolist()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (gather(const([0, 2], "int32"), (2, 3)), r"a position lies outside 0 … 1 along axis 0, .*Invoke fails"),
        (gather(const([0, 1], "int64"), (2, 3)), r"positions 'input1' are int64; TFLM gathers by int32"),
        (gather(ROW, (2, 3), axis=2), r"axis 2 is outside the 2 dimensions of 'input0'"),
        (gather(ROW, (2, 3), batch_dims=1), r"batch_dims 1 must lie in 0 … 0, for axis 0"),
        (
            gather(fed((3,), "int32"), (2,), 1, 1),
            r"'input0' \(2, 3\) and positions 'input1' \(3,\) differ in their first 1",
        ),
        (gather(ROW, (2, 2)), r"'output0' has shape \(2, 2\); what 'input1' \(2,\) chooses along axis 0 has \(2, 3\)"),
        (gather(ROW, (2, 3), dtype="int16"), r"'input0' is int16; supported here: float32, int8"),
        (one_op("GATHER", {}, [fed((2,), "int8")], fed((2,), "int8")), r"expected input, positions and 1 output"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
