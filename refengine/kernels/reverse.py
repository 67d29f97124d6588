"""REVERSE_V2: the input with its elements in the opposite order along some dimensions.

TFLM: `kernels/reverse.cc`; the loop in `kernels/internal/reference/reverse.h`. Dimensions must be neighbours, or Invoke
fails. Quantisation is not looked at: codes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _affine, _copies


@dataclass(frozen=True)
class Params:
    """`axes` are resolved and in order; known only where they are constant."""

    input_name: str
    rank: int
    axes: tuple[int, ...] | None = None

    def resolve(self, axis: Array) -> tuple[int, ...]:
        """The axes that a control input tells; refuses those on which TFLM's Invoke fails."""
        given = axis.tolist()
        require(
            all(-self.rank <= a < self.rank for a in given),
            f"axes {given} leave the {self.rank} dimensions of '{self.input_name}', on which TFLM's Invoke fails: "
            "convert again",
        )
        axes = tuple(sorted(a % self.rank for a in given))
        require(
            axes == tuple(range(axes[0], axes[0] + len(axes))),
            f"axes {given} are no neighbours, on which TFLM's Invoke fails; reverse along one after "
            "the other: convert again",
        )
        return axes


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses more than 6 dimensions, axes of another type or number, and constant ones that are no neighbours."""
    input, axis, output = _copies.given(node, "input", "axis")
    _copies.same_type(input, output)
    rank = len(input.shape)
    _copies.require_rank(input)
    consistent(
        axis.dtype == "int32" and len(axis.shape) == 1 and 1 <= axis.shape[0] <= rank,
        f"axis '{axis.name}' is {axis.dtype} {axis.shape}; it must be int32, one for each dimension to reverse of the "
        f"{rank} of '{input.name}'",
    )
    _copies.declared(output, input.shape, f"input '{input.name}'")
    p = Params(input.name, rank)
    return replace(p, axes=_copies.settled(p.resolve, axis))


def evaluate(p: Params, input: Array, axis: Array) -> Array:
    """(B, …) → (B, …). Raises `InferenceError` for computed axes that are no neighbours, or outside."""

    def move(axes: tuple[int, ...], input: Array) -> Array:
        return np.flip(input, tuple(1 + a for a in axes))

    return _copies.moved(p.axes, p.resolve, move, [input], [axis])


def explain(p: Params, at: At, input: Array, axis: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    source = list(at.index)
    for a in axis.tolist():
        source[a] = input.shape[a] - 1 - at.index[a]
    yield _copies.copied("input", input, tuple(source), f"counted from the end along {axis.tolist()}")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any neighbours among up to six dimensions, in any order, counted from either end; or one, computed."""
    input = _affine.draw_input(draw, make, dtype, (1, _copies.MAX_RANK), 4)
    rank = len(input.shape)
    output = make.tensor(input.shape, dtype, input.quantization)
    if draw(make.integers(0, 3)) == 3:
        axis, before = _copies.draw_positions(draw, make, (1,), -rank, rank - 1)
        return Node("REVERSE_V2", {}, (input, axis), (output,), before=before)
    first = draw(make.integers(0, rank - 1))
    axes = [a - draw(make.booleans()) * rank for a in range(first, draw(make.integers(first + 1, rank)))]
    shuffled = [axes.pop(draw(make.integers(0, len(axes) - 1))) for _ in tuple(axes)]
    return Node("REVERSE_V2", {}, (input, make.constant(np.array(shuffled, np.int32))), (output,))


FACTS = Facts(
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 3, "int16": 3}),
    c_kernels=dict.fromkeys(("float32", "int8", "uint8", "int16", "int32", "int64", "bool"), "copies"),
)

KERNELS = {
    ("REVERSE_V2", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")
}
