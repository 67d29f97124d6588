"""SLICE's own facts: sizes of −1, and slices that do not fit, constant or computed."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op

X = np.arange(12, dtype=np.int32).reshape(3, 4)


def sliced(begin: Tensor, size: Tensor, output: tuple[int, ...], dtype: str = "int32") -> Model:
    """Of a fed `X`."""
    return one_op("SLICE", {}, [fed(X.shape, dtype), begin, size], fed(output, dtype))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_a_size_of_minus_one_goes_to_the_end(dtype: str) -> None:
    (y,) = run(sliced(const([1, 2], dtype), const([-1, 1], dtype), (2, 1)), X)
    assert y.tolist() == [[6], [10]]


def test_computed_begins_may_differ_between_inferences() -> None:
    plan = make_plan(sliced(fed((2,), "int32"), const([1, 2], "int32"), (1, 2)))
    (y,), _ = infer(plan, 3, [np.stack([X, X + 100, X]), np.array([[0, 0], [2, 1], [2, 1]], np.int32)])
    assert y.tolist() == [[0, 1], [109, 110], [9, 10]]


def test_a_constant_sliced_by_computed_begins() -> None:
    model = one_op("SLICE", {}, [const([5, 6, 7], "int8"), fed((1,), "int32"), const([1], "int32")], fed((1,), "int8"))
    assert run(model, np.array([2, 0, 2], np.int32))[0].tolist() == [7, 5, 7]


@pytest.mark.parametrize(("begin", "size"), [([3, 0], [1, 1]), ([-1, 0], [1, 1]), ([0, 0], [1, 2]), ([0, 0], [-2, 1])])
def test_computed_slices_that_do_not_fit_fail_their_inference_alone(begin: list[int], size: list[int]) -> None:
    """TFLM would read or write other memory, which is nothing to be golden about."""
    plan = make_plan(sliced(fed((2,), "int32"), fed((2,), "int32"), (1, 1)))
    begins, sizes = np.array([[1, 1], begin], np.int32), np.array([[1, 1], size], np.int32)
    with pytest.raises(InferenceError, match=r"a slice of 'input0' \(3, 4\) from .* on, of size .*") as error:
        infer(plan, 2, [np.stack([X, X]), begins, sizes])
    assert error.value.rows.tolist() == [False, True]
    assert error.value.outputs[0][0].tolist() == [5]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            sliced(const([2, 0], "int32"), const([2, 1], "int32"), (2, 1)),
            r"from \[2, 0\] on, of size \[2, 1\], leaves it",
        ),
        (
            sliced(const([-1, 0], "int32"), const([1, 1], "int32"), (1, 1)),
            r"leaves it, and TFLM would read other memory",
        ),
        (
            sliced(const([0, 0], "int32"), const([2, 1], "int32"), (1, 2)),
            r"has shape \(2, 1\), but the output is declared",
        ),
        (sliced(const([0], "int32"), const([2, 1], "int32"), (2, 1)), r"'input1' is int32 \(1,\); begin and size"),
        (sliced(const([0, 0], "int32"), const([1, 1], "int64"), (1, 1)), r"'input2' is int64 \(2,\); begin and size"),
        (sliced(const([0, 0], "int16"), const([1, 1], "int16"), (1, 1)), r"'input1' is int16 \(2,\); begin and size"),
        (
            sliced(const([0, 0], "int32"), const([1, 1], "int32"), (1,)),
            r"output 'output0' \(1,\) must have 2 dimensions",
        ),
        (sliced(const([0, 0], "int32"), const([1, 1], "int32"), (1, 1), "uint8"), r"'input0' is uint8; supported here"),
        (
            one_op("SLICE", {}, [fed((1,) * 6, "int8"), *[const([0] * 6, "int32")] * 2], fed((1,) * 6, "int8")),
            r"has 6 dimensions; TFLM slices 1 to 5",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
