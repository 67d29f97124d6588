"""TFLM's float32 arithmetic on arrays, bit for bit: sums in TFLM's order, FMA, the C library's functions.

NumPy's own `sum`, `@`, `exp`, `tanh`, `sin` and so on give other bits than a C compiler's loop and a C library do, so
none of them decides a bit here. Two things depend on the target, and every function that they touch takes them by name:

`contraction` says what became of `total += x * w`: two roundings (``"none"``: x86-64, and targets without an
FPU), or a fused multiply-add (``"fma"``: what GCC emits for a Cortex-M FPU).

`libm` says whose `expf`, `tanhf`, `expm1f`, `logf`, `sinf`, `cosf` and `powf` are linked. `tanhf` and `expm1f` are
fdlibm's everywhere but in ``"glibc-2.41"``, the others are calculated in double or are fdlibm's as well:

===================  =====================================================  =======================================
``"glibc"``          2.28 to 2.40 on x86-64 with FMA                        all others in double
``"glibc-2.41"``     2.41 on x86-64 with FMA                                so too; `tanhf`, `expm1f` correctly rounded
``"newlib"``         Cortex-M without FPU: M0, M0+, M3, any soft-float      all fdlibm's, two roundings
                     (and picolibc on RISC-V, with or without FPU)
``"newlib-fma"``     single-precision FPU: M4F, M33, M7 with fpv5-sp-d16    all fdlibm's, contracted
``"newlib-double"``  double-precision FPU: M7 with fpv5-d16, M55            as ``"glibc"``, but fdlibm's contracted
===================  =====================================================  =======================================

A wheel of TFLM calls the C library of the machine that it runs on, so the oracle is ``"glibc"`` or ``"glibc-2.41"``
by where it is asked. `PROVEN` lists what has been held against which library; the rest is refused.

The newlib ones are what `arm-none-eabi-gcc` links (GCC 12.2, newlib 3.3): the instruction set that a program is
compiled for chooses among newlib's builds, so `-mcpu=cortex-m7 -mfloat-abi=soft` on a chip with an FPU is
``"newlib"``. `tools/libm_exhaustive.py` holds them against the real libraries.

NaN in is NaN out, but the sign and payload of a NaN are not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, wraps
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import within_limits
from . import scalar_float

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

FLT_MAX = np.finfo(np.float32).max


# ── Comparing and rounding ────────────────────────────────────────────────────────────────────────


def clamp(v: Float32, lo: float | np.float32, hi: float | np.float32, out: Float32 | None = None) -> Float32:
    """min(max(v, lo), hi) as C++ evaluates it (`ActivationFunctionWithMinMax`): NaN and −0.0 pass, ∞ is cut.

    `out` must not be `v`.
    """
    low, high = np.float32(lo), np.float32(hi)
    clamped: Float32 = np.clip(v, low, high, out=out)  # a quarter of what `minimum` and `maximum` take
    if 0 in (low, high):  # which of two zeros these return is the processor's choice; C++ keeps v's
        zero = v == 0
        if zero.any():
            np.copyto(clamped, v, where=zero)
    return clamped


def clamp_sums(
    sums: Float32, lo: float | np.float32, hi: float | np.float32, contraction: str, out: Float32 | None = None
) -> Float32:
    """`clamp`, in `out`, or in place where that can be, of sums that began with 0.0 and took a last addend, a bias.

    x + y is −0.0 only where both are, so none of these is, and `clamp` need not look for them: but where a fused
    multiply-add may have rounded a tiny negative product to it.
    """
    if contraction != "none":
        return clamp(sums, lo, hi, out)
    return sums.clip(np.float32(lo), np.float32(hi), out=sums if out is None else out)


def select(condition: npt.NDArray[np.bool_], a: npt.ArrayLike, b: npt.ArrayLike) -> Float32:
    """`np.where(condition, a, b)` of float32, by bits: at each condition NumPy jumps, and where the processor cannot
    guess them takes ten times as long."""
    first, second = (np.asarray(x, np.float32).view(np.int32) for x in (a, b))
    mask = np.negative(np.asarray(condition).view(np.int8), dtype=np.int32)  # all bits, or none
    bits = mask & (first ^ second)
    bits ^= second
    chosen: Float32 = bits.view(np.float32)
    return chosen


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
    turns NaN into 0; ``"riscv"`` (`fcvt.w.s`, and libgcc without floats) saturates and turns NaN into 2³¹ − 1.
    The sign of a NaN is not modelled: by it, libgcc for RISC-V without floats gives −2³¹ as well.
    """
    fits = (x >= -(2.0**31)) & (x < 2.0**31)
    result = np.where(fits, x, -(2.0**31)).astype(np.int32)
    if float_to_int != "x86":
        result[x >= 2.0**31] = 2**31 - 1
        result[np.isnan(x)] = 0 if float_to_int == "arm" else 2**31 - 1
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
    kept = terms.shape[len(axes) :]
    terms = terms.reshape(math.prod(terms.shape[: len(axes)]), math.prod(kept))
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
    accumulate = _einsum if contraction == einsum_contraction() else _FUSED_OR_NOT[contraction]
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


def sums_over_taps(x: Float32, w: Float32, contraction: str) -> Float32:
    """Σ x · w over the first two axes, from 0.0 and in order: (rows, columns, …, m) by what broadcasts to it."""
    # `einsum` nests its loops by strides; with the last axis innermost, each of the sums is in order.
    if contraction == einsum_contraction() and x.shape[-1] > 1 and x.strides[1] > x.strides[-1]:
        return _einsum_over_taps(x, w)
    return _taps_in_turn(x, w, contraction)


def _einsum_over_taps(x: Float32, w: Float32) -> Float32:
    total: Float32 = np.einsum("ab...,ab...->...", x, w, optimize=False)
    return total


def _taps_in_turn(x: Float32, w: Float32, contraction: str) -> Float32:
    """The same on any build of NumPy, and half as fast."""
    total = np.zeros(x.shape[2:], np.float32)
    for tap in np.ndindex(x.shape[:2]):
        total = fma(x[tap], w[tap], total) if contraction == "fma" else total + x[tap] * w[tap]
    return total


@cache
def einsum_contraction() -> str:
    """How this build of NumPy sums in `einsum`: as ``"none"`` does, as ``"fma"`` does, or some other way.

    It depends on the instruction set that NumPy was compiled for (the x86-64 wheels do not fuse), so it is tried.
    """
    few = np.float32(1) / np.arange(3, 36, dtype=np.float32).reshape(3, 11)

    def agree(name: str, width: int) -> bool:
        rows = np.float32(1) / np.arange(1, 11 * width + 1, dtype=np.float32).reshape(11, width)
        seen, wanted = np.empty((2, 3, width), np.float32)
        _einsum(few, rows, seen)
        _FUSED_OR_NOT[name](few, rows, wanted)
        taps, weights = rows[:10].reshape(2, 5, width), rows[1:].reshape(2, 5, width)
        alike = np.array_equal(_einsum_over_taps(taps, weights), _taps_in_turn(taps, weights, name))
        return alike and np.array_equal(seen, wanted)

    widths = (2, 3, 5, 8, 15, 33, 66)  # whole vectors and remainders
    agreeing = [name for name in _FUSED_OR_NOT if all(agree(name, width) for width in widths)]
    return agreeing[0] if agreeing else "neither"


CACHE_FLOATS = 2**18  # 1 MiB: a tile of rows is read once for each of the few
_FUSED_OR_NOT = {"none": _multiply_then_add, "fma": _fused_multiply_add}


# ── The C library ─────────────────────────────────────────────────────────────────────────────────

_GLIBC = frozenset({"glibc", "glibc-2.41"})
_DOUBLE = _GLIBC | {"newlib-double"}
_ALL = _DOUBLE | {"newlib", "newlib-fma"}

PROVEN: Mapping[str, frozenset[str]] = {
    "exp": _ALL, "tanh": _ALL, "expm1": _ALL, "log": _ALL, "sin": _DOUBLE, "cos": _DOUBLE, "pow": _DOUBLE,
}  # fmt: skip
"""By function, the libraries whose bits are known.

`tools/libm_exhaustive.py` compares them with the real ones: all but `pow` on all 2³² values with glibc 2.36, `exp` and
`tanh` on 138,547,332 with newlib 3.3; all of them on at least 1,047,809 values, evenly over all bit patterns, with
glibc 2.36, glibc 2.41, newlib 3.3 on QEMU's Cortex-M3, M4F, M7, and picolibc 1.8 on QEMU's rv32imc and rv32imafc. None
differs.
"""


def require_proven(function: str, libm: str) -> None:
    """Raise `LimitError` where nobody has compared `function` with the C library `libm`: for a `prepare`."""
    within_limits(
        libm in PROVEN[function],
        f"the bits of {function}f in the C library of the dialect libm={libm} are not known to refengine; "
        f"choose a dialect with libm={' or '.join(sorted(PROVEN[function]))}",
    )


BLOCK = 1 << 15
"""How many elements of a function of the C library are calculated at once."""


def _in_blocks(function: Callable[[Float32, str], Float32]) -> Callable[[Float32, str], Float32]:
    """An elementwise `function`, a part at a time: its dozen of temporaries stay in the cache, and are small."""

    @wraps(function)
    def blocked(x: Float32, libm: str) -> Float32:
        x = np.asarray(x, np.float32)
        with np.errstate(all="ignore"):
            if x.size <= BLOCK:
                return function(x, libm)
            flat = x.reshape(-1)
            parts = (flat[start : start + BLOCK] for start in range(0, x.size, BLOCK))
            return np.concatenate([function(part, libm) for part in parts]).reshape(x.shape)

    return blocked


@_in_blocks
def exp(x: Float32, libm: str) -> Float32:
    """`expf` of the C library `libm`, elementwise.

    glibc's other build, for x86-64 without FMA, gives other bits for two values: −63.0995 and 32.5646.
    """
    return _exp_in_double(x) if libm in _DOUBLE else _exp_fdlibm(x, _fused(libm))


@_in_blocks
def tanh(x: Float32, libm: str) -> Float32:
    """`tanhf` of the C library `libm`, elementwise."""
    if libm == "glibc-2.41":
        return _correctly_rounded(np.tanh, x, scalar_float.tanh)
    return _tanh_fdlibm(x, _fused(libm))


@_in_blocks
def expm1(x: Float32, libm: str) -> Float32:
    """`expm1f` of the C library `libm`, elementwise: e^x − 1, as in ELU."""
    if libm == "glibc-2.41":
        return _correctly_rounded(np.expm1, x, scalar_float.expm1)
    y = _expm1_fdlibm(np.clip(x, np.float32(-30), np.float32(89)), _fused(libm))
    y = np.where(x < -27 * np.float32(LN2), np.float32(-1), y)
    return np.where(x > EXPM1_OVERFLOW, np.float32(np.inf), y)


@_in_blocks
def log(x: Float32, libm: str) -> Float32:
    """`logf` of the C library `libm`, elementwise; −∞ for 0, NaN below."""
    y = _log_in_double(x) if libm in _DOUBLE else _log_fdlibm(x, _fused(libm))
    y = np.where(x > 0, y, np.float32(np.nan))
    y = np.where(x == 0, np.float32(-np.inf), y)
    return np.where(x == np.inf, x, y)


@_in_blocks
def sin(x: Float32, libm: str) -> Float32:
    """`sinf` of the C library `libm`, elementwise; NaN for ±∞. `UnsupportedError` unless `PROVEN`."""
    require_proven("sin", libm)
    y: Float32 = np.where(np.abs(x) < np.float32(2.0**-12), x, _sine_in_double(x, 0))  # −0.0 stays
    return y


@_in_blocks
def cos(x: Float32, libm: str) -> Float32:
    """`cosf` of the C library `libm`, elementwise; NaN for ±∞. `UnsupportedError` unless `PROVEN`."""
    require_proven("cos", libm)
    return _sine_in_double(x, 1)


def sqrt(x: Float32) -> Float32:
    """`sqrtf`, elementwise: correctly rounded everywhere, as IEEE 754 demands; NaN below 0, −0.0 stays."""
    with np.errstate(invalid="ignore"):
        root: Float32 = np.sqrt(np.asarray(x, np.float32))
    return root


def rsqrt(x: Float32) -> Float32:
    """1 / sqrtf(x), rounded twice as TFLM's RSQRT does (`kernels/elementwise.cc`); ∞ for 0, −∞ for −0.0."""
    with np.errstate(divide="ignore"):
        inverse: Float32 = np.float32(1) / sqrt(x)
        return inverse


def pow(x: Float32, y: Float32, libm: str) -> Float32:
    """`powf` of the C library `libm`, elementwise, with C's special cases. `UnsupportedError` unless `PROVEN`.

    Two arguments leave nothing to exhaust; but every operation is the library's own, rounded as there.
    """
    require_proven("pow", libm)
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    with np.errstate(all="ignore"):
        size = _power_in_double(np.abs(x), y)
        whole, odd = y == np.trunc(y), np.abs(np.fmod(y, np.float32(2))) == 1
        signed = np.where(odd, np.copysign(size, x), size)
        signed = np.where((x < 0) & np.isfinite(x) & ~whole, np.float32(np.nan), signed)
        signed = np.where(np.isnan(x) | np.isnan(y), np.float32(np.nan), signed)
        return np.where((x == 1) | (y == 0), np.float32(1), signed)


def _fused(libm: str) -> str:
    """The contraction that the library itself was compiled with, where it calculates in float32."""
    return {"glibc": "none", "newlib": "none", "newlib-fma": "fma", "newlib-double": "fma"}[libm]


def _correctly_rounded(
    wide: Callable[[Float64], Float64], x: Float32, exact: Callable[[np.float32, str], np.float32]
) -> Float32:
    """The float32 nearest to a function: NumPy's float64 tells, but for the few values next to a tie.

    What NumPy returns differs between machines, in its last bits; those beside 2⁻⁴⁵ of it decide nothing here.
    """
    y = wide(x.astype(np.float64))
    below, above = (y * (1 - 2.0**-45)).astype(np.float32), (y * (1 + 2.0**-45)).astype(np.float32)
    doubtful = (below != above) & np.isfinite(y)
    nearest = np.asarray(y.astype(np.float32))
    nearest[doubtful] = [exact(v, "glibc-2.41") for v in x[doubtful]]
    return nearest


@cache
def _exp2_table() -> npt.NDArray[np.int64]:
    """2^(i/32) for i = 0 … 31 as float64 bits, less i in the place of k's last five bits (see `_exp_in_double`)."""
    exp2 = np.array([float(Decimal(2) ** (Decimal(i) / 32)) for i in range(32)])
    return exp2.view(np.int64) - (np.arange(32, dtype=np.int64) << 47)


_ROUND_TO_INTEGER = float.fromhex("0x1.8p52")  # added, it leaves no room for a fraction


def _exp_in_double(x: Float32) -> Float32:
    """glibc's and the newer newlib's `expf`: e^x = 2^(k/32) · 2^(r/32), |r| ≤ ½, in float64, narrowed last."""
    wide = np.clip(x, np.float32(-150), np.float32(150)).astype(np.float64)  # beyond: 0 and ∞ all the same
    # z = 32/ln 2 · x as an unevaluated sum: FMA subtracts k from the exact product.
    z_high, z_low = float.fromhex("0x1.7154765p5") * wide, float.fromhex("0x1.5c17fp-26") * wide
    shifted = np.asarray(z_high + z_low)  # from here on in place, which takes half of the time
    shifted += _ROUND_TO_INTEGER
    k = shifted.view(np.int64)
    power = _exp2_table().take(k & 31)
    power += k << 47
    shifted -= _ROUND_TO_INTEGER
    r = z_high - shifted
    r += z_low
    y = float.fromhex("0x1.c6af84b912394p-20") * r
    y += float.fromhex("0x1.ebfce50fac4f3p-13")
    y *= r * r
    r *= float.fromhex("0x1.62e42ff0c52d6p-6")
    r += 1.0
    y += r
    y *= power.view(np.float64)
    narrow: Float32 = y.astype(np.float32)
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
    """fdlibm's `expm1f` for −30 ≤ x ≤ 89, beyond which it is −1 or ∞."""
    f = np.float32
    k = np.trunc(x * f(1.4426950216) + np.copysign(f(0.5), x))
    k = np.where(np.abs(x) < f(1.5 * LN2), np.copysign(f(1), x), k)
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
    # e^x − 1 = 2^k·(1 + r − e) − 1, the ones subtracted where that costs least. (2^128 is no float32.)
    power = _power_of_two(k)
    inverse = (1 / power).astype(f)
    y = np.where(k < 23, (f(1) - inverse) - (e - r), (r - (e + inverse)) + f(1))
    one_last = (k <= -2) | (k > 56)
    y = (np.where(one_last, f(1) - (e - r), y) * power).astype(f)
    y = np.where(one_last, y - f(1), y)
    y = np.where(k == 1, np.where(r < f(-0.25), f(-2) * (e - (r + f(0.5))), f(1) + f(2) * (r - e)), y)
    y = np.where(k == -1, f(0.5) * (r - e) - f(0.5), y)
    y = np.where(k == 0, near_zero, y)
    return np.where(np.abs(x) < f(2.0**-25), x, y)


def _log_in_double(x: Float32) -> Float32:
    """glibc's and the newer newlib's `logf` of x > 0: k·ln 2 + ln c + ln(1 + r), c one of 16 numbers near x / 2^k."""
    i, k, z = _split_for_log(x)
    r = z * INVERSE_C[i] - 1
    square = r * r
    y = (LOGF_A[1] * r + LOGF_A[2]) + LOGF_A[0] * square
    narrow: Float32 = (y * square + ((_log_c()[i] + k * LN2) + r)).astype(np.float32)
    return narrow


def _log_fdlibm(x: Float32, fused: str) -> Float32:
    """fdlibm's `logf` of x > 0, which newlib keeps for targets without double precision in hardware."""
    one, half = np.float32(1), np.float32(0.5)
    subnormal = x < np.finfo(np.float32).tiny
    bits = np.where(subnormal, x * np.float32(2**25), x).view(np.int32)
    fraction = bits & 0x7FFFFF
    above = (fraction + 0x4AFB20) & 0x800000  # x / 2^k from √2 on is halved
    k = ((bits >> 23) - 127 - 25 * subnormal + (above >> 23)).astype(np.float32)
    f = (fraction | (above ^ 0x3F800000)).astype(np.int32).view(np.float32) - one
    # ln(1 + f) = f − (h − s·(h + R)), with h = f²/2 or, where that is as good, without it.
    s = f / (np.float32(2) + f)
    z = s * s
    w = z * z
    rest = _multiply_add(fused, w, _polynomial(fused, w, LOGF_EVEN), z * _polynomial(fused, w, LOGF_ODD))
    h = half * f * f
    k_low = k * LN2_LOW
    with_square = np.where(
        k == 0,
        f - _multiply_add(fused, -s, h + rest, h),
        _multiply_add(fused, k, LN2_HIGH, -((h - _multiply_add(fused, s, h + rest, k_low)) - f)),
    )
    without = np.where(
        k == 0,
        _multiply_add(fused, -s, f - rest, f),
        _multiply_add(fused, k, LN2_HIGH, -(_multiply_add(fused, s, f - rest, -k_low) - f)),
    )
    y = np.where(((fraction - 0x30A3D0) | (0x35C288 - fraction)) > 0, with_square, without)
    # |f| < 2⁻²⁰
    third = (f * f) * _multiply_add(fused, np.float32(-0.33333333333), f, half)
    tiny = np.where(
        k == 0, f - third, _multiply_add(fused, k, LN2_HIGH, -(_multiply_add(fused, -k, LN2_LOW, third) - f))
    )
    y = np.where((0x7FFFFF & (15 + fraction)) < 16, tiny, y)
    return np.where(f == 0, _multiply_add(fused, k, LN2_HIGH, k_low), y)


def _split_for_log(x: Float32) -> tuple[Int32, Int32, Float64]:
    """Positive x = 2^k · z, 0.699 ≤ z < 1.399, as i, k and z: `INVERSE_C[i]` is near 1 / z. Others give anything."""
    subnormal = x < np.finfo(np.float32).tiny
    bits = np.where(subnormal, x * np.float32(2**23), x).view(np.int32) - np.int32(23 << 23) * subnormal
    offset = bits - np.int32(0x3F330000)
    k = offset >> 23
    z = (bits - (k << 23)).view(np.float32).astype(np.float64)
    return (offset >> 19) & 15, k, z


def _sine_in_double(x: Float32, quarters: int) -> Float32:
    """sin(x + quarters · π/2): glibc's and the newer newlib's `sinf` (0) and `cosf` (1)."""
    wide = x.astype(np.float64)
    n = np.asarray(((wide * (2**24 / HALF_PI)).astype(np.int32) + 2**23) >> 24)
    r = np.asarray((wide - n * HALF_PI_HIGH) - n * HALF_PI_LOW)  # as FMA would: the products are exact
    half_turn = n.copy()
    far = np.abs(x) >= 120
    if far.any():
        bits = x[far].view(np.uint32)
        n[far], r[far] = _reduced_by_half_pi(bits)
        half_turn[far] = n[far] + (bits >> 31).astype(np.int32)
    square = r * r
    r = np.where((half_turn + 1) & 2, -r, r)  # the signs of i = 0 … 3: + − − +
    s0, s1, s2 = SINF
    cube = r * square
    sine = (r + cube * s0) + (cube * square) * (s1 + square * s2)
    c0, c1, c2, c3 = COSF
    fourth = square * square
    cosine = ((1 + square * c0) + fourth * c1) + (fourth * square) * (c2 + square * c3)
    cosine = np.where(half_turn & 2, -cosine, cosine)
    y = np.where((n ^ quarters) & 1, cosine, sine).astype(np.float32)
    finite: Float32 = np.where(np.isfinite(x), y, np.float32(np.nan))
    return finite


def _reduced_by_half_pi(bits: npt.NDArray[np.uint32]) -> tuple[Int32, Float64]:
    """|x| ≥ 120 by its bits, as n and r: |x| = n · π/2 + r modulo 2π, from those 96 bits of 2/π that matter."""
    at = (bits >> 26) & 15
    mantissa = ((bits & 0xFFFFFF) | 0x800000) << ((bits >> 23) & 7)
    first, second, third = (_TWO_OVER_PI_WORDS[at + i] for i in (0, 4, 8))
    m = mantissa.astype(np.uint64)
    turns = ((m * third) >> np.uint64(32)) + m * second + ((m * first) << np.uint64(32))  # modulo 2⁶⁴
    n = (turns + np.uint64(2**61)) >> np.uint64(62)
    rest = (turns - (n << np.uint64(62))).view(np.int64)
    return n.astype(np.int32), rest * (HALF_PI * 2.0**-62)


@cache
def _log_c() -> Float64:
    """The logarithms of what `INVERSE_C` are the inverses of."""
    return np.array([float(-Decimal(inverse).ln()) for inverse in INVERSE_C.tolist()])


@cache
def _log2_c() -> Float64:
    """The same to base 2."""
    return np.array([float(-Decimal(inverse).ln() / Decimal(2).ln()) for inverse in INVERSE_C.tolist()])


def _power_in_double(x: Float32, y: Float32) -> Float32:
    """glibc's `powf` of x ≥ 0: 2^(y · log2 x), every multiplication that feeds a sum fused, in float64."""
    i, k, z = _split_for_log(x)
    r = _fma64(z, INVERSE_C[i], -1.0)
    a, b = _fma64(POWF_A[0], r, POWF_A[1]), _fma64(POWF_A[2], r, POWF_A[3])
    square = r * r
    low = _fma64(square, b, _fma64(POWF_A[4], r, _log2_c()[i] + k))
    logarithm = _fma64(a, square * square, low)
    logarithm = np.where(x == 0, -np.inf, np.where(x == np.inf, np.inf, logarithm))
    z = np.clip(np.where(x == 1, 0.0, y * logarithm), -160, 160)  # beyond: 0 and ∞ all the same
    shifted = z + _ROUND_TO_INTEGER / 32
    k32 = shifted.view(np.int64)
    r = z - (shifted - _ROUND_TO_INTEGER / 32)
    power = (_exp2_table()[k32 & 31] + (k32 << 47)).view(np.float64)
    high, low = _fma64(EXP2F_C[0], r, EXP2F_C[1]), _fma64(EXP2F_C[2], r, 1.0)
    narrow: Float32 = (_fma64(high, r * r, low) * power).astype(np.float32)
    return narrow


def _fma64(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Float64:
    """a·b + c of finite float64, rounded once: the product's error is exact by Dekker, the sum's low part odd."""
    a, b, c = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (a, b, c)))
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    low, low_error = _two_sum(c, error)
    total, total_error = _two_sum(product, low)
    return total + _sum_to_odd(total_error, low_error)


def _halves(a: Float64) -> tuple[Float64, Float64]:
    """The upper 26 bits of float64 values, and the rest (Veltkamp)."""
    scaled = a * (2.0**27 + 1)
    high = scaled - (scaled - a)
    return high, a - high


def _two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """a + b, rounded, and what was lost (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


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

LOGF_EVEN = (0.40000000596, 0.22222198546, 0.15313838422)
LOGF_ODD = (0.66666668653, 0.28571429849, 0.18183572590, 0.14798198640)
EXPM1_OVERFLOW = np.float32(88.722831726)
HALF_PI = math.pi / 2
HALF_PI_HIGH, HALF_PI_LOW = float.fromhex("0x1.921fb54442dp0"), float.fromhex("0x1.8p-48")  # their sum is HALF_PI
SINF = tuple(map(float.fromhex, ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")))
COSF = tuple(map(float.fromhex, (
    "-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16")))  # fmt: skip
TWO_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041  # · 2⁻¹⁹², and 24 bits of zeros in front
_TWO_OVER_PI_WORDS = np.array([(TWO_OVER_PI >> (184 - 8 * i)) % 2**32 for i in range(24)], np.uint64)
INVERSE_C = np.array([float.fromhex(f"0x1.{digits}p{exponent}") for digits, exponent in (
    ("661ec79f8f3be", 0), ("571ed4aaf883d", 0), ("49539f0f010b0", 0), ("3c995b0b80385", 0), ("30d190c8864a5", 0),
    ("25e227b0b8ea0", 0), ("1bb4a4a1a343f", 0), ("12358f08ae5ba", 0), ("0953f419900a7", 0), ("0", 0),
    ("e608cfd9a47ac", -1), ("ca4b31f026aa0", -1), ("b2036576afce6", -1), ("9c2d163a1aa2d", -1), ("886e6037841ed", -1),
    ("767dcf5534862", -1))])  # fmt: skip
LOGF_A = tuple(map(float.fromhex, ("-0x1.00ea348b88334p-2", "0x1.5575b0be00b6ap-2", "-0x1.ffffef20a4123p-2")))
POWF_A = tuple(map(float.fromhex, (
    "0x1.27616c9496e0bp-2", "-0x1.71969a075c67ap-2", "0x1.ec70a6ca7baddp-2", "-0x1.7154748bef6c8p-1",
    "0x1.71547652ab82bp0")))  # fmt: skip
EXP2F_C = tuple(map(float.fromhex, ("0x1.c6af84b912394p-5", "0x1.ebfce50fac4f3p-3", "0x1.62e42ff0c52d6p-1")))
