"""ADD: output = activation(input1 + input2), the inputs broadcast against each other.

TFLM: `kernels/add.cc`, `add_common.cc`; the sums in `kernels/internal/reference/{integer_ops/,}add.h`. Quantised inputs
are first brought to one common scale, twice the larger input scale / 2^left_shift, which leaves room for the sum in 32
bits and many bits to round in. int32 sums wrap and **ignore the fused activation**, as TFLM's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Ints, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..numerics import float32, scalar
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from ..numerics.quantize import activation_range, code_range
from . import _affine, _broadcast, _litert, _narrate

LEFT_SHIFT = {"int8": 20, "int16": 15}


@dataclass(frozen=True, eq=False)
class Params:
    """int8 and int16, TFLM's OpDataAdd. `table` holds the result for every pair of int8 codes; SUB has `sign` −1."""

    left_shift: int
    input1_offset: int
    input2_offset: int
    output_offset: int
    input1_multiplier: Multiplier
    input2_multiplier: Multiplier
    output_multiplier: Multiplier
    output_activation_min: int
    output_activation_max: int
    sign: int = 1
    table: Array | None = None

    @cached_property
    def lines(self) -> _broadcast.Lines | None:
        """For many int16 codes without zero points, if proven."""
        if self.input1_offset or self.input2_offset:
            return None
        operands = self.input1_multiplier, self.input2_multiplier
        ends = self.output_offset, self.output_activation_min, self.output_activation_max
        return _broadcast.lines(
            operands, self.left_shift, self.output_multiplier, 1 << (16 + self.left_shift - 1), *ends
        )


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output scale so small that its multiplier reaches 1, on which TFLM aborts."""
    return params(node, numerics, float, 1)


def params(node: Node, numerics: Numerics, real: Callable[[float], Any], sign: int) -> Params:
    """ADD's and SUB's parameters; `real` is the type in which the scales are divided."""
    input1, input2, output = _broadcast.operands(node)
    if _litert.takes(numerics, output.dtype) and _litert.clamps(node):
        ratios = [_litert.ratio(*(_affine.quantized(t)[0] for t in (input, output))) for input in (input1, input2)]
        if all(2.0**-10 <= ratio < 2.0**8 for ratio in ratios):
            return _xnnpack_params(node, ratios, sign)
    rounding = _litert.rounding(numerics, taken=False)
    (s1, z1), (s2, z2), (so, zo) = ((real(s), z) for s, z in map(_affine.quantized, (input1, input2, output)))
    left_shift, twice_max = LEFT_SHIFT[output.dtype], 2 * max(s1, s2)
    factor = twice_max / ((1 << left_shift) * so)
    multiplier = quantize_multiplier(factor, rounding)
    require(
        multiplier.shift <= 0,
        f"the scale {so:g} of output '{output.name}' is too small for inputs of scales {s1:g} and {s2:g}: TFLM aborts "
        f"on a multiplier of {factor:g}, it must be below 1; {_affine.RANGE_ADVICE}",
    )
    low, high = activation_range(node.options["fused_activation_function"], output.dtype, so, zo)
    p = Params(
        left_shift,
        -z1,
        -z2,
        zo,
        quantize_multiplier(s1 / twice_max, rounding),
        quantize_multiplier(s2 / twice_max, rounding),
        multiplier,
        low,
        high,
        sign,
    )
    return replace(p, table=_broadcast.tabulate(partial(_sum, p))) if output.dtype == "int8" else p


def _xnnpack_params(node: Node, ratios: list[np.float32], sign: int) -> Params:
    """XNNPACK multiplies by 21 bits, and shifts only the sum."""
    (_, z1), (_, z2), (so, zo) = map(_affine.quantized, _broadcast.operands(node))
    shift = 21 - int(np.frexp(max(ratios))[1])
    first, second = (_litert.exactly(int(np.rint(np.ldexp(ratio, shift)))) for ratio in ratios)
    low, high = activation_range(node.options["fused_activation_function"], "int8", so, zo, "xnnpack-int16")
    p = Params(0, -z1, -z2, zo, first, second, _litert.shifted_right(shift), low, high, sign)
    return replace(p, table=_broadcast.tabulate(partial(_sum, p)))


def evaluate(p: Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) codes → (B, …) codes."""
    a, b = _broadcast.aligned(input1, input2)
    return _broadcast.codes(partial(_sum, p), p.table, a, b, lambda: p.lines and partial(_sum_of_lines, p, p.lines))


def _sum(p: Params, input1: Array, input2: Array) -> Array:
    """The integer arithmetic itself, of SUB too. Before the output offset nothing can overflow."""

    def scaled(codes: Array, offset: int, multiplier: Multiplier) -> Ints:
        return multiply_by_quantized_multiplier((codes.astype(np.int64) + offset) << p.left_shift, multiplier)

    first = scaled(input1, p.input1_offset, p.input1_multiplier)
    total = first + p.sign * scaled(input2, p.input2_offset, p.input2_multiplier)
    output = wrap32(multiply_by_quantized_multiplier(total, p.output_multiplier) + p.output_offset)
    return np.clip(output, p.output_activation_min, p.output_activation_max).astype(input1.dtype)


def _sum_of_lines(p: Params, lines: _broadcast.Lines, input1: Array, input2: Array) -> Array:
    """The same by proven lines of float64."""
    first, second = lines.operands(input1, input2)
    return lines.codes((np.add if p.sign > 0 else np.subtract)(first, second, out=first))


def explain(p: Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM adds it, or subtracts."""
    terms = []
    operands = (("input 1", p.input1_offset, p.input1_multiplier), ("input 2", p.input2_offset, p.input2_multiplier))
    for (name, offset, multiplier), x in zip(operands, _broadcast.elements(at.index, input1, input2), strict=True):
        shifted = (int(x) + offset) << p.left_shift
        yield Line(name, f"(code {x} − zero point {-offset}) · 2^{p.left_shift}, to keep bits for rounding", shifted)
        terms.append((yield from _narrate.rescale(shifted, multiplier)))
    total = terms[0] + terms[1] if p.sign > 0 else terms[0] - terms[1]
    name = "sum" if p.sign > 0 else "difference"
    yield Line(name, "both inputs in one scale, twice the larger of theirs", total)
    scaled = yield from _narrate.rescale(total, p.output_multiplier)
    yield from _narrate.finish(scaled, p.output_offset, p.output_activation_min, p.output_activation_max)


def evaluate_float(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) float32 → (B, …) float32."""
    a, b = _broadcast.aligned(input1, input2)
    with np.errstate(all="ignore"):
        total = a + b
    return float32.clamp(total, p.output_activation_min, p.output_activation_max)


def explain_float(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM adds it."""
    a, b = map(np.float32, _broadcast.elements(at.index, input1, input2))
    with np.errstate(all="ignore"):
        total = a + b
    yield Line("sum", f"{a:.9g} + {b:.9g} in float32", total)
    yield from _narrate.finish_float(total, np.float32(p.output_activation_min), np.float32(p.output_activation_max))


def prepare_int32(node: Node, numerics: Numerics) -> _broadcast.Params:
    """Refuses quantised inputs, as TFLM does. TFLM leaves the fused activation out, TFLite does not."""
    for tensor in _broadcast.operands(node)[:2]:
        require(
            not _affine.is_quantized(tensor),
            f"input '{tensor.name}' is int32 with a scale; TFLM adds int32 only unquantised: convert again to int8",
        )
    return _broadcast.int32_bounds(node.options["fused_activation_function"] if _litert.speaks(numerics) else "NONE")


def evaluate_int32(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) int32 → (B, …) int32, wrapping."""
    a, b = _broadcast.aligned(input1, input2)
    total: Array = np.clip(a + b, p.output_activation_min, p.output_activation_max)
    return total


def explain_int32(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM adds it."""
    a, b = map(int, _broadcast.elements(at.index, input1, input2))
    yield Line("sum", f"{a} + {b}, kept in 32 bits; TFLM applies no activation to int32 sums", scalar.wrap(a + b))
    low, high = int(p.output_activation_min), int(p.output_activation_max)
    if (low, high) != code_range("int32"):
        yield Line("clamp", f"to [{low}, {high}], as TFLite does", scalar.clamp(scalar.wrap(a + b), low, high))


def example(draw: Draw, make: Toolbox, dtype: str, op: str = "ADD") -> Node:
    """Inputs of any scales, and an output scale that keeps most sums in range, or lets them saturate."""
    inputs = _broadcast.draw_inputs(draw, make, dtype, asymmetric=draw(make.booleans()))
    output = None
    if dtype in LEFT_SHIFT:
        (low1, high1), (low2, high2) = map(_affine.real_range, inputs)
        middle = ((low1 + high1) + (low2 + high2) * (1 if op == "ADD" else -1)) / 2
        half = (high1 - low1 + high2 - low2) / 2
        unit = max(_affine.params_of(input)[0] for input in inputs)
        output = _affine.draw_output(draw, make, dtype, unit, middle - half, middle + half)
    return _broadcast.node(draw, make, op, {"pot_scale_int16": False}, inputs, output)


FACTS = Facts(
    elementwise=True,
    arithmetic="+",
    monotone="each",
    quantized=Quantizing(int16_options={"pot_scale_int16": False}),
    c_kernels={"int8": "add_int8", "float32": "add_float32", "int16": "add_int16", "int32": "add_int32"},
)

KERNELS = {
    ("ADD", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("ADD", "int16"): Kernel(prepare, evaluate, explain, partial(example, dtype="int16"), FACTS),
    ("ADD", "float32"): Kernel(
        _broadcast.prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
    ("ADD", "int32"): Kernel(prepare_int32, evaluate_int32, explain_int32, partial(example, dtype="int32"), FACTS),
}
