"""DYNAMIC_UPDATE_SLICE's own facts: indices are clamped so that the update fits."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op

X = np.arange(6, dtype=np.int16).reshape(2, 3)


def updated(update: Tensor, indices: Tensor, output: tuple[int, ...] = (2, 3), dtype: str = "int16") -> Model:
    """Of a fed `X`."""
    return one_op("DYNAMIC_UPDATE_SLICE", {}, [fed(X.shape, "int16"), update, indices], fed(output, dtype))


PAIR = const([[70, 80]], "int16")


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([1, 1], [[0, 1, 2], [3, 70, 80]]),
        ([-9, -9], [[70, 80, 2], [3, 4, 5]]),
        ([2**31 - 1, 2], [[0, 1, 2], [3, 70, 80]]),
    ],
)
def test_indices_are_clamped(dtype: str, indices: list[int], expected: list[list[int]]) -> None:
    assert run(updated(PAIR, const(indices, dtype)), X)[0].tolist() == expected


def test_an_update_of_the_whole_is_the_output() -> None:
    whole = const(X + 100, "int16")
    assert run(updated(whole, const([1, 1], "int32")), X)[0].tolist() == (X + 100).tolist()


def test_indices_may_differ_between_inferences() -> None:
    plan = make_plan(updated(PAIR, fed((2,), "int64")))
    (y,), _ = infer(plan, 2, [np.stack([X, -X]), np.array([[0, 0], [1, 1]], np.int64)])
    assert y.tolist() == [[[70, 80, 2], [3, 4, 5]], [[0, -1, -2], [-3, 70, 80]]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            updated(fed((3, 1), "int16"), fed((2,), "int32")),
            r"update 'input1' \(3, 1\) does not fit into operand 'input0'",
        ),
        (updated(fed((1,), "int16"), fed((2,), "int32")), r"update 'input1' \(1,\) does not fit"),
        (
            updated(PAIR, fed((1,), "int32")),
            r"indices 'input2' are int32 \(1,\); TFLM takes int32 or int64, one for each",
        ),
        (updated(PAIR, fed((2,), "int16")), r"indices 'input2' are int16 \(2,\)"),
        (updated(PAIR, fed((2,), "int32"), (3, 2)), r"'output0' has shape \(3, 2\); operand 'input0' has \(2, 3\)"),
        (updated(PAIR, fed((2,), "int32"), dtype="int32"), r"'output0' is int32 but 'input0' is int16"),
        (updated(const([[1]], "int8"), fed((2,), "int32")), r"'input1' is int8 but 'input0' is int16"),
        (
            one_op(
                "DYNAMIC_UPDATE_SLICE", {}, [*[fed((1,) * 7, "int8")] * 2, fed((7,), "int32")], fed((1,) * 7, "int8")
            ),
            r"has 7 dimensions; TFLM updates 1 to 6",
        ),
        (
            one_op("DYNAMIC_UPDATE_SLICE", {}, [*[fed((1,), "bool")] * 2, fed((1,), "int32")], fed((1,), "bool")),
            r"'input0' is bool; supported here",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
