"""SPLIT_V: the input in pieces of any lengths along a dimension, an output each.

TFLM: `kernels/split_v.cc`. **The tensor of sizes is not read**: the pieces are as long as the outputs are declared, and
the sizes may be fed, wrong, or say −1 for "the rest". Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _copies, split


def prepare(node: Node, numerics: Numerics) -> split.Params:
    """Refuses a computed axis, one that the input has not, and outputs that do not make up the input."""
    consistent(
        len(node.inputs) == 3 and None not in node.inputs and len(node.outputs) >= 1,
        f"expected input, sizes and axis, and at least 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    input, _, axis = node.inputs
    assert axis is not None and input is not None
    return split.pieces(input, _copies.constant_axis(axis, input), node.outputs)


def evaluate(p: split.Params, input: Array, sizes: Array, axis: Array) -> tuple[Array, ...]:
    """(B, …) → (B, …) for each output, views of the input."""
    return split.evaluate(p, axis, input)


def explain(p: split.Params, at: At, input: Array, sizes: Array, axis: Array) -> Iterator[Line]:
    """Element `at` of an output."""
    yield from split.explain(p, at, axis, input)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank, axis and lengths; the sizes right, with a −1, fed, or plainly wrong: they are not read."""
    input, axis, outputs = split.draw_pieces(draw, make, dtype, equal=False)
    lengths = [output.shape[axis] for output in outputs]
    sizes = {
        "right": make.constant(np.array(lengths, np.int32)),
        "rest": make.constant(np.array([*lengths[:-1], -1], np.int64)),
        "wrong": make.constant(np.array([7], np.int32)),
        "fed": make.tensor((len(lengths),), "int32"),
    }[draw(make.sampled_from(("right", "rest", "wrong", "fed")))]
    at = make.constant(np.array(axis, np.int32).reshape(draw(make.sampled_from(((), (1,))))))
    return Node("SPLIT_V", {"num_splits": len(outputs)}, (input, sizes, at), outputs)


FACTS = Facts(copies=True, shares_scale=True, quantized=Quantizing(), c_kernels=dict.fromkeys(split.TYPES, "copies"))

KERNELS = {
    ("SPLIT_V", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in split.TYPES
}
