"""Parts of a model: some of its operators with all that they need, some of its outputs, simpler constants."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..kernel import Facts
from ..kernels import FACTS
from ..model import Array, Graph, Model, Op, Tensor
from ..tensors.stats import is_quantized


def part(model: Model, operators: Collection[int], outputs: Collection[int] | None = None) -> Model:
    """A model of some operators of the main graph, by index, and of some of its outputs, by tensor index.

    What they read and none of them writes is fed; what they write and none of them reads is given out, and so are the
    model's outputs among it. Subgraphs stay as they are where an operator runs some. Signatures and metadata go.
    """
    graph = model.graphs[0]
    ops = tuple(op for op in graph.ops if op.index in operators)
    fed, given = ends(model, operators)
    chosen = tuple(i for i in given if outputs is None or i in outputs)
    subgraphs = model.graphs[1:] if any(_facts(op).calls for op in ops) else ()
    return Model((_compact(replace(graph, inputs=fed, outputs=chosen, ops=ops)), *subgraphs), model.version)


def ends(model: Model, operators: Collection[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The model's tensors that such a part of it is fed with, and those that it gives, the model's own ones first."""
    graph = model.graphs[0]
    ops = [op for op in graph.ops if op.index in operators]
    read, written = {i for op in ops for i in op.inputs if i >= 0}, {i for op in ops for i in op.outputs}
    fed = (i for i in _in_order(graph.inputs, read) if i not in written and _is_fed(graph.tensors[i]))
    given = (i for i in _in_order(graph.outputs, written) if i in graph.outputs or i not in read)
    return tuple(fed), tuple(given)


def _in_order(first: Iterable[int], others: Collection[int]) -> Iterator[int]:
    """`others`, those among `first` before the rest."""
    return (i for i in dict.fromkeys((*first, *sorted(others))) if i in others)


def _is_fed(tensor: Tensor) -> bool:
    return tensor.data is None and not tensor.is_variable


def _facts(op: Op) -> Facts:
    return FACTS.get(op.kind, Facts())


def _compact(graph: Graph) -> Graph:
    """The graph with its operators and the tensors that it uses counted anew."""
    named = {i for op in graph.ops for i in (*op.inputs, *op.outputs, *op.intermediates) if i >= 0}
    used = sorted({*graph.inputs, *graph.outputs, *named})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}

    def moved(indices: Iterable[int]) -> tuple[int, ...]:
        return tuple(place[i] for i in indices)

    ops = tuple(
        replace(op, index=n, inputs=moved(op.inputs), outputs=moved(op.outputs), intermediates=moved(op.intermediates))
        for n, op in enumerate(graph.ops)
    )
    tensors = tuple(replace(graph.tensors[old], index=new) for new, old in enumerate(used))
    return Graph(graph.index, graph.name, tensors, moved(graph.inputs), moved(graph.outputs), ops)


def simpler(tensor: Tensor, array: Array) -> Iterator[Array]:
    """Arrays that tell less, the simplest first: all of it neutral, then all of it its first element."""
    if not array.size or array.dtype.kind not in "iuf":
        return
    zero_point = tensor.quantization.zero_point if tensor.quantization and is_quantized(tensor) else ()
    values = [np.zeros_like(array)] if len({*zero_point}) != 1 else [np.full_like(array, zero_point[0])]
    for value in (*values, np.full_like(array, array.flat[0])):
        if value.tobytes() != array.tobytes():
            yield value


def numbers(model: Model) -> Iterator[Tensor]:
    """The main graph's constants that are numbers to compute with, not shapes, axes or indices."""
    graph = model.graphs[0]
    biases = {op.inputs[place] for op in graph.ops if (place := _facts(op).bias) is not None and place < len(op.inputs)}
    for tensor in graph.tensors:
        if tensor.data is not None and (tensor.dtype == "float32" or is_quantized(tensor) or tensor.index in biases):
            yield tensor


def with_constant(model: Model, index: int, data: Array) -> Model:
    """The model with another value of a constant of the main graph."""
    graph = model.graphs[0]
    tensors = tuple(replace(t, data=data) if t.index == index else t for t in graph.tensors)
    return replace(model, graphs=(replace(graph, tensors=tensors), *model.graphs[1:]), sha256="")
