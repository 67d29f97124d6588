"""How two arrays differ, and where: by their bits, but any NaN is any other.

IEEE 754 leaves sign and payload of a computed NaN open, and so do compilers. x86 makes NaNs negative and hands on the
first operand's payload, whichever operand the compiler put first; Cortex-M makes them positive. Those bits belong to a
build, not to TFLM.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Array, Tensor

FEW = 4
"""Fewer differing elements than this say nothing about where the others would be."""

AXES = {2: ("batch", "channel"), 3: ("batch", "column", "channel"), 4: ("batch", "row", "column", "channel")}


@dataclass(frozen=True)
class Difference:
    """`theirs` against `mine`: `count` of `size` elements differ, by their bits, but any NaN is any other.

    `largest` and `mean` (over all elements) are in LSB, of float32 in ULP, where NaN against a number is infinitely
    far; `rmse` is in codes (float32: as they are); `cosine` is of the real values. `first` is the first differing
    element, with its value here and there; `where` says in words if all of them share a place.
    """

    count: int
    size: int
    largest: float
    mean: float
    rmse: float
    cosine: float
    first: tuple[int, ...]
    mine: int | float
    theirs: int | float
    where: str

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON."""
        return asdict(self)


def unlike(mine: Array, theirs: Array, same_nan: bool = False) -> npt.NDArray[np.bool_]:
    """Where two arrays of one dtype and shape differ: by their bits, so that −0 is not 0, but any NaN is any other
    unless they must have the `same_nan`, as copies have. Masked elements of `mine` are like anything."""
    if isinstance(mine, np.ma.MaskedArray):  # what TFLM leaves unwritten
        return unlike(mine.data, np.ma.getdata(theirs), same_nan) & ~np.ma.getmaskarray(mine)
    if mine.dtype.kind != "f":
        return np.asarray(mine != theirs)
    bits = np.dtype(f"u{mine.itemsize}")
    apart = np.asarray(mine.view(bits) != theirs.view(bits))
    return apart if same_nan else apart & ~(np.isnan(mine) & np.isnan(theirs))


def crc32_of(x: Array) -> int | None:
    """Of the bytes of a tensor, as zlib counts it; None where a NaN is among the elements, whose bits nobody knows."""
    unknown = x.dtype.kind == "f" and np.isnan(x).any()
    return None if unknown else zlib.crc32(np.ascontiguousarray(x).tobytes())


def difference(tensor: Tensor, mine: Array, theirs: Array) -> Difference | None:
    """None if both are equal."""
    apart = unlike(mine, theirs)
    if not apart.any():
        return None
    first = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), mine.shape))
    steps = _ulps(mine, theirs) if mine.dtype == np.float32 else np.abs(mine.astype(float) - theirs.astype(float))
    with np.errstate(all="ignore"):
        delta = mine.astype(np.float64) - theirs.astype(np.float64)
        return Difference(
            count=int(apart.sum()),
            size=mine.size,
            largest=float(steps.max()),
            mean=float(steps.mean()),
            rmse=float(np.sqrt(np.mean(delta * delta))),
            cosine=_cosine(_real(tensor, mine), _real(tensor, theirs)),
            first=first,
            mine=mine[first].item(),
            theirs=theirs[first].item(),
            where=_where(apart),
        )


def _ulps(mine: Array, theirs: Array) -> Array:
    """How many float32 values lie between; −0 and 0 are one."""

    def ordered(values: Array) -> Array:
        bits = np.ascontiguousarray(values).view(np.int32).astype(np.int64)
        return np.asarray(np.where(bits < 0, -(2**31) - bits, bits))

    steps: Array = np.abs(ordered(mine) - ordered(theirs)).astype(np.float64)
    nans = np.isnan(mine), np.isnan(theirs)
    steps[nans[0] ^ nans[1]] = np.inf
    steps[nans[0] & nans[1]] = 0
    return steps


def _real(tensor: Tensor, values: Array) -> Array:
    """Real values but for the scale, which no cosine sees."""
    quantization = tensor.quantization
    offset = quantization.zero_point[0] if quantization and quantization.zero_point else 0
    return np.asarray(values.astype(np.float64).ravel() - offset)


def _cosine(mine: Array, theirs: Array) -> float:
    """1 for one direction; where one of them has none, 1 if both have none, else 0."""
    lengths = np.linalg.norm(mine), np.linalg.norm(theirs)
    if 0 in lengths:
        return float(lengths[0] == lengths[1])
    return float(mine @ theirs / (lengths[0] * lengths[1]))


def _where(apart: Array) -> str:
    """The rows, columns or channels outside of which nothing differs, or nothing if they are few or spread out."""
    words: list[str] = []
    if apart.sum() < FEW:
        return ""
    for axis, name in enumerate(AXES.get(apart.ndim, ())):
        found = np.flatnonzero(apart.any(axis=tuple(i for i in range(apart.ndim) if i != axis)))
        low, high = int(found[0]), int(found[-1])
        if 2 * (high - low + 1) <= apart.shape[axis]:
            words.append(f"{name} {low}" if low == high else f"{name}s {low}…{high}")
    return ", ".join(words)
