"""refengine/tasks/detection.py: boxes out of outputs, and average precision as COCO has it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refengine.tasks.detection import MOST, Detection, Scorer, Truth, detections

PYCOCOTOOLS = (0.11422596826597438, 0.3114101066102788)
LEFT, RIGHT = (0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)


def score(*pictures: tuple[list[Detection], list[Truth]]) -> tuple[float, float]:
    scorer = Scorer()
    for found, truths in pictures:
        scorer.add(found, truths)
    return scorer.precision.map, scorer.precision.map50


def test_as_many_as_the_count_says_the_best_first() -> None:
    boxes = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    labels = np.array([[1, 2, 3], [4, 5, np.nan]], np.float32)
    scores = np.array([[0.5, 0.75, 0.9], [0.1, 0.2, 0.3]], np.float32)
    first, second = detections((boxes, labels, scores, np.array([[2], [3]], np.float32)))
    assert first == [Detection(2, 0.75, (4, 5, 6, 7)), Detection(1, 0.5, (0, 1, 2, 3))]
    assert [each.label for each in second] == [5, 4]
    assert Detection.of(first[0].as_dict()) == first[0]


@pytest.mark.parametrize("count", [np.nan, -3, 1e30])
def test_a_count_that_is_none_harms_nobody(count: float) -> None:
    (found,) = detections((np.zeros((1, 2, 4)), np.zeros((1, 2)), np.zeros((1, 2)), np.array([[count]], np.float32)))
    assert len(found) == (2 if count > 0 else 0)


def test_all_right_is_one_and_nothing_found_is_nothing() -> None:
    truths = [Truth(0, LEFT), Truth(1, RIGHT)]
    assert score(([Detection(0, 0.9, LEFT), Detection(1, 0.8, RIGHT)], truths)) == pytest.approx((1.0, 1.0))
    assert score(([], truths)) == (0.0, 0.0)
    assert all(math.isnan(value) for value in score(([Detection(0, 0.9, LEFT)], [])))


def test_an_overlap_counts_at_the_thresholds_that_it_reaches() -> None:
    nearly = (0.0, 0.0, 1.0, 0.5 * 0.77)  # 0.77 of it: six of ten thresholds
    assert score(([Detection(0, 0.9, nearly)], [Truth(0, LEFT)])) == pytest.approx((0.6, 1.0))


def test_a_second_box_on_the_same_thing_is_wrong() -> None:
    found = [Detection(0, 0.9, LEFT), Detection(0, 0.8, LEFT), Detection(0, 0.7, RIGHT)]
    ones, rest = 51, 50  # recalls up to 0.5, and beyond, where precision is 2/3
    expected = (ones + rest * 2 / 3) / 101
    assert score((found, [Truth(0, LEFT), Truth(0, RIGHT)])) == pytest.approx((expected, expected))


def test_what_is_found_elsewhere_counts_by_its_score_over_all_pictures() -> None:
    good, bad = [Detection(0, 0.5, LEFT)], [Detection(0, 0.9, RIGHT)]
    assert score((good, [Truth(0, LEFT)]), (bad, [Truth(0, LEFT)])) == pytest.approx((51 * 0.5 / 101,) * 2)


def test_boxes_of_nan_and_infinities_overlap_nothing() -> None:
    wild = [Detection(0, 0.9, box) for box in ((np.nan,) * 4, (-np.inf, 0, np.inf, 1), (0.0, 0.0, np.inf, np.inf))]
    assert score((wild, [Truth(0, LEFT), Truth(0, RIGHT, crowd=True)])) == (0.0, 0.0)


def test_crowds_count_neither_way() -> None:
    crowd = Truth(0, (0.0, 0.0, 1.0, 1.0), crowd=True)
    inside = [Detection(0, s, LEFT) for s in (0.9, 0.8)]
    assert score((inside, [crowd, Truth(0, LEFT)])) == pytest.approx((1.0, 1.0))  # the second is in the crowd
    assert all(math.isnan(value) for value in score((inside, [crowd])))


def test_a_hundred_of_a_class_in_a_picture_count() -> None:
    found = [Detection(0, 1 - i / 1000, RIGHT) for i in range(MOST)] + [Detection(0, 0.1, LEFT)]
    assert score((found, [Truth(0, LEFT)])) == (0.0, 0.0)


def test_against_numbers_of_pycocotools() -> None:
    """COCOeval 2.0.11 on the same boxes, in pixels of 640 × 480."""
    rng = np.random.RandomState(7)
    scorer = Scorer()
    for _ in range(8):
        truths, found = [], []
        for _ in range(5):
            label, (y, x), (h, w) = rng.randint(2), rng.randint(0, 400, 2), rng.randint(10, 80, 2)
            truths.append(Truth(label, (y / 480, x / 640, (y + h) / 480, (x + w) / 640), rng.rand() < 0.2))
            for _ in range(rng.randint(4)):
                top, left, down, across = np.array([y, x, h, w]) + rng.uniform(-8, 8, 4)
                box = (top / 480, left / 640, (top + down) / 480, (left + across) / 640)
                found.append(Detection(label, rng.rand(), tuple(map(float, box))))
        scorer.add(found, truths)
    measured = scorer.precision
    assert (measured.map, measured.map50) == pytest.approx(PYCOCOTOOLS, abs=1e-12)
    assert (measured.pictures, measured.as_dict()["classes"][0]["class"]) == (8, 0)
