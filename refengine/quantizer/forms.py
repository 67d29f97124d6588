"""In which form every tensor is made and read once a network is quantised, and the codes of its constants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..model import Array, Graph, Op, Quantization, Tensor
from . import affine
from .parameters import Parameters, computes_reals
from .rules import rule, weighed


class Form(NamedTuple):
    """`tensor` (an index) of the float graph as held in `dtype`: in codes of these parameters, or as it was (None)."""

    tensor: int
    dtype: str
    quantization: Quantization | None = None


@dataclass(frozen=True, eq=False)
class Forms:
    """What each operator of a float graph reads and makes, if those of `keep` stay in float.

    `codes` are the values of the constants whose forms were asked for.
    """

    graph: Graph
    parameters: Parameters
    activations: str
    io: str
    keep: frozenset[int]
    codes: dict[Form, Array] = field(default_factory=dict)

    def quantises(self, op: Op) -> bool:
        return op.index not in self.keep and computes_reals(self.graph, op)

    def as_it_was(self, index: int) -> Form:
        return Form(index, self.graph.tensors[index].dtype)

    def usual(self, index: int) -> Form:
        """What operators that compute in codes read, unless they need other parameters."""
        return self._coded(index, self.parameters.tensors.get(index))

    def outside(self, index: int) -> Form:
        """The form of an input or output of the whole graph."""
        return self.as_it_was(index) if self.io == "float32" else self.usual(index)

    def makes(self, op: Op) -> list[Form]:
        """The forms of the operator's outputs."""
        if not self.quantises(op):
            return [self.as_it_was(i) for i in op.outputs]
        return [self._coded(i, self.parameters.makes(i)) for i in op.outputs]

    def between(self, op: Op) -> list[Form]:
        """The forms of its intermediate tensors, which are empty: the last is held as the output, if any is."""
        forms = [self.as_it_was(i) for i in op.intermediates]
        if forms and self.quantises(op):
            held = self.makes(op)[0]
            assert held.quantization is not None  # only what is quantised has intermediates
            forms[-1] = self._constant(forms[-1].tensor, np.zeros(0, held.dtype), held.quantization)
        return forms

    def reads(self, op: Op) -> list[Form | None]:
        """The forms of the operator's inputs; None for one left out."""
        multiplied = self._weights(op) if self.quantises(op) else {}
        return [
            None if i < 0 else multiplied.get(at) or self._reads(op, at, self.graph.tensors[i])
            for at, i in enumerate(op.inputs)
        ]

    def _reads(self, op: Op, at: int, tensor: Tensor) -> Form:
        if tensor.dtype != "float32" or not self.quantises(op):
            return self.as_it_was(tensor.index)
        if tensor.index in self.parameters.states:
            return Form(tensor.index, *self.parameters.states[tensor.index])
        other = self.parameters.read.get((op.index, at))
        if tensor.data is None:
            return self._coded(tensor.index, other or self.parameters.tensors[tensor.index])
        codes, quantization = affine.constant(tensor.data, self.activations, other)
        return self._constant(tensor.index, codes, quantization)

    def _weights(self, op: Op) -> dict[int, Form]:
        """The forms of the operator's weights and biases, by position; weights computed at run time are activations."""
        forms: dict[int, Form] = {}
        for layer in weighed(op):
            weights, bias = (self._given(op, at) for at in (layer.weights, layer.bias))
            if weights is None or weights.data is None:
                continue
            axis = rule(op).layout.index("O") if rule(op).layout else None
            reals = None if bias is None else bias.data
            scale = self._scale(op.inputs[layer.data])
            found = affine.weights(weights.data, axis, reals, scale, self.activations, layer.largest)
            forms[layer.weights] = self._constant(weights.index, found.codes, found.quantization)
            if layer.bias is not None and bias is not None and found.bias is not None:
                forms[layer.bias] = self._constant(bias.index, found.bias, found.bias_quantization)
        return forms

    def _given(self, op: Op, at: int | None) -> Tensor | None:
        index = -1 if at is None or at >= len(op.inputs) else op.inputs[at]
        return None if index < 0 else self.graph.tensors[index]

    def _scale(self, index: int) -> float:
        """Of a tensor that is fed, computed or a state."""
        state = self.parameters.states.get(index)
        quantization = state[1] if state else self.parameters.tensors[index]
        return quantization.scale[0]

    def _coded(self, index: int, quantization: Quantization | None) -> Form:
        return Form(index, self.activations, quantization) if quantization else self.as_it_was(index)

    def _constant(self, index: int, codes: Array, quantization: Quantization) -> Form:
        form = Form(index, codes.dtype.name, quantization)
        self.codes[form] = codes
        return form
