"""What lives from one inference to the next, and the arrays that steps hand on: batches in front, read-only, masked
where TFLM leaves an element unwritten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .model import Array, Tensor
from .text import counted

Rows = npt.NDArray[np.intp]
"""Which inferences of a batch, by their places in it."""


@dataclass(frozen=True, eq=False)
class State:
    """What lives from one inference to the next, batches in front (of length 1 where all inferences agree).

    `variables` by (subgraph, tensor), `resources` by (container, shared name), and `memory`, what kernels keep for
    themselves, by (subgraph, operator).
    """

    variables: Mapping[tuple[int, int], Array] = field(default_factory=dict)
    resources: Mapping[tuple[str, str], Array] = field(default_factory=dict)
    memory: Mapping[tuple[int, int], tuple[Array, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.variables or self.resources or self.memory)

    def with_variable(self, graph: int, tensor: int, value: Array) -> State:
        return replace(self, variables={**self.variables, (graph, tensor): value})

    def with_resource(self, name: tuple[str, str], value: Array) -> State:
        return replace(self, resources={**self.resources, name: value})

    def with_memory(self, graph: int, operator: int, value: tuple[Array, ...]) -> State:
        return replace(self, memory={**self.memory, (graph, operator): value})

    def named(self) -> dict[str, Array]:
        """All arrays by what devices and recordings call them: ``t3``, a variable tensor (of another subgraph,
        ``subgraph 1 t3``); ``resource 0``, as they are counted; ``operator 2 keeps 0``, what a kernel keeps for itself.
        """
        return {name: x for name, (_, x) in zip(self._names(), self._arrays(), strict=True)}

    def holding(self, values: Mapping[str, Array]) -> State:
        """The state of one inference with those `values`, without a batch, in the place of what has their names."""
        held = (
            frozen(values[name].reshape(1, *x.shape[1:])) if name in values else x for name, x in self.named().items()
        )
        return State(
            {key: next(held) for key in self.variables},
            {key: next(held) for key in self.resources},
            {key: tuple(next(held) for _ in kept) for key, kept in self.memory.items()},
        )

    def _names(self) -> Iterator[str]:
        yield from (f"{_inside(graph)}t{tensor}" for graph, tensor in self.variables)
        yield from (f"resource {number}" for number in range(len(self.resources)))
        for (graph, operator), kept in self.memory.items():
            yield from (f"{_inside(graph)}operator {operator} keeps {number}" for number in range(len(kept)))

    def require_like(self, other: State, batch: int) -> None:
        """Raise `InputError` unless this is a state of the model that `other` is of, for so many streams."""
        mine, theirs = dict(self._arrays()), dict(other._arrays())
        if mine.keys() != theirs.keys() or any(x.shape[1:] != theirs[key].shape[1:] for key, x in mine.items()):
            raise InputError("the state is of another model: begin with that of a record or a session of this one")
        streams = max(map(len, mine.values()), default=1)
        if streams not in (1, batch):
            raise InputError(
                f"the state is that of {counted(streams, 'stream')}, and the input is of {batch}: those of a batch are "
                "streams of their own, as many each time"
            )

    def _arrays(self) -> Iterator[tuple[Any, Array]]:
        yield from (*self.variables.items(), *self.resources.items())
        yield from ((("kept", *key, i), x) for key, each in self.memory.items() for i, x in enumerate(each))

    def of(self, rows: Rows) -> State:
        """The state of some inferences of a batch."""
        return State(
            {key: taken(x, rows) for key, x in self.variables.items()},
            {key: taken(x, rows) for key, x in self.resources.items()},
            {key: tuple(taken(x, rows) for x in kept) for key, kept in self.memory.items()},
        )

    @staticmethod
    def joined(parts: Sequence[tuple[Rows, State]]) -> State:
        """The states of several parts of a batch, together."""
        rows, states = [rows for rows, _ in parts], [state for _, state in parts]
        if len(states) == 1:
            return states[0]
        return State(
            {key: joined(rows, [s.variables[key] for s in states]) for key in states[0].variables},
            {key: joined(rows, [s.resources[key] for s in states]) for key in states[0].resources},
            {
                key: tuple(joined(rows, xs) for xs in zip(*(s.memory[key] for s in states), strict=True))
                for key in states[0].memory
            },
        )


def _inside(graph: int) -> str:
    return f"subgraph {graph} " if graph else ""


def is_masked(array: object) -> TypeGuard[np.ma.MaskedArray[Any, Any]]:
    """Whether an array may have undefined elements. (Asking numpy.ma outright would import it, for 10 ms.)"""
    return type(array) is not np.ndarray and array is not None and isinstance(array, np.ma.MaskedArray)


def frozen(array: Array) -> Array:
    """A read-only view."""
    view: Array = array.view()
    view.flags.writeable = False
    return view


def unknown(tensor: Tensor) -> Array:
    """What stands for a tensor that depends on a gap: masked everywhere, with a batch axis of length 1.

    Shape and type are the tensor's as far as NumPy has them.
    """
    dtype = {"resource": "int32"}.get(tensor.dtype, tensor.dtype)
    shape = (1, *(1 if size < 0 else size for size in tensor.shape))
    return frozen(np.ma.array(np.zeros(shape, dtype if dtype in np.sctypeDict else "uint8"), mask=True))


def taken(array: Array, rows: Rows) -> Array:
    """Some rows of a batch; what all inferences share stays as it is."""
    return array if len(array) == 1 else array[rows]


def joined(rows: Sequence[Rows], parts: Sequence[Array]) -> Array:
    """The batch that `parts` are the `rows` of; one array where it is the same for all."""
    if all(part is parts[0] for part in parts):
        return parts[0]
    order = np.argsort(np.concatenate(rows))
    spread = [x if len(x) == len(r) else np.repeat(x, len(r), axis=0) for r, x in zip(rows, parts, strict=True)]
    return frozen(concatenated(spread)[order])


def concatenated(parts: Sequence[Array]) -> Array:
    """The arrays one behind the other, masked if one of them is."""
    masked = any(is_masked(x) for x in parts)
    whole: Array = (np.ma.concatenate if masked else np.concatenate)(parts)
    return whole
