"""Which functions a test reaches: those it calls, and those that computed what it finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import reach

ENGINE = """
from functools import cache, cached_property

def at_import():
    return 1

ONE = at_import()

@cache
def cached():
    return ONE

class Plan:
    @cached_property
    def kept(self):
        return cached()

def called():
    return 2

def fixed():
    return 3

def collected():
    return 4
"""

TESTS = """
import subprocess, sys
import pytest
from refengine.numerics.sums import Plan, cached, called, collected, fixed

PLAN, FOUR = Plan(), collected()

@pytest.fixture(scope="module")
def three():
    return fixed()

def test_first(three):
    assert cached() == 1 and PLAN.kept == 1 and called() == 2

def test_second(three):
    assert cached() == 1

def test_third():
    assert PLAN.kept == 1

def test_fourth():
    subprocess.run([sys.executable, "-c", ""])
"""


@pytest.mark.slow
def test_what_was_computed_before_is_reached_as_well(tmp_path: Path) -> None:
    for room in reach.ROOMS:
        (folder := tmp_path / room.replace(".", "/")).mkdir(parents=True)
        (folder / "__init__.py").touch()
    (tmp_path / "refengine" / "__init__.py").touch()
    (tmp_path / "refengine" / "numerics" / "sums.py").write_text(ENGINE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_sums.py").write_text(TESTS)
    here = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, reach.__file__, "tests/test_sums.py"], cwd=tmp_path, check=True, env=here)
    known = reach.load(tmp_path, "tests/test_sums.py")
    assert known is not None

    def reaching(name: str | None) -> set[str]:
        found = known.reaching(name and [f"refengine/numerics/sums.py:{name}"])
        return {test.split("::test_")[1] for test in found}

    assert reaching("called") == {"first", "fourth"}  # who starts processes may call anything there
    assert reaching("cached") == {"first", "second", "third", "fourth"}
    assert reaching("kept") == {"first", "third", "fourth"}
    assert reaching("fixed") == {"first", "second", "fourth"}
    assert reaching("collected") == reaching("at_import") == reaching(None) == {"first", "second", "third", "fourth"}
    assert reaching("nothing") == {"fourth"}
    (tmp_path / "tests" / "test_sums.py").write_text(TESTS + "\n")
    assert reach.load(tmp_path, "tests/test_sums.py") is None  # of another file nothing is known


def test_a_line_belongs_to_the_innermost_function() -> None:
    source = "X = 1\ndef outer():\n    def inner():\n        return 1\n    return inner\n"
    found = [reach.function_at(source, "a.py", line) for line in (1, 2, 4, 5)]
    assert found == [None, "a.py:outer", "a.py:inner", "a.py:outer"]
