"""What the operators that only move elements about share: types, a check, and the one line of an explanation."""

from __future__ import annotations

from ..errors import consistent
from ..kernel import Line, Node
from ..model import Array, Tensor

TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool")
"""Everything that a TFLM model computes with; kernels that look at sizes only take all of them."""


def operands(node: Node) -> tuple[list[Tensor], Tensor]:
    """(inputs, output) of an operator on any number of inputs; refuses absent ones and mixed types."""
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    consistent(len(tensors) == len(node.inputs), "an input is missing")
    consistent(len(node.outputs) == 1, f"expected 1 output, got {len(node.outputs)}")
    (output,) = node.outputs
    assert output is not None
    same_type(output, *tensors)
    return tensors, output


def same_type(first: Tensor, *others: Tensor) -> None:
    """Refuse tensors of different types: TFLM reads them all as one."""
    for tensor in others:
        consistent(
            tensor.dtype == first.dtype,
            f"tensor '{tensor.name}' is {tensor.dtype} but '{first.name}' is {first.dtype}; they must agree",
        )


def copied(name: str, x: Array, index: tuple[int, ...], why: str) -> Line:
    """The element that the output takes from input `name`, and why that one."""
    value = x[index]
    return Line("copy", f"{name}[{', '.join(map(str, index))}]: {why}", value if x.dtype == "float32" else value.item())
