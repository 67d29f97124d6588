"""BATCH_MATMUL's own facts: which matrices meet, zero points on both sides, and sums that nothing clamps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import PRESETS, LimitError, Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Quantization, Tensor
from tests.models import const, fed, one_op, q


def matmul(lhs: Tensor, rhs: Tensor, output: Tensor, adj_x: bool = False, adj_y: bool = False) -> Model:
    return one_op("BATCH_MATMUL", {"adj_x": adj_x, "adj_y": adj_y}, [lhs, rhs], output)


def ints(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("adj_x", [False, True])
@pytest.mark.parametrize("adj_y", [False, True])
@pytest.mark.parametrize(("left", "right"), [((2,), (2,)), ((2, 1), (1, 3)), ((), (2, 2)), ((3,), ()), ((), ())])
def test_batches_broadcast_and_matrices_are_transposed(
    dtype: str, adj_x: bool, adj_y: bool, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    a, b = ints((*left, 2, 3), dtype) % 5, ints((*right, 3, 1), dtype)
    expected = a @ b
    a, b = a.swapaxes(-1, -2) if adj_x else a, b.swapaxes(-1, -2) if adj_y else b
    scale = None if dtype == "float32" else q(1)
    model = matmul(
        fed(a.shape, dtype, scale), fed(b.shape, dtype, scale, "w"), fed(expected.shape, dtype, scale), adj_x, adj_y
    )
    (y,) = run(model, np.ascontiguousarray(a), np.ascontiguousarray(b))
    assert np.array_equal(y, expected)


def test_both_zero_points_count_and_the_outputs_is_added() -> None:
    """(5 − 2) · (1 + 4) + (0 − 2) · (0 + 4) = 7, halved is 3.5, rounded away from zero, minus 10."""
    model = matmul(fed((1, 2), "int8", q(1, 2)), const([[1], [0]], "int8", q(0.5, -4)), fed((1, 1), "int8", q(1, -10)))
    assert run(model, np.array([[5, 0]], np.int8))[0].item() == -6


def test_xnnpack_multiplies_by_a_matrix_without_a_zero_point_only() -> None:
    """It rounds ties to even; what TFLite does with other matrices is not known."""
    lhs, output = fed((1, 1), "int8", q(0.5)), fed((1, 1), "int8", q(1))
    plan = make_plan(matmul(lhs, const([[5]], "int8", q(0.2)), output), numerics=PRESETS["litert"])
    assert run(plan, np.array([[5]], np.int8))[0].item() == 2, "5 · 5 · 0.1 = 2.5"
    assert run(plan.model, np.array([[5]], np.int8))[0].item() == 3, "away from zero"
    with pytest.raises(LimitError, match="as where the second has a zero point"):
        make_plan(matmul(lhs, const([[5]], "int8", q(0.2, 1)), output), numerics=PRESETS["litert"])


@pytest.mark.parametrize(("depth", "room"), [(1024, np.float32), (1025, np.float64)])
def test_sums_below_24_bits_are_exact_in_float32(depth: int, room: type) -> None:
    """128 · 128 for each of the products."""
    lhs, rhs = fed((1, depth), "int8", q(1)), fed((depth, 1), "int8", q(1), "w")
    assert make_plan(matmul(lhs, rhs, fed((1, 1), "int8", q(1)))).steps[0].params.dtype is room


def test_a_per_channel_operand_has_its_first_scale_only() -> None:
    rhs = const([[4, 4]], "int8", Quantization((1.0, 0.5), (0, 0), 1))
    model = matmul(fed((1, 1), "int8", q(1)), rhs, fed((1, 2), "int8", q(1)))
    assert run(model, np.array([[3]], np.int8))[0].tolist() == [[12, 12]]


def test_older_tflm_multiplied_the_scales_in_float32() -> None:
    lhs, rhs = fed((1, 1), "int16", q(0.1)), const([[32767]], "int16", q(0.3))
    found = {
        math: make_plan(matmul(lhs, rhs, fed((1, 1), "int16", q(0.7))), numerics=Numerics(scale_math=math))
        for math in ("double", "float32")
    }
    factors = [plan.steps[0].params.requantize.multiplier.multiplier.item() for plan in found.values()]
    assert factors[0] != factors[1]


def test_float_infinities_are_not_clamped_and_sums_run_in_order() -> None:
    model = matmul(fed((1, 3), "float32"), fed((3, 1), "float32", name="w"), fed((1, 1), "float32"))
    ones = np.ones((3, 1), np.float32)
    assert run(model, np.array([[np.inf, 1, 1]], np.float32), ones)[0].item() == np.inf
    assert run(model, np.array([[1, 2.0**-24, 2.0**-24]], np.float32), ones)[0].item() == 1
    assert run(model, np.array([[2.0**-24, 2.0**-24, 1]], np.float32), ones)[0].item() == 1 + 2.0**-23


@pytest.mark.parametrize("shape", [(2, 1), (2, 2, 1)])
def test_contraction_keeps_the_product(shape: tuple[int, ...]) -> None:
    """By one right matrix for all, and by one for each."""
    model = matmul(fed((2, 1, 2), "float32"), fed(shape, "float32", name="w"), fed((2, 1, 1), "float32"))
    x = np.full((2, 1, 2), [-(1 + 2.0**-11), 1 + 2.0**-12], np.float32)
    w = np.broadcast_to(np.array([[1], [1 + 2.0**-12]], np.float32), shape)
    assert run(model, x, w)[0].tolist() == [[[0.0]]] * 2
    assert run(model, x, w, numerics=Numerics(contraction="fma"))[0].tolist() == [[[2.0**-24]]] * 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            matmul(fed((1, 2), "float32"), const([[1], [2]], "int8", q(1)), fed((1, 1), "float32")),
            r"TFLM multiplies matrices of one type, and has no hybrid kernels",
        ),
        (
            matmul(fed((2,), "float32"), fed((2, 1), "float32"), fed((1, 1), "float32")),
            r"input 'input0' has 1 dimensions; TFLM multiplies those of 2 to 5: reshape it",
        ),
        (matmul(fed((1,) * 6, "float32"), fed((1, 1), "float32"), fed((1,) * 6, "float32")), r"has 6 dimensions"),
        (
            matmul(fed((1, 2), "float32"), fed((1, 2), "float32"), fed((1, 1), "float32"), adj_x=True),
            r"'input0' \(1, 2\) transposed and 'input1' \(1, 2\) do not multiply to output 'output0' \(1, 1\)",
        ),
        (
            matmul(fed((2, 1, 2), "float32"), fed((3, 2, 1), "float32"), fed((6, 1, 1), "float32")),
            r"do not multiply to output",
        ),
        (
            matmul(fed((1, 1), "int16", q(1, 3)), fed((1, 1), "int16", q(1)), fed((1, 1), "int16", q(1))),
            r"TFLM's int16 matrices have a zero point of 0; those of .* are 3, 0 and 0",
        ),
        (
            matmul(fed((1, 1), "int16", q(1)), fed((1, 1), "int16", q(1)), fed((1, 1), "int16", q(2.0**-15))),
            r"TFLM can shift by 14 bits at most",
        ),
        (
            matmul(fed((1, 1), "int8", q(1)), fed((1, 1), "int8"), fed((1, 1), "int8", q(1))),
            r"'input1' is int8 but has no positive scale",
        ),
        (one_op("BATCH_MATMUL", {}, [fed((1, 1), "int8", q(1))], fed((1, 1), "int8", q(1))), r"expected 2 inputs"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_a_dialect_in_which_nothing_is_proven() -> None:
    model = matmul(fed((1, 1), "int8", q(1)), fed((1, 1), "int8", q(1), "w"), fed((1, 1), "int8", q(1)))
    with pytest.raises(UnsupportedError, match=r"refengine does not know what TFLite does where XNNPACK"):
        make_plan(model, numerics=Numerics(rounding="xnnpack"))
