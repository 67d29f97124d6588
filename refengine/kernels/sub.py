"""SUB: output = activation(input1 − input2), the inputs broadcast against each other.

TFLM: `kernels/sub.cc`, `sub_common.cc`; the differences in `kernels/internal/reference/sub.h`. Quantised inputs take
ADD's arithmetic with the second term subtracted. int32 differences wrap, and are clamped afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..errors import require
from ..kernel import At, Facts, Kernel, Line, Node, Numerics, Quantizing
from ..model import Array
from ..numerics import float32, scalar
from . import _affine, _broadcast, _narrate, add


def prepare(node: Node, numerics: Numerics) -> add.Params:
    """Refuses an output scale so small that its multiplier reaches 1, on which TFLM aborts."""
    real = np.float32 if numerics.scale_math == "float32" else float
    return add.params(node, numerics, real, -1)


def evaluate_float(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) float32 → (B, …) float32."""
    a, b = _broadcast.aligned(input1, input2)
    with np.errstate(all="ignore"):
        difference = a - b
    return float32.clamp(difference, p.output_activation_min, p.output_activation_max)


def explain_float(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM subtracts it."""
    a, b = map(np.float32, _broadcast.elements(at.index, input1, input2))
    with np.errstate(all="ignore"):
        difference = a - b
    yield Line("difference", f"{a:.9g} − {b:.9g} in float32", difference)
    low, high = np.float32(p.output_activation_min), np.float32(p.output_activation_max)
    yield from _narrate.finish_float(difference, low, high)


def prepare_int32(node: Node, numerics: Numerics) -> _broadcast.Params:
    """Refuses quantised tensors, as TFLM does."""
    for tensor in _broadcast.operands(node):
        require(
            not _affine.is_quantized(tensor),
            f"'{tensor.name}' is int32 with a scale; TFLM subtracts int32 only unquantised: convert again to int8",
        )
    return _broadcast.int32_bounds(node.options["fused_activation_function"])


def evaluate_int32(p: _broadcast.Params, input1: Array, input2: Array) -> Array:
    """(B, …) and (B, …) int32 → (B, …) int32, wrapping."""
    a, b = _broadcast.aligned(input1, input2)
    difference: Array = np.clip(a - b, p.output_activation_min, p.output_activation_max)
    return difference


def explain_int32(p: _broadcast.Params, at: At, input1: Array, input2: Array) -> Iterator[Line]:
    """Element `index` of the output, as TFLM subtracts it."""
    a, b = map(int, _broadcast.elements(at.index, input1, input2))
    difference = scalar.wrap(a - b)
    yield Line("difference", f"{a} − {b}, kept in 32 bits", difference)
    low, high = int(p.output_activation_min), int(p.output_activation_max)
    yield Line("clamp", f"to [{low}, {high}]", scalar.clamp(difference, low, high))


_example = partial(add.example, op="SUB")

FACTS = Facts(
    elementwise=True,
    arithmetic="-",
    monotone="each",
    quantized=Quantizing(int16_options={"pot_scale_int16": False}),
    c_kernels={t: f"sub_{t}" for t in ("int8", "int16", "float32", "int32")},
)

KERNELS = {
    ("SUB", "int8"): Kernel(prepare, add.evaluate, add.explain, partial(_example, dtype="int8"), FACTS),
    ("SUB", "int16"): Kernel(prepare, add.evaluate, add.explain, partial(_example, dtype="int16"), FACTS),
    ("SUB", "float32"): Kernel(
        _broadcast.prepare_float, evaluate_float, explain_float, partial(_example, dtype="float32"), FACTS
    ),
    ("SUB", "int32"): Kernel(prepare_int32, evaluate_int32, explain_int32, partial(_example, dtype="int32"), FACTS),
}
