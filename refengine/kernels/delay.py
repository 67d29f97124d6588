"""SignalDelay: each row's samples as they were some samples before; zeros at first.

TFLM: `signal/micro/kernels/delay.cc`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _affine, _flexbuffer, _signal


@dataclass(frozen=True)
class Params:
    """TFLMSignalFrontendDelayParams."""

    delay_length: int
    input_shape: tuple[int, ...]

    @property
    def memory(self) -> tuple[Array]:
        """The samples that are still to come out, the oldest first."""
        return (np.zeros((1, *self.input_shape[:-1], self.delay_length), np.int16),)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output of another shape, inferences without samples, and a delay below 0."""
    input, output = _signal.operands(node, (("int16", None),), (("int16", None),))
    _signal.same_shape(input, output)
    require(
        input.shape[-1] > 0,
        f"input '{input.name}' {input.shape} has no samples, by whose number TFLM divides, and crashes: "
        "convert again with some",
    )
    (length,) = _flexbuffer.by_place(node, "delay_length")
    return Params(_signal.in_range("delay_length", length, 0, 2**20), input.shape)


def evaluate(p: Params, input: Array, waiting: Array) -> tuple[Array, Array]:
    """(B, …, n) int16 → (B, …, n) int16, and what waits then."""
    batch = max(len(input), len(waiting))
    rows = [np.broadcast_to(x, (batch, *x.shape[1:])) for x in (waiting, input)]
    samples = np.concatenate(rows, axis=-1)
    n = input.shape[-1]
    return samples[..., :n], samples[..., n:]


def explain(p: Params, at: At, input: Array, waiting: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    *row, t = at.index
    before, samples = waiting[tuple(row)], input[tuple(row)]
    if t < p.delay_length:
        yield Line("delayed", f"{p.delay_length - t} samples before this inference", int(before[t]))
    else:
        yield Line("delayed", f"sample {t - p.delay_length}", int(samples[t - p.delay_length]))


def example(draw: Draw, make: Toolbox) -> Node:
    """Delays of none, and of less or more than one inference's samples."""
    input = _affine.draw_input(draw, make, "int16", (1, 3), 5)
    options = _flexbuffer.pack(delay_length=draw(make.integers(0, 12)))
    return Node("SignalDelay", {}, (input,), (make.tensor(input.shape, "int16"),), custom_options=options)


FACTS = Facts(c_kernels={"int16": "delay"})

KERNELS = {("SignalDelay", "int16"): Kernel(prepare, evaluate, explain, example, FACTS)}
