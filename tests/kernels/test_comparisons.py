"""The comparisons' own facts: NaN, zeros, and int8 codes that are equal although their numbers are not."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q

OPERATORS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
NAN = float("nan")


def compare(
    op: str, dtype: str, size: int = 1, first: Quantization | None = None, second: Quantization | None = None
) -> Model:
    return one_op(op, {}, [fed((size,), dtype, first), fed((size,), dtype, second)], fed((size,), "bool"))


def results(dtype: str, a: float, b: float, *quantizations: Quantization) -> str:
    """Which of the six hold."""
    operands = np.array([a], dtype), np.array([b], dtype)
    held = [run(compare(op, dtype, 1, *quantizations), *operands)[0].item() for op in OPERATORS]
    return " ".join(sign for sign, holds in zip(("==", "!=", ">", ">=", "<", "<="), held, strict=True) if holds)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_numbers(dtype: str) -> None:
    assert [results(dtype, a, b) for a, b in ((1, 1), (1, 2), (-1, -2))] == ["== >= <=", "!= < <=", "!= > >="]


def test_floats_compare_as_ieee_754_has_it() -> None:
    assert results("float32", 0.0, -0.0) == "== >= <="
    assert [results("float32", a, b) for a, b in ((NAN, 1), (1, NAN), (NAN, NAN))] == ["!="] * 3


def test_int64_is_not_rounded() -> None:
    assert results("int64", 2**62 + 1, 2**62) == "!= > >="


def test_bools_are_equal_or_not() -> None:
    a, b = np.array([True, True, False]), np.array([True, False, False])
    given = [run(compare(op, "bool", 3), a, b)[0].tolist() for op in ("EQUAL", "NOT_EQUAL")]
    assert given == [[True, False, True], [False, True, False]]


def test_int8_compares_real_numbers() -> None:
    """0.5 · (7 − 3) and 0.25 · (5 + 3) are both 2."""
    assert results("int8", 7, 5, q(0.5, 3), q(0.25, -3)) == "== >= <="
    assert results("int8", 7, 6, q(0.5, 3), q(0.25, -3)) == "!= < <="


def test_int8_numbers_closer_than_a_256th_may_be_equal() -> None:
    """Even in one quantisation, where the codes differ."""
    assert results("int8", 100, 101, q(2.0**-10), q(2.0**-10)) == "== >= <="
    assert results("int8", 101, 102, q(2.0**-10), q(2.0**-10)) == "!= < <="  # 25.25 and 25.5, a tie


@pytest.mark.parametrize(("rounding", "expected"), [("double", [False]), ("single", [True])])
def test_ties_in_two_dialects(rounding: str, expected: list[bool]) -> None:
    """−2 · 2⁻¹⁰ is −½ of a 256th: −1, or rounded once, 0."""
    model = compare("EQUAL", "int8", 1, q(2.0**-10), q(2.0**-10))
    plan = make_plan(model, numerics=Numerics(rounding=rounding))  # type: ignore[arg-type]
    assert run(plan, np.array([-2], np.int8), np.array([0], np.int8))[0].tolist() == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (compare("EQUAL", "int8", 1, q(1.0), q(0.5)), r"the scale of int8 input 'input0' is 1, and TFLM aborts"),
        (compare("LESS", "int8", 1, q(0.5), q(3.0)), r"the scale of int8 input 'input1' is 3, and TFLM aborts"),
        (compare("LESS", "int8"), r"'input0' is int8 but has no positive scale"),
        (compare("GREATER", "int16", 1, q(0.5), q(0.5)), r"'input0' is int16"),
        (compare("GREATER", "bool"), r"'input0' is bool"),
        (
            one_op("EQUAL", {}, [fed((1,), "int32"), fed((1,), "int64")], fed((1,), "bool")),
            r"'input0' is int32, input 'input1' int64 and output 'output0' bool; the inputs must agree",
        ),
        (
            one_op("EQUAL", {}, [fed((1,), "int32"), fed((1,), "int32")], fed((1,), "int32")),
            r"the inputs must agree, and the output be bool",
        ),
    ],
)
def test_refusals(wrong: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(wrong)


def test_a_scale_just_below_1_is_taken() -> None:
    make_plan(compare("EQUAL", "int8", 1, q(float(np.nextafter(np.float32(1), np.float32(0)))), q(0.5)))


def test_xnnpack_is_not_guessed() -> None:
    with pytest.raises(UnsupportedError, match=r"what XNNPACK makes of a quantised LESS is not known"):
        make_plan(compare("LESS", "int8", 1, q(0.5), q(0.5)), numerics=Numerics(rounding="xnnpack"))
