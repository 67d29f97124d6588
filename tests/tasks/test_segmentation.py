"""refengine/tasks/segmentation.py: classes of pixels, and the intersection over union of masks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refengine import InputError, Plan, make_plan, run
from refengine.kernel import Node
from refengine.strategies import model_of
from refengine.tasks.recognition import task_of
from refengine.tasks.segmentation import VOID, class_count, class_maps, map_place, overlap, resized, shares, together
from tests.models import const, fed, one_op, q
from tests.tasks.nets import segmenter


def handing_on(shape: tuple[int, ...], dtype: str, quantized: bool = False) -> Plan:
    kind = q(1 / 256, -128) if quantized else None
    return make_plan(one_op("RESHAPE", {}, [fed(shape, dtype, kind)], fed(shape, dtype, kind, "y")))


def test_a_pixel_has_the_class_of_its_largest_score() -> None:
    plan = make_plan(segmenter())
    scores = np.zeros((1, 6, 6, 2), np.int8)
    scores[0, 2:, :, 1] = 1
    (classes,) = class_maps(plan, [scores])
    assert class_count(plan.outputs[0]) == 2
    np.testing.assert_array_equal(classes, np.repeat([0, 0, 1, 1, 1, 1], 6).reshape(6, 6))
    assert shares(classes) == pytest.approx({0: 1 / 3, 1: 2 / 3})


def test_one_score_a_pixel_says_yes_above_a_half_and_plain_integers_are_classes() -> None:
    plan = handing_on((1, 2, 2, 1), "int8", quantized=True)
    (classes,) = class_maps(plan, [np.array([[[[0], [1]], [[-128], [127]]]], np.int8)])
    assert (classes.tolist(), class_count(plan.outputs[0])) == ([[0, 1], [0, 1]], 2)
    plan = handing_on((1, 2, 2), "int32")
    (classes,) = class_maps(plan, [np.array([[[7, 0], [1, 2]]], np.int32)])
    assert (classes.tolist(), class_count(plan.outputs[0])) == ([[7, 0], [1, 2]], None)


def test_a_map_of_classes_goes_before_the_scores_that_it_was_made_of() -> None:
    x, scores, classes = fed((1, 4, 4, 3), "int8", q(1.0)), fed((1, 2, 2, 5), "float32"), fed((1, 2, 2), "int32")
    nodes = [
        Node("SHAPE", {"out_type": "int32"}, (x,), (fed((4,), "int32"),)),
        Node("FILL", {}, (const((1, 2, 2, 5), "int32"), const(0.5, "float32")), (scores,)),
        Node("FILL", {}, (const((1, 2, 2), "int32"), const(3, "int32")), (classes,)),
    ]
    plan = make_plan(model_of(*nodes, outputs=(scores, classes)))
    assert (map_place(plan), task_of(plan).name) == (1, "segmentation")
    (found,) = class_maps(plan, run(plan, np.zeros((1, 4, 4, 3), np.int8)))
    assert found.tolist() == [[3, 3], [3, 3]]
    plan = make_plan(model_of(*nodes[:2], outputs=(scores,)))
    assert (map_place(plan), task_of(plan).name) == (0, "none"), "heat maps look like that too"
    with pytest.raises(InputError, match="the model has no output, or more than one"):
        class_maps(handing_on((1, 2), "int8", quantized=True), [np.zeros((1, 2), np.int8)])


def test_a_map_is_brought_to_a_masks_size_by_the_nearest() -> None:
    small = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(resized(small, 4, 6), np.kron(small, np.ones((2, 3), np.int64)))
    np.testing.assert_array_equal(resized(np.kron(small, np.ones((2, 3), np.int64)), 2, 2), small)
    np.testing.assert_array_equal(resized(small, 2, 3), [[1, 2, 2], [3, 4, 4]])


def test_the_mean_is_over_classes_that_occur_and_void_is_not_asked() -> None:
    truth = np.array([[0, 0, 1, VOID]])
    measured = overlap(np.array([[0, 1, 1, 0]]), truth, 5)
    assert measured.of_class[:2].tolist() == [0.5, 0.5] and np.isnan(measured.of_class[2:]).all()
    assert (measured.mean, measured.accuracy) == (0.5, 2 / 3)
    both = together(measured, overlap(np.array([[1, 1]]), np.array([[1, 1]]), 5))
    assert (both.pictures, both.mean) == (2, (1 / 2 + 3 / 4) / 2)
    told = both.as_dict()
    assert [each["class"] for each in told["classes"]] == [0, 1] and told["confusion"] == [[1, 1], [0, 3]]
    assert math.isnan(overlap(np.array([[0]]), np.array([[VOID]]), 2).mean)


@pytest.mark.parametrize(("answer", "truth", "who"), [(0, 9, "mask"), (9, 0, "answer"), (-1, 0, "answer")])
def test_classes_that_there_are_not_are_refused(answer: int, truth: int, who: str) -> None:
    with pytest.raises(InputError, match=f"the {who} has the classes"):
        overlap(np.array([[answer]]), np.array([[truth]]), 2)
