"""LOG_SOFTMAX: output[…, c] = x[…, c] − max x − log Σ_k exp(x[…, k] − max x), along the last axis.

TFLM: `kernels/log_softmax.cc`; the arithmetic in `kernels/internal/reference/log_softmax.h`. From int8 it is gemmlowp's
fixed-point exponential and TFLM's fixed-point logarithm, from float32 the C library's. An int8 output is in steps of
1/16 below code 127.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import floor

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Ints, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, gemmlowp, scalar, scalar_float, scalar_gemmlowp
from ..numerics.fixedpoint import (
    Multiplier,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    wrap32,
)
from . import _affine, _narrate, _unary

INPUT_INTEGER_BITS = 5
ACCUMULATION_INTEGER_BITS = 12
OUTPUT_INTEGER_BITS = 4
"""Differences are Q5.26, the sums of their exponentials Q12.19, results Q4.27 cut to 4 bits."""

MOST_LOGITS = 4095
"""So many exponentials of 0 still fit in Q12.19."""


@dataclass(frozen=True, eq=False)
class Params:
    """From int8. `scaled` and `terms` (256,) are each difference max − x in Q5.26, and its exponential in Q12.19."""

    input_multiplier: Multiplier
    reverse_scaling: Multiplier
    diff_min: int
    scaled: Ints
    terms: Ints


def _operands(node: Node) -> tuple[Tensor, Tensor]:
    """(input, output) after the checks that do not depend on the type."""
    input, output = _unary.operands(node)
    consistent(
        input.shape and input.shape[-1] > 0,
        f"input '{input.name}' {input.shape} must have at least one dimension, and the last one not be empty",
    )
    return input, output


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output quantisation other than 1/16 and 127, tiny scales, and rows whose sum may overflow."""
    input, output = _operands(node)
    (scale, _), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    require(
        (so, zo) == (1 / 16, 127),
        f"output '{output.name}' has scale {so:g} and zero point {zo}; TFLM takes scale 1/16 and zero point 127: "
        "convert again",
    )
    real = scale * 2.0 ** (31 - INPUT_INTEGER_BITS)
    require(
        real > 1,
        f"the scale {scale:g} of input '{input.name}' is not above 2^-26, where TFLM aborts; {_affine.RANGE_ADVICE}",
    )
    require(
        input.shape[-1] <= MOST_LOGITS,
        f"the {input.shape[-1]} exponentials of a row of '{input.name}' may overflow TFLM's 32-bit sum; "
        "keep it in float",
    )
    rounding = "single" if numerics.rounding == "single" else "double"  # XNNPACK has no such operator
    factor = quantize_multiplier(min(real, 2.0 ** (30 if rounding == "single" else 31) - 1), rounding)
    shift = int(factor.shift)
    reverse = quantize_multiplier(2.0 ** (31 - shift) / int(factor.multiplier), rounding)
    diff_min = -floor((2**INPUT_INTEGER_BITS - 1) * 2.0 ** (31 - INPUT_INTEGER_BITS - shift))
    diffs = -np.arange(256)
    scaled = multiply_by_quantized_multiplier(np.maximum(diffs, diff_min), factor)
    exps = np.where(diffs >= diff_min, gemmlowp.exp_on_negative_values(scaled, INPUT_INTEGER_BITS), 0)
    return Params(factor, reverse, diff_min, scaled, rounding_divide_by_pot(exps, ACCUMULATION_INTEGER_BITS))


def evaluate(p: Params, input: Array) -> Array:
    """(B, …, c) codes → (B, …, c) codes, by tables and one logarithm a row."""
    codes = input.view(np.uint8) ^ 0x80
    diffs = codes.max(axis=-1, keepdims=True) - codes
    log_sum = gemmlowp.log_x_for_x_greater_than_or_equal_to_1(p.terms[diffs].sum(axis=-1, keepdims=True))
    lowest = multiply_by_quantized_multiplier(wrap32(log_sum - 2**31), p.reverse_scaling)
    kept = -diffs.astype(np.int64) > np.maximum(p.diff_min - 1, lowest)
    rescaled = rounding_divide_by_pot(p.scaled[diffs] - log_sum, 31 - INPUT_INTEGER_BITS - OUTPUT_INTEGER_BITS)
    return np.where(kept, np.clip(rescaled + 127, -128, 127), -128).astype(np.int8)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM computes it."""
    row = input[at.index[:-1]].tolist()
    largest, mine = max(row), row[at.index[-1]]
    yield Line("maximum", f"the largest of {len(row)} codes; only differences from it count", largest)
    sum_of_exps = 0
    for k, code in enumerate(row):
        exp = 0
        if code - largest >= p.diff_min:
            exp = scalar_gemmlowp.exp_on_negative_values(_scaled(p, code - largest), INPUT_INTEGER_BITS)
        term = scalar.rounding_divide_by_pot(exp, ACCUMULATION_INTEGER_BITS)
        sum_of_exps += term
        yield Line("exponential", f"exp of input[{k}] = {code} − {largest}: {exp} / 2^31, as {term} / 2^19", term)
    yield Line("sum", f"{sum_of_exps} / 2^19 = {sum_of_exps / 2**19:.6f}", sum_of_exps)
    log_sum = scalar_gemmlowp.log_x_for_x_greater_than_or_equal_to_1(sum_of_exps)
    yield Line("logarithm", f"{log_sum} / 2^26 = {log_sum / 2**26:.9f}", log_sum)
    factor = _narrate.factor_at(p.reverse_scaling, 0)
    lowest = scalar.multiply_by_quantized_multiplier(log_sum - 2**31, *factor, p.reverse_scaling.rounding)
    lowest = max(p.diff_min - 1, lowest)
    if mine - largest <= lowest:
        yield Line("lowest", f"{mine} − {largest} is not above {lowest}, below which all is the lowest code", -128)
        return
    scaled = _scaled(p, mine - largest)
    yield Line("difference", f"{mine} − {largest} in Q5.26: {scaled} / 2^26 = {scaled / 2**26:.9f}", scaled)
    result = scalar.rounding_divide_by_pot(scaled - log_sum, 22)
    yield Line("scaled", f"({scaled} − {log_sum}) / 2^22: in steps of 1/16", result)
    yield from _narrate.finish(result, 127, -128, 127)


def _scaled(p: Params, diff: int) -> int:
    """scale · diff in Q5.26."""
    factor = _narrate.factor_at(p.input_multiplier, 0)
    return scalar.multiply_by_quantized_multiplier(diff, *factor, p.input_multiplier.rounding)


def prepare_float(node: Node, numerics: Numerics) -> _unary.FloatParams:
    """Refuses shapes or types that differ."""
    _operands(node)
    return _unary.FloatParams(numerics.libm)


def evaluate_float(p: _unary.FloatParams, input: Array) -> Array:
    """(B, …, c) float32 → (B, …, c) float32; a NaN is no maximum, but the sum shows it to the whole row."""
    with np.errstate(all="ignore"):
        diffs = input - np.fmax.reduce(input, axis=-1, keepdims=True, initial=-float32.FLT_MAX)
        sums = float32.sequential_sum(float32.exp(diffs, p.libm), -1)
        output: Array = diffs - float32.log(sums, p.libm)[..., None]
    return output


def explain_float(p: _unary.FloatParams, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM computes it."""
    row = input[at.index[:-1]]
    largest = np.finfo(np.float32).min
    for x in row:
        largest = x if largest < x else largest
    yield Line("maximum", f"the largest of {len(row)} values; only differences from it count", largest)
    total = np.float32(0)
    with np.errstate(all="ignore"):
        for x in row:
            exp = scalar_float.exp(x - largest, p.libm)
            total += exp
            yield Line("exponential", f"exp({x:.9g} − {largest:.9g}) = {exp:.9g}, running sum {total:.9g}", exp)
        log_sum = scalar_float.log(total, p.libm)
        yield Line("logarithm", f"log {total:.9g}, the exponentials added in order", log_sum)
        mine = row[at.index[-1]]
        yield Line("difference", f"{mine:.9g} − {largest:.9g} − {log_sum:.9g}", mine - largest - log_sum)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank; rows of one to hundreds of logits, from almost equal ones to those that differ by hundreds."""
    row = draw(make.integers(1, draw(make.sampled_from((12, 400)))))
    shape = (*draw(make.shape((0, 3), 3)), row)
    quantization = make.quantization(dtype, 2.0**-24, 2.0**6)
    input = draw(make.input(shape, dtype, quantization, lambda t: len(t.shape) >= 1 and t.shape[-1] <= 400))
    output = Quantization((1 / 16,), (127,)) if dtype == "int8" else None
    return _unary.node(make, "LOG_SOFTMAX", {}, input, output)


FACTS = Facts(
    fixed_output={"int8": (1 / 16, 127)},
    quantized=Quantizing({"int8": 2}),
    c_kernels={t: f"log_softmax_{t}" for t in ("int8", "float32")},
)

KERNELS = {
    ("LOG_SOFTMAX", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("LOG_SOFTMAX", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
