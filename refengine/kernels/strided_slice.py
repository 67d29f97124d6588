"""STRIDED_SLICE: every `stride`th element from `begin` to before `end` along each dimension, as Python's slices.

TFLM: `kernels/strided_slice.cc`, `strided_slice_common.cc`; `kernels/internal/strided_slice_logic.h` and
`reference/strided_slice.h`. The masks ask for an open begin or end, or for one element and no dimension (shrink). TFLM
ignores `ellipsis_mask`, `new_axis_mask` and `offset`: a model that depends on them does not fit its declared shape.
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

MAX_RANK = 4


@dataclass(frozen=True)
class Params:
    """`ranges` are the input's positions along each dimension, those of `shrink` dimensions just one."""

    ranges: tuple[range, ...]
    shrink: tuple[bool, ...]
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses computed begins, ends and strides, a stride of 0, and single elements that lie outside the input."""
    consistent(
        len(node.inputs) == 4 and None not in node.inputs and len(node.outputs) == 1,
        f"expected input, begin, end, strides and 1 output, got {node.arity}",
    )
    input, output = node.inputs[0], node.outputs[0]
    assert input is not None and output is not None
    _copies.same_type(input, output)
    rank = len(input.shape)
    require(
        1 <= rank <= MAX_RANK, f"input '{input.name}' has {rank} dimensions; TFLM slices 1 to {MAX_RANK}: reshape it"
    )
    begins, ends, strides = (_indices(tensor, rank) for tensor in node.inputs[1:])
    consistent(0 not in strides, "a stride is 0")
    open_begin, open_end, shrink = (
        tuple(bool(node.options[mask] >> axis & 1) for axis in range(rank))
        for mask in ("begin_mask", "end_mask", "shrink_axis_mask")
    )
    ranges = tuple(map(_range, input.shape, begins, ends, strides, open_begin, open_end, shrink))
    for axis, positions in enumerate(ranges):
        consistent(
            len(positions) == 1 or not shrink[axis],
            f"position {begins[axis]} with stride {strides[axis]} picks no element of dimension {axis} of "
            f"'{input.name}' {input.shape}",
        )
    sliced = tuple(len(positions) for positions, shrunk in zip(ranges, shrink, strict=True) if not shrunk)
    consistent(
        output.shape == sliced,
        f"output '{output.name}' has shape {output.shape}; the slice of '{input.name}' {input.shape} has {sliced}",
    )
    return Params(ranges, shrink, output.shape)


def _indices(tensor: Tensor | None, rank: int) -> list[int]:
    """The values of a constant begin, end or strides tensor, one a dimension."""
    assert tensor is not None
    require(
        tensor.data is not None and tensor.dtype == "int32" and tensor.data.size >= rank,
        f"'{tensor.name}' must be a constant of int32, one for each of the {rank} dimensions, in TFLM: convert again",
    )
    assert tensor.data is not None
    return [int(value) for value in tensor.data.reshape(-1)[:rank]]


def _range(size: int, begin: int, end: int, stride: int, open_begin: bool, open_end: bool, shrink: bool) -> range:
    """The positions that a slice takes along a dimension of `size`; `shrink` takes one, forwards, or none."""
    if shrink:
        first = 0 if open_begin else max(0, begin + size if begin < 0 else begin)
        return range(first, first + (first < size and stride > 0))
    return range(*slice(None if open_begin else begin, None if open_end else end, stride).indices(size))


def evaluate(p: Params, input: Array, begin: Array, end: Array, strides: Array) -> Array:
    """(B, …) → (B, *output_shape)."""
    slices = (slice(None), *map(_slice, p.ranges))
    return input[slices].reshape(len(input), *p.output_shape)


def _slice(r: range) -> slice:
    """The slice that takes the positions `r`: a stop below 0 would count from the end."""
    return slice(r.start, r.stop if r.stop >= 0 else None, r.step) if r else slice(0)


def explain(p: Params, at: At, input: Array, begin: Array, end: Array, strides: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    kept = iter(at.index)
    source = tuple(
        r.start + (0 if shrunk else next(kept)) * r.step for r, shrunk in zip(p.ranges, p.shrink, strict=True)
    )
    slices = ", ".join(f"{r.start}:{r.stop}:{r.step}" for r in p.ranges)
    yield _copies.copied("input", input, source, f"begin + output index · stride along each of [{slices}]")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Up to four dimensions; begins and ends counted from either end and beyond, strides both ways, all masks."""
    input = _affine.draw_input(draw, make, dtype, (1, MAX_RANK), 6)
    options = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
    rows, sliced = [], []
    for axis, size in enumerate(input.shape):
        begin, end = draw(make.integers(-size - 2, size + 2)), draw(make.integers(-size - 2, size + 2))
        stride = draw(make.sampled_from((1, 1, 2, 3, -1, -2)))
        masks = draw(make.sampled_from(((), ("begin_mask",), ("end_mask",), ("shrink_axis_mask",))))
        if "shrink_axis_mask" in masks:
            begin, stride = min(begin, size - 1), abs(stride)
        elif not _range(size, begin, end, stride, "begin_mask" in masks, "end_mask" in masks, False):
            masks = ("begin_mask", "end_mask")
        for mask in masks:
            options[mask] |= 1 << axis
        if "shrink_axis_mask" not in masks:
            sliced.append(len(_range(size, begin, end, stride, "begin_mask" in masks, "end_mask" in masks, False)))
        rows.append((begin, end, stride))
    indices = (make.constant(column.copy()) for column in np.array(rows, np.int32).T)
    return Node("STRIDED_SLICE", options, (input, *indices), (make.tensor(sliced, dtype, input.quantization),))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("float32", "int8", "int16", "int32", "bool"), "copies"),
)

KERNELS = {
    ("STRIDED_SLICE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16", "int32", "bool")
}
