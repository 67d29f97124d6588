"""What differences are worth as evidence, in bits: how unlikely chance is to deal the same ones out as they lie.

A hypothesis predicts which elements differ, and by how much. Had the same differences been dealt out at random over
the elements that a fault may change, they would lie as they do once in 2^bits. From that, what the hypotheses tried
cost is taken off (one in a thousand that fits by chance is no surprise), and what a hypothesis read off the output
itself. What is left tells how certain a cause is.
"""

from __future__ import annotations

from math import lgamma, log
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..model import Array
from ..tensors.difference import unlike

Certainty = Literal["certain", "likely", "open"]
"""``certain``: chance would do this once in a million times, and nothing else that was tried does it. ``likely``: more
than chance, but few differences, or several causes that cannot be told apart. ``open``: too little to tell, which is so
as well where `MANY` others would do, or nothing explains it."""

CERTAIN, LIKELY = 20.0, 8.0
"""From how many bits on a cause is certain, and likely."""

MARGIN = 10.0
"""A cause that has so many bits less than another is no rival of it."""

MANY = 10
"""Where so many others explain as much, the best says little."""

VALUE = 16.0
"""The most that one float's value counts, in bits."""


def bits(sound: Array, seen: Array, live: npt.NDArray[np.bool_]) -> float:
    """How much it takes to say where and by how much `seen` differs; of the equal elements, only `live` ones count.

    Never more than it takes to say `seen` itself, as a list of its values and where each of them stands: a constant
    output is poor evidence, whatever a sound one would be.
    """
    apart = unlike(sound, seen)
    relative = choices(int((live | apart).sum()), int(apart.sum())) + values(sound, seen)
    counts = np.unique(seen[live | apart], return_counts=True)[1]
    return min(relative, ways(counts) + 8.0 * min(seen.itemsize, 2) * len(counts))


def values(sound: Array, seen: Array) -> float:
    """The bits that the values of the differing elements are worth, wherever these lie: the larger, the rarer."""
    apart = unlike(sound, seen)
    return float(worth(steps(sound[apart], seen[apart])).sum())


def steps(sound: Array, seen: Array) -> Array:
    """How far apart values are, in codes or in units in the last place, of the average float at least."""
    with np.errstate(all="ignore"):
        off = np.abs(seen.astype(np.float64) - sound)
        if sound.dtype.kind == "f" and sound.size:
            finite = sound[np.isfinite(sound)]
            average = np.abs(finite).mean(dtype=np.float64) if finite.size else 0.0
            off = off / np.spacing(np.maximum(np.abs(sound), np.asarray(average, sound.dtype))).astype(np.float64)
    return np.asarray(np.nan_to_num(off, nan=2.0**VALUE, posinf=2.0**VALUE))


def worth(steps: Array) -> Array:
    """The bits of differences of so many steps."""
    return np.asarray(np.minimum(VALUE, np.log2(1 + 2 * steps)))


def choices(size: int, count: int) -> float:
    """log₂ of the ways to choose `count` of `size`."""
    return ways(np.array([count, size - count]))


def ways(counts: Array) -> float:
    """log₂ of the ways to deal out so many of each kind: their multinomial coefficient."""
    return (lgamma(float(counts.sum()) + 1) - sum(lgamma(float(n) + 1) for n in counts)) / log(2)


def certainty(bits: float, rivals: int) -> Certainty:
    """The word for a cause with so many bits left, and so many rivals."""
    if bits >= CERTAIN and not rivals:
        return "certain"
    return "likely" if bits >= LIKELY and rivals < MANY else "open"
