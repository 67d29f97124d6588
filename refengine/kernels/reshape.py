"""RESHAPE: the input's elements, in order, under the output's declared shape.

TFLM: `kernels/reshape.cc`, `reshape_common.cc`. The second input and the option `new_shape` are not read: TFLM plans
all memory beforehand, so that the output's declared shape counts even where another operator computes a shape, as in
the SHAPE, STRIDED_SLICE, PACK, RESHAPE that Keras' Flatten is converted into.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _affine, _copies


@dataclass(frozen=True)
class Params:
    """The declared shape."""

    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output of another type or number of elements, and (0,) for a scalar."""
    consistent(
        len(node.inputs) in (1, 2) and node.inputs[0] is not None and len(node.outputs) == 1,
        f"expected an input, an optional shape and 1 output, got {node.arity}",
    )
    input, output = node.inputs[0], node.outputs[0]
    assert input is not None and output is not None
    _copies.same_type(input, output)
    if len(node.inputs) == 1 and output.shape == (0,):  # by which old files mean a scalar
        one = f"output '{output.name}' is declared (0,) without a shape input, which TFLM takes for one element"
        within_limits(prod(input.shape) != 1, f"{one}, and refengine does not: convert again", tflm_runs=True)
        require(False, f"{one}, and so TFLM refuses input '{input.name}' {input.shape}: convert again")
    consistent(
        prod(input.shape) == prod(output.shape),
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} have different numbers of "
        "elements",
    )
    return Params(output.shape)


def evaluate(p: Params, input: Array, shape: Array | None = None) -> Array:
    """(B, *input shape) → (B, *output_shape)."""
    return input.reshape(len(input), *p.output_shape)


def explain(p: Params, at: At, input: Array, shape: Array | None = None) -> Iterator[Line]:
    """Element `index` of the output: the one at the same place in memory."""
    place = 0
    for i, size in zip(at.index, p.output_shape, strict=True):
        place = place * size + i
    rest, source = place, []
    for size in reversed(input.shape):
        rest, i = divmod(rest, size)
        source.append(i)
    yield _copies.copied("input", input, tuple(reversed(source)), f"number {place} in memory, here as there")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any two shapes of one size, the shape input left out, constant, fed, or plainly wrong: it is not read."""
    input = _affine.draw_input(draw, make, dtype, (0, 4), 4)
    sizes = sorted(input.shape) if draw(make.booleans()) else list(input.shape[::-1])
    if draw(make.booleans()):
        sizes[:2] = [prod(sizes[:2])]
    elif draw(make.booleans()):
        sizes = [*(1,) * (4 - len(sizes)), *sizes][:4] if len(sizes) <= 4 else sizes
    shapes: dict[str, tuple[Tensor | None, ...]] = {
        "none": (),
        "left out": (None,),
        "constant": (make.constant(np.array(sizes, np.int32)),),
        "wrong": (make.constant(np.array([7, -1], np.int32)),),
        "fed": (make.tensor((len(sizes),), "int32"),),
    }
    shape = shapes[draw(make.sampled_from(tuple(shapes) if sizes else ("none", "left out")))]
    output = make.tensor(sizes, dtype, input.quantization)
    return Node("RESHAPE", {"new_shape": sizes}, (input, *shape), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing({"int8": 1, "int16": 1}),
    c_kernels=dict.fromkeys(_copies.TYPES, "reshape"),
)

KERNELS = {
    ("RESHAPE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in _copies.TYPES
}
