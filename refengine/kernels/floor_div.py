"""FLOOR_DIV: output = floor(input1 / input2), the inputs broadcast against each other.

TFLM: `kernels/floor_div.cc`, `kernels/internal/reference/floor_div.h`. The division is in double, which a division in
float32 would at times round up to the next integer. Invoke fails on a zero in input2, −0 included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _broadcast

FACTS = Facts(elementwise=True, quantized=Quantizing({}), c_kernels={"float32": "floor_div_float32"})


def prepare(node: Node, numerics: Numerics) -> _broadcast.NoParams:
    """Refuses constant divisors with a zero among them."""
    _, divisor, _ = _broadcast.operands(node)
    _broadcast.refuse_zeros(divisor)
    return _broadcast.NoParams()


def evaluate(p: _broadcast.NoParams, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) float32 → (B, …) float32. Raises `InferenceError` for inferences that divide by 0."""
    _broadcast.fail_on_zeros(input2)
    a, b = _broadcast.aligned(input1, input2)
    quotient = np.divide(a, b, dtype=np.float64)
    return np.floor(quotient).astype(np.float32)


def explain(p: _broadcast.NoParams, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """One element."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    yield Line("input 1", f"{a}", a)
    yield Line("input 2", f"{b}", b)
    with np.errstate(all="ignore"):
        quotient = np.float64(a) / np.float64(b)
        yield Line("quotient", f"{a} / {b} in double", quotient)
        whole = np.float64(math.floor(quotient)) if math.isfinite(quotient) and quotient else quotient
        yield Line("output", "rounded down, then to float32", np.float32(whole))


def example(draw: Draw, make: Toolbox) -> Node:
    """A constant divisor without zeros."""
    inputs = _broadcast.draw_quotient(draw, make, "float32", without=(0,))
    return Node("FLOOR_DIV", {}, inputs, (_broadcast.broadcast(make, inputs),))


KERNELS = {("FLOOR_DIV", "float32"): Kernel(prepare, evaluate, explain, example, FACTS)}
