"""Dumps of devices with planted faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from refengine import Numerics, Plan, execute, make_plan
from refengine.bundled import bundled_models
from refengine.judge import FAULTS, Dump
from refengine.judge.faults import Case
from refengine.model import Array
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input


def network(name: str, digit: int = 0) -> tuple[Plan, Array]:
    """A bundled network and a bundled digit."""
    plan = make_plan(bundled_models()[name])
    return plan, pixels_to_input(plan, bundled_digits()[0][digit : digit + 1])


def dump_of(plan: Plan, *inputs: Array, wrong: Mapping[int, Array] | None = None, fed: bool = True) -> Dump:
    """Every tensor of an inference in which operators' outputs are replaced: `wrong` by the operator's index."""
    known = {plan.steps[i].outputs[0].index: np.ascontiguousarray(x) for i, x in (wrong or {}).items()}
    tensors = {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)} if fed else {}
    for record in execute(plan, *inputs, known=known):
        tensors[record.step.outputs[0].index] = record.outputs[0]
    return Dump("device", tensors)


def in_dialect(plan: Plan, numerics: Numerics, *inputs: Array) -> Dump:
    return dump_of(make_plan(plan.model, numerics=numerics), *inputs)


def case_of(plan: Plan, operator: int, *inputs: Array) -> Case:
    """An operator on what a sound device feeds it."""
    record = list(execute(plan, *inputs))[operator]
    first = record.inputs[0]
    image = () if first is None or first.ndim != 4 else first.shape[1:]
    return Case(record.step, plan.numerics, record.inputs, np.asarray(record.outputs[0]), image=image)


def plantable(case: Case) -> Iterator[tuple[str, str, Array]]:
    """(class, clause, wrong output) of every fault that changes the case's output."""
    for cause, fault in FAULTS.items():
        for how, wrong in fault(case):
            if wrong is not None and wrong.tobytes() != case.sound.tobytes():
                yield cause, how, wrong


def fault(case: Case, how: str) -> Array:
    """The wrong output of one fault, by its clause."""
    return next(wrong for _, clause, wrong in plantable(case) if clause == how)
