"""refengine/accuracy.py: what classifiers answer, and how often they are right."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from refengine import InputError, Plan, evaluate, make_plan, predictions, run
from refengine.accuracy import CHUNK, compare, is_classifier
from refengine.bundled import bundled_models
from refengine.parallel import workers
from refengine.tensors.datasets import bundled_digits, load_mnist
from refengine.tensors.inputs import pixels_to_input
from tests.models import const, fed, one_op, q

DIGITS = Path(__file__).parent / "data"


def classifier(classes: int = 4) -> Plan:
    """One that answers with the brightest of its pixels."""
    shape, unit = (1, classes), q(1 / 255, -128)
    return make_plan(one_op("RELU", {}, [fed(shape, "int8", unit)], fed(shape, "int8", unit, "y")))


def pictures(answers: list[int], classes: int = 4) -> np.ndarray:
    """Two by two pixels, the brightest at the answer."""
    side = int(classes**0.5)
    return (255 * np.eye(classes, dtype=np.uint8)[answers]).reshape(-1, side, side)


def test_the_largest_score_wins_and_the_first_of_equals() -> None:
    plan = classifier()
    codes = np.array([[-128, 127, -1, -128], [5, 7, 7, 5], [-128] * 4], np.int8)
    answers = predictions(plan, codes)
    assert [answer.label for answer in answers] == [1, 1, 0]
    assert [answer.confidence for answer in answers] == pytest.approx([1.0, 135 / 255, 0.0])
    np.testing.assert_array_equal(answers[1].output, codes[1], strict=True)


@pytest.mark.parametrize("shape", [(1, 1), (4,), (2, 4), (1, 2, 2)])
def test_other_shapes_are_no_classifiers(shape: tuple[int, ...]) -> None:
    plan = make_plan(one_op("RELU", {}, [fed(shape, "float32")], fed(shape, "float32", name="y")))
    assert not is_classifier(plan)
    with pytest.raises(InputError, match=r"no classifier: its outputs are 'output0'"):
        predictions(plan, np.zeros(shape, np.float32))


def test_inputs_without_a_leading_1_come_one_by_one() -> None:
    unit = q(1 / 255, -128)
    flatten = one_op("RESHAPE", {}, [fed((2, 2), "int8", unit), const([1, 4], "int32")], fed((1, 4), "int8", unit, "y"))
    plan, flat, labels = make_plan(flatten), np.eye(4, dtype=np.float32)[[2, 0, 3, 3]], np.array([2, 0, 3, 1])
    *_, result = evaluate(plan, flat.reshape(4, 2, 2), labels)
    assert result.correct == 3
    assert result.confusion.tolist() == [*evaluate(classifier(), flat, labels)][-1].confusion.tolist()


def test_what_has_no_scale_is_no_score() -> None:
    x, y = fed((1, 4), "int32"), fed((1, 4), "bool", name="y")
    plan = make_plan(one_op("GREATER", {}, [x, fed((1, 4), "int32", name="z")], y))
    assert not is_classifier(plan)
    with pytest.raises(InputError, match=r"no classifier: its outputs are 'output0'"):
        predictions(plan, np.zeros((1, 4), np.bool_))


def test_the_confusion_matrix_counts_answers_by_true_class() -> None:
    *_, accuracy = evaluate(classifier(), pictures([0, 1, 2, 3, 3]), np.array([0, 1, 1, 3, 2]))
    assert accuracy.confusion.tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    assert (accuracy.count, accuracy.correct, accuracy.accuracy) == (5, 3, 0.6)
    told = accuracy.as_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["accuracy"] == 0.6


def test_it_reports_as_it_goes() -> None:
    labels = np.arange(2 * CHUNK + 10) % 4
    reports = list(evaluate(classifier(), pictures(labels.tolist()), labels))
    assert [report.count for report in reports] == [CHUNK, 2 * CHUNK, 2 * CHUNK + 10]
    assert all(earlier.seconds < later.seconds for earlier, later in pairwise(reports))
    assert reports[0].correct == CHUNK, "an earlier report does not change"


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "3 pictures and 2 labels"), ([0, 1, 4], "labels are 0 to 4, but the model has 4 classes")],
)
def test_labels_that_do_not_fit(labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        next(evaluate(classifier(), pictures([0, 1, 2]), np.array(labels)))


def test_a_picture_with_nan_is_named() -> None:
    real = pictures([0, 1, 2]).astype(np.float32).reshape(3, 4) / 255
    real[2, 1] = np.nan
    with pytest.raises(InputError, match=r"picture 2 \(from 0\) holds NaN"):
        next(evaluate(classifier(), real, [0, 1, 2]))


def test_a_result_tells_its_share() -> None:
    *_, accuracy = evaluate(classifier(), pictures([0, 1, 2]), [0, 1, 3])
    assert repr(accuracy) == "<Accuracy 66.67%: 2 of 3>"


def test_nothing_to_evaluate() -> None:
    with pytest.raises(InputError, match="0 pictures"):
        next(evaluate(classifier(), pictures([]), np.array([], np.uint8)))


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_networks_read_the_bundled_digits(name: str) -> None:
    *_, accuracy = evaluate(make_plan(bundled_models()[name]), *bundled_digits())
    assert accuracy.correct >= 98


@pytest.mark.parametrize("jobs", [1, 2])
def test_neither_chunks_nor_workers_change_anything(jobs: int) -> None:
    plan = make_plan(bundled_models()["dense_int8"])
    images, labels = (array[: CHUNK + 44] for array in load_mnist(DIGITS))
    with workers(jobs) as executor:
        *_, accuracy = evaluate(plan, images, labels, executor=executor)
    (output,) = run(plan, pixels_to_input(plan, images))
    expected = np.zeros((10, 10), np.int64)
    for label, answer in zip(labels, predictions(plan, output), strict=True):
        expected[label, answer.label] += 1
    np.testing.assert_array_equal(accuracy.confusion, expected)


def test_two_plans_of_a_model_are_compared_answer_by_answer() -> None:
    """The other one has its input shifted by a class for one picture's codes: it answers that one differently."""
    plan, unit = classifier(), q(1 / 255, -128)
    other = make_plan(one_op("RELU", {}, [fed((1, 4), "int8", unit)], fed((1, 4), "int8", q(1.0, -128), "y")))
    images, labels = pictures([0, 1, 2, 3] * 100), np.array([0, 1, 2, 3] * 100)
    images[5] = images[5] // 3  # under half of the coarser codes' step: there all are equal, and the first wins
    *_, found = compare(plan, other, images, labels)
    assert (found.count, found.differing) == (400, 1)
    assert [each.correct for each in found.accuracies] == [400, 399]
    assert found.told()["differing"] == 1 and found.told()["correct"] == 399
    json.dumps(found.told())
