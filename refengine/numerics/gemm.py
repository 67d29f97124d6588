"""Exact integer matrix products through BLAS.

Floating-point sums of integers are exact, in any order and with or without FMA, while every partial sum stays within
the significand: 2²⁴ in float32, 2⁵³ in float64. The weights are known when a plan is made, so the bound
Σ|w|·max|x| of each output is too: it decides between one float32 product, a few over parts of the sum, and float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


MANY = 48
"""Below so many terms a sum, float64 is quicker than parts in float32, which have to be added."""


@dataclass(frozen=True, eq=False)
class Gemm:
    """`x @ weights.T` for integer codes, exactly. Made by `exact_gemm`.

    `dtype` is what operands must be cast to, `blocks` the weights (k, outputs) of each slice of the sum, `bound` the
    largest |sum| that each output can reach.
    """

    dtype: np.dtype[Any]
    blocks: tuple[tuple[slice, Array], ...]
    bound: npt.NDArray[np.int64]

    def __call__(self, x: Array) -> Array:
        """(rows, k) codes as `dtype` → (rows, outputs) integers held in float32 or float64."""
        if len(self.blocks) == 1:
            product: Array = np.matmul(x, self.blocks[0][1])
            return product
        total = np.zeros((len(x), len(self.bound)), np.float64)
        for part, weights in self.blocks:
            total += np.matmul(x[:, part], weights)
        return total


def exact_gemm(weights: Array, magnitude: int) -> Gemm:
    """Prepare `x @ weights.T` for integer `weights` (outputs, k) and any integer x with |x| ≤ `magnitude`."""
    reach = np.abs(weights.astype(np.int64)) * magnitude
    bound = reach.sum(axis=1)
    largest = int(bound.max(initial=0))
    parts = -(-largest // 2**24) if largest else 1
    few = parts > 1 and weights.shape[1] < MANY
    cuts = _cuts(reach, 2**24) if parts <= 4 and not few else None
    dtype = np.dtype(np.float64 if cuts is None else np.float32)
    columns = weights.T.astype(dtype)
    slices = [slice(0, weights.shape[1])] if cuts is None else [slice(a, b) for a, b in pairwise(cuts)]
    return Gemm(dtype, tuple((part, np.ascontiguousarray(columns[part])) for part in slices), bound)


def _cuts(reach: Array, limit: int) -> list[int] | None:
    """Where to cut the sum so that no output's part exceeds `limit`; None if single terms or many cuts would."""
    cuts, running = [0], np.cumsum(reach, axis=1)
    while cuts[-1] < reach.shape[1]:
        start = cuts[-1]
        base = running[:, start - 1 : start] if start else 0
        fits = int(np.searchsorted((running[:, start:] - base).max(axis=0), limit, side="right"))
        if fits == 0 or len(cuts) > 8:
            return None
        cuts.append(start + fits)
    return cuts
