"""What the page asks of the collection: to keep a drawing, to forget one, and what a network makes of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..accuracy import class_count, evaluate, predictions
from ..errors import InputError
from ..execute import run
from ..plan import Plan
from ..tensors.inputs import pixels_to_input
from .asked import Asked, Bytes
from .collection import ARCHIVE, Collection, archive
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
    """All that is kept, and what the network makes of each; `fits` is why it cannot say, or nothing."""
    collection = studio.collection
    told: dict[str, Any] = {"folder": str(collection.folder), "count": len(collection), "fits": "", "correct": None}
    answers: list[dict[str, Any]] = [{} for _ in collection.y]
    try:
        if len(collection):
            plan = studio.plan(asked)
            answers = [*_answers(plan, collection)]
            *_, accuracy = evaluate(plan, collection.pictures, collection.labels)
            told["correct"] = accuracy.correct
    except InputError as error:
        told["fits"] = str(error)
    each = zip(collection.x, collection.y, answers, strict=True)
    told["drawings"] = [
        shown(studio.names.get(y, str(y)), x) | {"label": y, "place": i} | a for i, (x, y, a) in enumerate(each)
    ]
    return told


def _answers(plan: Plan, collection: Collection) -> Iterator[dict[str, Any]]:
    """What the network says to each."""
    for answer in predictions(plan, *run(plan, pixels_to_input(plan, collection.pictures))):
        yield {"answer": answer.label, "score": answer.confidence}


def download(studio: Studio, asked: Asked) -> Bytes:
    """The archive, for machines that the folder is not on."""
    collection = studio.collection
    if not len(collection):
        raise InputError("nothing is kept yet")
    return Bytes(archive(collection.pictures, collection.labels), "application/zip", ARCHIVE)
