"""LOGICAL_AND, LOGICAL_OR: of bools that broadcast against each other.

TFLM: `kernels/logical.cc`, `logical_common.cc`, which read whatever they get as bools; refengine wants bools.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Toolbox
from ..model import Array
from . import _broadcast

FACTS = Facts(elementwise=True)


def explain(p: _broadcast.NoParams, at: At, input1: Array, input2: Array, word: str) -> Iterator[Line]:
    """One element."""
    a, b = _broadcast.numbers(at.index, input1, input2)
    yield Line("input 1", f"{a}", a)
    yield Line("input 2", f"{b}", b)
    yield Line("output", f"{a} {word} {b}", (a and b) if word == "and" else (a or b))


def example(draw: Draw, make: Toolbox, op: str) -> Node:
    """Any shapes."""
    return _broadcast.plain_node(draw, make, op, _broadcast.draw_inputs(draw, make, "bool"))


KERNELS = {
    (op, "bool"): Kernel(
        _broadcast.prepare_plain,
        partial(_broadcast.evaluate_plain, function=function),
        partial(explain, word=word),
        partial(example, op=op),
        replace(FACTS, c_kernels={"bool": op.lower()}),
    )
    for op, word, function in (("LOGICAL_AND", "and", np.logical_and), ("LOGICAL_OR", "or", np.logical_or))
}
