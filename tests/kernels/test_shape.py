"""SHAPE's own facts: the declared shape, in int32."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import fed, one_op


def test_a_batch_sees_the_declared_shape() -> None:
    model = one_op("SHAPE", {"out_type": "int32"}, [fed((1, 4, 2), "float32")], fed((3,), "int32"))
    assert run(model, np.zeros((1, 4, 2), np.float32))[0].tolist() == [1, 4, 2]
    assert run(model, np.zeros((5, 4, 2), np.float32))[0].tolist() == [[1, 4, 2]] * 5


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            one_op("SHAPE", {}, [fed((2,), "int8")], fed((1,), "int64")),
            r"'output0' is int64; TFLM gives shapes as int32",
        ),
        (one_op("SHAPE", {}, [fed((2,), "int8")], fed((2,), "int32")), r"'input0' \(2,\) has 1 dimensions"),
        (one_op("SHAPE", {}, [fed((2,), "int8")] * 2, fed((1,), "int32")), r"got 2 and 1"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
