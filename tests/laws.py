"""Laws tried on many drawn cases, for which Hypothesis' record of who chose what would take most of the time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any
from unittest import SkipTest
from zlib import crc32

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import StopTest, UnsatisfiedAssumption

from refengine.fuzzer.unrecorded import BACKEND, draws_unrecorded, unrecorded

MISSES = 10
"""How many draws a case may take, as with Hypothesis: more is a strategy to be mended."""


def holds(law: Callable[..., None], count: int, *strategies: st.SearchStrategy[Any]) -> None:
    """Try a law on so many cases, an argument from each of `strategies`, the same ones every time.

    They are drawn without a record; once one fails, all are drawn again with it, and Hypothesis shrinks and reports.
    """
    seed, cases = crc32(law.__qualname__.encode()), st.tuples(*strategies)
    if not draws_unrecorded():
        return recorded(law, count, seed, cases)
    try:
        quickly(law, count, seed, cases)
    except SkipTest:
        raise
    except (Exception, pytest.fail.Exception) as error:
        failure = error
    else:
        return
    recorded(law, count, seed, cases)
    raise failure  # as it did not come again


def quickly(law: Callable[..., None], count: int, seed: int, cases: st.SearchStrategy[tuple[Any, ...]]) -> None:
    """The cases without a record."""
    random = Random(seed)
    tried = drawn = 0
    while tried < count:
        assert drawn < MISSES * count, f"only {tried} of {drawn} draws are cases of the law"
        drawn += 1
        try:
            with unrecorded(random) as data:
                law(*data.draw(cases))
            tried += 1
        except (UnsatisfiedAssumption, StopTest):
            pass


def recorded(law: Callable[..., None], count: int, seed: int, cases: st.SearchStrategy[tuple[Any, ...]]) -> None:
    """The same cases by Hypothesis itself, which begins with the simplest one."""

    @settings(max_examples=1 + count, derandomize=False, backend=BACKEND, suppress_health_check=list(HealthCheck))
    @hypothesis.seed(seed)
    @given(cases)
    def one(case: tuple[Any, ...]) -> None:
        law(*case)

    one()
