"""CONCATENATION's own facts: the order of the inputs, constants in a batch, and whose quantisation must agree."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op, q


def concatenation(inputs: list[Tensor | None], output: Tensor, axis: int = -1, activation: str = "NONE") -> Model:
    return one_op("CONCATENATION", {"axis": axis, "fused_activation_function": activation}, inputs, output)


def test_inputs_follow_each_other_and_constants_serve_a_whole_batch() -> None:
    model = concatenation([fed((1, 2), "int32"), const([[7]], "int32"), fed((1, 1), "int32")], fed((1, 4), "int32"))
    first, last = np.array([[1, 2], [3, 4]], np.int32), np.array([[5], [6]], np.int32)
    assert run(model, first, last)[0].tolist() == [[1, 2, 7, 5], [3, 4, 7, 6]]


def test_an_axis_in_front() -> None:
    x = np.arange(4, dtype=np.int32).reshape(2, 2)
    model = concatenation([fed((2, 2), "int32"), const([[8, 9]], "int32")], fed((3, 2), "int32"), axis=0)
    assert run(model, x)[0].tolist() == [[0, 1], [2, 3], [8, 9]]


def test_int16_scales_need_not_agree() -> None:
    """TFLM compares those of int8 only, and copies the codes."""
    model = concatenation([fed((1,), "int16", q(1)), fed((1,), "int16", q(2))], fed((2,), "int16", q(3)))
    assert run(model, np.array([5], np.int16), np.array([6], np.int16))[0].tolist() == [5, 6]


INT8, FLOAT = fed((2,), "int8", q(1)), fed((2,), "float32")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            concatenation([INT8, fed((2,), "int8", q(2))], fed((4,), "int8", q(1))),
            r"'input1' \(2.0, 0\) and output 'output0' ",
        ),
        (concatenation([INT8, fed((2,), "int8", q(1, 1))], fed((4,), "int8", q(1))), r"differ in scale or zero point"),
        (concatenation([fed((2,), "int16", q(1, 1))], fed((2,), "int16", q(1))), r"'input0' is not 0"),
        (concatenation([fed((2,), "int16", q(1))], fed((2,), "int16", q(1, 1))), r"'output0' is not 0"),
        (concatenation([FLOAT], fed((2,), "float32"), activation="RELU"), r"make RELU an operator of its own"),
        (concatenation([fed((1,), "float32") for _ in range(11)], fed((11,), "float32")), r"11 inputs; .* at most 10"),
        (
            concatenation([FLOAT, fed((2,), "int32")], fed((4,), "float32")),
            r"'input1' is int32 but 'output0' is float32",
        ),
        (concatenation([FLOAT], fed((3,), "float32")), r"do not add up to 3 of output 'output0'"),
        (concatenation([FLOAT], fed((1, 2), "float32")), r"differ beside axis 1"),
        (concatenation([FLOAT], fed((2,), "float32"), axis=1), r"axis 1 is outside the 1 dimensions"),
        (concatenation([FLOAT, None], fed((2,), "float32")), r"an input is missing"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
