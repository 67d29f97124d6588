"""Resource variables: all that read and assign one of floats share its parameters, and so does what it holds at first.

To spread parameters, a variable's handle counts as a tensor of its values: what reads it shares its parameters, and
what assigns it gives it those of the value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from ..errors import require, within_limits
from ..kernel import Facts
from ..kernels import FACTS
from ..model import Graph, Model, Op, Quantization
from ..plan import resource_of
from . import affine
from .calibrate import Ranges

Name = tuple[str, str]
"""A variable's (container, shared name)."""


def _resource(op: Op) -> str:
    return FACTS.get(op.name, Facts()).resource


def accesses(graph: Graph) -> Iterator[tuple[Op, Name, int]]:
    """(operator, variable, value's tensor) of all that read or assign variables of floats."""
    names = {op.outputs[0]: resource_of(op) for op in graph.ops if _resource(op) == "handle"}
    for op in graph.ops:
        if _resource(op) in ("read", "assign") and op.inputs[0] in names:
            value = op.outputs[0] if _resource(op) == "read" else op.inputs[1]
            if graph.tensors[value].dtype == "float32":
                yield op, names[op.inputs[0]], value


def handles(graph: Graph) -> Mapping[Name, int]:
    """The tensor that stands for each variable of floats: the handle by which it is read or assigned first."""
    return {name: op.inputs[0] for op, name, _ in reversed([*accesses(graph)])}


def with_values(graph: Graph, ranges: Ranges) -> tuple[Graph, Ranges]:
    """The graph with a tensor of values for every such variable in its handle's place, and with its range."""
    stands = handles(graph)
    tensors, ops, widened = list(graph.tensors), list(graph.ops), dict(ranges)
    for op, name, value in accesses(graph):
        handle = stands[name]
        tensors[handle] = replace(tensors[handle], dtype="float32")
        ops[op.index] = replace(op, inputs=(handle, *op.inputs[1:]))
        data = graph.tensors[value].data
        low, high = ranges[value] if data is None else (float(data.min()), float(data.max()))
        least, most = widened.get(handle, (low, high))
        widened[handle] = min(least, low), max(most, high)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops)), widened


def check_kept(graph: Graph, keep: Collection[int]) -> None:
    """Refuse to leave in float some of those that read and assign a variable, but not others."""
    for name in handles(graph):
        users = [op.index for op, other, _ in accesses(graph) if other == name]
        require(
            {*users} <= {*keep} or not {*users} & {*keep},
            f"the variable '{name[1]}' would hold floats and codes; keep all operators in float that read or assign it "
            f"({', '.join(map(str, users))}), or none",
        )


def check_begins(model: Model) -> None:
    """Refuse other subgraphs than those that run once and give variables constants."""
    for graph in model.graphs:
        for op in graph.ops:
            called = [str(op.options[name]) for name in FACTS.get(op.name, Facts()).calls]
            within_limits(
                not called or _calls_once(op),
                f"subgraph {graph.index}, operator {op.index} ({op.kind}) runs subgraphs {' and '.join(called)}, and "
                "refengine quantises none but those that run once: build loops unrolled, as Keras's recurrent layers "
                "are with unroll=True, and branches as models of their own",
            )
    once = {op.options[call] for op in model.graphs[0].ops for call in _calls_once(op)}
    others = {*range(1, len(model.graphs))} - once
    within_limits(
        not others,
        f"no operator runs subgraphs {', '.join(map(str, sorted(others)))}, and refengine quantises models of one, "
        "beside what runs once: convert again without their signatures",
    )
    for graph in model.graphs[1:]:
        for op, name, value in accesses(graph):
            require(
                graph.tensors[value].data is not None,
                f"subgraph {graph.index}, operator {op.index} ({op.kind}): the variable '{name[1]}' begins with what "
                "is computed; only constants can be quantised",
            )


def _calls_once(op: Op) -> tuple[str, ...]:
    facts = FACTS.get(op.name, Facts())
    return facts.calls if facts.control == "once" else ()


def begun(graph: Graph, held: Mapping[Name, Quantization], activations: str) -> Graph:
    """A subgraph that runs once, with what it gives the variables in `held` in codes of those parameters."""
    tensors, ops = list(graph.tensors), list(graph.ops)
    for op, name, value in accesses(graph):
        data = graph.tensors[value].data
        if name in held and data is not None:
            codes, quantization = affine.constant(np.asarray(data), activations, held[name])
            coded = replace(tensors[value], dtype=activations, quantization=quantization, data=codes)
            alone = sum(value in each.inputs for each in graph.ops) == 1
            place = value if alone else len(tensors)
            tensors[place : place + 1] = [replace(coded, index=place)]
            ops[op.index] = replace(op, inputs=(op.inputs[0], place))
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))
