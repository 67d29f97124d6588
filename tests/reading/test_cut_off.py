"""Values that an input cannot hold are counted, and both `run` and `explain` say so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from refengine import make_plan
from refengine.commands import main
from refengine.model import Model
from refengine.reading.cut_off import Intake
from refengine.tensors.inputs import quantize_input
from refengine.tflite_io import dump
from tests.models import fed, one_op, q


def holding() -> Model:
    """Codes of 0 … 1.275 to a tensor of the same codes."""
    return one_op("RELU", {}, [fed((1, 4), "int8", q(0.005, -128))], fed((1, 4), "int8", q(0.005, -128), "y"))


VALUES = np.array([[0.0, 1.0, 1.275, 3.275], [-2.0, 0.5, 0.5, 1.279]], np.float32)


def test_what_lies_more_than_a_code_outside_is_cut_off_whatever_the_split() -> None:
    plan = make_plan(holding())
    whole, split = Intake(plan), Intake(plan)
    (codes,) = whole((VALUES,))
    np.testing.assert_array_equal(codes, quantize_input(plan, VALUES))
    for row in VALUES:
        split((row[None],))
    (found,) = whole.cut_off
    assert [found] == split.cut_off
    assert (found.count, found.cut) == (8, 2), "1.279 is no whole code away: that is rounding"
    assert (found.low, found.high) == pytest.approx((0, 1.275))
    assert (found.least, found.most) == pytest.approx((-2, 3.275))
    assert found.rmse == pytest.approx(2)


def test_what_fits_and_what_is_given_in_codes_is_not_told_of() -> None:
    intake = Intake(make_plan(holding()))
    codes = np.full((1, 4), 127, np.int8)
    assert intake((codes,))[0] is codes
    intake((VALUES[:1, :3].repeat(2, axis=1)[:, :4],))
    assert intake.cut_off == []


def test_a_float_input_that_becomes_codes_at_once_cuts_off_as_well() -> None:
    model = one_op("QUANTIZE", {}, [fed((1, 4), "float32")], fed((1, 4), "int8", q(0.005, -128), "y"))
    intake = Intake(make_plan(model))
    (x,) = intake((VALUES,))
    assert x is VALUES
    assert [found.cut for found in intake.cut_off] == [2]


@pytest.mark.parametrize("command", [["run"], ["run", "--numerics", "tflm,single"], ["explain", "--op", "0"]])
def test_commands_warn(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.tflite").write_bytes(dump(holding()))
    np.save(tmp_path / "x.npy", VALUES[:1])
    name, *options = command
    options += ["--at", "0,3"] if name == "explain" else []
    line = [name, str(tmp_path / "model.tflite"), "--input", str(tmp_path / "x.npy"), *options]
    assert main(line) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(
        "refengine: warning: 1 of the 4 values (25 %) given to input 'input0' are cut off, by 2 (RMSE): they go from 0 "
        "to 3.275, and it holds 0 … 1.275; "
    )
    assert len(printed.err.splitlines()) == 1
    assert main([*line, "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    (found,) = json.loads(printed.out)["cut_off"]
    assert found["share"] == 0.25


def test_the_debugger_and_diff_warn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, x, dumped = (str(tmp_path / name) for name in ("model.tflite", "x.npy", "dump.npz"))
    Path(model).write_bytes(dump(holding()))
    np.save(x, VALUES[:1])
    assert main(["debug", model, "--input", x, "--command", f"continue; save all {dumped}"]) == 0
    assert capsys.readouterr().err.startswith("refengine: warning: 1 of the 4 values (25 %) given to input 'input0'")
    assert main(["diff", model, dumped, "--input", x]) == 0
    assert capsys.readouterr().err.startswith("refengine: warning: 1 of the 4 values (25 %) given to input 'input0'")
    assert main(["diff", model, dumped, "--input", x, "--json"]) == 0
    printed = capsys.readouterr()
    assert (printed.err, json.loads(printed.out)["cut_off"][0]["cut"]) == ("", 1)


def test_evaluate_warns_of_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.zeros((3, 28, 28, 1), np.float32)
    x[0, 0, :7] = 2
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(3, np.int64))
    assert main(["evaluate", "dense_int8", "--data", str(tmp_path / "data.npz")]) == 0
    assert capsys.readouterr().err.startswith("refengine: warning: 7 of the 2,352 values (0.298 %) given to input")
    assert main(["evaluate", "dense_int8", "--data", str(tmp_path / "data.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cut_off"][0]["cut"] == 7
    assert main(["evaluate", "dense_int8", "--limit", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cut_off"] == []
