"""UNPACK: the input's slices along a dimension, which they lose, an output each.

TFLM: `kernels/unpack.cc`. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..text import counted
from . import _affine, _copies, split


@dataclass(frozen=True)
class Params:
    """`axis` of the input, counted from the front."""

    axis: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses what TFLM does not check but would misread: an axis outside, a wrong `num`, outputs of another shape."""
    consistent(len(node.inputs) == 1 and node.inputs[0] is not None, f"expected 1 input, got {len(node.inputs)}")
    (input,) = node.inputs
    assert input is not None
    axis = _copies.resolved_axis(node.options["axis"], input)
    consistent(
        input.shape[axis] == len(node.outputs) == node.options["num"],
        f"{counted(len(node.outputs), 'output')}, num {node.options['num']} and input '{input.name}' {input.shape} "
        f"with axis {axis} do not agree",
    )
    _copies.same_type(input, *node.outputs)
    for output in node.outputs:
        rest = input.shape[:axis] + input.shape[axis + 1 :]
        _copies.declared(output, rest, f"'{input.name}' {input.shape} without axis {axis}")
    return Params(axis)


def evaluate(p: Params, input: Array) -> tuple[Array, ...]:
    """(B, …) → (B, …) for each output, views of the input."""
    return tuple(np.moveaxis(input, 1 + p.axis, 0))


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `at` of an output."""
    source = (*at.index[: p.axis], at.output, *at.index[p.axis :])
    yield _copies.copied("input", input, source, f"position {at.output} along axis {p.axis}")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank and axis, counted from either end."""
    input = _affine.draw_input(draw, make, dtype, (1, 5), 4)
    axis = draw(make.integers(0, len(input.shape) - 1))
    rest = (*input.shape[:axis], *input.shape[axis + 1 :])
    outputs = tuple(make.tensor(rest, dtype, input.quantization) for _ in range(input.shape[axis]))
    options = {"num": len(outputs), "axis": axis - draw(make.booleans()) * len(input.shape)}
    return Node("UNPACK", options, (input,), outputs)


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 2, "int16": 1}),
    c_kernels=dict.fromkeys(split.TYPES, "copies"),
)

KERNELS = {
    ("UNPACK", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS) for dtype in split.TYPES
}
