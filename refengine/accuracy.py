"""What classifiers answer, and how often they are right."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .execute import run
from .model import Array
from .parallel import spread
from .plan import Plan
from .session import Session
from .tensors.inputs import dequantize_output, picture_shape, pixels_to_input
from .tensors.stats import is_quantized

CHUNK = 256  # pictures between two reports


class Prediction(NamedTuple):
    """One answer: the class, its real-valued score (a probability, after softmax), and the output codes."""

    label: int
    confidence: float
    output: Array


@dataclass(frozen=True, eq=False)
class Accuracy:
    """How the first pictures of a data set were classified: `confusion[true class, answer]` counts them.

    `seconds` is how long it took, from the first picture's preparation to the last answer counted.
    """

    confusion: npt.NDArray[np.int64]
    seconds: float

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        return self.correct / self.count

    @property
    def images_per_second(self) -> float:
        return self.count / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "images": self.count,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "confusion": self.confusion.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two plans of one model classified the first pictures of a data set; `differing` is how many in two ways."""

    accuracies: tuple[Accuracy, Accuracy]
    differing: int

    @property
    def count(self) -> int:
        return self.accuracies[0].count

    def told(self) -> dict[str, Any]:
        """The second plan's, in plain Python, for JSON."""
        return {"differing": self.differing, **self.accuracies[1].as_dict()}


def is_classifier(plan: Plan) -> bool:
    """Whether the model's one output is a row of scores, 1×classes, of two or more: float32, or codes with a scale."""
    shapes = [tensor.shape for tensor in plan.outputs]
    scored = all(tensor.dtype == "float32" or is_quantized(tensor) for tensor in plan.outputs)
    return len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][0] == 1 < shapes[0][1] and scored


def predictions(plan: Plan, output: Array) -> list[Prediction]:
    """The answers in a classifier's output, N×classes: each row's largest score, the first of equals.

    Raises `InputError` if the model is no classifier.
    """
    _classes(plan)
    reals = dequantize_output(plan, output)
    return [
        Prediction(label, float(scores[label]), codes)
        for label, scores, codes in zip(output.argmax(axis=1).tolist(), reals, output, strict=True)
    ]


def evaluate(
    plan: Plan,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    *,
    real_range: tuple[float, float] | None = None,
    executor: Executor | None = None,
) -> Iterator[Accuracy]:
    """Classify `images` (uint8, N×H×W or N×H×W×C) chunk by chunk; yield the `Accuracy` so far after each.

    Where the model remembers something, each begins afresh; N×T×H×W or N×T×H×W×C are N sequences of T pictures, whose
    answer is the last output.

    The last one is the result: ``*_, accuracy = evaluate(…)``; whoever stops earlier has what was done. Memory does not
    grow with N. `executor` computes the chunks, else all cores of this machine; see `parallel.spread`. `real_range` as
    in `inputs.pixels_to_input`. Raises `InputError` for pictures, labels or a model that do not fit together.
    """
    for _, _, accuracy in _classified(plan, images, labels, real_range, executor):
        yield accuracy


def compare(
    plan: Plan,
    other: Plan,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    *,
    real_range: tuple[float, float] | None = None,
    executor: Executor | None = None,
) -> Iterator[Comparison]:
    """`evaluate` two plans of one model side by side, and count the pictures that they answer differently."""
    both = (_classified(each, images, labels, real_range, executor) for each in (plan, other))
    differing = 0
    for (_, mine, first), (_, theirs, second) in zip(*both, strict=True):
        differing += int(np.count_nonzero(mine != theirs))
        yield Comparison((first, second), differing)


def _classified(
    plan: Plan,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    real_range: tuple[float, float] | None,
    executor: Executor | None,
) -> Iterator[tuple[int, npt.NDArray[np.intp], Accuracy]]:
    """(first picture, answers, accuracy so far) of each chunk."""
    classes = _classes(plan)
    if len(images) != len(labels) or not len(images):
        raise InputError(f"there are {len(images)} pictures and {len(labels)} labels; expected as many, and some")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(f"the labels are {labels.min()} to {labels.max()}, but the model has {classes} classes")
    classify = partial(_answers, plan, real_range, None if executor is None else 1)
    starts = range(0, len(images), CHUNK)
    confusion, started = np.zeros((classes, classes), np.int64), perf_counter()
    for start, answers in zip(starts, spread(classify, (images[i : i + CHUNK] for i in starts), executor), strict=True):
        np.add.at(confusion, (labels[start : start + CHUNK], answers), 1)
        yield start, answers, Accuracy(confusion.copy(), perf_counter() - started)


def _answers(
    plan: Plan, real_range: tuple[float, float] | None, threads: int | None, images: npt.NDArray[np.uint8]
) -> npt.NDArray[np.intp]:
    """The class of each picture."""
    if _are_sequences(plan, images):
        session = Session(plan)
        for t in range(images.shape[1]):
            (output,) = session.run(pixels_to_input(plan, images[:, t], 0, real_range))
    else:
        (output,) = run(plan, pixels_to_input(plan, images, 0, real_range), threads=threads)
    answers: npt.NDArray[np.intp] = output.argmax(axis=1)
    return answers


def _are_sequences(plan: Plan, images: npt.NDArray[np.uint8]) -> bool:
    """Whether the pictures have one axis more than the model's input makes them have; one picture goes first."""
    if images.ndim < 4 or not plan.inputs:
        return False
    picture = picture_shape(plan.inputs[0])
    return images.shape[1] > 0 and images.shape[1:] != picture and images.shape[2:] in (picture[:2], picture)


def _classes(plan: Plan) -> int:
    """How many classes the model tells apart; `InputError` if it is no classifier."""
    if not is_classifier(plan):
        raise InputError(
            "the model is no classifier: its outputs are "
            + ", ".join(f"'{t.name}' {t.shape}" for t in plan.outputs)
            + ", not one of 1 × classes"
        )
    return plan.outputs[0].shape[1]
