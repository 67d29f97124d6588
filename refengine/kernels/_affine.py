"""A tensor's affine quantisation, real = scale · (code − zero point), as TFLM reads it into `tensor->params`."""

from __future__ import annotations

import math

from ..errors import require
from ..model import Tensor
from ..numerics.fixedpoint import Multiplier
from ..numerics.quantize import code_range


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
        f"tensor '{tensor.name}' is {tensor.dtype} but has no positive scale and zero point; convert the model again",
    )
    require(
        low <= zero_point <= high,
        f"the zero point {zero_point} of tensor '{tensor.name}' is no {tensor.dtype} code; convert the model again",
    )
    return scale, zero_point


def require_shift(multiplier: Multiplier, output: Tensor) -> None:
    """Refuse a factor of 2³¹ and more: C leaves a shift beyond the register undefined."""
    require(
        multiplier.shift <= 31,
        f"the scale of output '{output.name}' is too small for the inputs' scales: their factor is "
        f"2^{multiplier.shift}, and TFLM can shift by 31 bits at most; convert again with representative data",
    )
