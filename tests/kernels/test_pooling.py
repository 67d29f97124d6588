"""Pools: what they count, how their means round, which floats win, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from oracle import OracleRefusal, Tflm

from refengine import Quantization, Tensor, UnsupportedError, make_plan, run
from refengine.kernel import Node
from refengine.kernels import pooling
from refengine.model import Array
from refengine.numerics import scalar
from refengine.strategies import model_of
from refengine.tflite_io import dump

HALF = Quantization((0.5,), (-1,))


def node(op: str, x: Array, filter: tuple[int, int], output: tuple[int, int], **options: Any) -> Node:
    """A pool over `x` (n, h, w, c), of stride 1 and VALID padding unless `options` say otherwise."""
    defaults = {
        "padding": "VALID",
        "stride_h": 1,
        "stride_w": 1,
        "fused_activation_function": "NONE",
        "filter_height": filter[0],
        "filter_width": filter[1],
    }
    quantization = None if x.dtype == np.float32 else HALF
    input = Tensor(0, "x", x.shape, x.dtype.name, quantization)
    return Node(op, {**defaults, **options}, (input,), (replace(input, shape=(x.shape[0], *output, x.shape[3])),))


def pool(op: str, x: Array, filter: tuple[int, int], output: tuple[int, int], **options: Any) -> Array:
    return run(model_of(node(op, x, filter, output, **options)), x)[0]


def image(rows: Sequence[Sequence[float]], dtype: str) -> Array:
    return np.array(rows, dtype)[None, :, :, None]


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_how_far_apart_scales_may_be_is_asked_as_precisely_as_the_dialect_does(op: str, tflm: Tflm) -> None:
    """Their difference is above 1e-6, and rounds to a float32 below it."""
    pool = node(op, image([[1]], "int8"), (1, 1), (1, 1))
    scales = (float(np.nextafter(np.float32(1e-6), np.float32(1))), float(np.float32(6e-14)))
    input, output = (replace(pool.outputs[0], quantization=Quantization((scale,), (0,))) for scale in scales)
    model = model_of(pool._replace(inputs=(input,), outputs=(output,)))
    make_plan(model, numerics="tflm-2026-08")
    with pytest.raises(UnsupportedError, match="must be quantised alike for TFLM"):
        make_plan(model)
    with pytest.raises(OracleRefusal):
        tflm.run(dump(model), [image([[1]], "int8")])


def test_taps_outside_the_image_do_not_count() -> None:
    x = image([[10, 20, 30], [40, 50, 60]], "int8")
    mean = pool("AVERAGE_POOL_2D", x, (2, 2), (2, 3), padding="SAME")
    assert mean[0, :, :, 0].tolist() == [[30, 40, 45], [45, 55, 60]]
    negative = pool("MAX_POOL_2D", (x - 100).astype(np.int8), (2, 2), (2, 3), padding="SAME")
    assert negative[0, :, :, 0].tolist() == [[-50, -40, -40], [-50, -40, -40]]


@pytest.mark.parametrize(
    ("codes", "mean"),
    [
        ([1, 0], 1),
        ([-1, 0], -1),
        ([1, 0, 0], 0),
        ([1, 1, 0], 1),
        ([-1, -1, 0], -1),
        ([3, 0, 0, -5], -1),
        ([1, -1], 0),
        ([-128, -127], -128),
    ],
)
def test_means_round_half_away_from_code_0(codes: list[int], mean: int) -> None:
    """From code 0, not from the zero point, which is −1 here."""
    assert pool("AVERAGE_POOL_2D", image([codes], "int8"), (1, len(codes)), (1, 1)).item() == mean


@given(arrays.arrays(np.int16, (1, 3, 4, 2)), st.sampled_from([(1, 1), (2, 2), (2, 3), (3, 4)]))
def test_integer_means_divide_as_c_does(x: Array, filter: tuple[int, int]) -> None:
    size = 4 - filter[0], 5 - filter[1]
    means = pool("AVERAGE_POOL_2D", x, filter, size)
    count = filter[0] * filter[1]
    for (_, oy, ox, c), mean in np.ndenumerate(means):
        acc = int(x[0, oy : oy + filter[0], ox : ox + filter[1], c].sum(dtype=np.int64))
        assert mean == scalar.truncated_division(acc + (count // 2 if acc > 0 else -(count // 2)), count)


def test_activations_clamp_codes() -> None:
    """ReLU6 at scale ½ and zero point −1: codes −1 … 11."""
    x = image([[-50, 3, 100]], "int8")
    for op in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        codes = pool(op, x, (1, 1), (1, 3), fused_activation_function="RELU6")
        assert codes.ravel().tolist() == [-1, 3, 11]


def test_the_largest_float_is_never_nan_and_the_first_zero() -> None:
    x = image([[np.nan, 1, np.nan], [-0.0, 0.0, -1], [0.0, -0.0, -1], [-np.inf] * 3, [np.nan] * 3], "float32")
    largest = pool("MAX_POOL_2D", x, (1, 3), (5, 1)).ravel()
    lowest = np.finfo(np.float32).min
    assert largest.tolist() == [1, 0, 0, lowest, lowest]
    assert np.signbit(largest[1:3]).tolist() == [True, False]
    assert np.signbit(pool("MAX_POOL_2D", image([[-1, 0.0], [-0.0, -1]], "float32"), (2, 2), (1, 1))).item() is False


FEW = st.sampled_from([np.nan, 0.0, 1.0, -1.0, 2.0, np.inf, -np.inf])


@given(arrays.arrays(np.float32, (2, 4, 5, 2), elements=FEW), st.sampled_from(("VALID", "SAME")), st.integers(1, 3))
def test_without_minus_zeros_the_order_of_taps_does_not_matter(x: Array, padding: str, stride: int) -> None:
    height, width = (-(-(size if padding == "SAME" else size - taps + 1) // stride) for size, taps in ((4, 2), (5, 3)))
    model = model_of(node("MAX_POOL_2D", x, (2, 3), (height, width), padding=padding, stride_h=stride, stride_w=stride))
    window = make_plan(model).steps[0].params.window
    padded = window.padded(x, np.finfo(np.float32).min)
    seen, meant = pooling.largest_in_any_order(window, padded), pooling.largest_in_order(window, padded)
    assert np.array_equal(seen.view(np.int32), meant.view(np.int32))


def test_float_means_are_summed_row_by_row() -> None:
    """1e8 + 1 is lost, −1e8 then leaves 0, and the last 1 counts; another order would give ½ or 0."""
    x = image([[1e8, 1], [-1e8, 1]], "float32")
    assert pool("AVERAGE_POOL_2D", x, (2, 2), (1, 1)).item() == 0.25


def test_float_means_of_infinities_and_negative_zeros() -> None:
    x = image([[-0.0, -0.0, np.inf, np.nan]], "float32")
    mean = pool("AVERAGE_POOL_2D", x, (1, 1), (1, 4)).ravel()
    assert mean[:3].tolist() == [0, 0, np.finfo(np.float32).max]
    assert not np.signbit(mean[:2]).any()
    assert np.isnan(mean[3])


def refusal(pool: Node) -> str:
    with pytest.raises(UnsupportedError) as caught:
        make_plan(model_of(pool))
    return str(caught.value)


def test_refusals() -> None:
    x = np.zeros((1, 4, 4, 2), np.int8)
    good = node("MAX_POOL_2D", x, (2, 2), (3, 3))
    make_plan(model_of(good))

    def with_output(**changes: Any) -> Node:
        return good._replace(outputs=(replace(good.outputs[0], **changes),))

    assert "must be quantised alike" in refusal(with_output(quantization=Quantization((0.51,), (-1,))))
    assert "must be quantised alike" in refusal(with_output(quantization=Quantization((0.5,), (0,))))
    make_plan(model_of(with_output(quantization=Quantization((0.5000005,), (-1,)))))
    assert "no positive scale" in refusal(with_output(quantization=None))
    assert "they must agree" in refusal(with_output(dtype="int16"))
    assert "same batch and channels" in refusal(with_output(shape=(1, 3, 3, 1)))
    assert "same batch and channels" in refusal(with_output(shape=(1, 3, 3)))
    assert "gives height and width (3, 3)" in refusal(with_output(shape=(1, 3, 2, 2)))
    assert "expected 1 input" in refusal(good._replace(inputs=good.inputs * 2))
