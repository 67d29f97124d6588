"""The state that an inference found: told by the device, given, or that which the inferences before leave; and whether
it is the right one.

What the device tells that it found is what its steps are judged by, as they are by its own tensors. Held against the
state that it should have found it tells what happened in between: a reset too many or too few, another stream, or
somebody who writes into the arena.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InferenceError
from ..execute import infer
from ..identity import identity
from ..model import Array, Tensor
from ..plan import Plan, resource_of
from ..state import State, frozen
from ..tensors.difference import Difference, difference
from ..text import counted, printable, printed
from . import evidence
from .dumps import Dump, called
from .evidence import Certainty, certainty
from .records import set_up

LEFT = "is what the previous dump left: another stream's, or wrong before"
"""What completes "its state …" where the dump of an inference before tells another one than was given."""

FIRST, COMPUTED = "the first one begins with", "the inferences before leave"
"""Whose state that is which `Plan.initial` has, and one that was given or computed from inputs."""

UNKNOWN = "is none of those that were tried"

SHOWN = 3
"""How many of the tensors in a wrong state to name."""


@dataclass(frozen=True, eq=False)
class Held:
    """What a device held that it should not have, when an inference `began`, or else when it was over.

    `parts` are its wrong tensors (see `Plan.lasting`) by their names, with how they differ, and `ways`, what the whole
    is instead: what completes "it …", which is worth `bits` (see `evidence`). `meant` says what it should be.
    """

    began: bool
    parts: Mapping[str, tuple[Tensor, Difference]]
    meant: str
    ways: tuple[str, ...] = ()
    bits: float = 0.0

    @printed
    def __repr__(self) -> str:
        return printable(f"<Held: {self.verdict}>")

    @property
    def certainty(self) -> Certainty:
        """Of what it is instead."""
        return certainty(self.bits, len(self.ways) - 1) if self.ways else "open"

    @property
    def claim(self) -> str:
        """What it is instead, and how certainly."""
        computed = "what is computed wrong leaves others"
        written = "other inferences ran before it, or somebody wrote there"
        unknown = f"{UNKNOWN}; {computed if self.meant == COMPUTED else written}"
        why = ", or ".join(self.ways) or unknown
        does, told = ("found", f"; {self.certainty}: it {why}") if self.began else ("left", "")
        return f"the inference {does} another state than {self.meant}{told}"

    @property
    def verdict(self) -> str:
        """The same, and where it shows."""
        named = [
            f"{called(tensor)} differs in {apart.count:,} of {apart.size:,} elements, first at {list(apart.first)}"
            for tensor, apart in self.parts.values()
        ]
        more = [f"and {counted(len(named) - SHOWN, 'more tensor')}"] if len(named) > SHOWN else []
        parts = ", ".join([*named[:SHOWN], *more])
        return f"{self.claim} ({parts})"

    def as_dict(self) -> dict[str, Any]:
        return {
            "found": self.began,
            "tensors": [
                {"name": name, "tensor": identity(tensor) if tensor.index >= 0 else None, "total": apart.as_dict()}
                for name, (tensor, apart) in self.parts.items()
            ],
            "meant": self.meant,
            "causes": [*self.ways],
            "certainty": self.certainty,
            "verdict": self.verdict,
        }


def wrong_start(plan: Plan, meant: State, dump: Dump, others: Mapping[str, State], whose: str) -> Iterator[Held]:
    """What the dump tells that its inference found, if that is not what was `meant`, `whose` state that is."""
    if parts := _apart(plan, meant, dump.found):
        arrays = meant.named()
        bits = sum(evidence.bits(arrays[n][0], dump.found[n], np.ones(arrays[n][0].shape, np.bool_)) for n in parts)
        ways = (how for how, state in others.items() if not _apart(plan, state, dump.found))
        yield Held(True, parts, whose, tuple(ways), bits - float(np.log2(1 + len(others))))


def wrong_end(plan: Plan, after: State, dump: Dump) -> Iterator[Held]:
    """What the dump tells that its inference left, where sound kernels leave another state `after` it.

    Variable tensors of the main graph are judged with the steps that write them.
    """
    inner = {name: x for name, x in dump.left.items() if name != f"t{plan.lasting[name].index}"}
    if parts := _apart(plan, after, inner):
        yield Held(False, parts, "a sound one leaves on its own values")


def _same(one: State, other: State) -> bool:
    theirs = other.named()
    return all(np.array_equal(x, theirs[name]) for name, x in one.named().items())


def _apart(plan: Plan, meant: State, told: Mapping[str, Array]) -> dict[str, tuple[Tensor, Difference]]:
    arrays = meant.named()
    pairs = {name: (plan.lasting[name], difference(plan.lasting[name], arrays[name][0], x)) for name, x in told.items()}
    return {name: (tensor, apart) for name, (tensor, apart) in pairs.items() if apart}


def states_instead(
    plan: Plan, state: State, inputs: tuple[Array, ...], older: Sequence[State], previous: Dump | None
) -> dict[str, State]:
    """The states that a device may have begun with instead of `state`, by what completes "its state …"."""
    if not plan.initial or plan.gaps:
        return {}
    left = state_left(plan, previous)
    found = {} if left is plan.initial or _same(left, state) else {LEFT: left}
    if previous is not None and previous.found:
        found["is what the inference before found: what that one left was lost"] = plan.initial.holding(previous.found)
    found |= {} if state is plan.initial else {"is that of the first inference: reset before every one": plan.initial}
    if _is_set_up(plan, state):
        found["is what a reset left, behind which nothing was set up again"] = plan.reset(state)
    for back, old in enumerate(reversed(older), 1):
        if old is not plan.initial:  # it has a name already
            found[f"is that of {counted(back, 'inference')} earlier"] = old
    for times in ("once", "twice"):
        try:
            _, state = infer(plan, None, inputs, state)
        except InferenceError:
            break
        found[f"was not reset after this same input had been run {times}"] = state
    return found


def _is_set_up(plan: Plan, state: State) -> bool:
    """Whether what runs once has run, and has left another state than a reset does."""
    once = [step for step in plan.steps if step.facts.control == "once"]
    if not any(state.memory[step.subgraph, step.index][0].any() for step in once):
        return False
    fresh, fill = set_up(plan, plan.initial, once), plan.initial
    apart = (not np.array_equal(fresh.resources[name], x) for name, x in fill.resources.items())
    return any(apart) or any(not np.array_equal(fresh.variables[key], x) for key, x in fill.variables.items())


def state_meant(plan: Plan, dump: Dump, previous: Dump | None, given: State | None) -> tuple[State, str]:
    """(the state that an inference should have found, whose state that is: "" where nothing but itself tells).

    It is that `given`; else that of the first inference, where the dump says that it is of the first; else what the
    dump `previous` tells of it, and of the rest what the inference itself tells to have found, or that of the first.
    """
    if given is not None or dump.meta.get("before") == 0:
        state = plan.initial if given is None else given
        return state, FIRST if state is plan.initial else COMPUTED
    first, left = plan.initial.named(), state_left(plan, previous)
    untold = {name: x for name, x in dump.found.items() if left.named()[name] is first[name]}
    if left is plan.initial:
        return left.holding(untold) if untold else left, "" if untold else FIRST
    return left.holding(untold), f"the one before left ({previous.name if previous else ''})"


def state_left(plan: Plan, previous: Dump | None) -> State:
    """The state that `previous` tells to have left: what it does not tell is as in the first inference.

    Where it tells of variable tensors only, a resource variable is what was assigned to it, else what was read.
    """
    if previous is None:
        return plan.initial
    told = dict(previous.left)
    told |= {
        name: previous.tensors[t.index]
        for name, t in plan.lasting.items()
        if name == f"t{t.index}" and t.index in previous.tensors
    }
    state = plan.initial.holding(told) if told else plan.initial
    for step in plan.steps if previous.tensors and not previous.left else ():
        if step.facts.control == "once":
            state = set_up(plan, state, [step])
        if step.facts.resource not in ("read", "assign"):
            continue
        tensor = step.outputs[0].index if step.facts.resource == "read" else step.op.inputs[1]
        maker = plan.writers.get(step.op.inputs[0])
        if maker is not None and maker.facts.resource == "handle" and tensor in previous.tensors:
            name = resource_of(maker.op)
            state = _holding(state, name, previous.tensors[tensor])
    return state


def _holding(state: State, name: tuple[str, str], value: Array) -> State:
    """The state with that value in a resource variable, if it is of its type and size."""
    held = state.resources[name]
    fits = value.dtype == held.dtype and value.size == held[0].size
    return state.with_resource(name, frozen(value.reshape(1, *held.shape[1:]))) if fits else state


def assumed(plan: Plan, dump: Dump, state: State, whose: str, previous: Dump | None, given: bool) -> Iterator[str]:
    """What is supposed about the `state` that the inference should have found, and known of that which it found.

    `whose` state it is: see `state_meant`. It may have been `given`, or told by a `previous` dump.
    """
    if dump.found:
        alone = "" if whose else "; nothing tells what the ones before left"
        yield f"{dump.name} tells the state that the inference found, by which its steps are judged{alone}"
    first, is_first = plan.initial.named(), dump.meta.get("before") == 0
    untold = [name for name in first if name not in dump.found]
    if state is plan.initial and first and not is_first:
        none = f"{previous.name} tells nothing of it" if previous else "none was given"
        if isinstance(count := dump.meta.get("before"), int):
            none += f", and {counted(count, 'inference')} came before"
        yield f"the state before is taken for that of the first inference; {none}"
    elif given and untold:
        names = _names(plan, untold) if dump.found else "what lived on before"
        yield f"{dump.name} does not tell {names}: that is taken for what the inferences before leave"
    elif not is_first and (missing := [name for name in untold if state.named()[name] is first[name]]):
        teller = previous.name if previous else dump.name
        yield f"{teller} does not tell, and is taken to be as before the first inference: {_names(plan, missing)}"


def _names(plan: Plan, parts: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(called(plan.lasting[name]) for name in parts))
