"""MAXIMUM's and MINIMUM's own facts: which of two is taken where neither is larger, and that codes are codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Quantization
from tests.models import const, fed, one_op, q


def model(op: str, dtype: str, size: int = 4, *quantizations: Quantization | None) -> Model:
    a, b, y = quantizations or (None, None, None)
    return one_op(op, {}, [fed((size,), dtype, a), fed((size,), dtype, b)], fed((size,), dtype, y))


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "int64"])
def test_every_type(dtype: str) -> None:
    a, b = np.array([1, -5, 100, 7], dtype), np.array([2, -6, 100, -7], dtype)
    quantization = q(1.0) if dtype in ("int8", "int16") else None
    larger, smaller = (run(model(op, dtype, 4, *[quantization] * 3), a, b)[0] for op in ("MAXIMUM", "MINIMUM"))
    assert (larger.tolist(), smaller.tolist()) == ([2, -5, 100, 7], [1, -6, 100, -7])


@pytest.mark.parametrize("op", ["MAXIMUM", "MINIMUM"])
def test_the_second_is_taken_where_neither_compares(op: str) -> None:
    nan = np.nan
    a, b = np.array([nan, 1, 0.0, -0.0], np.float32), np.array([1, nan, -0.0, 0.0], np.float32)
    (y,) = run(model(op, "float32"), a, b)
    assert y.tobytes() == b.tobytes()


def test_int64_keeps_every_bit() -> None:
    a, b = np.array([2**53, 2**63 - 1], np.int64), np.array([2**53 + 1, 2**63 - 2], np.int64)
    assert run(model("MAXIMUM", "int64", 2), a, b)[0].tolist() == [2**53 + 1, 2**63 - 1]


def test_codes_are_compared_whatever_they_mean() -> None:
    """3 · 1 is less than 2 · 100."""
    (y,) = run(model("MAXIMUM", "int8", 1, q(1), q(100), q(7, 5)), np.array([3], np.int8), np.array([2], np.int8))
    assert y.tolist() == [3]


def test_the_operands_broadcast() -> None:
    x = fed((2, 2), "int32")
    model = one_op("MINIMUM", {}, [x, const([5, -5], "int32")], fed((2, 2), "int32"))
    assert run(model, np.array([[1, 1], [9, -9]], np.int32))[0].tolist() == [[1, -5], [5, -9]]


def vectors(*types: str) -> Any:
    a, b, y = (fed((2,), dtype) for dtype in types)
    return one_op("MAXIMUM", {}, [a, b], y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (vectors("float32", "int32", "float32"), r"'input0' is float32, input 'input1' int32 .* they must agree"),
        (vectors("uint8", "uint8", "uint8"), r"'input0' is uint8"),
        (
            one_op("MAXIMUM", {}, [fed((2,), "float32"), fed((3,), "float32")], fed((3,), "float32")),
            r"do not broadcast",
        ),
        (one_op("MINIMUM", {}, [fed((2,), "float32")], fed((2,), "float32")), r"expected 2 inputs and 1 output"),
    ],
)
def test_refusals(wrong: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(wrong)
