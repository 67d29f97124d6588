"""SQUARED_DIFFERENCE: output = (input1 − input2)², the inputs broadcast against each other.

TFLM: `kernels/squared_difference.cc`. Quantised inputs are first brought to one common scale, twice the larger input
scale / 2^left_shift, as in ADD; the square of the difference is rescaled. int32 wraps, and float32 is not clamped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..numerics import scalar
from ..numerics.fixedpoint import Ints, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from ..numerics.quantize import code_range
from . import _affine, _broadcast, _narrate

LEFT_SHIFT = {"int8": 7, "int16": 0}
"""So that the square of a difference fits 32 bits."""

FACTS = Facts(
    elementwise=True,
    quantized=Quantizing(),
    c_kernels={t: f"squared_difference_{t}" for t in ("int8", "int16", "float32", "int32")},
)


@dataclass(frozen=True, eq=False)
class Params:
    """int8 and int16, TFLM's ArithmeticParams. `table` holds the result for every pair of int8 codes."""

    left_shift: int
    input1_zero_point: int
    input2_zero_point: int
    output_zero_point: int
    input1_multiplier: Multiplier
    input2_multiplier: Multiplier
    output_multiplier: Multiplier
    table: Array | None = None

    @cached_property
    def lines(self) -> _broadcast.Lines | None:
        """For many int16 codes, if proven."""
        operands, ends = (self.input1_multiplier, self.input2_multiplier), code_range("int16")
        return _broadcast.lines(
            operands, self.left_shift, self.output_multiplier, 1 << 30, self.output_zero_point, *ends
        )


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses int16 with zero points, as TFLM does, and scales so far apart that C leaves shifts undefined."""
    tensors = _broadcast.operands(node)
    rounding = _affine.fixed_rounding(node.name, numerics)
    (s1, z1), (s2, z2), (so, zo) = map(_affine.quantized, tensors)
    for tensor, zero_point in zip(tensors, (z1, z2, zo), strict=True):
        require(
            tensor.dtype == "int8" or zero_point == 0,
            f"the zero point of '{tensor.name}' is {zero_point}; TFLM takes int16 here only with zero points of 0: "
            "convert again",
        )
    left_shift, twice_max = LEFT_SHIFT[tensors[2].dtype], 2 * max(s1, s2)
    square = twice_max * twice_max / float(np.float32(so) * np.float32(1 << 2 * left_shift))
    first, second, output = (quantize_multiplier(real, rounding) for real in (s1 / twice_max, s2 / twice_max, square))
    _affine.require_shift(output, tensors[2])
    p = Params(left_shift, z1, z2, zo, first, second, output)
    return replace(p, table=_broadcast.tabulate(partial(_square, p))) if tensors[2].dtype == "int8" else p


def evaluate(p: Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) codes → (B, …) codes."""
    a, b = _broadcast.aligned(input1, input2)
    return _broadcast.codes(partial(_square, p), p.table, a, b, lambda: p.lines and partial(_square_of_lines, p.lines))


def _square(p: Params, input1: Array, input2: Array) -> Array:
    """The integer arithmetic itself. The square fits 32 bits."""

    def scaled(codes: Array, zero_point: int, multiplier: Multiplier) -> Ints:
        return multiply_by_quantized_multiplier((codes.astype(np.int64) - zero_point) << p.left_shift, multiplier)

    difference = scaled(input1, p.input1_zero_point, p.input1_multiplier)
    difference = difference - scaled(input2, p.input2_zero_point, p.input2_multiplier)
    squared = multiply_by_quantized_multiplier(difference * difference, p.output_multiplier)
    dtype = input1.dtype
    return np.clip(wrap32(squared + p.output_zero_point), *code_range(dtype.name)).astype(dtype)


def _square_of_lines(lines: _broadcast.Lines, input1: Array, input2: Array) -> Array:
    """The same by proven lines of float64."""
    difference, other = lines.operands(input1, input2)
    difference -= other
    difference *= difference
    return lines.codes(difference)


def explain(p: Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """One element, as TFLM computes it."""
    first, second = _broadcast.numbers(at.index, input1, input2)
    terms: list[int] = []
    for name, code, zero_point, multiplier in (
        ("input 1", first, p.input1_zero_point, p.input1_multiplier),
        ("input 2", second, p.input2_zero_point, p.input2_multiplier),
    ):
        shifted = (code - zero_point) * 2**p.left_shift
        yield Line(name, f"(code {code} − zero point {zero_point}) · 2^{p.left_shift}", shifted)
        terms.append((yield from _narrate.rescale(shifted, multiplier)))
    difference = terms[0] - terms[1]
    yield Line("difference", "both inputs in one scale, twice the larger of theirs", difference)
    square = difference**2
    yield Line("square", f"{difference} · {difference}", square)
    scaled = yield from _narrate.rescale(square, p.output_multiplier)
    yield from _narrate.finish(scaled, p.output_zero_point, *code_range(input1.dtype.name))


def _plain(a: Array, b: Array) -> Array:
    square: Array = np.square(a - b)
    return square


def explain_plain(p: _broadcast.NoParams, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """One element: int32 in 32 bits, or float32, each step rounded."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    is_float = input1.dtype == np.float32
    with np.errstate(all="ignore"):
        difference = a - b if is_float else scalar.wrap(a - b)
        yield Line("difference", f"{a} − {b}, {'in float32' if is_float else 'kept in 32 bits'}", difference)
        square = difference * difference if is_float else scalar.wrap(difference**2)
        yield Line("square", f"{difference} · {difference}", square)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Inputs and outputs of any scales."""
    first, second = _broadcast.draw_inputs(draw, make, dtype)
    output = None
    if dtype in LEFT_SHIFT:
        (low1, high1), (low2, high2) = _affine.real_range(first), _affine.real_range(second)
        unit = max(_affine.params_of(first)[0], _affine.params_of(second)[0]) ** 2
        furthest = max(high1 - low2, high2 - low1) / 2
        output = _affine.draw_output(draw, make, dtype, unit, 0.0, furthest**2)
        output = replace(output, zero_point=(0,)) if dtype == "int16" else output
    return _broadcast.plain_node(draw, make, "SQUARED_DIFFERENCE", (first, second), output)


KERNELS = {
    **{
        ("SQUARED_DIFFERENCE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
        for dtype in LEFT_SHIFT
    },
    **{
        ("SQUARED_DIFFERENCE", dtype): Kernel(
            _broadcast.prepare_plain,
            partial(_broadcast.evaluate_plain, function=_plain),
            explain_plain,
            partial(example, dtype=dtype),
            FACTS,
        )
        for dtype in ("float32", "int32")
    },
}
