"""ABS, SIN, COS, LOG, SQRT, RSQRT, SQUARE, LOGICAL_NOT: functions of one element.

TFLM: `kernels/elementwise.cc`. SIN, COS and LOG are the C library's; roots are correctly rounded by any, and the
inverse of one is rounded a second time. Only ABS and RSQRT take integers. ABS rescales where input and output differ in
scale; int16 without a scale it takes, too: then −32768 has no absolute value, and stays. RSQRT's inverse square root is
in fixed point (`GetInvSqrtQuantizedMultiplierExp`, `kernels/internal/common.h`); 0 gives the largest code, whatever the
zero point, and Invoke fails on negative numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import InferenceError, require
from ..kernel import At, Draw, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization
from ..numerics import float32, scalar, scalar_float
from ..numerics.fixedpoint import (
    Ints,
    Multiplier,
    inverse_sqrt,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    wrap32,
)
from ..numerics.quantize import code_range
from . import _affine, _narrate, _unary

SHIFT = 20
"""How many bits TFLM keeps of 1 / √x before it rescales."""


@dataclass(frozen=True, eq=False)
class Params:
    """TFLM's OpDataAbsRsqrt, and the output code of every input code; see `_unary.codes` for their order.

    `multiplier` is None where ABS does not rescale, and the offsets are None where int16 has no scale.
    """

    input_offset: int | None
    output_offset: int | None
    multiplier: Multiplier | None
    table: Array


def _quantized(node: Node) -> tuple[float, int, float, int]:
    """Scale and zero point of input and output; refuses int16 with zero points, as TFLM does."""
    input, output = _unary.operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    require(
        input.dtype == "int8" or zi == zo == 0,
        f"int16 takes zero points of 0 in TFLM; '{input.name}' has {zi} and '{output.name}' {zo}: convert again",
    )
    return si, zi, so, zo


def _finished(scaled: Ints, zero_point: int, dtype: str) -> Array:
    return np.clip(wrap32(scaled + zero_point), *code_range(dtype)).astype(dtype)


def prepare_abs(node: Node, numerics: Numerics) -> Params:
    """Refuses int16 with zero points, or with a scale at the input alone, and scales too far apart."""
    input, output = _unary.operands(node)
    codes, multiplier = _unary.codes(input.dtype), None
    if input.dtype == "int16" and not _affine.is_quantized(input):
        return Params(None, None, None, np.abs(codes).astype(np.int16))
    rounding, (si, zi, so, zo) = _affine.fixed_rounding(node.name, numerics), _quantized(node)
    size = np.abs(codes - zi)
    if si != so:
        multiplier = _unary.ratio_multiplier((si,), so, numerics.scale_math, rounding)
        _affine.require_shift(multiplier, output)
        size = multiply_by_quantized_multiplier(size, multiplier)
    return Params(zi, zo, multiplier, _finished(size, zo, input.dtype))


def evaluate(p: Params, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def explain_abs(p: Params, at: At, input: Array) -> Iterator[Line]:
    """One element: its distance from the zero point, rescaled."""
    code = int(input[at.index])
    if p.input_offset is None or p.output_offset is None:
        yield Line("input", f"x = {code}", code)
        yield Line("output", "|x| in 16 bits", scalar.wrap(abs(code), 16))
        return
    yield _unary.explain_input(code, p.input_offset)
    size = abs(code - p.input_offset)
    yield Line("size", "without its sign", size)
    if p.multiplier is not None:
        size = yield from _narrate.rescale(size, p.multiplier)
    yield from _narrate.finish(size, p.output_offset, *code_range(input.dtype.name))


def prepare_rsqrt(node: Node, numerics: Numerics) -> Params:
    """Refuses int16 with zero points, and scales for which C leaves TFLM's shifts undefined."""
    rounding, (si, zi, so, zo) = _affine.fixed_rounding(node.name, numerics), _quantized(node)
    input, output = _unary.operands(node)
    exact = np.float64 if numerics.scale_math == "double" else np.float32
    real = 1 / np.float64(np.sqrt(exact(si)) * exact(so))
    require(
        2.0**-12 <= real < 2.0**31,
        f"the scale {so:g} of output '{output.name}' and the root of the scale {si:g} of input '{input.name}' multiply "
        f"to {1 / real:g}, for which TFLM's fixed-point numbers have no room; {_affine.RANGE_ADVICE}",
    )
    multiplier = quantize_multiplier(real, rounding)
    x = np.maximum(_unary.codes(input.dtype) - zi, 0)
    root, shift = inverse_sqrt(x)
    kept = multiply_by_quantized_multiplier(np.ones_like(x), _shifted(Multiplier(root, shift, *multiplier[2:]), SHIFT))
    scaled = multiply_by_quantized_multiplier(kept, _shifted(multiplier, -SHIFT))
    table = np.where(x == 0, code_range(input.dtype)[1], _finished(scaled, zo, input.dtype)).astype(input.dtype)
    return Params(zi, zo, multiplier, table)


def _shifted(factor: Multiplier, bits: int) -> Multiplier:
    """`factor` · 2^`bits`."""
    return factor._replace(shift=factor.shift + bits)


def evaluate_rsqrt(p: Params, input: Array) -> Array:
    """Codes → codes, elementwise. Raises `InferenceError` for inferences with a code below the zero point."""
    negative = (input < p.input_offset).reshape(len(input), -1).any(axis=1)
    if negative.any():
        raise InferenceError(f"a code is below the zero point {p.input_offset}: TFLM fails on negative roots", negative)
    return _unary.look_up(p.table, input)


def explain_rsqrt(p: Params, at: At, input: Array) -> Iterator[Line]:
    """One element: the inverse square root in fixed point, rescaled."""
    code, (low, high) = int(input[at.index]), code_range(input.dtype.name)
    assert p.input_offset is not None and p.output_offset is not None and p.multiplier is not None
    yield _unary.explain_input(code, p.input_offset)
    x = code - p.input_offset
    if x == 0:
        yield Line("output", "0 has no inverse: the largest code", high)
        return
    root, shift = scalar.inverse_sqrt(x)
    yield Line("inverse root", f"1 / √{x} = {root} · 2^({shift} − 31) = {root * 2.0 ** (shift - 31):.9f}", root)
    rounding = p.multiplier.rounding
    kept = scalar.multiply_by_quantized_multiplier(1, root, shift + SHIFT, 0.0, rounding)
    yield Line("fixed point", f"times 2^{SHIFT}: {kept / 2**SHIFT:.9f}", kept)
    scaled = yield from _narrate.rescale(kept, _shifted(p.multiplier, -SHIFT))
    yield from _narrate.finish(scaled, p.output_offset, low, high)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """ABS: the output's quantisation is the input's or another; int16 may have none at all."""
    unquantized = dtype == "int16" and draw(make.integers(0, 3)) == 3
    input = _affine.draw_input(draw, make, dtype, quantization=make.quantization("float32" if unquantized else dtype))
    output = input.quantization
    if output is not None and draw(make.booleans()):
        low, high = _affine.real_range(input)
        output = _affine.draw_output(draw, make, dtype, _affine.params_of(input)[0], 0.0, max(-low, high))
        output = replace(output, zero_point=(0,)) if dtype == "int16" else output
    return _unary.node(make, "ABS", {}, input, output)


def example_rsqrt(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """RSQRT of what is not negative, for it comes from a RELU."""
    fed = _affine.draw_input(draw, make, dtype)
    relu = _unary.node(make, "RELU", {}, fed, fed.quantization)
    (input,) = relu.outputs
    largest = 1 / math.sqrt(_affine.params_of(input)[0])
    scale = float(np.float32(largest / 256 * draw(make.scale(2.0**-4, 2.0**4))))
    zero_point = draw(make.zero_point(dtype)) if dtype == "int8" else 0
    return _unary.node(make, "RSQRT", {}, input, Quantization((scale,), (zero_point,)))._replace(before=(relu,))


def _square(x: Any) -> Any:
    return x * x


FACTS = {
    op: replace(
        _unary.FACTS,
        quantized=Quantizing(),
        c_kernels={"int8": "lookup"} | {dtype: f"{op.lower()}_{dtype}" for dtype in ("int16", "float32")},
    )
    for op in ("ABS", "RSQRT")
}

KERNELS = {
    **{
        ("ABS", dtype): Kernel(prepare_abs, evaluate, explain_abs, partial(example, dtype=dtype), FACTS["ABS"])
        for dtype in ("int8", "int16")
    },
    **{
        ("RSQRT", dtype): Kernel(
            prepare_rsqrt, evaluate_rsqrt, explain_rsqrt, partial(example_rsqrt, dtype=dtype), FACTS["RSQRT"]
        )
        for dtype in ("int8", "int16")
    },
    ("RSQRT", "float32"): replace(
        _unary.function_kernel("RSQRT", "float32", float32.rsqrt, scalar_float.rsqrt, "1 / √x"), facts=FACTS["RSQRT"]
    ),
    ("SQRT", "float32"): _unary.function_kernel(
        "SQRT", "float32", float32.sqrt, scalar_float.sqrt, "√x", Quantizing({"int8": 2})
    ),
    ("LOG", "float32"): _unary.library_kernel("LOG", "log", float32.log, scalar_float.log, Quantizing()),
    ("SIN", "float32"): _unary.library_kernel("SIN", "sin", float32.sin, scalar_float.sin),
    ("COS", "float32"): _unary.library_kernel("COS", "cos", float32.cos, scalar_float.cos),
    ("ABS", "float32"): replace(
        _unary.function_kernel("ABS", "float32", np.abs, abs, "|x|: its sign cleared"), facts=FACTS["ABS"]
    ),
    ("SQUARE", "float32"): _unary.function_kernel("SQUARE", "float32", np.square, _square, "x · x in float32"),
    ("LOGICAL_NOT", "bool"): _unary.function_kernel(
        "LOGICAL_NOT", "bool", np.logical_not, operator.not_, "not x", None, "logical_not"
    ),
}
