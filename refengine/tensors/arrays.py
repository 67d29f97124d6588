"""NumPy's files, read with suspicion: what they announce is held against what they hold, and the memory there is.

`numpy.load` believes a header: it allocates what an `.npy` of 128 bytes announces, unpacks whatever an `.npz` unpacks
to, and hands on entries that are no arrays.
"""

from __future__ import annotations

import os
import stat
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

from ..errors import InputError
from ..memory import require_room
from ..model import Array

META = "__meta__"
"""The key of a dump's own facts: JSON with its `schema`, the model's `sha256`, its `board` and its `numerics`."""

FOUND, LEFT = "found ", "left "
"""What stands before the name of what lives on, as an inference found it and as it left it; see `State.named`."""

UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    RuntimeError,  # encrypted archives
    struct.error,
    tokenize.TokenError,  # headers with brackets left open
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy, `zipfile` and pillow raise for broken files."""

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(path: str | os.PathLike[str], memory: int) -> Array:
    """The array of an `.npy`. Raises `InputError`, without the file's name, if there is none or it exceeds `memory`."""
    data = read_bytes(path, memory)
    try:
        if zipfile.is_zipfile(BytesIO(data)):
            raise ValueError("it is a zip archive; name it .npz")
        return _array(BytesIO(data), len(data), memory)
    except UNREADABLE as error:
        raise unreadable(error) from error


def read_npz(path: str | os.PathLike[str], memory: int) -> dict[str, Array]:
    """The arrays of an `.npz` by name, which together take no more than `memory`.

    Raises `InputError`, without the file's name, for anything else, and for entries that are no arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            announced = sum(entry.file_size for entry in archive.infolist())
            require_room(announced, memory, "what it unpacks to", InputError)
            return dict(_entries(archive, memory))
    except UNREADABLE as error:
        raise unreadable(error) from error


def dtypes(path: str | os.PathLike[str]) -> dict[str, str]:
    """The types of the arrays in an `.npz` by name, or of an `.npy`'s under no name; none of broken files."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return {each.filename.removesuffix(".npy"): _dtype(archive.open(each)) for each in archive.infolist()}
        with open(path, "rb") as file:
            return {"": _dtype(file)}
    except UNREADABLE:
        return {}


def _dtype(file: IO[bytes]) -> str:
    with warnings.catch_warnings(), file:
        warnings.simplefilter("ignore")
        return str(HEADERS[npy.read_magic(file)](file)[2])


def read_bytes(path: str | os.PathLike[str], memory: int) -> bytes:
    """A file's bytes. Raises `InputError`, without the file's name, if it cannot be read or exceeds `memory`."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # of folders, the system complains
            raise ValueError("it is no regular file")
        require_room(status.st_size, memory, "it", InputError)
        return Path(path).read_bytes()
    except UNREADABLE as error:
        raise unreadable(error) from error


def unreadable(error: BaseException) -> InputError:
    """What is wrong with a file, without its name and in one line."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, IsADirectoryError):
        return InputError("cannot be read: it is a folder; give a file")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"cannot be read: {' '.join(reason.split()) or type(error).__name__}")


def _entries(archive: zipfile.ZipFile, memory: int) -> Iterator[tuple[str, Array]]:
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        with archive.open(entry) as file:
            if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
                raise ValueError(f"its entry {name!r} is no array")
            file.seek(0)
            yield name, _array(file, entry.file_size, memory)


def _array(file: IO[bytes], size: int, memory: int) -> Array:
    """The array that a file of `size` bytes holds, if it holds what it announces."""
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"its format is of version {version[0]}.{version[1]}, which is for records")
    with warnings.catch_warnings():  # of headers that Python 2 wrote
        warnings.simplefilter("ignore")
        shape, _, dtype = HEADERS[version](file)
        announced = prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise ValueError("it holds Python objects, not numbers")
        if announced > size:
            raise ValueError(f"it announces {announced} bytes and holds {size}")
        require_room(announced, memory, "it", InputError)
        file.seek(0)
        array: Array = npy.read_array(file, allow_pickle=False)
    return array
