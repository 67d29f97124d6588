"""Two dialects on the same drawing: the first element where they part, with both explanations."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from ..debugger.session import Session
from ..errors import InferenceError, InputError
from ..execute import Record
from ..explanation import explain
from ..explanation import parting as stage_of_parting
from ..tensors.difference import difference
from .asked import Asked
from .elements import told
from .studio import Studio


def parting(studio: Studio, asked: Asked) -> dict[str, Any]:
    """Where the dialect ``other`` parts from ``numerics``: `first` is null where they never do.

    It has the first operator and element that differ, how many of its elements do and by how much, both explanations,
    and the names of the stages at which these part; `steps` of `count` operators differ.
    """
    theirs = replace(asked, parameters={**asked.parameters, "numerics": asked.text("other")})
    if theirs.parameters["numerics"] == asked.text("numerics", "tflm"):
        raise InputError("a dialect does not part from itself; choose another one beside it")
    with studio.session(asked) as one:
        mine = _records(one)
    with studio.session(theirs) as two:
        others = _records(two)
    found = [(m, t) for m, t in zip_longest(mine, others) if m is None or t is None or _apart(m, t)]
    first = _first(one, two, *found[0]) if found and None not in found[0] else None
    return {"first": first, "steps": len(found), "count": max(len(mine), len(others))}


def _records(session: Session) -> list[Record]:
    """Those of the main graph, as far as TFLM gets."""
    records: list[Record] = []
    with suppress(InferenceError):
        records.extend(session.record(step.index) for step in session.steps)
    return records


def _apart(mine: Record, theirs: Record) -> tuple[int, dict[str, Any]] | None:
    """The first of their outputs that differs, and how."""
    for output, (tensor, m, t) in enumerate(zip(mine.step.writes, _written(mine), _written(theirs), strict=True)):
        found = difference(tensor, m, t)
        if found is not None:
            return output, found.as_dict()
    return None


def _written(record: Record) -> tuple[Any, ...]:
    return (*record.outputs, *record.updates)


def _first(one: Session, two: Session, mine: Record, theirs: Record) -> dict[str, Any]:
    found = _apart(mine, theirs)
    assert found is not None
    output, how = found
    both = [
        (told(session, record, output, how["first"]), explain(session.plan, record, how["first"], output))
        for session, record in ((one, mine), (two, theirs))
    ]
    stages = stage_of_parting(both[0][1], both[1][1])
    return {
        "step": mine.step.index,
        "name": mine.step.name,
        "output": output,
        "at": how["first"],
        **{name: how[name] for name in ("count", "size", "largest", "where")},
        "unit": "ULP" if mine.step.writes[output].dtype == "float32" else "LSB",
        "mine": both[0][0],
        "theirs": both[1][0],
        "stages": [line.name for line in stages] if stages else [],
    }
