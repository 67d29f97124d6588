"""A step as a C call: which kernel of `firmware/kernels`, and its params struct, field by field.

One function per C kernel, in `layers`, `elements`, `moves`, `memory`, `signals` and `detection`, turns what `prepare`
worked out into the fields of the C struct of the same name (`firmware/kernels/kernels.h`). The only arithmetic here is
folding: what depends on constants alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from ..errors import require
from ..kernels import FACTS
from ..kernels._linear import Computed
from ..model import Array, Tensor
from ..plan import Step
from . import detection, elements, layers, memory, moves, signals
from .call import Argument, Call, Constant, Maker, Several
from .memory import moved_resource

T = TypeVar("T")


def calls_of(step: Step, constants: Mapping[int, Array]) -> tuple[Call, ...]:
    """The C calls of a step, ordered by what they write; `constants` are the tensors known when exporting, by index.

    Raises `UnsupportedError` for an operator or type without a C kernel.
    """
    dtype = step.data.dtype if step.data else ""
    make = moved_resource if step.facts.resource in ("read", "assign") else CALLS.get((step.name, dtype))
    require(
        make,
        f"{step}: there is no C kernel{f' for {dtype}' if dtype else ''}, though refengine runs it; "
        "`refengine manual devices` tells what exports",
    )
    assert make is not None
    step = with_known(constants, step)
    made = layers.computed_layer(step, make) if isinstance(step.params, Computed) else make(step)
    return tuple(_placed(call, constants) for call in ((made,) if isinstance(made, Call) else made))


def with_known(constants: Mapping[int, Array], step: Step) -> Step:
    """The step with the inputs that are known when exporting as constants."""
    inputs = (t and replace(t, data=constants[t.index][0]) if t and t.index in constants else t for t in step.inputs)
    return replace(step, node=step.node._replace(inputs=tuple(inputs)))


def _placed(call: Call, constants: Mapping[int, Array]) -> Call:
    """The call with the arguments that are known when exporting as constants."""
    arguments = tuple(_known(a, f"input{i + 1}", constants) for i, a in enumerate(call.arguments))
    return replace(call, arguments=arguments, in_place=call.in_place and isinstance(arguments[0], Tensor))


def _known(argument: Argument, name: str, constants: Mapping[int, Array]) -> Argument:
    if isinstance(argument, Several):
        return Several(tuple(_constant(a, f"{name}_{i}", constants) for i, a in enumerate(argument.arguments)))
    return _constant(argument, name, constants)


def _constant(argument: T, name: str, constants: Mapping[int, Array]) -> T | Constant:
    if isinstance(argument, Tensor) and argument.index in constants:
        return Constant(name, constants[argument.index][0, ...])
    return argument


ROOMS = (layers, elements, moves, memory, signals, detection)

MAKERS: dict[str, Maker] = {kernel: make for room in ROOMS for kernel, make in room.MAKERS.items()}
"""By C kernel: what makes a call of it."""


CALLS = {(op, dtype): MAKERS[kernel] for op, facts in FACTS.items() for dtype, kernel in facts.c_kernels.items()}
"""The operators with a C kernel, at each type of their data."""
