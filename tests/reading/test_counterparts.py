"""refengine/reading/counterparts.py: which tensors and operators of two models belong together, by name or by order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refengine import InputError, make_plan
from refengine.kernel import Node
from refengine.model import Model
from refengine.plan import Plan
from refengine.quantizer import calibrate, convert
from refengine.reading.counterparts import pair_of, rows, same_tensors
from tests.examination.nets import float_net, pictures
from tests.models import fed, network, one_op, q

FLOATS = make_plan(float_net())


def quantized(io: str | None = None) -> Plan:
    return make_plan(convert(FLOATS.model, calibrate(FLOATS, [(pictures(20),)]), io=io))


def renamed(model: Model) -> Model:
    (graph,) = model.graphs
    tensors = tuple(replace(t, name=f"other {t.name}") for t in graph.tensors)
    return replace(model, graphs=(replace(graph, tensors=tensors),))


@pytest.mark.parametrize("io", [None, "float32"])
@pytest.mark.parametrize("floats", [FLOATS, make_plan(renamed(FLOATS.model))], ids=["by name", "by order"])
def test_every_tensor_has_its_counterpart(io: str | None, floats: Plan) -> None:
    """What goes into QUANTIZE and DEQUANTIZE belongs with what comes out."""
    plan = quantized(io)
    same = same_tensors(floats, plan)
    for step in plan.steps:
        pair = pair_of(floats, step, step.outputs[0], same)
        assert pair is not None and plan.graph.tensors[pair.output.index].shape == step.outputs[0].shape
        is_change = step.op.name in ("QUANTIZE", "DEQUANTIZE")
        assert [found.op.name for found in pair.float_steps] == ([] if is_change else [step.op.name])


def test_what_goes_into_dequantize_belongs_with_the_output() -> None:
    """Two RELUs for one, and all names are others: only the order of inputs and outputs tells."""
    floats = make_plan(one_op("RELU", {}, [fed((1, 2), "float32")], fed((1, 2), "float32")))
    first, *codes = (fed((1, 2), "int8", q(0.1), name) for name in "cde")
    x, y = fed((1, 2), "float32"), fed((1, 2), "float32", name="y")
    plan = make_plan(
        network(
            Node("QUANTIZE", {}, (x,), (first,)),
            Node("RELU", {}, (first,), (codes[0],)),
            Node("RELU", {}, (codes[0],), (codes[1],)),
            Node("DEQUANTIZE", {}, (codes[1],), (y,)),
        )
    )
    same = {plan.graph.tensors[i].name: floats.graph.tensors[j].name for i, j in same_tensors(floats, plan).items()}
    assert same == {"x": "input0", "c": "input0", "e": "output0", "y": "output0"}


def test_tensors_of_other_shapes_do_not_belong_together() -> None:
    (graph,) = FLOATS.model.graphs
    hidden = next(t for t in graph.tensors if t.name == "hidden")
    other = replace(FLOATS.graph.tensors[hidden.index], shape=(16,))
    steps = tuple(
        replace(s, node=s.node._replace(outputs=(other,))) if s.outputs[0].index == hidden.index else s
        for s in FLOATS.steps
    )
    same = same_tensors(replace(FLOATS, steps=steps), quantized())
    assert hidden.index not in same.values()


def test_outputs_of_other_shapes_are_strangers() -> None:
    (graph,) = FLOATS.model.graphs
    logits = next(op for op in graph.ops if op.name == "FULLY_CONNECTED")
    shorter = replace(FLOATS, graph=replace(graph, outputs=logits.outputs))
    with pytest.raises(InputError, match="do not have the same inputs and outputs"):
        same_tensors(shorter, quantized())


def test_what_depends_on_no_input_is_in_every_row() -> None:
    values = {0: np.arange(6.0, dtype=np.float32).reshape(3, 2), 1: np.array([[7.0]], np.float32)}
    np.testing.assert_array_equal(rows(FLOATS, values, [0, 1]), [[0, 1, 7], [2, 3, 7], [4, 5, 7]])
