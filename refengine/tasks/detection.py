"""Boxes: what a detector found in a picture, and how good that is, as COCO measures it.

Boxes are (top, left, bottom, right) in parts of the picture's height and width, 0 to 1, as TFLM's detectors give them.
Average precision follows pycocotools' `cocoeval.py` (bounding boxes, all areas, at most 100 a picture and class): of
each class, detections of all pictures are taken by descending score; each takes the truth that it overlaps most, if
that is free and the intersection over the union reaches a threshold; precision, made to fall only, is read off at 101
recalls. Crowds count neither way. AP is the mean over the classes that occur and the thresholds 0.5, 0.55 … 0.95.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Array

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
REST = ((-1, 4), (-1,), (-1,), (-1,))
"""The outputs' shapes behind the batch."""

MOST = 100
"""Detections that count, of a class in a picture."""


@dataclass(frozen=True)
class Detection:
    """One thing in a picture: `box` is (top, left, bottom, right) in parts of it."""

    label: int
    score: float
    box: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON."""
        return {"class": self.label, "score": self.score, "box": list(self.box)}

    @staticmethod
    def of(told: Mapping[str, Any]) -> Detection:
        """What `as_dict` tells of."""
        return Detection(told["class"], told["score"], tuple(told["box"]))


@dataclass(frozen=True)
class Truth:
    """What is in a picture; of a `crowd`, no single one is asked for, and any number may be found."""

    label: int
    box: tuple[float, ...]
    crowd: bool = False


def detections(outputs: Sequence[Array]) -> list[list[Detection]]:
    """What a detector's four outputs (boxes, classes, scores, count), of a batch, say of each picture, the best first.

    As firmware reads them: the first places, as many as the count says.
    """
    boxes, labels, scores, counts = (x.reshape(len(x), *rest) for x, rest in zip(outputs, REST, strict=True))
    found = []
    for b, count in enumerate(np.nan_to_num(counts[:, 0]).clip(0, labels.shape[1]).astype(int)):
        each = zip(boxes[b, :count].tolist(), labels[b, :count].tolist(), scores[b, :count].tolist(), strict=True)
        known = (Detection(int(label), score, tuple(box)) for box, label, score in each if isfinite(label))
        found.append(sorted(known, key=lambda detection: -detection.score))
    return found


@dataclass(frozen=True)
class Precision:
    """Average precision on `pictures`: `map` over all thresholds, `map50` at 0.5; `by_class` has both of each class."""

    pictures: int
    truths: int
    found: int
    map: float
    map50: float
    by_class: dict[int, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON."""
        each = [{"class": c, "map": values[0], "map50": values[1]} for c, values in self.by_class.items()]
        facts = {"pictures": self.pictures, "truths": self.truths, "detections": self.found}
        return facts | {"map": self.map, "map50": self.map50, "classes": each}


@dataclass(eq=False)
class Scorer:
    """Gathers detections and truths picture by picture; `precision` is what they come to so far."""

    pictures: int = 0
    _matches: dict[int, list[tuple[Floats, Flags, Flags]]] = field(default_factory=lambda: defaultdict(list))
    _wanted: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    _found: int = 0

    def add(self, found: Sequence[Detection], truths: Sequence[Truth]) -> None:
        """One picture."""
        self.pictures += 1
        self._found += len(found)
        for label in {each.label for each in found} | {each.label for each in truths}:
            mine = [each for each in found if each.label == label]
            theirs = [each for each in truths if each.label == label]
            self._wanted[label] += sum(not truth.crowd for truth in theirs)
            if mine:
                self._matches[label].append(_matched(mine, theirs))

    @property
    def precision(self) -> Precision:
        """NaN where no class occurs."""
        by_class = {c: self._of_class(c) for c in sorted(self._wanted) if self._wanted[c]}
        values = np.array([*by_class.values()]).reshape(-1, len(THRESHOLDS))
        over = float(values.mean()) if len(values) else float("nan")
        at_half = float(values[:, 0].mean()) if len(values) else float("nan")
        each = {c: (float(v.mean()), float(v[0])) for c, v in by_class.items()}
        return Precision(self.pictures, sum(self._wanted.values()), self._found, over, at_half, each)

    def _of_class(self, label: int) -> Floats:
        """Average precision at each threshold."""
        if not self._matches[label]:
            return np.zeros(len(THRESHOLDS))
        scores, hits, ignored = (np.concatenate(parts, axis=-1) for parts in zip(*self._matches[label], strict=True))
        order = np.argsort(-scores, kind="mergesort")
        hits, ignored = hits[:, order], ignored[:, order]
        counted = zip(hits & ~ignored, ~hits & ~ignored, strict=True)
        return np.array([_average(right, wrong, self._wanted[label]) for right, wrong in counted])


def _average(right: Flags, wrong: Flags, wanted: int) -> float:
    """The mean of the precision at `RECALLS`."""
    rights, wrongs = np.cumsum(right).astype(float), np.cumsum(wrong).astype(float)
    recall, precision = rights / wanted, rights / (rights + wrongs + np.spacing(1))
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(falling, 0.0)[places].mean())


def _matched(found: Sequence[Detection], truths: Sequence[Truth]) -> tuple[Floats, Flags, Flags]:
    """Of one class in one picture: scores (n), and for each threshold which hit a truth, and which do not count."""
    found = sorted(found, key=lambda each: -each.score)[:MOST]
    truths = sorted(truths, key=lambda each: each.crowd)
    overlaps = _overlaps(found, truths)
    shape = (len(THRESHOLDS), len(found))
    hits, ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for t, threshold in enumerate(THRESHOLDS):
        taken = np.zeros(len(truths), np.bool_)
        for d in range(len(found)):
            best = _best(overlaps[d], truths, taken, min(float(threshold), 1 - 1e-10))
            if best is not None:
                taken[best] = hits[t, d] = True
                ignored[t, d] = truths[best].crowd
    return np.array([each.score for each in found]), hits, ignored


def _best(overlaps: Floats, truths: Sequence[Truth], taken: Flags, threshold: float) -> int | None:
    """The truth that a detection takes: a free one before a crowd, of those the one that it overlaps most (of equals,
    the last)."""
    best, most = None, threshold
    for g, truth in enumerate(truths):
        if taken[g] and not truth.crowd:
            continue
        if best is not None and not truths[best].crowd and truth.crowd:
            break
        if overlaps[g] >= most:
            best, most = g, float(overlaps[g])
    return best


def _overlaps(found: Sequence[Detection], truths: Sequence[Truth]) -> Floats:
    """(found, truths): intersection over union, with a crowd over the detection alone."""
    a = np.array([each.box for each in found]).reshape(-1, 1, 4)
    b = np.array([each.box for each in truths]).reshape(1, -1, 4)
    crowd = np.array([each.crowd for each in truths], np.bool_)
    with np.errstate(all="ignore"):  # a detector's boxes may be anything; those of NaN and infinities overlap nothing
        sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
        shared = np.prod(np.maximum(sides, 0), axis=-1)
        area, areas = (np.prod(x[..., 2:] - x[..., :2], axis=-1) for x in (a, b))
        union = np.where(crowd, area, area + areas - shared)
        overlaps: Floats = np.divide(shared, union, out=np.zeros(shared.shape), where=(union > 0) & np.isfinite(union))
    return overlaps
