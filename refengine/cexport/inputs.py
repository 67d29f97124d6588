"""The way from a real value, or a pixel, to a model's input, as lines of C that give what `quantize_input` gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..errors import InputError
from ..model import Tensor
from ..numerics.quantize import code_range, quantize
from ..plan import Plan
from ..tensors.inputs import picture_shape, pixel_range
from ..tensors.stats import is_quantized
from ..text import in_c

Number = TypeVar("Number", int, float)

PIXELS = np.arange(256, dtype=np.float32)


def input_lines(plan: Plan, index: int = 0, real_range: tuple[float, float] | None = None) -> str | None:
    """C11 functions for input `index`: `input_from_real` and, where it takes pictures, `input_from_pixel`.

    Every real value, and every pixel from 0 to 255, which are `real_range` (default: as `pixel_range` says), becomes
    what `tensors.inputs.quantize_input` makes of it, bit for bit, on every target with IEEE 754 floats, whether or not
    its compiler contracts products and sums. None for inputs that are neither float32 nor quantised int8, uint8 or
    int16.
    """
    tensor = plan.inputs[index]
    scaled = is_quantized(tensor) and tensor.dtype in ("int8", "uint8", "int16")
    if not scaled and tensor.dtype != "float32":
        return None
    affine = "scale {:.9g}, zero point {}".format(*_affine(tensor)) if scaled else "real values as they are"
    lines = [
        "#include <math.h>",
        "#include <stdint.h>",
        "",
        f"/* input '{in_c(tensor.name)}': {tensor.dtype}, {affine} */",
        *([*_from_real(tensor), ""] if scaled else []),
    ]
    if _takes_pictures(tensor):
        ends = pixel_range(plan, index, real_range)
        lines += _from_pixel(tensor, ends.black, ends.white)
    return "\n".join(lines).rstrip() + "\n"


def _takes_pictures(tensor: Tensor) -> bool:
    try:
        return bool(picture_shape(tensor))
    except InputError:
        return False


def _from_real(tensor: Tensor) -> list[str]:
    """Nearest code, ties away from zero, saturated."""
    scale, zero_point = _affine(tensor)
    low, high = code_range(tensor.dtype)
    return [
        f"static {_c_type(tensor)} input_from_real(float real) {{",
        f"  const float code = roundf(real / {_literal(scale)}){_added(zero_point, _literal)};",
        f"  return ({_c_type(tensor)})(code < {_literal(low)} ? {_literal(low)} : "
        f"code > {_literal(high)} ? {_literal(high)} : code);",
        "}",
    ]


def _from_pixel(tensor: Tensor, black: float, white: float) -> list[str]:
    """One subtraction where that is the same for all 256 pixels, else by real values."""
    body, then = [], "" if tensor.dtype == "float32" else "input_from_real"
    if then:
        codes = quantize(black + PIXELS / np.float32(255) * (white - black), *_affine(tensor), tensor.dtype).astype(int)
        offset = int(codes[0])
        if np.array_equal(codes, PIXELS.astype(int) + offset):
            body = [f"  return ({_c_type(tensor)})(pixel{_added(offset, str)});"]
    return [
        f"/* a pixel: 0 is black and stands for {black:g}, 255 is white and stands for {white:g} */",
        f"static {_c_type(tensor)} input_from_pixel(uint8_t pixel) {{",
        *(body or _real_of_pixel(black, white, then)),
        "}",
    ]


def _real_of_pixel(black: float, white: float, then: str) -> list[str]:
    """The body: black + pixel / 255 · (white − black), each operation rounded to float32."""
    part = "(float)pixel / 255.0f" + (f" * {_literal(white - black)}" if white - black != 1 else "")
    if black == 0:
        return [f"  return {then}({part});"]
    return [
        f"  const volatile float part = {part}; /* volatile: never contracted with the sum */",
        f"  return {then}(part{_added(black, _literal)});",
    ]


def _affine(tensor: Tensor) -> tuple[float, int]:
    assert tensor.quantization is not None
    return tensor.quantization.scale[0], (*tensor.quantization.zero_point, 0)[0]


def _c_type(tensor: Tensor) -> str:
    return "float" if tensor.dtype == "float32" else f"{tensor.dtype}_t"


def _added(value: Number, literal: Callable[[Number], str]) -> str:
    return f" {'-' if value < 0 else '+'} {literal(abs(value))}" if value else ""


def _literal(value: float) -> str:
    """A float32 of C, with all digits that tell."""
    digits = f"{np.float32(value):.9g}"
    return f"{digits}{'' if set('.e') & set(digits) else '.0'}f"
