"""CRC-32s instead of tensors: what a device need not print, because its CRC proves what it holds.

An output with the CRC of what a sound kernel makes of the device's own inputs is that. One that has another is replayed
under every dialect and known fault: an array of that CRC is taken for the device's, whose chance to be another is
2^-32 for each that was tried, and the judge sees it as if it had been printed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InferenceError, InputError
from ..execute import batch_size
from ..kernel import Numerics
from ..model import Array
from ..plan import Plan, Step, require_whole
from ..reading.counterparts import check_comparable
from ..text import counted
from .dumps import Dump, spelled
from .verdict import Hypothesis, Replay, Trial, evaluated, image_of, try_dialects, try_faults


def with_proven(plan: Plan, dump: Dump, *inputs: Array) -> Dump:
    """The dump, with the tensors that its `crcs` prove on `inputs` (by default its own), of steps that stand alone.

    From the first output on that nothing known computes, and whose bytes are not there, no more can be proven: that is
    told as a problem. Bytes that do not have their CRC have lost some on the way, and are told and left out. Raises
    `InputError` if the input is not there or has another CRC than the device's, and `UnsupportedError` where steps
    do not stand alone.
    """
    if not dump.crcs:
        return dump
    require_whole(plan, "judging by CRCs")
    check_comparable(plan)
    sent = {i: x for i, x in dump.tensors.items() if dump.crcs.get(i, _crc(x)) == _crc(x)}
    spelt = {i: spelled(plan.graph.tensors[i]) for i in dump.crcs}
    problems = [
        f"{spelt[i]}: its bytes do not have their CRC-32, the log lost some" for i in dump.tensors.keys() - sent
    ]
    values = {t.index: t.data for t in plan.graph.tensors if t.data is not None} | _fed(plan, dump, sent, inputs)
    found: dict[int, Array] = {}
    for step in plan.steps:
        try:
            made = {i: np.ascontiguousarray(x) for i, x in evaluated(step, values, plan.initial).items()}
        except InferenceError as error:
            problems.append(f"{step}: {error}")
            break
        wrong = [i for i, x in made.items() if i in dump.crcs and i not in sent and dump.crcs[i] != _crc(x)]
        other = {i: _other(plan, step, values, i, made[i], dump.crcs[i]) for i in wrong}
        if unknown := [i for i, x in other.items() if x is None]:
            problems.append(
                f"{step}: the CRC-32 of {spelt[unknown[0]]} is none that a known fault gives; print its bytes"
            )
            break
        values |= made | {i: x for i, x in other.items() if x is not None}
        values |= {t.index: sent[t.index] for t in step.outputs if t.index in sent}
        found |= {i: values[i] for i in made if i in dump.crcs and i not in sent}
    notes = [f"known by their CRC-32, not by their bytes: {counted(len(found), 'tensor')}"] if found else []
    fed = {t.index: values[t.index] for t in plan.inputs if t.index in dump.crcs}
    return replace(
        dump, tensors={**fed, **sent, **found}, problems=(*dump.problems, *problems), notes=(*dump.notes, *notes)
    )


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
        if check == _crc(values[tensor.index]):
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
            self.match = np.ascontiguousarray(end)


def _other(plan: Plan, step: Step, values: Mapping[int, Array], tensor: int, sound: Array, crc: int) -> Array | None:
    """What a dialect or a known fault makes of the step's inputs that has that CRC-32."""
    read = {t.index: values[t.index] for t in step.inputs if t is not None}
    replay = Replay([step], read, tensor, plan.initial, {step.index: image_of(plan, step)})
    search = _Search(replay, sound, sound, np.zeros(sound.shape, np.bool_), wanted=crc)
    try_dialects(search, plan)
    if search.match is None:
        try_faults(search, plan.numerics, {})
    return search.match
