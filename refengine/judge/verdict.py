"""Why a step's output differs: the step replayed on the device's own inputs under every dialect and known fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..identity import identity
from ..kernel import Numerics
from ..model import Array
from ..plan import Plan, Step
from ..tensors.difference import unlike
from .faults import FAULTS, Case, dialects

PARTIAL = 0.8
"""A cause that leaves more differences than this share explains nothing."""


@dataclass(frozen=True)
class Candidate:
    """A cause under which all but `remaining` of `total` differences vanish: `cause` is its class, `how` a clause.

    `numerics` is the dialect, if the cause is one; `step` is the operator at fault.
    """

    step: Step
    cause: str
    how: str
    remaining: int
    total: int
    numerics: Numerics | None = None

    @property
    def complete(self) -> bool:
        return self.remaining == 0

    @property
    def share(self) -> float:
        return 1 - self.remaining / self.total

    def __str__(self) -> str:
        if self.complete:
            return f"{_all(self.total)} {self.how}"
        return f"{min(99.9, 100 * self.share):.3g} % of its {self.total:,} differences vanish {self.how}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "operator": identity(self.step.op, self.step.subgraph),
            "cause": self.cause,
            "how": self.how,
            "vanish": self.total - self.remaining,
            "of": self.total,
        }


def _all(total: int) -> str:
    return "its one difference vanishes" if total == 1 else f"all its {total:,} differences vanish"


def evaluated(step: Step, values: Mapping[int, Array]) -> Array:
    """One step on tensors by index, as their shapes have them; nothing is checked."""
    arrays = (None if t is None else values[t.index][np.newaxis] for t in step.inputs)
    return np.asarray(step.evaluate(*arrays, *step.memory)[0][0])


def continued(steps: Sequence[Step], values: Mapping[int, Array]) -> Array:
    """The output of the last of `steps`, run on `values`; outputs that these have are taken as they are."""
    known = dict(values)
    for step in steps:
        output = step.outputs[0].index
        if output not in known:
            known[output] = evaluated(step, known)
    return known[steps[-1].outputs[0].index]


def candidates(
    plan: Plan,
    steps: Sequence[Step],
    values: Mapping[int, Array],
    seen: Array,
    memory: Mapping[str, Array],
    under: Mapping[Numerics, str] | None = None,
) -> list[Candidate]:
    """The causes that explain at least `PARTIAL` of the differences of the last step's output, the best first.

    `steps` are that one, and those before it whose outputs nobody saw; `values` hold what they read, by tensor index.
    `under` are dialects to suppose when looking for faults, with their names; by default the dialects themselves are
    tried first, and faults only if none of them explains everything.
    """
    if under is not None:
        found = [c for numerics, name in under.items() for c in _faults(steps, values, seen, memory, numerics, name)]
        return _ranked(found)
    found = list(_dialects(plan, steps, values, seen))
    if not any(candidate.complete for candidate in found):
        found += _faults(steps, values, seen, memory, plan.numerics, "")
    return _ranked(found)


def _ranked(found: list[Candidate]) -> list[Candidate]:
    return sorted((c for c in found if c.share >= PARTIAL), key=lambda c: c.remaining)


def _dialects(plan: Plan, steps: Sequence[Step], values: Mapping[int, Array], seen: Array) -> Iterator[Candidate]:
    total = int(unlike(continued(steps, values), seen).sum())
    outputs = {step.outputs[0].index for step in steps}
    inputs = {i: x for i, x in values.items() if i not in outputs}
    for numerics, name in dialects(plan.numerics).items():
        try:
            others = [step.prepared(numerics) for step in steps]
        except UnsupportedError:
            continue
        remaining = int(unlike(continued(others, inputs), seen).sum())
        yield Candidate(steps[-1], "dialect", f"under {name}", remaining, total, numerics)


def _faults(
    steps: Sequence[Step],
    values: Mapping[int, Array],
    seen: Array,
    memory: Mapping[str, Array],
    numerics: Numerics,
    dialect: str,
) -> Iterator[Candidate]:
    outputs = {step.outputs[0].index for step in steps}
    known = {i: x for i, x in values.items() if i not in outputs}
    total = int(unlike(continued(steps, known), seen).sum())
    suffix = f", under {dialect}" if dialect else ""
    steps = [step.prepared(numerics) for step in steps] if dialect else steps
    for i, step in enumerate(steps):
        place = f" in {step}" if step is not steps[-1] else ""
        sound, output = evaluated(step, known), step.outputs[0].index
        arrays = tuple(None if t is None else known[t.index] for t in step.inputs)
        case = Case(step, numerics, arrays, sound, *((seen, memory) if step is steps[-1] else ()))
        for cause, fault in FAULTS.items():
            for how, wrong in fault(case):
                if wrong is None or wrong.shape != sound.shape or not unlike(wrong, sound).any():
                    continue
                end = continued(steps[i:], {**known, output: wrong})
                remaining = int(unlike(end, seen).sum())
                yield Candidate(step, cause, f"{how}{place}{suffix}", remaining, total)
        known[output] = sound
