"""A model made small while somebody's command or runtime goes on failing on it.

    def fails(model, inputs):  # what your runtime says of it, and "" where it is content
        return "too long" if len(model.graphs[0].ops) > 2 else ""

    *_, smallest = refengine.reduce("model.tflite", fails)

Operators are left out, first many at once and from the end on, then outputs; what an operator read from one that went
is fed instead, with the values that it had. Then constants and inputs become all neutral, or all alike. A smaller model
counts if it fails in the same way; one that refengine could not run, where it could the whole one, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..errors import InferenceError, InputError, RefengineError
from ..execute import batch_size, execute
from ..kernel import Numerics
from ..memory import MEMORY, Memory
from ..model import Array, Model
from ..plan import Plan, Source, make_plan
from ..tensors.inputs import random_inputs
from ..text import counted, kind_of
from ..tflite_io import load
from .cut import ends, numbers, part, simpler, with_constant
from .failing import Command, Fails, Runtime

__all__ = ["Command", "Fails", "Reduced", "Runtime", "reduce"]


@dataclass(frozen=True, eq=False)
class Reduced:
    """The smallest model so far with its inputs, how it fails, and how many models have been `tried`.

    `simplified` counts the constants and inputs that are all neutral or all alike now, and were not.
    """

    model: Model
    inputs: tuple[Array, ...]
    failure: str
    tried: int
    simplified: int = 0

    @property
    def operators(self) -> int:
        return len(self.model.graphs[0].ops)

    def __repr__(self) -> str:
        left = counted(self.operators, "operator")
        return f"<Reduced to {left}, which {self.failure}; {counted(self.tried, 'model')} tried>"


def reduce(
    source: Source,
    fails: Fails,
    inputs: tuple[Array, ...] | None = None,
    *,
    numerics: Numerics | str = "tflm",
    memory: Memory = MEMORY,
) -> Iterator[Reduced]:
    """The model that fails, then each smaller one that still does; the last one is the result.

    `inputs` are a tuple with an array for each input, of one inference, random ones by default. Operators that
    refengine cannot run may be part of it; what is computed of them is not known, and so nothing behind them can be
    fed. `fails` tells how it fails on a model and inputs, see `Command` and `Runtime`. Raises `InputError` if it does
    not fail on the whole model.
    """
    if not callable(fails):
        raise InputError(f"how it fails is told by a function, a Command or a Runtime, not by {kind_of(fails)}")
    model = source.model if isinstance(source, Plan) else source if isinstance(source, Model) else load(source)
    plan = make_plan(model, numerics=numerics, memory=memory, partial=True)
    if inputs is not None:
        batch_size(plan, inputs)
    given = random_inputs(plan, 0) if inputs is None else tuple(inputs)
    search = _Search(model, fails, plan, given)
    yield search.best
    yield from search.smaller()


class _Search:
    """The whole model with every value that is known, and the smallest part of it that still fails."""

    def __init__(self, model: Model, fails: Fails, plan: Plan, inputs: tuple[Array, ...]) -> None:
        self.model, self.fails, self.plan = model, fails, plan
        self.known, self.best = _values(plan, inputs), Reduced(model, inputs, _failure(fails, model, inputs), 1)
        if not self.best.failure:
            raise InputError("it does not fail on the whole model: there is nothing to reduce")

    def smaller(self) -> Iterator[Reduced]:
        """Fewer operators, then fewer outputs, then without the operators that only the other outputs needed."""
        operators = [op.index for op in self.model.graphs[0].ops]
        for fewer in _fewer(operators, self._fails_with):
            operators = fewer
            yield self.best
        outputs = [*ends(self.model, operators)[1]]
        for fewer in _fewer(outputs, lambda kept: self._fails_with(operators, kept)):
            outputs = fewer
            yield self.best
        for _ in _fewer(operators, lambda kept: self._fails_with(kept, outputs)):
            yield self.best
        yield from self._simplified()

    def _fails_with(self, operators: list[int], outputs: list[int] | None = None) -> bool:
        """Whether a part of the model fails in the same way, on the values that its inputs had."""
        fed, _ = ends(self.model, operators)
        model = part(self.model, operators, outputs)
        is_known = model.graphs[0].outputs and all(index in self.known for index in fed)
        return bool(is_known) and self._counts(model, tuple(self.known[index] for index in fed))

    def _counts(self, model: Model, inputs: tuple[Array, ...], simplified: int = 0) -> bool:
        """Whether a model fails in the same way, and refengine can run it if it can run the whole one."""
        self.best = replace(self.best, tried=self.best.tried + 1)
        try:
            if not self.plan.gaps:
                make_plan(model, numerics=self.plan.numerics, memory=self.plan.memory)
            if _failure(self.fails, model, inputs) != self.best.failure:
                return False
        except RefengineError:
            return False
        self.best = replace(self.best, model=model, inputs=inputs, simplified=self.best.simplified + simplified)
        return True

    def _simplified(self) -> Iterator[Reduced]:
        """Constants, then inputs, all neutral or all alike."""
        for tensor in numbers(self.best.model):
            assert tensor.data is not None
            candidates = (with_constant(self.best.model, tensor.index, x) for x in simpler(tensor, tensor.data))
            if any(self._counts(model, self.best.inputs, 1) for model in candidates):
                yield self.best
        graph = self.best.model.graphs[0]
        for place, index in enumerate(graph.inputs):
            others = (_with(self.best.inputs, place, x) for x in simpler(graph.tensors[index], self.best.inputs[place]))
            if any(self._counts(self.best.model, inputs, 1) for inputs in others):
                yield self.best
        yield self.best


def _failure(fails: Fails, model: Model, inputs: tuple[Array, ...]) -> str:
    """How it fails, on inputs that may be written over."""
    return fails(model, tuple(x.copy() for x in inputs))


def _with(inputs: tuple[Array, ...], place: int, array: Array) -> tuple[Array, ...]:
    return (*inputs[:place], array, *inputs[place + 1 :])


def _values(plan: Plan, inputs: tuple[Array, ...]) -> Mapping[int, Array]:
    """What the main graph's tensors hold in an inference, as far as refengine can run it."""
    known = dict(zip(plan.graph.inputs, inputs, strict=True))
    try:
        for record in execute(plan, *inputs):
            if not record.path:
                pairs = zip(record.step.outputs, record.outputs, strict=True)
                known |= {t.index: x for t, x in pairs if t.index not in record.unknown and t.dtype != "resource"}
    except InferenceError:  # which may be the failure in question
        pass
    return known


def _fewer(items: list[int], holds: Callable[[list[int]], bool]) -> Iterator[list[int]]:
    """Ever fewer of the items of which it still holds: without halves of them, quarters …, the last ones first."""
    size = max(1, len(items) // 2)
    while True:
        before = len(items)
        for stop in range(len(items), 0, -size):
            rest = items[: max(0, stop - size)] + items[stop:]
            if rest and holds(rest):
                items = rest
                yield items
        if size == 1 and len(items) == before:
            return
        size = max(1, size // 2)
