"""TFLM's float32 arithmetic on single numbers, in exact rational arithmetic, for people and for proofs.

`float32` has the same names on arrays, phrased differently; the tests hold the two and the C library together.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def clamp(v: np.float32, lo: float, hi: float) -> np.float32:
    """`std::min(std::max(v, lo), hi)`: comparisons with NaN are false, so NaN passes."""
    if v < lo:
        v = np.float32(lo)
    return np.float32(hi) if hi < v else v


def round_half_away(x: float) -> float:
    """C's `round`: to the nearest integer, ties away from zero; −0.0, ∞ and NaN stay as they are."""
    if not math.isfinite(x):
        return x
    return math.copysign(math.floor(Fraction(abs(float(x))) + Fraction(1, 2)), x)


def to_int32(x: float, float_to_int: str) -> int:
    """C's conversion of a float to int32 on ``"x86"`` (−2³¹ for all that does not fit) or ``"arm"`` (saturated)."""
    if math.isnan(x):
        return 0 if float_to_int == "arm" else INT32_MIN
    if math.isfinite(x) and INT32_MIN <= math.trunc(x) <= INT32_MAX:
        return math.trunc(x)
    return INT32_MAX if float_to_int == "arm" and x > 0 else INT32_MIN


def round_to_float32(exact: Fraction) -> np.float32:
    """The float32 nearest to a rational number, ties to the even one; ∞ from 2¹²⁸ − 2¹⁰³ on."""
    magnitude = abs(exact)
    exponent = max(math.frexp(float(magnitude))[1] - 24, -149) if magnitude else 0
    steps = round(magnitude / Fraction(2) ** exponent)
    rounded = Fraction(steps) * Fraction(2) ** exponent
    return np.float32(math.copysign(float(rounded) if rounded < 2**128 else math.inf, exact))


def fma(a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    """a·b + c, rounded once."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        with np.errstate(all="ignore"):
            return np.float32(np.float64(a) * np.float64(b) + np.float64(c))
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:  # +0, unless both terms are −0 (or cancel nothing)
        return np.float32(float(a) * float(b) + float(c))
    return round_to_float32(exact)
