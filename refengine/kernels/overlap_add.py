"""SignalOverlapAdd: frames added where they overlap, `frame_step` samples a frame come out.

TFLM: `signal/micro/kernels/overlap_add.cc`, `signal/src/overlap_add.cc`. int16 saturates at each addition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _flexbuffer, _signal


@dataclass(frozen=True)
class Params:
    """TFLMSignalOverlapAddParams; `outer_shape` is that of the rows of frames."""

    dtype: str
    frame_size: int
    frame_step: int
    n_frames: int
    outer_shape: tuple[int, ...]

    @property
    def memory(self) -> tuple[Array]:
        """The sums so far of what has not come out, (1, …, size)."""
        return (np.zeros((1, *self.outer_shape, self.frame_size), self.dtype),)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a type that the option T does not name, a step longer than a frame, and an output of another shape."""
    dtype = node.inputs[0].dtype if node.inputs and node.inputs[0] is not None else ""
    input, output = _signal.operands(node, ((dtype, None),), ((dtype, None),))
    _signal.named_type(node, input)
    _, step = _flexbuffer.by_place(node, "T", "frame_step")
    consistent(len(input.shape) >= 2, f"input '{input.name}' has shape {input.shape}, which is no row of frames")
    *outer, n_frames, size = input.shape
    _signal.in_range("frame_step", step, 1, size)
    expected = (*outer, n_frames * step)
    consistent(output.shape == expected, f"output '{output.name}' has shape {output.shape}; the sums have {expected}")
    return Params(dtype, size, step, n_frames, tuple(outer))


def evaluate(p: Params, input: Array, buffer: Array) -> tuple[Array, Array]:
    """(B, …, frames, size) → (B, …, frames · step), and the sums then."""
    steps = []
    for frame in range(p.n_frames):
        total = _added(buffer, input[..., frame, :])
        steps.append(total[..., : p.frame_step])
        rest = np.zeros((*total.shape[:-1], p.frame_step), total.dtype)
        buffer = np.concatenate((total[..., p.frame_step :], rest), axis=-1)
    return np.concatenate(steps, axis=-1), buffer


def _added(a: Array, b: Array) -> Array:
    """a + b in the type, saturated if it is int16."""
    if a.dtype == np.float32:
        return a + b
    return np.clip(a.astype(np.int32) + b, -(2**15), 2**15 - 1).astype(np.int16)


def explain(p: Params, at: At, input: Array, buffer: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    *row, place = at.index
    last = place // p.frame_step
    before, frames = buffer[tuple(row)], input[tuple(row)]
    total = before[place] if place < p.frame_size else input.dtype.type(0)
    yield Line("before", "the sum so far from the inferences before", _plain(total))
    for frame in range(last + 1):
        i = place - frame * p.frame_step
        if i < p.frame_size:
            x = frames[frame, i]
            with np.errstate(all="ignore"):
                total = total + x if p.dtype == "float32" else min(max(int(total) + int(x), -(2**15)), 2**15 - 1)
            yield Line("sum", f"sample {i} of frame {frame}, {x}", _plain(total))


def _plain(x: np.generic | int) -> np.generic | int:
    return x if isinstance(x, np.float32) else int(x)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Frames that overlap more, less, or not at all."""
    step = draw(make.integers(1, 5))
    size, n_frames, rows = step + draw(make.integers(0, 9)), draw(make.integers(1, 4)), draw(make.shape((0, 2), 3))
    input, output = make.tensor((*rows, n_frames, size), dtype), make.tensor((*rows, n_frames * step), dtype)
    options = _flexbuffer.pack(T=_signal.TENSOR_TYPES[dtype], frame_step=step)
    return Node("SignalOverlapAdd", {}, (input,), (output,), custom_options=options)


FACTS = Facts(c_kernels={"float32": "overlap_add", "int16": "overlap_add"})

KERNELS = {
    ("SignalOverlapAdd", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int16")
}
