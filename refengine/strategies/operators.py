"""Single operators as their kernels invent them, models of such nodes, and arrays to feed any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from ..kernel import Kernel, Node
from ..kernels import KERNELS
from ..model import Array, Graph, Model, Op, Tensor
from .toolbox import Toolbox, arrays


def nodes(op: str, dtype: str, kernel: Kernel | None = None) -> st.SearchStrategy[Node]:
    """Random valid nodes of one operator at one type (of its first input), by the kernel's `example`."""
    example = (kernel or KERNELS[op, dtype]).example
    return st.composite(lambda draw: example(draw, Toolbox()))()


def model_of(*nodes: Node, outputs: Sequence[Tensor] | None = None) -> Model:
    """A model of one node, or of several that share tensors, in their order.

    What is neither constant nor computed is an input of the model, a tensor given twice once; `outputs` are by default
    those of the last node.
    """
    tensors: list[Tensor] = []
    seen: dict[int, int] = {}

    def place(tensor: Tensor | None, name: str) -> int:
        if tensor is None:
            return -1
        if id(tensor) not in seen:
            seen[id(tensor)] = len(tensors)
            tensors.append(replace(tensor, index=len(tensors), name=name))
        return seen[id(tensor)]

    ops = []
    for k, node in enumerate(nodes):
        prefix = f"{k}/" if len(nodes) > 1 else ""
        inputs = tuple(place(t, f"{prefix}input{i}") for i, t in enumerate(node.inputs))
        made = tuple(place(t, f"{prefix}output{i}") for i, t in enumerate(node.outputs))
        ops.append(Op(k, node.name, inputs, made, node.options))
    results = tuple(seen[id(t)] for t in (nodes[-1].outputs if outputs is None else outputs))
    computed = {i for op in ops for i in op.outputs}
    read = dict.fromkeys(i for op in ops for i in op.inputs)
    fed = tuple(i for i in read if i >= 0 and i not in computed and tensors[i].data is None)
    return Model((Graph(0, "main", tuple(tensors), fed, results, tuple(ops)),))


def inputs_of(model: Model, batch: int | None = None, *, finite: bool = True) -> st.SearchStrategy[tuple[Array, ...]]:
    """Arrays for the model's inputs, of the declared shapes, or `batch` of them stacked in a new leading axis.

    See `arrays`: unless `finite`, float32 inputs have infinities and NaN in them, too.
    """
    graph = model.graphs[0]
    lead = () if batch is None else (batch,)
    tensors = [graph.tensors[i] for i in graph.inputs]
    return st.tuples(*(arrays((*lead, *t.shape), t.dtype, finite=finite) for t in tensors))
