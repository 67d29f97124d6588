"""EXP's own facts: its ends, and that it is the dialect's C library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.numerics import float32
from tests.models import fed, one_op


def test_its_ends() -> None:
    x = np.array([0.0, -0.0, 100, -200, np.inf, -np.inf, np.nan], np.float32)
    (y,) = run(one_op("EXP", {}, [fed((7,), "float32")], fed((7,), "float32")), x)
    assert y[:6].tolist() == [1, 1, np.inf, 0, np.inf, 0]
    assert np.isnan(y[6])


@pytest.mark.parametrize("libm", ["glibc", "newlib", "newlib-fma", "newlib-double"])
def test_it_is_the_dialects_library(libm: Any) -> None:
    x = np.linspace(-80, 80, 999, dtype=np.float32)
    model = one_op("EXP", {}, [fed((999,), "float32")], fed((999,), "float32"))
    (y,) = run(make_plan(model, numerics=Numerics(libm=libm)), x)
    assert np.array_equal(y, float32.exp(x, libm))


def test_only_floats() -> None:
    with pytest.raises(UnsupportedError, match=r"'input0' is int8"):
        make_plan(one_op("EXP", {}, [fed((1,), "int8")], fed((1,), "int8")))
