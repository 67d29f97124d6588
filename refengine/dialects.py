"""Where two dialects of one model part: at which operator, by how much, and whether an answer changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .accuracy import is_classifier, predictions
from .execute import Record, execute, run
from .identity import identity
from .model import Array
from .plan import Plan, Step
from .tensors.difference import Difference, difference
from .text import printed


@dataclass(frozen=True, eq=False)
class Parting:
    """How one inference goes in two dialects.

    `first` is the first step that gives something else in the second one, with how; None if none does. `steps` of
    `count` do, which both run: branches and loops may go other ways. `classes` are both answers of a classifier.
    """

    first: tuple[Step, Difference] | None
    steps: int
    count: int
    classes: tuple[int, int] | None

    @printed
    def __str__(self) -> str:
        if self.first is None:
            return f"the same in all {self.count} operators"
        step, found = self.first
        unit = "ULP" if step.outputs[0].dtype == "float32" else "LSB"
        classes = "" if self.classes is None else f"; class {self.classes[0]} in both"
        if self.classes is not None and self.classes[0] != self.classes[1]:
            classes = f"; the class changes from {self.classes[0]} to {self.classes[1]}"
        return (
            f"they part at {step.where}, where {found.count:,} of {found.size:,} elements differ by up to "
            f"{found.largest:g} {unit}; {self.steps} of {self.count} operators differ{classes}"
        )

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON."""
        first = None
        if self.first is not None:
            step, found = self.first
            outputs = [identity(tensor, step.subgraph) for tensor in step.outputs]
            first = {"subgraph": step.subgraph, "operator": step.index, "name": step.name, "outputs": outputs}
            first["difference"] = found.as_dict()
        return {"first": first, "differing_steps": self.steps, "steps": self.count, "classes": self.classes}


def parting(plan: Plan, other: Plan, *inputs: Array) -> Parting:
    """One inference by two plans of one model, step by step; what lives on is as before the first.

    Raises `InputError` and `InferenceError` as `execute` does.
    """
    pairs = _pairs(execute(plan, *inputs), execute(other, *inputs))
    found = [(mine.step, _apart(mine, theirs)) for mine, theirs in pairs]
    apart = [(step, each) for step, each in found if each is not None]
    return Parting(apart[0] if apart else None, len(apart), len(found), _classes(plan, other, inputs))


def _pairs(mine: Iterable[Record], theirs: Iterator[Record]) -> Iterator[tuple[Record, Record]]:
    """The records of the same step in the same run of its subgraph."""
    ahead = dict[tuple[Any, int], Record]()
    for record in mine:
        key = record.path, record.step.index
        while key not in ahead and (other := next(theirs, None)) is not None:
            ahead[other.path, other.step.index] = other
        if key in ahead:
            yield record, ahead.pop(key)


def _apart(mine: Record, theirs: Record) -> Difference | None:
    """The first difference of their outputs."""
    triples = zip(mine.step.outputs, mine.outputs, theirs.outputs, strict=False)
    return next((found for each in triples if (found := difference(*each)) is not None), None)


def _classes(plan: Plan, other: Plan, inputs: tuple[Array, ...]) -> tuple[int, int] | None:
    """The answers of a classifier."""
    if not is_classifier(plan):
        return None
    mine, theirs = (predictions(each, *run(each, *inputs))[0].label for each in (plan, other))
    return mine, theirs
