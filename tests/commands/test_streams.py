"""Models that remember, and models with loops, on the command line: one says which inference, and after which."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, Model, Session, make_plan
from refengine.accuracy import evaluate
from refengine.commands import diff as diff_command
from refengine.commands import main
from refengine.device import Recording
from refengine.model import Graph, Op, Tensor
from refengine.tflite_io import dump
from tests.kernels.test_circular_buffer import buffer, frame
from tests.kernels.test_if import ADD
from tests.kernels.test_while import counting

FRAMES = [[1, 2], [10, 20], [100, 200]]
Ask = Callable[..., str]


def totalling(shape: tuple[int, ...] = (1, 2), dtype: str = "int32") -> Model:
    """(1, 2): the sum of all that it was ever fed, plus one."""
    ones = np.ones(shape, dtype)
    x, one, y = Tensor(0, "x", shape, dtype), Tensor(3, "one", shape, dtype, data=ones), Tensor(2, "y", shape, dtype)
    total = Tensor(1, "total", shape, dtype, is_variable=True)
    ops = (Op(0, "ADD", (1, 0), (1,), ADD), Op(1, "ADD", (1, 3), (2,), ADD))
    return Model((Graph(0, "main", (x, total, y, one), (0,), (2,), ops),))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the models and their inputs."""
    monkeypatch.chdir(tmp_path)
    Path("total.tflite").write_bytes(dump(totalling()))
    Path("loop.tflite").write_bytes(dump(counting()))
    np.save("frames.npy", np.array(FRAMES, np.int32))
    np.save("last.npy", np.array(FRAMES[2:], np.int32))
    np.save("before.npy", np.array(FRAMES[:2], np.int32))
    np.savez("loop.npz", n=np.array([[2]], np.int32), x=np.array([[10]], np.int32))


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*arguments: object, status: int = 0) -> str:
        assert main([str(argument) for argument in arguments]) == status
        printed = capsys.readouterr()
        return printed.err if status == 2 else printed.out

    return asked


# ---- run -----------------------------------------------------------------------------------------------------


def values(document: str) -> list[Any]:
    return [result["outputs"][0]["values"] for result in json.loads(document)["results"]]


def test_run_refuses_several_inferences_until_told_how(ask: Ask) -> None:
    assert "say --stream" in ask("run", "total.tflite", "--input", "frames.npy", status=2)
    assert "there are 2" in ask("run", "total.tflite", "--input", "last.npy", "last.npy", status=2)
    assert "[[101 201]]" in ask("run", "total.tflite", "--input", "last.npy")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 5), np.int32), "has shape (1, 2) or (N, 2), got (3, 5)"),
        (np.zeros((3, 2), np.int16), "is int32, got int16"),
        (np.zeros((0, 2), np.int32), "has shape (1, 2), got (0, 2), which holds no inference: give one"),
        (np.zeros((0, 1, 2), np.int32), "the inputs hold no inference: there is not one frame in them"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_name(ask: Ask, array: np.ndarray, reason: str) -> None:
    np.save("odd.npy", array)
    for command in (("run", "--stream"), ("debug", "--command", "continue"), ("explain", "--op", 0, "--at", "0,0")):
        told = ask(command[0], "total.tflite", "--input", "last.npy", "odd.npy", *command[1:], status=2)
        assert told.startswith("refengine: odd.npy: ") and reason in told


def test_a_stream_keeps_the_state_and_each_file_is_one(ask: Ask) -> None:
    told = ask("run", "total.tflite", "--input", "frames.npy", "last.npy", "--stream", "--json")
    assert values(told) == [[[2, 3]], [[12, 23]], [[112, 223]], [[101, 201]]]
    assert json.loads(told)["state"] == "kept"
    assert [r["input"] for r in json.loads(told)["results"]] == [*(f"frames.npy[{t}]" for t in range(3)), "last.npy"]
    assert "state: kept" in ask("run", "total.tflite", "--input", "frames.npy", "--stream")


def test_an_option_that_stands_twice_forgets_nothing(ask: Ask) -> None:
    """As people write it who know ffmpeg: --input A --input B."""
    told = ask("run", "total.tflite", "--input", "frames.npy", "--input", "last.npy", "--stream", "--json")
    assert told == ask("run", "total.tflite", "--input", "frames.npy", "last.npy", "--stream", "--json")


def test_independent_inferences_are_each_the_first(ask: Ask) -> None:
    told = ask("run", "total.tflite", "--input", "frames.npy", "--independent", "--json")
    assert values(told) == [[[2, 3], [11, 21], [101, 201]]]
    assert json.loads(told)["state"] == "fresh"
    assert "every inference is as the first" in ask("run", "total.tflite", "--input", "frames.npy", "--independent")


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_frames_may_have_the_declared_shape_in_full(ask: Ask, shape: tuple[int, ...]) -> None:
    Path("other.tflite").write_bytes(dump(totalling(shape)))
    np.save("whole.npy", np.array(FRAMES, np.int32).reshape(3, *shape))
    for way, expected in (("--stream", [2, 12, 112]), ("--independent", [2, 11, 101])):
        told = json.loads(ask("run", "other.tflite", "--input", "whole.npy", way, "--json"))
        assert [np.ravel(r["outputs"][0]["values"])[0] for r in told["results"]] == expected


def test_an_input_without_dimensions_may_stand_alone_or_in_a_row(ask: Ask) -> None:
    Path("scalar.tflite").write_bytes(dump(totalling(())))
    np.save("one.npy", np.int32(5))
    np.save("row.npy", np.array([1, 10, 100], np.int32))
    assert values(ask("run", "scalar.tflite", "--input", "one.npy", "--json")) == [6]
    assert values(ask("run", "scalar.tflite", "--input", "row.npy", "--stream", "--json")) == [2, 12, 112]
    assert values(ask("run", "scalar.tflite", "--input", "row.npy", "--independent", "--json")) == [2, 11, 101]
    assert "112" in ask("debug", "scalar.tflite", "--input", "row.npy", "--index", "2", "--command", "continue")


def test_an_inference_that_waits_for_frames_ends_no_stream(ask: Ask) -> None:
    Path("buffer.tflite").write_bytes(dump(buffer()))
    np.save("slices.npy", np.concatenate([frame(k) for k in range(4)]))
    told = json.loads(ask("run", "buffer.tflite", "--input", "slices.npy", "--stream", "--json"))
    alone, expected = Session(make_plan(buffer())), []
    for k in range(4):
        with suppress(InferenceError):
            expected.append((k, alone.run(frame(k))[0].tolist()))
    assert [(k, r["outputs"][0]["values"]) for k, r in enumerate(told["results"]) if r["outputs"]] == expected != []
    assert len(expected) < 4 and all("ended" in r for r in told["results"] if not r["outputs"])
    walk = ask("debug", "buffer.tflite", "--input", "slices.npy", "--index", expected[0][0], "--command", "goto end")
    assert "end of inference" in walk


# ---- the other rooms -----------------------------------------------------------------------------------------


def test_explain_tells_a_later_inference_by_the_state_before_it(ask: Ask) -> None:
    told = ask("explain", "total.tflite", "--input", "frames.npy", "--index", 2, "--op", 1, "--at", "0,1")
    assert told.splitlines()[-1] == "= 223"
    assert "choose one" in ask("explain", "total.tflite", "--input", "frames.npy", "--op", 1, "--at", "0,1", status=2)


def test_explain_addresses_the_main_graph_or_a_subgraph_and_its_round(ask: Ask) -> None:
    here = ("explain", "loop.tflite", "--input", "loop.npz", "--at", "0,0", "--op")
    assert "operator 0 (WHILE)" in (told := ask(*here, "0", "--output", 1)) and told.endswith("= 16\n")
    assert ask(*here, "2:1").endswith("= 13\n")
    assert ask(*here, "2:1", "--time", 1).endswith("= 16\n")
    assert "runs 2 times" in ask(*here, "2:1", "--time", 2, status=2)
    assert "no arithmetic of its own" in ask(*here, "0", "--numerics", "single", status=2)


def test_each_file_is_a_stream_for_explain_diff_and_debug_as_well(ask: Ask) -> None:
    """The third inference of all is the first of the second file, before which nothing was."""
    both = ("--input", "before.npy", "frames.npy")
    third = values(ask("run", "total.tflite", "--stream", *both, "--json"))[2]
    told = ask("explain", "total.tflite", *both, "--index", 2, "--op", 1, "--at", "0,1")
    assert third == [[2, 3]] and told.splitlines()[-1] == "= 3"
    np.savez("dump.npz", t2=np.array(third, np.int32))
    assert "no difference" in ask("diff", "total.tflite", "dump.npz", *both, "--index", 2)
    assert "each file is a stream of its own" in ask("debug", "total.tflite", *both, status=2)


def test_debug_walks_a_stream(ask: Ask) -> None:
    told = ask(
        "debug", "total.tflite", "--input", "frames.npy", "--index", 1, "--command", "next 2; print y; info state"
    )
    assert "12 23" in told and "variable 1 'total' int32 1×2: [11 22]" in told


def test_debug_saves_what_diff_judges_by_the_state_before(ask: Ask) -> None:
    ask("debug", "total.tflite", "--input", "frames.npy", "--index", 1, "--command", "save all previous.npz")
    ask("debug", "total.tflite", "--input", "frames.npy", "--index", 2, "--command", "save all dump.npz")
    same = "no difference"
    assert same in ask("diff", "total.tflite", "dump.npz", "--input", "frames.npy", "--index", 2)
    assert same in ask("diff", "total.tflite", "dump.npz", "--input", "last.npy", "--state-inputs", "before.npy")
    assert same in ask("diff", "total.tflite", "dump.npz", "--input", "last.npy", "--previous", "previous.npz")
    wrong = ask("diff", "total.tflite", "dump.npz", "--input", "last.npy", status=1)
    assert "the state before is taken for that of the first inference" in wrong and "enters at 0 ADD" in wrong


def test_diff_judges_loops_by_their_own_inputs(ask: Ask) -> None:
    ask("debug", "loop.tflite", "--input", "loop.npz", "--command", "save all dump.npz")
    assert "no difference" in ask("diff", "loop.tflite", "dump.npz")
    arrays = dict(np.load("dump.npz"))
    np.savez("wrong.npz", **{**arrays, "x'": arrays["x'"] + 1})
    told = ask("diff", "loop.tflite", "wrong.npz", "--html", "page.html", status=1)
    assert "where the device has 17 and a sound kernel 16" in told
    assert 'id="step0-1"' in Path("page.html").read_text()


def test_loops_and_variables_export(ask: Ask) -> None:
    ask("export", "loop.tflite", "-o", "c")
    assert "run_while(" in Path("c/model.c").read_text()
    assert "steps" in ask("export", "total.tflite", "-o", "total")


# ---- sequences -----------------------------------------------------------------------------------------------


def test_the_answer_to_a_sequence_is_the_last_output_and_each_begins_afresh() -> None:
    """Brightness adds up: 200 in place 1 before outweighs 150 in place 2 now."""
    plan = make_plan(totalling((1, 4), "float32"))
    pictures = np.zeros((2, 2, 2, 2), np.uint8)  # two sequences of two pictures, 2×2
    pictures[0, 0, 0, 1], pictures[0, 1, 1, 0], pictures[1, 1, 1, 1] = 200, 150, 10
    *_, found = evaluate(plan, pictures, np.array([1, 3]), real_range=(0, 1))
    assert (found.count, found.correct) == (2, 2)
    *_, alone = evaluate(plan, pictures[:, 1], np.array([2, 3]), real_range=(0, 1))
    assert (alone.count, alone.correct) == (2, 2)


def test_a_board_runs_the_inferences_before_too(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound one is not accused of a reset."""
    plan, asked = make_plan("total.tflite"), list[int]()

    def recorded(device: Any, plan: Any, inputs: Any, progress: Any, before: Any) -> Recording:
        session = Session(plan)
        for each in before:
            session.run(*each)
        asked.append(len(before))
        return Recording({0: inputs[0], 2: session.run(*inputs)[0]}, {})

    monkeypatch.setattr(diff_command, "connect", lambda *_, **__: nullcontext())
    monkeypatch.setattr(diff_command, "record", recorded)
    told = ["diff", "total.tflite", "--port", "COM3", "--input"]
    assert plan.initial and "no difference" in ask(*told, "frames.npy", "--index", 2)
    assert "no difference" in ask(*told, "last.npy", "--state-inputs", "before.npy")
    assert "no difference" in ask(*told, "frames.npy", "--index", 0)
    assert asked == [2, 2, 0]
