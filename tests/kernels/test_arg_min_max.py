"""ARG_MAX's and ARG_MIN's own facts: the first of equals, NaN, and the types of axis and indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op, q


def arg(
    op: str,
    shape: tuple[int, ...],
    axis: Any = -1,
    dtype: str = "float32",
    output: Tensor | None = None,
    axis_type: str = "int32",
) -> Model:
    at = axis if isinstance(axis, Tensor) else const(axis, axis_type)
    found = fed(shape[:-1], "int32") if output is None else output
    return one_op(op, {"output_type": "int32"}, [fed(shape, dtype, q(1) if dtype == "int8" else None), at], found)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(("op", "expected"), [("ARG_MAX", [2, 0]), ("ARG_MIN", [1, 0])])
def test_the_first_of_equal_elements(op: str, expected: list[int], dtype: str) -> None:
    x = np.array([[3, -128, 7, 7, -128], [0, 0, 0, 0, 0]], dtype)
    (y,) = run(arg(op, (2, 5), dtype=dtype), x)
    assert y.dtype == np.int32
    assert y.tolist() == expected


@pytest.mark.parametrize(("axis", "shape"), [(0, (3, 4)), (1, (2, 4)), ([-1], (2, 3)), (-3, (3, 4))])
def test_any_axis_from_either_end(axis: Any, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    (y,) = run(arg("ARG_MAX", (2, 3, 4), axis, output=fed(shape, "int32")), x)
    assert np.array_equal(y, x.argmax(np.ravel(axis)[0]))


@pytest.mark.parametrize(("op", "best"), [("ARG_MAX", np.inf), ("ARG_MIN", -np.inf)])
def test_a_nan_stays_in_the_first_place_and_never_wins_elsewhere(op: str, best: float) -> None:
    nan = np.nan
    x = np.array([[nan, best, 0], [0, nan, best], [-best, nan, -best], [0.0, -0.0, nan]], np.float32)
    (y,) = run(arg(op, (4, 3)), x)
    assert y.tolist() == [0, 2, 0, 0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (arg("ARG_MAX", (2, 3), fed((1,), "int32", name="a")), r"axis 'input1' is computed at run time; TFLM runs"),
        (arg("ARG_MAX", (2, 3), [0, 1]), r"axis 'input1' must be one int32"),
        (arg("ARG_MAX", (2, 3), axis_type="int64"), r"axis 'input1' must be one int32: TFLM takes no other"),
        (arg("ARG_MAX", (2, 3), output=fed((2,), "int64")), r"output 'output0' is int64; TFLM gives indices as int32"),
        (arg("ARG_MIN", (2, 3), 2), r"axis 2 is outside the 2 dimensions"),
        (arg("ARG_MIN", (2, 3), 0), r"along 0 gives \(3,\), but output 'output0' has shape \(2,\)"),
        (one_op("ARG_MAX", {}, [fed((2,), "float32")], fed((), "int32")), r"expected input and axis"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
