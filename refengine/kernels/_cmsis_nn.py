"""CMSIS-NN's ways: where TFLM built for Cortex-M computes something else than its reference kernels do.

Its plain C, and what its DSP and Helium code have in common with that. Sources: CMSIS-NN `Include/
arm_nnsupportfunctions.h` (`arm_nn_requantize_s64`), `Source/*/*_s16.c`; which of them run, TFLM's `kernels/cmsis_nn/`
decides.
"""

from __future__ import annotations

import numpy as np

from ..errors import require, within_limits
from ..kernel import Ints, Numerics
from ..model import Array, Tensor
from . import _affine

FAST_TAPS = 512
"""So many products are summed in 32 bits before the others are in 64."""

MAX_RANK = 4
"""Of matrices that are multiplied."""


def speaks(numerics: Numerics) -> bool:
    """Whether a dialect is CMSIS-NN's."""
    return numerics.kernels == "cmsis-nn"


def rounding(numerics: Numerics, bits: int, otherwise: str) -> str:
    """How an accumulator of `bits` is rescaled: 64 bits are cut to 32 one bit early, which wraps."""
    return "narrow" if speaks(numerics) and bits == 64 else otherwise


def check_symmetric(numerics: Numerics, *tensors: Tensor) -> None:
    """Refuse zero points of int16 layers, as TFLM built with CMSIS-NN does."""
    for tensor in tensors:
        require(
            not speaks(numerics) or tensor.dtype != "int16" or _affine.quantized(tensor)[1] == 0,
            f"'{tensor.name}' has a zero point, and TFLM with CMSIS-NN takes int16 layers only without: convert again",
        )


def check_convolution(weights: Array, pixels: int, name: str) -> None:
    """Refuse `weights` (channels, taps) of an int16 convolution with an int64 bias on which CMSIS-NN's kernels part.

    Plain C and DSP sum all taps of an odd last pixel in 32 bits, Helium does not; and DSP reads beyond the weights
    where an odd last channel has more than 512 taps, no multiple of 4.
    """
    channels, taps = weights.shape
    _agree(not (channels % 2 and taps > FAST_TAPS and taps % 4), name)
    check_sums(weights if pixels % 2 else weights[:, :FAST_TAPS], np.zeros(1, np.int64), name)


def check_sums(weights: Array, bias: Ints, name: str) -> None:
    """Refuse `weights` (channels, taps) that some kernel sums up in 32 bits, from `bias` on, if that may not do."""
    reach = (np.abs(weights.astype(np.int64)).sum(axis=1) << 15) + np.abs(bias)
    _agree(bool(reach.max(initial=0) < 2**31), name)


def _agree(alike: bool, name: str) -> None:
    within_limits(
        alike,
        f"of weights '{name}' CMSIS-NN's plain C, DSP and Helium kernels make different sums: some in 32 bits, which "
        "may wrap, and refengine computes what all three agree on; choose tflm, or give a kernel of your own to "
        "make_plan(kernels=…)",
    )
