"""ZEROS_LIKE's own facts: code 0, which is not 0.0 where there is a zero point."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import fed, one_op, q


def test_int8_becomes_code_0_and_not_the_zero_point() -> None:
    model = one_op("ZEROS_LIKE", {}, [fed((2,), "int8", q(1, -9))], fed((2,), "int8", q(1, -9)))
    assert run(model, np.array([5, 6], np.int8))[0].tolist() == [0, 0]


def test_floats_become_positive_zeros_for_every_inference() -> None:
    (y,) = run(one_op("ZEROS_LIKE", {}, [fed((1, 2), "float32")], fed((1, 2), "float32")), -np.ones((3, 2), np.float32))
    assert (y.shape, y.tobytes()) == ((3, 2), bytes(24))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (one_op("ZEROS_LIKE", {}, [fed((2,), "int8")], fed((1, 2), "int8")), r"'output0' is int8 \(1, 2\) but input"),
        (one_op("ZEROS_LIKE", {}, [fed((2,), "int8")], fed((2,), "int32")), r"'output0' is int32 \(2,\) but input"),
        (one_op("ZEROS_LIKE", {}, [fed((1,) * 7, "int8")], fed((1,) * 7, "int8")), r"'output0' has 7 dimensions; TFLM"),
        (one_op("ZEROS_LIKE", {}, [fed((2,), "int16")], fed((2,), "int16")), r"'input0' is int16; supported here"),
        (one_op("ZEROS_LIKE", {}, [fed((2,), "int8")] * 2, fed((2,), "int8")), r"expected 1 input"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
