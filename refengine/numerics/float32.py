"""TFLM's float32 arithmetic on arrays, bit for bit: sums in TFLM's order, FMA, the C library's exp and tanh.

NumPy's own `sum`, `@`, `exp` and `tanh` give other bits than a C compiler's loop and a C library do, so none of
them appears here. Two things depend on the target, and every function that they touch takes them by name:

`contraction` says what became of `total += x * w`: two roundings (``"none"``: x86-64, and targets without an
FPU), or a fused multiply-add (``"fma"``: what GCC emits for a Cortex-M FPU).

`libm` says whose `expf` and `tanhf` are linked:

==================  ===================================================================================
``"glibc"``         glibc 2.28 … 2.40 on x86-64 with FMA hardware: the host that the oracle runs on
==================  ===================================================================================

NaN in is NaN out, but the sign and payload of a NaN are not modelled.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

FLT_MAX = np.finfo(np.float32).max


# ── Comparing and rounding ────────────────────────────────────────────────────────────────────────

def clamp(v: Float32, lo: float, hi: float) -> Float32:
    """min(max(v, lo), hi) as C++ evaluates it (`ActivationFunctionWithMinMax`): NaN and −0.0 pass, ∞ is cut."""
    low, high = np.float32(lo), np.float32(hi)
    v = np.where(v < low, low, v)
    return np.where(high < v, high, v)


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
    return cast(Float32, sums.reshape(kept))


def sequential_matmul(x: Float32, w: Float32, contraction: str) -> Float32:
    """(P, K) by (O, K) to (P, O), each element as TFLM's loop: total = 0; for k: total += x[p, k] * w[o, k].

    Any memory layout will do, but two are free of copies: with P > O, `x` the transpose of a C-contiguous (K, P)
    (an im2col tile whose pixels lie side by side), and the result is the transpose of an (O, P); with P ≤ O, `w`
    the transpose of a C-contiguous (K, O), and the result is a C-contiguous (P, O).
    """
    outputs, channels = len(x), len(w)
    if outputs > channels:
        return _sum_of_outer_products(w, x, contraction).T
    return _sum_of_outer_products(x, w, contraction)


def _sum_of_outer_products(few: Float32, many: Float32, contraction: str) -> Float32:
    """(F, K) by (M, K) to (F, M): the loop over k outside, the one over the many innermost."""
    rows = np.ascontiguousarray(many.T)
    if len(many) == 1:  # a lone dot product: widened, because NumPy would not sum it in order
        return _sum_of_outer_products(few, np.repeat(many, 2, axis=0), contraction)[:, :1]
    if contraction == EINSUM_CONTRACTION:
        return cast(Float32, np.einsum("fk,km->fm", few, rows, optimize=False))
    total = np.zeros((len(few), len(many)), np.float32)
    product = np.empty_like(total)
    with np.errstate(all="ignore"):
        for column, row in zip(few.T, rows, strict=True):
            if contraction == "fma":
                total = fma(column[:, None], row, total)
            else:
                total += np.multiply(column[:, None], row, out=product)
    return total


def _einsum_contraction() -> str:
    """How this build of NumPy rounds `total += x * w` within `einsum`: ``"none"``, ``"fma"``, or ``"unknown"``.

    Unoptimised `einsum` runs that loop in vector registers, some three times faster than `multiply` and `add`
    can. Whether it fuses depends on the instruction set that NumPy was compiled for: asked here, not assumed.
    """
    x = np.float32(1 + 2**-12)  # x² = 1 + 2⁻¹¹ + 2⁻²⁴, whose last bit only FMA keeps
    seen = set()
    for length in range(2, 80):  # whole vectors, and every remainder
        rows = np.array([[-x] * length, [x] * length])
        seen |= set(np.einsum("fk,km->fm", np.full((2, 2), x), rows, optimize=False).ravel().tolist())
    return {(0.0,): "none", (2.0**-24,): "fma"}.get(tuple(seen), "unknown")


EINSUM_CONTRACTION = _einsum_contraction()


# ── The C library ─────────────────────────────────────────────────────────────────────────────────

def exp(x: Float32, libm: str) -> Float32:
    """`expf` of the C library `libm`, elementwise."""
    return _EXP[libm](np.asarray(x, np.float32))


def tanh(x: Float32, libm: str) -> Float32:
    """`tanhf` of the C library `libm`, elementwise."""
    return _TANH[libm](np.asarray(x, np.float32))


# 2^(i/32) for i = 0 … 31 as float64 bits, less i in the place of k's last five bits (see `_exp_in_double`).
_EXP2 = np.array([float(Decimal(2) ** (Decimal(i) / 32)) for i in range(32)])
_EXP2_TABLE = _EXP2.view(np.int64) - (np.arange(32, dtype=np.int64) << 47)
_ROUND_TO_INTEGER = float.fromhex("0x1.8p52")  # added, it leaves no room for a fraction


def _exp_in_double(x: Float32) -> Float32:
    """glibc's and the newer newlib's `expf`: e^x = 2^(k/32) · 2^(r/32), |r| ≤ ½, in float64, narrowed last."""
    with np.errstate(all="ignore"):
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
        return cast(Float32, ((high * square + low) * power).astype(np.float32))


def _expm1_for_tanh(x: Float32) -> Float32:
    """fdlibm's `expm1f`, every operation rounded, where `tanhf` calls it: −2 < x ≤ 0 or 2 ≤ x < 44."""
    f = np.float32
    k = np.trunc(x * f(1.4426950216) + np.copysign(f(0.5), x))
    k = np.where(np.abs(x) <= f(0.34657359), f(0), np.where(np.abs(x) < f(1.0397208), f(-1), k))
    # Reduce: x = k·ln 2 + r, with ln 2 in two parts and what r lost in c.
    high, low = x - k * f(6.9313812256e-01), k * f(9.0580006145e-06)
    r = high - low
    c = (high - r) - low
    half = f(0.5) * r
    square = r * half
    q = np.full_like(x, -2.0109921195e-07)
    for coefficient in (4.0082177293e-06, -7.9365076090e-05, 1.5873016091e-03, -3.3333335072e-02, 1.0):
        q = f(coefficient) + square * q
    t = f(3.0) - q * half
    e = square * ((q - t) / (f(6.0) - r * t))
    plain = r - (r * e - square)  # k = 0
    e = r * (e - c) - c - square
    scale = np.ldexp(f(1), k.astype(np.int32))
    one_less = f(1) - np.ldexp(f(1), -k.astype(np.int32))
    result = np.where(k >= 23, ((r - (e + (f(1) - one_less))) + f(1)) * scale, (one_less - (e - r)) * scale)
    result = np.where(k <= -2, (f(1) - (e - r)) * scale - f(1), result)
    result = np.where(k == -1, f(0.5) * (r - e) - f(0.5), result)
    result = np.where(k == 0, plain, result)
    return np.where(np.abs(x) < f(2.0**-25), x, result)


def _tanh_fdlibm(x: Float32) -> Float32:
    f = np.float32
    size = np.minimum(np.abs(x), f(22))
    with np.errstate(all="ignore"):
        t = _expm1_for_tanh(np.where(size >= 1, f(2), f(-2)) * size)
        result = np.where(size >= 1, f(1) - f(2) / (t + f(2)), -t / (t + f(2)))
    result = np.where(size < f(2.0**-55), size, result)
    return np.copysign(result, x)


_EXP = {"glibc": _exp_in_double}
_TANH = {"glibc": _tanh_fdlibm}
