"""Handwritten digits and trained networks: MNIST's IDX files, and what comes with the package.

An IDX file is a header of big-endian words (a magic number naming the element type and the number of
dimensions, then each dimension) and the elements in row-major order: http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..bundled import DATA
from ..errors import InputError
from ..memory import MEMORY

Bytes = npt.NDArray[np.uint8]

PREFIXES = {"train": "train", "test": "t10k"}


def read_idx(path: str | os.PathLike[str]) -> Bytes:
    """The array of an IDX file of unsigned bytes, gzipped or not: uint8, in its header's shape, read-only.

    Raises `InputError` if the file cannot be read or does not hold exactly what its header announces.
    """
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":  # gzip's magic number: a name may lie
            data = _unpacked(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); fetch the file again") from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise InputError(
            f"{path}: starts with the bytes {data[:4].hex(' ') or '(none)'}, but an IDX file "
            "of unsigned bytes starts with 00 00 08; give one of MNIST's four files"
        )
    header = 4 + 4 * data[3]
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4)]
    try:
        if len(data) != header + math.prod(shape):
            raise ValueError(f"{header + math.prod(shape)} bytes")
        return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
    except ValueError as error:  # NumPy, too, has limits: on the rank and on the product of dimensions
        raise InputError(
            f"{path}: announces {' × '.join(map(str, shape))} elements ({error}), but holds "
            f"{len(data)} bytes; fetch the file again"
        ) from error


def idx(array: Bytes) -> bytes:
    """An IDX file of unsigned bytes that holds `array`, not gzipped."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def _unpacked(data: bytes) -> bytes:
    """What gzip packed, to one byte more than the header announces: it may unpack to a thousand times its size."""
    with gzip.open(io.BytesIO(data)) as file:
        header = file.read(4)
        header += file.read(4 * header[3] if len(header) == 4 else 0)
        announced = math.prod(int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4))
        return header + file.read(min(announced, MEMORY) + 1)


def load_mnist(folder: str | os.PathLike[str], split: str = "test") -> tuple[Bytes, Bytes]:
    """MNIST's split `"test"` or `"train"`: images (uint8, N×28×28, ink is 255) and labels (uint8, N).

    The files in `folder` may bear either of their usual names (`t10k-images-idx3-ubyte`,
    `t10k-images.idx3-ubyte`) and may be gzipped (`….gz`). Raises `InputError` for missing, damaged or
    mismatched files.
    """
    if split not in PREFIXES:
        raise InputError(f"{split!r} is no split of MNIST; choose one of {', '.join(PREFIXES)}")
    return _read_pair(Path(folder), PREFIXES[split])


def bundled_digits() -> tuple[Bytes, Bytes]:
    """The first ten test images of each class: images (uint8, 100×28×28) and labels (uint8, 100)."""
    return _read_pair(DATA, "digits")


def _read_pair(folder: Path, prefix: str) -> tuple[Bytes, Bytes]:
    images_path, labels_path = _find(folder, f"{prefix}-images", 3), _find(folder, f"{prefix}-labels", 1)
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.shape[1:] != (28, 28):
        raise InputError(f"{images_path}: has shape {images.shape}, but MNIST's images are N × 28 × 28")
    if labels.shape != images.shape[:1]:
        raise InputError(f"{labels_path}: has shape {labels.shape}, but {images_path.name} has {len(images)} images")
    return images, labels


def _find(folder: Path, stem: str, rank: int) -> Path:
    names = [f"{stem}{dot}idx{rank}-ubyte{suffix}" for dot in "-." for suffix in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder}: has no file {' or '.join(names)}; give the folder of MNIST's IDX files")
