"""TFLM's float32 arithmetic on single numbers, in exact rational arithmetic, for people and for proofs.

`float32` has the same names on arrays, phrased differently; the tests hold the two and the C library together.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def clamp(v: np.float32, lo: float, hi: float) -> np.float32:
    """`std::min(std::max(v, lo), hi)`: comparisons with NaN are false, so NaN passes, and −0.0 is not below 0."""
    if v < lo:
        return _narrow(lo)
    return _narrow(hi) if v > hi else v


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
    size = abs(exact)
    exponent = max(math.frexp(float(size))[1] - 24, -149)  # of the last bit
    nearest = round(size / Fraction(2) ** exponent) * Fraction(2) ** exponent
    return _narrow(math.copysign(float(nearest) if nearest < 2**128 else math.inf, exact))


def fma(a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    """a·b + c, rounded once."""
    with np.errstate(all="ignore"):
        rounded_twice = np.float64(a) * np.float64(b) + np.float64(c)
    if not np.isfinite(rounded_twice) or rounded_twice == 0:  # ∞, NaN, and the sign of a zero come out right
        return _narrow(rounded_twice)
    return round_to_float32(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)))


def exp(x: np.float32, libm: str) -> np.float32:
    """`expf` of the C library `libm`; `float32` names them."""
    if math.isnan(x):
        return x
    if libm in ("glibc", "newlib-double"):
        return _exp_in_double(float(x))
    return _exp_fdlibm(float(x), libm == "newlib-fma")


def tanh(x: np.float32, libm: str) -> np.float32:
    """`tanhf` of the C library `libm`."""
    contracted = libm in ("newlib-fma", "newlib-double")
    size = abs(float(x))
    if math.isnan(size) or size < 2.0**-55:
        return x
    if size >= 22:
        size = 1.0
    elif size >= 1:
        size = _f(1 - _f(2 / _f(_expm1(2 * size, contracted) + 2)))
    else:
        t = _expm1(-2 * size, contracted)
        size = _f(-t / _f(t + 2))
    return _narrow(math.copysign(size, x))


def _exp_in_double(x: float) -> np.float32:
    """e^x = 2^(k/32) · 2^(r/32) with the roundings to double of the C code's FMA build, exact in between."""
    if x > float.fromhex("0x1.62e42ep6"):
        return _narrow(math.inf)
    if x < -float.fromhex("0x1.9fe368p6"):
        return _narrow(0)
    z = Fraction(float.fromhex("0x1.71547652b82fep5")) * Fraction(x)
    k = round(z)
    r = Fraction(float(z - k))
    c0, c1, c2 = map(Fraction, map(float.fromhex, (
        "0x1.c6af84b912394p-20", "0x1.ebfce50fac4f3p-13", "0x1.62e42ff0c52d6p-6")))
    high, low, square = (Fraction(float(exact)) for exact in (c0 * r + c1, c2 * r + 1, r * r))
    power = math.ldexp(float(Decimal(2) ** (Decimal(k % 32) / 32)), k // 32)
    return round_to_float32(Fraction(float(high * square + low) * power))


def _exp_fdlibm(x: float, contracted: bool) -> np.float32:
    """newlib's `expf` on targets without double precision, step by step in float32."""
    if x > _f(88.722831726):
        return _narrow(math.inf)
    if x < _f(-103.97208405):
        return _narrow(0)
    if abs(x) <= HALF_LN2:
        k, high, low = 0, x, 0.0
    elif abs(x) < ONE_AND_A_HALF_LN2:
        k = 1 if x > 0 else -1
        high, low = _f(x - k * LN2_HIGH), k * LN2_LOW
    else:
        k = math.trunc(_multiply_add(x, LOG2_E, math.copysign(0.5, x), contracted))
        high, low = _multiply_add(-float(k), LN2_HIGH, x, contracted), _f(k * LN2_LOW)
    r = _f(high - low)
    t = _f(r * r)
    p = _f(4.1381369442e-08)
    for coefficient in (-1.6533901999e-06, 6.6137559770e-05, -2.7777778450e-03, 1.6666667163e-01):
        p = _multiply_add(t, p, _f(coefficient), contracted)
    c = _multiply_add(-t, p, r, contracted)
    if k == 0:
        return _narrow(1 - _f(_f(_f(r * c) / _f(c - 2)) - r))
    y = _f(1 - _f(_f(low - _f(_f(r * c) / _f(2 - c))) - high))
    return round_to_float32(Fraction(y) * Fraction(2) ** k)


def _expm1(x: float, contracted: bool) -> float:
    """fdlibm's `expm1f`, where `tanhf` calls it, step by step in float32."""
    if abs(x) < 2.0**-25:
        return x
    if abs(x) <= HALF_LN2:
        k, r, c = 0, x, 0.0
    else:
        k = -1 if abs(x) < ONE_AND_A_HALF_LN2 else math.trunc(_f(_f(x * LOG2_E) + math.copysign(0.5, x)))
        high, low = _f(x - k * LN2_HIGH), _f(k * LN2_LOW)
        r = _f(high - low)
        c = _f(_f(high - r) - low)
    half = 0.5 * r
    square = _f(r * half)
    q = _f(-2.0109921195e-07)
    for coefficient in (4.0082177293e-06, -7.9365076090e-05, 1.5873016091e-03, -3.3333335072e-02, 1.0):
        q = _multiply_add(square, q, _f(coefficient), contracted)
    t = _multiply_add(-q, half, 3.0, contracted)
    e = _f(square * _f(_f(q - t) / _multiply_add(-r, t, 6.0, contracted)))
    if k == 0:
        return _f(r - _multiply_add(r, e, -square, contracted))
    e = _f(_multiply_add(r, _f(e - c), -c, contracted) - square)
    if k == -1:
        return _f(0.5 * _f(r - e) - 0.5)
    if k <= -2:
        return _f(_f(1 - _f(e - r)) * 2.0**k - 1)
    if k < 23:
        return _f((1 - 2.0**-k) - _f(e - r)) * 2.0**k
    return _f(_f(r - _f(e + 2.0**-k)) + 1) * 2.0**k


def _multiply_add(a: float, b: float, c: float, contracted: bool) -> float:
    """a·b + c as the library was compiled: fused, or rounded twice."""
    if contracted:
        return float(round_to_float32(Fraction(a) * Fraction(b) + Fraction(c)))
    return _f(_f(a * b) + c)


def _narrow(x: float) -> np.float32:
    narrow: np.float32 = np.float32(x)
    return narrow


def _f(x: float) -> float:
    """Rounded to float32. Of one +, −, × or ÷ of float32 operands this is right although they compute in double."""
    return float(_narrow(x))


LOG2_E, LN2_HIGH, LN2_LOW = _f(1.4426950216), _f(6.9313812256e-01), _f(9.0580006145e-06)
HALF_LN2, ONE_AND_A_HALF_LN2 = _f(0.34657359), _f(1.0397208)
