"""Why a kernel differs: the dialect under which, or the known fault by which, all differences vanish.

One small case is explained by many a cause; so all failing cases are asked, and the passing ones must stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..judge.faults import FAULTS, dialects
from ..judge.faults import Case as Replay
from ..kernel import Numerics
from ..model import Array
from ..tensors.difference import unlike
from .case import Case

CAUSES = tuple(cause for cause in FAULTS if cause not in ("stale buffer", "never written"))
"""The known faults that a kernel alone can have, and that its door does not tell from garbage."""

FORMS = 3
"""Failing cases that it takes to say of a fault that it shows in one form here and in another there."""

PARTIAL = 0.8
"""A cause under which fewer than this share of the differences vanish explains nothing."""


@dataclass(frozen=True)
class Reason:
    """A cause under which all but `remaining` of the `total` differences in `cases` failing cases vanish.

    `cause` is its class, `how` a clause, `numerics` the dialect if it is one.
    """

    cause: str
    how: str
    remaining: int
    total: int
    cases: int
    numerics: Numerics | None = None

    @property
    def complete(self) -> bool:
        return self.remaining == 0

    def __str__(self) -> str:
        cases = f" in {self.cases} failing cases" if self.cases > 1 else ""
        if self.complete:
            all_ = "the one difference vanishes" if self.total == 1 else f"all {self.total:,} differences{cases} vanish"
            return f"{all_} {self.how}"
        share = min(99.9, 100 * (1 - self.remaining / self.total))
        return f"{share:.3g} % of the {self.total:,} differences{cases} vanish {self.how}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        numerics = None if self.numerics is None else str(self.numerics)
        return {**vars(self), "numerics": numerics}


def reason(failing: Sequence[tuple[Case, Array]], passing: Sequence[Case]) -> Reason | None:
    """The best reason for what a kernel gave in the `failing` cases, or None if nothing explains most of it."""
    if not failing:
        return None
    total = sum(_apart(case.expected, got) for case, got in failing)
    found = [one for one in _dialects(failing, total) if _spares(one, passing)]
    if not any(one.complete for one in found):
        found += [one for one in _faults(failing, total) if _spares(one, passing)]
    return min(found, key=lambda one: one.remaining, default=None)


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
        yield Reason(cause, how or f"under one form or another of the fault '{cause}'", remaining, total, len(failing))


def _spares(reason: Reason, passing: Sequence[Case]) -> bool:
    """Whether what passed would pass with this cause too."""
    if reason.numerics is not None:
        return all(_apart(_under(case, reason.numerics), case.expected) == 0 for case in passing)
    return not any(
        how == reason.how and _apart(wrong, case.expected)
        for case in passing
        for how, wrong in _variants(reason.cause, case, case.expected)
    )


def _variants(cause: str, case: Case, got: Array) -> Iterator[tuple[str, Array]]:
    """What a kind of fault would give in a case, where it can be there at all."""
    for how, wrong in FAULTS[cause](Replay(case.fixed, case.numerics, case.arrays, case.expected, got)):
        if wrong is not None and wrong.shape == got.shape:
            yield how, wrong


def _under(case: Case, numerics: Numerics | None) -> Array | None:
    """The output in another dialect, or None where that would refuse."""
    try:
        return case.changed(numerics=numerics).expected
    except UnsupportedError:
        return None


def _apart(one: Array | None, other: Array) -> int:
    """How many elements differ."""
    return other.size if one is None else int(unlike(np.asarray(one, order="C"), np.asarray(other, order="C")).sum())
