"""How far values are from what they should be, added up over any number of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log10, sqrt

import numpy as np

from ..model import Array


@dataclass(frozen=True)
class Error:
    """How far `count` values are from what they should be: Σ error², Σ wanted², the largest |error|."""

    count: int
    square: float
    signal: float
    largest: float

    def __add__(self, other: Error) -> Error:
        largest = max(self.largest, other.largest)
        return Error(self.count + other.count, self.square + other.square, self.signal + other.signal, largest)

    @property
    def rmse(self) -> float:
        """Root mean square, in real units."""
        return sqrt(self.square / self.count)

    @property
    def sqnr(self) -> float:
        """Signal over quantisation noise, in dB; infinite without an error."""
        if not self.square:
            return inf
        return 10 * log10(self.signal / self.square) if self.signal else -inf

    def as_dict(self, scale: float) -> dict[str, float | None]:
        """In real units and in codes, for JSON; an infinite SQNR is None."""
        return {
            "rmse": self.rmse,
            "max": self.largest,
            "sqnr_db": self.sqnr if isfinite(self.sqnr) else None,
            "rmse_per_scale": self.rmse / scale,
            "max_per_scale": self.largest / scale,
        }


def error_of(error: Array, wanted: Array) -> Error:
    """The sums of some differences, and of what was wanted in their places."""
    signal = float(np.square(wanted, dtype=np.float64).sum())
    return Error(error.size, float(np.square(error).sum()), signal, float(np.abs(error).max()))
