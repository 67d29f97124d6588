"""A line through the codes: acc · scale + offset, truncated, in float64; and one in float32 that has the same steps.

A line that does not descend, truncated, is a staircase: two of them are equal for all accumulators up to a bound if
each code begins at the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TRIES = 128
"""How many lines of float32 to try for each channel, on average: half a millisecond."""

AT_ONCE = 64
"""How many lines to try at a time: all their steps fit the cache."""

NEIGHBOURS = np.array([0, 1, -1, 2, -2, 3, -3, 4, -4], np.float32)
"""By how many units in the last place a scale may differ from the right one, in its own unit."""


class Line(NamedTuple):
    """(acc · scale + offset, one less where that is below `edge`) · unit, in one float type.

    The numbers are of length 1, or one for each channel. Where nothing drops, `edge` is None, and where the unit is a
    code, `unit`: they cost two passes over the accumulators, and one.
    """

    scale: Array
    offset: Array
    edge: Array | None = None
    unit: Array | None = None

    def __call__(self, acc: Array, out: Array | None = None) -> Array:
        """What the line makes of accumulators (…, channels)."""
        real: Array = np.multiply(acc, self.scale, out=out, dtype=self.scale.dtype)
        real += self.offset
        if self.edge is not None:
            real -= real < self.edge
        if self.unit is not None:
            real *= self.unit
        return real

    @property
    def units(self) -> Array:
        """`unit`, 1 where it is a code."""
        return np.ones(1) if self.unit is None else self.unit

    def map(self, change: Callable[[Array], Array]) -> Line:
        """The line of its numbers, changed."""
        scale, offset, edge, unit = (None if x is None else change(x) for x in self)
        assert scale is not None and offset is not None
        return Line(scale, offset, edge, unit)

    def of(self, channels: Any) -> Line:
        """That of some channels, of one with a number for each."""
        return self.map(lambda x: x[channels])

    @property
    def size(self) -> int:
        """For how many channels it has numbers; 1 serves any."""
        return max(x.size for x in self if x is not None)


@dataclass(frozen=True, eq=False)
class Staircase:
    """Where a `line` of float64 begins its codes, for each channel.

    `begins` (codes, 1) is what the line reaches there, `step` (codes, channels) the first accumulator of |acc| ≤
    `bound` (channels,) for which it does, or the one behind them; `drops`, of the same shape, says whether the line is
    below its edge there.
    """

    line: Line
    begins: Array
    step: Ints
    bound: Ints
    drops: Bools

    def fits(self, line: Line) -> Bools:
        """For which channels a line of any type begins each code at its step."""
        above, below = (line(acc) >= self.begins for acc in self._sides)
        return np.asarray(((above == self._is_reached) & (below != self._is_begun)).all(axis=0))

    def through(self, scale: Array, unit: Array) -> tuple[Line, Bools]:
        """(the float32 line with such a scale and unit that has the best offset, for which channels it may fit).

        The best one is in the middle of those that give all codes at their steps, after float32's roundings, if any do.
        """
        begins = self.begins.astype(np.float32)
        least = begins / unit
        bits = least.view(np.int32)  # of numbers above 0, in their order
        bits -= 1
        for _ in range(2):  # to the least number that the unit makes a code
            bits += least * unit < begins
        undropped = least.copy()
        least += self.drops
        bits += least - self.drops < undropped
        middle = ((bits - 1).view(np.float32) + least.astype(np.float64)) / 2  # from which on sums are rounded to it
        first, before = (middle - acc.astype(np.float32) * scale for acc in self._sides)
        low = np.where(self._is_reached, first, -np.inf).max(axis=0, initial=-np.inf)
        high = np.where(self._is_begun, before, np.inf).min(axis=0, initial=np.inf)
        offset, bounded = self.line.offset.copy(), np.isfinite(low) & np.isfinite(high)
        offset[bounded] = (low[bounded] + high[bounded]) / 2
        edge = None if self.line.edge is None else self.line.edge.astype(np.float32)
        return Line(scale, offset.astype(np.float32), edge, unit), low <= high

    def of(self, channels: Any) -> Staircase:
        """That of some channels."""
        return Staircase(
            self.line.map(lambda x: np.broadcast_to(x, self.bound.shape)).of(channels),
            self.begins,
            self.step[:, channels],
            self.bound[channels],
            self.drops[:, channels],
        )

    @property
    def _sides(self) -> tuple[Ints, Ints]:
        """The first accumulator of each code, and the one before it, as far as they are within the bound."""
        return np.minimum(self.step, self.bound), np.maximum(self.step - 1, -self.bound)

    @property
    def _is_reached(self) -> Bools:
        return self.step <= self.bound

    @property
    def _is_begun(self) -> Bools:
        """Whether there is an accumulator before the first one."""
        return self.step > -self.bound


def in_float32(stairs: Staircase) -> Line | None:
    """A line of float32 with the same steps, if one is found for every channel.

    Rounding to float32 moves some steps of most channels, and other ones with each other scale. A neighbour of the
    right scale will fit where a code spans few accumulators, so that a step has room; where it spans a thousand, one in
    another unit, of which there are many.
    """
    if stairs.bound.max(initial=0) > 2**24 or not stairs.fits(stairs.line).all():
        return None  # float32 holds no odd accumulators beyond; or a step is one off
    parts = []
    for start in range(0, stairs.bound.size, AT_ONCE):
        part = _search(stairs.of(slice(start, start + AT_ONCE)))
        if part is None:
            return None
        parts.append(part)
    scale, offset, unit = np.concatenate(parts, axis=1)
    edge = None if stairs.line.edge is None else stairs.line.edge.astype(np.float32)
    return Line(scale, offset, edge, None if np.all(unit == 1) else unit)


def _search(stairs: Staircase) -> Array | None:
    """(scale, offset, unit) of each channel, (3, channels), if they are found for all within `TRIES`."""
    found = np.zeros((3, stairs.bound.size), np.float32)
    missing, done, left = np.arange(stairs.bound.size), 0, TRIES * stairs.bound.size
    while missing.size:
        tries = max(1, AT_ONCE // missing.size)
        left -= tries * missing.size
        if left < 0:
            return None
        part = stairs.of(np.tile(missing, tries))
        scale, unit = _numbers(part.line, np.repeat(np.arange(done, done + tries), missing.size))
        line, fits = part.through(scale, unit)
        fits[fits] = part.of(fits).fits(line.of(fits))
        each = fits.reshape(tries, missing.size)
        fitting, first = each.any(axis=0), each.argmax(axis=0) * missing.size + np.arange(missing.size)
        found[:, missing[fitting]] = np.stack([scale, line.offset, unit])[:, first[fitting]]
        missing, done = missing[~fitting], done + tries
    return found


def _numbers(line: Line, tries: Ints) -> tuple[Array, Array]:
    """(scale, unit) in float32 of each channel, for its try of that number: in the line's own unit first."""
    other = np.maximum(tries + 1 - NEIGHBOURS.size, 0)
    units = (line.units * (1 + other * 2.0**-23)).astype(np.float32)
    scales = (line.scale * line.units / units).astype(np.float32)
    scales += NEIGHBOURS[np.where(other, 0, tries)] * np.spacing(scales)
    return scales, units
