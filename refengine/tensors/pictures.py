"""Arrays as grey pictures: feature maps side by side, in the terminal or as pixels.

A tensor's last axis is its channels (NHWC); each channel is one map. All maps of a picture share one grey scale: black
is the smallest value, white the largest.
"""

from __future__ import annotations

from io import BytesIO
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import replacing
from ..model import Array
from ..text import Styled
from .digits import Pixels
from .images import half_blocks

GREYS = 232, 24
"""The first of xterm's greys, from black to white, and their number."""


def maps(array: Array) -> Array:
    """(count, height, width): the maps of an array of any shape.

    Leading ones do not count. H×W×C are C maps, N×H×W×C are N·C; H×W is one map, and so is a vector, as a square where
    it is one. Raises `InputError` for an empty array and for more dimensions.
    """
    if not array.size:
        raise InputError("there is nothing to show: the array is empty")
    while array.ndim > 1 and len(array) == 1:
        array = array[0]
    match array.ndim:
        case 0 | 1:
            side = isqrt(array.size)
            rows = side if side * side == array.size else 1
            return array.reshape(1, rows, -1)
        case 2:
            return array[np.newaxis]
        case 3:
            return np.moveaxis(array, -1, 0)
        case 4:
            return np.moveaxis(array, -1, 1).reshape(-1, *array.shape[1:3])
    raise InputError(f"an array of shape {array.shape} is no picture; show a part of it")


def grey(values: Array) -> Pixels:
    """0 for the smallest value, 255 for the largest; NaN and a constant picture are black, infinities ends."""
    real = values.astype(np.float64)
    finite = real[np.isfinite(real)]
    if not finite.size:
        return np.zeros(values.shape, np.uint8)
    low, high = finite.min(), finite.max()
    scaled = (np.clip(np.nan_to_num(real, nan=low), low, high) - low) / max(high - low, 1e-300)
    pixels: Pixels = np.rint(scaled * 255).astype(np.uint8)
    return pixels


def mosaic(pictures: Pixels) -> Pixels:
    """(count, H, W) as one nearly square picture, a line of grey between maps."""
    count, height, width = pictures.shape
    columns = min(count, max(1, round((count * (height + 1) / (width + 1)) ** 0.5)))
    rows = -(-count // columns)
    page = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), 128, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = (height + 1) * (i // columns), (width + 1) * (i % columns)
        page[y : y + height, x : x + width] = picture
    return page


def grid(pictures: Pixels, names: list[str], width: int, colour: bool) -> list[str]:
    """Maps as lines of text, as many side by side as fit into `width` columns, each under its name."""
    pictures = _fitting(pictures, width)
    cell = max(pictures.shape[2], *map(len, names))
    across = max(1, (width + 1) // (cell + 1))
    draw = coloured_blocks if colour else half_blocks
    lines: list[str] = []
    for start in range(0, len(pictures), across):
        row = slice(start, start + across)
        gap = " " * (cell - pictures.shape[2] + 1)
        lines.append(" ".join(name.ljust(cell) for name in names[row]).rstrip())
        drawn = (gap.join(parts) for parts in zip(*(draw(picture) for picture in pictures[row]), strict=True))
        lines += [Styled(line) if colour else line.rstrip() for line in drawn]
    return lines


def coloured_blocks(pixels: Pixels) -> list[str]:
    """A grey picture as lines of ``▀`` in xterm's 24 greys, the upper row in front and the lower behind."""
    first, count = GREYS
    codes = first + np.pad(pixels, ((0, pixels.shape[0] % 2), (0, 0))).astype(int) * (count - 1) // 255
    return [
        "".join(f"\x1b[38;5;{top};48;5;{bottom}m▀" for top, bottom in zip(*rows, strict=True)) + "\x1b[0m"
        for rows in zip(codes[::2].tolist(), codes[1::2].tolist(), strict=True)
    ]


def _fitting(pictures: Pixels, width: int) -> Pixels:
    """Pictures no wider than `width`: squares of pixels averaged where they are."""
    factor = -(-pictures.shape[2] // width)
    if factor == 1:
        return pictures
    edges = [(0, -side % factor) for side in pictures.shape[1:]]
    padded: npt.NDArray[np.uint8] = np.pad(pictures, [(0, 0), *edges], mode="edge")
    count, height, width = padded.shape
    tiles = padded.reshape(count, height // factor, factor, width // factor, factor)
    means: Pixels = tiles.mean(axis=(2, 4)).astype(np.uint8)
    return means


def write(pixels: Pixels, path: Path) -> None:
    """A grey picture as a PNG, one pixel an element."""
    with replacing(path) as file:
        file.write(png(pixels))


def png(pixels: Pixels) -> bytes:
    """The bytes of that file."""
    from PIL import Image

    held = BytesIO()
    Image.fromarray(pixels).save(held, format="PNG")
    return held.getvalue()
