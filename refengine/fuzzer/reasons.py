"""Why a kernel differs: the dialect under which, or the known fault by which, all differences vanish.

One small case is explained by many a cause; so all failing cases are asked, and the passing ones must stay as they are.
How much that says is weighed: what a cause foretells (which elements differ, and by how much) against what chance would
give, in bits, and against the number of causes tried. Dialects and faults are the judge's; this file alone asks it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..judge.evidence import CERTAIN, Certainty, certainty, choices
from ..judge.faults import FAULTS, dialects
from ..judge.faults import Case as Replay
from ..kernel import Numerics
from ..model import Array
from ..tensors.difference import unlike
from .case import Case

STATE = "state"
"""The cause of what comes of another state than the one that lives on."""

CAUSES = (*(cause for cause in FAULTS if cause not in ("stale buffer", "never written")), STATE)
"""The known faults that a kernel alone can have, and that its door does not tell from garbage."""

FORMS = 3
"""Failing cases that it takes to say of a fault that it shows in one form here and in another there."""

PARTIAL = 0.8
"""A cause under which fewer than this share of the differences vanish explains nothing."""

ANY_FORM = "under one form or another of the fault"

CAUSES_TRIED = 100
"""Dialects and forms of known faults that are asked of a case, at most."""


@dataclass(frozen=True)
class Reason:
    """A cause under which all but `remaining` of the `total` differences in `cases` failing cases vanish.

    `cause` is its class, `how` a clause, `numerics` the dialect if it is one. `bits` is what the evidence weighs beyond
    the number of causes tried, `rivals` how many other causes explain as much.
    """

    cause: str
    how: str
    remaining: int
    total: int
    cases: int
    numerics: Numerics | None = None
    bits: float = 0.0
    rivals: int = 0

    @property
    def complete(self) -> bool:
        return self.remaining == 0

    @property
    def certainty(self) -> Certainty:
        """How far to trust it: a cause that leaves differences unexplained is open, one of several likely at most."""
        return certainty(self.bits, self.rivals) if self.complete else "open"

    def __str__(self) -> str:
        cases = f" in {self.cases} failing cases" if self.cases > 1 else ""
        if not self.complete:
            share = min(99.9, 100 * (1 - self.remaining / self.total))
            return f"{share:.3g} % of the {self.total:,} differences{cases} vanish {self.how}, and not all: open"
        all_ = "the one difference vanishes" if self.total == 1 else f"all {self.total:,} differences{cases} vanish"
        if self.rivals:
            return f"{all_} {self.how}; {_others(self.rivals)} would do as well: {self.certainty}"
        chance = " (which chance may do too)" if self.certainty == "open" else ""
        return f"{all_} {self.how}{chance}: {self.certainty}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        numerics = None if self.numerics is None else str(self.numerics)
        return {**vars(self), "bits": round(self.bits, 1), "numerics": numerics, "certainty": self.certainty}


def _others(count: int) -> str:
    return "another cause" if count == 1 else f"{count} other causes"


def reason(failing: Sequence[tuple[Case, Array]], passing: Sequence[Case]) -> Reason | None:
    """The best reason for what a kernel gave in the `failing` cases, or None if nothing explains most of it."""
    if not failing:
        return None
    total = sum(_apart(case.expected, got) for case, got in failing)
    found = [one for one in _dialects(failing, total) if _spares(one, passing)]
    enough = _weight(failing) - log2(CAUSES_TRIED)
    if enough < CERTAIN or not any(one.complete for one in found):
        found += [one for one in _faults(failing, total) if _spares(one, passing)]
    best = min(found, key=lambda one: one.remaining, default=None)
    if best is None:
        return None
    as_good = {(one.cause, one.numerics) for one in found if one.remaining == best.remaining}
    return replace(best, bits=enough, rivals=len(as_good) - 1)


def of_some(failing: Sequence[tuple[Case, Array]], passing: Sequence[Case]) -> Reason | None:
    """The dialect under which all differences vanish in most of the failing cases, three at least: where a kernel has
    another fault besides."""
    best: Reason | None = None
    for numerics, name in dialects(failing[0][0].numerics).items() if failing else ():
        explained = [(case, got) for case, got in failing if _apart(_under(case, numerics), got) == 0]
        total = sum(_apart(case.expected, got) for case, got in explained)
        one = Reason("dialect", f"under {name}", 0, total, len(explained), numerics)
        if len(explained) >= max(FORMS, best.cases + 1 if best else 0) and _spares(one, passing):
            best = replace(one, bits=_weight(explained) - log2(CAUSES_TRIED))
    return best


def explains(reason: Reason, case: Case, got: Array) -> bool:
    """Whether all differences of one case vanish for this reason."""
    if reason.numerics is not None:
        return _apart(_under(case, reason.numerics), got) == 0
    return any(
        _apart(wrong, got) == 0
        for how, wrong in _variants(reason.cause, case, got)
        if how == reason.how or reason.how.startswith(ANY_FORM)
    )


def _weight(failing: Sequence[tuple[Case, Array]]) -> float:
    """The bits of luck that it takes to foretell by chance which elements differ, and by how much.

    Elements at the ends of their type count for nothing: nearly everything leaves them there. A difference that is
    as often seen as any other tells little.
    """
    bits, steps = 0.0, list[float]()
    for case, got in failing:
        right, given = (np.asarray(x, order="C").reshape(-1) for x in (case.expected, got))
        inside = ~(_at_ends(right) | _at_ends(given))
        apart = unlike(right, given) & inside
        bits += choices(int(inside.sum()), int(apart.sum()))
        with np.errstate(all="ignore"):
            steps += (given[apart].astype(np.float64) - right[apart].astype(np.float64)).tolist()
    counts = Counter(steps)
    return bits + sum(count * log2(len(steps) / count) for count in counts.values())


def _at_ends(codes: Array) -> Array:
    """Where codes are the least or the largest of their type."""
    if codes.dtype.kind not in "iu":
        return np.zeros(codes.shape, np.bool_)
    info = np.iinfo(codes.dtype)
    return np.asarray((codes == info.min) | (codes == info.max))


def _dialects(failing: Sequence[tuple[Case, Array]], total: int) -> Iterator[Reason]:
    for numerics, name in dialects(failing[0][0].numerics).items():
        remaining = sum(_apart(_under(case, numerics), got) for case, got in failing)
        if remaining <= (1 - PARTIAL) * total:
            yield Reason("dialect", f"under {name}", remaining, total, len(failing), numerics)


def _faults(failing: Sequence[tuple[Case, Array]], total: int) -> Iterator[Reason]:
    """The faults that explain most differences; then classes of faults, whose forms vary from case to case."""
    left: dict[tuple[str, str], int] = {}
    before = 0
    for case, got in failing:
        here: dict[tuple[str, str], int] = {}
        own = _apart(case.expected, got)
        for cause in CAUSES if not before else dict.fromkeys(cause for cause, _ in left):
            for how, wrong in _variants(cause, case, got):
                for key in ((cause, how), (cause, "")):
                    here[key] = min(_apart(wrong, got), here.get(key, own))
        left = {key: left.get(key, before) + here.get(key, own) for key in {**left, **here}}
        left = {key: remaining for key, remaining in left.items() if remaining <= (1 - PARTIAL) * total}
        before += own
    for (cause, how), remaining in sorted(left.items(), key=lambda item: not item[0][1]):
        if not how and (remaining or len(failing) < FORMS):
            continue
        yield Reason(cause, how or f"{ANY_FORM} '{cause}'", remaining, total, len(failing))


def _spares(reason: Reason, passing: Sequence[Case]) -> bool:
    """Whether what passed would pass with this cause too."""
    if reason.numerics is not None:
        return all(_apart(_under(case, reason.numerics), case.expected) == 0 for case in passing)
    for case in passing:
        forms = {how: _apart(wrong, case.expected) for how, wrong in _variants(reason.cause, case, case.expected)}
        if reason.how.startswith(ANY_FORM) and forms and all(forms.values()):
            return False  # whatever form it took, this case would have failed
        if forms.get(reason.how):
            return False
    return True


def _variants(cause: str, case: Case, got: Array) -> Iterator[tuple[str, Array]]:
    """What a kind of fault would give in a case, where it can be there at all."""
    if cause == STATE:
        yield from ((how, other.expected) for how, other in _streams(case))
        return
    kept = case.state.memory.get((case.step.subgraph, case.step.index), ())
    replay = Replay(case.fixed, case.numerics, case.arrays, case.expected, got, kept=kept)
    for how, wrong in FAULTS[cause](replay):
        if wrong is not None and wrong.shape == got.shape:
            yield how, wrong


def _streams(case: Case) -> Iterator[tuple[str, Case]]:
    """The same inference in another state, where it is not the first of its stream."""
    if case.before is None:
        return
    yield "if nothing is kept: every inference is as the first", Case(case.plan, case.inputs)
    yield "if its state is that of one inference earlier", replace(case, before=case.before.before)
    if any(each.reset for each in case.stream):
        yield "if a reset is not heeded", _without_resets(case)


def _without_resets(case: Case) -> Case:
    return replace(case, before=case.before and _without_resets(case.before), reset=False)


def _under(case: Case, numerics: Numerics | None) -> Array | None:
    """The output in another dialect, or None where that would refuse."""
    try:
        return case.changed(numerics=numerics).expected
    except UnsupportedError:
        return None


def _apart(one: Array | None, other: Array) -> int:
    """How many elements differ."""
    return other.size if one is None else int(unlike(np.asarray(one, order="C"), np.asarray(other, order="C")).sum())
