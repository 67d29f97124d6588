"""CRC-32s instead of tensors: what a device need not print, because its CRC proves what it holds.

An output with the CRC of what a sound kernel makes of the device's own inputs is that. One that has another is replayed
under every dialect and known fault: an array of that CRC is taken for the device's, whose chance to be another is
2^-32 for each that was tried, and the judge sees it as if it had been printed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InferenceError, InputError
from ..execute import batch_size
from ..kernel import Numerics
from ..model import Array
from ..plan import Plan, Step, require_whole
from ..state import State
from ..tensors.arrays import FOUND, LEFT
from ..text import counted
from .dumps import Dump, called, spelled
from .records import record_of
from .verdict import Hypothesis, Replay, Trial, image_of, try_dialects, try_faults, try_states


def with_proven(plan: Plan, dump: Dump, state: State, others: Mapping[str, State], *inputs: Array) -> Dump:
    """The dump, with the tensors that its `crcs` prove on `inputs` (by default its own), after `state`, or what of the
    `others` its CRCs say was found instead.

    From the first output on that nothing known computes, and whose bytes are not there, no more can be proven: that is
    told as a problem. Bytes that do not have their CRC have lost some on the way, and are told and left out. Raises
    `InputError` if the input is not there or has another CRC than the device's.
    """
    if not dump.crcs:
        return dump
    require_whole(plan, "judging by CRCs")
    sent = {i: x for i, x in dump.tensors.items() if dump.crcs.get(i, _crc(x)) == _crc(x)}
    spelt = {i: spelled(plan.graph.tensors[i]) for i in dump.crcs}
    problems = [
        f"{spelt[i]}: its bytes do not have their CRC-32, the log lost some" for i in dump.tensors.keys() - sent
    ]
    fed = _fed(plan, dump, sent, inputs)
    states, unproven = _found(plan, dump, (state, *others.values()))
    state = state.holding(states)
    walk, found = _Walk(plan, state, fed), dict[int, Array]()
    for step in plan.steps if not unproven else ():
        values = walk.values  # the step makes new ones
        try:
            made = walk.through(step)
        except InferenceError as error:
            problems.append(f"{step}: {error}")
            break
        wrong = [i for i, x in made.items() if i in dump.crcs and i not in sent and dump.crcs[i] != _crc(x)]
        other = {i: _other(plan, step, values, i, made[i], dump.crcs[i], state, others) for i in wrong}
        if unknown := [i for i, x in other.items() if x is None]:
            problems.append(
                f"{step}: the CRC-32 of {spelt[unknown[0]]} is none that a known fault gives; print its bytes"
            )
            break
        made |= {i: x for i, x in other.items() if x is not None}
        walk.values |= made | {t.index: sent[t.index] for t in step.writes if t.index in sent}
        found |= {i: walk.values[i] for i in made if i in dump.crcs and i not in sent}
    known = len(found) + len(states.keys() - dump.found.keys())
    notes = [f"known by their CRC-32, not by their bytes: {counted(known, 'tensor')}"] if known else []
    told = {t.index: fed[t.index] for t in plan.inputs if t.index in dump.crcs}
    return replace(
        dump,
        tensors={**told, **sent, **found},
        problems=(*dump.problems, *problems, *unproven),
        notes=(*dump.notes, *notes),
        found=states,
    )


def tapped(
    plan: Plan,
    crc: Callable[[str], int | None],
    fetch: Callable[[str], Array],
    *inputs: Array,
    name: str = "device",
    state: State | None = None,
) -> Dump:
    """A dump of a live device that sends as little as possible.

    `crc` is the CRC-32 of what a recording has by a name (``t14`` an operator's output, ``found t3`` and ``t3`` a
    variable tensor before and after), None where the device does not tell it, which is then not in the dump; `fetch`
    the array. An output that has the CRC of what a sound kernel makes of the device's own inputs need not be sent, nor
    what lives on and is as `state` has it, by default as in the first inference: only what differs is fetched. Raises
    `InputError` if inputs do not fit, or an array is not what its operator writes.
    """
    batch_size(plan, inputs)
    require_whole(plan, "judging by CRCs")
    state, sent = plan.initial if state is None else state, set[str]()

    def held(name: str, sound: Array) -> Array | None:
        check = crc(name)
        if check is None or check == _crc(sound):
            return None if check is None else sound
        sent.add(name)
        return fetch(name)

    found = {lasting: held(f"{FOUND}{lasting}", x[0]) for lasting, x in state.named().items()}
    states = {lasting: x for lasting, x in found.items() if x is not None}
    walk = _Walk(plan, state.holding(states), {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)})
    last = {t.index: step for step in plan.steps for t in step.writes}
    tensors = {t.index: walk.values[t.index] for t in plan.inputs}
    for step in plan.steps:
        made = walk.through(step)
        for tensor in (t for t in step.writes if t.index in made and last[t.index] is step):
            seen = held(f"t{tensor.index}", made[tensor.index])
            if seen is None:
                continue
            if seen.dtype != tensor.dtype or seen.shape != tensor.shape:
                raise InputError(
                    f"the device's output of {step} is {seen.dtype} {seen.shape}, not {tensor.dtype} {tensor.shape}"
                )
            walk.values[tensor.index] = tensors[tensor.index] = seen
    after = {n: held(f"{LEFT}{n}", x[0]) for n, x in walk.state.named().items() if n != f"t{plan.lasting[n].index}"}
    recomputed = frozenset(i for i in tensors if f"t{i}" not in sent and i in last)
    return Dump(
        name, tensors, recomputed=recomputed, found=states, left={n: x for n, x in after.items() if x is not None}
    )


class _Walk:
    """An inference step by step: the `values` of tensors, sound ones unless the caller knows better, and the `state` of
    all else."""

    def __init__(self, plan: Plan, state: State, fed: Mapping[int, Array]) -> None:
        self.plan, self.state = plan, state
        self.values = {t.index: t.data for t in plan.graph.tensors if t.data is not None} | dict(fed)
        self.values |= {i: x[0] for (graph, i), x in state.variables.items() if graph == plan.graph.index}

    def through(self, step: Step) -> dict[int, Array]:
        """What a sound kernel writes, by tensor index, but for what TFLM leaves unwritten in part: it has no CRC."""
        record = record_of(self.plan, step, self.values, self.state)
        written = zip(step.writes, (*record.outputs, *record.updates), strict=True)
        made = {t.index: np.asarray(x, order="C") for t, x in written}
        self.values, self.state = self.values | made, record.state
        unwritten = {t.index for t, mask in zip(step.outputs, record.undefined, strict=False) if mask is not None}
        return {i: x for i, x in made.items() if i not in unwritten}


def _found(plan: Plan, dump: Dump, states: Sequence[State]) -> tuple[dict[str, Array], list[str]]:
    """(what lived on before, by its name: what is there and what of the `states` has its CRC, what nobody knows)."""
    found, unproven = dict(dump.found), list[str]()
    for name, crc in dump.found_crcs.items():
        arrays = [x for x in (found.get(name), *(state.named()[name][0] for state in states)) if x is not None]
        known = next((x for x in arrays if _crc(x) == crc), None)
        if known is None:
            unproven.append(
                f"the CRC-32 of {called(plan.lasting[name])}, as the inference found it, is that of no state that was "
                "tried; print its bytes, or give the inferences before"
            )
        else:
            found[name] = known
    return found, unproven


def _crc(x: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(x).tobytes())


def _fed(plan: Plan, dump: Dump, sent: Mapping[int, Array], inputs: tuple[Array, ...]) -> dict[int, Array]:
    """What the device was fed, by tensor index."""
    given = {t.index: x for t, x in zip(plan.inputs, inputs, strict=False)}
    fed = {t.index: sent.get(t.index, given.get(t.index)) for t in plan.inputs}
    for tensor in plan.inputs:
        x = fed[tensor.index]
        if x is None:
            raise InputError(
                f"{dump.name} does not hold the input '{tensor.name}'; give it by --input, in Python behind the dump"
            )
        if dump.crcs.get(tensor.index, _crc(x)) != _crc(x):
            raise InputError(
                f"{dump.name}: the device was fed another input than the one given: {spelled(tensor)} has the CRC-32 "
                f"{dump.crcs[tensor.index]:08x} there and {_crc(x):08x} here; give the right one, or print its bytes"
            )
    return {i: x for i, x in fed.items() if x is not None}


@dataclass(eq=False)
class _Search(Trial):
    """Hypotheses of which one is wanted: that whose output has the CRC-32 `wanted`, which is then `match`."""

    wanted: int = 0
    match: Array | None = None

    def judge(
        self, end: Array | None, hypothesis: Hypothesis, step: Step | None, numerics: Numerics | None = None
    ) -> None:
        if end is not None and self.match is None and _crc(end) == self.wanted:
            self.match = np.asarray(end, order="C")


def _other(
    plan: Plan, step: Step, values: Mapping[int, Array], tensor: int, sound: Array, crc: int, state: State,
    others: Mapping[str, State],
) -> Array | None:  # fmt: skip
    """What a dialect, another state or a known fault makes of the step's inputs that has that CRC-32."""
    if step.facts.control or step.facts.resource:
        return None
    read = {t.index: values[t.index] for t in step.inputs if t is not None}
    replay = Replay([step], read, tensor, state, {step.index: image_of(plan, step)})
    search = _Search(replay, sound, sound, np.zeros(sound.shape, np.bool_), wanted=crc)
    try_dialects(search, plan)
    try_states(search, others)
    if search.match is None:
        try_faults(search, plan.numerics, {})
    return search.match
