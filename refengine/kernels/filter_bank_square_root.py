"""SignalFilterBankSquareRoot: square roots to the nearest integer, shifted right.

TFLM: `signal/micro/kernels/filter_bank_square_root.cc`, `signal/src/square_root_{32,64}.cc`. An oddity: numbers below
2³² have roots of 16 bits, so those from 65535² + 65536 on give **65535, not 65536**.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np

from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _signal


@dataclass(frozen=True)
class Params:
    """Nothing: there are no options."""


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses an output of another length."""
    input, _, output = _signal.operands(node, (("uint64", 1), ("int32", 0)), (("uint32", 1),))
    _signal.same_shape(input, output)
    return Params()


def evaluate(p: Params, input: Array, scale_bits: Array) -> Array:
    """(B, n) uint64 and (B,) int32 → (B, n) uint32; C leaves shifts by other than 0 to 31 bits undefined."""
    one = np.uint64(1)
    root = np.minimum(np.sqrt(input.astype(np.float64)), 2.0**32 - 1).astype(np.uint64)
    root -= root * root > input  # the float64 root may be one too large, or, of large numbers, too small
    root += (root < 2**32 - 1) & ((root + one) * (root + one) <= input)
    limit = np.where(input < 2**32, np.uint64(2**16 - 1), np.uint64(2**32 - 1))
    root += (input - root * root > root) & (root != limit)
    shift = scale_bits[:, np.newaxis]
    output = root.astype(np.uint32) >> (shift & 31).astype(np.uint32)
    if (shift >> 5).any():
        return np.ma.array(output, mask=np.broadcast_to(shift >> 5 != 0, output.shape))
    return output


def explain(p: Params, at: At, input: Array, scale_bits: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    x, shift = int(input[at.index]), int(scale_bits)
    root = isqrt(x)
    yield Line("root", f"the square root of {x}, rounded down; the rest is {x - root * root}", root)
    if x - root * root > root and root != (2**16 if x < 2**32 else 2**32) - 1:
        root += 1
        yield Line("rounding", "the rest is more than the root: one more", root)
    if 0 <= shift < 32:
        yield Line("shifted", f"{root} / 2^{shift}, rounded down", root >> shift)
    else:
        yield Line("shifted", f"C leaves a shift by {shift} bits undefined; shown as 0", 0)


def example(draw: Draw, make: Toolbox) -> Node:
    """Numbers of every size, and a shift that is mostly constant."""
    input = make.tensor((draw(make.integers(1, 20)),), "uint64")
    shift = make.constant(np.array(draw(make.sampled_from((0, 1, 7, 31))), np.int32))
    inputs = (input, shift if draw(make.integers(0, 7)) else make.tensor((), "int32"))
    return Node("SignalFilterBankSquareRoot", {}, inputs, (make.tensor(input.shape, "uint32"),))


FACTS = Facts(computes={"uint64": ("uint32",)}, c_kernels={"uint64": "filter_bank_square_root"})

KERNELS = {("SignalFilterBankSquareRoot", "uint64"): Kernel(prepare, evaluate, explain, example, FACTS)}
