"""From accumulators to codes: bias, fixed-point multiplication, output offset, clamp; as TFLM, but fast where provable.

With double rounding, code(acc) is a staircase that never descends, and so is truncate(acc · scale + offset) in
float64. Two such staircases are equal everywhere if they are equal on both sides of each of their few steps, which is
checked when the plan is made, per channel, for every accumulator that the weights can produce. Layers that pass run
as four float64 passes; the others (and all int16 ones) run the integer arithmetic itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .fixedpoint import (
    Ints,
    Multiplier,
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_64,
    wrap32,
)

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Requantizer:
    """Accumulators (…, channels) → codes. Made by `requantizer`; fields of length `channels` or 1 broadcast.

    `bits` is the accumulator's width in TFLM: 32 wraps after the bias, 64 takes the 16-bit multiplier.
    `line`, if proven, is the float64 (scale, offset) for which code = truncate(clip(acc · scale + offset)) − 128.
    """

    bias: Ints
    multiplier: Multiplier
    output_offset: int
    activation_min: int
    activation_max: int
    dtype: str
    bits: int = 32
    line: tuple[Array, Array] | None = None

    def __call__(self, acc: Array) -> Array:
        """Codes of type `dtype` for accumulators without bias, exact integers held in any numeric type."""
        if self.line is None:
            return self.exact(acc.astype(np.int64)).astype(self.dtype)
        return self.proven(acc)

    def exact(self, acc: Ints) -> Ints:
        """The integer arithmetic itself, in int64."""
        total = acc + self.bias
        scaled = (multiply_by_quantized_multiplier(wrap32(total), self.multiplier) if self.bits == 32
                  else multiply_by_quantized_multiplier_64(total, self.multiplier))
        return np.clip(scaled + self.output_offset, self.activation_min, self.activation_max)

    def proven(self, acc: Array) -> Array:
        """The same codes by the proven line; int8 only."""
        assert self.line is not None
        scale, offset = self.line
        real = np.multiply(acc, scale, dtype=np.float64)
        real += offset
        np.clip(real, self.activation_min + 128, self.activation_max + 128.5, out=real)
        codes = real.astype(np.uint8)
        codes ^= 0x80
        return codes.view(np.int8)


def requantizer(bias: Ints, multiplier: Multiplier, output_offset: int, activation_min: int, activation_max: int,
                dtype: str, bound: Ints, bits: int = 32) -> Requantizer:
    """A `Requantizer` for accumulators with |acc| ≤ `bound` (channels,), with its line if one can be proven."""
    integer = Requantizer(bias, multiplier, output_offset, activation_min, activation_max, dtype, bits)
    if dtype != "int8" or bits != 32 or multiplier.rounding == "xnnpack":
        return integer
    factor = np.ldexp(multiplier.multiplier.astype(np.float64), multiplier.shift - 31)
    if np.any(factor <= 0) or np.any((bound + np.abs(bias)) * np.exp2(np.maximum(multiplier.shift, 0)) >= 2**31):
        return integer  # a register may wrap: no staircase
    # Rounding the high multiply first moves the steps of positive codes by half a unit of the bits shifted out;
    # negative codes move the other way, so the line holds where the clamp hides those (any ReLU), or never.
    early = np.where((multiplier.shift < 0) & (multiplier.rounding == "double"), np.exp2(multiplier.shift - 1.0), 0.0)
    offset = bias * factor + (0.5 + early + output_offset + 128)
    fast = Requantizer(bias, multiplier, output_offset, activation_min, activation_max, dtype, bits, (factor, offset))
    return fast if _equal_everywhere(integer, fast, factor, offset, bound) else integer


def _equal_everywhere(integer: Requantizer, fast: Requantizer, factor: Array, offset: Array, bound: Ints) -> bool:
    """Whether both give the same code for every |acc| ≤ bound: equal around each step, and at both ends."""
    codes = np.arange(integer.activation_min + 1, integer.activation_max + 1)[:, None]
    step = np.ceil((codes + 128 - offset) / factor).clip(-bound, bound).astype(np.int64)
    around = np.stack([np.maximum(step - 1, -bound), step, np.minimum(step + 1, bound)])
    ends = np.stack([-bound, bound])
    mine, theirs = integer.exact(around), fast.proven(around)
    low, high = integer.exact(ends)
    bracketed = (theirs[0] < codes) & (codes <= theirs[2]) | (high < codes) | (codes <= low)
    return bool(np.array_equal(mine, theirs) and bracketed.all()
                and np.array_equal(integer.exact(ends), fast.proven(ends)))
