"""GATHER_ND: elements or slices of the input, chosen by the rows of a tensor of indices.

TFLM: `kernels/gather_nd.cc`. Invoke fails on indices that lead out of the input's memory, and on those only: an index
beyond its own dimension reads **another row**, [0, 3] of a (2, 3) what [1, 0] is. Quantisation is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..errors import InferenceError, consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _affine, _copies

MAX_INDICES_ND = 5


@dataclass(frozen=True)
class Params:
    """The input's slices, numbered as they lie in memory: index j of a row counts in steps of `slices_per_step[j]`."""

    slices: int
    slices_per_step: tuple[int, ...]
    output_shape: tuple[int, ...]

    def places(self, indices: Array) -> Array:
        """(B, …, steps) int32 → (B, rows): which slice each row of indices is."""
        rows = indices.reshape(len(indices), prod(indices.shape[1:-1]), len(self.slices_per_step)).astype(np.int64)
        return np.asarray(rows @ np.array(self.slices_per_step))


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses index rows longer than 5 or than the input has dimensions, inputs without elements, and constant rows
    that leave the input."""
    input, indices, output = _copies.given(node, "input", "indices")
    _copies.same_type(input, output)
    require(
        indices.dtype == "int32",
        f"the indices '{indices.name}' are {indices.dtype}; TFLM gathers by int32: cast them and convert again",
    )
    depth, most = (*indices.shape, 0)[len(indices.shape) - 1], min(len(input.shape), MAX_INDICES_ND)
    consistent(
        indices.shape and 1 <= depth <= most,
        f"the indices '{indices.name}' have shape {indices.shape}; its last dimension must lie in 1 … {most} for input "
        f"'{input.name}' {input.shape}",
    )
    gathered = indices.shape[:-1] + input.shape[depth:]
    _copies.declared(output, gathered, f"what '{indices.name}' {indices.shape} chooses of '{input.name}'")
    require(
        0 not in input.shape[:depth],
        f"input '{input.name}' {input.shape} has a dimension of 0, by which TFLM divides, and crashes: convert again",
    )
    steps = tuple(prod(input.shape[j + 1 : depth]) for j in range(depth))
    p = Params(prod(input.shape[:depth]), steps, gathered)
    if indices.data is not None:
        require(not _outside(p, p.places(indices.data[np.newaxis])).any(), _COMPLAINT)
    return p


_COMPLAINT = "indices lead out of the input, on which TFLM's Invoke fails"


def _outside(p: Params, places: Array) -> Array:
    """Which inferences have a row that leaves the input. (Beyond 32 bits, TFLM's sum is undefined in C.)"""
    return np.asarray(((places < 0) | (places >= p.slices)).any(axis=1))


def evaluate(p: Params, input: Array, indices: Array) -> Array:
    """(B, …) and (B, …) int32 → (B, *output_shape). Raises `InferenceError` for indices that leave the input."""
    n, places = max(len(input), len(indices)), p.places(indices)
    outside = _outside(p, places)
    if outside.any():
        raise InferenceError(_COMPLAINT, rows=np.broadcast_to(outside, n))
    rows = np.arange(len(input))[:, np.newaxis]
    slices = input.reshape(len(input), p.slices, input[0].size // max(1, p.slices))
    return slices[rows, places].reshape(n, *p.output_shape)


def explain(p: Params, at: At, input: Array, indices: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    rows = indices.ndim - 1
    row = indices[at.index[:rows]].tolist()
    place = sum(int(i) * step for i, step in zip(row, p.slices_per_step, strict=True))
    yield Line("slice", f"the indices {row} lead to slice {place} of {p.slices} in memory", place)
    source = tuple(place // step % size for step, size in zip(p.slices_per_step, input.shape, strict=False))
    yield _copies.copied("input", input, source + at.index[rows:], f"slice {place}, and the rest of the output's index")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Rows of any length, constant with each index in its dimension or not, or computed."""
    input = _affine.draw_input(draw, make, dtype, (1, 5), 4)
    depth = draw(make.integers(1, len(input.shape)))
    rows = draw(make.shape((0, 2), 4))
    if draw(make.booleans()):
        indices, before = _copies.draw_positions(draw, make, (*rows, depth), 0, min(input.shape[:depth]) - 1)
    else:
        places = draw(make.array(rows, "int32", 0, prod(input.shape[:depth]) - 1))
        split = np.stack(np.unravel_index(places, input.shape[:depth]), axis=-1).astype(np.int32)
        if depth > 1 and draw(make.booleans()):  # the same places by indices beyond their dimensions
            shift = draw(make.array(rows, "int32", -1, 1))
            split[..., -1] += shift * input.shape[depth - 1]
            split[..., -2] -= shift
        indices, before = make.constant(split), ()
    output = make.tensor((*rows, *input.shape[depth:]), dtype, input.quantization)
    return Node("GATHER_ND", {}, (input, indices), (output,), before=before)


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 1, "int16": 3}),
    c_kernels=dict.fromkeys(("float32", "int8"), "copies"),
)

KERNELS = {
    ("GATHER_ND", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
