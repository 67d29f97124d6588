"""refengine/commands/reduce.py: a failing model's smallest part, written with its inputs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from refengine import load, run
from refengine.commands import main
from refengine.tensors.arrays import read_npz

RUNTIME = """
import refengine

def run(model, inputs):
    outputs = refengine.run(model, *inputs)
    return [x ^ 1 if "MAX_POOL_2D" in str(refengine.load(model)) else x for x in outputs]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "its_runtime.py").write_text(RUNTIME)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_it_writes_the_part_and_its_inputs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reduce", "stm32f746_int8", "--runtime", "its_runtime:run", "-o", "small.tflite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "stm32f746_int8 differs; so does a part with 1 of its 12 operators: MAX_POOL_2D"
    assert lines[2:] == ["wrote small.tflite", "wrote small.npz"]
    model, inputs = load("small.tflite"), read_npz("small.npz", 1 << 20)
    assert [op.name for op in model.graphs[0].ops] == ["MAX_POOL_2D"]
    assert run(model, *inputs.values())[0].shape == (1, 13, 13, 32)


def test_a_command_is_asked_with_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; sys.exit(b'dense_1' in open(sys.argv[1], 'rb').read())"
    words = f'{sys.executable} -c "{code}" {{model}}'
    assert main(["reduce", "dense_int8", "--command", words, "-o", "small.tflite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failure"] == "exits with 1" and told["operators"] == 7
    assert len(told["kept"]) == 1 and told["written"] == ["small.tflite", "small.npz"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--command", "true {model}", "-o", "x.tflite"], "it does not fail on the whole model: there is nothing"),
        (["--command", "true", "-o", "x.tflite"], "must contain {model}"),
        (["--command", "false {model}", "-o", "x.npz"], "the inputs are written there"),
        (["--command", "false {model}", "-o", "none/x.tflite"], "-o none/x.tflite: there is no such folder"),
        (["--runtime", "its_runtime:nothing", "-o", "x.tflite"], "cannot be imported as module:function"),
        (["--runtime", "its_runtime:run", "--saying", "x", "-o", "y"], "is no command: leave out --saying"),
    ],
)
def test_mistakes_are_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main(["reduce", "dense_int8", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and complaint in printed.err and printed.err.count("\n") == 1
