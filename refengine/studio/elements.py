"""The numbers of an inference: a tensor's as they are, and where one of them comes from."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..debugger.session import Session
from ..errors import InferenceError, InputError
from ..execute import Record
from ..explanation import explain
from ..explanation.reads import reads
from ..model import Array, Tensor
from ..plan import Plan
from .asked import Asked, Bytes
from .studio import Studio
from .words import of_lines

MOST = 64 << 20
"""Bytes of a tensor that the page gets to see."""


def tensor(studio: Studio, asked: Asked) -> Bytes:
    """A tensor's elements in row-major order, little-endian, in its own type (bool and int4: a byte each).

    With ``step``, it is as that operator of the main graph has read it: a variable may be another one afterwards.
    """
    with studio.session(asked) as session:
        found = _named(session.plan, asked.natural("tensor"))
        values = _read(session, found, asked.natural("step")) if "step" in asked.parameters else _values(session, found)
    return Bytes(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes())


def element(studio: Studio, asked: Asked) -> dict[str, Any]:
    """How one element of an operator's output came about: the explanation, each line with what it reads."""
    with studio.session(asked) as session:
        record = _record(session, asked.natural("step"))
        return told(session, record, asked.natural("output", 0), asked.indices("at"))


def told(session: Session, record: Record, output: int, at: Sequence[int]) -> dict[str, Any]:
    """The same of a record; the `words` of a line tell what it is about. Raises `InputError` for an element that there
    is not."""
    explanation = explain(session.plan, record, at, output)
    words = of_lines(record.step, explanation.lines)
    lines = [
        {"name": line.name, "text": line.text, "value": line.value, "reads": found, "words": about}
        for (line, found), about in zip(reads(record, output, explanation.at), words, strict=True)
    ]
    return explanation.as_dict() | {"lines": lines}


def _record(session: Session, step: int) -> Record:
    if step >= len(session.steps):
        raise InputError(f"there is no operator {step}; the last is {len(session.steps) - 1}")
    try:
        return session.record(step)
    except InferenceError as error:
        raise InputError(f"inference {session.inference} does not get to operator {step}: {error}") from error


def _named(plan: Plan, index: int) -> Tensor:
    tensors = plan.graph.tensors
    if index >= len(tensors):
        raise InputError(f"there is no tensor {index}; the last is {len(tensors) - 1}")
    found = tensors[index]
    size = prod(found.shape) * (np.dtype(found.dtype).itemsize if found.dtype in np.sctypeDict else 1)
    if size > MOST:
        raise InputError(f"tensor {index} '{found.name}' has {size:,} bytes; the page shows {MOST >> 20} MiB at most")
    return found


def _read(session: Session, found: Tensor, step: int) -> Array:
    record = _record(session, step)
    for each, x in zip(record.step.inputs, record.inputs, strict=True):
        if each is not None and each.index == found.index and x is not None:
            return np.asarray(x)
    raise InputError(f"{record.step} does not read tensor {found.index} '{found.name}'")


def _values(session: Session, found: Tensor) -> Array:
    if found.index in session.plan.constants:
        constant: Array = session.plan.constants[found.index][0]
        return np.asarray(constant)
    try:
        return np.asarray(np.ma.filled(session.final(found), 0))
    except InferenceError as error:
        raise InputError(f"inference {session.inference} does not get to '{found.name}': {error}") from error
