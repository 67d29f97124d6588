"""The numerical health of a model, of integers above all: what layers lose, measured on data, and what to do about it.

    for result in refengine.health(plan, batches):  # after each batch, all so far
        print(*result.findings, sep="\\n")

For each layer, and each channel of it (the last axis of its output):

- **clamped**: the share of values cut off, below and above, by the fused activation (harmless: the float network clamps
  them too) or by the type (a loss). In layers that accumulate this is exact; elsewhere a value counts as cut off by the
  type if its real value lies more than one code outside.
- **range**: the codes that occur, and how many are never used.
- **accumulator**: the smallest and largest sum (bias included) that occurred, **measured** by running the layer's own
  kernel without its requantisation; and the **bound** Σ|w|·max|x| + |bias| that no input can exceed.
- **silent channels**: those whose code never changed on these data. They are **dead** if the weights, the biases and
  what the inputs can be prove that no input changes it (see `proof`), and **killed** by quantisation if the float value
  moves though the code does not.
- **own error**: against the layer's float reading on the quantised model's own inputs: the error that *enters* here.
- **total error**: against the whole float model, or the float reading of the whole graph: also what is *passed on*.

Of a model of floats there are ranges, channels that never move, what overflows, and what int8 would make of it (see
`floats`).

Errors are in codes, so that plain rounding is 1/√12 ≈ 0.29 of RMSE whatever the scale. What a finding is worth is
measured at the network's outputs (see `effect`), and orders the findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InferenceError, InputError
from ..execute import Record, batch_size, execute, frames, kept, require_tuple, tile_size
from ..identity import identity
from ..kernel import Numerics
from ..model import Array, Tensor
from ..numerics.quantize import FLOAT_MAX, code_range
from ..plan import Plan, Source, Step, plan_of
from ..reading.counterparts import (
    Pair,
    Values,
    check_comparable,
    computed,
    pair_of,
    same_tensors,
    same_variables,
    stands_alone,
)
from ..reading.float_reading import affine, as_codes, float_reading, is_quantized, real_values
from ..reading.inside import Counterpart, Moments, counterpart, itself
from ..state import State
from ..text import counted, html_lines, html_table, kind_of, printed
from . import text
from .decisions import Decision, decisions
from .effect import Effect, Experiment, Inference, Sampler, Samples
from .findings import Finding, decision_findings, findings_of
from .floats import FloatLayer, float_findings, measure_floats
from .layer import ROUNDING, Accumulator, At, Clamped, Errors, Layer, together
from .measure import Inside, Judge, measure, measure_inputs
from .proof import code_ranges, constant_channels
from .streams import Sequences, Streams, moment, walks

__all__ = [
    "ROUNDING",
    "Accumulator",
    "Clamped",
    "Effect",
    "Errors",
    "Finding",
    "FloatLayer",
    "Health",
    "Layer",
    "float_reading",
    "health",
]


@dataclass(frozen=True, eq=False)
class Health:
    """The layers of a model, measured on `inferences` inputs; `experiment` tells what errors do to the outputs.

    Those of a model of floats are `floats`, and there are no others. `decisions` are those of branches and loops, and
    `failed` tells of each inference in which the float model fails though this one does not, why.
    """

    plan: Plan
    inferences: int
    layers: tuple[Layer, ...]
    experiment: Experiment
    floats: tuple[FloatLayer, ...] = ()
    decisions: tuple[Decision, ...] = ()
    failed: tuple[str, ...] = ()

    @printed
    def __repr__(self) -> str:
        """Without the findings, which take an experiment."""
        on = f"on {counted(self.inferences, 'inference')}"
        if self.floats:
            return f"<Health of {counted(len(self.floats), 'layer')} of floats {on}>"
        totals = [(str(each), each.total.layer.rmse) for each in self.layers if each.total and not each.lives_on]
        errors = {name: float(rmse[0]) for name, rmse in totals}
        worst = max(errors, key=lambda name: errors[name], default="")
        most = worst and f", the largest total error, {errors[worst]:.2f} codes RMSE, in {worst}"
        return f"<Health of {counted(len(self.layers), 'layer')} {on}{most}>"

    def _repr_html_(self) -> str:
        headings, rows = text.table(self)
        told = (heading.replace("\n", " ").strip() for heading in headings)
        return html_table(repr(self), told, rows) + html_lines("findings", (*text.decided(self), *text.told(self)))

    @property
    def compared(self) -> tuple[int, int]:
        """How many of the operators' layers could be compared with the float model's, and how many there are."""
        totals = [layer.total is not None for layer in self.layers if layer.step is not None]
        return sum(totals), len(totals)

    @cached_property
    def unjudged(self) -> tuple[Step, ...]:
        """Of a partial plan, what nothing is said of: gaps, what depends on them, and what has no float32 kernel."""
        judged = {layer.key[:2] for layer in self.floats or self.layers if layer.step is not None}
        looked_at = (lambda tensor: tensor.dtype == "float32") if self.floats else is_quantized
        steps = (step for _, each in sorted(self.plan.plans.items()) for step in each.steps)
        meant = (step for step in steps if step.gap or any(map(looked_at, step.outputs)))
        return tuple(s for s in meant if (s.subgraph, s.index) not in judged) if self.plan.gaps else ()

    @cached_property
    def findings(self) -> list[Finding]:
        """All suspicious things: inputs that do not fit, then what alone brings the largest error to the outputs."""
        if self.floats:
            samples = self.experiment.samples if isinstance(self.experiment, Samples) else ()
            return [
                *decision_findings(self.plan, self.decisions, self.failed, self.inferences),
                *float_findings(self.plan, self.floats, self.inferences, samples),
            ]
        found = findings_of(self.layers, self.inferences, self.experiment)
        more = decision_findings(self.plan, self.decisions, self.failed, self.inferences)
        return sorted((*more, *found), key=lambda finding: finding.order)

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "inferences": self.inferences,
            "compared": self.compared,
            "layers": [layer.as_dict() for layer in self.floats or self.layers],
            "unjudged": [identity(step.op, step.subgraph) for step in self.unjudged],
            "gaps": [str(gap.gap) for gap in self.plan.gaps],
            "decisions": [decision.as_dict() for decision in self.decisions],
            "failed": [*self.failed],
            "findings": [finding.as_dict() for finding in self.findings],
        }


def _some(cases: Iterable[tuple[Array, ...]]) -> Iterator[tuple[Array, ...]]:
    """The cases; raises `InputError` behind the last one of none."""
    none = True
    for each in cases:
        none = False
        yield each
    if none:
        raise InputError("there are no cases, and nothing was measured: give tuples, with an array for each input")


def health(
    source: Source,
    cases: Iterable[tuple[Array, ...]],
    float_plan: Source | None = None,
    *,
    numerics: Numerics | str | None = None,
) -> Iterator[Health]:
    """Measure a model on `cases` (each the inputs of one run, single or a batch); yield the `Health` so far, again and
    again: the last one is the result.

    Inputs are codes, of the declared dtypes, or real values (float32) of quantised inputs, which are quantised here:
    only those tell what the input's type cuts off. `float_plan` is the float model to compare with, its tensors found
    as `counterparts` tells; without one, the comparison is with the float reading of the same graph. A model of floats
    is measured by itself. Where something lives on from one inference to the next, each of `cases` is a sequence, (T,
    …), and the next begins anew, in floats as well; variables are layers of their own, and a step that remembers is
    judged by the float reading's, on what it found. Layers of other subgraphs are measured in all runs of theirs, a
    loop's in all its rounds: their own errors on their own inputs, the total ones where floats came to the same run and
    round. `numerics` is for `make_plan`, where `source` is no plan yet.

    Raises `InputError` for a model without quantised or float32 layers, a `float_plan` beside one of floats, inputs
    that do not fit or are not finite, and a float model that does not belong to it; `UnsupportedError` for an operator
    without a float32 kernel, and `InferenceError` where TFLM's Invoke fails. Of a partial plan, what depends on a gap
    is left out (`Health.unjudged`), and so is an operator without a float32 kernel.
    """
    plan, float_plan = plan_of(source, numerics=numerics), None if float_plan is None else plan_of(float_plan)
    if not isinstance(cases, Iterable):
        raise InputError(f"the cases are {kind_of(cases)}; give tuples, with an array for each input")
    behind = plan.behind()
    steps = [step for _, each in sorted(plan.plans.items()) for step in each.steps]
    known = [(step, t) for step in steps for t in step.outputs if step.subgraph or t.index not in behind]
    if not any(is_quantized(tensor) for _, tensor in known):
        if float_plan is not None:
            raise InputError("the model is of floats itself: a float model is compared with a quantised one")
        if not any(tensor.dtype == "float32" for _, tensor in known):
            where = " that does without its gaps" if behind else ""
            raise InputError(f"the model has no quantised layer{where}, and none of float32: nothing can be measured")
        yield from _of_floats(plan, _some(cases))
        return
    for tensor in (*plan.inputs, *(tensor for _, tensor in known)):
        _check_scale(tensor)
    beside = _Beside.of(plan, float_plan, known)
    sampler, sequences = Sampler(), Sequences()
    done: tuple[Layer, ...] = ()
    decided: tuple[Decision, ...] = ()
    failed: tuple[str, ...] = ()
    count = 0
    for inputs in _some(cases):
        state, real_state = plan.initial, beside.reference.initial
        sequences.begin()
        for codes, reals in _inferences(plan, inputs, count):
            batch = batch_size(plan, codes) or 1
            fed = tuple(x.reshape(batch, *t.shape) for x, t in zip(reals, plan.inputs, strict=True))
            floats = beside.floats(fed, real_state)
            records = _records(plan, codes, state, count)
            state, real_state = records[-1].state if records else state, floats.state
            done = together(done, [*beside.inputs(codes, floats), *beside.layers(records, batch, floats)])
            decided = together(decided, [*beside.decisions(records, floats)])
            count += batch
            if floats.error:
                failed = (*failed, floats.error)
            else:
                (sequences if plan.initial else sampler).add(fed)
            chosen = sequences.chosen if plan.initial else tuple((each,) for each in sampler.chosen)
            yield Health(plan, count, done, beside.experiment(chosen), (), decided, failed)


class _Floats(NamedTuple):
    """What the float model made of one inference, or a batch: its values by the quantised plan's indices, the records
    (none of one that takes one step after the other), its state afterwards, and why it fails where it does."""

    values: Values
    records: Moments
    state: State
    error: str = ""


@dataclass(frozen=True, eq=False)
class _Beside:
    """A quantised model beside floats: what belongs together, made once.

    `reading` is its float reading, `reference` that or another model, `same` tells which tensors those are, and
    `counterpart` those of other subgraphs; `pairs` and `own` the steps of the main graph, in the reference and in the
    reading; `judges` and `constant` are for `measure`.
    """

    plan: Plan
    reading: Plan
    reference: Plan
    same: Mapping[int, int]
    counterpart: Counterpart
    pairs: Mapping[int, Pair]
    own: Mapping[int, Pair]
    judges: Mapping[At, Judge]
    constant: Mapping[At, npt.NDArray[np.bool_]]

    @classmethod
    def of(cls, plan: Plan, float_plan: Plan | None, known: Sequence[tuple[Step, Tensor]]) -> _Beside:
        """`known` are the tensors that depend on no gap, with their steps."""
        reading = float_reading(plan)
        reference, same = reading, itself(plan)
        if float_plan is not None:
            reference, same = float_plan, _counterparts(float_plan, plan)
        inside = counterpart(plan, reference, same, reference is reading)
        made = [
            (step, t) for step, t in known if is_quantized(t) and stands_alone(step) and not _real(reading, step).gap
        ]
        main = [(step, t) for step, t in made if not step.subgraph]
        pairs = {t.index: pair for step, t in main if (pair := _pair(reference, step, t, same))}
        judges = {}
        for step, t in made:
            theirs = reading.plans[step.subgraph]
            if pair := _pair(theirs, step, t, itself(theirs)):
                judges[step.subgraph, t.index] = Judge(theirs, pair)
        own = {index: judge.pair for (graph, index), judge in judges.items() if not graph}
        if float_plan is not None:
            judges |= {(0, i): Judge(reference, pair, judges[0, i]) for i, pair in pairs.items() if (0, i) in judges}
        ranges = {graph: code_ranges(each) for graph, each in plan.plans.items()}
        quantized = (*((0, t) for t in plan.inputs if is_quantized(t)), *((step.subgraph, t) for step, t in made))
        constant = {(graph, t.index): constant_channels(t, ranges[graph][t.index]) for graph, t in quantized}
        return cls(plan, reading, reference, same, inside, pairs, own, judges, constant)

    def floats(self, inputs: tuple[Array, ...], state: State) -> _Floats:
        """What the float model makes of real `inputs`, (N, *shape) each."""
        reference, records, error = self.reference, Moments(), ""
        found: Values = {**reference.constants, **dict(zip(reference.graph.inputs, inputs, strict=True))}
        if not walks(reference):
            found = computed(reference.steps, found)
        else:
            try:
                found, records, state = moment(reference, inputs, state)
            except InferenceError as failure:
                error, state = str(failure), failure.state
        return _Floats({i: found[j] for i, j in self.same.items() if j in found}, records, state, error)

    def inputs(self, codes: Iterable[Array], floats: _Floats) -> Iterator[Layer]:
        """The layers of the inputs."""
        return measure_inputs(self.plan, codes, floats.values, self.constant)

    def layers(self, records: Iterable[Record], batch: int, floats: _Floats) -> Iterator[Layer]:
        """What the steps wrote."""
        inside = Inside(self.counterpart, floats.records)
        return measure(self.plan, self.reading, self.judges, records, batch, floats.values, inside, self.constant)

    def decisions(self, records: Iterable[Record], floats: _Floats) -> Iterator[Decision]:
        """What branches and loops decided, beside the float model's."""
        return decisions(records, floats.records.values(), self.counterpart)

    def experiment(self, sequences: tuple[tuple[Inference, ...], ...]) -> Experiment:
        """What errors do to the outputs, on some sequences, of one inference each where nothing lives on."""
        plan = self.plan
        made: Callable[..., Experiment] = partial(Samples, samples=tuple(one for one, *_ in sequences))
        if walks(plan):
            made = partial(Streams, sequences=sequences)
        by_reading = made(plan, self.reading, itself(plan), self.own, None)
        if self.reference is self.reading:
            return by_reading
        return made(plan, self.reference, self.same, self.pairs, by_reading)


def _pair(plan: Plan, step: Step, output: Tensor, same: Mapping[int, int]) -> Pair | None:
    """The float steps of `pair_of`, if all of them stand alone, so that they can be run by themselves."""
    pair = pair_of(plan, step, output, same)
    return pair if pair is not None and all(map(stands_alone, pair.float_steps)) else None


def _real(reading: Plan, step: Step) -> Step:
    """The float reading's step that stands for the quantised one."""
    return reading.plans[step.subgraph].steps[step.index]


def _of_floats(plan: Plan, cases: Iterable[tuple[Array, ...]]) -> Iterator[Health]:
    """`health` of a model of floats."""
    sampler = Sampler()
    done: tuple[FloatLayer, ...] = ()
    decided: tuple[Decision, ...] = ()
    count = 0
    for inputs in cases:
        state = plan.initial
        for part, _ in _inferences(plan, inputs, count):
            batch = batch_size(plan, part) or 1
            records = _records(plan, part, state, count)
            state = records[-1].state if records else state
            done = together(done, [*measure_floats(plan, part, batch, records)])
            decided = together(decided, [*decisions(records, ())])
            count += batch
            if not walks(plan):  # an effect is of one step after the other
                sampler.add(tuple(x.reshape(batch, *t.shape) for x, t in zip(part, plan.inputs, strict=True)))
            experiment = Samples(plan, plan, {}, {}, None, tuple(sampler.chosen))
            yield Health(plan, count, (), experiment, done, decided)


def _records(plan: Plan, codes: tuple[Array, ...], state: State, first: int) -> list[Record]:
    """All records of what runs at once, as many as there is room for, where only running it tells how many.

    Raises `InferenceError` where TFLM's Invoke fails, with the inference's number, which is `first` for the first one.
    """
    records = execute(plan, *codes, state=state)
    try:
        return [*(kept(plan, records) if walks(plan) else records)]
    except InferenceError as error:
        error.args = (f"inference {first + int(np.argmax(error.rows))} (from 0): {error}",)
        raise


def _inferences(
    plan: Plan, inputs: tuple[Array, ...], first: int
) -> Iterator[tuple[tuple[Array, ...], tuple[Array, ...]]]:
    """What runs at once, as codes and as real values: a tile of a batch, or each inference by itself, where something
    lives on or subgraphs run. The `first` of them has that number."""
    codes, reals = _both(plan, inputs, first)
    if walks(plan):
        sequence = frames(plan, codes)
        for i, frame in enumerate(sequence):
            pairs = zip(reals, frame, strict=True)
            yield frame, tuple(x.reshape(len(sequence), *one.shape)[i] for x, one in pairs)
    else:
        yield from _parts(plan, codes, reals)


def _check_scale(tensor: Tensor) -> None:
    """Refuse a tensor whose codes stand for no finite real values: there is nothing to compare with."""
    if is_quantized(tensor):
        scale, zero_point = affine(tensor)
        largest = max(abs(code - zero_point) for code in code_range(tensor.dtype))
        if not 0 < scale * largest <= FLOAT_MAX:
            raise InputError(
                f"tensor {tensor.index} '{tensor.name}' has the scale {scale:g}, by which its codes stand for no "
                "finite real values; convert the model again"
            )


def _both(plan: Plan, inputs: tuple[Array, ...], first: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Inputs as codes, and as the real values that were given or that the codes stand for."""
    require_tuple(inputs)
    if wrong := [type(x).__name__ for x in inputs if not isinstance(x, np.ndarray)]:
        raise InputError(f"the inputs hold a {wrong[0]}; give NumPy's arrays")
    given = dict(enumerate(inputs))
    for i, (x, tensor) in enumerate(zip(inputs, plan.inputs, strict=False)):
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            odd = int(np.argwhere(~np.isfinite(x))[0][0]) if x.ndim == len(tensor.shape) > 0 else 0
            raise InputError(
                f"input '{tensor.name}' is given NaN or infinity in inference {first + odd} (from 0); health measures "
                "finite values"
            )
        if x.dtype.kind == "f" and is_quantized(tensor):
            given[i] = as_codes(x, tensor)
    reals = (
        x.astype(np.float32) if x.dtype.kind == "f" else real_values(x, tensor)
        for x, tensor in zip(inputs, plan.inputs, strict=False)
    )
    return tuple(given.values()), tuple(reals)


def _parts(
    plan: Plan, codes: tuple[Array, ...], reals: tuple[Array, ...]
) -> Iterator[tuple[tuple[Array, ...], tuple[Array, ...]]]:
    """The inputs, in tiles if they are a long batch."""
    batch, tile = batch_size(plan, codes), tile_size(plan)
    if batch is None:
        yield codes, reals
        return
    for start in range(0, batch, tile):
        part = slice(start, start + tile)
        yield tuple(x[part] for x in codes), tuple(x[part] for x in reals)


def _counterparts(float_plan: Plan, plan: Plan) -> dict[int, int]:
    """Index of a tensor → of the float model's, which must take real values where this one takes codes."""
    kinds = [("float32" if is_quantized(t) else t.dtype, t.shape) for t in plan.inputs]
    if kinds != [(t.dtype, t.shape) for t in float_plan.inputs]:
        wanted = ", ".join(f"'{t.name}' {t.shape}" for t in plan.inputs)
        raise InputError(f"the float model's inputs are not float32 ones of the quantised model's shapes: {wanted}")
    if not walks(plan):
        check_comparable(float_plan)
    same = same_tensors(float_plan, plan)
    return same_variables(float_plan, plan, same) | same
