"""Why a step's output differs: the step replayed on the device's own inputs under every dialect and known fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InferenceError, UnsupportedError
from ..identity import identity
from ..kernel import Numerics
from ..model import Array
from ..plan import Plan, State, Step
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


def evaluated(step: Step, values: Mapping[int, Array], state: State) -> dict[int, Array]:
    """What one step that runs no subgraph makes of tensors by index, as their shapes have them: by index, too.

    Its memory is that of `state`; nothing is checked.
    """
    arrays = (None if t is None else values[t.index][np.newaxis] for t in step.inputs)
    memory = state.memory.get((step.subgraph, step.index), ())
    return {t.index: np.asarray(x[0]) for t, x in zip(step.writes, step.evaluate(*arrays, *memory), strict=False)}


@dataclass(frozen=True, eq=False)
class Replay:
    """Steps to run again on `values`, by tensor index, for the tensor `output` of the last one; none runs a subgraph.

    The others are those before it whose outputs nobody saw.
    """

    steps: Sequence[Step]
    values: Mapping[int, Array]
    output: int
    state: State

    def end(self) -> Array:
        """The output; others that `values` have are taken as they are."""
        known = dict(self.values)
        for step in self.steps:
            if any(t.index not in known for t in step.outputs):
                known = {**evaluated(step, known, self.state), **known}
        return known[self.output]


def candidates(
    plan: Plan, replay: Replay, seen: Array, memory: Mapping[str, Array], under: Mapping[Numerics, str] | None = None
) -> list[Candidate]:
    """The causes that explain at least `PARTIAL` of the differences of a replay's output, the best first.

    `seen` is what the device has there, `memory` what else was in its memory, by what one would call it.
    `under` are dialects to suppose when looking for faults, with their names; by default the dialects themselves are
    tried first, and faults only if none of them explains everything.
    """
    if under is not None:
        return _ranked([c for numerics, name in under.items() for c in _faults(replay, seen, memory, numerics, name)])
    found = list(_dialects(plan, replay, seen))
    if not any(candidate.complete for candidate in found):
        found += _faults(replay, seen, memory, plan.numerics, "")
    return _ranked(found)


def _ranked(found: list[Candidate]) -> list[Candidate]:
    return sorted((c for c in found if c.share >= PARTIAL), key=lambda c: c.remaining)


def _dialects(plan: Plan, replay: Replay, seen: Array) -> Iterator[Candidate]:
    total = int(unlike(replay.end(), seen).sum())
    for numerics, name in dialects(plan.numerics).items():
        try:
            end = replace(replay, steps=[step.prepared(numerics) for step in replay.steps]).end()
        except (UnsupportedError, InferenceError):
            continue
        remaining = int(unlike(end, seen).sum())
        yield Candidate(replay.steps[-1], "dialect", f"under {name}", remaining, total, numerics)


def _faults(
    replay: Replay, seen: Array, memory: Mapping[str, Array], numerics: Numerics, dialect: str
) -> Iterator[Candidate]:
    """The faults of each step, which are known of first outputs."""
    known, total = dict(replay.values), int(unlike(replay.end(), seen).sum())
    suffix = f", under {dialect}" if dialect else ""
    steps = [step.prepared(numerics) for step in replay.steps] if dialect else replay.steps
    for i, step in enumerate(steps):
        place = f" in {step}" if step is not steps[-1] else ""
        results, output = evaluated(step, known, replay.state), step.outputs[0].index
        sound, rest = results[output], {**known, **{i: x for i, x in results.items() if i not in known}}
        arrays = tuple(None if t is None else known[t.index] for t in step.inputs)
        case = Case(step, numerics, arrays, sound, *((seen, memory) if step is steps[-1] else ()))
        for cause, fault in FAULTS.items() if step is not steps[-1] or output == replay.output else ():
            for how, wrong in fault(case):
                if wrong is None or wrong.shape != sound.shape or not unlike(wrong, sound).any():
                    continue
                try:
                    end = replace(replay, steps=steps[i:], values={**rest, output: wrong}).end()
                except InferenceError:
                    continue
                remaining = int(unlike(end, seen).sum())
                yield Candidate(step, cause, f"{how}{place}{suffix}", remaining, total)
        known = rest
