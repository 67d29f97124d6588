"""A few samples of the calibration data that set most ranges alone: mistakes, or what a network hardly ever meets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Array
from ..plan import Plan
from .calibrate import Ranges, tasks_of

FEW = 0.01
"""Of the samples, at most, rounded up."""

ENOUGH = 20
"""Samples, before one of them is called an outlier."""

TIMES = 2.0
"""By which an outlier makes a range wider than the others do: a bit of the codes of all of them."""

Extremes = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Outliers:
    """The numbers of the outliers among `count` samples, and of each tensor whose range they widen `TIMES` or more, its
    range with and without them; `ranges` is how many there are in all."""

    samples: tuple[int, ...]
    count: int
    ranges: int
    widened: dict[int, tuple[tuple[float, float], tuple[float, float]]]

    @property
    def bits(self) -> float:
        """The most that they take of a tensor's resolution."""
        widths = [(_width(*wide), _width(*narrow)) for wide, narrow in self.widened.values()]
        return max((log2(wide / narrow) for wide, narrow in widths if narrow), default=0.0)

    def __str__(self) -> str:
        one = len(self.samples) == 1
        numbers = ", ".join(map(str, self.samples[:8])) + (" …" if len(self.samples) > 8 else "")
        (low, high), (least, most) = next(iter(self.widened.values()))
        return (
            f"{'Sample' if one else 'Samples'} {numbers} of {self.count} (counted from 0) alone "
            f"set{'s' if one else ''} {len(self.widened)} of {self.ranges} ranges, and take{'s' if one else ''} up to "
            f"{self.bits:.1f} bits of the others: the first of them would be {least:.4g} … {most:.4g} instead "
            f"of {low:.4g} … {high:.4g}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        widened = [{"tensor": i, "range": wide, "without": narrow} for i, (wide, narrow) in self.widened.items()]
        return {"samples": self.samples, "ranges": self.ranges, "widened": widened}


def outliers(extremes: Sequence[Extremes], ranges: Ranges) -> Outliers | None:
    """The samples, one in a hundred at most, without which at least half of the ranges are half as wide or less.

    `extremes` are what `calibrate` shows to `watch`, and `ranges` what it gives; None where there are no such samples,
    or too few to tell.
    """
    low, high = np.concatenate(extremes, axis=1).astype(np.float64)  # (samples, tensors) each
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    count, few = len(low), ceil(FEW * len(low))
    if count < ENOUGH:
        return None
    least, most = np.sort(low, axis=0)[few], np.sort(high, axis=0)[-1 - few]
    wide = np.maximum(high, most) - np.minimum(low, least)
    suspects = np.flatnonzero(2 * (wide > TIMES * (most - least)).sum(axis=1) >= low.shape[1])
    if not 0 < len(suspects) <= few:
        return None
    rest = np.delete(np.arange(count), suspects)
    pairs = zip(ranges, _ends(low, high), _ends(low[rest], high[rest]), strict=True)
    widened = {i: (wide, narrow) for i, wide, narrow in pairs if _width(*wide) > TIMES * _width(*narrow)}
    if 2 * len(widened) < len(ranges):
        return None
    return Outliers(tuple(suspects.tolist()), count, len(ranges), widened)


def others(plan: Plan, batches: Iterable[tuple[Array, ...]], samples: Collection[int]) -> Iterator[tuple[Array, ...]]:
    """The inputs of all samples but those, of a plan that remembers nothing."""
    for task in tasks_of(plan, batches):
        (inputs,) = task.inferences
        if left := [i for i in range(task.count) if task.first + i not in samples]:
            yield tuple(x[left] for x in inputs) if len(left) < task.count else inputs


def _ends(low: Extremes, high: Extremes) -> list[tuple[float, float]]:
    """Each tensor's range."""
    return list(zip(low.min(axis=0).tolist(), high.max(axis=0).tolist(), strict=True))


def _width(low: float, high: float) -> float:
    return high - low
