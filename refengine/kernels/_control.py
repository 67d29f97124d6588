"""What IF and WHILE share: values that cross from one subgraph to another, byte by byte, and small graphs to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import Draw, Toolbox
from ..model import Array, Graph, Op, Tensor


def check_edge(what: str, given: Sequence[Tensor | None], graph: Graph, indices: Sequence[int]) -> None:
    """Refuse tensors that are not as many, or not as many bytes each, as the subgraph's: TFLM copies them as bytes."""
    consistent(
        len(given) == len(indices),
        f"{what} of subgraph {graph.index} are {len(indices)}, the operator has {len(given)}",
    )
    for tensor, index in zip(given, indices, strict=True):
        other = graph.tensors[index]
        consistent(tensor is not None, f"one of {what} of subgraph {graph.index} is left out; TFLM copies all of them")
        assert tensor is not None
        require(
            size(tensor) == size(other),
            f"tensor '{tensor.name}' {tensor.dtype} {tensor.shape} and '{other.name}' {other.dtype} {other.shape} of "
            f"subgraph {graph.index} differ in bytes, where TFLM's Invoke fails; convert again with fixed shapes",
        )


def size(tensor: Tensor) -> int:
    """In bytes; a handle of a resource variable has four. Refuses types that NumPy does not have."""
    within_limits(
        tensor.dtype == "resource" or hasattr(np, tensor.dtype),
        f"tensor '{tensor.name}' is {tensor.dtype}, which refengine cannot hand to another subgraph, nor keep: "
        "convert again with int8, int16 or float32",
    )
    return prod(tensor.shape) * (4 if tensor.dtype == "resource" else np.dtype(tensor.dtype).itemsize)


def number(value: Array) -> int | np.float32:
    """A scalar array as explanations give it."""
    return value if value.dtype == np.float32 else value.item()  # type: ignore[return-value]


def draw_graph(draw: Draw, make: Toolbox, inputs: Sequence[Tensor], keep: int = 0) -> Graph:
    """A subgraph of as many outputs as `inputs`, each of its input's type and shape: sums, products, or copies.

    The first `keep` outputs are the first inputs minus one: what counts a loop.
    """
    tensors = [replace(t, index=i, name=f"in{i}", data=None) for i, t in enumerate(inputs)]
    ops: list[Op] = []
    outputs: list[int] = []

    def added(tensor: Tensor) -> int:
        tensors.append(replace(tensor, index=len(tensors), name=f"t{len(tensors)}"))
        return len(tensors) - 1

    for i, input in enumerate(inputs):
        alike = [k for k, t in enumerate(inputs) if (t.dtype, t.shape) == (input.dtype, input.shape)]
        kind = "SUB" if i < keep else draw(make.sampled_from(("ADD", "MUL", "SUB", "")))
        if not kind:
            outputs.append(draw(make.sampled_from(alike)))
            continue
        if i < keep:
            other = added(make.constant(np.ones(input.shape, input.dtype)))
        elif draw(make.booleans()):
            other = added(make.constant(draw(make.array(input.shape, input.dtype, -3, 3))))
        else:
            other = draw(make.sampled_from(alike))
        output = added(make.tensor(input.shape, input.dtype))
        options = {"fused_activation_function": "NONE"} | ({} if kind == "MUL" else {"pot_scale_int16": False})
        ops.append(Op(len(ops), kind, (i, other), (output,), options))
        outputs.append(output)
    return Graph(0, "sub", tuple(tensors), tuple(range(len(inputs))), tuple(outputs), tuple(ops))
