"""One step to break, and the handles to break it by.

All arithmetic is the kernels' own: what changes is what they are prepared with, what they are given, or how their
output lies in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ...errors import InferenceError, UnsupportedError
from ...kernel import Numerics
from ...kernels._window import Window
from ...model import Array, Quantization, Tensor
from ...numerics.fixedpoint import (
    Ints,
    Multiplier,
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_64,
    quantize_multiplier,
    wrap32,
)
from ...numerics.requantize import Requantizer
from ...plan import Step

LAYERS = ("OHWI", "1HWO", "OI")
"""The layouts of weights whose kernels also take them computed."""

OPEN = {"min": -(2**31), "max": 2**31 - 1}


@dataclass(frozen=True, eq=False)
class Case:
    """One step, the `arrays` it read, and what a sound kernel makes of them: of what it writes, the `output`-th.

    `seen` is what the device made of them (None if only a later step's output is known), `memory` what else was in its
    memory, by what one would call it. `image` is the shape of three axes that the data had before it was flattened,
    `kept` what the kernel itself kept from the inference before.
    """

    step: Step
    numerics: Numerics
    arrays: tuple[Array | None, ...]
    sound: Array
    seen: Array | None = None
    memory: Mapping[str, Array] = field(default_factory=dict)
    image: tuple[int, ...] = ()
    output: int = 0
    kept: tuple[Array, ...] = ()

    @property
    def tensor(self) -> Tensor:
        """What the step writes here."""
        return self.step.writes[self.output]

    def replay(
        self,
        *,
        numerics: Numerics | None = None,
        options: Mapping[str, Any] | None = None,
        tensors: Mapping[int, Tensor | None] | None = None,
        output: Tensor | None = None,
        arrays: Mapping[int, Array] | None = None,
        params: Callable[[Any], Any] | None = None,
        dtype: str | None = None,
    ) -> Array | None:
        """The step's output with some things changed, or None where TFLM's Prepare would refuse that.

        `tensors` and `arrays` replace inputs by position (constants bring their own array), `output` the output's
        tensor, `options` some of the options; `params` changes what Prepare made of them.
        The result has the `dtype` of a sound output, unless another is given; codes wrap.
        """
        step, tensors = self.step, tensors or {}
        inputs = tuple(tensors.get(i, tensor) for i, tensor in enumerate(step.inputs))
        given = {**{i: t.data for i, t in tensors.items() if t is not None and t.data is not None}, **(arrays or {})}
        values = [
            None if tensor is None else given.get(i, array)
            for i, (tensor, array) in enumerate(zip(inputs, self.arrays, strict=True))
        ]
        outputs = tuple(output if output and i == self.output else t for i, t in enumerate(step.outputs))
        node = step.node._replace(options={**step.op.options, **(options or {})}, inputs=inputs, outputs=outputs)
        if params is None:
            node = node._replace(inputs=tuple(self._unproven(inputs)))
        try:
            changed = replace(step, node=node).prepared(numerics or self.numerics)
        except UnsupportedError:
            return None
        if params is not None:
            changed = replace(changed, params=params(changed.params))
        try:
            results = changed.evaluate(*(None if x is None else x[np.newaxis] for x in values), *self.kept)
        except InferenceError:  # it would have failed, not computed something wrong
            return None
        return np.asarray(results[self.output][0]).astype(dtype or self.sound.dtype)

    def _unproven(self, inputs: Sequence[Tensor | None]) -> Iterator[Tensor | None]:
        """The inputs with weights and bias as if computed at run time, where that spares proofs for one inference."""
        facts = self.step.facts
        layer = facts.layout in LAYERS and self.sound.dtype == np.int8
        for i, tensor in enumerate(inputs):
            if layer and tensor is not None and i in (facts.weights, facts.bias) and tensor.dtype != "int4":
                yield replace(tensor, data=None)
            else:
                yield tensor

    @cached_property
    def sums(self) -> Sums | None:
        """The accumulators of an integer layer with weights, or whatever else ends in a `Requantizer`.

        None for what remembers: its sums go through more stages before they are outputs.
        """
        parts = [] if self.step.facts.updates else requantizers(self.step.params)
        acc = self.replay(params=partial(altered, change=unscaled), dtype="int64") if parts else None
        if acc is None or len({r.bits for r in parts}) != 1:
            return None
        joined = [np.concatenate([np.broadcast_to(x, r.bias.shape) for x, r in each]) for each in (
            [(r.multiplier.multiplier, r) for r in parts],
            [(r.multiplier.shift, r) for r in parts],
            [(r.bias, r) for r in parts],
        )]  # fmt: skip
        multiplier, shift, bias = joined
        return Sums(acc, bias, multiplier, shift, parts[0]) if acc.shape[-1:] == bias.shape else None

    def columns(self, channel: int) -> Array | None:
        """What one output channel's weights are multiplied by, (positions, taps): codes less their zero point, or
        floats; None for a layout that is not known."""
        x, window, layout = self.arrays[0], window_of(self), self.step.facts.layout
        if x is None or self.weights is None or layout not in ("OHWI", "1HWO", "OI"):
            return None
        data = self.step.inputs[0]
        values = x if x.dtype.kind == "f" or data is None else x.astype(np.int64) - zero_point_of(data)
        if window is None:
            return values.reshape(-1, self.weights.shape[1]) if layout == "OI" else None
        patches = window.patches(window.padded(values)).reshape(-1, *window.filter, values.shape[-1])
        if layout == "1HWO":
            depth = channel // max(1, self.weights.shape[3] // values.shape[-1])
            return patches[..., depth].reshape(len(patches), -1)
        depth, groups = self.weights.shape[3], values.shape[-1] // self.weights.shape[3]
        first = channel // max(1, self.weights.shape[0] // groups) * depth
        return patches[..., first : first + depth].reshape(len(patches), -1)

    def taps_of(self, weights: Array, channel: int) -> Array:
        """The weights of one output channel, flat, as `columns` has them."""
        flat: Array = (weights[..., channel] if self.step.facts.layout == "1HWO" else weights[channel]).reshape(-1)
        return flat

    @property
    def weights(self) -> Tensor | None:
        return self.step.weights

    @property
    def bias(self) -> Tensor | None:
        return self.step.bias

    def replay_with(self, *, weights: Tensor | None = None, bias: Tensor | None = None) -> Array | None:
        """`replay` with other weights, or another bias."""
        facts = self.step.facts
        given = {facts.weights: weights, facts.bias: bias}
        return self.replay(tensors={i: t for i, t in given.items() if i is not None and t is not None})


@dataclass(frozen=True, eq=False)
class Sums:
    """The accumulators of a layer, `acc` (…, channels) with the `bias` (channels,) in them, and what scales them."""

    acc: Ints
    bias: Ints
    multiplier: Ints
    shift: Ints
    last: Requantizer

    @property
    def factor(self) -> Array:
        """What the accumulators of each channel are multiplied by, (channels,)."""
        return np.asarray(np.ldexp(self.multiplier.astype(np.float64), self.shift - 31))

    def codes(self, acc: Ints | None = None, factor: Multiplier | None = None) -> Array:
        """What this layer would make of other accumulators, or by another multiplier."""
        factor = factor or self.last.multiplier._replace(multiplier=self.multiplier, shift=self.shift)
        multiply = multiply_by_quantized_multiplier if self.last.bits == 32 else multiply_by_quantized_multiplier_64
        acc = self.acc if acc is None else acc
        return self.finished(multiply(wrap32(acc) if self.last.bits == 32 else acc, factor))

    def scaled_by(self, factor: Array) -> Array:
        """The codes if other real factors, (channels,), were made fixed-point."""
        return self.codes(factor=quantize_multiplier(factor, self.last.multiplier.rounding))

    def finished(self, scaled: Array) -> Array:
        """Codes of what was scaled already."""
        codes = np.clip(scaled + self.last.output_offset, self.last.activation_min, self.last.activation_max)
        return np.asarray(codes.astype(self.last.dtype))


Variants = Iterator[tuple[str, Array | None]]
Fault = Callable[[Case], Variants]
Fits = Iterator[tuple[str, Array, float]]
Fit = Callable[[Case], Fits]
"""What reads something off the device's own output (`Case.seen`), at the price of as many bits as there was to read."""


def altered(node: Any, change: Callable[[Any], Mapping[str, Any]]) -> Any:
    """Params with the fields replaced that `change` names for each record in them; what was derived is dropped."""
    if isinstance(node, tuple) and not hasattr(node, "_fields"):
        return tuple(altered(part, change) for part in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    parts = {f.name: altered(getattr(node, f.name), change) for f in fields(node)}
    if wanted := change(node):
        wanted = {**dict.fromkeys(("line", "drop", "table")), **wanted}
        parts |= {name: value for name, value in wanted.items() if name in parts}
    return replace(node, **parts)


def changed(node: Any, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """`changes` for a record that holds the last stage of an integer kernel: output offset and clamp."""
    return changes if isinstance(node, Requantizer) or hasattr(node, "output_activation_min") else {}


def unscaled(node: Any) -> Mapping[str, Any]:
    """Changes that make a requantizer return its accumulators, bias included."""
    if not isinstance(node, Requantizer):
        return {}
    # Double rounding would shift to the left first, and wrap accumulators from 2³⁰ on.
    one = Multiplier(np.int64(2**30), np.int64(1), np.float32(1), rounding="single")
    low, high = OPEN["min"], OPEN["max"]
    return {"multiplier": one, "output_offset": 0, "activation_min": low, "activation_max": high, "dtype": "int32"}


def requantizers(node: Any) -> list[Requantizer]:
    """Those of params, in the order of the channels."""
    if isinstance(node, Requantizer):
        return [node]
    if isinstance(node, tuple):
        return [r for part in node for r in requantizers(part)]
    if is_dataclass(node):
        return [r for f in fields(node) for r in requantizers(getattr(node, f.name))]
    return []


def real_factor(case: Case, factor: Array) -> Array:
    """The factors of a layer with weights before they became fixed point."""
    tensors = (case.step.data, case.weights, case.tensor)
    scales = [t.quantization.scale for t in tensors if t is not None and t.quantization is not None]
    return factor if len(scales) < 3 else np.array(scales[1]) * scales[0][0] / scales[2][0]


def with_window(**fields: Any) -> Callable[[Any], Any]:
    """What changes fields of the window in params."""
    return partial(altered, change=lambda node: fields if isinstance(node, Window) else {})


def window_of(case: Case) -> Window | None:
    """The window of a convolution or a pool."""
    window = getattr(case.step.params, "window", None)
    return window if isinstance(window, Window) else None


def zero_point_of(tensor: Tensor) -> int:
    points = tensor.quantization.zero_point if tensor.quantization else ()
    return points[0] if points else 0


def with_zero_point(tensor: Tensor, point: int) -> Tensor:
    quantization = tensor.quantization or Quantization()
    return replace(tensor, quantization=replace(quantization, zero_point=(point,) * len(quantization.zero_point)))


def with_data(tensor: Tensor, data: Array) -> Tensor:
    return replace(tensor, data=np.ascontiguousarray(data))


def with_weights(case: Case, ways: Mapping[str, Array]) -> Variants:
    """Replays with other weights, each different ones once."""
    tensor = case.weights
    assert tensor is not None and tensor.data is not None
    tried = {tensor.data.tobytes()}
    for how, data in ways.items():
        if (raw := data.tobytes()) not in tried:
            tried.add(raw)
            yield how, case.replay_with(weights=with_data(tensor, data))
