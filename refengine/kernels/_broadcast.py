"""What operators on two tensors share: operands that broadcast as NumPy's do, their types, tables of int8 results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import InferenceError, consistent, require
from ..kernel import Draw, Node, Numerics, Options, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import tables
from ..numerics.fixedpoint import Multiplier
from ..numerics.quantize import activation_range, float_activation_range
from ..numerics.requantize import Roundings, requantizer, roundings
from . import _affine

MAX_RANK = 6
"""TFLM's `RuntimeShape` holds no more dimensions."""

BLOCK = 1 << 16
"""How many elements the int16 arithmetic takes at once: its int64 temporaries stay in the cache, and calls of NumPy are
few, for which threads wait for each other."""

MANY = 1 << 17
"""So many int16 elements take longer, in integers, than to prove that float64 gives the same and then to do so."""


@dataclass(frozen=True, eq=False)
class Params:
    """What float32 and int32 operands need besides themselves: the bounds of the fused activation."""

    output_activation_min: int | np.float32
    output_activation_max: int | np.float32


@dataclass(frozen=True)
class NoParams:
    """What an operator needs that is told everything by its operands."""


def operands(node: Node, output_type: str = "") -> tuple[Tensor, Tensor, Tensor]:
    """`shaped`, all of one type, or the output of `output_type`; refuses other types."""
    input1, input2, output = shaped(node)
    wanted = f"the inputs must agree, and the output be {output_type}" if output_type else "they must agree"
    consistent(
        input1.dtype == input2.dtype and output.dtype == (output_type or input1.dtype),
        f"input '{input1.name}' is {input1.dtype}, input '{input2.name}' {input2.dtype} and output '{output.name}' "
        f"{output.dtype}; {wanted}",
    )
    return input1, input2, output


def shaped(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    """(input1, input2, output); refuses an output that has not the shape both broadcast to."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs and len(node.outputs) == 1,
        f"expected 2 inputs and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    input1, input2, output = node.inputs[0], node.inputs[1], node.outputs[0]
    assert input1 is not None and input2 is not None and output is not None
    try:
        shape = np.broadcast_shapes(input1.shape, input2.shape)
    except ValueError:
        shape = None
    consistent(
        shape == output.shape,
        f"inputs '{input1.name}' {input1.shape} and '{input2.name}' {input2.shape} do not broadcast to "
        f"output '{output.name}' {output.shape}",
    )
    require(
        len(output.shape) <= MAX_RANK,
        f"output '{output.name}' has {len(output.shape)} dimensions; TFLM takes at most {MAX_RANK}: reshape it",
    )
    return input1, input2, output


def prepare_float(node: Node, numerics: Numerics) -> Params:
    """The bounds of float32 results. Refuses mixed types, and shapes that do not broadcast to the output's."""
    operands(node)
    return Params(*float_activation_range(node.options["fused_activation_function"]))


def int32_bounds(activation: str) -> Params:
    """The bounds of int32 results, whose codes are their values."""
    return Params(*activation_range(activation, "int32", 1.0, 0))


def prepare_plain(node: Node, numerics: Numerics, output_type: str = "") -> NoParams:
    """No constants. Refuses what `operands` does."""
    operands(node, output_type)
    return NoParams()


def evaluate_plain(p: Any, input1: Array, input2: Array, function: Callable[[Array, Array], Array]) -> Array:
    """(B, …) and (B, …) → (B, …), what `function` makes of two arrays that broadcast."""
    return function(*aligned(input1, input2))


def aligned(input1: Array, input2: Array) -> tuple[Array, Array]:
    """Both with ones between the batch and the dimensions they lack, so that NumPy broadcasts them as TFLM does."""
    rank = max(input1.ndim, input2.ndim)
    a, b = (x.reshape(len(x), *(1,) * (rank - x.ndim), *x.shape[1:]) for x in (input1, input2))
    return a, b


def elements(index: tuple[int, ...], input1: Array, input2: Array) -> tuple[np.generic, np.generic]:
    """The element of each input that meets at `index` of the output: dimensions of length 1 stay at 0."""
    a, b = (
        x[tuple(i if size > 1 else 0 for i, size in zip(index[len(index) - x.ndim :], x.shape, strict=True))]
        for x in (input1, input2)
    )
    return a, b


def numbers(index: tuple[int, ...], input1: Array, input2: Array) -> tuple[Any, Any]:
    """`elements` as explanations take them: Python's integers and booleans, or float32."""
    a, b = (x if isinstance(x, np.floating) else x.item() for x in elements(index, input1, input2))
    return a, b


def refuse_zeros(divisor: Tensor) -> None:
    """Refuse constant divisors with a zero among them, on which TFLM's Invoke fails whatever else comes."""
    require(
        divisor.data is None or divisor.data.all(),
        f"the constant divisor '{divisor.name}' holds a 0, on which TFLM's Invoke fails; convert again without it",
    )


def fail_on_zeros(divisor: Array) -> None:
    """Raise `InferenceError` for the inferences with a zero among their divisors, as TFLM's Invoke does."""
    failing = (divisor == 0).reshape(len(divisor), -1).any(axis=1)
    if failing.any():
        raise InferenceError("a divisor is 0; TFLM fails on a division by 0", failing)


def tabulate(evaluate: Callable[[Array, Array], Array]) -> Array:
    """What `evaluate` makes of every pair of int8 codes, (256, 256) in the order of their bytes."""
    codes = np.arange(256, dtype=np.uint8).view(np.int8)
    parts = np.split(codes, 8)  # fewer take more room than a small model may, and more take longer
    return np.concatenate([evaluate(rows[:, np.newaxis], codes) for rows in parts])


def lookup(table: Array, input1: Array, input2: Array) -> Array:
    """The entry of a `tabulate`d table for each pair of codes."""
    rows, columns = input1.view(np.uint8), input2.view(np.uint8)
    for one, other, axis in ((columns, rows, 1), (rows, columns, 0)):
        if one.size == 1 and one.ndim == other.ndim:
            return tables.look_up(table.take(one.item(), axis=axis), other)
    result: Array = table.take(rows.astype(np.uint16) << np.uint16(8) | columns)
    return result


def codes(
    evaluate: Callable[[Array, Array], Array],
    table: Array | None,
    input1: Array,
    input2: Array,
    quick: Callable[[], Callable[[Array, Array], Array] | None] = lambda: None,
) -> Array:
    """What `evaluate` makes of two operands that broadcast: from its `table`, or, without one, a block at a time.

    `quick` proves another way to compute the same, or finds none, and is not asked for less than `MANY` elements.
    """
    if table is not None:
        return lookup(table, input1, input2)
    operands = np.broadcast_arrays(input1, input2)
    a, b = (x.reshape(-1) for x in operands)
    output = np.empty_like(a)
    block, found = BLOCK, quick() if a.size >= MANY else None
    if found is not None:
        block, evaluate = 2 * BLOCK, found  # of fewer temporaries
    for start in range(0, len(a), block):
        part = slice(start, start + block)
        output[part] = evaluate(a[part], b[part])
    return output.reshape(operands[0].shape)


class Lines(NamedTuple):
    """float64's way with int16 codes: the roundings of both operands, if they are scaled at all, and of the result.

    The result's codes are within [`low`, `high`] when `offset` is added.
    """

    first: Roundings | None
    second: Roundings | None
    result: Roundings
    offset: int
    low: int
    high: int

    def operands(self, *inputs: Array) -> Iterator[Array]:
        """Codes, less their zero points, as TFLM scales them: whole numbers in float64."""
        for codes, scale in zip(inputs, self[:2], strict=True):
            real = codes.astype(np.float64)
            if scale is not None:
                scale(real)
            yield real

    def codes(self, real: Array) -> Array:
        """The codes of results, whole numbers in float64, which are lost."""
        self.result(real)
        if self.offset:
            real += self.offset
        return real.clip(self.low, self.high, out=real).astype(np.int16)


def lines(
    operands: Sequence[Multiplier], left_shift: int, result: Multiplier, bound: int, offset: int, low: int, high: int
) -> Lines | None:
    """Those of TFLM's multipliers, for int16 codes without zero points; None where they cannot be proven.

    Operands are shifted by `left_shift` first; without any, codes are taken as they are. No result is beyond `bound`.
    """
    whole = requantizer(np.zeros(1, np.int64), result, offset, low, high, "int16", np.array([bound]))
    last = roundings(whole, np.array([bound]))
    scaled = [roundings(replace(whole, multiplier=m, line=None), np.array([1 << 15]), left_shift) for m in operands]
    if last is None or None in scaled:
        return None
    first, second = scaled or (None, None)
    return Lines(first, second, last, offset, low, high)


def draw_inputs(
    draw: Draw, make: Toolbox, dtype: str, asymmetric: bool = False, second_type: str = "", high: float | None = None
) -> tuple[Tensor, Tensor]:
    """For an example: two inputs of any ranks that broadcast; the second may be constant, or the first again.

    Both are of `dtype`, unless there is a `second_type`; `high` bounds their scales.
    """
    second_type = second_type or dtype

    def quantization(of: str) -> Any:
        return make.quantization(of, high=high, asymmetric=asymmetric)

    def bounded(tensor: Tensor) -> bool:
        return high is None or _affine.params_of(tensor)[0] <= high

    first = _affine.draw_input(draw, make, dtype, (0, 4), 5, quantization(dtype), bounded)
    shape = _draw_shape(draw, make, first)

    def fits(other: Tensor) -> bool:
        pairs = zip(first.shape[::-1], other.shape[::-1], strict=False)
        return len(other.shape) <= 4 and all(a == b or 1 in (a, b) for a, b in pairs) and bounded(other)

    kind = draw(make.sampled_from(("fed", "fed", "same", "fed", "constant", "fed")))
    if kind == "same" and second_type == dtype:
        return first, first
    if kind == "constant":
        return first, make.constant(draw(make.array(shape, second_type)), draw(quantization(second_type)))
    return first, draw(make.input(shape, second_type, quantization(second_type), fits))


def node(
    draw: Draw, make: Toolbox, name: str, options: Options, inputs: tuple[Tensor, Tensor], output: Quantization | None
) -> Node:
    """For an example: an operator on two inputs, in either order; a fused activation joins the `options`."""
    result = broadcast(make, inputs, output)
    activation = _affine.draw_activation(draw, make, result)
    ordered = inputs if draw(make.booleans()) else inputs[::-1]
    return Node(name, {**options, "fused_activation_function": activation}, ordered, (result,))


def plain_node(
    draw: Draw,
    make: Toolbox,
    name: str,
    inputs: tuple[Tensor, Tensor],
    output: Quantization | None = None,
    output_type: str = "",
) -> Node:
    """For an example: an operator without options on two inputs, in either order."""
    ordered = inputs if draw(make.booleans()) else inputs[::-1]
    return Node(name, {}, ordered, (broadcast(make, inputs, output, output_type),))


def broadcast(
    make: Toolbox, inputs: tuple[Tensor, Tensor], output: Quantization | None = None, output_type: str = ""
) -> Tensor:
    """For an example: the output of an operator on two inputs, of the first one's type unless there is another."""
    first, second = inputs
    return make.tensor(np.broadcast_shapes(first.shape, second.shape), output_type or first.dtype, output)


def draw_quotient(draw: Draw, make: Toolbox, dtype: str, without: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """For an example: a dividend, and constant divisors `without` some."""
    first = _affine.draw_input(draw, make, dtype, (0, 4))
    divisors = draw(make.array(_draw_shape(draw, make, first), dtype))
    instead = next(code for code in (3, 4, 5) if code not in without)
    allowed = np.where(np.isin(divisors, without), instead, divisors).astype(dtype)
    return first, make.constant(allowed, draw(make.quantization(dtype)))


def _draw_shape(draw: Draw, make: Toolbox, first: Tensor) -> tuple[int, ...]:
    """For an example: the shape of a second tensor that broadcasts against the `first`, or the first against it."""
    larger = draw(make.integers(0, 3)) == 3  # the second is, where the first has length 1
    stretched = [draw(make.integers(1, 4)) if size == 1 and larger else size for size in first.shape]
    shape = tuple(1 if draw(make.integers(0, 3)) == 3 else size for size in stretched)
    return shape[draw(make.sampled_from((0, 0, len(shape) // 2, len(shape)))) :]
