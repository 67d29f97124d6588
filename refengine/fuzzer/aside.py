"""What is known already, and set aside so that the next fault is found."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..model import Array
from .case import Case, Door, KernelError
from .reasons import Reason, explains
from .traits import traits


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
        got = answer[0] if isinstance(answer, tuple) else answer
        if not self.reasons or len(case.step.writes) != 1 or got.shape != case.expected.shape:
            return False
        if got.dtype != case.expected.dtype or got.tobytes() == case.expected.tobytes():
            return False
        return any(explains(reason, case, got) for reason in self.reasons)

    def close(self) -> None:
        """Close the door."""
        if (close := getattr(self.door, "close", None)) is not None:
            close()


def _patterns(trait: str, op: str) -> tuple[str, ...]:
    """The traits that are meant by what a user gives."""
    name, colon, rest = trait.partition(": ")
    if colon and name != op:
        return ()
    wanted = rest if colon else trait
    return (f"{wanted} for the filter", f"{wanted} for the weights") if " " not in wanted else (wanted,)
