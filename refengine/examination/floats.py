"""The health of layers of floats: ranges, channels that never move, what overflows, and what int8 would make of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..accuracy import is_classifier
from ..execute import Record
from ..identity import identity
from ..kernel import Ints
from ..model import Array, Tensor
from ..numerics.quantize import FLOAT_MAX
from ..plan import Plan, Step
from ..reading.counterparts import computed, rows, what_if
from ..reading.links import links
from ..text import printable
from .effect import Effect, Inference
from .findings import LEAST_INFERENCES, Finding
from .layer import ROUNDING, Floats, Key, home, lives_on, named, occasions, on_occasions

CODES = 256
"""Of int8, that a layer's channels would share."""

FEW = CODES / 16
"""Codes of a channel that make it a coarse one, as in a quantised model."""

END = np.float32(FLOAT_MAX)
"""Of float32."""

HEADINGS = ("#", "layer", "smallest", "largest", "zeros", "not finite", "silent", "int8 codes\na channel")


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """What was measured of one float32 tensor: what `step` writes, or an input of the model (`step` is None).

    `low` and `high` are the ends of each channel's finite values, of `count` in all, `zeros` how many are 0, `infinite`
    how many are infinite or at the end of float32, to which TFLM clamps them, and `nan` how many are no number; in
    `spoilt` inferences such ones came of finite inputs here.
    """

    tensor: Tensor
    step: Step | None
    count: int
    low: Floats
    high: Floats
    zeros: Ints
    infinite: Ints
    nan: Ints
    spoilt: int

    def __str__(self) -> str:
        name = printable(self.tensor.name)
        if self.step is None:
            return f"input '{name}'"
        return f"{named(self.step)}{f', state {name!r}' if self.lives_on else ''}"

    @property
    def key(self) -> Key:
        return home(self.step), -1 if self.step is None else self.step.index, self.tensor.index

    @property
    def runs(self) -> int:
        """How often it was computed, see `Layer.runs`."""
        return self.count * len(self.low) // max(1, prod(self.tensor.shape))

    @property
    def lives_on(self) -> bool:
        """Whether it is a variable that the step updates, not its output."""
        return lives_on(self.step, self.tensor)

    def __add__(self, other: FloatLayer) -> FloatLayer:
        """What both saw of the same layer."""
        sums: dict[str, Any] = {
            name: getattr(self, name) + getattr(other, name) for name in ("count", "zeros", "infinite", "nan", "spoilt")
        }
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return replace(self, low=low, high=high, **sums)

    @property
    def silent(self) -> list[int]:
        """The channels that hold one and the same finite value always (none where there is just one value of each)."""
        bad = self.infinite + self.nan
        return np.flatnonzero((self.low == self.high) & (bad == 0)).tolist() if self.count > 1 else []

    @property
    def dead(self) -> list[int]:
        """Of the silent channels those whose weights are all 0: no input can change them."""
        weights = None if self.step is None or not self.step.facts.layout else self.step.weights
        if self.step is None or weights is None or weights.data is None:
            return []
        moved = np.moveaxis(weights.data, self.step.facts.layout.index("O"), 0).reshape(len(self.low), -1)
        return [channel for channel in self.silent if not moved[channel].any()]

    @property
    def codes(self) -> npt.NDArray[np.float64]:
        """How many int8 codes each channel would have, if the layer got the scale that these data ask for."""
        low, high = min(0.0, float(self.low.min())), max(0.0, float(self.high.max()))
        with np.errstate(all="ignore"):
            codes = np.round((self.high - self.low) / (high - low) * (CODES - 1)) + 1
        return np.where(np.isfinite(codes), codes, 1.0)

    @property
    def coarse(self) -> list[int]:
        """The channels that move, but would have few of these codes."""
        few: list[int] = np.flatnonzero((self.codes <= FEW) & (self.high > self.low)).tolist()
        return few

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "layer": str(self),
            "operator": None if self.step is None else identity(self.step.op, self.step.subgraph),
            "tensor": identity(self.tensor),
            "dtype": self.tensor.dtype,
            "shape": self.tensor.shape,
            "range": [_or_none(float(self.low.min())), _or_none(float(self.high.max()))],
            "zeros": int(self.zeros.sum()),
            "infinite": int(self.infinite.sum()),
            "nan": int(self.nan.sum()),
            "arises_in": self.spoilt,
            "dead_channels": self.dead,
            "silent_channels": [channel for channel in self.silent if channel not in self.dead],
            "coarse_channels": self.coarse,
            "channels": {
                "low": [_or_none(value) for value in self.low.tolist()],
                "high": [_or_none(value) for value in self.high.tolist()],
                "int8_codes": self.codes.tolist(),
            },
        }


def measure_floats(
    plan: Plan, inputs: tuple[Array, ...], batch: int, records: Iterable[Record]
) -> Iterator[FloatLayer]:
    """One `FloatLayer` for each float32 input, and for each output and variable that a step wrote in a run of its
    graph, but what depends on a gap."""
    pairs = zip(plan.inputs, inputs, strict=True)
    yield from (_layer(t, None, _each(x, t, batch), 0) for t, x in pairs if t.dtype == "float32")
    outside = plan.behind()
    for record in records:
        if record.step.gap:
            continue
        behind = record.unknown if record.path else outside
        whole = np.full(batch, not record.step.facts.control)  # what is handed on arose elsewhere
        for read, given in zip(record.step.inputs, record.inputs, strict=True):
            if read is None or given is None or read.data is not None or read.index in behind:
                continue
            if given.dtype.kind == "f":
                whole &= _finite(_each(given, read, batch))
        for tensor, x in zip(record.step.writes, (*record.outputs, *record.updates), strict=True):
            if tensor.dtype == "float32" and tensor.index not in behind and x.size:
                values = _each(x, tensor, batch)
                yield _layer(tensor, record.step, values, int((whole & ~_finite(values)).sum()))


def _each(values: Array, tensor: Tensor, batch: int) -> Array:
    """(batch, *shape): what depends on no input is the same in all inferences."""
    return np.broadcast_to(values.reshape(-1, *tensor.shape), (batch, *tensor.shape))


def _finite(values: Array) -> npt.NDArray[np.bool_]:
    """Of which inferences all values are finite, and none is at the end of float32."""
    return np.asarray((np.abs(values.reshape(len(values), -1)) < END).all(axis=1))


def _layer(tensor: Tensor, step: Step | None, values: Array, spoilt: int) -> FloatLayer:
    rows = values.reshape(-1, tensor.shape[-1] if len(tensor.shape) > 1 else 1)
    finite = np.abs(rows) < END
    low = np.where(finite, rows, np.inf).min(axis=0).astype(np.float64)
    high = np.where(finite, rows, -np.inf).max(axis=0).astype(np.float64)
    counts = ((rows == 0).sum(axis=0), (np.abs(rows) >= END).sum(axis=0), np.isnan(rows).sum(axis=0))
    return FloatLayer(tensor, step, len(rows), low, high, *counts, spoilt)


def float_findings(
    plan: Plan, layers: Sequence[FloatLayer], inferences: int, samples: Sequence[Inference]
) -> list[Finding]:
    """What is suspicious: first what overflows, where it arises, then what int8 would lose, then silent channels."""
    readers = {link.first.outputs[0].index: link.second for link in links(plan) if link.is_open}
    found = [finding for layer in layers for finding in _overflows(layer, inferences)]
    overflows = any(finding.kind == "overflow" for finding in found)  # of data that the network is not made for
    for layer in layers:
        if layer.step is not None and layer.step.facts.layout:
            found += _silent(layer, inferences)
            found += () if overflows else _coarse(layer, readers.get(layer.tensor.index), plan, samples)
    kinds = ("overflow", "constant", "channels", "dead", "silent")
    return sorted(found, key=lambda finding: kinds.index(finding.kind))


def _overflows(layer: FloatLayer, inferences: int) -> Iterator[Finding]:
    constants = [] if layer.step is None else [t for t in layer.step.inputs if t is not None and t.dtype == "float32"]
    bad = [t for t in constants if t.data is not None and not np.isfinite(t.data).all()]
    if layer.spoilt and bad:
        text = f"Its constant '{printable(bad[0].name)}' is not finite, nor are results in {layer.spoilt:,} of "
        text += f"{on_occasions(layer, inferences)}. If that is no mask, train the network again."
        yield _finding(layer, "constant", text)
    elif layer.spoilt:
        some = [(layer.infinite, "beyond float32's end, 3.4e38,"), (layer.nan, "NaN")]
        what = " and ".join(f"{counts.sum():,} {name}" for counts, name in some if counts.any())
        text = (
            f"In {layer.spoilt:,} of {on_occasions(layer, inferences)} finite inputs give results here that are not: "
        )
        text += (
            f"{what} in {_named(np.flatnonzero(layer.infinite + layer.nan).tolist(), len(layer.low))}. What follows "
        )
        text += "computes with them. Scale the data as in training, or look at the weights of this layer."
        yield _finding(layer, "overflow", text)


def _coarse(layer: FloatLayer, reader: Step | None, plan: Plan, samples: Sequence[Inference]) -> Iterator[Finding]:
    """Channels that int8 would make coarse, where that does more to the outputs than rounding these to int8 would."""
    with np.errstate(all="ignore"):  # of values near the end of float32
        effect, rounding = _effect(layer, plan, samples) if layer.coarse and samples else (None, 0.0)
    if effect is not None and effect.rmse > rounding:
        codes = layer.codes[layer.coarse].astype(np.int64).tolist()
        shown = ", ".join(map(str, codes[:8])) + (" …" if len(codes) > 8 else "")
        text = f"Quantised to int8, where a layer has one scale, {_named(layer.coarse, len(layer.low))} would have "
        text += f"{shown} of {CODES} codes. "
        text += (
            f"The next layer, {reader.name}, can make up for other factors: quantize --equalize."
            if reader is not None
            else "No layer behind it alone can make up for other factors: take 16x8 (quantize --activations int16)."
        )
        yield replace(_finding(layer, "channels", text), effect=effect)


def _effect(layer: FloatLayer, plan: Plan, samples: Sequence[Inference]) -> tuple[Effect | None, float]:
    """What it does to the outputs if the coarse channels, and nothing else, are rounded to the layer's int8 codes; and
    the RMSE of rounding the outputs to int8."""
    fed = zip(plan.graph.inputs, (np.concatenate(x) for x in zip(*samples, strict=True)), strict=True)
    floats = computed(plan.steps, {**plan.constants, **dict(fed)})
    outputs = [i for i in plan.graph.outputs if i in floats and i not in plan.constants]
    if layer.tensor.index not in floats or not outputs:
        return None, 0.0
    scale = (max(0.0, float(layer.high.max())) - min(0.0, float(layer.low.min()))) / (CODES - 1)
    rounded = floats[layer.tensor.index].copy()
    rounded[..., layer.coarse] = np.rint(rounded[..., layer.coarse] / scale) * scale
    wanted = rows(plan, floats, outputs)
    got = rows(plan, what_if(plan, floats, layer.tensor.index, rounded), outputs)
    changed = int((got.argmax(axis=1) != wanted.argmax(axis=1)).sum()) if is_classifier(plan) else None
    effect = Effect(len(got), got.size, float(np.square(got - wanted).sum()), changed)
    return effect, float(np.ptp(wanted)) / (CODES - 1) * ROUNDING


def _silent(layer: FloatLayer, inferences: int) -> Iterator[Finding]:
    if layer.dead:
        channels = _named(layer.dead, len(layer.low))
        yield _finding(layer, "dead", f"The weights of {channels} are all 0, so that no input changes it: prune.")
    silent = [channel for channel in layer.silent if channel not in layer.dead]
    if silent and occasions(layer, inferences) >= LEAST_INFERENCES:
        text = (
            f"In {_named(silent, len(layer.low))} the value never changes in {on_occasions(layer, inferences)}. Other "
        )
        text += f"data may wake {'them' if len(silent) > 1 else 'it'}."
        yield _finding(layer, "silent", text)


def _finding(layer: FloatLayer, kind: str, text: str) -> Finding:
    return Finding(str(layer), kind, 0.0, text, ((home(layer.step), layer.tensor.index), ()))


def _named(channels: list[int], count: int) -> str:
    shown = ", ".join(map(str, channels[:8])) + (f" … ({len(channels)} in all)" if len(channels) > 8 else "")
    return f"channel{'s' if len(channels) > 1 else ''} {shown} of {count}"


def float_rows(layers: Iterable[FloatLayer]) -> Iterator[tuple[str, ...]]:
    """A row of cells for each layer, under `HEADINGS`."""
    for layer in layers:
        step, total = layer.step, layer.count * len(layer.low)
        made = step if step is not None and not layer.lives_on else None
        activation = "NONE" if made is None else made.op.options.get("fused_activation_function", "NONE")
        name = "input" if step is None else step.name + (" (state)" if layer.lives_on else "")
        moving = layer.codes[layer.high > layer.low]
        yield (
            "" if step is None else step.number,
            name + (f" + {activation}" if activation != "NONE" else ""),
            f"{layer.low.min():.5g}" if (layer.low <= layer.high).any() else "",
            f"{layer.high.max():.5g}" if (layer.low <= layer.high).any() else "",
            f"{layer.zeros.sum() / total:.1%}",
            f"{(layer.infinite + layer.nan).sum() / total:.2%}",
            f"{len(layer.silent)} of {len(layer.low)}" if step is not None and step.facts.layout else "",
            f"{moving.min():.0f} … {moving.max():.0f}" if moving.size else "",
        )


def _or_none(value: float) -> float | None:
    return value if isfinite(value) else None
