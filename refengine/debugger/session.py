"""Inferences under a debugger: where one stands, where to stop, and what if.

Records are made as far as one has got, and kept for the present inference: going back in it costs nothing. Going back
to an inference before runs that one again, from the state in which it began. A change (`Session.set`) starts a new walk
over the plan in which the changed tensor is known; what does not depend on it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..errors import InferenceError, InputError
from ..execute import Call, Record, batch_size, execute, is_unknown, kept, require_room_for_all
from ..model import Array, Model, Tensor
from ..numerics.quantize import code_range, quantize
from ..plan import Plan, Step, first_assigned, make_plan, resource_of
from ..state import State, frozen
from ..tensors.difference import unlike
from ..text import counted, printed
from .condition import Condition, Index, elements

START = -1
"""The position before the first step, where the inputs are."""


Resource = tuple[str, str]
"""What a resource variable is known by: its container and shared name."""


@dataclass(frozen=True)
class Breakpoint:
    """Stops after one of `steps`, by (subgraph, operator), if `condition`, if there is one, holds for its record."""

    text: str
    steps: frozenset[tuple[int, int]]
    condition: Condition | None = None

    def hits(self, record: Record) -> bool:
        is_there = (record.step.subgraph, record.step.index) in self.steps
        return is_there and (self.condition is None or (not record.unknown and self.condition(record)))


@dataclass(frozen=True)
class Watch:
    """Stops after a step that has written elements `at` (None: any) of a `tensor` of a `subgraph`, or of a `resource`
    variable, which `tensor` describes.

    An output is written whenever its step runs, a variable where it is not what it was before.
    """

    text: str
    subgraph: int
    tensor: Tensor
    at: Index | None = None
    resource: Resource | None = None

    def hits(self, record: Record) -> bool:
        before, after = self.written(record) or (None, None)
        return after is not None and (before is None or bool(unlike(before, after).any()))

    def written(self, record: Record) -> tuple[Array | None, Array] | None:
        """What the elements were, if they are a variable's, and are now; None if the step does not write them."""
        if self.resource is not None:
            return self._assigned(record)
        step, results = record.step, (*record.outputs, *record.updates)
        for tensor, after in zip(step.writes, results, strict=True):
            if (
                step.subgraph == self.subgraph
                and tensor.index == self.tensor.index
                and tensor.index not in record.unknown
            ):
                read = zip(step.inputs, record.inputs, strict=True)
                before = [x for each, x in read if each is not None and each.index == tensor.index and x is not None]
                then, now = (elements(tensor, np.asarray(x), self.at) for x in ([*before, after][0], after))
                return then if before else None, now
        return None

    def _assigned(self, record: Record) -> tuple[Array, Array] | None:
        """What the elements of the resource variable were, and are now; None if the step does not assign it."""
        step, handle = record.step, record.inputs[0] if record.inputs else None
        if step.facts.resource != "assign" or handle is None or self.resource not in record.state.resources:
            return None
        if step.node.resources[int(handle)] != self.resource:
            return None
        (before,), after = record.memory, record.state.resources[self.resource][0]
        then, now = (elements(self.tensor, np.asarray(x).reshape(after.shape), self.at) for x in (before, after))
        return then, now


class Change(NamedTuple):
    """What was set: the elements `at` of a tensor (None: all), to which code or, if `real`, real value, and in which
    inference (constants: in all)."""

    tensor: Tensor
    at: Index | None
    value: float
    real: bool
    inference: int = 0


@dataclass(frozen=True)
class _Setting:
    """All that the walk follows from: `known` tensors, and `variables` as an inference finds them, by (inference,
    tensor); so `resources` by (inference, name)."""

    plan: Plan
    inputs: tuple[tuple[Array, ...], ...]
    known: Mapping[tuple[int, int], Array] = field(default_factory=dict)
    variables: Mapping[tuple[int, int], Array] = field(default_factory=dict)
    resources: Mapping[tuple[int, Resource], Array] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


class Session:
    """A walk through `execute(plan, *inputs)`, and through the inferences after it, `then`, each of which begins with
    the state that the one before has left. In the first one, the tensors `given` by index are taken as they are: those
    behind the gaps of a partial plan. Raises `InputError` for inputs that do not fit.

    One stands in an `inference`, counted from 0, at a `position`: behind so many of its records, less one, or at
    `START`. Without subgraphs that is the index of the step that has just run. `breakpoints` are numbered from 1, for
    good.
    """

    def __init__(
        self,
        plan: Plan,
        *inputs: Array,
        then: Sequence[tuple[Array, ...]] = (),
        given: Mapping[int, Array] = MappingProxyType({}),
    ) -> None:
        for each in (inputs, *then):
            if batch_size(plan, each) is not None:
                raise InputError(f"a batch of {counted(len(each[0]), 'inference')}; debug one of them")
        require_room_for_all(plan)
        every = tuple(tuple(frozen(np.array(x)) for x in each) for each in (inputs, *then))
        self._setting = _Setting(plan, every, {(0, tensor): frozen(np.array(x)) for tensor, x in given.items()})
        self._past: list[_Setting] = []
        self.inference, self.position = 0, START
        self.breakpoints: dict[int, Breakpoint | Watch] = {}
        self._numbered = 0
        self._starts: list[State] = []  # that the inferences so far begin with
        self._restart()

    @printed
    def __repr__(self) -> str:
        place = "the start" if self.position == START else str(self.current.step)
        return f"<Session at {place} of inference {self.inference}, of {self.inferences}; {len(self.changes)} changes>"

    # ---- what there is -------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        return self._setting.plan

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those of the main graph."""
        return self.plan.steps

    @property
    def inferences(self) -> int:
        """How many there are."""
        return len(self._setting.inputs)

    @property
    def inputs(self) -> tuple[Array, ...]:
        """What the present inference is fed."""
        return self._setting.inputs[self.inference]

    @property
    def start(self) -> State:
        """What lives on as the present inference begins."""
        return self._starts[self.inference]

    @property
    def every_inputs(self) -> tuple[tuple[Array, ...], ...]:
        """What each inference is fed."""
        return self._setting.inputs

    @property
    def changes(self) -> tuple[Change, ...]:
        """What is set at present, in the order of setting."""
        return self._setting.changes

    def record(self, index: int) -> Record:
        """The record of a step of the main graph, run now if it has not been."""
        while len(self._main) <= index:
            self._read()
        return self._records[self._main[index]]

    @property
    def current(self) -> Record:
        """The record of the present step; `InputError` at the start."""
        if self.position == START:
            raise InputError("no step has run yet; next runs the first")
        return self._at(self.position)

    @property
    def path(self) -> tuple[Call, ...]:
        """The calls that one stands in, the outermost first."""
        return () if self.position == START else self.current.path

    @property
    def frame(self) -> Plan:
        """The plan of the subgraph that one stands in."""
        return self.plan if self.position == START else self.plan.plans[self.current.step.subgraph]

    @property
    def state(self) -> State:
        """What lives on, as it is where one stands."""
        return self._starts[self.inference] if self.position == START else self.current.state

    @property
    def reached(self) -> int:
        """The step of the main graph that has run, or that runs the subgraph that one stands in; or `START`."""
        if self.position == START:
            return START
        return self.path[0].operator if self.path else self.current.step.index

    @property
    def is_at_end(self) -> bool:
        """Whether the present inference is over."""
        if self.position == START:
            return not self.steps
        return not self.path and self.current.step is self.steps[-1]

    def values(self, tensor: Tensor) -> Array:
        """The array, in its own shape, of a tensor of the subgraph that one stands in.

        Constants, inputs, variables as they are here, and outputs of steps, which in the main graph are run if they
        have not been. Raises `InputError` if nothing computes it, or nothing in this call yet.
        """
        place = self.frame.graph.index, tensor.index
        if (resource := self.resource_of(tensor)) is not None:
            return self._known(tensor, self.state.resources[resource][0])
        if place in self.state.variables:
            return self._known(tensor, self.state.variables[place][0])
        if tensor.index in self.frame.constants:
            constant: Array = self.frame.constants[tensor.index][0]
            return constant
        return self._inside(tensor) if self.path else self.final(tensor)

    def final(self, tensor: Tensor) -> Array:
        """The array of a tensor of the main graph as the present inference leaves it, wherever one stands."""
        place = self.plan.graph.index, tensor.index
        if place in self.plan.initial.variables:
            state = self.record(len(self.steps) - 1).state if self.steps else self.state
            return self._known(tensor, state.variables[place][0])
        if tensor.index in self.plan.graph.inputs:
            return self.inputs[self.plan.graph.inputs.index(tensor.index)]
        writer = self.plan.writers.get(tensor.index)
        if writer is None:
            raise InputError(f"tensor {tensor.index} '{tensor.name}' has no value: no operator computes it")
        record = self.record(writer.index)
        self._require_known(tensor, record.unknown)
        return record.outputs[[t.index for t in writer.outputs].index(tensor.index)]

    def knows(self, tensor: Tensor) -> bool:
        """Whether the present inference tells what a tensor of the main graph is."""
        try:
            self.final(tensor)
        except InputError:
            return False
        return True

    def _known(self, tensor: Tensor, array: Array) -> Array:
        self._require_known(tensor, {tensor.index} if is_unknown(tensor, array) else ())
        return np.asarray(array)

    def _require_known(self, tensor: Tensor, unknown: Collection[int]) -> None:
        if self.plan.gaps and tensor.index in unknown:
            why = self.plan.why_unknown(tensor, self.frame.graph.index)
            raise InputError(f"tensor {tensor.index} '{tensor.name}' is not known: {why}")

    def _inside(self, tensor: Tensor) -> Array:
        """The same of what the call that one stands in has read or written so far."""
        for record in (r for r in self._records[self.position :: -1] if r.path == self.path):
            pairs = zip((*record.step.outputs, *record.step.inputs), (*record.outputs, *record.inputs), strict=True)
            for each, x in pairs:
                if each is not None and each.index == tensor.index and x is not None:
                    self._require_known(tensor, record.unknown)
                    return self._known(tensor, x)
        raise InputError(
            f"tensor {tensor.index} '{tensor.name}' has no value in this call yet; next runs its operators"
        )

    def resource(self, name: str) -> Tensor | None:
        """The resource variable of that shared name, if the subgraph that one stands in has a handle of it: as what is
        assigned to it first, by the handle's index."""
        for step in self.frame.steps:
            if step.facts.resource == "handle" and (made := resource_of(step.op))[1] == name:
                held = first_assigned([each.steps for _, each in sorted(self.plan.plans.items())]).get(made)
                (handle,) = step.outputs
                return held and replace(held, index=handle.index, name=name, data=None, is_variable=True)
        return None

    def resource_of(self, tensor: Tensor) -> Resource | None:
        """Which one a tensor is, if it is one of `resource`."""
        writer = self.frame.writers.get(tensor.index) if tensor.is_variable else None
        return resource_of(writer.op) if writer is not None and writer.facts.resource == "handle" else None

    def began(self, variable: Tensor) -> Array:
        """What a variable of the main graph holds as the present inference begins."""
        start = self._starts[self.inference]
        if (resource := self.resource_of(variable)) is not None:
            return np.asarray(start.resources[resource][0])
        return np.asarray(start.variables[self.plan.graph.index, variable.index][0])

    def writer(self, tensor: Tensor) -> Step | None:
        """The step that computes a tensor of the subgraph that one stands in."""
        return self.frame.writers.get(tensor.index)

    def readers(self, tensor: Tensor) -> list[Step]:
        """The steps that read it."""
        return [step for step in self.frame.steps if tensor.index in step.op.inputs]

    def unchanged(self) -> Session:
        """The inference as it was before anything was set."""
        first = (*self._past, self._setting)[0]
        given = {tensor: x for (_, tensor), x in first.known.items()}
        other = Session(first.plan, *first.inputs[0], then=first.inputs[1:], given=given)
        other.enter(self.inference)
        return other

    # ---- where to go ---------------------------------------------------------------------------------------

    def goto(self, index: int) -> None:
        """Stand at a step of the main graph (or `START`), ahead or behind; raises `InputError` if there is none."""
        if not START <= index < len(self.steps):
            raise InputError(f"there is no operator {index}; the last is {len(self.steps) - 1}")
        if index != START:
            self.record(index)
        self.position = START if index == START else self._main[index]

    def enter(self, inference: int) -> None:
        """Stand at the start of an inference; those before it are run if they have not been, as far as TFLM runs them.

        Raises `InputError` if there is none.
        """
        if not 0 <= inference < self.inferences:
            raise InputError(f"there is no inference {inference}; the last is {self.inferences - 1}")
        while len(self._starts) <= inference:
            self._begin(len(self._starts) - 1)
            self._starts.append(self._found(len(self._starts), self._left()))
        self._begin(inference)

    def _left(self) -> State:
        """What the present inference leaves, from its start on."""
        try:
            self.goto(len(self.steps) - 1)
        except InferenceError as error:
            left: State = error.state
            return left
        return self.state

    def step(self) -> None:
        """To the next record, that of a subgraph or not, or to the start of the next inference.

        Raises `InputError` at the end of the last.
        """
        if not self.is_at_end:
            self._at(self.position + 1)
            self.position += 1
        elif self.inference < self.inferences - 1:
            self.enter(self.inference + 1)
        else:
            raise InputError("the inference is at its end; back, goto or run")

    def back(self) -> None:
        """To the record before, or to the end of the inference before.

        Raises `InputError` at the start of the first.
        """
        if self.position > START:
            self.position -= 1
        elif self.inference:
            self.enter(self.inference - 1)
            self.goto(len(self.steps) - 1)
        else:
            raise InputError("this is the start")

    def over(self, move: Callable[[], None], depth: int | None) -> list[int]:
        """`move`, and on until one stands no more than `depth` calls deep (None: anywhere).

        The numbers of the breakpoints hit on the way, which end it.
        """
        move()
        while depth is not None and len(self.path) > depth:
            if hit := self._hit():
                return hit
            move()
        return []

    @property
    def is_at_start(self) -> bool:
        """Whether there is nothing behind."""
        return self.position == START and not self.inference

    @property
    def is_over(self) -> bool:
        """Whether there is nothing ahead."""
        return self.is_at_end and self.inference == self.inferences - 1

    def advance(self, wanted: Callable[[Step], bool] = lambda step: False) -> list[int]:
        """Run to the next breakpoint or step that is `wanted`, or to the end; the numbers of the breakpoints hit."""
        while not self.is_over:
            self.step()
            if (hit := self._hit()) or (self.position != START and wanted(self.current.step)):
                return hit
        return []

    def retreat(self) -> list[int]:
        """Back to the breakpoint before, or to the start; the numbers of the breakpoints hit."""
        while not self.is_at_start:
            self.back()
            if hit := self._hit():
                return hit
        return []

    def stop_at(self, breakpoint: Breakpoint | Watch) -> int:
        """Add a breakpoint; its number. Raises `InputError` if its condition turns out to make no sense."""
        if isinstance(breakpoint, Breakpoint) and breakpoint.condition is not None and self.steps:
            breakpoint.condition(self.record(0))
        self._numbered += 1
        self.breakpoints[self._numbered] = breakpoint
        return self._numbered

    def _hit(self) -> list[int]:
        if self.position == START:
            return []
        return [number for number, breakpoint in self.breakpoints.items() if breakpoint.hits(self.current)]

    # ---- what if -------------------------------------------------------------------------------------------

    def set(self, tensor: Tensor, at: Index | None, value: float, real: bool = False) -> Array:
        """Put `value` into the elements `at` (None: all) of a tensor of the main graph; the array as it was.

        `value` is a code, or with `real` a real value to be quantised. Constants change the plan, everything else the
        present inference, a variable what that begins with. Raises `InputError` inside a subgraph, for a value that the
        type cannot hold, or an index outside.
        """
        if self.path:
            raise InputError("only tensors of the main graph can be set; finish leaves the subgraph")
        resource = self.resource_of(tensor)
        is_variable = resource is not None or (self.plan.graph.index, tensor.index) in self.state.variables
        before = self.began(tensor) if is_variable else self.values(tensor)
        after = before.copy()
        with np.errstate(over="ignore"):  # too large for float32 is infinite
            elements(tensor, after, at)[...] = _code(tensor, value, real)
        setting, inputs, place = self._setting, self.plan.graph.inputs, (self.inference, tensor.index)
        if tensor.index in self.plan.constants:
            setting = replace(setting, plan=_with_constant(setting.plan, tensor, after))
        elif resource is not None:
            setting = replace(setting, resources={**setting.resources, (self.inference, resource): after})
        elif is_variable:
            setting = replace(setting, variables={**setting.variables, place: after})
        elif tensor.index in inputs:
            fed = tuple(after if i == tensor.index else x for i, x in zip(inputs, self.inputs, strict=True))
            every = (*setting.inputs[: self.inference], fed, *setting.inputs[self.inference + 1 :])
            setting = replace(setting, inputs=every)
        else:
            setting = replace(setting, known={**setting.known, place: after})
        self._past.append(self._setting)
        change = Change(tensor, at, value, real, self.inference)
        self._setting = replace(setting, changes=(*setting.changes, change))
        touched = [step.index for step in (self.writer(tensor), *self.readers(tensor)) if step is not None]
        if tensor.index in self.plan.constants or is_variable:
            self._restart()
            return before
        here = self.reached
        first = min(touched, default=0)
        self._starts = self._starts[: self.inference + 1]
        self._walk(self._records[: self._main[first]] if first < len(self._main) else self._records)
        self.goto(here)
        return before

    def undo(self) -> None:
        """Take back the last `set`; raises `InputError` if there is none."""
        if not self._past:
            raise InputError("nothing has been set")
        self._setting = self._past.pop()
        self._restart()

    def reset(self) -> None:
        """Take back everything that was set."""
        self._setting = (*self._past, self._setting)[0]
        self._past = []
        self._restart()

    # ---- the walk ------------------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Walk anew from the first inference to where one stands: the step, by its number among the records."""
        inference, position = self.inference, self.position
        here = None if self.path else self.reached
        self._starts = [self._found(0, self.plan.initial)]
        self.enter(inference)
        if here is not None:
            self.goto(here)
        while here is None and self.position < position and not self.is_at_end:  # a loop may run less often now
            self.step()

    def _found(self, inference: int, state: State) -> State:
        """The state that an inference begins with: what the one before has left, and the variables that were set."""
        for (k, tensor), value in self._setting.variables.items():
            if k == inference:
                state = state.with_variable(self.plan.graph.index, tensor, frozen(value[np.newaxis]))
        for (k, name), value in self._setting.resources.items():
            if k == inference:
                state = state.with_resource(name, frozen(value[np.newaxis]))
        return state

    def _begin(self, inference: int) -> None:
        self.inference, self.position = inference, START
        self._walk()

    def _walk(self, past: Sequence[Record] = ()) -> None:
        """Begin to walk through the present inference, the records of the first steps known."""
        known = {
            t.index: x
            for record in past
            if not record.path
            for t, x in zip(record.step.outputs, record.outputs, strict=True)
            if t.index not in record.unknown
        }
        known |= {tensor: x for (k, tensor), x in self._setting.known.items() if k == self.inference}
        run = execute(self.plan, *self.inputs, known=known, state=self._starts[self.inference])
        self._run: Iterator[Record] = kept(self.plan, run)
        self._records: list[Record] = []
        self._main: list[int] = []  # the places of the main graph's records, by step

    def _at(self, position: int) -> Record:
        """A record by its place, run now if it has not been."""
        while len(self._records) <= position:
            self._read()
        return self._records[position]

    def _read(self) -> None:
        """One record more."""
        try:
            record = next(self._run)
        except (KeyboardInterrupt, InputError, InferenceError):  # the walk is over; the next takes up where it was
            self._walk(self._records)
            raise
        self._main += [len(self._records)] if not record.path else []
        self._records.append(record)


def _code(tensor: Tensor, value: float, real: bool) -> Any:
    """`value` as one element of a tensor."""
    if tensor.dtype == "float32":
        return value
    if tensor.dtype == "bool":
        return bool(value)
    if tensor.dtype == "resource":
        raise InputError(f"'{tensor.name}' is a variable's handle, no number; set the variable by its shared name")
    if tensor.dtype != "int4" and np.dtype(tensor.dtype).kind not in "iu":
        raise InputError(f"'{tensor.name}' is {tensor.dtype}; integers, bool and float32 can be set")
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
    partial = bool(plan.gaps)
    return make_plan(model, numerics=plan.numerics, kernels=plan.kernels, memory=plan.memory, partial=partial)
