"""SELECT_V2: an element of x where the condition holds, else one of y; all three broadcast as NumPy's do.

TFLM: `kernels/select.cc`; the loops in `kernels/internal/reference/select.h`. Quantisation is not looked at: codes of x
and y are copied, even where their scales differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _affine, _copies


@dataclass(frozen=True)
class Params:
    """The declared shape, which may have another number of ones than the inputs where all have one element."""

    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a condition that is not bool, mixed types, and shapes that do not broadcast to the output's."""
    condition, x, y, output = _copies.given(node, "condition", "x", "y")
    require(
        condition.dtype == "bool",
        f"the condition '{condition.name}' is {condition.dtype}; TFLM takes bool: convert again",
    )
    _copies.same_type(x, y, output)
    shapes = [tensor.shape for tensor in (condition, x, y)]
    try:
        broad = np.broadcast_shapes(*shapes)
    except ValueError:
        broad = None
    consistent(
        broad == output.shape or (prod(output.shape) == 1 and set(map(prod, shapes)) == {1}),
        f"condition '{condition.name}' {shapes[0]}, x '{x.name}' {shapes[1]} and y '{y.name}' {shapes[2]} do not "
        f"broadcast to output '{output.name}' {output.shape}",
    )
    _copies.require_rank(output)
    return Params(output.shape)


def evaluate(p: Params, condition: Array, x: Array, y: Array) -> Array:
    """(B, …) bool, (B, …) and (B, …) → (B, *output_shape)."""
    rank = max(condition.ndim, x.ndim, y.ndim)
    c, a, b = (t.reshape(len(t), *(1,) * (rank - t.ndim), *t.shape[1:]) for t in (condition, x, y))
    chosen = np.where(c, a, b)
    return chosen.reshape(len(chosen), *p.output_shape)


def explain(p: Params, at: At, condition: Array, x: Array, y: Array) -> Iterator[Line]:
    """Element `index` of the output."""

    def place(tensor: Array) -> tuple[int, ...]:
        """Where the element of an input is that meets the output's: dimensions of length 1 stay at 0."""
        own = (*(0,) * tensor.ndim, *at.index)[len(at.index) :]
        return tuple(i if size > 1 else 0 for i, size in zip(own, tensor.shape, strict=True))

    holds = bool(condition[place(condition)])
    yield Line("condition", "holds: x" if holds else "does not hold: y", int(holds))
    name, chosen = ("x", x) if holds else ("y", y)
    yield _copies.copied(name, chosen, place(chosen), "dimensions of length 1 stay at 0")


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Inputs of any ranks that broadcast, fed or constant; x and y quantised alike or not."""
    x = _affine.draw_input(draw, make, dtype, (0, 5), 4)

    def other(of: str) -> Tensor:
        shape = tuple(1 if draw(make.integers(0, 3)) == 3 else size for size in x.shape)
        shape = shape[draw(make.sampled_from((0, 0, len(shape) // 2, len(shape)))) :]
        if draw(make.integers(0, 2)) == 2:
            return make.constant(draw(make.array(shape, of)), draw(make.quantization(of)))
        fed: Tensor = draw(make.input(shape, of, make.quantization(of), lambda t: _fits(t.shape, x.shape)))
        return fed

    condition, y = other("bool"), other(dtype)
    pair = (x, y) if draw(make.booleans()) else (y, x)
    shape = np.broadcast_shapes(condition.shape, x.shape, y.shape)
    if prod(shape) == 1 and draw(make.booleans()):
        shape = draw(make.sampled_from(((), (1,), (1, 1))))
    return Node("SELECT_V2", {}, (condition, *pair), (make.tensor(shape, dtype, x.quantization),))


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to the whole."""
    pairs = zip(shape[::-1], whole[::-1], strict=False)
    return len(shape) <= len(whole) and all(size in (1, length) for size, length in pairs)


FACTS = Facts(
    data=1,
    copies=True,
    shares_scale=True,
    quantized=Quantizing({"int8": 1}),
    c_kernels=dict.fromkeys(("float32", "int8", "int16"), "select"),
)

KERNELS = {
    ("SELECT_V2", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16")
}
