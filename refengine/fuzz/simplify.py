"""The last step to the smallest case: as many elements as possible without meaning, and the others small.

Hypothesis shrinks shapes and options; an array is to it a kind of pattern and a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ..errors import UnsupportedError
from ..model import Array, Tensor
from .case import Case, Door, Outcome, check

ATTEMPTS = 600


def simplified(door: Door, case: Case, outcome: Outcome) -> tuple[Case, Outcome]:
    """A case that fails in the same way, with fewer elements that are not neutral, and these closer to that."""
    if outcome.kind == "hangs":  # each attempt costs a time-out
        return case, outcome
    attempts = 0
    for i, tensor in enumerate(case.tensors):
        if tensor is None or not _holds_values(tensor):
            continue
        for change in _changes(np.asarray(case.arrays[i]).size):
            array = np.asarray(case.arrays[i])
            changed = change(array, neutral(tensor))
            if changed.tobytes() == array.tobytes():
                continue
            attempts += 1
            if attempts > ATTEMPTS:
                return case, outcome
            try:
                other = with_array(case, i, changed)
                now = check(door, other)
            except UnsupportedError:  # some values Prepare refuses
                continue
            if now.kind == outcome.kind:
                case, outcome = other, now
    return case, outcome


def neutral(tensor: Tensor) -> int:
    """The code of the real number 0."""
    quantization = tensor.quantization
    return quantization.zero_point[0] if quantization and quantization.zero_point else 0


def with_array(case: Case, i: int, array: Array) -> Case:
    """The case with another value of its input `i`, wherever else the operator reads that tensor too."""
    tensor, graph = case.tensors[i], case.model.graphs[0]
    assert tensor is not None
    if tensor.data is None:
        fed = tuple(array if t.index == tensor.index else x for t, x in zip(case.plan.inputs, case.inputs, strict=True))
        return Case(case.plan, fed)
    tensors = tuple(replace(t, data=array) if t.index == tensor.index else t for t in graph.tensors)
    return case.changed(replace(case.model, graphs=(replace(graph, tensors=tensors),)))


def _holds_values(tensor: Tensor) -> bool:
    """Whether a tensor holds numbers to compute with, not axes or sizes."""
    return tensor.dtype == "float32" or tensor.quantization is not None


Change = Callable[[Array, int], Array]


def _changes(size: int) -> Iterator[Change]:
    """First blocks of elements made neutral, ever smaller ones; then single elements brought closer to that."""
    block = size
    while block:
        for start in range(0, size, block):
            yield lambda array, zero, start=start, block=block: _neutralised(array, zero, start, block)  # type: ignore[misc]
        block //= 2
    for place in range(min(size, 64)):
        yield lambda array, zero, place=place: _moved(array, zero, place, None)  # type: ignore[misc]
        for _ in range(6):
            yield lambda array, zero, place=place: _moved(array, zero, place, 2)  # type: ignore[misc]


def _neutralised(array: Array, zero: int, start: int, count: int) -> Array:
    changed: Array = array.copy()
    changed.reshape(-1)[start : start + count] = zero
    return changed


def _moved(array: Array, zero: int, place: int, divisor: int | None) -> Array:
    """One element one step from neutral, or half as far as it is; floats become whole numbers first."""
    changed: Array = array.copy()
    flat = changed.reshape(-1)
    distance = float(flat[place]) - zero
    if distance and np.isfinite(distance):
        flat[place] = zero + (np.sign(distance) if divisor is None else np.trunc(distance / divisor))
    return changed
