"""refengine/reducer/__init__.py: the smallest part on which something still fails, whatever that is."""

from __future__ import annotations

import numpy as np
import pytest

import refengine
from refengine import InputError, RefengineError, load, make_plan, run
from refengine.kernel import PRESETS, Node
from refengine.model import Array, Model
from refengine.reducer import Reduced, Runtime, reduce
from tests.models import fed, network, one_op, q

MODEL = load("stm32f746_int8")


def last(model: Model, wanted: set[str], more: str = "") -> Reduced:
    """The result for a runtime that fails on models with all these operators."""

    def fails(candidate: Model, inputs: tuple[Array, ...]) -> str:
        return "fails" if wanted <= {op.name for op in candidate.graphs[0].ops} else more

    *_, found = reduce(model, fails)
    return found


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"SOFTMAX"}, ["SOFTMAX"]),
        ({"CONV_2D"}, ["CONV_2D"]),
        ({"CONV_2D", "SHAPE"}, ["CONV_2D", "SHAPE"]),
        ({"MAX_POOL_2D", "RESHAPE"}, ["MAX_POOL_2D", "RESHAPE"]),
    ],
)
def test_what_is_left_is_what_the_failure_needs(wanted: set[str], left: list[str]) -> None:
    found = last(MODEL, wanted)
    assert [op.name for op in found.model.graphs[0].ops] == left
    plan = make_plan(found.model)
    assert len(run(plan, *found.inputs)) == len(plan.outputs) == 1
    assert found.failure == "fails" and found.tried < 60


def test_constants_and_inputs_are_neutral_where_they_do_not_matter() -> None:
    found = last(MODEL, {"FULLY_CONNECTED"})
    (graph,) = found.model.graphs
    assert found.simplified == 3, "weights, bias and input"
    assert all(not t.data.any() for t in graph.tensors if t.data is not None)
    assert {*found.inputs[0].ravel().tolist()} == {graph.tensors[graph.inputs[0]].quantization.zero_point[0]}  # type: ignore[union-attr]


def test_another_failure_is_not_taken_for_it() -> None:
    """Whatever is smaller fails too, but otherwise."""
    found = last(MODEL, {op.name for op in MODEL.graphs[0].ops}, more="fails otherwise")
    assert {op.name for op in found.model.graphs[0].ops} == {op.name for op in MODEL.graphs[0].ops}


def test_what_does_not_fail_is_refused() -> None:
    with pytest.raises(InputError, match="does not fail on the whole model"):
        last(MODEL, {"LSTM"})


def test_a_runtime_that_differs_in_one_operator_is_brought_down_to_it() -> None:
    def wrong(model: bytes, inputs: tuple[Array, ...]) -> list[Array]:
        outputs = run(model, *inputs)
        pools = any(op.name == "MAX_POOL_2D" for op in load(model).graphs[0].ops)
        return [x ^ 1 if pools else x for x in outputs]

    *_, found = refengine.reduce("stm32f746_int8", Runtime(wrong, PRESETS["tflm"]))
    assert [op.name for op in found.model.graphs[0].ops] == ["MAX_POOL_2D"] and found.failure == "differs"


def test_an_operator_that_nobody_here_runs_may_be_what_is_left() -> None:
    x, y, z = (fed((1, 4), "int8", q(0.1), name) for name in "xyz")
    model = network(Node("RELU", {}, (x,), (y,)), Node("Vendor", {}, (y,), (z,), custom_options=b""))
    found = last(model, {"Vendor"})
    assert [op.kind for op in found.model.graphs[0].ops] in (["Vendor"], ["RELU", "Vendor"])


def test_a_model_of_one_operator_stays_as_it_is() -> None:
    model = one_op("RELU", {}, [fed((1, 2), "int8", q(1.0))], fed((1, 2), "int8", q(1.0)))
    found = last(model, {"RELU"})
    assert found.operators == 1 and not found.inputs[0].any()


def test_what_the_engine_cannot_run_does_not_count() -> None:
    def fails(candidate: Model, inputs: tuple[Array, ...]) -> str:
        make_plan(candidate)  # or else a refusal
        return "fails"

    try:
        *_, found = reduce(MODEL, fails)
    except RefengineError:  # pragma: no cover
        pytest.fail("a refusal of a candidate ends the search")
    assert found.operators == 1 and np.size(found.inputs[0])
