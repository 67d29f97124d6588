"""In which form every tensor is made and read once a network is quantised, and the codes of its constants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..model import Array, Graph, Op, Quantization, Tensor
from . import affine
from .parameters import Parameters, computes_reals
from .rules import rule, weights_and_bias


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
        return [self._coded(i, self.parameters.made.get(i, self.parameters.tensors.get(i))) for i in op.outputs]

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
        other = self.parameters.read.get((op.index, at))
        if tensor.data is None:
            return self._coded(tensor.index, other or self.parameters.tensors[tensor.index])
        codes, quantization = affine.constant(tensor.data, self.activations, other)
        return self._constant(tensor.index, codes, quantization)

    def _weights(self, op: Op) -> dict[int | None, Form]:
        """The forms of the operator's weights and bias, by position; weights computed at run time are activations."""
        facts, (weights, bias) = rule(op), weights_and_bias(self.graph, op)
        if weights is None or weights.data is None or facts.data is None:
            return {}
        scale, axis = self.parameters.tensors[op.inputs[facts.data]].scale[0], facts.layout.index("O")
        found = affine.weights(weights.data, axis, None if bias is None else bias.data, scale, self.activations)
        forms = {facts.weights: self._constant(weights.index, found.codes, found.quantization)}
        if bias is not None and found.bias is not None:
            forms[facts.bias] = self._constant(bias.index, found.bias, found.bias_quantization)
        return forms

    def _coded(self, index: int, quantization: Quantization | None) -> Form:
        return Form(index, self.activations, quantization) if quantization else self.as_it_was(index)

    def _constant(self, index: int, codes: Array, quantization: Quantization) -> Form:
        form = Form(index, codes.dtype.name, quantization)
        self.codes[form] = codes
        return form
