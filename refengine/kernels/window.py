"""SignalWindow: each sample times its weight, shifted right and saturated; the weights repeat.

TFLM: `signal/micro/kernels/window.cc`, `signal/src/window.cc`. The shift rounds down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _flexbuffer, _signal


@dataclass(frozen=True)
class Params:
    """TFLMSignalWindowParams."""

    shift: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses inputs that are no whole number of windows, beyond whose end TFLM reads and writes."""
    input, weights, output = _signal.operands(node, (("int16", None), ("int16", 1)), (("int16", None),))
    _signal.same_shape(input, output)
    consistent(
        weights.shape[0] and prod(input.shape) % weights.shape[0] == 0,
        f"input '{input.name}' {input.shape} is no multiple of the {weights.shape[0]} weights '{weights.name}'",
    )
    (shift,) = _flexbuffer.by_place(node, "shift")
    return Params(_signal.in_range("shift", shift, 0, 31))


def evaluate(p: Params, input: Array, weights: Array) -> Array:
    """(B, …) and (B, n) int16 → (B, …) int16."""
    windows = input.reshape(len(input), -1, weights.shape[1]).astype(np.int32)
    raw = (windows * weights[:, np.newaxis]) >> p.shift
    clipped: Array = np.clip(raw, -(2**15), 2**15 - 1).astype(np.int16)
    return clipped.reshape(-1, *input.shape[1:])


def explain(p: Params, at: At, input: Array, weights: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    place = int(np.ravel_multi_index(at.index, input.shape))
    x, w = int(input[at.index]), int(weights[place % len(weights)])
    yield Line("product", f"sample {x} · weight {w} (number {place % len(weights)} of {len(weights)})", x * w)
    yield Line("shifted", f"{x * w} / 2^{p.shift}, rounded down", x * w >> p.shift)
    yield Line("clamp", "kept in 16 bits", min(max(x * w >> p.shift, -(2**15)), 2**15 - 1))


def example(draw: Draw, make: Toolbox) -> Node:
    """One window or several, the weights constant or fed."""
    weights = draw(make.array((draw(make.integers(1, 16)),), "int16"))
    shape = (*draw(make.shape((0, 2), 3)), len(weights) * draw(make.integers(1, 2)))
    fed = make.tensor(weights.shape, "int16")
    inputs = (draw(make.input(shape, "int16")), make.constant(weights) if draw(make.booleans()) else fed)
    inputs = (inputs[0] if prod(inputs[0].shape) % len(weights) == 0 else make.tensor(shape, "int16"), inputs[1])
    options = _flexbuffer.pack(shift=draw(make.sampled_from((12, 0, 15, 1, 16, 31))))
    output = make.tensor(inputs[0].shape, "int16")
    return Node("SignalWindow", {}, inputs, (output,), custom_options=options)


FACTS = Facts(c_kernels={"int16": "signal_window"})

KERNELS = {("SignalWindow", "int16"): Kernel(prepare, evaluate, explain, example, FACTS)}
