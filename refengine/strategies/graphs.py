"""Invented operators and models, and arrays to feed them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from ..kernel import Kernel, Node
from ..kernels import KERNELS
from ..model import Array, Graph, Model, Op, Tensor
from .toolbox import Toolbox


def nodes(op: str, dtype: str, kernel: Kernel | None = None) -> st.SearchStrategy[Node]:
    """Random valid nodes of one operator at one type (of its first input), by the kernel's `example`."""
    example = (kernel or KERNELS[op, dtype]).example
    return st.composite(lambda draw: example(draw, Toolbox()))()


def model_of(node: Node) -> Model:
    """A model of one operator; its non-constant inputs are the model's inputs, a tensor given twice is fed once."""
    tensors: list[Tensor] = []
    seen: dict[int, int] = {}

    def place(tensor: Tensor | None, name: str) -> int:
        if tensor is None:
            return -1
        if id(tensor) not in seen:
            seen[id(tensor)] = len(tensors)
            tensors.append(replace(tensor, index=len(tensors), name=name))
        return seen[id(tensor)]

    inputs = tuple(place(t, f"input{i}") for i, t in enumerate(node.inputs))
    outputs = tuple(place(t, f"output{i}") for i, t in enumerate(node.outputs))
    fed = tuple(dict.fromkeys(i for i in inputs if i >= 0 and tensors[i].data is None))
    op = Op(0, node.name, inputs, outputs, node.options)
    return Model((Graph(0, "main", tuple(tensors), fed, outputs, (op,)),))


def inputs_of(model: Model, batch: int | None = None) -> st.SearchStrategy[tuple[Array, ...]]:
    """Arrays for the model's inputs, of the declared shapes, or `batch` of them stacked in a new leading axis."""
    graph = model.graphs[0]
    lead = () if batch is None else (batch,)
    return st.tuples(*(Toolbox().array((*lead, *graph.tensors[i].shape), graph.tensors[i].dtype) for i in graph.inputs))
