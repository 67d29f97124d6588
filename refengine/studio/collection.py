"""Drawings that are kept, with what they are: a data set in a folder, as `evaluate`, `health` and `quantize` take it.

The folder holds `drawings.npz`, with x (uint8, N×H×W or N×H×W×C, as the network sees them, before they become codes)
and y (the classes); where they are of MNIST's size also its two IDX files, under the names of the test images, so that
the folder itself is data.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import write_all
from ..memory import MEMORY
from ..tasks.datasets import classes
from ..tensors.datasets import idx
from ..tensors.digits import SIDE, Pixels

MOST = 10_000
"""Drawings in a folder."""

ARCHIVE = "drawings.npz"
IDX = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


Held = tuple[list[Pixels], list[int]]


class Collection:
    """What is kept in a `folder`, which is made with the first drawing; any thread may add to it."""

    def __init__(self, folder: Path) -> None:
        """Goes on with what the folder holds. Raises `InputError` if that is none of its own."""
        self.folder, self._lock = folder, Lock()
        self._held: Held = ([], [])
        if (folder / ARCHIVE).exists():
            found = classes(str(folder / ARCHIVE), memory=MEMORY)
            if not isinstance(found.x, np.ndarray) or found.x.dtype != np.uint8 or found.x.ndim < 3:
                raise InputError(f"{folder / ARCHIVE}: holds no pictures of the studio's; name another folder (--keep)")
            self._held = list(found.x), found.y.tolist()
        elif any((folder / name).exists() for name in IDX):
            raise InputError(f"{folder}: holds MNIST's files, which are not the studio's; name another folder (--keep)")

    def __len__(self) -> int:
        return len(self._held[1])

    @property
    def held(self) -> tuple[Pixels, npt.NDArray[np.int64]]:
        """The pictures and their classes, as they are now."""
        x, y = self._held
        return np.array(x, np.uint8), np.array(y, np.int64)

    def keep(self, picture: Pixels, label: int) -> None:
        """Add one. Raises `InputError` for another size than the others have, and `OSError` if it cannot be written."""
        with self._lock:
            x, y = self._held
            if x and picture.shape != x[0].shape:
                sizes = ["×".join(map(str, shape)) for shape in (x[0].shape, picture.shape)]
                raise InputError(
                    f"{self.folder} holds pictures of {sizes[0]}, and this one has {sizes[1]}; start the studio with "
                    "another folder (--keep) for it"
                )
            if len(x) >= MOST:
                raise InputError(f"{self.folder} holds {MOST:,} drawings; start again with another folder (--keep)")
            self._write([*x, picture], [*y, label])

    def forget(self, place: int) -> None:
        """Leave one out. Raises `InputError` if it is not there."""
        with self._lock:
            x, y = self._held
            if place >= len(x):
                raise InputError(f"there is no drawing {place}; {len(x)} are kept")
            self._write([*x[:place], *x[place + 1 :]], [*y[:place], *y[place + 1 :]])

    def _write(self, x: list[Pixels], y: list[int]) -> None:
        """All of them at once, or none; what is written is what is held then."""
        self.folder.mkdir(parents=True, exist_ok=True)
        pictures, labels = np.array(x, np.uint8), np.array(y, np.int64)
        files: dict[Any, bytes | str] = {}
        if x:
            files[self.folder / ARCHIVE] = archive(pictures, labels)
        if pictures.shape[1:] == (SIDE, SIDE):
            files |= {self.folder / IDX[0]: idx(pictures), self.folder / IDX[1]: idx(labels.astype(np.uint8))}
        write_all(files)
        for name in (ARCHIVE, *IDX):
            if not x:
                (self.folder / name).unlink(missing_ok=True)
        self._held = x, y


def archive(x: Pixels, y: npt.NDArray[np.int64]) -> bytes:
    """The bytes of an `.npz` with x and y."""
    file = BytesIO()
    np.savez_compressed(file, x=x, y=y)
    return file.getvalue()
