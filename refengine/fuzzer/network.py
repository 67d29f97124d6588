"""A whole network through a door to kernels: each operator computed by them, as on a device, and left to the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import InputError, RefengineError
from ..execute import batch_size, execute
from ..judge.dumps import Dump
from ..model import Array, Model
from ..plan import Plan, Step, make_plan
from .case import Case, Door, KernelError


def computed_by(door: Door, plan: Plan, *inputs: Array, name: str = "the kernels") -> Dump:
    """What a network becomes by somebody's kernels in its first inference, each operator on what they made of those
    before it.

    What the kernels do not claim to compute is computed as TFLM does, and so is what they are not given: operators that
    run subgraphs, and those that read or set variables which others set. Notes say which; `name` is what reports call
    the kernels. Raises `InputError` for inputs that do not fit, and if they compute no operator; `RefengineError` where
    one fails, by the operator's name.
    """
    if batch_size(plan, inputs) is not None and any(
        x.shape != t.shape for x, t in zip(inputs, plan.inputs, strict=True)
    ):
        raise InputError("the input is a batch; kernels are given one inference: give one of them, x[:1]")
    values = {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
    theirs: dict[int, Array] = {}
    unclaimed, kept = list[Step](), list[Step]()
    for step in plan.steps:
        if not _is_given(step, plan.steps):
            kept.append(step)
            results = _sound(plan, step, inputs, theirs)
        else:
            case = _case(plan, step, values)
            answer = _answer(door, step, case)
            if answer is None:
                unclaimed.append(step)
            results = case.results if answer is None else answer if isinstance(answer, tuple) else (answer,)
            theirs.update((t.index, x) for t, x in zip(step.outputs, results, strict=False))
        values.update((t.index, x) for t, x in zip(step.writes, results, strict=False))
    if len(unclaimed) + len(kept) == len(plan.steps):
        raise InputError(_nothing(name, unclaimed))
    notes = (
        f"{what}, and computed as TFLM does: {', '.join(f'{step.index} {step.name}' for step in steps)}"
        for what, steps in ((f"not claimed by {name}", unclaimed), (f"not given to {name} alone", kept))
        if steps
    )
    return Dump(name, values, notes=tuple(notes))


def _nothing(name: str, unclaimed: Sequence[Step]) -> str:
    """Why nothing can be compared, and what to do."""
    operators = ", ".join(sorted({step.name for step in unclaimed}))
    if not operators:
        return (
            f"{name} can be given none of the model's operators alone: they run subgraphs, or share variables; hold "
            "whole inferences against it instead, by a callable or a dump"
        )
    return (
        f"{name} claim none of the model's operators: {operators}; have them claim one, or give a model with one "
        "that they claim"
    )


def _is_given(step: Step, steps: Sequence[Step]) -> bool:
    """Whether it is a case by itself: it runs no subgraph, and shares no variable with another."""
    if step.gap or step.facts.control or step.facts.resource:
        return False
    mine = {t.index for t in (*step.inputs, *step.outputs) if t is not None and t.is_variable}
    others = {t.index for each in steps if each is not step for t in (*each.inputs, *each.outputs) if t is not None}
    return mine.isdisjoint(others)


def _sound(plan: Plan, step: Step, inputs: Sequence[Array], theirs: Mapping[int, Array]) -> tuple[Array, ...]:
    """What TFLM writes in a step, where the kernels' operators before it gave `theirs`."""
    records = execute(plan, *inputs, known=theirs)
    found = next(record for record in records if not record.path and record.step.index == step.index)
    return (*found.outputs, *found.updates)


def _case(plan: Plan, step: Step, values: Mapping[int, Array]) -> Case:
    """The operator of a step alone, on what its inputs are."""
    fed = dict.fromkeys(t.index for t in step.inputs if t is not None and t.data is None and not t.is_variable)
    graph = replace(plan.graph, index=0, inputs=tuple(fed), outputs=step.op.outputs, ops=(replace(step.op, index=0),))
    alone = make_plan(Model((graph,)), numerics=plan.numerics, kernels=plan.kernels, memory=plan.memory)
    return Case(alone, tuple(values[i] for i in fed))


def _answer(door: Door, step: Step, case: Case) -> Array | tuple[Array, ...] | None:
    try:
        return door(case)
    except KernelError as error:
        raise RefengineError(f"the kernel of {step} {error}") from error
