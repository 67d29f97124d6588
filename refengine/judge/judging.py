"""The judgement: every step of a dump against the golden model, culprits told from victims, and a verdict for each."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InferenceError, InputError, UnsupportedError
from ..execute import Record, batch_size, execute, kept, require_room_for_all
from ..explanation import explain
from ..kernel import PRESETS, Numerics
from ..model import Array
from ..plan import Plan, Source, Step, make_plan, plan_of
from ..reading.counterparts import stands_alone
from ..state import State
from ..tensors.difference import Difference, difference, unlike
from ..text import counted
from .crcs import with_proven
from .dumps import Dump, dump_of, read_dump, unshifted
from .evidence import CERTAIN
from .faults import dialects
from .faults.memory import CHUNK, DENSE, LINE
from .feeding import fed
from .inputs import suspected, try_element, try_far, try_inputs, try_shown
from .preparation import Preparation
from .records import record_of, set_up
from .remembering import assumed, state_meant, states_instead, wrong_end, wrong_start
from .report import Finding, Report, Status
from .sample import Sample, sample_of
from .verdict import (
    ANOTHER_INPUT,
    GARBAGE,
    OTHER_WEIGHTS,
    REMEMBERED,
    STALE,
    Candidate,
    Hypothesis,
    Replay,
    Trial,
    cost,
    evaluated,
    image_of,
    ranked,
    spoken,
    try_dialects,
    try_faults,
    try_states,
)

FEW = 8
"""Elements that an output must have for it to be said that most of them are alike."""

SHOWN = 3
"""How many outputs to name that hardly move."""

NEARLY = 0.99
"""What explains that share of an operator's differences leaves no room for other weights, though it is no cause."""


Dumped = Dump | str | os.PathLike[str] | Mapping[Any, npt.ArrayLike]
"""What `diff` takes for a dump: one that was read, the path of one (see `read_dump`), or a mapping of arrays, see
`dump_of`."""


def diff(
    source: Source,
    dump: Dumped,
    *inputs: Array,
    numerics: Numerics | str | None = None,
    previous: Dumped | None = None,
    state: State | None = None,
    older: Sequence[State] = (),
) -> Report:
    """Judge `dump`, the path of one or just arrays by their tensors' names or indices, by a model.

        refengine.diff("model.tflite", {"t25": y}, image)

    `numerics` is the dialect that the device is meant to compute, where `source` is no plan yet: by default that of the
    recording, or TFLM's own. `inputs` are what the device was fed, as `run` takes them; the dump's own inputs if left
    out. `previous` is a dump of an inference before, whose values a stale buffer may hold.

    What lives from one inference to the next should have begun as `state` has it, by default as `previous` was left, or
    as in the first inference. Steps are judged by what a recording tells that its inference found, whether that is
    right or not; a variable in `dump` is what this inference left in it. `older` are the states before the inferences
    up to then, the latest last: a device may have one of them still.

    Of a partial plan, the dump's tensors behind the gaps are taken as they are, and the rest is judged on them.

    Raises `InputError` if there are no inputs, they do not fit, or no step's output is in the dump, and what
    `make_plan`, `read_dump` and `dump_of` raise.
    """
    plan, dump = _both(source, dump, numerics)
    previous = None if previous is None else _read(plan, previous)
    given = bool(inputs)
    inputs = inputs or _inputs_of(plan, dump)
    if batch_size(plan, inputs) is not None and any(
        x.shape != t.shape for x, t in zip(inputs, plan.inputs, strict=True)
    ):
        raise InputError("the input is a batch; a dump is of one inference")
    require_room_for_all(plan)
    known = state is not None
    state, whose = state_meant(plan, dump, previous, state)
    others = states_instead(plan, state, inputs, older, previous)
    dump = with_proven(plan, dump, state, others, *inputs)
    begun = state.holding(dump.found)
    taken = {
        t.index: dump.tensors[t.index] for s in _unjudged(plan, dump) for t in s.outputs if t.index in dump.tensors
    }
    golden = {
        t.index: x
        for record in kept(plan, execute(plan, *inputs, state=state, known=taken))
        if not record.path  # tensors of other subgraphs have numbers of their own
        for t, x in zip(record.step.writes, (*record.outputs, *record.updates), strict=True)
        if t.index not in record.unknown
    }
    dump = _signed(dump, golden)
    if not any(t.index in dump.tensors for step in plan.steps for t in step.outputs):
        raise InputError(f"{dump.name} holds no operator's output that fits; {[*dump.problems, 'only the input'][0]}")
    meant = {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
    constants = {t.index: t.data for t in plan.graph.tensors if t.data is not None}
    values = {**constants, **meant, **{i: x for i, x in dump.tensors.items() if i not in constants}}
    values.update((i, x[0]) for (graph, i), x in begun.variables.items() if graph == plan.graph.index)
    values.update(_fixed(plan, golden, dump))
    samples = {t.index: sample_of(plan, x, k) for k, (t, x) in enumerate(zip(plan.inputs, inputs, strict=True))}
    before = previous.tensors if previous else {}
    earlier = {t.index: [sample_of(plan, before[t.index], k)] for k, t in enumerate(plan.inputs) if t.index in before}
    untold = plan.initial.named().keys() - dump.found.keys()
    evidence = _Evidence(
        plan, dump, golden, values, begun, previous, samples if given else {}, earlier, others if untold else {}, untold
    )
    wrong = [
        fed(sample, dump.tensors[i], earlier.get(i, [])) for i, sample in evidence.samples.items() if i in dump.tensors
    ]
    findings = _anything(evidence, _together(list(_second_look(evidence))))
    notes = (
        *_notes(plan, dump, evidence),
        *assumed(plan, dump, state, whose, previous, known),
        *_unshown(plan, golden),
    )
    end = () if plan.gaps or evidence.failing else wrong_end(plan, evidence.after, dump)
    held = (*wrong_start(plan, state, dump, others, whose), *end)
    return Report(plan, dump, tuple(findings), notes, tuple(each for each in wrong if not each.right), held)


def _read(plan: Plan, dump: Dumped) -> Dump:
    """What somebody calls a dump, as one."""
    if isinstance(dump, Dump):
        return dump
    if isinstance(dump, Mapping):
        return dump_of(plan, dump, "the mapping")
    if isinstance(dump, str | os.PathLike):
        return read_dump(plan, dump)
    raise InputError(
        f"a dump is a path, or arrays by their tensors' names or indices, such as {{'t{plan.outputs[0].index}': y}}, "
        f"not of the type {type(dump).__name__}"
    )


def _both(source: Source, dump: Dumped, numerics: Numerics | str | None) -> tuple[Plan, Dump]:
    """The plan to judge by, and the dump read by it."""
    plan = plan_of(source, numerics=numerics)
    dump = _read(plan, dump)
    said = str(dump.meta.get("numerics") or "").partition(" ")[0]
    if isinstance(source, Plan) or numerics is not None or not said:
        return plan, dump
    if said not in PRESETS:
        raise InputError(f"{dump.name} was recorded under the unknown numerics '{said}'; choose some by `numerics`")
    return make_plan(plan.model, numerics=said), dump


def with_weights_of(report: Report, others: Iterable[tuple[str, Plan]], *inputs: Array) -> Report:
    """The report, with the first of `others`, plans by name, whose network computes all that the dump holds.

    `inputs` are those given to `diff`, if any were. Plans of networks with other tensors are passed over.
    """
    dump, shape = report.dump, _shape(report.plan)
    if not report.culprits:
        return report
    fed = tuple(dump.tensors.get(t.index, x) for t, x in zip(report.plan.inputs, inputs, strict=bool(inputs)))
    for name, plan in others:
        if _shape(plan) == shape and _computes(plan, dump, fed or _inputs_of(plan, dump)):
            return replace(report, weights_of=name)
    return report


def _shape(plan: Plan) -> list[tuple[str, tuple[int, ...], bool]]:
    """What two files of one network have in common."""
    return [(t.dtype, t.shape, t.data is None) for t in plan.graph.tensors]


def _computes(plan: Plan, dump: Dump, inputs: tuple[Array, ...]) -> bool:
    """Whether a plan gives all the outputs that a dump holds."""
    state = plan.initial.holding(dump.found)
    records = [record for record in execute(plan, *inputs, state=state) if not record.path]
    given = {t.index: x for r in records for t, x in zip(r.step.outputs, r.outputs, strict=True)}
    seen = [i for i in dump.tensors if i in given]
    return bool(seen) and not any(unlike(np.asarray(given[i]), dump.tensors[i]).any() for i in seen)


def _signed(dump: Dump, golden: Mapping[int, Array]) -> Dump:
    """The dump with unsigned numbers read as codes in one of two ways, whichever is closer to the golden model."""
    tensors = dict(dump.tensors)
    for index in dump.unsigned & golden.keys():
        other = unshifted(dump, index)
        if unlike(golden[index], other).sum() < unlike(golden[index], tensors[index]).sum():
            tensors[index] = other
    return replace(dump, tensors=tensors)


def _unjudged(plan: Plan, dump: Dump) -> list[Step]:
    """The steps of which nobody knows what is right: the gaps of a partial plan, and what depends on one otherwise than
    by tensors that are in the dump."""
    lost, behind = plan.lost(dump.tensors), plan.behind(dump.tensors)
    return [s for s in plan.steps if s in lost or any(t is not None and t.index in behind for t in s.inputs)]


def _inputs_of(plan: Plan, dump: Dump) -> tuple[Array, ...]:
    missing = [tensor.name for tensor in plan.inputs if tensor.index not in dump.tensors]
    if missing:
        names = ", ".join(map(repr, missing))
        raise InputError(f"{dump.name} does not hold the input {names}; give it by --input, in Python behind the dump")
    return tuple(dump.tensors[tensor.index] for tensor in plan.inputs)


@dataclass(eq=False)
class _Evidence:
    """What there is to judge by: `golden` and the device's `values` by tensor index, and the `state`.

    `samples` are the inputs that the device should have had, `earlier` those of the inference before, by tensor index;
    `others` the states that it may have begun with instead, by what completes "its state …"; `untold` is what of the
    state the device does not tell, by name. The values are completed, and variables and state brought up to date, as
    steps go by; `after` is the last state, but for variable tensors, which are among the values. `failing` are the
    steps that cannot run on what the device gave them, and why; `unwritten`, how many elements of a step's outputs TFLM
    leaves as they are, which the dump has as sound ones once they are judged.
    """

    plan: Plan
    dump: Dump
    golden: Mapping[int, Array]
    values: dict[int, Array]
    state: State
    previous: Dump | None
    samples: Mapping[int, Sample]
    earlier: Mapping[int, list[Sample]]
    others: Mapping[str, State]
    untold: Collection[str]
    failing: dict[Step, str] = field(default_factory=dict)
    unwritten: dict[Step, int] = field(default_factory=dict)
    after: State = field(default_factory=State)

    @cached_property
    def suspected(self) -> Mapping[int, list[Preparation]]:
        """What inputs may have held that are not in the dump, by tensor index."""
        absent = {i: sample for i, sample in self.samples.items() if i not in self.dump.tensors}
        return {i: suspected(sample, self.earlier.get(i, [])) for i, sample in absent.items()}

    def sound(self, step: Step) -> Record:
        """What a sound kernel makes of the device's own inputs."""
        return record_of(self.plan, step, self.values, self.state)

    def fed_unseen(self, finding: Finding) -> bool:
        """Whether a culprit or one of its suspects reads an input of the network that is not in the dump."""
        read = {t.index for step in finding.suspects for t in step.inputs if t is not None}
        return any(i in read and i not in self.dump.tensors for i in self.samples)

    def explanations(
        self, finding: Finding, values: Mapping[int, Array], under: Mapping[Numerics, str] | None = None
    ) -> list[Candidate]:
        """The candidates for a culprit, the best first; see `candidates` for `under`."""
        tensor, own = finding.tensor.index, finding.own
        if own is None:
            return []
        if finding.step.facts.resource:
            return [] if under else self._explanations_of_state(finding, values)
        if finding.step.facts.control:
            return [] if under else self._explanations_inside(finding, values)
        alone = all(stands_alone(step) for step in finding.suspects)
        steps = finding.suspects if alone else (finding.step,)
        written = {t.index for step in steps for t in step.outputs if not t.is_variable}
        read = {t.index for step in steps for t in step.inputs if t is not None} - written
        images = {step.index: image_of(self.plan, step) for step in steps}
        replay = Replay(steps, {i: values[i] for i in read}, tensor, self.state, images, self.fed_unseen(finding))
        trial = Trial.of(replay, self.dump.tensors[tensor])
        memory = _memory(self, tensor)
        if under is None:
            unseen = [i for i in self.samples if i in replay.values and i in self.suspected]
            for index in unseen:
                try_inputs(trial, index, self.suspected[index])
                try_shown(trial, index, self.samples[index], self.earlier.get(index, []))
                try_element(trial, index, self.samples[index])
            try_dialects(trial, self.plan)
            try_states(trial, self.others)
            try_faults(trial, self.plan.numerics, memory)
            for how in _overwritten(self, finding):
                told = Hypothesis("overwritten", how, trial.seen, most=CERTAIN - 1)  # of the bytes it says nothing
                trial.judge(trial.seen, told, finding.step)
            if not any(candidate.complete for candidate, _ in trial.found):
                for index in unseen:
                    try_far(trial, index, self.suspected[index])
        for numerics, name in (under or {}).items():
            try_faults(trial, numerics, memory, name)
        return trial.candidates()

    def _explanations_of_state(self, finding: Finding, values: Mapping[int, Array]) -> list[Candidate]:
        """Of a step that reads a resource variable: what it holds in other states."""
        step, tensor = finding.step, finding.tensor.index
        read = {t.index: values[t.index] for t in step.inputs if t is not None}
        seen, sound = self.dump.tensors[tensor], record_of(self.plan, step, values, self.state).outputs[0]
        trial = Trial(Replay((step,), read, tensor, self.state), seen, sound, unlike(sound, seen))
        once = [each for each in self.plan.steps[: step.index] if each.facts.control == "once"]
        for how, state in self.others.items():
            end = record_of(self.plan, step, values, set_up(self.plan, state, once)).outputs[0]
            trial.judge(end, Hypothesis("state", f"if its state {how}", end), step)
        return trial.candidates()

    def _explanations_inside(self, finding: Finding, values: Mapping[int, Array]) -> list[Candidate]:
        """Of a step that runs subgraphs: the other dialects, in all that it runs. Faults in there are not tried."""
        step, tensor = finding.step, finding.tensor.index
        place = [t.index for t in step.outputs].index(tensor)
        read = {t.index: values[t.index] for t in step.inputs if t is not None}
        replay = Replay((step,), read, tensor, self.state, {}, self.fed_unseen(finding))
        seen, sound = self.dump.tensors[tensor], record_of(self.plan, step, values, self.state).outputs[place]
        trial = Trial(replay, seen, sound, unlike(sound, seen))
        for numerics, name in dialects(self.plan.numerics).items():
            try:
                end = record_of(_spoken_inside(self.plan, step, numerics), step, values, self.state).outputs[place]
            except (UnsupportedError, InferenceError):
                continue
            hypothesis = Hypothesis("dialect", f"under {name}", end, cost(numerics, self.plan.numerics))
            trial.judge(end, hypothesis, step, numerics)
        return trial.candidates()


def _spoken_inside(plan: Plan, step: Step, numerics: Numerics) -> Plan:
    """The plan with another dialect in the subgraphs that a step runs; raises `UnsupportedError` where there is none
    for an operator in there."""
    spoken(step, numerics)
    changed = dict(plan.subplans)
    for graph in plan.reached(step):
        inner = plan.plans[graph]
        changed[graph] = replace(inner, steps=tuple(spoken(each, numerics) for each in inner.steps))
    return replace(plan, subplans=changed)


def _fixed(plan: Plan, golden: Mapping[int, Array], dump: Dump) -> dict[int, Array]:
    """What depends on shapes and constants only, and is not in the dump: the same on every device."""
    fixed: dict[int, Array] = {}
    for step in plan.steps:
        outputs = [t.index for t in step.outputs if t.index not in dump.tensors]
        known = stands_alone(step) and all(t is None or t.data is not None or t.index in fixed for t in step.inputs)
        if known or step.facts.shapes_only:
            fixed |= {output: golden[output] for output in outputs}
    return fixed


def _judged(evidence: _Evidence) -> Iterator[tuple[Finding, Mapping[int, Array]]]:
    """A finding for each tensor that a step writes, and the values that the step read.

    What is absent is computed from what is there, and joins the values.
    """
    tensors = evidence.dump.tensors
    unseen: dict[int, tuple[Step, ...]] = {}  # by tensor: the absent steps that computed it
    last = {t.index: step for step in evidence.plan.steps for t in step.writes}
    unjudged = {*_unjudged(evidence.plan, evidence.dump)}
    for step in evidence.plan.steps:
        if step in unjudged:
            statuses: list[Status] = ["unjudged" if t.index in tensors else "absent" for t in step.outputs]
            yield from ((Finding(step, i, status), evidence.values) for i, status in enumerate(statuses))
            continue
        before = _merged(unseen.get(t.index, ()) for t in step.inputs if t is not None)
        values = dict(evidence.values)
        try:
            record = evidence.sound(step)
        except InferenceError as error:  # of what the device gave it, as an index that is out of range
            evidence.failing[step] = str(error)
            for output, tensor in enumerate(step.outputs):
                if tensor.index not in tensors:
                    evidence.values[tensor.index] = evidence.golden[tensor.index]
                    unseen[tensor.index] = (*before, step)
                yield Finding(step, output, "unjudged" if tensor.index in tensors else "absent"), values
            continue
        for output, (tensor, sound) in enumerate(zip(step.writes, (*record.outputs, *record.updates), strict=True)):
            if tensor.index in tensors and last[tensor.index] is step:
                yield _judgement(evidence, record, output, before), values
                evidence.values[tensor.index] = tensors[tensor.index]
                continue
            if tensor.is_variable or tensor.index not in values:
                evidence.values[tensor.index] = sound
                unseen[tensor.index] = (*before, step)
            if output < len(step.outputs):
                yield Finding(step, output, "absent"), values
        evidence.state = record.state


def _judgement(evidence: _Evidence, record: Record, output: int, before: tuple[Step, ...]) -> Finding:
    """The finding for a tensor that is in the dump; `before` are the absent steps that computed what its step read."""
    step, tensor = record.step, record.step.writes[output]
    seen, sound = evidence.dump.tensors[tensor.index], (*record.outputs, *record.updates)[output]
    mask = record.undefined[output] if output < len(record.undefined) else None
    if mask is not None and mask.any():
        evidence.unwritten[step] = evidence.unwritten.get(step, 0) + int(mask.sum())
        seen = np.where(mask, sound, seen)
        evidence.dump = replace(evidence.dump, tensors={**evidence.dump.tensors, tensor.index: seen})
    total = difference(tensor, evidence.golden[tensor.index], seen)
    own = difference(tensor, sound, seen)
    if total is None:
        return Finding(step, output, "same")
    if own is None:
        return Finding(step, output, "victim", total)
    finding = Finding(step, output, "culprit", total, own, (*before, step))
    found = tuple(evidence.explanations(finding, evidence.values))
    finding = replace(finding, candidates=found)
    told = explain(evidence.plan, record, own.first, output) if finding.certainty == "open" else None
    return replace(finding, told=told)


def _second_look(evidence: _Evidence) -> Iterator[Finding]:
    """Culprits that nothing explains, tried again under the dialects that explain others."""
    state = evidence.state
    judged = list(_judged(evidence))
    findings = [finding for finding, _ in judged]
    spoken = {
        c.numerics: c.how.removeprefix("under ")
        for f in findings
        for c in (*f.fitting[:1], *f.rivals)
        if c.numerics and f.own
    }
    evidence.after, evidence.state = evidence.state, state  # kernels' memory as it was
    for finding, values in judged:
        if not spoken or finding.own is None or any(candidate.complete for candidate in finding.candidates):
            yield finding
            continue
        more = evidence.explanations(finding, values, spoken)
        found = tuple(ranked([*finding.candidates, *more]))
        second = replace(finding, candidates=found)
        yield second if second.certainty == "open" else replace(second, told=None)


def _together(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with what explains all culprits first: one cause is one finding, and its evidence adds up."""
    culprits = [finding for finding in findings if finding.status == "culprit"]
    if len(culprits) > 1:
        shared = [c.how for c in culprits[0].fitting if all(_fit(other, c.how) for other in culprits)]
        bits = {how: sum(max(0.0, _fit(finding, how)[0].bits) for finding in culprits) for how in shared}
        findings = [replace(f, candidates=tuple(ranked(_weighed(f.candidates, bits)))) for f in findings]
    return list(findings)


def _weighed(candidates: Sequence[Candidate], shared: Mapping[str, float]) -> list[Candidate]:
    """With the bits of those that are `shared`, if any is; else each of several culprits has a cause of its own."""
    return [
        replace(c, bits=shared[c.how] if c.complete and c.how in shared else min(c.bits, 0.0) if shared else c.bits)
        for c in candidates
    ]


def _fit(finding: Finding, how: str) -> list[Candidate]:
    return [candidate for candidate in finding.fitting if candidate.how == how]


def _anything(evidence: _Evidence, findings: Sequence[Finding]) -> list[Finding]:
    """The findings with what explains anything, and so proves nothing: other weights, another input, or garbage.

    Other weights say something where several operators with constants are wrong, none of the others, and nothing else
    explains all of them.
    """
    culprits = [finding for finding in findings if finding.status == "culprit"]
    weighty = culprits and all(any(step.weights is not None for step in f.suspects) for f in culprits)
    spared = [f for f in findings if f.status in ("same", "victim") and f.step.weights is None]
    open_ = (f for f in culprits if not f.fitting and not any(c.share >= NEARLY for c in f.candidates))
    told = len(culprits) > 1 and any(open_)
    bits = min(CERTAIN - 1, 4.0 * len(culprits) + min(len(spared), 4)) if told else 0.0

    def added(finding: Finding) -> Finding:
        if finding.status != "culprit" or finding.own is None:
            return finding
        more = [Candidate((), "other weights", OTHER_WEIGHTS, 0, finding.own.count, bits)] if weighty else []
        if evidence.fed_unseen(finding):
            more.append(Candidate((), "input", ANOTHER_INPUT, 0, finding.own.count))
        last = _unknown_memory(evidence, finding, finding.own)  # behind what can be said of computations
        return replace(finding, candidates=(*ranked([*finding.candidates, *more]), *last))

    return list(map(added, findings))


def _unknown_memory(evidence: _Evidence, finding: Finding, own: Difference) -> Iterator[Candidate]:
    """What nobody knows: what a culprit remembers, and what may lie in its buffer, garbage or an earlier inference."""
    made = partial(Candidate, remaining=0, total=own.count, culprit=finding.step)
    remembering = tuple(s for s in finding.suspects if _remembers(s, evidence.state)) if evidence.untold else ()
    if remembering:
        yield made(remembering, cause="state", how=REMEMBERED)
    if own.count > 1 and evidence.dump.tensors[finding.tensor.index].nbytes <= LINE:
        yield made((finding.step,), cause="overwritten", how=GARBAGE)
    if own.count > DENSE * own.size and evidence.previous is None:
        yield made((finding.step,), cause="stale buffer", how=STALE)


def _remembers(step: Step, state: State) -> bool:
    """Whether a step's outputs depend on what inferences before have left."""
    kept = (step.subgraph, step.index) in state.memory
    return kept or bool(step.facts.updates) or step.facts.resource == "read"


def _merged(chains: Iterator[tuple[Step, ...]]) -> tuple[Step, ...]:
    """Steps in order, each once."""
    return tuple(sorted({step for chain in chains for step in chain}, key=lambda step: step.index))


def _memory(evidence: _Evidence, mine: int) -> dict[str, Array]:
    """What may lie in a buffer that nobody wrote, by what one would call it; the latest first.

    Tensors that are not in the dump are as a sound device computes them from what is. Later outputs of the same run are
    among it, for a device may have had the same input before; but not what a sound run copies from this very buffer.
    """
    plan, golden = evidence.plan, evidence.golden
    constant = {t.index for t in plan.graph.tensors if t.data is not None}
    tensors = {i: x for i, x in {**evidence.values, **evidence.dump.tensors}.items() if i not in constant}
    makers = {t.index: f"the output of {step}" for step in plan.steps for t in step.outputs}
    makers |= {tensor.index: f"input '{tensor.name}'" for tensor in plan.inputs}
    found = [i for i in tensors if i in makers and i != mine]
    found = [i for i in found if i not in golden or not _copied(golden[mine], golden[i])]
    held = {makers[i]: tensors[i] for i in sorted(found, key=lambda i: (i > mine, -i))}
    before = evidence.previous.tensors if evidence.previous else {}
    return held | {f"{makers[i]} in the previous run": x for i, x in before.items() if i in makers}


def _copied(mine: Array, other: Array) -> bool:
    """Whether `other` holds the bytes of `mine`, or most of them in pieces."""
    raw, bytes_ = mine.tobytes(), other.tobytes()
    pieces = {raw[i : i + CHUNK] for i in range(0, len(raw), CHUNK)}
    return raw in bytes_ or 2 * sum(piece in bytes_ for piece in pieces) > len(pieces) > 1


def _overwritten(evidence: _Evidence, finding: Finding) -> Iterator[str]:
    """Whether a later operator computed the golden output, which needs the golden values that are not in the dump."""
    tensor, golden, tensors = finding.tensor.index, evidence.golden, evidence.dump.tensors
    if finding.tensor.is_variable:  # its own operator reads it before, and writes it
        return
    for reader in filter(stands_alone, evidence.plan.steps):
        inputs, output = [t.index for t in reader.inputs if t is not None], reader.outputs[0].index
        if tensor not in inputs or output not in tensors or any(i not in evidence.values for i in inputs):
            continue
        healed, wrong = (
            _bytes_of(reader, output, values, evidence.state)
            for values in ({**evidence.values, tensor: golden[tensor]}, evidence.values)
        )
        if tensors[output].tobytes() == golden[output].tobytes() == healed != wrong:
            yield f"if its buffer was reused after {reader} had read the right values from it, and before it was dumped"
            return


def _bytes_of(step: Step, output: int, values: Mapping[int, Array], state: State) -> bytes | None:
    """Of what a step makes of values; None where TFLM's Invoke would fail on them."""
    try:
        return evaluated(step, values, state)[output].tobytes()
    except InferenceError:
        return None


def _notes(plan: Plan, dump: Dump, evidence: _Evidence) -> Iterator[str]:
    """What one should know about the comparison besides its result."""
    yield from dump.notes
    for tensor in plan.inputs:
        if tensor.index not in dump.tensors:
            yield f"input '{tensor.name}' is not in the dump; the one given stood in for it"
    unjudged = _unjudged(plan, dump)
    for gap in plan.gaps:
        yield f"a gap, which nobody judges: {gap.gap}"
    if unjudged:
        numbers = ", ".join(str(step.index) for step in unjudged)
        yield f"not judged, and taken as they are in the dump, if there: the outputs of operators {numbers}"
    absent = {s.index: s for s in plan.steps if any(t.index not in dump.tensors for t in s.outputs)}
    absent = {index: step for index, step in absent.items() if step not in unjudged and step not in evidence.failing}
    for step, elements in evidence.unwritten.items():
        yield f"not compared: {counted(elements, 'element')} of {step}, which TFLM leaves unwritten"
    for step, why in evidence.failing.items():
        yield f"{step} is not judged, for on what the device gave it TFLM's Invoke would fail: {why}"
    if absent:
        numbers = ", ".join(map(str, absent))
        yield f"not in the dump, and computed from what is there: the outputs of operators {numbers}"
    if dump.recomputed:
        fetched = len(dump.tensors) - len(dump.recomputed) - len(plan.inputs)
        yield f"tensors fetched: {fetched}; the others are proved by their CRC"


def _unshown(plan: Plan, golden: Mapping[int, Array]) -> Iterator[str]:
    """Which outputs hardly move with this input, so that a fault in them would not show."""
    still = []
    for step in plan.steps:
        output = golden.get(step.outputs[0].index) if step.outputs else None
        if output is None or output.size < FEW or step.facts.copies or step.facts.shapes_only:
            continue
        most = int(np.unique(np.asarray(output), return_counts=True)[1].max())
        if 4 * most >= 3 * output.size:
            still.append(f"{most:,} of {output.size:,} elements of {step}")
    if still:
        more = f", and most of {len(still) - SHOWN} more outputs" if len(still) > SHOWN else ""
        yield f"what this input cannot show well: faults in {', '.join(still[:SHOWN])}{more}, which all hold one value"
