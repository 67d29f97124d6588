"""refengine/reading/beside.py: two files of a network on the same inputs, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refengine import InputError, Model, execute, make_plan, quantize_input
from refengine.kernel import Node
from refengine.model import Array
from refengine.quantizer import calibrate, convert
from refengine.reading.beside import Beside, beside
from refengine.reading.float_reading import real_values
from tests.examination.nets import float_net, pictures
from tests.kernels.test_if import adding, branching
from tests.kernels.test_while import cells, counting
from tests.models import fed, network, one_op, q

FLOATS = make_plan(float_net())
CODES = make_plan(convert(FLOATS.model, calibrate(FLOATS, [(pictures(20),)])))


def last(*cases: tuple[Array, ...], other: Model = CODES.model) -> Beside:
    *_, found = beside(FLOATS, make_plan(other), cases)
    return found


def test_the_figures_are_those_of_the_real_values_in_all_inferences() -> None:
    batches = [(pictures(3),), (pictures(2),)]
    found = last(*batches)
    layer = found.layers[-1]
    assert layer.other is not None and layer.differing is None
    errors = []
    for (x,) in batches:
        *_, record = execute(FLOATS, x)
        *_, other = execute(CODES, quantize_input(CODES, x))
        errors.append(real_values(other.outputs[0], CODES.outputs[0]).astype(float) - record.outputs[0])
    every = np.concatenate([error.ravel() for error in errors])
    assert layer.error.count == every.size
    assert layer.error.rmse == pytest.approx(np.sqrt(np.mean(every**2)))
    assert layer.error.largest == np.abs(every).max()
    assert found.outputs[0][0].shape == found.outputs[1][0].shape == (2, *FLOATS.outputs[0].shape[1:])


def test_a_file_beside_itself_is_equal_bit_for_bit() -> None:
    found = last((pictures(2),), other=FLOATS.model)
    assert found.first is None
    assert all(layer.differing == 0 and layer.is_equal for layer in found.layers)


def test_one_changed_weight_is_where_they_part() -> None:
    (graph,) = FLOATS.model.graphs
    step = FLOATS.steps[0]
    assert step.weights is not None and step.weights.data is not None
    data = step.weights.data.copy()
    data.flat[0] += 1
    tensors = tuple(replace(t, data=data) if t.index == step.weights.index else t for t in graph.tensors)
    found = last((pictures(2),), other=replace(FLOATS.model, graphs=(replace(graph, tensors=tensors),)))
    assert found.first is not None and found.first.step is step
    assert found.first.differing is not None and 0 < found.first.differing < found.first.error.count
    assert found.first.as_dict()["differing"] == found.first.differing


def test_a_tensor_without_a_counterpart_is_said_to_have_none() -> None:
    relu = make_plan(one_op("RELU", {}, [fed((1, 2), "float32")], fed((1, 2), "float32", name="y")))
    x, z, y = fed((1, 2), "float32"), fed((1, 2), "float32", name="z"), fed((1, 2), "float32", name="end")
    twice = make_plan(network(Node("RELU", {}, (x,), (z,)), Node("RELU", {}, (z,), (y,))))
    (found,) = beside(twice, relu, [(np.ones((1, 2), np.float32),)])
    assert [layer.other is None for layer in found.layers] == [True, False]
    assert found.layers[0].as_dict()["other"] is None and found.first is None


def test_a_branch_is_compared_where_both_files_take_it() -> None:
    """Of a batch, one inference takes the branch that differs, and two the other one."""
    mine = make_plan(branching(adding(1, [[1, 1]]), adding(2, [[10, 20]])))
    theirs = make_plan(branching(adding(1, [[1, 1]]), adding(2, [[10, 23]])))
    fork, x = np.array([True, False, True]), np.arange(6, dtype=np.int32).reshape(3, 2)
    (found,) = beside(mine, theirs, [(fork, x)])
    assert [(e.step.subgraph, e.calls, e.error.count, e.differing) for e in found.layers] == [
        (1, ((0, "then"),), 4, 0),
        (2, ((0, "else"),), 2, 1),
        (0, (), 6, 1),
    ]
    assert found.first is found.layers[1] and found.layers[1].error.largest == 3
    assert found.layers[1].as_dict()["operator"]["subgraph"] == 2
    (found,) = beside(mine, theirs, [(fork[:1], x[:1])])
    assert [e.error.count for e in found.layers] == [2, 0, 2] and found.first is None


def test_a_loop_is_compared_in_the_rounds_that_both_files_run() -> None:
    """Of a batch of 3 and 6 rounds, the other file, which counts down by three, runs 1 and 2."""
    plan, other = make_plan(counting()), make_plan(counting(-3))
    (found,) = beside(plan, other, [(cells(3, 6), cells(100, 200))])
    assert [(e.step.subgraph, e.step.index, e.error.count, e.differing) for e in found.layers] == [
        (2, 0, 3, 3),
        (2, 1, 3, 0),
        (0, 0, 2, 0),
        (0, 0, 2, 2),
    ]
    assert found.layers[0].calls == ((0, "body"),) and found.first is found.layers[0]


def test_files_of_other_shapes_are_refused() -> None:
    other = one_op("RELU", {}, [fed((1, 3), "int8", q(1.0))], fed((1, 3), "int8", q(1.0)))
    with pytest.raises(InputError, match="do not have the same inputs and outputs"):
        last((pictures(1),), other=other)
