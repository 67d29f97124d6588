"""TFLM's float32 arithmetic on arrays, bit for bit: sums in TFLM's order, FMA, and the C library's exp and tanh.

NumPy's own `sum`, `@`, `exp` and `tanh` give other bits than a C compiler's loop and a C library do, so none of them
appears here. Two things depend on the target, and every function that they touch takes them by name:

`contraction` says what became of `total += x * w`: two roundings (``"none"``: x86-64, and targets without an FPU), or
a fused multiply-add (``"fma"``: what GCC emits for a Cortex-M FPU).

`libm` says whose `expf` and `tanhf` are linked:

==================  ===================================================================================
``"glibc"``         glibc 2.28 … 2.40 on x86-64 with FMA hardware: the host that the oracle runs on
==================  ===================================================================================

NaN in is NaN out, but the sign and payload of a NaN are not modelled.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

FLT_MAX = np.finfo(np.float32).max


# ── Comparing and rounding ──────────────────────────────────────────────────────────────────────────────────────────

def clamp(v: Float32, lo: float, hi: float) -> Float32:
    """min(max(v, lo), hi) as C++ evaluates it (`ActivationFunctionWithMinMax`): NaN and −0.0 pass, ∞ becomes `hi`."""
    low, high = np.float32(lo), np.float32(hi)
    v = np.where(v < low, low, v)
    return np.where(high < v, high, v)


def round_half_away(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """C's `round` for float32 or float64: to the nearest integer, ties away from zero, the sign of zero kept."""
    whole = np.trunc(x)
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        tie_or_more = np.abs(x - whole) >= 0.5
    return np.where(tie_or_more, whole + np.copysign(x.dtype.type(1), x), whole)


def to_int32(x: npt.NDArray[Any], float_to_int: str) -> Int32:
    """C's conversion of a float to int32: truncates, and for NaN and for what does not fit does as the machine does.

    ``"x86"`` (`cvttss2si`) gives −2³¹ for all of those; ``"arm"`` (`vcvt.s32.f32`) saturates and turns NaN into 0.
    """
    fits = (x >= -2.0**31) & (x < 2.0**31)
    result = np.where(fits, x, -2.0**31).astype(np.int32)
    if float_to_int == "arm":
        result[x >= 2.0**31] = 2**31 - 1
        result[np.isnan(x)] = 0
    return result


# ── Sums and products in TFLM's order ───────────────────────────────────────────────────────────────────────────────

def fma(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Float32:
    """a·b + c of float32 arrays (which broadcast), rounded once.

    The product is exact in float64, and rounding the float64 sum again to float32 is wrong only where the first
    rounding hit a tie of the second: those few are rounded to odd first (Boldo and Melquiond, 2008).
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
    """The sum over `axis`, from 0.0 and in index order: `for (…) total += x` (mean, average pool, softmax)."""
    axes = (axis,) if isinstance(axis, int) else axis
    terms = np.ascontiguousarray(np.moveaxis(x, axes, range(len(axes))))
    kept = terms.shape[len(axes):]
    terms = terms.reshape(-1, int(np.prod(kept)))
    if terms.shape[1] == 1:  # NumPy would sum a lone column pairwise
        sums = np.add.accumulate(np.append(np.float32(0), terms))[-1:]
    else:
        sums = np.add.reduce(terms, axis=0) + np.float32(0)  # + 0: TFLM starts from 0.0, so −0.0 cannot come out
    return sums.reshape(kept)
