"""MAXIMUM: output = the larger of input1 and input2; MINIMUM: the smaller. The inputs broadcast against each other.

TFLM: `kernels/maximum_minimum.cc`; the comparison in `kernels/internal/reference/maximum_minimum.h`. The first input is
taken if it is greater (less), else the second: so it is the second of a NaN and any number, and of two zeros, whatever
their signs. Codes are compared as they are, and no quantisation is looked at; a converter gives all three the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Quantizing, Toolbox
from ..model import Array
from ..numerics import float32
from . import _broadcast

TYPES = ("float32", "int8", "int16", "int32", "int64")

FACTS = {
    op: Facts(
        elementwise=True,
        joins=True,
        shares_scale=True,
        quantized=Quantizing(),
        c_kernels={t: f"{op.lower()}_{t}" for t in TYPES},
    )
    for op in ("MAXIMUM", "MINIMUM")
}


def _larger(a: Array, b: Array) -> Array:
    return float32.select(a > b, a, b) if a.dtype == np.float32 else np.maximum(a, b)


def _smaller(a: Array, b: Array) -> Array:
    return float32.select(a < b, a, b) if a.dtype == np.float32 else np.minimum(a, b)


def explain(p: _broadcast.NoParams, at: At, input1: Array, input2: Array, op: str) -> Iterator[Line]:
    """One element: the first input's if it compares so, else the second's."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    sign, taken = (">", a > b) if op == "MAXIMUM" else ("<", a < b)
    yield Line("input 1", f"{a}", a)
    yield Line("input 2", f"{b}", b)
    yield Line("taken", f"input 1: {a} {sign} {b}" if taken else f"input 2: not {a} {sign} {b}", a if taken else b)


def example(draw: Draw, make: Toolbox, op: str, dtype: str) -> Node:
    """Tensors of any quantisation, mostly one for all."""
    first, second = _broadcast.draw_inputs(draw, make, dtype)
    output = first.quantization if draw(make.integers(0, 3)) else draw(make.quantization(dtype))
    return _broadcast.plain_node(draw, make, op, (first, second), output)


KERNELS = {
    (op, dtype): Kernel(
        _broadcast.prepare_plain,
        partial(_broadcast.evaluate_plain, function=function),
        partial(explain, op=op),
        partial(example, op=op, dtype=dtype),
        FACTS[op],
    )
    for op, function in (("MAXIMUM", _larger), ("MINIMUM", _smaller))
    for dtype in TYPES
}
