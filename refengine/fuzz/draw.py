"""Cases from Hypothesis: invented, and shrunk where they fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from ..errors import UnsupportedError
from ..kernel import Numerics
from ..plan import make_plan
from ..strategies import inputs_of, model_of, nodes
from .case import Case

NODES = 8
"""Operators that one run of Hypothesis draws. From its tenth example on it repeats earlier ones with small changes, of
which a search learns little; so runs are short, and many."""

INPUTS = 2
"""Cases of each operator drawn: drawing one takes longer than everything else."""


class Enough(BaseException):
    """Raised by whoever has seen enough; no `Exception`, which Hypothesis would take for a test that fails."""


class Fails(Exception):  # noqa: N818
    """Raised for a case that fails in the way that is to be shrunk."""


def generate(op: str, dtype: str, numerics: Numerics, seed: int, attempt: Callable[[Case], None]) -> None:
    """`attempt` the cases of one run, one after the other, until it raises `Enough`."""
    with suppress(Enough):
        _run(op, dtype, numerics, seed, attempt, Phase.generate)


def shrink(op: str, dtype: str, numerics: Numerics, seed: int, attempt: Callable[[Case], None]) -> bool:
    """`attempt` the same cases until one `Fails`, then ever smaller ones; the smallest that fails is tried last of all.

    False if it did not fail again.
    """
    try:
        _run(op, dtype, numerics, seed, attempt, Phase.generate, Phase.shrink)
    except Fails:
        return True
    except HypothesisException:  # says that the test is flaky
        pass
    return False


def _run(op: str, dtype: str, numerics: Numerics, seed: int, attempt: Callable[[Case], None], *phases: Phase) -> None:
    strategy = nodes(op, dtype)
    skip = Phase.shrink not in phases  # the first example, always the simplest: it would be tried in every run

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=1 + NODES,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(st.data())
    def one(data: st.DataObject) -> None:
        nonlocal skip
        model = model_of(data.draw(strategy))
        try:
            plan = make_plan(model, numerics=numerics)
        except UnsupportedError:  # in this dialect
            hypothesis.reject()
        for inputs in data.draw(st.tuples(*[inputs_of(model)] * INPUTS)):
            if not skip:
                attempt(Case(plan, inputs))
        skip = False

    one()
