"""Files into a model's inputs: pictures by pillow, `.npy`, `.npz`, raw bytes; and drawn digits made like MNIST's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError, located
from ..memory import MEMORY, require_room
from ..model import Array, Tensor
from ..plan import Plan
from .arrays import UNREADABLE, read_bytes, read_npy, read_npz, unreadable
from .inputs import PixelRange, picture_shape, pixel_range, pixels_to_input, quantize_input

if TYPE_CHECKING:  # pillow is loaded by whoever reads a picture, not by `import refengine`
    from PIL import Image

Pixels = npt.NDArray[np.uint8]

RAW = {".raw", ".bin"}
ARRAYS = {".npy", ".npz"} | RAW
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # pillow's name for pictures of so many channels
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""What pillow may take a file for: it knows forty formats more, some of which start other programs."""

PIXEL_BYTES = 16
"""Of memory for each pixel of a file: four copies, as it is read, turned, laid on paper and converted."""

CANVAS = 112  # drawings are thickened at this size: the drawing area of AN12603
STROKE = 10.0  # … until strokes are as wide as MNIST's are at that size
BOX, SIDE = 20, 28  # MNIST's digits fit into 20×20 pixels of 28×28
LEAST_CONTRAST = 32  # between paper and ink, of 255


def read_inputs(
    plan: Plan,
    paths: Sequence[str],
    *,
    digit: bool = False,
    real_range: tuple[float, float] | None = None,
    real: bool = False,
) -> Iterator[tuple[str, tuple[Array, ...]]]:
    """The inferences that files hold: each one's (name, input arrays), ready for `run`; `real` leaves what would be
    quantised as it is, in float32.

    An `.npz` holds all inputs of an inference, by their names or else in their order. Of other files, each holds one
    input: a model of one input runs once per file, a model of k inputs once per k files.

    - `.npy` and `.npz`: arrays of the declared dtype pass unchanged; floating ones are real values, and are quantised.
    - `.raw`, `.bin`: the array's bytes, little-endian; a batch if there are several times as many.
    - anything else is a picture: converted to the model's channels (transparent parts are paper, and white), scaled to
      its height and width, valued as `inputs.pixels_to_input` says (`real_range`). `digit` passes it through
      `prepare_digit` first.

    Raises `InputError`, in one sentence that names the file, for what cannot be read or does not fit.
    """
    if not plan.inputs:
        raise InputError("the model takes no input, so no file can be given to it")
    waiting: list[Array] = []
    names: list[str] = []
    for path in paths:
        if Path(path).suffix.lower() == ".npz":
            yield path, _read_npz(plan, path, real)
            continue
        with located(path):
            waiting.append(_read_one(plan, path, len(waiting), digit, real_range, real))
        names.append(path)
        if len(waiting) == len(plan.inputs):
            yield " ".join(names), tuple(waiting)
            waiting, names = [], []
    if waiting:
        raise InputError(
            f"the model has {len(plan.inputs)} inputs ({', '.join(t.name for t in plan.inputs)}), each "
            f"from a file of its own or all from one .npz; {' '.join(names)} gives {len(waiting)}"
        )


def pixel_ranges(
    plan: Plan, paths: Sequence[str], real_range: tuple[float, float] | None = None
) -> tuple[PixelRange, ...]:
    """What black and white stand for in the pictures among `paths`, as `read_inputs` takes them: one for each input."""
    each = [path for path in paths if Path(path).suffix.lower() != ".npz"]
    count = max(1, len(plan.inputs))
    fed = {i % count for i, path in enumerate(each) if Path(path).suffix.lower() not in ARRAYS}
    return tuple(pixel_range(plan, index, real_range) for index in sorted(fed))


def prepare_digit(image: npt.NDArray[np.number]) -> Pixels:
    """A drawn or photographed digit as MNIST has them: grey (H×W, 0 is black) → uint8 28×28, ink is 255.

    After NXP's application note AN12603, whose users draw thin lines on a touch screen:

    1. threshold halfway between the darkest and the lightest grey; the median grey is paper, the other side ink;
    2. crop to the ink, and scale that to a canvas of 112 pixels along its longer side;
    3. thicken by a plus, every pixel of ink inking its four neighbours, until strokes are as wide as MNIST's;
    4. scale to 20 pixels along the longer side, with grey edges, and
    5. put the ink's centre of mass in the middle of 28×28, as MNIST does.

    Raises `InputError` if the array is not a grey picture or hardly has contrast.
    """
    if image.ndim != 2 or not image.size or not np.isfinite(image).all():
        raise InputError(f"a digit is a grey picture, height × width; got an array of shape {image.shape}")
    darkest, lightest = float(image.min()), float(image.max())
    if lightest - darkest < LEAST_CONTRAST:
        raise InputError(f"no digit to be seen: all greys are between {darkest:g} and {lightest:g}")
    threshold = (darkest + lightest) / 2
    ink = image < threshold if np.median(image) > threshold else image > threshold
    ink = _scaled(_cropped(ink), CANVAS) > 0
    while _stroke_width(ink) < STROKE:
        ink = _thickened(ink)
    return _centred(_scaled(ink, BOX))


def half_blocks(pixels: Pixels) -> list[str]:
    """A grey picture (H×W) as lines of text, two rows of pixels a line: ``▀▄█`` where ink is over half of 255."""
    ink = np.pad(pixels > 127, ((0, pixels.shape[0] % 2), (0, 0)))
    return [
        "".join(" ▀▄█"[top + 2 * bottom] for top, bottom in zip(*rows, strict=True))
        for rows in zip(ink[::2].tolist(), ink[1::2].tolist(), strict=True)
    ]


def _read_one(
    plan: Plan, path: str, index: int, digit: bool, real_range: tuple[float, float] | None, real: bool
) -> Array:
    """Input `index` from one file."""
    tensor = plan.inputs[index]
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        return _fitting(plan, read_npy(path, plan.memory), index, real)
    if suffix in RAW:
        return _from_bytes(read_bytes(path, plan.memory), tensor)
    pixels = read_picture(path, *picture_shape(tensor), digit=digit, memory=plan.memory)
    return pixels_to_input(plan, pixels[np.newaxis], index, real_range, real)


def read_picture(
    path: str, height: int, width: int, channels: int = 1, *, digit: bool = False, memory: int = MEMORY
) -> Pixels:
    """A picture file as uint8 H×W (one channel) or H×W×C, scaled to that size; `digit`: through `prepare_digit`.

    Of animations the first frame; turned upright as the camera says. Raises `InputError`, also for a picture whose
    pixels are real numbers or wider than 16 bits, and for one that takes more than `memory`.
    """
    from PIL import Image

    picture = open_picture(path, channels, digit=digit, memory=memory)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def open_picture(path: str, channels: int, *, digit: bool = False, memory: int = MEMORY) -> Image.Image:
    """A picture file as `read_picture` has it, in its own size."""
    from PIL import Image

    mode = MODES[channels]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what pillow makes the best of, such as odd metadata
            with Image.open(path, formats=FORMATS) as file:
                pixels = prod(file.size)
                require_room(PIXEL_BYTES * pixels, memory, f"a picture of {pixels:,} pixels", InputError)
                picture = _converted(file, "L" if digit else mode)
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise _no_picture(error) from error
    return Image.fromarray(prepare_digit(np.asarray(picture))).convert(mode) if digit else picture


def _converted(file: Image.Image, mode: str) -> Image.Image:
    """The picture upright, on white paper, in `mode`."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(file)
    if picture.mode == "F":
        raise InputError("holds real numbers, and does not say which are black and white; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):  # 16 bits a pixel, which pillow would clip
        picture = _of_16_bits(np.asarray(picture))
    if mode != "RGBA" and ("A" in picture.getbands() or "transparency" in picture.info):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert(mode)


def _of_16_bits(values: Array) -> Image.Image:
    """A grey picture of 8 bits, by the upper half of 16."""
    from PIL import Image

    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high > 65535:
        raise InputError(f"holds greys from {low} to {high}, and 16 bits end at 65535; save it with 8 or 16 bits")
    return Image.fromarray((values // 256).astype(np.uint8))


def _read_npz(plan: Plan, path: str, real: bool) -> tuple[Array, ...]:
    """All inputs from an archive, by name where it has all their names, else in order."""
    with located(path):
        arrays = read_npz(path, plan.memory)
        names = [tensor.name for tensor in plan.inputs]
        if not arrays.keys() >= set(names):
            if len(arrays) != len(names):
                raise InputError(f"holds {', '.join(arrays) or 'nothing'}; the model's inputs are {', '.join(names)}")
            names = list(arrays)
        return tuple(_fitting(plan, arrays[name], index, real) for index, name in enumerate(names))


def _fitting(plan: Plan, array: Array, index: int, real: bool) -> Array:
    """Real values are quantised; what has a dtype of its own is left to `run` to judge."""
    if array.dtype == plan.inputs[index].dtype or array.dtype.kind != "f":
        return array
    codes = quantize_input(plan, array, index)  # refuses what cannot be
    return array.astype(np.float32) if real else codes


def _from_bytes(data: bytes, tensor: Tensor) -> Array:
    size = prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
    batch = tensor.shape[:1] == (1,) and len(data) > size
    if not data or len(data) % size or (len(data) != size and not batch):
        raise InputError(f"holds {len(data)} bytes; input '{tensor.name}', {tensor.dtype} {tensor.shape}, has {size}")
    flat = np.frombuffer(data, np.dtype(tensor.dtype).newbyteorder("<")).astype(tensor.dtype)
    return flat.reshape((-1, *tensor.shape[1:]) if batch else tensor.shape)


def _no_picture(error: BaseException) -> InputError:
    """What is wrong with a file that should be a picture, without its name and in one line."""
    if "cannot identify" in str(error):
        known = ", ".join(FORMATS)
        error = ValueError(f"neither a picture ({known}) nor .npy, .npz, .raw or .bin")
    return unreadable(error)


def _cropped(ink: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(ink: npt.NDArray[np.bool_], longer: int) -> Pixels:
    """Ink as grey (255 is all ink), its longer side of so many pixels: each the average of what it covers."""
    from PIL import Image

    height, width = (max(1, round(side * longer / max(ink.shape))) for side in ink.shape)
    grey = Image.fromarray(np.where(ink, np.uint8(255), np.uint8(0)))
    return np.asarray(grey.resize((width, height), Image.Resampling.BOX))


def _thickened(ink: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """One pixel more on every side, by a plus."""
    wide = np.pad(ink, 2)
    return wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]


def _stroke_width(ink: npt.NDArray[np.bool_]) -> float:
    """The mean width of strokes in pixels: a stroke has its area over its length, and two edges of that length."""
    wide = np.pad(ink, 1)
    inside = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return float(2 * ink.sum() / (ink & ~inside).sum())


def _centred(digit: Pixels) -> Pixels:
    """The digit on 28×28, its centre of mass in the middle as far as whole pixels and the border allow."""
    mass = digit / digit.sum()
    corner = [
        int(np.clip(round(SIDE / 2 - float(mass.sum(1 - axis) @ (np.arange(length) + 0.5))), 0, SIDE - length))
        for axis, length in enumerate(digit.shape)
    ]
    picture = np.zeros((SIDE, SIDE), np.uint8)
    picture[corner[0] : corner[0] + digit.shape[0], corner[1] : corner[1] + digit.shape[1]] = digit
    return picture
