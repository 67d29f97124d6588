"""What is measured of a layer: sums and extremes of each channel, which add up over any number of inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from ..identity import identity
from ..kernel import Ints
from ..model import Tensor
from ..numerics.quantize import code_range
from ..plan import Step
from ..reading.float_reading import affine
from ..text import printable

Floats = npt.NDArray[np.float64]

ROUNDING = 1 / sqrt(12)
"""The RMSE, in codes, of rounding to the nearest code: the least that a layer can add."""

NOTHING = 0.01
"""An RMSE, in codes, that is none: the float32 rounding of the comparison itself."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Sums over quantised values and what they should have been, both in codes above the zero point, per channel."""

    count: int
    error: Floats
    square: Floats
    wanted: Floats
    got: Floats
    product: Floats
    largest: Floats

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.count + other.count,
            self.error + other.error,
            self.square + other.square,
            self.wanted + other.wanted,
            self.got + other.got,
            self.product + other.product,
            np.maximum(self.largest, other.largest),
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
        )

    def only(self, channels: npt.NDArray[np.bool_]) -> Errors:
        """Those of some channels."""
        sums = (self.error, self.square, self.wanted, self.got, self.product, self.largest)
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
        return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


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
    """What was measured of one tensor: the output of `step`, or an input of the model (`step` is None).

    `low` and `high` are each channel's smallest and largest code, `count` its number of values, `histogram` counts
    the layer's values in 256 equal parts of the type's range.
    """

    tensor: Tensor
    step: Step | None
    count: int
    low: Ints
    high: Ints
    histogram: Ints
    clamped: Clamped | None
    accumulator: Accumulator | None
    own: Errors | None
    total: Errors | None

    def __str__(self) -> str:
        return f"input '{printable(self.tensor.name)}'" if self.step is None else str(self.step)

    def __add__(self, other: Layer) -> Layer:
        """What both saw of the same layer."""

        def both(name: str) -> Any:
            mine = getattr(self, name)
            return None if mine is None else mine + getattr(other, name)

        return replace(
            self,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            **{name: both(name) for name in ("count", "histogram", "clamped", "accumulator", "own", "total")},
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
    def dead(self) -> list[int]:
        """The channels whose code never changed (none where there is just one channel or one value of each)."""
        never = self.low == self.high
        return np.flatnonzero(never).tolist() if len(never) > 1 < self.count else []

    @property
    def spread(self) -> Floats:
        """The standard deviation, in codes, that each dead channel has in floats; 0 for those alive."""
        errors = self.total or self.own
        if errors is None or not self.dead:
            return np.zeros(len(self.low))
        mean = self.low - self.zero_point - errors.error / errors.count
        spread = np.sqrt(np.maximum(errors.wanted / errors.count - np.square(mean), 0))
        return np.where(self.low == self.high, spread, 0)

    @property
    def stuck(self) -> list[int]:
        """The channels whose every value was cut off by the type."""
        if self.clamped is None:
            return []
        cut = self.clamped.below_type + self.clamped.above_type
        return [channel for channel, count in enumerate(cut.tolist()) if count == self.count]

    @property
    def killed(self) -> list[int]:
        """The dead channels, not stuck, whose values in floats vary more than rounding hides: quantisation's doing."""
        return [channel for channel in self.dead if self.spread[channel] > ROUNDING and channel not in self.stuck]

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
        """Whether the codes mean what an input's codes mean: then their range was chosen further up."""
        return self.step is not None and any(
            t is not None and t.data is None and t.quantization == self.tensor.quantization for t in self.step.inputs
        )

    @property
    def role(self) -> str:
        """Where the error comes from: ``enters`` here, is ``passed on``, ``both``, or there is ``none``."""
        if self.own is None or self.total is None or self.total.layer.rmse[0] < NOTHING:
            return "none"
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
                "own_rmse": self.own and self.own.rmse.tolist(),
                "total_rmse": self.total and self.total.rmse.tolist(),
            },
        }


def _bits(magnitude: int) -> int:
    """Of a signed integer that holds ±magnitude."""
    return magnitude.bit_length() + 1
