"""ELU: output = input where that is not negative, else e^input − 1.

TFLM: `kernels/elu.cc`; in float32, `kernels/internal/reference/elu.h`, with the C library's `expm1f`. int8 takes a
table that TFLM makes in float32, with `expf` and a subtraction, and the inverse of the output's scale. A value beyond
int32 becomes what the processor makes of it, which may be the other end of the codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ..kernel import At, Draw, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from ..numerics import float32, scalar_float
from ..numerics.float32 import Float32
from . import _affine, _litert, _lut, _unary


def prepare(node: Node, numerics: Numerics) -> _lut.Params:
    """Refuses an output of another type or shape, and tensors without quantisation. XNNPACK's table has `expm1f`."""
    if _litert.takes(numerics, "int8"):
        return _lut.prepare(node, partial(_elu_expm1, libm=numerics.libm), f"below 0 expm1f of {numerics.libm}", None)
    told = f"below 0 expf of {numerics.libm}, less 1"
    return _lut.prepare(node, partial(_elu, libm=numerics.libm), told, numerics.float_to_int)


def _elu(x: Float32, libm: str) -> Float32:
    """As TFLM fills its table."""
    return np.where(x < 0, float32.exp(x, libm) - np.float32(1), x)


def _elu_expm1(x: Float32, libm: str) -> Float32:
    """As XNNPACK fills its table."""
    return np.where(x < 0, float32.expm1(np.minimum(x, 0), libm), x)


def evaluate(p: _lut.Params, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def evaluate_float(p: _unary.FloatParams, input: Array) -> Array:
    """float32, elementwise."""
    return float32.select(input < 0, float32.expm1(input, p.libm), input)


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


FACTS = replace(_unary.LIBRARY, quantized=_unary.IN_FLOAT, c_kernels={"int8": "lookup", "float32": "elu_float32"})

KERNELS = {
    ("ELU", "int8"): Kernel(prepare, evaluate, _lut.explain, partial(example, dtype="int8"), FACTS),
    ("ELU", "float32"): Kernel(
        partial(_unary.prepare_library, name="expm1"),
        evaluate_float,
        explain_float,
        partial(example, dtype="float32"),
        FACTS,
    ),
}
