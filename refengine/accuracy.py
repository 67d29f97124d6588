"""What classifiers answer, and how often they are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .execute import run
from .kernel import Numerics
from .model import Array, Tensor
from .plan import Plan, Source, plan_of
from .session import Session
from .tensors.batches import sequences_of
from .tensors.inputs import dequantize_output, require_range
from .tensors.stats import is_quantized
from .text import counted, kind_of, shown

if TYPE_CHECKING:
    from concurrent.futures import Executor

CHUNK = 256  # pictures between two reports
ALONE = 0.5
"""Above it, the one score of a model that has no other says yes."""

Answer = Literal["last", "max"]
Read = Callable[[Sequence[str]], Sequence[Array]]
"""Names of things → what each is to the input, one inference after the other: (T, …)."""


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

    def __repr__(self) -> str:
        return f"<Accuracy {self.accuracy:.2%}: {self.correct:,} of {self.count:,}>"

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

    def __repr__(self) -> str:
        return f"<Comparison of {self.accuracies[0]!r} and {self.accuracies[1]!r}, {self.differing:,} answers differ>"

    @property
    def count(self) -> int:
        return self.accuracies[0].count

    def told(self) -> dict[str, Any]:
        """The second plan's, in plain Python, for JSON."""
        return {"differing": self.differing, **self.accuracies[1].as_dict()}


def is_classifier(plan: Plan) -> bool:
    """Whether the model's one output is a row of scores, and as far as the graph tells no reconstruction."""
    return gives_scores(plan) and not reconstructs(plan)


def reconstructs(plan: Plan) -> bool:
    """Whether one input goes in and as many real values come out that are no probabilities, as of an autoencoder."""
    if len(plan.inputs) != 1 or len(plan.outputs) != 1 or not all(map(_is_scored, (*plan.inputs, *plan.outputs))):
        return False
    return prod(plan.inputs[0].shape) == prod(plan.outputs[0].shape) and not tells_probabilities(plan)


def gives_scores(plan: Plan) -> bool:
    """Whether the model's one output may be a row of scores, 1×classes, of two or more: float32, or codes with a
    scale."""
    shapes = [tensor.shape for tensor in plan.outputs]
    scored = all(map(_is_scored, plan.outputs))
    return len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][0] == 1 < shapes[0][1] and scored


def _is_scored(tensor: Tensor) -> bool:
    return tensor.dtype == "float32" or is_quantized(tensor)


def tells_probabilities(plan: Plan) -> bool:
    """Whether the first output holds probabilities: made by an operator that makes such, or quantised as if it were.

    What only moves them or codes them anew may stand behind it.
    """
    tensor = plan.outputs[0]
    while (step := plan.writers.get(tensor.index)) and (step.facts.recodes or step.facts.copies) and step.data:
        tensor = step.data
    return are_probabilities(plan.outputs[0]) or (step is not None and step.facts.probabilities)


def are_probabilities(output: Tensor) -> bool:
    """Whether codes are quantised as those of a softmax are: from 0 to 1."""
    quantization = output.quantization
    ends = {("int8", (1 / 256,), (-128,)), ("uint8", (1 / 256,), (0,))}
    return quantization is not None and (output.dtype, quantization.scale, quantization.zero_point) in ends


def predictions(source: Source, output: Array) -> list[Prediction]:
    """The answers in a classifier's output, N×classes: each row's largest score, the first of equals.

    Raises `InputError` if the model is no classifier, and for anything else than rows of as many scores, of its type.
    """
    plan = plan_of(source)
    classes = _classes(plan)
    reals = dequantize_output(plan, output)
    if reals.shape[1:] != (classes,):
        raise InputError(f"the output is N rows of {classes} scores, (N, {classes}); got {reals.shape}")
    return [
        Prediction(label, float(scores[label]), codes)
        for label, scores, codes in zip(output.argmax(axis=1).tolist(), reals, output, strict=True)
    ]


def evaluate(
    source: Source,
    images: Array | Sequence[str],
    labels: npt.ArrayLike,
    *,
    numerics: Numerics | str | None = None,
    real_range: tuple[float, float] | None = None,
    executor: Executor | None = None,
    answer: Answer = "last",
    read: Read | None = None,
) -> Iterator[Accuracy]:
    """Classify `images` chunk by chunk; yield the `Accuracy` so far after each.

    They are pictures (uint8, N×H×W or N×H×W×C) or what the input takes (N×…, real values or of its type). With one axis
    more, N×T×…, they are N sequences of T inferences; with `read`, they are N names, of each of which it makes such a
    sequence. Where the model remembers something, each sequence begins afresh. A sequence's class is that of its
    ``last`` output, or the one whose score is the largest (``max``) at any time. A model of one score answers 1 where
    that is above 0.5, else 0.

    The last one is the result: ``*_, accuracy = evaluate(…)``; whoever stops earlier has what was done. Memory does not
    grow with N. `executor` computes the chunks, else all cores of this machine; see `parallel.spread`. `real_range` as
    in `inputs.pixels_to_input`, and `numerics` is for `make_plan`, where `source` is no plan yet. Raises `InputError`
    for pictures, labels or a model that do not fit together.
    """
    for _, _, accuracy in _classified(
        plan_of(source, numerics=numerics), images, labels, real_range, executor, answer, read
    ):
        yield accuracy


def compare(
    plan: Source,
    other: Source,
    images: Array | Sequence[str],
    labels: npt.ArrayLike,
    *,
    real_range: tuple[float, float] | None = None,
    executor: Executor | None = None,
    answer: Answer = "last",
    read: Read | None = None,
) -> Iterator[Comparison]:
    """`evaluate` two plans of one model side by side, and count the pictures that they answer differently."""
    both = (_classified(plan_of(each), images, labels, real_range, executor, answer, read) for each in (plan, other))
    differing = 0
    for (_, mine, first), (_, theirs, second) in zip(*both, strict=True):
        differing += int(np.count_nonzero(mine != theirs))
        yield Comparison((first, second), differing)


def _classified(
    plan: Plan,
    images: Array | Sequence[str],
    labels: npt.ArrayLike,
    real_range: tuple[float, float] | None,
    executor: Executor | None,
    answer: Answer,
    read: Read | None,
) -> Iterator[tuple[int, npt.NDArray[np.intp], Accuracy]]:
    """(first picture, answers, accuracy so far) of each chunk."""
    classes = class_count(plan)
    labels = require_labels(labels, classes)
    if answer not in get_args(Answer):
        raise InputError(f"answer is {shown(answer)}; choose one of {', '.join(get_args(Answer))}")
    if read is not None and not callable(read):
        raise InputError(f"read is {kind_of(read)}; give a function that makes sequences of names")
    require_range(real_range)
    if read is None and not isinstance(images, np.ndarray):
        raise InputError(f"the pictures are {kind_of(images)}; give an array, N×H×W or as the input takes them")
    if len(images) != len(labels) or not len(images):
        found = f"{counted(len(images), 'picture')} and {counted(len(labels), 'label')}"
        raise InputError(f"the data are {found}; expected as many of one as of the other, and some")
    from .parallel import spread  # brings sockets and processes

    classify = partial(_answers, plan, real_range, None if executor is None else 1, answer, read)
    starts = range(0, len(images), CHUNK)
    confusion, started = np.zeros((classes, classes), np.int64), perf_counter()
    for start, answers in zip(starts, spread(classify, _chunks(images, starts), executor), strict=True):
        np.add.at(confusion, (labels[start : start + CHUNK], answers), 1)
        yield start, answers, Accuracy(confusion.copy(), perf_counter() - started)


def _chunks(images: Array | Sequence[str], starts: Iterable[int]) -> Iterator[Array | Sequence[str]]:
    """Some at a time; `InputError` for NaN, of which no class comes."""
    for start in starts:
        chunk = images[start : start + CHUNK]
        if isinstance(chunk, np.ndarray) and chunk.dtype.kind == "f" and np.isnan(chunk).any():
            odd = start + int(np.argwhere(np.isnan(chunk))[0][0])
            raise InputError(f"picture {odd} (from 0) holds NaN; mend it or leave it out")
        yield chunk


def require_labels(labels: npt.ArrayLike, classes: int) -> npt.NDArray[np.integer]:
    """The labels (N,), each the number of one of so many classes; raises `InputError` for anything else."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"the labels are {array.dtype} {array.shape}; give the classes' numbers, an integer each")
    if len(array) and not 0 <= int(array.min()) <= int(array.max()) < classes:
        raise InputError(
            f"the labels are {array.min()} to {array.max()}, but the model has {classes} classes: give numbers below "
            "that, in the order of its scores"
        )
    return array


def class_count(plan: Plan) -> int:
    """How many classes the model tells apart, of one score two; `InputError` if it is no classifier."""
    return 2 if [t.shape for t in plan.outputs] == [(1, 1)] and _is_scored(plan.outputs[0]) else _classes(plan)


def _answers(
    plan: Plan,
    real_range: tuple[float, float] | None,
    threads: int | None,
    answer: Answer,
    read: Read | None,
    images: Array | Sequence[str],
) -> npt.NDArray[np.intp]:
    """The class of each picture or sequence."""
    found = np.empty(len(images), np.intp)
    for places, sequences in _sequences(plan, real_range, read, images):
        outputs = _outputs(plan, threads, sequences)
        scores = outputs[:, -1] if answer == "last" else outputs.max(axis=1)
        found[places] = answers_of(plan, scores)
    return found


def answers_of(plan: Plan, scores: Array) -> npt.NDArray[np.intp]:
    """The class (N,) that each row of a classifier's scores (N×classes, its output's codes) answers."""
    if scores.shape[1] == 1:
        return np.asarray(dequantize_output(plan, scores)[:, 0] > ALONE, np.intp)
    return np.asarray(scores.argmax(axis=1))


def _sequences(
    plan: Plan, real_range: tuple[float, float] | None, read: Read | None, images: Array | Sequence[str]
) -> Iterator[tuple[Any, Array]]:
    """(which, (N, T, …) for the input) of those that are equally long."""
    if read is None:
        assert isinstance(images, np.ndarray)
        yield slice(None), sequences_of(plan, images, real_range)
        return
    each = read([*images])
    for length in sorted({len(x) for x in each}):
        places = [i for i, x in enumerate(each) if len(x) == length]
        yield places, np.stack([each[i] for i in places])


def _outputs(plan: Plan, threads: int | None, sequences: Array) -> Array:
    """(N, T, classes)."""
    if sequences.shape[2:] == plan.inputs[0].shape:  # no leading 1, and so no batch
        each = ((Session(plan), sequence) for sequence in sequences)
        return np.stack([[session.run(x)[0].reshape(-1) for x in sequence] for session, sequence in each])
    if plan.initial:
        session = Session(plan)
        return np.stack([session.run(sequences[:, t])[0] for t in range(sequences.shape[1])], axis=1)
    (output,) = run(plan, sequences.reshape(-1, *sequences.shape[2:]), threads=threads)
    return output.reshape(*sequences.shape[:2], -1)


def _classes(plan: Plan) -> int:
    """How many classes the model tells apart; `InputError` if its output is no row of scores."""
    if not gives_scores(plan):
        raise InputError(
            "the model is no classifier: its outputs are "
            + ", ".join(f"'{t.name}' {t.shape}" for t in plan.outputs)
            + ", not one of 1 × classes"
        )
    return plan.outputs[0].shape[1]
