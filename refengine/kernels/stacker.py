"""SignalStacker: each frame with those before and after it, every `stacker_step` frames.

TFLM: `signal/micro/kernels/stacker.cc`. The first frame is repeated in the place of those before it. Until enough have
come, the output is left **unwritten**, and the second output says false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _fifo, _flexbuffer, _signal
from ._fifo import Counts


@dataclass(frozen=True)
class Params:
    """TFLMSignalStackerParams."""

    num_channels: int
    stacker_left_context: int
    stacker_step: int
    buffer_size: int

    @property
    def memory(self) -> tuple[Array, Array, Array]:
        """The last frames, how many numbers of them still count, and whether there was a first frame."""
        return np.zeros((1, self.buffer_size), np.int16), np.zeros(1, np.int64), np.zeros(1, np.bool_)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses frames that do not fit the tensors, and steps beyond what is stacked."""
    input, output, _ = _signal.operands(node, (("int16", 1),), (("int16", 1), ("bool", 0)))
    names = ("num_channels", "stacker_left_context", "stacker_right_context", "stacker_step")
    channels, left, right, step = _flexbuffer.by_place(node, *names)
    _signal.in_range("stacker_left_context", left, 0, 2**20)
    _signal.in_range("stacker_right_context", right, 0, 2**20)
    _signal.in_range("stacker_step", step, 1, left + right + 1)
    size = channels * (left + right + 1)
    consistent(
        (input.shape, output.shape) == ((channels,), (size,)),
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} do not hold one and "
        f"{left + right + 1} frames of {channels} channels",
    )
    return Params(channels, left, step, size)


def evaluate(p: Params, input: Array, queue: Array, available: Counts, begun: Array) -> tuple[Array, ...]:
    """(B, channels) int16 → (B, frames · channels) int16 and (B,) bool, and the queue, its length, and true."""
    padded = np.tile(input, p.stacker_left_context)
    queue = np.where(begun[:, np.newaxis], queue, _fifo.pushed(queue, padded))
    queue = _fifo.pushed(queue, input)
    available = available + p.num_channels * np.where(begun, 1, 1 + p.stacker_left_context)
    full = available >= p.buffer_size
    output = _fifo.masked(_fifo.oldest(queue, available, p.buffer_size), full)
    return output, full, queue, available - p.stacker_step * p.num_channels * full, np.ones(1, np.bool_)


def explain(p: Params, at: At, input: Array, queue: Array, available: Array, begun: Array) -> Iterator[Line]:
    """Element `index` of the output, or whether it is written."""
    count, times = int(available), 1 if begun else 1 + p.stacker_left_context
    waiting = queue[len(queue) - count :].tolist() if count else []
    yield Line("waiting", "numbers of the frames before that still count", count)
    numbers = waiting + input.tolist() * times
    if at.output == 1:
        yield Line("valid", f"{len(numbers)} of {p.buffer_size} numbers", len(numbers) >= p.buffer_size)
    elif len(numbers) < p.buffer_size:
        yield _signal.UNWRITTEN
    else:
        (i,) = at.index
        frame, channel = divmod(i, p.num_channels)
        yield Line("copy", f"channel {channel} of frame {frame} of those that count", numbers[i])


def example(draw: Draw, make: Toolbox) -> Node:
    """Any contexts and steps."""
    channels, left, right = draw(make.integers(1, 5)), draw(make.integers(0, 3)), draw(make.integers(0, 3))
    options = _flexbuffer.pack(
        num_channels=channels,
        stacker_left_context=left,
        stacker_right_context=right,
        stacker_step=draw(make.integers(1, left + right + 1)),
    )
    outputs = (make.tensor((channels * (left + right + 1),), "int16"), make.tensor((), "bool"))
    return Node("SignalStacker", {}, (make.tensor((channels,), "int16"),), outputs, custom_options=options)


FACTS = Facts(computes={"int16": ("int16", "bool")}, c_kernels={"int16": "stacker"})

KERNELS = {("SignalStacker", "int16"): Kernel(prepare, evaluate, explain, example, FACTS)}
