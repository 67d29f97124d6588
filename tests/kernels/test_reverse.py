"""REVERSE_V2's own facts: neighbouring axes only, constant or computed."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op

X = np.arange(8, dtype=np.int16).reshape(2, 2, 2)


def reversed_along(axis: Tensor, output: tuple[int, ...] = X.shape, dtype: str = "int16") -> Model:
    """Of a fed `X`."""
    return one_op("REVERSE_V2", {}, [fed(X.shape, "int16"), axis], fed(output, dtype))


@pytest.mark.parametrize("axes", [[1], [-2], [1, 0], [-1, 1], [2, 0, 1]])
def test_neighbours_in_any_order(axes: list[int]) -> None:
    assert run(reversed_along(const(axes, "int32")), X)[0].tolist() == np.flip(X, tuple(axes)).tolist()


@pytest.mark.parametrize("axes", [[0, 2], [1, 1], [3, 0], [-4, 0]])
def test_computed_axes_on_which_invoke_fails(axes: list[int]) -> None:
    plan = make_plan(reversed_along(fed((2,), "int32")))
    with pytest.raises(InferenceError, match=r"axes .* on which TFLM's Invoke fails") as error:
        infer(plan, 2, [np.stack([X, X]), np.array([axes, [0, 1]], np.int32)])
    assert error.value.rows.tolist() == [True, False]
    assert error.value.outputs[0][1].tolist() == X[::-1, ::-1].tolist()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            reversed_along(const([0, 2], "int32")),
            r"axes \[0, 2\] are no neighbours, .* reverse along one after the other",
        ),
        (reversed_along(const([0, 0], "int32")), r"axes \[0, 0\] are no neighbours"),
        (reversed_along(const([3], "int32")), r"axes \[3\] leave the 3 dimensions of 'input0'"),
        (reversed_along(const([0], "int64")), r"axis 'input1' is int64 \(1,\); it must be int32"),
        (reversed_along(const(0, "int32")), r"axis 'input1' is int32 \(\)"),
        (reversed_along(const([0] * 4, "int32")), r"axis 'input1' is int32 \(4,\)"),
        (reversed_along(const(np.zeros(0), "int32")), r"axis 'input1' is int32 \(0,\)"),
        (reversed_along(const([0], "int32"), (2, 4)), r"'output0' has shape \(2, 4\); input 'input0' has \(2, 2, 2\)"),
        (reversed_along(const([0], "int32"), dtype="int32"), r"'output0' is int32 but 'input0' is int16"),
        (
            one_op("REVERSE_V2", {}, [fed((1,) * 7, "int8"), const([0], "int32")], fed((1,) * 7, "int8")),
            r"has 7 dimensions; TFLM holds at most 6",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
