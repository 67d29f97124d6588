"""What a network's outputs mean: classes, boxes, a map of classes, or nothing that is known."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..accuracy import is_classifier
from ..errors import InputError
from ..model import Tensor
from ..plan import Plan
from ..tensors.inputs import picture_shape
from ..tensors.stats import is_quantized

TASKS = ("classification", "detection", "segmentation", "none")


@dataclass(frozen=True)
class Task:
    """One of `TASKS`, and why: ``given``, or what in the graph tells."""

    name: str
    reason: str


def task_of(plan: Plan, name: str | None = None) -> Task:
    """What the network is for, as its graph tells or as its caller says by `name`.

    - ``detection``: four outputs of the one operator that makes them of boxes, their scores and anchors.
    - ``segmentation``: one output that is a map of classes: N×H×W×C scores, C ≥ 2, or N×H×W (×1) integers, each
      pixel's class, of a picture that is a whole number of times as high and wide. Where C is the picture's own number
      of channels it may be a picture, and its caller must say.
    - ``classification``: one row of scores.

    Raises `InputError` for a `name` that the outputs do not allow.
    """
    if name is None:
        return _recognised(plan)
    allowed = {
        "classification": is_classifier(plan),
        "detection": _are_boxes(plan.outputs),
        "segmentation": _is_map(plan, plan.outputs),
        "none": True,
    }
    if name not in allowed:
        raise InputError(f"{name!r} is no task; choose one of {', '.join(TASKS)}")
    if not allowed[name]:
        needed = {
            "classification": "one of 1 × classes",
            "detection": "boxes (1 × n × 4), classes and scores (1 × n) and their number (1), all float32",
            "segmentation": "one of 1 × height × width × classes, or of the class of each pixel",
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
    if _is_map(plan, plan.outputs):
        (output,) = plan.outputs
        channels = output.shape[3] if len(output.shape) == 4 else 1
        if channels == 1 and not _is_classes(output):
            return Task("none", "its output is a map of one value a pixel")
        if channels > 1 and channels == picture_shape(plan.inputs[0])[2]:
            return Task("none", f"its output may be a picture, or a map of {channels} classes")
        of = "each pixel's class" if channels == 1 else f"scores of {channels} classes"
        return Task("segmentation", f"its output is a map of {of}, {output.shape[1]} × {output.shape[2]}")
    return Task("none", "its outputs tell no task")


def _are_boxes(outputs: tuple[Tensor, ...]) -> bool:
    """Whether there are boxes, classes, scores and a count, in that order."""
    if len(outputs) != 4 or any(t.dtype != "float32" for t in outputs):
        return False
    sizes = [prod(t.shape) for t in outputs]
    return sizes[0] == 4 * sizes[1] and sizes[1] == sizes[2] and sizes[3] == 1 and outputs[0].shape[-1:] == (4,)


def _is_map(plan: Plan, outputs: tuple[Tensor, ...]) -> bool:
    """Whether there is one map of scores or classes of a picture; one value a pixel is the score of a class."""
    try:
        height, width, _ = picture_shape(plan.inputs[0]) if len(plan.inputs) == 1 else (0, 0, 0)
    except InputError:
        return False
    if len(outputs) != 1 or len(outputs[0].shape) not in (3, 4) or outputs[0].shape[0] != 1:
        return False
    rows, columns = outputs[0].shape[1:3]
    scored = outputs[0].dtype == "float32" or is_quantized(outputs[0]) or _is_classes(outputs[0])
    sized = min(rows, columns) > 1 and height % rows == 0 == width % columns and height * columns == width * rows
    return scored and sized


def _is_classes(output: Tensor) -> bool:
    """Whether values are classes themselves: integers that stand for no real values."""
    plain = output.dtype in ("uint8", "int32", "int64") and not is_quantized(output)
    return plain and (len(output.shape) == 3 or output.shape[3:] == (1,))
