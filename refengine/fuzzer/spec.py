"""Nodes within TFLite's quantization specification, which vendors' kernels may count on; TFLM computes more.

https://ai.google.dev/edge/litert/models/quantization_spec: int16 has no zero point; weights are symmetric, −127 … 127
(int4: −7 … 7), the bias has the product of the scales of input and weights and no zero point; some operators have an
output scale and zero point of their own, others that of their input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..kernel import Facts, Node
from ..model import Quantization, Tensor

LEAST = {"int8": -127, "int4": -7}
"""The least code of weights."""


def within_spec(node: Node, facts: Facts) -> Node:
    """The node with codes and quantisations that the specification allows; shapes and options stay."""
    changed = {id(t): _plain(t) for each in (*node.before, node) for t in _tensors(each)}

    def now(place: int | None) -> Tensor | None:
        tensor = None if place is None or place >= len(node.inputs) else node.inputs[place]
        return None if tensor is None else changed[id(tensor)]

    for place in _weights(node, facts):
        if (weights := now(place)) is not None:
            changed[id(node.inputs[place])] = _symmetric(weights)
    data, weights, bias = now(facts.data), now(facts.weights), now(facts.bias)
    if data is not None and weights is not None and bias is not None and facts.bias is not None:
        changed[id(node.inputs[facts.bias])] = _product(bias, data, weights)
    for output in node.outputs:
        changed[id(output)] = _prescribed(changed[id(output)], data, facts)
    if facts.shares_scale and data is not None:
        for tensor in node.inputs:
            if tensor is not None and tensor.dtype == data.dtype and tensor.quantization:
                changed[id(tensor)] = replace(changed[id(tensor)], quantization=data.quantization)
    return _with(node, changed)


def _tensors(node: Node) -> Iterator[Tensor]:
    yield from (t for t in (*node.inputs, *node.outputs, *node.intermediates) if t is not None)


def _with(node: Node, changed: dict[int, Tensor]) -> Node:
    """The node with other tensors."""
    return node._replace(
        inputs=tuple(None if t is None else changed[id(t)] for t in node.inputs),
        outputs=tuple(changed[id(t)] for t in node.outputs),
        intermediates=tuple(changed[id(t)] for t in node.intermediates),
        before=tuple(_with(each, changed) for each in node.before),
    )


def _plain(tensor: Tensor) -> Tensor:
    """int16 without a zero point."""
    q = tensor.quantization
    if tensor.dtype != "int16" or q is None or not any(q.zero_point):
        return replace(tensor)
    return replace(tensor, quantization=replace(q, zero_point=(0,) * len(q.zero_point)))


def _weights(node: Node, facts: Facts) -> Iterator[int]:
    """The inputs that are weights: those that the facts name; of a recurrent layer all constants in bytes."""
    if facts.weights is not None:
        yield facts.weights
    elif facts.updates:
        for place, tensor in enumerate(node.inputs):
            if tensor is not None and tensor.data is not None and tensor.dtype in LEAST:
                yield place


def _symmetric(weights: Tensor) -> Tensor:
    q, least = weights.quantization, LEAST.get(weights.dtype)
    if q is None or least is None:
        return weights
    data = None if weights.data is None else np.maximum(weights.data, np.int8(least))
    return replace(weights, data=data, quantization=replace(q, zero_point=(0,) * len(q.scale)))


def _product(bias: Tensor, data: Tensor, weights: Tensor) -> Tensor:
    if not bias.quantization or not data.quantization or not weights.quantization:
        return bias
    scales = np.float32(data.quantization.scale[0]) * np.array(weights.quantization.scale, np.float32)
    return replace(bias, quantization=Quantization(tuple(scales.tolist()), (0,) * scales.size))


def _prescribed(output: Tensor, data: Tensor | None, facts: Facts) -> Tensor:
    """The output with the quantisation that the operator must have."""
    if data is None or output.dtype != data.dtype or not output.quantization:
        return output
    if output.dtype in facts.fixed_output:
        scale, zero_point = facts.fixed_output[output.dtype]
        return replace(output, quantization=Quantization((scale,), (zero_point,)))
    return replace(output, quantization=data.quantization) if facts.shares_scale else output
