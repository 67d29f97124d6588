"""SignalFilterBankSquareRoot's own facts: rounding, the limit of 16 bits, and shifts that C does not define."""

from __future__ import annotations

from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine import execute, explain, make_plan, run
from refengine.execute import infer
from tests.models import const, custom, fed


def roots(*numbers: int, shift: int = 0) -> list[int]:
    inputs = [fed((len(numbers),), "uint64"), const(shift, "int32")]
    model = custom("SignalFilterBankSquareRoot", b"", [*inputs], fed((len(numbers),), "uint32"))
    found: list[int] = run(model, np.array(numbers, np.uint64))[0].tolist()
    return found


def test_roots_are_rounded_then_shifted_down() -> None:
    assert roots(0, 2, 3, 6, 7, 2**64 - 1) == [0, 1, 2, 2, 3, 2**32 - 1]
    assert roots(49, shift=1) == [3]


def test_just_below_two_to_the_32_the_root_has_16_bits() -> None:
    assert roots(65535**2 + 65535, 65535**2 + 65536, 2**32 - 1, 2**32) == [65535, 65535, 65535, 65536]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(-2, 2), st.booleans()), min_size=1, max_size=50))
def test_beside_squares_and_halves(near: list[tuple[int, int, bool]]) -> None:
    numbers = [min(max(k * k + (k if half else 0) + off, 0), 2**64 - 1) for k, off, half in near]
    limits = [2**16 - 1 if x < 2**32 else 2**32 - 1 for x in numbers]
    wanted = [min(isqrt(x) + (x - isqrt(x) ** 2 > isqrt(x)), limit) for x, limit in zip(numbers, limits, strict=True)]
    assert roots(*numbers) == wanted


def test_a_shift_that_c_does_not_define_leaves_nothing_defined() -> None:
    inputs = [fed((2,), "uint64"), fed((), "int32")]
    plan = make_plan(custom("SignalFilterBankSquareRoot", b"", [*inputs], fed((2,), "uint32")))
    for shift, defined in ((31, True), (32, False), (-1, False)):
        ((y,), _) = infer(plan, None, [np.array([4, 9], np.uint64), np.array(shift, np.int32)])
        assert (not np.ma.is_masked(y)) == defined


def test_an_explanation_tells_the_rest_that_rounds() -> None:
    inputs = [fed((2,), "uint64"), const(0, "int32")]
    plan = make_plan(custom("SignalFilterBankSquareRoot", b"", [*inputs], fed((2,), "uint32")))
    (record,) = execute(plan, np.array([12, 13], np.uint64))
    told = [explain(plan, record, (i,)).lines for i in range(2)]
    assert [[line.name for line in lines] for lines in told] == [["root", "shifted"], ["root", "rounding", "shifted"]]
    assert "the rest is 3" in told[0][0].text
    assert told[1][0].text == "the square root of 13, rounded down; the rest is 4"


@pytest.mark.parametrize("x", [2**32 - 1, 2**32, 2**64 - 2**32 + 1, 2**64 - 1])
def test_an_explanation_ends_in_the_root_where_none_is_larger(x: int) -> None:
    inputs = [fed((1,), "uint64"), const(0, "int32")]
    plan = make_plan(custom("SignalFilterBankSquareRoot", b"", [*inputs], fed((1,), "uint32")))
    (record,) = execute(plan, np.array([x], np.uint64))
    assert explain(plan, record, (0,)).value == record.outputs[0][0]


@pytest.mark.parametrize(("shift", "told"), [(31, "7 / 2^31, rounded down"), (32, "undefined"), (-1, "undefined")])
def test_an_explanation_tells_a_shift_that_c_does_not_define(shift: int, told: str) -> None:
    inputs = [fed((1,), "uint64"), fed((), "int32")]
    plan = make_plan(custom("SignalFilterBankSquareRoot", b"", [*inputs], fed((1,), "uint32")))
    (record,) = execute(plan, np.array([49], np.uint64), np.array(shift, np.int32))
    assert told in explain(plan, record, (0,)).lines[-1].text
