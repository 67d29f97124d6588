"""L2_NORMALIZATION: output[…, c] = x[…, c] / √(Σ_k x[…, k]²), along the last axis.

Codes are divided by a fixed-point inverse square root. Neither scale is read: results are in steps of 1/128 whatever
the output's scale and zero point say. A row of zeros stays zeros; in float, roots below 10⁻⁶ count as that.

TFLM: `kernels/l2norm.cc`; the loops in `kernels/internal/reference/{integer_ops/,}l2normalization.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, scalar, scalar_float
from ..numerics.fixedpoint import Multiplier, inverse_sqrt, multiply_by_quantized_multiplier
from . import _affine, _linear, _narrate, _unary

EPSILON = np.float32(1e-6)

OUTPUT_SCALE = 7
"""Results are multiplied by 2⁷."""


@dataclass(frozen=True, eq=False)
class Params:
    """Integer rows."""

    input_zero_point: int
    rounding: str


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float rows: how products are added."""

    contraction: str


def _operands(node: Node) -> Tensor:
    """The input, after the checks that do not depend on the type."""
    input, _ = _unary.operands(node)
    require(
        1 <= len(input.shape) <= 4,
        f"input '{input.name}' has {len(input.shape)} dimensions; TFLM normalises 1 to 4: reshape it",
    )
    activation = node.options["fused_activation_function"]
    require(
        activation == "NONE",
        f"TFLM's L2_NORMALIZATION has no fused activation, this one has {activation}; convert again with it as an "
        "operator of its own",
    )
    return input


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a fused activation, and rows whose sum of squares may overflow."""
    input = _operands(node)
    _, zero_point = _affine.quantized(input)
    reach = _linear.magnitude(input.dtype, -zero_point)
    require(
        input.shape[-1] * reach**2 < 2**31,
        f"the {input.shape[-1]} squares of a row of '{input.name}' may overflow TFLM's 32-bit sum; keep it in float",
    )
    return Params(zero_point, "single" if numerics.rounding == "single" else "double")


def evaluate(p: Params, input: Array) -> Array:
    """(B, …, c) codes → (B, …, c) codes."""
    x = input.astype(np.int64) - p.input_zero_point
    multiplier, shift = inverse_sqrt((x * x).sum(axis=-1, keepdims=True))
    factor = Multiplier(multiplier, shift + OUTPUT_SCALE, np.ones((), np.float32), p.rounding)
    return np.clip(multiply_by_quantized_multiplier(x, factor), -128, 127).astype(np.int8)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM computes it."""
    row = [code - p.input_zero_point for code in input[at.index[:-1]].tolist()]
    acc = 0
    for k, x in enumerate(row):
        acc += x * x
        yield Line("square", f"input[{k}] is {x} from the zero point, running sum of squares {acc}", acc)
    multiplier, shift = scalar.inverse_sqrt(acc)
    yield Line("inverse root", f"1 / √{acc} = {multiplier} · 2^({shift} − 31)", multiplier)
    mine = row[at.index[-1]]
    result = scalar.multiply_by_quantized_multiplier(mine, multiplier, shift + OUTPUT_SCALE, rounding=p.rounding)
    yield Line("scaled", f"{mine} / √{acc} in steps of 1/128", result)
    yield from _narrate.finish(result, 0, -128, 127)


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses a fused activation."""
    _operands(node)
    return FloatParams(numerics.contraction)


def evaluate_float(p: FloatParams, input: Array) -> Array:
    """(B, …, c) float32 → (B, …, c) float32, the squares added in order from 0.0."""
    with np.errstate(all="ignore"):
        if p.contraction == "fma":
            total = np.zeros(input.shape[:-1], np.float32)
            for x in np.moveaxis(input, -1, 0):
                total = float32.fma(x, x, total)
        else:
            total = float32.sequential_sum(input * input, -1)
        norm = float32.sqrt(total)[..., None]
        output: Array = input / np.where(norm < EPSILON, EPSILON, norm)
    return output


def explain_float(p: FloatParams, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM computes it."""
    row, total = input[at.index[:-1]], np.float32(0)
    with np.errstate(all="ignore"):
        for k, x in enumerate(row):
            total = scalar_float.fma(x, x, total) if p.contraction == "fma" else total + x * x
            yield Line("square", f"input[{k}] = {x:.9g}, running sum of squares {total:.9g}", total)
        norm = scalar_float.sqrt(total)
        yield Line("norm", f"√{total:.9g}, but at least {EPSILON:g}", EPSILON if norm < EPSILON else norm)
        mine = row[at.index[-1]]
        yield Line("quotient", f"{mine:.9g} / {norm:.9g}", mine / (EPSILON if norm < EPSILON else norm))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """1 to 4 dimensions; output quantisations that TFLM does not read."""
    ranks, largest = draw(make.sampled_from((((1, 4), 4), ((1, 2), 24))))
    input = _affine.draw_input(draw, make, dtype, ranks, largest)
    output = None
    if dtype == "int8":
        output = draw(make.sampled_from((Quantization((1 / 128,), (0,)), draw(make.quantization(dtype)))))
    return _unary.node(make, "L2_NORMALIZATION", {"fused_activation_function": "NONE"}, input, output)


FACTS = Facts(
    fixed_output={"int8": (1 / 128, 0)},
    quantized=Quantizing({"int8": 2}),
    c_kernels={t: f"l2norm_{t}" for t in ("int8", "float32")},
)

KERNELS = {
    ("L2_NORMALIZATION", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("L2_NORMALIZATION", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
