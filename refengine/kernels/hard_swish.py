"""HARD_SWISH: output = input · min(6, max(0, input + 3)) / 6.

TFLM: `kernels/hard_swish.cc`, `hard_swish_common.cc`; the function in `kernels/internal/reference/hard_swish.h`. On
int8 everything happens in 16 bits: the input on a scale 128 times finer; from it, the "reluish" factor, (x + 3) / 6 cut
to [0, 1]; and the product of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Ints, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization
from ..numerics import scalar
from ..numerics.fixedpoint import Multiplier, rounding_divide_by_pot
from . import _affine, _unary

INT16 = (-(2**15), 2**15 - 1)


@dataclass(frozen=True, eq=False)
class Params:
    """TFLM's HardSwishParams, and the output code of every input code; see `_unary.codes` for their order."""

    input_zero_point: int
    output_zero_point: int
    reluish_multiplier_fixedpoint_int16: int
    reluish_multiplier_exponent: int
    output_multiplier_fixedpoint_int16: int
    output_multiplier_exponent: int
    table: Array


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses scales so far apart that TFLM would shift left at the end, or by more than its 16 bits."""
    input, output = _unary.operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    reluish, reluish_exponent = _narrow(_unary.ratio_multiplier((si / 128,), 3 / 32768, numerics.scale_math, "double"))
    final, exponent = _narrow(_unary.ratio_multiplier((si / 128,), so, numerics.scale_math, "double"))
    require(
        -15 <= exponent <= 0 and reluish_exponent >= -15,
        f"the scales of input '{input.name}' and output '{output.name}' are {si:g} and {so:g}: TFLM's 16 bits take "
        "outputs from 1/128 to 512 times the input's scale, and inputs over 2^-22; "
        "convert again with typical data, or with this operator in float",
    )
    p = Params(zi, zo, reluish, reluish_exponent, final, exponent, np.empty(0))
    return replace(p, table=_table(p).astype(input.dtype))


def _narrow(factor: Multiplier) -> tuple[int, int]:
    """A multiplier of 16 bits, and its exponent. Source: `DownScaleInt32ToInt16Multiplier`, hard_swish_common.cc."""
    return min(0x7FFF, (int(factor.multiplier) + 2**15) >> 16), int(factor.shift)


def _table(p: Params) -> Ints:
    """The output code of every int8 code."""

    def high_mul(a: Ints, b: int) -> Ints:
        return (a * b + (1 << 14)) >> 15

    hires = (_unary.codes("int8") - p.input_zero_point) << 7
    preshift = high_mul(hires, p.output_multiplier_fixedpoint_int16)
    left, right = max(p.reluish_multiplier_exponent, 0), max(-p.reluish_multiplier_exponent, 0)
    reluish = np.clip(hires << max(left - 1, 0), *INT16)  # the last left shift comes after the multiplication
    reluish = high_mul(reluish, p.reluish_multiplier_fixedpoint_int16)
    reluish = rounding_divide_by_pot(np.clip(reluish << min(left, 1), *INT16), right)
    product = np.trunc(((reluish + 2**15) >> 1) * preshift / 2**15).astype(np.int64)
    return np.clip(rounding_divide_by_pot(product, -p.output_multiplier_exponent) + p.output_zero_point, -128, 127)


def evaluate(p: Params, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """One element, in 16 bits: the finer input, the factor in [0, 1], the product."""
    x = int(input[at.index]) - p.input_zero_point
    yield _unary.explain_input(int(input[at.index]), p.input_zero_point)
    hires = x * 128
    yield Line("fine input", f"{x} · 128", hires)
    preshift = _high_mul(hires, p.output_multiplier_fixedpoint_int16)
    yield Line("scaled", f"{hires} · {p.output_multiplier_fixedpoint_int16} / 2^15, rounded", preshift)
    exponent, reluish = p.reluish_multiplier_exponent, hires
    if exponent > 1:
        reluish = scalar.clamp(reluish << (exponent - 1), *INT16)
        yield Line("reluish", f"{hires} · 2^{exponent - 1}, within 16 bits", reluish)
    reluish = _high_mul(reluish, p.reluish_multiplier_fixedpoint_int16)
    yield Line("reluish", f"times {p.reluish_multiplier_fixedpoint_int16} / 2^15, rounded", reluish)
    if exponent > 0:
        reluish = scalar.clamp(reluish * 2, *INT16)
        yield Line("reluish", "doubled, within 16 bits", reluish)
    elif exponent < 0:
        reluish = scalar.rounding_divide_by_pot(reluish, -exponent)
        yield Line("reluish", f"divided by 2^{-exponent}, rounded", reluish)
    reluish = (reluish + 32768) // 2
    yield Line("reluish", f"from [-1, 1] to [0, 1]: {reluish / 32768:.6f} in units of 2^-15", reluish)
    product = scalar.truncated_division(reluish * preshift, 32768)
    yield Line("product", f"{reluish} · {preshift} / 2^15, towards zero", product)
    output = scalar.rounding_divide_by_pot(product, -p.output_multiplier_exponent) + p.output_zero_point
    yield Line(
        "output", f"divided by 2^{-p.output_multiplier_exponent}, rounded, + zero point {p.output_zero_point}", output
    )
    yield Line("clamp", "within [-128, 127]", scalar.clamp(output, -128, 127))


def _high_mul(a: int, b: int) -> int:
    """gemmlowp's 16-bit SaturatingRoundingDoublingHighMul for b ≥ 0, which cannot saturate."""
    product = a * b
    return scalar.truncated_division(product + (2**14 if product >= 0 else 1 - 2**14), 2**15)


def evaluate_float(p: _unary.FloatParams, input: Array) -> Array:
    """float32, elementwise; −∞ gives NaN, as −∞ · 0 does."""
    with np.errstate(all="ignore"):
        shifted = input + np.float32(3)
        factor = shifted.clip(np.float32(0), np.float32(6))  # NaN stays, and makes NaN as its own input does
        output: Array = input * factor / np.float32(6)
    return output


def explain_float(p: _unary.FloatParams, at: At, input: Array) -> Iterator[Line]:
    """One element."""
    x = input[at.index]
    yield Line("input", f"x = {x:.9g}", x)
    with np.errstate(all="ignore"):
        shifted = x + np.float32(3)
        yield Line("shifted", f"{x:.9g} + 3", shifted)
        factor = np.float32(0) if not shifted > 0 else min(shifted, np.float32(6))
        yield Line("factor", f"{shifted:.9g} within [0, 6]", factor)
        yield Line("product", f"{x:.9g} · {factor:.9g}", x * factor)
        yield Line("output", f"{x * factor:.9g} / 6", x * factor / np.float32(6))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank; output scales from a 64th of the input's, so that much saturates, to 256 times it."""
    input, output = _affine.draw_input(draw, make, dtype), None
    if dtype == "int8":
        scale = _affine.params_of(input)[0] * draw(make.scale(2.0**-6, 2.0**8))
        output = Quantization((float(np.float32(scale)),), (draw(make.zero_point(dtype)),))
    return _unary.node(make, "HARD_SWISH", {}, input, output)


FACTS = Facts(
    elementwise=True,
    quantized=Quantizing({"int8": 1, "int16": 1}),
    c_kernels={"int8": "lookup", "float32": "hard_swish_float32"},
)

KERNELS = {
    ("HARD_SWISH", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("HARD_SWISH", "float32"): Kernel(
        _unary.prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
