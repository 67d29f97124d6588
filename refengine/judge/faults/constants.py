"""Faults of constants: weights, biases and scales that are not the file's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...model import Array, Tensor
from ._case import Case, Fits, Sums, Variants, with_data, with_weights, with_zero_point, zero_point_of

FACTORS = 9
"""So many factors of a layer's scales are tried in between what its elements allow."""

FEW = 12
"""So many elements a hypothesis must get right before it is tried on all."""


def half_precision(case: Case) -> Variants:
    """Float weights were kept in 16 bits."""
    if case.weights is None or case.weights.data is None or case.weights.data.dtype != np.float32:
        return
    halved = case.weights.data.astype(np.float16).astype(np.float32)
    brain = (case.weights.data.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    yield from with_weights(case, {"if the weights were rounded to float16": halved})
    yield from with_weights(case, {"if the weights were cut to bfloat16": brain})
    if case.bias is not None and case.bias.data is not None:
        bias = case.bias.data.astype(np.float16).astype(np.float32)
        both = case.replay_with(weights=with_data(case.weights, halved), bias=with_data(case.bias, bias))
        yield "if weights and biases were rounded to float16", both


def other_bias(case: Case) -> Fits:
    """Each channel has another bias than the file's."""
    sums = case.sums
    if sums is None or case.seen is None or case.bias is None:
        return
    acc = sums.acc.reshape(-1, sums.acc.shape[-1])
    if len(acc) < 2:  # one position a channel: anything fits
        return
    low, high = _preimage(sums, case.seen.reshape(acc.shape), 1 / sums.factor)
    least, most = np.ceil((low - acc).max(axis=0)), np.floor((high - acc).min(axis=0))
    same = (case.seen == case.sound).reshape(acc.shape).all(axis=0)
    shift = np.where(same | (least <= 0) & (most >= 0), 0, np.rint((least + most) / 2))
    shift = np.where(np.isfinite(shift), shift, np.where(np.isfinite(least), least, most))
    if not np.isfinite(shift).all() or (least > most + 2).any():
        return
    moved = np.flatnonzero(shift)
    if len(moved):
        codes = sums.codes(sums.acc + shift.astype(np.int64)).reshape(case.sound.shape)
        bits = 2.0 + len(moved) * np.log2(2 + 4 * np.abs(sums.bias).mean()) + acc.shape[-1]
        told = ", ".join(f"channel {c}: {int(shift[c]):+d}" for c in moved[:3]) + (", …" if len(moved) > 3 else "")
        yield f"if the layer has other biases than this file's ({told})", codes, bits


def other_scale(case: Case) -> Fits:
    """All scales are off by one factor, or each channel's by its own."""
    sums = case.sums
    if sums is None or case.seen is None:
        return
    for how, axis, bits in (
        ("all scales of the layer are off by one factor", None, 16.0),
        ("each channel's scale is off by a factor of its own", 0, 12.0 * sums.acc.shape[-1]),
    ):
        if axis == 0 and sums.acc.shape[-1] < 2:
            continue
        factor = _factor(sums, case.seen, axis)
        if factor is not None and (factor != 1).any():
            about = f" of about {factor[0]:.6g}" if axis is None else ""
            yield f"if {how}{about}", sums.scaled_by(sums.factor * factor).reshape(case.sound.shape), bits
            return


def other_output(case: Case) -> Fits:
    """The output has another zero point than in this file, or another scale and zero point, as if quantised anew."""
    quantization = case.tensor.quantization
    if case.seen is None or case.sound.dtype.kind != "i" or not quantization or not quantization.zero_point:
        return
    between = (case.seen > case.seen.min()) & (case.seen < case.seen.max())  # the others may be cut off
    if between.any():
        bits = 8.0 * case.sound.itemsize
        for how, tensor, parameters in (*_moved(case, case.seen, between), *_rescaled(case, case.seen, between)):
            wrong = case.replay(output=tensor)
            if wrong is not None:
                yield f"if its {how} (quantised anew?)", wrong, bits * parameters


def _moved(case: Case, seen: Array, between: Array) -> Iterator[tuple[str, Tensor, int]]:
    """The output with the zero point that explains most of what is not cut off."""
    by, counts = np.unique((seen.astype(np.int64) - case.sound)[between], return_counts=True)
    mine = zero_point_of(case.tensor)
    point = mine + int(by[counts.argmax()])
    if point != mine:
        yield f"zero point is {point}, not this file's {mine}", with_zero_point(case.tensor, point), 1


def _rescaled(case: Case, seen: Array, between: Array) -> Iterator[tuple[str, Tensor, int]]:
    """The output with the scale and the zero point of a line through what is not cut off."""
    sums, quantization = case.sums, case.tensor.quantization
    if sums is None or quantization is None or len(quantization.scale) != 1:
        return
    real = (sums.acc * sums.factor).reshape(seen.shape)[between]
    if not np.ptp(real) > 0:
        return
    point = int(np.rint(np.polyfit(real, seen[between], 1)[1]))
    low, high = int(seen.min()), int(seen.max())
    last = replace(sums.last, activation_min=low, activation_max=high, output_offset=point)
    factor = _factor(replace(sums, last=last), seen, None)
    if factor is not None and point != zero_point_of(case.tensor) and abs(point) < 1 << 16:
        scale = quantization.scale[0] / float(factor[0])
        tensor = replace(case.tensor, quantization=replace(quantization, scale=(scale,), zero_point=(point,)))
        yield f"scale and zero point are about {scale:.6g} and {point}, not this file's", tensor, 3


def _factor(sums: Sums, seen: Array, axis: int | None) -> Array | None:
    """What all real factors (`axis` None), or each, would have to be multiplied by to give the codes that were seen.

    None where nothing would.
    """
    acc = sums.acc.reshape(-1, sums.acc.shape[-1])
    twice = np.exp2(np.minimum(sums.shift, 0) - 1.0)  # what the first of two roundings may do
    low, high = _preimage(sums, seen.reshape(acc.shape), 1 / (acc * sums.factor), 0.5 + twice)
    low, high = np.minimum(low, high), np.maximum(low, high)
    low, high = np.where(np.isnan(low), 0, low), np.where(np.isnan(high), np.inf, high)
    least, most = np.atleast_1d(low.max(axis=axis)), np.atleast_1d(high.min(axis=axis))
    if not ((least <= most * (1 + 1e-9)) & (most > 0)).all() or (axis is None and least[0] <= 0):
        return None
    most = np.where(np.isfinite(most), most, np.maximum(1, least))
    if not np.isfinite(least + most).all():
        return None
    right = (least <= 1) & (most >= 1)
    best, missed = np.where(right, 1.0, (least + most) / 2), np.full(least.shape, np.inf)
    for part in (0.5, *np.linspace(0, 1, FACTORS)):  # roundings leave some room between what all elements allow
        tried = np.where(right, 1.0, least + part * (most - least))
        codes = sums.scaled_by(sums.factor * tried).reshape(acc.shape)
        wrong = np.atleast_1d((codes != seen.reshape(acc.shape)).sum(axis=axis))
        best, missed = np.where(wrong < missed, tried, best), np.minimum(missed, wrong)
        if not missed.any():
            break
    return best


def _preimage(sums: Sums, seen: Array, unit: Array, half: Array | float = 0.5) -> tuple[Array, Array]:
    """Between what bounds, in `unit`s, a scaled accumulator became each code; where it saturated, one side is open."""
    scaled = seen.astype(np.float64) - sums.last.output_offset
    low = np.where(seen <= sums.last.activation_min, -np.inf, scaled - half)
    high = np.where(seen >= sums.last.activation_max, np.inf, scaled + half)
    return np.asarray(low * unit), np.asarray(high * unit)


def weight_bit(case: Case) -> Fits:
    """One bit of one weight is the other way, or of one bias: one channel differs."""
    if case.seen is None or case.weights is None or case.weights.data is None or case.seen.ndim < 2:
        return
    apart = (case.seen != case.sound).reshape(-1, case.seen.shape[-1])
    channels = np.flatnonzero(apart.any(axis=0))
    if len(channels) != 1 or case.weights.dtype == "int4":
        return
    channel = int(channels[0])
    columns = case.columns(channel)
    if columns is None or len(columns) != len(apart):
        return
    found = (_integer_bits if case.sums is not None else _float_bits)(case, channel, columns)
    if found:
        tap, bit, codes = found[0]
        others = f", or of one of {len(found) - 1} others" if len(found) > 1 else ""
        bits = np.log2(case.weights.data.size * 8 * case.weights.data.itemsize)
        how = f"if a single bit of one weight is flipped: bit {bit} of weight {tap} of output channel {channel}{others}"
        yield how, codes, bits


def _integer_bits(case: Case, channel: int, columns: Array) -> list[tuple[int, int, Array]]:
    sums, tensor = case.sums, case.weights
    assert sums is not None and case.seen is not None and tensor is not None and tensor.data is not None
    part = slice(channel, channel + 1)
    fixed = sums.bias[part], sums.multiplier[part], sums.shift[part]
    one = Sums(sums.acc[..., channel].reshape(-1, 1), *fixed, sums.last)
    weights, seen = case.taps_of(tensor.data, channel), case.seen[..., channel].reshape(-1, 1)
    flips = (weights[:, None] ^ (1 << np.arange(8)).astype(np.uint8).view(np.int8)).astype(np.int64) - weights[:, None]
    differ = (seen != case.sound[..., channel].reshape(-1, 1)).ravel()
    few = np.concatenate([np.flatnonzero(differ)[:FEW], np.flatnonzero(~differ)[:FEW]])
    trial = one.acc[few, :, None] + columns[few, :, None] * flips
    right = _coded(one, trial, seen[few, :, None]).all(axis=0)
    found = []
    for tap, bit in np.argwhere(right):
        acc = one.acc[:, 0] + columns[:, tap] * flips[tap, bit]
        codes = one.codes(acc[:, None])
        if np.array_equal(codes, seen):
            wrong = case.sound.copy()
            wrong[..., channel] = codes.reshape(wrong.shape[:-1])
            found.append((int(tap), int(bit), wrong))
    return found


def _coded(one: Sums, acc: Array, seen: Array) -> Array:
    """Where accumulators become the codes that were seen."""
    return np.asarray(one.codes(acc.reshape(-1, 1)).reshape(acc.shape) == seen)


def _float_bits(case: Case, channel: int, columns: Array) -> list[tuple[int, int, Array]]:
    tensor = case.weights
    assert tensor is not None and tensor.data is not None and case.seen is not None
    if tensor.data.dtype != np.float32:
        return []
    mine, theirs = (a[..., channel].ravel().astype(np.float64) for a in (case.sound, case.seen))
    open_ = (mine != 0) & (theirs != 0)
    if not open_.any() or not np.isfinite(theirs).all():
        return []
    delta, x = (theirs - mine)[open_], columns[open_].astype(np.float64)
    slope = np.nan_to_num((x * delta[:, None]).sum(axis=0) / (x * x).sum(axis=0))
    left = ((delta[:, None] - x * slope) ** 2).sum(axis=0)
    weights, found = case.taps_of(tensor.data, channel), []
    for tap in np.argsort(left)[:8]:
        flips = (weights[tap : tap + 1].view(np.uint32) ^ (np.uint32(1) << np.arange(32, dtype=np.uint32))).view(
            np.float32
        )
        for bit in np.argsort(np.abs(flips - weights[tap] - slope[tap]))[:2]:
            changed = tensor.data.copy()
            case.taps_of(changed, channel)
            flat = changed[..., channel] if case.step.facts.layout == "1HWO" else changed[channel]
            flat[np.unravel_index(tap, flat.shape)] = flips[bit]
            wrong = case.replay_with(weights=with_data(tensor, changed))
            if wrong is not None and wrong.tobytes() == case.seen.tobytes():
                found.append((int(tap), int(bit), wrong))
    return found
