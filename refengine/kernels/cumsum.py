"""CUMSUM: the sums of the elements up to each along an axis; `exclusive`: without itself, `reverse`: from the end.

Codes are added as differences from the input's zero point, each sum rescaled to the output. TFLM means to begin with
0, but begins with minus the input's zero point: unless that is 0, every sum is wrong by as much, and so is refengine's.

TFLM: `kernels/cumsum.cc`; the loops in `kernels/internal/reference/cumsum.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from ..numerics import scalar
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from ..text import counted
from . import _affine, _copies, _narrate, _unary

LEFT_SHIFT = 20
"""What a code's difference is multiplied by, and then halved: sums are in 2⁻¹⁹ of the input's scale."""


@dataclass(frozen=True, eq=False)
class Params:
    """`axis`, counted from the front."""

    axis: int
    exclusive: bool
    reverse: bool

    @property
    def order(self) -> slice:
        """The way along the axis."""
        return slice(None, None, -1 if self.reverse else 1)

    def before(self, index: tuple[int, ...], input: Array) -> Iterator[tuple[str, np.generic]]:
        """(name, value) of what makes the sum at `index`, in TFLM's order."""
        size, at = input.shape[self.axis], index[self.axis]
        places = range(size - 1, at - 1, -1) if self.reverse else range(at + 1)
        for place in places[: -1 if self.exclusive else None]:
            position = (*index[: self.axis], place, *index[self.axis + 1 :])
            yield f"input[{', '.join(map(str, position))}]", input[position]


@dataclass(frozen=True, eq=False)
class CodeParams(Params):
    """TFLM's OpData."""

    input_offset: int
    output_offset: int
    output_multiplier: Multiplier


def _operands(node: Node) -> tuple[Tensor, Tensor, Params]:
    """(input, output, params) after the checks that do not depend on the type."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs,
        f"expected input and axis, got {counted(len(node.inputs), 'input')}",
    )
    axis = node.inputs[1]
    assert axis is not None
    input, output = _unary.operands(node._replace(inputs=node.inputs[:1]))
    at = _copies.known_axis(axis, input)
    return input, output, Params(at, bool(node.options["exclusive"]), bool(node.options["reverse"]))


def prepare(node: Node, numerics: Numerics) -> CodeParams:
    """Refuses an axis computed at run time, and an output scale on which TFLM aborts."""
    input, output, p = _operands(node)
    (si, zi), (so, zo) = _affine.quantized(input), _affine.quantized(output)
    rounding = "single" if numerics.rounding == "single" else "double"  # XNNPACK has no such operator
    factor = 2 * si / (2.0**LEFT_SHIFT * so)
    require(
        factor < 1,
        f"the scale {so:g} of output '{output.name}' is too small for the input's {si:g}: TFLM aborts where it is not "
        f"above 2^-19 of it; {_affine.RANGE_ADVICE}",
    )
    return CodeParams(p.axis, p.exclusive, p.reverse, -zi, zo, quantize_multiplier(factor, rounding))


def evaluate(p: CodeParams, input: Array, axis: Array) -> Array:
    """(B, …) codes → (B, …) codes, by sums that wrap as int32 ones."""
    codes = np.moveaxis(input, p.axis + 1, 0)[p.order].astype(np.int64) + p.input_offset
    sums = codes.cumsum(axis=0) + p.input_offset
    if p.exclusive:
        sums -= codes
    scaled = multiply_by_quantized_multiplier(wrap32(sums << LEFT_SHIFT - 1), p.output_multiplier)
    output = np.clip(scaled + p.output_offset, -128, 127).astype(np.int8)
    return np.moveaxis(output[p.order], 0, p.axis + 1)


def explain(p: CodeParams, at: At, input: Array, axis: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    unit = 2 ** (LEFT_SHIFT - 1)
    acc = scalar.wrap(p.input_offset * unit)
    yield Line("begin", f"TFLM begins with minus the input zero point, {p.input_offset}, in units of 2^-19", acc)
    for name, code in p.before(at.index, input):
        acc = scalar.wrap(acc + (int(code) + p.input_offset) * unit)
        yield Line("element", f"{name} = {code} {p.input_offset:+d}, running sum {acc / unit:g}", acc)
    scaled = yield from _narrate.rescale(acc, p.output_multiplier)
    yield from _narrate.finish(scaled, p.output_offset, -128, 127)


def prepare_float(node: Node, numerics: Numerics) -> Params:
    """Refuses an axis computed at run time."""
    return _operands(node)[2]


def evaluate_float(p: Params, input: Array, axis: Array) -> Array:
    """(B, …) float32 → (B, …) float32, each sum in order from 0.0."""
    terms = np.moveaxis(input, p.axis + 1, 0)[p.order]
    with np.errstate(all="ignore"):
        sums = np.add.accumulate(np.concatenate([np.zeros_like(terms[:1]), terms]), axis=0)
    return np.moveaxis((sums[:-1] if p.exclusive else sums[1:])[p.order], 0, p.axis + 1)


def explain_float(p: Params, at: At, input: Array, axis: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM sums it."""
    total = np.float32(0)
    yield Line("begin", "the sum of nothing", total)
    with np.errstate(all="ignore"):
        for name, x in p.before(at.index, input):
            total = np.add(total, x)
            yield Line("element", f"{name} = {x:.9g}, running sum {total:.9g}", total)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any rank, any axis, counted from either end, both ways, with and without the element itself."""
    ranks, largest = draw(make.sampled_from((((1, 5), 4), ((1, 2), 40))))
    input = _affine.draw_input(draw, make, dtype, ranks, largest)
    at = draw(make.integers(-len(input.shape), len(input.shape) - 1))
    output = None
    if input.quantization is not None:
        scale, (low, high) = input.quantization.scale[0], _affine.real_range(input)
        output = _affine.draw_output(draw, make, dtype, scale, low, high * input.shape[at] ** 0.5)
    options = {"exclusive": draw(make.booleans()), "reverse": draw(make.booleans())}
    inputs = (input, make.constant(np.array([at], np.int32)))
    return Node("CUMSUM", options, inputs, (make.tensor(input.shape, dtype, output),))


FACTS = Facts(quantized=Quantizing({}), c_kernels={t: f"cumsum_{t}" for t in ("int8", "float32")})

KERNELS = {
    ("CUMSUM", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("CUMSUM", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
