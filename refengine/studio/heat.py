"""Which parts of the picture spoke for a class: differences of answers that TFLM would give, in two ways.

Contributions: the places of the picture are put onto blank paper one after another, in several orders, and the network
is asked after each. A place contributes what the class's score rises by when it comes, on average. Every order leads
from the answer to blank paper to that to the picture, so the contributions add up to the difference of these two, to
the last code. They are estimates of Shapley values (Castro, Gómez and Tejada, 2009), which average over all orders.

Occlusion (Zeiler and Fergus, 2014): a patch around each place is covered with paper. That tells what the network would
miss, but adds up to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from ..accuracy import is_classifier
from ..debugger.why import last_layer
from ..errors import InputError
from ..execute import run
from ..model import Array, Tensor
from ..plan import Plan, make_plan
from ..tensors.inputs import picture_shape
from ..tensors.stats import is_quantized
from .asked import Asked
from .studio import Studio

SIDE = 28
"""Places along the longer side of a picture."""

ASKED = 1500
"""How often the network is asked for contributions, if two orders take no more."""

MOST = 64
"""Orders, however few places there are."""


@dataclass(frozen=True, eq=False)
class _Question:
    """The score of class `label`, which `plan` puts out, for a `picture` (height, width, channels) of input codes."""

    plan: Plan
    picture: Array
    label: int

    @property
    def paper(self) -> Array:
        """What most of the picture is, in each channel."""
        return np.asarray(np.median(self.picture, axis=(0, 1)).astype(self.picture.dtype))

    @property
    def stride(self) -> int:
        """Pixels along a side of a place."""
        longer: int = max(self.picture.shape[:2])
        return ceil(longer / SIDE)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of places."""
        height, width, _ = self.picture.shape
        return -(-height // self.stride), -(-width // self.stride)

    def scores(self, pictures: Array) -> Array:
        """The real-valued scores (N,) of pictures (N, height, width, channels), float64."""
        tensor = self.plan.outputs[0]
        (found,) = run(self.plan, pictures.reshape(-1, *self.plan.inputs[0].shape[1:]))
        codes = found[:, self.label].astype(np.float64)
        if not is_quantized(tensor) or tensor.quantization is None:
            return codes
        return np.asarray(tensor.quantization.scale[0] * (codes - (*tensor.quantization.zero_point, 0)[0]))


def heat(studio: Studio, asked: Asked) -> dict[str, Any]:
    """For class ``label``, how much each place of the picture speaks for it: rows of numbers, of every ``stride``
    pixels, found in the ``way`` that is asked for; ``score`` is what it is for the picture, ``blank`` for paper,
    ``of`` the logits or the output.

    Contributions tell in how many ``orders``, occlusion the side of its ``patch``.
    """
    label, way = asked.natural("label"), asked.text("way", "contributions")
    if way not in WAYS:
        raise InputError(f"there is no heat by {way!r}; choose {' or '.join(WAYS)}")
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
    question = _Question(_up_to(plan, scored), inputs[0].reshape(height, width, channels), label)
    of = "the output" if scored.index == plan.outputs[0].index else "the logits"
    blank, score = question.scores(np.stack([np.broadcast_to(question.paper, inputs[0].shape[1:]), question.picture]))
    rows, told = WAYS[way](question)
    facts = {"way": way, "label": label, "score": float(score), "blank": float(blank), "of": of}
    return facts | {"stride": question.stride, "height": height, "width": width, "rows": rows.tolist()} | told


def _scored(plan: Plan) -> Tensor:
    """The logits, where the last layer that sums has one for each class: what a softmax makes of them is flat at its
    ends. Else the output."""
    try:
        logits = last_layer(plan).outputs[0]
    except InputError:
        return plan.outputs[0]
    return logits if logits.shape == plan.outputs[0].shape else plan.outputs[0]


def _up_to(plan: Plan, scored: Tensor) -> Plan:
    """The plan of the same network with that tensor as its output."""
    graph = replace(plan.graph, outputs=(scored.index,))
    model = replace(plan.model, graphs=(graph, *plan.model.graphs[1:]), sha256="")
    return make_plan(model, numerics=plan.numerics, kernels=plan.kernels, memory=plan.memory)


# ---- contributions ---------------------------------------------------------------------------------------------------


def _contributions(question: _Question) -> tuple[Array, dict[str, Any]]:
    sums = np.zeros(question.grid)
    places = _places(question)
    orders = 2 * min(MOST // 2, max(1, ASKED // 2 // max(1, len(places))))
    random = np.random.default_rng(0)  # the same drawing has the same map
    for _ in range(orders // 2):
        order = random.permutation(places)
        for each in (order, order[::-1]):
            sums[tuple(each.T)] += np.diff(question.scores(_put(question, each)))
    return sums / orders, {"orders": orders}


def _places(question: _Question) -> Array:
    """The places (N, 2) that are no blank paper: rows and columns, in strides."""
    rows, columns = np.nonzero((question.picture != question.paper).any(axis=2))
    return np.unique(np.stack([rows, columns], axis=1) // question.stride, axis=0)


def _put(question: _Question, order: Array) -> Array:
    """Blank paper, then what it is after each place of that order: N + 1 pictures, the last one the whole."""
    height, width, _ = question.picture.shape
    turns = np.full(question.grid, len(order))  # when a place comes
    turns[tuple(order.T)] = np.arange(len(order))
    of_pixels = turns.repeat(question.stride, 0).repeat(question.stride, 1)[:height, :width, np.newaxis]
    come = of_pixels < np.arange(len(order) + 1).reshape(-1, 1, 1, 1)
    return np.where(come, question.picture, question.paper)


# ---- occlusion -------------------------------------------------------------------------------------------------------


def _occlusion(question: _Question) -> tuple[Array, dict[str, Any]]:
    patch = 3 * question.stride
    rows = [*_covered(question, patch)]
    score, *scores = question.scores(np.concatenate([question.picture[np.newaxis], *rows]))
    return np.subtract(score, scores).reshape(len(rows), -1), {"patch": patch}


def _covered(question: _Question, patch: int) -> Iterator[Array]:
    """For each row of places, the pictures with a patch around each covered."""
    height, width, _ = question.picture.shape
    before, behind = (patch - 1) // 2, patch // 2 + 1
    for y in range(0, height, question.stride):
        row = np.repeat(question.picture[np.newaxis], -(-width // question.stride), axis=0)
        for i, x in enumerate(range(0, width, question.stride)):
            row[i, max(0, y - before) : y + behind, max(0, x - before) : x + behind] = question.paper
        yield row


WAYS: Mapping[str, Callable[[_Question], tuple[Array, dict[str, Any]]]] = {
    "contributions": _contributions,
    "occlusion": _occlusion,
}
