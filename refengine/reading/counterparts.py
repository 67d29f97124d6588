"""Which tensors and operators of a quantised model and of the float model it was made from belong together.

Tensors do by name and shape (else by their operators' order, if that is the same), the networks' inputs and outputs by
their order, and what goes into a QUANTIZE or DEQUANTIZE belongs with what comes out. So the files of TFLite's converter
can be judged as well. On these pairs stand three computations: what the float operators make of a quantised step's
inputs, a step's own error, and a network in which one tensor is another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, require
from ..model import Array, Tensor
from ..plan import Plan, Step
from .float_reading import as_codes, real_values

Values = Mapping[int, Array]
"""Arrays by tensor index, as kernels take them: (N, *shape) of N samples, 1 in N's place for constants."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A quantised step with one of its outputs, and the float steps that compute the tensor `target` from the same.

    `reads` maps the tensors that the step reads, but constants, to the float model's.
    """

    step: Step
    output: Tensor
    float_steps: tuple[Step, ...]
    reads: Mapping[int, int]
    target: int


def stands_alone(step: Step) -> bool:
    """Whether the step makes its outputs of its inputs, and nothing else: it runs no subgraph, and nothing lives on.

    Of a gap in a partial plan, nobody knows.
    """
    has_variable = any(t is not None and t.is_variable for t in step.inputs)
    has_variable = has_variable or step.facts.resource in ("read", "assign")
    return not (step.gap or step.facts.control or step.memory or has_variable)


def check_comparable(plan: Plan) -> None:
    """Raise `UnsupportedError` for a model whose operators do not all stand alone, see `stands_alone`, but for gaps."""
    for step in (step for step in plan.steps if not step.gap):
        does = "runs other subgraphs" if step.facts.control else "remembers something for the next inference"
        require(
            stands_alone(step),
            f"{step} {does}, and here layers are judged one by one and each inference afresh: "
            "convert the layers around it as a model of their own and judge that",
        )


def same_tensors(float_plan: Plan, plan: Plan) -> dict[int, int]:
    """Index of a tensor of the quantised model → of the float model's, of the same shape.

    Raises `InputError` if the inputs or outputs of the two do not have the same number and shapes.
    """
    shapes = [[[t.shape for t in tensors] for tensors in (each.inputs, each.outputs)] for each in (plan, float_plan)]
    if shapes[0] != shapes[1]:
        raise InputError("the two models do not have the same inputs and outputs")
    named, known = _by_name(plan), _by_name(float_plan)
    same = {named[key]: known[key] for key in named.keys() & known.keys()}
    steps, float_steps = ([s for s in each.steps if not s.facts.recodes] for each in (plan, float_plan))
    if [step.op.name for step in steps] == [step.op.name for step in float_steps]:
        for step, found in zip(steps, float_steps, strict=True):
            for mine, yours in zip(step.outputs, found.outputs, strict=False):
                if mine.shape == yours.shape:
                    same.setdefault(mine.index, yours.index)
    same |= zip(plan.graph.inputs, float_plan.graph.inputs, strict=True)
    same |= zip(plan.graph.outputs, float_plan.graph.outputs, strict=True)
    changes = [(*step.op.inputs, *step.op.outputs) for step in plan.steps if step.facts.recodes]
    for before, after in changes:
        if before in same:
            same.setdefault(after, same[before])
    for before, after in reversed(changes):
        if after in same:
            same.setdefault(before, same[after])
    return same


def same_variables(float_plan: Plan, plan: Plan, same: Mapping[int, int]) -> dict[int, int]:
    """The same of the variables that a step updates where the float model's step of that name writes its first output,
    and has one of that shape in that place."""
    found = {}
    for step in plan.steps:
        theirs = float_plan.writers.get(same.get(step.outputs[0].index, -1)) if step.outputs else None
        if theirs is None or theirs.name != step.name:
            continue
        for mine, yours in zip(step.writes, theirs.writes, strict=False):
            if mine.is_variable and yours.is_variable and mine.shape == yours.shape:
                found[mine.index] = yours.index
    return found


def _by_name(plan: Plan) -> dict[tuple[str, tuple[int, ...]], int]:
    """The computed tensors whose name and shape are theirs alone."""
    computed = [((t.name, t.shape), t.index) for step in plan.steps for t in step.outputs]
    count = Counter(key for key, _ in computed)
    return {key: index for key, index in computed if count[key] == 1}


def pair_of(float_plan: Plan, step: Step, output: Tensor, same: Mapping[int, int]) -> Pair | None:
    """The float steps between the tensors that the step reads and an output that it computes, if there are some."""
    read = [t.index for t in step.inputs if t is not None and t.data is None and not t.is_variable]
    if not {*read, output.index} <= same.keys():
        return None
    known, target = {same[i] for i in read}, same[output.index]
    needed, float_steps = {target} - known, dict[int, Step]()
    while needed:
        index = needed.pop()
        found = float_plan.writers.get(index)
        if found.gap if found is not None else index not in float_plan.constants:
            return None
        if found is not None and found.index not in float_steps:
            float_steps[found.index] = found
            needed |= {i for i in found.op.inputs if i >= 0 and not float_plan.graph.tensors[i].is_variable} - known
    inner = tuple(float_steps[index] for index in sorted(float_steps))
    return Pair(step, output, inner, {i: same[i] for i in read}, target)


def own_error(plan: Plan, float_plan: Plan, pair: Pair, floats: Values) -> Array:
    """The layer's integer kernel against the float operators, both on the float model's values, quantised."""
    inputs = {i: as_codes(floats[mine], plan.graph.tensors[i]) for i, mine in pair.reads.items()}
    codes = computed([pair.step], {**plan.constants, **inputs})[pair.output.index]
    own: Array = real_values(codes, pair.output) - np.float64(by_floats(plan, float_plan, pair, inputs))
    return own


def by_floats(plan: Plan, float_plan: Plan, pair: Pair, codes: Values) -> Array:
    """What the float operators make of what the step's inputs stand for."""
    inputs = {mine: real_values(codes[i], plan.graph.tensors[i]) for i, mine in pair.reads.items()}
    return computed(pair.float_steps, {**float_plan.constants, **inputs})[pair.target]


def what_if(plan: Plan, values: Values, index: int, array: Array) -> Values:
    """All tensors as they would be if tensor `index` were `array`; only what depends on it is computed."""
    changed = {index}
    for step in plan.steps:
        if changed.intersection(step.op.inputs):
            changed.update(step.op.outputs)
    return computed(plan.steps, {i: x for i, x in values.items() if i not in changed} | {index: array})


def computed(steps: Iterable[Step], values: Values) -> Values:
    """`values`, and what the steps make of them; what is known already is not computed, and what depends on a gap is
    left out."""
    found = dict(values)
    for step in steps:
        known = not step.gap and all(t is None or t.index in found for t in step.inputs)
        if known and any(t.index not in found for t in step.outputs):
            results = step.evaluate(*(None if t is None else found[t.index] for t in step.inputs))
            for tensor, x in zip(step.outputs, results, strict=True):
                found.setdefault(tensor.index, x)
    return found


def rows(plan: Plan, values: Values, indices: Iterable[int]) -> Array:
    """The real values of some tensors, a row for each sample: float64. What depends on no input is in every row."""
    reals = [real_values(values[i], plan.graph.tensors[i]) for i in indices]
    samples = max(map(len, reals))
    every = [np.broadcast_to(x.reshape(len(x), -1), (samples, x[0].size)) for x in reals]
    return np.concatenate(every, axis=1, dtype=np.float64)
