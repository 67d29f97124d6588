"""Tensors against a dump of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..model import Array, Tensor
from ..tensors.difference import Difference, difference
from ..tensors.images import UNREADABLE


def compared(tensor: Tensor, mine: Array, theirs: Array) -> Difference | None:
    """None if both are equal, see `difference`. Leading ones of the shapes do not count.

    Raises `InputError` if shapes or dtypes do not agree.
    """
    if mine.dtype != theirs.dtype or _bare(mine) != _bare(theirs):
        raise InputError(f"it is {mine.dtype} {mine.shape} here and {theirs.dtype} {theirs.shape} there")
    return difference(tensor, mine, theirs.reshape(mine.shape))


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
