"""What a network says to a drawing, as its task has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..debugger.session import Session
from ..errors import InferenceError, InputError
from ..model import Array
from ..tasks.detection import detections
from ..tasks.recognition import task_of
from ..tasks.segmentation import class_maps, shares
from ..tensors.digits import Pixels
from ..tensors.inputs import dequantize_output
from ..tensors.stats import is_quantized
from .asked import Asked
from .drawings import preparation, shown
from .studio import Studio

FIRST = 64
"""Values of an output that means nothing known, which are shown."""


def answer(studio: Studio, asked: Asked) -> dict[str, Any]:
    """The answer to a drawing, and with ``saw`` what the network saw of it."""
    drawing = studio.drawings.taken(asked)
    with studio.session(asked, drawing) as session:
        outputs = _outputs(session)
        plan = session.plan
        told = {
            "drawing": drawing.id,
            "numerics": str(plan.numerics),
            "frames": session.inferences,
            "frame": session.inference,
            "changes": len(session.changes),
            **_meaning(studio, session, outputs),
        }
        fed = [shown(t.name, _grey(x)) for t, x in zip(plan.inputs, session.inputs, strict=True) if _is_map(x)]
    saw = {"saw": [*preparation(plan, drawing), *fed]} if asked.says("saw") else {}
    return told | saw


def _outputs(session: Session) -> tuple[Array, ...]:
    """The outputs of the present inference, which ends where TFLM's Invoke does."""
    try:
        return tuple(session.final(tensor) for tensor in session.plan.outputs)
    except InferenceError as error:
        raise InputError(f"inference {session.inference} gives no answer: {error}") from error


def _meaning(studio: Studio, session: Session, outputs: tuple[Array, ...]) -> dict[str, Any]:
    plan = session.plan
    try:
        task = task_of(plan, studio.task)
    except InputError:  # what was given is for another of the networks
        task = task_of(plan)
    said: dict[str, Any] = {"task": task.name, "reason": task.reason, "outputs": []}
    if task.name == "classification":
        scores = dequantize_output(plan, outputs[0])[0]
        codes = outputs[0][0]
        said["classes"] = [
            {"label": i, "name": studio.names.get(i, str(i)), "score": float(score), "code": codes[i].item()}
            for i, score in enumerate(scores)
        ]
        said["label"] = int(codes.argmax())
    elif task.name == "detection":
        said["detections"] = [
            {**each.as_dict(), "name": studio.names.get(each.label, str(each.label))} for each in detections(outputs)[0]
        ]
    elif task.name == "segmentation":
        (classes,) = class_maps(plan, outputs)
        said["map"] = classes.tolist()
        said["shares"] = {studio.names.get(label, str(label)): part for label, part in shares(classes).items()}
    else:
        said["outputs"] = [_first(session, i, x) for i, x in enumerate(outputs)]
    return said


def _first(session: Session, index: int, values: Array) -> dict[str, Any]:
    """The first values of an output."""
    tensor = session.plan.outputs[index]
    real = dequantize_output(session.plan, values, index) if is_quantized(tensor) else None
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": tensor.shape,
        "values": values.ravel()[:FIRST].tolist(),
        "real": None if real is None else real.ravel()[:FIRST].tolist(),
    }


def _is_map(x: Array) -> bool:
    """Whether an input can be shown: rows and columns of numbers."""
    return x.dtype.kind in "iufb" and x.ndim >= 2 and 1 < x.size <= 1 << 20


def _grey(x: Array) -> Pixels:
    """Codes as greys, the smallest black, the largest white; squares that were flattened as squares again."""
    side = round(x.size**0.5)
    if x.ndim == 4 and x.shape[0] == 1 and x.shape[3] in (1, 3, 4):
        rows = x[0]
    elif x.ndim == 2 and side * side == x.size:
        rows = x.reshape(side, side)
    else:
        rows = x.reshape(-1, x.shape[-1])
    values = np.nan_to_num(rows.astype(np.float64), posinf=0, neginf=0)
    low, high = values.min(), values.max()
    grey: Pixels = np.round((values - low) * (255 / max(high - low, 1e-30))).astype(np.uint8)
    return grey
