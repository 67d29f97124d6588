"""GATHER: the input's slices along a dimension, chosen by a tensor of positions.

TFLM: `kernels/gather.cc`. The first `batch_dims` dimensions are common to input and positions. Invoke fails on a
position that is negative or beyond the dimension; TFLM as old as commit 90b983c reads other memory there, which no
dialect follows. Quantisation is not looked at: codes are copied.
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


@dataclass(frozen=True)
class Params:
    """`axis` and `batch_dims`, resolved.

    `input_shape` has four sizes, of the batch dimensions, those before the axis, the axis, and those behind it;
    `positions_shape` has two, of the batch dimensions and the others.
    """

    axis: int
    batch_dims: int
    input_shape: tuple[int, int, int, int]
    positions_shape: tuple[int, int]
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an axis or batch dimensions that the tensors have not, and constant positions outside the input."""
    input, positions, output = _copies.given(node, "input", "positions")
    _copies.same_type(input, output)
    require(
        positions.dtype == "int32",
        f"the positions '{positions.name}' are {positions.dtype}; TFLM gathers by int32: cast them and convert again",
    )
    axis = _copies.resolved_axis(node.options["axis"], input)
    batch_dims, most = node.options["batch_dims"], min(axis, len(positions.shape))
    batch_dims += len(positions.shape) if batch_dims < 0 else 0
    consistent(
        0 <= batch_dims <= most,
        f"batch_dims {node.options['batch_dims']} must lie in 0 … {most}, for axis {axis} and positions "
        f"'{positions.name}' {positions.shape}",
    )
    consistent(
        input.shape[:batch_dims] == positions.shape[:batch_dims],
        f"input '{input.name}' {input.shape} and positions '{positions.name}' {positions.shape} differ in their first "
        f"{batch_dims} dimensions",
    )
    gathered = input.shape[:axis] + positions.shape[batch_dims:] + input.shape[axis + 1 :]
    _copies.declared(output, gathered, f"what '{positions.name}' {positions.shape} chooses along axis {axis}")
    shape = input.shape
    p = Params(
        axis,
        batch_dims,
        (prod(shape[:batch_dims]), prod(shape[batch_dims:axis]), shape[axis], prod(shape[axis + 1 :])),
        (prod(shape[:batch_dims]), prod(positions.shape[batch_dims:])),
        gathered,
    )
    if positions.data is not None:
        consistent(not _outside(p, positions.data[np.newaxis]).any(), _complaint(p))
    return p


def _outside(p: Params, positions: Array) -> Array:
    """Which inferences have a position beyond the axis."""
    outside = (positions < 0) | (positions >= p.input_shape[2])
    return np.asarray(outside.reshape(len(positions), -1).any(axis=1))


def _complaint(p: Params) -> str:
    return f"a position lies outside 0 … {p.input_shape[2] - 1} along axis {p.axis}, on which TFLM's Invoke fails"


def evaluate(p: Params, input: Array, positions: Array) -> Array:
    """(B, …) and (B, …) int32 → (B, *output_shape). Raises `InferenceError` for positions outside the input."""
    n = max(len(input), len(positions))
    outside = _outside(p, positions)
    if outside.any():
        raise InferenceError(_complaint(p), rows=np.broadcast_to(outside, n))
    x = input.reshape(len(input), *p.input_shape)
    batch, outer = np.ogrid[: p.input_shape[0], : p.input_shape[1]]
    at = positions.reshape(len(positions), p.positions_shape[0], 1, p.positions_shape[1])
    rows = np.arange(len(input)).reshape(-1, 1, 1, 1)
    return x[rows, batch[..., np.newaxis], outer[..., np.newaxis], at].reshape(n, *p.output_shape)


def explain(p: Params, at: At, input: Array, positions: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    count = positions.ndim - p.batch_dims
    chosen = at.index[: p.batch_dims] + at.index[p.axis : p.axis + count]
    position = int(positions[chosen])
    yield Line("position", f"positions[{', '.join(map(str, chosen))}], along axis {p.axis}", position)
    source = (*at.index[: p.axis], position, *at.index[p.axis + count :])
    yield _copies.copied("input", input, source, "the output's index with the position in its place")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any ranks, axis and batch dimensions, counted from either end; positions constant or computed, also scalar."""
    input = _affine.draw_input(draw, make, dtype, (1, 4), 5)
    shape, rank = input.shape, len(input.shape)
    axis = draw(make.integers(0, rank - 1))
    batch_dims = draw(make.integers(0, axis)) if draw(make.booleans()) else 0
    chosen = (*shape[:batch_dims], *draw(make.shape((0, 2), 4)))
    positions, before = _copies.draw_positions(draw, make, chosen, 0, shape[axis] - 1)
    options = {
        "axis": axis - draw(make.booleans()) * rank,
        "batch_dims": batch_dims - len(chosen) if batch_dims < len(chosen) and draw(make.booleans()) else batch_dims,
    }
    gathered = (*shape[:axis], *chosen[batch_dims:], *shape[axis + 1 :])
    output = make.tensor(gathered, dtype, input.quantization)
    return Node("GATHER", options, (input, positions), (output,), before=before)


FACTS = Facts(
    copies=True, shares_scale=True, quantized=Quantizing(), c_kernels=dict.fromkeys(("float32", "int8"), "copies")
)

KERNELS = {
    ("GATHER", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
