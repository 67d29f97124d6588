"""In which form every tensor is made and read once a network is quantised, and the codes of its constants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..model import Array, Graph, Op, Quantization, Tensor
from . import affine
from .parameters import Parameters, computes_reals, rule

WEIGHTS, BIAS = 1, 2  # the inputs, after the data, of an operator whose rule has an axis


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
        multiplied = self._weights(op) if self.quantises(op) and rule(op).axis is not None else {}
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

    def _weights(self, op: Op) -> dict[int, Form]:
        """The forms of the operator's weights and bias, by position; weights computed at run time are activations."""
        inputs = (*op.inputs, -1)[: BIAS + 1]  # FULLY_CONNECTED may have two
        values, bias = (None if i < 0 else self.graph.tensors[i].data for i in inputs[WEIGHTS:])
        if values is None:
            return {}
        axis = rule(op).axis
        assert axis is not None
        scale = self.parameters.tensors[op.inputs[0]].scale[0]
        found = affine.weights(values, axis, bias, scale, self.activations)
        forms = {WEIGHTS: self._constant(inputs[WEIGHTS], found.codes, found.quantization)}
        if found.bias is not None:
            forms[BIAS] = self._constant(inputs[BIAS], found.bias, found.bias_quantization)
        return forms

    def _coded(self, index: int, quantization: Quantization | None) -> Form:
        return Form(index, self.activations, quantization) if quantization else self.as_it_was(index)

    def _constant(self, index: int, codes: Array, quantization: Quantization) -> Form:
        form = Form(index, codes.dtype.name, quantization)
        self.codes[form] = codes
        return form
