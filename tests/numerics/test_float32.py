"""Float32 as TFLM rounds it: against exact arithmetic, the scalar twins, the host's C library and newlib's results."""

from __future__ import annotations

import ctypes
import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libm_exhaustive import exponents_for
from oracle import host_libm

from refengine import Numerics, UnsupportedError
from refengine.numerics import float32, scalar_float

LIBMS = get_args(get_type_hints(Numerics)["libm"])
CONTRACTIONS = ("none", "fma")
FLT_MAX = float(np.finfo(np.float32).max)

EDGES = np.array([
    0.0, 2.0**-149, 2.0**-126, 2.0**-55, 2.0**-28, 2.0**-25, 0.25, 0.34657359, 0.34657362, 0.49999997, 0.5, 1.0,
    1.0397207, 1.0397208, 1.5, 2.5, 6.0, 9.0, 16.619047, 21.999998, 22.0, 44.0, 87.33655, 88.721680, 88.72283, 88.72284,
    103.27892, 103.97208, 103.97209, 2147483520.0, 2147483648.0, 4294967296.0, FLT_MAX,
    np.inf, np.nan], np.float32)  # fmt: skip
EDGES = np.concatenate([EDGES, -EDGES])
ALL_OVER = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
floats = st.one_of(st.sampled_from(EDGES.tolist()), st.floats(width=32))


def same(seen: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal bits, all NaNs alike."""
    assert seen.dtype == wanted.dtype and seen.shape == wanted.shape
    return np.array_equal(seen, wanted, equal_nan=True) and np.array_equal(
        np.signbit(seen)[~np.isnan(seen)], np.signbit(wanted)[~np.isnan(wanted)]
    )


@given(st.lists(st.tuples(st.booleans(), floats, floats), min_size=1), floats)
def test_select_takes_whole_numbers_by_their_bits(rows: list[tuple[bool, float, float]], scalar: float) -> None:
    """NaN and −0 among them; either may be one number for all."""
    condition, (a, b), one = np.array([r[0] for r in rows]), np.array([r[1:] for r in rows], np.float32).T, [scalar]
    for first, second in ((a, b), (a, np.array(one, np.float32)), (np.array(one, np.float32), b)):
        seen, wanted = float32.select(condition, first, second), np.where(condition, first, second)
        assert seen.tobytes() == wanted.tobytes()


def test_select_broadcasts_as_where_does() -> None:
    condition = np.array([[True], [False]])
    a, b = np.array([1, 2, 3], np.float32), np.array([[[4]], [[5]]], np.float32)
    for first, second in ((a, b), (b, a)):
        assert np.array_equal(float32.select(condition, first, second), np.where(condition, first, second))
    assert float32.select(np.array([True]), a, b).shape == (2, 1, 3)


def digest(values: np.ndarray) -> str:
    bits = np.ascontiguousarray(values).view(np.uint32)
    if values.dtype == np.float32:
        bits = np.where(np.isnan(values), np.uint32(0x7FC00000), bits)
    return hashlib.sha256(bits.data).hexdigest()


# ── Comparing and rounding ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("low", "high"), [(-FLT_MAX, FLT_MAX), (0.0, FLT_MAX), (0.0, 6.0), (-1.0, 1.0)])
def test_clamp_is_the_scalar_one(low: float, high: float) -> None:
    assert same(float32.clamp(EDGES, low, high), np.array([scalar_float.clamp(v, low, high) for v in EDGES]))


def test_clamp_passes_nan_and_minus_zero_and_cuts_infinity() -> None:
    seen = float32.clamp(np.array([np.nan, -0.0, np.inf, -1], np.float32), 0.0, FLT_MAX)
    assert same(seen, np.array([np.nan, -0.0, FLT_MAX, 0.0], np.float32))


@pytest.mark.parametrize(("low", "high"), [(-FLT_MAX, FLT_MAX), (0.0, FLT_MAX), (0.0, 6.0), (-1.0, 1.0)])
@pytest.mark.parametrize("contraction", ["none", "fma"])
def test_sums_are_clamped_as_any_values(contraction: str, low: float, high: float) -> None:
    """Of products of which all are −0.0, or too small for float32, or any, and a bias of −0.0."""
    tiny = np.float32(1e-30)
    x = np.concatenate([np.full((2, 5), -0.0, np.float32), np.full((2, 5), -tiny), np.resize(EDGES, (60, 5))])
    w = np.concatenate([np.ones((1, 5), np.float32), np.full((1, 5), tiny), np.resize(EDGES[::-1], (4, 5))])
    with np.errstate(all="ignore"):
        sums = float32.sequential_matmul(x, w, contraction) + np.float32(-0.0)
    assert (np.signbit(sums) & (sums == 0)).any() == (contraction == "fma")
    wanted = np.array([scalar_float.clamp(v, low, high) for v in sums.flat]).reshape(sums.shape)
    assert same(float32.clamp_sums(sums, low, high, contraction), wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_half_away(dtype: npt.DTypeLike) -> None:
    x = np.array([0.5, 1.5, 2.5, 0.49999997, 0.3, 0.0, 8388607.5, 1e30, np.inf, np.nan], dtype)
    wanted = np.array([1, 2, 3, 0, 0, 0, 8388608, 1e30, np.inf, np.nan], dtype)
    assert same(float32.round_half_away(np.concatenate([x, -x])), np.concatenate([wanted, -wanted]))


@given(st.lists(floats, min_size=1))
def test_round_half_away_is_the_scalar_one(values: list[float]) -> None:
    x = np.array(values, np.float32)
    assert same(float32.round_half_away(x), np.array([scalar_float.round_half_away(float(v)) for v in x], np.float32))


def test_to_int32_where_machines_differ() -> None:
    x = np.array([-1.9, 2147483520, 2147483648, -2147483648, -np.inf, np.inf, np.nan], np.float32)
    lowest, highest = -(2**31), 2**31 - 1
    assert float32.to_int32(x, "x86").tolist() == [-1, 2147483520, lowest, lowest, lowest, lowest, lowest]
    assert float32.to_int32(x, "arm").tolist() == [-1, 2147483520, highest, lowest, lowest, highest, 0]
    assert float32.to_int32(x, "riscv").tolist() == [-1, 2147483520, highest, lowest, lowest, highest, highest]


@pytest.mark.slow
@pytest.mark.parametrize("float_to_int", ["x86", "arm", "riscv"])
@given(values=st.lists(floats, min_size=1))
def test_to_int32_is_the_scalar_one(float_to_int: str, values: list[float]) -> None:
    x = np.array(values, np.float32)
    assert float32.to_int32(x, float_to_int).tolist() == [scalar_float.to_int32(float(v), float_to_int) for v in x]


# ── Sums and products ─────────────────────────────────────────────────────────────────────────────


def almost_ties(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b, c with c ± half a unit in its last place · (1 − m²·2⁻⁴⁶): rounding twice takes many for ties."""
    random = np.random.default_rng(seed)
    c = np.float32(random.standard_normal(count))
    m = np.float32(2.0**-23 * random.integers(-3, 4, count))
    half_unit = np.spacing(np.abs(c)) / np.float32(2) * np.float32(random.choice([-1, 1], count))
    return half_unit * (1 + m), 1 - m, c


def test_fma_is_the_exact_sum_rounded_once() -> None:
    a, b, c = almost_ties(3000, seed=1)
    exact = np.array(
        [
            scalar_float.round_to_float32(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))
            for x, y, z in zip(a, b, c, strict=True)
        ]
    )
    twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert np.count_nonzero(twice != exact) > 100  # the cases are hard ones
    assert same(float32.fma(a, b, c), exact)


def test_fma_of_all_edges_is_the_scalar_one() -> None:
    edges = EDGES[::3]
    seen = float32.fma(edges[:, None, None], edges[:, None], edges)
    wanted = [scalar_float.fma(a, b, c) for a in edges for b in edges for c in edges]
    assert same(seen.ravel(), np.array(wanted))


@settings(max_examples=300)
@given(a=floats, b=floats, c=floats)
def test_fma_is_the_scalar_one(a: float, b: float, c: float) -> None:
    x, y, z = np.array([a, b, c], np.float32)
    assert same(np.atleast_1d(float32.fma(x, y, z)), np.atleast_1d(scalar_float.fma(x, y, z)))


def random_floats(*shape: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    x = (random.standard_normal(shape) * 10.0 ** random.integers(-3, 3, shape)).astype(np.float32)
    return np.where(random.random(shape) < 0.2, np.float32(-0.0), x)


@pytest.mark.parametrize(("shape", "axis"), [
    ((700,), 0), ((700, 1), 0), ((1, 700), 1), ((700, 2), 0), ((3, 129), 1), ((2, 9, 9, 1), (1, 2)),
    ((2, 9, 9, 5), (1, 2)), ((5, 40, 3), 1), ((5, 40, 3), (0, 2)), ((0, 3), 0), ((4, 0), 1)])  # fmt: skip
def test_sequential_sum_adds_in_index_order(shape: tuple[int, ...], axis: int | tuple[int, ...]) -> None:
    x = random_floats(*shape, seed=len(shape))
    axes = (axis,) if isinstance(axis, int) else axis
    terms = np.moveaxis(x, axes, range(len(axes)))
    total = np.zeros(terms.shape[len(axes) :], np.float32)
    for index in np.ndindex(*terms.shape[: len(axes)]):
        total = total + terms[index]
    for layout in (x, np.asfortranarray(x), x[::-1][::-1]):
        assert same(float32.sequential_sum(layout, axis), total)


def test_sequential_sum_of_minus_zeros_is_plus_zero() -> None:
    assert same(float32.sequential_sum(np.full((3, 2), -0.0, np.float32), 0), np.zeros(2, np.float32))


def sum_of_products(x: np.ndarray, w: np.ndarray, contraction: str) -> np.ndarray:
    """TFLM's loop, with the elements side by side."""
    total = np.zeros((len(x), len(w)), np.float32)
    with np.errstate(all="ignore"):
        for k in range(x.shape[1]):
            a, b = x[:, k, None], w[:, k]
            total = float32.fma(a, b, total) if contraction == "fma" else total + a * b
    return total


@pytest.mark.parametrize("contraction", CONTRACTIONS)
@pytest.mark.parametrize("einsum", ["as found", "neither"])
@pytest.mark.parametrize("cache", [2**18, 2**10])
@pytest.mark.parametrize(("p", "k", "o"), [
    (1, 700, 1), (1, 700, 9), (9, 700, 1), (2, 90, 2), (3, 5, 2), (2, 5, 3), (1, 0, 3), (3, 1, 4), (17, 33, 31),
    (31, 33, 17), (530, 3, 9), (9, 3, 530)])  # fmt: skip
def test_sequential_matmul_adds_in_order(
    p: int, k: int, o: int, cache: int, einsum: str, contraction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(float32, "CACHE_FLOATS", cache)
    if einsum != "as found":
        monkeypatch.setattr(float32, "einsum_contraction", lambda: einsum)
    x, w = random_floats(p, k, seed=p), random_floats(o, k, seed=o)
    wanted = sum_of_products(x, w, contraction)
    for layout in (np.ascontiguousarray, np.asfortranarray, lambda a: a[:, ::-1].copy("F")[:, ::-1]):
        assert same(float32.sequential_matmul(layout(x), layout(w), contraction), wanted)


@settings(max_examples=100, deadline=None)
@given(p=st.integers(1, 40), k=st.integers(0, 60), o=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_sequential_matmul_of_any_size(p: int, k: int, o: int, seed: int) -> None:
    x, w = random_floats(p, k, seed=seed), random_floats(o, k, seed=seed + 1)
    for contraction in CONTRACTIONS:
        assert same(float32.sequential_matmul(x, w, contraction), sum_of_products(x, w, contraction))


def test_sequential_matmul_with_infinities_and_nans() -> None:
    x = np.array([[np.inf, 1], [np.nan, 1], [3e38, 3e38], [-np.inf, np.inf]], np.float32)
    w = np.array([[1, 1], [0, 2], [2, -2]], np.float32)
    assert same(float32.sequential_matmul(x, w, "none"), sum_of_products(x, w, "none"))


def test_a_numpy_whose_einsum_fuses_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float32, "_einsum", float32._fused_multiply_add)
    assert float32.einsum_contraction.__wrapped__() == "neither", "one of its loops fuses, another does not"
    monkeypatch.setattr(float32, "_einsum_over_taps", partial(float32._taps_in_turn, contraction="fma"))
    assert float32.einsum_contraction.__wrapped__() == "fma"
    monkeypatch.setattr(
        float32, "_einsum", lambda few, rows, out: float32._multiply_then_add(few[:, ::-1], rows[::-1], out)
    )
    assert float32.einsum_contraction.__wrapped__() == "neither"


# ── The C library ─────────────────────────────────────────────────────────────────────────────────

SAMPLE = np.concatenate([
    EDGES, ALL_OVER[::2503], np.float32(1) + np.arange(-20, 20, dtype=np.float32) * np.float32(2**-23),
    np.array([-105, -18.7, 88.7, 0.69921875, 0.75, 119.99999, 120, -120, 2**-12, -0.25], np.float32),
    np.float32(np.random.default_rng(3).uniform(-4, 4, 400)),
    np.float32(np.random.default_rng(5).uniform(-130, 130, 400))])  # fmt: skip


@pytest.mark.parametrize("libm", LIBMS)
@pytest.mark.parametrize("function", ["exp", "tanh", "expm1", "log", "sin", "cos"])
def test_functions_are_the_scalar_ones(function: str, libm: str) -> None:
    if libm in float32.PROVEN[function]:
        wanted = np.array([getattr(scalar_float, function)(v, libm) for v in SAMPLE])
        assert same(getattr(float32, function)(SAMPLE, libm), wanted)


@pytest.mark.parametrize(("off", "by_hand"), [(0.0, True), (2.0**-46, True), (-(2.0**-46), True), (2.0**-40, False)])
def test_values_beside_a_tie_are_not_left_to_this_machines_float64(off: float, by_hand: bool) -> None:
    tie = 1 + 2.0**-24
    rounded = float32._correctly_rounded(
        lambda x: np.full_like(x, tie + off), np.zeros(1, np.float32), lambda x, libm: np.float32(7)
    )
    assert bool(rounded[0] == 7) is by_hand


def test_roots_are_the_scalar_ones() -> None:
    for function in (float32.sqrt, float32.rsqrt):
        assert same(function(SAMPLE), np.array([getattr(scalar_float, function.__name__)(v) for v in SAMPLE]))


@pytest.mark.parametrize("function", float32.PROVEN)
def test_shapes_stay_as_they_are(function: str) -> None:
    for shape in ((), (1,), (2, 0, 3), (2, 1, 3)):
        x = [np.full(shape, 150, np.float32)] * (2 if function == "pow" else 1)
        y = getattr(float32, function)(*x, "glibc-2.41")
        assert y.shape == shape and y.dtype == np.float32


def test_minus_zero_has_a_root_and_its_inverse_is_minus_infinity() -> None:
    assert same(float32.sqrt(np.array([-0.0, -1], np.float32)), np.array([-0.0, np.nan], np.float32))
    x, wanted = np.array([[-0.0, 0, np.inf, 4], [-np.inf, np.inf, 0, 0.5]], np.float32)
    assert same(float32.rsqrt(x), wanted)


SPECIAL = np.array([0, 0.5, 1, 1.5, 2, 3, 1e30, 2.0**-149, 2.0**24 + 2, np.inf, np.nan], np.float32)
BASES, EXPONENTS = (grid.ravel() for grid in np.meshgrid(*[np.concatenate([SPECIAL, -SPECIAL])] * 2))
POWERS = (
    np.concatenate([BASES, SAMPLE, SAMPLE]),
    np.concatenate([EXPONENTS, np.random.default_rng(6).permutation(SAMPLE),
                    np.float32(np.random.default_rng(7).integers(-5, 5, SAMPLE.size))]),
)  # fmt: skip


def test_pow_is_the_scalar_one() -> None:
    wanted = np.array([scalar_float.pow(x, y, "glibc") for x, y in zip(*POWERS, strict=True)])
    assert same(float32.pow(*POWERS, "glibc"), wanted)


@pytest.mark.parametrize(("function", "proven"), float32.PROVEN.items())
def test_a_library_that_nobody_compared_is_refused(function: str, proven: frozenset[str]) -> None:
    for libm in LIBMS:
        x = [np.ones(1, np.float32)] * (2 if function == "pow" else 1)
        if libm in proven:
            getattr(float32, function)(*x, libm)
            float32.require_proven(function, libm)
        else:
            with pytest.raises(UnsupportedError, match=f"{function}f in the C library of the dialect libm={libm} "):
                getattr(float32, function)(*x, libm)


def host_function(name: str, arguments: int = 1) -> Callable[..., float]:
    """A function of this machine's C library, where it is one that is emulated; skips elsewhere, by its name."""
    host_libm()
    function: Any = getattr(ctypes.CDLL("libm.so.6"), name)
    function.argtypes, function.restype = [ctypes.c_float] * arguments, ctypes.c_float
    return function  # type: ignore[no-any-return]


@pytest.mark.parametrize("function", ["exp", "tanh", "expm1", "log", "sin", "cos"])
def test_glibc_is_this_machines(function: str) -> None:
    only_right_with_fma = np.array([0xC27C65D9, 0x4202422F, 0x418A3ADB], np.uint32).view(np.float32)
    random = np.random.default_rng(4)
    x = np.concatenate([SAMPLE, only_right_with_fma, ALL_OVER[::53], np.float32(random.uniform(-105, 90, 20_000)),
                        np.float32(random.uniform(-3, 3, 20_000))])  # fmt: skip
    wanted = np.array([*map(host_function(f"{function}f"), x.tolist())], np.float32)
    assert same(getattr(float32, function)(x, host_libm()), wanted)


def test_glibcs_roots_and_powers_are_this_machines() -> None:
    wanted = np.array([*map(host_function("sqrtf"), ALL_OVER[::53].tolist())], np.float32)
    assert same(float32.sqrt(ALL_OVER[::53]), wanted)
    random = np.random.default_rng(8)
    x = np.concatenate([POWERS[0], np.float32(random.lognormal(0, 3, 50_000))])
    y = np.concatenate([POWERS[1], np.float32(random.normal(0, 8, 50_000))])
    wanted = np.array([*map(host_function("powf", 2), x.tolist(), y.tolist())], np.float32)
    assert same(float32.pow(x, y, host_libm()), wanted)


@given(st.integers(-(2**53), 2**53), st.integers(-(2**53), 2**53), st.integers(-(2**53), 2**53), st.integers(-120, 20))
def test_fma64_rounds_once(a: int, b: int, c: int, shift: int) -> None:
    b_, c_ = math.ldexp(b, -60), math.ldexp(c, shift)
    exact = Fraction(a) * Fraction(b_) + Fraction(c_)
    assert float32._fma64(float(a), b_, c_) == float(exact)


# SHA-256 of what the real libraries returned for ALL_OVER: newlib 3.3 (Debian 12) on QEMU's Cortex-M3, M4F, M7 and M7
# with double precision: `python tools/libm_exhaustive.py m3 m4f m7sp m7 --stride 4099`; glibc 2.36 (Debian 12) and 2.41
# (Debian 13): `python tools/libm_exhaustive.py host --stride 4099`, the newer with `--glibc`.
REAL = {
    ("exp", "glibc"): "2e664fb2546b6af17c4299ed8eda7991e8de68f700c5f2546a3a4929824c3a67",
    ("exp", "glibc-2.41"): "2e664fb2546b6af17c4299ed8eda7991e8de68f700c5f2546a3a4929824c3a67",
    ("tanh", "glibc"): "4b476463db6b77dcb25eb4f0ea5247b294f08381546cd6d69fd057e6d1de6ec6",
    ("tanh", "glibc-2.41"): "9f0f15aedb3e174c65646a1da79418551a181c0f8972ac97e2875bced6814144",
    ("expm1", "glibc"): "2c6288abe3d557e05a1da4c4a36b9765a940b92ba4694ffc6685afef09ecb80a",
    ("expm1", "glibc-2.41"): "5cc047fd3c3382d188bb3650f7fd53dafc798d00dd0136b3bf121d270b0fe6a2",

    **dict.fromkeys([("log", "glibc"), ("log", "glibc-2.41"), ("log", "newlib-double")],
                    "aa3f39c3d1e572f0c389eb1e519ea7e43d62aa8f3835820697b7e8bc14ee0532"),
    **dict.fromkeys([("sin", "glibc"), ("sin", "glibc-2.41"), ("sin", "newlib-double")],
                    "3f31ed16e67d22e0b3083bf0812449447a88f0b0ba6a421ab94f247c0f2620a5"),
    **dict.fromkeys([("cos", "glibc"), ("cos", "glibc-2.41"), ("cos", "newlib-double")],
                    "d5b7135a5c14939b8900b426f5da9ac2b2bb8f0405bd4566d43f9f93500f15ac"),
    ("log", "newlib"): "8c7616503ad8608f110a43ac9285c5e7404eb17c9760ddebe742cc768179dede",
    ("log", "newlib-fma"): "cd471db5be8f34ee30290a26dcf7bf755e10a8fb1d6185c957bec25b195fa5bc",
    ("expm1", "newlib"): "2c6288abe3d557e05a1da4c4a36b9765a940b92ba4694ffc6685afef09ecb80a",
    ("expm1", "newlib-fma"): "7475c577f03421fcd9fcb7b03d4461ca31b3f44ed44179e2e3d41d5a8c7ef6e6",
    ("expm1", "newlib-double"): "7475c577f03421fcd9fcb7b03d4461ca31b3f44ed44179e2e3d41d5a8c7ef6e6",
    ("exp", "newlib"): "48e95ccfbd7aea7a6d3b85ea86dc77fe713c3543926068dd8b277fbba38ecbed",
    ("exp", "newlib-fma"): "d3fd4716d6b490707a5e7ac3e2e5d0635ea33f612cf105d8181b388f892eae08",
    ("exp", "newlib-double"): "2e664fb2546b6af17c4299ed8eda7991e8de68f700c5f2546a3a4929824c3a67",
    ("tanh", "newlib"): "4b476463db6b77dcb25eb4f0ea5247b294f08381546cd6d69fd057e6d1de6ec6",
    ("tanh", "newlib-fma"): "07b92c666b92131e95bbe5f5bad564a543de35e9bb874edd995d02b3013ea278",
    ("tanh", "newlib-double"): "07b92c666b92131e95bbe5f5bad564a543de35e9bb874edd995d02b3013ea278",
    ("to_int32", "arm"): "a4d80741e15a0b2f0e0a8268bdf5bfbba1b0e7c389c909e7d988ced9fdde922f",
}  # fmt: skip
REAL_POWERS = "2a5938f48ba6bd216cc37118428b38d71d74e9909f9008052ec0f17408cb87eb"  # of all three libraries


@pytest.mark.parametrize(("function", "variant"), REAL)
def test_a_million_values_as_the_real_libraries_give_them(function: str, variant: str) -> None:
    assert digest(getattr(float32, function)(ALL_OVER, variant)) == REAL[function, variant]


@pytest.mark.slow
def test_a_million_powers_as_the_real_libraries_give_them() -> None:
    assert digest(float32.pow(ALL_OVER, exponents_for(ALL_OVER), "glibc")) == REAL_POWERS


def test_exp_is_the_exponential() -> None:
    x = np.float32(np.linspace(-80, 80, 2001))
    for libm in LIBMS:
        np.testing.assert_allclose(float32.exp(x, libm), [math.exp(v) for v in x.tolist()], rtol=1.3e-7)
        np.testing.assert_allclose(float32.tanh(x, libm), [math.tanh(v) for v in x.tolist()], rtol=2.5e-7)
        np.testing.assert_allclose(float32.log(np.exp(x), libm), x, rtol=1.3e-7, atol=1.2e-7)
        np.testing.assert_allclose(float32.expm1(x, libm), [math.expm1(v) for v in x.tolist()], rtol=1.3e-7)


def test_a_sum_begins_at_positive_zero() -> None:
    """0.0 + −0.0 is 0.0, so that no sum of zeros is negative, of one column or of several."""
    for shape in ((3, 1), (3, 2)):
        assert not np.signbit(float32.sequential_sum(np.full(shape, -0.0, np.float32), 0)).any()
