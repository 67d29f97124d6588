"""refengine/reducer/cut.py: parts of models that run, and give what the whole gives there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine import execute, load, make_plan, run
from refengine.reducer.cut import ends, numbers, part, simpler, with_constant
from refengine.tensors.inputs import random_inputs
from refengine.tflite_io import dump
from tests.models import const, fed, q

MODEL = load("stm32f746_int8")
PLAN = make_plan(MODEL)
INPUTS = random_inputs(PLAN, 1)
KNOWN = dict(zip(PLAN.graph.inputs, INPUTS, strict=True)) | {
    t.index: x for record in execute(PLAN, *INPUTS) for t, x in zip(record.step.outputs, record.outputs, strict=True)
}


@settings(max_examples=15)
@given(st.sets(st.integers(0, len(PLAN.steps) - 1), min_size=1))
def test_a_part_gives_what_the_whole_gives_there(operators: set[int]) -> None:
    fed, given_ = ends(MODEL, operators)
    plan = make_plan(dump(part(MODEL, operators)))
    assert [step.name for step in plan.steps] == [PLAN.steps[i].name for i in sorted(operators)]
    outputs = run(plan, *(KNOWN[i] for i in fed))
    assert [x.tobytes() for x in outputs] == [KNOWN[i].tobytes() for i in given_]


def test_a_part_of_all_is_the_graph() -> None:
    assert part(MODEL, range(12)).graphs[0].ops == MODEL.graphs[0].ops
    assert len(part(MODEL, {11}).graphs[0].tensors) == 2


def test_outputs_may_be_chosen() -> None:
    both = part(MODEL, {0, 9})
    assert len(both.graphs[0].outputs) == 2
    (output,) = part(MODEL, {0, 9}, ends(MODEL, {0, 9})[1][:1]).graphs[0].outputs
    assert both.graphs[0].outputs[0] == output


def test_simpler_constants_are_neutral_or_alike() -> None:
    tensor = const([3, 4, 5], "int8", q(0.5, 4))
    assert tensor.data is not None
    assert [x.tolist() for x in simpler(tensor, tensor.data)] == [[4, 4, 4], [3, 3, 3]]
    assert [x.tolist() for x in simpler(fed((2,), "float32"), np.zeros(2, np.float32))] == []
    assert [*simpler(fed((0,), "float32"), np.zeros(0, np.float32))] == []


def test_shapes_and_axes_are_no_numbers_to_simplify() -> None:
    names = {t.name for t in numbers(MODEL)}
    assert len(names) == 10 and not any("shape" in name for name in names), "five layers' weights and biases"
    weights = PLAN.steps[0].weights
    assert weights is not None and weights.data is not None
    other = with_constant(MODEL, weights.index, np.zeros_like(weights.data))
    assert not other.graphs[0].tensors[weights.index].data.any()  # type: ignore[union-attr]
    with pytest.raises(AssertionError):
        assert other == MODEL
