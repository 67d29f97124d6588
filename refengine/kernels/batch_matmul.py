"""BATCH_MATMUL: output[…, i, j] = Σ_k lhs[…, i, k] · rhs[…, k, j], for each pair of matrices that broadcasting brings.

`adj_x` and `adj_y` transpose the matrices of the one and the other operand. Codes count without their zero points;
operators have neither bias nor activation, so floats are not clamped: infinities stay.

TFLM: `kernels/batch_matmul.cc`, `batch_matmul_common.cc`; the loop in `kernels/internal/reference/batch_matmul.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, scalar_float
from ..numerics.float32 import Float32
from ..numerics.quantize import code_range, product_multiplier
from ..numerics.requantize import Requantizer, requantizer
from . import _affine, _broadcast, _cmsis_nn, _linear, _litert

MAX_RANK = 5
"""TFLM's loop has three batch dimensions."""


@dataclass(frozen=True, eq=False)
class Operands:
    """What float matrices need besides themselves: which are transposed, and how products are added."""

    adj_x: bool
    adj_y: bool
    contraction: str
    output_shape: tuple[int, ...]
    accum_depth: int

    @property
    def macs(self) -> int:
        return prod(self.output_shape) * self.accum_depth


@dataclass(frozen=True, eq=False)
class Params:
    """Codes: their offsets, and a float type `dtype` that sums their products exactly, in any order."""

    operands: Operands
    lhs_offset: int
    rhs_offset: int
    dtype: type[np.floating[Any]]
    requantize: Requantizer

    @property
    def macs(self) -> int:
        return self.operands.macs


def _operands(node: Node, numerics: Numerics) -> tuple[Tensor, Tensor, Tensor, Operands]:
    """(lhs, rhs, output, operands) after the checks that do not depend on the type."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs and len(node.outputs) == 1,
        f"expected 2 inputs and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    (lhs, rhs), output = node.inputs, node.outputs[0]
    assert lhs is not None and rhs is not None
    require(
        lhs.dtype == rhs.dtype == output.dtype,
        f"input '{lhs.name}' is {lhs.dtype}, input '{rhs.name}' {rhs.dtype} and output '{output.name}' {output.dtype}; "
        "TFLM multiplies matrices of one type, and has no hybrid kernels: convert again with all of them alike",
    )
    for tensor in (lhs, rhs):
        require(
            2 <= len(tensor.shape) <= MAX_RANK,
            f"input '{tensor.name}' has {len(tensor.shape)} dimensions; TFLM multiplies those of 2 to {MAX_RANK}: "
            "reshape it",
        )
    adj_x, adj_y = bool(node.options["adj_x"]), bool(node.options["adj_y"])
    rows, depth = lhs.shape[-2:][:: -1 if adj_x else 1]
    others, columns = rhs.shape[-2:][:: -1 if adj_y else 1]
    try:
        shape = (*np.broadcast_shapes(lhs.shape[:-2], rhs.shape[:-2]), rows, columns)
    except ValueError:
        shape = ()
    consistent(
        depth == others and output.shape == shape,
        f"matrices '{lhs.name}' {lhs.shape}{' transposed' * adj_x} and '{rhs.name}' {rhs.shape}{' transposed' * adj_y} "
        f"do not multiply to output '{output.name}' {output.shape}",
    )
    return lhs, rhs, output, Operands(adj_x, adj_y, numerics.contraction, shape, depth)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses mixed types, shapes that do not fit together, zero points of int16, and tiny output scales.

    Of a per-channel operand TFLM takes the first scale for all.
    """
    lhs, rhs, output, operands = _operands(node, numerics)
    (s1, z1), (s2, z2), (so, zo) = (_affine.quantized(tensor) for tensor in (lhs, rhs, output))
    require(
        lhs.dtype == "int8" or z1 == z2 == zo == 0,
        f"TFLM's int16 matrices have a zero point of 0; those of '{lhs.name}', '{rhs.name}' and '{output.name}' are "
        f"{z1}, {z2} and {zo}: convert again",
    )
    within_limits(
        len(operands.output_shape) <= _cmsis_nn.MAX_RANK or not _cmsis_nn.speaks(numerics),
        f"CMSIS-NN multiplies matrices of up to {_cmsis_nn.MAX_RANK} dimensions, TFLM with it does not check that, and "
        "refengine does not repeat what comes of it: reshape them",
    )
    scale_math = "double" if numerics.scale_math == "double" else "float32"
    bits = 64 if lhs.dtype == "int16" else 32
    rounding = _cmsis_nn.rounding(numerics, bits, _rounding(lhs.dtype, z2, numerics))
    multiplier = product_multiplier(s1, [s2], so, rounding, scale_math)
    _linear.check_shifts(multiplier, bits, output)
    reach = operands.accum_depth * _linear.magnitude(lhs.dtype, -z1) * _linear.magnitude(rhs.dtype, -z2)
    low, high = code_range(output.dtype)
    bias, bound = np.zeros(1, np.int64), np.array([reach])
    requantize = requantizer(bias, multiplier, zo, low, high, output.dtype, bound, bits)
    return Params(operands, -z1, -z2, np.float32 if reach <= 2**24 else np.float64, requantize)


def _rounding(dtype: str, rhs_zero_point: int, numerics: Numerics) -> str:
    """XNNPACK multiplies int8 matrices of which the second has a zero point of 0."""
    taken = _litert.takes(numerics, dtype) and rhs_zero_point == 0
    within_limits(
        taken or dtype == "int16" or numerics.rounding != "xnnpack",
        "refengine does not know what TFLite does where XNNPACK multiplies no integer matrices, as where the second "
        "has a zero point; take another dialect, or give a kernel of your own to make_plan(kernels=…)",
    )
    return "xnnpack-int32" if taken else _litert.rounding(numerics, taken)


def evaluate(p: Params, lhs: Array, rhs: Array) -> Array:
    """(B, …, i, k) and (B, …, k, j) codes → (B, …, i, j) codes, by exact matrix products."""
    a, b = _matrices(p.operands, lhs, rhs)
    acc = np.add(a, p.lhs_offset, dtype=p.dtype) @ np.add(b, p.rhs_offset, dtype=p.dtype)
    return p.requantize(acc.reshape(-1, 1)).reshape(acc.shape)


def _matrices(p: Operands, lhs: Array, rhs: Array) -> tuple[Array, Array]:
    """Both as (B, …, i, k) and (B, …, k, j) of one rank."""
    a, b = _broadcast.aligned(lhs, rhs)
    return a.swapaxes(-1, -2) if p.adj_x else a, b.swapaxes(-1, -2) if p.adj_y else b


def _terms(p: Operands, index: tuple[int, ...], lhs: Array, rhs: Array) -> Iterator[tuple[str, Any, Any]]:
    """(name, factor, factor) of each product of the element `index`, in TFLM's order."""
    (*batch, i, j), shape = index, p.output_shape[:-2]
    a, b = (np.broadcast_to(x, (*shape, *x.shape[-2:]))[tuple(batch)] for x in (lhs, rhs))
    for k in range(p.accum_depth):
        x, y = a[(k, i) if p.adj_x else (i, k)], b[(j, k) if p.adj_y else (k, j)]
        yield f"lhs[…, {i}, {k}] · rhs[…, {k}, {j}]", x, y


def explain(p: Params, at: At, lhs: Array, rhs: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    acc = 0
    for name, x, y in _terms(p.operands, at.index, lhs, rhs):
        a, b = int(x) + p.lhs_offset, int(y) + p.rhs_offset
        acc += a * b
        yield Line("product", f"{name} = ({x} {p.lhs_offset:+d}) · ({y} {p.rhs_offset:+d}) = {a} · {b}", a * b)
    yield from _linear.explain_requantized(acc, 0, p.requantize)


def prepare_float(node: Node, numerics: Numerics) -> Operands:
    """Refuses mixed types, and shapes that do not fit together."""
    return _operands(node, numerics)[3]


def evaluate_float(p: Operands, lhs: Array, rhs: Array) -> Array:
    """(B, …, i, k) and (B, …, k, j) float32 → (B, …, i, j) float32, each sum in order from 0.0."""
    a, b = _matrices(p, lhs, rhs)
    if b.size == prod(b.shape[-2:]):  # one right matrix for all
        columns = b.reshape(b.shape[-2:]).T
        sums = float32.sequential_matmul(a.reshape(-1, p.accum_depth), columns, p.contraction)
        return np.ascontiguousarray(sums).reshape(*a.shape[:-1], len(columns))
    total: Float32 = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), np.float32)
    with np.errstate(all="ignore"):
        for k in range(p.accum_depth):
            total = _linear.accumulate(total, a[..., :, k, None], b[..., None, k, :], p.contraction)
    return total


def explain_float(p: Operands, at: At, lhs: Array, rhs: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    total = np.float32(0)
    with np.errstate(all="ignore"):
        for name, x, y in _terms(p, at.index, lhs, rhs):
            total = scalar_float.fma(x, y, total) if p.contraction == "fma" else total + x * y
            yield Line("product", f"{name} = {x:.9g} · {y:.9g}, running sum {total:.9g}", total)
    yield Line("sum", f"rounded to float32 {'once' if p.contraction == 'fma' else 'twice'} a product", total)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """2 to 5 dimensions that broadcast, each transposed or not; either operand constant, or both fed."""
    quantization = make.quantization(dtype)
    shape = make.shape((2, MAX_RANK), draw(make.sampled_from((3, 3, 12))))
    lhs = draw(make.input(shape, dtype, quantization, lambda t: 2 <= len(t.shape) <= MAX_RANK))
    adj_x, adj_y = draw(make.booleans()), draw(make.booleans())
    *batch, rows, depth = lhs.shape if not adj_x else (*lhs.shape[:-2], lhs.shape[-1], lhs.shape[-2])
    larger = draw(make.integers(0, 3)) == 3
    others = [draw(make.integers(1, 3)) if size == 1 and larger else size for size in batch]
    others = [1 if draw(make.integers(0, 3)) == 3 else size for size in others]
    others = others[draw(make.sampled_from((0, 0, len(others)))) :]
    columns = draw(make.integers(1, 6))
    right = (*others, columns, depth) if adj_y else (*others, depth, columns)
    kind = draw(make.sampled_from(("fed", "constant", "swapped")))
    given = draw(quantization)
    rhs = make.tensor(right, dtype, given) if kind == "fed" else make.constant(draw(make.array(right, dtype)), given)
    output = _draw_output(draw, make, lhs, rhs, depth)
    shape = (*np.broadcast_shapes(tuple(batch), tuple(others)), rows, columns)
    if kind == "swapped":  # the transpose of a product is the product of the transposes, in the other order
        adj_x, adj_y, lhs, rhs, shape = not adj_y, not adj_x, rhs, lhs, (*shape[:-2], columns, rows)
    options = {"adj_x": adj_x, "adj_y": adj_y, "asymmetric_quantize_inputs": False}
    return Node("BATCH_MATMUL", options, (lhs, rhs), (make.tensor(shape, dtype, output),))


def _draw_output(draw: Draw, make: Toolbox, lhs: Tensor, rhs: Tensor, depth: int) -> Quantization | None:
    """Scales for sums of `depth` products of noise."""
    if lhs.quantization is None:
        return None
    (s1, _), (s2, _) = _affine.quantized(lhs), _affine.quantized(rhs)
    (a, b), (c, d) = _affine.real_range(lhs), _affine.real_range(rhs)
    middle, half = depth * (a + b) * (c + d) / 4, depth**0.5 * max(-a, b) * max(-c, d)
    output = _affine.draw_output(draw, make, lhs.dtype, s1 * s2, middle - half, middle + half)
    return replace(output, zero_point=(0,)) if lhs.dtype == "int16" else output


FACTS = Facts(quantized=Quantizing(), c_kernels={t: f"batch_matmul_{t}" for t in ("int8", "int16", "float32")})

KERNELS = {
    ("BATCH_MATMUL", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("BATCH_MATMUL", "int16"): Kernel(prepare, evaluate, explain, partial(example, dtype="int16"), FACTS),
    ("BATCH_MATMUL", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
