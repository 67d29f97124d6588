"""RESIZE_BILINEAR's own facts: the three ways to place pixels, ties, borders, and what TFLM reads beyond an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import PRESETS, Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op, q


def resize(
    before: tuple[int, int],
    after: tuple[int, int],
    dtype: str = "int8",
    *,
    align_corners: bool = False,
    half_pixel_centers: bool = False,
    size: Tensor | None = None,
    channels: int = 1,
) -> Model:
    """One image of one channel."""
    options = {"align_corners": align_corners, "half_pixel_centers": half_pixel_centers}
    inputs = [fed((1, *before, 1), dtype, q(1)), const(after, "int32") if size is None else size]
    return one_op("RESIZE_BILINEAR", options, inputs, fed((1, *after, channels), dtype, q(1)))


def row(*values: float, dtype: str = "int8") -> np.ndarray[Any, Any]:
    return np.array(values, dtype).reshape(1, 1, -1, 1)


@pytest.mark.parametrize(("dtype", "dialect"), [("int8", "tflm"), ("float32", "tflm"), ("int8", "litert")])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, [0, 4, 8, 8]),  # columns 0, ½, 1, 1½: beyond the last centre the last pixel
        ({"align_corners": True}, [0, 8 / 3, 16 / 3, 8]),
        ({"half_pixel_centers": True}, [0, 2, 6, 8]),  # columns −¼, ¼, ¾, 1¼
    ],
)
def test_two_columns_become_four(dtype: str, dialect: str, flags: dict[str, Any], expected: list[float]) -> None:
    plan = make_plan(resize((1, 2), (1, 4), dtype, **flags), numerics=PRESETS[dialect])
    (y,) = run(plan, row(0, 8, dtype=dtype))
    assert np.allclose(y.reshape(-1), np.rint(expected) if dtype == "int8" else expected, rtol=1e-6)


@pytest.mark.parametrize(("rounding", "codes"), [("double", [-4, -1, 2]), ("single", [-3, 0, 3])])
def test_half_a_code_goes_away_from_zero_or_up(rounding: Any, codes: list[int]) -> None:
    """Middles of −4 and −3 (−3.5), of −1 and 0 (−0.5) and of 1 and 3: only ties tell the dialects apart."""
    plan = make_plan(resize((1, 2), (1, 4)), numerics=Numerics(rounding=rounding))
    middles = [
        run(plan, row(*pair))[0][0, 0, 1, 0] for pair in ((-4, -3), (-1, 0), (1, 3 if rounding == "double" else 4))
    ]
    assert middles == codes


def test_zero_points_play_no_part_and_codes_never_leave_those_blended() -> None:
    (y,) = run(resize((1, 2), (1, 5), half_pixel_centers=True), row(-128, 127))
    assert y.min() == -128
    assert y.max() == 127


def test_the_rounding_offset_makes_plus_zero_of_minus_zero() -> None:
    (y,) = run(resize((1, 1), (1, 1), "float32"), row(-0.0, dtype="float32"))
    assert not np.signbit(y).any()


def test_infinity_times_a_weight_of_zero_is_no_number() -> None:
    """TFLM weighs all four pixels, even where a weight is 0."""
    (y,) = run(resize((1, 2), (1, 2), "float32"), row(np.inf, 1, dtype="float32"))
    assert np.isnan(y[0, 0, 0, 0])
    assert y[0, 0, 1, 0] == 1


def test_a_batch_of_images() -> None:
    batch = np.array([[0, 8], [8, 0]], np.int8).reshape(2, 1, 2, 1)
    (y,) = run(resize((1, 2), (1, 4)), batch)
    assert y.reshape(2, 4).tolist() == [[0, 4, 8, 8], [8, 4, 0, 0]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (resize((1, 2), (1, 2), size=fed((2,), "int32", name="s")), r"size 'input1' must be a constant of 2 int32"),
        (resize((1, 2), (1, 2), size=const([1, 2], "int64")), r"size 'input1' must be a constant of 2 int32 for TFLM"),
        (resize((1, 2), (1, 3), size=const([1, 4], "int32")), r"to \(1, 4\) does not give output 'output0' \(1, 1, 3,"),
        (resize((1, 2), (1, 2), channels=2), r"does not give output"),
        (resize((1, 2), (1, 4), align_corners=True, half_pixel_centers=True), r"this operator has both"),
        (resize((1, 2), (1, 3000)), r"so large that TFLM reads beyond the input's 1 rows or 2 columns; do it in steps"),
        (one_op("RESIZE_BILINEAR", {}, [fed((1, 1, 1, 1), "int8")], fed((1, 1, 1, 1), "int8")), r"expected input and"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_3000_rows_of_2_would_be_read_beyond_the_image_only_as_codes() -> None:
    """1024 · 2 / 3000 rounds up to 1: by row 2048 the integer kernel is beyond both. The float kernel is not."""
    make_plan(resize((1, 2), (1, 3000), "float32"))


@pytest.mark.parametrize(
    ("dtype", "numerics"), [("int8", Numerics(rounding="xnnpack")), ("float32", Numerics(contraction="fma"))]
)
def test_dialects_in_which_nothing_is_proven(dtype: str, numerics: Numerics) -> None:
    with pytest.raises(UnsupportedError, match=r"refengine does not know .* take another dialect"):
        make_plan(resize((1, 2), (1, 4), dtype), numerics=numerics)
