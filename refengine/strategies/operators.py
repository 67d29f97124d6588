"""Single operators as their kernels invent them, models of such nodes, and arrays to feed any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from ..errors import InputError, instead
from ..kernel import Facts, Kernel, Node
from ..kernels import FACTS, KERNELS
from ..model import Array, Graph, Model, Op, Tensor
from ..tflite_io import schema
from .toolbox import Toolbox, arrays


def nodes(op: str, dtype: str, kernel: Kernel | None = None) -> st.SearchStrategy[Node]:
    """Random valid nodes of one operator at one type (of its first input), by the kernel's `example`.

    Raises `InputError` for an operator or type that refengine has no kernel for, where none is given.
    """
    if kernel is None and (op, dtype) not in KERNELS:
        types = [t for name, t in KERNELS if name == op]
        near = f"it has {op} of {', '.join(types)}" if types else f"there is no such operator{instead(op, FACTS)}"
        raise InputError(f"refengine has no kernel for {op!r} of {dtype!r}: {near}")
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

    ops: list[Op] = []
    graphs: list[Graph] = []
    every = [each for node in nodes for each in (*node.before, node)]
    for k, node in enumerate(every):
        prefix = f"{k}/" if len(every) > 1 else ""
        inputs = tuple(place(t, f"{prefix}input{i}") for i, t in enumerate(node.inputs))
        made = tuple(place(t, f"{prefix}output{i}") for i, t in enumerate(node.outputs))
        between = tuple(place(t, f"{prefix}intermediate{i}") for i, t in enumerate(node.intermediates))
        first = 1 + len(graphs)
        ops.append(replace(_op(node, first), index=k, inputs=inputs, outputs=made, intermediates=between))
        graphs += (replace(graph, index=first + i) for i, graph in enumerate(node.subgraphs))
    results = tuple(seen[id(t)] for t in (nodes[-1].outputs if outputs is None else outputs))
    computed = {i for op in ops for i in op.outputs}
    read = dict.fromkeys(i for op in ops for i in op.inputs)
    fed = tuple(i for i in read if i >= 0 and i not in computed and not _given(tensors[i]))
    return Model((Graph(0, "main", tuple(tensors), fed, results, tuple(ops)), *graphs))


def _op(node: Node, graph: int) -> Op:
    """The node's operator without its tensors; its subgraphs come into the model from index `graph` on."""
    if node.name not in schema.enumeration("BuiltinOperator").values():
        return Op(0, "CUSTOM", (), (), custom_code=node.name, custom_options=node.custom_options)
    called = {option: graph + i for i, option in enumerate(FACTS.get(node.name, Facts()).calls)}
    return Op(0, node.name, (), (), {**node.options, **called})


def _given(tensor: Tensor) -> bool:
    """Whether nobody feeds it: a constant or a variable."""
    return tensor.data is not None or tensor.is_variable


def inputs_of(model: Model, batch: int | None = None, *, finite: bool = True) -> st.SearchStrategy[tuple[Array, ...]]:
    """Arrays for the model's inputs, of the declared shapes, or `batch` of them stacked in a new leading axis.

    See `arrays`: unless `finite`, float32 inputs have infinities and NaN in them, too.
    """
    graph = model.graphs[0]
    lead = () if batch is None else (batch,)
    tensors = [graph.tensors[i] for i in graph.inputs]
    return st.tuples(*(arrays((*lead, *t.shape), t.dtype, finite=finite) for t in tensors))
