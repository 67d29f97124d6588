"""What everything is drawn from: numbers, quantisations and arrays with their edges weighted, and the `Toolbox`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..model import Array, Quantization, Tensor
from ..numerics.quantize import code_range

INT_KINDS = ("constant", "noise", "ends", "sparse", "ramp", "noise", "noise")
FLOAT_KINDS = (*INT_KINDS, "edges", "wide")
"""What invented arrays look like, the simplest first; mostly noise, since few elements tell two roundings apart."""

FLOAT_EDGES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 6.0, 1e-20, -1e-20, 1e-40, 3.4e38, -3.4e38], np.float32)


class Toolbox:
    """What a kernel's `example` draws from: see `refengine.kernel.Toolbox`."""

    def integers(self, low: int, high: int) -> st.SearchStrategy[int]:
        return st.integers(low, high)

    def sampled_from(self, choices: Sequence[Any]) -> st.SearchStrategy[Any]:
        return st.sampled_from(choices)

    def booleans(self) -> st.SearchStrategy[bool]:
        return st.booleans()

    def shape(self, rank: int, largest: int = 6) -> st.SearchStrategy[tuple[int, ...]]:
        return st.tuples(*[st.integers(1, largest)] * rank)

    def scale(self, low: float = 2.0**-10, high: float = 2.0**2) -> st.SearchStrategy[float]:
        return _scales(low, high)

    def zero_point(self, dtype: str) -> st.SearchStrategy[int]:
        low, high = code_range(dtype)
        return st.sampled_from((0, low, high, max(low, -1))) | st.integers(low, high)

    def quantization(self, dtype: str, zero_point: int | None = None) -> st.SearchStrategy[Quantization | None]:
        if dtype == "float32":
            return st.none()
        if zero_point is None and dtype == "int16":
            zero_point = 0
        points = self.zero_point(dtype) if zero_point is None else st.just(zero_point)
        return st.tuples(self.scale(), points).map(lambda pair: Quantization(pair[:1], pair[1:]))

    def array(
        self, shape: Sequence[int], dtype: str, low: int | None = None, high: int | None = None
    ) -> st.SearchStrategy[Array]:
        looks = st.tuples(st.sampled_from(FLOAT_KINDS if dtype == "float32" else INT_KINDS), st.integers(0, 2**32 - 1))
        return looks.map(lambda look: array_of(tuple(shape), dtype, low, high, *look))

    def tensor(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        return Tensor(0, "", tuple(shape), dtype, quantization)

    def constant(self, data: Array, quantization: Quantization | None = None, dtype: str | None = None) -> Tensor:
        return Tensor(0, "", data.shape, dtype or data.dtype.name, quantization, data)


@cache
def _scales(low: float, high: float) -> st.SearchStrategy[float]:
    """Float32 values from `low` to `high`, every second one a power of two."""
    exponents = st.integers(int(np.ceil(np.log2(low))), int(np.floor(np.log2(high))))
    powers = exponents.map(lambda e: 2.0**e)
    return powers | st.floats(float(np.float32(low)), float(np.float32(high)), width=32)


def array_of(shape: tuple[int, ...], dtype: str, low: int | None, high: int | None, kind: str, seed: int) -> Array:
    """An array of one `kind`, from a seed: shrinks to constants, whatever its size."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        bound = 4.0 if high is None else float(high)
        floor = -bound if low is None else float(low)
        noise = rng.uniform(floor, bound, shape)
        table = {
            "constant": np.full(shape, noise.flat[0] if noise.size else 0),
            "noise": noise,
            "ends": rng.choice([floor, bound], shape),
            "sparse": noise * (rng.random(shape) < 0.2),
            "ramp": np.linspace(floor, bound, noise.size).reshape(shape),
            "edges": rng.choice(FLOAT_EDGES, shape),
            "wide": noise * 10.0 ** rng.uniform(-20, 20, shape),
        }
        values = np.asarray(table[kind])
        return (values if high is None else np.clip(values, floor, bound)).astype(np.float32)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    least, most = code_range(dtype)
    floor_, top = least if low is None else low, most if high is None else high
    noise_ = rng.integers(floor_, top, shape, endpoint=True, dtype=np.int64)
    ints = {
        "constant": np.full(shape, noise_.flat[0] if noise_.size else 0),
        "noise": noise_,
        "ends": rng.choice([floor_, top], shape),
        "sparse": np.where(rng.random(shape) < 0.2, noise_, np.clip(0, floor_, top)),
        "ramp": (floor_ + np.arange(noise_.size) % min(top - floor_ + 1, 2**32)).reshape(shape),
    }
    return np.asarray(ints[kind]).astype(dtype)
