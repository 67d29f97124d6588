"""DIV: output = activation(input1 / input2), the inputs broadcast against each other.

TFLM: `kernels/div.cc`; the quotients in `kernels/internal/reference/div.h`. float32 divides and clamps, so that 1 / 0
is the largest number. int32 cuts off towards zero; Invoke fails on a divisor of 0, and crashes on −2³¹ / −1.

int8 multiplies by a reciprocal in fixed point, and shifts right at the end. Quotients below an eighth of the output's
scale or so need more than 31 bits, for which C defines no shift, and nor do quotients far too large: x86 shifts by that
modulo 32 (and makes the mask for rounding modulo 64), so that what should be the zero point is any code, often the
lowest or the highest; Arm gives one code beside the zero point. Divisors of 0 give something else again; those elements
are masked.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import InferenceError, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization
from ..numerics import float32, gemmlowp, scalar, scalar_gemmlowp
from ..numerics.fixedpoint import (
    Ints,
    Multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap32,
)
from ..numerics.quantize import activation_range
from . import _affine, _broadcast, _litert, _narrate

FACTS = Facts(
    elementwise=True,
    arithmetic="/",
    quantized=Quantizing({"int8": 1}),
    c_kernels={dtype: f"div_{dtype}" for dtype in ("int8", "float32", "int32")},
)


@dataclass(frozen=True, eq=False)
class Params:
    """int8, TFLM's OpDataDiv. `table` holds the result for every pair of codes."""

    input1_zero_point: int
    input2_zero_point: int
    output_zero_point: int
    output_multiplier: Multiplier
    output_activation_min: int
    output_activation_max: int
    processor: str
    table: Array | None = None


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses the dialects whose quotients nobody knows."""
    tensors = _broadcast.operands(node)
    within_limits(
        _litert.rounding(numerics, taken=False) == "double",
        "what int8 quotients are under another rounding than TFLM's usual one is not known to refengine (with a single "
        "rounding, C leaves a quotient of 0 undefined); choose a dialect with rounding=double",
    )
    (s1, z1), (s2, z2), (so, zo) = map(_affine.quantized, tensors)
    single = np.float32(s1) / (np.float32(s2) * np.float32(so))
    real = s1 / (s2 * so) if numerics.scale_math == "double" else float(single)
    require(
        2.0**-64 < real < 2.0**64,
        f"the scales {s1:g}, {s2:g} and {so:g} of '{tensors[0].name}', '{tensors[1].name}' and output "
        f"'{tensors[2].name}' are too far apart for TFLM's shifts; {_affine.RANGE_ADVICE}",
    )
    low, high = activation_range(node.options["fused_activation_function"], "int8", so, zo)
    p = Params(z1, z2, zo, quantize_multiplier(real), low, high, numerics.float_to_int)
    return replace(p, table=_broadcast.tabulate(partial(_quotient, p)))


def evaluate(p: Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) codes → (B, …) codes, masked where the divisor is 0."""
    a, b = _broadcast.aligned(input1, input2)
    codes, by_zero = _broadcast.codes(partial(_quotient, p), p.table, a, b), b == p.input2_zero_point
    return np.ma.array(codes, mask=np.broadcast_to(by_zero, codes.shape)) if by_zero.any() else codes


def _quotient(p: Params, input1: Array, input2: Array) -> Array:
    """The integer arithmetic itself; whatever for divisors of 0."""
    mul = saturating_rounding_doubling_high_mul
    x, divisor = input1.astype(np.int64) - p.input1_zero_point, input2.astype(np.int64) - p.input2_zero_point
    x, divisor = np.where(divisor < 0, -x, x), np.maximum(np.abs(divisor), 1)
    leading = 32 - _bits(divisor)
    inverse = gemmlowp.one_over_one_plus_x_for_x_in_0_1((divisor << leading) - 2**31)
    headroom = 31 - _bits(np.where(x < 0, ~x, x))
    high = mul(mul(wrap32(x << headroom), inverse), p.output_multiplier.multiplier)
    shift = 31 - leading + headroom - p.output_multiplier.shift
    if p.processor == "x86":
        shift, beyond = shift & 63, (high >> (shift & 31)) + (high >= 0)
    else:
        beyond = np.where(high >= 0, 1, -1)
    possible = (shift >= 0) & (shift <= 31)
    scaled = np.where(possible, rounding_divide_by_pot(high, np.where(possible, shift, 0)), beyond)
    output = wrap32(scaled + p.output_zero_point)
    return np.clip(output, p.output_activation_min, p.output_activation_max).astype(np.int8)


def _bits(x: Ints) -> Ints:
    """How many bits each number x ≥ 0 has without leading zeros."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def explain(p: Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """One element, as TFLM divides it."""
    first, second = _broadcast.numbers(at.index, input1, input2)
    x, divisor = first - p.input1_zero_point, second - p.input2_zero_point
    yield Line("input 1", f"code {first} − zero point {p.input1_zero_point}", x)
    yield Line("input 2", f"code {second} − zero point {p.input2_zero_point}", divisor)
    if divisor == 0:
        yield Line("undefined", "C leaves the reciprocal of 0 undefined", 0)
        return
    if divisor < 0:
        x, divisor = -x, -divisor
        yield Line("signs", f"both changed, to divide {x} by {divisor}", x)
    exponent = divisor.bit_length() - 1
    inverse = scalar_gemmlowp.one_over_one_plus_x_for_x_in_0_1((divisor << (31 - exponent)) - 2**31)
    yield Line("reciprocal", f"2^{exponent} / {divisor} = {inverse / 2**31:.9f} in Q0.31", inverse)
    headroom = 31 - (~x if x < 0 else x).bit_length()
    quotient = scalar.saturating_rounding_doubling_high_mul(scalar.wrap(x << headroom), inverse)
    yield Line("quotient", f"{x} · 2^{headroom} times that", quotient)
    multiplier, shift, _ = _narrate.factor_at(p.output_multiplier, 0)
    high = scalar.saturating_rounding_doubling_high_mul(quotient, multiplier)
    yield Line("high multiply", f"times the scales' multiplier {multiplier} / 2^31", high)
    scaled = yield from _shifted_right(high, exponent + headroom - shift, p.processor)
    yield from _narrate.finish(scaled, p.output_zero_point, p.output_activation_min, p.output_activation_max)


def _shifted_right(x: int, bits: int, processor: str) -> Generator[Line, None, int]:
    """Tell how `x` is divided by 2^`bits`, and return that: as gemmlowp's `RoundingDivideByPOT` comes out."""
    if 0 <= bits <= 31:
        result = scalar.rounding_divide_by_pot(x, bits)
        yield Line("scaled", f"divided by 2^{bits}, rounded", result)
    elif processor == "x86":
        result = scalar.rounding_divide_by_pot(x, bits % 64) if bits % 64 < 32 else (x >> bits % 32) + int(x >= 0)
        yield Line("scaled", f"no shift by {bits} bits is defined, and x86 shifts by {bits % 32}", result)
    else:
        result = 1 if x >= 0 else -1
        yield Line("scaled", f"no shift by {bits} bits is defined, and on Arm it comes to this", result)
    return result


# ---- float32, int32 ------------------------------------------------------------------------------------------


def evaluate_float(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) float32 → (B, …) float32."""
    a, b = _broadcast.aligned(input1, input2)
    with np.errstate(all="ignore"):
        quotient = np.divide(a, b, dtype=np.float32)
    return float32.clamp(quotient, p.output_activation_min, p.output_activation_max)


def explain_float(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """One element, as TFLM divides it."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    with np.errstate(all="ignore"):
        quotient = a / b
    yield Line("quotient", f"{a:.9g} / {b:.9g} in float32", quotient)
    yield from _narrate.finish_float(quotient, np.float32(p.output_activation_min), np.float32(p.output_activation_max))


def prepare_int32(node: Node, numerics: Numerics) -> _broadcast.Params:
    """Refuses quantised inputs, as TFLM does, and constant divisors with a zero among them."""
    first, divisor, _ = _broadcast.operands(node)
    for tensor in (first, divisor):
        require(
            not _affine.is_quantized(tensor),
            f"input '{tensor.name}' is int32 with a scale; TFLM divides int32 only unquantised: convert again to int8",
        )
    _broadcast.refuse_zeros(divisor)
    return _broadcast.int32_bounds(node.options["fused_activation_function"])


def evaluate_int32(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) int32 → (B, …) int32. Raises `InferenceError` for inferences that cannot be divided."""
    _broadcast.fail_on_zeros(input2)
    a, b = _broadcast.aligned(input1, input2)
    overflowing = ((a == scalar.INT32_MIN) & (b == -1)).reshape(max(len(a), len(b)), -1).any(axis=1)
    if overflowing.any():
        raise InferenceError("−2147483648 is divided by −1, which int32 has no room for; TFLM crashes", overflowing)
    quotient = np.trunc(a / b).astype(np.int32)  # float64 is exact enough for every pair of int32
    bounded: Array = np.clip(quotient, p.output_activation_min, p.output_activation_max)
    return bounded


def explain_int32(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """One element, as TFLM divides it."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    quotient = scalar.truncated_division(a, b)
    yield Line("quotient", f"{a} / {b}, cut off towards zero", quotient)
    low, high = int(p.output_activation_min), int(p.output_activation_max)
    yield Line("clamp", f"to [{low}, {high}]", scalar.clamp(quotient, low, high))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Integers by constants other than 0; quotients that fit, saturate and vanish."""
    if dtype == "float32":
        return _broadcast.node(draw, make, "DIV", {}, _broadcast.draw_inputs(draw, make, dtype), None)
    zero = draw(make.zero_point("int8")) if dtype == "int8" else 0
    inputs = _broadcast.draw_quotient(draw, make, dtype, without=(zero, -1) if dtype == "int32" else (zero,))
    output = None
    if dtype == "int8":
        inputs = inputs[0], replace(inputs[1], quantization=Quantization((draw(make.scale()),), (zero,)))
        (s1, _), (s2, _) = map(_affine.params_of, inputs)
        factor = draw(make.scale(2.0**-30, 2.0**30) if draw(make.integers(0, 3)) == 3 else make.scale(2.0**-7, 2.0**3))
        output = Quantization((float(np.float32(max(s1 / s2 * factor, 2.0**-26))),), (draw(make.zero_point(dtype)),))
    result = _broadcast.broadcast(make, inputs, output)
    return Node("DIV", {"fused_activation_function": _affine.draw_activation(draw, make, result)}, inputs, (result,))


KERNELS = {
    ("DIV", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("DIV", "float32"): Kernel(
        _broadcast.prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
    ("DIV", "int32"): Kernel(prepare_int32, evaluate_int32, explain_int32, partial(example, dtype="int32"), FACTS),
}
