"""Which elements the lines of an explanation read: where one goes on from tap to tap, back to the input.

A kernel's `explain` reads its arrays element by element. Given arrays that remember what was read, it tells without a
word from any kernel which elements an output element comes from. What takes an array as a whole reads all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..execute import Record
from ..kernel import At, Line
from ..model import Array
from ..plan import Step


class Read(NamedTuple):
    """Element `place`, counted in row-major order, of the step's input number `input`."""

    input: int
    place: int


def reads(record: Record, output: int, index: tuple[int, ...]) -> Iterator[tuple[Line, tuple[Read, ...]]]:
    """The lines of an element's explanation, each with what was read for it, in the order of reading.

    `output` and `index` are those that `explain` has checked.
    """
    step: Step = record.step
    seen: list[Read] = []
    watched = [None if x is None else _Watched.of(np.asarray(x), seen, k) for k, x in enumerate(record.inputs)]
    more = (*record.outputs, *record.updates) if step.facts.control else record.memory
    for line in step.kernel.explain(step.params, At(output, index), *watched, *more):
        yield line, tuple(dict.fromkeys(seen))
        seen.clear()


Look = Callable[[npt.NDArray[np.intp]], None]
"""Told the places of the elements that are looked at."""


class _Watched(np.ndarray[Any, Any]):
    """An array that says which of its elements were looked at; what is computed of it is an ordinary one.

    `places` holds the number of each element in the array that it is a part of.
    """

    places: npt.NDArray[np.intp] | None
    look: Look

    @staticmethod
    def of(array: Array, seen: list[Read], input: int) -> _Watched:
        places = np.arange(array.size).reshape(array.shape)
        return _watched(
            array, places, lambda found: seen.extend(Read(input, place) for place in found.ravel().tolist())
        )

    def __array_finalize__(self, source: Any) -> None:
        """Behind whatever view is not followed here, all that it shows counts as read."""
        self.places = None
        if isinstance(source, _Watched) and source.places is not None:
            self.look = source.look
            source.whole()

    def whole(self) -> Array:
        """The ordinary array; all of it counts as read."""
        if self.places is not None:
            self.look(self.places)
        return _plain(self)

    def __getitem__(self, index: Any) -> Any:
        if self.places is None:
            return _plain(self)[index]
        found, places = _plain(self)[index], self.places[index]
        if isinstance(found, np.ndarray):
            return _watched(found, places, self.look)
        self.look(np.asarray(places))
        return found

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, **options: Any) -> Any:
        if self.places is None:
            return _plain(self).reshape(*shape, **options)
        return _watched(_plain(self).reshape(*shape, **options), self.places.reshape(*shape, **options), self.look)

    def ravel(self, *order: Any) -> Any:
        return self.reshape(-1)

    @property
    def flat(self) -> Any:
        return self.reshape(-1)

    def item(self, *index: Any) -> Any:
        return (self[index] if index else self.reshape(-1)[0]).item()

    def tolist(self) -> Any:
        """Lists whose numbers count as read once somebody takes them out."""
        if self.places is None or self.ndim == 0:
            return self.whole().tolist()
        if self.ndim > 1:
            return [row.tolist() for row in self]
        return _Row(_plain(self).tolist(), self.places, self.look)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*map(_unwatched, inputs), **options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        return function(*map(_unwatched, arguments), **options)


class _Row(list[Any]):
    """A row of numbers that says which of them were taken."""

    def __init__(self, numbers: list[Any], places: npt.NDArray[np.intp], look: Look) -> None:
        super().__init__(numbers)
        self.places, self.look = places, look

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Row(super().__getitem__(index), self.places[index], self.look)
        self.look(np.asarray(self.places[index]))
        return super().__getitem__(index)

    def __add__(self, other: Any) -> Any:
        return list(self) + other

    def __radd__(self, other: Any) -> Any:
        return other + list(self)

    def __mul__(self, times: Any) -> Any:
        return list(self) * times

    def __array__(self, *options: Any, **named: Any) -> Array:
        return np.array(list(self), *options, **named)


def _watched(array: Array, places: npt.NDArray[np.intp], look: Look) -> _Watched:
    made = array.view(_Watched)
    made.places, made.look = places, look
    return made


def _plain(array: Array) -> Array:
    """The ordinary array, of which nothing counts as read."""
    return np.ndarray.view(array, np.ndarray)


def _unwatched(value: Any) -> Any:
    """What NumPy's functions take instead of watched arrays."""
    if isinstance(value, _Watched):
        return value.whole()
    return type(value)(map(_unwatched, value)) if isinstance(value, list | tuple) else value
