"""refengine/tensors/batches.py: arrays of many pictures, rows or sequences as an input takes them."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InputError, make_plan
from refengine.tensors.batches import sequences_of
from refengine.tensors.datasets import bundled_digits
from tests.models import fed, one_op, q

PLAN = make_plan("dense_int8")
IMAGES = bundled_digits()[0][:3]


def test_pictures_rows_of_pixels_and_real_values_are_the_same() -> None:
    codes = sequences_of(PLAN, IMAGES)
    assert codes.shape == (3, 1, 28, 28, 1) and codes.dtype == np.int8
    real = (IMAGES / np.float32(255)).astype(np.float32)
    for other in (IMAGES.reshape(3, -1), real[..., np.newaxis], real.reshape(3, -1)):
        assert sequences_of(PLAN, other).tobytes() == codes.tobytes()


def test_real_values_may_stay_as_they_are() -> None:
    real = sequences_of(PLAN, IMAGES, real=True)
    assert real.dtype == np.float32 and real.max() == 1
    assert sequences_of(PLAN, real[:, 0], real=True).tobytes() == real.tobytes()


def test_sequences_have_an_axis_more() -> None:
    codes = sequences_of(PLAN, np.stack([IMAGES, IMAGES]))
    assert codes.shape == (2, 3, 28, 28, 1)
    assert np.array_equal(sequences_of(PLAN, codes[:, :, np.newaxis]), codes), "frames as `run` takes them"


def test_an_input_without_a_leading_1_has_all_its_axes() -> None:
    x = fed((2, 3), "int8", q(0.5))
    plan = make_plan(one_op("RELU", {}, [x], fed((2, 3), "int8", q(0.5))))
    codes = np.arange(24, dtype=np.int8).reshape(4, 2, 3)
    assert np.array_equal(sequences_of(plan, codes), codes[:, np.newaxis])
    assert np.array_equal(sequences_of(plan, codes.reshape(4, 6)), codes[:, np.newaxis])
    assert np.array_equal(sequences_of(plan, codes.reshape(2, 2, 2, 3)), codes.reshape(2, 2, 2, 3))


@pytest.mark.parametrize("shape", [(3, 783), (3, 27, 28, 1), (0, 28, 28, 1)])
def test_others_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        sequences_of(PLAN, np.zeros(shape, np.float32))


def test_a_model_of_two_inputs_is_refused() -> None:
    x, y, z = (fed((1, 2), "int8", q(0.5)) for _ in range(3))
    plan = make_plan(one_op("ADD", {"fused_activation_function": "NONE"}, [x, y], z))
    with pytest.raises(InputError, match="has 2 inputs, and x is for models of one"):
        sequences_of(plan, np.zeros((3, 2), np.int8))
