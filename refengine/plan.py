"""From what a file says to what will run: one `Step` per operator, every constant computed, every refusal made."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .contract import held
from .errors import InferenceError, InputError, LimitError, UnsupportedError, located, within_limits
from .kernel import Facts, Kernel, Kernels, Node, Numerics, dialect
from .kernels import FACTS, KERNELS, is_bundled, require_kernels
from .memory import MEMORY, STATES, Memory, byte_count, needs, require_room, tensor_bytes
from .model import Array, Graph, Model, Op, Tensor
from .refusals import kernel_for, offline_offsets, require_tensors, telling_unknown_lengths
from .state import State, frozen, is_masked, unknown
from .text import counted, html_table, printable, printed


@dataclass(frozen=True, eq=False)
class Step:
    """One call: `kernel.evaluate(params, *inputs)`.

    `index` counts the operators of the `subgraph`, whose tensors `inputs` and `outputs` are (None for an optional input
    left out); `last_use` are the indices of tensors that no later step reads; `node` is what the kernel was prepared
    with. `gap` is why there is no kernel, in a partial plan: what such a step writes is unknown (see `unknown`).
    """

    subgraph: int
    index: int
    op: Op
    kernel: Kernel
    params: Any
    node: Node
    last_use: tuple[int, ...]
    gap: UnsupportedError | None = None

    @cached_property
    def inputs(self) -> tuple[Tensor | None, ...]:
        return self.node.inputs

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        return self.node.outputs

    @cached_property
    def reads(self) -> tuple[int | None, ...]:
        """The indices of the inputs."""
        return tuple(None if t is None else t.index for t in self.inputs)

    @cached_property
    def name(self) -> str:
        """The builtin's name, or the custom code."""
        return self.node.name

    @cached_property
    def facts(self) -> Facts:
        return self.kernel.facts

    @property
    def data(self) -> Tensor | None:
        """The input whose type chooses the kernel."""
        return self._input(self.facts.data)

    @property
    def weights(self) -> Tensor | None:
        return self._input(self.facts.weights)

    @property
    def bias(self) -> Tensor | None:
        return self._input(self.facts.bias)

    def _input(self, place: int | None) -> Tensor | None:
        return None if place is None or place >= len(self.inputs) else self.inputs[place]

    @cached_property
    def writes(self) -> tuple[Tensor, ...]:
        """The outputs, then the variables among the inputs that the step updates."""
        updated = (self.inputs[i] for i in self.facts.updates)
        return (*self.outputs, *(t for t in updated if t is not None))

    @cached_property
    def memory(self) -> tuple[Array, ...]:
        """What the kernel keeps for itself, as it is before the first inference."""
        kept: tuple[Array, ...] = getattr(self.params, "memory", ())
        return kept

    @cached_property
    def remembers(self) -> bool:
        """Whether it gets more than its inputs: a memory of its own, or a resource variable's value."""
        return bool(self.memory) or self.facts.resource in ("read", "assign")

    @property
    def calls(self) -> tuple[int, ...]:
        """The subgraphs that the step runs."""
        return tuple(self.op.options[name] for name in self.facts.calls)

    def prepared(self, numerics: Numerics) -> Step:
        """The same step under another dialect; raises `UnsupportedError` as `make_plan` does."""
        with np.errstate(all="ignore"):
            return replace(self, params=self.kernel.prepare(self.node, numerics))

    def evaluate(self, *arrays: Array | None) -> tuple[Array, ...]:
        """What the kernel makes of the inputs and its memory: `writes`, then the new memory; batches in front.

        An undefined (masked) element of an input makes those results undefined that depend on it: whose bits change
        with the bits that stand in for it. Raises `InferenceError` where TFLM's Invoke would fail.
        """
        if any(is_masked(x) for x in arrays):
            return _depending(self.evaluate, arrays)
        with np.errstate(all="ignore"):  # inf and NaN are results here
            result = self.call(*arrays)
            return tuple(map(frozen, result if isinstance(result, tuple) else (result,)))

    @cached_property
    def call(self) -> Callable[..., Array | tuple[Array, ...]]:
        """`evaluate` in a hurry: what the kernel itself returns, of nothing masked, where NumPy's warnings are off."""
        assert self.kernel.evaluate is not None
        return partial(self.kernel.evaluate, self.params)

    @property
    def number(self) -> str:
        """Its index, that of another subgraph than the main one behind the subgraph's: 9, 2:0."""
        return f"{self.subgraph}:{self.index}" if self.subgraph else str(self.index)

    def __str__(self) -> str:
        return f"operator {self.index} ({printable(self.name)})"

    @property
    def where(self) -> str:
        """The same, that of another subgraph than the main one behind the subgraph's."""
        return f"subgraph {self.subgraph}, {self}" if self.subgraph else str(self)

    @printed
    def __repr__(self) -> str:
        types = [f"{t.dtype} {t.shape}" for t in self.inputs if t is not None]
        made = [f"{t.dtype} {t.shape}" for t in self.outputs]
        gap = ", left out" if self.gap else ""
        return f"<Step {self.index} {printable(self.name)}: {', '.join(types)} → {', '.join(made)}{gap}>"


STAND_INS = (0x00, 0x55, 0xFF)
"""Bytes put in the place of undefined elements to see what depends on them."""


def _depending(evaluate: Callable[..., tuple[Array, ...]], arrays: Sequence[Array | None]) -> tuple[Array, ...]:
    """`evaluate` on arrays with undefined elements; results that differ between stand-ins are undefined in turn."""
    tries, errors = [], []
    for byte in STAND_INS:
        try:
            tries.append(evaluate(*(_stood_in(x, byte) for x in arrays)))
        except InferenceError as error:
            tries.append(error.results)
            errors.append(error)
    results = None if None in tries else tuple(_agreeing(each) for each in zip(*tries, strict=True))
    if errors:
        errors[0].results = results
        raise errors[0]
    assert results is not None
    return results


def _stood_in(array: Array | None, byte: int) -> Array | None:
    if not is_masked(array):
        return array
    return array.filled(np.full(array.itemsize, byte, np.uint8).view(array.dtype)[0])


def _agreeing(results: Sequence[Array]) -> Array:
    first = np.ma.getdata(results[0])
    bits = [np.ascontiguousarray(np.ma.getdata(x))[..., np.newaxis].view(np.uint8) for x in results]
    unlike = sum(((x != bits[0]).any(axis=-1) for x in bits[1:]), np.ma.getmaskarray(results[0]))
    return frozen(np.ma.array(first, mask=unlike)) if unlike.any() else frozen(first)


def _all_unknown(written: tuple[Tensor, ...], *arrays: Array | None) -> tuple[Array, ...]:
    return tuple(map(unknown, written))


def _no_story(*arguments: Any) -> Any:
    raise AssertionError("a gap explains nothing")


def _gap(graph: Graph, op: Op, node: Node, last_use: tuple[int, ...], why: UnsupportedError) -> Step:
    """The step of an operator that cannot be prepared: it may change every variable that it reads."""
    updates = tuple(place for place, t in enumerate(node.inputs) if t is not None and t.is_variable)
    written = (*node.outputs, *filter(None, (node.inputs[place] for place in updates)))
    facts = Facts(data=None, updates=updates, calls=FACTS.get(op.kind, Facts()).calls)
    kernel = Kernel(lambda node, numerics: written, _all_unknown, _no_story, _no_story, facts)
    return Step(graph.index, op.index, op, kernel, written, node, last_use, why)


class Hurried(NamedTuple):
    """What the loop of a straight plan needs of a step: its `call`, and tensors by index: those that it reads, that it
    writes, and that no later step reads. An attribute of a step takes longer to find."""

    call: Callable[..., Array | tuple[Array, ...]]
    reads: tuple[int | None, ...]
    writes: tuple[int, ...]
    last_use: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """What will run: the steps of one subgraph, in order, under one dialect. A model's plan is that of subgraph 0.

    `constants` are the arrays of constant tensors by index, with the batch axis of length 1 that kernels expect;
    `subplans` the plans of all other subgraphs by index, and `initial` the state before the first inference.
    `working_bytes` is what one inference may take, of a model's plan, and `memory` what those at once are allowed.
    """

    model: Model
    graph: Graph
    numerics: Numerics
    steps: tuple[Step, ...]
    constants: Mapping[int, Array]
    kernels: Kernels = field(repr=False)
    subplans: Mapping[int, Plan] = field(default_factory=dict, repr=False)
    initial: State = field(default_factory=State, repr=False)
    working_bytes: int = field(default=0, repr=False)
    memory: int = field(default=MEMORY, repr=False)

    @printed
    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(_kind, tensors)) for tensors in (self.inputs, self.outputs))
        return f"<Plan of {counted(len(self.steps), 'operator')}, {self.numerics}: {inputs} → {outputs}>"

    def _repr_html_(self) -> str:
        rows = (
            (step.index, step.name, *(", ".join(_kind(t) for t in ts if t) for ts in (step.inputs, step.outputs)))
            for step in self.steps
        )
        return html_table(repr(self), ("#", "operator", "reads", "writes"), rows)

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[i] for i in self.graph.inputs)

    @cached_property
    def writers(self) -> Mapping[int, Step]:
        """By tensor index, the step that computes it."""
        return {t.index: step for step in self.steps for t in step.outputs}

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates per inference of this subgraph's own operators."""
        return sum(getattr(step.params, "macs", 0) for step in self.steps)

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[i] for i in self.graph.outputs)

    @property
    def plans(self) -> Mapping[int, Plan]:
        """This plan and its subplans, by subgraph."""
        return {self.graph.index: self, **self.subplans}

    @cached_property
    def gaps(self) -> tuple[Step, ...]:
        """The steps that have no kernel, of all subgraphs, in the file's order; none unless the plan is partial."""
        return tuple(step for _, plan in sorted(self.plans.items()) for step in plan.steps if step.gap)

    @cached_property
    def widest(self) -> int:
        """The bytes of inputs and outputs of the largest step, of elements of four bytes each."""
        computed = ([t for t in (*s.inputs, *s.outputs) if t is not None and t.data is None] for s in self.steps)
        return max((sum(prod(t.shape) * 4 for t in tensors) for tensors in computed), default=1)

    @cached_property
    def straight(self) -> tuple[tuple[Hurried, ...], Mapping[int, Array]] | None:
        """(the steps that compute something new in each inference, the constants and what the others make of them).

        None where inferences are more than computing one step after the other: where something lives on, a subgraph may
        run, or there is a gap.
        """
        if self.initial or self.gaps or any(s.facts.control or s.facts.resource or s.remembers for s in self.steps):
            return None
        values, left = dict(self.constants), []
        for step in self.steps:
            results = _foreseen(step, values)
            values.update(zip((t.index for t in step.outputs), results, strict=False))
            if not results:
                writes = tuple(t.index for t in step.outputs)
                left.append(Hurried(step.call, step.reads, writes, step.last_use))
        return tuple(left), values

    @cached_property
    def lasting(self) -> Mapping[str, Tensor]:
        """What lives on from one inference to the next, by what `State.named` calls it: variable tensors, and all else
        as tensors of index -1 whose names say what it is."""
        first, plans = self.initial, self.plans
        steps = {(step.subgraph, step.index): step for plan in plans.values() for step in plan.steps}
        others = [f"resource variable '{name}'" for _, name in first.resources]
        others += [f"what {steps[key]} keeps" for key, kept in first.memory.items() for _ in kept]
        tensors = [plans[graph].graph.tensors[index] for graph, index in first.variables]
        arrays = [*first.named().values()][len(tensors) :]
        tensors += [Tensor(-1, name, x.shape[1:], str(x.dtype)) for name, x in zip(others, arrays, strict=True)]
        return dict(zip(first.named(), tensors, strict=True))

    def reached(self, step: Step) -> frozenset[int]:
        """The subgraphs that a step runs, and those that run in them."""
        inner = (callee for graph in step.calls for each in self.plans[graph].steps for callee in self.reached(each))
        return frozenset((*step.calls, *inner))

    @cached_property
    def handles(self) -> frozenset[int]:
        """The indices of this subgraph's tensors that hold handles of resource variables."""
        return _handles(self.graph, self.steps)

    def shares(self, step: Step) -> bool:
        """Whether a step may read or change resource variables: it has a handle, or runs subgraphs."""
        return bool(step.calls) or not self.handles.isdisjoint(step.op.inputs)

    def behind(self, given: Collection[int] = ()) -> Mapping[int, Step]:
        """By index, the tensors of the main graph that may be unknown, each with a gap that it depends on.

        `given` are the indices of those that are given. Which of the others are unknown is seen when the plan runs, for
        a branch without a gap may be taken.
        """
        lost = self.lost(given).items()
        return {t.index: gap for step, gap in lost for t in step.writes if t.index not in given}

    def lost(self, given: Collection[int] = ()) -> Mapping[Step, Step]:
        """The steps of the main graph whose results may be unknown, each with a gap; see `behind`."""
        return self._lost(frozenset(given)) if given else self._lost_at_most

    @cached_property
    def _lost_at_most(self) -> Mapping[Step, Step]:
        return self._lost(frozenset())

    def _lost(self, given: frozenset[int]) -> Mapping[Step, Step]:
        found: dict[Step, Step] = {}
        tensors: dict[int, Step] = {}
        shared: dict[int, Step] = {}  # subgraphs whose variables may be unknown; −1 for the resource variables
        inner, known = {gap.subgraph: gap for gap in reversed(self.gaps)}, -1
        while self.gaps and known < len(found) + len(shared):  # what one inference leaves, the next may find
            known = len(found) + len(shared)
            for step in self.steps:
                inside = self.reached(step)
                causes = [step] if step.gap else []
                causes += [inner[graph] for graph in inside if graph in inner]
                causes += [tensors[t.index] for t in step.inputs if t is not None and t.index in tensors]
                places = {*inside, -1} if self.shares(step) else inside
                causes += [shared[place] for place in places if place in shared and not step.gap]
                if causes and not step.facts.shapes_only:
                    cause = found.setdefault(step, causes[0])
                    tensors.update((t.index, cause) for t in step.writes if t.index not in given)
                    shared.update((place, cause) for place in places if place not in shared)
        return found

    def why_unknown(self, tensor: Tensor, subgraph: int = 0) -> str:
        """Why nobody knows a tensor, which depends on a gap: that one's reason."""
        causes = self.behind() if subgraph == self.graph.index else {}
        return str(causes.get(tensor.index, self.gaps[0]).gap)

    def reset(self, state: State) -> State:
        """As TFLM's `MicroInterpreter::Reset` leaves it: as at first, but what ran once does not run again."""
        kept = {
            (plan.graph.index, step.index): state.memory[plan.graph.index, step.index]
            for plan in self.plans.values()
            for step in plan.steps
            if step.facts.control == "once"
        }
        return replace(self.initial, memory={**self.initial.memory, **kept})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was made of, a third of the bytes; prepared anew where it arrives."""
        kernels = None if self.kernels is KERNELS else self.kernels
        return _remade, (self.model, self.numerics, kernels, self.memory, bool(self.gaps))


def _foreseen(step: Step, values: Mapping[int, Array]) -> tuple[Array, ...]:
    """What a step makes of constants, or of its inputs' shapes, if that is little; else nothing."""
    known = all(t is None or t.index in values for t in step.inputs)
    if not (known or step.facts.shapes_only) or sum(map(tensor_bytes, step.outputs)) > FORESEEN:
        return ()
    arrays = (None if t is None else values.get(t.index, np.zeros((1, *t.shape), t.dtype)) for t in step.inputs)
    try:
        results = step.evaluate(*arrays)
    except InferenceError:  # it is raised when it runs
        return ()
    return () if any(is_masked(x) for x in results) else results


FORESEEN = 1 << 14
"""How many bytes of outputs are kept that are the same in each inference."""


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tensor.shape}"


Source = Plan | Model | str | os.PathLike[str] | bytes | bytearray | memoryview
"""What a plan is made of where none is given: a model, a file's path or bytes, the name of a bundled network."""


def plan_of(source: Source, *, numerics: Numerics | str | None = None, memory: Memory | None = None) -> Plan:
    """A plan itself; of anything else, what `make_plan` makes, with `numerics` and `memory`.

    Raises what that does, and `InputError` for a plan of another dialect than `numerics`, or of another `memory`.
    """
    if not isinstance(source, Plan):
        return make_plan(source, numerics=numerics, memory=MEMORY if memory is None else memory)
    if memory is not None and byte_count(memory) != source.memory:
        raise InputError(f"the plan was made with memory={source.memory}; for another, give its model: plan.model")
    if numerics is not None and dialect(numerics) != source.numerics:
        raise InputError(f"the plan computes {source.numerics}; for another dialect, give its model: plan.model")
    return source


def make_plan(
    model: Model | str | os.PathLike[str] | bytes | bytearray | memoryview,
    *,
    numerics: Numerics | str | None = None,
    kernels: Kernels | None = None,
    memory: Memory = MEMORY,
    partial: bool = False,
) -> Plan:
    """Prepare every operator of the model, of all its subgraphs as TFLM does.

    `numerics` is the dialect to compute, or its name (TFLM's own by default); `kernels` maps (operator, dtype of the
    input that holds its data) to kernels, by default `KERNELS`, so that a user's own operator is ``{**KERNELS, key:
    mine}``; a custom operator is known by its custom code. What your kernels return is held to what the model declares.
    `memory` are the bytes that an inference may take, 1 GiB by default, as a number or as text: ``"512M"``.

    A `partial` plan has a gap for each operator that would be refused (`Plan.gaps`, each with its reason): what those
    write, and what depends on it, is unknown unless it is given to `execute`.

    Raises `ModelError` for bad bytes and `UnsupportedError` for what TFLM or this engine would not run, or not in that
    memory; after it returns, nothing in the file can raise any more, but for what TFLM itself finds only in the data
    (`InferenceError`). Raises `InputError` for arguments that are no model, no dialect, no kernels or no memory.
    """
    if not isinstance(model, Model):
        from .tflite_io import load  # brings the schema's hundreds of classes

        model = load(model)
    numerics, kernels, allowed = dialect(numerics), KERNELS if kernels is None else kernels, byte_count(memory)
    require_kernels(kernels)
    steps = [_steps(model, graph, numerics, kernels, allowed, partial) for graph in model.graphs]
    return assembled(model, numerics, kernels, allowed, steps)


def require_whole(plan: Plan, what: str) -> None:
    """Raise `UnsupportedError` for a partial plan, of which `what` can do nothing."""
    for gap in plan.gaps:
        raise UnsupportedError(f"{what} needs every operator of the model, and there is a gap: {gap.gap}")


def assembled(
    model: Model, numerics: Numerics, kernels: Kernels, memory: int, steps: Sequence[tuple[Step, ...]]
) -> Plan:
    """The plan of a model from the steps of each of its subgraphs."""
    plans = {
        graph.index: Plan(model, graph, numerics, found, constants_of(graph), kernels, memory=memory)
        for graph, found in zip(model.graphs, steps, strict=True)
    }
    offline_offsets(model)
    return _from(plans, 0, lambda: state_before(model, steps))


def beginning(plan: Plan, graph: int) -> Plan:
    """The plan of a model whose inferences begin in that subgraph, as those of TFLM do in the first one.

    Raises `LimitError` where one takes more than `plan.memory`.
    """
    return _from(plan.plans, graph, lambda: plan.initial)


def _from(plans: Mapping[int, Plan], graph: int, initial: Callable[[], State]) -> Plan:
    """The plan of all, by subgraph, that begins in one of them, with the state before, made where there is room."""
    plan = plans[graph]
    calls = _calls(facts_of(plan.kernels))
    kept = STATES * _kept_bytes(plan.model, [each.steps for each in plans.values()])
    needed = max(needs(plan.model.graphs, graph, calls), default=0) + kept
    require_room(needed, plan.memory, "an inference, with what lives on after it,", LimitError)
    others = {index: each for index, each in plans.items() if index != graph}
    return replace(plan, subplans=others, initial=initial(), working_bytes=needed)


def _remade(model: Model, numerics: Numerics, kernels: Kernels | None, memory: int, partial: bool) -> Plan:
    return make_plan(model, numerics=numerics, kernels=kernels, memory=memory, partial=partial)


def constants_of(graph: Graph) -> Mapping[int, Array]:
    """The constant tensors by index, with a batch axis of length 1."""
    constants = ((t.index, t.data) for t in map(_uninitialised, graph.tensors))
    return {index: frozen(data[np.newaxis]) for index, data in constants if data is not None}


def _steps(
    model: Model, graph: Graph, numerics: Numerics, kernels: Kernels, memory: int, partial: bool
) -> tuple[Step, ...]:
    steps = []
    for step in prepared(model, graph, numerics, kernels, memory, partial):
        if isinstance(step, UnsupportedError):
            raise step
        steps.append(step)
    return tuple(steps)


def prepared(
    model: Model, graph: Graph, numerics: Numerics, kernels: Kernels, memory: int = MEMORY, partial: bool = False
) -> Iterator[Step | UnsupportedError]:
    """The step of each operator, or why there is none; a `partial` plan's step has a gap then."""
    facts = facts_of(kernels)
    resources = tuple(_resources(model, facts))
    readers = {i: op.index for op in graph.ops for i in op.inputs}
    unpacked: dict[int, Array] = {}
    kept = {*graph.outputs, *(t.index for t in graph.tensors if t.data is not None or t.is_variable)}
    for op, needed in zip(graph.ops, needs(model.graphs, graph.index, _calls(facts)), strict=True):
        last_use = tuple(
            {i for i in (*op.inputs, *op.outputs) if i >= 0 and i not in kept and readers.get(i, op.index) == op.index}
        )
        node = _node(model, graph, op, facts.get(op.kind, Facts()), resources, unpacked)
        try:
            place = f"subgraph {graph.index}, operator {op.index} ({node.name})"
            with located(place), np.errstate(all="ignore"):  # scales that overflow are refused, without a warning
                require_tensors(node)
                kernel = kernel_for(op, node, kernels, facts)
                require_room(needed, memory, "it", LimitError)
                with telling_unknown_lengths(node):
                    params = kernel.prepare(node, numerics)
                if kernels is not KERNELS and not is_bundled(kernel, node.name):
                    kernel = held(kernel, node)
            step = Step(graph.index, op.index, op, kernel, params, node, last_use)
            if kernel.facts.unpacks:
                constants = (None if t is None or t.data is None else t.data[np.newaxis] for t in node.inputs)
                unpacked.update((t.index, x[0]) for t, x in zip(node.outputs, step.evaluate(*constants), strict=True))
            yield step
        except UnsupportedError as error:
            yield _gap(graph, op, node, last_use, error) if partial else error


def facts_of(kernels: Kernels) -> Mapping[str, Facts]:
    """The facts of every operator that has a kernel, by name."""
    return FACTS if kernels is KERNELS else {name: kernel.facts for (name, _), kernel in kernels.items()}


def _calls(facts: Mapping[str, Facts]) -> Callable[[Op], tuple[int, ...]]:
    """What tells the subgraphs that an operator runs."""
    return lambda op: tuple(op.options[name] for name in facts.get(op.kind, Facts()).calls)


def _node(
    model: Model,
    graph: Graph,
    op: Op,
    facts: Facts,
    resources: tuple[tuple[str, str], ...],
    unpacked: Mapping[int, Array],
) -> Node:
    """The operator's node; weights and biases that were `unpacked` before are constants in it."""

    def read(place: int, index: int) -> Tensor | None:
        if index < 0:
            return None
        tensor = _uninitialised(graph.tensors[index])
        layer = place in (facts.weights, facts.bias)
        return replace(tensor, data=unpacked[index]) if layer and index in unpacked else tensor

    return Node(
        op.kind,
        op.options,
        tuple(read(place, index) for place, index in enumerate(op.inputs)),
        tuple(_uninitialised(graph.tensors[i]) for i in op.outputs),
        tuple(graph.tensors[i] for i in op.intermediates if i >= 0),
        op.custom_options,
        tuple(model.graphs[op.options[name]] for name in facts.calls),
        resources,
    )


def _uninitialised(tensor: Tensor) -> Tensor:
    """What a variable holds in the file, TFLM ignores."""
    return replace(tensor, data=None) if tensor.is_variable and tensor.data is not None else tensor


# ---- what lives on -------------------------------------------------------------------------------------------


def _resources(model: Model, facts: Mapping[str, Facts]) -> Iterable[tuple[str, str]]:
    """The (container, shared name) of every resource variable, in the order that gives TFLM's ids."""
    ops = (op for graph in model.graphs for op in graph.ops)
    return dict.fromkeys(resource_of(op) for op in ops if facts.get(op.name, Facts()).resource == "handle")


def resource_of(op: Op) -> tuple[str, str]:
    """(container, shared name) of an operator that makes a handle."""
    return op.options["container"], op.options["shared_name"]


def state_before(model: Model, steps: Sequence[tuple[Step, ...]]) -> State:
    """The state before the first inference, as TFLM's constructor and allocation leave it; `steps` by subgraph."""
    assigned = first_assigned(steps)
    handles = [_handles(graph, each) for graph, each in zip(model.graphs, steps, strict=True)]
    gaps = (step for each in steps for step in each if step.gap)
    nobody_knows = any(not handles[gap.subgraph].isdisjoint(gap.op.inputs) for gap in gaps)  # what came first
    return State(
        {key: _filled(t, t.dtype == "int8") for key, t in _variables(model).items()},
        {name: unknown(t) if nobody_knows else _filled(t, bool(t.quantization)) for name, t in assigned.items()},
        {
            (step.subgraph, step.index): (_NEVER,) if step.facts.control == "once" else step.memory
            for each in steps
            for step in each
            if step.memory or step.facts.control == "once"
        },
    )


def _handles(graph: Graph, steps: Iterable[Step]) -> frozenset[int]:
    """The indices of a subgraph's tensors that hold handles of resource variables."""
    made = {t.index for step in steps if step.facts.resource == "handle" for t in step.outputs}
    return frozenset(made | {t.index for t in graph.tensors if t.dtype == "resource"})


def _kept_bytes(model: Model, steps: Sequence[tuple[Step, ...]]) -> int:
    """What the state takes, of one inference."""
    tensors = (*_variables(model).values(), *first_assigned(steps).values())
    memories = (array for each in steps for step in each for array in step.memory)
    return sum(map(tensor_bytes, tensors)) + sum(array.nbytes for array in memories)


def _variables(model: Model) -> Mapping[tuple[int, int], Tensor]:
    """The variable tensors by (subgraph, tensor)."""
    return {(graph.index, t.index): t for graph in model.graphs for t in graph.tensors if t.is_variable}


def first_assigned(steps: Sequence[tuple[Step, ...]]) -> Mapping[tuple[str, str], Tensor]:
    """By (container, shared name) of a resource variable, the tensor first assigned to it, in the order of the file."""
    assigned: dict[tuple[str, str], Tensor] = {}
    for each in steps:
        handles = {}
        for step in each:
            if step.facts.resource == "handle":
                handles[step.outputs[0].index] = resource_of(step.op)
            elif step.facts.resource == "assign":
                handle, value = step.inputs
                assert handle is not None and value is not None
                if handle.index in handles:
                    assigned.setdefault(handles[handle.index], value)
    return assigned


_NEVER = frozen(np.zeros(1, np.bool_))
"""Of what runs once: whether it ran."""


def _filled(tensor: Tensor, coded: bool) -> Array:
    """As TFLM resets memory: every *byte* is the low one of the zero point where the tensor is `coded`, else 0.

    Variable tensors are coded if they are int8 (`ResetTensorData`, micro_interpreter_graph.cc), resource variables if
    the tensor first assigned to them is quantised, whatever its type (`MicroResourceVariables::ResetAll`).
    """
    zero_point = (*tensor.quantization.zero_point, 0)[0] if coded and tensor.quantization else 0
    within_limits(
        hasattr(np, tensor.dtype) and min(tensor.shape, default=0) >= 0,
        f"the variable '{tensor.name}' is {tensor.dtype} {tensor.shape}; refengine keeps only numbers, of fixed "
        "shapes: convert again with int8, int16 or float32",
    )
    dtype, shape = np.dtype(tensor.dtype), (1, *tensor.shape)
    return frozen(np.full(prod(shape) * dtype.itemsize, zero_point & 0xFF, np.uint8).view(dtype).reshape(shape))
