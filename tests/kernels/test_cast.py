"""CAST's own facts: what integers keep, how floats end, and what the TFLM of August 2026 left open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, execute, make_plan, run
from refengine.model import Array, Model, Quantization
from tests.models import fed, one_op, q

AUGUST = Numerics(scale_math="float32")


def model(from_type: str, to_type: str, size: int, quantization: Quantization | None = None) -> Model:
    return one_op("CAST", {}, [fed((size,), from_type, quantization)], fed((size,), to_type, quantization))


def cast(from_type: str, to_type: str, *values: Any, numerics: Numerics | None = None) -> Array:
    plan = make_plan(model(from_type, to_type, len(values)), numerics=numerics)
    return run(plan, np.array(values, from_type))[0]


@pytest.mark.parametrize(
    ("from_type", "to_type", "values", "expected"),
    [
        ("int32", "int8", [300, -300, 128], [44, -44, -128]),
        ("int8", "uint32", [-1, 5], [2**32 - 1, 5]),
        ("uint32", "int32", [2**32 - 1, 2**31], [-1, -(2**31)]),
        ("int32", "bool", [0, -7, 256], [False, True, True]),
        ("bool", "int16", [True, False], [1, 0]),
        ("bool", "float32", [True, False], [1.0, 0.0]),
        ("int32", "float32", [2**24 + 1, 2**24 + 3], [2.0**24, 2.0**24 + 4]),
    ],
)
def test_integers_keep_their_low_bits_or_round_to_even(
    from_type: str, to_type: str, values: list[Any], expected: list[Any]
) -> None:
    assert cast(from_type, to_type, *values).tolist() == expected


@pytest.mark.parametrize(
    ("to_type", "low", "high"),
    [("int8", -128, 127), ("int16", -32768, 32767), ("int32", -(2**31), 2**31 - 1), ("uint32", 0, 2**32 - 1)],
)
def test_floats_are_cut_off_and_saturate(to_type: str, low: int, high: int) -> None:
    given = cast("float32", to_type, 1.9, -0.9, np.nan, np.inf, -np.inf, 1e20, -1e20)
    assert given.tolist() == [1, 0, 0, high, low, high, low]


def test_a_nan_is_true() -> None:
    assert cast("float32", "bool", np.nan, -0.0, 1e-40).tolist() == [True, False, True]


def test_quantisation_is_not_looked_at() -> None:
    assert run(model("int8", "int8", 2, q(0.5, 9)), np.array([3, -3], np.int8))[0].tolist() == [3, -3]


def test_in_august_2026_what_does_not_fit_was_undefined() -> None:
    """128 does not fit int8, and 127.9 does."""
    plan = make_plan(model("float32", "int8", 4), numerics=AUGUST)
    (record,) = execute(plan, np.array([127.9, 128, -128.9, np.nan], np.float32))
    assert record.undefined[0] is not None
    assert record.undefined[0].tolist() == [False, True, False, True]
    assert record.outputs[0].tolist() == [127, 0, -128, 0]
    assert not np.ma.isMaskedArray(cast("float32", "int8", 1.5, numerics=AUGUST))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (model("int64", "int32", 1), r"'input0' is int64"),
        (model("int32", "int64", 1), r"output 'output0' is int64; TFLM casts into float32, .* only"),
        (one_op("CAST", {}, [fed((4,), "int8")], fed((2, 2), "int32")), r"must have one shape"),
    ],
)
def test_refusals(wrong: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(wrong)


def test_in_august_2026_there_was_no_cast_to_bool() -> None:
    with pytest.raises(UnsupportedError, match=r"source of August 2026 does not cast into; .* scale_math=double"):
        make_plan(model("int32", "bool", 1), numerics=AUGUST)


def test_a_scalar_that_does_not_fit_is_undefined_but_of_the_output_s_type() -> None:
    scalar = one_op("CAST", {}, [fed((), "float32")], fed((), "uint32"))
    plan = make_plan(scalar, numerics=AUGUST)
    (output,) = run(plan, np.array(3e38, np.float32))
    assert (output.dtype, output.shape, output.item()) == (np.dtype(np.uint32), (), 0)
    (record,) = execute(plan, np.array(3e38, np.float32))
    assert record.outputs[0].dtype == np.uint32 and record.undefined[0] is not None and record.undefined[0].all()
