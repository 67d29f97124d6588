"""Inputs of our own making, which show more than a picture does.

`telling` is one on which outputs move as much as they can, for the first recording of a device. `separating` is
one on which the causes part that a report could not tell from each other, for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from ..errors import InferenceError
from ..execute import Record, execute
from ..model import Array, Tensor
from ..numerics.quantize import code_range
from ..plan import Plan, Step, make_plan
from ..tensors.difference import unlike
from ..text import printable
from .faults import FAULTS, Case
from .report import Finding, Report
from .verdict import Candidate, image_of

TRIES = 24
"""So many inputs are tried."""

PARTED = 6
"""So many causes are held against each other."""

CODES = 256
"""More kinds of values than these show no more."""


def inputs_of(plan: Plan, tries: int = TRIES, seed: int = 0) -> Iterator[tuple[Array, ...]]:
    """Inputs in the declared dtypes and shapes: noise of several widths, in single elements and in patches, all over or
    in places only. The same for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(tries):
        yield tuple(_noise(tensor, rng) for tensor in plan.inputs)


def _noise(tensor: Tensor, rng: np.random.Generator) -> Array:
    shape, patch = tensor.shape, int(rng.choice([1, 1, 2, 4]))
    coarse = [-(-n // patch) if 0 < axis < len(shape) - 1 else n for axis, n in enumerate(shape)]
    values = rng.uniform(-1, 1, coarse) ** int(rng.choice([1, 1, 3]))
    for axis in range(1, len(shape) - 1):
        values = values.repeat(patch, axis)
    values = values[tuple(slice(n) for n in shape)]
    values = np.where(rng.random(shape) < rng.choice([1.0, 1.0, 0.5, 0.1]), values, rng.choice([-1.0, 0.0]))
    if tensor.dtype == "float32":
        return np.asarray(values * rng.choice([1, 1, 4, 0.25]), np.float32)
    if tensor.dtype in ("int8", "uint8", "int16"):
        low, high = code_range(tensor.dtype)
        return np.asarray(np.rint((values + 1) / 2 * (high - low) + low).astype(tensor.dtype))
    return np.asarray(values > 0).astype(tensor.dtype)  # indices, lengths, truths: small ones


def telling(plan: Plan, tries: int = TRIES, seed: int = 0) -> tuple[Array, ...]:
    """The input on which the operators' outputs have the most kinds of values, on average over the operators.

    Raises `InferenceError` if TFLM would fail on all of them.
    """
    best, most, failed = None, -1.0, None
    for inputs in inputs_of(plan, tries, seed):
        try:
            shares = [_liveliness(record.outputs[0]) for record in execute(plan, *inputs) if _computes(record.step)]
        except InferenceError as error:
            failed = error
            continue
        if (average := float(np.mean(shares or [0.0]))) > most:
            best, most = inputs, average
    if best is None:
        assert failed is not None
        raise failed
    return best


def _computes(step: Step) -> bool:
    """Whether an output's values are of its own making."""
    return bool(step.outputs) and not (step.facts.copies or step.facts.shapes_only or step.facts.control)


def _liveliness(output: Array) -> float:
    """How much the values of an output tell, as a share of the most that so many could: their entropy."""
    output = np.asarray(output)
    if output.size < 2:
        return 1.0
    share = np.unique(output, return_counts=True)[1] / output.size
    return float(-(share * np.log2(share)).sum() / np.log2(min(output.size, CODES)))


@dataclass(frozen=True, eq=False)
class Separating:
    """`inputs` on which the causes of a `finding` part: `parted` of their `pairs`, in at least `apart` elements of the
    tensor that it is about."""

    inputs: tuple[Array, ...]
    finding: Finding
    parted: int
    pairs: int
    apart: int

    def __str__(self) -> str:
        tensor = self.finding.tensor
        part = f"{self.parted} of {self.pairs} pairs of them part" if self.pairs > 1 else "both part"
        return f"{part}, in at least {self.apart:,} of {prod(tensor.shape):,} elements of '{printable(tensor.name)}'"


def separating(report: Report, tries: int = TRIES, seed: int = 0) -> Separating | None:
    """The input on which most causes part that the first uncertain finding leaves; None if none is known that does.

    Causes are held against each other that can be computed for any input: dialects, and faults of one operator that are
    not fitted to what was seen. The model may not remember.
    """
    plan = report.plan
    if plan.initial or plan.gaps:
        return None
    for finding in report.culprits:
        causes = [c for c in (*finding.fitting[:1], *finding.rivals) if _computable(c)][:PARTED]
        if finding.certainty == "certain" or len(causes) < 2:
            continue
        plans = [make_plan(plan.model, numerics=c.numerics or plan.numerics, memory=plan.memory) for c in causes]
        found = (_parted(finding, causes, plans, inputs) for inputs in inputs_of(plan, tries, seed))
        best = max((f for f in found if f is not None), key=lambda f: (f.parted, f.apart), default=None)
        if best is not None and best.parted:
            return best
    return None


def _computable(candidate: Candidate) -> bool:
    return candidate.numerics is not None or (candidate.cause in FAULTS and len(candidate.steps) == 1)


def _parted(
    finding: Finding, causes: Sequence[Candidate], plans: Sequence[Plan], inputs: tuple[Array, ...]
) -> Separating | None:
    """How far the causes part on these inputs, None if TFLM would fail on them."""
    try:
        ends = [_end(plan, finding.tensor, cause, inputs) for cause, plan in zip(causes, plans, strict=True)]
    except InferenceError:
        return None
    pairs = [int(unlike(a, b).sum()) for a, b in combinations([end for end in ends if end is not None], 2)]
    return Separating(inputs, finding, sum(n > 0 for n in pairs), len(pairs), min(filter(None, pairs), default=0))


def _end(plan: Plan, tensor: Tensor, cause: Candidate, inputs: tuple[Array, ...]) -> Array | None:
    """What a tensor would be for a cause, in a plan of its dialect if it is one; None if it has no such form here."""
    records = [record for record in execute(plan, *inputs) if not record.path]
    if cause.numerics is None:
        (step,) = cause.steps
        record = next(r for r in records if r.step.index == step.index)
        image = image_of(plan, record.step)
        case = Case(record.step, plan.numerics, record.inputs, np.asarray(record.outputs[0]), image=image)
        wrong = next((w for how, w in FAULTS[cause.cause](case) if how == cause.how and w is not None), None)
        if wrong is None:
            return None
        records = [r for r in execute(plan, *inputs, known={step.outputs[0].index: wrong}) if not r.path]
    return next(np.asarray(x) for r in records for t, x in _written(r) if t.index == tensor.index)


def _written(record: Record) -> Iterator[tuple[Tensor, Array]]:
    return zip(record.step.writes, (*record.outputs, *record.updates), strict=True)


def as_c(plan: Plan, inputs: Sequence[Array]) -> str:
    """The inputs as C arrays, row by row."""
    lines = ["#include <stdint.h>"]
    for i, (tensor, array) in enumerate(zip(plan.inputs, inputs, strict=True)):
        kind = "float" if tensor.dtype == "float32" else "uint8_t" if tensor.dtype == "bool" else f"{tensor.dtype}_t"
        flat = array.astype(np.uint8 if tensor.dtype == "bool" else array.dtype).ravel()
        values = [float(x).hex() + "f" if kind == "float" else str(x) for x in flat.tolist()]
        shape = "×".join(map(str, tensor.shape)) or "scalar"
        lines += ["", f"// input {i}, {shape}", f"static const {kind} input{i}[{flat.size}] = {{"]
        lines += [f"    {', '.join(values[k : k + 16])}," for k in range(0, len(values), 16)] + ["};"]
    return "\n".join(lines) + "\n"
