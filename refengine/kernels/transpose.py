"""TRANSPOSE: output[i] = input[j] where j[perm[d]] = i[d] for each dimension d.

TFLM: `kernels/transpose.cc`, `transpose_common.cc`; the loop in `kernels/internal/reference/transpose.h`.
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

MAX_RANK = 5


@dataclass(frozen=True, eq=False)
class Params:
    """TFLM's TransposeParams: the input dimension that each output dimension comes from."""

    perm: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses more than 5 dimensions, a permutation computed at run time, and one that is none."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs and len(node.outputs) == 1,
        f"expected input and permutation, and 1 output, got {node.arity}",
    )
    input, perm, output = node.inputs[0], node.inputs[1], node.outputs[0]
    assert input is not None and perm is not None and output is not None
    _copies.same_type(input, output)
    rank = len(input.shape)
    require(
        1 <= rank <= MAX_RANK,
        f"input '{input.name}' has {rank} dimensions; TFLM transposes 1 to {MAX_RANK}: reshape it",
    )
    require(
        perm.data is not None and perm.dtype == "int32" and perm.shape == (rank,),
        f"permutation '{perm.name}' must be a constant of {rank} int32, one for each dimension of '{input.name}': "
        "TFLM takes no other, so make it one",
    )
    assert perm.data is not None
    order = tuple(perm.data.tolist())
    consistent(sorted(order) == list(range(rank)), f"permutation '{perm.name}' {order} is none of {rank} dimensions")
    shape = tuple(input.shape[d] for d in order)
    consistent(shape == output.shape, f"output '{output.name}' has shape {output.shape}; transposing gives {shape}")
    return Params(order)


def evaluate(p: Params, input: Array, perm: Array) -> Array:
    """(B, …) → (B, …), a view with its dimensions in another order behind the batch."""
    output: Array = input.transpose(0, *(d + 1 for d in p.perm))
    return output


def explain(p: Params, at: At, input: Array, perm: Array) -> Iterator[Line]:
    """Element `index` of the output: where it was."""
    source = [0] * len(at.index)
    for position, d in zip(at.index, p.perm, strict=True):
        source[d] = position
    yield _copies.copied("input", input, tuple(source), f"its dimensions in the order {p.perm}")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank and any order."""
    input = _affine.draw_input(draw, make, dtype, (1, MAX_RANK), 5)
    dimensions = list(range(len(input.shape)))
    order = [dimensions.pop(draw(make.integers(0, len(dimensions) - 1))) for _ in input.shape]
    output = make.tensor([input.shape[d] for d in order], dtype, input.quantization)
    return Node("TRANSPOSE", {}, (input, make.constant(np.array(order, np.int32))), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("int8", "int16", "float32"), "copies"),
)

KERNELS = {
    ("TRANSPOSE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("int8", "int16", "float32")
}
