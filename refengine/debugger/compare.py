"""Tensors against a dump of them."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, located
from ..model import Array, Tensor
from ..tensors.arrays import read_npy, read_npz
from ..tensors.difference import Difference, difference


def compared(tensor: Tensor, mine: Array, theirs: Array) -> Difference | None:
    """None if both are equal, see `difference`. Leading ones of the shapes do not count.

    Raises `InputError` if shapes or dtypes do not agree.
    """
    if mine.dtype != theirs.dtype or _bare(mine) != _bare(theirs):
        raise InputError(f"it is {mine.dtype} {mine.shape} here and {theirs.dtype} {theirs.shape} there")
    return difference(tensor, mine, theirs.reshape(mine.shape))


def read_dump(path: str, memory: int) -> dict[str, Array] | Array:
    """The arrays of an .npz by name, or the array of an .npy; raises `InputError` for anything else."""
    if Path(path).suffix.lower() not in (".npz", ".npy"):
        raise InputError(f"{path}: a dump is .npz or .npy")
    with located(path):
        return read_npz(path, memory) if path.lower().endswith(".npz") else read_npy(path, memory)


def _bare(array: Array) -> tuple[int, ...]:
    """The shape without leading ones."""
    shape = array.shape
    while shape[:1] == (1,):
        shape = shape[1:]
    return shape
