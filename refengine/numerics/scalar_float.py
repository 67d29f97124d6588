"""TFLM's float32 arithmetic on single numbers, in exact rational arithmetic, for people and for proofs.

`float32` has the same names on arrays, phrased differently; the tests hold the two and the C library together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
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
    """C's conversion of a float to int32: −2³¹ for all that does not fit on ``"x86"``; saturated on others."""
    if math.isnan(x):
        return {"x86": INT32_MIN, "arm": 0, "riscv": INT32_MAX}[float_to_int]
    if math.isfinite(x) and INT32_MIN <= math.trunc(x) <= INT32_MAX:
        return math.trunc(x)
    return INT32_MAX if float_to_int != "x86" and x > 0 else INT32_MIN


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
    if libm in ("glibc", "glibc-2.41", "newlib-double"):
        return _exp_in_double(float(x))
    return _exp_fdlibm(float(x), libm == "newlib-fma")


def tanh(x: np.float32, libm: str) -> np.float32:
    """`tanhf` of the C library `libm`."""
    if math.isnan(x) or abs(x) < 2.0**-55:
        return x
    if libm == "glibc-2.41":
        return _narrow(math.copysign(1, x)) if abs(x) > 10 else _nearest(x, lambda e: (e * e - 1) / (e * e + 1))
    contracted = libm in ("newlib-fma", "newlib-double")
    size = abs(float(x))
    if size >= 22:
        size = 1.0
    elif size >= 1:
        size = _f(1 - _f(2 / _f(_expm1(2 * size, contracted) + 2)))
    else:
        t = _expm1(-2 * size, contracted)
        size = _f(-t / _f(t + 2))
    return _narrow(math.copysign(size, x))


def expm1(x: np.float32, libm: str) -> np.float32:
    """`expm1f` of the C library `libm`."""
    if math.isnan(x) or abs(x) < 2.0**-55:
        return x
    if x > 89 or x < -20:
        return _narrow(math.inf if x > 0 else -1)
    if libm == "glibc-2.41":
        return _nearest(x, lambda e: e - 1)
    if x > _f(88.722831726) or x < _f(-18.714973):
        return _narrow(math.inf if x > 0 else -1)
    return _narrow(_expm1(float(x), libm in ("newlib-fma", "newlib-double")))


def log(x: np.float32, libm: str) -> np.float32:
    """`logf` of the C library `libm`."""
    if math.isnan(x) or x == math.inf:
        return x
    if x <= 0:
        return _narrow(math.nan if x < 0 else -math.inf)
    return _log_fdlibm(float(x), libm == "newlib-fma") if libm in ("newlib", "newlib-fma") else _log_in_double(float(x))


def sin(x: np.float32, libm: str) -> np.float32:
    """`sinf` of the C library `libm`; those that `float32.PROVEN` names agree."""
    return x if abs(x) < 2.0**-12 else _sine(float(x), 0)


def cos(x: np.float32, libm: str) -> np.float32:
    """`cosf` of the C library `libm`; those that `float32.PROVEN` names agree."""
    return _sine(float(x), 1)


def _log_in_double(x: float) -> np.float32:
    """ln x = k·ln 2 + ln c + ln(1 + r), the sums in double."""
    k, inverse, r = _near_a_table_entry(x)
    a0, a1, a2 = map(float.fromhex, ("-0x1.00ea348b88334p-2", "0x1.5575b0be00b6ap-2", "-0x1.ffffef20a4123p-2"))
    known = float(-Decimal(inverse).ln()) + k * math.log(2)
    return _narrow((a0 * (r * r) + (a1 * r + a2)) * (r * r) + (known + r))


def _log_fdlibm(x: float, contracted: bool) -> np.float32:
    """newlib's `logf` on targets without double precision, step by step in float32: k·ln 2 + ln(1 + f)."""

    def add(a: float, b: float, c: float) -> float:
        return _multiply_add(a, b, c, contracted)

    mantissa, exponent = math.frexp(x)
    fraction = int(mantissa * 2**24) - 2**23
    is_above = fraction >= 2**23 - 0x4AFB20  # from √2 on it is halved
    f, k = (mantissa if is_above else 2 * mantissa) - 1, float(exponent if is_above else exponent - 1)
    k_low = _f(k * LN2_LOW)
    if f == 0:
        return _narrow(add(k, LN2_HIGH, k_low))
    if (15 + fraction) % 2**23 < 16:  # |f| < 2⁻²⁰
        third = _f(_f(f * f) * add(_f(-0.33333333333), f, 0.5))
        return _narrow(add(k, LN2_HIGH, -_f(add(-k, LN2_LOW, third) - f)) if k else f - third)
    s = _f(f / _f(2 + f))
    z = _f(s * s)
    w = _f(z * z)
    even = add(w, add(w, _f(0.15313838422), _f(0.22222198546)), _f(0.40000000596))
    odd = add(w, add(w, add(w, _f(0.14798198640), _f(0.18183572590)), _f(0.28571429849)), _f(0.66666668653))
    rest = add(w, even, _f(z * odd))
    if ((fraction - 0x30A3D0) | (0x35C288 - fraction)) > 0:
        h = _f(_f(0.5 * f) * f)
        if not k:
            return _narrow(f - add(-s, _f(h + rest), h))
        return _narrow(add(k, LN2_HIGH, -_f(_f(h - add(s, _f(h + rest), k_low)) - f)))
    if not k:
        return _narrow(add(-s, _f(f - rest), f))
    return _narrow(add(k, LN2_HIGH, -_f(add(s, _f(f - rest), -k_low) - f)))


def sqrt(x: np.float32) -> np.float32:
    """`sqrtf`: the float32 nearest to the root; −0.0 stays."""
    if not x > 0 or x == math.inf:
        return _narrow(math.nan) if x < 0 else x
    square = int(Fraction(float(x)) * 4**200)
    root = math.isqrt(square)
    return round_to_float32(Fraction(2 * root + (root * root != square), 2**201))  # cut off, but on the right side


def rsqrt(x: np.float32) -> np.float32:
    """1 / sqrtf(x), rounded twice."""
    root = sqrt(x)
    return _narrow(math.copysign(math.inf, root)) if root == 0 else _narrow(1 / float(root))


def pow(x: np.float32, y: np.float32, libm: str) -> np.float32:
    """`powf` of the C library `libm`; those that `float32.PROVEN` names agree, in C's special cases too.

    2^(y · log2 x) in double, with the roundings of an FMA build.
    """
    if x == 1 or y == 0:
        return _narrow(1)
    exponent, size = float(y), abs(float(x))
    is_broken = math.isfinite(y) and not exponent.is_integer()
    if math.isnan(x) or math.isnan(y) or (x < 0 and math.isfinite(x) and is_broken):
        return _narrow(math.nan)
    sign = math.copysign(1.0, x) if math.isfinite(y) and exponent % 2 == 1 else 1.0
    if size in (0, 1, math.inf) or math.isinf(y):
        return _narrow(sign * _power_at_the_edge(size, exponent))
    return _narrow(sign * float(_exp2(exponent * _log2(size))))


def _log2(x: float) -> float:
    """log2 x of a finite x > 0: k + log2 c + log2(1 + r)."""
    k, inverse, r = _near_a_table_entry(x)
    a = tuple(map(float.fromhex, ("0x1.27616c9496e0bp-2", "-0x1.71969a075c67ap-2", "0x1.ec70a6ca7baddp-2",
                                  "-0x1.7154748bef6c8p-1", "0x1.71547652ab82bp0")))  # fmt: skip
    known = float(-Decimal(inverse).ln() / Decimal(2).ln()) + k
    low = _fused_in_double(r * r, _fused_in_double(a[2], r, a[3]), _fused_in_double(a[4], r, known))
    return _fused_in_double(_fused_in_double(a[0], r, a[1]), (r * r) * (r * r), low)


def _power_at_the_edge(size: float, y: float) -> float:
    """size^y where one of them is 0, 1 or ∞."""
    if size == 1:
        return 1.0
    return math.inf if (size > 1) == (y > 0) else 0.0


def _exp2(z: float) -> np.float32:
    """2^z = 2^(k/32) · 2^r as glibc's `powf` ends."""
    if z >= 128 or z < -151:
        return _narrow(math.inf if z > 0 else 0)
    k = round(Fraction(z) * 32)
    r = z - k / 32
    c0, c1, c2 = map(float.fromhex, ("0x1.c6af84b912394p-5", "0x1.ebfce50fac4f3p-3", "0x1.62e42ff0c52d6p-1"))
    y = _fused_in_double(_fused_in_double(c0, r, c1), r * r, _fused_in_double(c2, r, 1.0))
    return _narrow(y * math.ldexp(float(Decimal(2) ** (Decimal(k % 32) / 32)), k // 32))


def _near_a_table_entry(x: float) -> tuple[int, float, float]:
    """x > 0 as 2^k · z with 0.699 ≤ z < 1.399, the table's 1 / c with c next to z, and r = z / c − 1, rounded once."""
    least = 0.69921875
    k = math.frexp(x / least)[1] - 1
    z = math.ldexp(x, -k)
    inverse = float.fromhex(INVERSES[math.floor(32 * (z - least) if z < 1 else 9.625 + 16 * (z - 1))])
    return k, inverse, float(Fraction(z) * Fraction(inverse) - 1)


def _sine(x: float, quarters: int) -> np.float32:
    """sin(x + quarters · π/2), |x| reduced by multiples of π/2 and then one of two polynomials in double."""
    if not math.isfinite(x):
        return _narrow(math.nan)
    if abs(x) < 120:
        n = math.floor(Fraction(math.trunc(x * (2**24 / HALF_PI)) + 2**23, 2**24))
        r, turns = float(Fraction(x) - n * Fraction(HALF_PI)), n
    else:
        n, r = _reduced(abs(x))
        turns = n + (x < 0)
    square = r * r
    if (n ^ quarters) & 1:
        c0, c1, c2, c3 = map(float.fromhex, ("-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5",
                                             "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16"))  # fmt: skip
        fourth = square * square
        y = ((1 + square * c0) + fourth * c1) + (fourth * square) * (c2 + square * c3)
        return _narrow(-y if turns & 2 else y)
    s0, s1, s2 = map(float.fromhex, ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13"))
    cube = r * square
    y = (r + cube * s0) + (cube * square) * (s1 + square * s2)
    return _narrow(-y if turns % 4 in (1, 2) else y)


def _reduced(size: float) -> tuple[int, float]:
    """n and r of size = n · π/2 + r, |r| ≤ π/4, for size ≥ 120: from those 96 bits of 2/π that matter.

    Quarter turns are counted in units of 2⁻⁶²; a multiple of four of them does not fit, and does not matter.
    """
    mantissa, exponent = math.frexp(size)
    field = exponent + 126  # as it stands in the float32
    window = (TWO_OVER_PI >> (120 - 8 * (field >> 3 & 15))) % 2**96
    turns = ((int(mantissa * 2**24) << (field & 7)) * window >> 32) % 2**64
    n = (turns + 2**61) // 2**62
    return n, float(turns - n * 2**62) * (HALF_PI * 2.0**-62)


def _nearest(x: np.float32, of_e_to_the_x: Callable[[Decimal], Decimal]) -> np.float32:
    """The float32 nearest to an expression in e^x, which has 60 digits here."""
    with localcontext() as context:
        context.prec = 60
        return round_to_float32(Fraction(of_e_to_the_x(Decimal(float(x)).exp())))


def _fused_in_double(a: float, b: float, c: float) -> float:
    """a·b + c, rounded once to float64."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def _exp_in_double(x: float) -> np.float32:
    """e^x = 2^(k/32) · 2^(r/32) with the roundings to double of the C code's FMA build, exact in between."""
    if x > float.fromhex("0x1.62e42ep6"):
        return _narrow(math.inf)
    if x < -float.fromhex("0x1.9fe368p6"):
        return _narrow(0)
    z = Fraction(float.fromhex("0x1.71547652b82fep5")) * Fraction(x)
    k = round(z)
    r = Fraction(float(z - k))
    c0, c1, c2 = map(
        Fraction, map(float.fromhex, ("0x1.c6af84b912394p-20", "0x1.ebfce50fac4f3p-13", "0x1.62e42ff0c52d6p-6"))
    )
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
    """fdlibm's `expm1f` for −20 ≤ x ≤ 89, step by step in float32."""
    if abs(x) < 2.0**-25:
        return x
    if abs(x) <= HALF_LN2:
        k, r, c = 0, x, 0.0
    else:
        near = abs(x) < ONE_AND_A_HALF_LN2
        k = math.trunc(math.copysign(1, x) if near else _f(_f(x * LOG2_E) + math.copysign(0.5, x)))
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
    if k == 1:
        return _f(-2 * _f(e - _f(r + 0.5))) if r < -0.25 else _f(1 + 2 * _f(r - e))
    if k <= -2 or k > 56:
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
HALF_PI = math.pi / 2
TWO_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041  # · 2⁻¹⁹²
INVERSES = (
    "0x1.661ec79f8f3be", "0x1.571ed4aaf883d", "0x1.49539f0f010b0", "0x1.3c995b0b80385", "0x1.30d190c8864a5",
    "0x1.25e227b0b8ea0", "0x1.1bb4a4a1a343f", "0x1.12358f08ae5ba", "0x1.0953f419900a7", "0x1.0",
    "0x1.e608cfd9a47acp-1", "0x1.ca4b31f026aa0p-1", "0x1.b2036576afce6p-1", "0x1.9c2d163a1aa2dp-1",
    "0x1.886e6037841edp-1", "0x1.767dcf5534862p-1")  # fmt: skip
