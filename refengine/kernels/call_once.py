"""CALL_ONCE: a subgraph runs the first time that the operator does, and never again; it sets variables up.

TFLM: `kernels/call_once.cc`. The flag is the operator's, not the subgraph's, and `MicroInterpreter::Reset` does not
clear it: what the subgraph assigned is lost then, and not assigned again. `execute` walks the subgraph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Graph, Op, Tensor
from . import assign_variable


@dataclass(frozen=True)
class Params:
    """TFLM's OpData."""

    init_subgraph_index: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses inputs and outputs, of the operator and of the subgraph."""
    (graph,) = node.subgraphs
    for what, tensors in (
        ("the operator", (node.inputs, node.outputs)),
        ("its subgraph", (graph.inputs, graph.outputs)),
    ):
        require(
            not any(tensors),
            f"{what} has inputs or outputs; TFLM takes none: convert again with values that reach it by variables",
        )
    return Params(graph.index)


def explain(p: Params, at: At) -> Iterator[Line]:
    """There is no output to explain."""
    yield Line("once", f"subgraph {p.init_subgraph_index} runs the first time only", p.init_subgraph_index)


def example(draw: Draw, make: Toolbox) -> Node:
    """A subgraph that assigns a constant to a variable, which nobody need read."""
    handle = assign_variable.handle_of(draw, make, "resource")
    value = make.constant(draw(make.array(draw(make.shape((0, 2), 3)), "int32")))
    tensors: list[Tensor] = [handle.outputs[0], value]
    ops = (Op(0, handle.name, (), (0,), handle.options), Op(1, "ASSIGN_VARIABLE", (0, 1), ()))
    named = tuple(_named(t, i) for i, t in enumerate(tensors))
    return Node("CALL_ONCE", {}, (), (), subgraphs=(Graph(0, "init", named, (), (), ops),))


def _named(tensor: Tensor, index: int) -> Tensor:
    return Tensor(index, f"init{index}", tensor.shape, tensor.dtype, tensor.quantization, tensor.data)


FACTS = Facts(data=None, control="once", calls=("init_subgraph_index",))

KERNELS = {("CALL_ONCE", ""): Kernel(prepare, None, explain, example, FACTS)}
