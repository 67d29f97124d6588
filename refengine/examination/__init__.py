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

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..errors import InputError, require
from ..execute import batch_size, execute, frames, require_tuple, tile_size
from ..identity import identity
from ..kernel import Numerics
from ..model import Array, Tensor
from ..numerics.quantize import FLOAT_MAX, code_range
from ..plan import Plan, Source, State, Step, plan_of
from ..reading.counterparts import Values, check_comparable, computed, pair_of, same_tensors, stands_alone
from ..reading.float_reading import affine, as_codes, float_reading, is_quantized, real_values
from ..text import counted, html_lines, html_table, kind_of, printed
from . import text
from .effect import Effect, Experiment, Sampler, Samples
from .findings import Finding, findings_of
from .floats import FloatLayer, float_findings, measure_floats
from .layer import ROUNDING, Accumulator, Clamped, Errors, Layer
from .measure import Judge, measure, measure_inputs
from .proof import code_ranges, constant_channels
from .streams import Sequences, Streams, moment

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

    Those of a model of floats are `floats`, and there are no others.
    """

    plan: Plan
    inferences: int
    layers: tuple[Layer, ...]
    experiment: Experiment
    floats: tuple[FloatLayer, ...] = ()

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
        return html_table(repr(self), told, rows) + html_lines("findings", text.told(self))

    @property
    def compared(self) -> tuple[int, int]:
        """How many of the operators' layers could be compared with the float model's, and how many there are."""
        totals = [layer.total is not None for layer in self.layers if layer.step is not None]
        return sum(totals), len(totals)

    @cached_property
    def unjudged(self) -> tuple[Step, ...]:
        """Of a partial plan, what nothing is said of: gaps, what depends on them, and what has no float32 kernel."""
        judged = {layer.step.index for layer in self.floats or self.layers if layer.step is not None}
        looked_at = (lambda tensor: tensor.dtype == "float32") if self.floats else is_quantized
        meant = (step for step in self.plan.steps if step.gap or any(map(looked_at, step.outputs)))
        return tuple(step for step in meant if step.index not in judged) if self.plan.gaps else ()

    @cached_property
    def findings(self) -> list[Finding]:
        """All suspicious things: inputs that do not fit, then what alone brings the largest error to the outputs."""
        if self.floats:
            samples = self.experiment.samples if isinstance(self.experiment, Samples) else ()
            return float_findings(self.plan, self.floats, self.inferences, samples)
        return findings_of(self.layers, self.inferences, self.experiment)

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "inferences": self.inferences,
            "compared": self.compared,
            "layers": [layer.as_dict() for layer in self.floats or self.layers],
            "unjudged": [identity(step.op, step.subgraph) for step in self.unjudged],
            "gaps": [str(gap.gap) for gap in self.plan.gaps],
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
    judged by the float reading's, on what it found. `numerics` is for `make_plan`, where `source` is no plan yet.

    Raises `InputError` for a model without quantised or float32 layers, a `float_plan` beside one of floats, inputs
    that do not fit or are not finite, and a float model that does not belong to it; `UnsupportedError` for an operator
    without a float32 kernel, and for a model that runs subgraphs, but by CALL_ONCE. Of a partial plan, what depends on
    a gap is left out (`Health.unjudged`), and so is an operator without a float32 kernel.
    """
    plan, float_plan = plan_of(source, numerics=numerics), None if float_plan is None else plan_of(float_plan)
    if not isinstance(cases, Iterable):
        raise InputError(f"the cases are {kind_of(cases)}; give tuples, with an array for each input")
    for step in plan.steps:
        require(
            step.facts.control in ("", "once"), f"{step} runs other subgraphs, and health looks at the main one alone"
        )
    behind = plan.behind()
    known = [(step, tensor) for step in plan.steps for tensor in step.outputs if tensor.index not in behind]
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
    reading = float_reading(plan)
    itself = {t.index: t.index for t in plan.graph.tensors}
    reference, same = (reading, itself) if float_plan is None else (float_plan, _counterparts(float_plan, plan))
    made = [
        (step, t) for step, t in known if is_quantized(t) and stands_alone(step) and not reading.steps[step.index].gap
    ]
    pairs = {tensor.index: pair for step, tensor in made if (pair := pair_of(reference, step, tensor, same))}
    own = {tensor.index: pair for step, tensor in made if (pair := pair_of(reading, step, tensor, itself))}
    judges = {i: Judge(reading, pair) for i, pair in own.items()}
    if float_plan is not None:
        judges |= {i: Judge(reference, pair, judges[i]) for i, pair in pairs.items() if i in judges}
    ranges = code_ranges(plan)
    quantized = (*filter(is_quantized, plan.inputs), *(tensor for _, tensor in made))
    constant = {tensor.index: constant_channels(tensor, ranges[tensor.index]) for tensor in quantized}
    sampler, sequences = Sampler(), Sequences()
    done: tuple[Layer, ...] = ()
    count = 0
    for inputs in _some(cases):
        state, real_state = plan.initial, reference.initial
        sequences.begin()
        for codes, reals in _inferences(plan, inputs, count):
            batch = batch_size(plan, codes) or 1
            fed = tuple(x.reshape(batch, *t.shape) for x, t in zip(reals, plan.inputs, strict=True))
            floats, real_state = _floats(reference, same, fed, real_state)
            records = list(execute(plan, *codes, state=state))
            state = records[-1].state if records else state
            layers = (
                *measure_inputs(plan, codes, floats, constant),
                *measure(plan, reading, judges, records, batch, floats, constant),
            )
            done = tuple(map(Layer.__add__, done, layers)) if done else layers
            count += batch
            (sequences if plan.initial else sampler).add(fed)
            experiment: Callable[..., Experiment] = (
                partial(Streams, sequences=sequences.chosen)
                if plan.initial
                else partial(Samples, samples=tuple(sampler.chosen))
            )
            by_reading = experiment(plan, reading, itself, own, None)
            other = experiment(plan, reference, same, pairs, by_reading)
            yield Health(plan, count, done, by_reading if float_plan is None else other)


def _of_floats(plan: Plan, cases: Iterable[tuple[Array, ...]]) -> Iterator[Health]:
    """`health` of a model of floats."""
    sampler = Sampler()
    done: tuple[FloatLayer, ...] = ()
    count = 0
    for inputs in cases:
        state = plan.initial
        for part, _ in _inferences(plan, inputs, count):
            batch = batch_size(plan, part) or 1
            layers, state = measure_floats(plan, part, batch, state)
            done = tuple(map(FloatLayer.__add__, done, layers)) if done else tuple(layers)
            count += batch
            if not plan.initial:  # an effect is of one inference
                sampler.add(tuple(x.reshape(batch, *t.shape) for x, t in zip(part, plan.inputs, strict=True)))
            yield Health(plan, count, (), Samples(plan, plan, {}, {}, None, tuple(sampler.chosen)), done)


def _inferences(
    plan: Plan, inputs: tuple[Array, ...], first: int
) -> Iterator[tuple[tuple[Array, ...], tuple[Array, ...]]]:
    """What runs at once, as codes and as real values: a tile of a batch, or each inference of a sequence, where
    something lives on. The `first` of them has that number."""
    codes, reals = _both(plan, inputs, first)
    if plan.initial:
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
    if not plan.initial:
        check_comparable(float_plan)
    return same_tensors(float_plan, plan)


def _floats(reference: Plan, same: Mapping[int, int], inputs: tuple[Array, ...], state: State) -> tuple[Values, State]:
    """The float model's values by the quantised plan's indices, and its state afterwards."""
    if reference.initial:
        found, _, state = moment(reference, inputs, state)
    else:
        found = computed(
            reference.steps, {**reference.constants, **dict(zip(reference.graph.inputs, inputs, strict=True))}
        )
    return {mine: found[yours] for mine, yours in same.items() if yours in found}, state
