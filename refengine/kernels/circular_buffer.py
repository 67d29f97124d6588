"""CIRCULAR_BUFFER: the last frames side by side, the newest behind; the rest of the network runs every few frames.

TFLM: `kernels/circular_buffer.cc`, `circular_buffer_common.cc`. The output is a variable tensor: it moves by one frame
and keeps the rest. Then the operator counts. Unless `cycles_max` inferences have come, it **ends the inference**: no
later operator runs, and Invoke returns 15 (kTfLiteAbort). Where the options name no `cycles_max`, TFLM guesses it
from the output's shape, for the two models that it was made for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InferenceError, consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array, Tensor
from . import _affine, _flexbuffer

ABORT = 15
"""kTfLiteAbort."""


@dataclass(frozen=True)
class Params:
    """TFLM's OpDataCircularBuffer."""

    cycles_max: int
    output_shape: tuple[int, ...]
    zero_point: int

    @property
    def memory(self) -> tuple[Array, Array]:
        """The frames, and how many inferences are left until the rest runs."""
        frames = np.full((1, *self.output_shape), self.zero_point & 0xFF, np.uint8).view(np.int8)
        return frames, np.array([self.cycles_max], np.int64)


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses frames that do not fit, and an output whose content would live on by chance only."""
    consistent(
        len(node.inputs) == 1 and node.inputs[0] is not None and len(node.outputs) == 1,
        f"expected 1 input and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    input, output = node.inputs[0], node.outputs[0]
    assert input is not None
    consistent(output.dtype == "int8", f"output '{output.name}' is {output.dtype}, but input '{input.name}' int8")
    consistent(
        len(input.shape) == len(output.shape) == 4
        and (input.shape[1], input.shape[2:]) == (1, output.shape[2:])
        and input.shape[0] == output.shape[0] == 1,
        f"input '{input.name}' {input.shape} is no frame (1, 1, …) of output '{output.name}' {output.shape}",
    )
    require(
        output.is_variable,
        f"output '{output.name}' is no variable tensor, so TFLM lets other tensors have its memory between "
        "inferences: convert again with a variable one",
    )
    return Params(_cycles(node, output), output.shape, _affine.params_of(output)[1])


def _cycles(node: Node, output: Tensor) -> int:
    """The option, or TFLM's guess."""
    cycles = _flexbuffer.by_place(node, "cycles_max")[0] if node.custom_options else 0
    if cycles > 0:
        return cycles
    if output.shape[1] in (5, 13, 25):
        return 1
    require(
        output.shape[2:] != (2, 96),
        f"the options name no cycles_max, and of output '{output.name}' {output.shape} TFLM guesses it from how many "
        "such operators the program has prepared before, which refengine cannot know: convert again with cycles_max",
    )
    return 2


def evaluate(p: Params, input: Array, frames: Array, cycles_until_run: Array) -> tuple[Array, Array, Array]:
    """(B, 1, 1, …) int8 → (B, 1, slots, …) int8, the frames again, and the count."""
    batch = max(len(input), len(frames))
    frames, input = (np.broadcast_to(x, (batch, *x.shape[1:])) for x in (frames, input))
    moved = np.concatenate((frames[:, :, 1:], input), axis=2)
    left = cycles_until_run - 1
    results = moved, moved, np.where(left == 0, p.cycles_max, left)
    if left.any():
        raise InferenceError(
            f"the rest runs only every {p.cycles_max} inferences; the buffer has taken its frame, and TFLM ends this "
            f"inference early, with status {ABORT} (kTfLiteAbort): go on with the next frame",
            rows=left != 0,
            status=ABORT,
            results=results,
        )
    return results


def explain(p: Params, at: At, input: Array, frames: Array, cycles_until_run: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    _, slot, row, channel = at.index
    if slot + 1 < p.output_shape[1]:
        yield Line("moved", f"what was in slot {slot + 1}", int(frames[0, slot + 1, row, channel]))
    else:
        yield Line("new", "the last slot takes the input", int(input[0, 0, row, channel]))


def example(draw: Draw, make: Toolbox) -> Node:
    """Buffers that let the rest run always, or every few inferences; with the period named or guessed."""
    slots, rows, depth = draw(make.shape(3, 6))
    quantization = draw(make.quantization("int8"))
    output = make.variable((1, slots, rows, depth), "int8", quantization)
    options = draw(make.sampled_from((1, 2, 3, 0, None)))
    packed = b"" if options is None else _flexbuffer.pack(cycles_max=options)
    input = make.tensor((1, 1, rows, depth), "int8", quantization)
    return Node("CIRCULAR_BUFFER", {}, (input,), (output,), custom_options=packed)


FACTS = Facts(ends=True, c_kernels={"int8": "circular_buffer"})

KERNELS = {("CIRCULAR_BUFFER", "int8"): Kernel(prepare, evaluate, explain, example, FACTS)}
