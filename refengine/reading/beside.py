"""Two files of one network side by side: how far each layer's values are apart on the same inputs.

Which tensors belong together is told by `counterparts`: those of a name and shape, else by the operators' order; in
branches and loops by `inside`, where both files run them. What both files hold in the same codes is compared bit for
bit, and everything by the real values that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from ..execute import Record, batch_size, execute
from ..identity import identity
from ..model import Array, Tensor
from ..plan import Plan, Step
from ..state import Rows
from ..tensors.difference import unlike
from ..tensors.inputs import quantize_input
from .counterparts import same_tensors
from .error import Error, error_of
from .float_reading import is_quantized, real_values
from .inside import PARTS, Counterpart, Moments, counterpart

NOTHING = Error(0, 0.0, 0.0, 0.0)

Calls = tuple[tuple[int, str], ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """One output of a step, and the tensor of the other file that belongs with it, None if none does.

    `error` is how far that one's real values are from this one's, in all inferences so far: of no values where it is
    None, or holds no numbers. `differing` elements are not the same, where the same bits stand for the same in both
    (see `difference.unlike`); else it is None. `calls` is how a subgraph came to run that the step is of: the callers'
    indices and what for, outermost first.
    """

    step: Step
    tensor: Tensor
    other: Tensor | None
    differing: int | None
    error: Error = NOTHING
    calls: Calls = ()

    @property
    def is_equal(self) -> bool:
        """Whether every bit is the same, or of other codes every real value."""
        return not (self.error.square if self.differing is None else self.differing)

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON; an infinite SQNR is None."""
        graph = self.step.subgraph
        told = {"operator": identity(self.step.op, graph), "tensor": identity(self.tensor, graph)}
        if self.other is None or not self.error.count:
            return told | {"other": None}
        sqnr = self.error.sqnr if isfinite(self.error.sqnr) else None
        figures = {"rmse": self.error.rmse, "max": self.error.largest, "sqnr_db": sqnr}
        return told | {"other": identity(self.other), "size": self.error.count, "differing": self.differing} | figures


@dataclass(frozen=True, eq=False)
class Beside:
    """Two files so far: the layers of the first one, in order, and both outputs of the last inference or batch."""

    layers: tuple[Layer, ...]
    outputs: tuple[tuple[Array, ...], tuple[Array, ...]]

    @property
    def first(self) -> Layer | None:
        """The first layer that is not equal."""
        return next((layer for layer in self.layers if layer.other is not None and not layer.is_equal), None)


def beside(plan: Plan, other: Plan, cases: Iterable[tuple[Array, ...]]) -> Iterator[Beside]:
    """Both files' layers after each inference, or batch, of the first one's inputs.

    The other file is fed with what those stand for; what lives on begins afresh with each. Raises `InputError` if the
    two do not take and give the same shapes, or if the other's inputs cannot hold the values.
    """
    whole = counterpart(plan, other, same_tensors(other, plan), is_reading=False)
    layers = tuple(_layers(plan, plan, whole))
    for inputs in cases:
        given = tuple(_handed_on(plan, other, x, index) for index, x in enumerate(inputs))
        mine, theirs = _Seen.of(plan, inputs), _Seen.of(other, given)
        layers = tuple(_with(layer, mine, theirs, whole) for layer in layers)
        outputs = (
            tuple(mine.values[t.index] for t in plan.outputs),
            tuple(theirs.values[t.index] for t in other.outputs),
        )
        yield Beside(layers, outputs)


def _layers(model: Plan, plan: Plan, there: Counterpart | None, calls: Calls = ()) -> Iterator[Layer]:
    """The layers of a subgraph in the order in which they run; `there` is what stands for it, None if nothing does."""
    for step in plan.steps:
        for part, graph in zip(PARTS.get(step.facts.control, ()), step.calls, strict=True):
            inside = there.called.get((step.index, part)) if there else None
            yield from _layers(model, model.plans[graph], inside, (*calls, (step.index, part)))
        for tensor in step.outputs:
            theirs = (
                there.plan.graph.tensors[there.same[tensor.index]] if there and tensor.index in there.same else None
            )
            alike = theirs is not None and _is_coded_alike(tensor, theirs)
            yield Layer(step, tensor, theirs, 0 if alike else None, calls=calls)


def _is_coded_alike(mine: Tensor, theirs: Tensor) -> bool:
    """Whether the same bits stand for the same in both."""
    if mine.dtype != theirs.dtype or is_quantized(mine) != is_quantized(theirs):
        return False
    scales = [(t.quantization.scale, t.quantization.zero_point) for t in (mine, theirs) if t.quantization]
    return not is_quantized(mine) or scales[0] == scales[1]


def _handed_on(plan: Plan, other: Plan, x: Array, index: int) -> Array:
    """What one input stands for, as the other file takes it."""
    if _is_coded_alike(plan.inputs[index], other.inputs[index]):
        return x
    return quantize_input(other, real_values(x, plan.inputs[index]), index)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one inference, or batch, computed: every tensor of the main graph by its index, its inputs and constants
    among them, and the records of other subgraphs; `count` inferences."""

    values: Mapping[int, Array]
    inside: Moments
    count: int

    @classmethod
    def of(cls, plan: Plan, inputs: tuple[Array, ...]) -> _Seen:
        found = {t.index: x[0] for t in plan.graph.tensors if (x := plan.constants.get(t.index)) is not None}
        found |= {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
        inside: Moments = {}
        for record in execute(plan, *inputs):
            if record.path:
                inside[record.path, record.step.index] = record
            else:
                found |= {t.index: x for t, x in zip(record.step.outputs, record.outputs, strict=True)}
        return cls(found, inside, batch_size(plan, inputs) or 1)


def _pairs(layer: Layer, mine: _Seen, theirs: _Seen, whole: Counterpart) -> Iterator[tuple[Array, Array]]:
    """What the two made of a layer's tensor, each time that both did."""
    assert layer.other is not None
    if not layer.calls:
        yield mine.values[layer.tensor.index], theirs.values[layer.other.index]
        return
    for (path, index), record in mine.inside.items():
        found = whole.at(path)
        if index != layer.step.index or found is None or tuple((c.operator, c.part) for c in path) != layer.calls:
            continue
        writer = found[1].plan.writers.get(layer.other.index)
        other = theirs.inside.get((found[0], writer.index)) if writer else None
        if other is not None:
            x, y = _written(record, layer.tensor), _written(other, layer.other)
            yield _in_common(x, record.rows, y, other.rows, mine.count)


def _written(record: Record, tensor: Tensor) -> Array:
    return record.outputs[[t.index for t in record.step.outputs].index(tensor.index)]


def _in_common(x: Array, rows: Rows | None, y: Array, others: Rows | None, count: int) -> tuple[Array, Array]:
    """The inferences of a batch that both speak of."""
    if rows is None and others is None:
        return x, y
    every = np.arange(count)
    mine, theirs = every if rows is None else rows, every if others is None else others
    return x[np.isin(mine, theirs)], y[np.isin(theirs, mine)]


def _with(layer: Layer, mine: _Seen, theirs: _Seen, whole: Counterpart) -> Layer:
    """The same with what one more inference, or batch, tells."""
    if layer.other is None:
        return layer
    for x, y in _pairs(layer, mine, theirs, whole):
        if not x.size or x.dtype.kind not in "iufb" or y.dtype.kind not in "iufb":
            continue
        wanted = real_values(x, layer.tensor)
        with np.errstate(all="ignore"):  # infinities
            error = error_of(np.float64(real_values(y, layer.other)) - np.float64(wanted), wanted)
        differing = None if layer.differing is None else layer.differing + int(unlike(x, y).sum())
        layer = replace(layer, error=layer.error + error, differing=differing)
    return layer
