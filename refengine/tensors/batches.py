"""Arrays of many pictures, rows of values or sequences as a model's one input takes them."""

from __future__ import annotations

from math import prod

import numpy as np

from ..errors import InputError
from ..model import Array, Tensor
from ..plan import Plan
from .inputs import picture_shape, pixels_to_input, quantize_input


def sequences_of(plan: Plan, images: Array, real_range: tuple[float, float] | None = None, real: bool = False) -> Array:
    """(N, T, …) for the input, of pictures (uint8) or what it takes, alone (T is 1) or in sequences, one axis more.

    … is what the input declares, without a leading 1.
    Rows of as many values as the input has will do, too. Real values are quantised, unless `real` leaves them as they
    are, in float32; `real_range` is as for `inputs.pixels_to_input`. Raises `InputError` for a model of several inputs,
    and for arrays that do not fit.
    """
    if len(plan.inputs) != 1:
        raise InputError(f"the model has {len(plan.inputs)} inputs, and x is for models of one")
    if not images.size:
        raise InputError(f"there is nothing in the data, which have the shape {images.shape}")
    (tensor,) = plan.inputs
    images = _unfolded(tensor, images)
    if images.dtype == np.uint8 and (tensor.dtype != "uint8" or takes_pictures(tensor)):
        if _are_sequences(tensor, images):
            each = [pixels_to_input(plan, images[:, t], 0, real_range, real) for t in range(images.shape[1])]
            return np.stack(each, axis=1)
        return pixels_to_input(plan, images, 0, real_range, real)[:, np.newaxis]
    rest = shape_of_one(tensor)
    if rest not in (images.shape[1:], images.shape[2:]):
        raise InputError(f"input '{tensor.name}' takes N × {rest}, or N × T × {rest} of sequences; got {images.shape}")
    codes = quantize_input(plan, images) if images.dtype.kind == "f" else images
    if real and images.dtype.kind == "f":
        codes = images.astype(np.float32)
    return codes[:, np.newaxis] if images.shape[1:] == rest else codes


def shape_of_one(tensor: Tensor) -> tuple[int, ...]:
    """The shape of one inference's input, without a leading 1."""
    return tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape


def _unfolded(tensor: Tensor, images: Array) -> Array:
    """Rows of as many values as an input has, N × values, in its shape: a picture's where they are pixels. Of sequences
    of whole inputs, N × T × 1 × …, the 1 is left out."""
    if images.shape[2:] == tensor.shape != shape_of_one(tensor):
        return images.reshape(*images.shape[:2], *shape_of_one(tensor))
    if images.ndim != 2 or images.shape[1] != prod(shape_of_one(tensor)):
        return images
    is_picture = images.dtype == np.uint8 and takes_pictures(tensor)
    return images.reshape(len(images), *(picture_shape(tensor) if is_picture else shape_of_one(tensor)))


def takes_pictures(tensor: Tensor) -> bool:
    """Whether an input has the shape of a picture."""
    try:
        return bool(picture_shape(tensor))
    except InputError:
        return False


def _are_sequences(tensor: Tensor, images: Array) -> bool:
    """Whether the pictures have one axis more than the model's input makes them have; one picture goes first."""
    if images.ndim < 4:
        return False
    picture = picture_shape(tensor)
    return images.shape[1] > 0 and images.shape[1:] != picture and images.shape[2:] in (picture[:2], picture)
