"""What quantisation asks of each operator, as TensorFlow 2.21's converter does it.

The converter has two quantizers: its MLIR one makes int8 models (`QuantizationDriver` and the interfaces of
`tfl_ops.td`), the older one int16×8 models (`operator_property.cc`). What both ask is among the operator's facts:

- `quantized`: the versions and options of the quantised operator; None for one that is left in float, or refused;
- `shares_scale`: its inputs and outputs have the same scale and zero point, which are those of the first input, but
  where it `joins` several: int16 takes these from its output's range then, as int8 does;
- `fixed_output`: by type, the (scale, zero point) of its output, whatever was calibrated;
- `weights`, `bias` and `layout`: weights are symmetric, one scale for each output channel.

Whatever they do not say: every input and output has parameters of its own.
"""

from __future__ import annotations

from ..kernel import Facts
from ..kernels import FACTS
from ..model import Graph, Op, Tensor


def rule(op: Op) -> Facts:
    """The operator's facts; one that has no rule is kept in float, so that it asks for nothing."""
    facts = FACTS.get(op.name, Facts())
    return facts if facts.quantized else Facts()


def weights_and_bias(graph: Graph, op: Op) -> tuple[Tensor | None, Tensor | None]:
    """The tensors that a layer's rule calls its weights and its bias; None for one that it has not."""
    places = [op.inputs[i] if i is not None and i < len(op.inputs) else -1 for i in (rule(op).weights, rule(op).bias)]
    weights, bias = (graph.tensors[i] if i >= 0 else None for i in places)
    return weights, bias
