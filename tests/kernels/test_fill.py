"""FILL's own facts: one value everywhere, in the shape that is declared anyway."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def filled(dims: Tensor, value: Tensor, output: tuple[int, ...] = (2, 3), dtype: str = "int8") -> Model:
    return one_op("FILL", {}, [dims, value], fed(output, dtype))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_each_inference_has_its_value(dtype: str) -> None:
    plan = make_plan(filled(const([2, 3], dtype), fed((), "int8")))
    (y,), _ = infer(plan, 2, [np.array([7, -8], np.int8)])
    assert y.tolist() == [[[7] * 3] * 2, [[-8] * 3] * 2]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            filled(const([2, 3], "int32"), fed((1,), "int8")),
            r"value 'input1' has shape \(1,\); TFLM fills with a scalar",
        ),
        (
            filled(const([3, 2], "int32"), fed((), "int8")),
            r"'output0' has shape \(2, 3\); what 'input0' tells has \(3, 2\)",
        ),
        (
            filled(fed((2,), "int32"), fed((), "int8")),
            r"dimensions 'input0' are int32 \(2,\); TFLM takes a constant row",
        ),
        (filled(const([2, 3], "uint8"), fed((), "int8")), r"dimensions 'input0' are uint8 \(2,\)"),
        (filled(const([[2, 3]], "int32"), fed((), "int8")), r"dimensions 'input0' are int32 \(1, 2\)"),
        (filled(const([2, 3], "int32"), fed((), "int32")), r"'output0' is int8 but 'input1' is int32"),
        (
            filled(const([1] * 7, "int32"), fed((), "int8"), (1,) * 7),
            r"'output0' has 7 dimensions; TFLM holds at most 6",
        ),
        (filled(const([], "int32"), fed((), "int8"), ()), r"the dimensions 'input0' are none at all"),
        (filled(const([2, 3], "int32"), fed((), "int16"), dtype="int16"), r"'input1' is int16; supported here"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
