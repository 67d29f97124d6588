"""What is measured of a layer: sums and extremes of each channel, which add up over any number of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from ..identity import identity
from ..kernel import Ints
from ..model import Tensor
from ..numerics.quantize import code_range
from ..plan import Step
from ..reading.float_reading import affine
from ..text import counted, printable

Floats = npt.NDArray[np.float64]

ROUNDING = 1 / sqrt(12)
"""The RMSE, in codes, of rounding to the nearest code: the least that a layer can add."""

FLOAT_NOISE, LEAST_NOISE = 2.0**-16, 2.0**-22
"""What float32 sums may be off by, as a share of the channel's largest and of the layer's, where terms cancel out: a
value that moves by less does not move."""

NOTHING = 0.01
"""An RMSE, in codes, that is none: the float32 rounding of the comparison itself."""


def lives_on(step: Step | None, tensor: Tensor) -> bool:
    """Whether it is a variable that the step updates, not its output."""
    return step is not None and tensor.index not in step.op.outputs


def home(step: Step | None) -> int:
    """The subgraph of a layer: that of the step that writes it; the model's inputs are the main one's."""
    return 0 if step is None else step.subgraph


def named(step: Step) -> str:
    """An operator in words, with its subgraph if that is not the main one."""
    return f"subgraph {step.subgraph}, {step}" if step.subgraph else str(step)


def occasions(layer: Any, inferences: int) -> int:
    """How often a layer could have changed: in each inference, or in each run of another subgraph."""
    return layer.runs if home(layer.step) else inferences


def on_occasions(layer: Any, inferences: int) -> str:
    """The same in words."""
    return counted(occasions(layer, inferences), "run" if home(layer.step) else "inference")


def together(mine: Sequence[Any], yours: Sequence[Any]) -> tuple[Any, ...]:
    """The layers that both saw, added, and those that only one of them did: by subgraph and operator, inputs first.

    In a subgraph, some layers may not run in an inference.
    """
    found = {layer.key: layer for layer in mine}
    for layer in yours:
        found[layer.key] = found[layer.key] + layer if layer.key in found else layer
    return tuple(sorted(found.values(), key=lambda layer: layer.key[:2]))


At = tuple[int, int]
"""A tensor, by (subgraph, index)."""

Key = tuple[int, int, int]
"""What a layer is known by: the subgraph, its operator (-1 for an input) and the tensor."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Sums over quantised values and what they should have been, both in codes above the zero point, per channel.

    `least` and `most` are the ends of what they should have been.
    """

    count: int
    error: Floats
    square: Floats
    wanted: Floats
    got: Floats
    product: Floats
    largest: Floats
    least: Floats
    most: Floats

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.count + other.count,
            self.error + other.error,
            self.square + other.square,
            self.wanted + other.wanted,
            self.got + other.got,
            self.product + other.product,
            np.maximum(self.largest, other.largest),
            np.minimum(self.least, other.least),
            np.maximum(self.most, other.most),
        )

    @property
    def layer(self) -> Errors:
        """The same of all channels together."""
        return Errors(
            self.count * len(self.error),
            self.error.sum(keepdims=True),
            self.square.sum(keepdims=True),
            self.wanted.sum(keepdims=True),
            self.got.sum(keepdims=True),
            self.product.sum(keepdims=True),
            self.largest.max(keepdims=True),
            self.least.min(keepdims=True),
            self.most.max(keepdims=True),
        )

    def only(self, channels: npt.NDArray[np.bool_]) -> Errors:
        """Those of some channels."""
        sums = (self.error, self.square, self.wanted, self.got, self.product, self.largest, self.least, self.most)
        return Errors(self.count, *(each[channels] for each in sums))

    @property
    def mean(self) -> Floats:
        return self.error / self.count

    @property
    def rmse(self) -> Floats:
        return np.sqrt(self.square / self.count)

    @property
    def sqnr(self) -> Floats:
        """Signal to quantisation noise, in dB; infinite without noise."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return 10 * np.log10(self.wanted / self.square)

    @property
    def cosine(self) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.product / np.sqrt(self.wanted * self.got)

    def as_dict(self, scale: float) -> dict[str, float | None]:
        """Of a whole layer; what is not finite (no noise, no signal) is None."""
        values = {
            "rmse_per_scale": self.rmse[0],
            "mean_per_scale": self.mean[0],
            "max_per_scale": self.largest[0],
            "max": self.largest[0] * scale,
            "sqnr_db": self.sqnr[0],
            "cosine": self.cosine[0],
        }
        return {name: _finite(float(value)) for name, value in values.items()}


@dataclass(frozen=True, eq=False)
class Clamped:
    """How many values of each channel were cut off, by the fused activation or by the type's range."""

    below_activation: Ints
    below_type: Ints
    above_activation: Ints
    above_type: Ints

    def __add__(self, other: Clamped) -> Clamped:
        return Clamped(*(mine + yours for mine, yours in zip(self.counts, other.counts, strict=True)))

    @property
    def counts(self) -> tuple[Ints, Ints, Ints, Ints]:
        return self.below_activation, self.below_type, self.above_activation, self.above_type


@dataclass(frozen=True, eq=False)
class Accumulator:
    """The sums of each channel, bias included: `low` and `high` measured, `bound` what |sum| can reach at most."""

    low: Ints
    high: Ints
    bound: Ints
    width: int

    def __add__(self, other: Accumulator) -> Accumulator:
        return replace(self, low=np.minimum(self.low, other.low), high=np.maximum(self.high, other.high))

    @property
    def bits(self) -> int:
        """Bits that the measured sums need, sign included."""
        return _bits(max(-int(self.low.min()), int(self.high.max())))

    @property
    def bound_bits(self) -> int:
        return _bits(int(self.bound.max()))


@dataclass(frozen=True, eq=False)
class Layer:
    """What was measured of one tensor: what `step` writes, or an input of the model (`step` is None).

    `is_fed` tells that it holds an input's codes: an input itself, or what QUANTIZE makes of a float one.
    `low` and `high` are each channel's smallest and largest code, `count` its number of values, `histogram` counts
    the layer's values in 256 equal parts of the type's range, `constant` are the channels that are proven to hold one
    code for any input. Of `own`'s squares in each channel, those of values that the type cut off make `cut`, and
    `of_weights` are what the rounding of weights makes alone (None where they are those of the float reading itself).
    """

    tensor: Tensor
    step: Step | None
    is_fed: bool
    count: int
    low: Ints
    high: Ints
    histogram: Ints
    constant: npt.NDArray[np.bool_]
    clamped: Clamped | None
    accumulator: Accumulator | None
    own: Errors | None
    total: Errors | None
    cut: Floats | None = None
    of_weights: Floats | None = None

    def __str__(self) -> str:
        if self.step is None:
            return f"input '{printable(self.tensor.name)}'"
        return f"{named(self.step)}, state '{printable(self.tensor.name)}'" if self.lives_on else named(self.step)

    @property
    def key(self) -> Key:
        return home(self.step), -1 if self.step is None else self.step.index, self.tensor.index

    @property
    def at(self) -> At:
        return home(self.step), self.tensor.index

    @property
    def hands_on(self) -> bool:
        """Whether it is what a branch or a loop hands on, computed by a layer of another subgraph."""
        return self.step is not None and bool(self.step.facts.control)

    @property
    def runs(self) -> int:
        """How often it was computed: once in an inference, or as often as its subgraph ran."""
        return self.count * len(self.low) // max(1, prod(self.tensor.shape))

    @property
    def lives_on(self) -> bool:
        """Whether it is a variable that the step updates, not its output."""
        return lives_on(self.step, self.tensor)

    def __add__(self, other: Layer) -> Layer:
        """What both saw of the same layer."""

        def both(name: str) -> Any:
            mine, yours = getattr(self, name), getattr(other, name)
            return mine if yours is None else yours if mine is None else mine + yours

        sums = ("count", "histogram", "clamped", "accumulator", "own", "total", "cut", "of_weights")
        return replace(
            self,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            **{name: both(name) for name in sums},
        )

    @property
    def scale(self) -> float:
        return affine(self.tensor)[0]

    @property
    def zero_point(self) -> int:
        return affine(self.tensor)[1]

    @property
    def codes(self) -> tuple[int, int]:
        """The smallest and the largest code that occurred."""
        return int(self.low.min()), int(self.high.max())

    @property
    def used(self) -> float:
        """The share of the type's range between the smallest and the largest code that occurred."""
        low, high = code_range(self.tensor.dtype)
        return (self.codes[1] - self.codes[0] + 1) / (high - low + 1)

    @property
    def unchanging(self) -> list[int]:
        """The channels whose code never changed (none where there is just one value of each)."""
        return np.flatnonzero(self.low == self.high).tolist() if self.count > 1 else []

    @property
    def is_constant(self) -> bool:
        """Whether no channel changed."""
        return len(self.unchanging) == len(self.low)

    @property
    def wanted(self) -> Errors | None:
        """Where the float model's values are: its own if it has this tensor, else those of the same inputs."""
        return self.total or self.own

    @property
    def moving(self) -> npt.NDArray[np.bool_]:
        """Which channels' values in floats move, by more than float32 sums may be off by."""
        if self.wanted is None:
            return np.zeros(len(self.low), np.bool_)
        least, most = self.wanted.least, self.wanted.most
        largest = np.maximum(np.abs(least), np.abs(most))
        with np.errstate(invalid="ignore"):  # of infinities
            return np.asarray(most - least > np.maximum(FLOAT_NOISE * largest, LEAST_NOISE * largest.max()))

    @property
    def stuck(self) -> list[int]:
        """The channels whose every value was cut off by the type."""
        if self.clamped is None:
            return []
        cut = self.clamped.below_type + self.clamped.above_type
        return [channel for channel, count in enumerate(cut.tolist()) if count == self.count]

    @property
    def killed(self) -> list[int]:
        """The unchanging channels, not stuck, whose values in floats move: quantisation's doing."""
        return [channel for channel in self.unchanging if self.moving[channel] and channel not in self.stuck]

    @property
    def dead(self) -> list[int]:
        """The channels that are proven to hold one code for any input, and do not move in floats either."""
        return [channel for channel in self.unchanging if self.constant[channel] and not self.moving[channel]]

    @property
    def silent(self) -> list[int]:
        """The channels that did not move, in codes or floats, but may on other data."""
        moved = {*self.dead, *self.killed, *self.stuck}
        return [channel for channel in self.unchanging if channel not in moved]

    @property
    def coarse(self) -> list[int]:
        """The channels whose codes and values in floats move by no more than a sixteenth of the type's codes, where all
        channels together use more; none where all of them are killed, which says it already."""
        if self.wanted is None or self.count == 1 or self.used <= 1 / 16:
            return []
        low, high = code_range(self.tensor.dtype)
        few = (high - low + 1) / 16
        small = (self.high - self.low + 1 <= few) & (self.wanted.most - self.wanted.least <= few)
        found = np.flatnonzero(small & self.moving).tolist()
        return found if set(found) - set(self.killed) else []

    @property
    def shares(self) -> dict[str, float]:
        """The clamped shares of the layer by `Clamped`'s names."""
        return (
            {}
            if self.clamped is None
            else {
                name: float(getattr(self.clamped, name).sum()) / (self.count * len(self.low))
                for name in ("below_activation", "below_type", "above_activation", "above_type")
            }
        )

    @property
    def below(self) -> float:
        """The share of values clamped at the lower end, by whatever."""
        return self.shares["below_activation"] + self.shares["below_type"] if self.shares else 0.0

    @property
    def above(self) -> float:
        """The share of values clamped at the upper end, by whatever."""
        return self.shares["above_activation"] + self.shares["above_type"] if self.shares else 0.0

    @property
    def lost_to_type(self) -> float:
        """The share of values cut off by the type."""
        return self.shares["below_type"] + self.shares["above_type"] if self.shares else 0.0

    @property
    def is_inherited(self) -> bool:
        """Whether the codes mean what an input's codes mean: then their range was chosen further up. So those of what
        lives on mean what its layer's output means, or those of what was left by an earlier inference."""
        if self.step is None:
            return False
        fed = (t for t in self.step.inputs if t is not None and t.data is None and not t.is_variable)
        others = self.step.outputs if self.lives_on else fed
        return self.step.facts.resource == "read" or any(t.quantization == self.tensor.quantization for t in others)

    @property
    def role(self) -> str:
        """Where the error comes from: ``enters`` here, is ``passed on``, ``both``, or there is ``none``."""
        if self.own is None or self.total is None or self.total.layer.rmse[0] < NOTHING:
            return "none"
        with np.errstate(invalid="ignore"):  # infinite errors of both
            share = float(self.own.square.sum() / self.total.square.sum())
        return "enters" if share >= 0.5 else "both" if share >= 0.1 else "passed on"

    def as_dict(self) -> dict[str, Any]:
        """Everything but the histogram in plain Python, for JSON."""
        acc, clamped = self.accumulator, self.clamped
        return {
            "layer": str(self),
            "operator": None if self.step is None else identity(self.step.op, self.step.subgraph),
            "tensor": identity(self.tensor),
            "dtype": self.tensor.dtype,
            "shape": self.tensor.shape,
            "scale": self.scale,
            "zero_point": self.zero_point,
            "codes": self.codes,
            "used": self.used,
            "clamped": self.shares or None,
            "accumulator": acc
            and {
                "measured": [int(acc.low.min()), int(acc.high.max())],
                "measured_bits": acc.bits,
                "bound": int(acc.bound.max()),
                "bound_bits": acc.bound_bits,
                "width": acc.width,
                "headroom_bits": acc.width - acc.bits,
            },
            "dead_channels": self.dead,
            "killed_channels": self.killed,
            "silent_channels": self.silent,
            "coarse_channels": self.coarse,
            "own_error": self.own and self.own.layer.as_dict(self.scale),
            "total_error": self.total and self.total.layer.as_dict(self.scale),
            "role": self.role,
            "channels": {
                "low": self.low.tolist(),
                "high": self.high.tolist(),
                "clamped_below": clamped and ((clamped.below_activation + clamped.below_type) / self.count).tolist(),
                "clamped_above": clamped and ((clamped.above_activation + clamped.above_type) / self.count).tolist(),
                "accumulator_low": acc and acc.low.tolist(),
                "accumulator_high": acc and acc.high.tolist(),
                "accumulator_bound": acc and acc.bound.tolist(),
                "own_rmse": self.own and [_finite(value) for value in self.own.rmse.tolist()],
                "total_rmse": self.total and [_finite(value) for value in self.total.rmse.tolist()],
            },
        }


def _finite(value: float) -> float | None:
    """The value as JSON has it, which knows neither infinity nor NaN: an infinite value in floats makes such errors."""
    return value if isfinite(value) else None


def _bits(magnitude: int) -> int:
    """Of a signed integer that holds ±magnitude."""
    return magnitude.bit_length() + 1
