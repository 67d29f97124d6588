"""SignalPCAN: per-channel amplitude normalisation, a gain by the noise and then a root-like compression.

TFLM: `signal/micro/kernels/pcan.cc`, `signal/src/pcan_argc_fixed.cc`. The gain is a quadratic in each octave of the
noise, three table entries each. It is a 16-bit number seen as an unsigned one of 32: a **negative gain is huge**.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Ints, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from ..numerics import scalar
from ..numerics.fixedpoint import wrap32
from . import _flexbuffer, _signal

ENTRIES = 125
"""How many entries of the table TFLM may read: the last are those of noise from 2³¹ on."""


@dataclass(frozen=True)
class Params:
    """TfLitePcanParams."""

    snr_shift: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses tensors of other lengths, and a table beyond which TFLM might read."""
    wanted = (("uint32", 1), ("uint32", 1), ("int16", 1))
    input, noise, lut, output = _signal.operands(node, wanted, (("uint32", 1),))
    _signal.same_shape(input, noise, output)
    require(
        lut.shape[0] >= ENTRIES,
        f"the table '{lut.name}' has {lut.shape[0]} entries, but TFLM reads up to {ENTRIES}: convert again",
    )
    (shift,) = _flexbuffer.by_place(node, "snr_shift")
    return Params(_signal.in_range("snr_shift", shift, 0, 63))


def evaluate(p: Params, input: Array, noise_estimate: Array, gain_lut: Array) -> Array:
    """(B, n) and (B, n) uint32, (B, 125 or more) int16 → (B, n) uint32."""
    gain = (_gain(noise_estimate.astype(np.int64), gain_lut.astype(np.int64)) & 0xFFFFFFFF).astype(np.uint64)
    snr = ((input * gain) >> np.uint64(p.snr_shift)).astype(np.uint32)
    shrunk: Array = np.where(snr < 8192, (snr * snr) >> np.uint32(20), (snr >> np.uint32(6)) - np.uint32(64))
    return shrunk


def _gain(noise: Ints, lut: Ints) -> Ints:
    """The gain at each noise, an int16."""
    octave = _signal.bit_length(noise)
    place = np.where(noise <= 2, np.minimum(noise, 2), 4 * octave - 6)
    c0, c1, c2 = (np.take_along_axis(lut, np.minimum(place + i, ENTRIES - 1), 1) for i in range(3))
    fraction = ((noise << 11) >> octave) & 0x3FF
    slope = ((c2 * fraction) >> 5) + (c1 << 5)
    bend = wrap32(wrap32(slope * fraction) + 2**14) >> 15
    return np.where(noise <= 2, c0, (bend + c0).astype(np.int16))


def explain(p: Params, at: At, input: Array, noise_estimate: Array, gain_lut: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    x, noise, lut = int(input[at.index]), int(noise_estimate[at.index]), gain_lut.tolist()
    if noise <= 2:
        gain = lut[noise]
        yield Line("gain", f"the table's entry for a noise of {noise}", gain)
    else:
        b = noise.bit_length()
        c0, c1, c2 = lut[4 * b - 6 : 4 * b - 3]
        fraction = (noise << 11 - b if b < 11 else noise >> b - 11) & 0x3FF
        yield Line("fraction", f"where the noise {noise} is between 2^{b - 1} and 2^{b}, of 1024", fraction)
        bend = scalar.wrap(((c2 * fraction >> 5) + (c1 << 5)) * fraction)
        bend = scalar.wrap(bend + 2**14) >> 15
        gain = (bend + c0 + 2**15) % 2**16 - 2**15
        yield Line("gain", f"{c0} and, by {c1} and {c2}, {bend}; kept in 16 bits", gain)
    snr = (x * (gain % 2**32) >> p.snr_shift) % 2**32
    yield Line("snr", f"{x} · {gain % 2**32} / 2^{p.snr_shift}, kept in 32 bits", snr)
    if snr < 8192:
        yield Line("shrink", "below 2: the square of it, kept in 32 bits, / 2^20", snr * snr % 2**32 >> 20)
    else:
        yield Line("shrink", "from 2 on: less 1, with 6 fractional bits", (snr >> 6) - 64)


def example(draw: Draw, make: Toolbox) -> Node:
    """Any table, mostly constant."""
    input = _signal.draw_vector(draw, make, "uint32")
    low = draw(make.sampled_from((0, -(2**15))))
    lut = draw(make.array((draw(make.integers(ENTRIES, ENTRIES + 3)),), "int16", low, 2**15 - 1))
    table = make.constant(lut) if draw(make.integers(0, 3)) else make.tensor(lut.shape, "int16")
    options = _flexbuffer.pack(snr_shift=draw(make.sampled_from((6, 0, 12, 31, 63))))
    inputs = (input, make.tensor(input.shape, "uint32"), table)
    return Node("SignalPCAN", {}, inputs, (make.tensor(input.shape, "uint32"),), custom_options=options)


FACTS = Facts(c_kernels={"uint32": "pcan"})

KERNELS = {("SignalPCAN", "uint32"): Kernel(prepare, evaluate, explain, example, FACTS)}
