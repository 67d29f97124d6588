"""LOGICAL_AND's and LOGICAL_OR's own facts."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from tests.models import const, fed, one_op

A, B = np.array([False, False, True, True]), np.array([False, True, False, True])


@pytest.mark.parametrize(("op", "expected"), [("LOGICAL_AND", [0, 0, 0, 1]), ("LOGICAL_OR", [0, 1, 1, 1])])
def test_truth_table(op: str, expected: list[int]) -> None:
    (y,) = run(one_op(op, {}, [fed((4,), "bool"), fed((4,), "bool")], fed((4,), "bool")), A, B)
    assert (y.dtype, y.tolist()) == (np.dtype(np.bool_), [bool(bit) for bit in expected])


def test_the_operands_broadcast() -> None:
    model = one_op("LOGICAL_AND", {}, [fed((2, 1), "bool"), const([True, False], "bool")], fed((2, 2), "bool"))
    assert run(model, np.array([[True], [False]]))[0].tolist() == [[True, False], [False, False]]


def test_only_bools() -> None:
    with pytest.raises(UnsupportedError, match=r"'input0' is int8"):
        make_plan(one_op("LOGICAL_OR", {}, [fed((1,), "int8"), fed((1,), "int8")], fed((1,), "int8")))
