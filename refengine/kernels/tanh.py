"""TANH: output = tanh(input).

TFLM: `kernels/tanh.cc`; the functions in `kernels/internal/reference/{integer_ops/,}tanh.h`. int8 takes gemmlowp's
exponential and quotient, int16 the table of the sigmoid, for tanh(x) = 2 · σ(2x) − 1, float32 the C library's tanh.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..kernel import At, Facts, Kernel, Line, Node, Numerics, Quantizing
from ..model import Array
from ..numerics import float32, gemmlowp, scalar, scalar_float, scalar_gemmlowp
from ..numerics.fixedpoint import Ints, rounding_divide_by_pot
from . import _litert, _lut, _sigmoid, _unary

LIMIT = 0xFFFF << 8
"""What int16 saturates to beyond the table: σ = 1 − 2⁻¹⁶ in units of 2⁻²⁴."""


def prepare(node: Node, numerics: Numerics) -> _sigmoid.Params | _lut.Params:
    """Refuses an output of another type or shape."""
    if _litert.speaks(numerics):
        how = None if _litert.takes(numerics, "int8") else numerics.float_to_int
        return _lut.prepare(node, lambda x: float32.tanh(x, numerics.libm), f"tanhf of {numerics.libm}", how)
    input, _ = _unary.operands(node)
    return _sigmoid.prepare(input, _tanh, numerics)


def _tanh(x: Ints) -> Ints:
    """tanh of Q4.27 as codes in steps of 1/128."""
    exp = gemmlowp.exp_on_negative_values(-np.abs(x), 5)  # e^−2|x|: read as Q5.26, the same bits are twice as much
    size = gemmlowp.one_minus_x_over_one_plus_x_for_x_in_0_1(exp)
    return np.clip(rounding_divide_by_pot(np.sign(x) * size, 24), -128, 127)


def evaluate(p: _sigmoid.Params | _sigmoid.Params16 | _lut.Params, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def explain(p: _sigmoid.Params | _lut.Params, at: At, input: Array) -> Iterator[Line]:
    """One element: tanh(|x|) from e^−2|x|, with the sign of x."""
    if isinstance(p, _lut.Params):
        yield from _lut.explain(p, at, input)
        return
    x = yield from _sigmoid.explain_input(p, int(input[at.index]))
    if x is None:
        return
    exp = scalar_gemmlowp.exp_on_negative_values(-abs(x), 5)
    yield Line("exponential", f"e^-2|x| = {exp / 2**31:.9f} in Q0.31 (x read as Q5.26 is 2x)", exp)
    tanh = scalar_gemmlowp.one_minus_x_over_one_plus_x_for_x_in_0_1(exp) if x else 0
    yield Line("quotient", f"(1 − e^-2|x|) / (1 + e^-2|x|) = {tanh / 2**31:.9f}", tanh)
    signed = -tanh if x < 0 else tanh
    steps = scalar.rounding_divide_by_pot(signed, 24)
    yield Line("128ths", f"{signed} / 2^24 = {signed / 2**24:.6f}, rounded", steps)
    yield Line("code", f"{steps}, at most 127", scalar.clamp(steps, -128, 127))


def prepare16(node: Node, numerics: Numerics) -> _sigmoid.Params16:
    """Refuses zero points, and an output scale other than 2⁻¹⁵."""
    return _sigmoid.prepare16(*_unary.operands(node), tanh16, (0, 1), numerics)


def tanh16(x: Ints) -> Ints:
    """tanh of 12288ths as codes in steps of 1/32768."""
    excess = _sigmoid.interpolate(np.abs(x), 8, LIMIT) - (1 << 23)
    return np.where(x >= 0, excess + 128, -excess + 127) >> 8


def explain16(p: _sigmoid.Params16, at: At, input: Array) -> Iterator[Line]:
    """One element: σ(2|x|) interpolated, less a half, with the sign of x."""
    x = yield from _sigmoid.explain_input16(p, int(input[at.index]))
    sigmoid = yield from _sigmoid.explain_table(abs(x), 8, LIMIT)
    excess = sigmoid - 2**23
    yield Line("tanh", f"σ(2|x|) − ½ = {excess / 2**24:.9f} in units of 2^-24", excess)
    if x < 0:
        yield Line("code", f"−{excess} / 2^8 for negative x, ties down", (-excess + 127) // 256)
    else:
        yield Line("code", f"{excess} / 2^8, ties up", (excess + 128) // 256)


def evaluate_float(p: _unary.FloatParams, input: Array) -> Array:
    """float32, elementwise."""
    return float32.tanh(input, p.libm)


def explain_float(p: _unary.FloatParams, at: At, input: Array) -> Iterator[Line]:
    """One element: the C library's own."""
    x = input[at.index]
    yield Line("input", f"x = {x:.9g}", x)
    yield Line("tanh", f"tanhf of {p.libm}", scalar_float.tanh(x, p.libm))


_example = partial(_sigmoid.example, op="TANH", output_zero_points=(0, -128, 5))

FACTS = Facts(
    elementwise=True,
    inexact="libm",
    fixed_output={"int8": (1 / 128, 0), "int16": (1 / 32768, 0)},
    quantized=Quantizing(),
    c_kernels={"int8": "lookup", "int16": "tanh_int16", "float32": "tanh_float32"},
)

KERNELS = {
    ("TANH", "int8"): Kernel(prepare, evaluate, explain, partial(_example, dtype="int8"), FACTS),
    ("TANH", "int16"): Kernel(prepare16, evaluate, explain16, partial(_example, dtype="int16"), FACTS),
    ("TANH", "float32"): Kernel(
        _unary.prepare_float, evaluate_float, explain_float, partial(_example, dtype="float32"), FACTS
    ),
}
