"""What an input should have been: its codes, and the real values that they stand for as far as these are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..model import Array, Tensor
from ..numerics.float32 import round_half_away
from ..numerics.quantize import code_range
from ..plan import Plan
from ..tensors.inputs import picture_shape, pixel_range, quantize_input
from ..tensors.stats import is_quantized

FUZZ = 2.0**-21
"""Relative: how far a device's float32 arithmetic may be from ours."""

CELL = 0.4999
"""Of a code: how far the real value may be from what it stands for."""

Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Shape = tuple[int, int, int]


class Span(NamedTuple):
    """Between which values each element lies: two float64 arrays of one shape, the same where the value is known.

    Codes count on beyond their type's ends where they wrap.
    """

    low: Array
    high: Array

    @staticmethod
    def of(*ends: Array) -> Span:
        return Span(np.minimum.reduce(ends), np.maximum.reduce(ends))

    def map(self, rising_or_falling: Callable[[Array], Array]) -> Span:
        return Span.of(rising_or_falling(self.low), rising_or_falling(self.high))


Other = tuple[str, str, "Sample"]
"""A kind of `WAYS`, what goes on after "the input", and the sample that it is then."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What input `index` of a model should have been: `codes` as its tensor takes them (the declared shape).

    `real` are the real values that became them, flat, and `black` and `white` what they are for a picture's.
    `known` is whether those values are given, instead of concluded from the codes, and `exact` whether the codes are
    more than the likeliest ones. `others` are what else may have been taken for it.
    """

    tensor: Tensor
    index: int
    codes: Array = field(repr=False)
    real: Span = field(repr=False)
    black: float
    white: float
    known: bool
    exact: bool = True
    others: tuple[Other, ...] = field(default=(), repr=False)

    @property
    def affine(self) -> tuple[float, int]:
        """(scale, zero point); (1, 0) where codes are what they are."""
        return _affine(self.tensor)

    @property
    def is_float(self) -> bool:
        return self.codes.dtype.kind == "f"

    @property
    def size(self) -> int:
        return self.codes.size

    @property
    def period(self) -> float:
        """How many codes the type has."""
        return 2.0 ** (8 * self.codes.dtype.itemsize)

    @cached_property
    def picture(self) -> Shape | None:
        """The picture's (rows, columns, channels), if the tensor may hold one."""
        try:
            return picture_shape(self.tensor)
        except InputError:
            return None

    @cached_property
    def shape(self) -> Shape:
        """(rows, columns, channels); a vector that is no square is one row."""
        if self.picture:
            return self.picture
        match self.tensor.shape:
            case (1, rows, columns, channels):
                return rows, columns, channels
            case (rows, columns, channels):
                return rows, columns, channels
        return 1, self.size, 1

    def sound(self, places: Index) -> Span:
        """The sound codes (of float inputs: the values)."""
        codes = self.codes.ravel()[places].astype(np.float64)
        return Span(codes, codes)

    def as_input(self, values: Array) -> Array:
        """All codes, flat and perhaps beyond their type's ends, in the tensor's dtype and shape."""
        return self.typed(values).reshape(self.codes.shape)

    def typed(self, values: Array) -> Array:
        """Codes that may count on beyond their type's ends in the tensor's dtype, where they wrap."""
        dtype = self.codes.dtype
        with np.errstate(all="ignore"):
            if self.is_float or dtype.kind == "b":
                return values.astype(dtype)
            return np.mod(values, self.period).astype(f"u{dtype.itemsize}").view(dtype)


def sample_of(plan: Plan, codes: Array, index: int = 0, real_range: tuple[float, float] | None = None) -> Sample:
    """The sample whose codes are sound; of its real values no more is known than what codes tell.

    `codes` have the input's dtype and shape; `real_range` are black and white, by default as `pixel_range` has them.
    """
    if codes.dtype.kind == "f":
        return sample_from(plan, codes, index, real_range)
    scale, zero_point = _affine(plan.inputs[index])
    steps = codes.ravel().astype(np.float64) - zero_point
    return _sample(plan, codes, index, Span((steps - CELL) * scale, (steps + CELL) * scale), real_range, known=False)


def sample_from(plan: Plan, values: Array, index: int = 0, real_range: tuple[float, float] | None = None) -> Sample:
    """The sample of real values, which have the input's shape."""
    codes = quantize_input(plan, values, index)
    real = (codes if codes.dtype.kind == "f" else values).ravel().astype(np.float64)
    fuzz = 0.0 if codes.dtype.kind == "f" else np.where(np.isfinite(real), np.abs(real) * FUZZ, 0)
    return _sample(plan, codes, index, Span(real - fuzz, real + fuzz), real_range, known=True)


def sample_between(plan: Plan, real: Span, index: int = 0, real_range: tuple[float, float] | None = None) -> Sample:
    """The sample of real values between two ends, flat; its codes are those of the middle."""
    sample = sample_from(plan, ((real.low + real.high) / 2).reshape(plan.inputs[index].shape), index, real_range)
    return sample if np.array_equal(*real) else replace(sample, real=real, exact=False)


def _sample(plan: Plan, codes: Array, index: int, real: Span, given: tuple[float, float] | None, known: bool) -> Sample:
    try:
        ends = pixel_range(plan, index, given)
    except InputError:  # integers that stand for nothing else
        return Sample(plan.inputs[index], index, codes, real, 0.0, 1.0, known)
    return Sample(plan.inputs[index], index, codes, real, ends.black, ends.white, known)


def _affine(tensor: Tensor) -> tuple[float, int]:
    if not is_quantized(tensor) or tensor.quantization is None:
        return 1.0, 0
    return tensor.quantization.scale[0], (*tensor.quantization.zero_point, 0)[0]


# ---- from real values to codes --------------------------------------------------------------------------------------


Values = Callable[[Span], Span]
"""From real values to codes, or from codes to codes; element by element."""


def right(sample: Sample, real: Span) -> Values:
    """The right way from real values to codes; float inputs take them as close as float32 arithmetic brings them.

    `real` are those of all the input.
    """
    scale, zero_point = sample.affine
    if not sample.is_float:
        return stored(sample, lambda x: round_half_away(x / scale) + zero_point)
    fuzz = FUZZ * min(_largest(real.high), _largest(sample.real.high))
    return lambda x: Span(
        x.low - np.maximum(FUZZ * np.abs(x.low), fuzz), x.high + np.maximum(FUZZ * np.abs(x.high), fuzz)
    )


def _largest(values: Array) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0))


def stored(sample: Sample, code: Callable[[Array], Array]) -> Values:
    """Codes that saturate at their type's ends."""
    dtype = sample.codes.dtype
    low, high = (0, 1) if dtype.kind == "b" else code_range(str(dtype))
    return lambda real: real.map(lambda x: np.clip(code(x), low, high))


def background(sample: Sample) -> float:
    """The code (of float inputs: the value) of black, or of 0 where no picture is fed."""
    black = np.array([sample.black])
    return float(right(sample, sample.real)(Span(black, black)).low[0])
