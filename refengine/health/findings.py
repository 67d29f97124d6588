"""From measurements to plain sentences: what is wrong with a layer, how bad it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from ..kernel import Ints
from ..numerics.quantize import code_range
from .layer import NOTHING, ROUNDING, Floats, Layer

LEAST_LOSS = 1.0  # bits lost that make a layer suspicious
LEAST_SATURATION = 0.001  # share of values cut off by the type
LEAST_INFERENCES = 10  # before a channel is called dead

FIXED_SCALE = {"SOFTMAX", "LOGISTIC", "TANH"}
"""Operators whose output scale TFLM prescribes, so that nobody chose it badly."""

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
        found += (*_error_findings(layer), *_range_findings(layer), *_overflow_findings(layer))
        if inferences >= LEAST_INFERENCES:
            found += _dead_findings(layer, _dead_before(layer, dead))
    return sorted(found, key=lambda finding: -finding.bits_lost)


def _error_findings(layer: Layer) -> Iterator[Finding]:
    """The one cause of an error that enters in this layer: the type's clamp, a shift, or neither."""
    if layer.own is None:
        return
    own = layer.own.layer
    rmse, mean = float(own.rmse[0]), float(own.mean[0])
    lost = log2(max(rmse, ROUNDING) / ROUNDING) - _spare_bits(layer)
    errs = f"RMSE {rmse:.3g} codes where rounding alone gives {ROUNDING:.2f}"
    if layer.lost_to_type >= LEAST_SATURATION and lost >= LEAST_LOSS / 2:
        yield _saturation(layer, lost, errs)
    elif lost >= LEAST_LOSS and abs(mean) >= rmse / 2:
        yield Finding(
            str(layer),
            "offset",
            lost,
            f"All its results are shifted, by {mean:+.3g} codes on average ({errs}). A zero point is off: that of its "
            f"output '{layer.tensor.name}' ({layer.zero_point}) or of an input. Compare them with the converter's.",
        )
    elif lost >= LEAST_LOSS:
        yield Finding(
            str(layer),
            "error",
            lost,
            f"Its own arithmetic is inexact: {errs}{_worst(layer.own.square)}. Look at one element with "
            "refengine explain; scales that are far apart leave a multiplier few bits.",
        )


def _saturation(layer: Layer, lost: float, errs: str) -> Finding:
    """Values cut off by the type: the zero point is to blame if there is room at the other end, else the scale."""
    assert layer.own is not None and layer.clamped is not None
    low, high = code_range(layer.tensor.dtype)
    above = layer.shares["above_type"] >= layer.shares["below_type"]
    share, end = (layer.shares["above_type"], high) if above else (layer.shares["below_type"], low)
    counts = layer.clamped.above_type if above else layer.clamped.below_type
    cut = f"{share:.2%} of its values are cut off at code {end}{_worst(counts)} ({errs})"
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
        f"{cut}: the scale {layer.scale:.4g} is too small. {layer.scale * factor:.4g} ({factor:.2g} times as much) "
        "would hold all of them; calibrate again with data like this.",
    )


def _range_findings(layer: Layer) -> Iterator[Finding]:
    lost = -log2(layer.used) - _spare_bits(layer)
    if lost < LEAST_LOSS or layer.is_inherited or (layer.step is not None and layer.step.op.name in FIXED_SCALE):
        return
    low, high = code_range(layer.tensor.dtype)
    least, most = layer.codes
    facts = f"uses only the codes {least} … {most}, {most - least + 1} of {high - low + 1}"
    if layer.step is None:
        text = f"The data {facts}. Are they scaled as in training (--range, or the .npy's real values)?"
    else:
        times = f"{1 / layer.used:.2g} times too large"
        text = f"It {facts}: the scale {layer.scale:.4g} is about {times}. Calibrate again with data like this."
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
    dead = [channel for channel in layer.dead if channel not in before]
    errors = layer.total or layer.own
    if not dead or errors is None or layer.is_inherited:
        return
    mean = (layer.low * errors.count - errors.count * layer.zero_point - errors.error) / errors.count
    spread = np.sqrt(np.maximum(errors.wanted / errors.count - np.square(mean), 0))
    killed = [channel for channel in dead if spread[channel] > NOTHING]
    born = [channel for channel in dead if channel not in killed]
    if killed:
        text = "though the float network's do: look at their weights, and whether the scale is too coarse for them."
        yield Finding(str(layer), "dead", 8 * len(killed) / len(layer.low), f"{_never(killed, layer)}, {text}")
    if born:
        text = "and neither did the float network's: training left them so. They cost time for nothing; prune them."
        yield Finding(str(layer), "dead", 0.0, f"{_never(born, layer)}, {text}")


def _never(channels: list[int], layer: Layer) -> str:
    shown = ", ".join(map(str, channels[:8])) + (f" … ({len(channels)} in all)" if len(channels) > 8 else "")
    return f"Channel{'s' if len(channels) > 1 else ''} {shown} of {len(layer.low)} never changed"


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


def _spare_bits(layer: Layer) -> int:
    """How many bits the type has more than int8, which a layer may lose unnoticed."""
    return 8 * np.dtype(layer.tensor.dtype).itemsize - 8


def _worst(counts: Floats | Ints) -> str:
    """The channel that most of it happens in, in words, if there is one."""
    total, worst = float(counts.sum()), int(counts.argmax())
    if len(counts) == 1 or float(counts[worst]) < total / 2:
        return ""
    return f", {counts[worst] / total:.0%} of it in channel {worst}"
