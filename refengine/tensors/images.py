"""Files into a model's inputs: pictures by pillow, `.npy`, `.npz`, raw bytes, sounds by who hears them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, located
from ..memory import MEMORY, require_room
from ..model import Array, Tensor
from ..plan import Plan
from ..text import counted
from .arrays import UNREADABLE, dtypes, read_bytes, read_npy, read_npz, unreadable
from .batches import takes_pictures
from .digits import Pixels, prepare_digit
from .inputs import PixelRange, picture_shape, pixel_range, pixels_to_input, quantize_input
from .stats import is_quantized

if TYPE_CHECKING:  # pillow is loaded by whoever reads a picture, not by `import refengine`
    from PIL import Image

RAW = {".raw", ".bin"}
SOUND = ".wav"
ARRAYS = {".npy", ".npz", SOUND} | RAW
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # pillow's name for pictures of so many channels
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""What pillow may take a file for: it knows forty formats more, some of which start other programs."""

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pbm", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".webp"}
"""How the names of such files end."""

PIXEL_BYTES = 16
"""Of memory for each pixel of a file: four copies, as it is read, turned, laid on paper and converted."""


def read_inputs(
    plan: Plan,
    paths: Sequence[str],
    *,
    digit: bool = False,
    real_range: tuple[float, float] | None = None,
    real: bool = False,
    hear: Callable[[str], Array] | None = None,
) -> Iterator[tuple[str, tuple[Array, ...]]]:
    """The inferences that files hold: each one's (name, input arrays), ready for `run`; `real` leaves what would be
    quantised as it is, in float32.

    An `.npz` holds all inputs of an inference, by their names or else in their order. Of other files, each holds one
    input: a model of one input runs once per file, a model of k inputs once per k files.

    - `.npy` and `.npz`: arrays of the declared dtype pass unchanged; floating ones are real values, and are quantised;
      uint8 ones are pixels of pictures, for an input that has a picture's shape and another type.
    - `.raw`, `.bin`: the array's bytes, little-endian; a batch if there are several times as many.
    - `.wav`: what `hear` makes of it, see `tasks.audio.Ears`.
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
            yield path, _read_npz(plan, path, real_range, real)
            continue
        with located(path):
            waiting.append(_read_one(plan, path, len(waiting), digit, real_range, real, hear))
        names.append(path)
        if len(waiting) == len(plan.inputs):
            yield " ".join(names), tuple(waiting)
            waiting, names = [], []
    if waiting:
        raise InputError(
            f"the model has {counted(len(plan.inputs), 'input')} ({', '.join(t.name for t in plan.inputs)}), each "
            f"from a file of its own or all from one .npz; {' '.join(names)} gives {len(waiting)}"
        )


def pixel_ranges(
    plan: Plan, paths: Sequence[str], real_range: tuple[float, float] | None = None
) -> tuple[PixelRange, ...]:
    """What black and white stand for in the pictures among `paths`, as `read_inputs` takes them: one for each input."""
    archives = [path for path in paths if Path(path).suffix.lower() == ".npz"]
    each = [path for path in paths if path not in archives]
    count = max(1, len(plan.inputs))
    fed = {i % count for i, path in enumerate(each) if _is_picture(path, plan.inputs[i % count])}
    for types in map(dtypes, archives):
        names = [t.name for t in plan.inputs]
        order = names if types.keys() >= set(names) else list(types)
        fed |= {i for i, (name, t) in enumerate(zip(order, plan.inputs, strict=False)) if _are_pixels(types[name], t)}
    return tuple(pixel_range(plan, index, real_range) for index in sorted(fed))


def _is_picture(path: str, tensor: Tensor) -> bool:
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        return _are_pixels(dtypes(path).get("", ""), tensor)
    return suffix not in ARRAYS


def is_input(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name, or else its beginning, says that `read_inputs` takes it: it may be broken all the same."""
    from PIL import Image

    if Path(path).suffix.lower() in ARRAYS | PICTURES:
        return True
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except (*UNREADABLE, Image.DecompressionBombError):
        return False


def half_blocks(pixels: Pixels) -> list[str]:
    """A grey picture (H×W) as lines of text, two rows of pixels a line: ``▀▄█`` where ink is over half of 255."""
    ink = np.pad(pixels > 127, ((0, pixels.shape[0] % 2), (0, 0)))
    return [
        "".join(" ▀▄█"[top + 2 * bottom] for top, bottom in zip(*rows, strict=True))
        for rows in zip(ink[::2].tolist(), ink[1::2].tolist(), strict=True)
    ]


def _read_one(
    plan: Plan,
    path: str,
    index: int,
    digit: bool,
    real_range: tuple[float, float] | None,
    real: bool,
    hear: Callable[[str], Array] | None,
) -> Array:
    """Input `index` from one file."""
    tensor = plan.inputs[index]
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        return _fitting(plan, read_npy(path, plan.memory), index, real_range, real)
    if suffix in RAW:
        return _from_bytes(read_bytes(path, plan.memory), tensor)
    if suffix == SOUND:
        if hear is None:
            raise InputError("is a sound, and nothing here hears; give .npy")
        return hear(path)
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
    picture = _opened(path, "L" if digit else mode, memory)
    return Image.fromarray(prepare_digit(np.asarray(picture))).convert(mode) if digit else picture


def read_whole(path: str | os.PathLike[str], memory: int = MEMORY) -> Pixels:
    """A picture file as it is, in its own size and upright: uint8 H×W×3. Raises `InputError` as `read_picture` does."""
    return np.asarray(_opened(path, "RGB", memory))


def read_mask(path: str | os.PathLike[str], memory: int = MEMORY) -> Pixels:
    """The class of each pixel, uint8 H×W: a PNG's indices into its palette, or its greys.

    Raises `InputError` for pictures that have neither, such as colours without a palette.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG",)) as file:
                require_room(PIXEL_BYTES * prod(file.size), memory, "the mask", InputError)
                if file.mode not in ("P", "L", "1"):
                    raise ValueError(
                        f"a mask is a PNG of greys or a palette, whose numbers are classes: not {file.mode}"
                    )
                return np.array(file, np.uint8)
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise unreadable(error) from error


def _opened(path: str | os.PathLike[str], mode: str, memory: int) -> Image.Image:
    """A picture file in its own size."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what pillow makes the best of, such as odd metadata
            with Image.open(path, formats=FORMATS) as file:
                pixels = prod(file.size)
                require_room(PIXEL_BYTES * pixels, memory, f"a picture of {pixels:,} pixels", InputError)
                return _converted(file, mode)
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise _no_picture(error) from error


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


def _read_npz(plan: Plan, path: str, real_range: tuple[float, float] | None, real: bool) -> tuple[Array, ...]:
    """All inputs from an archive, by name where it has all their names, else in order."""
    with located(path):
        arrays = read_npz(path, plan.memory)
        names = [tensor.name for tensor in plan.inputs]
        if not arrays.keys() >= set(names):
            if len(arrays) != len(names):
                raise InputError(f"holds {', '.join(arrays) or 'nothing'}; the model's inputs are {', '.join(names)}")
            names = list(arrays)
        return tuple(_fitting(plan, arrays[name], index, real_range, real) for index, name in enumerate(names))


def _are_pixels(dtype: str, tensor: Tensor) -> bool:
    """Whether an array of that type holds pixels: the input has a picture's shape, and other numbers."""
    is_real = tensor.dtype == "float32" or is_quantized(tensor)
    return dtype == "uint8" != tensor.dtype and is_real and takes_pictures(tensor)


def _fitting(plan: Plan, array: Array, index: int, real_range: tuple[float, float] | None, real: bool) -> Array:
    """Real values are quantised, and pixels made such; what has a dtype of its own is left to `run` to judge."""
    tensor = plan.inputs[index]
    if _are_pixels(array.dtype.name, tensor):
        height, width, channels = picture_shape(tensor)
        one = array.shape in ((height, width), (height, width, channels))
        flat = (
            array.shape[1:] == tensor.shape[1:]
        )  # a flattened square, or with the axis of channels that it is without
        pictures = array[np.newaxis] if one else array.reshape(-1, height, width, channels) if flat else array
        return pixels_to_input(plan, pictures, index, real_range, real)
    if array.dtype == plan.inputs[index].dtype or array.dtype.kind != "f":
        return array
    codes = quantize_input(plan, array, index)  # refuses what cannot be
    with np.errstate(over="ignore"):  # what saturates a code may be beyond float32
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
        error = ValueError(
            f"neither a picture ({known}) nor .npy, .npz, .raw, .bin or .wav; of a .csv, --data takes what is in it"
        )
    return unreadable(error)
