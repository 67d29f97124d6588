"""The kit finds each kind of bug that public reports tell of, and nothing in kernels that have none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fuzzer.planted import HERE, OPERATORS, OTHERS, PLANTS, SEARCHED, Plant, built, searched, tried

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("planted"))


def test_every_bug_is_planted() -> None:
    named = set(re.findall(r"\bBUG\((\w+)\)", (HERE / "planted.c").read_text(encoding="utf-8")))
    assert named - {"BUG", "NONE"} == {plant.bug for plant in (*PLANTS, *SEARCHED)}


@pytest.mark.parametrize(("op", "dtype"), OPERATORS, ids=["-".join(pair) for pair in OPERATORS])
def test_sound(op: str, dtype: str, library: Path) -> None:
    result = tried(library, "NONE", op, dtype)
    assert result.finding is None, result.finding
    assert result.cases == 1000 and result.skipped <= 500


@pytest.mark.parametrize(("op", "dtype"), OTHERS, ids=["-".join(pair) for pair in OTHERS])
def test_sound_others(op: str, dtype: str, library: Path) -> None:
    result = tried(library, "NONE", op, dtype, cases=150)
    assert result.finding is None, result.finding
    assert result.cases == 150 and result.skipped < 15


@pytest.mark.parametrize("plant", SEARCHED, ids=str)
def test_searched(plant: Plant, library: Path) -> None:
    found = searched(library, plant)
    assert found is not None, "nothing found in 1,000 cases"
    assert found[1] in plant.kinds


def test_a_claimed_dialect_is_no_finding(library: Path) -> None:
    assert tried(library, "SINGLE_ROUNDING", "CONV_2D", "int8", rounding="single").finding is None


def with_long(plants: Sequence[Plant]) -> list[Any]:
    """The first of each operator and type for `make test`, the others for `make long`."""
    first = {(plant.op, plant.dtype): plant for plant in reversed(plants)}
    quick = {plant.bug for plant in first.values()} | {"SINGLE_ROUNDING", "CRASHES", "SHIFT_31", "HALF_UP"}
    return [p if p.bug in quick else pytest.param(p, marks=pytest.mark.long) for p in plants]


@pytest.mark.parametrize("plant", with_long(PLANTS), ids=str)
def test_found(plant: Plant, library: Path, record_property: Callable[[str, object], None]) -> None:
    result = tried(library, plant.bug, plant.op, plant.dtype, rounding=plant.claims)
    assert result.finding is not None, f"{result.cases} cases, and nothing found"
    assert result.first is not None and result.first <= 1000
    record_property("first", result.first)
    found = result.finding
    assert found.outcome.kind in plant.kinds, found.outcome
    assert plant.explained in str(found.reason or "")
    assert found.case.expected.size <= 40, "what was found is small"
