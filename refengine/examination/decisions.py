"""What branches and loops decided on the data, and whether floats would have decided the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..execute import Record, is_met
from ..identity import identity
from ..model import Tensor
from ..plan import Plan, Step
from ..reading.float_reading import affine, is_quantized
from ..reading.inside import Counterpart, Path
from ..text import counted
from .layer import Key, named

Place = tuple[Path, int]
"""How a subgraph came to run, and the index of an operator in it."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What `step`, a branch or a loop, decided in all its runs.

    `taken` counts by what was decided: 1 for the then branch and 0 for the else branch, of a loop its rounds. Floats
    stood before `compared` of the runs as well, and decided otherwise in `differing`.
    """

    step: Step
    taken: Mapping[int, int]
    compared: int = 0
    differing: int = 0

    @property
    def key(self) -> Key:
        return self.step.subgraph, self.step.index, -1

    def __add__(self, other: Decision) -> Decision:
        taken = Counter(self.taken) + Counter(other.taken)
        compared, differing = self.compared + other.compared, self.differing + other.differing
        return replace(self, taken=taken, compared=compared, differing=differing)

    @property
    def is_loop(self) -> bool:
        return self.step.facts.control == "loop"

    @property
    def runs(self) -> int:
        return sum(self.taken.values())

    @property
    def unseen(self) -> tuple[tuple[str, int], ...]:
        """The parts that never ran, with their subgraphs."""
        if self.is_loop:
            return () if any(self.taken) else (("body", self.step.calls[1]),)
        then, other = self.step.calls
        return tuple(
            (part, graph) for part, graph, way in (("then", then, 1), ("else", other, 0)) if not self.taken[way]
        )

    def __str__(self) -> str:
        if not self.is_loop:
            return f"{named(self.step)}: then {counted(self.taken[1], 'time')}, else {self.taken[0]:,}"
        least, most = min(self.taken), max(self.taken)
        rounds = counted(least, "round") if least == most else f"{least:,} … {most:,} rounds"
        return f"{named(self.step)}: {rounds}, in {counted(self.runs, 'run')}"

    def as_dict(self) -> dict[str, object]:
        """Everything in plain Python, for JSON."""
        taken = {str(way) if self.is_loop else ("else", "then")[way]: n for way, n in sorted(self.taken.items())}
        return {
            "operator": identity(self.step.op, self.step.subgraph),
            "rounds" if self.is_loop else "branches": taken,
            "compared": self.compared,
            "differing": self.differing,
        }


def decided(records: Iterable[Record]) -> dict[Place, tuple[Step, int]]:
    """By place, each branch and loop that ran in one inference, and what it decided, see `Decision`."""
    found: dict[Place, tuple[Step, int]] = {}
    rounds: dict[Place, int] = {}
    for record in records:
        for depth, call in enumerate(record.path):
            if call.part == "body":
                rounds[record.path[:depth], call.operator] = call.iteration + 1
        place, control = (record.path, record.step.index), record.step.facts.control
        if control == "branch" and record.inputs[0] is not None:
            found[place] = record.step, int(is_met(record.inputs[0][np.newaxis], 1)[0])
        elif control == "loop":
            found[place] = record.step, rounds.get(place, 0)
    return found


def decisions(
    mine: Iterable[Record], theirs: Iterable[Record], beside: Counterpart | None = None
) -> Iterator[Decision]:
    """Those of one inference beside the floats', of which `beside` tells what stands for what."""
    floats = {place: way for place, (_, way) in decided(theirs).items()}
    for (path, index), (step, way) in decided(mine).items():
        place = None if beside is None else beside.step(path, index)
        other = None if place is None else floats.get(place)
        yield Decision(step, Counter([way]), int(other is not None), int(other not in (None, way)))


def borders(plan: Plan) -> Iterator[tuple[Step, Tensor, Tensor]]:
    """Where a branch or a loop hands codes over to a tensor that reads them by another scale or zero point: the step,
    the tensor that they are of, and the one that gets them."""
    for each in plan.plans.values():
        for step in each.steps:
            if step.facts.control in ("branch", "loop"):
                yield from ((step, one, two) for one, two in _handed_over(plan, step) if _means_else(one, two))


def _handed_over(plan: Plan, step: Step) -> Iterator[tuple[Tensor, Tensor]]:
    """All pairs of tensors of which the second gets the bytes of the first."""
    graphs = [(each.inputs, each.outputs) for each in (plan.plans[index] for index in step.calls)]
    given = [t for t in step.inputs if t is not None]
    if step.facts.control == "branch":
        for inputs, outputs in graphs:
            yield from (*zip(given[1:], inputs, strict=False), *zip(outputs, step.outputs, strict=False))
        return
    (_, (_, made)) = graphs
    for before in (given, made):
        for inputs, _ in graphs:
            yield from zip(before, inputs, strict=False)
        yield from zip(before, step.outputs, strict=False)


def _means_else(mine: Tensor, yours: Tensor) -> bool:
    """Whether the same codes stand for other values."""
    coded = is_quantized(mine) and is_quantized(yours) and mine.dtype == yours.dtype
    return coded and affine(mine) != affine(yours)
