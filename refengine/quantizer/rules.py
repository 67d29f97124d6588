"""What quantisation asks of each operator, as TensorFlow 2.21's converter does it.

The converter has two quantizers: its MLIR one makes int8 models (`QuantizationDriver` and the interfaces of
`tfl_ops.td`), the older one int16×8 models (`operator_property.cc`). What both ask is among the operator's facts:

- `quantized`: the versions and options of the quantised operator, by type; None for one that is refused;
- `shares_scale`: its inputs and outputs have the same scale and zero point, which are those of the first input, but
  where it `joins` several: int16 takes these from its output's range then, as int8 does;
- `fixed_output`: by type, the (scale, zero point) of its output, whatever was calibrated;
- `weights`, `bias` and `layout`: weights are symmetric, one scale for each output channel;
- `quantized.weighed`: other symmetric constants, one scale for each; `quantized.states`: variables.

Whatever they do not say: every input and output has parameters of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from ..kernel import Facts, Weighed
from ..kernels import FACTS
from ..model import Graph, Op, Tensor


def rule(op: Op) -> Facts:
    """The operator's facts; one that is never quantised is in float, so that it asks for nothing."""
    facts = FACTS.get(op.name, Facts())
    return facts if facts.quantized and facts.quantized.versions else Facts()


def stays_float(op: Op, activations: str) -> bool:
    """Whether the converter, asked for these activations, leaves the operator in float. With int16 it refuses it."""
    quantized = FACTS.get(op.name, Facts()).quantized
    return quantized is not None and activations == "int8" and activations not in quantized.versions


def weighed(op: Op) -> tuple[Weighed, ...]:
    """The weights and biases that the operator's rule names."""
    facts = rule(op)
    if facts.quantized is None or facts.weights is None or facts.data is None:
        return facts.quantized.weighed if facts.quantized else ()
    return (Weighed(facts.weights, facts.bias, facts.data),)


def with_intermediates(graph: Graph, keep: Collection[int]) -> Graph:
    """The graph with the intermediate tensors that its operators have once they are quantised, but for those kept."""
    tensors, ops = list(graph.tensors), list(graph.ops)
    for op in graph.ops:
        quantized = rule(op).quantized
        if quantized and not op.intermediates and op.index not in keep:
            first = len(tensors)
            empty = np.zeros(0, np.float32)
            names = enumerate(quantized.intermediates, first)
            tensors += [Tensor(index, name, empty.shape, "float32", data=empty) for index, name in names]
            ops[op.index] = replace(op, intermediates=tuple(range(first, len(tensors))))
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))
