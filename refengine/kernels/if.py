"""IF: one of two subgraphs runs, by a condition.

TFLM: `kernels/if.cc`, `kernel_util.cc` (CopyOpInputsToSubgraphInputs, CopySubgraphOutputsToOpOutputs). Inputs behind
the condition are copied to the subgraph's inputs and its outputs back, as bytes. `execute` walks the branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _control

TYPES = ("int32", "float32")


@dataclass(frozen=True)
class Params:
    """The branches, TFLM's OpData, and how many inputs they have."""

    then_subgraph_index: int
    else_subgraph_index: int
    inputs: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a condition that is not one bool, and branches whose inputs or outputs are not the operator's.

    TFLM looks at the else branch only when it takes it, and fails then.
    """
    consistent(node.inputs and node.inputs[0] is not None, "the condition is missing")
    condition, *given = node.inputs
    assert condition is not None
    require(
        condition.dtype == "bool" and _control.size(condition) == 1,
        f"the condition '{condition.name}' is {condition.dtype} {condition.shape}; TFLM takes one bool: convert again",
    )
    for graph in node.subgraphs:
        _control.check_edge("the inputs", given, graph, graph.inputs)
        _control.check_edge("the outputs", node.outputs, graph, graph.outputs)
    then, other = node.subgraphs
    return Params(then.index, other.index, len(given))


def explain(p: Params, at: At, condition: Array, *arrays: Array) -> Iterator[Line]:
    """Element `at` of an output."""
    met = bool(condition.reshape(-1)[0])
    taken = p.then_subgraph_index if met else p.else_subgraph_index
    yield Line("condition", f"{'not 0: the then' if met else '0: the else'} branch, subgraph {taken}, runs", int(met))
    element = arrays[p.inputs + at.output][at.index]
    yield Line("copy", f"output {at.output} of subgraph {taken}", _control.number(element))


def example(draw: Draw, make: Toolbox) -> Node:
    """Two branches of sums, products and copies."""
    dtype = draw(make.sampled_from(TYPES))
    shape = draw(make.shape((0, 3), 4))
    given = [draw(make.input(shape, dtype)) for _ in range(draw(make.integers(1, 3)))]
    condition = draw(make.input(draw(make.sampled_from(((1,), ()))), "bool", None, lambda t: _control.size(t) == 1))
    outputs = tuple(make.tensor(t.shape, t.dtype) for t in given)
    branches = tuple(_control.draw_graph(draw, make, given) for _ in range(2))
    return Node("IF", {}, (condition, *given), outputs, subgraphs=branches)


FACTS = Facts(control="branch", calls=("then_subgraph_index", "else_subgraph_index"))

KERNELS = {("IF", "bool"): Kernel(prepare, None, explain, example, FACTS)}
