"""The conformance tool finds what is wrong, counts it, saves it, and says so in its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import collection
import conformance
import numpy as np
import pytest
from conformance import Task, computed, examine, examine_all, judge, judge_each, main, save
from dice import drawn
from oracle import OracleRefusal, Tflm
from rich.console import Console

from refengine import Plan, UnsupportedError, kernels, make_plan
from refengine.execute import Record, execute, infer
from refengine.state import State
from refengine.tensors.difference import unlike
from refengine.tflite_io import dump
from tests.models import fed, one_op, q

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


@pytest.mark.slow
def test_one_that_is_refused_or_dies_takes_no_other_with_it() -> None:
    """Those that the oracle got with it are judged as if alone; what state they have comes to its end."""
    (good, runs), (other, others) = drawn(*KEY, 2, 0)
    ((remembers, stream),) = drawn("SVDF", "int8", 1, 0)
    wide = one_op("SOFTMAX", {"beta": 1.0}, [fed((1, 5000), "int8", q(1))], fed((1, 5000), "int8", q(1 / 256, -128)))
    refused = good, [tuple(x[..., :0] for x in inputs) for inputs in runs]
    dies = dump(wide), [(np.zeros((1, 5000), np.int8),)] * 2
    for worst, kind in ((refused, "refused"), (dies, "disputed")):
        with Tflm() as tflm:
            cases = [(good, runs), worst, (other, others), (remembers, stream)]
            verdicts = judge_each(tflm, [computed(tflm, *case) for case in cases])()
        assert [verdict.kind for verdict in verdicts] == ["equal", kind, "equal", "equal"]
        assert [verdict.model for verdict in verdicts] == [model for model, _ in cases]


def test_the_input_that_matters_is_reported(tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    ((model, runs),) = drawn(*KEY, 1, 0)

    def third_is_wrong(
        plan: Plan, batch: int | None, x: tuple[np.ndarray, ...]
    ) -> tuple[tuple[np.ndarray, ...], State]:
        """The second of the batch that the first run is no part of."""
        (y,), state = infer(plan, batch, x)
        wrong = y.copy()
        if batch is not None:
            wrong.reshape(batch, -1)[1, 0] ^= 1
        return (wrong,), state

    monkeypatch.setattr(conformance, "infer", third_is_wrong)
    verdict = judge(tflm, model, runs)
    assert verdict.kind == "differing"
    assert verdict.inputs is runs[2]


@pytest.mark.parametrize("key", [KEY, ("SPLIT", "float32"), ("GATHER", "int8")])
def test_one_inference_alone_and_the_others_together_are_those_runs_in_order(key: tuple[str, str]) -> None:
    for model, runs in drawn(*key, 5, 0):
        plan = make_plan(model)
        found = conformance.alone_and_together(plan, runs)
        for inputs, outputs in zip(runs, found, strict=True):
            right, _ = infer(plan, None, inputs)
            assert [(x.shape, x.tobytes()) for x in outputs] == [(x.shape, x.tobytes()) for x in right]


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
    document = json.loads(capsys.readouterr().out)
    ((result),) = document["results"]
    assert document["schema"] == 1
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
    monkeypatch.setattr(collection, "unlike", lambda a, b: np.ones(a.shape, bool))
    assert main([str(path)]) == 1


@pytest.mark.parametrize("arguments", [["--op", "NOPE"], ["missing.tflite"], [__file__]])
def test_what_cannot_run_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tflite_micro")
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("conformance.py: ")


# ---- collections ---------------------------------------------------------------------------------------------


def file_of(path: Path, op: str, dtype: str) -> Path:
    """An invented model of one operator, as a file."""
    path.parent.mkdir(exist_ok=True)
    ((model, _),) = drawn(op, dtype, 1, 0)
    path.write_bytes(model)
    return path


def files(folder: Path) -> None:
    """One that both run, one with state, two that both refuse."""
    file_of(folder / "sound" / "pool.tflite", *KEY)
    file_of(folder / "stateful" / "svdf.tflite", "SVDF", "float32")
    unknown = one_op("TANH", {}, [fed((4,), "int32")], fed((4,), "int32", None, "y"))
    (folder / "not_on_tflm.tflite").write_bytes(dump(unknown))
    (folder / "broken.tflite").write_bytes(b"TFL3 is not all")


def verdicts(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What --json printed, the files by name."""
    document = json.loads(capsys.readouterr().out)
    named: dict[str, Any] = document | {"files": {Path(file["path"]).stem: file for file in document["files"]}}
    return named


def wrong_records(*arguments: Any, **keywords: Any) -> Iterator[Record]:
    """What `execute` would yield, the first element of every tensor wrong."""
    for record in execute(*arguments, **keywords):
        outputs = tuple(x.copy() for x in record.outputs)
        for x in outputs:
            x.view(np.uint8).flat[0] ^= 1
        yield replace(record, outputs=outputs)


def test_a_collection_is_summed_up_by_folder(tmp_path: Path, tflm: Tflm, capsys: pytest.CaptureFixture[str]) -> None:
    files(tmp_path)
    assert main([str(tmp_path), "--json"]) == 0
    document = verdicts(capsys)
    assert {name: file["kind"] for name, file in document["files"].items()} == {
        "pool": "equal", "svdf": "equal", "not_on_tflm": "refused", "broken": "refused"}  # fmt: skip
    assert document["complete"]
    assert document["files"]["pool"]["inferences"] == 3
    assert document["files"]["svdf"]["inferences"] == 10, "five in a row, and again after a reset"
    assert document["files"]["broken"]["message"].startswith("refengine refused: ")
    assert "TFLM refused: " in document["files"]["not_on_tflm"]["message"]
    assert document["sources"].keys() == {"sound", "stateful", tmp_path.name}
    assert document["sources"]["stateful"]["elements"] == document["files"]["svdf"]["elements"] > 0
    loose = document["sources"][tmp_path.name]
    assert (loose["files"], loose["refused"], loose["tflm"], loose["refengine"]) == (2, 2, 0, 0)


def test_the_table_of_a_collection_ends_with_its_sum(
    tmp_path: Path, tflm: Tflm, capsys: pytest.CaptureFixture[str]
) -> None:
    files(tmp_path)
    assert main([str(tmp_path)]) == 0
    rows = [line.split("│")[1:5] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [cell.strip() for cell in rows[-1]] == ["all", "4", "2", "2"]


@pytest.mark.parametrize(("op", "dtype"), [KEY, ("SVDF", "float32")])
def test_what_differs_in_a_collection_is_saved_to_be_tried_again(
    op: str, dtype: str, tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file_of(tmp_path / "models" / "bug.tflite", op, dtype)
    monkeypatch.setattr(collection, "execute", wrong_records)
    arguments = [str(tmp_path / "models"), "--save", str(tmp_path / "saved")]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert f"bug.tflite: differing: {op}: " in printed.err
    command = next(line for line in printed.err.splitlines() if "to see it again" in line).split("conformance.py ")[1]
    assert main(command.split()) == 1
    monkeypatch.undo()
    assert main(command.split()) == 0, "the engine itself is sound"


def test_a_variable_that_is_wrong_differs(tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outputs are right, what lives on is not."""

    def forgetful(*arguments: Any, **keywords: Any) -> Iterator[Record]:
        for record in execute(*arguments, **keywords):
            yield replace(record, updates=tuple(np.zeros_like(x) + 7 for x in record.updates))

    file = file_of(tmp_path / "svdf.tflite", "SVDF", "float32")
    monkeypatch.setattr(collection, "execute", forgetful)
    assert main([str(file)]) == 1


def test_where_tflm_cannot_keep_tensors_outputs_are_compared(
    tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OracleRefusal("TFLM failed to allocate tensors")

    file_of(tmp_path / "pool.tflite", *KEY)
    monkeypatch.setattr(Tflm, "tensor_stream", refuse)
    assert main([str(tmp_path), "--json"]) == 0
    assert verdicts(capsys)["files"]["pool"]["elements"] > 0
    monkeypatch.setattr(collection, "execute", wrong_records)
    assert main([str(tmp_path)]) == 1


def test_what_only_tflm_runs_names_the_operators_that_block(
    tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file_of(tmp_path / "pool.tflite", *KEY)
    known = kernels._kernels_of  # a table from which it is taken out and put back has it last
    monkeypatch.setattr(kernels, "_kernels_of", lambda file: {k: x for k, x in known(file).items() if k != KEY})
    assert main([str(tmp_path), "--json"]) == 1
    document = verdicts(capsys)
    assert document["blocking"] == {"MAX_POOL_2D": 1}
    pool = document["files"]["pool"]
    assert (pool["kind"], pool["tflm"], pool["refengine"]) == ("disputed", True, False)


def test_a_bug_in_one_file_stops_no_other(
    tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files(tmp_path)

    def buggy(*arguments: Any, **keywords: Any) -> Iterator[Record]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(collection, "execute", buggy)
    assert main([str(tmp_path), "--json"]) == 1
    pool = verdicts(capsys)["files"]["pool"]
    assert (pool["kind"], pool["message"]) == ("disputed", "refengine failed with ZeroDivisionError: a bug")
    assert (pool["tflm"], pool["refengine"]) == (True, False)


def test_a_file_has_only_so_much_time(
    tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file_of(tmp_path / "pool.tflite", *KEY)
    monkeypatch.setattr("collection.time.monotonic", iter(range(0, 10**6, 1000)).__next__)
    assert main([str(tmp_path), "--json"]) == 1
    pool = verdicts(capsys)["files"]["pool"]
    assert (pool["kind"], pool["message"]) == (
        "unfinished", "refengine has come to operator 0 (MAX_POOL_2D) when the time was up")  # fmt: skip


def test_a_hanging_tflm_leaves_its_file_unfinished(
    tmp_path: Path, tflm: Tflm, capsys: pytest.CaptureFixture[str]
) -> None:
    file_of(tmp_path / "pool.tflite", *KEY)
    assert main([str(tmp_path), "--timeout", "0", "--json"]) == 1
    pool = verdicts(capsys)["files"]["pool"]
    assert (pool["kind"], pool["message"]) == ("unfinished", "tflm gave no answer within 0 s")


def test_a_file_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    """It may have gone since its folder was looked through."""
    verdict = collection.examine_file(collection.File("source", tmp_path / "gone.tflite", 0, 3, 5, 60))
    assert verdict.kind == "unfinished"
    assert "No such file" in verdict.message


def test_a_bug_in_the_reader_is_a_finding(
    tmp_path: Path, tflm: Tflm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def buggy(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    file_of(tmp_path / "pool.tflite", *KEY)
    monkeypatch.setattr(collection, "host_plan", buggy)
    monkeypatch.setattr(collection, "load", buggy)
    assert main([str(tmp_path), "--json"]) == 1
    pool = verdicts(capsys)["files"]["pool"]
    assert (pool["kind"], pool["tflm"], pool["refengine"]) == ("disputed", True, False)


def test_without_tflm_nothing_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file_of(tmp_path / "pool.tflite", *KEY)
    monkeypatch.setattr(collection, "oracle", collection.oracle.__wrapped__)
    monkeypatch.setattr("collection.importlib.util.find_spec", lambda name: None)
    assert main([str(tmp_path)]) == 2
    assert "TFLM's wheel is missing" in capsys.readouterr().err


def test_inputs_of_one_model_are_none_of_a_folder(
    tmp_path: Path, tflm: Tflm, capsys: pytest.CaptureFixture[str]
) -> None:
    files(tmp_path)
    assert main([str(tmp_path), "--input", "x.npz"]) == 2
    assert "give that file, not a folder" in capsys.readouterr().err


@pytest.mark.slow
def test_files_are_shared_out(tmp_path: Path, tflm: Tflm, capsys: pytest.CaptureFixture[str]) -> None:
    files(tmp_path)
    answers = []
    for jobs in ("1", "2"):
        assert main([str(tmp_path), "--json", "--jobs", jobs]) == 0
        answers.append({name: file["elements"] for name, file in verdicts(capsys)["files"].items()})
    assert answers[0] == answers[1]


def test_an_empty_folder_is_status_2(tmp_path: Path, tflm: Tflm, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert f"there is no .tflite file in {tmp_path}" in capsys.readouterr().err


def test_computed_nans_may_be_any_in_whole_models() -> None:
    tally = collection.TensorTally(0, 0, "y", "SPLIT", "float32", (2,))
    tally.add(np.array([np.nan, 1], np.float32), None, np.array([-np.nan, 2], np.float32))
    assert (tally.elements, tally.differing) == (2, 1)


def test_elements_that_tflm_leaves_unwritten_are_left_out() -> None:
    tally = collection.TensorTally(0, 0, "y", "SPLIT", "int8", (2,))
    tally.add(np.array([0, 1], np.int8), np.array([True, False]), np.array([5, 1], np.int8), np.array([6, 1], np.int8))
    assert (tally.elements, tally.differing) == (1, 0)


def test_an_array_of_another_shape_differs_everywhere() -> None:
    tally = collection.TensorTally(0, 0, "y", "SPLIT", "int8", (2,))
    tally.add(np.array([0, 1], np.int8), None, np.array([[0, 1]], np.int8))
    assert tally.differing == 2


def test_tallies_add_up(tflm: Tflm) -> None:
    tally = examine(Task(*KEY, 4, 7))
    assert (tally + tally).counts == {"cases": 8, "equal": 8, "elements": 2 * tally.counts["elements"]}
