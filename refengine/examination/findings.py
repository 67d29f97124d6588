"""From measurements to plain sentences: what is wrong with a layer, how bad it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from ..kernel import Ints
from ..numerics.quantize import code_range
from .layer import ROUNDING, Floats, Layer

LEAST_LOSS = 1.0  # bits lost that make a layer suspicious
LEAST_INFERENCES = 10  # before a channel is called dead

FIXED_SCALE = {"SOFTMAX", "LOGISTIC", "TANH"}
"""Operators whose output scale TFLM prescribes: nobody chose it badly, and probabilities may round to 0."""

MIXING = {"CONV_2D", "FULLY_CONNECTED"}
"""Operators whose output channels do not belong to the input's channels of the same number."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a layer, how bad in bits of resolution lost, and what to do."""

    layer: str
    kind: str
    bits_lost: float
    text: str


def findings_of(layers: Sequence[Layer], inferences: int) -> list[Finding]:
    """All suspicious things about a model's layers, the worst first."""
    dead = {layer.tensor.index: set(layer.dead) for layer in layers}
    found: list[Finding] = []
    for layer in layers:
        found += (*_overflow_findings(layer), *_error_findings(layer), *_range_findings(layer))
        if inferences >= LEAST_INFERENCES:
            found += _dead_findings(layer, _dead_before(layer, dead))
    return sorted(found, key=lambda finding: -finding.bits_lost)


def _error_findings(layer: Layer) -> Iterator[Finding]:
    """The one cause of an error that enters in this layer: the type's clamp, a shift, or neither."""
    alive = np.isin(np.arange(len(layer.low)), layer.killed, invert=True)
    if layer.own is None or not alive.any():
        return
    own = layer.own.only(alive).layer
    rmse, mean = float(own.rmse[0]), float(own.mean[0])
    lost = log2(max(rmse, ROUNDING) / ROUNDING) - _spare_bits(layer)
    errs = f"RMSE {rmse:.3g} codes where rounding alone gives {ROUNDING:.2f}"
    if lost < LEAST_LOSS:
        return
    if abs(mean) >= 0.9 * rmse:
        yield Finding(
            str(layer),
            "offset",
            lost,
            f"All its results are shifted, by {mean:+.3g} codes on average ({errs}). A zero point is off: that of its "
            f"output '{layer.tensor.name}' ({layer.zero_point}) or of an input. Compare them with the converter's.",
        )
    elif _is_clamped(layer):
        yield _saturation(layer, lost, errs)
    else:
        yield Finding(
            str(layer),
            "error",
            lost,
            f"It is inexact: {errs}{_worst(layer.own.square * alive)}, and not because of clamping. Suspect the "
            "codes and scales of its weights, then scales so far apart that a multiplier keeps few bits.",
        )


def _is_clamped(layer: Layer) -> bool:
    """Whether the type cuts values off in the channel with the largest error."""
    assert layer.own is not None
    if layer.clamped is None:
        return False
    return bool((layer.clamped.below_type + layer.clamped.above_type)[layer.own.largest.argmax()])


def _saturation(layer: Layer, lost: float, errs: str) -> Finding:
    """Values cut off by the type: the zero point is to blame if there is room at the other end, else the scale."""
    assert layer.own is not None and layer.clamped is not None
    low, high = code_range(layer.tensor.dtype)
    above = layer.shares["above_type"] >= layer.shares["below_type"]
    share, end = (layer.shares["above_type"], high) if above else (layer.shares["below_type"], low)
    counts = layer.clamped.above_type if above else layer.clamped.below_type
    always = f", all of them in {_named(layer.stuck, layer)}" if layer.stuck else _worst(counts)
    cut = f"{share:.2%} of its values are cut off at code {end}{always} ({errs})"
    room = layer.codes[0] - low if above else high - layer.codes[1]
    if room >= (high - low + 1) // 16:
        unused = f"{low} … {layer.codes[0] - 1}" if above else f"{layer.codes[1] + 1} … {high}"
        way, better = ("high", layer.zero_point - room) if above else ("low", layer.zero_point + room)
        return Finding(
            str(layer),
            "zero point",
            lost,
            f"{cut}, while the codes {unused} are never used: the zero point {layer.zero_point} is too {way}. "
            f"Try {better}, or calibrate again with data like this.",
        )
    reach = abs(end - layer.zero_point)
    factor = (reach + float(layer.own.largest.max())) / max(reach, 1)
    return Finding(
        str(layer),
        "saturation",
        lost,
        f"{cut}: the scale {layer.scale:.4g} is too small. {layer.scale * factor:.4g} ({factor:.3g} times as much) "
        "would hold all of them; calibrate again with data like this.",
    )


def _range_findings(layer: Layer) -> Iterator[Finding]:
    lost = -log2(layer.used) - _spare_bits(layer)
    if lost < LEAST_LOSS or layer.is_inherited or _has_fixed_scale(layer):
        return
    low, high = code_range(layer.tensor.dtype)
    least, most = layer.codes
    facts = f"only the codes {least} … {most}, {most - least + 1} of {high - low + 1}"
    if layer.step is None:
        text = f"The data use {facts}. Are they scaled as in training (--range, or the .npy's real values)?"
    else:
        times = f"{1 / layer.used:.2g} times too large"
        text = f"It uses {facts}: the scale {layer.scale:.4g} is about {times}. Calibrate again with data like this."
    yield Finding(str(layer), "range", lost, text)


def _dead_before(layer: Layer, dead: Mapping[int, set[int]]) -> set[int]:
    """The channels that were dead in an input already, where the operator keeps channels apart."""
    if layer.step is None or layer.step.op.name in MIXING:
        return set()
    channels = layer.tensor.shape[-1:]
    inputs = [t.index for t in layer.step.inputs if t is not None and t.shape[-1:] == channels]
    return set().union(*(dead.get(index, ()) for index in inputs))


def _dead_findings(layer: Layer, before: set[int]) -> Iterator[Finding]:
    """Channels killed by quantisation lose all their bits; those that are dead in the float network lose nothing."""
    if layer.is_inherited or _has_fixed_scale(layer):
        return
    killed = [channel for channel in layer.killed if channel not in before]
    born = [channel for channel in layer.dead if channel not in {*before, *killed, *layer.stuck}]
    if killed:
        text = "though the value does in floats. Look at the weights, and whether the scale is too coarse."
        lost = log2(float(layer.spread[killed].max()) / ROUNDING) - _spare_bits(layer)
        yield Finding(str(layer), "dead", max(lost, 0.0), f"In {_named(killed, layer)} the code never changes, {text}")
    if born:
        text = "nor does the value in floats: dead since training, and computed for nothing. Prune."
        yield Finding(str(layer), "dead", 0.0, f"In {_named(born, layer)} the code never changes, {text}")


def _named(channels: list[int], layer: Layer) -> str:
    shown = ", ".join(map(str, channels[:8])) + (f" … ({len(channels)} in all)" if len(channels) > 8 else "")
    return f"channel{'s' if len(channels) > 1 else ''} {shown} of {len(layer.low)}"


def _overflow_findings(layer: Layer) -> Iterator[Finding]:
    acc = layer.accumulator
    if acc is None or acc.bound_bits <= acc.width:
        return
    if acc.bits > acc.width:
        text = f"Its sums need {acc.bits} bits and wrap around in {acc.width}: the results are garbage."
    else:
        text = (
            f"Its sums can overflow: these data need {acc.bits} of {acc.width} bits, but the worst input "
            f"{acc.bound_bits}."
        )
    lost = 8.0 if acc.bits > acc.width else 0.0
    yield Finding(
        str(layer), "overflow", lost, f"{text} Make the weights' or the input's scale larger, or the sum shorter."
    )


def _has_fixed_scale(layer: Layer) -> bool:
    return layer.step is not None and layer.step.op.name in FIXED_SCALE


def _spare_bits(layer: Layer) -> int:
    """How many bits the type has more than int8, which a layer may lose unnoticed."""
    return 8 * np.dtype(layer.tensor.dtype).itemsize - 8


def _worst(counts: Floats | Ints) -> str:
    """The channel that most of it happens in, in words, if there is one."""
    total, worst = float(counts.sum()), int(counts.argmax())
    if len(counts) == 1 or float(counts[worst]) < total / 2:
        return ""
    return f", {counts[worst] / total:.0%} of it in channel {worst}"
