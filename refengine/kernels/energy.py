"""SignalEnergy: re² + im² of each complex number of a range; what is outside the range is left unwritten.

TFLM: `signal/micro/kernels/energy.cc`, `signal/src/energy.cc`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _flexbuffer, _signal


@dataclass(frozen=True)
class Params:
    """TFLMSignalEnergyParams: from `start_index` until before `end_index`."""

    start_index: int
    end_index: int
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a range that goes beyond either tensor."""
    input, output = _signal.operands(node, (("int16", 1),), (("uint32", 1),))
    end, start = _flexbuffer.by_place(node, "end_index", "start_index")
    require(
        start >= end or (start >= 0 and end <= min(input.shape[0] // 2, output.shape[0])),
        f"the range from {start} to {end}, as TFLM reads it, is not within the {input.shape[0] // 2} complex numbers "
        f"of '{input.name}' and the {output.shape[0]} elements of '{output.name}': convert again",
    )
    return Params(start, max(start, end), output.shape)


def evaluate(p: Params, input: Array) -> Array:
    """(B, 2n) int16 → (B, m) uint32."""
    energy = np.zeros((len(input), *p.output_shape), np.uint32)
    unwritten = np.ones(energy.shape, np.bool_)
    parts = input[:, 2 * p.start_index : 2 * p.end_index].astype(np.int64).reshape(len(input), -1, 2)
    energy[:, p.start_index : p.end_index] = (parts * parts).sum(axis=-1)
    unwritten[:, p.start_index : p.end_index] = False
    return np.ma.array(energy, mask=unwritten) if unwritten.any() else energy


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    (i,) = at.index
    if not p.start_index <= i < p.end_index:
        yield _signal.UNWRITTEN
        return
    re, im = int(input[2 * i]), int(input[2 * i + 1])
    yield Line("energy", f"({re})² + ({im})²", re * re + im * im)


def example(draw: Draw, make: Toolbox) -> Node:
    """Every number, or some range of them, or none."""
    input = _signal.draw_vector(draw, make, "int16")
    if len(input.shape) != 1 or input.shape[0] < 2:
        input = make.tensor((2,), "int16")
    n = input.shape[0] // 2
    start, end = draw(make.integers(0, n)), draw(make.integers(0, n))
    start, end = (0, n) if draw(make.booleans()) else (start, end)
    options = _flexbuffer.pack(start_index=start, end_index=end)
    return Node("SignalEnergy", {}, (input,), (make.tensor((n,), "uint32"),), custom_options=options)


FACTS = Facts(computes={"int16": ("uint32",)}, c_kernels={"int16": "energy"})

KERNELS = {("SignalEnergy", "int16"): Kernel(prepare, evaluate, explain, example, FACTS)}
