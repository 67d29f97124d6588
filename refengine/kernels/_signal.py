"""What the operators of TFLM's signal library share: tensors of one type and rank each, and how numbers are seen.

They compute with plain integers: scales and zero points mean nothing to them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import consistent, require
from ..kernel import Draw, Line, Node, Toolbox
from ..model import Array, Tensor
from . import _flexbuffer

Wanted = tuple[str, int | None]
"""The type and rank that TFLM takes; None for any rank but 0."""

TENSOR_TYPES = {"float32": 0, "int32": 2, "int16": 7}
"""The schema's numbers of the types, by which the option `T` of some operators names one."""

UNWRITTEN = Line("unwritten", "TFLM leaves this element as it is: whatever the memory holds, shown as 0", 0)


def operands(node: Node, inputs: Sequence[Wanted], outputs: Sequence[Wanted]) -> tuple[Tensor, ...]:
    """The inputs, then the outputs; refuses another number, type or rank of them than TFLM takes."""
    found = [t for t in node.inputs if t is not None]
    consistent(
        len(found) == len(node.inputs) == len(inputs) and len(node.outputs) == len(outputs),
        f"expected {len(inputs)} inputs and {len(outputs)} outputs, got {len(found)} and {len(node.outputs)}",
    )
    tensors = (*found, *node.outputs)
    for tensor, (dtype, rank) in zip(tensors, (*inputs, *outputs), strict=True):
        require(
            tensor.dtype == dtype,
            f"tensor '{tensor.name}' is {tensor.dtype}; TFLM's {node.name} takes {dtype} there: convert again",
        )
        require(
            len(tensor.shape) == rank or (rank is None and tensor.shape),
            f"tensor '{tensor.name}' has shape {tensor.shape}; TFLM's {node.name} takes "
            f"{'at least 1' if rank is None else rank} dimensions there: convert again",
        )
    return tensors


def named_type(node: Node, input: Tensor) -> None:
    """Refuse an input of another type than the option `T` names, by which TFLM chooses the kernel."""
    kind = _flexbuffer.number(_flexbuffer.by_name(node), "T")
    require(
        kind == TENSOR_TYPES[input.dtype],
        f"the option T is {kind:g} but input '{input.name}' is {input.dtype}, which is {TENSOR_TYPES[input.dtype]} in "
        "TFLM: convert again",
    )


def same_shape(first: Tensor, *others: Tensor) -> None:
    """Refuse tensors of other shapes, beyond whose ends TFLM would read or write."""
    for tensor in others:
        consistent(
            tensor.shape == first.shape,
            f"tensor '{tensor.name}' has shape {tensor.shape} but '{first.name}' {first.shape}; they must agree",
        )


def in_range(name: str, value: int, low: int, high: int) -> int:
    """An option; refuses one with which the C code's behaviour is undefined."""
    require(
        low <= value <= high,
        f"the option {name} is {value} as TFLM reads it, but it must be from {low} to {high}: convert again",
    )
    return value


def bit_length(x: Array) -> npt.NDArray[np.int64]:
    """The number of bits of unsigned integers below 2^53, 0 of 0."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def draw_vector(draw: Draw, make: Toolbox, dtype: str, longest: int = 40) -> Tensor:
    """For an example: a vector that is fed."""

    def fits(tensor: Tensor) -> bool:
        return len(tensor.shape) == 1

    input: Tensor = draw(make.input((draw(make.integers(1, longest)),), dtype, None, fits))
    return input
