"""What LOGISTIC and TANH share: inputs on a fixed-point scale, and TFLM's table of the sigmoid for int16.

Neither reads its output's scale: σ is always in steps of 1/256 or 1/32768, tanh in steps of 1/128 or 1/32768.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from ..errors import require, within_limits
from ..kernel import Draw, Line, Node, Numerics, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import scalar
from ..numerics.fixedpoint import Ints, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from . import _affine, _narrate, _unary


@dataclass(frozen=True, eq=False)
class Params:
    """int8: TFLM's OpData, and the output code of every input code; see `_unary.codes` for their order."""

    input_zero_point: int
    input_range_radius: int
    multiplier: Multiplier
    table: Array


@dataclass(frozen=True, eq=False)
class Params16:
    """int16: TFLM's OpData, and the output code of every input code."""

    input_multiplier: int
    input_left_shift: int
    table: Array


def prepare(input: Tensor, function: Callable[[Ints], Ints], numerics: Numerics) -> Params:
    """`function` takes Q4.27, 4 integer and 27 fractional bits, to codes; inputs of ±15 and more saturate.

    Refuses a scale beyond what `CalculateInputRadius` (quantization_util.cc) can shift by.
    """
    scale, zero_point = _affine.quantized(input)
    multiplier = quantize_multiplier(scale * 2.0**27, numerics.rounding)
    require(
        2.0**-28 <= scale < 2.0**35,
        f"the scale of input '{input.name}' is {scale:g}, for which TFLM's fixed-point numbers have no room; "
        "convert again with representative data",
    )
    radius = (15 << 27) >> int(multiplier.shift)
    x = _unary.codes(input.dtype) - zero_point
    inside = np.abs(x) < radius
    values = function(multiply_by_quantized_multiplier(np.where(inside, x, 0), multiplier))
    table = np.where(inside, values, np.where(x <= -radius, -128, 127)).astype(input.dtype)
    return Params(zero_point, radius, multiplier, table)


def prepare16(
    input: Tensor, output: Tensor, function: Callable[[Ints], Ints], direct: tuple[int, ...], numerics: Numerics
) -> Params16:
    """`function` takes 12288ths to codes; `direct` are the left shifts from 2⁻¹² that TFLM takes without a multiplier.

    Refuses zero points, and an output scale other than 2⁻¹⁵; in LiteRT's usual kernels `direct` shifts, too.
    """
    (scale, *_), (output_scale, *_) = _affine.quantized(input), _affine.quantized(output)
    for tensor in (input, output):
        require(
            _affine.quantized(tensor)[1] == 0,
            f"TFLM's int16 takes a zero point of 0; that of '{tensor.name}' is {_affine.quantized(tensor)[1]}: "
            "convert again",
        )
    require(
        power_of_two(output_scale) == -15,
        f"the scale of int16 output '{output.name}' is {output_scale:g}; it must be 2^-15 = {2**-15:g} "
        "in TFLM: convert again",
    )
    require(
        scale < 2.0**17,
        f"the scale of input '{input.name}' is {scale:g}, for which TFLM's multiplier has no room: convert again",
    )
    exponent = power_of_two(scale)
    if exponent is not None and exponent + 12 in direct:
        within_limits(
            numerics.kernels != "litert",
            f"the scale of int16 input '{input.name}' is {scale:g}: there LiteRT has a function of 16 bits that is not "
            "known to refengine; choose litert-ref or tflm",
        )
        multiplier, shift = 3.0 * 2 ** (exponent + 12), 0
    else:
        multiplier, shift = scale * 4096.0 * 3.0, 0
        while multiplier <= 32767 / 2 and shift <= 30:
            multiplier, shift = multiplier * 2, shift + 1
    require(
        multiplier >= 1,
        f"the scale of input '{input.name}' is {scale:g}, for which TFLM's multiplier is 0: convert again",
    )
    return tabulated16(int(multiplier), shift, function)


def tabulated16(multiplier: int, left_shift: int, function: Callable[[Ints], Ints]) -> Params16:
    """What int16 codes come to: code · `multiplier` / 2^`left_shift` in 12288ths, ties up, then `function`."""
    x = _unary.codes("int16") * multiplier + ((1 << left_shift) >> 1)
    return Params16(multiplier, left_shift, function(wrap32(x) >> left_shift).astype(np.int16))


def power_of_two(scale: float) -> int | None:
    """The exponent of a scale that is a power of two, or within a thousandth of an octave of one.

    Source: `CheckedLog2`, tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    exponent = round(math.log2(scale))
    return exponent if abs(math.log2(scale) - exponent) < 1e-3 else None


def _sigmoid_table() -> Ints:
    """σ(k/24) · 65536 for k = 0 … 255, the last one saturated.

    A chord lies below a concave curve, by at most h²/8 · |σ″|. TFLM's entries lie above the curve by half as much, so
    that linear interpolation errs alike to both sides.
    """
    sigmoid = 1 / (1 + np.exp(-np.arange(256) / 24))
    curvature = sigmoid * (1 - sigmoid) * (1 - 2 * sigmoid)
    table = np.rint(65536 * (sigmoid - curvature / 24**2 / 16)).astype(np.int64)
    table[255] = 65535
    return table


SIGMOID = _sigmoid_table()


def interpolate(distance: Ints, bits: int, limit: int) -> Ints:
    """The sigmoid of |x| · 2¹⁶⁺ᵇⁱᵗˢ for `distance` |x| in units of 2⁻ᵇⁱᵗˢ/24, `limit` beyond the table."""
    cell, part = distance >> bits, distance & ((1 << bits) - 1)
    inside = np.minimum(cell, 254)
    left, right = SIGMOID[inside], SIGMOID[inside + 1]
    return np.where(cell >= 255, limit, (left << bits) + part * (right - left))


def explain_input(p: Params, code: int) -> Generator[Line, None, int | None]:
    """Tell how an int8 code becomes Q4.27, and return that; or None after telling that it saturates."""
    yield _unary.explain_input(code, p.input_zero_point)
    x, radius = code - p.input_zero_point, p.input_range_radius
    if not -radius < x < radius:
        end = -128 if x <= -radius else 127
        yield Line("saturated", f"{x} is not within ±{radius}, which stand for ±15: the end of the range", end)
        return None
    q4 = yield from _narrate.rescale(x, p.multiplier)
    yield Line("fixed point", f"in Q4.27, divided by 2^27: x = {q4 / 2**27:.9f}", q4)
    return q4


def explain_input16(p: Params16, code: int) -> Generator[Line, None, int]:
    """Tell how an int16 code becomes 12288ths, and return that."""
    yield Line("input", f"code {code} · multiplier {p.input_multiplier}", code * p.input_multiplier)
    divisor = 1 << p.input_left_shift
    scaled = scalar.wrap(code * p.input_multiplier + divisor // 2) // divisor
    yield Line("scaled", f"divided by 2^{p.input_left_shift}, ties up; in 12288ths: x = {scaled / 12288:.9f}", scaled)
    return scaled


def explain_table(distance: int, bits: int, limit: int) -> Generator[Line, None, int]:
    """Tell how the sigmoid of `distance` is interpolated, and return it."""
    steps = 1 << bits
    cell, part = divmod(distance, steps)
    if cell >= 255:
        yield Line("table", f"entry {cell} is beyond the table's 255: saturated", limit)
        return limit
    left, right = int(SIGMOID[cell]), int(SIGMOID[cell + 1])
    yield Line("table", f"entry {cell} is 65536 · σ({cell}/24) = {left}, the next {right}", left)
    result = left * steps + part * (right - left)
    yield Line("interpolated", f"{left} · {steps} + {part} · ({right} − {left})", result)
    return result


def example(draw: Draw, make: Toolbox, op: str, dtype: str, output_zero_points: tuple[int, ...]) -> Node:
    """Any rank; scales from those that saturate nothing to those that saturate all but a code."""
    if dtype == "int16":
        near = float(np.float32(2.0**-12 * 1.0005))
        scale = draw(make.sampled_from((2.0**-12, 2.0**-11, near, 2.0**-13, draw(make.scale(2.0**-30, 2.0**4)))))
        input = _affine.draw_input(draw, make, dtype, quantization=Quantization((scale,), (0,)))
        return _unary.node(make, op, {}, input, Quantization((2.0**-15,), (0,)))
    input, output = _affine.draw_input(draw, make, dtype, quantization=make.quantization(dtype, 2.0**-12, 2.0**5)), None
    if dtype == "int8":
        scale = draw(make.sampled_from((2.0**-8, 2.0**-7, draw(make.scale()))))
        output = Quantization((scale,), (draw(make.sampled_from(output_zero_points)),))
    return _unary.node(make, op, {}, input, output)
