"""RELU: output = max(0, input), requantised; RELU6: output = min(max(0, input), 6), as a clamp of the codes.

TFLM: `kernels/activations.cc`, `activations_common.cc`, `activations.h`. RELU6 on integers does not look at the
output's quantisation: it clamps to the input's codes for 0 and 6, and would be wrong where the two differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Example, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..numerics import float32, scalar
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, wrap32
from ..numerics.quantize import activation_range
from . import _affine, _litert, _narrate, _unary


@dataclass(frozen=True, eq=False)
class ReluParams:
    """TFLM's ReluParams, and the output code of every input code; see `_unary.codes` for their order."""

    input_offset: int
    multiplier: Multiplier
    output_offset: int
    quantized_activation_min: int
    quantized_activation_max: int
    table: Array


@dataclass(frozen=True, eq=False)
class Relu6Params:
    """TFLM's Relu6OpData: the codes of 0 and 6."""

    zero: int
    six: int


def prepare_relu(node: Node, numerics: Numerics, activation: str = "RELU") -> ReluParams:
    """Refuses int16 with zero points, and scales so far apart that C leaves shifts undefined."""
    input, output = _unary.operands(node)
    (si, input_offset), (so, output_offset) = _affine.quantized(input), _affine.quantized(output)
    require(
        input.dtype == "int8" or input_offset == output_offset == 0,
        f"TFLM's int16 takes zero points of 0; '{input.name}' has {input_offset} and '{output.name}' {output_offset}: "
        "convert again",
    )
    rounding = _litert.rounding(numerics, taken=False)
    multiplier = _unary.ratio_multiplier((si,), so, numerics.scale_math, rounding)
    _affine.require_shift(multiplier, output)
    low, high = activation_range(activation, output.dtype, so, output_offset)
    scaled = multiply_by_quantized_multiplier(_unary.codes(input.dtype) - input_offset, multiplier)
    table = np.clip(wrap32(scaled + output_offset), low, high).astype(output.dtype)
    return ReluParams(input_offset, multiplier, output_offset, low, high, table)


def evaluate_relu(p: ReluParams, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def explain_relu(p: ReluParams, at: At, input: Array) -> Iterator[Line]:
    """One element: zero point, scaling, output zero point, clamp."""
    x = int(input[at.index]) - p.input_offset
    yield _unary.explain_input(int(input[at.index]), p.input_offset)
    scaled = yield from _narrate.rescale(x, p.multiplier)
    yield from _narrate.finish(scaled, p.output_offset, p.quantized_activation_min, p.quantized_activation_max)


def prepare_relu6(node: Node, numerics: Numerics) -> Relu6Params | ReluParams:
    """Refuses a scale so small that 6 has no int32 code. TFLite requantises here as for RELU, with another bound."""
    if _litert.speaks(numerics):
        return prepare_relu(node, numerics, "RELU6")
    input, _ = _unary.operands(node)
    scale, zero = _affine.quantized(input)
    require(
        6 / scale < 2**31,
        f"the scale of input '{input.name}' is {scale:g}, too small for a code of 6 in TFLM: convert again",
    )
    return Relu6Params(*activation_range("RELU6", input.dtype, scale, zero))


def evaluate_relu6(p: Relu6Params | ReluParams, input: Array) -> Array:
    """Codes → codes, elementwise."""
    if isinstance(p, ReluParams):
        return evaluate_relu(p, input)
    return input.clip(p.zero, p.six)


def explain_relu6(p: Relu6Params | ReluParams, at: At, input: Array) -> Iterator[Line]:
    """One element: a clamp between two codes."""
    if isinstance(p, ReluParams):
        yield from explain_relu(p, at, input)
        return
    code = int(input[at.index])
    yield Line("input", f"code {code}", code)
    yield Line("clamp", f"between the codes of 0 and 6, {p.zero} and {p.six}", scalar.clamp(code, p.zero, p.six))


def evaluate_relu_float(p: _unary.FloatParams, input: Array) -> Array:
    """max(0, x) in which −0 and NaN pass."""
    return float32.select(input < 0, 0, input)


def evaluate_relu6_float(p: _unary.FloatParams, input: Array) -> Array:
    """min(max(0, x), 6) in which −0 and NaN pass."""
    return float32.select(input > 6, 6, evaluate_relu_float(p, input))


def explain_float(p: _unary.FloatParams, at: At, input: Array, high: float) -> Iterator[Line]:
    """One element: a comparison or two."""
    x = input[at.index]
    yield Line("input", f"x = {x:.9g}", x)
    value = np.float32(high) if x > high else np.float32(0) if x < 0 else x
    yield Line("clamp", "negative: 0" if x < 0 else f"over {high:g}" if x > high else "passes", value)


def example(draw: Draw, make: Toolbox, op: str, dtype: str) -> Node:
    """Any rank; the output's quantisation is the input's or any other."""
    input = _affine.draw_input(draw, make, dtype)
    output = input.quantization if draw(make.booleans()) else draw(make.quantization(dtype))
    return _unary.node(make, op, {}, input, output)


def _examples(op: str, dtype: str) -> Example:
    return partial(example, op=op, dtype=dtype)


FACTS = {
    op: Facts(
        elementwise=True,
        homogeneous=op == "RELU",
        monotone="each",
        quantized=Quantizing(),
        c_kernels={dtype: f"{op.lower()}_{dtype}" for dtype in ("int8", "int16", "float32")},
    )
    for op in ("RELU", "RELU6")
}

KERNELS = {
    ("RELU", "int8"): Kernel(prepare_relu, evaluate_relu, explain_relu, _examples("RELU", "int8"), FACTS["RELU"]),
    ("RELU", "int16"): Kernel(prepare_relu, evaluate_relu, explain_relu, _examples("RELU", "int16"), FACTS["RELU"]),
    ("RELU", "float32"): Kernel(
        _unary.prepare_float,
        evaluate_relu_float,
        partial(explain_float, high=np.inf),
        _examples("RELU", "float32"),
        FACTS["RELU"],
    ),
    ("RELU6", "int8"): Kernel(prepare_relu6, evaluate_relu6, explain_relu6, _examples("RELU6", "int8"), FACTS["RELU6"]),
    ("RELU6", "int16"): Kernel(
        prepare_relu6, evaluate_relu6, explain_relu6, _examples("RELU6", "int16"), FACTS["RELU6"]
    ),
    ("RELU6", "float32"): Kernel(
        _unary.prepare_float,
        evaluate_relu6_float,
        partial(explain_float, high=6.0),
        _examples("RELU6", "float32"),
        FACTS["RELU6"],
    ),
}
