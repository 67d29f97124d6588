"""Weights in the order in which the C kernels read them, two channels in one int16: `firmware/kernels/packed.h`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model import Array
from ..numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier

PATCH = 1152
"""The most taps of a window that the kernels copy to the stack, five bytes for each; so packed layers have no more."""

INPUT = 128
"""The largest magnitude of an int8 input."""


class Packed(NamedTuple):
    """What a packed kernel takes instead of a layer's weights, folded bias and multipliers."""

    filter: Array
    bias: Array
    multiplier: Multiplier


def packed_pairs(filter: Array, bias: Array, multiplier: Multiplier, output_offset: int) -> Packed | None:
    """`filter` (channels, taps) as int16 (pairs, taps), w0 + 256 · w1; None where that would not be exact.

    Channels are filled up with zeros to a multiple of four, taps to an even number. Proven here, for every input:
    32 bits hold a pair's sums apart, and `code_of` in `packed.h` gives the codes.
    """
    channels, taps = filter.shape
    rows = np.zeros((-(-channels // 4) * 4, taps + taps % 2), np.int64)
    rows[:channels, :taps] = filter
    pairs = rows[0::2] + 256 * rows[1::2]
    apart = INPUT * np.abs(rows[1::2]).sum(axis=1) < 2**23
    fits = taps <= PATCH and apart.all() and pairs.min() >= -(2**15) and pairs.max() < 2**15
    return simplified(filter, pairs.astype(np.int16), bias, multiplier, output_offset) if fits else None


def packed_3x3(filter: Array, bias: Array, multiplier: Multiplier, output_offset: int) -> Packed | None:
    """`filter` (channels, 3, 3), each channel by itself, in the order of `depthwise_conv.c`, or None, as above."""
    rows = filter.reshape(-1, 4, 9)
    order = np.concatenate([rows[:, :, [0, 1, 3, 4, 2, 6, 5, 7]].reshape(-1, 32), rows[:, :, 8]], axis=1)
    return simplified(filter.reshape(-1, 9), order, bias, multiplier, output_offset)


def simplified(rows: Array, filter: Array, bias: Array, multiplier: Multiplier, output_offset: int) -> Packed | None:
    """With the bias and multipliers for which `code_of` gives the codes of weights `rows` (channels, taps).

    Those of a channel without weights, whose code is always the same, are the simplest that give it; a multiplier that
    makes 0 of all that the weights can reach is 0. That spares dead channels their shifts of up to 31 bits. None where
    a channel shifts to the left, where something could overflow, and in dialects that do not round twice.
    """
    if multiplier.rounding != "double":
        return None
    channels = len(rows)
    factor, shift = (np.broadcast_to(x, channels) for x in (multiplier.multiplier, multiplier.shift))
    weight = np.abs(rows.astype(np.int64)).sum(axis=1)
    bias = bias.astype(np.int64)
    code = np.clip(multiply_by_quantized_multiplier(bias, multiplier), -1024, 1024)
    bias, factor = np.where(weight == 0, 4 * code, bias), np.where(weight == 0, 2**30, factor)
    shift = np.where(weight == 0, -1, shift)
    reach = INPUT * weight + np.abs(bias)
    widest = multiply_by_quantized_multiplier(
        np.stack([reach, -reach]), multiplier._replace(multiplier=factor, shift=shift)
    )
    is_zero = ~widest.any(axis=0)
    factor, shift = np.where(is_zero, 0, factor), np.where(is_zero, -1, shift)
    largest = (reach * factor >> 31) + 2 + (abs(2 * output_offset + 1) << np.clip(-shift - 1, 0, 31))
    if reach.max() >= 2**30 or shift.max() > -1 or largest.max() >= 2**31:
        return None
    if np.ptp(factor) == 0 and np.ptp(shift) == 0:
        factor, shift = factor[:1], shift[:1]
    scale = np.zeros(factor.shape, np.float32)
    return Packed(filter, bias.astype(np.int32), multiplier._replace(multiplier=factor, shift=shift, scale=scale))
