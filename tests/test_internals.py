"""Canaries: what refengine uses of other libraries beyond what they promise, so that an update that changes it is seen.

Bounds in `pyproject.toml` keep to versions in which these hold.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from threadpoolctl import ThreadpoolController

from refengine import KERNELS, Numerics
from refengine.fuzzer import Case, draw
from refengine.fuzzer.unrecorded import BACKEND, Plain, Unrecorded, draws_unrecorded

PYPROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")


def test_hypothesis_takes_a_class_as_a_source_of_choices() -> None:
    assert AVAILABLE_PROVIDERS[BACKEND] is Plain and issubclass(Plain, HypothesisProvider)
    assert "_maybe_draw_constant" in vars(HypothesisProvider), "what Plain keeps from happening"
    asked: list[int] = []

    @settings(backend=BACKEND, database=None, max_examples=5)
    @given(st.integers(0, 9))
    def ask(number: int) -> None:
        asked.append(number)

    ask()
    assert asked


@pytest.mark.parametrize(
    ("op", "dtype"), [("CONV_2D", "int8"), ("SVDF", "int8"), ("CONCATENATION", "float32"), ("RESHAPE", "int16")]
)
def test_without_its_record_hypothesis_draws_the_same(op: str, dtype: str) -> None:
    """Else a case that fails would be another one when it is drawn again, to be shrunk; with it comes the simplest."""
    draws = draw.Draws(op, dtype, Numerics(), False, 7)
    quick, recorded = list[Case](), list[Case]()
    assert draw.generate(draws, quick.append)
    draw._run(draws, recorded.append, KERNELS, Phase.generate)
    drawn, again = ([*map(facts_of, cases)] for cases in (quick, recorded))
    assert len(drawn) > draw.NODES and drawn == again[-len(drawn) :]


def test_a_hypothesis_that_cannot_be_asked_so_draws_with_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its inside may be another one in the next release, which is no reason to fail."""
    assert draws_unrecorded()

    def changed(*_: Any, **__: Any) -> None:
        raise TypeError("another signature")

    monkeypatch.setattr(Unrecorded, "start_span", changed)
    draws_unrecorded.cache_clear()
    try:
        cases = list[Case]()
        assert draw.generate(draw.Draws("RELU", "int8", Numerics(), False, 7), cases.append)
        assert not draws_unrecorded() and len(cases) > draw.NODES
    finally:
        draws_unrecorded.cache_clear()


def facts_of(case: Case) -> tuple[Any, ...]:
    return case.options, case.reset, [x if x is None else (x.shape, x.dtype, x.tobytes()) for x in case.arrays]


def test_threadpoolctl_finds_the_blas_that_numpy_has_here() -> None:
    """Where it does not, nothing is limited; see `test_platforms.py`."""
    np.ones((2, 2)) @ np.ones((2, 2))
    assert [each["user_api"] for each in ThreadpoolController().select(user_api="blas").info()]


@pytest.mark.parametrize("name", ["hypothesis", "tflite"])
def test_what_is_used_beyond_its_promises_has_an_upper_bound(name: str) -> None:
    bounds = re.findall(rf'"{name}(>=[\d.]+,<[\d.]+)"', PYPROJECT)
    assert bounds and not re.search(rf'"{name}>=[\d.]+"', PYPROJECT)
    assert version(name)


def test_the_page_of_platforms_claims_the_lowest_versions_that_are_declared() -> None:
    page = (Path(__file__).parents[1] / "refengine" / "manual" / "platforms.md").read_text(encoding="utf-8")
    claimed = dict(re.findall(r"^\| ([a-z-]+)(?: \([^|]*\))? \| ([\d.]+)", page, re.M))
    section = re.search(r"^dependencies = \[(.*?)^\]", PYPROJECT, re.M | re.S)
    assert section is not None
    declared = dict(re.findall(r'"([a-z-]+)>=([\d.]+)', section[1]))
    beside = {name: re.search(rf'"{name}>=([\d.]+)', PYPROJECT) for name in ("hypothesis", "pytest")}
    assert claimed == declared | {name: found[1] for name, found in beside.items() if found}
