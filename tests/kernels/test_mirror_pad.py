"""MIRROR_PAD's own facts: two modes, and images longer than the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op


def mirrored(paddings: Tensor, size: int, mode: str = "REFLECT", dtype: str = "int8") -> Model:
    """Of a fed (3,)."""
    return one_op("MIRROR_PAD", {"mode": mode}, [fed((3,), dtype), paddings], fed((size,), dtype))


X = np.array([1, 2, 3], np.int8)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(("mode", "expected"), [("REFLECT", [3, 2, 1, 2, 3, 2]), ("SYMMETRIC", [2, 1, 1, 2, 3, 3])])
def test_reflect_leaves_the_border_out_and_symmetric_repeats_it(dtype: str, mode: str, expected: list[int]) -> None:
    assert run(mirrored(const([[2, 1]], dtype), 6, mode), X)[0].tolist() == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [("REFLECT", [1, 2, 3, 2, 1, 1, 1]), ("SYMMETRIC", [1, 2, 3, 3, 2, 1, 1])]
)
def test_behind_the_first_element_repeats_where_the_image_ends(mode: str, expected: list[int]) -> None:
    """TFLite refuses this; TFLM counts down to element 0 and stays there."""
    assert run(mirrored(const([[0, 4]], "int32"), 7, mode), X)[0].tolist() == expected


def test_computed_paddings_that_do_not_fit_fail_their_inference_alone() -> None:
    plan = make_plan(mirrored(fed((1, 2), "int32"), 5))
    paddings: Any = np.array([[[2, 0]], [[3, -1]], [[1, 0]], [[0, 2]]], np.int32)
    with pytest.raises(InferenceError, match=r"in front there can be 0 to 2|is padded by .* to \(4,\)") as error:
        infer(plan, 4, [np.stack([X] * 4), paddings])
    assert error.value.rows.tolist() == [False, True, True, False]
    assert error.value.outputs[0][[0, 3]].tolist() == [[3, 2, 1, 2, 3], [1, 2, 3, 2, 1]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            mirrored(const([[3, 0]], "int32"), 6),
            r"paddings \(3, 0\) for 3 elements: in front there can be 0 to 2, or TFLM",
        ),
        (mirrored(const([[4, 0]], "int32"), 7, "SYMMETRIC"), r"in front there can be 0 to 3"),
        (mirrored(const([[0, -1]], "int32"), 2), r"behind no less than 0"),
        (
            one_op(
                "MIRROR_PAD", {"mode": "SYMMETRIC"}, [fed((0,), "int8"), const([[0, 2]], "int32")], fed((2,), "int8")
            ),
            r"paddings \(0, 2\) for 0 elements: .* beside nothing only nothing",
        ),
        (
            mirrored(const([[1, 1]], "int32"), 4),
            r"'input0' \(3,\) is padded by \[\[1, 1\]\] to \(5,\), but the output is",
        ),
        (mirrored(const([1, 1], "int32"), 5), r"paddings 'input1' are int32 \(2,\); TFLM takes pairs"),
        (mirrored(const([[1, 1]], "int16"), 5), r"paddings 'input1' are int16 \(1, 2\)"),
        (mirrored(const([[1, 1]], "int32"), 5, dtype="int16"), r"'input0' is int16; supported here: float32, int8"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
