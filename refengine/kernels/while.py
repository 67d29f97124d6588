"""WHILE: a subgraph runs on its own outputs as long as another one says so.

TFLM: `kernels/while.cc`, `kernel_util.cc` (CopyOpInputsToSubgraphInputs and its relatives). What the body makes of the
carried tensors is handed to the condition and to the next round as bytes. `execute` walks both; a loop that TFLM would
never leave ends there with an `InferenceError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array, Graph, Op
from . import _control, _litert

TYPES = ("int32", "float32")


@dataclass(frozen=True)
class Params:
    """The subgraphs, TFLM's OpData, and how many tensors are carried."""

    cond_subgraph_index: int
    body_subgraph_index: int
    carried: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses subgraphs whose inputs or outputs are not the operator's, and a condition without an output.

    TFLM does not look at that output's type or number: the first byte of the first one counts.
    """
    cond, body = node.subgraphs
    _control.check_edge("the inputs", node.inputs, cond, cond.inputs)
    _control.check_edge("the inputs", node.inputs, body, body.inputs)
    _control.check_edge("the outputs", node.outputs, body, body.outputs)
    _control.check_edge("the inputs", node.outputs, body, body.inputs)
    require(
        cond.outputs, f"the condition, subgraph {cond.index}, has no output: TFLM would loop for ever: convert again"
    )
    if _litert.speaks(numerics):
        _check_as_litert(cond, body)
    return Params(cond.index, body.index, len(node.inputs))


def _check_as_litert(cond: Graph, body: Graph) -> None:
    """Refuse conditions that LiteRT refuses, and a body from whose outputs it makes other values."""
    answer = cond.tensors[cond.outputs[0]]
    require(
        answer.dtype == "bool" and answer.shape in ((), (1,)),
        f"the condition '{answer.name}' is {answer.dtype} {answer.shape}, and TFLite takes one bool, of shape () or "
        "(1,): convert again, or choose the dialect tflm",
    )
    moved = [i for place, i in enumerate(body.outputs) if i in body.inputs and body.inputs.index(i) != place]
    within_limits(
        not moved,
        f"the loop's body, subgraph {body.index}, hands on an input in another's place, of which LiteRT does not keep "
        "the value; what it makes of that is not known to refengine: choose a dialect such as tflm",
    )


def explain(p: Params, at: At, *arrays: Array) -> Iterator[Line]:
    """Element `at` of an output."""
    first, last = arrays[at.output], arrays[p.carried + at.output]
    yield Line(
        "carried", f"input {at.output}, before the first round", _control.number(first.reshape(last.shape)[at.index])
    )
    yield Line(
        "copy",
        f"output {at.output} of subgraph {p.body_subgraph_index} after the last round, or the input if there was none",
        _control.number(last[at.index]),
    )


def _above_zero(make: Toolbox, cond: Graph) -> Graph:
    """The condition with an answer of its own: whether its first input is greater than 0."""
    counter, n = cond.tensors[0], len(cond.tensors)
    zero = replace(make.constant(np.zeros(counter.shape, counter.dtype)), index=n, name="zero")
    above = replace(make.tensor(counter.shape, "bool"), index=n + 1, name="above")
    compare = Op(0, "GREATER", (0, n), (n + 1,), {})
    return replace(cond, tensors=(*cond.tensors, zero, above), outputs=(n + 1,), ops=(compare,))


def example(draw: Draw, make: Toolbox) -> Node:
    """A counter that is fed or constant, and tensors that change with each round.

    It runs while a constant counter is above 0, or while its low byte is not 0: for a condition of another type than
    bool C++ has no answer, and builds without optimisation (the wheels before 2026-08-13) end the loop at once.
    """
    shape = draw(make.sampled_from(((1,), ())))
    rounds = make.constant(np.full(shape, draw(make.integers(0, 5)), np.int32))
    counter = rounds if draw(make.booleans()) else draw(make.input(shape, "int32"))
    kind, other = draw(make.sampled_from(TYPES)), draw(make.shape((0, 3), 3))
    carried = [counter, *(draw(make.input(other, kind)) for _ in range(draw(make.integers(0, 2))))]
    body = _control.draw_graph(draw, make, carried, keep=1)
    cond = Graph(0, "cond", body.tensors[: len(carried)], body.inputs, (0,), ())
    if counter.data is not None and draw(make.booleans()):
        cond = _above_zero(make, cond)
    outputs = tuple(make.tensor(t.shape, t.dtype) for t in carried)
    return Node("WHILE", {}, tuple(carried), outputs, subgraphs=(cond, body))


FACTS = Facts(data=None, control="loop", calls=("cond_subgraph_index", "body_subgraph_index"))

KERNELS = {("WHILE", ""): Kernel(prepare, None, explain, example, FACTS)}
