"""Every file that refengine writes is written here: all of it or nothing, and what it replaces is there until then."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
from numpy.lib.format import write_array

from .errors import InputError
from .model import Array

PART = ".part"
"""How the names end that files have while they are written."""


@contextmanager
def written_or_told() -> Iterator[None]:
    """Raise what the operating system says of writing as `InputError`, in one sentence with the file's name."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written: {error.strerror or error}") from error
    except ValueError as error:  # of a name that no file can have
        raise InputError(f"a file cannot be written: {error}") from error


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` in the end: not at all if an exception comes before.

    It is written beside and renamed, with the mode of what it replaces; a link stays one. What is no file (a pipe,
    /dev/full), or is what this process prints to, is written to and not replaced. Every `OSError` names `path`.
    """
    try:
        with _direct(path) or _beside(Path(os.path.realpath(path))) as file:
            yield file
            file.flush()
    except OSError as error:
        if error.filename and not str(error.filename).endswith(PART):
            raise  # that of another file
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def write(path: str | PathLike[str], data: bytes | str) -> None:
    """One file, text in UTF-8."""
    write_all({path: data})


def write_all(contents: Mapping[Any, bytes | str]) -> None:
    """Several files, by their paths: none takes its place before all are written."""
    with ExitStack() as stack:
        for path, data in contents.items():
            file = stack.enter_context(replacing(path))
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()


def write_npy(path: str | PathLike[str], array: Array) -> None:
    """What `np.save` writes, but on a pipe too, and never under another name."""
    held = BytesIO()  # NumPy writes to a file by its descriptor, whose errors do not say what is wrong
    write_array(held, array, allow_pickle=False)
    write(path, held.getvalue())


def write_npz(path: str | PathLike[str], arrays: Mapping[str, Array], compressed: bool = False) -> None:
    """What `np.savez` writes, but a name may be any, ``file`` as well."""
    with replacing(path) as file, ZipFile(file, "w", ZIP_DEFLATED if compressed else ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_array(member, np.asanyarray(array), allow_pickle=False)


@contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    part = target.with_name(f".{secrets.token_hex(8)}{PART}")
    try:
        with part.open("xb") as file:
            yield file
        if target.exists():
            shutil.copymode(target, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _direct(path: str | PathLike[str]) -> BinaryIO | None:
    """What `path` names, opened, if that cannot be replaced."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    for number in (1, 2):
        with suppress(OSError):  # closed by the shell
            if os.path.samestat(found, os.fstat(number)):
                return os.fdopen(os.dup(number), "wb")
    return None if stat.S_ISREG(found.st_mode) else open(path, "wb")
