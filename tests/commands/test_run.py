"""refengine/commands/run.py: what it takes, keeps, draws, traces and compares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refengine import dequantize_output, make_plan, run
from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.kernel import Node
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import random_inputs
from refengine.tflite_io import dump
from tests.kernels.test_if import adding, branching
from tests.models import const, fed, network

MODEL = "dense_int8"
Ask = Callable[..., str]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """`run` with these arguments; what it printed, after checking that it succeeded."""

    def asked(*arguments: object) -> str:
        assert main(["run", *map(str, arguments)]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return asked


@pytest.fixture
def digit(tmp_path: Path) -> str:
    """A picture of a 7."""
    images, labels = bundled_digits()
    Image.fromarray(images[labels == 7][0]).save(tmp_path / "seven.png")
    return str(tmp_path / "seven.png")


def regression(folder: Path) -> Path:
    """A file of a float network that multiplies two numbers by two others: no probabilities."""
    x, y = fed((1, 2), "float32"), fed((1, 2), "float32", name="y")
    options = {"fused_activation_function": "NONE"}
    path = folder / "regression.tflite"
    path.write_bytes(dump(network(Node("MUL", options, (x, const([[488.125, 1]], "float32")), (y,)))))
    return path


def test_random_inputs_are_the_same_for_the_same_seed(ask: Ask) -> None:
    told = [json.loads(ask(MODEL, "--random", seed, "--json"))["results"][0] for seed in (3, 3, 4)]
    assert told[0] == told[1] != told[2]
    plan = make_plan(bundled_models()[MODEL])
    assert told[0]["input"] == "random 3"
    assert told[0]["outputs"][0]["values"] == run(plan, *random_inputs(plan, 3))[0][0].tolist()


def test_an_archive_holds_what_went_in_and_came_out(ask: Ask, digit: str, tmp_path: Path) -> None:
    kept = tmp_path / "all.npz"
    first = json.loads(ask(MODEL, "--input", digit, digit, "-o", kept, "--json"))
    assert first["written"] == str(kept) and first["drawn"] is None
    plan = make_plan(bundled_models()[MODEL])
    with np.load(kept) as arrays:
        x, y = arrays[plan.inputs[0].name], arrays[plan.outputs[0].name]
        assert x.shape == (2, 28, 28, 1) and y.shape == (2, 10)
        assert y.tobytes() == run(plan, x)[0].tobytes()
    again = json.loads(ask(MODEL, "--input", kept, "--json"))
    assert [r["outputs"] for r in again["results"]] == [r["outputs"] for r in first["results"]]


def test_an_archive_of_one_inference_is_a_dump_that_diff_takes(ask: Ask, digit: str, tmp_path: Path) -> None:
    kept = tmp_path / "one.npz"
    assert f"wrote {kept}" in ask(MODEL, "--input", digit, "-o", kept)
    assert main(["diff", MODEL, str(kept), "--input", digit]) == 0


def test_what_the_network_saw_is_drawn(ask: Ask, digit: str) -> None:
    lines = ask(MODEL, "--input", digit, "--show").splitlines()
    assert lines[0] == (
        f"{digit}: 'serving_default_keras_tensor:0' int8 (1, 28, 28, 1), -128 … 127, which stand for 0 … 1"
    )
    end = next(i for i, line in enumerate(lines) if ": class 7" in line)
    assert {*"".join(lines[1:end])} == {*" ▀▄█"} and end == 16


def test_the_classes_with_the_largest_scores_are_told_by_their_names(ask: Ask, digit: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("".join(f"n{i}\n" for i in range(10)))
    arguments = (MODEL, "--input", digit, "--top", "3", "--labels", tmp_path / "names.txt")
    assert ": class 7 (n7), confidence 0.99" in (told := ask(*arguments))
    assert "  0.996094    class 7 (n7)" in told.splitlines()
    best = json.loads(ask(*arguments, "--json"))["results"][0]["top"]
    plan = make_plan(bundled_models()[MODEL])
    (output,) = run(plan, (np.asarray(Image.open(digit)).astype(int) - 128).astype(np.int8).reshape(1, 28, 28, 1))
    scores = dequantize_output(plan, output)[0]
    assert [each["score"] for each in best] == sorted(scores.tolist(), reverse=True)[:3]
    assert [scores[each["class"]] for each in best] == [each["score"] for each in best]


def test_without_probabilities_there_is_no_confidence(ask: Ask, tmp_path: Path) -> None:
    model = regression(tmp_path)
    np.save(tmp_path / "x.npy", np.array([[1, 1]], np.float32))
    given = (model, "--input", tmp_path / "x.npy")
    assert ": class 0, score 488.125 (no probability)" in (told := ask(*given, "--task", "classification"))
    assert "confidence" not in told
    (result,) = json.loads(ask(*given, "--task", "classification", "--json"))["results"]
    assert (result["confidence"], result["score"]) == (None, 488.125)
    told = ask(*given)
    assert "class 0" not in told and "no softmax makes them: a reconstruction, or one of 2 classes; --task" in told


def test_a_trace_tells_each_operator_before_the_answer(ask: Ask) -> None:
    lines = ask(MODEL, "--random", "--trace").splitlines()
    assert lines[:2] == ["0 SHAPE(0) → 8", "  int32 (4,), 1 28 28 1"]
    assert "4 FULLY_CONNECTED(11, 7, 6) → 12" in lines
    assert lines.index("6 SOFTMAX(13) → 14") < next(i for i, line in enumerate(lines) if line.startswith("random 0"))
    trace = json.loads(ask(MODEL, "--random", "--trace", "--json"))["trace"]
    plan = make_plan(bundled_models()[MODEL])
    assert [step["operator"]["name"] for step in trace] == [step.name for step in plan.steps]
    assert [t["index"] for t in trace[0]["inputs"]] == [0] and trace[0]["outputs"][0] | {"name": ""} == {
        "subgraph": 0, "index": 8, "name": "", "dtype": "int32", "shape": [4], "min": 1, "max": 28,
    }  # fmt: skip


def test_two_files_of_a_network_are_compared_layer_by_layer(ask: Ask, digit: str) -> None:
    told = ask("dense_int8", "--input", digit, "--against", "dense_int16x8")
    assert "dense_int8 against dense_int16x8, on the same inputs:" in told and "class 7 in both" in told
    assert "They part at operator " in told
    document = json.loads(ask("dense_int8", "--input", digit, digit, "--against", "dense_int16x8", "--json"))
    assert document["classes"] == [[7, 7], [7, 7]] and document["other"] == "dense_int16x8"
    last = document["layers"][-1]
    assert last["size"] == 20 and last["differing"] is None and 0 < last["rmse"] < 0.1
    same = ask(MODEL, "--random", "--against", MODEL)
    assert "Tensors compared: 7, all the same." in same


def test_two_files_are_compared_inside_branches(ask: Ask, tmp_path: Path) -> None:
    for name, added in ("mine", 1), ("theirs", 2):
        model = branching(adding(1, [[1, added]]), adding(2, [[10, 20]]))
        (tmp_path / f"{name}.tflite").write_bytes(dump(model))
    np.savez(tmp_path / "x.npz", c=np.array([True]), x=np.array([[3, 4]], np.int32))
    files = [str(tmp_path / file) for file in ("mine.tflite", "theirs.tflite", "x.npz")]
    told = ask(files[0], "--input", files[2], "--against", files[1])
    where = "They part at subgraph 1, operator 0 (ADD); tensors that differ: 2 of 2"
    assert f"{where}; of subgraphs that not both ran: 1." in told
    assert "1:0  ADD" in told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--random", "--digit"], "--random makes the input itself: leave out --digit"),
        (["--random", "--show", "--json"], "--json draws nothing: leave out --show"),
        (["--random", "--against", "dense_int8", "--trace", "--top", "2"], "two files: leave out --trace, --top"),
        (["--random", "--numerics", "tflm,single", "--trace"], "operator by operator: leave out --trace"),
        (["--random", "-o", "x.txt"], "-o x.txt: give a name that ends in .png, for a drawing, or in .npz"),
        (["--random", "--top", "2", "--task", "none"], "--top tells classes, and this is no classifier"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main(["run", MODEL, *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and complaint in printed.err and printed.err.count("\n") == 1
