"""The tool that asks every wheel: the run goes on where it was, and what changed between two wheels is seen."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import repin
import wheels
from oracle import OracleCrash, OracleRefusal, Tflm

from refengine import InputError

OLD, NEW = "0.dev20200101000000", "0.dev20300101000000"
RELU = ["--op", "RELU", "--dtype", "int8", "--cases", "2"]

Asked = dict[str, list[wheels.Question]]


class Wheel(Tflm):
    """A wheel that computes as refengine does, or with a fault planted in it."""

    fault = ""
    calls = 0

    def run_many(self, model: bytes, inputs: Sequence[Sequence[np.ndarray]]) -> list[tuple[np.ndarray, ...]]:
        Wheel.calls += 1
        if self.fault == "refuses":
            raise OracleRefusal("no")
        if self.fault == "crashes":
            raise OracleCrash("died")
        answers = repin.ours(model, [tuple(arrays) for arrays in inputs], "tflm")
        assert not isinstance(answers, str)
        noise = {"other bits": 1, "unsettled": Wheel.calls}.get(self.fault, 0)
        return [tuple(y ^ np.int8(noise) for y in outputs) for _, outputs in answers]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two wheels are published, and each works in this environment."""
    monkeypatch.setattr(wheels, "Tflm", Wheel)
    monkeypatch.setattr(wheels, "published", lambda _: [OLD, NEW])
    monkeypatch.setattr(wheels.Environments, "with_wheel", lambda *_: ("here", Path(sys.executable)))


@pytest.fixture(scope="module")
def asked() -> Asked:
    return {"RELU int8": list(wheels.questions(("RELU", "int8"), 2, 0))}


def answered(asked: Asked, fault: str, monkeypatch: pytest.MonkeyPatch) -> wheels.Answered:
    monkeypatch.setattr(Wheel, "fault", fault)
    return wheels.ask(Path(sys.executable), asked)


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [("", "other bits", "other bits"), ("refuses", "", "runs now"), ("", "crashes", "crashes"), ("", "", "")],
)
def test_what_changed_between_two_wheels_is_seen(
    before: str, after: str, word: str, asked: Asked, planted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (answered(asked, fault, monkeypatch) for fault in (before, after))
    found = wheels.stretches({NEW: new, OLD: old})
    assert sum(stretch.wheels for stretch in found) == 2 and found[0].first == OLD and found[-1].last == NEW
    assert [stretch.changed for stretch in found[1:]] == ([{"RELU int8": Counter({word: 2})}] if word else [])


def test_a_preset_is_held_against_every_answer(asked: Asked, planted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = (answered(asked, fault, monkeypatch) for fault in ("", "other bits"))
    assert right.both == wrong.both == wrong.apart == dict.fromkeys(wheels.PRESETS, 2) and not any(right.apart.values())


def test_the_wheel_that_is_installed_answers_as_its_preset_and_tells_an_older_one(tflm: Tflm) -> None:
    asked = {" ".join(key): list(wheels.questions(key, 16, 0)) for key in [("LEAKY_RELU", "int16")]}
    found = wheels.ask(Path(sys.executable), asked)
    assert found.both == {"tflm": 16, "tflm-2026-08": 16} and found.apart == {"tflm": 0, "tflm-2026-08": 1}


def test_what_a_wheel_answers_differently_each_time_counts_for_nothing(
    asked: Asked, planted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy, right = (answered(asked, fault, monkeypatch) for fault in ("unsettled", ""))
    assert noisy.answers == {"RELU int8": ["unsettled"] * 2} and not any(noisy.both.values())
    assert len(wheels.stretches({OLD: noisy, NEW: right})) == 1


def test_a_run_goes_on_where_it_was(tmp_path: Path, planted: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert wheels.main([str(tmp_path), *RELU]) == 0
    assert "2 wheels have answered 2 questions each" in capsys.readouterr().out
    (tmp_path / f"{NEW}.json").unlink()
    Wheel.calls = 0
    assert wheels.main([str(tmp_path), *RELU]) == 0
    assert Wheel.calls == 4 and json.loads((tmp_path / f"{NEW}.json").read_text())["environment"] == "here"
    assert wheels.main([str(tmp_path), *RELU, "--seed", "1"]) == 2
    assert "has answers to other questions" in capsys.readouterr().err


def test_a_wheel_that_works_nowhere_is_named_with_the_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(repin, "bare_environment", lambda *_: Path(sys.executable))
    monkeypatch.setattr(repin, "put_wheel", lambda *_: None)
    monkeypatch.setattr(repin, "why_not", lambda _: "it does not load")
    assert wheels.main([str(tmp_path), *RELU, "--only", OLD, "--python", "python3.x"]) == 1
    said = capsys.readouterr().out
    assert f"{OLD} could not be asked: python3.x with numpy: it does not load; python3.x with numpy<2: it does" in said


def test_a_python_that_is_not_there_is_told_in_a_sentence() -> None:
    with pytest.raises(InputError, match="no-such-python does not run"):
        wheels.published(["no-such-python"])
