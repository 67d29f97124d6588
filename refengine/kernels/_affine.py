"""A tensor's affine quantisation, real = scale · (code − zero point), as TFLM reads it into `tensor->params`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import require, within_limits
from ..kernel import Draw, Numerics, Toolbox
from ..model import Quantization, Tensor
from ..numerics.fixedpoint import Multiplier
from ..numerics.quantize import LEFT_OUT, activation_range, code_range

RANGE_ADVICE = "convert again with data in which that tensor moves or, if it never does, with this operator in float"
"""The way out of a scale that is too small for TFLM."""


def is_quantized(tensor: Tensor) -> bool:
    """Whether the file gives scale and zero point, senseless ones too: TFLM's kTfLiteAffineQuantization."""
    quantization = tensor.quantization
    return quantization is not None and bool(quantization.scale and quantization.zero_point)


def params_of(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point), the first of each; (0.0, 0) unless the file gives both.

    Source: `InitializeTfLiteTensorFromFlatbuffer`, tensorflow/lite/micro/micro_allocator.cc.
    """
    quantization = tensor.quantization
    if quantization is None or not quantization.scale or not quantization.zero_point:
        return 0.0, 0
    return quantization.scale[0], quantization.zero_point[0]


def quantized(tensor: Tensor) -> tuple[float, int]:
    """`params_of` a tensor that needs them; refuses a missing or senseless one, with which TFLM would compute on."""
    scale, zero_point = params_of(tensor)
    low, high = code_range(tensor.dtype)
    require(
        0 < scale < math.inf,
        f"tensor '{tensor.name}' is {tensor.dtype} but has no positive scale and zero point, as TFLM needs; "
        "convert the model again",
    )
    require(
        low <= zero_point <= high,
        f"the zero point {zero_point} of tensor '{tensor.name}' is no {tensor.dtype} code, as TFLM takes it to be; "
        "convert the model again",
    )
    return scale, zero_point


def require_shift(multiplier: Multiplier, output: Tensor) -> None:
    """Refuse a factor of 2³¹ and more: C leaves a shift beyond the register undefined."""
    require(
        multiplier.shift <= 31,
        f"the scale of output '{output.name}' is too small for the inputs' scales: their factor is "
        f"2^{multiplier.shift}, and TFLM can shift by 31 bits at most; {RANGE_ADVICE}",
    )


def fixed_rounding(op: str, numerics: Numerics) -> str:
    """How an operator's integers are rounded that LiteRT never hands to XNNPACK; refuses TFLM with XNNPACK's."""
    rounding = "double" if numerics.kernels == "litert" else numerics.rounding
    within_limits(
        rounding != "xnnpack",
        f"what XNNPACK makes of a quantised {op} is not known to refengine; choose a dialect with rounding=double or "
        "rounding=single",
    )
    return rounding


def draw_input(
    draw: Draw,
    make: Toolbox,
    dtype: str,
    ranks: tuple[int, int] = (0, 5),
    largest: int = 5,
    quantization: Any = None,
    fits: Callable[[Tensor], bool] = lambda tensor: True,
) -> Tensor:
    """For an example: an input with a number of dimensions between two, and any quantisation but a given one.

    A tensor that the graph has already must have that number of dimensions, and `fits` must hold of it.
    """

    def fits_too(tensor: Tensor) -> bool:
        return ranks[0] <= len(tensor.shape) <= ranks[1] and fits(tensor)

    quantization = make.quantization(dtype) if quantization is None else quantization
    input: Tensor = draw(make.input(make.shape(ranks, largest), dtype, quantization, fits_too))
    return input


def real_range(tensor: Tensor) -> tuple[float, float]:
    """The real values of a type's smallest and largest code."""
    scale, zero_point = params_of(tensor)
    low, high = code_range(tensor.dtype)
    return scale * (low - zero_point), scale * (high - zero_point)


def draw_output(
    draw: Draw, make: Toolbox, dtype: str, unit: float, low: float, high: float, extreme: bool = False
) -> Quantization:
    """For an example: the quantisation of results from `low` to `high` that are multiples of about `unit`.

    Mostly it fits them, by a factor that is no power of two or, so that results lie exactly between two codes, by one
    that is; at times they saturate, vanish, are shifted left (by 0 to 7 bits), or 31 bits and more to the right.
    Shifts are more frequent where results are `extreme`.
    """
    least, most = code_range(dtype)
    if dtype == "int16":
        low, high = min(low, -high), max(high, -low)
    unit, fitting = max(unit, 2.0**-60), max(high - low, 2.0**-60) / (most - least)
    usual = *["fits", "fits", "tie"] * 4, "free", "right", "left"
    kind = draw(make.sampled_from(("fits", "left", "left", "right") if extreme else usual))
    if kind == "tie":
        scale = unit * 2.0 ** round(math.log2(fitting / unit))
    elif kind == "right":
        scale = unit * 2.0 ** draw(make.sampled_from((32, 31, 33)))
    elif kind == "left":
        scale = unit * 2.0 ** -draw(make.sampled_from((1, 0, -0.5, 3, 6)))
    else:
        scale = fitting * draw(make.scale(2.0**-0.5, 2.0**1.5) if kind == "fits" else make.scale(2.0**-6, 2.0**6))
    scale = float(np.float32(min(max(scale, unit * 2.0**-6, 2.0**-26), 2.0**60)))
    if kind not in ("fits", "tie"):
        return Quantization((scale,), (draw(make.zero_point(dtype)),))
    return Quantization((scale,), (0 if dtype == "int16" else min(max(round(least - low / scale), least), most),))


def draw_activation(draw: Draw, make: Toolbox, output: Tensor) -> str:
    """For an example: a fused activation, but rarely one that leaves few of the output's codes."""
    kinds = ("NONE", "RELU", "RELU6", "NONE", "RELU_N1_TO_1", "NONE") * 3
    activation: str = draw(make.sampled_from((*kinds, *LEFT_OUT)))
    if output.quantization is not None:
        low, high = activation_range(activation, output.dtype, *quantized(output))
        if high - low < 32 and draw(make.integers(0, 7)) < 7:
            return "NONE"
    return activation
