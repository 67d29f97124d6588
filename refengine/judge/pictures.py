"""One picture file as several inputs: scaled, cropped or made grey by other rules than `read_picture` has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..model import Array
from ..plan import Plan
from ..tensors.images import ARRAYS, open_picture
from ..tensors.inputs import picture_shape, pixel_range
from .sample import Other, Span, sample_between

if TYPE_CHECKING:
    from PIL import Image

Size = tuple[int, int]
"""(height, width)."""

Between = tuple[str, str, Array, Array]
"""A kind of `WAYS`, what goes on after "the input", and the least and the largest pixels (0 … 255) that it may give."""

FILTERS = ("NEAREST", "BOX", "HAMMING", "BICUBIC", "LANCZOS")
"""pillow's, besides the bilinear one, which `read_picture` takes."""

GREYS = {
    "the mean of red, green and blue": (1 / 3, 1 / 3, 1 / 3),
    "red and blue exchanged": (0.114, 0.587, 0.299),
    "the weights of BT.709": (0.2126, 0.7152, 0.0722),
    "red only": (1, 0, 0),
    "green only": (0, 1, 0),
    "blue only": (0, 0, 1),
}
"""How grey is made of colours, where the right weights are 0.299, 0.587 and 0.114."""


def otherwise(
    plan: Plan, index: int, path: str, *, digit: bool = False, real_range: tuple[float, float] | None = None
) -> tuple[Other, ...]:
    """What else a picture may become for input `index`. Nothing where the file is no picture.

    Raises `InputError` as `read_picture` does.
    """
    if Path(path).suffix.lower() in ARRAYS:
        return ()
    height, width, channels = picture_shape(plan.inputs[index])
    picture = open_picture(path, channels, digit=digit, memory=plan.memory)
    ways = [*_scaled(picture, (height, width)), *_cropped(picture, (height, width))]
    if channels == 1 and not digit:
        ways += _greyed(open_picture(path, 3, memory=plan.memory), (height, width))
    ends = pixel_range(plan, index, real_range)

    def real(pixels: Array) -> Array:
        return ends.black + pixels.ravel() / 255.0 * (ends.white - ends.black)

    return tuple(
        (id, says, sample_between(plan, Span.of(real(low), real(high)), index, real_range))
        for id, says, low, high in ways
    )


def _scaled(picture: Image.Image, size: Size) -> Iterator[Between]:
    """By other filters, and by rules that look at two or four pixels only, however many an output pixel covers."""
    from PIL import Image

    height, width = size
    if picture.size == (width, height):
        return
    for name in FILTERS:
        pixels = np.asarray(picture.resize((width, height), Image.Resampling[name]))
        yield "resized otherwise", f"was scaled by pillow's {name}, not its BILINEAR", pixels, pixels
    pixels = np.asarray(picture).reshape(picture.height, picture.width, -1).astype(np.float64)
    first = pixels[_starts(height, picture.height)][:, _starts(width, picture.width)]
    yield "resized otherwise", "was scaled by taking the first of the pixels that each covers", first, first
    for how, place in LINES.items():
        values = _bilinear(pixels, place(height, picture.height), place(width, picture.width))
        says = f"was scaled bilinearly between the four nearest pixels, {how}"
        yield "resized otherwise", says, np.floor(values), np.ceil(values)


def _starts(count: int, of: int) -> Array:
    return np.arange(count) * of // count


LINES: Mapping[str, Callable[[int, int], Array]] = {
    "their centres as they are": lambda count, of: (np.arange(count) + 0.5) * of / count - 0.5,
    "their corners on one another": lambda count, of: np.arange(count) * of / count,
    "the outermost ones on one another": lambda count, of: np.arange(count) * (of - 1) / max(1, count - 1),
}
"""Where output pixels lie among the input's, along one side."""


def _bilinear(pixels: Array, rows: Array, columns: Array) -> Array:
    """Of the four pixels around each place; what lies outside is the edge."""
    for axis, places in enumerate((rows, columns)):
        places = np.clip(places, 0, pixels.shape[axis] - 1)
        below = np.floor(places).astype(np.int64)
        above = np.minimum(below + 1, pixels.shape[axis] - 1)
        part = (places - below).reshape([-1 if i == axis else 1 for i in range(3)])
        pixels = pixels.take(below, axis) * (1 - part) + pixels.take(above, axis) * part
    return pixels


def _cropped(picture: Image.Image, size: Size) -> Iterator[Between]:
    """Another part of the picture, or bars beside it."""
    from PIL import Image

    (height, width), (w, h) = size, picture.size
    boxes: dict[str, tuple[int, int, int, int]] = {}
    if w * height != h * width:
        part = min(w / width, h / height)
        wide, high = round(width * part), round(height * part)
        left, top = (w - wide) // 2, (h - high) // 2
        boxes["was cropped to its middle, and then scaled"] = left, top, left + wide, top + high
        whole = max(w / width, h / height)
        wide, high = round(width * whole), round(height * whole)
        left, top = -((wide - w) // 2), -((high - h) // 2)
        boxes["was scaled with bars on both sides"] = left, top, left + wide, top + high
    if w > width and h > height:
        boxes["is the upper left corner of the picture"] = 0, 0, width, height
        left, top = (w - width) // 2, (h - height) // 2
        boxes["is the middle of the picture, not scaled"] = left, top, left + width, top + height
    for says, box in boxes.items():
        for colour in (0, 128, 255) if "bars" in says else (0,):
            page = Image.new(picture.mode, (box[2] - box[0], box[3] - box[1]), (colour,) * len(picture.getbands()))
            page.paste(picture, (-box[0], -box[1]))
            pixels = np.asarray(page.resize((width, height), Image.Resampling.BILINEAR))
            yield "cropped otherwise", f"{says} ({colour})" if "bars" in says else says, pixels, pixels


def _greyed(picture: Image.Image, size: Size) -> Iterator[Between]:
    """Grey by other weights, scaled before or after: which may be one step of a pixel apart."""
    from PIL import Image

    colours = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR)).astype(np.float64)
    if np.ptp(colours, axis=2).max(initial=0) == 0:
        return
    for says, weights in GREYS.items():
        low, high = (np.clip(colours @ np.array(weights) + by, 0, 255) for by in (-1, 1))
        yield "grey otherwise", f"was made grey by {says}", np.ceil(low), np.floor(high)
