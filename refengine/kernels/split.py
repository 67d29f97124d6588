"""SPLIT: the input in equal pieces along a dimension, an output each.

TFLM: `kernels/split.cc`. How many pieces there are is how many outputs the operator has; the option `num_splits` is not
read. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _affine, _copies

TYPES = ("float32", "int8", "int16", "int32")


@dataclass(frozen=True)
class Params:
    """`axis` of the input, counted from the front, and the position along it at which each piece begins."""

    axis: int
    starts: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a computed axis, one that the input has not, and outputs that are not equal parts of the input."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs and len(node.outputs) >= 1,
        f"expected axis and input, and at least 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    axis, input = node.inputs
    assert axis is not None and input is not None
    p = pieces(input, _copies.constant_axis(axis, input), node.outputs)
    require(
        len({output.shape for output in node.outputs}) == 1,
        f"the outputs have shapes {[output.shape for output in node.outputs]}; TFLM takes the first one's for all: "
        "convert again to SPLIT_V",
    )
    return p


def pieces(input: Tensor, axis: int, outputs: tuple[Tensor, ...]) -> Params:
    """Where along `axis` each output begins; refuses outputs of another type, and those that do not make up `input`."""
    _copies.same_type(input, *outputs)
    for output in outputs:
        consistent(
            len(output.shape) == len(input.shape)
            and output.shape[:axis] + output.shape[axis + 1 :] == input.shape[:axis] + input.shape[axis + 1 :],
            f"output '{output.name}' {output.shape} and input '{input.name}' {input.shape} differ beside axis {axis}",
        )
    ends = np.cumsum([output.shape[axis] for output in outputs]).tolist()
    consistent(
        ends[-1] == input.shape[axis],
        f"the outputs' lengths along axis {axis} add up to {ends[-1]}, but input '{input.name}' has "
        f"{input.shape[axis]}",
    )
    return Params(axis, (0, *ends[:-1]))


def evaluate(p: Params, axis: Array, input: Array) -> tuple[Array, ...]:
    """(B, …) → (B, …) for each output, views of the input."""
    return tuple(np.split(input, p.starts[1:], axis=1 + p.axis))


def explain(p: Params, at: At, axis: Array, input: Array) -> Iterator[Line]:
    """Element `at` of an output."""
    start, source = p.starts[at.output], list(at.index)
    source[p.axis] += start
    why = f"output {at.output} begins at {start} along axis {p.axis}"
    yield _copies.copied("input", input, tuple(source), why)


def draw_pieces(draw: Draw, make: Toolbox, dtype: str, equal: bool) -> tuple[Tensor, int, tuple[Tensor, ...]]:
    """For an example: an input of any rank, an axis counted from either end, and outputs that make it up."""
    input = _affine.draw_input(draw, make, dtype, (1, 5), 4)
    axis = draw(make.integers(0, len(input.shape) - 1))
    length = input.shape[axis]
    counts = [k for k in range(1, length + 1) if length % k == 0 or not equal]
    count = draw(make.sampled_from(counts[::-1]))
    lengths = [length // count] * count
    for _ in range(length - sum(lengths)):
        lengths[draw(make.integers(0, count - 1))] += 1
    outputs = (
        make.tensor((*input.shape[:axis], part, *input.shape[axis + 1 :]), dtype, input.quantization)
        for part in lengths
    )
    return input, axis - draw(make.booleans()) * len(input.shape), tuple(outputs)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank, axis and number of pieces; `num_splits` may be plainly wrong: it is not read."""
    input, axis, outputs = draw_pieces(draw, make, dtype, equal=True)
    at = make.constant(np.array(axis, np.int32).reshape(draw(make.sampled_from(((), (1,))))))
    splits = draw(make.sampled_from((len(outputs), len(outputs), 7)))
    return Node("SPLIT", {"num_splits": splits}, (at, input), outputs)


FACTS = Facts(data=1, copies=True, shares_scale=True, quantized=Quantizing(), c_kernels=dict.fromkeys(TYPES, "copies"))

KERNELS = {
    ("SPLIT", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS) for dtype in TYPES
}
