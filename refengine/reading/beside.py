"""Two files of one network side by side: how far each layer's values are apart on the same inputs.

Which tensors belong together is told by `counterparts`: those of a name and shape, else by the operators' order. What
both files hold in the same codes is compared bit for bit, and everything by the real values that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from ..execute import execute
from ..identity import identity
from ..model import Array, Tensor
from ..plan import Plan, Step
from ..tensors.difference import unlike
from ..tensors.inputs import quantize_input
from .counterparts import same_tensors
from .error import Error, error_of
from .float_reading import is_quantized, real_values

NOTHING = Error(0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Layer:
    """One output of a step, and the tensor of the other file that belongs with it, None if none does.

    `error` is how far that one's real values are from this one's, in all inferences so far: of no values where it is
    None, or holds no numbers. `differing` elements are not the same, where the same bits stand for the same in both
    (see `difference.unlike`); else it is None.
    """

    step: Step
    tensor: Tensor
    other: Tensor | None
    differing: int | None
    error: Error = NOTHING

    @property
    def is_equal(self) -> bool:
        """Whether every bit is the same, or of other codes every real value."""
        return not (self.error.square if self.differing is None else self.differing)

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON; an infinite SQNR is None."""
        told = {"operator": identity(self.step.op), "tensor": identity(self.tensor)}
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
    same = same_tensors(other, plan)
    layers = tuple(_layer(step, tensor, same, other) for step in plan.steps for tensor in step.outputs)
    for inputs in cases:
        given = tuple(_handed_on(plan, other, x, index) for index, x in enumerate(inputs))
        mine, theirs = _values(plan, inputs), _values(other, given)
        layers = tuple(_with(layer, mine, theirs) for layer in layers)
        outputs = (tuple(mine[t.index] for t in plan.outputs), tuple(theirs[t.index] for t in other.outputs))
        yield Beside(layers, outputs)


def _layer(step: Step, tensor: Tensor, same: Mapping[int, int], other: Plan) -> Layer:
    theirs = other.graph.tensors[same[tensor.index]] if tensor.index in same else None
    alike = theirs is not None and _is_coded_alike(tensor, theirs)
    return Layer(step, tensor, theirs, 0 if alike else None)


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


def _values(plan: Plan, inputs: tuple[Array, ...]) -> Mapping[int, Array]:
    """Every tensor of the main graph that was computed, its inputs and constants among them."""
    found = {t.index: x[0] for t in plan.graph.tensors if (x := plan.constants.get(t.index)) is not None}
    found |= {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
    for record in execute(plan, *inputs):
        if not record.path:
            found |= {t.index: x for t, x in zip(record.step.outputs, record.outputs, strict=True)}
    return found


def _with(layer: Layer, mine: Mapping[int, Array], theirs: Mapping[int, Array]) -> Layer:
    """The same with what one more inference, or batch, tells."""
    if layer.other is None:
        return layer
    x, y = mine[layer.tensor.index], theirs[layer.other.index]
    if not x.size or x.dtype.kind not in "iufb" or y.dtype.kind not in "iufb":
        return layer
    wanted = real_values(x, layer.tensor)
    with np.errstate(all="ignore"):  # infinities
        error = error_of(np.float64(real_values(y, layer.other)) - np.float64(wanted), wanted)
    differing = None if layer.differing is None else layer.differing + int(unlike(x, y).sum())
    return replace(layer, error=layer.error + error, differing=differing)
