"""SignalFftAutoScale: samples shifted left as far as the largest leaves room, and by how many bits.

TFLM: `signal/micro/kernels/fft_auto_scale_kernel.cc`, `signal/src/{fft_auto_scale,max_abs,msb_32}.cc`. Two oddities.
The largest absolute value is kept in 16 bits, where that of −32768 is −32768, below everything: the **next sample takes
its place**. And **silence is not shifted**: a compiler's built-in counts no leading zeros in 0 (GCC and Clang, for x86
and Arm; TFLM's code for Xtensa and Hexagon would shift by 15).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _signal


@dataclass(frozen=True)
class Params:
    """Nothing: there are no options."""


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output of another length."""
    input, output, _ = _signal.operands(node, (("int16", 1),), (("int16", 1), ("int32", 0)))
    _signal.same_shape(input, output)
    return Params()


def evaluate(p: Params, input: Array) -> tuple[Array, Array]:
    """(B, n) int16 → (B, n) int16 and (B,) int32."""
    largest = np.abs(input.astype(np.int32)).max(axis=1)
    for row in np.flatnonzero(largest == 2**15):
        largest[row] = _largest(input[row].tolist())
    scale_bits = np.where(largest > 0, 15 - _signal.bit_length(np.maximum(largest, 0)), 0).astype(np.int32)
    return (input << scale_bits[:, np.newaxis]).astype(np.int16), scale_bits


def _largest(samples: list[int]) -> int:
    """TFLM's largest absolute value of a row with −32768 in it."""
    largest = 0
    for x in samples:
        if x > largest:
            largest = x
        elif -x > largest:
            largest = -x if x > -(2**15) else x
    return largest


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output, or the shift."""
    largest = 0
    for i, x in enumerate(map(int, input)):
        if x > largest or -x > largest:
            largest = x if x > largest or x == -(2**15) else -x
            yield Line("largest", f"sample {i} is {x}, kept in 16 bits", largest)
    scale_bits = 15 - largest.bit_length() if largest > 0 else 0
    yield Line("scale bits", "how far the largest can go left in 15 bits; 0 if it is not positive", scale_bits)
    if at.output == 0:
        x = int(input[at.index])
        yield Line("scaled", f"{x} · 2^{scale_bits}, kept in 16 bits", ((x << scale_bits) + 2**15) % 2**16 - 2**15)


def example(draw: Draw, make: Toolbox) -> Node:
    """A vector of any length."""
    input = _signal.draw_vector(draw, make, "int16")
    outputs = (make.tensor(input.shape, "int16"), make.tensor((), "int32"))
    return Node("SignalFftAutoScale", {}, (input,), outputs)


FACTS = Facts(computes={"int16": ("int16", "int32")}, c_kernels={"int16": "fft_auto_scale"})

KERNELS = {("SignalFftAutoScale", "int16"): Kernel(prepare, evaluate, explain, example, FACTS)}
