"""What the operators that only move elements about share: types, checks, control inputs, and the one line they tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeVar

import numpy as np

from ..errors import InferenceError, UnsupportedError, consistent, require, within_limits
from ..kernel import Draw, Line, Node, Toolbox
from ..model import Array, Quantization, Tensor

TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool", "uint32", "uint64")
"""Everything that a TFLM model computes with; kernels that look at sizes only take all of them."""

MAX_RANK = 6
"""TFLM's `RuntimeShape` holds no more dimensions."""

Setting = TypeVar("Setting")


def operands(node: Node) -> tuple[list[Tensor], Tensor]:
    """(inputs, output) of an operator on any number of inputs; refuses absent ones and mixed types."""
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    consistent(len(tensors) == len(node.inputs), "an input is missing")
    consistent(len(node.outputs) == 1, f"expected 1 output, got {len(node.outputs)}")
    (output,) = node.outputs
    assert output is not None
    same_type(output, *tensors)
    return tensors, output


def given(node: Node, *names: str) -> tuple[Tensor, ...]:
    """As many inputs as `names` tell, and the output behind them; refuses any other number, and absent ones."""
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    consistent(
        len(tensors) == len(node.inputs) == len(names) and len(node.outputs) == 1,
        f"expected {', '.join(names)} and 1 output, got {node.arity}",
    )
    return (*tensors, node.outputs[0])


def same_type(first: Tensor, *others: Tensor) -> None:
    """Refuse tensors of different types: TFLM reads them all as one."""
    for tensor in others:
        consistent(
            tensor.dtype == first.dtype,
            f"tensor '{tensor.name}' is {tensor.dtype} but '{first.name}' is {first.dtype}; they must agree",
        )


def resolved_axis(axis: int, tensor: Tensor) -> int:
    """`axis` counted from the front; refuses one that `tensor` has not."""
    rank = len(tensor.shape)
    consistent(-rank <= axis < rank, f"axis {axis} is outside the {rank} dimensions of '{tensor.name}' {tensor.shape}")
    return axis % rank


def constant_axis(axis: Tensor, tensor: Tensor) -> int:
    """The value of a constant axis of `tensor`, counted from the front."""
    require(
        axis.data is not None and axis.dtype == "int32" and axis.data.size == 1,
        f"axis '{axis.name}' must be one constant int32, for TFLM splits only where the plan knows: convert again",
    )
    assert axis.data is not None
    return resolved_axis(int(axis.data.flat[0]), tensor)


def known_axis(axis: Tensor, tensor: Tensor) -> int:
    """As `constant_axis`, of operators for which TFLM, but not refengine, takes an axis computed at run time too."""
    require(
        axis.dtype == "int32" and prod(axis.shape) == 1,
        f"axis '{axis.name}' must be one int32: TFLM takes no other type; convert again with such",
    )
    within_limits(
        axis.data is not None,
        f"axis '{axis.name}' is computed at run time; TFLM runs that, but refengine needs it constant: convert again",
        tflm_runs=True,
    )
    assert axis.data is not None
    return resolved_axis(int(axis.data.flat[0]), tensor)


def declared(output: Tensor, shape: tuple[int, ...], why: str) -> None:
    """Refuse an output that is declared with another shape than the operator computes: TFLM would run over it."""
    consistent(output.shape == shape, f"output '{output.name}' has shape {output.shape}; {why} has {shape}")


def require_rank(tensor: Tensor) -> None:
    """Refuse more dimensions than TFLM's `RuntimeShape` holds: it would write over other memory."""
    require(
        len(tensor.shape) <= MAX_RANK,
        f"'{tensor.name}' has {len(tensor.shape)} dimensions; TFLM holds at most {MAX_RANK}: reshape it before",
    )


def copied(name: str, x: Array, index: tuple[int, ...], why: str) -> Line:
    """The element that the output takes from input `name`, and why that one."""
    value = x[index]
    return Line("copy", f"{name}[{', '.join(map(str, index))}]: {why}", value if x.dtype == "float32" else value.item())


# ---- inputs that say what moves where ------------------------------------------------------------------------


def settled(resolve: Callable[..., Setting], *controls: Tensor) -> Setting | None:
    """What `resolve` makes of control inputs that are all constant, or None where one is known at run time only."""
    values = [tensor.data for tensor in controls if tensor.data is not None]
    return resolve(*values) if len(values) == len(controls) else None


def moved(
    setting: Setting | None,
    resolve: Callable[..., Setting],
    move: Callable[..., Array],
    inputs: Sequence[Array],
    controls: Sequence[Array],
) -> Array:
    """`move(setting, *inputs)`; where there is no one setting, each inference's by what `resolve` makes of its own.

    Inferences of equal controls move together. Raises `InferenceError` for those that `resolve` refuses.
    """
    if setting is not None:
        return move(setting, *inputs)
    n = max(map(len, (*inputs, *controls)))
    flat = [np.broadcast_to(x.reshape(len(x), -1), (n, x[0].size)) for x in controls]
    _, first, group = np.unique(np.concatenate(flat, axis=1), axis=0, return_index=True, return_inverse=True)
    message, failing, rows, parts = "", np.zeros(n, np.bool_), [], []
    for k, example in enumerate(first):
        alike = np.flatnonzero(group.reshape(-1) == k)
        try:
            setting = resolve(*(x[example if len(x) > 1 else 0] for x in controls))
        except UnsupportedError as error:
            message, failing[alike] = message or str(error), True
            continue
        part = move(setting, *(x if len(x) == 1 else x[alike] for x in inputs))
        rows.append(alike)
        parts.append(np.broadcast_to(part, (len(alike), *part.shape[1:])))
    if message:
        raise InferenceError(message, rows=failing)
    output: Array = np.concatenate(parts)[np.argsort(np.concatenate(rows))]
    return output


def draw_positions(
    draw: Draw, make: Toolbox, shape: Sequence[int], low: int, high: int
) -> tuple[Tensor, tuple[Node, ...]]:
    """For an example: int32 from `low` to `high`, constant or computed, and the nodes that must come before.

    Those quantise fed codes so coarsely that all of them become one of the positions.
    """
    if draw(make.booleans()):
        return make.constant(draw(make.array(shape, "int32", low, high))), ()
    codes = make.tensor(shape, "int8", Quantization((1.0,), (-128,)))
    coarse = Quantization((float(np.float32(255 / (high - low + 0.25))),), (low,))
    positions = make.tensor(shape, "int32", coarse)
    return positions, (Node("QUANTIZE", {}, (codes,), (positions,)),)
