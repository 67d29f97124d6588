"""Which tensors and operators of a quantised model and of the float model it was made from belong together.

Tensors do by name and shape (else by their operators' order, if that is the same), the networks' inputs and outputs by
their order, and what goes into a QUANTIZE or DEQUANTIZE belongs with what comes out. So the files of TFLite's converter
can be judged as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..plan import Plan, Step

CHANGES = ("QUANTIZE", "DEQUANTIZE")
"""The operators that hand their input on in another form."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A quantised step, and the float steps that compute the tensor `target` from the same.

    `reads` maps the tensors that the step reads, but constants, to the float model's.
    """

    step: Step
    float_steps: tuple[Step, ...]
    reads: Mapping[int, int]
    target: int


def same_tensors(float_plan: Plan, plan: Plan) -> dict[int, int]:
    """Index of a tensor of the quantised model → of the float model's."""
    shapes = [[t.shape for t in each.inputs] for each in (plan, float_plan)]
    if shapes[0] != shapes[1] or len(plan.outputs) != len(float_plan.outputs):
        raise InputError("the quantised and the float model do not have the same inputs and outputs")
    named, known = _by_name(plan), _by_name(float_plan)
    same = {named[key]: known[key] for key in named.keys() & known.keys()}
    steps, float_steps = ([s for s in each.steps if s.op.name not in CHANGES] for each in (plan, float_plan))
    if [step.op.name for step in steps] == [step.op.name for step in float_steps]:
        for step, found in zip(steps, float_steps, strict=True):
            same.setdefault(step.outputs[0].index, found.outputs[0].index)
    same |= zip(plan.graph.inputs, float_plan.graph.inputs, strict=True)
    same |= zip(plan.graph.outputs, float_plan.graph.outputs, strict=True)
    changes = [(*step.op.inputs, *step.op.outputs) for step in plan.steps if step.op.name in CHANGES]
    for before, after in changes:
        if before in same:
            same.setdefault(after, same[before])
    for before, after in reversed(changes):
        if after in same:
            same.setdefault(before, same[after])
    return same


def _by_name(plan: Plan) -> dict[tuple[str, tuple[int, ...]], int]:
    """The computed tensors whose name and shape are theirs alone."""
    computed = [((t.name, t.shape), t.index) for step in plan.steps for t in step.outputs]
    count = Counter(key for key, _ in computed)
    return {key: index for key, index in computed if count[key] == 1}


def pair_of(float_plan: Plan, step: Step, same: Mapping[int, int]) -> Pair | None:
    """The float steps between the tensors that the step reads and the one that it computes, if there are some."""
    read = [t.index for t in step.inputs if t is not None and t.data is None]
    (output,) = step.outputs
    if not {*read, output.index} <= same.keys():
        return None
    known, target = {same[i] for i in read}, same[output.index]
    needed, float_steps = {target} - known, dict[int, Step]()
    while needed:
        index = needed.pop()
        found = float_plan.writers.get(index)
        if found is None and index not in float_plan.constants:
            return None
        if found is not None and found.index not in float_steps:
            float_steps[found.index] = found
            needed |= {i for i in found.op.inputs if i >= 0} - known
    inner = tuple(float_steps[index] for index in sorted(float_steps))
    return Pair(step, inner, {i: same[i] for i in read}, target)
