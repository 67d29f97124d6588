"""What a network's outputs mean: classes, boxes, a map of classes, or nothing that is known."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..accuracy import are_probabilities, gives_scores, is_classifier, reconstructs
from ..errors import InputError
from ..model import Tensor
from ..plan import Plan
from ..tensors.inputs import picture_shape
from .segmentation import class_count, map_place

TASKS = ("classification", "detection", "segmentation", "none")

UNTOLD = "its outputs tell no task"


@dataclass(frozen=True)
class Task:
    """One of `TASKS`, and why: ``given``, or what in the graph tells."""

    name: str
    reason: str


def task_of(plan: Plan, name: str | None = None) -> Task:
    """What the network is for, as its graph tells or as its caller says by `name`.

    - ``detection``: four outputs of the one operator that makes them of boxes, their scores and anchors.
    - ``segmentation``: an output that is a map of classes, see `segmentation.map_place`. Scores must be as large as the
      picture, or quantised as probabilities: others may be heat, of key points or boxes. Of as many values a pixel as
      the picture has, or of one, it may be a picture. So its caller must say.
    - ``classification``: one row of scores; of as many values as the input has, and no probabilities, it may be a
      reconstruction, as an autoencoder's. So its caller must say.

    Raises `InputError` for a `name` that the outputs do not allow.
    """
    if name is None:
        return _recognised(plan)
    allowed = {
        "classification": gives_scores(plan),
        "detection": _are_boxes(plan.outputs),
        "segmentation": map_place(plan) is not None,
        "none": True,
    }
    if name not in allowed:
        raise InputError(f"{name!r} is no task; choose one of {', '.join(TASKS)}")
    if not allowed[name]:
        needed = {
            "classification": "one of 1 × classes",
            "detection": "boxes (1 × n × 4), classes and scores (1 × n) and their number (1), all float32",
            "segmentation": "just one of 1 × height × width × classes, or of the class of each pixel",
        }[name]
        found = ", ".join(f"'{t.name}' {t.dtype} {t.shape}" for t in plan.outputs)
        raise InputError(f"the model is not for {name}: its outputs are {found}, not {needed}")
    return Task(name, "given")


def _recognised(plan: Plan) -> Task:
    made = [step for step in plan.steps if step.facts.detects]
    if made and tuple(t.index for t in made[-1].outputs) == tuple(t.index for t in plan.outputs):
        return Task("detection", f"its outputs are the four of {made[-1].name}")
    if is_classifier(plan):
        return Task("classification", f"its output is a row of {plan.outputs[0].shape[1]} scores")
    if (place := map_place(plan)) is not None:
        output = plan.outputs[place]
        height, width, own = picture_shape(plan.inputs[0])
        count = class_count(output)
        sure = output.shape[1:3] == (height, width) or are_probabilities(output)
        if count is not None and (not sure or output.shape[3:] in ((), (1,), (own,))):
            return Task("none", f"output '{output.name}' may be a picture or a map of heat, or one of {count} classes")
        of = "each pixel's class" if count is None else f"scores of {count} classes"
        return Task("segmentation", f"output '{output.name}' is a map of {of}, {output.shape[1]} × {output.shape[2]}")
    if gives_scores(plan) and reconstructs(plan):
        output = plan.outputs[0]
        return Task(
            "none",
            f"output '{output.name}' has as many values as the input, and no softmax makes them: a "
            f"reconstruction, or one of {output.shape[1]} classes",
        )
    return Task("none", UNTOLD)


def _are_boxes(outputs: tuple[Tensor, ...]) -> bool:
    """Whether there are boxes, classes, scores and a count, in that order."""
    if len(outputs) != 4 or any(t.dtype != "float32" for t in outputs):
        return False
    sizes = [prod(t.shape) for t in outputs]
    return sizes[0] == 4 * sizes[1] and sizes[1] == sizes[2] and sizes[3] == 1 and outputs[0].shape[-1:] == (4,)
