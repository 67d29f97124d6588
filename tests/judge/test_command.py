"""refengine diff: exit status, text, JSON, page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from refengine import PRESETS, make_plan
from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.judge import META, Dump
from refengine.tflite_io import dump
from tests.judge.planted import case_of, dump_of, fault, in_dialect, network

MODEL = "stm32f746_int8"
TAP = Path(__file__).parents[2] / "firmware/tflm/refengine_tap.h"
PLAN, X = network(MODEL)
WRONG = fault(case_of(PLAN, 4, X), "if the bias is left out")


def write(path: Path, dump: Dump, **meta: str) -> str:
    arrays: dict[str, Any] = {f"t{i}": x for i, x in dump.tensors.items()}
    np.savez(path, **arrays | ({META: np.array(json.dumps(meta))} if meta else {}))
    return str(path)


@pytest.fixture
def sound(tmp_path: Path) -> str:
    return write(tmp_path / "sound.npz", dump_of(PLAN, X))


@pytest.fixture
def faulty(tmp_path: Path) -> str:
    return write(tmp_path / "faulty.npz", dump_of(PLAN, X, wrong={4: WRONG}))


def test_the_same_is_0(sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", MODEL, sound]) == 0
    assert capsys.readouterr().out.endswith("12 of 12 operators compared: no difference.\n")


def test_the_dump_may_stand_behind_options(sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", MODEL, "--sample", "0", sound]) == 0
    assert capsys.readouterr().out.endswith("12 of 12 operators compared: no difference.\n")
    with pytest.raises(SystemExit):
        main(["diff", MODEL, sound, "--sample", "0", "more"])
    assert "unrecognized arguments: more" in capsys.readouterr().err


def test_different_is_1_and_says_why(faulty: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", MODEL, faulty]) == 1
    printed = capsys.readouterr()
    assert printed.err == "" and "\x1b" not in printed.out
    assert re.search(r"^ 4 +CONV_2D \+ RELU +int8 1×3×3×64 +CULPRIT +\d+ of 576 +\d+ LSB", printed.out, re.M)
    assert re.search(r"^ 8 +RESHAPE +int8 1×576 +passed on", printed.out, re.M)
    assert re.search(
        r"^operator 4 \(CONV_2D\): certain: all its \d+ differences vanish if the bias is left out, and \d+ equal "
        "elements stay equal$",
        printed.out,
        re.M,
    )
    assert printed.out.endswith(
        "the fault enters at 4 CONV_2D, passed on to 3 more; "
        "certain: every difference vanishes if the bias is left out.\n"
    )


def test_json(faulty: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", MODEL, faulty, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["differs"] and told["model"] == MODEL
    step = told["steps"][4]
    assert (step["status"], step["candidates"][0]["cause"]) == ("culprit", "bias")
    assert step["own"]["count"] == step["candidates"][0]["vanish"]


def test_the_page_is_well_formed_and_self_contained(
    faulty: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["diff", MODEL, faulty, "--html", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert not re.findall(r'(?:src|href)="(?!#)', text) and "url(" not in text and "@import" not in text
    links = [a.get("href") for a in root.iter("{http://www.w3.org/2000/svg}a")]
    sections = {section.get("id") for section in root.iter("section")}
    assert len(links) == 12 and {link.removeprefix("#") for link in links if link} == sections
    boxes = [box.get("class") for box in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert boxes.count("culprit") == 1 and boxes.count("victim") == 3 and boxes.count("same") == 8


@pytest.mark.slow
def test_the_recording_says_whose_arithmetic_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = in_dialect(PLAN, PRESETS["single"], X)
    recorded = write(tmp_path / "a.npz", dump, sha256=PLAN.model.sha256, board="mine", numerics="single")
    assert main(["diff", MODEL, recorded]) == 0
    assert "(mine)" in capsys.readouterr().out
    assert main(["diff", MODEL, recorded, "--numerics", "tflm"]) == 1
    assert "every difference vanishes under single rounding" in capsys.readouterr().out
    unknown = write(tmp_path / "b.npz", dump, numerics="abacus")
    assert main(["diff", MODEL, unknown]) == 2
    assert main(["diff", MODEL, unknown, "--numerics", "single"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "diff needs DUMP, --port PORT or --arena FILE, and one of them"),
        (["missing.npz"], "missing.npz: cannot be read: No such file"),
        (["missing"], "missing: cannot be read: No such file"),
        (["{sound}", "--port", "qemu:host"], "and one of them"),
        (["--port", "qemu:host"], "--port needs --input"),
        (["{sound}", "--bisect"], "--bisect asks a device"),
    ],
)
def test_what_cannot_be_compared_is_2(
    arguments: list[str], complaint: str, sound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", MODEL, *(argument.format(sound=sound) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert complaint in err and err.count("\n") == 1


def test_the_tap_is_printed_and_fits_a_screen_or_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["diff", "--tap"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and out == TAP.read_text(encoding="utf-8")
    assert len(out.splitlines()) < 80


def test_a_dump_of_another_model(sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a hash nothing in it fits; with one, that says it."""
    assert main(["diff", "esp32_int8", sound]) == 2
    assert "holds no operator's output that fits" in capsys.readouterr().err


def test_a_batch_of_inputs(sound: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "two.npy", np.concatenate([X, X]))
    assert main(["diff", MODEL, sound, "--input", str(tmp_path / "two.npy")]) == 2
    assert main(["diff", MODEL, sound, "--input", *[str(tmp_path / "two.npy")] * 2]) == 2
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.slow
def test_whose_weights_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An older model's dump, and the older model among the files that are asked."""
    graph = PLAN.model.graphs[0]
    biases = {step.bias.index for step in PLAN.steps if step.bias is not None}
    tensors = tuple(
        replace(t, data=t.data * 2) if t.index in biases and t.data is not None else t for t in graph.tensors
    )
    older = replace(PLAN.model, graphs=(replace(graph, tensors=tensors),))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "newer.tflite").write_bytes(bundled_models()[MODEL].read_bytes())
    (folder / "older.tflite").write_bytes(dump(older))
    (folder / "other.tflite").write_bytes(bundled_models()["dense_int8"].read_bytes())
    device = write(tmp_path / "device.npz", dump_of(make_plan(older), X))
    assert main(["diff", MODEL, device, "--among", str(folder)]) == 1
    assert "certain: the device has the weights of older.tflite" in capsys.readouterr().out
    assert main(["diff", MODEL, device, "--among", str(tmp_path)]) == 2
    assert "there is no .tflite file in it" in capsys.readouterr().err
    assert main(["diff", MODEL, device, "--among", str(tmp_path / "nowhere")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
