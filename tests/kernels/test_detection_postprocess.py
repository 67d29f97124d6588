"""TFLite_Detection_PostProcess's own facts: boxes, both suppressions, what is unwritten, and what fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, Numerics, UnsupportedError, execute, explain, make_plan
from refengine.execute import infer
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import const, custom, fed

ANCHORS = [[0.5, 0.5, 1, 1], [0.5, 0.6, 1, 1], [5, 5, 2, 4]]
"""Three boxes, of which the first two overlap by 0.9 / 1.1."""


def detection(
    classes: int = 2, slots: int | None = None, anchors: Any = ANCHORS, boxes: bool = False, **others: Any
) -> Model:
    options: dict[str, Any] = {
        "max_detections": 3, "max_classes_per_detection": 1, "num_classes": classes, "nms_score_threshold": 0.1,
        "nms_iou_threshold": 0.5, "y_scale": 1.0, "x_scale": 1.0, "h_scale": 1.0, "w_scale": 1.0,
    }  # fmt: skip
    count = len(anchors)
    encodings = fed((1, count, 4), "float32") if boxes else const(np.zeros((1, count, 4)), "float32")
    inputs = [encodings, fed((1, count, classes), "float32"), const(anchors, "float32")]
    n = 3 if slots is None else slots
    outputs = [fed(shape, "float32") for shape in ((1, n, 4), (1, n), (1, n), (1,))]
    return custom("TFLite_Detection_PostProcess", pack(**{**options, **others}), [*inputs], *outputs)


def found(model: Model, *scores: list[float]) -> list[Any]:
    """Boxes, classes, scores, count; None where TFLM writes nothing."""
    outputs, _ = infer(make_plan(model), None, [np.array([scores], np.float32)])
    return [x[0].tolist() for x in outputs]


def test_boxes_that_overlap_the_best_are_dropped_and_the_rest_is_unwritten() -> None:
    boxes, classes, scores, count = found(detection(), [0.5, 0.25], [0.25, 0.75], [0.125, 0])
    assert boxes[1] == [4, 3, 6, 7]
    assert boxes[0] == [0, np.float32(0.6) - np.float32(0.5), 1, np.float32(0.6) + np.float32(0.5)]
    assert (classes, scores, count) == ([1, 0, None], [0.75, 0.125, None], 2)


def test_regular_suppression_goes_class_by_class_and_fills_up_with_zeros() -> None:
    model = detection(use_regular_nms=True, slots=4, max_detections=3, anchors=[*ANCHORS, [9, 9, 1, 1]])
    _, classes, scores, count = found(model, [0.5, 0.25], [0.25, 0.75], [0, 0], [0, 0])
    assert (classes, scores, count) == ([1, 0, 0, None], [0.75, 0.5, 0, None], 2)


def test_several_classes_of_a_box_go_to_places_too_far_apart() -> None:
    """Two classes a box: entry 0 to place 0, entry 1 (class 1) to 2 · 1 + 1."""
    model = detection(max_classes_per_detection=2, slots=12)
    _, classes, scores, count = found(model, [0.5, 0.25], [0, 0], [0, 0])
    assert classes[:5] == [0, None, None, 1, None]
    assert scores[:5] == [0.5, None, None, 0.25, None]
    assert count == 2


def test_equal_scores_keep_their_order() -> None:
    _, classes, scores, _ = found(detection(), [0.5, 0.5], [0, 0], [0.5, 0.5])
    assert (classes[:2], scores[:2]) == ([0, 0], [0.5, 0.5])


def test_boxes_whose_area_underflows_overlap_nothing() -> None:
    """As in TFLM's ComputeIntersectionOverUnion, where no area is no overlap: the same box twice, and both stay."""
    plan = make_plan(detection(anchors=[[0, 0, 1e-30, 1e-30], [0, 0, 1e-30, 1e-30], [5, 5, 2, 4]]))
    (record,) = execute(plan, np.array([[[0.5, 0.25], [0.25, 0.5], [0.125, 0]]], np.float32))
    scores = record.outputs[2][0].tolist()
    assert scores == [0.5, 0.5, 0.125] and record.outputs[3].tolist() == [3]
    assert [explain(plan, record, (0, i), 2).value for i in range(3)] == scores


def test_one_empty_box_fails_all_of_its_inference() -> None:
    plan = make_plan(detection(boxes=True))
    encodings = np.zeros((2, 3, 4), np.float32)
    encodings[1, 2, 2] = -1000  # its height underflows
    with pytest.raises(InferenceError, match=r"a box is empty") as caught:
        infer(plan, 2, [encodings, np.ones((2, 3, 2), np.float32)])
    assert caught.value.rows.tolist() == [False, True]
    assert caught.value.outputs[3].tolist() == [2.0, None]


def test_how_nan_is_sorted_is_left_open() -> None:
    assert found(detection(), [np.nan, 0.5], [0, 0], [0, 0])[1] == [None] * 3
    assert found(detection(classes=1), [np.nan], [0.5], [0])[2] == [0.5, None, None]


def test_sizes_are_exponentials() -> None:
    plan = make_plan(detection(boxes=True, h_scale=2.0))
    encodings = np.zeros((1, 3, 4), np.float32)
    encodings[0, 2] = [0.5, -0.25, 2.0, 0]
    (boxes, *_), _ = infer(plan, None, [encodings, np.array([[[0, 0], [0, 0], [0, 1]]], np.float32)])
    half = np.float32(np.exp(1.0))
    assert boxes[0, 0].tolist() == [np.float32(6) - half, 2, np.float32(6) + half, 6]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (detection(nms_iou_threshold=0.0), r"the option nms_iou_threshold is 0.0, on which TFLM's Invoke fails"),
        (detection(max_classes_per_detection=0), r"the option max_classes_per_detection is 0"),
        (detection(max_classes_per_detection=2), r"up to 12 detections may be written to outputs that hold 3"),
        (detection(use_regular_nms=True, max_detections=1), r"TFLM would write beyond its scratch memory"),
        (detection(num_classes=4), r"scores 'input1' \(1, 3, 2\) of 4 classes .* do not fit each other"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


@pytest.mark.parametrize("numerics", [Numerics(libm="newlib"), Numerics(contraction="fma")])
def test_dialects_that_nobody_compared_are_refused(numerics: Numerics) -> None:
    with pytest.raises(UnsupportedError, match=r"are not known to refengine"):
        make_plan(detection(), numerics=numerics)
