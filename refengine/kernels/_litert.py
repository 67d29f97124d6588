"""LiteRT's ways on x86-64: when its delegate hands an operator to XNNPACK, and how that multiplies codes.

XNNPACK takes int8 operators whose ratios of scales its short multipliers hold; TFLite's own kernels, which round twice,
compute the others and all of int16. Sources: LiteRT `tflite/delegates/xnnpack/xnnpack_delegate.cc`, and XNNPACK
`src/microparams-init.c`, `src/qs8-*`, `src/reference/unary-elementwise.cc`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import within_limits
from ..kernel import Node, Numerics
from ..model import Tensor
from ..numerics.fixedpoint import Multiplier
from ..numerics.quantize import LEFT_OUT


def speaks(numerics: Numerics) -> bool:
    """Whether a dialect is one of LiteRT's."""
    return numerics.kernels in ("litert-ref", "litert")


def ratio(*scales: float) -> np.float32:
    """The product of all scales but the last, by the last, in float32 from left to right."""
    product = np.float32(scales[0])
    for scale in scales[1:-1]:
        product = product * np.float32(scale)
    quotient: np.float32 = product / np.float32(scales[-1])
    return quotient


def takes(numerics: Numerics, dtype: str) -> bool:
    """Whether XNNPACK computes operators on codes of a type, as far as their scales suit it."""
    return numerics.kernels == "litert" and numerics.rounding == "xnnpack" and dtype == "int8"


def rounding(numerics: Numerics, taken: bool) -> str:
    """How an operator requantises in a dialect: in LiteRT's as XNNPACK does, if that has `taken` it."""
    if not speaks(numerics) or numerics.rounding != "xnnpack":
        return numerics.rounding
    return "xnnpack-int16" if taken else "double"


def layer_rounding(numerics: Numerics, node: Node, behind: str = "") -> str:
    """How a layer requantises that XNNPACK computes as a product of matrices, and int8 ones that it leaves `behind`.

    Refuses the latter where that is not known: some of TFLite's own kernels round otherwise in vectors than at the ends
    of rows.
    """
    filter, output = node.inputs[1], node.outputs[0]
    assert filter is not None
    taken = takes(numerics, output.dtype) and filter.dtype == "int8" and clamps(node) and not is_asymmetric(filter)
    within_limits(
        taken or behind or numerics.kernels != "litert" or output.dtype != "int8",
        f"LiteRT computes {node.name} without XNNPACK where weights are int4, have a zero point or, like the bias, are "
        "computed at run time, and under other fused activations than RELU's; how its own kernels round then is not "
        "known to refengine: choose litert-ref or tflm",
    )
    if numerics.kernels == "litert" and output.dtype == "int8":
        return "xnnpack-int32" if taken else behind
    return rounding(numerics, taken)


def is_asymmetric(filter: Tensor | None) -> bool:
    """Whether weights have a zero point."""
    return filter is not None and filter.quantization is not None and any(filter.quantization.zero_point)


def clamps(node: Node) -> bool:
    """Whether XNNPACK knows the fused activation."""
    return node.options["fused_activation_function"] not in LEFT_OUT


def behind(numerics: Numerics) -> Numerics:
    """The dialect of operators that XNNPACK does not take although it takes others of their kind."""
    hidden = speaks(numerics) and numerics.rounding == "xnnpack"
    return replace(numerics, rounding="double") if hidden else numerics


def in_256ths(scale: np.float32) -> Multiplier:
    """A factor in steps of 1/256, which XNNPACK applies as one shift: ties up."""
    return Multiplier(np.int64(np.rint(np.float32(256) * scale)), np.int64(23), np.float32(scale), "single")


def exactly(factor: int) -> Multiplier:
    """A factor that is a whole number below 2³⁰."""
    return Multiplier(np.int64(2 * factor), np.int64(30), np.float32(factor), "single")


def shifted_right(bits: int) -> Multiplier:
    """A division by 2^`bits`, ties up."""
    return Multiplier(np.int64(1), np.int64(31 - bits), np.float32(2.0**-bits), "single")
