"""QUANTIZE: output = clamp(round(input / scale) + zero_point) of floats; codes of one scale into codes of another.

TFLM: `kernels/quantize.cc`, `quantize_common.cc`; `kernels/internal/reference/quantize.h` and `requantize.h`. Floats
are divided in float32, rounded half away from zero and converted to int32. What an infinity, a NaN or a value beyond
int32 becomes is the processor's choice (`Numerics.float_to_int`), and the zero point may wrap around on top of it: on
x86, +10¹⁰ becomes the **lowest** code, or with a negative zero point the highest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, scalar, scalar_float
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, wrap32
from ..numerics.quantize import code_range, product_multiplier
from . import _affine, _litert, _narrate, _unary

NAME = "QUANTIZE"

OUTPUT_TYPES = {
    "float32": ("int8", "int16"),
    "int8": ("int8", "int16", "int32", "uint8"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
    "uint8": ("int8",),
}
"""What TFLM quantises which type into."""

BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0)).view(np.int32)
"""Its bits, as those of every float here."""

SIGN = np.int32(-(2**31))

FITTING = np.float32(2**30)
"""Below it nothing can happen to a float that becomes an int32, nor when a zero point is added."""

BLOCK = 1 << 18
"""How many floats are quantised at once: their temporaries stay in the caches, and calls of NumPy are few."""


@dataclass(frozen=True, eq=False)
class Params:
    """Codes of type `input_dtype` into codes of type `dtype`."""

    input_zero_point: int
    output_zero_point: int
    requantize_output_multiplier: Multiplier
    input_dtype: str
    dtype: str

    @cached_property
    def table(self) -> Array:
        """The result for every code of 8 or 16 bits, ordered as `_unary.codes`; worked out once somebody asks."""
        return _requantized(self, _unary.codes(self.input_dtype))


@dataclass(frozen=True)
class FloatParams:
    """Floats into codes. XNNPACK multiplies by the `inverse` of the scale, and saturates."""

    scale: np.float32
    zero_point: int
    dtype: str
    float_to_int: str
    inverse: np.float32 | None = None


def _operands(node: Node) -> tuple[Tensor, Tensor, float, int]:
    """(input, output, output scale, output zero point)."""
    input, output = _unary.one_each(node)
    require(
        output.dtype in OUTPUT_TYPES[input.dtype],
        f"output '{output.name}' is {output.dtype}; TFLM quantises {input.dtype} into "
        f"{' or '.join(OUTPUT_TYPES[input.dtype])} only: convert again",
    )
    consistent(
        input.shape == output.shape,
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} must have one shape",
    )
    scale, zero_point = _affine.quantized(output)
    require(
        output.quantization is not None and len(output.quantization.scale) == 1,
        f"output '{output.name}' has a scale for each channel; TFLM quantises activations with one: convert again",
    )
    return input, output, scale, zero_point


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses pairs of types that TFLM refuses, per-channel outputs, and a factor of 2³¹ and more."""
    input, output, scale, zero_point = _operands(node)
    input_scale, input_zero_point = _affine.quantized(input)
    multiplier = _multiplier(input_scale, scale, {input.dtype, output.dtype}, numerics)
    _affine.require_shift(multiplier, output)
    return Params(input_zero_point, zero_point, multiplier, input.dtype, output.dtype)


def _multiplier(input_scale: float, scale: float, types: set[str], numerics: Numerics) -> Multiplier:
    """XNNPACK's, from int8 to int8, is in steps of 1/256. Refuses where LiteRT rounds otherwise within vectors."""
    if types == {"int8"} and _litert.takes(numerics, "int8"):
        ratio = _litert.ratio(input_scale, scale)
        if 2**-8 <= ratio <= 128:
            return _litert.in_256ths(ratio)
    within_limits(
        numerics.kernels != "litert" or not types <= {"int8", "uint8"},
        f"LiteRT requantises codes of 8 bits without XNNPACK if uint8 is among them, or the factor not within 1/256 "
        f"and 128 (here {input_scale:g} / {scale:g}); that is not known to refengine: choose a dialect "
        "such as litert-ref or tflm",
    )
    return product_multiplier(input_scale, 1.0, scale, _litert.rounding(numerics, taken=False), "double")


def evaluate(p: Params, input: Array) -> Array:
    """(B, …) codes → (B, …) codes of type `dtype`."""
    return _requantized(p, input.astype(np.int64)) if p.input_dtype == "int32" else _unary.look_up(p.table, input)


def _requantized(p: Params, codes: Array) -> Array:
    """The integer arithmetic itself, on int64; in C each sum is an int32 that may wrap."""
    scaled = multiply_by_quantized_multiplier(wrap32(codes - p.input_zero_point), p.requantize_output_multiplier)
    return np.clip(wrap32(scaled + p.output_zero_point), *code_range(p.dtype)).astype(p.dtype)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM rescales it."""
    code = int(input[at.index])
    centred = scalar.wrap(code - p.input_zero_point)
    yield Line("input", f"code {code} − zero point {p.input_zero_point}", centred)
    scaled = yield from _narrate.rescale(centred, p.requantize_output_multiplier)
    yield from _narrate.finish(scaled, p.output_zero_point, *code_range(p.dtype))


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses outputs other than int8 and int16, and per-channel ones."""
    _, output, scale, zero_point = _operands(node)
    inverse = np.float32(1) / np.float32(scale) if _litert.takes(numerics, output.dtype) else None
    return FloatParams(np.float32(scale), zero_point, output.dtype, numerics.float_to_int, inverse)


def evaluate_float(p: FloatParams, input: Array) -> Array:
    """(B, …) float32 → (B, …) codes of type `dtype`."""
    if p.inverse is not None:
        return _by_inverse(p, input, p.inverse)
    values, codes = input.reshape(-1), np.empty(input.size, p.dtype)
    for start in range(0, input.size, BLOCK):
        codes[start : start + BLOCK] = _codes(p, values[start : start + BLOCK])
    return codes.reshape(input.shape)


def _codes(p: FloatParams, values: Array) -> Array:
    """The codes of some floats, at least one."""
    low, high = code_range(p.dtype)
    with np.errstate(all="ignore"):
        ratio = values / p.scale
        # Truncated, this is the ratio rounded half away from zero for every float32; with 0.5 itself,
        # 0.49999997 would be rounded to 1, and so would odd numbers from 2²³ on to their neighbours.
        ratio += (ratio.view(np.int32) & SIGN | BELOW_HALF).view(np.float32)  # `copysign` takes thrice as long
        if np.maximum.reduce(ratio) < FITTING and np.minimum.reduce(ratio) > -FITTING:
            codes = ratio.clip(low - p.zero_point, high - p.zero_point, out=ratio).astype(np.int32)
            codes += p.zero_point
            return codes
    codes = float32.to_int32(ratio, p.float_to_int)
    codes += np.int32(p.zero_point)  # wraps, as in C
    return np.clip(codes, low, high, out=codes)


def _by_inverse(p: FloatParams, input: Array, inverse: np.float32) -> Array:
    """XNNPACK's codes: ties to even, NaN becomes the largest."""
    low, high = code_range(p.dtype)
    with np.errstate(all="ignore"):
        ratio = np.nan_to_num(input * inverse, nan=np.inf)
    codes: Array = (np.rint(np.clip(ratio, low - p.zero_point, high - p.zero_point)) + p.zero_point).astype(p.dtype)
    return codes


def explain_float(p: FloatParams, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM quantises it."""
    value = np.float32(input[at.index])
    if p.inverse is not None:
        with np.errstate(all="ignore"):
            yield Line("ratio", f"{value:.9g} · {p.inverse:.9g}, the scale's inverse, in float32", value * p.inverse)
        code = int(_by_inverse(p, value[np.newaxis], p.inverse)[0])
        yield Line("code", f"rounded, ties to even, + output zero point {p.zero_point}, saturated", code)
        return
    with np.errstate(all="ignore"):
        ratio = value / p.scale
    yield Line("ratio", f"{value:.9g} / scale {p.scale:.9g} in float32", ratio)
    rounded = scalar_float.round_half_away(float(ratio))
    yield Line("rounded", "to the nearest integer, ties away from zero", rounded)
    whole = scalar_float.to_int32(rounded, p.float_to_int)
    fits = "fits" if whole == rounded else f"does not fit, and {p.float_to_int} makes it {whole}"
    yield Line("int32", f"{rounded:.9g} as an int32: {fits}", whole)
    yield from _narrate.finish(whole, p.zero_point, *code_range(p.dtype))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Every pair of types, scales that shrink and grow the codes, zero points anywhere."""
    output_type = draw(make.sampled_from(OUTPUT_TYPES[dtype]))

    def quantization(of: str) -> Quantization:
        scale = draw(make.scale(2.0**-15, 2.0**15) if draw(make.booleans()) else make.scale())
        return Quantization((scale,), (draw(make.zero_point(of)) if draw(make.booleans()) else 0,))

    input = _affine.draw_input(draw, make, dtype, quantization=None if dtype == "float32" else quantization(dtype))
    return Node(NAME, {}, (input,), (make.tensor(input.shape, output_type, quantization(output_type)),))


FACTS = Facts(
    elementwise=True,
    monotone="each",
    recodes=True,
    computes=OUTPUT_TYPES,
    c_kernels={
        "int8": "quantize_int8",
        "float32": "quantize_float32",
        **dict.fromkeys(("int16", "int32", "uint8"), "requantize"),
    },
)

KERNELS = {
    (NAME, "float32"): Kernel(prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS),
    **{
        (NAME, dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
        for dtype in ("int8", "int16", "int32", "uint8")
    },
}
