"""Faults of integer arithmetic: offsets, limits, biases, scales, and how accumulators become codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...model import Array
from ...numerics.fixedpoint import Ints
from ...numerics.float32 import round_half_away
from ...numerics.quantize import ACTIVATIONS
from ._case import (
    OPEN,
    Case,
    Fits,
    Sums,
    Variants,
    altered,
    changed,
    real_factor,
    with_data,
    with_zero_point,
    zero_point_of,
)

NO_OFFSET = {"output_offset": 0, "output_zero_point": 0}


def zero_point(case: Case) -> Variants:
    """A zero point is forgotten, or has the wrong sign."""
    for i, tensor in enumerate(case.step.inputs):
        if tensor is not None and zero_point_of(tensor):
            name = "the weights" if i and case.weights else f"input {i}" if len(case.arrays) == 2 else "the input"
            for how, point in {"is taken for 0": 0, "has the wrong sign": -zero_point_of(tensor)}.items():
                wrong = case.replay(tensors={i: with_zero_point(tensor, point)})
                if wrong is None and not i:  # 128 is no zero point of int8, but kernels add it all the same
                    wrong = case.replay(params=partial(altered, change=partial(_reading, offset=-point)))
                yield f"if the zero point of {name} {how}", wrong
    output = case.tensor
    if zero_point_of(output):
        yield (
            "if the zero point of the output is not added",
            case.replay(params=partial(altered, change=partial(changed, changes=NO_OFFSET))),
        )
        yield "if the zero point of the output is taken for 0", case.replay(output=with_zero_point(output, 0))


def _reading(node: Any, offset: int) -> Mapping[str, Any]:
    """Another input offset, for a record that adds one: a table has it built in."""
    return {"input_offset": offset} if hasattr(node, "input_offset") and not hasattr(node, "table") else {}


def clamp(case: Case) -> Variants:
    """The fused activation is forgotten or another one, or codes wrap where they should saturate."""
    mine = case.step.op.options.get("fused_activation_function")
    if mine is not None:
        for other in ACTIVATIONS:
            how = "is not applied" if other == "NONE" else f"is {other} instead of {mine}"
            if other != mine:
                yield f"if the fused activation {how}", case.replay(options={"fused_activation_function": other})
    if case.sound.dtype.kind == "i":
        for sides, how in {("min", "max"): "", ("max",): " at the upper end"}.items():
            opened: dict[str, Any] = {f"{p}activation_{side}": OPEN[side] for side in sides for p in ("", "output_")}
            change = partial(changed, changes={**opened, "dtype": "int32"})
            yield (
                f"if codes wrap around instead of saturating{how}",
                case.replay(params=partial(altered, change=change)),
            )
        if not case.step.facts.copies:
            yield "if the lower limit of the output is code 0", np.maximum(case.sound, 0)


def limit(case: Case) -> Fits:
    """The output is cut off where a sound one goes on."""
    if case.seen is None or case.seen.size < 2 or case.step.facts.copies:
        return
    bits = 8.0 * min(case.seen.itemsize, 2)
    high, low = case.seen.max(), case.seen.min()
    if high < case.sound.max() and high:
        yield f"if the upper limit of the output is {high}", np.minimum(case.sound, high), bits
    if low > case.sound.min() and low:
        yield f"if the lower limit of the output is {low}", np.maximum(case.sound, low), bits


def bias(case: Case) -> Variants:
    """The bias is missing, doubled, or another channel's."""
    if case.bias is None or case.bias.data is None:
        return
    data = case.bias.data
    ways = {
        "is left out": np.zeros_like(data),
        "is added twice": data + data,
        "is subtracted": -data,
        **_neighbours(data, "is"),
    }
    for how, values in ways.items():
        yield f"if the bias {how}", case.replay_with(bias=with_data(case.bias, values))


def folded_bias(case: Case) -> Variants:
    """The bias with the input's zero point folded in is another channel's, as only an optimised kernel has it."""
    sums, tensor, weights = case.sums, case.step.data, case.weights
    if sums is None or weights is None or weights.data is None or tensor is None or not zero_point_of(tensor):
        return
    axes = tuple(i for i, letter in enumerate(case.step.facts.layout) if letter != "O")
    of_zero_point = zero_point_of(tensor) * weights.data.astype(np.int64).sum(axis=axes)
    if of_zero_point.shape == sums.bias.shape:
        folded = sums.bias - of_zero_point
        yield "if the zero point of the input is not folded into the bias", sums.codes(sums.acc + of_zero_point)
        for how, values in _neighbours(folded, "with the zero point folded in is").items():
            yield f"if the bias {how}", sums.codes(sums.acc + values - folded)


def _neighbours(values: Array, verb: str) -> dict[str, Array]:
    """A channel's values taken from others."""
    return {
        f"{verb} the next channel's": np.roll(values, -1),
        f"{verb} the previous channel's": np.roll(values, 1),
        f"{verb} that of every fourth channel": values[np.arange(len(values)) // 4 * 4],
        f"{verb} the first channel's": np.full_like(values, values[0]),
    }


def channel_scales(case: Case) -> Variants:
    """One scale for all channels of weights that have one each, or a neighbour's."""
    sums = case.sums
    if sums is None or len(np.unique(sums.factor)) < 2:
        return
    factor = real_factor(case, sums.factor)
    for how, chosen in {
        "the first channel's": factor[0],
        "the last channel's": factor[-1],
        "the largest": factor.max(),
        "the mean": factor.mean(),
    }.items():
        yield f"if every channel is given one scale, {how}", sums.scaled_by(np.full_like(factor, chosen))
    for how, by in {"next": -1, "previous": 1}.items():
        yield f"if every channel is given the {how} channel's scale", sums.scaled_by(np.roll(factor, by))


def multiplier(case: Case) -> Variants:
    """The fixed-point multiplier is shifted wrongly, has too few bits, or is nothing."""
    sums = case.sums
    if sums is None:
        return
    fixed = sums.last.multiplier._replace(multiplier=sums.multiplier, shift=sums.shift)
    for how, by in {"left": 1, "right": -1}.items():
        if (sums.shift + by).max() <= 30 and (sums.shift + by).min() >= -31:
            yield (
                f"if the multiplier shifts one bit too far to the {how}",
                sums.codes(factor=fixed._replace(shift=sums.shift + by)),
            )
    cut, rounded = sums.multiplier & ~np.int64(0xFFFF), (sums.multiplier + (1 << 15)) & ~np.int64(0xFFFF)
    yield "if the multiplier is cut to its upper 16 bits", sums.codes(factor=fixed._replace(multiplier=cut))
    yield (
        "if the multiplier is rounded to 16 bits",
        sums.codes(factor=fixed._replace(multiplier=rounded.clip(0, 2**31 - 2**16))),
    )
    yield "if the multiplier is 0, or next to nothing", sums.finished(0 * sums.acc)


def accumulator(case: Case) -> Variants:
    """The sums are kept in 16 bits, or those of int16 take the path of the other type of bias."""
    if (sums := case.sums) is not None:
        if case.step.data is not None and case.step.data.dtype == "int16":
            kept = {32: "64 bits and scaled by 16 bits of multiplier", 64: "32 bits and scaled by the whole multiplier"}
            other = replace(sums, last=replace(sums.last, bits=96 - sums.last.bits))
            yield f"if the sums are kept in {kept[sums.last.bits]}", other.codes()
        low, high = -(2**15), 2**15 - 1
        yield "if the accumulator saturates at 16 bits", sums.codes(sums.acc.clip(low, high))
        yield "if the accumulator wraps at 16 bits", sums.codes(sums.acc.astype(np.int16).astype(np.int64))
        bare = sums.acc - sums.bias
        yield "if the accumulator saturates at 16 bits, before the bias", sums.codes(bare.clip(low, high) + sums.bias)
        wrapped = bare.astype(np.int16).astype(np.int64)
        yield "if the accumulator wraps at 16 bits, before the bias", sums.codes(wrapped + sums.bias)


def requantisation(case: Case) -> Variants:
    """Accumulators become codes by other arithmetic than fixed point, or are not rounded."""
    if (sums := case.sums) is not None:
        for how, scaled in _requantised(case, sums):
            yield how, sums.finished(scaled)


def _requantised(case: Case, sums: Sums) -> Iterator[tuple[str, Array]]:
    acc, shift = sums.acc, sums.shift
    real, exact = acc * sums.factor, acc * real_factor(case, sums.factor)
    single = acc.astype(np.float32) * sums.factor.astype(np.float32)
    yield "if requantisation rounds down", np.floor(real)
    yield "if requantisation truncates towards zero", np.trunc(real)
    dropped = np.floor(real + np.where(shift < 0, np.exp2(shift - 1.0), 0.5))
    yield "if requantisation drops the bits it shifts out", dropped
    yield "if requantisation rounds twice, and ties upwards (half up)", _half_up(acc, sums)
    yield "if requantisation is a float64 product, ties away from zero (TFLite's own)", round_half_away(exact)
    yield "if requantisation is a float64 product, ties to even", np.rint(exact)
    yield ("if requantisation is a float32 product, ties away from zero", round_half_away(single.astype(np.float64)))


def _half_up(acc: Ints, sums: Sums) -> Ints:
    high = ((acc << np.maximum(sums.shift, 0)) * sums.multiplier + (1 << 30)) >> 31
    right = np.maximum(-sums.shift, 0)
    code: Ints = (high + ((np.int64(1) << right) >> 1)) >> right
    return code


def lost_bit(case: Case) -> Variants:
    """Codes lose their lowest bit."""
    if case.sound.dtype.kind == "i":
        yield "if the lowest bit of every code is lost (only even codes)", case.sound & ~np.ones((), case.sound.dtype)


def average(case: Case) -> Variants:
    """The means of a pool are not rounded."""
    x, window, count = case.arrays[0], getattr(case.step.params, "window", None), getattr(case.step.params, "count", 0)
    if window is None or case.step.facts.inexact != "sums" or case.sound.dtype.kind != "i" or x is None:
        return
    change: dict[str, Any] = {
        "count": np.ones((1, 1, 1), np.int32),
        "activation_min": OPEN["min"],
        "activation_max": OPEN["max"],
    }
    total = case.replay(
        arrays={0: x.astype(np.int32)},
        params=partial(altered, change=lambda node: change if hasattr(node, "count") else {}),
        dtype="int64",
    )
    if total is None:
        return
    p, mean = case.step.params, total / count
    rounded = round_half_away(mean).clip(p.activation_min, p.activation_max)
    if np.array_equal(rounded.astype(case.sound.dtype), case.sound):
        for how, codes in {"truncated towards zero": np.trunc(mean), "rounded down": np.floor(mean)}.items():
            codes = codes.clip(p.activation_min, p.activation_max)
            yield f"if the mean is {how}", codes.astype(case.sound.dtype)


def softmax_beta(case: Case) -> Variants:
    """The softmax takes another beta than the model's."""
    beta = case.step.op.options.get("beta")
    for other in (1.0, 0.5, 2.0) if beta is not None else ():
        if other != beta:
            yield f"if beta is {other:g} instead of {beta:g}", case.replay(options={"beta": other})
