"""Wrong network inputs: what a device is fed if the way from a sample to the input is not the model's.

The right way is: real values, as the network was trained on them; codes, by the input's scale and zero point; their
places in memory. A `Preparation` departs from it in one or two ways, and tells exactly what it makes of a `Sample`, as
far as that is known: from codes alone, real values are known to half a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..model import Array
from .sample import Index, Mask, Sample, Span, background, right
from .ways import Codes, Placed, Real, Recoded, Way, codes, places, reals, recoded, shifts


@dataclass(frozen=True, eq=False)
class Preparation:
    """What a device is fed that departs from the right way in `ways`, none to two of them, for one input."""

    ways: tuple[Way, ...]
    sample: Sample = field(repr=False)

    @property
    def id(self) -> str:
        """The ways' names, such as ``"not normalised + transposed"``."""
        return " + ".join(way.id for way in self.ways)

    @property
    def says(self) -> str:
        """What is so, after "the input"."""
        return " and ".join(way.says for way in self.ways) or "is right"

    @property
    def how(self) -> str:
        """A clause that completes "the differences vanish"."""
        return f"if the input {self.says}"

    @property
    def known(self) -> bool:
        """Whether `fed` is exactly what a device would hold, not only the likeliest of what is `predicted`."""
        low, high, free = self.predicted()
        return not free.any() and bool(np.all(low == high))

    @np.errstate(all="ignore")
    def predicted(self, at: Index | None = None) -> tuple[Array, Array, Mask]:
        """(low, high, free) of the elements at these flat places, by default of all: see `Span`.

        What is `free` may hold anything.
        """
        source = np.arange(self.sample.size) if at is None else at
        inside, filling = np.ones(source.shape, np.bool_), np.full(source.shape, np.nan)
        for way in (way for way in reversed(self.ways) if isinstance(way, Placed)):  # the last one lies in memory
            found = np.where(inside, way.index[source], source)
            left = inside & (found < 0)
            if way.fill is not None:
                filling[left] = way.fill[source[left]]
            inside &= ~left
            source = np.where(inside, found, 0)
        made, filled = self._made(source), ~inside & ~np.isnan(filling)
        return np.where(filled, filling, made.low), np.where(filled, filling, made.high), ~inside & ~filled

    def fed(self) -> Array:
        """The likeliest input, in the tensor's dtype and shape; what is free is background."""
        sample = self.sample
        low, high, free = self.predicted()
        with np.errstate(all="ignore"):
            middle = (low + high) / 2 if sample.is_float else np.floor((low + high + 1) / 2)
            return sample.as_input(np.where(free, background(sample), middle))

    def _made(self, source: Index) -> Span:
        """The codes (of float inputs: the values) that elements of the sample become."""
        sample = self.sample
        real = next((way.real for way in self.ways if isinstance(way, Real)), None)
        make = next((way.make for way in self.ways if isinstance(way, Codes)), None)
        if real or make or not sample.exact:
            real = real or sample.real
            found = (make or right(sample, real))(Span(real.low[source], real.high[source]))
        else:  # known however little is known of real values
            found = sample.sound(source)
        for way in self.ways:
            found = way.change(found) if isinstance(way, Recoded) else found
        return found


PAIRED = {
    "scale forgotten", "zero point forgotten", "not quantised", "truncated", "rounded otherwise", "wrapped",
    "float arithmetic", "narrow floats", "off by 128", "bytes swapped",
}  # fmt: skip
"""Codes that come with other real values, or places, as people make them."""


def preparations(sample: Sample, previous: Sequence[Sample] = ()) -> Iterator[Preparation]:
    """What one input may be fed: single departures first, then pairs of them.

    `previous` are samples of inferences before.
    """
    with np.errstate(all="ignore"):  # floats may be anything
        real = [*reals(sample)]
    code, recode = [*codes(sample)], [*recoded(sample)]
    place, shift = [*places(sample)], [*shifts(sample)]
    for ways in (real, code, recode, place, shift):
        yield from (Preparation((way,), sample) for way in ways)
    for other in previous:
        yield Preparation((Way("previous sample", "holds the previous sample"),), other)
    for id, says, other in sample.others:
        yield Preparation((Way(id, says),), other)
    near = [way for way in shift if way.fill is not None and "one" in way.says]
    code, recode = [way for way in code if way.id in PAIRED], [way for way in recode if way.id in PAIRED]
    pairs = [
        *((a, b) for a in real for b in (*code, *recode, *place, *near)),
        *((a, b) for a in code for b in (*recode, *place, *near)),
        *((a, b) for a in recode for b in (*place, *near)),
        *((a, b) for i, a in enumerate(place) for b in (*place[i + 1 :], *near) if a.id != b.id),
    ]
    yield from (Preparation(pair, sample) for pair in pairs)
    for id, says, other in sample.others:
        usual = [way for way in (*codes(other), *recoded(other)) if way.id in PAIRED]
        yield from (Preparation((Way(id, says), way), other) for way in (*reals(other), *usual, *place))
