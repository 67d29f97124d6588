"""What is known already, and set aside so that the next fault is found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import InputError, instead, require_names
from ..kernel import Kernels
from ..kernels import KERNELS
from ..model import Array
from .case import Case, Door, KernelError
from .reasons import Reason, explains
from .traits import WORDS, traits


@dataclass(frozen=True)
class Aside:
    """A door that skips what is known: cases with one of some `traits`, failures of some `kinds`, and differences that
    one of the `reasons` explains.

    A trait is a phrase as findings tell it, with ``*`` for anything; ``OPERATOR: trait`` is for one operator alone, and
    a type of tensor is the same as having weights of that type.
    """

    door: Door
    traits: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()

    def __call__(self, case: Case) -> Array | tuple[Array, ...] | None:
        if self.traits and self._is_known(case):
            return None
        try:
            answer = self.door(case)
        except KernelError as error:
            if error.kind in self.kinds:
                return None
            raise
        return None if answer is not None and self._is_explained(case, answer) else answer

    def _is_known(self, case: Case) -> bool:
        """Whether the case has one of the traits."""
        patterns = [pattern for trait in self.traits for pattern in _patterns(trait, case.op)]
        return any(fnmatchcase(trait, pattern) for trait in traits(case) for pattern in patterns)

    def _is_explained(self, case: Case, answer: Array | tuple[Array, ...]) -> bool:
        """Whether the answer is wrong as one of the reasons says."""
        return any(_differs(case, answer, reason) for reason in self.reasons)

    def close(self) -> None:
        """Close the door."""
        close(self.door)


@dataclass(frozen=True)
class Only:
    """A door that skips all failures but those that the `reason` explains."""

    door: Door
    reason: Reason

    def __call__(self, case: Case) -> Array | tuple[Array, ...] | None:
        with suppress(KernelError):
            answer = self.door(case)
            if answer is not None and _differs(case, answer, self.reason):
                return answer
        return None

    def close(self) -> None:
        """Close the door."""
        close(self.door)


def _differs(case: Case, answer: Array | tuple[Array, ...], reason: Reason) -> bool:
    """Whether an answer is wrong, and that as the reason says."""
    got = answer[0] if isinstance(answer, tuple) else answer
    if len(case.step.writes) != 1 or (got.dtype, got.shape) != (case.expected.dtype, case.expected.shape):
        return False
    return got.tobytes() != case.expected.tobytes() and explains(reason, case, got)


def close(door: Door) -> None:
    """Close a door that can be closed."""
    if (closing := getattr(door, "close", None)) is not None:
        closing()


def _patterns(trait: str, op: str) -> tuple[str, ...]:
    """The traits that are meant by what a user gives."""
    name, colon, rest = trait.partition(": ")
    if colon and name != op:
        return ()
    wanted = rest if colon else trait
    is_type = " " not in wanted and any(fnmatchcase(each, wanted) for each in TYPES)
    return (f"{wanted} for the filter", f"{wanted} for the weights") if is_type else (wanted,)


TYPES = ("int4", "int8", "int16", "float32")
"""Those of weights."""

ALONE = (*TYPES, "padding")
"""The traits of one word; all others are phrases."""

WORD = re.compile(r"(?<![^\s])[a-z]{2,}(?![^\s])")
"""A word of letters alone, beside numbers, names of options, and what has a ``*``."""


def require_traits(exclude: Sequence[str], kernels: Kernels) -> None:
    """Raise `InputError` for a trait that no case has: of an operator without a kernel, or with a word that is in none.

    Kernels of one's own may have options of any name, so that their traits are not held to words.
    """
    require_names(exclude, "traits")
    ops = {op for op, _ in kernels}
    for trait in exclude:
        name, colon, rest = trait.partition(": ")
        wanted = rest if colon else trait
        if colon and name not in ops:
            raise InputError(
                f"exclude: {trait!r} is for the operator {name!r}{instead(name, ops)}, which has no kernel"
            )
        if " " not in wanted and not any(fnmatchcase(word, wanted) for word in ALONE):
            raise InputError(
                f"exclude: no case has the trait {wanted!r}{instead(wanted, ALONE)}; give it as findings tell it, such "
                "as 'groups of channels', or the weights' type, such as int4"
            )
        for word in WORD.findall(wanted) if kernels.keys() <= KERNELS.keys() and wanted not in ALONE else ():
            if word not in WORDS and word not in TYPES:
                raise InputError(
                    f"exclude: no trait has the word {word!r}{instead(word, WORDS)}, as {trait!r} does; give it as "
                    "findings tell it, such as 'groups of channels'"
                )
