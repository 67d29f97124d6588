"""refengine/commands: every command as a person types it; whatever goes wrong is one line and an exit status."""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

import refengine
from refengine import commands, dequantize_output, make_plan, run
from refengine.accuracy import Accuracy
from refengine.bundled import bundled_models
from refengine.commands import demo, main
from refengine.commands import evaluate as evaluate_command
from refengine.commands import run as run_command
from refengine.commands._front import BROKEN_PIPE, FAILED, INTERRUPTED, WRITTEN
from refengine.kernels._tflm import COMMIT, LITERT, WHEEL
from refengine.tensors.datasets import bundled_digits

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
MODEL = "dense_int8"
COMMAND = [sys.executable, "-m", "refengine"]

Ask = Callable[..., str]


@pytest.fixture
def digit(tmp_path: Path) -> str:
    """A picture of a 7."""
    images, labels = bundled_digits()
    path = tmp_path / "seven.png"
    Image.fromarray(images[labels == 7][0]).save(path)
    return str(path)


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command; what it printed, after checking that it succeeded and complained of nothing."""

    def asked(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        assert "\x1b" not in printed.out, "control codes in a pipe"
        return printed.out

    return asked


# ---- run --------------------------------------------------------------------------------------------------


def test_run_prints_class_confidence_and_output(ask: Ask, digit: str) -> None:
    lines = ask("run", MODEL, "--input", digit).splitlines()
    assert lines[0].startswith(f"{digit}: class 7, confidence 0.9")
    assert lines[1].split()[0] == "int8"
    assert len(lines[1].strip("]").split("[")[1].split()) == 10
    assert lines[-1].startswith("numerics: tflm (rounding=double")


def test_run_as_json_has_the_same_numbers_as_the_package(ask: Ask, digit: str) -> None:
    told = json.loads(ask("run", MODEL, "--input", digit, digit, "--json"))
    plan = make_plan(bundled_models()[MODEL])
    pixels = np.asarray(Image.open(digit)).astype(np.int16) - 128
    (output,) = run(plan, pixels.astype(np.int8).reshape(1, 28, 28, 1))
    assert told["sha256"] == plan.model.sha256
    assert [result["input"] for result in told["results"]] == [digit, digit]
    for result in told["results"]:
        assert result["class"] == 7
        assert result["confidence"] == pytest.approx(float(dequantize_output(plan, output).max()))
        assert result["outputs"][0]["values"] == output[0].tolist()


def test_run_takes_batches(ask: Ask, tmp_path: Path) -> None:
    images, labels = bundled_digits()
    np.save(tmp_path / "x.npy", images[..., np.newaxis] / 255)
    told = json.loads(ask("run", "stm32f746_float32", "--input", tmp_path / "x.npy", "--json"))
    assert [result["class"] for result in told["results"]][::20] == labels[::20].tolist()
    assert told["results"][99]["input"] == f"{tmp_path / 'x.npy'}[99]"


def test_run_takes_drawings(ask: Ask, digit: str, tmp_path: Path) -> None:
    large = Image.eval(Image.open(digit).resize((300, 300)), lambda grey: 255 - grey)
    large.save(tmp_path / "drawing.jpg")
    assert ": class 7," in ask("run", MODEL, "--input", tmp_path / "drawing.jpg", "--digit")


def test_run_honours_numerics_and_range(ask: Ask, digit: str) -> None:
    assert "numerics: single (rounding=single" in ask("run", MODEL, "--input", digit, "--numerics", "single")
    default, other = (
        json.loads(ask("run", MODEL, "--input", digit, "--json", *more))["results"][0]["outputs"]
        for more in ([], ["--range", 1, 0])
    )
    assert default != other


def test_run_tells_where_two_dialects_part(ask: Ask, digit: str) -> None:
    told = ask("run", "stm32f746_int8", "--input", digit, digit, "--digit", "--numerics", "tflm,litert")
    assert "they part at operator 0 (CONV_2D), where " in told and "operators differ; class 7 in both" in told
    assert "0 of 2 answers differ" in told and "against: litert (rounding=xnnpack" in told
    document = json.loads(ask("run", MODEL, "--input", digit, "--digit", "--numerics", "tflm,single", "--json"))
    assert (document["numerics"], document["other"]) == ("tflm", "single")
    assert document["results"][0]["classes"] == [7, 7] and document["results"][0]["steps"] > 1


def test_evaluate_counts_the_answers_that_two_dialects_give_differently(ask: Ask) -> None:
    told = ask("evaluate", MODEL, "--limit", "20", "--numerics", "tflm,litert-ref")
    assert "0 of 20 answers differ, accuracy 100.00% there" in told and "against: litert-ref (" in told
    document = json.loads(ask("evaluate", MODEL, "--limit", "20", "--numerics", "tflm,litert-ref", "--json"))
    assert document["other"]["numerics"] == "litert-ref" and document["other"]["differing"] == 0


def test_run_prints_the_tensors_of_what_is_no_classifier(ask: Ask, tmp_path: Path) -> None:
    model = sine(tmp_path)
    np.save(tmp_path / "x.npy", np.array([[0.5]], np.float32))
    lines = ask("run", model, "--input", tmp_path / "x.npy").splitlines()
    assert lines[0] == str(tmp_path / "x.npy")
    assert lines[1].split() == ["int8", "[[1]]"]
    assert lines[2].split() == ["real", "[[0.5]]"]


def sine(folder: Path) -> Path:
    """A model file of one number in, one out."""
    from refengine.tflite_io import dump
    from tests.models import fed, one_op, q

    path = folder / "model.tflite"
    path.write_bytes(dump(one_op("RELU", {}, [fed((1, 1), "int8", q(0.5))], fed((1, 1), "int8", q(0.5), "y"))))
    return path


# ---- inspect ----------------------------------------------------------------------------------------------


def test_inspect_shows_layers_costs_and_the_resolver(ask: Ask) -> None:
    printed = ask("inspect", "stm32f746_int8")
    assert "input   int8 (1, 28, 28, 1), scale 0.00392157, zero point -128" in printed
    assert next(line.split() for line in printed.splitlines() if "CONV_2D" in line) == [
        "0",
        "CONV_2D",
        "+",
        "RELU",
        "0",
        "→",
        "14",
        "int8",
        "1×26×26×32",
        "194,688",
        "416",
        "21,632",
    ]
    assert "2,794,240" in printed
    assert "Versions of its operators, at which TFLM does not look: CONV_2D 3, FULLY_CONNECTED 4, " in printed
    assert "Runs on TFLM: yes." in printed
    assert "tflite::MicroMutableOpResolver<8> resolver;\nresolver.AddConv2D();" in printed


def test_inspect_as_json(ask: Ask) -> None:
    told = json.loads(ask("inspect", "stm32f746_int8", "--json"))
    (main,) = told["subgraphs"]
    assert told["macs"] == sum(layer["macs"] for layer in main["layers"]) == 2_794_240
    assert main["layers"][0]["options"]["padding"] == "VALID"
    assert (main["layers"][0]["version"], main["layers"][0]["runs"]) == (3, "yes")
    assert main["layers"][0]["inputs"][1]["quantization"]["quantized_dimension"] == 0
    argument = {"subgraph": 0, "index": 0, "name": "serving_default_keras_tensor:0"}
    assert told["signatures"][0]["inputs"] == {"keras_tensor": argument}
    assert (told["runs_on_tflm"], told["runs_in_refengine"], told["refusals"]) == ("yes", True, [])
    assert told["arena"]["x86-64"]["total"] == 31_984


def test_inspect_shows_subgraphs_state_and_what_it_cannot_tell(ask: Ask, tmp_path: Path) -> None:
    from refengine.tflite_io import dump
    from tests.test_subgraphs import program
    from tests.test_survey import chain, stateful

    (tmp_path / "s.tflite").write_bytes(dump(stateful()))
    printed = ask("inspect", tmp_path / "s.tflite")
    assert "variable 1 of subgraph 0, at first all 0: int16 (1, 4)" in printed
    assert "resource variable 'v', container '', at first all 3: int8 1×4" in printed
    (tmp_path / "p.tflite").write_bytes(dump(program(4)))
    printed = ask("inspect", tmp_path / "p.tflite")
    assert re.search(r"subgraph 1 '.*', called by operator \d+ \((IF|WHILE|CALL_ONCE)\) of subgraph \d", printed)
    (tmp_path / "u.tflite").write_bytes(dump(chain("RELU", "CUSTOM", custom_code="TFLite_Detection_PostProcess")))
    printed = ask("inspect", tmp_path / "u.tflite")
    assert "What TFLM's arena must hold is not known" in printed


@pytest.mark.parametrize("name", bundled_models())
def test_inspect_bundled(ask: Ask, name: str) -> None:
    assert "Runs on TFLM: yes." in ask("inspect", name)


def test_inspect_says_why_not(ask: Ask, tmp_path: Path) -> None:
    from refengine.tflite_io import dump
    from tests.models import fed, one_op

    evil = "custom\x1b[31mname"
    model = one_op("CUSTOM", {}, [fed((1, 4), "float32")], fed((1, 4), "float32", name="y"))
    graph = model.graphs[0]
    ops = (type(graph.ops[0])(0, "CUSTOM", (0,), (1,), custom_code=evil),)
    (tmp_path / "m.tflite").write_bytes(dump(type(model)((type(graph)(0, "g", graph.tensors, (0,), (1,), ops),))))
    printed = ask("inspect", tmp_path / "m.tflite")  # which also checks that the name's control codes are gone
    assert "Runs on TFLM: no" in printed
    assert "0✗" in printed
    assert "make_plan(kernels=…)" in printed


# ---- evaluate ---------------------------------------------------------------------------------------------


def test_evaluate_a_folder(ask: Ask) -> None:
    printed = ask("evaluate", MODEL, "--data", DATA, "--limit", 1000)
    assert f"{MODEL} on {DATA}\n" in printed
    assert "of 1000), " in printed
    assert "is \\ seen as" in printed


def test_evaluate_as_json(ask: Ask) -> None:
    told = json.loads(ask("evaluate", MODEL, "--data", DATA, "--limit", 300, "--json"))
    assert (told["images"], told["interrupted"], told["numerics"]) == (300, False, "tflm")
    assert sum(map(sum, told["confusion"])) == 300
    assert told["accuracy"] == told["correct"] / 300 > 0.95


def test_evaluate_without_data_says_what_it_took(ask: Ask) -> None:
    assert "on the 100 bundled digits" in ask("evaluate", MODEL)


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_evaluate_interrupted_reports_what_was_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, json_: list[str]
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Iterator[Accuracy]:
        yield from islice(refengine.evaluate(*arguments, **options), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_command, "evaluate", interrupted)
    assert main(["evaluate", MODEL, "--data", str(DATA), *json_]) == INTERRUPTED
    printed = capsys.readouterr().out
    if json_:
        assert (json.loads(printed)["images"], json.loads(printed)["interrupted"]) == (512, True)
    else:
        assert "interrupted after 512 of 10000" in printed


def test_evaluate_interrupted_at_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Iterator[Accuracy]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(evaluate_command, "evaluate", interrupted)
    assert main(["evaluate", MODEL]) == INTERRUPTED
    assert capsys.readouterr() == ("", "refengine: interrupted\n")


# ---- what black and white are taken for ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "model", "known_from", "why"),
    [
        ("run", "stm32f746_float32", "guess", "a guess, as float32 tells nothing"),
        ("run", MODEL, "quantization", "its int8 codes stand for that"),
        ("evaluate", "stm32f746_float32", "guess", "a guess, as float32 tells nothing"),
        ("health", MODEL, "quantization", "its int8 codes stand for that"),
        ("quantize", "stm32f746_float32", "guess", "a guess, as float32 tells nothing"),
    ],
)
def test_what_black_and_white_are_taken_for_is_said(
    ask: Ask, digit: str, tmp_path: Path, command: str, model: str, known_from: str, why: str
) -> None:
    arguments: dict[str, list[object]] = {
        "run": ["--input", digit],
        "evaluate": [],
        "health": ["--data", digit],
        "quantize": ["--data", digit, "-o", tmp_path / "out.tflite"],
    }
    more = arguments[command]
    name = make_plan(bundled_models()[model]).inputs[0].name
    said = f"pictures of '{name}': black is 0, white 1 ({why}; --range BLACK WHITE changes it)\n"
    assert said in ask(command, model, *more)
    assert "black is 0.75, white 0.25 (as --range says)\n" in ask(command, model, *more, "--range", 0.75, 0.25)
    (told,) = json.loads(ask(command, model, *more, "--json"))["pictures"]
    assert told == {"input": name, "black": 0, "white": 1, "known_from": known_from, "reason": why}


def test_arrays_have_no_black_and_white(ask: Ask, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28, 1), np.int8))
    assert "pictures of" not in ask("run", MODEL, "--input", tmp_path / "x.npy")
    assert json.loads(ask("run", MODEL, "--input", tmp_path / "x.npy", "--json"))["pictures"] == []


# ---- demo and help ----------------------------------------------------------------------------------------


def test_demo_recognises_digits_with_every_network(ask: Ask) -> None:
    printed = ask("demo")
    assert "▄" in printed
    rows = [line.split() for line in printed.splitlines()]
    for name in bundled_models():
        (row,) = [row for row in rows if row[:2] == name.rsplit("_", 1)]
        assert row[2:5] == [str(label) for label in bundled_digits()[1][demo.SHOWN]]
        assert int(row[5]) >= 98


def test_the_demo_names_the_command_as_one_can_call_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make demo` runs it from .venv/bin, which is on nobody's PATH yet."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "refengine").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin" / "refengine"), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert demo._called() == "bin/refengine"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert demo._called() == "refengine"


COMMANDS = [name.replace("_", "-") for _, name, _ in pkgutil.iter_modules(commands.__path__) if name[0] != "_"]


@pytest.mark.parametrize(("words", "same"), [(["help"], []), (["help", "explain"], ["explain"])])
def test_help_is_a_command_too(words: list[str], same: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for call in (words, [*same, "--help"]):
        with pytest.raises(SystemExit, match=r"^0$"):
            main(call)
    told = capsys.readouterr().out
    assert told[: len(told) // 2] == told[len(told) // 2 :] and told.startswith("usage: refengine")


@pytest.mark.parametrize(
    "words", ["", *COMMANDS, *(f"device {action}" for action in ("info", "run", "record", "validate"))]
)
def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main([*words.split(), "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: refengine {words}")
    assert max(map(len, printed.splitlines())) <= 80


def test_help_fills_the_terminal_and_leaves_examples_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["reduce", "--help"])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) > 150
    assert "  refengine reduce model.tflite -o small.tflite \\\n    --command './my_runtime" in printed


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    told, pins = capsys.readouterr().out, (ROOT / "pyproject.toml").read_text()
    assert told.startswith(f"refengine {refengine.__version__}\nTFLM: commit 8f6596d; ")
    assert f"commit {COMMIT}," in pins and f"tflite-micro=={WHEEL};" in pins and f"ai-edge-litert=={LITERT}" in pins
    assert f"tflite-micro {WHEEL}\n" in told and f"ai-edge-litert {LITERT}\n" in told
    assert told.endswith(f"that of tflite {version('tflite')}; of JSON, dumps and recordings 1\n")


# ---- what goes wrong --------------------------------------------------------------------------------------


def truncated(folder: Path) -> Path:
    path = folder / "short.tflite"
    path.write_bytes(bundled_models()[MODEL].read_bytes()[:1000])
    return path


ERRORS = {
    "no command": ([], "required: COMMAND"),
    "an unknown command": (["walk"], "invalid choice: 'walk'"),
    "nearly a command": (["evalute"], "there is no command 'evalute'; did you mean 'evaluate'? (see refengine --help)"),
    "no input": (["run", MODEL], "one of the arguments --input --random is required"),
    "three dialects": (["run", MODEL, "--input", "x", "--numerics", "tflm,single,litert"], "are 3 dialects"),
    "an unknown dialect": (
        ["run", MODEL, "--input", "x", "--numerics", "y"],
        "there is no dialect 'y'; choose from tflm",
    ),
    "nearly a dialect": (
        ["health", MODEL, "--numerics", "cortexm7"],
        "did you mean 'cortex-m7'? (see refengine health --help)",
    ),
    "no dialect at all": (
        ["health", MODEL, "--numerics", "stm32h7"],
        "; which chip has which: refengine manual dialects",
    ),
    "nearly an option": (
        ["run", MODEL, "--random", "--numercs", "single"],
        "--numercs single; did you mean '--numerics'?",
    ),
    "nearly an option of all": (["--versoin"], "there is no option '--versoin'; did you mean '--version'?"),
    "nearly an action": (["device", "recrod"], "did you mean 'record'? (see refengine device --help)"),
    "nearly a fault": (
        ["device", "run", "--port", "qemu:host", "--model", MODEL, "--made", "noise", "--fault", "singel_rounding"],
        "there is no fault 'singel_rounding' (did you mean 'single_rounding'?); there are single_rounding, round_down",
    ),
    "a fault without its step": (
        ["device", "run", "--port", "qemu:host", "--model", MODEL, "--made", "noise", "--fault", "stale"],
        "there is no fault 'stale'",
    ),
    "no such script": (["debug", MODEL, "--input", "{digit}", "--script", "{tmp}/none"], "{tmp}/none: No such file"),
    "nearly a network": (["run", "stm32f746_in8", "--random"], "no bundled network (did you mean 'stm32f746_int8'?)"),
    "digits in arrays": (["evaluate", MODEL, "--digit"], "--digit is for pictures in files, and digits are arrays"),
    "digits of health": (["health", MODEL, "--digit"], "--digit is for pictures in files, and digits are arrays"),
    "a folder for a dump": (["diff", MODEL, "{tmp}"], "{tmp} is a folder without .npy, .raw or .bin; a dump has one"),
    "no such model": (["inspect", "nothing.tflite"], "nothing.tflite: no such file, and no bundled network (dense"),
    "a folder for a model": (["inspect", "{tmp}"], "{tmp}: cannot be read"),
    "a picture for a model": (["inspect", "{digit}"], "not a .tflite file"),
    "half a model": (["inspect", "{short}"], "{short}: "),
    "no such picture": (["run", MODEL, "--input", "{tmp}/none.png"], "{tmp}/none.png: cannot be read: No such file"),
    "a folder for a picture": (["run", MODEL, "--input", "{tmp}"], "cannot be read: it is a folder; give a file"),
    "a text for a picture": (["run", MODEL, "--input", __file__], "neither a picture"),
    "no such folder": (["evaluate", MODEL, "--data", "{tmp}/none"], "{tmp}/none: there is no such file or folder"),
    "a file without classes": (["evaluate", MODEL, "--data", "{digit}"], "{digit}: is no data with classes; give"),
    "no digits": (["evaluate", MODEL, "--limit", "0"], "'0' is no positive number"),
    "an endless range": (["evaluate", MODEL, "--range", "0", "inf"], "inf is no finite number"),
    "a device's option for a dump": (
        ["diff", MODEL, "x.npz", "--fault", "y"],
        "a dump is no device: leave out --fault",
    ),
    "how to read no file": (["diff", MODEL, "x.npz", "--digit", "--hop", "2"], "is read: leave out --digit, --hop"),
    "a search for one case": (["fuzz", "--replay", "x", "--spec"], "--replay tries one case: leave out --spec"),
    "an input for a search": (["fuzz", "--input", "x"], "--input is for --replay: leave out --input"),
    "an unknown option": (
        ["run", MODEL, "--random", "--shw"],
        "arguments: --shw; did you mean '--show'? (see refengine run --help)",
    ),
    "an unknown option of a part": (["device", "record", "--x"], "(see refengine device record --help)"),
    "half a range": (["evaluate", MODEL, "--range", "0"], "expected 2 arguments"),
}


READ_AND_WRITTEN = {
    "the model": (["run", "{model}", "--random", "-o", "{model}"], "-o {model}: MODEL is that, and would be lost"),
    "by another way": (["run", "{model}", "--random", "-o", "{tmp}/../{tmp_name}/m.npz"], "MODEL is that"),
    "by a link": (["quantize", "{model}", "--data", "{link}", "-o", "{x}"], "-o {x}: --data is that"),
    "one of several": (["run", "{model}", "--input", "{digit}", "{x}", "-o", "{x}"], "-o {x}: --input is that"),
    "the names": (["run", "{model}", "--random", "--labels", "{x}", "-o", "{x}"], "-o {x}: --labels is that"),
    "a page over a dump": (["diff", "{model}", "{x}", "--html", "{x}"], "--html {x}: DUMP is that"),
    "an input over a dump": (["diff", "{model}", "{x}", "--reveal", "{x}"], "--reveal {x}: DUMP is that"),
    "a page over a model": (["explain", "{model}", "--op", "0", "--html", "{model}"], "--html {model}: MODEL is that"),
    "a recording": (
        ["device", "record", "--port", "x", "--model", "{model}", "--input", "{x}", "-o", "{x}"],
        "--input",
    ),
    "what lies beside": (
        ["reduce", "{model}", "--runtime", "a:b", "--input", "{x}", "-o", "{tmp}/x.tflite"],
        "beside it",
    ),
    "samples beside samples": (
        ["device", "validate", "--port", "x", "--model", MODEL, "--input", "{digit}", "-o", "{tmp}"],
        "-o {tmp}: files of --input are there",
    ),
    "plots among the data": (["health", "{model}", "--data", "{tmp}", "--plots", "{tmp}"], "--plots {tmp}: --data is"),
}


@pytest.mark.parametrize(("arguments", "message"), READ_AND_WRITTEN.values(), ids=READ_AND_WRITTEN.keys())
def test_what_is_read_is_not_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, digit: str, arguments: list[str], message: str
) -> None:
    model, x, link = tmp_path / "m.npz", tmp_path / "x.npz", tmp_path / "l.npz"
    shutil.copy(bundled_models()[MODEL], model)
    x.write_bytes(b"what is there")
    link.symlink_to(x)
    places = {"tmp": tmp_path, "tmp_name": tmp_path.name, "digit": digit, "model": model, "x": x, "link": link}
    assert main([argument.format(**places) for argument in arguments]) == FAILED
    assert message.format(**places) in capsys.readouterr().err
    assert model.read_bytes() == bundled_models()[MODEL].read_bytes() and x.read_bytes() == b"what is there"


def test_every_option_that_writes_is_known_to_write() -> None:
    """So that no command overwrites what it reads."""
    parsers = [commands.parser_of()]
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += {id(each): each for each in action.choices.values()}.values()
            elif action.nargs is None and re.search(r"\bwrite|\bkeep what|\bdraw boxes", action.help or ""):
                assert action.dest in WRITTEN, f"{parser.prog} {action.option_strings}"
    assert len(parsers) > 20


@pytest.mark.parametrize(("arguments", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, digit: str, arguments: list[str], message: str
) -> None:
    places = {"tmp": tmp_path, "digit": digit, "short": truncated(tmp_path)}
    try:
        status: int | str | None = main([argument.format(**places) for argument in arguments])
    except SystemExit as exit_:  # argparse's way
        status = exit_.code
    printed = capsys.readouterr()
    assert status == FAILED
    assert printed.out == ""
    assert printed.err.startswith("refengine: ")
    assert printed.err.count("\n") == 1
    assert message.format(**places) in printed.err


def test_out_of_memory_is_an_error_like_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*arguments: object, **options: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(evaluate_command, "make_plan", greedy)
    assert main(["evaluate", MODEL]) == FAILED
    assert capsys.readouterr().err == "refengine: out of memory\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run([*COMMAND, "inspect", MODEL], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (process.returncode, process.stderr) == (BROKEN_PIPE, b"")


def test_closed_streams_are_no_error() -> None:
    line = f"{sys.executable} -m refengine inspect {MODEL} >&- 2>&-"
    assert subprocess.run(line, shell=True, check=False).returncode == 0


def test_control_c_leaves_without_a_traceback(
    capsys: pytest.CaptureFixture[str], digit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "fed", interrupted)
    assert main(["run", MODEL, "--input", digit]) == INTERRUPTED
    assert capsys.readouterr() == ("", "refengine: interrupted\n")


def test_an_ascii_terminal_gets_question_marks() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.run([*COMMAND, "inspect", MODEL], capture_output=True, env=environment, check=True)
    assert b"?" in process.stdout
    assert process.stderr == b""


@pytest.fixture
def terminal() -> Iterator[Callable[[str], str]]:
    """A terminal of 80 columns: runs a command line and gives back what stands on its screen, and above it."""
    tmux = ["tmux", "-u", "-f", os.devnull, "-L", f"refengine-{uuid4()}"]  # a server of its own

    def typed(line: str) -> str:
        shell = f"{line}; {' '.join(tmux)} wait-for -S done; cat"
        subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", shell], check=True)
        subprocess.run([*tmux, "wait-for", "done"], check=True)
        return subprocess.run(
            [*tmux, "capture-pane", "-p", "-S", "-"], check=True, capture_output=True, text=True
        ).stdout

    yield typed
    subprocess.run([*tmux, "kill-server"], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("demo", "stm32f746 int8 0 2 6 100"),
        ("inspect stm32f746_int8", "0 CONV_2D + RELU 0 → 14 int8 1×26×26×32 194,688 416 1 MAX_POOL_2D"),
        (f"evaluate {MODEL}", "accuracy 100.00% (100 of 100)"),
        ("run nothing", "refengine: one of the arguments --input --random is required"),
    ],
    ids=lambda text: text.split()[0],
)
def test_in_a_real_terminal(terminal: Callable[[str], str], arguments: str, expected: str) -> None:
    screen = terminal(f"{' '.join(COMMAND)} {arguments}")
    assert expected in " ".join(screen.split())
    assert "…" not in screen.split("tensor  of")[0], "a table was cut off"


def test_what_was_warned_of_stands_in_json_as_well(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, digit: str
) -> None:
    """And what one command warned of, the next one does not repeat."""
    (tmp_path / "data" / "7").mkdir(parents=True)
    shutil.copy(digit, tmp_path / "data" / "7")
    (tmp_path / "data" / "7" / "notes.docx").write_bytes(b"none")
    assert main(["evaluate", MODEL, "--data", str(tmp_path / "data"), "--json"]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)["warnings"]
    assert [f"refengine: warning: {line}" for line in told] == printed.err.splitlines()
    assert "left out 1 file, neither picture, array nor sound: 7/notes.docx" in told[0]
    assert main(["run", MODEL, "--random", "--json"]) == 0
    assert "warnings" not in json.loads(capsys.readouterr().out)
