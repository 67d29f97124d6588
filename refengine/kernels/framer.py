"""SignalFramer: overlapping frames of each row's samples, a new one every `frame_step` of them.

TFLM: `signal/micro/kernels/framer.cc`. Until a row has enough samples, its frames are left **unwritten**, and the
second output says false; with `prefill`, zeros come first.
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
    """TFLMSignalFramerParams; `outer_shape` is that of the rows."""

    frame_size: int
    frame_step: int
    prefill: bool
    n_frames: int
    outer_shape: tuple[int, ...]

    @property
    def memory(self) -> tuple[Array, Array]:
        """Each row's last samples, and how many of them still count."""
        capacity = -(-self.frame_size // self.frame_step) * self.frame_step
        count = self.frame_size - self.frame_step if self.prefill else 0
        return np.zeros((1, *self.outer_shape, capacity), np.int16), np.array([count], np.int64)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses rows that are no whole number of steps, and frames that do not fit the output."""
    input, output, _ = _signal.operands(node, (("int16", None),), (("int16", None), ("bool", 0)))
    size, step, prefill = _flexbuffer.by_place(node, "frame_size", "frame_step", "prefill")
    _signal.in_range("frame_size", size, 1, 2**20)
    _signal.in_range("frame_step", step, 1, size if prefill else 2**20)
    consistent(
        input.shape[-1] >= step and input.shape[-1] % step == 0,
        f"input '{input.name}' {input.shape} has rows that are no whole number of steps of {step}",
    )
    n_frames = input.shape[-1] // step
    expected = (*input.shape[:-1], n_frames, size)
    consistent(output.shape == expected, f"output '{output.name}' has shape {output.shape}; the frames have {expected}")
    return Params(size, step, bool(prefill), n_frames, input.shape[:-1])


def evaluate(p: Params, input: Array, queue: Array, available: Counts) -> tuple[Array, ...]:
    """(B, …, n) int16 → (B, …, n / step, size) int16 and (B,) bool, and the queues and their lengths then."""
    frames, valid = [], np.ones(1, np.bool_)
    for step in np.split(input, p.n_frames, axis=-1):
        queue, available = _fifo.pushed(queue, step), available + p.frame_step
        full = available >= p.frame_size
        frames.append(_fifo.masked(_fifo.oldest(queue, available, p.frame_size), full))
        available, valid = available - p.frame_step * full, valid & full
    masked = any(isinstance(frame, np.ma.MaskedArray) for frame in frames)
    return (np.ma.stack if masked else np.stack)(frames, axis=-2), valid, queue, available


def explain(p: Params, at: At, input: Array, queue: Array, available: Array) -> Iterator[Line]:
    """Element `index` of the output, or whether all are written."""
    count = int(available)
    starts: list[int | None] = []  # of each frame, among the samples waiting and those of the input
    total = start = 0
    for _ in range(p.n_frames):
        total += p.frame_step
        full = count + total - start >= p.frame_size
        starts.append(start if full else None)
        start += p.frame_step if full else 0
    if at.output == 1:
        yield Line("valid", f"{starts.count(None)} of {p.n_frames} frames lack samples", None not in starts)
        return
    *row, frame, i = at.index
    first = starts[frame]
    waiting, samples = queue[tuple(row)], input[tuple(row)]
    yield Line("waiting", "samples from the inferences before that still count", count)
    if first is None:
        yield _signal.UNWRITTEN
    elif first + i < count:
        yield Line("sample", f"{count - first - i} samples before this inference", int(waiting[first + i - count]))
    else:
        yield Line("sample", f"sample {first + i - count} of the input", int(samples[first + i - count]))


def example(draw: Draw, make: Toolbox) -> Node:
    """Frames longer and shorter than a step, one or several an inference."""
    step, size = draw(make.integers(1, 5)), draw(make.integers(1, 12))
    prefill = bool(step <= size and draw(make.booleans()))
    rows, n_frames = draw(make.shape((0, 2), 3)), draw(make.integers(1, 4))
    outputs = (make.tensor((*rows, n_frames, size), "int16"), make.tensor((), "bool"))
    options = _flexbuffer.pack(frame_size=size, frame_step=step, prefill=prefill)
    return Node("SignalFramer", {}, (make.tensor((*rows, n_frames * step), "int16"),), outputs, custom_options=options)


FACTS = Facts(computes={"int16": ("int16", "bool")}, c_kernels={"int16": "framer"})

KERNELS = {("SignalFramer", "int16"): Kernel(prepare, evaluate, explain, example, FACTS)}
