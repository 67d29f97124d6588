"""What everything is drawn from: numbers, quantisations and arrays with their edges weighted, and the `Toolbox`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, ParamSpec, TypeVar

import numpy as np
from hypothesis import strategies as st

from ..model import Array, Quantization, Tensor
from ..numerics.quantize import code_range

P = ParamSpec("P")
T = TypeVar("T")

INT_KINDS = ("constant", "noise", "ends", "sparse", "ramp", "ties", "noise", "noise")
FLOAT_KINDS = ("constant", "noise", "ends", "sparse", "ramp", "ties", "noise", "noise", "edges", "wide")
"""What invented arrays look like, the simplest first; mostly noise, since few elements tell two roundings apart."""

FLOAT_EDGES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 6.0, 1e-20, -1e-20, 1e-40, 3.4e38, -3.4e38], np.float32)
"""Both zeros, RELU6's bound, what vanishes when squared, a subnormal, almost the largest."""

NOT_FINITE = np.array([np.nan, np.inf, -np.inf], np.float32)

BESIDE_LANES = (7, 8, 9, 12, 15, 16, 17, 31, 33)
"""Numbers of channels at and beside multiples of 4, 8, 16 and 32, where a SIMD loop ends and its remainder begins."""


def cached(function: Callable[P, st.SearchStrategy[T]]) -> Callable[P, st.SearchStrategy[T]]:
    """Hand out the same strategy for the same arguments: making and checking one takes longer than drawing from it."""
    return lru_cache(maxsize=4096, typed=True)(function)  # type: ignore[return-value]


@cached
def scales(low: float = 2.0**-10, high: float = 2.0**2) -> st.SearchStrategy[float]:
    """Scales from `low` to `high`, float32 values as Python floats; every second one is a power of two."""
    powers = st.integers(int(np.ceil(np.log2(low))), int(np.floor(np.log2(high)))).map(lambda e: 2.0**e)
    return powers | st.floats(float(np.float32(low)), float(np.float32(high)), width=32)


@cached
def zero_points(dtype: str) -> st.SearchStrategy[int]:
    """Codes of an integer `dtype`; 0, −1 and both ends (−128 and 127 of int8) are every second one."""
    low, high = code_range(dtype)
    return st.sampled_from((0, low, high, max(low, -1))) | st.integers(low, high)


@cached
def quantizations(
    dtype: str,
    *,
    low: float | None = None,
    high: float | None = None,
    asymmetric: bool = False,
    channels: int = 1,
    dimension: int = 0,
) -> st.SearchStrategy[Quantization]:
    """Quantisations of a tensor of `dtype`, ``"int8"``, ``"int16"`` or ``"uint8"``.

    Scales are from `low` to `high`, by default such that all codes together span a range from 0.25 to 1024. Zero
    points are any code; those of int16 are 0, as TFLite has them, unless `asymmetric`. With more than one of
    `channels` there are as many scales around one another, along `dimension`, and no zero points but 0: weights.
    """
    low, high = low or 2.0**-10 * finer(dtype), high or 2.0**2 * finer(dtype)
    if channels > 1:
        return _several_scales(channels, low, high).map(lambda some: Quantization(some, (0,) * channels, dimension))
    points = st.just(0) if dtype == "int16" and not asymmetric else zero_points(dtype)
    return st.tuples(scales(low, high), points).map(lambda pair: Quantization(pair[:1], pair[1:]))


@cached
def multipliers(least_shift: int = -31, most_shift: int = 30) -> st.SearchStrategy[tuple[int, int]]:
    """(multiplier, shift) as TFLM's QuantizeMultiplier gives: a factor of multiplier · 2^(shift − 31).

    The multiplier is from 2³⁰ to 2³¹ − 1, both weighted; 2³⁰ means a power of two, whose ties are exact. Positive
    shifts go left; −31 is the longest way right, where only the rounding is left of an accumulator.
    """
    mantissa = st.sampled_from((2**30, 2**31 - 1, 2**30 + 1)) | st.integers(2**30, 2**31 - 1)
    edges = [shift for shift in (0, -1, 1, -7, least_shift, most_shift) if least_shift <= shift <= most_shift]
    return st.tuples(mantissa, st.sampled_from(edges) | st.integers(least_shift, most_shift))


def arrays(
    shape: Sequence[int], dtype: str, low: int | None = None, high: int | None = None, *, finite: bool = True
) -> st.SearchStrategy[Array]:
    """Arrays of `shape` and `dtype` (any of NumPy's integers, float32, bool), values from `low` to `high`.

    Noise, ends of the range, ties of roundings (odd multiples of powers of two), ramps, mostly-zeros and constants;
    float32 has also ±0, subnormal and huge values and, unless `finite`, infinities and NaN. They shrink to constants,
    those to 0, whatever the size; but one element alone does not shrink.
    """
    return _arrays(tuple(shape), dtype, low, high, finite)


@cached
def _arrays(
    shape: tuple[int, ...], dtype: str, low: int | None, high: int | None, finite: bool
) -> st.SearchStrategy[Array]:
    kinds = INT_KINDS if dtype != "float32" else FLOAT_KINDS if finite else (*FLOAT_KINDS, "not finite", "not finite")
    return _looks(kinds).map(lambda look: array_of(shape, dtype, low, high, *look))


@cached
def _looks(kinds: tuple[str, ...]) -> st.SearchStrategy[tuple[str, int]]:
    """Kind and seed. The constants' seeds are of another range, so that the shrinker tries some in place of noise's."""
    constant = st.integers(0, 2**16 - 1).map(lambda seed: ("constant", seed << 16))
    return st.one_of(constant, *(st.tuples(st.just(kind), st.integers(0, 2**32 - 1)) for kind in kinds[1:]))


_integers = cached(st.integers)


@cached
def _sampled(choices: tuple[Any, ...], types: tuple[type, ...]) -> st.SearchStrategy[Any]:
    """`types` tell 1, 1.0 and True apart, which a cache would not."""
    return st.sampled_from(choices)


@cached
def _shapes(least: int, most: int, largest: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, largest), min_size=least, max_size=most).map(tuple)


@cached
def _channels() -> st.SearchStrategy[int]:
    return st.integers(1, 5) | st.sampled_from(BESIDE_LANES)


@cached
def _images() -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), _channels()).map(cheap_image)


@cached
def _inputs(shape: Any, dtype: str, quantization: Any) -> st.SearchStrategy[Tensor]:
    """A new tensor each time: tensors are told apart by identity."""
    return st.tuples(drawable(shape), drawable(quantization)).map(lambda pair: Tensor(0, "", pair[0], dtype, pair[1]))


@cached
def _several_scales(count: int, low: float, high: float) -> st.SearchStrategy[tuple[float, ...]]:
    looks = st.tuples(scales(low, high), st.sampled_from(("equal", "powers", "apart")), st.integers(0, 2**32 - 1))
    return looks.map(lambda look: scales_of(look[0], count, *look[1:]))


NO_QUANTIZATION = st.none()


class Toolbox:
    """What a kernel's `example` draws from: see `refengine.kernel.Toolbox`."""

    def integers(self, low: int, high: int) -> st.SearchStrategy[int]:
        return _integers(low, high)

    def sampled_from(self, choices: Sequence[Any]) -> st.SearchStrategy[Any]:
        return _sampled(tuple(choices), tuple(map(type, choices)))

    def booleans(self) -> st.SearchStrategy[bool]:
        return st.booleans()

    def shape(self, rank: int | tuple[int, int], largest: int = 6) -> st.SearchStrategy[tuple[int, ...]]:
        least, most = (rank, rank) if isinstance(rank, int) else rank
        return _shapes(least, most, largest)

    def channels(self) -> st.SearchStrategy[int]:
        return _channels()

    def image(self) -> st.SearchStrategy[tuple[int, ...]]:
        return _images()

    def scale(self, low: float = 2.0**-10, high: float = 2.0**2) -> st.SearchStrategy[float]:
        return scales(low, high)

    def scales(self, count: int, low: float = 2.0**-10, high: float = 2.0**2) -> st.SearchStrategy[tuple[float, ...]]:
        return _several_scales(count, low, high)

    def zero_point(self, dtype: str) -> st.SearchStrategy[int]:
        return zero_points(dtype)

    def quantization(
        self, dtype: str, low: float | None = None, high: float | None = None, asymmetric: bool = False
    ) -> st.SearchStrategy[Quantization | None]:
        if dtype not in ("int8", "int16", "uint8"):
            return NO_QUANTIZATION
        return quantizations(dtype, low=low, high=high, asymmetric=asymmetric)

    def array(
        self, shape: Sequence[int], dtype: str, low: int | None = None, high: int | None = None
    ) -> st.SearchStrategy[Array]:
        return arrays(shape, dtype, low, high)

    def input(
        self, shape: Any, dtype: str, quantization: Any = None, fits: Callable[[Tensor], bool] | None = None
    ) -> Any:
        return _inputs(shape, dtype, quantization)

    def tensor(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        return Tensor(0, "", tuple(shape), dtype, quantization)

    def variable(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        return Tensor(-1, "", tuple(shape), dtype, quantization, is_variable=True)

    def constant(self, data: Array, quantization: Quantization | None = None, dtype: str | None = None) -> Tensor:
        return Tensor(0, "", data.shape, dtype or data.dtype.name, quantization, data)


def drawable(value: Any) -> st.SearchStrategy[Any]:
    """A strategy as it is, anything else as the strategy that draws just it."""
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


def cheap_image(shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """An NHWC shape with fewer rows and columns where it has many channels: remainder loops need no large images."""
    _, h, w, c = shape
    return shape if c < BESIDE_LANES[0] else (1, (h + 2) // 3, (w + 2) // 3, c)


def scales_of(first: float, count: int, kind: str, seed: int) -> tuple[float, ...]:
    """`count` float32 scales around the `first`: equal, or apart by up to a factor of 16, in powers of two or not."""
    apart = {"equal": np.zeros(count), "apart": np.random.default_rng(seed).uniform(-2, 2, count)}
    apart["powers"] = np.rint(apart["apart"])
    return tuple((first * 2.0 ** apart[kind]).astype(np.float32).tolist())


def finer(dtype: str) -> float:
    """How much finer than int8's a type's scales are, so that its codes span the same range."""
    return 2.0**-8 if dtype == "int16" else 1.0


def array_of(
    shape: tuple[int, ...],
    dtype: str,
    low: int | None,
    high: int | None,
    kind: str,
    seed: int,
    rng: np.random.Generator | None = None,
) -> Array:
    """An array of one `kind`, from a seed: shrinks to constants, whatever its size.

    All but constants and ramps are drawn from `rng`, where it is given: who makes many need not seed one for each.
    """
    rng = np.random.default_rng(seed) if rng is None else rng
    if dtype == "float32":
        bound = 4.0 if high is None else float(high)
        floor = -bound if low is None else float(low)
        values = _floats(kind, shape, floor, bound, seed, rng)
        return np.asarray(values if high is None else np.clip(values, floor, bound)).astype(np.float32)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    least, most = code_range(dtype)
    ends = least if low is None else low, most if high is None else high
    return np.asarray(_integers_of(kind, shape, dtype, *ends, seed, rng)).astype(dtype)


def _floats(
    kind: str, shape: tuple[int, ...], floor: float, bound: float, seed: int, rng: np.random.Generator
) -> Array:
    if kind == "constant":
        return np.full(shape, _zigzag(seed >> 24) / 4)
    if kind == "ramp":
        return np.linspace(floor, bound, prod(shape)).reshape(shape)
    if kind == "ends":
        return _chosen(np.array([floor, bound]), shape, rng)
    if kind == "ties":
        return np.asarray((rng.integers(-256, 256, shape) + 0.5) * 2.0 ** rng.integers(-7, 1))
    if kind == "edges":
        return _chosen(FLOAT_EDGES, shape, rng)
    noise = rng.uniform(floor, bound, shape)
    if kind == "sparse":
        return np.asarray(noise * (rng.random(shape) < 0.2))
    if kind == "wide":
        return np.asarray(noise * 10.0 ** rng.uniform(-20, 20, shape))
    if kind == "not finite":
        return np.where(rng.random(shape) < 0.2, _chosen(NOT_FINITE, shape, rng), noise)
    assert kind == "noise"
    return np.asarray(noise)


def _integers_of(
    kind: str, shape: tuple[int, ...], dtype: str, floor: int, top: int, seed: int, rng: np.random.Generator
) -> Array:
    """As `_floats`, from `floor` to `top`."""
    zero = min(max(0, floor), top)
    if kind == "constant":
        reach = max(top - zero, zero - floor)
        constant = zero + _zigzag((seed >> 16) * min(2 * reach + 1, 2**16) >> 16)
        return np.full(shape, min(max(constant, floor), top))
    if kind == "ramp":
        period = min(max(top - floor, 0) + 1, 2**32)  # where nothing lies between, `top` is below `floor`
        return np.asarray((floor + np.arange(prod(shape)) % period).reshape(shape))
    wide, ends = np.dtype(np.int64 if top < 2**63 else np.uint64), [floor, top]
    has_sizes = dtype in ("uint32", "uint64") and not floor  # of every one, since few small ones would come by chance
    if kind == "ends":
        ends += [end for end in (2**16 - 1, 2**32 - 1) if has_sizes and end < top]
        return _chosen(np.array(ends, wide), shape, rng)
    noise: Array = rng.integers(floor, top, shape, endpoint=True, dtype=wide)
    if has_sizes:
        noise >>= rng.integers(0, max(1, top.bit_length()), shape, dtype=wide)
    if kind == "sparse":
        return np.where(rng.random(shape) < 0.2, noise, wide.type(zero))
    if kind == "ties":
        return np.clip(_odd(noise, rng), floor, top)
    assert kind == "noise"
    return noise


def _chosen(values: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """`rng.choice`, in half its time."""
    return np.asarray(values[rng.integers(0, values.size, shape)])


def _zigzag(k: int) -> int:
    """0, 1, −1, 2, −2, …: a smaller seed gives a smaller value, which is how the shrinker halves its way down."""
    return (k + 1) // 2 * (1 if k % 2 else -1)


def _odd(noise: Array, rng: np.random.Generator) -> Array:
    """The noise as odd multiples of a power of two: what lies exactly between two codes when shifted right."""
    exponent = int(rng.integers(0, max(1, int(np.abs(noise).max(initial=1)).bit_length() - 1)))
    return np.asarray((noise >> exponent | 1) << exponent)
