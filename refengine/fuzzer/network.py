"""A whole network through a door to kernels: each operator computed by them, as on a device, and left to the judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import InputError, RefengineError
from ..execute import batch_size
from ..judge.dumps import Dump
from ..model import Array, Model
from ..plan import Plan, Step, make_plan
from ..reading.counterparts import stands_alone
from .case import Case, Door, KernelError


def computed_by(door: Door, plan: Plan, *inputs: Array, name: str = "the kernels") -> Dump:
    """What a network becomes by somebody's kernels, each operator on what they made of those before it.

    What the kernels do not claim to compute is computed as TFLM does, and a note says which; `name` is what reports
    call them. Raises `InputError` for inputs that do not fit, for a model with an operator that does not stand alone
    (see `stands_alone`), and if they claim no operator; `RefengineError` where one fails, by the operator's name.
    """
    if batch_size(plan, inputs) is not None and any(
        x.shape != t.shape for x, t in zip(inputs, plan.inputs, strict=True)
    ):
        raise InputError("the input is a batch; kernels are given one inference")
    values = {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
    left: list[Step] = []
    for step in plan.steps:
        case = _case(plan, step, values)
        answer = _answer(door, step, case)
        if answer is None:
            left.append(step)
        results = case.results if answer is None else answer if isinstance(answer, tuple) else (answer,)
        values.update((t.index, x) for t, x in zip(step.outputs, results, strict=False))
    if len(left) == len(plan.steps):
        raise InputError(f"{name} claim none of the model's operators: {', '.join(sorted({s.name for s in left}))}")
    listed = ", ".join(f"{step.index} {step.name}" for step in left)
    notes = (f"not claimed by {name}, and computed as TFLM does: {listed}",) if left else ()
    return Dump(name, values, notes=notes)


def _case(plan: Plan, step: Step, values: Mapping[int, Array]) -> Case:
    """The operator of a step alone, on what its inputs are."""
    if not stands_alone(step):
        raise InputError(f"{step} runs subgraphs or remembers something: kernels are given operators that stand alone")
    fed = dict.fromkeys(t.index for t in step.inputs if t is not None and t.data is None)
    graph = replace(plan.graph, index=0, inputs=tuple(fed), outputs=step.op.outputs, ops=(replace(step.op, index=0),))
    alone = make_plan(Model((graph,)), numerics=plan.numerics, kernels=plan.kernels, memory=plan.memory)
    return Case(alone, tuple(values[i] for i in fed))


def _answer(door: Door, step: Step, case: Case) -> Array | tuple[Array, ...] | None:
    try:
        return door(case)
    except KernelError as error:
        raise RefengineError(f"the kernel of {step} {error}") from error
