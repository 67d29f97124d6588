"""Inside branches and loops: which subgraph of the float model stands for one of the quantised model where it runs, and
what the floats made of a tensor there.

A branch or a loop of the float model stands for one that writes the same tensors; then so do their branches, conditions
and bodies, and in these the tensors that belong together as `counterparts` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from ..errors import InputError
from ..execute import Call, Record
from ..model import Array, Tensor
from ..plan import Plan, Step
from .counterparts import same_tensors, same_variables

Path = tuple[Call, ...]
"""How a subgraph came to run, outermost call first."""

Moments = dict[tuple[Path, int], Record]
"""The records of an inference by their path and operator."""

PARTS = {"branch": ("then", "else"), "loop": ("cond", "body"), "once": ("once",)}
"""By the kind of control, what a step calls its subgraphs for, in their order."""


@dataclass(frozen=True, eq=False)
class Counterpart:
    """A subgraph where it is called, of the quantised model, and the float model's that stands for it, `plan`.

    `same` are its tensors by the other's indices, `steps` so its branches and loops, and `called` what stands for the
    subgraphs that these run, by the quantised model's operator and the part.
    """

    plan: Plan
    same: Mapping[int, int]
    steps: Mapping[int, int]
    called: Mapping[tuple[int, str], Counterpart]

    def at(self, path: Path) -> tuple[Path, Counterpart] | None:
        """The path in the float model that stands for `path`, and what is there; None where nothing does."""
        there: Path = ()
        now = self
        for call in path:
            found = now.called.get((call.operator, call.part))
            if found is None:
                return None
            there, now = (*there, call._replace(operator=now.steps[call.operator])), found
        return there, now

    def step(self, path: Path, index: int) -> tuple[Path, int] | None:
        """The float model's branch or loop that stands for operator `index` at `path`, by its path and index."""
        found = self.at(path)
        return (found[0], found[1].steps[index]) if found and index in found[1].steps else None


def itself(plan: Plan) -> dict[int, int]:
    """Of a float reading, the tensors are the graph's own."""
    return {t.index: t.index for t in plan.graph.tensors}


def counterpart(model: Plan, float_model: Plan, same: Mapping[int, int], is_reading: bool) -> Counterpart:
    """What stands for the whole of `model`, whose main graph's tensors are `same`; `is_reading` where that is its float
    reading, which has all its operators and tensors."""

    def of(plan: Plan, theirs: Plan, same: Mapping[int, int]) -> Counterpart:
        steps, called = dict[int, int](), dict[tuple[int, str], Counterpart]()
        for step in (each for each in plan.steps if each.facts.control):
            other = theirs.steps[step.index] if is_reading else _writer(step, theirs, same)
            if other is None or other.facts.control != step.facts.control:
                continue
            steps[step.index] = other.index
            for part, mine, yours in zip(PARTS[step.facts.control], step.calls, other.calls, strict=True):
                inner, theirs_inside = model.plans[mine], float_model.plans[yours]
                with suppress(InputError):  # of another number of inputs or outputs, or other shapes
                    belong = itself(inner) if is_reading else _belonging(theirs_inside, inner)
                    called[step.index, part] = of(inner, theirs_inside, belong)
        return Counterpart(theirs, same, steps, called)

    return of(model, float_model, same)


def _belonging(theirs: Plan, plan: Plan) -> dict[int, int]:
    """The tensors of one subgraph, and the variables in it."""
    same = same_tensors(theirs, plan)
    return same_variables(theirs, plan, same) | same


def _writer(step: Step, theirs: Plan, same: Mapping[int, int]) -> Step | None:
    """The float model's step that writes all that `step` writes, if one does."""
    writers = [theirs.writers.get(same.get(t.index, -1)) for t in step.outputs]
    return writers[0] if writers and all(each is writers[0] for each in writers) else None


def value_at(model: Plan, plan: Plan, records: Moments, path: Path, index: int) -> Array | None:
    """What tensor `index` of `plan`, a subgraph of `model`, became where it ran at `path`; None where it did not."""
    while path and index in plan.graph.inputs:  # what it was given; a loop may hand it on unchanged
        *outer, call = path
        place = plan.graph.inputs.index(index)
        caller = records.get((tuple(outer), call.operator))
        if caller is None:
            return None
        if not call.iteration:
            return caller.inputs[place + (caller.step.facts.control == "branch")]
        plan = model.plans[caller.step.calls[1]]
        path, index = (*outer, Call(call.operator, "body", call.iteration - 1)), plan.graph.outputs[place]
    if index in plan.constants:
        return plan.constants[index]
    step = plan.writers.get(index) or next((s for s in plan.steps if index in map(_index, s.writes)), None)
    record = None if step is None else records.get((path, step.index))
    if record is None:
        return None
    return (*record.outputs, *record.updates)[[*map(_index, record.step.writes)].index(index)]


def _index(tensor: Tensor) -> int:
    return tensor.index
