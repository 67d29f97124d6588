"""The tool that looks at another wheel: what changed is found and named, and only then is the pin moved."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import repin
from oracle import OracleCrash, OracleRefusal, Tflm

from refengine import InputError
from refengine.kernels._tflm import CUSTOM_OPS, TFLM_OPS

OLD, NEW = "0.dev20200101000000", "0.dev20300101000000"
RELU = ["--op", "RELU", "--dtype", "int8", "--cases", "3"]


class OffByOne(Tflm):
    """A wheel whose every element is wrong."""

    def run_many(self, model: bytes, inputs: Sequence[Sequence[np.ndarray]]) -> list[tuple[np.ndarray, ...]]:
        return [(y ^ 1,) for (y,) in super().run_many(model, inputs)]


class Refusing(Tflm):
    def run_many(self, model: bytes, inputs: Any) -> Any:
        raise OracleRefusal("no")


class Crashing(Tflm):
    def run_many(self, model: bytes, inputs: Any) -> Any:
        raise OracleCrash("died")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tflm: Tflm) -> Path:
    """A project that pins `OLD`; any other wheel is the one that is installed here."""
    path = tmp_path / "pyproject.toml"
    path.write_text(f'    "tflite-micro=={OLD}; sys_platform",\n')
    monkeypatch.setattr(repin, "PYPROJECT", path)
    monkeypatch.setattr(repin, "environment", lambda *_: Path(sys.executable))
    monkeypatch.setattr(repin, "installed", lambda: OLD)
    monkeypatch.setattr(repin, "registered", lambda _: {"RELU"})
    return path


def test_the_pin_moves_where_nothing_changed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert repin.main([NEW, *RELU]) == 0
    assert project.read_text() == f'    "tflite-micro=={NEW}; sys_platform",\n'
    assert "0 of 1 pairs of operator and type changed, 3 cases each" in capsys.readouterr().out


def test_a_dry_run_leaves_the_pin(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert repin.main([NEW, *RELU, "--dry-run", "--json"]) == 0
    assert OLD in project.read_text()
    assert json.loads(capsys.readouterr().out) == {"old": OLD, "new": NEW, "added": [], "gone": [], "changes": []}


@pytest.mark.parametrize(
    ("other", "word", "presets"),
    [(OffByOne, "other bits", set()), (Refusing, "refuses", None), (Crashing, "crashes", None)],
)
def test_what_changed_is_named(other: type[Tflm], word: str, presets: set[str] | None, tflm: Tflm) -> None:
    with other() as there:
        (found,) = repin.compare([("RELU", "int8")], 3, 0, tflm, there)
    assert found.counts == {"cases": 3, word: 3} and found.presets == presets


def test_what_another_wheel_runs_at_last_is_told_with_the_presets_that_agree(tflm: Tflm) -> None:
    with Refusing() as here:
        (found,) = repin.compare([("RELU", "int8")], 3, 0, here, tflm)
    assert found.counts["runs now"] == 3 and found.presets is not None and "tflm" in found.presets


@pytest.mark.slow
def test_the_wheel_registers_the_operators_that_refengine_says_it_does(tflm: Tflm) -> None:
    assert repin.registered(tflm) == {*TFLM_OPS, *CUSTOM_OPS}


def test_a_python_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="makes no environment"):
        repin.environment(NEW, tmp_path, "no-such-python")


def test_a_project_without_a_pin_is_told_in_a_sentence() -> None:
    with pytest.raises(InputError, match="pins no tflite-micro"):
        repin.pinned("dependencies = []")


def test_the_wheel_installed_must_be_the_pinned_one() -> None:
    with pytest.raises(InputError, match=f"tflite-micro {OLD} is pinned, and .* is installed"):
        repin.pinned(f"tflite-micro=={OLD}")
