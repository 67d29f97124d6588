"""Where an inference is more than one step after the other, for something lives on or subgraphs run: all tensors of
an inference, and what an error does then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import InferenceError
from ..execute import NONE, Record, execute, kept
from ..model import Array
from ..plan import Plan, Step
from ..reading.counterparts import Values, own_error, rows, stands_alone
from ..reading.float_reading import as_codes, real_values
from ..reading.inside import Moments
from ..state import State
from .effect import SAMPLES, Effect, Experiment, Inference, Where, compared, kept_of, only_in, rounding_error


def walks(plan: Plan) -> bool:
    """Whether an inference is more than one step after the other: something lives on, or subgraphs run."""
    return bool(plan.initial) or any(step.facts.control for step in plan.steps)


class Sequences:
    """Keeps the first `SAMPLES` inferences of a stream, in the sequences they came in."""

    def __init__(self) -> None:
        self._kept: list[list[Inference]] = []

    def begin(self) -> None:
        """The next inference begins anew."""
        self._kept.append([])

    def add(self, reals: Inference) -> None:
        """The real inputs of one inference, (1, *shape) each."""
        if sum(map(len, self._kept)) < SAMPLES:
            self._kept[-1].append(reals)

    @property
    def chosen(self) -> tuple[tuple[Inference, ...], ...]:
        return tuple(tuple(each) for each in self._kept if each)


class Moment(NamedTuple):
    """One inference of a sequence: every tensor of the main graph by its index, as kernels take them (a variable as it
    is afterwards), the record of each step, and the state that the next one begins with."""

    values: Values
    records: Moments
    state: State


def moment(plan: Plan, inputs: Sequence[Array], state: State, known: Mapping[int, Array] = NONE) -> Moment:
    """The inference of `inputs`, (1, *shape) each, that begins with `state`; `known` is as for `execute`."""
    values, records = dict(plan.constants), Moments()
    values.update(zip(plan.graph.inputs, inputs, strict=True))
    fed = (x.reshape(tensor.shape) for x, tensor in zip(inputs, plan.inputs, strict=True))
    for record in kept(plan, execute(plan, *fed, known=known, state=state)):
        state = record.state
        records[record.path, record.step.index] = record
        if not record.path:
            written = zip(record.step.writes, (*record.outputs, *record.updates), strict=True)
            values.update((tensor.index, x.reshape(1, *tensor.shape)) for tensor, x in written)
    return Moment(values, records, state)


def by_float_step(step: Step, record: Record) -> tuple[Array, ...]:
    """What the float reading's `step` makes of what the quantised one found in `record`, of what lived on as well: its
    outputs, then the variables that it updates, (1, *shape) each."""
    found = zip(record.inputs, record.step.inputs, strict=True)
    inputs = [None if x is None or t is None else real_values(x.reshape(1, *t.shape), t) for x, t in found]
    (tensor, *_) = record.step.writes
    memory = (real_values(x, tensor) if x.dtype == tensor.dtype else x for x in _memory(record))
    return step.evaluate(*inputs, *memory)


def by_codes(plan: Plan, step: Step, record: Record) -> tuple[Array, ...]:
    """The other way round: the real values of what `plan`'s quantised `step` makes of what its float reading found."""
    inputs = [
        None if x is None or t is None else plan.constants.get(t.index, as_codes(x.reshape(1, *t.shape), t))
        for x, t in zip(record.inputs, step.inputs, strict=True)
    ]
    (tensor, *_) = step.writes
    memory = (as_codes(x, tensor) if x.dtype == np.float32 else x for x in _memory(record))
    return tuple(real_values(x, t) for x, t in zip(step.evaluate(*inputs, *memory), step.writes, strict=False))


def in_codes(plan: Plan, step: Step, real: Step, place: Where) -> Step:
    """The float reading's step `real`, but in the channels of `place`: there, what `plan`'s `step` makes of its inputs
    in codes."""
    (graph, index), _ = place
    constants, channels = plan.plans[graph].constants, kept_of(place, plan)

    def evaluate(params: Any, *arrays: Array | None) -> tuple[Array, ...]:
        codes = [
            None if x is None or t is None else constants.get(t.index, as_codes(x, t))
            for x, t in zip(arrays, step.inputs, strict=True)
        ]
        results = [np.array(x) for x in real.evaluate(*arrays)]
        for tensor, x, coded in zip(step.outputs, results, step.evaluate(*codes), strict=True):
            if tensor.index == index:
                x[channels] = real_values(coded, tensor)[channels]
        return tuple(results)

    return replace(real, kernel=replace(real.kernel, evaluate=evaluate))


def _memory(record: Record) -> Iterator[Array]:
    """As kernels take it: of one inference, records hold it without the batch axis."""
    return (x[np.newaxis] for x in record.memory)


@dataclass(frozen=True, eq=False)
class Streams(Experiment):
    """On `sequences`: the error is made anew in each inference, and what it leaves behind for the next ones counts.

    What a step that remembers adds, and a layer of another subgraph, is tried in the float reading only, for what lives
    on in another model may mean something else.
    """

    sequences: tuple[tuple[Inference, ...], ...]

    def effects(self, places: Sequence[Where]) -> tuple[Effect | None, list[Effect | None]]:
        """As everywhere; what nothing is known of beside another model is tried beside the float reading."""
        everything, alone = super().effects(places)
        if self.by_reading is None or everything is None:
            return everything, alone
        left = [place for place, effect in zip(places, alone, strict=True) if effect is None]
        tried = dict(zip(left, self.by_reading.effects(left)[1], strict=True)) if left else {}
        return everything, [tried.get(place, effect) for place, effect in zip(places, alone, strict=True)]

    def _parts(self, places: Sequence[Where]) -> Iterator[list[Effect | None]]:
        for sequence in self.sequences:
            with suppress(InferenceError):  # of floats, that began where others had failed
                yield self._on(sequence, places)

    def _on(self, sequence: Sequence[Inference], places: Sequence[Where]) -> list[Effect | None]:
        plan, reference = self.plan, self.reference
        floats = list(self._moments(sequence))
        outputs = self._outputs(floats[0].values)
        if not outputs:
            return [None] * (1 + len(places))
        targets = [self.same[i] for i in outputs]
        wanted = np.concatenate([rows(reference, each.values, targets) for each in floats])
        got, state = [], plan.initial
        for reals in sequence:
            codes = [as_codes(x, tensor) for x, tensor in zip(reals, plan.inputs, strict=True)]
            values, _, state = moment(plan, codes, state)
            got.append(rows(plan, values, outputs))

        def alone(place: Where) -> Effect | None:
            try:
                changed = [rows(reference, values, targets) for values in self._changed(sequence, place, floats)]
            except InferenceError:  # of a loop that no longer ends
                return None
            return compared(plan, np.concatenate(changed), wanted) if changed else None

        return [compared(plan, np.concatenate(got), wanted), *map(alone, places)]

    def _moments(self, sequence: Sequence[Inference]) -> Iterator[Moment]:
        state = self.reference.initial
        for reals in sequence:
            found = moment(self.reference, reals, state)
            state = found.state
            yield found

    def _error(self, index: int, found: Moment) -> Array | None:
        """What the layer that computes a tensor adds in one inference to the float model's values of it."""
        if index in self.plan.graph.inputs:
            return rounding_error(self.plan.graph.tensors[index], found.values[self.same[index]])
        step = self.plan.writers.get(index)
        if step is not None and not stands_alone(step):
            if self.by_reading is not None or step.facts.control:
                return None
            made = by_codes(self.plan, step, found.records[(), step.index])
            theirs: Array = made[step.op.outputs.index(index)] - np.float64(found.values[index])
            return theirs
        pair = self.pairs.get(index)
        if pair is None or not found.values.keys() >= {*pair.reads.values()}:
            return None
        return own_error(self.plan, self.reference, pair, found.values)

    def _changed(self, sequence: Sequence[Inference], place: Where, floats: Sequence[Moment]) -> Iterator[Values]:
        """The float model's values in each inference with the error of one place alone; none where it is not known."""
        (graph, index), _ = place
        if graph:
            return self._with_codes(sequence, place)
        errors = [self._error(index, each) for each in floats]
        found = [only_in(error, place, self.plan) for error in errors if error is not None]
        return self._with_errors(sequence, self.same[index], found) if len(found) == len(floats) else iter(())

    def _with_codes(self, sequence: Sequence[Inference], place: Where) -> Iterator[Values]:
        """A layer of another subgraph is computed as the quantised model does, whenever it runs; decisions follow."""
        (graph, index), _ = place
        step = self.plan.plans[graph].writers.get(index)
        if self.by_reading is not None or step is None or not stands_alone(step):
            return
        inner = self.reference.plans[graph]
        real = in_codes(self.plan, step, inner.steps[step.index], place)
        steps = tuple(real if each.index == step.index else each for each in inner.steps)
        subplans = {**self.reference.subplans, graph: replace(inner, steps=steps)}
        reference, state = replace(self.reference, subplans=subplans), self.reference.initial
        for reals in sequence:
            found = moment(reference, reals, state)
            state = found.state
            yield found.values

    def _with_errors(self, sequence: Sequence[Inference], target: int, errors: Sequence[Array]) -> Iterator[Values]:
        """The float model's values if an error is added to one tensor in each inference."""
        reference, state = self.reference, self.reference.initial
        for reals, error in zip(sequence, errors, strict=True):
            if target in reference.graph.inputs:
                place = reference.graph.inputs.index(target)
                reals = tuple((x + error).astype(np.float32) if i == place else x for i, x in enumerate(reals))
                found = moment(reference, reals, state)
            else:
                before = moment(reference, reals, state).values[target]
                found = moment(reference, reals, state, {target: (before + error).astype(np.float32)[0]})
            state = found.state
            yield found.values
