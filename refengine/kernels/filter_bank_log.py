"""SignalFilterBankLog: the natural logarithm, times a scale, in 16 bits.

TFLM: `signal/micro/kernels/filter_bank_log.cc`, `signal/src/{filter_bank_log,log}.cc`. The logarithm to base 2 has 16
fractional bits, by a table of 128 segments. Products **wrap in 32 bits** before they are clamped; 0 and 1 give 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _flexbuffer, _signal

LN2 = 45426
"""The natural logarithm of 2 with 16 fractional bits, as TFLM has it."""

SEGMENTS = (*(math.floor(2**16 * (math.log2(1 + k / 128) - k / 128) + 0.5) for k in range(129)), 0)
"""How far the logarithm to base 2 of 1 + k/128 is above the straight line, with 16 fractional bits."""

_TABLE = np.array(SEGMENTS, np.int64)


@dataclass(frozen=True)
class Params:
    """TFLMSignalLogParams."""

    input_correction_bits: int
    output_scale: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output of another length."""
    input, output = _signal.operands(node, (("uint32", 1),), (("int16", 1),))
    _signal.same_shape(input, output)
    bits, scale = _flexbuffer.by_place(node, "input_correction_bits", "output_scale")
    return Params(_signal.in_range("input_correction_bits", bits, 0, 31), scale)


def evaluate(p: Params, input: Array) -> Array:
    """(B, n) uint32 → (B, n) int16."""
    scaled = (input << np.uint32(p.input_correction_bits)).astype(np.int64)
    integer = np.maximum(_signal.bit_length(scaled) - 1, 0)
    fraction = ((scaled - (1 << integer)) << 16) >> integer
    segment = np.maximum(fraction, 0) >> 9
    rising = _TABLE[segment + 1] - _TABLE[segment]
    log2 = (integer << 16) + fraction + _TABLE[segment] + ((rising * (fraction - (segment << 9))) >> 16)
    natural = (LN2 * log2 + 2**15) >> 16
    output = ((p.output_scale * natural + 2**15) & 0xFFFFFFFF) >> 16
    return np.where(scaled > 1, np.minimum(output, 2**15 - 1), 0).astype(np.int16)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    x = int(input[at.index])
    scaled = (x << p.input_correction_bits) % 2**32
    yield Line("scaled", f"{x} · 2^{p.input_correction_bits}, kept in 32 bits", scaled)
    if scaled <= 1:
        yield Line("zero", "TFLM takes the logarithm of 0 and 1 as 0", 0)
        return
    integer = scaled.bit_length() - 1
    rest = scaled - (1 << integer)
    fraction = rest << 16 - integer if integer < 16 else rest >> integer - 16
    segment = fraction >> 9
    low, high = SEGMENTS[segment], SEGMENTS[segment + 1]
    curve = low + ((high - low) * (fraction - 512 * segment) >> 16)
    yield Line("curve", f"the table between {low} and {high}, segment {segment} of 128", curve)
    log2 = (integer << 16) + fraction + curve
    yield Line("log2", f"{integer} · 2^16 + {fraction} + {curve}: log2 ≈ {log2 / 65536:.5f}", log2)
    natural = (LN2 * log2 + 32768) >> 16
    yield Line("ln", f"{log2} · ln 2: ≈ {natural / 65536:.5f}", natural)
    result = (p.output_scale * natural + 32768) % 2**32 >> 16
    yield Line("output scale", f"{natural} · {p.output_scale} / 2^16, wrapped in 32 bits", result)
    yield Line("clamp", "to the largest int16", min(result, 32767))


def example(draw: Draw, make: Toolbox) -> Node:
    """The usual scale, and scales whose products wrap."""
    input = _signal.draw_vector(draw, make, "uint32")
    bits = draw(make.sampled_from((3, 0, 1, 12, 31)))
    scale = draw(make.sampled_from((1600, 64, 1, 0, -1, 65536, 2**31 - 1, -(2**31))))
    options = _flexbuffer.pack(input_correction_bits=bits, output_scale=scale)
    return Node("SignalFilterBankLog", {}, (input,), (make.tensor(input.shape, "int16"),), custom_options=options)


FACTS = Facts(computes={"uint32": ("int16",)}, c_kernels={"uint32": "filter_bank_log"})

KERNELS = {("SignalFilterBankLog", "uint32"): Kernel(prepare, evaluate, explain, example, FACTS)}
