"""CMSIS-NN's ways: where TFLM built for Cortex-M computes something else than its reference kernels do.

Its plain C, and what its DSP and Helium code have in common with that. Sources: CMSIS-NN `Include/
arm_nnsupportfunctions.h` (`arm_nn_requantize_s64`), `Source/*/*_s16.c`; which of them run, TFLM's `kernels/cmsis_nn/`
decides.
"""

from __future__ import annotations

import numpy as np

from ..errors import require, within_limits
from ..kernel import Numerics
from ..model import Array, Tensor
from . import _affine

FAST_TAPS = 512
"""So many products of a convolution are summed in 32 bits before the others are in 64; of odd last pixels all are."""

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


def check_sums(weights: Array, pixels: int, name: str) -> None:
    """Refuse `weights` (channels, taps) of an int16 convolution with an int64 bias whose sums may not fit 32 bits.

    There CMSIS-NN's kernels part: plain C and DSP sum all taps of an odd last pixel in 32 bits, Helium does not; and
    DSP reads beyond the weights where an odd last channel has more than 512 taps, no multiple of 4.
    """
    channels, taps = weights.shape
    summed = weights if pixels % 2 else weights[:, :FAST_TAPS]
    reach = int(np.abs(summed.astype(np.int64)).sum(axis=1).max(initial=0)) << 15
    odd = channels % 2 == 1 and taps > FAST_TAPS and taps % 4 != 0
    within_limits(
        reach < 2**31 and not odd,
        f"of weights '{name}', {channels} × {taps}, CMSIS-NN's plain C, DSP and Helium kernels make different sums: "
        "some are in 32 bits, which may wrap, and refengine computes what all three agree on; choose tflm, or give a "
        "kernel of your own to make_plan(kernels=…)",
    )
