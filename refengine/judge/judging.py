"""The judgement: every step of a dump against the golden model, culprits told from victims, and a verdict for each."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..errors import InputError
from ..execute import Record, batch_size, execute, kept, require_room_for_all
from ..explanation import Explanation, explain
from ..identity import identity
from ..kernel import Numerics
from ..model import Array, Tensor
from ..plan import Plan, State, Step, frozen, require_whole
from ..reading.counterparts import check_comparable, stands_alone
from ..tensors.difference import Difference, difference
from .dumps import Dump
from .faults import CHUNK
from .verdict import Candidate, Replay, candidates, evaluated

Status = Literal["same", "victim", "culprit", "absent", "unjudged"]


@dataclass(frozen=True)
class Finding:
    """What is known of a tensor that a step writes: `output` counts its outputs, and the variables it updates on.

    `status`: ``same`` as the golden model; a ``victim`` differs only because its inputs do; a ``culprit`` differs from
    a sound kernel on the device's own inputs; ``absent`` from the dump; ``unjudged``, as nobody knows what it should
    be: of a partial plan's gap, or behind one, and so taken as it is. `total` is the difference from the golden
    model, `own` that of a culprit on its own inputs, with the `candidates` that may explain it and, where none of them
    explains all of it, how the first differing element should have come about (`told`).
    `suspects` are the steps that may be at fault: besides this one those before it that are absent.
    """

    step: Step
    output: int
    status: Status
    total: Difference | None = None
    own: Difference | None = None
    suspects: tuple[Step, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    told: Explanation | None = None

    @property
    def tensor(self) -> Tensor:
        return self.step.writes[self.output]

    @property
    def verdict(self) -> str:
        """One sentence about a culprit."""
        if self.own is None:
            return ""
        if self.candidates:
            return str(self.candidates[0])
        first = list(self.own.first)
        differences = "one difference" if self.own.count == 1 else f"{self.own.count:,} differences"
        return (
            f"nothing explains its {differences}: a real bug, first at {first}, "
            f"where the device has {_shown(self.own.theirs)} and a sound kernel {_shown(self.own.mine)}"
        )

    @property
    def entry(self) -> str:
        """The operator at fault, or those of which one is."""
        known = [c.step for c in self.candidates[:1] if c.complete] or self.suspects
        return " or ".join(f"{step.index} {step.name}" for step in known)

    def as_dict(self) -> dict[str, Any]:
        return {
            "operator": identity(self.step.op, self.step.subgraph),
            "outputs": [identity(self.tensor, self.step.subgraph)],
            "status": self.status,
            "total": self.total and self.total.as_dict(),
            "own": self.own and self.own.as_dict(),
            "suspects": [identity(step.op, step.subgraph) for step in self.suspects],
            "candidates": [candidate.as_dict() for candidate in self.candidates],
            "verdict": self.verdict,
            "explanation": self.told and self.told.as_dict(),
        }


@dataclass(frozen=True, eq=False)
class Report:
    """A dump judged: a finding for each tensor that a step writes, and `notes`, sentences about the dump."""

    plan: Plan
    dump: Dump
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def culprits(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.status == "culprit"]

    @property
    def differs(self) -> bool:
        """Whether anything differs, or did not have its tensor's type or shape."""
        return bool(self.dump.problems) or any(f.status in ("victim", "culprit") for f in self.findings)

    @cached_property
    def causes(self) -> list[str]:
        """The clauses that explain everything about every culprit, the best first."""
        found = [[c.how for c in f.candidates if c.complete] for f in self.culprits]
        return [how for how in found[0] if all(how in others for others in found)] if found else []

    @property
    def dialects(self) -> dict[Numerics, str]:
        """Those of the `causes` that are dialects."""
        candidates = self.culprits[0].candidates if self.culprits else ()
        return {c.numerics: c.how for c in candidates if c.numerics and c.how in self.causes}

    @property
    def summary(self) -> str:
        """The verdict on the whole dump, in one sentence."""
        steps = {finding.step for finding in self.findings}
        seen = {finding.step for finding in self.findings if finding.status not in ("absent", "unjudged")}
        victims = len({finding.step for finding in self.findings if finding.status == "victim"})
        count = f"{len(seen)} of {len(steps)} operators compared"
        if not self.culprits:
            rest = "; the rest of the dump does not fit" if self.dump.problems else ""
            return f"{count}: {'all differences come from other inputs' if victims else 'no difference'}{rest}."
        wrong = ", ".join(dict.fromkeys(finding.entry for finding in self.culprits))
        passed = f", passed on to {victims} more" if victims else ""
        cause = f"; everything vanishes {', or '.join(self.causes[:2])}" if self.causes else ""
        return f"{count}: the fault enters at {wrong}{passed}{cause}."

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "dump": self.dump.name,
            "sha256": self.plan.model.sha256,
            "numerics": str(self.plan.numerics),
            "recording": dict(self.dump.meta),
            "differs": self.differs,
            "summary": self.summary,
            "causes": self.causes,
            "dialects": [*map(str, self.dialects)],
            "notes": [*self.notes],
            "problems": [*self.dump.problems],
            "steps": [finding.as_dict() for finding in self.findings],
        }


def diff(plan: Plan, dump: Dump, *inputs: Array, previous: Dump | None = None, state: State | None = None) -> Report:
    """Judge `dump` by `plan`, whose dialect is what the device is meant to compute.

    `inputs` are what the device was fed, as `run` takes them; the dump's own inputs if left out. `previous` is a dump
    of an inference before, whose values a stale buffer may hold. What lives from one inference to the next began as
    `state` has it, by default as in the first inference, with the variables that `previous` was left with; a variable
    in `dump` is what this inference left in it. Of a partial plan, the dump's tensors behind the gaps are taken as they
    are, and the rest is judged on them.

    Raises `InputError` if there are no inputs, they do not fit, or no step's output is in the dump.
    """
    inputs = inputs or _inputs_of(plan, dump)
    if batch_size(plan, inputs) is not None and any(
        x.shape != t.shape for x, t in zip(inputs, plan.inputs, strict=True)
    ):
        raise InputError("the input is a batch; a dump is of one inference")
    require_room_for_all(plan)
    state = _before(plan, previous) if state is None else state
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
    if not any(t.index in dump.tensors for step in plan.steps for t in step.outputs):
        raise InputError(f"{dump.name} holds no operator's output that fits; {[*dump.problems, 'only the input'][0]}")
    fed = {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
    given = {t.index: t.data for t in plan.graph.tensors if t.data is not None}
    values = {**given, **fed, **{i: x for i, x in dump.tensors.items() if i not in given}}
    values.update((i, x[0]) for (graph, i), x in state.variables.items() if graph == plan.graph.index)
    values.update(_fixed(plan, golden, dump))
    findings = _second_look(_Evidence(plan, dump, golden, values, state, previous))
    notes = (*_notes(plan, dump, fed), *_assumed(plan, state))
    return Report(plan, dump, tuple(findings), notes)


def _unjudged(plan: Plan, dump: Dump) -> list[Step]:
    """The steps of which nobody knows what is right: the gaps of a partial plan, and what depends on one otherwise than
    by tensors that are in the dump."""
    lost, behind = plan.lost(dump.tensors), plan.behind(dump.tensors)
    return [s for s in plan.steps if s in lost or any(t is not None and t.index in behind for t in s.inputs)]


def _before(plan: Plan, previous: Dump | None) -> State:
    """The state that an inference begins with: the first one's, and the variables as `previous` was left with them."""
    state = plan.initial
    for graph, tensor in state.variables if previous else ():
        if graph == plan.graph.index and previous and tensor in previous.tensors:
            state = state.with_variable(graph, tensor, frozen(previous.tensors[tensor][np.newaxis]))
    return state


def tapped(
    plan: Plan, crc: Callable[[int], int | None], fetch: Callable[[int], Array], *inputs: Array, name: str = "device"
) -> Dump:
    """A dump of a live device that sends as little as possible.

    `crc(k)` is the CRC-32 of operator k's output on the device (None if it does not run that operator, whose output is
    then not in the dump), `fetch(k)` the tensor. An output that has the CRC of what a sound kernel makes of the
    device's own inputs need not be sent: only culprits are fetched. Raises `InputError` if inputs do not fit, or a
    tensor is not what its operator writes.
    """
    batch_size(plan, inputs)
    require_whole(plan, "judging by CRCs")
    check_comparable(plan)
    values = {t.index: t.data for t in plan.graph.tensors if t.data is not None}
    values.update((t.index, x) for t, x in zip(plan.inputs, inputs, strict=True))
    absent, recomputed = set(), set()
    for step in plan.steps:
        tensor, check = step.outputs[0], crc(step.index)
        values[tensor.index] = np.ascontiguousarray(evaluated(step, values, plan.initial)[tensor.index])
        if check is None:
            absent.add(tensor.index)
            continue
        if check == zlib.crc32(values[tensor.index].tobytes()):
            recomputed.add(tensor.index)
            continue
        sent = fetch(step.index)
        if sent.dtype != tensor.dtype or sent.shape != tensor.shape:
            raise InputError(
                f"the device's output of {step} is {sent.dtype} {sent.shape}, not {tensor.dtype} {tensor.shape}"
            )
        values[tensor.index] = sent
    tensors = {i: x for i, x in values.items() if plan.graph.tensors[i].data is None and i not in absent}
    return Dump(name, tensors, recomputed=frozenset(recomputed))


def _inputs_of(plan: Plan, dump: Dump) -> tuple[Array, ...]:
    missing = [tensor.name for tensor in plan.inputs if tensor.index not in dump.tensors]
    if missing:
        raise InputError(f"{dump.name} does not hold the input {', '.join(map(repr, missing))}; give it with --input")
    return tuple(dump.tensors[tensor.index] for tensor in plan.inputs)


@dataclass(eq=False)
class _Evidence:
    """What there is to judge by: `golden` and the device's `values` by tensor index, and the `state`.

    The values are completed, and variables and state brought up to date, as steps go by.
    """

    plan: Plan
    dump: Dump
    golden: Mapping[int, Array]
    values: dict[int, Array]
    state: State
    previous: Dump | None

    def sound(self, step: Step) -> Record:
        """What a sound kernel makes of the device's own inputs."""
        if step.facts.control or step.facts.resource:
            return _alone(self.plan, step, self.values, self.state)
        memory = self.state.memory.get((step.subgraph, step.index), ())
        arrays = tuple(None if t is None else self.values[t.index] for t in step.inputs)
        results = [np.asarray(x[0]) for x in step.evaluate(*_batched(arrays), *memory)]
        count, written = len(step.outputs), len(step.writes)
        kept = tuple(frozen(x[np.newaxis]) for x in results[written:])
        after = self.state.with_memory(step.subgraph, step.index, kept) if kept else self.state
        return Record(
            step, arrays, tuple(results[:count]), tuple(results[count:written]), after, tuple(x[0] for x in memory)
        )

    def explanations(
        self, finding: Finding, values: Mapping[int, Array], under: Mapping[Numerics, str] | None = None
    ) -> list[Candidate]:
        """The candidates for a culprit, the best first; see `candidates` for `under`."""
        tensor, own = finding.tensor.index, finding.own
        if finding.step.facts.control or finding.step.facts.resource or finding.tensor.is_variable or own is None:
            return []
        alone = all(stands_alone(step) for step in finding.suspects)
        steps = finding.suspects if alone else (finding.step,)
        written = {t.index for step in steps for t in step.outputs}
        read = {t.index for step in steps for t in step.inputs if t is not None} - written
        replay = Replay(steps, {i: values[i] for i in read}, tensor, self.state)
        found = candidates(self.plan, replay, self.dump.tensors[tensor], _memory(self, tensor), under)
        found += [] if under else _overwritten(self, finding, own)
        return sorted(found, key=lambda candidate: candidate.remaining)


def _batched(arrays: Sequence[Array | None]) -> Iterator[Array | None]:
    """Arrays as kernels take them: one inference."""
    return (None if x is None else x[np.newaxis] for x in arrays)


def _alone(plan: Plan, step: Step, values: Mapping[int, Array], state: State) -> Record:
    """The record of one step on `values`, with the subgraphs that it runs."""
    read = tuple(dict.fromkeys(t.index for t in step.inputs if t is not None and t.data is None))
    tensors = tuple(replace(t, dtype="int32") if t.dtype == "resource" else t for t in plan.graph.tensors)  # handles
    graph = replace(plan.graph, tensors=tensors, inputs=read, outputs=tuple(t.index for t in step.outputs))
    alone = replace(plan, graph=graph, steps=(replace(step, last_use=()),))
    *_, record = execute(alone, *(np.asarray(values[i]) for i in read), state=state)
    return replace(record, step=step)


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
        record, values = evidence.sound(step), dict(evidence.values)
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
    total = difference(tensor, evidence.golden[tensor.index], seen)
    own = difference(tensor, sound, seen)
    if total is None:
        return Finding(step, output, "same")
    if own is None:
        return Finding(step, output, "victim", total)
    finding = Finding(step, output, "culprit", total, own, (*before, step))
    found = tuple(evidence.explanations(finding, evidence.values))
    explained = any(candidate.complete for candidate in found)
    told = None if explained else explain(evidence.plan, record, own.first, output)
    return replace(finding, candidates=found, told=told)


def _second_look(evidence: _Evidence) -> Iterator[Finding]:
    """Culprits that nothing explains, tried again under the dialects that explain others."""
    state = evidence.state
    judged = list(_judged(evidence))
    findings = [finding for finding, _ in judged]
    spoken = {
        c.numerics: c.how.removeprefix("under ") for f in findings for c in f.candidates if c.complete and c.numerics
    }
    evidence.state = state  # kernels' memory as it was
    for finding, values in judged:
        if not spoken or finding.own is None or any(candidate.complete for candidate in finding.candidates):
            yield finding
            continue
        more = evidence.explanations(finding, values, spoken)
        found = tuple(sorted([*finding.candidates, *more], key=lambda candidate: candidate.remaining))
        yield replace(finding, candidates=found, told=None if found and found[0].complete else finding.told)


def _merged(chains: Iterator[tuple[Step, ...]]) -> tuple[Step, ...]:
    """Steps in order, each once."""
    return tuple(sorted({step for chain in chains for step in chain}, key=lambda step: step.index))


def _memory(evidence: _Evidence, mine: int) -> dict[str, Array]:
    """What may lie in a buffer that nobody wrote, by what one would call it; the latest first.

    Later outputs of the same run are among it, for a device may have had the same input before; but not what a sound
    run copies from this very buffer.
    """
    plan, tensors, golden = evidence.plan, evidence.dump.tensors, evidence.golden
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


def _overwritten(evidence: _Evidence, finding: Finding, own: Difference) -> list[Candidate]:
    """Whether a later operator computed the golden output, which needs the golden values that are not in the dump."""
    tensor, golden, tensors = finding.tensor.index, evidence.golden, evidence.dump.tensors
    for reader in filter(stands_alone, evidence.plan.steps):
        inputs, output = [t.index for t in reader.inputs if t is not None], reader.outputs[0].index
        if tensor not in inputs or output not in tensors or any(i not in evidence.values for i in inputs):
            continue
        healed = evaluated(reader, {**evidence.values, tensor: golden[tensor]}, evidence.state)[output]
        wrong = evaluated(reader, evidence.values, evidence.state)[output]
        if tensors[output].tobytes() == golden[output].tobytes() == healed.tobytes() != wrong.tobytes():
            how = f"if its buffer was reused after {reader} had read the right values from it, and before it was dumped"
            return [Candidate(finding.step, "overwritten", how, 0, own.count)]
    return []


def _notes(plan: Plan, dump: Dump, fed: Mapping[int, Array]) -> Iterator[str]:
    """What one should know about the comparison besides its result."""
    for tensor in plan.inputs:
        if tensor.index not in dump.tensors:
            yield f"input '{tensor.name}' is not in the dump; the one given stood in for it"
        elif apart := difference(tensor, fed[tensor.index], dump.tensors[tensor.index]):
            yield (
                f"the device was fed another input '{tensor.name}' than the one given: {apart.count:,} of "
                f"{apart.size:,} elements differ, first at {list(apart.first)}"
            )
    unjudged = _unjudged(plan, dump)
    for gap in plan.gaps:
        yield f"a gap, which nobody judges: {gap.gap}"
    if unjudged:
        numbers = ", ".join(str(step.index) for step in unjudged)
        yield f"not judged, and taken as they are in the dump, if there: the outputs of operators {numbers}"
    absent = {s.index: s for s in plan.steps if any(t.index not in dump.tensors for t in s.outputs)}
    absent = {index: step for index, step in absent.items() if step not in unjudged}
    if absent:
        numbers = ", ".join(map(str, absent))
        yield f"not in the dump, and computed from what is there: the outputs of operators {numbers}"
    if dump.recomputed:
        fetched = len(dump.tensors) - len(dump.recomputed) - len(plan.inputs)
        yield f"tensors fetched: {fetched}; the others are proved by their CRC"


def _assumed(plan: Plan, state: State) -> Iterator[str]:
    """What is supposed about what the inferences before have left."""
    if plan.initial and state is plan.initial:
        yield "the state before is taken for that of the first inference; none was given"


def _shown(value: int | float) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
