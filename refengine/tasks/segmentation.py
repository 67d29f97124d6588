"""Maps of classes: what each pixel shows, and how good that is by the mean intersection over union."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..model import Array
from ..plan import Plan
from ..tensors.inputs import dequantize_output
from ..tensors.stats import is_quantized

Map = npt.NDArray[np.int64]

VOID = 255
"""What Pascal VOC's masks have where nobody is asked."""


def class_maps(plan: Plan, output: Array) -> Map:
    """(B, H, W): the class of each pixel, the first of equal scores.

    Of one score a pixel, class 1 is where it is above 0.5, of values that stand for no scores, as they are.
    """
    tensor = plan.outputs[0]
    if output.ndim == 4 and output.shape[3] > 1:
        scores: Map = output.argmax(axis=3)
        return scores
    values = output.reshape(output.shape[:3])
    if tensor.dtype != "float32" and not is_quantized(tensor):
        return values.astype(np.int64)
    return (dequantize_output(plan, values) > 0.5).astype(np.int64)


def class_count(plan: Plan) -> int | None:
    """How many classes the maps tell apart; None where they are integers."""
    tensor = plan.outputs[0]
    if len(tensor.shape) == 4 and tensor.shape[3] > 1:
        return tensor.shape[3]
    return None if tensor.dtype != "float32" and not is_quantized(tensor) else 2


def resized(pixels: Map, height: int, width: int) -> Map:
    """(H, W) → (height, width): each pixel the class of the nearest."""
    rows, columns = (
        np.minimum((np.arange(size) + 0.5) * had // size, had - 1).astype(np.intp)
        for size, had in zip((height, width), pixels.shape, strict=True)
    )
    nearest: Map = pixels[rows[:, np.newaxis], columns]
    return nearest


def shares(classes: Map) -> dict[int, float]:
    """The part of the pixels that each class has, of those that are there."""
    labels, counts = np.unique(classes, return_counts=True)
    return dict(zip(labels.tolist(), (counts / classes.size).tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Overlap:
    """`confusion[true class, answer]` counts pixels, but those that are `VOID`."""

    pictures: int
    confusion: npt.NDArray[np.int64]

    @property
    def of_class(self) -> npt.NDArray[np.float64]:
        """Intersection over union of each class; NaN of one that neither occurs nor is answered."""
        shared = self.confusion.diagonal()
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - shared
        iou: npt.NDArray[np.float64] = np.divide(shared, union, out=np.full(len(union), np.nan), where=union > 0)
        return iou

    @property
    def mean(self) -> float:
        """Over the classes that occur or are answered; NaN if no pixel counts."""
        known = self.of_class[~np.isnan(self.of_class)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of pixels that are right."""
        return float(self.confusion.trace() / max(1, self.confusion.sum()))

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON: classes that occur or are answered, and the confusion of those."""
        known = np.flatnonzero(~np.isnan(self.of_class))
        each = [{"class": c, "iou": iou} for c, iou in zip(known.tolist(), self.of_class[known].tolist(), strict=True)]
        facts: dict[str, Any] = {"pictures": self.pictures, "mean_iou": self.mean, "pixel_accuracy": self.accuracy}
        return facts | {"classes": each, "confusion": self.confusion[np.ix_(known, known)].tolist()}


def overlap(answers: Map, truth: Map, classes: int) -> Overlap:
    """Of one picture, both (H, W); raises `InputError` for classes that there are not."""
    asked = truth != VOID
    for what, values in (("mask", truth[asked]), ("answer", answers)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise InputError(
                f"the {what} has the classes {values.min()} to {values.max()}, but there are {classes} (and {VOID} "
                "where nobody is asked)"
            )
    pairs = truth[asked] * classes + answers[asked]
    return Overlap(1, np.bincount(pairs, minlength=classes * classes).reshape(classes, classes))


def together(some: Overlap, more: Overlap) -> Overlap:
    """The counts of both."""
    return Overlap(some.pictures + more.pictures, some.confusion + more.confusion)
