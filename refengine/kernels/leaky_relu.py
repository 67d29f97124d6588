"""LEAKY_RELU: output = input where that is positive, else alpha · input; requantised.

TFLM: `kernels/leaky_relu.cc`, `leaky_relu_common.cc`; the loop in `kernels/internal/reference/leaky_relu.h`. A negative
alpha has its sign taken out of the fixed-point multiplier and put back afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Options, Quantizing, Toolbox
from ..model import Array
from ..numerics import float32
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, wrap32
from ..numerics.quantize import code_range
from . import _affine, _litert, _narrate, _unary


@dataclass(frozen=True, eq=False)
class Params:
    """TFLM's LeakyReluOpData, alpha's sign apart, and the output code of every input code; see `_unary.codes`."""

    input_zero_point: int
    output_zero_point: int
    multiplier_alpha: Multiplier
    is_alpha_negative: bool
    multiplier_identity: Multiplier
    table: Array


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float inputs."""

    alpha: np.float32


def _alpha(options: Options) -> float:
    alpha = float(options["alpha"])
    require(math.isfinite(alpha), f"alpha is {alpha:g}, of which TFLM can make no multiplier; train the model again")
    return alpha


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an alpha that is no number, and scales so far apart that C leaves shifts undefined."""
    input, output = _unary.operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    identity, alpha, sign = _multipliers(node, si, so, numerics)
    _affine.require_shift(alpha, output)
    _affine.require_shift(identity, output)
    x = _unary.codes(input.dtype) - zi
    scaled = np.where(
        x >= 0, multiply_by_quantized_multiplier(x, identity), sign * multiply_by_quantized_multiplier(x, alpha)
    )
    table = np.clip(wrap32(scaled + zo), *code_range(output.dtype)).astype(output.dtype)
    return Params(zi, zo, alpha, sign < 0, identity, table)


def _multipliers(node: Node, si: float, so: float, numerics: Numerics) -> tuple[Multiplier, Multiplier, int]:
    """(that of positive codes, that of negative ones, the sign taken out of it).

    XNNPACK's are in steps of 1/256, the negative one with its sign, which changes the ties.
    """
    slope = np.float32(_alpha(node.options))
    if _litert.takes(numerics, node.outputs[0].dtype):
        positive = _litert.ratio(si, so)
        negative = positive * slope
        if 2**-8 <= positive <= 128 and abs(negative) >= 2**-8 and 2**-8 - 128 <= negative <= 128:
            return _litert.in_256ths(positive), _litert.in_256ths(negative), 1
    within_limits(
        numerics.kernels != "litert" or slope >= 0,
        f"alpha is {slope:g}, and how LiteRT's own kernels multiply by a negative one is not known to refengine: "
        "choose a dialect such as litert-ref or tflm",
    )
    rounding = _litert.rounding(numerics, taken=False)
    identity = _unary.ratio_multiplier((si,), so, numerics.scale_math, rounding)
    signed = _unary.ratio_multiplier((si, _alpha(node.options)), so, numerics.scale_math, rounding)
    alpha = Multiplier(np.abs(signed.multiplier), signed.shift, np.abs(signed.scale), rounding)
    return identity, alpha, -1 if signed.multiplier < 0 else 1


def evaluate(p: Params, input: Array) -> Array:
    """Codes → codes, elementwise."""
    return _unary.look_up(p.table, input)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """One element: one of two factors, by the sign."""
    x = int(input[at.index]) - p.input_zero_point
    yield _unary.explain_input(int(input[at.index]), p.input_zero_point)
    scaled = yield from _narrate.rescale(x, p.multiplier_identity if x >= 0 else p.multiplier_alpha)
    if x < 0 and p.is_alpha_negative:
        scaled = -scaled
        yield Line("sign", "alpha is negative", scaled)
    yield from _narrate.finish(scaled, p.output_zero_point, *code_range(input.dtype.name))


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses an alpha that is no number."""
    _unary.operands(node)
    return FloatParams(np.float32(_alpha(node.options)))


def evaluate_float(p: FloatParams, input: Array) -> Array:
    """float32, elementwise."""
    with np.errstate(all="ignore"):
        scaled = input * p.alpha
        if 0 < p.alpha <= 1:
            larger: Array = np.maximum(input, scaled, out=scaled)  # which is the same, NaN too
            return larger
        return float32.select(input > 0, input, scaled)


def explain_float(p: FloatParams, at: At, input: Array) -> Iterator[Line]:
    """One element."""
    x = input[at.index]
    yield Line("input", f"x = {x:.9g}", x)
    if x > 0:
        yield Line("output", "positive: x itself", x)
    else:
        with np.errstate(all="ignore"):
            yield Line("output", f"not positive: {x:.9g} · alpha {p.alpha:.9g}", x * p.alpha)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank, alpha of either sign and any size; int16 with zero points too."""
    alpha = draw(make.sampled_from((0.01, 0.2, 0.0, 1.0, -0.5, 3.0, draw(make.scale()), -draw(make.scale()))))
    input = _affine.draw_input(draw, make, dtype, quantization=make.quantization(dtype, asymmetric=True))
    output = None
    if dtype != "float32":
        low, high = _affine.real_range(input)
        ends = (high, low * alpha, 0.0)
        output = _affine.draw_output(draw, make, dtype, _affine.params_of(input)[0], min(ends), max(ends))
    return _unary.node(make, "LEAKY_RELU", {"alpha": float(np.float32(alpha))}, input, output)


FACTS = Facts(
    elementwise=True,
    homogeneous=True,
    quantized=Quantizing({"int8": 1, "int16": 2}),
    c_kernels={"int8": "lookup", "int16": "leaky_relu_int16", "float32": "leaky_relu_float32"},
)

KERNELS = {
    ("LEAKY_RELU", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("LEAKY_RELU", "int16"): Kernel(prepare, evaluate, explain, partial(example, dtype="int16"), FACTS),
    ("LEAKY_RELU", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
