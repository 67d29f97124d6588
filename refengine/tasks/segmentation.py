"""Maps of classes: what each pixel shows, and how good that is by the mean intersection over union."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..accuracy import ALONE
from ..errors import InputError
from ..model import Array, Tensor
from ..plan import Plan
from ..tensors.inputs import dequantize_output, picture_shape
from ..tensors.stats import is_quantized

Map = npt.NDArray[np.int64]

VOID = 255
"""What Pascal VOC's masks have where nobody is asked."""


def map_place(plan: Plan) -> int | None:
    """Which output is a map of classes of the picture at the one input; None if none is, or several are.

    A map is N×H×W integers (perhaps ×1), each pixel's class, or N×H×W×C scores, of which one a pixel (C = 1, or none)
    is that of class 1; the picture is a whole number of times as high and as wide. A map of classes goes before scores,
    which it may have been made of.
    """
    if len(plan.inputs) != 1:
        return None
    try:
        height, width, _ = picture_shape(plan.inputs[0])
    except InputError:
        return None
    maps = [i for i, output in enumerate(plan.outputs) if _is_map(output, height, width)]
    plain = [i for i in maps if class_count(plan.outputs[i]) is None]
    found = plain or maps
    return found[0] if len(found) == 1 else None


def _is_map(output: Tensor, height: int, width: int) -> bool:
    if len(output.shape) not in (3, 4) or output.shape[0] != 1:
        return False
    rows, columns = output.shape[1:3]
    scored = output.dtype == "float32" or is_quantized(output) or class_count(output) is None
    return (
        scored and min(rows, columns) > 1 and height % rows == 0 == width % columns and height * columns == width * rows
    )


def class_count(output: Tensor) -> int | None:
    """How many classes a map tells apart, of one score a pixel two; None where it holds classes themselves."""
    alone = len(output.shape) == 3 or output.shape[3] == 1
    if alone and output.dtype in ("uint8", "int32", "int64") and not is_quantized(output):
        return None
    return 2 if alone else output.shape[3]


def class_maps(plan: Plan, outputs: Sequence[Array]) -> Map:
    """(B, H, W): the class of each pixel, the first of equal scores.

    Of one score a pixel, class 1 is where it is above 0.5. Raises `InputError` if no output, or more than one, is a map
    of classes.
    """
    place = map_place(plan)
    if place is None:
        raise InputError("the model has no output, or more than one, that is a map of classes")
    output, tensor = outputs[place], plan.outputs[place]
    if len(tensor.shape) == 4 and tensor.shape[3] > 1:
        scores: Map = output.argmax(axis=3)
        return scores
    values = output.reshape(output.shape[:3])
    return values.astype(np.int64) if class_count(tensor) is None else _above(plan, values, place)


def _above(plan: Plan, values: Array, place: int) -> Map:
    return (dequantize_output(plan, values, place) > ALONE).astype(np.int64)


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
