"""FLOOR's own facts: zeros keep their signs, and what is large is an integer."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from tests.models import fed, one_op


def test_it_rounds_down() -> None:
    x = np.array([0.0, -0.0, 1.5, -1.5, -1e-40, 1e30, -np.inf], np.float32)
    (y,) = run(one_op("FLOOR", {}, [fed(x.shape, "float32")], fed(x.shape, "float32")), x)
    assert y.tobytes() == np.array([0.0, -0.0, 1, -2, -1, 1e30, -np.inf], np.float32).tobytes()


def test_nan_stays() -> None:
    (y,) = run(one_op("FLOOR", {}, [fed((1,), "float32")], fed((1,), "float32")), np.full(1, np.nan, np.float32))
    assert np.isnan(y).all()


@pytest.mark.parametrize(
    ("dtype", "shape", "message"), [("int32", (4,), r"'input0' is int32"), ("float32", (2, 2), r"must agree")]
)
def test_refusals(dtype: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(one_op("FLOOR", {}, [fed((4,), dtype)], fed(shape, dtype)))
