"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_ALL: what the elements along some dimensions of a tensor come to.

Means and sums of codes: output = (Σ input − n · zx) · scale + zo over n elements. A mean's 1/n goes into the
fixed-point multiplier, by a division that truncates. Those of floats are plain sums, in order.

TFLM: `kernels/reduce.cc`, `reduce_common.cc`; the loops in `kernels/internal/reference/reduce.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import float32, scalar, scalar_float
from ..numerics.fixedpoint import Multiplier, quantize_multiplier
from ..numerics.quantize import code_range
from ..numerics.requantize import Requantizer, requantizer
from . import _affine, _litert, _narrate


@dataclass(frozen=True, eq=False)
class Axes:
    """`axis` are the reduced dimensions, resolved and in order; each output has `num_elements_in_axis` elements."""

    axis: tuple[int, ...]
    num_elements_in_axis: int
    output_shape: tuple[int, ...]

    @property
    def behind_batch(self) -> tuple[int, ...]:
        """The same dimensions of an array, which has the batch in front."""
        return tuple(a + 1 for a in self.axis)

    def elements(self, index: tuple[int, ...], input: Array) -> Iterator[tuple[str, Any]]:
        """(name, value) of the elements that output `index` is made of, in TFLM's order."""
        kept = iter(i for d, i in enumerate(index) if len(index) < input.ndim or d not in self.axis)
        ranges = [range(size) if d in self.axis else (next(kept),) for d, size in enumerate(input.shape)]
        for position in product(*ranges):
            yield f"input[{', '.join(map(str, position))}]", input[position]


@dataclass(frozen=True, eq=False)
class Params:
    """Means and sums of codes; the bias of `requantize` is −n · zx.

    TFLite's reference SUM takes all codes for uint8: then `as_bytes`, and `requantize` gives uint8, too.
    """

    axes: Axes
    requantize: Requantizer
    as_bytes: bool = False


@dataclass(frozen=True, eq=False)
class RealParams:
    """Means and sums of codes in LiteRT: Σ · `scale` + `offset` in float32, rounded; and then the zero point.

    XNNPACK, for int8, rounds ties to even, and has the zero point in the offset.
    """

    axes: Axes
    scale: np.float32
    offset: np.float32
    output_zero_point: int
    ties_to_even: bool
    dtype: str


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Sums of floats, or their `mean`s."""

    axes: Axes
    mean: bool


def _operands(node: Node) -> tuple[Tensor, Tensor, Axes]:
    """(input, output, axes) after the checks that do not depend on the type."""
    consistent(
        len(node.inputs) == 2 and len(node.outputs) == 1, f"expected input and axis, and one output, got {node.arity}"
    )
    input, axis, output = node.inputs[0], node.inputs[1], node.outputs[0]
    assert input is not None and output is not None
    consistent(axis is not None and axis.dtype == "int32", "the second input must be the axes to reduce, as int32")
    assert axis is not None
    within_limits(
        axis.data is not None,
        f"axis '{axis.name}' is computed at run time; TFLM runs that, but refengine needs it constant to know the "
        "shape: convert again with a constant",
        tflm_runs=True,
    )
    assert axis.data is not None
    consistent(
        output.dtype == input.dtype,
        f"output '{output.name}' is {output.dtype} but input '{input.name}' is {input.dtype}; they must agree",
    )
    rank = len(input.shape)
    given = axis.data.reshape(-1).tolist() if rank else []
    consistent(
        all(-rank <= a < rank for a in given),
        f"axis '{axis.name}' {given} leaves the {rank} dimensions of input '{input.name}' {input.shape}",
    )
    resolved = tuple(sorted({a % rank for a in given}))
    kept = [1 if d in resolved else size for d, size in enumerate(input.shape)]
    shape = tuple(kept) if node.options["keep_dims"] else tuple(np.delete(kept, resolved).tolist())
    consistent(
        prod(input.shape) > 0 and output.shape == shape,
        f"reducing '{input.name}' {input.shape} along {given} gives {shape}, but output '{output.name}' has shape "
        f"{output.shape}" + ("" if prod(input.shape) else "; an empty tensor has nothing to reduce"),
    )
    return input, output, Axes(resolved, prod(input.shape[a] for a in resolved), output.shape)


def prepare(node: Node, numerics: Numerics, mean: bool) -> Params | RealParams:
    """Refuses run-time axes, shapes that do not fit together, and an output scale too small by 2³¹."""
    input, output, axes = _operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    if numerics.kernels == "litert" and (not mean or _litert.takes(numerics, input.dtype)):
        return _real_params(axes, input, output, numerics, mean)
    factor = quantize_multiplier(si / so, _litert.rounding(numerics, taken=False))
    _affine.require_shift(factor, output)
    n, as_bytes = axes.num_elements_in_axis, numerics.kernels == "litert-ref" and not mean
    if mean:
        factor = _divided(factor, n)
    dtype = "uint8" if as_bytes else input.dtype
    (low, high), bias, bound = code_range(dtype), np.array([-n * zi]), np.array([-n * code_range(input.dtype)[0]])
    return Params(axes, requantizer(bias, factor, zo, low, high, dtype, bound), as_bytes)


def _real_params(axes: Axes, input: Tensor, output: Tensor, numerics: Numerics, mean: bool) -> RealParams:
    """XNNPACK's, if that takes the operator, or those of TFLite's own sums."""
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    scale, count = _litert.ratio(si, so), np.float32(axes.num_elements_in_axis)
    if _litert.takes(numerics, input.dtype):
        scale = scale * (np.float32(1) / count if mean else np.float32(1))
        return RealParams(axes, scale, np.float32(zo) - count * np.float32(zi) * scale, 0, True, input.dtype)
    return RealParams(axes, scale, np.float32(-zi) * scale * count, zo, False, input.dtype)


def _divided(factor: Multiplier, n: int) -> Multiplier:
    """`factor` / n as TFLM divides it: the multiplier first moves left, as far as 64 bits and the shift allow."""
    left = min(n.bit_length() - 1, 32, 31 + factor.shift.item())
    return Multiplier(
        (factor.multiplier << left) // n, factor.shift - left, factor.scale / np.float32(n), factor.rounding
    )


def evaluate(p: Params | RealParams, input: Array, axis: Array) -> Array:
    """(B, …) codes → (B, *output_shape) codes, by int32 sums."""
    if isinstance(p, RealParams):
        real = input.sum(axis=p.axes.behind_batch, dtype=np.int32).astype(np.float32) * p.scale + p.offset
        rounded = (np.rint(real) if p.ties_to_even else float32.round_half_away(real)) + p.output_zero_point
        clipped: Array = np.clip(rounded, *code_range(p.dtype)).astype(p.dtype)
        return clipped.reshape(-1, *p.axes.output_shape)
    codes = input.view(np.uint8) if p.as_bytes else input
    output = p.requantize(codes.sum(axis=p.axes.behind_batch, dtype=np.int32).reshape(-1, 1))
    return (output.view(np.int8) if p.as_bytes else output).reshape(-1, *p.axes.output_shape)


def explain(p: Params | RealParams, at: At, input: Array, axis: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    acc, n = 0, p.axes.num_elements_in_axis
    codes = input.view(np.uint8) if isinstance(p, Params) and p.as_bytes else input
    for name, x in p.axes.elements(at.index, codes):
        acc = scalar.wrap(acc + int(x))
        yield Line("element", f"{name} = {x}, running sum {acc}", acc)
    if isinstance(p, RealParams):
        yield from _explain_real(p, acc)
        return
    bias = p.requantize.bias.item()
    total = scalar.wrap(acc + bias)
    yield Line("input offset", f"{acc} − {n} elements · input zero point {-bias // n}", total)
    line = Line("", "", 0)
    for line in _narrate.rescale(total, p.requantize.multiplier):
        yield line
    r = p.requantize
    yield from _narrate.finish(int(line.value), r.output_offset, r.activation_min, r.activation_max)
    if p.as_bytes:
        code = int((np.int64(line.value) + r.output_offset).clip(0, 255).astype(np.uint8).view(np.int8))
        yield Line("byte", "read as int8", code)


def _explain_real(p: RealParams, acc: int) -> Iterator[Line]:
    """From the sum to the code, in float32."""
    real = np.float32(acc) * p.scale
    yield Line("product", f"{acc} · {p.scale:.9g} in float32", real)
    real = real + p.offset
    yield Line("offset", f"+ {p.offset:.9g}, for the zero points", real)
    rounded = int(np.rint(real)) if p.ties_to_even else int(scalar_float.round_half_away(float(real)))
    yield Line("rounded", f"ties {'to even' if p.ties_to_even else 'away from zero'}", rounded)
    yield from _narrate.finish(rounded, p.output_zero_point, *code_range(p.dtype))


def prepare_float(node: Node, numerics: Numerics, mean: bool) -> FloatParams:
    """Refuses run-time axes, shapes that do not fit together, and a mean along more than four axes."""
    _, _, axes = _operands(node)
    count = node.inputs[1].data.size if node.inputs[1] is not None and node.inputs[1].data is not None else 0
    require(not mean or count <= 4, f"TFLM's float mean has room for 4 axes, not {count}; reshape to fewer dimensions")
    return FloatParams(axes, mean)


def evaluate_float(p: FloatParams, input: Array, axis: Array) -> Array:
    """(B, …) float32 → (B, *output_shape) float32, each sum in order from 0.0."""
    with np.errstate(all="ignore"):
        sums = float32.sequential_sum(input, p.axes.behind_batch)
        return (sums / np.float32(p.axes.num_elements_in_axis) if p.mean else sums).reshape(-1, *p.axes.output_shape)


def explain_float(p: FloatParams, at: At, input: Array, axis: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    total = np.float32(0)
    with np.errstate(all="ignore"):
        for name, x in p.axes.elements(at.index, input):
            total += x
            yield Line("element", f"{name} = {x:.9g}, running sum {total:.9g}", total)
        yield Line("sum", "all of them, each sum rounded to float32", total)
        if p.mean:
            n = p.axes.num_elements_in_axis
            yield Line("mean", f"{total:.9g} / {n} elements", total / np.float32(n))


def prepare_extreme(node: Node, numerics: Numerics) -> Axes:
    """Refuses run-time axes, shapes that do not fit together, and int8 outputs quantised unlike the input."""
    input, output, axes = _operands(node)
    if input.dtype == "int8":
        (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
        require(
            (si, zi) == (so, zo),
            f"input '{input.name}' (scale {si:g}, zero point {zi}) and output '{output.name}' (scale {so:g}, "
            f"zero point {zo}) must be quantised alike for TFLM; convert the model again",
        )
    return axes


def evaluate_extreme(p: Axes, input: Array, axis: Array, largest: bool) -> Array:
    """(B, …) → (B, *output_shape) of the same type; NaN never wins, of −0 and +0 the first does."""
    rows = np.moveaxis(input, p.behind_batch, range(-len(p.axis), 0)).reshape(-1, p.num_elements_in_axis)
    if input.dtype == np.float32:
        worst = _worst(input.dtype, largest)
        rows = np.where(rows > worst if largest else rows < worst, rows, worst)
    best = rows.argmax(axis=1) if largest else rows.argmin(axis=1)
    return np.take_along_axis(rows, best[:, None], axis=1).reshape(-1, *p.output_shape)


def explain_extreme(p: Axes, at: At, input: Array, axis: Array, largest: bool) -> Iterator[Line]:
    """Element `index` of the output, as TFLM finds it."""
    best = _worst(input.dtype, largest)
    for name, x in p.elements(at.index, input):
        best = x if (x > best if largest else x < best) else best
        yield Line("element", f"{name} = {x}, {'largest' if largest else 'smallest'} so far {best}", best)


def _worst(dtype: np.dtype[Any], largest: bool) -> Any:
    """What TFLM starts from: the least (or largest) finite value of a type."""
    if dtype == np.bool_:
        return np.bool_(not largest)
    info = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return dtype.type(info.min if largest else info.max)


def example(draw: Draw, make: Toolbox, op: str, dtype: str) -> Node:
    """Any rank, any axes in any order, negative and repeated ones too, kept or not; images over rows and columns."""
    ranks, largest, over = draw(make.sampled_from((((1, 5), 4, None), ((1, 3), 12, None), ((4, 4), 6, (1, 2)))))
    quantization = make.quantization(dtype, asymmetric=True)
    input = _affine.draw_input(draw, make, dtype, ranks, largest, quantization)
    rank = len(input.shape)
    axes = over or [draw(make.integers(-rank, rank - 1)) for _ in range(draw(make.integers(1, min(rank, 4))))]
    reduced = {a % rank for a in axes}
    keep_dims = draw(make.booleans())
    kept = tuple(1 if d in reduced else size for d, size in enumerate(input.shape) if keep_dims or d not in reduced)
    output = input.quantization
    if output is not None and op in ("MEAN", "SUM"):
        (low, high), count = _affine.real_range(input), prod(input.shape[d] for d in reduced)
        grown = count**0.5 if op == "SUM" else count**-0.5
        middle, half = (low + high) / 2 * (count if op == "SUM" else 1), (high - low) / 2 * grown
        output = _affine.draw_output(draw, make, dtype, output.scale[0], middle - half, middle + half)
    axis = make.constant(np.array(axes, np.int32))
    return Node(op, {"keep_dims": keep_dims}, (input, axis), (make.tensor(kept, dtype, output),))


MEAN_AND_SUM = Facts(
    homogeneous=True,
    inexact="sums",
    quantized=Quantizing(),
    c_kernels={"int8": "sum_int8", "float32": "sum_float32", "int16": "sum_int16"},
)
"""The converter's older quantizer lets SUM share its input's scale, and saturate; refengine's does not."""

EXTREMES = Facts(homogeneous=True, shares_scale=True, monotone="rising", quantized=Quantizing())

KERNELS = (
    {
        (op, dtype): Kernel(
            partial(prepare, mean=op == "MEAN"), evaluate, explain, partial(example, op=op, dtype=dtype), MEAN_AND_SUM
        )
        for op in ("MEAN", "SUM")
        for dtype in ("int8", "int16")
    }
    | {
        (op, "float32"): Kernel(
            partial(prepare_float, mean=op == "MEAN"),
            evaluate_float,
            explain_float,
            partial(example, op=op, dtype="float32"),
            MEAN_AND_SUM,
        )
        for op in ("MEAN", "SUM")
    }
    | {
        (op, dtype): Kernel(
            prepare_extreme,
            partial(evaluate_extreme, largest=op == "REDUCE_MAX"),
            partial(explain_extreme, largest=op == "REDUCE_MAX"),
            partial(example, op=op, dtype=dtype),
            replace(EXTREMES, c_kernels={t: f"{op.lower()}_{t}" for t in ("int8", "float32")})
            if op != "REDUCE_ALL"
            else Facts(c_kernels={"bool": "reduce_all"}),
        )
        for op, dtype in (
            ("REDUCE_MAX", "int8"),
            ("REDUCE_MAX", "float32"),
            ("REDUCE_MIN", "int8"),
            ("REDUCE_MIN", "float32"),
            ("REDUCE_ALL", "bool"),
        )
    }
)
