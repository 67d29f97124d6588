"""Real values and pixels into what a model is fed, and back, by the quantisation that its tensors declare."""

from __future__ import annotations

from math import isqrt

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .model import Array, Model, Tensor
from .numerics.quantize import code_range, dequantize, quantize
from .plan import Plan

CONVENTIONS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""The real values (black, white) that networks are usually trained with."""


def quantize_input(source: Plan | Model, x: npt.ArrayLike, index: int = 0) -> Array:
    """Real values as input `index` of the model takes them, any shape.

    float32 inputs take them as they are; integer ones as round(x / scale) + zero point, ties away from zero, clipped to
    the type (see `numerics.quantize.quantize`). Raises `InputError` if the model has no such input, the input has no
    quantisation, or `x` is not numbers.
    """
    tensor = _tensor(source, "input", index)
    values = np.asarray(x)
    if values.dtype.kind not in "fiub":
        raise InputError(f"input '{tensor.name}' takes numbers, got an array of {values.dtype}")
    if tensor.dtype == "float32":
        return values.astype(np.float32)
    return quantize(values, *_affine(tensor), tensor.dtype)


def dequantize_output(source: Plan | Model, y: Array, index: int = 0) -> npt.NDArray[np.float32]:
    """The real values (float32) of what `run` gave for output `index`, any shape: scale · (code − zero point).

    float32 outputs come back as they are. Raises `InputError` if the model has no such output, it has no quantisation,
    or `y` has another dtype than the output.
    """
    tensor = _tensor(source, "output", index)
    if y.dtype != tensor.dtype:
        raise InputError(f"output '{tensor.name}' is {tensor.dtype}, got {y.dtype}")
    return y if tensor.dtype == "float32" else dequantize(y, *_affine(tensor))


def pixels_to_input(
    plan: Plan,
    pixels: npt.NDArray[np.uint8],
    index: int = 0,
    real_range: tuple[float, float] | None = None,
    real: bool = False,
) -> Array:
    """N pictures (uint8, N×H×W or N×H×W×C) as a batch for input `index`: (N, *its shape without the leading 1).

    Black (0) becomes real_range[0], white (255) real_range[1] (default: `pixel_range`), then codes as `quantize_input`
    makes them; `real` leaves them as they are, in float32. Raises `InputError` if the input takes no pictures or others
    than these.
    """
    tensor = _tensor(plan, "input", index)
    height, width, channels = picture_shape(tensor)
    pictures = pixels if pixels.ndim == 4 else pixels[..., np.newaxis]
    if pictures.shape[1:] != (height, width, channels):
        raise InputError(
            f"input '{tensor.name}' takes pictures of {height}×{width}×{channels}, "
            f"got {'×'.join(map(str, pictures.shape[1:]))}"
        )
    black, white = real_range or pixel_range(tensor)
    levels = black + np.arange(256, dtype=np.float32) / np.float32(255) * (white - black)
    values = levels.astype(np.float32) if real else quantize_input(plan, levels, index)
    return values[pixels].reshape(len(pixels), *tensor.shape[1:])


def picture_shape(tensor: Tensor) -> tuple[int, int, int]:
    """(height, width, channels) of an input that takes pictures: 1×H×W×C, 1×H×W, or 1×n² for a flattened square.

    Raises `InputError` for any other shape.
    """
    match tensor.shape:
        case (1, height, width, (1 | 3 | 4) as channels):
            return height, width, channels
        case (1, height, width):
            return height, width, 1
        case (1, n) if n > 1 and isqrt(n) ** 2 == n:
            return isqrt(n), isqrt(n), 1
    raise InputError(f"input '{tensor.name}' has shape {tensor.shape}, not a picture's; give .npy, .npz or raw values")


def pixel_range(tensor: Tensor) -> tuple[float, float]:
    """The real values that black and white stand for, as far as the file tells.

    float32: (0, 1). Integers: the real values of the smallest and largest code, or the one of `CONVENTIONS` that they
    are within 2 % of, as calibration leaves them. int16 codes are symmetric around 0 by definition, so that black is
    taken as 0 there; a network trained on (−1, 1) must be told so.
    """
    if tensor.dtype == "float32":
        return CONVENTIONS[0]
    low, high = dequantize(np.array(code_range(tensor.dtype)), *_affine(tensor)).tolist()
    found = (0.0 if tensor.dtype == "int16" else low, high)
    tolerance = 0.02 * (high - low)
    return next((usual for usual in CONVENTIONS if np.allclose(usual, found, rtol=0, atol=tolerance)), found)


def _tensor(source: Plan | Model, kind: str, index: int) -> Tensor:
    graph = source.graph if isinstance(source, Plan) else source.graphs[0]
    indices = graph.inputs if kind == "input" else graph.outputs
    if not 0 <= index < len(indices):
        raise InputError(f"the model has no {kind} {index}: it has {len(indices)}, counted from 0")
    return graph.tensors[indices[index]]


def _affine(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point)."""
    if tensor.quantization is None or not tensor.quantization.scale:
        raise InputError(
            f"'{tensor.name}' is {tensor.dtype} without quantisation: its values are what they are; "
            "neither quantise nor dequantise them"
        )
    return tensor.quantization.scale[0], (*tensor.quantization.zero_point, 0)[0]
