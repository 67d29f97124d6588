"""A case: one operator with its inputs, what a sound kernel makes of them, and how another kernel does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InferenceError, RefengineError
from ..execute import Record, execute
from ..kernel import Numerics
from ..kernels._linear import Computed
from ..model import Array, Model, Tensor
from ..plan import Plan, Step, make_plan
from ..state import State
from ..tensors.difference import Difference, difference
from ..text import counted
from .numbers import numbers_of


class KernelError(RefengineError):
    """A kernel did worse than to compute something wrong; `kind` is one word or two for it, the message the rest."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, eq=False)
class Case:
    """The plan of one operator, in the dialect that the kernel claims to compute, and arrays for its inputs.

    `arrays` are the operator's inputs in its order, constants among them (int4 unpacked to int8) and variables as they
    are before the call, None for an optional input left out; `expected` is its output (the first of several), `results`
    all that it writes: the outputs, then the variables that it updates. `numbers` are what a C kernel is called with
    (see `refengine_fuzz.h`).

    Of an operator with state a case is one inference of a stream: `before` is the case of the inference before it,
    None for the first, and `reset` whether TFLM's reset came between the two.
    """

    plan: Plan
    inputs: tuple[Array, ...]
    before: Case | None = None
    reset: bool = False

    @property
    def model(self) -> Model:
        return self.plan.model

    @property
    def numerics(self) -> Numerics:
        return self.plan.numerics

    def changed(
        self, model: Model | None = None, inputs: tuple[Array, ...] | None = None, numerics: Numerics | None = None
    ) -> Case:
        """The case with another model, inputs or dialect; raises `UnsupportedError` where that would not run."""
        plan = make_plan(model or self.model, numerics=numerics or self.numerics, kernels=self.plan.kernels)
        before = self.before and self.before.changed(model, None, numerics)
        return Case(plan, inputs or self.inputs, before, self.reset)

    @property
    def step(self) -> Step:
        """The last one: some operators make no sense alone, and have others before them."""
        return self.plan.steps[-1]

    @cached_property
    def fixed(self) -> Step:
        """The step with weights and bias that the model computes as constants, whose params tell more; it computes the
        same."""
        step = self.step
        if not isinstance(step.params, Computed):
            return step
        places = step.params.places
        inputs = (
            replace(tensor, data=array) if tensor is not None and i in places else tensor
            for i, (tensor, array) in enumerate(zip(step.inputs, self.arrays, strict=True))
        )
        return replace(step, node=step.node._replace(inputs=tuple(inputs))).prepared(self.numerics)

    @property
    def op(self) -> str:
        return self.step.name

    @property
    def options(self) -> Mapping[str, Any]:
        return self.step.op.options

    @property
    def dtype(self) -> str:
        """The type of the input that holds the data, "" if none does."""
        data = self.step.data
        return data.dtype if data is not None else ""

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """The operator's inputs as the model declares them; its outputs are `step.outputs`."""
        return self.step.inputs

    @cached_property
    def arrays(self) -> tuple[Array | None, ...]:
        try:
            return self.record.inputs
        except InferenceError:  # TFLM ends an inference early, whose operator stands alone
            fed = dict(zip(self.plan.graph.inputs, self.inputs, strict=True))
            return tuple(None if t is None else fed[t.index] if t.data is None else t.data for t in self.tensors)

    @cached_property
    def stream(self) -> tuple[Case, ...]:
        """The inferences of the stream up to this one."""
        return (*(self.before.stream if self.before else ()), self)

    @cached_property
    def state(self) -> State:
        """What lives on from the inference before."""
        if self.before is None:
            return self.plan.initial
        return self.plan.reset(self.before.after) if self.reset else self.before.after

    @cached_property
    def after(self) -> State:
        """What lives on from this inference, which TFLM may end early."""
        try:
            return self.record.state
        except InferenceError as error:
            if error.state is None:
                raise
            state: State = error.state
            return state

    @cached_property
    def record(self) -> Record:
        """What a sound kernel does. Raises `InferenceError` where TFLM's Invoke fails."""
        *_, record = execute(self.plan, *self.inputs, state=self.state)
        return record

    @cached_property
    def results(self) -> tuple[Array, ...]:
        """What a sound kernel writes, in the order of `Step.writes`; 0 where TFLM leaves elements unwritten."""
        return tuple(np.asarray(x, order="C") for x in (*self.record.outputs, *self.record.updates))

    @property
    def expected(self) -> Array:
        return self.results[0]

    def defined(self, place: int, array: Array) -> Array:
        """What a kernel wrote, with 0 where TFLM leaves elements unwritten."""
        masks = self.record.undefined
        mask = masks[place] if place < len(masks) else None
        return array if mask is None else np.where(mask, array.dtype.type(0), array)

    @cached_property
    def numbers(self) -> dict[str, Array]:
        return numbers_of(self.step)

    def __reduce__(self) -> tuple[Any, ...]:
        return Case, (self.plan, self.inputs, self.before, self.reset)  # what the rest follows from


Door = Callable[[Case], "Array | tuple[Array, ...] | None"]
"""A way to a kernel: what it writes for a case, a tuple of several, or None for what it does not claim to compute.

Behind the outputs come the new values of the variables that it updates, or nothing: then those are not judged.

May raise `KernelError`."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a kernel did: `kind` is ``equal``, ``skipped``, ``differs``, or that of its `KernelError`, with its message.

    `got` is its output if it gave one, `difference` how far that is from what is right; of several results the first
    that differs, whose number is `output` (updated variables count on behind the outputs).
    """

    kind: str
    message: str = ""
    got: Array | None = None
    difference: Difference | None = None
    output: int = 0

    @property
    def failed(self) -> bool:
        return self.kind not in ("equal", "skipped")


def check(door: Door, case: Case) -> Outcome:
    """Hand a case through a door, and judge what comes back, bit for bit (any NaN is any other)."""
    try:
        answer = door(case)
    except KernelError as error:
        return Outcome(error.kind, str(error))
    except RefengineError:
        raise
    except Exception as error:  # a callable is anybody's code
        return Outcome("raises", f"raises {type(error).__name__}: {error}")
    if answer is None:
        return Outcome("skipped")
    answers, count = answer if isinstance(answer, tuple) else (answer,), len(case.step.outputs)
    if len(answers) not in (count, len(case.step.writes)):
        due = "one array is" if count == 1 else f"{count} are"
        return Outcome("wrong shape", f"gives {counted(len(answers), 'array')} where {due} due")
    outcomes = [_judged(case, i, got) for i, got in enumerate(answers)]
    return next((outcome for outcome in outcomes if outcome.failed), outcomes[0])


def _judged(case: Case, output: int, got: Any) -> Outcome:
    """How a kernel did at one of its results."""
    tensor, expected = case.step.writes[output], case.results[output]
    got = np.asarray(got) if isinstance(got, np.generic) else got  # what NumPy makes of arrays without dimensions
    if not isinstance(got, np.ndarray) or got.dtype != expected.dtype or got.shape != expected.shape:
        what = f"{got.dtype} {got.shape}" if isinstance(got, np.ndarray) else type(got).__name__
        return Outcome("wrong shape", f"gives {what} where {expected.dtype} {expected.shape} is due")
    got = case.defined(output, np.asarray(got, order="C"))
    apart = difference(tensor, expected, got)
    return Outcome("differs" if apart else "equal", got=got.copy(), difference=apart, output=output)
