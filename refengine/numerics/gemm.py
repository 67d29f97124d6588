"""Exact integer matrix products through BLAS.

Floating-point sums of integers are exact, in any order and with or without FMA, while every partial sum stays within
the significand: 2²⁴ in float32, 2⁵³ in float64. The weights are known when a plan is made, so the bound
Σ|w|·max|x| of each output is too: it decides between one float32 product, a few over parts of the sum, and float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


MANY = 48
"""Below so many terms a sum, float64 is quicker than parts in float32, which have to be added."""


AT_ONCE = 1 << 14
"""About how many weights to look at at a time: a plan shall not take many times the file's size."""


@dataclass(frozen=True, eq=False)
class Gemm:
    """`x @ weights.T` for integer codes, exactly. Made by `exact_gemm`.

    `dtype` is what operands must be cast to, `parts` what the sum is cut into, `bound` the largest |sum| that each
    output can reach.
    """

    weights: Array
    dtype: np.dtype[Any]
    parts: tuple[slice, ...]
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

    @cached_property
    def blocks(self) -> tuple[tuple[slice, Array], ...]:
        """The weights (k, outputs) of each part as `dtype`, which takes four or eight times their room: not before the
        first product."""
        return tuple((part, self.weights[:, part].T.astype(self.dtype, order="C")) for part in self.parts)


def exact_gemm(weights: Array, magnitude: int) -> Gemm:
    """Prepare `x @ weights.T` for integer `weights` (outputs, k) and any integer x with |x| ≤ `magnitude`."""
    sums = [sizes.sum(axis=1, dtype=np.int64) for sizes in _sizes(weights)]
    bound = np.concatenate(sums or [np.zeros(0, np.int64)]) * magnitude
    largest, terms = int(bound.max(initial=0)), weights.shape[1]
    parts = -(-largest // 2**24) if largest else 1
    few = parts > 1 and terms < MANY
    cuts = [0, terms] if parts == 1 else None if parts > 4 or few else _cuts(weights, 2**24 // magnitude)
    dtype = np.dtype(np.float64 if cuts is None else np.float32)
    return Gemm(weights, dtype, tuple(slice(*ends) for ends in pairwise(cuts or [0, terms])), bound)


def _sizes(weights: Array) -> Iterator[Array]:
    """The absolute values of weights (outputs, k), some outputs at a time."""
    wide = np.int16 if weights.dtype == np.int8 else np.int64  # the least has no opposite
    rows = max(1, AT_ONCE // max(1, weights.shape[1]))
    return (np.abs(weights[first : first + rows].astype(wide)) for first in range(0, len(weights), rows))


def _cuts(weights: Array, limit: int) -> list[int] | None:
    """Where to cut sums of `weights` (outputs, k) so that no part's sizes exceed `limit`; None if single terms or many
    cuts would."""
    cuts, terms = [0], weights.shape[1]
    while cuts[-1] < terms:
        running = (sizes.cumsum(axis=1, dtype=np.int64).max(axis=0) for sizes in _sizes(weights[:, cuts[-1] :]))
        fits = min(int(np.searchsorted(sums, limit, side="right")) for sums in running)
        if fits == 0 or len(cuts) > 8:
            return None
        cuts.append(cuts[-1] + fits)
    return cuts
