"""Digits to train on beside MNIST's: what `tools/train.py --add` reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from refengine.errors import InputError
from refengine.tasks.datasets import classes

Images = npt.NDArray[np.uint8]


def with_added(images: Images, labels: Images, data: Sequence[str], repeat: int) -> tuple[Images, Images]:
    """The training images and labels, and behind them those of other `data`, each of them `repeat` times.

    `data` are folders of IDX files (under the names of the test images) or `.npz` files with x and y, such as the
    studio keeps. Raises `InputError` for anything else than pictures of 28×28 and their digits.
    """
    for path in data:
        found = classes(path)
        x = found.x
        if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.shape[1:] != images.shape[1:]:
            kind = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else "files"
            raise InputError(f"{path}: holds {kind}; digits to train on are uint8, N × 28 × 28, ink is 255")
        if not 0 <= found.y.min() <= found.y.max() <= 9:
            raise InputError(f"{path}: holds the classes {found.y.min()} to {found.y.max()}; digits are 0 to 9")
        images = np.concatenate([images, np.repeat(x, repeat, axis=0)])
        labels = np.concatenate([labels, np.repeat(found.y.astype(labels.dtype), repeat)])
    return images, labels
