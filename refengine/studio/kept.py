"""What the page asks of the collection: to keep a drawing, to forget one, and what a network makes of all of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..accuracy import class_count, evaluate, predictions
from ..errors import InputError
from ..execute import run
from ..plan import Plan
from ..tensors.digits import Pixels
from ..tensors.inputs import pixels_to_input
from .asked import Asked, Bytes
from .collection import ARCHIVE, archive
from .drawings import pixels, shown
from .studio import Studio


def keep(studio: Studio, asked: Asked) -> dict[str, Any]:
    """Keep the drawing as ``label``, one of the network's classes."""
    drawing, plan, label = studio.drawings.taken(asked), studio.plan(asked), asked.natural("label")
    count = class_count(plan)
    if label >= count:
        raise InputError(f"there is no class {label}: the network tells {count} apart, counted from 0")
    studio.collection.keep(pixels(plan, drawing), label)
    return kept(studio, asked)


def forget(studio: Studio, asked: Asked) -> dict[str, Any]:
    """Leave out drawing number ``place``."""
    studio.collection.forget(asked.natural("place"))
    return kept(studio, asked)


def kept(studio: Studio, asked: Asked) -> dict[str, Any]:
    """All that is kept, and what the network makes of each; `fits` is why it cannot say, or nothing, and `command` by
    what refengine is called at a prompt in the studio's folder."""
    x, y = studio.collection.held
    folder = str(studio.collection.folder)
    told: dict[str, Any] = {"folder": folder, "command": _command(), "count": len(y), "fits": "", "correct": None}
    answers: list[dict[str, Any]] = [{} for _ in y]
    try:
        if len(y):
            plan = studio.plan(asked)
            answers = [*_answers(plan, x)]
            *_, accuracy = evaluate(plan, x, y)
            told["correct"] = accuracy.correct
    except InputError as error:
        told["fits"] = str(error)
    each = zip(x, y.tolist(), answers, strict=True)
    told["drawings"] = [_told(studio, place, *one) for place, one in enumerate(each)]
    return told


def _command() -> str:
    """In a checkout, `make studio` leaves it in ``.venv``, where no shell looks."""
    script = Path(sys.executable).with_name("refengine")
    if shutil.which("refengine") or not script.exists():
        return "refengine"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def _told(studio: Studio, place: int, picture: Pixels, label: int, answer: dict[str, Any]) -> dict[str, Any]:
    return shown(studio.names.get(label, str(label)), picture) | {"label": label, "place": place} | answer


def _answers(plan: Plan, x: Pixels) -> Iterator[dict[str, Any]]:
    """What the network says to each."""
    for answer in predictions(plan, *run(plan, pixels_to_input(plan, x))):
        yield {"answer": answer.label, "score": answer.confidence}


def download(studio: Studio, asked: Asked) -> Bytes:
    """The archive, for machines that the folder is not on."""
    x, y = studio.collection.held
    if not len(y):
        raise InputError("nothing is kept yet")
    return Bytes(archive(x, y), "application/zip", ARCHIVE)
