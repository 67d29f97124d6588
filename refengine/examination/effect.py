"""What a finding is worth: what happens to the network's outputs if that error is the only one.

The float model runs as it is, but for one tensor: to that, the error is added which its layer makes of the float
model's own values (an input: which its quantisation makes of the data), in the channels that the finding is about.
So the error of one layer hides no other's, however large it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np

from ..accuracy import is_classifier
from ..execute import tile_size
from ..model import Array, Tensor
from ..plan import Plan
from ..reading.counterparts import Pair, Values, computed, own_error, rows, what_if
from ..reading.float_reading import as_codes, is_quantized, real_values
from .layer import At

SAMPLES = 100
"""On how many inferences effects are measured, drawn from all: each finding runs the float model again."""

Inference = tuple[Array, ...]
"""The real inputs of one inference, (1, *shape) each."""

Where = tuple[At, tuple[int, ...]]
"""A tensor and some of its channels."""


@dataclass(frozen=True)
class Effect:
    """The outputs' error on `inferences` inputs: Σ error² over `count` values, in real units, and how many answers of a
    classifier change (None where there are no classes)."""

    inferences: int
    count: int
    square: float
    changed: int | None

    def __add__(self, other: Effect) -> Effect:
        changed = None if self.changed is None or other.changed is None else self.changed + other.changed
        return Effect(self.inferences + other.inferences, self.count + other.count, self.square + other.square, changed)

    @property
    def rmse(self) -> float:
        """Root mean square, in real units."""
        return sqrt(self.square / self.count) if self.count else 0.0

    def __str__(self) -> str:
        classes = f", {self.changed} of {self.inferences} classes changed" if self.changed is not None else ""
        return f"the outputs are off by {self.rmse:.3g} (RMSE){classes}"

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON; what is not finite is None."""
        rmse = self.rmse if isfinite(self.rmse) else None
        return {"inferences": self.inferences, "rmse": rmse, "changed_classes": self.changed}


class Sampler:
    """Draws up to `SAMPLES` inferences of a stream, each as likely as any other; the same ones whatever the split."""

    def __init__(self) -> None:
        self.chosen: list[Inference] = []
        self._seen = 0
        self._random = np.random.default_rng(0)

    def add(self, reals: Inference) -> None:
        """The real inputs of some inferences, (N, *shape) each."""
        for i in range(len(reals[0]) if reals else 0):
            one = tuple(x[i : i + 1] for x in reals)
            self._seen += 1
            if len(self.chosen) < SAMPLES:
                self.chosen.append(one)
            elif (place := int(self._random.integers(self._seen))) < SAMPLES:
                self.chosen[place] = one


@dataclass(frozen=True, eq=False)
class Experiment(ABC):
    """A quantised model beside the float one `reference`: `same` and `pairs` tell what belongs together.

    `by_reading` is the same beside the float reading, None where that is the reference itself.
    """

    plan: Plan
    reference: Plan
    same: Mapping[int, int]
    pairs: Mapping[int, Pair]
    by_reading: Experiment | None

    def effects(self, places: Sequence[Where]) -> tuple[Effect | None, list[Effect | None]]:
        """What all errors together do to the outputs, and what the error in each place alone does; None where the float
        model has nothing to compare with, or the model takes no inputs."""
        with np.errstate(all="ignore"):  # values in floats may be infinite
            found = list(self._parts(places))
        if not found:
            return None, [None] * len(places)
        everything, *alone = (_sum(each) for each in zip(*found, strict=True))
        return everything, alone

    def of_weights(self) -> Effect | None:
        """What the rounding of constants alone does to the outputs: the float reading beside the float model; None
        where that is not known."""
        return None

    @abstractmethod
    def _parts(self, places: Sequence[Where]) -> Iterator[list[Effect | None]]:
        """The effect of everything, then of each place, on some of the data at a time."""

    def _outputs(self, floats: Values) -> list[int]:
        """The outputs that depend on something and are known in both models."""
        plan = self.plan
        known = {i for i, target in self.same.items() if target in floats} - plan.behind().keys()
        return [i for i in plan.graph.outputs if i not in plan.constants and (i in known or not plan.gaps)]


def compared(plan: Plan, got: Array, wanted: Array) -> Effect:
    """Rows of outputs against what they should be."""
    changed = int((got.argmax(axis=1) != wanted.argmax(axis=1)).sum()) if is_classifier(plan) else None
    return Effect(len(got), got.size, float(np.square(got - wanted).sum()), changed)


def only_in(error: Array, place: Where, plan: Plan) -> Array:
    """An error in the place's channels alone."""
    only = np.zeros_like(error)
    kept = kept_of(place, plan)
    only[kept] = error[kept]
    return only


def kept_of(place: Where, plan: Plan) -> Any:
    """What NumPy takes for the place's channels: the last axis, where there are two axes or more."""
    (graph, index), channels = place
    return (..., list(channels)) if len(plan.plans[graph].graph.tensors[index].shape) > 1 else ...


def rounding_error(tensor: Tensor, real: Array) -> Array:
    """What quantising adds to an input's real values."""
    rounding: Array = real_values(as_codes(real, tensor), tensor) - np.float64(real)
    return rounding


@dataclass(frozen=True, eq=False)
class Samples(Experiment):
    """On `samples`, each afresh."""

    samples: tuple[Inference, ...]

    def of_weights(self) -> Effect | None:
        if self.by_reading is None:
            return None
        reading = self.by_reading.reference
        with np.errstate(all="ignore"):
            return _sum(self._between(reading, reals) for reals in self._tiles())

    def _between(self, reading: Plan, reals: Sequence[Array]) -> Effect | None:
        """The float reading's outputs against the float model's."""
        found, floats = (
            computed(each.steps, {**each.constants, **dict(zip(each.graph.inputs, reals, strict=True))})
            for each in (reading, self.reference)
        )
        outputs = self._outputs(floats)
        targets = [self.same[i] for i in outputs]
        if not outputs or not found.keys() >= {*outputs}:
            return None
        return compared(self.plan, rows(reading, found, outputs), rows(self.reference, floats, targets))

    def _parts(self, places: Sequence[Where]) -> Iterator[list[Effect | None]]:
        return (self._on(reals, places) for reals in self._tiles())

    def _tiles(self) -> Iterator[list[Array]]:
        """The real inputs of as many samples as the engine runs at once, side by side."""
        tile = tile_size(self.plan)
        for start in range(0, len(self.samples), tile):
            yield [np.concatenate(x) for x in zip(*self.samples[start : start + tile], strict=True)]

    def _on(self, reals: Sequence[Array], places: Sequence[Where]) -> list[Effect | None]:
        plan, reference = self.plan, self.reference
        fed = dict(zip(reference.graph.inputs, reals, strict=True))
        floats = computed(reference.steps, {**reference.constants, **fed})
        outputs = self._outputs(floats)
        if not outputs:
            return [None] * (1 + len(places))
        targets = [self.same[i] for i in outputs]
        wanted = rows(reference, floats, targets)

        def alone(place: Where) -> Effect | None:
            index = place[0][1]
            error = self._error(index, floats)
            if error is None:
                return None
            target = self.same[index]
            changed = (floats[target] + only_in(error, place, plan)).astype(np.float32)
            return compared(plan, rows(reference, what_if(reference, floats, target, changed), targets), wanted)

        codes = {t.index: as_codes(x, t) for t, x in zip(plan.inputs, reals, strict=True)}
        everything = rows(plan, computed(plan.steps, {**plan.constants, **codes}), outputs)
        return [compared(plan, everything, wanted), *map(alone, places)]

    def _error(self, index: int, floats: Values) -> Array | None:
        """What the layer that computes a tensor adds to the float model's values of it."""
        tensor = self.plan.graph.tensors[index]
        if index in self.plan.graph.inputs and is_quantized(tensor):
            return rounding_error(tensor, floats[self.same[index]])
        pair = self.pairs.get(index)
        if pair is None or not floats.keys() >= {*pair.reads.values()}:
            return None
        return own_error(self.plan, self.reference, pair, floats)


def _sum(effects: Iterable[Effect | None]) -> Effect | None:
    found = [effect for effect in effects if effect is not None]
    total = found[0] if found else None
    for effect in found[1:]:
        total = effect if total is None else total + effect
    return total
