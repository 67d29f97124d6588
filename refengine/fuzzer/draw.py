"""Cases from Hypothesis: invented, and shrunk where they fail.

They are drawn in two ways. Most cases pass, and are only `generate`d: without Hypothesis' record, as long as it lets
itself be asked so. A case that fails is drawn again with that record, from the same seed and so the same case, and
shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random
from typing import NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException, StopTest, Unsatisfiable, UnsatisfiedAssumption
from hypothesis.internal.conjecture.data import ConjectureData

from ..errors import InferenceError, UnsupportedError
from ..kernel import Draw, Kernel, Kernels, Node, Numerics
from ..kernels import KERNELS
from ..model import Array
from ..plan import Plan, make_plan
from ..strategies import inputs_of, model_of
from ..strategies.toolbox import Toolbox
from .case import Case
from .spec import within_spec
from .unrecorded import BACKEND, draws_unrecorded, unrecorded

NODES = 25
"""Operators that one run of Hypothesis draws: few, since shrinking begins with the whole run."""

REFUSED = 400
"""Operators that the dialect may refuse for each that it does not, and before the first, until a run ends."""

INPUTS, STREAM = 2, 5
"""Cases of each operator drawn, without and with state: drawing one takes longer than everything else."""

RESETS = st.sampled_from((False, False, True))
"""Whether a reset comes before an inference."""


class Enough(BaseException):
    """Raised by whoever has seen enough; no `Exception`, which Hypothesis would take for a test that fails."""


class Fails(Exception):  # noqa: N818
    """Raised for a case that fails in the way that is to be shrunk."""


class Wide(Toolbox):
    """Draws one number of channels that is beyond what kernels may have room for, the `turn`-th, and small others."""

    def __init__(self, turn: int) -> None:
        self.turn = turn

    def channels(self) -> st.SearchStrategy[int]:
        self.turn -= 1
        return WIDE if self.turn == -1 else FEW

    def image(self) -> st.SearchStrategy[tuple[int, ...]]:
        return st.tuples(st.just(1), FEW, FEW, self.channels())


WIDE, FEW = st.sampled_from((513, 257, 600, 520, 300)), st.integers(1, 3)

WIDELY = st.sampled_from((None,) * 9 + (0, 0, 1))
"""Which number of channels is a wide one, if any: mostly the first, the input's."""


class Draws(NamedTuple):
    """What determines the cases of one run of Hypothesis; `spec` is whether they keep to TFLite's specification."""

    op: str
    dtype: str
    numerics: Numerics
    spec: bool
    seed: int


def generate(draws: Draws, attempt: Callable[[Case], None], kernels: Kernels = KERNELS) -> bool:
    """`attempt` the cases of one run, one after the other, until it raises `Enough`.

    False if there was none to be had: the dialect refuses the operator.
    """
    if not draws_unrecorded():
        return _generate_recorded(draws, attempt, kernels)
    strategy, random = _nodes(kernels[draws.op, draws.dtype], draws.spec), Random(draws.seed)
    count = refused = 0
    while count < NODES and refused <= REFUSED * (1 + count):
        try:
            with unrecorded(random) as data:
                for case in _drawn(draws, data, strategy, kernels):
                    attempt(case)
            count += 1
        except (UnsatisfiedAssumption, StopTest):
            refused += 1
        except Enough:
            return True
    return count > 0


def _generate_recorded(draws: Draws, attempt: Callable[[Case], None], kernels: Kernels) -> bool:
    """`generate` as Hypothesis itself would, the simplest case before the others."""
    try:
        _run(draws, attempt, kernels, Phase.generate)
    except Enough:
        pass
    except Unsatisfiable:
        return False
    return True


def shrink(draws: Draws, attempt: Callable[[Case], None], kernels: Kernels = KERNELS) -> bool:
    """`attempt` the same cases until one `Fails`, then ever smaller ones; the smallest that fails is tried last of all.

    False if it did not fail again.
    """
    try:
        _run(draws, attempt, kernels, Phase.generate, Phase.shrink)
    except Fails:
        return True
    except HypothesisException:  # says that the test is flaky
        pass
    return False


def _drawn(
    draws: Draws, data: st.DataObject | ConjectureData, strategy: st.SearchStrategy[Node], kernels: Kernels
) -> Iterator[Case]:
    """The cases of one operator, which Hypothesis rejects where the dialect refuses it."""
    model = model_of(data.draw(strategy))
    try:
        plan = make_plan(model, numerics=draws.numerics, kernels=kernels)
    except UnsupportedError:  # in this dialect
        hypothesis.reject()
    count = STREAM if plan.initial else INPUTS
    return _cases(plan, data.draw(st.tuples(*[inputs_of(model)] * count)), data)


def _cases(plan: Plan, inferences: Sequence[tuple[Array, ...]], data: st.DataObject | ConjectureData) -> Iterator[Case]:
    """The cases of these inputs but those on which TFLM's Invoke fails: alone, or of a stream where there is state."""
    before = None
    for inputs in inferences:
        case = Case(plan, inputs, before, before is not None and data.draw(RESETS))
        with suppress(InferenceError):
            case.record  # noqa: B018
            yield case
        before = case if plan.initial else None


@st.composite
def _nodes(draw: Draw, kernel: Kernel, spec: bool) -> Node:
    """Random nodes of one operator, some of them wide."""
    turn = draw(WIDELY)
    node = kernel.example(draw, Toolbox() if turn is None else Wide(turn))
    return within_spec(node, kernel.facts) if spec else node


def _run(draws: Draws, attempt: Callable[[Case], None], kernels: Kernels, *phases: Phase) -> None:
    """All cases of one run, recorded, with the simplest one of all before them."""
    strategy = _nodes(kernels[draws.op, draws.dtype], draws.spec)

    @hypothesis.seed(draws.seed)
    @hypothesis.settings(
        max_examples=1 + NODES,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        backend=BACKEND,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(st.data())
    def one(data: st.DataObject) -> None:
        for case in _drawn(draws, data, strategy, kernels):
            attempt(case)

    one()
