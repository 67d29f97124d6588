"""PRELU: output = input where that is not negative, else alpha · input; alpha is a tensor that broadcasts.

TFLM: `kernels/prelu.cc`, `prelu_common.cc`; on integers, `kernels/internal/reference/prelu.h`. Both sides of zero have
a multiplier of their own, for input / output and input · alpha / output. int16 inputs take alphas of int8, and zero
points anywhere. In float32, NaN and numbers below 0 are multiplied, and −0 is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox, Weighed
from ..model import Array, Tensor
from ..numerics import float32
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, wrap32
from ..numerics.quantize import code_range, product_multiplier
from . import _affine, _broadcast, _narrate, _unary

FACTS = Facts(
    elementwise=True,
    quantized=Quantizing({"int8": 1}, weighed=(Weighed(1, None, 0),)),
    c_kernels={dtype: f"prelu_{dtype}" for dtype in ("int8", "int16", "float32")},
)

MAX_FLOAT_RANK = 4
"""TFLM's float32 loop aborts on more."""


@dataclass(frozen=True, eq=False)
class Params:
    """TFLM's PreluParams. `table` holds the result for every pair of int8 codes."""

    input_zero_point: int
    alpha_zero_point: int
    output_zero_point: int
    output_multiplier_1: Multiplier
    output_multiplier_2: Multiplier
    dtype: str
    table: Array | None = None

    @cached_property
    def lines(self) -> tuple[_broadcast.Lines, _broadcast.Lines] | None:
        """For many int16 codes, if proven: from 0 on, and below."""
        found = (
            _broadcast.lines((), 0, multiplier, bound, self.output_zero_point, *code_range("int16"))
            for multiplier, bound in ((self.output_multiplier_1, 1 << 16), (self.output_multiplier_2, 1 << 24))
        )
        identity, scaled = found
        return None if identity is None or scaled is None else (identity, scaled)


def _operands(node: Node, alpha_type: str) -> tuple[Tensor, Tensor, Tensor]:
    """(input, alpha, output); refuses wrong types and shapes."""
    input, alpha, output = _broadcast.shaped(node)
    consistent(
        output.dtype == input.dtype and alpha.dtype == alpha_type,
        f"alpha '{alpha.name}' is {alpha.dtype} and output '{output.name}' {output.dtype}; for the {input.dtype} input "
        f"'{input.name}' TFLM reads {alpha_type} alphas and writes {input.dtype}",
    )
    return input, alpha, output


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses alphas other than int8, and scales so far apart that C leaves shifts undefined."""
    input, alpha, output = _operands(node, "int8")
    rounding = _affine.fixed_rounding(node.name, numerics)
    (si, zi), (sa, za), (so, zo) = map(_affine.quantized, (input, alpha, output))
    scale_math = "tflite" if numerics.scale_math == "tflite" else "double"
    identity = product_multiplier(si, 1.0, so, rounding, scale_math)
    scaled = product_multiplier(si, sa, so, rounding, scale_math)
    _affine.require_shift(identity, output)
    _affine.require_shift(scaled, output)
    p = Params(zi, za, zo, identity, scaled, output.dtype)
    return replace(p, table=_broadcast.tabulate(partial(_prelu, p))) if output.dtype == "int8" else p


def evaluate(p: Params, input: Array, alpha: Array) -> Array:
    """(B, …) and (B, …) codes → (B, …) codes."""
    a, b = _broadcast.aligned(input, alpha)
    return _broadcast.codes(
        partial(_prelu, p), p.table, a, b, lambda: p.lines and partial(_prelu_of_lines, p, *p.lines)
    )


def _prelu(p: Params, input: Array, alpha: Array) -> Array:
    """The integer arithmetic itself. The product fits 32 bits."""
    x, slope = input.astype(np.int64) - p.input_zero_point, alpha.astype(np.int64) - p.alpha_zero_point
    scaled = np.where(
        x >= 0,
        multiply_by_quantized_multiplier(x, p.output_multiplier_1),
        multiply_by_quantized_multiplier(x * slope, p.output_multiplier_2),
    )
    return np.clip(wrap32(scaled + p.output_zero_point), *code_range(p.dtype)).astype(p.dtype)


def _prelu_of_lines(
    p: Params, identity: _broadcast.Lines, scaled: _broadcast.Lines, input: Array, alpha: Array
) -> Array:
    """The same by proven lines of float64."""
    x = input.astype(np.float64)
    x -= p.input_zero_point
    product = alpha.astype(np.float64)
    product -= p.alpha_zero_point
    product *= x
    is_kept = np.negative((input >= p.input_zero_point).view(np.int8), dtype=np.int16)  # all bits, or none
    kept, codes = identity.codes(x), scaled.codes(product)
    codes ^= is_kept & (codes ^ kept)  # as `float32.select` does
    return codes


def explain(p: Params, at: At, input: Array, alpha: Array) -> Iterator[Line]:
    """One element: one of two factors, by the sign."""
    code, alpha_code = map(int, _broadcast.elements(at.index, input, alpha))
    x = code - p.input_zero_point
    yield _unary.explain_input(code, p.input_zero_point)
    if x >= 0:
        scaled = yield from _narrate.rescale(x, p.output_multiplier_1)
    else:
        slope = alpha_code - p.alpha_zero_point
        yield Line("alpha", f"code {alpha_code} − alpha zero point {p.alpha_zero_point}", slope)
        yield Line("product", f"{x} · {slope}, for the input is negative", x * slope)
        scaled = yield from _narrate.rescale(x * slope, p.output_multiplier_2)
    yield from _narrate.finish(scaled, p.output_zero_point, *code_range(p.dtype))


def prepare_float(node: Node, numerics: Numerics) -> _broadcast.NoParams:
    """Refuses more than four dimensions, on which TFLM aborts."""
    for tensor in _operands(node, "float32"):
        require(
            len(tensor.shape) <= MAX_FLOAT_RANK,
            f"'{tensor.name}' has {len(tensor.shape)} dimensions; TFLM's float32 PRELU takes at most {MAX_FLOAT_RANK}: "
            "reshape before and after it",
        )
    return _broadcast.NoParams()


def _prelu_float(input: Array, alpha: Array) -> Array:
    scaled = input * alpha
    if np.all((alpha > 0) & (alpha <= 1)):
        larger: Array = np.maximum(input, scaled, out=scaled)  # which is the same, NaN too
        return larger
    return float32.select(input >= 0, input, scaled)


def explain_float(p: _broadcast.NoParams, at: At, input: Array, alpha: Array) -> Iterator[Line]:
    """One element."""
    x, slope = map(np.float32, _broadcast.elements(at.index, input, alpha))
    yield Line("input", f"x = {x:.9g}", x)
    if x >= 0:
        yield Line("output", "not negative: x itself", x)
    else:
        with np.errstate(all="ignore"):
            yield Line("output", f"negative: {x:.9g} · alpha {slope:.9g}", x * slope)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Alphas of either sign, constant, fed, or the input itself; either may be the smaller."""
    alpha_type = "float32" if dtype == "float32" else "int8"
    input, alpha = _broadcast.draw_inputs(draw, make, dtype, asymmetric=True, second_type=alpha_type)
    output = None
    if dtype != "float32":
        (low, high), slopes = _affine.real_range(input), _affine.real_range(alpha)
        unit = _affine.params_of(input)[0] * min(1.0, _affine.params_of(alpha)[0])
        ends = (high, *(low * slope / 2 for slope in slopes))
        output = _affine.draw_output(draw, make, dtype, unit, min(ends), max(ends))
    return Node("PRELU", {}, (input, alpha), (_broadcast.broadcast(make, (input, alpha), output),))


KERNELS = {
    ("PRELU", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("PRELU", "int16"): Kernel(prepare, evaluate, explain, partial(example, dtype="int16"), FACTS),
    ("PRELU", "float32"): Kernel(
        prepare_float,
        partial(_broadcast.evaluate_plain, function=_prelu_float),
        explain_float,
        partial(example, dtype="float32"),
        FACTS,
    ),
}
