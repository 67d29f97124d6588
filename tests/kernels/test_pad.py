"""PAD's own facts: what it fills with, which depends on the type more than on the quantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Quantization, Tensor
from tests.models import const, fed, one_op, q


def pad(
    dtype: str,
    quantization: Quantization | None = None,
    fill: list[Tensor | None] | None = None,
    pairs: Any = ((0, 0), (1, 2)),
    size: int = 5,
) -> Model:
    """Of a fed (1, 2)."""
    inputs = [fed((1, 2), dtype, quantization), const(pairs, "int32"), *(fill or [])]
    return one_op("PADV2" if fill else "PAD", {}, inputs, fed((1, size), dtype, quantization))


@pytest.mark.parametrize(
    ("dtype", "quantization", "padding"),
    [("int8", q(1, -9), -9), ("int8", None, 0), ("int16", q(1, -9), 0), ("int32", q(1, -9), 0), ("float32", None, 0)],
)
def test_only_int8_is_filled_with_the_zero_point(dtype: str, quantization: Quantization | None, padding: int) -> None:
    (y,) = run(pad(dtype, quantization), np.array([[3, 4]], dtype))
    assert y.tolist() == [[padding, 3, 4, padding, padding]]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_a_constant_fill(shape: tuple[int, ...]) -> None:
    (y,) = run(pad("int16", q(1), [const(np.full(shape, 7), "int16", q(1))]), np.array([[3, 4]], np.int16))
    assert y.tolist() == [[7, 3, 4, 7, 7]]


def test_a_fill_left_out_is_none() -> None:
    assert run(pad("int8", q(1, -9), [None]), np.array([[3, 4]], np.int8))[0].tolist() == [[-9, 3, 4, -9, -9]]


def test_a_fed_fill_differs_from_inference_to_inference() -> None:
    x, fills = np.array([[3, 4], [5, 6]], np.int32), np.array([7, 8], np.int32)
    (y,) = run(pad("int32", None, [fed((1,), "int32")]), x, fills)
    assert y.tolist() == [[7, 3, 4, 7, 7], [8, 5, 6, 8, 8]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (pad("int8", q(1), pairs=((0, 0), (-1, 2)), size=3), r"paddings 'input1' are negative; TFLM does not crop"),
        (pad("int8", q(1), size=6), r"'output0' has shape \(1, 6\); input 'input0' \(1, 2\) is padded to \(1, 5\)"),
        (pad("int8", q(1), pairs=((1, 2),)), r"one for each of the 2 dimensions"),
        (
            pad("int8", q(1), [const(0, "int8", q(2))]),
            r"'input2' \(2.0, 0\) and output .* differ in scale or zero point",
        ),
        (pad("int8", q(1), [const(0, "int16", q(1))]), r"'input2' is int16 but 'input0' is int8"),
        (pad("int16", q(1), [const([0, 1], "int16", q(1))]), r"fill 'input2' has shape \(2,\)"),
        (
            one_op("PAD", {}, [fed((2,), "int8"), fed((1, 2), "int32")], fed((2,), "int8")),
            r"paddings 'input1' must be a constant of int32 pairs",
        ),
        (
            one_op("PAD", {}, [fed((2,), "int8"), const([[0, 0]], "int64")], fed((2,), "int8")),
            r"paddings 'input1' must be a constant of int32 pairs",
        ),
        (
            one_op("PAD", {}, [fed((1,) * 6, "int8"), const(np.zeros((6, 2)), "int32")], fed((1,) * 6, "int8")),
            r"has 6 dimensions; TFLM pads at most 5",
        ),
        (pad("int8", q(1, 128)), r"zero point 128 of output 'output0' is no int8 code"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
