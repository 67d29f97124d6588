"""From accumulators to codes: bias, fixed-point multiplication, output offset, clamp; as TFLM, but fast where provable.

With double rounding, code(acc) is a staircase that never descends, and so is truncate(acc · scale + offset) in float64.
When the plan is made, both are proven to be equal, per channel, for every accumulator that the weights can produce: by
bounds where float64 holds every number on the way, so that nothing is rounded but by the last truncation; else on both
sides of each of their few steps, of which codes of 16 bits have too many but for a single channel. Layers that pass run
as four to seven float64 passes; the others run the integer arithmetic itself. A layer that is called often looks for a
line of float32 numbers as well, beside the proven one, that has its steps in the same places: half the time, and most
layers have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .fixedpoint import Ints, Multiplier, multiply_by_quantized_multiplier, multiply_by_quantized_multiplier_64, wrap32
from .line import Line, Staircase, in_float32

Array = npt.NDArray[Any]


LINE = 1024
"""Over about so many accumulators NumPy's loops run without a break, or over all channels if those are more."""

LINES = (("int8", 32), ("int16", 32), ("int16", 64))
"""(type of the codes, width of the accumulator) of those that may have a line."""

OFTEN = 1 << 14
"""After how many pixels a float32 line is looked for: with 64 channels, that takes a third of what their codes took."""

BLOCK = 8192
"""How many accumulators the integer arithmetic takes at once: what keeps its temporaries in the cache."""


@dataclass(frozen=True, eq=False)
class Requantizer:
    """Accumulators (…, channels) → codes. Made by `requantizer`; fields of length `channels` or 1 broadcast.

    `bits` is the accumulator's width in TFLM: 32 wraps after the bias, 64 takes the 16-bit multiplier.
    `line`, if proven, is the float64 one for which code = truncate(clip(line(acc))) − `half`; if it has an edge, that
    is where the scaled accumulator becomes negative. It holds for accumulators without bias up to `bound` (channels,).
    """

    bias: Ints
    multiplier: Multiplier
    output_offset: int
    activation_min: int
    activation_max: int
    dtype: str
    bits: int = 32
    line: Line | None = None
    bound: Ints | None = None

    @cached_property
    def half(self) -> int:
        """How many codes of the type are negative."""
        return 1 << (8 * np.dtype(self.dtype).itemsize - 1)

    def __call__(self, acc: Array, overwrite: bool = False) -> Array:
        """Codes of type `dtype` for accumulators without bias, exact integers held in any numeric type.

        With `overwrite`, `acc` may be worked in, which spares the caches an array of its size.
        """
        if self.line is not None:
            return self.proven(acc, overwrite)
        rows = acc.reshape(-1, acc.shape[-1])
        codes = np.empty(rows.shape, self.dtype)
        step = max(1, BLOCK // acc.shape[-1])
        for start in range(0, len(rows), step):
            codes[start : start + step] = self.exact(rows[start : start + step].astype(np.int64))
        return codes.reshape(acc.shape)

    def exact(self, acc: Ints) -> Array:
        """The integer arithmetic itself, in int64; the result is int32, and wraps as in TFLM."""
        total = acc + self.bias
        scaled = (
            multiply_by_quantized_multiplier(wrap32(total), self.multiplier)
            if self.bits == 32
            else multiply_by_quantized_multiplier_64(total, self.multiplier)
        )
        high = self.activation_max
        # XNNPACK clamps above before it adds the zero point, so that sums which wrap pass by.
        if self.multiplier.rounding == "xnnpack-int32":
            scaled, high = np.minimum(scaled, high - self.output_offset), np.iinfo(self.dtype).max
        return np.clip((scaled + self.output_offset).astype(np.int32), self.activation_min, high)

    def proven(self, acc: Array, overwrite: bool = False) -> Array:
        """The same codes by the proven line."""
        assert self.line is not None
        channels = self.line.size
        width = channels * _side_by_side(acc.size // channels, LINE // channels)
        rows, pixels, (low, high) = acc.reshape(-1, width), self._long, self._limits[1]
        if acc.dtype.char == "f" and (short := self._short_if_often(acc.size // channels)):
            pixels, (low, high) = short, self._limits[0]
        real = pixels.side_by_side(width)(rows, rows if overwrite and rows.dtype == low.dtype else None)
        codes = real.clip(low, high, out=real).astype(self._unsigned)
        codes ^= self.half
        return codes.view(self.dtype).reshape(acc.shape)

    @cached_property
    def _unsigned(self) -> np.dtype[Any]:
        return np.dtype(f"u{self.dtype}")

    @cached_property
    def _limits(self) -> tuple[tuple[Array, Array], ...]:
        """What a line is clipped to, in float32 and float64. Of arrays, the method `clip` takes half of `np.clip`'s
        time to begin."""
        low, high = self.activation_min + self.half, self.activation_max + self.half + 0.5
        return tuple((np.array(low, t), np.array(high, t)) for t in (np.float32, np.float64))

    @cached_property
    def _long(self) -> _Pixels:
        assert self.line is not None
        return _Pixels(self.line)

    def _short_if_often(self, pixels: int) -> _Pixels | None:
        if self._seen[0] >= OFTEN:
            return self._short
        self._seen[0] += pixels
        return None

    @cached_property
    def _seen(self) -> list[int]:
        """How many pixels the line was used for, as far as it matters; threads may miss each other's."""
        return [0]

    @cached_property
    def _short(self) -> _Pixels | None:
        line = in_float32(staircase(self)) if self.dtype == "int8" else None
        return None if line is None else _Pixels(line)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """A line, and the same for pixels side by side."""

    line: Line

    def side_by_side(self, width: int) -> Line:
        """The line of so many pixels that they have `width` channels in all."""
        found = self._views.get(width)
        if found is None:
            found = self._views[width] = self._repeated.map(lambda x: x if x.size == 1 else x[:width])
        return found

    @cached_property
    def _views(self) -> dict[int, Line]:
        return {self.line.size: self.line}

    @cached_property
    def _repeated(self) -> Line:
        return self.line.map(lambda x: x if x.size == 1 else np.tile(x, max(1, LINE // x.size)))


AT_ONCE = 1 << 12
"""How many numbers, of codes and channels, to prove at a time: they fit the cache, and take little beside the file."""


@lru_cache(maxsize=4096)
def _side_by_side(pixels: int, most: int) -> int:
    """Into lines of how many pixels, `most` at best, they can be cut: NumPy's loops over a few channels are slow."""
    return next((n for n in range(most, 1, -1) if pixels % n == 0), 1)


def requantizer(
    bias: Ints,
    multiplier: Multiplier,
    output_offset: int,
    activation_min: int,
    activation_max: int,
    dtype: str,
    bound: Ints | None,
    bits: int = 32,
) -> Requantizer:
    """A `Requantizer` for accumulators with |acc| ≤ `bound` (channels,), with its line if one can be proven.

    Without a `bound`, nothing can.
    """
    integer = Requantizer(bias, multiplier, output_offset, activation_min, activation_max, dtype, bits)
    if bound is None or (dtype, bits) not in LINES or multiplier.rounding not in ("double", "single", "narrow"):
        return integer
    register_end = 2.0**30 if multiplier.rounding == "narrow" else 2.0**31
    if bits == 64:  # rounded once, whatever the dialect
        multiplier = _reduced(multiplier)
    moves = bound > 0  # where all weights are zero, biases and multipliers are often senseless
    factor = np.ldexp(multiplier.multiplier.astype(np.float64), multiplier.shift - 31)
    reach = bound + np.abs(bias.astype(np.float64))  # of int64, the least one has no opposite
    register = reach * np.exp2(np.maximum(multiplier.shift, 0)) if bits == 32 else reach / 2.0**15
    if np.any((factor <= 0) & moves) or np.any((np.maximum(register, reach * factor + 2**17) >= register_end) & moves):
        return integer  # a register may wrap: no staircase
    # Rounding the high multiply first moves the steps of positive codes down by half a unit of the bits shifted
    # out, and those of negative codes up by as much: the line drops at zero, unless the clamp (any ReLU) hides that.
    halved = (multiplier.shift < 0) & moves & (multiplier.rounding == "double") & (bits == 32)
    early = np.where(halved, np.exp2(multiplier.shift - 1.0), 0.0)
    drops = halved.any() and activation_min < output_offset
    unit = np.where(halved & drops, 2 * early, 1.0)
    scale, offset = factor / unit, (bias * factor + 0.5 + early + output_offset + integer.half) / unit
    edge = np.where(unit < 1, (output_offset + integer.half + 0.5) / unit, -np.inf)
    if not moves.all():
        code = integer.exact(np.zeros((1, len(bound)), np.int64))[0]
        scale, offset = np.where(moves, scale, 0.0), np.where(moves, offset, code + integer.half + 0.5)
    line = Line(scale, offset, *((edge, unit) if drops else ()))
    fast = replace(integer, line=line, bound=bound)
    left = ~_is_exact(fast, bound, multiplier, early) & moves
    if left.any():
        if dtype != "int8" and bound.size > 1:  # codes of 16 bits have many steps
            return integer
        some, within = _of_channels(fast, left), bound[left]
        if not (_clear_of_edges(some, within) or _equal_everywhere(some, some, within)):
            return integer
    return fast


def _reduced(multiplier: Multiplier) -> Multiplier:
    """The 16 bits of it that int64 accumulators are multiplied by, as such a one of 32."""
    bits = np.where(multiplier.multiplier < 0x7FFF0000, (multiplier.multiplier + (1 << 15)) >> 16, 0x7FFF)
    return multiplier._replace(multiplier=bits.astype(np.int64) << 16)


def _is_exact(fast: Requantizer, bound: Ints, multiplier: Multiplier, early: Array) -> npt.NDArray[np.bool_]:
    """For which channels float64 holds all numbers on the line's way, which is the integer arithmetic then.

    Those are multiples of one power of two, and must be less than 2⁵³ of them. Where the codes have reached their ends,
    it does not matter: the line, whose roundings keep the order, has reached them, too. In real numbers the line is the
    integer arithmetic, see `_clear_of_edges`.
    """
    factor, lowest = (
        np.ldexp(np.asarray(bits, np.float64), multiplier.shift - 31)
        for bits in (multiplier.multiplier, np.maximum(multiplier.multiplier & -multiplier.multiplier, 1))
    )
    grain = np.minimum(lowest, np.where(early > 0, early, 0.5))
    offset = np.abs(fast.bias.astype(np.float64)) * factor + 4 * fast.half  # at most
    return np.asarray(np.minimum(bound * factor, offset + 4 * fast.half) + offset < 2.0**53 * grain)


def _of_channels(fast: Requantizer, which: npt.NDArray[np.bool_]) -> Requantizer:
    """The same for some of its channels."""

    def some(x: Array) -> Array:
        return np.broadcast_to(x, which.shape)[which]

    assert fast.line is not None
    factor = fast.multiplier
    return replace(
        fast,
        bias=some(fast.bias),
        multiplier=Multiplier(some(factor.multiplier), some(factor.shift), some(factor.scale), factor.rounding),
        line=fast.line.map(some),
    )


def _clear_of_edges(fast: Requantizer, bound: Ints) -> bool:
    """Whether the line is further from each step's edge, on both its sides, than float64's rounding can have moved it.

    In real numbers the line *is* the integer arithmetic, as long as no register wraps: with x = acc · multiplier, the
    high multiply is floor(x / 2³¹ + ½), and its rounding shift by s floor((high + 2^(s−1)) / 2^s), for negative ones
    with 2^(s−1) − 1 (ties go away from zero): floors of floors are floors of the whole.
    """
    return all(_are_clear_of_edges(fast, bound, codes) for codes in _in_parts(fast, bound))


def _are_clear_of_edges(fast: Requantizer, bound: Ints, codes: Ints) -> bool:
    """`_clear_of_edges` for some of the codes."""
    assert fast.line is not None
    scale, offset, edge, _ = fast.line
    step = _steps(fast, bound, codes, over=1)
    ends, begins = fast.half / fast.line.units, (codes + fast.half) / fast.line.units

    def real(acc: Ints) -> tuple[Array, Array]:
        """(the line in its units, how far it may be off): any way, where it may be on the other side of its edge."""
        product = acc * scale
        value = product + offset
        error = (
            16 * np.finfo(np.float64).eps * (np.abs(product) + np.abs(offset) + np.abs(fast.bias * scale) + 4 * ends)
        )
        if edge is None:
            return value, error
        return value - (value < edge), np.where(np.abs(value - edge) > error, error, np.inf)

    (at, error_at), (before, error_before) = real(np.minimum(step, bound)), real(np.maximum(step - 1, -bound))
    reached, first = (at - error_at >= begins) | (step > bound), (before + error_before < begins) | (step <= -bound)
    return bool(reached.all() and first.all())


def _codes(fast: Requantizer) -> Ints:
    """The codes but the lowest, (codes, 1)."""
    return np.arange(fast.activation_min + 1, fast.activation_max + 1)[:, None]


def _in_parts(fast: Requantizer, bound: Ints) -> Iterator[Ints]:
    """The same in parts, since arrays (codes, channels) of all would take many times what the weights do."""
    codes, size = _codes(fast), max(1, AT_ONCE // max(1, bound.size))
    return (codes[start : start + size] for start in range(0, len(codes), size))


def _steps(fast: Requantizer, bound: Ints, codes: Ints, over: int = 0) -> Ints:
    """Where the line reaches each of the codes (codes, 1), (codes, channels), from −bound to `over` its other end."""
    assert fast.line is not None
    real = (codes + fast.half) / fast.line.units + _drops(fast, codes)
    with np.errstate(divide="ignore"):  # where nothing moves
        return np.ceil((real - fast.line.offset) / fast.line.scale).clip(-bound, bound + over).astype(np.int64)


def _drops(fast: Requantizer, codes: Ints) -> npt.NDArray[np.bool_]:
    """Whether the line is below its edge where it reaches each of the codes (codes, 1), (codes, channels)."""
    assert fast.line is not None
    return np.asarray((fast.line.units < 1) & (codes <= fast.output_offset))


def _equal_everywhere(integer: Requantizer, fast: Requantizer, bound: Ints) -> bool:
    """Whether both give the same code for every |acc| ≤ bound: equal around each step, and at both ends."""
    ends = np.stack([-bound, bound])
    low, high = integer.exact(ends)
    if not np.array_equal(integer.exact(ends), fast.proven(ends)):
        return False
    for codes in _in_parts(fast, bound):
        step = _steps(fast, bound, codes)
        around = np.stack([np.maximum(step - 1, -bound), step, np.minimum(step + 1, bound)])
        mine, theirs = integer.exact(around), fast.proven(around)
        bracketed = (theirs[0] < codes) & (codes <= theirs[2]) | (high < codes) | (codes <= low)
        if not (np.array_equal(mine, theirs) and bracketed.all()):
            return False
    return True


def staircase(proven: Requantizer) -> Staircase:
    """Where the line of one that has one begins its codes."""
    assert proven.line is not None and proven.bound is not None
    codes, bound = _codes(proven), proven.bound
    step = _steps(proven, bound, codes, over=1)
    return Staircase(proven.line, codes + proven.half, step, bound, np.broadcast_to(_drops(proven, codes), step.shape))


class Roundings(NamedTuple):
    """Three numbers for each channel: rint(rint(x · high + nudge) · low) is what double rounding makes of x.

    The first rounding takes ties up, so the nudge is half of what two x · high can differ by, or 0 where no channel has
    ties. The second takes them away from zero, as does a factor that is larger by its last bit, and moves no other
    number over a tie. `low` is float32 where what the first one gives has room there: less than 2²².
    """

    high: Array
    nudge: Array
    low: Array

    def __call__(self, real: Array) -> None:
        """Rescale the whole numbers `real` (…, channels), float64, in place."""
        real *= self.high
        if self.nudge.any():
            real += self.nudge
        np.rint(real, out=real)
        if np.any(self.low < 1):  # else nothing is shifted out
            real *= self.low
            np.rint(real, out=real)


def roundings(requantize: Requantizer, bound: Ints, left_shift: int = 0) -> Roundings | None:
    """What scales accumulators with |acc| ≤ `bound`, their bias included, before output offset and clamp, if known.

    Known it is where no register wraps and float64 holds all of x · high + nudge; or, in 8 bits or for a single
    channel, where there is a line and the codes are the same on both sides of every step. Where TFLM shifts the
    accumulators to the left first, by `left_shift` bits, they are given as they were before.
    """
    multiplier = requantize.multiplier
    if requantize.bits != 32 or multiplier.rounding != "double" or np.any(multiplier.multiplier <= 0):
        return None
    reach = bound + np.abs(requantize.bias)
    left, right = np.maximum(multiplier.shift, 0) + left_shift, np.minimum(multiplier.shift, 0)
    if np.any(reach * np.exp2(left) + 2**17 >= 2**31):
        return None
    lowest_bit = multiplier.multiplier & -multiplier.multiplier
    high = np.ldexp(multiplier.multiplier.astype(np.float64), left - 31)
    short = np.float32 if np.all(reach * high < 2**22) else np.float64
    low = np.ldexp(np.nextafter(short(1), short(2)), right)
    grain = np.ldexp(lowest_bit.astype(np.float64), left - 31)  # of x · high
    are_ties = np.any((grain <= 0.5) & (reach * grain >= 0.5))
    nudge = np.where(are_ties & (grain <= 0.5), grain / 2, 0.0)  # of the multiplier only, the channel does not matter
    if np.all(2.0 * reach * (multiplier.multiplier // lowest_bit) < 2.0**53):
        return Roundings(high, nudge, low)
    is_short = requantize.dtype == "int8" or bound.size == 1
    if requantize.line is None or not is_short or not bound.all():
        return None
    codes = _codes(requantize)
    step = _steps(requantize, bound, codes, over=1)
    above, below = (
        np.rint(np.rint((acc + requantize.bias) * high) * low) + requantize.output_offset >= codes
        for acc in (np.minimum(step, bound), np.maximum(step - 1, -bound))
    )
    fits = np.all((above == (step <= bound)) & (below != (step > -bound)))
    return Roundings(high, np.zeros_like(high), low) if fits else None
