"""The conformance tool finds what is wrong, counts it, saves it, and says so in its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import conformance
import numpy as np
import pytest
from conformance import Task, examine, examine_all, judge, main, save
from dice import drawn
from oracle import Tflm
from rich.console import Console

from refengine import UnsupportedError
from refengine.execute import infer
from refengine.plan import State
from refengine.tensors.difference import unlike

KEY = ("MAX_POOL_2D", "int8")
QUIET = Console(quiet=True)


class Inline(Executor):
    """Runs each task when it is submitted; the one numbered `interrupted` is cut short by Ctrl-C."""

    def __init__(self, interrupted: int = -1) -> None:
        self.left = interrupted

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.left == 0:
            future.set_exception(KeyboardInterrupt())
        else:
            future.set_result(fn(*args, **kwargs))
        self.left -= 1
        return future


def off_by_one(*arguments: object) -> tuple[tuple[np.ndarray, ...], State]:
    """What `infer` would return, its first element wrong."""
    (y,), state = infer(*arguments)  # type: ignore[arg-type]
    wrong = y.copy()
    wrong.flat[0] ^= 1
    return (wrong,), state


def refuse(*_: object) -> None:
    raise UnsupportedError("no")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (np.array([1, 2], np.int8), np.array([1, 3], np.int8), [False, True]),
        (np.array([0.0, 1.0], np.float32), np.array([-0.0, 1.0], np.float32), [True, False]),
        (np.array([np.nan, np.nan], np.float32), np.array([-np.nan, 1.0], np.float32), [False, True]),
        (np.float32(1.0), np.float32(1.0), False),
    ],
)
def test_differing_is_bitwise_but_for_nan(a: np.ndarray, b: np.ndarray, expected: object) -> None:
    assert unlike(np.asarray(a), np.asarray(b)).tolist() == expected


def test_copies_keep_the_bits_of_nan() -> None:
    nan = np.array([0x7FC00001, 0x7FC00002], np.uint32).view(np.float32)
    assert not unlike(nan, nan, same_nan=True).any()
    assert unlike(nan, nan[::-1], same_nan=True).all()


@pytest.mark.parametrize(("fake", "kind"), [(infer, "equal"), (off_by_one, "differing"), (refuse, "disputed")])
def test_verdicts(fake: object, kind: str, tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    ((model, runs),) = drawn(*KEY, 1, 0)
    monkeypatch.setattr(conformance, "infer", fake)
    assert judge(tflm, model, runs).kind == kind


def test_both_may_refuse(tflm: Tflm) -> None:
    ((model, runs),) = drawn(*KEY, 1, 0)
    assert judge(tflm, model, [tuple(x[..., :0] for x in inputs) for inputs in runs]).kind == "refused"


def test_the_input_that_matters_is_reported(tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    ((model, runs),) = drawn(*KEY, 1, 0)

    def third_is_wrong(plan: object, batch: None, x: tuple[np.ndarray, ...]) -> tuple[tuple[np.ndarray, ...], State]:
        return off_by_one(plan, batch, x) if x is runs[2] else infer(plan, batch, x)  # type: ignore[arg-type]

    monkeypatch.setattr(conformance, "infer", third_is_wrong)
    verdict = judge(tflm, model, runs)
    assert verdict.kind == "differing"
    assert verdict.inputs is runs[2]


def test_the_same_seed_draws_the_same_cases() -> None:
    first, second, other = ([model for model, _ in drawn(*KEY, 5, seed)] for seed in (1, 1, 2))
    assert first == second != other


def test_a_planted_bug_is_counted_and_saved(tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "infer", off_by_one)
    ((tally,), complete) = examine_all([KEY], conformance.CHUNK + 5, 0, Inline(), QUIET)
    assert complete
    assert tally.counts["cases"] == tally.counts["differing"] == conformance.CHUNK + 5
    again = save(tally.findings[0], tmp_path, "bug")
    model, arrays = tmp_path / "bug.tflite", tmp_path / "bug.npz"
    assert again.endswith(f"{model} --input {arrays}")
    assert main([str(model), "--input", str(arrays)]) == 0, "the engine itself is sound"


def test_an_interrupt_keeps_what_was_done(tflm: Tflm) -> None:
    tallies, complete = examine_all([KEY, ("MAX_POOL_2D", "int16")], 3, 0, Inline(interrupted=1), QUIET)
    assert not complete
    assert sum(tally.counts["cases"] for tally in tallies) in (0, 3)


def test_the_command_compares_kernels(tflm: Tflm, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--op", "MAX_POOL_2D", "--dtype", "int8", "--cases", "20", "--json"]) == 0
    ((result),) = json.loads(capsys.readouterr().out)["results"]
    assert (result["operator"], result["type"], result["cases"], result["equal"]) == (*KEY, 20, 20)
    assert result["findings"] == []


def test_the_command_compares_models(tmp_path: Path, tflm: Tflm, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pool.tflite"
    ((model, _),) = drawn(*KEY, 1, 0)
    path.write_bytes(model)
    assert main([str(path), "--inputs", "3"]) == 0
    assert "MAX_POOL_2D" in capsys.readouterr().out


def test_a_model_that_differs_is_status_1(tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pool.tflite"
    ((model, _),) = drawn(*KEY, 1, 0)
    path.write_bytes(model)
    monkeypatch.setattr(conformance, "unlike", lambda a, b, same_nan: np.ones(a.shape, bool))
    assert main([str(path)]) == 1


@pytest.mark.parametrize("arguments", [["--op", "NOPE"], ["missing.tflite"], [__file__]])
def test_what_cannot_run_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tflite_micro")
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("conformance.py: ")


def test_tallies_add_up(tflm: Tflm) -> None:
    tally = examine(Task(*KEY, 4, 7))
    assert (tally + tally).counts == {"cases": 8, "equal": 8, "elements": 2 * tally.counts["elements"]}
