"""What operators on one tensor share: over 8 or 16 bits, a function is a table, made when the plan is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Options, Quantizing, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, tables
from ..numerics.fixedpoint import Ints, Multiplier, quantize_multiplier
from ..numerics.quantize import code_range
from . import _affine


@dataclass(frozen=True, eq=False)
class FloatParams:
    """What float functions depend on: whose C library computes them."""

    libm: str


def one_each(node: Node) -> tuple[Tensor, Tensor]:
    """(input, output); refuses any other number of them."""
    consistent(
        len(node.inputs) == 1 and len(node.outputs) == 1,
        f"expected 1 input and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    input, output = node.inputs[0], node.outputs[0]
    assert input is not None and output is not None
    return input, output


def operands(node: Node) -> tuple[Tensor, Tensor]:
    """(input, output): `one_each`, of one type and shape."""
    input, output = one_each(node)
    consistent(
        (output.dtype, output.shape) == (input.dtype, input.shape),
        f"output '{output.name}' is {output.dtype} {output.shape} but input '{input.name}' is {input.dtype} "
        f"{input.shape}; they must agree",
    )
    return input, output


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses an output of another type or shape."""
    operands(node)
    return FloatParams(numerics.libm)


def ratio_multiplier(factors: tuple[float, ...], divisor: float, scale_math: str, rounding: str) -> Multiplier:
    """The product of `factors` by `divisor`, from left to right, in double or in float32 as `scale_math` says."""
    double, single = factors[0], np.float32(factors[0])
    for factor in factors[1:]:
        double, single = double * factor, single * np.float32(factor)
    double, single = double / divisor, single / np.float32(divisor)
    return quantize_multiplier(double if scale_math == "double" else single, rounding, single)


def codes(dtype: str) -> Ints:
    """Every code of an 8- or 16-bit type, ordered as their bits are when read unsigned: 0, 1, … −2, −1."""
    low, high = code_range(dtype)
    return np.concatenate([np.arange(0, high + 1), np.arange(low, 0)])


def look_up(table: Array, input: Array) -> Array:
    """`table`, ordered like `codes`, at each code of `input`."""
    return tables.look_up(table, input.view(f"u{input.itemsize}"))


def explain_input(code: int, zero_point: int) -> Line:
    """The first line of every integer function."""
    return Line("input", f"code {code} − input zero point {zero_point}", code - zero_point)


def node(make: Toolbox, op: str, options: Options, input: Tensor, output: Quantization | None) -> Node:
    """An operator that keeps the type and shape of its input."""
    return Node(op, options, (input,), (make.tensor(input.shape, input.dtype, output),))


# ---- a function of one number --------------------------------------------------------------------------------

FACTS = Facts(elementwise=True)
LIBRARY = Facts(elementwise=True, inexact="libm")
IN_FLOAT = Quantizing({})


def function_kernel(
    op: str,
    dtype: str,
    function: Callable[[Array], Array],
    scalar: Callable[[Any], Any],
    told: str,
    quantized: Quantizing | None = IN_FLOAT,
    c_kernel: str = "",
) -> Kernel:
    """The kernel of a `function` of arrays, which `scalar` computes of one number; explanations have it `told`.

    `c_kernel` is called after the operator and its type by default.
    """
    return Kernel(
        prepare_float,
        partial(evaluate_function, function=function),
        partial(explain_function, scalar=scalar, told=told),
        partial(example, op=op, dtype=dtype),
        replace(FACTS, quantized=quantized, c_kernels={dtype: c_kernel or f"{op.lower()}_{dtype}"}),
    )


def evaluate_function(p: FloatParams, input: Array, function: Callable[[Array], Array]) -> Array:
    """Elementwise."""
    return function(input)


def explain_function(p: FloatParams, at: At, input: Array, scalar: Callable[[Any], Any], told: str) -> Iterator[Line]:
    """One element: the input, and the function's value."""
    x = input[at.index]
    yield Line("input", f"x = {x}", x)
    with np.errstate(all="ignore"):
        yield Line("output", told, scalar(x))


def library_kernel(
    op: str,
    name: str,
    function: Callable[[Array, str], Array],
    scalar: Callable[[np.float32, str], np.float32],
    quantized: Quantizing = IN_FLOAT,
) -> Kernel:
    """The kernel of the C library's `name`f: a `function` of arrays and a dialect's `libm`, and that of one number."""
    return Kernel(
        partial(prepare_library, name=name),
        partial(evaluate_library, function=function),
        partial(explain_library, scalar=scalar, name=name),
        partial(example, op=op, dtype="float32"),
        replace(LIBRARY, quantized=quantized, c_kernels={"float32": f"{name}_float32"}),
    )


def prepare_library(node: Node, numerics: Numerics, name: str) -> FloatParams:
    """Refuses an output of another type or shape, and C libraries whose bits nobody has compared."""
    float32.require_proven(name, numerics.libm)
    return prepare_float(node, numerics)


def evaluate_library(p: FloatParams, input: Array, function: Callable[[Array, str], Array]) -> Array:
    """float32, elementwise."""
    return function(input, p.libm)


def explain_library(
    p: FloatParams, at: At, input: Array, scalar: Callable[[np.float32, str], np.float32], name: str
) -> Iterator[Line]:
    """One element: the C library's own."""
    x = input[at.index]
    yield Line("input", f"x = {x:.9g}", x)
    yield Line("output", f"{name}f of {p.libm}", scalar(x, p.libm))


def example(draw: Draw, make: Toolbox, op: str, dtype: str) -> Node:
    """Any rank."""
    return node(make, op, {}, _affine.draw_input(draw, make, dtype), None)
