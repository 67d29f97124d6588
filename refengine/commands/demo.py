"""Recognise handwritten digits with every bundled network."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from ..accuracy import evaluate, predictions
from ..bundled import bundled_models
from ..execute import run
from ..plan import make_plan
from ..tensors.datasets import bundled_digits
from ..tensors.images import half_blocks
from ..tensors.inputs import pixels_to_input
from ._front import say, terminal_width
from ._tables import print_table, table_of

SHOWN = [13, 47, 82]  # of the bundled digits, in the demo

WIDTH = 26
"""Columns that one of them takes."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes nothing."""


def command(args: argparse.Namespace) -> int:
    images, labels = bundled_digits()
    shown = SHOWN[: max(1, terminal_width() // WIDTH)]
    say(*map("  ".join, zip(*(half_blocks(image[2:-2, 2:-2]) for image in images[shown]), strict=True)))
    table = table_of("network", "type", "reads above", "right of 100")
    for name, path in bundled_models().items():
        plan = make_plan(path)
        answers = predictions(plan, *run(plan, pixels_to_input(plan, images[shown])))
        *_, accuracy = evaluate(plan, images, labels)
        network, _, kind = name.rpartition("_")
        table.add_row(network, kind, "  ".join(str(answer.label) for answer in answers), str(accuracy.correct))
    print_table(table)
    say(
        "Every number is what TensorFlow Lite Micro computes, bit for bit.",
        "Try a digit of your own:",
        f"  {_called()} run stm32f746_int8 --input drawing.png --digit",
    )
    return 0


def _called() -> str:
    """How the user reaches this command: by its name, or where it is not on PATH by its file (.venv/bin/refengine)."""
    file = Path(sys.argv[0])
    return "refengine" if file.stem != "refengine" or shutil.which("refengine") else os.path.relpath(file)
