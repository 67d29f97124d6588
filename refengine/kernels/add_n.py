"""ADD_N: the sum of two inputs or more, of one shape.

TFLM: `kernels/add_n.cc`, `kernels/internal/reference/add_n.h`. int8 sums begin at minus the zero point instead of 0, a
fault of TFLM's: the output is a zero point's worth too low, unless the inputs' zero point is 0. Beyond some 16 inputs
they may wrap, too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import scalar
from ..numerics.fixedpoint import Ints, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from ..numerics.quantize import code_range
from . import _affine, _broadcast, _copies, _narrate, _unary

LEFT_SHIFT = 20

FACTS = Facts(
    elementwise=True, joins=True, quantized=Quantizing({}), c_kernels={"int8": "add_n_int8", "float32": "add_n_float32"}
)


@dataclass(frozen=True, eq=False)
class Params:
    """int8, TFLM's OpData. `terms` (256,) is what each code adds to the sum, in the order of `_unary.codes`."""

    input_zero_point: int
    output_zero_point: int
    input_multiplier: Multiplier
    output_multiplier: Multiplier
    terms: Ints
    start: int


def _operands(node: Node) -> tuple[list[Tensor], Tensor]:
    """(inputs, output); refuses less than two inputs, and other than one type and shape."""
    inputs, output = _copies.operands(node)
    consistent(len(inputs) >= 2, f"expected 2 inputs or more, got {len(inputs)}")
    for tensor in (*inputs, output):
        consistent(
            tensor.shape == inputs[0].shape,
            f"'{tensor.name}' {tensor.shape} and '{inputs[0].name}' {inputs[0].shape} must have one shape",
        )
    return inputs, output


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses inputs of several quantisations, as TFLM does, and output scales so small that TFLM aborts."""
    inputs, output = _operands(node)
    rounding = _affine.fixed_rounding(node.name, numerics)
    (scale, zero_point), (so, zo) = _affine.quantized(inputs[0]), _affine.quantized(output)
    for input in inputs[1:]:
        require(
            _affine.params_of(input) == (scale, zero_point),
            f"inputs '{inputs[0].name}' and '{input.name}' differ in scale or zero point; TFLM adds int8 of one "
            "quantisation only: convert again with ADDs, or put a QUANTIZE before",
        )
    factor = 2 * scale / (2**LEFT_SHIFT * so)
    multiplier = quantize_multiplier(factor, rounding)
    require(
        factor < 1 and multiplier.shift <= 0,
        f"the scale {so:g} of output '{output.name}' is too small for inputs of scale {scale:g}: TFLM aborts on a "
        f"multiplier of {factor:g}, it must be below 1; {_affine.RANGE_ADVICE}",
    )
    half = quantize_multiplier(0.5, rounding)

    def term(x: Ints) -> Ints:
        return multiply_by_quantized_multiplier(x << LEFT_SHIFT, half)

    terms, start = term(_unary.codes("int8") - zero_point), int(term(np.array(-zero_point)))
    return Params(zero_point, zo, half, multiplier, terms, start)


def evaluate(p: Params, *inputs: Array) -> Array:
    """(B, …) codes each → (B, …) codes."""
    total = sum((_unary.look_up(p.terms, input) for input in inputs), np.array(p.start, np.int64))
    scaled = multiply_by_quantized_multiplier(wrap32(total), p.output_multiplier)
    return np.clip(wrap32(scaled + p.output_zero_point), *code_range("int8")).astype(np.int8)


def explain(p: Params, at: At, *inputs: Array) -> Iterator[Line]:
    """One element, as TFLM adds it."""
    total = yield from _term(p, -p.input_zero_point)
    yield Line("start", f"not 0 but −{p.input_zero_point}, scaled as an input is", total)
    for k, input in enumerate(inputs):
        code = int(input[at.index])
        yield Line(f"input {k}", f"code {code} − zero point {p.input_zero_point}", code - p.input_zero_point)
        term = yield from _term(p, code - p.input_zero_point)
        total = scalar.wrap(total + term)
        yield Line("sum", "so far, kept in 32 bits", total)
    scaled = yield from _narrate.rescale(total, p.output_multiplier)
    yield from _narrate.finish(scaled, p.output_zero_point, *code_range("int8"))


def _term(p: Params, x: int) -> Generator[Line, None, int]:
    """What `x` adds to the sum; the last value."""
    yield Line("shifted", f"{x} · 2^{LEFT_SHIFT}, to keep bits for rounding", x << LEFT_SHIFT)
    return (yield from _narrate.rescale(x << LEFT_SHIFT, p.input_multiplier))


def prepare_float(node: Node, numerics: Numerics) -> _broadcast.NoParams:
    """Refuses less than two inputs, and other than one type and shape."""
    _operands(node)
    return _broadcast.NoParams()


def evaluate_float(p: _broadcast.NoParams, *inputs: Array) -> Array:
    """(B, …) float32 each → (B, …) float32, added in order from 0.0."""
    total: Array = np.zeros((), np.float32)
    for input in inputs:
        total = total + input
    return total


def explain_float(p: _broadcast.NoParams, at: At, *inputs: Array) -> Iterator[Line]:
    """One element."""
    total = np.float32(0)
    for k, input in enumerate(inputs):
        x = input[at.index]
        with np.errstate(all="ignore"):
            total = total + x
        yield Line("sum", f"+ {x}, input {k}, in float32", total)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Few inputs or so many that int8 wraps; some constant, or one tensor again."""
    first = _affine.draw_input(draw, make, dtype)
    inputs = [first]

    def fits(tensor: Tensor) -> bool:
        return tensor.shape == first.shape and tensor.quantization == first.quantization

    for _ in range(draw(make.sampled_from((1, 2, 3, 20)))):
        kind = draw(make.sampled_from(("fed", "same", "constant")))
        if kind == "constant":
            inputs.append(make.constant(draw(make.array(first.shape, dtype)), first.quantization))
        else:
            inputs.append(first if kind == "same" else draw(make.input(first.shape, dtype, first.quantization, fits)))
    output = None
    if dtype == "int8":
        low, high = _affine.real_range(first)
        unit, n = _affine.params_of(first)[0], len(inputs)
        output = _affine.draw_output(draw, make, dtype, unit, n * low, n * high)
    return Node("ADD_N", {}, tuple(inputs), (make.tensor(first.shape, dtype, output),))


KERNELS = {
    ("ADD_N", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("ADD_N", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
