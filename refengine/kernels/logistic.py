"""LOGISTIC: output = σ(input) = 1 / (1 + e^−input).

TFLM: `kernels/logistic.cc`, `logistic_common.cc`; the functions in
`kernels/internal/reference/{integer_ops/,}logistic.h`. int8 takes gemmlowp's exponential and quotient, int16 a table
with linear interpolation, float32 the C library's exponential.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Facts, Kernel, Line, Node, Numerics, Quantizing
from ..model import Array, Quantization
from ..numerics import float32, gemmlowp, scalar, scalar_float, scalar_gemmlowp
from ..numerics.fixedpoint import Ints, rounding_divide_by_pot
from ..numerics.float32 import Float32
from . import _affine, _litert, _lut, _sigmoid, _unary

LIMIT = 0x7FFF << 10
"""What int16 saturates to beyond the table: 1 − 2⁻¹⁵ in units of 2⁻²⁵."""

CUTOFF_UPPER, CUTOFF_LOWER = np.float32(16.619047), np.float32(-9)
"""Where float32 takes 1, and e^x, for σ(x)."""


def prepare(node: Node, numerics: Numerics) -> _sigmoid.Params | _lut.Params:
    """Refuses an output zero point other than −128; in TFLite an output scale other than 1/256."""
    input, output = _unary.operands(node)
    scale, zero_point = _affine.quantized(output)
    if _litert.takes(numerics, "int8"):
        return _lut.prepare(node, _sigmoid_double, "e^x / (1 + e^x) in float64", None)
    table = partial(_lut.prepare, function=partial(_sigmoid_float, libm=numerics.libm), told="1 / (1 + e^-x)")
    if _litert.speaks(numerics):
        require(
            scale == 1 / 256,
            f"the scale of int8 output '{output.name}' is {scale:g}; LOGISTIC's must be 1/256 in TFLite: convert again",
        )
        return table(node, float_to_int=numerics.float_to_int)
    require(
        zero_point == -128,
        f"the zero point of int8 output '{output.name}' is {zero_point}; LOGISTIC's must be -128 "
        "in TFLM: convert again",
    )
    if numerics.kernels == "esp-nn":  # TFLite's table, but whatever the output's scale is
        fixed = replace(output, quantization=Quantization((1 / 256,), (zero_point,)))
        return table(node._replace(outputs=(fixed,)), float_to_int=numerics.float_to_int)
    return _sigmoid.prepare(input, _logistic, numerics)


def _logistic(x: Ints) -> Ints:
    """σ of Q4.27 as codes in steps of 1/256."""
    exp = gemmlowp.exp_on_negative_values(-np.abs(x), 4)
    upper = gemmlowp.one_over_one_plus_x_for_x_in_0_1(exp)
    sigmoid = np.select([x > 0, x < 0], [upper, gemmlowp.ONE - upper], 1 << 30)
    return np.clip(rounding_divide_by_pot(sigmoid, 23) - 128, -128, 127)


def _sigmoid_double(x: Float32) -> Float32:
    """σ(x) as XNNPACK fills its table."""
    exp = np.exp(np.clip(x, -100, 100).astype(np.float64))
    sigmoid: Float32 = np.where(x > 100, 1, np.where(x < -100, 0, exp / (1 + exp))).astype(np.float32)
    return sigmoid


def _sigmoid_float(x: Float32, libm: str) -> Float32:
    """σ(x) as TFLite fills its table."""
    sigmoid: Float32 = np.float32(1) / (np.float32(1) + float32.exp(-x, libm))
    return sigmoid


def evaluate(p: _sigmoid.Params | _sigmoid.Params16 | _lut.Params, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def explain(p: _sigmoid.Params | _lut.Params, at: At, input: Array) -> Iterator[Line]:
    """One element: σ(|x|) from e^−|x|, reflected for negative x."""
    if isinstance(p, _lut.Params):
        yield from _lut.explain(p, at, input)
        return
    x = yield from _sigmoid.explain_input(p, int(input[at.index]))
    if x is None:
        return
    exp = scalar_gemmlowp.exp_on_negative_values(-abs(x), 4)
    yield Line("exponential", f"e^-|x| = {exp / 2**31:.9f} in Q0.31", exp)
    sigmoid = scalar_gemmlowp.one_over_one_plus_x_for_x_in_0_1(exp) if x else 2**30
    yield Line("quotient", f"1 / (1 + e^-|x|) = {sigmoid / 2**31:.9f}", sigmoid)
    if x < 0:
        sigmoid = scalar.INT32_MAX - sigmoid
        yield Line("reflection", f"1 minus that, for x is negative: {sigmoid / 2**31:.9f}", sigmoid)
    steps = scalar.rounding_divide_by_pot(sigmoid, 23)
    yield Line("256ths", f"{sigmoid} / 2^23 = {sigmoid / 2**23:.6f}, rounded", steps)
    yield Line("code", f"{steps} − 128, at most 127", scalar.clamp(steps - 128, -128, 127))


def prepare16(node: Node, numerics: Numerics) -> _sigmoid.Params16:
    """Refuses zero points, and an output scale other than 2⁻¹⁵."""
    return _sigmoid.prepare16(*_unary.operands(node), logistic16, (0,), numerics)


def logistic16(x: Ints) -> Ints:
    """σ of 12288ths as codes in steps of 1/32768."""
    sigmoid = _sigmoid.interpolate(np.abs(x), 9, LIMIT)
    return np.where(x >= 0, sigmoid + 512, (1 << 25) - sigmoid + 511) >> 10


def explain16(p: _sigmoid.Params16, at: At, input: Array) -> Iterator[Line]:
    """One element: σ(|x|) interpolated, reflected for negative x."""
    x = yield from _sigmoid.explain_input16(p, int(input[at.index]))
    sigmoid = yield from _sigmoid.explain_table(abs(x), 9, LIMIT)
    yield Line("sigmoid", f"σ(|x|) = {sigmoid / 2**25:.9f} in units of 2^-25", sigmoid)
    if x < 0:
        yield Line("code", f"(2^25 − {sigmoid}) / 2^10 for negative x, ties down", (2**25 - sigmoid + 511) // 1024)
    else:
        yield Line("code", f"{sigmoid} / 2^10, ties up", (sigmoid + 512) // 1024)


def evaluate_float(p: _unary.FloatParams, input: Array) -> Array:
    """float32, elementwise."""
    far = input < CUTOFF_LOWER
    exp = float32.exp(float32.select(far, input, -input), p.libm)
    with np.errstate(over="ignore"):
        sigmoid = float32.select(far, exp, np.float32(1) / (np.float32(1) + exp))
    return float32.select(input > CUTOFF_UPPER, 1, sigmoid)


def explain_float(p: _unary.FloatParams, at: At, input: Array) -> Iterator[Line]:
    """One element: which of three formulas, and its value."""
    x = input[at.index]
    yield Line("input", f"x = {x:.9g}", x)
    if x > CUTOFF_UPPER:
        yield Line("sigmoid", f"x is over {CUTOFF_UPPER:.9g}: 1", np.float32(1))
    elif x < CUTOFF_LOWER:
        yield Line("sigmoid", f"x is under {CUTOFF_LOWER:g}: e^x", scalar_float.exp(x, p.libm))
    else:
        exp = scalar_float.exp(-x, p.libm)
        yield Line("exponential", f"e^-x = {exp:.9g}", exp)
        yield Line("sigmoid", f"1 / (1 + {exp:.9g})", np.float32(1) / (np.float32(1) + exp))


_example = partial(_sigmoid.example, op="LOGISTIC", output_zero_points=(-128,))

FACTS = Facts(
    elementwise=True,
    inexact="libm",
    fixed_output={"int8": (1 / 256, -128), "int16": (1 / 32768, 0)},
    probabilities=True,
    quantized=Quantizing(),
    c_kernels={"int8": "lookup", "int16": "logistic_int16", "float32": "logistic_float32"},
)

KERNELS = {
    ("LOGISTIC", "int8"): Kernel(prepare, evaluate, explain, partial(_example, dtype="int8"), FACTS),
    ("LOGISTIC", "int16"): Kernel(prepare16, evaluate, explain16, partial(_example, dtype="int16"), FACTS),
    ("LOGISTIC", "float32"): Kernel(
        _unary.prepare_float, evaluate_float, explain_float, partial(_example, dtype="float32"), FACTS
    ),
}
