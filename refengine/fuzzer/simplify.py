"""The last steps to the smallest case: one output element or channel where that will do, and few and small numbers.

Hypothesis shrinks shapes and options; an array is to it a kind of pattern and a seed, which another shape upsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ..errors import InferenceError, UnsupportedError
from ..model import Array, Tensor
from ..plan import Step
from .case import Case, Door, Outcome, check

ATTEMPTS = 600

REFUSED = UnsupportedError, InferenceError
"""Some values Prepare refuses, with others Invoke fails, as with a divisor of 0."""


def simplified(door: Door, case: Case, outcome: Outcome) -> tuple[Case, Outcome]:
    """A case that fails in the same way, with fewer elements that are not neutral, and these closer to that."""
    if outcome.kind == "hangs":  # each attempt costs a time-out
        return case, outcome
    if outcome.difference is not None and outcome.output == 0 and case.before is None:
        try:
            other = _narrowed(case, outcome.difference.first)
            now = check(door, other)
            case, outcome = (other, now) if now.kind == outcome.kind else (case, outcome)
        except REFUSED:
            pass
    attempts = 0
    for i, tensor in enumerate(case.tensors):
        if tensor is None or tensor.is_variable or not _holds_values(tensor):
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
            except REFUSED:
                continue
            if now.kind == outcome.kind:
                case, outcome = other, now
    return case, outcome


def _narrowed(case: Case, at: tuple[int, ...]) -> Case:
    """The case cut down to the output element `at`, or to its channel, of operators of which one knows how."""
    step, output = case.step, case.step.outputs[0].shape
    if len(case.plan.steps) > 1:  # what comes before would have to be cut, too
        return case
    ones = (1,) * len(output)
    if step.facts.elementwise:
        return _cut(case, lambda i, x: np.broadcast_to(x, output)[at].reshape(ones), ones)
    if step.facts.layout.startswith("O") and not _has_groups(step):
        channel, layer = slice(at[-1], at[-1] + 1), (step.facts.weights, step.facts.bias)
        return _cut(case, lambda i, x: x[channel] if i in layer else x, (*output[:-1], 1), channel)
    return case


def _has_groups(step: Step) -> bool:
    """Whether the filters of a convolution see but a part of the input's channels each."""
    assert step.data is not None and step.weights is not None
    return "H" in step.facts.layout and step.data.shape[-1] != step.weights.shape[-1]


def _cut(
    case: Case, part: Callable[[int, Array], Array], output: tuple[int, ...], channel: slice | None = None
) -> Case:
    """The case with a part of each input, in order, and an output of this shape."""
    graph, step = case.model.graphs[0], case.step
    arrays = {
        t.index: part(i, x)
        for i, (t, x) in enumerate(zip(step.inputs, case.arrays, strict=True))
        if t is not None and x is not None
    }

    def cut(tensor: Tensor) -> Tensor:
        if tensor.index not in arrays:
            return replace(tensor, shape=output)
        q, array = tensor.quantization, np.ascontiguousarray(arrays[tensor.index])
        if q is not None and len(q.scale) > 1 and channel is not None:
            q = replace(q, scale=q.scale[channel], zero_point=q.zero_point[channel])
        return replace(tensor, shape=array.shape, quantization=q, data=None if tensor.data is None else array)

    model = replace(case.model, graphs=(replace(graph, tensors=tuple(map(cut, graph.tensors))),))
    return case.changed(model, tuple(np.ascontiguousarray(arrays[t.index]) for t in case.plan.inputs))


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
        return replace(case, inputs=fed)
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
