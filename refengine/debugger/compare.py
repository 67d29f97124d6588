"""Tensors against a dump of them: equal bit for bit, or how far apart, and where first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..model import Array
from ..tensors.images import UNREADABLE


@dataclass(frozen=True)
class Difference:
    """How `theirs` differs from `mine`: `count` elements by their bits, at most by `largest`, `first` at an index."""

    count: int
    size: int
    largest: float
    first: tuple[int, ...]
    mine: int | float
    theirs: int | float


def difference(mine: Array, theirs: Array) -> Difference | None:
    """None if both are equal bit for bit. Leading ones of the shapes do not count.

    Raises `InputError` if shapes or dtypes do not agree.
    """
    if mine.dtype != theirs.dtype or _bare(mine) != _bare(theirs):
        raise InputError(f"it is {mine.dtype} {mine.shape} here and {theirs.dtype} {theirs.shape} there")
    theirs = theirs.reshape(mine.shape)
    unlike = _bits(mine) != _bits(theirs)
    if not unlike.any():
        return None
    first = tuple(int(i) for i in np.unravel_index(int(unlike.argmax()), mine.shape))
    with np.errstate(all="ignore"):
        apart = np.abs(mine[unlike].astype(np.float64) - theirs[unlike].astype(np.float64))
    return Difference(
        count=int(unlike.sum()),
        size=mine.size,
        largest=float(apart.max()),
        first=first,
        mine=mine[first].item(),
        theirs=theirs[first].item(),
    )


def read_dump(path: str) -> dict[str, Array] | Array:
    """The arrays of an .npz by name, or the array of an .npy; raises `InputError` for anything else."""
    if Path(path).suffix.lower() not in (".npz", ".npy"):
        raise InputError(f"{path}: a dump is .npz or .npy")
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return {name: found[name] for name in found.files}
    except (*UNREADABLE, RuntimeError) as error:  # the last one for encrypted archives
        reason = getattr(error, "strerror", None) or "it is no NumPy file"
        raise InputError(f"{path}: cannot be read: {reason}") from None


def _bare(array: Array) -> tuple[int, ...]:
    """The shape without leading ones."""
    shape = array.shape
    while shape[:1] == (1,):
        shape = shape[1:]
    return shape


def _bits(array: Array) -> Array:
    """What compares as bits do: −0.0 is not 0.0, NaN is itself."""
    return array.view(f"u{array.itemsize}") if array.dtype.kind == "f" else array
