"""Pairs of layers of which the second alone reads the first, and channels stay apart on the way.

A factor s > 0 may be moved from a channel of the first to the weights of the second that read it: the network stays
what it is, but for rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..model import Array, Tensor
from ..numerics.quantize import FLOAT_MAX, float_activation_range
from ..plan import Plan, Step
from .counterparts import stands_alone

Factors = npt.NDArray[np.float64]

PROBES = 3
"""How often the way of the channels is tried with other values, beside their numbers and zeros."""


@dataclass(frozen=True, eq=False)
class Link:
    """A layer and the one that alone reads it. `channels` tells for each of the `second`'s input channels, or features,
    which channel of the `first` it holds; −1 for none, as behind padding."""

    first: Step
    second: Step
    channels: npt.NDArray[np.int64]

    @property
    def is_open(self) -> bool:
        """Whether a factor passes: the first layer's activation, if there is one, clamps at 0 alone."""
        return _is_open(self.first)

    def ranges(self, weights: Mapping[int, Array]) -> tuple[Factors, Factors]:
        """The largest |weight| of each channel in the first layer, and in the second."""
        one, two = (_along(step, weights, letter) for step, letter in ((self.first, "O"), (self.second, self._axis)))
        largest = np.abs(one).max(axis=1).astype(np.float64)
        read = np.zeros_like(largest)
        there = self.channels >= 0
        np.maximum.at(read, self.channels[there], np.abs(two).max(axis=1)[there])
        return largest, read

    def apply(self, weights: dict[int, Array], factors: Factors) -> None:
        """Divide the first layer's channels by the factors, and multiply the second's."""
        read = np.where(self.channels < 0, 1.0, factors[self.channels])
        for step, tensor, letter, by in (
            (self.first, self.first.weights, "O", 1 / factors),
            (self.first, self.first.bias, "O", 1 / factors),
            (self.second, self.second.weights, self._axis, read),
        ):
            if tensor is not None:
                product = weights[tensor.index] * _shaped(step, tensor, letter, by)
                weights[tensor.index] = product.astype(np.float32)

    @property
    def _axis(self) -> str:
        """Along which of its weights' axes the second layer's channels lie: of a depthwise one, its outputs'."""
        return "I" if "I" in self.second.facts.layout else "O"


def links(plan: Plan) -> Iterator[Link]:
    """The pairs of layers, with what is homogeneous between them, of which the second alone reads the first; those too
    whose first layer clamps, so that no factor passes (`Link.is_open`)."""
    fixed = fixed_values(plan)
    counted = [step for step in plan.steps if not step.facts.shapes_only]
    readers = Counter(i for step in counted for i in step.op.inputs)
    readers.update(plan.graph.outputs)
    for first in filter(partial(_is_layer, readers), counted):
        way = [first, *_followers(counted, fixed, readers, first)]
        if _is_layer(readers, way[-1]) and (channels := _channels(way, fixed)) is not None:
            yield Link(first, way[-1], channels)


def fixed_values(plan: Plan) -> dict[int, Array]:
    """The values, as kernels take them, of the tensors that are the same for any input: constants, shapes, and what is
    made of them."""
    known = dict(plan.constants)
    for step in plan.steps:
        shapes = {t.index: np.zeros((1, *t.shape), t.dtype) for t in step.inputs if t and step.facts.shapes_only}
        given = shapes | {i: known[i] for i in step.op.inputs if i in known}
        if stands_alone(step) and given.keys() >= {t.index for t in step.inputs if t}:
            results = step.evaluate(*(None if t is None else given[t.index] for t in step.inputs))
            known |= zip((t.index for t in step.outputs), results, strict=True)
    return known


def _followers(steps: list[Step], fixed: Mapping[int, Array], readers: Counter[int], first: Step) -> Iterator[Step]:
    """The steps behind a layer that alone read each other's output, as far as they hand factors on, and the next."""
    step = first
    while step is first or _passes(step, fixed):
        after = [each for each in steps if step.outputs[0].index in each.op.inputs]
        if len(step.outputs) != 1 or readers[step.outputs[0].index] != 1 or not after:
            return
        (step,) = after
        yield step


def _is_layer(readers: Counter[int], step: Step) -> bool:
    """Whether the step has float32 weights of its own."""
    own = (step.weights, step.bias)
    constant = all(t is None or (t.data is not None and t.dtype == "float32" and readers[t.index] == 1) for t in own)
    return bool(step.facts.layout) and step.weights is not None and constant


def _is_open(step: Step) -> bool:
    """Whether the fused activation, if there is one, lets a factor pass."""
    ends = float_activation_range(step.op.options.get("fused_activation_function", "NONE"))
    return all(end == 0 or abs(end) == np.float32(FLOAT_MAX) for end in ends)


def _passes(step: Step, fixed: Mapping[int, Array]) -> bool:
    """Whether the step may hand a factor on: the others among its inputs, such as shapes, are the same for any data."""
    moving = [t for t in step.inputs if t is not None and t.index not in fixed]
    return (step.facts.homogeneous or step.facts.copies) and _is_open(step) and len(moving) == 1


def _channels(way: list[Step], fixed: Mapping[int, Array]) -> npt.NDArray[np.int64] | None:
    """`Link.channels` of the way from a layer to the next; None if channels do not stay apart.

    Proven by trial: the operators run on arrays that hold, in every place, a value of the channel's own.
    """
    first, second = way[0], way[-1]
    (output,) = first.outputs
    if second is first or second.data is None or second.data.index != way[-2].outputs[0].index:
        return None
    count = output.shape[-1]
    values = np.random.default_rng(0).uniform(1, 2, (PROBES, count))
    values = np.concatenate([np.zeros((1, count)), np.arange(1, count + 1)[None], values]).astype(np.float32)
    along = (len(values), *(1 for _ in output.shape[:-1]), count)
    found = np.broadcast_to(values.reshape(along), (len(values), *output.shape)).copy()
    for before, step in pairwise(way[:-1]):
        given = {**fixed, before.outputs[0].index: found}
        found = step.evaluate(*(None if t is None else given[t.index] for t in step.inputs))[0]
    weights, data = second.weights, second.data
    assert weights is not None and data is not None
    layout = second.facts.layout
    size = weights.shape[layout.index("I")] if "I" in layout else data.shape[-1]
    if found[0].size % size or (layout != "OI" and size != data.shape[-1]):  # a grouped convolution, for one
        return None
    rows = found.reshape(len(values), -1, size)
    channels = np.rint(rows[1]).max(axis=0).astype(np.int64) - 1
    if channels.max() >= count:
        return None
    wanted = np.where(channels < 0, 0, values[:, channels])[:, None]
    close = np.abs(rows - wanted) <= 1e-4 * np.abs(wanted)
    if not (close | (rows == 0).all(axis=0)).all():  # zeros are padding
        return None
    return channels if "I" in layout else np.repeat(channels, weights.shape[layout.index("O")] // size)


def _along(step: Step, weights: Mapping[int, Array], letter: str) -> Array:
    """A layer's weights, (channels, the rest), along one of the axes that its layout names."""
    assert step.weights is not None
    values = weights[step.weights.index]
    axis = step.facts.layout.index(letter)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _shaped(step: Step, tensor: Tensor, letter: str, factors: Factors) -> Factors:
    """Factors that weights, or a bias, can be multiplied by."""
    if tensor is step.bias:
        return factors.reshape(tensor.shape)
    return factors.reshape([-1 if each == letter else 1 for each in step.facts.layout])
