"""What a device was fed, held against the sample: which `Preparation` it was, and how much speaks for it.

The input is known, as it stands in a dump. (Where it is not, `inputs` tries preparations through the network.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..identity import identity
from ..model import Array
from ..tensors.difference import Difference, difference, unlike
from ..text import printable, printed
from .evidence import MARGIN, Certainty, certainty
from .preparation import Preparation, preparations
from .sample import Mask, Sample
from .ways import Placed, Real, Way, fillings, moved, parts

PROBES = 256
"""Elements on which a preparation is tried before it is tried on all."""

SHOWN = 0.8
"""What explains less than this share of what values tell is not worth a line."""

LINES = 401
"""Slopes to try about the best by squares."""

NAMED = 4
"""How many explanations one sentence names."""

PARAMETERS = 40.0
"""Bits that two real numbers cost which are fitted to the data."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """A preparation, which explains `explained` of `total` elements.

    If that is all of them, it is worth `bits` (see `evidence`): so much shorter are they told with it than without,
    less what it takes to choose it among all that were tried. `vague` are single departures from real values of which
    codes do not tell all: they are worth more, for few unknown numbers decide what each element is paid for.
    """

    preparation: Preparation
    explained: int
    total: int
    bits: float = 0.0
    vague: bool = False

    @property
    def complete(self) -> bool:
        return self.explained == self.total

    @printed
    def __str__(self) -> str:
        return f"the input {self.preparation.says}: that explains {self.explained:,} of {self.total:,} elements"

    def as_dict(self) -> dict[str, Any]:
        return {
            "cause": self.preparation.id,
            "how": self.preparation.how,
            "explained": self.explained,
            "of": self.total,
            "bits": round(self.bits, 1),
        }


@dataclass(frozen=True, eq=False)
class Fed:
    """An input that a device was fed, judged: `difference` from the sound one, None if it is right.

    `explanations`, the best first, are those that explain all of it; if none does, the one that comes closest, if any
    comes close. `tried` is how many preparations were tried, `constant` whether the input holds the same everywhere,
    `alike` whether most of what its values tell is as it should be.
    """

    sample: Sample
    difference: Difference | None = None
    explanations: tuple[Explanation, ...] = ()
    tried: int = 0
    constant: bool = False
    alike: bool = False

    @printed
    def __repr__(self) -> str:
        return printable(f"<Fed '{self.sample.tensor.name}': {self.verdict}>")

    @property
    def right(self) -> bool:
        return self.difference is None

    @property
    def fitting(self) -> tuple[Explanation, ...]:
        """What explains everything and can't be told from the best, or is simpler, or may be worth as much."""
        found = [each for each in self.explanations if each.complete]
        ways = len(found[0].preparation.ways) if found else 0
        return tuple(e for e in found if found[0].bits - e.bits < MARGIN or len(e.preparation.ways) < ways or e.vague)

    @property
    def certainty(self) -> Certainty:
        """Of the cause, or that there is none."""
        if self.right:
            return "certain"
        return certainty(self.fitting[0].bits, len(self.fitting) - 1) if self.fitting else "open"

    @property
    def cause(self) -> str | None:
        """The best explanation's id, unless it is open."""
        return None if self.right or self.certainty == "open" else self.fitting[0].preparation.id

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.difference is None:
            return "certain: the input is right, every element is as it should be"
        says = ", or ".join(each.preparation.says for each in self.fitting[:NAMED])
        count = f"{self.difference.count:,} of {self.difference.size:,} elements differ"
        if self.certainty == "certain":
            return f"certain: the input {says}; that explains all its {self.difference.size:,} elements"
        if self.certainty == "likely":
            return f"likely: the input {says}; {count}, and that explains them all"
        if self.constant:
            also = f", or it {says}" if says else ""
            return f"open: the input holds {self.difference.theirs:g} everywhere; perhaps it was never written{also}"
        if says:
            return f"open: {count} in the input, and that is too little to tell why; perhaps it {says}"
        if self.alike:
            return f"open: {count} in the input, which nothing known explains; the others are as they should be"
        return (
            f"open: {count} in the input, and no known preparation of this sample explains them; perhaps it is of "
            "another sample, such as the previous one"
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            **identity(self.sample.tensor),
            "right": self.right,
            "verdict": self.verdict,
            "difference": self.difference and self.difference.as_dict(),
            "certainty": self.certainty,
            "cause": self.cause,
            "explanations": [each.as_dict() for each in self.explanations],
            "tried": self.tried,
        }


@np.errstate(all="ignore")  # floats may be anything
def fed(sample: Sample, seen: Array, previous: Sequence[Sample] = ()) -> Fed:
    """Judge `seen`, what a device was fed in the tensor's dtype and shape, by the sample that it should have been.

    `previous` are samples of inferences before.
    """
    apart = difference(sample.tensor, sample.codes, seen)
    if apart is None:
        return Fed(sample)
    trial = _Trial(sample, seen, [*preparations(sample, previous)], previous)
    found, constant = [*trial.explanations()], len(np.unique(seen)) == 1
    if not constant:  # what has a name goes before what is fitted
        found = _worth(*found, *trial.halves()) or _worth(*trial.moves(), *trial.lines())
    told, equal = _information(seen), ~unlike(sample.codes, seen).ravel()
    alike = bool(2 * apart.count < apart.size and 2 * told[equal].sum() > told.sum())
    return Fed(sample, apart, ranked(found) or trial.closest(), len(trial.tried), constant, alike)


def _worth(*found: Explanation) -> list[Explanation]:
    """Those that not much speaks against: a choice among all that were tried costs some bits."""
    return [each for each in found if each.bits > -MARGIN or each.vague]


def ranked(found: Iterable[Explanation]) -> tuple[Explanation, ...]:
    """The best first, one of each kind; two departures only if they are worth more than any one."""
    kept: dict[str, Explanation] = {}
    for each in sorted(found, key=lambda each: -each.bits):
        simpler = any(len(e.preparation.ways) < len(each.preparation.ways) for e in kept.values())
        if not simpler:
            kept.setdefault(each.preparation.id, each)
    return tuple(kept.values())


@dataclass(frozen=True, eq=False)
class _Trial:
    """The preparations that are tried on what a device was fed."""

    sample: Sample
    seen: Array
    tried: Sequence[Preparation]
    previous: Sequence[Sample]

    @cached_property
    def flat(self) -> Array:
        return self.seen.ravel().astype(np.float64)

    @cached_property
    def null(self) -> float:
        return without_cause(self.seen, self.sample.codes)

    @cached_property
    def probes(self) -> Array:
        """Places to try first: most of them where the sound input has something else."""
        draw = np.random.default_rng(0)
        apart = np.flatnonzero(unlike(self.sample.codes, self.seen).ravel())
        some = draw.permutation(apart)[: PROBES // 2]
        return np.unique(np.concatenate([some, draw.permutation(self.sample.size)[: PROBES // 2]]))

    def explained(self, preparation: Preparation, at: Array | None = None) -> Mask:
        """Of the elements at these places, by default of all, whether they are as predicted."""
        low, high, free = self.predicted(preparation, at)
        seen = self.flat if at is None else self.flat[at]
        if self.sample.is_float:
            inside = ((low <= seen) & (seen <= high)) | (np.isnan(low) & np.isnan(seen))
        else:
            inside = np.mod(seen - low, self.sample.period) <= high - low
        return np.asarray(free | inside)

    def predicted(self, preparation: Preparation, at: Array | None = None) -> tuple[Array, Array, Mask]:
        """`Preparation.predicted`, where codes that may be nearly any are free."""
        low, high, free = preparation.predicted(at)
        return low, high, free if self.sample.is_float else free | (high - low >= self.sample.period / 2)

    def explanation(self, preparation: Preparation, parameters: float = 0.0) -> Explanation:
        """With the evidence for it; `parameters` are bits that it was fitted to the data by."""
        ways = len(preparation.ways)
        explained, total = int(self.explained(preparation).sum()), self.sample.size
        choice = np.log2(sum(len(each.ways) <= ways for each in self.tried)) + parameters + MARGIN * (ways > 1)
        bits, vague = 0.0, False
        if explained == total:
            low, high, free = self.predicted(preparation)
            if self.sample.is_float:
                low = high
            vague = ways == 1 and bool((low < high)[~free].any())
            within = low + np.mod(self.flat - low, self.sample.period)
            bits = self.null - with_cause(np.where(free, self.flat, within), low, high, free) - choice
        return Explanation(preparation, explained, total, float(bits), vague)

    def explanations(self) -> Iterator[Explanation]:
        """Those that explain everything."""
        for preparation in self.tried:
            if self.explained(preparation, self.probes).all():
                found = self.explanation(preparation)
                if found.complete:
                    yield found

    def closest(self) -> tuple[Explanation, ...]:
        """The one that explains most of what was fed, counted by what its values tell, if that is nearly all of it."""
        told = _information(self.seen)
        shares = [told[self.probes][self.explained(each, self.probes)].sum() for each in self.tried]
        best = self.tried[int(np.argmax(shares))]
        share = told[self.explained(best)].sum()
        sound = told[~unlike(self.sample.codes, self.seen).ravel()].sum()
        return (self.explanation(best),) if told.sum() > share > max(sound, SHOWN * told.sum()) else ()

    def halves(self) -> Iterator[Explanation]:
        """Inputs of which only a part was written, from where they begin to differ on or up to there."""
        singles = [each for each in self.tried if len(each.ways) == 1 and not isinstance(each.ways[0], Placed)]
        for base in (Preparation((), self.sample), *singles):
            wrong = np.flatnonzero(~self.explained(base))
            if wrong.size:
                yield from self._filled(base, int(wrong[0]), int(wrong[-1]) + 1)

    def _filled(self, base: Preparation, first: int, end: int) -> Iterator[Explanation]:
        """A part of what `base` makes: up to element `first`, or from `end` on."""
        size = self.sample.size
        for name, value in fillings(self.sample, self.previous):
            for at, place in ((first, 0), (end, 1)):
                if 0 < at < size:
                    way = [*parts(self.sample, at, name, value)][place]
                    found = self.explanation(Preparation((*base.ways, way), base.sample), float(np.log2(2 * size)))
                    if found.complete:
                        yield found

    def moves(self) -> Iterator[Explanation]:
        """The sound input moved by any number of rows and columns, or of elements: by where it correlates best."""
        sound, size = self.sample.codes.astype(np.float64), self.sample.size
        if size < 4:
            return
        for shape in {self.sample.shape[:2], (1, size)}:
            mine, theirs = (x.reshape(*shape, -1) - x.mean() for x in (sound, self.flat))
            product = np.fft.rfft2(theirs, axes=(0, 1)) * np.fft.rfft2(mine, axes=(0, 1)).conj()
            match = np.fft.irfft2(product.sum(axis=2), s=shape)
            by = [int(i) for i in np.unravel_index(int(match.argmax()), shape)]
            by = [i - n if 2 * i > n else i for i, n in zip(by, shape, strict=True)]
            if any(by):
                yield from self._complete(moved(self.sample, shape, by), float(np.log2(size)))

    def lines(self) -> Iterator[Explanation]:
        """Real values times a factor, and a constant more: fitted to what does not saturate."""
        real = (self.sample.real.low + self.sample.real.high) / 2
        scale, zero_point = self.sample.affine
        inside = np.isfinite(self.flat) & np.isfinite(real)
        if self.sample.codes.dtype.kind in "iu":
            ends = np.iinfo(self.sample.codes.dtype)
            inside &= (self.flat > ends.min) & (self.flat < ends.max)
        x, y = real[inside], (self.flat[inside] - zero_point) * scale
        if len(np.unique(x)) < 3 or len(np.unique(y)) < 3:
            return
        step = 0.0 if self.sample.is_float else scale
        factor, term = _line(x, y, step)
        id, says = "scaled", f"holds about {factor:.3g} times each real value"
        if abs(term) > max(step, np.ptp(y) / 1000):
            id, mean, by = "mean and deviation", -term / factor, 1 / factor
            says = f"has a mean of about {mean:.3g} subtracted, and is divided by a deviation of about {by:.3g}"
        way = Real(id, says, self.sample.real.map(lambda each: factor * each + term))
        yield from self._complete([way], PARAMETERS)

    def _complete(self, ways: Iterable[Way], parameters: float) -> Iterator[Explanation]:
        for way in ways:
            found = self.explanation(Preparation((way,), self.sample), parameters)
            if found.complete:
                yield found


def _line(x: Array, y: Array, step: float) -> tuple[float, float]:
    """Factor and term of a line that comes within half a `step` of every point, if one does; the best by squares, else.

    Rounding moves points, so that the best by squares need not round to all of them.
    """
    factor, term = np.polyfit(x, y, 1)
    factors = factor + np.linspace(-2, 2, LINES) * step / np.ptp(x)
    places, inverse = np.unique(x, return_inverse=True)
    low, high = np.full(len(places), -np.inf), np.full(len(places), np.inf)
    np.maximum.at(low, inverse, y - step / 2)
    np.minimum.at(high, inverse, y + step / 2)
    least = (low - factors[:, np.newaxis] * places).max(axis=1)
    most = (high - factors[:, np.newaxis] * places).min(axis=1)
    best = int(np.argmax(most - least))
    return (float(factors[best]), float(least[best] + most[best]) / 2) if most[best] > least[best] else (factor, term)


# ---- evidence --------------------------------------------------------------------------------------------------
#
# What was fed is told once without a cause and once with it, each as shortly as possible. All of it is counted low:
# frequencies are taken from the very data that they are to tell, so that constants prove as little as they should.


def without_cause(seen: Array, sound: Array) -> float:
    """Bits that tell `seen` by whichever is shortest: as values by themselves; as noise on `sound`; or by what each
    value of `sound` becomes, a table that costs as many bits as the values in it have.
    """
    apart = unlike(sound, seen).ravel()
    if not apart.any():
        return 0.0
    own = _information(seen)
    pairs = np.stack([_numbered(sound), _numbered(seen)])
    table = np.unique(pairs[:, apart], axis=1).shape[1] * 8.0 * seen.itemsize
    becomes = apart.size * (entropy(pairs) - entropy(pairs[0])) + table
    return float(min(own.sum(), _noise(seen.ravel(), sound.ravel(), apart, own), becomes))


def _noise(seen: Array, sound: Array, apart: Mask, own: Array) -> float:
    """Bits that tell where `seen` is apart from `sound`, and by how much; at the ends of its type, to one side only."""
    if seen.dtype.kind not in "iu":
        return float(apart.size * entropy(apart) + own[apart].sum())
    type_, size = np.iinfo(seen.dtype), float(np.abs(seen.astype(np.float64) - sound.astype(np.float64)).max())
    at_end, told = (sound == type_.min) | (sound == type_.max), 0.0
    for group, sides in ((at_end, 1), (~at_end, 2)):
        if group.any():
            told += group.sum() * entropy(apart[group]) + np.minimum(own[group & apart], np.log2(sides * size)).sum()
    return told


def with_cause(seen: Array, low: Array, high: Array, free: Mask | None = None) -> float:
    """Bits that tell `seen`, all of which lies between `low` and `high`: where in between, for each element or, if that
    is shorter, for each value of `low`.

    Of what is `free` the cause says nothing, so that it is told without. All arrays are flat.
    """
    wide = low < high if free is None else (low < high) & ~free
    told = 0.0 if free is None else float(_information(seen)[free].sum())
    if not wide.any():
        return told
    width, place = (high - low)[wide], (seen - low)[wide]
    pairs = np.stack([width, place])
    figures = np.unique(pairs, axis=1).shape[1]  # each frequency costs half the bits of the count
    each = wide.sum() * (entropy(pairs) - entropy(width)) + figures * np.log2(wide.sum() + 1) / 2
    by_value = np.stack([low[wide], width, place])
    table = np.unique(by_value, axis=1)
    of_values = wide.sum() * (entropy(by_value) - entropy(by_value[:2])) + np.log2(table[1] + 1).sum()
    return told + float(min(each, of_values))


def entropy(values: Array) -> float:
    """Bits that one of `values` (of the last axis) tells, by their own frequencies."""
    counts = np.unique(values, axis=-1, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _numbered(values: Array) -> Array:
    """Each of `values`, flat, by its place among all that are there; any NaN is any other."""
    return np.unique(values.ravel(), return_inverse=True)[1].ravel()


def _information(values: Array) -> npt.NDArray[np.float64]:
    """Bits that each of `values`, flat, tells, by their own frequencies; any NaN is any other."""
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    information: npt.NDArray[np.float64] = np.log2(values.size / counts[inverse.ravel()])
    return information
