"""What people call operators and tensors, and how they write parts of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from ..errors import InputError
from ..model import Tensor
from ..plan import Plan, Step
from ..tensors.dumps import dump_names
from ..text import counted, printable
from .condition import Index, index
from .session import START, Session

LISTED = 10
"""How many candidates a complaint lists."""


def steps_named(plan: Plan, name: str) -> list[Step]:
    """The steps of an index, subgraph:index, a type, an output's name, or a part of output names.

    An index is the main graph's, all others are of any subgraph. Raises `InputError` if there are none.
    """
    name = name.strip().strip('"')
    ways: tuple[Callable[[Step], bool], ...] = (
        lambda step: name == str(step.index) and step.subgraph == plan.graph.index,
        lambda step: name == f"{step.subgraph}:{step.index}",
        lambda step: name.upper() == step.op.name or name == step.name,
        lambda step: name in [t.name for t in step.outputs],
        lambda step: any(name in t.name for t in step.outputs),
    )
    every = [step for each in plan.plans.values() for step in each.steps]
    for way in ways:
        if name and (found := [step for step in every if way(step)]):
            return found
    known = [each for step in every for each in (step.name, *(t.name for t in step.outputs))]
    raise InputError(
        f"there is no operator '{name}'; {suggested(name, known)}list shows them"
        if name
        else "which operator? list shows them"
    )


def suggested(word: str, known: Iterable[str]) -> str:
    """``did you mean 'continue'? ``, if something that is `known`, or the last part of its path, is spelt so nearly."""
    spelt = {part.lower(): name for name in known for part in (name, name.rpartition("/")[2])}
    close = get_close_matches(word.lower(), spelt, 1)
    return f"did you mean '{printable(spelt[close[0]])}'? " if close else ""


def step_named(plan: Plan, name: str) -> Step:
    """The one step of that name; `InputError` if there are several."""
    found = steps_named(plan, name)
    if len(found) > 1:
        raise InputError(f"'{name}' are operators {', '.join(step.number for step in found)}; name one")
    return found[0]


def tensor_named(session: Session, words: str) -> tuple[Tensor, Index | None]:
    """``TENSOR[slice]``: the tensor, and the slice if there is one; `InputError` if that is none, or several.

    TENSOR is ``out``, ``out1`` …, ``in``, ``in1`` …, an index, a name, or a part of it that no other has (activations
    first), of the subgraph that one stands in; the shared name of a resource variable is that variable.
    """
    whole = [tensor for tensor in session.frame.graph.tensors if tensor.name == words and tensor.dtype != "resource"]
    if len(whole) == 1:
        return whole[0], None
    match = re.fullmatch(r'(?s)(?:"([^"]*)"|(.*?))\s*(?:\[([^\[\]]*)\])?', words)
    if match is None:
        raise InputError(f"'{words}' is no tensor")
    return _named(session, match[1] or match[2] or ""), None if match[3] is None else index(match[3])


def dump_name(plan: Plan, tensor: Tensor) -> str:
    """A tensor's name in a dump: its own if no other has it and files can, else its index."""
    return dump_names(plan.graph.tensors)[tensor.index]


def dumped(plan: Plan) -> dict[str, Tensor]:
    """The tensors by their names, or index (14, t14), in a dump."""
    tensors = plan.graph.tensors
    by_index = {name: t for t in tensors for name in (str(t.index), f"t{t.index}")}
    return by_index | dict(zip(dump_names(tensors), tensors, strict=True))


def _named(session: Session, name: str) -> Tensor:
    tensors = session.frame.graph.tensors
    if session.position == START and (match := re.fullmatch(r"out|in(\d*)", name)):
        return _input(session, int(match[1] or 0))
    if re.fullmatch(r"out\d*", name):
        return _output(session.current.step, int(name[3:] or 0))
    if re.fullmatch(r"in\d*", name):
        return _operand(session.current.step, int(name[2:] or 0))
    if name.isdecimal() and int(name) < len(tensors):
        return tensors[int(name)]
    if (resource := session.resource(name)) is not None:
        return resource
    parts = [t for t in tensors if name == t.name] or [t for t in tensors if name and name in t.name]
    for candidates in (parts, [t for t in parts if t.data is None]):
        if len(candidates) == 1:
            return candidates[0]
    if parts:
        listing = ", ".join(str(t.index) for t in parts[:LISTED]) + " …" * (len(parts) > LISTED)
        raise InputError(f"'{name}' may be tensors {listing}; take an index, info tensor N tells more")
    known = suggested(name, (tensor.name for tensor in tensors))
    raise InputError(f"there is no tensor '{name}'; {known}out, in, an index, or a part of a name")


def _input(session: Session, number: int) -> Tensor:
    """What the first step will find."""
    inputs = session.plan.inputs
    if number >= len(inputs):
        raise InputError(f"the model has {counted(len(inputs), 'input')}, counted from in0")
    return inputs[number]


def _output(step: Step, number: int) -> Tensor:
    if number >= len(step.writes):
        raise InputError(f"{step} has no output{f' {number}' if step.writes else ''}")
    return step.writes[number]


def _operand(step: Step, number: int) -> Tensor:
    tensor = step.inputs[number] if number < len(step.inputs) else None
    if tensor is None:
        raise InputError(f"{step} has no input {number}")
    return tensor
