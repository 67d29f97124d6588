"""What a device was fed, held against the sample: which `Preparation` it was, and how much speaks for it.

`fed` judges an input that is known, as it stands in a dump; `fitting` tries inputs through the network where only later
tensors are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InferenceError
from ..execute import execute, tile_size
from ..identity import identity
from ..model import Array
from ..plan import Plan, State
from ..tensors.difference import Difference, difference, unlike
from .evidence import MARGIN, Certainty, certainty
from .preparation import Mask, Placed, Preparation, Real, Sample, Way, fills, moved, parts, preparations

PROBES = 256
"""Elements on which a preparation is tried before it is tried on all."""

SHOWN = 0.8
"""What explains less than this share of the elements is not worth a line."""

PARAMETERS = 40.0
"""Bits that two real numbers cost which are fitted to the data."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """A preparation, which explains `explained` of `total` elements.

    If that is all of them, it is worth `bits` (see `evidence`): so much shorter is what was fed to tell with it than
    without, less what it takes to choose it among all that were tried.
    """

    preparation: Preparation
    explained: int
    total: int
    bits: float = 0.0

    @property
    def complete(self) -> bool:
        return self.explained == self.total

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
    comes close. `constant` is whether all its elements are the same, and `tried` how many preparations were tried.
    """

    sample: Sample
    difference: Difference | None
    explanations: tuple[Explanation, ...] = ()
    constant: bool = False
    tried: int = 0

    @property
    def right(self) -> bool:
        return self.difference is None

    @property
    def fitting(self) -> tuple[Explanation, ...]:
        """What explains all of it and can't be told from the best."""
        found = [each for each in self.explanations if each.complete]
        return tuple(each for each in found if found[0].bits - each.bits < MARGIN)

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
            return "the input is right: every element is as it should be"
        best, count = self.fitting[:4], f"{self.difference.count:,} of its {self.difference.size:,} elements differ"
        says = ", or ".join(each.preparation.says for each in best)
        if self.certainty == "certain":
            return f"the input {says}: that explains all its {self.difference.size:,} elements, certain"
        if self.certainty == "likely":
            return f"the input {says}: {count}, and that explains them all, likely"
        if self.constant:
            also = f", or {says}" if best else ""
            return f"the input holds {self.difference.theirs:g} everywhere: perhaps it was never written{also}; open"
        if best:
            return f"the input differs: {count}, too few to tell why; perhaps it {says}; open"
        return (
            f"the input differs: {count}, and no known preparation of this sample explains them; perhaps it is "
            "another sample, such as the previous one; open"
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "tensor": identity(self.sample.tensor),
            "right": self.right,
            "certainty": self.certainty,
            "cause": self.cause,
            "verdict": self.verdict,
            "difference": self.difference and self.difference.as_dict(),
            "explanations": [each.as_dict() for each in self.explanations],
            "tried": self.tried,
        }


def fed(sample: Sample, seen: Array, previous: Sequence[Sample] = (), others: Sequence[tuple[Way, Sample]] = ()) -> Fed:
    """Judge `seen`, what a device was fed in the tensor's dtype and shape, by the sample that it should have been.

    `previous` are samples of inferences before, `others` samples that the same picture may have become, each with how.
    """
    apart = difference(sample.tensor, sample.codes, seen)
    if apart is None:
        return Fed(sample, None)
    trial = _Trial(sample, seen, [*preparations(sample, previous, others)], previous)
    found = _ranked([*trial.explanations(), *trial.halves(), *trial.moves(), *trial.lines()])
    constant = len(np.unique(seen)) == 1
    return Fed(sample, apart, found or trial.closest(), constant, len(trial.tried))


def _ranked(found: Iterable[Explanation]) -> tuple[Explanation, ...]:
    """The best first, one of each kind; two departures only where they explain better than any one does."""
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
        low, high, free = preparation.predicted(at)
        seen = self.flat if at is None else self.flat[at]
        if self.sample.is_float:
            inside = ((low <= seen) & (seen <= high)) | (np.isnan(low) & np.isnan(seen))
        else:
            inside = np.mod(seen - low, self.sample.period) <= high - low
        return np.asarray(free | inside)

    def explanation(self, preparation: Preparation, parameters: float = 0.0) -> Explanation:
        """With the evidence for it; `parameters` are bits that it was fitted to the data by."""
        ways = len(preparation.ways)
        explained, total = int(self.explained(preparation).sum()), self.sample.size
        choice = np.log2(sum(len(each.ways) <= ways for each in self.tried)) + parameters
        bits = 0.0
        if explained == total:
            low, high, free = preparation.predicted()
            if self.sample.is_float:
                low = high
            within = low + np.mod(self.flat - low, self.sample.period)
            bits = self.null - with_cause(np.where(free, self.flat, within), low, high, free) - choice
        return Explanation(preparation, explained, total, float(bits))

    def explanations(self) -> Iterator[Explanation]:
        """Those that explain everything."""
        for preparation in self.tried:
            if self.explained(preparation, self.probes).all():
                found = self.explanation(preparation)
                if found.complete:
                    yield found

    def closest(self) -> tuple[Explanation, ...]:
        """The one that explains most, if that is more than the sound input does."""
        counts = [int(self.explained(each, self.probes).sum()) for each in self.tried]
        best = self.explanation(self.tried[int(np.argmax(counts))])
        sound = self.sample.size - int(unlike(self.sample.codes, self.seen).sum())
        return (best,) if best.explained > max(sound, SHOWN * best.total) else ()

    def halves(self) -> Iterator[Explanation]:
        """Inputs of which only a part was written, from where they begin to differ on or up to there."""
        singles = [each for each in self.tried if len(each.ways) == 1 and not isinstance(each.ways[0], Placed)]
        for base in (Preparation((), self.sample), *singles):
            wrong = np.flatnonzero(~self.explained(base))
            if (
                not wrong.size
                or np.all(self.flat == self.flat[0])
                or 4 * min(wrong[0], self.sample.size - 1 - wrong[-1]) > 3 * self.sample.size
            ):
                continue
            yield from self._filled(base, int(wrong[0]), int(wrong[-1]) + 1)

    def _filled(self, base: Preparation, first: int, end: int) -> Iterator[Explanation]:
        """A part of what `base` makes: up to element `first`, or from `end` on."""
        size = self.sample.size
        values = [*fills(self.sample).items(), *(("the previous sample", each.codes.ravel()) for each in self.previous)]
        for name, value in values:
            for at, place in ((first, 0), (end, 1)):
                if 0 < at < size:
                    way = [*parts(self.sample, at, name, value.astype(np.float64))][place]
                    found = self.explanation(Preparation((*base.ways, way), base.sample), float(np.log2(2 * size)))
                    if found.complete:
                        yield found

    def moves(self) -> Iterator[Explanation]:
        """The sound input moved by any number of rows and columns, or of elements: by where it correlates best."""
        sound, size = self.sample.codes.astype(np.float64), self.sample.size
        if not np.isfinite(sound).all() or not np.isfinite(self.flat).all() or size < 4:
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
        factor, term = np.polyfit(x, y, 1)
        says = f"holds about {factor:.4g} times each real value {term:+.4g}"
        way = Real("scaled", says, self.sample.real.map(lambda each: factor * each + term))
        yield from self._complete([way], PARAMETERS)

    def _complete(self, ways: Iterable[Way], parameters: float) -> Iterator[Explanation]:
        for way in ways:
            found = self.explanation(Preparation((way,), self.sample), parameters)
            if found.complete:
                yield found


# ---- evidence --------------------------------------------------------------------------------------------------
#
# What was fed is told once without a cause and once with it, each as shortly as possible. All of it is counted low:
# frequencies are taken from the very data that they are to tell, so that constants prove as little as they should.


def without_cause(seen: Array, sound: Array) -> float:
    """Bits that tell `seen`: as values by themselves, or as changes of `sound` at some places, whichever are fewer."""
    apart = unlike(sound, seen).ravel()
    if not apart.any():
        return 0.0
    own = _information(seen)
    size = np.inf
    if seen.dtype.kind in "iu":  # changes are small where codes are rounded otherwise
        size = float(np.abs(seen.astype(np.float64) - sound.astype(np.float64)).max())
    changes = np.minimum(own[apart], np.log2(2 * size))
    return float(min(own.sum(), apart.size * entropy(apart) + changes.sum()))


def with_cause(seen: Array, low: Array, high: Array, free: npt.NDArray[np.bool_] | None = None) -> float:
    """Bits that tell `seen`, all of which lies between `low` and `high`: where in between.

    Of what is `free` the cause says nothing, so that it is told without. All arrays are flat.
    """
    wide = low < high if free is None else (low < high) & ~free
    told = 0.0 if free is None else float(_information(seen)[free].sum())
    if wide.any():
        width, place = (high - low)[wide], (seen - low)[wide]
        pairs = np.stack([width, place])
        figures = np.unique(pairs, axis=1).shape[1]  # each frequency costs half the bits of the count
        told += wide.sum() * (entropy(pairs) - entropy(width)) + figures * np.log2(wide.sum() + 1) / 2
    return told


def entropy(values: Array) -> float:
    """Bits that one of `values` (of the last axis) tells, by their own frequencies."""
    counts = np.unique(values, axis=-1, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _information(values: Array) -> npt.NDArray[np.float64]:
    """Bits that each of `values`, flat, tells, by their own frequencies; any NaN is any other."""
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    information: npt.NDArray[np.float64] = np.log2(values.size / counts[inverse.ravel()])
    return information


# ---- through the network ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fit:
    """Inputs tried through the network: `unlike` are the elements that differ from the device's, by tensor index."""

    preparation: Preparation
    inputs: tuple[Array, ...]
    unlike: Mapping[int, int]

    @property
    def complete(self) -> bool:
        return not any(self.unlike.values())


def fitting(
    plan: Plan,
    samples: Sequence[Sample],
    seen: Mapping[int, Array],
    tried: Iterable[Preparation],
    state: State | None = None,
) -> list[Fit]:
    """What a sound device would compute of each preparation, held against the tensors that were `seen`, by index.

    `samples` are those of all inputs; each preparation changes its own, and whatever gives the same input as one before
    is left out. Those that explain most come first. Preparations whose inference fails explain nothing.
    """
    distinct: dict[bytes, tuple[Preparation, tuple[Array, ...]]] = {}
    for preparation in tried:
        given = tuple(preparation.fed() if each.index == preparation.sample.index else each.codes for each in samples)
        distinct.setdefault(b"".join(x.tobytes() for x in given), (preparation, given))
    waiting, fits = iter(distinct.values()), list[Fit]()
    size = tile_size(plan) if all(t.shape[:1] == (1,) for t in plan.inputs) and not plan.initial else 1
    while tile := [*islice(waiting, size)]:
        counts = _counts(plan, [given for _, given in tile], seen, state)
        fits += [Fit(p, given, c) for (p, given), c in zip(tile, counts, strict=True) if c]
    return sorted(fits, key=lambda fit: sum(fit.unlike.values()))


def _counts(
    plan: Plan, given: Sequence[tuple[Array, ...]], seen: Mapping[int, Array], state: State | None
) -> list[dict[int, int]]:
    """For each of some inputs and for each tensor seen, how many elements are other than a sound device's."""
    batch = [np.concatenate(xs) if len(xs) > 1 else xs[0] for xs in zip(*given, strict=True)]
    counts: list[dict[int, int]] = [{} for _ in given]
    waiting = set(seen)
    try:
        for record in execute(plan, *batch, state=state):
            for tensor, output in zip(record.step.outputs, record.outputs, strict=True):
                if not record.path and tensor.index in waiting:
                    waiting.discard(tensor.index)
                    mine = output.reshape(len(given), -1)
                    theirs = np.broadcast_to(seen[tensor.index].ravel(), mine.shape)
                    for count, n in zip(counts, unlike(mine, theirs).sum(axis=1).tolist(), strict=True):
                        count[tensor.index] = n
            if not waiting:
                break
    except InferenceError:
        return counts if len(given) == 1 else [c for g in given for c in _counts(plan, [g], seen, state)]
    return counts
