"""FLOOR_MOD: the remainder of input1 / input2 with the sign of input2, the inputs broadcast against each other.

TFLM: `kernels/floor_mod.cc`, `kernels/internal/reference/floor_mod.h`. From C's exact `fmodf`, whose sign is input1's;
where the signs differ, input2 is added, and the sum is rounded: it may be input2 itself. A remainder of 0 keeps the
sign of input1, and one by 0 is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Quantizing, Toolbox
from ..model import Array
from . import _broadcast

FACTS = Facts(elementwise=True, quantized=Quantizing({}), c_kernels={"float32": "floor_mod_float32"})


def _floor_mod(a: Array, b: Array) -> Array:
    remainder = np.fmod(a, b)
    return np.where((remainder != 0) & ((b < 0) != (remainder < 0)), remainder + b, remainder)


def explain(p: _broadcast.NoParams, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """One element."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    yield Line("input 1", f"{a}", a)
    yield Line("input 2", f"{b}", b)
    defined = math.isfinite(a) and b != 0 and not math.isnan(b)
    remainder = np.float32(math.fmod(a, b) if defined else math.nan)
    yield Line("remainder", f"of {a} / {b}, with the sign of {a}", remainder)
    if remainder != 0 and (b < 0) != (remainder < 0):
        with np.errstate(all="ignore"):
            yield Line("output", f"{remainder} + {b}, for the signs differ", remainder + b)


def example(draw: Draw, make: Toolbox) -> Node:
    """Any numbers; the divisor may be constant."""
    return _broadcast.plain_node(draw, make, "FLOOR_MOD", _broadcast.draw_inputs(draw, make, "float32"))


KERNELS = {
    ("FLOOR_MOD", "float32"): Kernel(
        _broadcast.prepare_plain, partial(_broadcast.evaluate_plain, function=_floor_mod), explain, example, FACTS
    )
}
