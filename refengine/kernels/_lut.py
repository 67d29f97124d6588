"""A function of one real number as a table of 256 int8 codes, filled in float32: TFLM's ELU, and LiteRT's curves.

TFLM: `LUTPopulateInt8`, `kernels/internal/common.h`. XNNPACK's reference kernels fill theirs alike, but round the sum
of result and zero point, ties to even, and saturate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernel import At, Line, Node
from ..model import Array
from ..numerics import float32, scalar, scalar_float
from ..numerics.quantize import code_range
from . import _affine, _unary

Function = Callable[[Any], Any]
"""From float32 to float32, elementwise."""


@dataclass(frozen=True, eq=False)
class Params:
    """What the table is made of, and the output code of every input code; see `_unary.codes` for their order.

    `function` is applied to the real value; `told` says which it is. `float_to_int` is None where sums saturate.
    """

    input_scale: np.float32
    input_zero_point: int
    inverse_scale: np.float32
    output_zero_point: int
    function: Function
    told: str
    float_to_int: str | None
    table: Array


def prepare(node: Node, function: Function, told: str, float_to_int: str | None) -> Params:
    """Refuses an output of another type or shape, and tensors without quantisation."""
    input, output = _unary.operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    inverse = np.float32(1) / np.float32(so)
    y = function(np.float32(si) * (_unary.codes("int8") - zi).astype(np.float32)) * inverse
    if float_to_int is None:
        codes = np.rint(y + np.float32(zo))
    else:
        codes = float32.to_int32(float32.round_half_away(y) + np.float32(zo), float_to_int)
    table = np.clip(codes, *code_range("int8")).astype(np.int8)
    return Params(np.float32(si), zi, inverse, zo, function, told, float_to_int, table)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """One element, as the table is filled."""
    code = int(input[at.index])
    yield _unary.explain_input(code, p.input_zero_point)
    with np.errstate(all="ignore"):
        x = p.input_scale * np.float32(code - p.input_zero_point)
        yield Line("real", f"times scale {p.input_scale:.9g}, in float32", x)
        y = p.function(x)
        yield Line("curve", p.told, y)
        y = y * p.inverse_scale
        yield Line("ratio", f"times {p.inverse_scale:.9g}, the output scale's inverse", y)
        yield from _rounded(p, y)


def _rounded(p: Params, y: np.float32) -> Iterator[Line]:
    """From the ratio to the code."""
    offset = np.float32(p.output_zero_point)
    if p.float_to_int is None:
        yield Line("output offset", f"+ output zero point {p.output_zero_point}, in float32", y + offset)
        whole = int(np.rint(y + offset))
        yield Line("rounded", "to the nearest integer, ties to even", whole)
    else:
        rounded = np.float32(scalar_float.round_half_away(float(y)))
        yield Line("rounded", "to the nearest integer, ties away from zero", rounded)
        total = rounded + offset
        yield Line("output offset", f"+ output zero point {p.output_zero_point}, in float32", total)
        whole = scalar_float.to_int32(float(total), p.float_to_int)
        yield Line("int32", "fits" if whole == total else f"does not fit, and {p.float_to_int} makes it this", whole)
    yield Line("clamp", "within [-128, 127]", scalar.clamp(whole, *code_range("int8")))
