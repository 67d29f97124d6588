"""ELU: output = input where that is not negative, else e^input − 1.

TFLM: `kernels/elu.cc`; in float32, `kernels/internal/reference/elu.h`, with the C library's `expm1f`. int8 takes a
table that TFLM makes in float32, with `expf` and a subtraction, and the inverse of the output's scale. A value beyond
int32 becomes what the processor makes of it, which may be the other end of the codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..kernel import At, Draw, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from ..numerics import float32, scalar, scalar_float
from ..numerics.quantize import code_range
from . import _affine, _unary


@dataclass(frozen=True, eq=False)
class Params:
    """int8: what the table is made of, and the output code of every input code; see `_unary.codes` for their order."""

    input_scale: np.float32
    input_zero_point: int
    inverse_scale: np.float32
    output_zero_point: int
    libm: str
    float_to_int: str
    table: Array


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output of another type or shape, and tensors without quantisation."""
    input, output = _unary.operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    inverse = np.float32(1) / np.float32(so)
    x = np.float32(si) * (_unary.codes("int8") - zi).astype(np.float32)
    y = np.where(x < 0, float32.exp(x, numerics.libm) - np.float32(1), x) * inverse
    codes = float32.to_int32(float32.round_half_away(y) + np.float32(zo), numerics.float_to_int)
    table = np.clip(codes, *code_range("int8")).astype(np.int8)
    return Params(np.float32(si), zi, inverse, zo, numerics.libm, numerics.float_to_int, table)


def evaluate(p: Params, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """One element, as TFLM fills the table."""
    code = int(input[at.index])
    yield _unary.explain_input(code, p.input_zero_point)
    with np.errstate(all="ignore"):
        x = p.input_scale * np.float32(code - p.input_zero_point)
        yield Line("real", f"times scale {p.input_scale:.9g}, in float32", x)
        if x < 0:
            x = scalar_float.exp(x, p.libm) - np.float32(1)
            yield Line("curve", f"expf of {p.libm}, less 1", x)
        y = x * p.inverse_scale
        yield Line("ratio", f"times {p.inverse_scale:.9g}, the output scale's inverse", y)
        rounded = np.float32(scalar_float.round_half_away(float(y)))
        yield Line("rounded", "to the nearest integer, ties away from zero", rounded)
        total = rounded + np.float32(p.output_zero_point)
        yield Line("output offset", f"+ output zero point {p.output_zero_point}, in float32", total)
    whole = scalar_float.to_int32(float(total), p.float_to_int)
    yield Line("int32", "fits" if whole == total else f"does not fit, and {p.float_to_int} makes it this", whole)
    yield Line("clamp", "within [-128, 127]", scalar.clamp(whole, *code_range("int8")))


def evaluate_float(p: _unary.FloatParams, input: Array) -> Array:
    """float32, elementwise."""
    return np.where(input < 0, float32.expm1(input, p.libm), input)


def explain_float(p: _unary.FloatParams, at: At, input: Array) -> Iterator[Line]:
    """One element."""
    x = input[at.index]
    yield Line("input", f"x = {x:.9g}", x)
    if x < 0:
        yield Line("output", f"negative: expm1f of {p.libm}", scalar_float.expm1(x, p.libm))
    else:
        yield Line("output", "not negative: x itself", x)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank; output scales that fit, and others."""
    input, output = _affine.draw_input(draw, make, dtype), None
    if dtype == "int8":
        _, high = _affine.real_range(input)
        output = _affine.draw_output(draw, make, dtype, _affine.params_of(input)[0], -1.0, max(high, 0.0))
    return _unary.node(make, "ELU", {}, input, output)


FACTS = replace(_unary.LIBRARY, quantized=_unary.IN_FLOAT)

KERNELS = {
    ("ELU", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("ELU", "float32"): Kernel(
        partial(_unary.prepare_library, name="expm1"),
        evaluate_float,
        explain_float,
        partial(example, dtype="float32"),
        FACTS,
    ),
}
