"""What a tensor's values look like: real units, extremes, zeros, clamped shares, histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..model import Array, Op, Tensor
from ..numerics.quantize import ACTIVATIONS, activation_range, code_range, dequantize, float_activation_range

NARROW = {"int4", "int8", "uint8", "int16", "uint16"}


@dataclass(frozen=True)
class Stats:
    """Of `count` values: codes, or float32 as they are; NaN (`nans` of them) counts in no other figure.

    Shares are in [0, 1]. `zeros` stand for the real value 0; `below` and `above` sit at the ends of what the fused
    activation or the type lets through. `saturation` is their sum without a low end that stands for 0: the zeros of a
    ReLU are what it is for.
    """

    count: int
    nans: int
    min: int | float
    max: int | float
    mean: float
    zeros: float
    below: float
    above: float
    saturation: float


class Bin(NamedTuple):
    """`size` values from `low` to `high`, both included for integers, the last bin's `high` included for floats."""

    low: int | float
    high: int | float
    size: int


def is_quantized(tensor: Tensor) -> bool:
    """Whether the tensor holds integer codes that stand for real values: a bool with a scale does not."""
    return tensor.dtype.lstrip("u").startswith("int") and bool(tensor.quantization and tensor.quantization.scale)


def stats(tensor: Tensor, values: Array, activation: str = "NONE") -> Stats:
    """`values` have any shape that broadcasts against the tensor's quantisation; raises `InputError` if there are none.

    `activation` is the one that clamped them, see `activation_of`.
    """
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    if not known.size:
        raise InputError(f"'{tensor.name}' holds no values")
    low, high = clamp_range(tensor, activation) or (-np.inf, np.inf)
    with np.errstate(all="ignore"):  # the mean of infinities
        mean = float(known.mean(dtype=np.float64))
    zero_point = _along(tensor, _zero_points(tensor), values.ndim)
    below, above = float(np.mean(known <= low)), float(np.mean(known >= high))
    saturation = above + (0.0 if low == np.ravel(zero_point)[0] else below)
    return Stats(
        count=values.size,
        nans=values.size - known.size,
        min=known.min().item(),
        max=known.max().item(),
        mean=mean,
        zeros=float(np.mean(values == zero_point)),
        below=below,
        above=above,
        saturation=saturation,
    )


def histogram(tensor: Tensor, values: Array, bins: int = 16) -> list[Bin]:
    """Counts over the whole range of codes up to 16 bits, else from the smallest to the largest finite value."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return []
    low, high = finite.min().item(), finite.max().item()
    if tensor.dtype in NARROW and (whole := clamp_range(tensor)):
        low, high = map(int, whole)
    if isinstance(low, float):
        edges = np.linspace(low, high, bins + 1).tolist()
        lows, highs = edges[:-1], edges[1:]
    else:
        step = -(-(high - low + 1) // bins)
        lows = list(range(low, high + 1, step))
        highs = [min(start + step - 1, high) for start in lows]
    counts = np.bincount(np.searchsorted(lows[1:], finite.ravel(), side="right"), minlength=len(lows))
    return [Bin(*each) for each in zip(lows, highs, counts.tolist(), strict=True)]


def real_values(tensor: Tensor, codes: Array) -> npt.NDArray[np.float32] | None:
    """What codes of the tensor's shape (or a batch of it) stand for: scale · (code − zero point), per channel if so.

    float32 values are themselves; None where the tensor has no quantisation.
    """
    if tensor.dtype == "float32":
        return codes
    if not is_quantized(tensor):
        return None
    assert tensor.quantization is not None
    scale = _along(tensor, np.array(tensor.quantization.scale), codes.ndim)
    zero_point = _along(tensor, _zero_points(tensor), codes.ndim)
    return dequantize(codes, scale, zero_point)  # type: ignore[arg-type]


def clamp_range(tensor: Tensor, activation: str = "NONE") -> tuple[int | float, int | float] | None:
    """The smallest and largest value that a tensor can take; None for plain integers such as shapes."""
    if tensor.dtype == "float32":
        low, high = float_activation_range(activation)
        return float(low), float(high)
    if not is_quantized(tensor):
        return None
    assert tensor.quantization is not None
    if tensor.dtype == "int4":
        return -8, 7
    if activation == "NONE" or len(tensor.quantization.scale) > 1:
        return code_range(tensor.dtype)
    return activation_range(activation, tensor.dtype, tensor.quantization.scale[0], int(_zero_points(tensor)[0]))


def activation_of(op: Op) -> str:
    """What clamps an operator's output: its fused activation, or itself if it is one."""
    fused: str = op.options.get("fused_activation_function", op.name)
    return fused if fused in ACTIVATIONS else "NONE"


def _zero_points(tensor: Tensor) -> npt.NDArray[np.int64]:
    return np.array((tensor.quantization and tensor.quantization.zero_point) or (0,), np.int64)


def _along(tensor: Tensor, values: Array, rank: int) -> Array:
    """Values per channel, shaped to broadcast along the quantised dimension; a single one as it is."""
    shape = [1] * rank
    if tensor.quantization is not None and len(values) > 1:
        shape[tensor.quantization.quantized_dimension] = len(values)
    return values.reshape(shape)
