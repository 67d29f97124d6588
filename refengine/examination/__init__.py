"""The numerical health of a quantised model: what each layer's numbers lose, measured on data, and what to do about it.

    for result in refengine.health(plan, batches):  # after each batch, all so far
        print(*result.findings, sep="\n")

For each layer, and each channel of it (the last axis of its output):

- **clamped**: the share of values cut off, below and above, by the fused activation (harmless: the float network clamps
  them too) or by the type (a loss). In layers that accumulate this is exact; elsewhere a value counts as cut off by the
  type if its real value lies more than one code outside.
- **range**: the codes that occur, and how many are never used.
- **accumulator**: the smallest and largest sum (bias included) that occurred, **measured** by running the layer's own
  kernel without its requantisation; and the **bound** Σ|w|·max|x| + |bias| that no input can exceed.
- **dead channels**: those whose code never changes.
- **own error**: against the layer's float reading on the quantised model's own inputs: the error that *enters* here.
- **total error**: against the whole float model, or the float reading of the whole graph: also what is *passed on*.

Errors are in codes, so that plain rounding is 1/√12 ≈ 0.29 of RMSE whatever the scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..execute import batch_size, execute, tile_size
from ..model import Array
from ..plan import Plan, Step
from ..reading.float_reading import float_reading, is_quantized, real_values
from .findings import Finding, findings_of
from .layer import ROUNDING, Accumulator, Clamped, Errors, Layer
from .measure import measure

__all__ = ["ROUNDING", "Accumulator", "Clamped", "Errors", "Finding", "Health", "Layer", "float_reading", "health"]


@dataclass(frozen=True, eq=False)
class Health:
    """The layers of a model, measured on `inferences` inputs."""

    plan: Plan
    inferences: int
    layers: tuple[Layer, ...]

    @property
    def compared(self) -> tuple[int, int]:
        """How many of the operators' layers could be compared with the float model's, and how many there are."""
        totals = [layer.total is not None for layer in self.layers if layer.step is not None]
        return sum(totals), len(totals)

    @property
    def findings(self) -> list[Finding]:
        """All suspicious things, the worst first."""
        return findings_of(self.layers, self.inferences)

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "inferences": self.inferences,
            "compared": self.compared,
            "layers": [layer.as_dict() for layer in self.layers],
            "findings": [asdict(finding) for finding in self.findings],
        }


def health(plan: Plan, cases: Iterable[tuple[Array, ...]], float_plan: Plan | None = None) -> Iterator[Health]:
    """Measure `plan` on `cases` (each the inputs of one run, single or a batch); yield the `Health` so far, again and
    again: the last one is the result.

    `float_plan` is the float model to compare with, its layers found by their outputs' names (and the outputs by their
    order); without one, the comparison is with the float reading of the same graph.

    Raises `InputError` for a model without quantised layers, inputs that do not fit, and a float model that does not
    belong to it; `UnsupportedError` for an operator without a float32 kernel.
    """
    if not any(is_quantized(t) for step in plan.steps for t in step.outputs):
        raise InputError("the model has no quantised layer; health looks at what integer types do to numbers")
    reading = float_reading(plan)
    reference = float_plan or reading
    same = _same_tensors(plan, float_plan) if float_plan else {t.index: t.index for t in plan.graph.tensors}
    judges = [_judge(step, reference, same) or step for step in reading.steps]
    done: tuple[Layer, ...] = ()
    count = 0
    for inputs in cases:
        for part in _parts(plan, inputs):
            batch = batch_size(plan, part) or 1
            measured = tuple(measure(plan, judges, part, batch, _floats(plan, reference, same, part)))
            done = tuple(map(Layer.__add__, done, measured)) if done else measured
            count += batch
            yield Health(plan, count, done)


def _parts(plan: Plan, inputs: tuple[Array, ...]) -> Iterator[tuple[Array, ...]]:
    """The inputs, in tiles if they are a long batch."""
    batch, tile = batch_size(plan, inputs), tile_size(plan)
    if batch is None:
        yield inputs
        return
    for start in range(0, batch, tile):
        yield tuple(x[start : start + tile] for x in inputs)


def _same_tensors(plan: Plan, float_plan: Plan) -> dict[int, int]:
    """Index of a tensor → of the float model's: computed ones by equal names, inputs and outputs by their order."""
    if [(t.shape, "float32") for t in plan.inputs] != [(t.shape, t.dtype) for t in float_plan.inputs]:
        wanted = ", ".join(f"'{t.name}' {t.shape}" for t in plan.inputs)
        raise InputError(f"the float model's inputs are not float32 ones of the quantised model's shapes: {wanted}")
    named = {(t.name, t.shape): t.index for step in float_plan.steps for t in step.outputs}
    computed = [t for step in plan.steps for t in step.outputs]
    same = {t.index: named[t.name, t.shape] for t in computed if (t.name, t.shape) in named}
    same |= zip(plan.graph.inputs, float_plan.graph.inputs, strict=True)
    return same | dict(zip(plan.graph.outputs, float_plan.graph.outputs, strict=False))


def _judge(step: Step, reference: Plan, same: Mapping[int, int]) -> Step | None:
    """The float model's step that computes the same from the same inputs."""
    found = reference.writers.get(same.get(step.outputs[0].index, -1))
    if found is None or found.op.name != step.op.name or len(found.inputs) != len(step.inputs):
        return None
    fits = (
        mine is yours
        if mine is None or yours is None
        else yours.data is not None and mine.shape == yours.shape
        if mine.data is not None
        else same.get(mine.index) == yours.index
        for mine, yours in zip(step.inputs, found.inputs, strict=True)
    )
    return found if all(fits) else None


def _floats(plan: Plan, reference: Plan, same: Mapping[int, int], inputs: tuple[Array, ...]) -> dict[int, Array]:
    """The float model's values of the plan's tensors, by the plan's indices."""
    real = [real_values(x, t) for x, t in zip(inputs, plan.inputs, strict=True)]
    found = {record.step.outputs[0].index: record.outputs[0] for record in execute(reference, *real)}
    return {mine: found[yours] for mine, yours in same.items() if yours in found}
