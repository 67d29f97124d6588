"""Which parts of the picture spoke for a class: by covering each with paper, and asking the network again.

That is occlusion (Zeiler and Fergus, 2014), and no property of the integers: every value is the difference of two
answers that TFLM would give, one to the picture and one to it with a patch covered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from ..accuracy import is_classifier
from ..debugger.why import last_layer
from ..errors import InputError
from ..execute import run
from ..model import Array, Tensor
from ..plan import Plan, make_plan
from ..tensors.inputs import picture_shape
from ..tensors.stats import real_values
from .asked import Asked
from .studio import Studio

SIDE = 28
"""Places of the patch along the longer side of a picture."""


def heat(studio: Studio, asked: Asked) -> dict[str, Any]:
    """For class ``label``, how much its score falls where a patch is covered: rows of numbers, of every ``stride``
    pixels; ``patch`` is its side, ``score`` what the score is without."""
    label = asked.natural("label")
    with studio.session(asked) as session:
        plan, inputs = session.plan, session.inputs
        if session.changes or plan.initial:
            raise InputError("heat is of one inference as it is: take changes back, and choose a network without state")
    if not is_classifier(plan) or len(inputs) != 1:
        raise InputError("heat is of a class, and this network has none, or has several inputs")
    scored = _scored(plan)
    if label >= scored.shape[-1]:
        raise InputError(f"there is no class {label}; the last is {scored.shape[-1] - 1}")
    height, width, channels = picture_shape(plan.inputs[0])
    stride = ceil(max(height, width) / SIDE)
    patch = 3 * stride
    picture = inputs[0].reshape(height, width, channels)
    rows = [*_covered(picture, stride, patch)]
    every = np.concatenate([picture[np.newaxis], *rows]).reshape(-1, *plan.inputs[0].shape[1:])
    score, *scores = _scores(_up_to(plan, scored), every, label).tolist()
    return {
        "label": label,
        "score": score,
        "of": scored.name,
        "patch": patch,
        "stride": stride,
        "height": height,
        "width": width,
        "rows": np.subtract(score, scores).reshape(len(rows), -1).tolist(),
    }


def _scored(plan: Plan) -> Tensor:
    """The logits, where the last layer that sums has one for each class: what a softmax makes of them is flat at its
    ends. Else the output."""
    try:
        logits = last_layer(plan).outputs[0]
    except InputError:
        return plan.outputs[0]
    return logits if logits.shape == plan.outputs[0].shape else plan.outputs[0]


def _covered(picture: Array, stride: int, patch: int) -> Iterator[Array]:
    """For each row of places, the pictures with a patch around each covered with what most of the picture is."""
    height, width, _ = picture.shape
    paper = np.median(picture, axis=(0, 1)).astype(picture.dtype)
    before, behind = (patch - 1) // 2, patch // 2 + 1
    for y in range(0, height, stride):
        row = np.repeat(picture[np.newaxis], -(-width // stride), axis=0)
        for i, x in enumerate(range(0, width, stride)):
            row[i, max(0, y - before) : y + behind, max(0, x - before) : x + behind] = paper
        yield row


def _scores(plan: Plan, inputs: Array, label: int) -> npt.NDArray[np.float64]:
    """The real-valued score of the class in each of a batch."""
    (found,) = run(plan, inputs)
    real = real_values(plan.outputs[0], found)
    assert real is not None
    return real[:, label].astype(np.float64)


def _up_to(plan: Plan, scored: Tensor) -> Plan:
    """The plan of the same network with that tensor as its output."""
    graph = replace(plan.graph, outputs=(scored.index,))
    model = replace(plan.model, graphs=(graph, *plan.model.graphs[1:]), sha256="")
    return make_plan(model, numerics=plan.numerics, kernels=plan.kernels, memory=plan.memory)
