"""Why a step's output differs: the step replayed on the device's own inputs under every dialect and known fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InferenceError, UnsupportedError
from ..identity import identity
from ..kernel import Numerics
from ..model import Array
from ..plan import Plan, Step
from ..state import State
from ..tensors.difference import unlike
from . import evidence
from .faults import EVERYWHERE, FAULTS, FITS, UNSEEN, Case, dialects

PARTIAL = 0.8
"""A cause that leaves more differences than this share is not even listed."""

CHOICE = evidence.MARGIN + 2
"""The bits that each choice but the first costs by which a dialect differs."""

BATCH_BYTES = 1 << 25
"""How much the outputs of one batch of hypotheses may take."""


OTHER_WEIGHTS = "if the device has other weights than this file's (an older model?)"
ANOTHER_INPUT = "if the device was fed another input than the one given (an earlier one?)"
GARBAGE = "if garbage lies over all of it"
STALE = "if the step never ran and its buffer still holds an earlier inference's (--previous, its dump, would tell)"
REMEMBERED = "if the inferences before left it another state"
ANYTHING = (OTHER_WEIGHTS, ANOTHER_INPUT, GARBAGE, STALE, REMEMBERED)
"""What explains whatever there is."""


@dataclass(frozen=True)
class Candidate:
    """A cause under which all but `remaining` of `total` differences vanish: `cause` is its id, `how` a clause.

    It lies in one of `steps` (none: in no one operator), `culprit` is that whose output was seen, and `numerics` the
    dialect, if the cause is one; `bits` is how far the differences that it explains outweigh chance, after all that was
    tried.
    """

    steps: tuple[Step, ...]
    cause: str
    how: str
    remaining: int
    total: int
    bits: float = 0
    numerics: Numerics | None = None
    culprit: Step | None = None

    @property
    def complete(self) -> bool:
        return self.remaining == 0

    @property
    def fits_anything(self) -> bool:
        """Whether it would explain whatever there is, and nothing speaks for it."""
        return self.how in ANYTHING and self.bits <= 0

    @property
    def share(self) -> float:
        return 1 - self.remaining / self.total

    @property
    def clause(self) -> str:
        """`how`, and where, if that is not the culprit."""
        if not self.steps or [step.index for step in self.steps] == [self.culprit and self.culprit.index]:
            return self.how
        return f"{self.how} in {' or '.join(map(str, self.steps))}"

    def __str__(self) -> str:
        if self.complete:
            return f"{_all(self.total)} {self.clause}"
        return f"{min(99.9, 100 * self.share):.3g} % of its {self.total:,} differences vanish {self.clause}"

    def as_dict(self) -> dict[str, Any]:
        places = [identity(step.op, step.subgraph) for step in self.steps]
        return {
            "operator": places[0] if len(places) == 1 else None,
            "operators": places,
            "cause": self.cause,
            "how": self.clause,
            "vanish": self.total - self.remaining,
            "of": self.total,
            "bits": round(self.bits, 1),
        }


def _all(total: int) -> str:
    return "its one difference vanishes" if total == 1 else f"all its {total:,} differences vanish"


def evaluated(step: Step, values: Mapping[int, Array], state: State) -> dict[int, Array]:
    """What one step that runs no subgraph makes of tensors by index, as their shapes have them: by index, too.

    Its memory is that of `state`; nothing is checked. Variables that it updates are as they are afterwards.
    """
    found = _batch(step, {t.index: values[t.index][np.newaxis] for t in step.inputs if t is not None}, state)
    return {i: x[0] for i, x in found.items()}


def _batch(step: Step, values: Mapping[int, Array], state: State) -> dict[int, Array]:
    """The same of batches."""
    arrays = (None if t is None else values[t.index] for t in step.inputs)
    memory = state.memory.get((step.subgraph, step.index), ())
    return {t.index: np.asarray(x) for t, x in zip(step.writes, step.evaluate(*arrays, *memory), strict=False)}


def _after(step: Step, known: Mapping[int, Array], found: Mapping[int, Array]) -> dict[int, Array]:
    """What is known once a step has run: what was known before stays as it is, but for variables."""
    return {**found, **known, **{t.index: found[t.index] for t in step.writes if t.is_variable}}


@dataclass(frozen=True, eq=False)
class Replay:
    """Steps to run again on `values`, by tensor index, for the tensor `output` of the last one; none runs a subgraph.

    The others are those before it whose outputs nobody saw. `images` are shapes that steps' data had before it was
    flattened, by the step's index. It is `unsure` whether the values are the device's, where nobody saw its input.
    """

    steps: Sequence[Step]
    values: Mapping[int, Array]
    output: int
    state: State
    images: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    unsure: bool = False

    def end(self) -> Array:
        """The output; others that `values` have are taken as they are."""
        known = self._run({i: x[np.newaxis] for i, x in self.values.items()})
        end: Array = known[self.output][0]
        return end

    def ends(self, tensor: int, ways: Sequence[Array]) -> list[Array | None]:
        """The output for each of the `ways` to fill a tensor, all at once; None where TFLM would fail."""
        known = {i: x[np.newaxis] for i, x in self.values.items()} | {tensor: np.stack(ways)}
        try:
            end = self._run(known)[self.output]
        except InferenceError:
            return [None] if len(ways) == 1 else [self.ends(tensor, [way])[0] for way in ways]
        return list(np.broadcast_to(end, (len(ways), *end.shape[1:])))

    def shown(self, tensor: int, seen: Array) -> Array | None:
        """What a tensor held where the output is what was `seen`, if the steps hand on its elements as they lie."""
        sound = self.values[tensor]
        if not all(step.facts.copies for step in self.steps) or seen.size != sound.size:
            return None
        places = np.arange(sound.size).reshape(sound.shape)
        marks = [(places >> bit & 1).astype(sound.dtype) for bit in range(max(1, sound.size.bit_length()))]
        ends = self.ends(tensor, marks)
        lie_alike = all(
            end is not None and np.array_equal(end.ravel(), x.ravel()) for end, x in zip(ends, marks, strict=True)
        )
        return seen.reshape(sound.shape) if lie_alike else None

    def _run(self, known: Mapping[int, Array]) -> Mapping[int, Array]:
        for step in self.steps:
            if any(t.index not in known or t.is_variable for t in step.outputs):
                known = _after(step, known, _batch(step, known, self.state))
        return known


def image_of(plan: Plan, step: Step) -> tuple[int, ...]:
    """(height, width, channels) of a step's data before it was flattened, if it was an image."""
    tensor = step.data or step.inputs[0]
    while tensor is not None and len(tensor.shape) != 4:
        writer = plan.writers.get(tensor.index)
        tensor = writer.inputs[0] if writer is not None and writer.facts.copies else None
    return tensor.shape[1:] if tensor is not None and tensor.shape[0] == 1 else ()


class Hypothesis(NamedTuple):
    """That a tensor `holds` something, for a `cause`; `how` is its clause, and `paid` the bits that were fitted.

    It is worth `most` bits, if that is less, and the output comes as `near` as so many steps.
    """

    cause: str
    how: str
    holds: Array
    paid: float = 0.0
    most: float = inf
    near: float = 0.0


def _batches(after: Replay, hypotheses: Sequence[Hypothesis]) -> Iterator[Sequence[Hypothesis]]:
    """As many at once as there is room for."""
    largest = [prod(t.shape) * 8 for step in after.steps for t in step.outputs] + [
        h.holds.nbytes for h in hypotheses[:1]
    ]
    size = max(1, BATCH_BYTES // (4 * max(largest, default=1)))
    for start in range(0, len(hypotheses), size):
        yield hypotheses[start : start + size]


@dataclass(eq=False)
class Trial:
    """A culprit's hypotheses on trial: what the output would be under each, against what was `seen`.

    `live` is where any of them changes a `sound` output, `tried` what they come to, and `found` are those that explain
    most of it.
    """

    replay: Replay
    seen: Array
    sound: Array
    live: npt.NDArray[np.bool_]
    tried: set[int] = field(default_factory=set)
    found: list[tuple[Candidate, Hypothesis]] = field(default_factory=list)

    @cached_property
    def total(self) -> int:
        """How many elements differ."""
        return int(unlike(self.sound, self.seen).sum())

    @classmethod
    def of(cls, replay: Replay, seen: Array) -> Trial:
        sound = replay.end()
        return cls(replay, seen, sound, unlike(sound, seen))

    def judge(
        self, end: Array | None, hypothesis: Hypothesis, step: Step | None, numerics: Numerics | None = None
    ) -> None:
        """Add a hypothesis whose output would be `end`."""
        if end is None or end.shape != self.seen.shape:
            return
        changed, apart = unlike(self.sound, end), unlike(end, self.seen)
        if hypothesis.near:
            apart &= evidence.steps(end, self.seen) > hypothesis.near
        self.live |= changed
        self.tried.add(hash(np.ascontiguousarray(end).tobytes()))
        remaining, total = int(apart.sum()), self.total
        if changed.any() and remaining <= (1 - PARTIAL) * total:
            steps, last = () if step is None else (step,), self.replay.steps[-1]
            candidate = Candidate(steps, hypothesis.cause, hypothesis.how, remaining, total, 0, numerics, last)
            self.found.append((candidate, hypothesis))

    def judge_all(self, after: Replay, tensor: int, hypotheses: Sequence[Hypothesis], step: Step | None) -> None:
        """Add hypotheses about what a tensor holds, with which `after` goes on."""
        for hypothesis, end in zip(hypotheses, self.ends(after, tensor, hypotheses), strict=True):
            self.judge(end, hypothesis, step)

    def ends(self, after: Replay, tensor: int, hypotheses: Sequence[Hypothesis]) -> Iterator[Array | None]:
        """The output under each."""
        for some in _batches(after, hypotheses):
            yield from after.ends(tensor, [h.holds for h in some])

    @property
    def tries(self) -> float:
        """What the hypotheses tried cost, in bits."""
        return float(np.log2(1 + len(self.tried)))

    def candidates(self) -> list[Candidate]:
        """Those that explain most of the differences, the best first."""
        worth = evidence.bits(self.sound, self.seen, self.live)
        weighed = [
            replace(c, bits=min(h.most, (self.beyond(h.near) if h.near else worth) - h.paid - self.tries))
            for c, h in self.found
        ]
        return ranked(_joined(weighed))

    def beyond(self, near: float) -> float:
        """What the differences are worth to a hypothesis that comes so near only."""
        steps = evidence.steps(self.sound, self.seen)
        return float((evidence.worth(steps) - evidence.worth(np.minimum(steps, near))).sum())


def _joined(found: Sequence[Candidate]) -> list[Candidate]:
    """What fits in several steps alike, as one."""
    together: dict[tuple[str, int, float], Candidate] = {}
    for c in found:
        key = c.how, c.remaining, c.bits
        before = together.setdefault(key, c)
        together[key] = replace(before, steps=tuple(dict.fromkeys((*before.steps, *c.steps))))
    return list(together.values())


def ranked(found: Sequence[Candidate]) -> list[Candidate]:
    """The best first; of those that are equally good, one of each cause before the second ones."""
    best: dict[tuple[tuple[Step, ...], str], Candidate] = {}
    for c in found:  # what a cause is worth as the way to try it that told most has it
        key = c.steps, c.how
        best[key] = min(best.get(key, c), c, key=lambda each: (each.remaining, -each.bits))
    unique = [*best.values()]
    before = Counter[tuple[int, int, str]]()
    places = []
    for candidate in unique:
        rank = candidate.remaining, -round(candidate.bits)
        kind = (*rank, candidate.cause)
        before[kind] += 1
        places.append((*rank, before[kind]))
    return [unique[i] for i in sorted(range(len(unique)), key=places.__getitem__)]


@lru_cache(maxsize=512)
def spoken(step: Step, numerics: Numerics) -> Step:
    """A step in another dialect; the same for every culprit that asks."""
    return step.prepared(numerics)


def cost(numerics: Numerics, base: Numerics) -> float:
    """What another dialect costs, in bits: the more choices it is from `base`."""
    apart = sum(getattr(numerics, field.name) != getattr(base, field.name) for field in fields(numerics))
    return float(CHOICE * (apart - 1))


def try_dialects(trial: Trial, plan: Plan) -> None:
    """All other dialects, in all steps of the replay."""
    for numerics, name in dialects(plan.numerics).items():
        try:
            end = replace(trial.replay, steps=[spoken(step, numerics) for step in trial.replay.steps]).end()
        except (UnsupportedError, InferenceError):
            continue
        (step, *more) = trial.replay.steps
        hypothesis = Hypothesis("dialect", f"under {name}", end, cost(numerics, plan.numerics))
        trial.judge(end, hypothesis, None if more else step, numerics)


def try_states(trial: Trial, states: Mapping[str, State]) -> None:
    """Other states than the one given, by what completes "its state …", where a step has any."""
    replay = trial.replay
    remembering = [s for s in replay.steps if s.memory or s.facts.updates]
    for how, state in states.items() if remembering else ():
        variables = {i: x[0] for (graph, i), x in state.variables.items() if graph == replay.steps[0].subgraph}
        values = {i: variables.get(i, x) for i, x in replay.values.items()}
        try:
            end = replace(replay, state=state, values=values).end()
        except InferenceError:
            continue
        (step, *more) = remembering
        trial.judge(end, Hypothesis("state", f"if its state {how}", end), None if more else step)


def try_faults(trial: Trial, numerics: Numerics, memory: Mapping[str, Array], dialect: str = "") -> None:
    """The known faults of each step's first output, supposing a `dialect`, if one is named."""
    replay, suffix = trial.replay, f", under {dialect}" if dialect else ""
    if dialect:
        replay = replace(replay, steps=[spoken(step, numerics) for step in replay.steps])
    known = dict(replay.values)
    for i, step in enumerate(replay.steps):
        arrays = tuple(None if t is None else known[t.index] for t in step.inputs)
        kept = replay.state.memory.get((step.subgraph, step.index), ())
        image, results = replay.images.get(step.index, ()), evaluated(step, known, replay.state)
        known = _after(step, known, results)
        last = step is replay.steps[-1]
        for output, tensor in enumerate(step.writes):
            sound = results[tensor.index]
            if tensor.index != replay.output if last else output >= len(step.outputs):
                continue
            after = replace(replay, steps=replay.steps[i + 1 :], values=known)
            shown = after.shown(tensor.index, trial.seen)
            case = Case(step, numerics, arrays, sound, shown, memory, image, output, kept)
            trial.judge_all(after, tensor.index, [h._replace(how=h.how + suffix) for h in _wrong(case)], step)
            fitted = [h._replace(how=h.how + suffix) for h in _fitted(case)]
            if replay.unsure or replay.steps[1:]:  # what an input or a step before has done may look like it
                fitted = [h._replace(most=evidence.CERTAIN - 1) for h in fitted]
            trial.judge_all(after, tensor.index, fitted, None if replay.steps[1:] else step)
        memory = {**memory, **{f"the output of {step}": results[t.index] for t in step.outputs[:1]}}
    _try_everywhere(trial, replay, numerics, suffix)


def _wrong(case: Case) -> Iterator[Hypothesis]:
    """Every fault that changes the output."""
    for cause, fault in (*FAULTS.items(), *UNSEEN.items()):
        for how, wrong in fault(case):
            if wrong is not None and wrong.shape == case.sound.shape and unlike(case.sound, wrong).any():
                yield Hypothesis(cause, how, wrong)


def _fitted(case: Case) -> Iterator[Hypothesis]:
    """Every fit."""
    for cause, fit in FITS.items() if case.seen is not None else ():
        for how, wrong, paid in fit(case):
            if wrong.shape == case.sound.shape:
                yield Hypothesis(cause, how, wrong, paid)


def _try_everywhere(trial: Trial, replay: Replay, numerics: Numerics, suffix: str) -> None:
    """Faults of whole libraries or files, in every step of the replay at once."""
    if len(replay.steps) < 2:
        return
    for cause in EVERYWHERE:
        for how in _forms(replay, numerics, FAULTS[cause]):
            known = dict(replay.values)
            try:
                for step in replay.steps:
                    known = {**evaluated(step, known, replay.state), **known}
                    known[step.outputs[0].index] = _form(step, numerics, known, FAULTS[cause], how)
            except InferenceError:
                continue
            end = known[replay.output]
            trial.judge(end, Hypothesis(cause, f"{how}, in every operator{suffix}", end), None)


def _forms(replay: Replay, numerics: Numerics, fault: Callable[[Case], Any]) -> list[str]:
    """The clauses of a fault that at least two steps know."""
    known, count = dict(replay.values), dict[str, int]()
    for step in replay.steps:
        known = {**evaluated(step, known, replay.state), **known}
        for how, _ in fault(_case(step, numerics, known)):
            count[how] = count.get(how, 0) + 1
    return [how for how, times in count.items() if times > 1]


def _form(step: Step, numerics: Numerics, known: Mapping[int, Array], fault: Callable[[Case], Any], how: str) -> Array:
    """A step's output by one form of a fault, or as it is if it has not that form."""
    case = _case(step, numerics, known)
    return next((wrong for form, wrong in fault(case) if form == how and wrong is not None), case.sound)


def _case(step: Step, numerics: Numerics, known: Mapping[int, Array]) -> Case:
    arrays = tuple(None if t is None else known[t.index] for t in step.inputs)
    return Case(step, numerics, arrays, known[step.outputs[0].index])
