"""What a call of a C kernel is made of, and what every maker of one asks of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..model import Array, Tensor
from ..plan import Step

MAX_RANK = 6
"""As in kernels.h."""

Fields = dict[str, Any]
"""int, np.float32, Multiplier (one or an array of them), an array (a pointer to constant data), `At` (a pointer to a
tensor), `Function`, `Rows`, or nested fields."""


class Values(tuple[int, ...]):
    """Numbers that stand in the struct itself, as an array."""


class Constant(NamedTuple):
    """An argument that is constant data; `plain` is the same where the C says REFENGINE_MVE, if that differs."""

    name: str
    data: Array
    plain: Array | None = None


class At(NamedTuple):
    """A tensor's place in the arena."""

    subgraph: int
    tensor: int


class Resource(NamedTuple):
    """An argument that is a resource variable, by container and shared name."""

    container: str
    shared_name: str


class Kept(NamedTuple):
    """An argument that is what an operator keeps for itself from one inference to the next, the `number`-th of it."""

    subgraph: int
    operator: int
    number: int


class Scratch(NamedTuple):
    """An argument that is memory for one step alone."""

    subgraph: int
    operator: int
    bytes: int


class Several(NamedTuple):
    """An argument that is an array of pointers."""

    arguments: tuple[Tensor | Constant, ...]


Argument = Tensor | Constant | Resource | Kept | Scratch | Several

Place = At | Resource | Kept | Scratch
"""Of what lies in the arena."""


class Function(str):
    """A function's name, as a field."""


class Rows(NamedTuple):
    """A field that points to an array of structs."""

    struct: str
    rows: tuple[Fields, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """`kernel(&params, *arguments, output)`: `params` of type `struct`, arguments tensors, constants or variables.

    Arguments may be outputs, too: all but the last one of a kernel that writes several.
    `source` is the kernel's file, `output` the number of the step's output that it writes, whole or in part, None if
    it is told by its params or arguments where to write. `in_place`: output and first argument may share their memory.
    `patch` is how many taps of a window the kernel copies to the stack, `uses` the files besides its own whose
    functions it calls. `ends`: it returns whether the inference ends there.
    """

    source: str
    kernel: str
    struct: str
    params: Fields
    arguments: tuple[Argument, ...]
    in_place: bool = False
    output: int | None = 0
    patch: int = 0
    uses: tuple[str, ...] = ()
    ends: bool = False


def input_of(step: Step) -> Tensor:
    """The first input."""
    assert step.inputs[0] is not None
    return step.inputs[0]


def data_of(step: Step) -> Tensor:
    """The input whose type chooses the kernel."""
    assert step.data is not None
    return step.data


def given(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    """Those that are not left out."""
    return tuple(tensor for tensor in tensors if tensor is not None)


def kept_by(step: Step) -> tuple[Kept, ...]:
    """What the step keeps for itself."""
    return tuple(Kept(step.subgraph, step.index, number) for number in range(len(step.memory)))


def bytes_of(tensor: Tensor) -> int:
    """Of a handle, those of its id."""
    return prod(tensor.shape) * np.dtype({"resource": "int32"}.get(tensor.dtype, tensor.dtype)).itemsize


def size_of(step: Step) -> int:
    """How many elements the first output has."""
    return prod(step.outputs[0].shape)


def rows_of(step: Step) -> Fields:
    """The rows of the first output along its last dimension."""
    *lead, depth = step.outputs[0].shape
    return {"rows": prod(lead), "depth": depth}


Maker = Callable[[Step], Call | tuple[Call, ...]]
"""What makes the calls of a step."""
