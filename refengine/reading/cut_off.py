"""What a model's inputs cannot hold of the real values that they are given, and so cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..model import Array, Tensor
from ..numerics.quantize import code_range
from ..plan import Plan
from ..tensors.inputs import quantize_input
from ..text import printable
from .float_reading import affine, is_quantized, outside

CHUNK = 256
"""Rows that are looked at together."""


@dataclass(frozen=True)
class CutOff:
    """Of `count` real values given to an input, `cut` lie more than a code outside of `low` … `high`, all that it can
    hold. All of them go from `least` to `most`; Σ error² of those cut off is `square`."""

    input: str
    count: int
    cut: int
    low: float
    high: float
    least: float
    most: float
    square: float

    def __add__(self, other: CutOff) -> CutOff:
        sums = {name: getattr(self, name) + getattr(other, name) for name in ("count", "cut", "square")}
        return replace(self, **sums, least=min(self.least, other.least), most=max(self.most, other.most))

    @property
    def share(self) -> float:
        return self.cut / self.count

    @property
    def rmse(self) -> float:
        """Of the values that are cut off, in real units."""
        return float(np.sqrt(self.square / self.cut)) if self.cut else 0.0

    def __str__(self) -> str:
        return (
            f"{self.cut:,} of the {self.count:,} values ({100 * self.share:.3g} %) given to input "
            f"'{printable(self.input)}' are cut off, by {self.rmse:.3g} (RMSE): they go from {self.least:.4g} to "
            f"{self.most:.4g}, and it holds {self.low:.4g} … {self.high:.4g}; scale them as in training, or quantise "
            "the network anew on data like these"
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return vars(self) | {"share": self.share, "rmse": self.rmse}


class Intake:
    """Takes real values and codes for a model, and keeps account of what is cut off on the way."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._coded = tuple(_coded(plan))
        self._seen: dict[int, CutOff] = {}

    def __call__(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The inputs of a run, real ones of integer inputs quantised, as `quantize_input` does it."""
        for place, tensor in self._coded:
            if place < len(inputs) and inputs[place].dtype.kind == "f" and inputs[place].size:
                found = _cut_off(self.plan.inputs[place].name, inputs[place], tensor)
                self._seen[place] = self._seen[place] + found if place in self._seen else found
        return tuple(
            quantize_input(self.plan, x, i)
            if x.dtype.kind == "f" and i < len(self.plan.inputs) and is_quantized(self.plan.inputs[i])
            else x
            for i, x in enumerate(inputs)
        )

    @property
    def cut_off(self) -> list[CutOff]:
        """Of the inputs that cut something off."""
        return [found for _, found in sorted(self._seen.items()) if found.cut]


def cut_off_of(plan: Plan, values: object) -> list[CutOff]:
    """What the only input cannot hold of an array of real values, (N, …); of anything else, nothing is known."""
    intake = Intake(plan)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        for start in range(0, len(values), CHUNK):
            intake((values[start : start + CHUNK],))
    return intake.cut_off


def _coded(plan: Plan) -> Iterator[tuple[int, Tensor]]:
    """(place, tensor) of every input that becomes codes: itself, or what the one operator makes of it that reads it."""
    for place, tensor in enumerate(plan.inputs):
        readers = [step for step in plan.steps if tensor.index in step.op.inputs]
        if is_quantized(tensor):
            yield place, tensor
        elif len(readers) == 1 and readers[0].facts.recodes and is_quantized(readers[0].outputs[0]):
            yield place, readers[0].outputs[0]


def _cut_off(name: str, real: Array, tensor: Tensor) -> CutOff:
    scale, zero_point = affine(tensor)
    low, high = (scale * (code - zero_point) for code in code_range(tensor.dtype))
    with np.errstate(all="ignore"):  # of infinities, and of scales that are next to nothing
        below, above = outside(real, tensor)
        error = (real - np.clip(real, low, high, dtype=np.float64))[below | above]
        square = float(np.square(error).sum())
    ends = float(np.min(real)), float(np.max(real))
    return CutOff(name, real.size, error.size, low, high, *ends, square)
