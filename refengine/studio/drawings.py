"""What is drawn, dropped, pasted or taken from the data, and what becomes of it before a network sees it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..errors import InputError
from ..execute import frames
from ..model import Array, Tensor
from ..plan import Plan
from ..tasks.audio import Ears
from ..tensors.datasets import bundled_digits
from ..tensors.digits import Pixels, stages
from ..tensors.images import ARRAYS, MODES, open_picture, read_inputs, read_picture
from ..tensors.inputs import PixelRange, noise, picture_shape, pixel_range, pixels_to_input
from ..text import counted
from .asked import Asked
from .recent import Recent

KEPT = 512
"""Drawings that one may come back to."""

MOST = 256 << 20
"""Bytes of them."""

LONGEST = 1000
"""Inferences that one file may hold here."""

SHOWN = 256
"""Pixels along a side of a picture that is shown."""


@dataclass(frozen=True)
class Drawing:
    """What was given: a file's `data` with the `name` it has; or without them sample number `sample`, or noise.

    `digit`: a picture of a digit, to be prepared as MNIST's are.
    """

    name: str = ""
    data: bytes = b""
    digit: bool = False
    sample: int | None = None
    noise: int | None = None

    @property
    def id(self) -> str:
        facts = f"{self.name}|{self.digit}|{self.sample}|{self.noise}|".encode()
        return hashlib.sha256(facts + self.data).hexdigest()[:24]

    @property
    def is_picture(self) -> bool:
        return bool(self.data) and Path(self.name).suffix.lower() not in ARRAYS


class Drawings:
    """The last ones, by their ids."""

    def __init__(self) -> None:
        self._held: Recent[Drawing] = Recent(KEPT, MOST, lambda drawing: len(drawing.data))

    def taken(self, asked: Asked) -> Drawing:
        """The drawing that a request brings along, or names; raises `InputError` if it does neither."""
        if "drawing" in asked.parameters:
            found = self._held.get(asked.text("drawing"))
            if found is None:
                raise InputError("this drawing is not kept any more; draw it again")
            return found
        if "sample" in asked.parameters:
            drawing = Drawing(sample=asked.natural("sample"))
        elif "noise" in asked.parameters:
            drawing = Drawing(noise=asked.natural("noise"))
        elif asked.body:
            drawing = Drawing(_file_name(asked.text("name", "drawing.png")), asked.body, asked.says("digit"))
        else:
            raise InputError("there is nothing drawn: the request brings no file and names no drawing")
        return self._held.put(drawing.id, drawing)


def _file_name(name: str) -> str:
    """A name without folders that every system takes: its suffix tells what it is."""
    stem, dot, suffix = name.replace("\\", "/").rpartition("/")[2].rpartition(".")
    plain = ("".join(c for c in part if c.isascii() and (c.isalnum() or c in " -_()")) for part in (stem, suffix))
    kept = [part[-60:] for part in plain]
    return f"{kept[0] or 'drawing'}.{kept[1]}" if dot and kept[1] else f"{kept[0] or kept[1] or 'drawing'}"


# ---- as a network takes it ------------------------------------------------------------------------------------


def inferences(plan: Plan, drawing: Drawing) -> list[tuple[Array, ...]]:
    """The inputs of each inference that a drawing is for a network: one, but of files that hold several.

    Raises `InputError` for a drawing that the network cannot be fed with.
    """
    if drawing.sample is not None:
        return frames(plan, (pixels_to_input(plan, _fitting(plan, _sample(drawing.sample))),))
    if drawing.noise is not None:
        random = np.random.default_rng(drawing.noise)
        return [tuple(noise(plan, index, random) for index in range(len(plan.inputs)))]
    with _as_file(drawing) as path:
        cases = list(read_inputs(plan, [path], digit=drawing.digit, hear=Ears(plan).hear))
    found = [each for _, arrays in cases for each in frames(plan, arrays)]
    if not 0 < len(found) <= LONGEST:
        raise InputError(f"{drawing.name} holds {counted(len(found), 'inference')}; give from 1 to {LONGEST:,}")
    return found


def _sample(number: int) -> Pixels:
    images, _ = bundled_digits()
    if number >= len(images):
        raise InputError(f"there is no digit {number} in the data; the last is {len(images) - 1}")
    digit: Pixels = images[number]
    return digit


def _fitting(plan: Plan, digit: Pixels) -> Pixels:
    """A grey picture as the network's one input takes pictures, a batch of one."""
    from PIL import Image

    if len(plan.inputs) != 1:
        raise InputError(f"the network has {len(plan.inputs)} inputs, which no single picture feeds; give .npz")
    height, width, channels = picture_shape(plan.inputs[0])
    picture = Image.fromarray(digit).resize((width, height), Image.Resampling.BILINEAR).convert(MODES[channels])
    return np.asarray(picture)[np.newaxis]


def pixels(plan: Plan, drawing: Drawing) -> Pixels:
    """A drawing as the network sees it, before it becomes codes: uint8 H×W, or H×W×C where there are colours.

    Raises `InputError` for what is no picture.
    """
    if drawing.sample is not None:
        sample: Pixels = _fitting(plan, _sample(drawing.sample))[0]
        return sample
    if not drawing.is_picture:
        raise InputError("this is no picture: only those are kept; noise and arrays have no pixels")
    shape = picture_shape(plan.inputs[0])
    with _as_file(drawing) as path:
        return read_picture(path, *shape, digit=drawing.digit, memory=plan.memory)


@contextmanager
def _as_file(drawing: Drawing) -> Iterator[str]:
    """The drawing as a file for a while; complaints name it as it is called."""
    with TemporaryDirectory(prefix="refengine-") as folder:
        path = Path(folder, drawing.name)
        path.write_bytes(drawing.data)
        try:
            yield str(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), drawing.name)) from error


# ---- for people -----------------------------------------------------------------------------------------------


def preparation(plan: Plan, drawing: Drawing) -> list[dict[str, Any]]:
    """What the network saw, step by step: pictures (see `shown`) with a name each, and the `text` to the last ones."""
    if len(plan.inputs) != 1 or not (drawing.is_picture or drawing.sample is not None):
        return []
    height, width, channels = picture_shape(plan.inputs[0])
    steps = [shown(name, pixels) for name, pixels in _way(drawing, channels)]
    ends = pixel_range(plan)
    size = f"{height}×{width}" + (f"×{channels}" if channels > 1 else "")
    return [*steps, {"name": f"as {size} numbers", "text": f"{_told(plan.inputs[0], ends)} ({ends.reason})"}]


def _told(tensor: Tensor, ends: PixelRange) -> str:
    """What black and white become."""
    real = f"black becomes {ends.black:g}, white {ends.white:g}"
    quantization = tensor.quantization
    if tensor.dtype == "float32" or quantization is None or not quantization.scale:
        return real
    return f"{real}, then {tensor.dtype} codes: real / {quantization.scale[0]:.6g} + {(*quantization.zero_point, 0)[0]}"


def _way(drawing: Drawing, channels: int) -> Iterator[tuple[str, Pixels]]:
    if drawing.sample is not None:
        yield f"number {drawing.sample} of the data", _sample(drawing.sample)
        return
    with _as_file(drawing) as path:
        picture = np.asarray(open_picture(path, 1 if drawing.digit else channels))
    yield "given", picture
    if drawing.digit:
        yield from stages(picture)


def shown(name: str, pixels: Pixels) -> dict[str, Any]:
    """A picture for the page: rows of bytes, one or more a pixel; a large one in a smaller size."""
    from PIL import Image

    if max(pixels.shape[:2]) > SHOWN:
        part = SHOWN / max(pixels.shape[:2])
        size = tuple(max(1, round(side * part)) for side in pixels.shape[1::-1])
        pixels = np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BOX))
    height, width, *channels = pixels.shape
    data = b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
    return {"name": name, "height": height, "width": width, "channels": (*channels, 1)[0], "data": data}
