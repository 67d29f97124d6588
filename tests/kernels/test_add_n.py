"""ADD_N's own facts: sums that begin at minus the zero point, that wrap, and the order of floats."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Quantization
from tests.models import const, fed, one_op, q


def add_n(dtype: str, count: int, input: Quantization | None = None, output: Quantization | None = None) -> Model:
    return one_op("ADD_N", {}, [fed((1,), dtype, input) for _ in range(count)], fed((1,), dtype, output))


def total(model: Model, *values: float) -> float:
    dtype = model.graphs[0].tensors[0].dtype
    value: float = run(model, *(np.array([value], dtype) for value in values))[0].item()
    return value


def test_int8_with_zero_points_of_0() -> None:
    assert total(add_n("int8", 3, q(0.5), q(0.25, -10)), 1, 2, 3) == 2


def test_int8_sums_begin_at_minus_the_zero_point() -> None:
    """Two zeros give −100 steps, and not 0: a fault of TFLM's."""
    assert total(add_n("int8", 2, q(0.5, 100), q(0.5)), 100, 100) == -100
    assert total(add_n("int8", 2, q(0.5, -50), q(0.5)), -50, -40) == 60


def test_many_int8_inputs_wrap() -> None:
    """128 + 17 · 255 = 4463 has no room beside 19 bits of fraction; 4463 − 2¹³ is −116.5 steps of 32."""
    assert total(add_n("int8", 17, q(1, -128), q(32)), *[127] * 17) == -117


def test_floats_are_added_in_order_from_zero() -> None:
    assert total(add_n("float32", 3), 1e20, -1e20, 1) == 1
    assert total(add_n("float32", 3), 1, 1e20, -1e20) == 0
    assert not np.signbit(total(add_n("float32", 2), -0.0, -0.0))


def test_a_constant_joins_a_batch() -> None:
    x = fed((1, 2), "float32")
    model = one_op("ADD_N", {}, [const([[1, 2]], "float32"), x, x], fed((1, 2), "float32"))
    batch = np.array([[1, 2], [3, 4]], np.float32)
    assert run(model, batch)[0].tolist() == [[3, 6], [7, 10]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (add_n("float32", 1), r"expected 2 inputs or more, got 1"),
        (
            one_op("ADD_N", {}, [fed((1,), "int8", q(1)), fed((1,), "int8", q(2))], fed((1,), "int8", q(1))),
            r"'input0' and 'input1' differ in scale or zero point",
        ),
        (add_n("int8", 2, q(1), q(2.0**-19)), r"scale 1.90735e-06 of output 'output0' is too small .* TFLM aborts"),
        (add_n("int16", 2, q(1), q(1)), r"'input0' is int16"),
        (
            one_op("ADD_N", {}, [fed((1,), "float32"), fed((2,), "float32")], fed((2,), "float32")),
            r"'input1' \(2,\) and 'input0' \(1,\) must have one shape",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_xnnpack_is_not_guessed() -> None:
    with pytest.raises(UnsupportedError, match=r"what XNNPACK makes of a quantised ADD_N is not known"):
        make_plan(add_n("int8", 2, q(1), q(1)), numerics=Numerics(rounding="xnnpack"))
