"""What all requests share: the networks, the drawings, and the inferences on them that were looked at last."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock

from ..debugger.condition import index
from ..debugger.session import START, Session
from ..errors import InputError
from ..memory import MEMORY, tensor_bytes
from ..plan import Plan
from .asked import Asked
from .boards import Boards
from .collection import Collection
from .drawings import Drawing, Drawings, inferences
from .networks import Networks
from .recent import Recent

HELD = 12
"""Inferences, with all their tensors, that are held."""

CHANGES = 100
"""That may be set in one inference."""


@dataclass(frozen=True)
class Change:
    """What is set in which inference: elements `at` (as the debugger's ``set`` has them, "" for all) of a tensor."""

    tensor: int
    at: str
    value: float
    real: bool
    frame: int

    @staticmethod
    def listed(text: str) -> tuple[Change, ...]:
        """Those of a request, ``[[tensor, at, value, real, frame], …]``; raises `InputError`."""
        try:
            told = json.loads(text)
            changes = tuple(Change(int(t), str(at), float(x), bool(real), int(frame)) for t, at, x, real, frame in told)
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise InputError("the changes of the request are no list of [tensor, at, value, real, frame]") from error
        if len(changes) > CHANGES:
            raise InputError(f"{len(changes)} changes at once; take some back, {CHANGES} are the most")
        return changes

    def apply(self, session: Session) -> None:
        """Set it, in the inference that it is of. Raises `InputError` as the session does."""
        tensors = session.plan.graph.tensors
        if not 0 <= self.tensor < len(tensors):
            raise InputError(f"there is no tensor {self.tensor}; the last is {len(tensors) - 1}")
        session.enter(self.frame)
        session.set(tensors[self.tensor], index(self.at) if self.at else None, self.value, self.real)


@dataclass(eq=False)
class Inference:
    """A debugger's session on a drawing; whoever looks into it holds its `lock`."""

    session: Session
    lock: Lock = field(default_factory=Lock)

    @cached_property
    def bytes(self) -> int:
        """What it may take: all inferences' inputs, and every tensor of one of them."""
        plan = self.session.plan
        tensors = sum(tensor_bytes(t) for step in plan.steps for t in step.writes)
        return tensors + self.session.inferences * sum(map(tensor_bytes, plan.inputs))


class Studio:
    """The shared state: `names` of classes by number, and the `task` that was given, if one was."""

    def __init__(
        self,
        models: Sequence[str | os.PathLike[str]] = (),
        *,
        memory: int = MEMORY,
        task: str | None = None,
        names: Mapping[int, str] | None = None,
        keep: str | os.PathLike[str] = "studio-drawings",
        serial: Sequence[str] = (),
    ) -> None:
        self.networks = Networks(models, memory)
        self.collection = Collection(Path(keep))
        self.boards = Boards(serial)
        self.drawings = Drawings()
        self.task, self.names = task, dict(names or {})
        self._inferences: Recent[Inference] = Recent(HELD, memory, lambda inference: inference.bytes)

    def plan(self, asked: Asked) -> Plan:
        """The network in the dialect that a request names."""
        return self.networks.plan(asked.text("network"), asked.text("numerics", "tflm"))

    @contextmanager
    def session(self, asked: Asked, drawing: Drawing | None = None) -> Iterator[Session]:
        """The inference that a request is about, with its changes, at the start of the ``frame`` that it names.

        Raises `InputError`, and `InferenceError` where TFLM's Invoke fails before that.
        """
        drawing = drawing or self.drawings.taken(asked)
        changes = Change.listed(asked.text("changes", "[]"))
        key = (asked.text("network"), asked.text("numerics", "tflm"), drawing.id, changes)
        inference = self._inferences.made(key, lambda: Inference(_session(self.plan(asked), drawing, changes)))
        with inference.lock:
            session = inference.session
            frame = asked.natural("frame", 0)
            if session.inference != frame:
                session.enter(frame)
            session.goto(START)
            yield session


def _session(plan: Plan, drawing: Drawing, changes: Sequence[Change]) -> Session:
    first, *rest = inferences(plan, drawing)
    session = Session(plan, *first, then=rest)
    for change in changes:
        change.apply(session)
    session.enter(0)
    return session
