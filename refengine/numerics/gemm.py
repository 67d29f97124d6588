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


AT_ONCE = 16
"""Of how many outputs to look at the running sums at a time: a plan shall not take many times the file's size."""


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
    sizes = np.abs(weights.astype(np.int16 if weights.dtype == np.int8 else np.int64))  # the least has no opposite
    bound = sizes.sum(axis=1, dtype=np.int64) * magnitude
    largest, terms = int(bound.max(initial=0)), weights.shape[1]
    parts = -(-largest // 2**24) if largest else 1
    few = parts > 1 and terms < MANY
    cuts = [0, terms] if parts == 1 else None if parts > 4 or few else _cuts(sizes, 2**24 // magnitude)
    dtype = np.dtype(np.float64 if cuts is None else np.float32)
    slices = [slice(*ends) for ends in pairwise(cuts or [0, terms])]
    return Gemm(dtype, tuple((part, weights[:, part].T.astype(dtype, order="C")) for part in slices), bound)


def _cuts(sizes: Array, limit: int) -> list[int] | None:
    """Where to cut sums of `sizes` (outputs, k) so that no part exceeds `limit`; None if single terms or many cuts
    would."""
    cuts, terms = [0], sizes.shape[1]
    while cuts[-1] < terms:
        some = (sizes[first : first + AT_ONCE, cuts[-1] :] for first in range(0, len(sizes), AT_ONCE))
        running = (each.cumsum(axis=1, dtype=np.int64).max(axis=0) for each in some)
        fits = min(int(np.searchsorted(sums, limit, side="right")) for sums in running)
        if fits == 0 or len(cuts) > 8:
            return None
        cuts.append(cuts[-1] + fits)
    return cuts
