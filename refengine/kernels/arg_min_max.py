"""ARG_MAX, ARG_MIN: where along an axis the largest (smallest) element is, the first of equal ones.

A NaN in the first place stays, for no comparison with it holds; elsewhere it never wins.

TFLM: `kernels/arg_min_max.cc`; the loop in `kernels/internal/reference/arg_min_max.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _affine, _copies


@dataclass(frozen=True, eq=False)
class Params:
    """`axis`, counted from the front."""

    axis: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an axis computed at run time, indices that are not int32, and shapes that do not fit together."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs and len(node.outputs) == 1,
        f"expected input and axis, and 1 output, got {node.arity}",
    )
    (input, axis), output = node.inputs, node.outputs[0]
    assert input is not None and axis is not None
    require(
        output.dtype == "int32",
        f"output '{output.name}' is {output.dtype}; TFLM gives indices as int32: convert again with output_type int32",
    )
    at = _copies.known_axis(axis, input)
    shape = (*input.shape[:at], *input.shape[at + 1 :])
    consistent(
        output.shape == shape and input.shape[at] > 0,
        f"searching '{input.name}' {input.shape} along {at} gives {shape}, but output '{output.name}' has shape "
        f"{output.shape}",
    )
    return Params(at)


def evaluate(p: Params, input: Array, axis: Array, largest: bool) -> Array:
    """(B, …) codes or float32 → (B, …) int32, without the axis."""
    x = input
    if x.dtype == np.float32:
        x = np.where(np.isnan(x), np.float32(-np.inf if largest else np.inf), x)
    found = x.argmax(axis=p.axis + 1) if largest else x.argmin(axis=p.axis + 1)
    if input.dtype == np.float32:
        found[np.isnan(input.take(0, axis=p.axis + 1))] = 0
    indices: Array = found.astype(np.int32)
    return indices


def explain(p: Params, at: At, input: Array, axis: Array, largest: bool) -> Iterator[Line]:
    """Element `index` of the output, as TFLM finds it."""
    row = np.moveaxis(input, p.axis, -1)[at.index]
    best = 0
    for i, x in enumerate(row):
        best = i if (x > row[best] if largest else x < row[best]) else best
        yield Line("element", f"{x} at {i}, {'largest' if largest else 'smallest'} so far {row[best]}", best)


def example(draw: Draw, make: Toolbox, op: str, dtype: str) -> Node:
    """Any rank, and any axis, counted from either end."""
    ranks, largest = draw(make.sampled_from((((1, 5), 4), ((1, 2), 40))))
    input = _affine.draw_input(draw, make, dtype, ranks, largest)
    at = draw(make.integers(0, len(input.shape) - 1))
    axis = np.array([at - draw(make.booleans()) * len(input.shape)], np.int32)
    inputs = (input, make.constant(axis if draw(make.booleans()) else axis.reshape(())))
    output = make.tensor((*input.shape[:at], *input.shape[at + 1 :]), "int32")
    return Node(op, {"output_type": "int32"}, inputs, (output,))


FACTS = {
    op: Facts(
        computes={"float32": ("int32",), "int8": ("int32",)},
        quantized=Quantizing({"int8": 2}),
        c_kernels=dict.fromkeys(("float32", "int8"), op.lower()),
    )
    for op in ("ARG_MAX", "ARG_MIN")
}

KERNELS = {
    (op, dtype): Kernel(
        prepare,
        partial(evaluate, largest=op == "ARG_MAX"),
        partial(explain, largest=op == "ARG_MAX"),
        partial(example, op=op, dtype=dtype),
        FACTS[op],
    )
    for op in ("ARG_MAX", "ARG_MIN")
    for dtype in ("float32", "int8")
}
