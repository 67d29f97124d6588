"""refengine/tasks/recognition.py: what a graph tells of its task, and what it leaves to its user."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InputError, Plan, make_plan
from refengine.accuracy import is_classifier, predictions, tells_probabilities
from refengine.kernel import Node
from refengine.model import Model
from refengine.strategies import model_of
from refengine.tasks.recognition import task_of
from tests.models import const, fed, one_op, q
from tests.tasks.nets import detector, keyword_spotter, segmenter


def shaped(input: tuple[int, ...], output: tuple[int, ...], dtype: str = "float32") -> Plan:
    """A network with such ends, which does nothing sensible."""
    kind = q(1 / 256, -128) if dtype == "int8" else None
    start = Node("SHAPE", {"out_type": "int32"}, (fed(input, "int8", q(1.0)),), (fed((len(input),), "int32"),))
    filled = Node("FILL", {}, (const(output, "int32"), const(0, dtype, kind)), (fed(output, dtype, kind),))
    return make_plan(model_of(start, filled))


@pytest.mark.parametrize(
    ("model", "task", "reason"),
    [
        (detector(), "detection", "its outputs are the four of TFLite_Detection_PostProcess"),
        (segmenter(), "segmentation", "output 'output0' is a map of scores of 2 classes, 6 × 6"),
        (keyword_spotter(), "classification", "its output is a row of 4 scores"),
    ],
)
def test_what_the_graph_tells(model: Model, task: str, reason: str) -> None:
    found = task_of(make_plan(model))
    assert (found.name, found.reason) == (task, reason)


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, 16, 32, 64)])
def test_what_has_two_inputs_is_no_map_of_one_picture(shape: tuple[int, ...]) -> None:
    x, y, z = (fed(shape, "float32") for _ in range(3))
    plan = make_plan(one_op("SUB", {"fused_activation_function": "NONE"}, [x, y], z))
    assert task_of(plan).name == "none"


@pytest.mark.parametrize(
    ("input", "output", "dtype", "task"),
    [
        ((1, 8, 8, 3), (1, 4, 4, 2), "int8", "segmentation"),
        ((1, 8, 12, 1), (1, 8, 12, 5), "float32", "segmentation"),
        ((1, 8, 12, 1), (1, 2, 3, 5), "float32", "none"),  # heat
        ((1, 8, 8, 3), (1, 8, 8), "int32", "segmentation"),
        ((1, 8, 8, 3), (1, 8, 8, 1), "int32", "segmentation"),
        ((1, 8, 8, 3), (1, 8, 8, 3), "float32", "none"),  # it may be a picture
        ((1, 8, 8, 3), (1, 8, 8, 1), "float32", "none"),  # or a depth
        ((1, 8, 8, 3), (1, 3, 3, 2), "float32", "none"),  # no whole number of times as wide
        ((1, 8, 8, 3), (1, 4, 8, 2), "float32", "none"),
        ((1, 8, 8, 3), (1, 1, 1, 2), "float32", "none"),
        ((1, 9), (1, 4, 4, 2), "float32", "none"),
        ((1, 5, 5, 5, 5), (1, 4, 4, 2), "float32", "none"),  # no picture
    ],
)
def test_a_map_of_classes_is_one_of_a_picture(
    input: tuple[int, ...], output: tuple[int, ...], dtype: str, task: str
) -> None:
    assert task_of(shaped(input, output, dtype)).name == task


def scores(*names: str, dtype: str = "float32") -> Plan:
    """A row of scores by these operators, one behind the other."""
    nodes, kinds = list[Node](), {"SOFTMAX": q(1 / 256, -128), "RELU": q(0.1)}
    x = fed((1, 4), dtype, q(0.1) if dtype == "int8" else None)
    for name in names:
        shape = const([1, 4], "int32")
        y = fed((1, 4), dtype, kinds.get(name, x.quantization) if dtype == "int8" else None)
        nodes.append(
            Node(name, {"beta": 1.0} if name == "SOFTMAX" else {}, (x, shape) if name == "RESHAPE" else (x,), (y,))
        )
        x = y
    return make_plan(model_of(*nodes))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_probabilities_come_of_what_makes_them_whatever_only_moves_them(dtype: str) -> None:
    assert tells_probabilities(scores("RELU", "SOFTMAX", dtype=dtype))
    assert tells_probabilities(scores("SOFTMAX", "RESHAPE", dtype=dtype))
    assert not tells_probabilities(scores("SOFTMAX", "RELU", dtype=dtype))
    assert not tells_probabilities(scores("RESHAPE", dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_as_many_values_as_go_in_are_classes_only_of_a_softmax(dtype: str) -> None:
    autoencoder = scores("RELU", dtype=dtype)
    task = task_of(autoencoder)
    assert (task.name, is_classifier(autoencoder)) == ("none", False)
    assert task.reason.endswith("no softmax makes them: a reconstruction, or one of 4 classes")
    assert task_of(autoencoder, "classification").reason == "given"
    assert len(predictions(autoencoder, np.zeros((3, 4), dtype))) == 3, "who asks is answered"
    assert task_of(scores("RELU", "SOFTMAX", dtype=dtype)).name == "classification"


def test_codes_of_a_softmax_are_probabilities_whoever_made_them() -> None:
    assert tells_probabilities(shaped((1, 9), (1, 4), "int8"))


def test_what_the_graph_does_not_tell_may_be_said() -> None:
    assert task_of(shaped((1, 8, 8, 3), (1, 8, 8, 3)), "segmentation").reason == "given"
    assert task_of(shaped((1, 8, 8, 3), (1, 8, 8, 1)), "segmentation").name == "segmentation"
    assert task_of(make_plan(detector()), "none").name == "none"


@pytest.mark.parametrize("name", ["detection", "segmentation"])
def test_what_the_outputs_do_not_allow_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"the model is not for {name}: its outputs are 'output0' int8 \(1, 4\), not"):
        task_of(make_plan(keyword_spotter()), name)
    with pytest.raises(InputError, match="'guessing' is no task"):
        task_of(make_plan(keyword_spotter()), "guessing")
