"""One inference under a debugger: where one stands, where to stop, and what if.

Records are made as far as one has got, and kept: going back costs nothing. A change (`Session.set`) starts a new walk
over the plan in which the changed tensor is known; what does not depend on it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..execute import Record, batch_size, execute, kept, require_room_for_all
from ..model import Array, Model, Tensor
from ..numerics.quantize import code_range, quantize
from ..plan import Plan, Step, frozen, make_plan
from .condition import Condition, Index, elements

START = -1
"""The position before the first step, where the inputs are."""


@dataclass(frozen=True)
class Breakpoint:
    """Stops after one of `steps` (by index) if `condition`, if there is one, holds for its record."""

    text: str
    steps: frozenset[int]
    condition: Condition | None = None

    def hits(self, record: Record) -> bool:
        return record.step.index in self.steps and (self.condition is None or self.condition(record))


class Change(NamedTuple):
    """What was set: the elements `at` of a tensor (None: all), and to which code or, if `real`, real value."""

    tensor: Tensor
    at: Index | None
    value: float
    real: bool


@dataclass(frozen=True)
class _State:
    plan: Plan
    inputs: tuple[Array, ...]
    known: Mapping[int, Array]
    changes: tuple[Change, ...] = ()


class Session:
    """A walk through `execute(plan, *inputs)`, one inference. Raises `InputError` for inputs that do not fit.

    `position` is the index of the step that has just run, or `START`. `breakpoints` are numbered from 1, for good.
    """

    def __init__(self, plan: Plan, *inputs: Array) -> None:
        if batch_size(plan, inputs) is not None:
            raise InputError(f"a batch of {len(inputs[0])} inferences; debug one of them")
        require_room_for_all(plan)
        self._state = _State(plan, tuple(frozen(np.array(x)) for x in inputs), {})
        self._past: list[_State] = []
        self.position = START
        self.breakpoints: dict[int, Breakpoint] = {}
        self._numbered = 0
        self._walk()

    # ---- what there is -------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        return self._state.plan

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.plan.steps

    @property
    def changes(self) -> tuple[Change, ...]:
        """What is set at present, in the order of setting."""
        return self._state.changes

    def record(self, index: int) -> Record:
        """The record of a step, run now if it has not been."""
        while len(self._records) <= index:
            try:
                self._records.append(next(self._run))
            except (KeyboardInterrupt, InputError):  # the walk is over; the next one takes up where it was
                self._walk(self._records)
                raise
        return self._records[index]

    @property
    def current(self) -> Record:
        """The record of the present step; `InputError` at the start."""
        if self.position == START:
            raise InputError("no step has run yet; next runs the first")
        return self.record(self.position)

    def values(self, tensor: Tensor) -> Array:
        """A tensor's array in its own shape: constant, input, or output of a step, which is run if it has not been.

        Raises `InputError` if nothing of the model's first subgraph computes it.
        """
        if tensor.index in self.plan.constants:
            constant: Array = self.plan.constants[tensor.index][0]
            return constant
        if tensor.index in self.plan.graph.inputs:
            return self._state.inputs[self.plan.graph.inputs.index(tensor.index)]
        writer = self.writer(tensor)
        if writer is None:
            raise InputError(f"tensor {tensor.index} '{tensor.name}' has no value: no operator computes it")
        return self.record(writer).outputs[0]

    def writer(self, tensor: Tensor) -> int | None:
        """The index of the step that computes a tensor."""
        step = self.plan.writers.get(tensor.index)
        return None if step is None else step.index

    def readers(self, tensor: Tensor) -> list[int]:
        """The indices of the steps that read a tensor."""
        return [step.index for step in self.steps if tensor.index in step.op.inputs]

    def unchanged(self) -> Session:
        """The inference as it was before anything was set."""
        first = (*self._past, self._state)[0]
        return Session(first.plan, *first.inputs)

    # ---- where to go ---------------------------------------------------------------------------------------

    def goto(self, position: int) -> None:
        """Stand at a step (or `START`), forwards or backwards; raises `InputError` if there is none."""
        if not START <= position < len(self.steps):
            raise InputError(f"there is no operator {position}; the last is {len(self.steps) - 1}")
        if position != START:
            self.record(position)
        self.position = position

    def advance(self, wanted: Callable[[Step], bool] = lambda step: False) -> list[int]:
        """Run to the next breakpoint or step that is `wanted`, or to the end; the numbers of the breakpoints hit."""
        while self.position < len(self.steps) - 1:
            self.goto(self.position + 1)
            if (hit := self._hit()) or wanted(self.steps[self.position]):
                return hit
        return []

    def retreat(self) -> list[int]:
        """Back to the breakpoint before, or to the start; the numbers of the breakpoints hit."""
        while self.position > START:
            self.goto(self.position - 1)
            if self.position != START and (hit := self._hit()):
                return hit
        return []

    def stop_at(self, breakpoint: Breakpoint) -> int:
        """Add a breakpoint; its number. Raises `InputError` if its condition turns out to make no sense."""
        if breakpoint.condition is not None and self.steps:
            breakpoint.condition(self.record(0))
        self._numbered += 1
        self.breakpoints[self._numbered] = breakpoint
        return self._numbered

    def _hit(self) -> list[int]:
        return [number for number, breakpoint in self.breakpoints.items() if breakpoint.hits(self.current)]

    # ---- what if -------------------------------------------------------------------------------------------

    def set(self, tensor: Tensor, at: Index | None, value: float, real: bool = False) -> Array:
        """Put `value` into the elements `at` (None: all) of a tensor; the array as it was.

        `value` is a code, or with `real` a real value to be quantised. Constants change the plan, everything else one
        inference. Raises `InputError` for a value that the type cannot hold, or an index outside.
        """
        before = self.values(tensor)
        after = before.copy()
        with np.errstate(over="ignore"):  # too large for float32 is infinite
            elements(tensor, after, at)[...] = _code(tensor, value, real)
        state, inputs = self._state, self.plan.graph.inputs
        if tensor.index in self.plan.constants:
            state = replace(state, plan=_with_constant(state.plan, tensor, after))
        elif tensor.index in inputs:
            fed = tuple(after if i == tensor.index else x for i, x in zip(inputs, state.inputs, strict=True))
            state = replace(state, inputs=fed)
        else:
            state = replace(state, known={**state.known, tensor.index: after})
        self._past.append(self._state)
        self._state = replace(state, changes=(*state.changes, Change(tensor, at, value, real)))
        touched = [index for index in (self.writer(tensor), *self.readers(tensor)) if index is not None]
        self._walk(self._records[: min(touched, default=0)])
        return before

    def undo(self) -> None:
        """Take back the last `set`; raises `InputError` if there is none."""
        if not self._past:
            raise InputError("nothing has been set")
        self._state = self._past.pop()
        self._walk()

    def reset(self) -> None:
        """Take back everything that was set."""
        self._state = (*self._past, self._state)[0]
        self._past = []
        self._walk()

    def _walk(self, past: list[Record] | None = None) -> None:
        """Begin to walk, the records of the first steps known."""
        known = {r.step.outputs[0].index: r.outputs[0] for r in past or ()} | dict(self._state.known)
        self._run: Iterator[Record] = kept(self.plan, execute(self.plan, *self._state.inputs, known=known))
        self._records: list[Record] = []


def _code(tensor: Tensor, value: float, real: bool) -> Any:
    """`value` as one element of a tensor."""
    if tensor.dtype == "float32":
        return value
    if tensor.dtype == "bool":
        return bool(value)
    quantization = tensor.quantization
    if real:
        if quantization is None or len(quantization.scale) != 1:
            raise InputError(f"'{tensor.name}' has no single scale; give a code")
        return quantize(value, quantization.scale[0], (*quantization.zero_point, 0)[0], tensor.dtype)
    low, high = (-8, 7) if tensor.dtype == "int4" else code_range(tensor.dtype)
    if not low <= value <= high or value != int(value):
        raise InputError(
            f"'{tensor.name}' holds {tensor.dtype} codes, {low} to {high}, not {value:g}; write real(…) for real values"
        )
    return int(value)


def _with_constant(plan: Plan, tensor: Tensor, data: Array) -> Plan:
    """The plan of the same model with another constant."""
    tensors = tuple(replace(t, data=data) if t.index == tensor.index else t for t in plan.graph.tensors)
    graph = replace(plan.graph, tensors=tensors)
    model: Model = replace(plan.model, graphs=(graph, *plan.model.graphs[1:]), sha256="")
    return make_plan(model, numerics=plan.numerics, kernels=plan.kernels, memory=plan.memory)
