"""EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL: bools, of inputs that broadcast against each other.

TFLM: `kernels/comparisons.cc`; the loops in `kernels/internal/reference/comparisons.h`. int8 codes are not compared as
they are, not even where both inputs have one quantisation: each is first multiplied by its own scale, in fixed point,
to units of 1/256. Real numbers that are closer than that may be equal. TFLM runs GREATER on int16, too, but with
multipliers that nobody has set; refengine does not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..numerics.fixedpoint import Ints, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier
from . import _affine, _broadcast, _narrate, _unary

LEFT_SHIFT = 8


@dataclass(frozen=True, eq=False)
class Params:
    """int8, TFLM's ComparisonParams. `table` holds the result for every pair of codes."""

    input1_zero_point: int
    input2_zero_point: int
    input1_multiplier: Multiplier
    input2_multiplier: Multiplier
    table: Array


def prepare(node: Node, numerics: Numerics, function: Callable[[Array, Array], Array]) -> Params:
    """Refuses scales of 1 and more, on which TFLM aborts."""
    inputs = _broadcast.operands(node, "bool")[:2]
    rounding = _affine.fixed_rounding(node.name, numerics)
    (s1, z1), (s2, z2) = map(_affine.quantized, inputs)
    for input, scale in zip(inputs, (s1, s2), strict=True):
        require(
            scale < 1,
            f"the scale of int8 input '{input.name}' is {scale:g}, and TFLM aborts on scales of 1 and more; compare "
            "in float, or put a QUANTIZE to a smaller scale before",
        )
    m1, m2 = (quantize_multiplier(scale, rounding) for scale in (s1, s2))
    codes = _unary.codes("int8")
    return Params(z1, z2, m1, m2, function(_scaled(codes - z1, m1)[:, None], _scaled(codes - z2, m2)))


def _scaled(x: Ints, multiplier: Multiplier) -> Ints:
    """In units of 2⁻⁸, rounded."""
    return multiply_by_quantized_multiplier(x << LEFT_SHIFT, multiplier)


def evaluate(p: Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) codes → (B, …) bools."""
    return _broadcast.lookup(p.table, *_broadcast.aligned(input1, input2))


def explain(p: Params, at: At, input1: Array, input2: Array, sign: str) -> Iterator[Line]:
    """One element: both codes in units of 2⁻⁸, compared."""
    first, second = _broadcast.numbers(at.index, input1, input2)
    scaled: list[int] = []
    for name, code, zero_point, multiplier in (
        ("input 1", first, p.input1_zero_point, p.input1_multiplier),
        ("input 2", second, p.input2_zero_point, p.input2_multiplier),
    ):
        shifted = (code - zero_point) * 2**LEFT_SHIFT
        yield Line(name, f"(code {code} − zero point {zero_point}) · 2^{LEFT_SHIFT}", shifted)
        scaled.append((yield from _narrate.rescale(shifted, multiplier)))
    yield _compared(scaled[0], scaled[1], sign)


def explain_plain(p: _broadcast.NoParams, at: At, input1: Array, input2: Array, sign: str) -> Iterator[Line]:
    """One element: one comparison, as C has it."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    yield Line("input 1", f"{a}", a)
    yield Line("input 2", f"{b}", b)
    yield _compared(a, b, sign)


def _compared(a: Any, b: Any, sign: str) -> Line:
    return Line("compared", f"{a} {sign} {b}", bool(SIGNS[sign](a, b)))


SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def example(draw: Draw, make: Toolbox, op: str, dtype: str) -> Node:
    """Equal and unequal quantisations, their scales below 1."""
    first, second = _broadcast.draw_inputs(draw, make, dtype, high=0.5)
    if second.quantization is not None and second.data is not None and draw(make.booleans()):
        second = replace(second, quantization=first.quantization)
    return _broadcast.plain_node(draw, make, op, (first, second), output_type="bool")


OPERATORS: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "EQUAL": ("==", np.equal),
    "NOT_EQUAL": ("!=", np.not_equal),
    "GREATER": (">", np.greater),
    "GREATER_EQUAL": (">=", np.greater_equal),
    "LESS": ("<", np.less),
    "LESS_EQUAL": ("<=", np.less_equal),
}

FACTS = {
    op: Facts(
        elementwise=True,
        computes=dict.fromkeys(("float32", "int8", "int32", "int64"), ("bool",)),
        quantized=Quantizing({} if op == "NOT_EQUAL" else {"int8": 2}),
        c_kernels={dtype: f"{op.lower()}_{dtype}" for dtype in ("int8", "float32", "int32", "int64")}
        | ({"bool": f"{op.lower()}_bool"} if op in ("EQUAL", "NOT_EQUAL") else {}),
    )
    for op in OPERATORS
}

KERNELS = {
    **{
        (op, "int8"): Kernel(
            partial(prepare, function=function),
            evaluate,
            partial(explain, sign=sign),
            partial(example, op=op, dtype="int8"),
            FACTS[op],
        )
        for op, (sign, function) in OPERATORS.items()
    },
    **{
        (op, dtype): Kernel(
            partial(_broadcast.prepare_plain, output_type="bool"),
            partial(_broadcast.evaluate_plain, function=function),
            partial(explain_plain, sign=sign),
            partial(example, op=op, dtype=dtype),
            FACTS[op],
        )
        for op, (sign, function) in OPERATORS.items()
        for dtype in ("float32", "int32", "int64", *(("bool",) if op in ("EQUAL", "NOT_EQUAL") else ()))
    },
}
