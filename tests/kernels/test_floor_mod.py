"""FLOOR_MOD's own facts: whose sign the remainder has, and where it is as large as the divisor."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Array
from tests.models import fed, one_op


def floor_mod(a: list[float], b: list[float]) -> Array:
    shape = (len(a),)
    model = one_op("FLOOR_MOD", {}, [fed(shape, "float32"), fed(shape, "float32")], fed(shape, "float32"))
    return run(model, np.array(a, np.float32), np.array(b, np.float32))[0]


def test_the_remainder_has_the_divisors_sign() -> None:
    assert floor_mod([7, -7, 7, -7], [3, 3, -3, -3]).tolist() == [1, 2, -2, -1]


def test_a_remainder_of_0_has_the_dividends_sign() -> None:
    assert floor_mod([6, -6, -0.0], [3, 3, -3]).tobytes() == np.array([0.0, -0.0, -0.0], np.float32).tobytes()


def test_it_may_be_the_divisor_itself() -> None:
    """−10⁻²⁰ + 3 rounds to 3."""
    assert floor_mod([-1e-20], [3]).tolist() == [3]


def test_infinities_and_zeros() -> None:
    y = floor_mod([5, -5, 1, np.inf, np.nan], [np.inf, np.inf, 0, 2, 1])
    assert y[:2].tolist() == [5, np.inf]
    assert np.isnan(y[2:]).all()


def test_only_floats() -> None:
    with pytest.raises(UnsupportedError, match=r"'input0' is int32"):
        make_plan(one_op("FLOOR_MOD", {}, [fed((1,), "int32"), fed((1,), "int32")], fed((1,), "int32")))
