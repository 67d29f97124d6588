"""TFLM's float32 arithmetic on arrays, bit for bit: sums in TFLM's order, FMA, the C library's exp and tanh.

NumPy's own `sum`, `@`, `exp` and `tanh` give other bits than a C compiler's loop and a C library do, so none of
them appears here. Two things depend on the target, and every function that they touch takes them by name:

`contraction` says what became of `total += x * w`: two roundings (``"none"``: x86-64, and targets without an
FPU), or a fused multiply-add (``"fma"``: what GCC emits for a Cortex-M FPU).

`libm` says whose `expf` and `tanhf` are linked:

===================  =====================================================  ================================
``"glibc"``          2.28 to 2.40 on x86-64 with FMA: the oracle's host     `expf` in double, `tanhf` fdlibm's
``"newlib"``         Cortex-M without FPU: M0, M0+, M3, any soft-float      both fdlibm's, two roundings
``"newlib-fma"``     single-precision FPU: M4F, M33, M7 with fpv5-sp-d16    both fdlibm's, contracted
``"newlib-double"``  double-precision FPU: M7 with fpv5-d16, M55            `expf` as glibc, `tanhf` contracted
===================  =====================================================  ================================

The newlib ones are what `arm-none-eabi-gcc` links (GCC 12.2, newlib 3.3): the instruction set that a program is
compiled for chooses among newlib's builds, so `-mcpu=cortex-m7 -mfloat-abi=soft` on a chip with an FPU is
``"newlib"``. `tools/libm_exhaustive.py` holds them against the real libraries.

NaN in is NaN out, but the sign and payload of a NaN are not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

FLT_MAX = np.finfo(np.float32).max


# ── Comparing and rounding ────────────────────────────────────────────────────────────────────────

def clamp(v: Float32, lo: float | np.float32, hi: float | np.float32) -> Float32:
    """min(max(v, lo), hi) as C++ evaluates it (`ActivationFunctionWithMinMax`): NaN and −0.0 pass, ∞ is cut."""
    low, high = np.float32(lo), np.float32(hi)
    clamped: Float32 = np.minimum(np.maximum(v, low), high)
    if 0 in (low, high):  # which of two zeros these return is the processor's choice; C++ keeps v's
        zero = v == 0
        if zero.any():
            np.copyto(clamped, v, where=zero)
    return clamped


def round_half_away(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """C's `round` for float32 or float64: to the nearest integer, ties away from zero; −0.0 stays."""
    whole = np.trunc(x)
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        tie_or_more = np.abs(x - whole) >= 0.5
    rounded: npt.NDArray[Any] = np.where(tie_or_more, whole + np.copysign(x.dtype.type(1), x), whole)
    return rounded


def to_int32(x: npt.NDArray[Any], float_to_int: str) -> Int32:
    """C's conversion of a float to int32: truncates; what does not fit becomes what the machine makes of it.

    ``"x86"`` (`cvttss2si`) gives −2³¹ for all of that, NaN included; ``"arm"`` (`vcvt.s32.f32`) saturates and
    turns NaN into 0.
    """
    fits = (x >= -2.0**31) & (x < 2.0**31)
    result = np.where(fits, x, -2.0**31).astype(np.int32)
    if float_to_int == "arm":
        result[x >= 2.0**31] = 2**31 - 1
        result[np.isnan(x)] = 0
    return result


# ── Sums and products in TFLM's order ─────────────────────────────────────────────────────────────

def fma(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Float32:
    """a·b + c of float32 arrays (which broadcast), rounded once.

    The product is exact in float64, and rounding the float64 sum again to float32 is wrong only where the
    first rounding hit a tie of the second: those few are rounded to odd first (Boldo and Melquiond, 2008).
    """
    with np.errstate(all="ignore"):
        product = np.asarray(np.multiply(a, b, dtype=np.float64))
        product, addend = np.broadcast_arrays(product, np.asarray(c, np.float64))
        total = product + addend
        result = np.asarray(total.astype(np.float32))
        doubtful = (total.view(np.int64) << 35) == np.iinfo(np.int64).min
        doubtful |= (np.abs(total) < np.finfo(np.float32).tiny) & (total != 0)
        if doubtful.any():
            result[doubtful] = _sum_to_odd(product[doubtful], addend[doubtful]).astype(np.float32)
    return result


def _sum_to_odd(a: Float64, b: Float64) -> Float64:
    """a + b of finite float64, rounded to odd: if inexact, to the neighbour whose last bit is set."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    even = total.view(np.int64) & 1 == 0
    return np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)


def sequential_sum(x: Float32, axis: int | tuple[int, ...]) -> Float32:
    """The sum over `axis`, from 0.0 and in index order, `for (…) total += x`: mean, average pool, softmax."""
    axes = (axis,) if isinstance(axis, int) else axis
    terms = np.ascontiguousarray(np.moveaxis(x, axes, range(len(axes))))
    kept = terms.shape[len(axes):]
    terms = terms.reshape(math.prod(terms.shape[:len(axes)]), math.prod(kept))
    if terms.shape[1] == 1:  # NumPy would sum a lone column pairwise
        sums = np.add.accumulate(np.append(np.float32(0), terms))[-1:]
    else:
        sums = np.add.reduce(terms, axis=0) + np.float32(0)  # from 0.0, so −0.0 cannot come out
    return sums.reshape(kept)


def sequential_matmul(x: Float32, w: Float32, contraction: str) -> Float32:
    """(P, K) by (O, K) to (P, O), each element as in TFLM: total = 0; for k: total += x[p, k] * w[o, k].

    Any memory layout will do, but two are free of copies: with P > O, `x` the transpose of a C-contiguous (K, P),
    such as an im2col tile whose pixels lie side by side, and the result is the transpose of an (O, P); with P ≤ O,
    `w` the transpose of a C-contiguous (K, O), and the result is a C-contiguous (P, O).
    """
    if len(x) <= len(w):
        return _sums_of_outer_products(x, w, contraction)
    transposed: Float32 = _sums_of_outer_products(w, x, contraction).T
    return transposed


def _sums_of_outer_products(few: Float32, many: Float32, contraction: str) -> Float32:
    """(F, K) by (M, K) to (F, M), with the loop over the many innermost, in tiles that stay in the cache."""
    if len(many) == 1:  # a lone dot product is widened: `einsum` would not sum it in order
        return _sums_of_outer_products(few, np.repeat(many, 2, axis=0), contraction)[:, :1]
    sums = np.empty((len(few), len(many)), np.float32)
    few = np.ascontiguousarray(few)  # were both strides along k negative, `einsum` would sum backwards
    accumulate = _einsum if contraction == EINSUM_CONTRACTION else _FUSED_OR_NOT[contraction]
    width = max(256, CACHE_FLOATS // max(1, few.shape[1])) if len(few) > 8 else len(many)
    tiles = max(1, -(-len(many) // width))  # of even widths, so that none is a single column
    with np.errstate(all="ignore"):
        for rows, out in zip(np.array_split(many, tiles), np.array_split(sums, tiles, axis=1), strict=True):
            accumulate(few, rows.T if rows.strides[0] == rows.itemsize else np.ascontiguousarray(rows.T), out)
    return sums


def _einsum(few: Float32, rows: Float32, out: Float32) -> None:
    """(F, K) by (K, M) into (F, M): TFLM's loop in vector registers, three times as fast as multiply and add."""
    np.einsum("fk,km->fm", few, rows, out=out, optimize=False)


def _multiply_then_add(few: Float32, rows: Float32, out: Float32) -> None:
    """The same with two roundings, on any build of NumPy."""
    product = np.empty(out.shape, np.float32)
    out[...] = 0
    for column, row in zip(few.T, rows, strict=True):
        out += np.multiply(column[:, None], row, out=product)


def _fused_multiply_add(few: Float32, rows: Float32, out: Float32) -> None:
    """The same with one rounding."""
    out[...] = 0
    for column, row in zip(few.T, rows, strict=True):
        out[...] = fma(column[:, None], row, out)


def _einsum_contraction() -> str:
    """How this build of NumPy sums in `einsum`: as ``"none"`` does, as ``"fma"`` does, or some other way.

    It depends on the instruction set that NumPy was compiled for (the x86-64 wheels do not fuse), so it is tried.
    """
    few = np.float32(1) / np.arange(3, 36, dtype=np.float32).reshape(3, 11)

    def agree(accumulate: Callable[[Float32, Float32, Float32], None], width: int) -> bool:
        rows = np.float32(1) / np.arange(1, 11 * width + 1, dtype=np.float32).reshape(11, width)
        seen, wanted = np.empty((2, 3, width), np.float32)
        _einsum(few, rows, seen)
        accumulate(few, rows, wanted)
        return np.array_equal(seen, wanted)

    widths = (2, 3, 5, 8, 15, 33, 66)  # whole vectors and remainders
    agreeing = [name for name, loop in _FUSED_OR_NOT.items() if all(agree(loop, width) for width in widths)]
    return agreeing[0] if agreeing else "neither"


CACHE_FLOATS = 2**18  # 1 MiB: a tile of rows is read once for each of the few
_FUSED_OR_NOT = {"none": _multiply_then_add, "fma": _fused_multiply_add}
EINSUM_CONTRACTION = _einsum_contraction()


# ── The C library ─────────────────────────────────────────────────────────────────────────────────

def exp(x: Float32, libm: str) -> Float32:
    """`expf` of the C library `libm`, elementwise.

    ``"glibc"``: all 2³² values compared with glibc 2.36 on FMA hardware, none differs (glibc's other build, for x86-64
    without FMA, gives other bits for two: −63.0995 and 32.5646). The newlib ones: see `tanh`.
    """
    if libm in ("glibc", "newlib-double"):
        return _in_blocks(_exp_in_double, x)
    return _in_blocks(lambda block: _exp_fdlibm(block, _fused(libm)), x)


def tanh(x: Float32, libm: str) -> Float32:
    """`tanhf` of the C library `libm`, elementwise.

    ``"glibc"``: all 2³² values compared with glibc 2.36, none differs. The newlib ones, here and in `exp`: 138,547,332
    values each, evenly over all bit patterns, compared with newlib 3.3 on QEMU's Cortex-M3, M4F and M7; none differs.
    """
    return _in_blocks(lambda block: _tanh_fdlibm(block, _fused(libm)), x)


def _in_blocks(function: Callable[[Float32], Float32], x: Float32) -> Float32:
    """An elementwise `function`, a part at a time: its dozen of temporaries stay in the cache, and are small."""
    x = np.asarray(x, np.float32)
    with np.errstate(all="ignore"):
        if x.size <= BLOCK:
            return function(x)
        flat = x.reshape(-1)
        parts = (flat[start : start + BLOCK] for start in range(0, x.size, BLOCK))
        return np.concatenate([function(part) for part in parts]).reshape(x.shape)


BLOCK = 1 << 15


def _fused(libm: str) -> str:
    """The contraction that the library itself was compiled with, where it calculates in float32."""
    return {"glibc": "none", "newlib": "none", "newlib-fma": "fma", "newlib-double": "fma"}[libm]


# 2^(i/32) for i = 0 … 31 as float64 bits, less i in the place of k's last five bits (see `_exp_in_double`).
_EXP2 = np.array([float(Decimal(2) ** (Decimal(i) / 32)) for i in range(32)])
_EXP2_TABLE = _EXP2.view(np.int64) - (np.arange(32, dtype=np.int64) << 47)
_ROUND_TO_INTEGER = float.fromhex("0x1.8p52")  # added, it leaves no room for a fraction


def _exp_in_double(x: Float32) -> Float32:
    """glibc's and the newer newlib's `expf`: e^x = 2^(k/32) · 2^(r/32), |r| ≤ ½, in float64, narrowed last."""
    wide = np.clip(x, np.float32(-150), np.float32(150)).astype(np.float64)  # beyond: 0 and ∞ all the same
    # z = 32/ln 2 · x as an unevaluated sum: FMA subtracts k from the exact product.
    z_high, z_low = float.fromhex("0x1.7154765p5") * wide, float.fromhex("0x1.5c17fp-26") * wide
    shifted = (z_high + z_low) + _ROUND_TO_INTEGER
    k = shifted.view(np.int64)
    r = (z_high - (shifted - _ROUND_TO_INTEGER)) + z_low
    power = (_EXP2_TABLE[k & 31] + (k << 47)).view(np.float64)
    square = r * r
    high = float.fromhex("0x1.c6af84b912394p-20") * r + float.fromhex("0x1.ebfce50fac4f3p-13")
    low = float.fromhex("0x1.62e42ff0c52d6p-6") * r + 1.0
    narrow: Float32 = ((high * square + low) * power).astype(np.float32)
    return narrow


def _exp_fdlibm(x: Float32, fused: str) -> Float32:
    """fdlibm's `expf`, which newlib keeps for targets without double precision in hardware."""
    f = np.float32
    k = np.trunc(_multiply_add(fused, x, f(1.4426950216), np.copysign(f(0.5), x)))
    k = np.where(np.abs(x) < f(1.5 * LN2), np.copysign(f(1), x), k)
    k = np.where(np.abs(x) <= f(0.5 * LN2), f(0), k)
    # x = k·ln 2 + r, with ln 2 in two parts, and e^r = 1 + 2r / (2 − c) + …, c even in r.
    high, low = _multiply_add(fused, -k, LN2_HIGH, x), k * LN2_LOW
    r = high - low
    c = _multiply_add(fused, -(r * r), _polynomial(fused, r * r, EXPF_P), r)
    mantissa = f(1) - ((low - (r * c) / (f(2) - c)) - high)
    y = (mantissa * _power_of_two(k)).astype(f)  # float64 between: rounded once, to subnormals too
    y = np.where(x > f(88.722831726), f(np.inf), y)
    bounded: Float32 = np.where(x < f(-103.97208405), f(0), y)
    return bounded


def _tanh_fdlibm(x: Float32, fused: str) -> Float32:
    """fdlibm's `tanhf`, from e^2x − 1: glibc's (up to 2.40) and newlib's."""
    f = np.float32
    size = np.minimum(np.abs(x), f(22))  # from there on, 1
    large = size >= 1
    t = _expm1_fdlibm(np.where(large, f(2), f(-2)) * size, fused)
    y = np.where(large, f(1) - f(2) / (t + f(2)), -t / (t + f(2)))
    signed: Float32 = np.copysign(np.where(size < f(2.0**-55), size, y), x)
    return signed


def _expm1_fdlibm(x: Float32, fused: str) -> Float32:
    """fdlibm's `expm1f` where `tanhf` calls it: −2 < x ≤ 0 or 2 ≤ x ≤ 44."""
    f = np.float32
    k = np.trunc(x * f(1.4426950216) + np.copysign(f(0.5), x))
    k = np.where(np.abs(x) < f(1.5 * LN2), f(-1), k)
    k = np.where(np.abs(x) <= f(0.5 * LN2), f(0), k)
    # x = k·ln 2 + r + c, with ln 2 in two parts and c what r lost.
    high, low = x - k * LN2_HIGH, k * LN2_LOW
    r = high - low
    c = (high - r) - low
    half = f(0.5) * r
    square = r * half
    q = _polynomial(fused, square, EXPM1F_Q)
    t = _multiply_add(fused, -q, half, f(3))
    e = square * ((q - t) / _multiply_add(fused, -r, t, f(6)))
    near_zero = r - _multiply_add(fused, r, e, -square)
    e = _multiply_add(fused, r, e - c, -c) - square
    # e^x − 1 = 2^k·(1 + r − e) − 1, the ones subtracted where that costs least.
    power = _power_of_two(k).astype(f)
    inverse = f(1) / power
    y = np.where(k < 23, (f(1) - inverse) - (e - r), (r - (e + inverse)) + f(1)) * power
    y = np.where(k <= -2, (f(1) - (e - r)) * power - f(1), y)
    y = np.where(k == -1, f(0.5) * (r - e) - f(0.5), y)
    y = np.where(k == 0, near_zero, y)
    return np.where(np.abs(x) < f(2.0**-25), x, y)


def _multiply_add(fused: str, a: Any, b: Any, c: Any) -> Float32:
    if fused == "fma":
        return fma(a, b, c)
    rounded_twice: Float32 = a * b + c
    return rounded_twice


def _polynomial(fused: str, x: Float32, coefficients: tuple[float, ...]) -> Float32:
    """Horner's scheme, the constant coefficient first."""
    *rest, last = map(np.float32, coefficients)
    total = np.full_like(x, last)
    for coefficient in reversed(rest):
        total = _multiply_add(fused, x, total, coefficient)
    return total


def _power_of_two(k: Float32) -> Float64:
    """2^k of a whole k, in float64, by its bits."""
    return ((k.astype(np.int64) + 1023) << 52).view(np.float64)


LN2 = math.log(2)
LN2_HIGH, LN2_LOW = np.float32(6.9313812256e-01), np.float32(9.0580006145e-06)
EXPF_P = (1.6666667163e-01, -2.7777778450e-03, 6.6137559770e-05, -1.6533901999e-06, 4.1381369442e-08)
EXPM1F_Q = (1.0, -3.3333335072e-02, 1.5873016091e-03, -7.9365076090e-05, 4.0082177293e-06, -2.0109921195e-07)
