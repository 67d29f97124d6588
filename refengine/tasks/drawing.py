"""Boxes and masks on the picture that they were found in, in its own size, as a PNG."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import replacing
from ..memory import MEMORY, require_room
from ..tensors.digits import Pixels
from ..tensors.images import PIXEL_BYTES, read_whole
from ..text import printable
from .detection import Detection
from .segmentation import resized

if TYPE_CHECKING:
    from PIL import Image

GOLDEN = 0.618034
"""A step of hue by which neighbours among classes differ."""

MANY = 256
"""Classes after which colours begin again in masks."""


def colour(label: int) -> tuple[int, int, int]:
    """Bright, and another for each class."""
    red, green, blue = (round(255 * part) for part in hsv_to_rgb(label * GOLDEN % 1, 0.85, 0.95))
    return red, green, blue


def draw_boxes(
    source: str | os.PathLike[str],
    found: Sequence[Detection],
    target: str | os.PathLike[str],
    names: Mapping[int, str],
    memory: int = MEMORY,
) -> None:
    """Write `target`, the picture `source` with a frame around each thing, its class and its score.

    Raises `InputError`, without the file's name, if `source` is no picture.
    """
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(read_whole(source, memory))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default()
    width = max(1, round(min(picture.size) / 150))
    for each in reversed(found):  # the best on top
        top, left, bottom, right = _within(each.box, picture)
        pen.rectangle((left, top, right, bottom), outline=colour(each.label), width=width)
        text = f"{_drawable(names.get(each.label, str(each.label)))} {each.score:.2f}"
        bounds = pen.textbbox((left, top), text, font=font)
        raised = min(top, bounds[3] - top + 2)
        pen.rectangle((left, top - raised, bounds[2] + 2, bounds[3] - raised + 1), fill=colour(each.label))
        pen.text((left + 1, top - raised), text, fill="black", font=font)
    _save(picture, target)


def draw_mask(
    source: str | os.PathLike[str], classes: npt.ArrayLike, target: str | os.PathLike[str], memory: int = MEMORY
) -> None:
    """Write `target`, the picture `source` with the colour of each pixel's class over it; class 0 is left as it is.

    Raises `InputError`, without the file's name, if `source` is no picture.
    """
    from PIL import Image

    pixels = read_whole(source, memory)
    require_room(PIXEL_BYTES * pixels.size, memory, "the mask over a picture of this size", InputError)
    map_ = resized(np.asarray(classes), *pixels.shape[:2])
    paint = np.array([colour(label) for label in range(MANY)], np.uint16)[map_ % MANY]
    mixed: Pixels = np.where((map_ != 0)[..., np.newaxis], (pixels + paint) // 2, pixels).astype(np.uint8)
    _save(Image.fromarray(mixed), target)


def _within(box: Sequence[float], picture: Image.Image) -> tuple[float, ...]:
    """In pixels, and inside the picture; a box that is none at all is at a corner."""
    width, height = picture.size
    ends = np.clip(np.nan_to_num(box), 0, 1) * (height - 1, width - 1, height - 1, width - 1)
    top, left, bottom, right = ends.tolist()
    return top, left, max(top, bottom), max(left, right)


def _drawable(name: str) -> str:
    """What every font has."""
    return printable(name).encode("ascii", "replace").decode()


def _save(picture: Image.Image, target: str | os.PathLike[str]) -> None:
    with replacing(target) as file:
        picture.save(file, format="PNG")
