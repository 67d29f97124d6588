"""Ink on paper is noticed where a network of digits is given it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from refengine import make_plan
from refengine.commands import main
from refengine.reading.paper import on_paper
from refengine.tensors.datasets import bundled_digits
from tests.test_execute import two_layers


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `paper` and `black`, each with three digits in folders for their classes."""
    folder = tmp_path_factory.mktemp("pictures")
    for image, label in zip(*(x[:3] for x in bundled_digits()), strict=True):
        for name, pixels in (("paper", 255 - image), ("black", image)):
            (folder / name / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).resize((56, 56)).save(folder / name / str(label) / "one.png")
    return folder


def test_digits_on_paper_are_told_and_those_on_black_are_not(pictures: Path) -> None:
    plan = make_plan("dense_int8")
    told = on_paper(plan, sorted((pictures / "paper").rglob("*.png")))
    assert told.startswith("3 of 3 pictures") and "say --digit" in told and "--range 1 0 " in told
    assert on_paper(plan, sorted((pictures / "black").rglob("*.png"))) == ""
    assert on_paper(plan, []) == on_paper(plan, ["missing.png", "x.npy"]) == ""


def test_a_network_of_something_else_takes_bright_pictures_without_a_word(pictures: Path) -> None:
    assert on_paper(make_plan(two_layers()), sorted((pictures / "paper").rglob("*.png"))) == ""


@pytest.mark.parametrize(("options", "warned"), [([], True), (["--digit"], False), (["--range", "1", "0"], False)])
def test_commands_say_so_unless_pictures_are_prepared(
    pictures: Path, options: list[str], warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    one = next((pictures / "paper").rglob("*.png"))
    for call in (["run", "dense_int8", "--input", str(one)], ["evaluate", "dense_int8", "--data", f"{pictures}/paper"]):
        assert main([*call, *options]) == 0
        assert ("dark on bright" in capsys.readouterr().err) == warned, call
