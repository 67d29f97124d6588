"""`refengine export` as a person types it: what it writes and prints, and one line where something is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refengine import make_plan
from refengine.commands import main
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.images import read_inputs


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["export", *map(str, arguments)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr of a command that fails."""
    try:
        status: object = main(["export", *map(str, arguments)])
    except SystemExit as left:
        status = left.code
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1)
    return printed.err


def test_c(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = ask(capsys, "dense_int8", "-o", tmp_path / "new" / "folder")
    assert "4 steps (3 folded: constants)" in printed
    assert "912 bytes, the least possible; TFLM's greedy planner: 1,584" in printed
    assert (tmp_path / "new" / "folder" / "model.h").exists()


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = json.loads(ask(capsys, "dense_int8", "-o", tmp_path, "--json"))
    assert (report["arena_bytes"], report["tflm_arena_bytes"], report["steps"]) == (912, 1584, 4)
    assert sorted(report["files"]) == sorted(path.name for path in tmp_path.iterdir())


def test_golden_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The input given is the one in the file; another gives other CRCs."""
    images, _ = bundled_digits()
    Image.fromarray(images[0]).save(tmp_path / "digit.png")
    ask(capsys, "dense_int8", "-o", tmp_path / "a", "--input", tmp_path / "digit.png")
    ask(capsys, "dense_int8", "-o", tmp_path / "b")
    a, b = ((tmp_path / folder / "model.c").read_text() for folder in "ab")
    assert ", ".join(str(int(x) - 128) for x in images[0][14, 10:18]) in a
    assert a != b


def test_a_golden_digit_is_prepared_as_run_prepares_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    seven = str(Path(__file__).parents[1] / "data/seven.png")
    plan = make_plan("dense_int8")
    ((_, (x,)),) = read_inputs(plan, [seven], digit=True)
    np.save(tmp_path / "x.npy", x)
    ask(capsys, "dense_int8", "-o", tmp_path / "a", "--input", seven, "--digit")
    ask(capsys, "dense_int8", "-o", tmp_path / "b", "--input", tmp_path / "x.npy")
    a, b = ((tmp_path / folder / "model.c").read_text() for folder in "ab")
    assert a == b


def test_numerics(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "cortex-m7 (" in ask(capsys, "stm32f746_float32", "-o", tmp_path, "--numerics", "cortex-m7")
    assert "#define REFENGINE_FMA 1" in (tmp_path / "numerics.h").read_text()


def test_array(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "dense_int8_tflite.h"
    assert ask(capsys, "dense_int8", "-o", tmp_path, "--array") == f"wrote {path}\n"
    assert "static const unsigned char dense_int8_tflite[]" in path.read_text()


@pytest.mark.parametrize(("bits", "size"), [(1, 98), (8, 784)])
def test_the_bundled_digits(bits: int, size: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ask(capsys, "--image", "digits", "-o", tmp_path, "--bits", bits)
    text = (tmp_path / "digits.h").read_text()
    assert f"digits[100][{size}]" in text
    assert f"digits_labels[100] = {{{', '.join(map(str, bundled_digits()[1]))}}}" in text


def test_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        Image.fromarray(np.full((40, 40), 255, np.uint8)).save(tmp_path / name)
    ask(capsys, "--image", tmp_path / "one.png", "-o", tmp_path, "--bits", 1)
    assert "one[1][98]" in (tmp_path / "one.h").read_text()
    ask(capsys, "--image", tmp_path / "one.png", tmp_path / "two.png", "-o", tmp_path)
    assert "images[2][784]" in (tmp_path / "images.h").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dense_int8"], "-o/--output"),
        (["-o", "x"], "nothing to export"),
        (["nix", "-o", "x"], "no such file, and no bundled network"),
        (["dense_int8", "-o", os.devnull], "is a file"),
        (["dense_int8", "-o", os.devnull, "--array"], os.devnull),
        (["--image", "nix.png", "-o", "x"], "nix.png: cannot be read"),
        (["--image", "digits", "-o", "x", "--bits", "4"], "invalid choice: 4"),
        (["dense_int8", "-o", "x", "--input", "nix.npy"], "nix.npy"),
        (["dense_int8", "-o", "x", "--array", "--image", "digits"], "not allowed with"),
        (["dense_int8", "-o", "x", "--array", "--prefix", "wake"], "leave out --prefix"),
        (["dense_int8", "-o", "x", "--image", "digits"], "leave out MODEL"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in complaint(capsys, *arguments)
    assert not any(tmp_path.iterdir())
