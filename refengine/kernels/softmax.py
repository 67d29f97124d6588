"""SOFTMAX: output[…, c] = exp(beta · (x[…, c] − max x)) / Σ_k exp(beta · (x[…, k] − max x)), along the last axis.

TFLM: `kernels/softmax.cc`, `softmax_common.cc`; the arithmetic in `kernels/internal/reference/softmax.h`. From int8 it
is gemmlowp's fixed-point exponential and reciprocal, from int16 two interpolated tables, from float32 the C library's.

From int8 to int8, TFLM halts (`TFLITE_CHECK`, in release builds too) where a row's exponentials sum to 512 or more,
since the shift that follows would not fit 32 bits; CMSIS-NN does not check. Rows below 512 elements cannot get there,
and few above do, for it takes hundreds of logits near the largest. So `prepare` refuses only models whose every row
must get there; otherwise `evaluate` gives what the formula says, the lowest code everywhere (since a probability of
1/512 or less rounds to 0 in steps of 1/256), and `explain` tells that TFLM would halt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from math import floor
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Ints, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, gemmlowp, scalar, scalar_float, scalar_gemmlowp
from ..numerics.fixedpoint import (
    Multiplier,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from ..numerics.float32 import Float32
from ..numerics.quantize import code_range
from . import _affine, _cmsis_nn, _litert, _narrate, _unary

SCALED_DIFF_INTEGER_BITS = 5
ACCUMULATION_INTEGER_BITS = 12
"""Differences are Q5.26, their exponentials Q0.31, the sums of those Q12.19."""

TOLERANCE = float(np.float32(0.001))
"""How far, in proportion, an int16 output's scale may be off the one that TFLM assumes."""


@dataclass(frozen=True, eq=False)
class Params:
    """From int8. `exps` and `terms` (256,) are the exponential of each difference max − x in Q0.31 and Q12.19."""

    input_multiplier: Multiplier
    diff_min: int
    exps: Ints
    terms: Ints
    output_type: str

    @cached_property
    def lists(self) -> tuple[list[int], list[int]]:
        """`exps` and `terms` as Python has them."""
        return self.exps.tolist(), self.terms.tolist()


@dataclass(frozen=True, eq=False)
class TableParams:
    """From int8 in LiteRT. `exps` (256,) is the exponential of each difference max − x in float32."""

    exps: Float32
    output_scale: np.float32
    output_zero_point: int
    output_type: str


@dataclass(frozen=True, eq=False)
class Int16Params:
    """From int16. The tables have 513 entries, int16: e^x over [−10, 0] and 1 / (1 + x) over [0, 1], in Q0.15.

    Probabilities are cut to `highest`; a highest of 16 bits lets that of 1, 32768, wrap to −32768.
    """

    input_multiplier: Multiplier
    exp_lut: Ints
    one_over_one_plus_x_lut: Ints
    highest: int

    @cached_property
    def exps(self) -> npt.NDArray[np.int32]:
        """(65536,): the exponential of each difference max − x in Q0.15; worked out once somebody asks."""
        diffs = multiply_by_quantized_multiplier(-np.arange(1 << 16), self.input_multiplier)
        return _look_up(self.exp_lut, diffs + 32767).astype(np.int32)


@dataclass(frozen=True, eq=False)
class FloatParams:
    """From float32."""

    beta: np.float32
    libm: str


def _operands(node: Node, output_types: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """(input, output) after the checks that do not depend on the type."""
    input, output = _unary.one_each(node)
    require(
        output.dtype in output_types,
        f"output '{output.name}' is {output.dtype}; from {input.dtype} it can be {' or '.join(output_types)} "
        "in TFLM: convert again",
    )
    consistent(
        output.shape == input.shape and input.shape and input.shape[-1] > 0,
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} must have the same shape, of at "
        "least one dimension, and the last one not empty",
    )
    return input, output


def _check_output(output: Tensor, scale: float, zero_point: int, tolerance: float) -> None:
    so, zo = _affine.quantized(output)
    require(
        abs(so - scale) <= tolerance and zo == zero_point,
        f"output '{output.name}' has scale {so:g} and zero point {zo}; TFLM takes scale 1/{round(1 / scale)} and "
        f"zero point {zero_point}: convert again",
    )


def prepare(node: Node, numerics: Numerics) -> Params | TableParams:
    """Refuses output quantisations other than the one fixed for its type, and rows that always or may overflow."""
    input, output = _operands(node, ("int8", "int16"))
    if output.dtype == "int8":
        _check_output(output, 1 / 256, -128, 0)
    else:
        _check_output(output, 1 / 65536, -32768, TOLERANCE / 65536)
    (scale, _), rounding = _affine.quantized(input), _rounding(numerics)
    if numerics.kernels == "litert":
        return _table_params(scale, output, node.options["beta"], numerics.libm)
    real = node.options["beta"] * scale * 2 ** (31 - SCALED_DIFF_INTEGER_BITS)
    require(
        real > 1,
        f"beta {node.options['beta']:g} · scale {scale:g} of input '{input.name}' is not above 2^-26, where TFLM "
        f"aborts; {_affine.RANGE_ADVICE}",
    )
    factor = quantize_multiplier(min(real, 2.0 ** (30 if rounding == "single" else 31) - 1), rounding)
    diff_min = -floor((2**SCALED_DIFF_INTEGER_BITS - 1) * 2.0 ** (31 - SCALED_DIFF_INTEGER_BITS - int(factor.shift)))
    diffs = -np.arange(256)
    scaled = multiply_by_quantized_multiplier(np.maximum(diffs, diff_min), factor)
    exps = np.where(diffs >= diff_min, gemmlowp.exp_on_negative_values(scaled, SCALED_DIFF_INTEGER_BITS), 0)
    terms = rounding_divide_by_pot(exps, ACCUMULATION_INTEGER_BITS)
    length = input.shape[-1]
    require(
        length < 8192,
        f"the {length} exponentials of a row of '{input.name}' may overflow TFLM's 32-bit sum; keep it in float",
    )
    require(
        output.dtype == "int16" or terms[0] + (length - 1) * terms[-1] < 512 << 19,
        f"the exponentials of {length} logits of scale {scale:g} in '{input.name}' always sum to 512 or more, where "
        "TFLM aborts; give the output type int16, or the logits a larger range",
    )
    return Params(factor, diff_min, exps, terms, output.dtype)


def _table_params(scale: float, output: Tensor, beta: float, libm: str) -> TableParams:
    """Source: `PopulateSoftmaxLookupTable`, tensorflow/lite/kernels/internal/optimized/optimized_ops.h."""
    output_scale, zero_point = _affine.quantized(output)
    exps = float32.exp(-np.float32(scale) * np.float32(beta) * np.arange(256).astype(np.float32), libm)
    return TableParams(exps, np.float32(output_scale), zero_point, output.dtype)


def _rounding(numerics: Numerics) -> str:
    """XNNPACK has no softmax of codes: TFLite's own kernels run there."""
    return "single" if numerics.rounding == "single" else "double"


def evaluate(p: Params | TableParams, input: Array) -> Array:
    """(B, …, c) codes → (B, …, c) codes, by table and one reciprocal a row."""
    if isinstance(p, TableParams):
        return _by_table(p, p.exps[_diffs(input)])
    return code_by_code(p, input) if input.size <= FEW_CODES else _in_columns(array_by_array, p, input, p.output_type)


def _in_columns(by_axis: Callable[[Any, Array, int], Array], p: Any, input: Array, dtype: str) -> Array:
    """What `by_axis` makes of (…, c) elements: of many short rows, as columns, over which NumPy's loops run without a
    break, and as many at a time as the cache holds."""
    length = input.shape[-1]
    if length > SHORT or input.size < MANY_ROWS * length:
        return by_axis(p, input, -1)
    rows, step = input.reshape(-1, length), BLOCK // length
    output = np.empty(rows.shape, dtype)
    for start in range(0, len(rows), step):
        columns = np.ascontiguousarray(rows[start : start + step].T)
        output[start : start + step] = by_axis(p, columns, 0).T
    return output.reshape(input.shape)


SHORT, MANY_ROWS = 32, 64
"""Of no more elements, and from so many on, rows are quicker as columns."""

BLOCK = 1 << 17
"""How many elements are computed at once: up to 64 bits each, in a few arrays, and few calls of NumPy."""


def _diffs(input: Array, axis: int = -1) -> Array:
    """How far each code is below its row's largest, along `axis`: uint8."""
    codes = input.view(np.uint8) ^ 0x80
    diffs: Array = np.maximum.reduce(codes, axis=axis, keepdims=True) - codes
    return diffs


FEW_CODES = 32
"""So few codes Python computes in less time than NumPy."""


def code_by_code(p: Params, input: Array) -> Array:
    """`evaluate`, in Python's integers."""
    exps, terms = p.lists
    low, high = code_range(p.output_type)
    unit = ACCUMULATION_INTEGER_BITS + 31 - (high - low).bit_length()
    found: list[int] = []
    for row in input.reshape(-1, input.shape[-1]).tolist():
        largest = max(row)
        diffs = [largest - code for code in row]
        total = sum([terms[diff] for diff in diffs])
        headroom_plus_one = 32 - total.bit_length()
        reciprocal = scalar_gemmlowp.one_over_one_plus_x_for_x_in_0_1((total << headroom_plus_one) - 2**31)
        exponent = unit - headroom_plus_one
        half = 1 << (exponent - 1)
        products = [(reciprocal * exps[diff] + (1 << 30)) >> 31 for diff in diffs]
        found += [min(low + ((product + half) >> exponent), high) for product in products]
    return np.array(found, p.output_type).reshape(input.shape)


def array_by_array(p: Params, input: Array, axis: int = -1) -> Array:
    """`evaluate`, in NumPy's; rows lie along `axis`."""
    diffs = _diffs(input, axis).astype(np.intp)
    sums = np.add.reduce(p.terms.take(diffs), axis=axis, keepdims=True)
    reciprocal, headroom_plus_one = (one_by_one if sums.size <= FEW else all_at_once)(sums)
    num_bits_over_unit = ACCUMULATION_INTEGER_BITS - headroom_plus_one
    low, high = code_range(p.output_type)
    exponent = num_bits_over_unit + 31 - np.iinfo(p.output_type).bits
    codes = p.exps.take(diffs)
    codes *= reciprocal
    # Nothing here is negative, where both of gemmlowp's roundings are ties upwards.
    codes += 1 << 30
    codes >>= 31
    codes += np.int64(1) << (exponent - 1)
    codes >>= exponent
    codes += low
    return np.minimum(codes, high, out=codes).astype(p.output_type)


FEW = 8
"""So few rows' reciprocals Python computes in less time than NumPy, which needs two dozen passes."""


def all_at_once(sums: Ints) -> tuple[Ints, Ints]:
    """(1 / sum in Q0.31, shifted to the left until it is 1 to 2; by how many bits), of rows' sums in Q12.19."""
    headroom_plus_one = 32 - np.frexp(sums)[1].astype(np.int64)  # leading zeros of 32 bits
    return gemmlowp.one_over_one_plus_x_for_x_in_0_1((sums << headroom_plus_one) - 2**31), headroom_plus_one


def one_by_one(sums: Ints) -> tuple[Ints, Ints]:
    """The same."""
    headroom_plus_one = [32 - int(x).bit_length() for x in sums.flat]
    shifted = (int(x) << n for x, n in zip(sums.flat, headroom_plus_one, strict=True))
    reciprocals = [scalar_gemmlowp.one_over_one_plus_x_for_x_in_0_1(x - 2**31) for x in shifted]
    found, bits = np.array([reciprocals, headroom_plus_one], np.int64).reshape(2, *sums.shape)
    return found, bits


def _by_table(p: TableParams, exps: Float32) -> Array:
    """From the exponentials of each row to its codes, each product and sum in float32."""
    inverse = np.float32(1) / (float32.sequential_sum(exps, exps.ndim - 1)[..., np.newaxis] * p.output_scale)
    rounded = float32.round_half_away(exps * inverse)
    output: Array = np.clip(rounded + p.output_zero_point, *code_range(p.output_type)).astype(p.output_type)
    return output


def explain(p: Params | TableParams, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM computes it."""
    row = input[at.index[:-1]].tolist()
    largest = max(row)
    yield Line("maximum", f"the largest of {len(row)} codes; only differences from it count", largest)
    if isinstance(p, TableParams):
        yield from _explain_table(p, [largest - code for code in row], at.index[-1])
        return
    sum_of_exps, mine = 0, 0
    for k, code in enumerate(row):
        exp = _exp(p, code - largest)
        term = scalar.rounding_divide_by_pot(exp, ACCUMULATION_INTEGER_BITS)
        sum_of_exps += term
        mine = exp if k == at.index[-1] else mine
        yield Line("exponential", f"exp of input[{k}] = {code} − {largest}: {exp} / 2^31, as {term} / 2^19", term)
    yield Line("sum", f"{sum_of_exps} / 2^19 = {sum_of_exps / 2**19:.6f}", sum_of_exps)
    headroom_plus_one = 32 - sum_of_exps.bit_length()
    over = ACCUMULATION_INTEGER_BITS - headroom_plus_one
    reciprocal = scalar_gemmlowp.one_over_one_plus_x_for_x_in_0_1((sum_of_exps << headroom_plus_one) - 2**31)
    yield Line("reciprocal", f"2^{over} / {sum_of_exps / 2**19:.6f} = {reciprocal} / 2^31", reciprocal)
    low, high = code_range(p.output_type)
    bits = (high - low).bit_length()
    exponent = over + 31 - bits
    product = scalar.saturating_rounding_doubling_high_mul(reciprocal, mine)
    yield Line("product", f"{mine} · {reciprocal} / 2^31, now 2^{over} times the probability", product)
    quotient = scalar.rounding_divide_by_pot(product, exponent)
    halted = ", where TFLM halts, for the sum reached 512" if exponent > 31 else ""
    yield Line("scaled", f"{product} / 2^{exponent}{halted}: the probability in steps of 2^-{bits}", quotient)
    yield from _narrate.finish(quotient, low, low, high)


def _explain_table(p: TableParams, diffs: list[int], mine: int) -> Iterator[Line]:
    """One element from its row's differences from the largest code."""
    total = np.float32(0)
    for k, diff in enumerate(diffs):
        total = total + p.exps[diff]
        yield Line("exponential", f"exp of input[{k}], {diff} below: {p.exps[diff]:.9g}, running sum", total)
    inverse = np.float32(1) / (total * p.output_scale)
    yield Line("reciprocal", f"of the sum times the output scale {p.output_scale:.9g}", inverse)
    product = p.exps[diffs[mine]] * inverse
    yield Line("product", f"{p.exps[diffs[mine]]:.9g} times that", product)
    rounded = scalar_float.round_half_away(float(product))
    yield Line("rounded", "to the nearest integer, ties away from zero", int(rounded))
    yield from _narrate.finish(int(rounded), p.output_zero_point, *code_range(p.output_type))


def _exp(p: Params, diff: int) -> int:
    """e^(beta · scale · diff) in Q0.31, 0 where TFLM skips the element."""
    if diff < p.diff_min:
        return 0
    multiplier, shift, scale = _narrate.factor_at(p.input_multiplier, 0)
    scaled = scalar.multiply_by_quantized_multiplier(diff, multiplier, shift, scale, p.input_multiplier.rounding)
    return scalar_gemmlowp.exp_on_negative_values(scaled, SCALED_DIFF_INTEGER_BITS)


def prepare_int16(node: Node, numerics: Numerics) -> Int16Params:
    """Refuses zero points, an output scale other than 2⁻¹⁵, and rows whose sum may overflow."""
    input, output = _operands(node, ("int16",))
    _check_output(output, 1 / 32768, 0, TOLERANCE / 32768)
    (scale, zero_point), length = _affine.quantized(input), input.shape[-1]
    require(
        zero_point == 0,
        f"input '{input.name}' has zero point {zero_point}; TFLM's int16 softmax takes 0 only: convert again",
    )
    require(
        length <= 65536,
        f"the {length} exponentials of a row of '{input.name}' may overflow TFLM's 32-bit sum; keep it in float",
    )
    beta = node.options["beta"]
    product = float(np.float32(scale) * np.float32(beta)) if numerics.scale_math == "tflite" else scale * beta
    real = product / (10 / 65535)
    require(
        abs(real) < 2**31,
        f"beta {beta:g} · scale {scale:g} of input '{input.name}' is beyond TFLM's range: convert again",
    )
    tables = _float64_tables() if _litert.speaks(numerics) else _tables()
    highest = 2**16 - 1 if _cmsis_nn.speaks(numerics) else 2**15 - 1
    return Int16Params(quantize_multiplier(real, _rounding(numerics)), *tables, highest)


@cache
def _tables() -> tuple[Ints, Ints]:
    """The int16 tables of e^x and 1 / (1 + x), whose contents are the same with every C library."""
    exps = _table(lambda x: float32.exp(x, "glibc"), 10, 32767, np.float32)
    return exps, _table(lambda x: np.float32(1) / (np.float32(1) + x), 1, -32768, np.float32)


@cache
def _float64_tables() -> tuple[Ints, Ints]:
    """The same tables as TFLite fills them."""
    return _table(np.exp, 10, 32767, np.float64), _table(lambda x: 1 / (1 + x), 1, -32768, np.float64)


def _table(function: Callable[[Array], Array], input_range: int, input_zero_point: int, real: type[Any]) -> Ints:
    """`function` at 513 points over `input_range`, in Q0.15, moved to halve the error between them.

    All in the type `real`. Source: `LUTPopulateInt16`, kernels/internal/common.h.
    """
    scale = real(input_range) / real(65535)
    first, last = scale * real(-32768 - input_zero_point), scale * real(32767 - input_zero_point)
    step = (last - first) / real(512)
    points = first + np.arange(513, dtype=real) * step
    steps_per_unit = real(65536) / real(2)
    ideal = function(points) * steps_per_unit
    middle = float32.round_half_away(function(points[:-1] + step / real(2)) * steps_per_unit)
    samples = float32.round_half_away(ideal)
    interpolated = float32.round_half_away((ideal[1:] + samples[:-1]) / real(2))
    samples[:-1] -= float32.round_half_away((interpolated - middle) / real(2))
    table: Ints = np.clip(samples, -32768, 32767).astype(np.int64)
    return table


def evaluate_int16(p: Int16Params, input: Array) -> Array:
    """(B, …, c) codes → (B, …, c) codes."""
    return (
        code_by_code_int16(p, input)
        if input.size <= FEW_CODES
        else _in_columns(array_by_array_int16, p, input, "int16")
    )


def code_by_code_int16(p: Int16Params, input: Array) -> Array:
    """`evaluate_int16`, in Python's integers."""
    found: list[int] = []
    for row in input.reshape(-1, input.shape[-1]).tolist():
        largest = max(row)
        exps = [p.exps.item(largest - code) for code in row]
        total = sum(exps)
        headroom_plus_one = 32 - total.bit_length()
        shifted_sum = ((total << (headroom_plus_one - 1)) + (1 << 13)) >> 14
        reciprocal = _interpolated(p.one_over_one_plus_x_lut, shifted_sum - (1 << 16) - (1 << 15))
        right_shift = 31 - headroom_plus_one
        half = 1 << (right_shift - 1)
        found += [min(max((exp * reciprocal + half) >> right_shift, 0), p.highest) for exp in exps]
    return np.array(found, np.uint16).view(np.int16).reshape(input.shape)


def array_by_array_int16(p: Int16Params, input: Array, axis: int = -1) -> Array:
    """`evaluate_int16`, in NumPy's; rows lie along `axis`. No product of two numbers in Q0.15 leaves 32 bits."""
    codes = input.view(np.uint16) ^ 0x8000
    exps = p.exps.take(np.maximum.reduce(codes, axis=axis, keepdims=True) - codes)
    sums = np.add.reduce(exps, axis=axis, keepdims=True, dtype=np.int64)
    headroom_plus_one = 32 - np.frexp(sums)[1].astype(np.int64)
    shifted_sums = ((sums << (headroom_plus_one - 1)) + (1 << 13)) >> 14
    reciprocal = _look_up(p.one_over_one_plus_x_lut, shifted_sums - (1 << 16) - (1 << 15))
    right_shift = 31 - headroom_plus_one
    exps *= reciprocal.astype(np.int32)
    exps += (np.int64(1) << (right_shift - 1)).astype(np.int32)
    exps >>= right_shift.astype(np.int32)
    output: Array = exps.clip(0, p.highest, out=exps).astype(np.int16)
    return output


def _look_up(lut: Ints, x: Ints) -> Ints:
    """`x`, clamped to int16, between the two table entries around it."""
    x = np.clip(x, -32768, 32767)
    index = 256 + (x >> 7)
    value: Ints = lut[index] + (((lut[index + 1] - lut[index]) * (x & 127) + 64) >> 7)
    return value


def explain_int16(p: Int16Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM computes it."""
    row = input[at.index[:-1]].tolist()
    largest = max(row)
    yield Line("maximum", f"the largest of {len(row)} codes; only differences from it count", largest)
    multiplier, shift, scale = _narrate.factor_at(p.input_multiplier, 0)
    sum_of_exps, mine = 0, 0
    for k, code in enumerate(row):
        scaled = scalar.multiply_by_quantized_multiplier(
            code - largest, multiplier, shift, scale, p.input_multiplier.rounding
        )
        exp = _interpolated(p.exp_lut, scaled + 32767)
        sum_of_exps += exp
        mine = exp if k == at.index[-1] else mine
        yield Line(
            "exponential",
            f"input[{k}] = {code} − {largest} is {scaled} in steps of 10/65535; its exp, by table: {exp} / 2^15",
            exp,
        )
    yield Line("sum", f"{sum_of_exps} / 2^15 = {sum_of_exps / 2**15:.6f}", sum_of_exps)
    over = sum_of_exps.bit_length() - 16
    normalised = scalar.rounding_divide_by_pot(sum_of_exps << 16 - over, 15)
    yield Line("normalised", f"{sum_of_exps} · 2^{1 - over}: {normalised} / 2^16, between 1 and 2", normalised)
    reciprocal = _interpolated(p.one_over_one_plus_x_lut, normalised - 2**16 - 2**15)
    yield Line("reciprocal", f"1 / {normalised / 2**16:.6f}, by table: {reciprocal} / 2^15", reciprocal)
    quotient = (mine * reciprocal + 2 ** (14 + over)) >> (15 + over)
    yield Line("scaled", f"{mine} · {reciprocal} / 2^{15 + over}, ties up", quotient)
    yield from _narrate.finish(quotient, 0, 0, p.highest)
    if p.highest == 2**16 - 1:
        yield Line("code", "as an int16 keeps it: CMSIS-NN does not saturate", scalar.wrap(quotient, 16))


def _interpolated(lut: Ints, x: int) -> int:
    """The table's value at `x`, clamped to int16: entry 0 stands for −32768, and entries lie 128 apart."""
    entry, offset = divmod(scalar.clamp(x, -32768, 32767) + 32768, 128)
    base, following = lut[entry : entry + 2].tolist()
    return int(base + ((following - base) * offset + 64) // 128)


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses shapes or types that differ."""
    _operands(node, ("float32",))
    return FloatParams(np.float32(node.options["beta"]), numerics.libm)


def evaluate_float(p: FloatParams, input: Array) -> Array:
    """(B, …, c) float32 → (B, …, c) float32; a NaN is no maximum, but the sum shows it to the whole row."""
    return _in_columns(_probabilities, p, input, "float32")


def _probabilities(p: FloatParams, input: Array, axis: int) -> Array:
    """The same of rows that lie along `axis`."""
    with np.errstate(all="ignore"):
        largest = np.fmax.reduce(input, axis=axis, keepdims=True, initial=-float32.FLT_MAX)
        exps = float32.exp((input - largest) * p.beta, p.libm)
        output: Array = exps / np.expand_dims(float32.sequential_sum(exps, axis), axis)
    return output


def explain_float(p: FloatParams, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM computes it."""
    row = input[at.index[:-1]]
    largest = np.finfo(np.float32).min
    for x in row:
        largest = x if largest < x else largest
    yield Line("maximum", f"the largest of {len(row)} values; only differences from it count", largest)
    total, mine = np.float32(0), np.float32(0)
    with np.errstate(all="ignore"):
        for k, x in enumerate(row):
            exp = scalar_float.exp((x - largest) * p.beta, p.libm)
            total += exp
            mine = exp if k == at.index[-1] else mine
            text = f"exp(({x:.9g} − {largest:.9g}) · {p.beta:g}) = {exp:.9g}, running sum {total:.9g}"
            yield Line("exponential", text, exp)
        yield Line("sum", "the exponentials, added in order", total)
        yield Line("quotient", f"{mine:.9g} / {total:.9g}", mine / total)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank; rows of one to hundreds of logits, but fewer than 512, where some data would abort TFLM."""
    row = draw(make.integers(1, draw(make.sampled_from((12, 400)))))
    shape = (*draw(make.shape((0, 3), 3)), row)
    options = {"beta": draw(make.sampled_from((1.0, 0.5, 2.0, 3.25)))}
    quantization = make.quantization(dtype, 2.0**-24, 2.0**6)
    input = draw(make.input(shape, dtype, quantization, lambda t: len(t.shape) >= 1 and t.shape[-1] < 512))
    output_type = draw(make.sampled_from(("int8", "int16"))) if dtype == "int8" else dtype
    output = {
        ("int8", "int8"): Quantization((1 / 256,), (-128,)),
        ("int8", "int16"): Quantization((1 / 65536,), (-32768,)),
        ("int16", "int16"): Quantization((1 / 32768,), (0,)),
    }.get((dtype, output_type))
    return Node("SOFTMAX", options, (input,), (make.tensor(input.shape, output_type, output),))


FACTS = Facts(
    inexact="libm",
    fixed_output={"int8": (1 / 256, -128), "int16": (1 / 32768, 0)},
    computes={"int8": ("int8", "int16")},
    probabilities=True,
    quantized=Quantizing(),
    c_kernels={"int8": "softmax_int8", "float32": "softmax_float32", "int16": "softmax_int16"},
)

KERNELS = {
    ("SOFTMAX", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("SOFTMAX", "int16"): Kernel(prepare_int16, evaluate_int16, explain_int16, partial(example, dtype="int16"), FACTS),
    ("SOFTMAX", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
