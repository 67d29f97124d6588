"""Drawing from Hypothesis' strategies without its record of who chose what, which takes longer than everything else.

The same seed draws the same cases with that record and without, so that one that fails is drawn again, and shrunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.control import BuildContext
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

T = TypeVar("T")

BACKEND = "refengine"
"""What Hypothesis calls the source of choices that both ways share."""


class Plain(HypothesisProvider):
    """Hypothesis' own source of choices without the constants that it finds in whatever modules are loaded: the same
    seed must draw the same cases in every process. As a backend of its own it also draws every case afresh, where
    Hypothesis likes to repeat earlier ones with small changes."""

    def _maybe_draw_constant(self, *_: Any, **__: Any) -> None:
        return None


AVAILABLE_PROVIDERS[BACKEND] = Plain


class Unrecorded(ConjectureData):
    """What strategies draw from, with the same choices for the same random source, but none of them written down."""

    def draw(self, strategy: st.SearchStrategy[T], label: Any = None, observe_as: Any = None) -> T:
        return strategy.do_draw(self)

    def _draw(self, choice_type: str, constraints: Any, *, observe: bool, forced: Any) -> Any:
        return getattr(self.provider, f"draw_{choice_type}")(**constraints) if forced is None else forced

    def _pooled_constraints(self, choice_type: str, constraints: Any) -> Any:
        return constraints

    def start_span(self, label: int) -> None:
        self.depth += 1

    def stop_span(self, *, discard: bool = False) -> None:
        self.depth -= 1


class Unprinted(BuildContext):
    """What strategies tell how they made a value, for the report of one that fails."""

    def record_call(self, *_: Any, **__: Any) -> None:
        pass


@contextmanager
def unrecorded(random: Random) -> Iterator[ConjectureData]:
    """What one case is drawn from; raises `UnsatisfiedAssumption` or `StopTest` where there is none in it."""
    data = Unrecorded(random=random, provider=Plain)
    with Unprinted(data, wrapped_test=unrecorded):
        yield data


@cache
def draws_unrecorded() -> bool:
    """Whether this Hypothesis lets itself be asked so: its inside may change with any release."""
    with suppress(Exception), unrecorded(Random(0)) as data:
        data.draw(st.lists(st.integers(0, 9) | st.sampled_from("ab") | st.floats(0, 1), min_size=1, max_size=20))
        return True
    return False
