"""From measurements to plain sentences: what is wrong with a layer, how bad it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, isnan, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernel import Ints
from ..numerics.quantize import code_range
from ..plan import Plan, Step
from ..reading.float_reading import is_quantized, real_values
from ..reading.links import Link, links
from ..text import counted
from .decisions import Decision, borders
from .effect import Effect, Experiment, Where
from .layer import ROUNDING, At, Floats, Layer, named, occasions, on_occasions

LEAST_LOSS = 1.0  # bits lost that make a layer suspicious
LEAST_INFERENCES = 10  # before a channel is called silent
ENOUGH = 1.05  # of the scale that is right, by which another is no smaller
FEW = 1 / 16  # of the codes, or less, that weights need to be no coarse ones
FAR = 2.0  # codes that half of a layer's weights are apart from those of a float model that they were not made from
DOMINANT = 0.5  # the part of an error that makes something its cause
TRACE = 0.01  # the part of an error that is not worth a word
UNMEASURED = ("border", "decision", "unseen")  # kinds of findings about branches and loops, of no one layer's error
OTHERS = 1.0  # codes that a weight is apart from the float model's by more than rounding


@dataclass(frozen=True)
class Finding:
    """What is wrong with a layer, in which of its channels, and what to do.

    `bits_lost` is how bad it is for the layer itself, in bits of resolution; `effect` what this error alone does to the
    network's outputs, and `everything` what all errors do (None where there is nothing to measure it by).
    """

    layer: str
    kind: str
    bits_lost: float
    text: str
    place: Where
    effect: Effect | None = None
    everything: Effect | None = None

    @property
    def order(self) -> tuple[bool, float, float]:
        """Ascending: inputs that do not fit, a float model that does not, and what branches and loops are found to do
        come first, then what does most to the outputs (NaN is the most)."""
        effect = self.effect.rmse if self.effect else 0.0
        first = self.kind in ("input", "float model", *UNMEASURED) or self.layer.startswith("input ")
        return not first, -inf if isnan(effect) else -effect, -self.bits_lost

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "layer": self.layer,
            "kind": self.kind,
            "bits_lost": self.bits_lost,
            "effect": self.effect and self.effect.as_dict(),
            "everything": self.everything and self.everything.as_dict(),
            "text": self.text,
        }


def findings_of(layers: Sequence[Layer], inferences: int, experiment: Experiment) -> list[Finding]:
    """All suspicious things about a model's layers, the worst first."""
    plan = experiment.plan
    unchanging = {graph: _unchanging(layers, graph) for graph in plan.plans}
    reached = {(graph, index) for graph, each in plan.plans.items() for index in _reached(each)}
    readers, before = _equalisable(experiment)
    found = list(_foreign_findings(experiment))
    for layer in layers:
        if layer.at not in reached:  # constants, such as a detector's anchors, are what they are
            continue
        if layer.hands_on:  # what is wrong is found where it was computed
            continue
        if layer.is_fed:
            found += (*_input_findings(layer), *_range_findings(layer))
            continue
        if layer.lives_on:  # its channels are those of the layer's output
            found += () if layer.is_inherited else (*_error_findings(layer, ""), *_range_findings(layer))
            continue
        still = unchanging[layer.at[0]]
        weights = _weights_in_words(layer, experiment, before.get(layer.at), still)
        found += (*_overflow_findings(layer), *_error_findings(layer, weights), *_range_findings(layer))
        found += _channel_findings(layer, _unchanging_before(layer, still), inferences)
        found += (*_coarse_findings(layer, readers.get(layer.at)), *_weights_findings(layer))
    if not found:
        return []
    everything, alone = experiment.effects([finding.place for finding in found])
    measured = [
        replace(finding, effect=effect, everything=everything) for finding, effect in zip(found, alone, strict=True)
    ]
    return sorted(_what_matters(measured, experiment), key=lambda finding: finding.order)


def _unchanging(layers: Sequence[Layer], graph: int) -> dict[int, set[int]]:
    """By tensor of a subgraph, the channels that did not change."""
    return {layer.tensor.index: set(layer.unchanging) for layer in layers if layer.at[0] == graph}


def _reached(plan: Plan) -> set[int]:
    """The tensors that depend on an input of their graph, of this inference or an earlier one."""
    reached = {t.index for t in plan.inputs}
    for step in plan.steps:
        if step.remembers or step.facts.control or any(t is not None and t.index in reached for t in step.inputs):
            reached |= {t.index for t in step.writes}
    return reached


def _equalisable(experiment: Experiment) -> tuple[dict[At, Step], dict[At, Link]]:
    """Of layers whose channels can be equalised in the float model: by what the first one computes the next layer
    there, and by what the next one computes what links them. None of other subgraphs, which `quantize` refuses."""
    opened = [link for link in links(experiment.reference) if link.is_open]
    nexts = {link.first.outputs[0].index: link.second for link in opened}
    before = {link.second.outputs[0].index: link for link in opened}
    same = experiment.same.items()
    return (
        {(0, mine): nexts[yours] for mine, yours in same if yours in nexts},
        {(0, mine): before[yours] for mine, yours in same if yours in before},
    )


def _finding(layer: Layer, kind: str, lost: float, text: str, channels: Sequence[int] | None = None) -> Finding:
    every = range(len(layer.low)) if channels is None else channels
    return Finding(str(layer), kind, lost, text, (layer.at, tuple(map(int, every))))


def decision_findings(
    plan: Plan, decisions: Sequence[Decision], failed: Sequence[str], inferences: int
) -> Iterator[Finding]:
    """What branches and loops are found to do: codes handed over to another scale, decisions that floats make
    otherwise, and parts that never ran."""
    crossing = dict[Step, list[str]]()
    for step, mine, yours in borders(plan):
        crossing.setdefault(step, []).append(f"'{mine.name}' to '{yours.name}'")
    for step, pairs in crossing.items():
        text = (
            f"TFLM copies bytes, and these stand for other values behind the copy: {', '.join(dict.fromkeys(pairs))}. "
        )
        text += "Convert again, so that both sides have one scale and zero point."
        yield _of_step(step, "border", text)
    for each in decisions:
        if each.differing:
            other = "run another number of rounds" if each.is_loop else "take the other branch"
            text = f"In {each.differing:,} of {each.compared:,} runs floats {other}: what follows differs by more than "
            text += "layers' errors. Its condition stands on values that quantisation moves across the border: compare "
            text += "finer ones (int16), or leave a margin."
            yield _of_step(each.step, "decision", text)
        for part, graph in each.unseen:
            text = f"Its {part}, subgraph {graph}, never ran in {counted(each.runs, 'run')}: nothing is known of its "
            yield _of_step(each.step, "unseen", f"{text}layers. Measure on data that lead there.")
    if failed:
        text = (
            f"In {len(failed):,} of {inferences:,} inferences floats fail though the integers do not, and nothing is "
        )
        yield Finding("the float model", "decision", 0.0, f"{text}compared there: {failed[0]}.", ((0, -1), ()))


def _of_step(step: Step, kind: str, text: str) -> Finding:
    return Finding(named(step), kind, 0.0, text, ((step.subgraph, -1), ()))


def _what_matters(findings: Sequence[Finding], experiment: Experiment) -> Iterator[Finding]:
    """Channels may be coarse without harm: they are told of where they do most of what all errors do to the outputs, or
    of what the activations' rounding does: beside a float model, that of weights does not hide them. What it does alone
    says what 16x8 can mend."""
    coarse = [finding for finding in findings if finding.kind == "channels"]
    told: dict[Where, str] = {}
    if coarse:
        reading, places = experiment.by_reading, [finding.place for finding in coarse]
        everything, effects = (None, [None] * len(places)) if reading is None else reading.effects(places)
        of_weights = experiment.of_weights()
        for finding, effect in zip(coarse, effects, strict=True):
            if _dominates(effect, everything) or _dominates(finding.effect, finding.everything):
                (graph, index), _ = finding.place
                is_16x8 = experiment.plan.plans[graph].graph.tensors[index].dtype == "int16"
                told[finding.place] = "" if is_16x8 else _finer(finding.everything, of_weights, reading is not None)
    for finding in findings:
        if finding.kind != "channels":
            yield finding
        elif finding.place in told:
            yield replace(finding, text=(finding.text + told[finding.place]).rstrip())


def _dominates(effect: Effect | None, everything: Effect | None) -> bool:
    return bool(effect and everything and effect.rmse > DOMINANT * everything.rmse > 0)


def _finer(everything: Effect | None, of_weights: Effect | None, is_beside: bool) -> str:
    """What 16x8 can be hoped to do, as far as it was measured; `is_beside` tells that there is a float model."""
    if everything is None or of_weights is None:
        what = "16x8 (--activations int16) makes activations finer, not weights"
        return f"{what}." if is_beside else f"{what}: --float tells what that brings."
    hope = "is not enough" if of_weights.rmse > DOMINANT * everything.rmse else "helps"
    text = f"16x8 (--activations int16) {hope}: the weights alone, which are the same there, bring the outputs an "
    return f"{text}RMSE of {of_weights.rmse:.3g}, all errors together {everything.rmse:.3g}."


def _foreign_findings(experiment: Experiment) -> Iterator[Finding]:
    """Weights that are not those of the float model, by more than their rounding."""
    found = ((step, _codes_apart(experiment, step)) for step in experiment.plan.steps)
    medians = {step: float(np.median(codes)) for step, codes in found if codes is not None}
    if apart := {step: codes for step, codes in medians.items() if codes > FAR}:
        first, codes = next(iter(apart)), max(apart.values())
        numbers = ", ".join(str(step.index) for step in apart)
        text = f"The float model is not the one that this was made from: the weights of operators {numbers} are up to "
        text += f"{codes:.3g} codes apart (the median), so that total errors tell little. Give the file that was "
        text += "quantised: after quantize --equalize, the one that --equalized writes."
        yield Finding(str(first), "float model", 0.0, text, ((0, first.outputs[0].index), ()))


def _codes_apart(experiment: Experiment, step: Step) -> Floats | None:
    """How far each of a layer's weights is from the float model's; None where there is nothing to compare."""
    pair = experiment.pairs.get(step.outputs[0].index) if step.outputs else None
    theirs = [each.weights for each in pair.float_steps if each.facts.layout] if pair is not None else []
    weights = step.weights
    if weights is None or weights.data is None or not is_quantized(weights) or len(theirs) != 1:
        return None
    (other,) = theirs
    if other is None or other.data is None or other.shape != weights.shape or weights.quantization is None:
        return None
    along = [-1 if i == weights.quantization.quantized_dimension else 1 for i in range(len(weights.shape))]
    scale = np.reshape(weights.quantization.scale, along if len(weights.quantization.scale) > 1 else ())
    with np.errstate(all="ignore"):  # of scales that are next to nothing
        codes: Floats = np.abs(real_values(weights.data, weights) - np.float64(other.data)) / scale
    return np.nan_to_num(codes, posinf=0.0)


def _input_findings(layer: Layer) -> Iterator[Finding]:
    """Data outside of what the input's type and scale can hold."""
    if layer.own is None or not layer.lost_to_type:
        return
    low, high = (layer.scale * (code - layer.zero_point) for code in code_range(layer.tensor.dtype))
    least, most = _reals(layer)
    above, below = layer.shares["above_type"], layer.shares["below_type"]
    sides = [f"{100 * above:.3g} % at {high:.4g} (the largest is {most:.4g})"] if above else []
    sides += [f"{100 * below:.3g} % at {low:.4g} (the smallest is {least:.4g})"] if below else []
    error = float(layer.own.layer.largest[0]) * layer.scale
    text = f"Of the data, {' and '.join(sides)} are cut off, by up to {error:.3g}: the input holds only {low:.4g} … "
    text += f"{high:.4g}. "
    text += f"Scale them as in training, or calibrate again with data like this. {_better(layer)}"
    yield _finding(layer, "input", max(0.0, _lost(float(layer.own.layer.rmse[0]), layer)), text)


def _error_findings(layer: Layer, weights: str) -> Iterator[Finding]:
    """The one cause of an error that enters in this layer: a shift, what the type cuts off, or `weights`, of which that
    tells more; or none of these."""
    alive = np.isin(np.arange(len(layer.low)), layer.killed, invert=True)
    if layer.own is None or not alive.any():
        return
    own = layer.own.only(alive).layer
    rmse, mean = float(own.rmse[0]), float(own.mean[0])
    lost = _lost(rmse, layer)
    errs = f"RMSE {rmse:.3g} codes where rounding alone gives {ROUNDING:.2f}"
    if not lost >= LEAST_LOSS or rmse == np.inf:  # NaN and ∞: the float values themselves overflow
        return
    if abs(mean) >= 0.9 * rmse:
        yield _finding(
            layer,
            "offset",
            lost,
            f"All its results are shifted, by {mean:+.3g} codes on average ({errs}). A zero point is off: that of its "
            f"output '{layer.tensor.name}' ({layer.zero_point}) or of an input. Compare them with the converter's.",
        )
    elif (of_cut := _share(layer.cut, layer, alive)) >= DOMINANT:
        yield _saturation(layer, lost, f"{errs}, {of_cut:.0%} of the squared error by them")
    else:
        little = (
            "not because of clamping" if of_cut < TRACE else f"little because of clamping ({of_cut:.0%} of it squared)"
        )
        text = f"It is inexact: {errs}{_worst(layer.own.square * alive)}, and {little}. "
        if (of_weights := _share(layer.of_weights, layer, alive)) >= DOMINANT:
            text += f"Its weights, as they are rounded, make {min(of_weights, 1.0):.0%} of the squared error. {weights}"
        else:
            text += "Suspect the codes and scales of its weights, then scales so far apart that a multiplier keeps few "
            text += "bits."
        yield _finding(layer, "error", lost, text.rstrip())


def _share(squares: Floats | None, layer: Layer, alive: npt.NDArray[np.bool_]) -> float:
    """The part of the layer's own squared error that these are of, in the channels that are alive."""
    assert layer.own is not None
    return 0.0 if squares is None else float(squares[alive].sum() / layer.own.square[alive].sum())


def _weights_in_words(
    layer: Layer, experiment: Experiment, before: Link | None, unchanging: Mapping[int, set[int]]
) -> str:
    """What is wrong with a layer's weights, and what helps: 16x8 has the same ones. `before` links it with the layer
    whose channels it reads, if those can be equalised."""
    step = layer.step
    apart = None if step is None else _codes_apart(experiment, step)
    if step is None or apart is None:
        return ""
    by_output = np.moveaxis(apart, step.facts.layout.index("O"), 0).reshape(len(layer.low), -1).max(axis=1)
    if by_output.max() > OTHERS:
        channels = np.flatnonzero(by_output > OTHERS).tolist()
        text = f"Those of {_named(channels, len(layer.low))} are up to {by_output.max():.3g} codes from the float "
        return text + "model's: suspect their scales, and convert the model again."
    others = "16x8 has the same weights: leave the layer in float (--keep), or train for it."
    few = _few_by_input(step, unchanging)
    if not few:
        return others
    count = apart.shape[step.facts.layout.index("I")]
    used = ", ".join(map(str, [*few.values()][:8])) + (" …" if len(few) > 8 else "")
    text = f"Those that read {_named([*few], count)} of its input use {used} of 256 codes, since each output channel's "
    text += "one scale must hold larger ones too. "
    if before is None:
        return text + others
    return text + (
        f"Equalise its input's channels with the layer before, {before.first.name} (quantize --equalize); 16x8 has the "
        "same weights."
    )


def _lost(rmse: float, layer: Layer) -> float:
    """Bits of resolution that an error in codes takes, beyond what rounding and spare bits allow for; no more
    than int8 has."""
    return min(log2(max(rmse, ROUNDING) / ROUNDING) - _spare_bits(layer), 8.0)


def _saturation(layer: Layer, lost: float, errs: str) -> Finding:
    """Values cut off by the type: the zero point is to blame if the scale would hold them, else the scale."""
    assert layer.own is not None and layer.clamped is not None
    low, high = code_range(layer.tensor.dtype)
    above = layer.shares["above_type"] >= layer.shares["below_type"]
    share, end = (layer.shares["above_type"], high) if above else (layer.shares["below_type"], low)
    counts = layer.clamped.above_type if above else layer.clamped.below_type
    always = f", all of them in {_named(layer.stuck, len(layer.low))}" if layer.stuck else _worst(counts)
    cut = f"{100 * share:.3g} % of its values are cut off at code {end}{always} ({errs})"
    if layer.step is not None and _has_fixed_scale(layer):
        return _finding(layer, "saturation", lost, f"{cut}: TFLM prescribes the scale of {layer.step.op.name}.")
    least, most = _reals(layer)
    better = activation_quantization(least, most, layer.tensor.dtype)
    again = "calibrate again with data like this."
    if better is None:
        return _finding(layer, "saturation", lost, f"{cut}: no scale holds {least:.4g} … {most:.4g}; {again}")
    if low - 1 <= least / layer.scale + layer.zero_point and most / layer.scale + layer.zero_point <= high + 1:
        text = f"{cut}, though scale and zero point hold the float model's values ({least:.4g} … {most:.4g}): "
        text += _why_beyond(layer)
        return _finding(layer, "saturation", lost, text)
    if better[0] <= ENOUGH * layer.scale:
        way = "high" if above else "low"
        text = f"{cut}, though the scale is wide enough: the zero point {layer.zero_point} is too {way}."
        return _finding(layer, "zero point", lost, f"{text} {_better(layer)} Or {again}")
    factor = better[0] / layer.scale
    text = f"{cut}: the scale {layer.scale:.4g} is {_rounded(factor, 3)} times too small. {_better(layer)} Or {again}"
    return _finding(layer, "saturation", lost, text)


def _why_beyond(layer: Layer) -> str:
    """Why values are cut off that the float model does not have: the floats of the layer's own inputs tell."""
    assert layer.own is not None
    low, high = code_range(layer.tensor.dtype)
    ends = layer.own.layer
    if low - 1 <= ends.least[0] + layer.zero_point and ends.most[0] + layer.zero_point <= high + 1:
        return "of what it is given the float layer makes none such, so look at its weights and biases."
    text = "of what it is given floats make such values, too, so that this is wrong already. "
    return text + "Mend the layers before it first."


def _reals(layer: Layer) -> tuple[float, float]:
    """The smallest and largest real value that the layer should hold on these data."""
    assert layer.wanted is not None
    ends = layer.wanted.layer
    return float(ends.least[0]) * layer.scale, float(ends.most[0]) * layer.scale


def _better(layer: Layer) -> str:
    """Advice: the scale and zero point that hold what the layer should hold; nothing where there are none, or of what
    lives on, for which TFLM does not take all (an LSTM's cells want a power of two)."""
    least, most = _reals(layer)
    better = activation_quantization(least, most, layer.tensor.dtype)
    if better is None or layer.lives_on:
        return ""
    return f"Scale {better[0]:.4g} and zero point {better[1]} would hold its values ({least:.4g} … {most:.4g})."


def activation_quantization(least: float, most: float, dtype: str) -> tuple[float, int] | None:
    """(scale, zero point) of `dtype` by which every real value from `least` to `most`, and 0, is within a code of what
    it can hold: int16 symmetric, as TFLM's kernels want it. None where no float32 scale does."""
    if not (isfinite(least) and isfinite(most)):
        return None
    low, high = code_range(dtype)
    least, most = min(least, 0.0), max(most, 0.0)
    if dtype == "int16":
        scale, zero_point = float(np.float32(max(-least, most) / high)), 0
    else:
        scale = float(np.float32((most - least) / (high - low)))
        zero_point = 0 if scale == 0 else int(np.clip(np.rint(low - least / scale), low, high))
    if not 0 < scale < np.inf:
        return None
    ends = [real / scale + zero_point for real in (least, most)]
    return (scale, zero_point) if low - 1 <= ends[0] and ends[1] <= high + 1 else None


def _range_findings(layer: Layer) -> Iterator[Finding]:
    """Codes that are never used. A layer that never changes at all is another matter: no scale helps it."""
    lost = -log2(layer.used) - _spare_bits(layer)
    if lost < LEAST_LOSS or layer.is_inherited or _has_fixed_scale(layer) or _is_still(layer):
        return
    low, high = code_range(layer.tensor.dtype)
    least, most = layer.codes
    facts = f"only the codes {least} … {most}, {most - least + 1} of {high - low + 1}"
    if layer.is_fed:
        text = f"The data use {facts}. Are they scaled as in training (--range, or the .npy's real values)?"
    else:
        times = f"{_rounded(1 / layer.used, 2)} times too large"
        text = f"It uses {facts}: the scale {layer.scale:.4g} is about {times}. {_better(layer)} "
        text += "Calibrate again with data like this."
    yield _finding(layer, "range", lost, text)


def _rounded(number: float, digits: int) -> str:
    """A number to so many significant digits, a large one written out: 130, not 1.3e+02."""
    return f"{float(f'{number:.{digits}g}'):.12g}"


def _is_still(layer: Layer) -> bool:
    """Whether neither codes nor floats move, in any channel."""
    return layer.is_constant and not layer.moving.any()


def _unchanging_before(layer: Layer, unchanging: Mapping[int, set[int]]) -> set[int]:
    """The channels that did not change in an input already, where the operator keeps channels apart."""
    if layer.step is None or "I" in layer.step.facts.layout:
        return set()
    channels = layer.tensor.shape[-1:]
    inputs = [t.index for t in layer.step.inputs if t is not None and t.shape[-1:] == channels]
    return set().union(*(unchanging.get(index, ()) for index in inputs))


def _channel_findings(layer: Layer, before: set[int], inferences: int) -> Iterator[Finding]:
    """Channels whose code never changes: by quantisation's doing, for any input, or on these data."""
    if layer.is_inherited or _has_fixed_scale(layer):
        return
    killed, dead, silent = ([c for c in each if c not in before] for each in (layer.killed, layer.dead, layer.silent))
    if killed:
        assert layer.wanted is not None
        moves = float((layer.wanted.most - layer.wanted.least)[killed].max())
        lost = max(0.0, log2(max(moves, 1.0)) - _spare_bits(layer))
        text = f"though the value in floats does, by up to {_codes(moves)} ({moves * layer.scale:.3g}): killed by "
        text += "quantisation. Look at the weights, and whether the scale is too coarse."
        yield _never_changes(layer, "killed", lost, killed, text)
    if dead:
        text = "and no input can change it: the weights, the biases and the inputs' types prove it. "
        text += "Dead, and computed for nothing: prune"
        text += "." if (layer.low[dead] == layer.zero_point).all() else ", and add its value to the biases that follow."
        yield _never_changes(layer, "dead", 0.0, dead, text)
    if silent and occasions(layer, inferences) >= LEAST_INFERENCES:
        text = f"nor does the value in floats: silent in {on_occasions(layer, inferences)}. Other data may wake "
        text += f"{'them' if len(silent) > 1 else 'it'}."
        yield _never_changes(layer, "silent", 0.0, silent, text)


def _codes(number: float) -> str:
    told = f"{number:.3g}"
    return f"{told} code" if told == "1" else f"{told} codes"


def _never_changes(layer: Layer, kind: str, lost: float, channels: list[int], text: str) -> Finding:
    return _finding(
        layer, kind, lost, f"In {_named(channels, len(layer.low))} the code never changes, {text}", channels
    )


def _coarse_findings(layer: Layer, reader: Step | None) -> Iterator[Finding]:
    """Channels too small for the scale that they share with others."""
    if layer.is_inherited or _has_fixed_scale(layer) or not layer.coarse:
        return
    low, high = code_range(layer.tensor.dtype)
    used = [int(layer.high[c] - layer.low[c]) + 1 for c in layer.coarse]
    shown = ", ".join(map(str, used[:8])) + (" …" if len(used) > 8 else "")
    one = len(used) == 1
    text = f"{_named(layer.coarse, len(layer.low)).capitalize()} use{'s' if one else ''} {shown} of {high - low + 1} "
    text += "codes: the channels' ranges differ too much for the one scale that they share. "
    if layer.at[0]:
        text += "Train channels that are more alike. "
    elif reader is not None:
        text += f"Equalise them with those of the next layer, {reader.name}, which can make up for it (quantize "
        text += "--equalize). "
    else:
        text += "No layer behind it alone can make up for other factors, so --equalize does not help: leave it in "
        text += "float (--keep), or train channels that are more alike. "
    lost = log2((high - low + 1) / min(used)) - _spare_bits(layer)
    yield _finding(layer, "channels", max(0.0, lost), text, layer.coarse)


def _weights_findings(layer: Layer) -> Iterator[Finding]:
    """Output channels whose weights are too small for the one scale that all of the layer's share."""
    weights = None if layer.step is None else layer.step.weights
    scaled = None if weights is None else weights.quantization
    if layer.step is None or weights is None or weights.data is None or scaled is None or weights.dtype == "int4":
        return
    values = weights.data.astype(np.int64) - (*scaled.zero_point, 0)[0]
    codes = np.moveaxis(values, layer.step.facts.layout.index("O"), 0).reshape(len(layer.low), -1)
    low, high = code_range(weights.dtype)
    small = (np.abs(codes).max(axis=1) <= FEW * (high - low + 1) / 2) & codes.any(axis=1)
    few = [channel for channel in np.flatnonzero(small).tolist() if channel not in layer.dead]
    if few and len(scaled.scale) == 1:
        used = (codes.max(axis=1) - codes.min(axis=1) + 1)[few]
        shown = ", ".join(map(str, used[:8])) + (" …" if len(few) > 8 else "")
        text = f"The weights of {_named(few, len(layer.low))} use {shown} of {high - low + 1} codes, since all "
        text += "channels share one scale: give each its own (per channel, as refengine quantize and TFLite's "
        text += "converter do)."
        lost = log2((high - low + 1) / 2 / float(np.abs(codes[few]).max()))
        yield _finding(layer, "weights", lost, text, few)


def _few_by_input(step: Step, unchanging: Mapping[int, set[int]]) -> dict[int, int]:
    """By the channels of a layer's input, as far as they change, the number of codes of the weights that read them,
    where those are few."""
    weights, data, layout = step.weights, step.data, step.facts.layout
    if weights is None or weights.data is None or data is None or "I" not in layout:
        return {}
    along = np.moveaxis(weights.data.astype(np.int64), layout.index("I"), 0)
    if weights.dtype == "int4" or len(along) != data.shape[-1]:  # of a grouped layer, they are no channels
        return {}
    low, high = code_range(weights.dtype)
    codes = along.reshape(len(along), -1)
    few = np.abs(codes).max(axis=1) <= FEW * (high - low + 1) / 2
    used = codes.max(axis=1) - codes.min(axis=1) + 1
    still = unchanging.get(data.index, set())
    return {channel: int(used[channel]) for channel in np.flatnonzero(few).tolist() if channel not in still}


def _named(channels: Sequence[int], count: int) -> str:
    shown = ", ".join(map(str, channels[:8])) + (f" … ({len(channels)} in all)" if len(channels) > 8 else "")
    return f"channel{'s' if len(channels) > 1 else ''} {shown} of {count}"


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
    yield _finding(
        layer, "overflow", lost, f"{text} Make the weights' or the input's scale larger, or the sum shorter."
    )


def _has_fixed_scale(layer: Layer) -> bool:
    """Whether TFLM prescribes the scale: nobody chose it badly, and probabilities may round to 0."""
    return layer.step is not None and bool(layer.step.facts.fixed_output)


def _spare_bits(layer: Layer) -> int:
    """How many bits the type has more than int8, which a layer may lose unnoticed."""
    return 8 * np.dtype(layer.tensor.dtype).itemsize - 8


def _worst(counts: Floats | Ints) -> str:
    """The channel that most of it happens in, in words, if there is one."""
    total, worst = float(counts.sum()), int(counts.argmax())
    if len(counts) == 1 or float(counts[worst]) < total / 2:
        return ""
    return f", {counts[worst] / total:.0%} of it in channel {worst}"
