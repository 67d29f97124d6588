"""DEQUANTIZE: output = scale · (input − zero_point), rounded to float32 once.

TFLM: `kernels/dequantize.cc`, `dequantize_common.cc`; `kernels/internal/reference/dequantize.h`. TFLM multiplies in
double and rounds to float. The difference of codes has at most 17 bits, so both it and, in double, the product are
exact, and a single float32 multiplication gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from ..numerics import scalar_float
from . import _affine, _unary

NAME = "DEQUANTIZE"

TYPES = ("int8", "int16", "uint8")


@dataclass(frozen=True)
class Params:
    """TFLM's quantization_params, with the scale in float32."""

    scale: np.float32
    zero_point: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses outputs other than float32, and an input without quantisation."""
    input, output = _unary.one_each(node)
    require(
        output.dtype == "float32",
        f"output '{output.name}' is {output.dtype}; TFLM dequantises into float32 only: convert again",
    )
    consistent(
        input.shape == output.shape,
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} must have one shape",
    )
    scale, zero_point = _affine.quantized(input)
    return Params(np.float32(scale), zero_point)


def evaluate(p: Params, input: Array) -> Array:
    """(B, …) codes → (B, …) float32."""
    output: Array = np.subtract(input, np.float32(p.zero_point), dtype=np.float32)
    with np.errstate(over="ignore", under="ignore"):
        output *= p.scale
    return output


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    code = int(input[at.index])
    centred = code - p.zero_point
    yield Line("input", f"code {code} − zero point {p.zero_point}", centred)
    exact = Fraction(float(p.scale)) * centred
    yield Line("output", f"{centred} · scale {p.scale:.9g}, rounded to float32", scalar_float.round_to_float32(exact))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Codes of any rank, scales from the subnormal to those whose products overflow, any zero point."""
    low, high = draw(make.sampled_from(((None, None), (2.0**-140, 2.0**124))))
    input = _affine.draw_input(draw, make, dtype, quantization=make.quantization(dtype, low, high, asymmetric=True))
    return Node(NAME, {}, (input,), (make.tensor(input.shape, "float32"),))


FACTS = Facts(
    elementwise=True,
    recodes=True,
    computes=dict.fromkeys(TYPES, ("float32",)),
    c_kernels={"int8": "dequantize_int8", "int16": "dequantize_int16", "uint8": "lookup"},
)

KERNELS = {(NAME, dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS) for dtype in TYPES}
