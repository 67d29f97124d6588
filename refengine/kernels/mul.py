"""MUL: output = activation(input1 · input2), the inputs broadcast against each other.

TFLM: `kernels/mul.cc`, `mul_common.cc`; the products in `kernels/internal/reference/{integer_ops/,}mul.h`. int32
products wrap, and unlike ADD's honour the fused activation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from ..errors import require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..numerics import float32, scalar
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, wrap32
from ..numerics.quantize import activation_range, product_multiplier
from . import _affine, _broadcast, _litert, _narrate


@dataclass(frozen=True, eq=False)
class Params:
    """int8 and int16, TFLM's OpDataMul. `table` holds the result for every pair of int8 codes."""

    input1_zero_point: int
    input2_zero_point: int
    output_zero_point: int
    output_multiplier: Multiplier
    output_activation_min: int
    output_activation_max: int
    table: Array | None = None

    @cached_property
    def lines(self) -> _broadcast.Lines | None:
        """For many int16 codes, if proven."""
        ends = self.output_zero_point, self.output_activation_min, self.output_activation_max
        return _broadcast.lines((), 0, self.output_multiplier, 1 << 30, *ends)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses int16 tensors with a zero point, as TFLM does, and scales so far apart that C leaves shifts undefined."""
    tensors = _broadcast.operands(node)
    (s1, z1), (s2, z2), (so, zo) = map(_affine.quantized, tensors)
    for tensor, zero_point in zip(tensors, (z1, z2, zo), strict=True):
        require(
            tensor.dtype == "int8" or zero_point == 0,
            f"the zero point of '{tensor.name}' is {zero_point}; TFLM multiplies int16 only with zero points of 0: "
            "convert again",
        )
    taken = _litert.takes(numerics, tensors[2].dtype) and _litert.clamps(node)
    within_limits(
        not taken or tensors[0].index != tensors[1].index,
        f"'{tensors[0].name}' is multiplied by itself, of which XNNPACK makes another operator, a square; what comes "
        "of codes then is not known to refengine: choose a dialect such as litert-ref or tflm",
    )
    rounding = _litert.rounding(numerics, taken and bool(2.0**-16 <= _litert.ratio(s1, s2, so) < 2.0**8))
    scale_math = "tflite" if numerics.scale_math == "tflite" else "double"
    multiplier = product_multiplier(s1, s2, so, rounding, scale_math)
    _affine.require_shift(multiplier, tensors[2])
    low, high = activation_range(node.options["fused_activation_function"], tensors[2].dtype, so, zo, rounding)
    p = Params(z1, z2, zo, multiplier, low, high)
    return replace(p, table=_broadcast.tabulate(partial(_product, p))) if tensors[2].dtype == "int8" else p


def evaluate(p: Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) codes → (B, …) codes."""
    a, b = _broadcast.aligned(input1, input2)
    return _broadcast.codes(
        partial(_product, p), p.table, a, b, lambda: p.lines and partial(_product_of_lines, p.lines)
    )


def _product(p: Params, input1: Array, input2: Array) -> Array:
    """The integer arithmetic itself. The product fits 32 bits."""
    product = (input1.astype(np.int64) - p.input1_zero_point) * (input2.astype(np.int64) - p.input2_zero_point)
    output = wrap32(multiply_by_quantized_multiplier(product, p.output_multiplier) + p.output_zero_point)
    return np.clip(output, p.output_activation_min, p.output_activation_max).astype(input1.dtype)


def _product_of_lines(lines: _broadcast.Lines, input1: Array, input2: Array) -> Array:
    """The same by proven lines of float64."""
    first, second = lines.operands(input1, input2)
    return lines.codes(np.multiply(first, second, out=first))


def explain(p: Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM multiplies it."""
    code1, code2 = map(int, _broadcast.elements(at.index, input1, input2))
    a, b = code1 - p.input1_zero_point, code2 - p.input2_zero_point
    yield Line("input 1", f"code {code1} − zero point {p.input1_zero_point}", a)
    yield Line("input 2", f"code {code2} − zero point {p.input2_zero_point}", b)
    yield Line("product", f"{a} · {b}", a * b)
    scaled = yield from _narrate.rescale(a * b, p.output_multiplier)
    yield from _narrate.finish(scaled, p.output_zero_point, p.output_activation_min, p.output_activation_max)


def evaluate_float(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) float32 → (B, …) float32."""
    a, b = _broadcast.aligned(input1, input2)
    with np.errstate(all="ignore"):
        product = a * b
    return float32.clamp(product, p.output_activation_min, p.output_activation_max)


def explain_float(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM multiplies it."""
    a, b = map(np.float32, _broadcast.elements(at.index, input1, input2))
    with np.errstate(all="ignore"):
        product = a * b
    yield Line("product", f"{a:.9g} · {b:.9g} in float32", product)
    yield from _narrate.finish_float(product, np.float32(p.output_activation_min), np.float32(p.output_activation_max))


def prepare_int32(node: Node, numerics: Numerics) -> _broadcast.Params:
    """Refuses mixed types, and shapes that do not broadcast to the output's. Scales are ignored, as TFLM does."""
    _broadcast.operands(node)
    return _broadcast.int32_bounds(node.options["fused_activation_function"])


def evaluate_int32(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) int32 → (B, …) int32, wrapping."""
    a, b = _broadcast.aligned(input1, input2)
    product: Array = np.clip(a * b, p.output_activation_min, p.output_activation_max)
    return product


def explain_int32(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM multiplies it."""
    a, b = map(int, _broadcast.elements(at.index, input1, input2))
    product = scalar.wrap(a * b)
    yield Line("product", f"{a} · {b}, kept in 32 bits", product)
    low, high = int(p.output_activation_min), int(p.output_activation_max)
    yield Line("clamp", f"to [{low}, {high}]", scalar.clamp(product, low, high))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Inputs and outputs of any scales: products that vanish, fit, saturate, and overflow 32 bits when shifted."""
    inputs = _broadcast.draw_inputs(draw, make, dtype)
    output = None
    if dtype in ("int8", "int16"):
        (low1, high1), (low2, high2) = map(_affine.real_range, inputs)
        corners = (low1 * low2, low1 * high2, high1 * low2, high1 * high2)
        unit = _affine.params_of(inputs[0])[0] * _affine.params_of(inputs[1])[0]
        output = _affine.draw_output(draw, make, dtype, unit, min(corners) / 2, max(corners) / 2)
        output = replace(output, zero_point=(0,)) if dtype == "int16" else output
    return _broadcast.node(draw, make, "MUL", {}, inputs, output)


FACTS = Facts(
    elementwise=True,
    arithmetic="*",
    monotone="each",
    quantized=Quantizing(),
    c_kernels={t: f"mul_{t}" for t in ("int8", "int16", "float32", "int32")},
)

KERNELS = {
    ("MUL", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("MUL", "int16"): Kernel(prepare, evaluate, explain, partial(example, dtype="int16"), FACTS),
    ("MUL", "float32"): Kernel(
        _broadcast.prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
    ("MUL", "int32"): Kernel(prepare_int32, evaluate_int32, explain_int32, partial(example, dtype="int32"), FACTS),
}
