"""Planning: which kernel, which refusal, and what can be replaced."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from refengine import KERNELS, InferenceError, Kernel, LimitError, Numerics, UnsupportedError, inspect, make_plan, run
from refengine.kernel import PRESETS
from refengine.kernels._flexbuffer import pack
from refengine.model import Graph, Model, Op, Tensor
from tests.models import const, custom, fed, one_op, q
from tests.test_execute import codes, two_layers


def test_steps_know_when_a_tensor_is_read_for_the_last_time() -> None:
    first, second = make_plan(two_layers()).steps
    assert first.last_use == (0,) and second.last_use == (2,)  # the output itself is kept


def test_a_users_own_kernel_takes_its_place() -> None:
    mine = Kernel(
        lambda *_: None,
        lambda p, x, *_: x[..., :1] * 0 + np.int8(42),
        KERNELS["RELU", "int8"].explain,
        KERNELS["RELU", "int8"].example,
    )
    model = one_op("RELU", {}, [fed((1, 3), "int8", q(1.0))], fed((1, 1), "int8", q(1.0)))
    plan = make_plan(model, kernels={**KERNELS, ("RELU", "int8"): mine})
    assert run(plan, np.zeros((1, 3), np.int8))[0].tolist() == [[42]]


@pytest.mark.parametrize(
    ("op", "input", "message"),
    [
        (
            "FULLY_CONNECTED",
            Tensor(0, "x", (1, 2), "uint8", q(1.0)),
            r"no longer with uint8; .* inference_input_type = tf\.int8",
        ),
        ("DEQUANTIZE", fed((1, 2), "float16"), r"no float16; .* \(without optimizations and supported_types\)"),
        ("RELU", fed((1, 2), "int64"), r"int64; supported here: .*; convert again .* or give refengine a kernel"),
        ("ATAN2", fed((1, 2), "float32"), "TFLM has no such operator"),
        ("RELU", Tensor(0, "x", (-1, 2), "int8", q(1.0)), "dynamic shape"),
    ],
)
def test_what_cannot_run_is_refused_with_a_way_out(op: str, input: Tensor, message: str) -> None:
    output = Tensor(1, "y", (1, 2), "int8", q(1.0))
    model = Model((Graph(0, "main", (input, output), (0,), (1,), (Op(0, op, (0,), (1,)),)),))
    with pytest.raises(UnsupportedError, match=message) as refusal:
        make_plan(model)
    assert str(refusal.value).startswith(f"subgraph 0, operator 0 ({op}): ")


def test_what_only_refengine_lacks_asks_for_a_kernel() -> None:
    with pytest.raises(LimitError, match=r"TFLM has this operator, and refengine no kernel for it yet, .*; in Python"):
        make_plan(two_layers(), kernels={})


@pytest.mark.parametrize("signature", [(-1, -1), (1, -1), (-1, 1), ()])
def test_lengths_that_the_converter_did_not_know_are_named_as_the_cause(signature: tuple[int, ...]) -> None:
    """It writes 1 for them, and the layers behind do not fit."""
    x = replace(fed((1, 1), "float32"), shape_signature=signature)
    dense = {"fused_activation_function": "NONE"}
    model = one_op("FULLY_CONNECTED", dense, [x, const([[1, 2, 3]], "float32"), None], fed((1, 1), "float32"))
    with pytest.raises(UnsupportedError, match="do not fit together") as refusal:
        make_plan(model)
    why = f"; the converter did not know the lengths {signature} of 'input0', and wrote (1, 1): convert again with"
    assert (why in str(refusal.value)) == (-1 in signature[1:])


def test_every_operator_that_cannot_run_is_listed() -> None:
    model = two_layers()
    graph = model.graphs[0]
    broken = replace(model, graphs=(replace(graph, ops=tuple(replace(op, name="ATAN2") for op in graph.ops)),))
    assert [str(r).split(":")[0] for r in inspect(broken).refusals] == [
        f"subgraph 0, operator {i} (ATAN2)" for i in (0, 1)
    ]
    assert inspect(model).refusals == ()


def test_the_dialect_travels_with_the_plan() -> None:
    for name, numerics in PRESETS.items():
        assert make_plan(two_layers(), numerics=numerics).numerics == numerics
        assert str(numerics).startswith(f"{name} (rounding=")
    assert make_plan(two_layers()).numerics == Numerics()
    assert str(Numerics(rounding="single", libm="newlib")).startswith("custom (")


def test_planning_does_not_depend_on_what_ran_before() -> None:
    plan, x = make_plan(two_layers()), codes(4)
    assert np.array_equal(run(plan, x)[0], run(plan, x)[0])


def test_empty_outputs_are_refused_as_tflm_refuses_them() -> None:
    with pytest.raises(UnsupportedError, match=r"output 'output0' has the empty shape \(4, 0\)"):
        make_plan(one_op("RELU", {}, [fed((4, 0), "int8", q(1.0))], fed((4, 0), "int8", q(1.0))))


def test_a_plan_is_pickled_as_what_it_was_made_of() -> None:
    plan, x = make_plan(two_layers(), numerics=Numerics(rounding="single")), codes(4)
    data = pickle.dumps(plan)
    again = pickle.loads(data)
    assert again.kernels is KERNELS and again.numerics == plan.numerics and again.model == plan.model
    assert np.array_equal(run(again, x)[0], run(plan, x)[0])
    assert len(data) < 2 * len(pickle.dumps(plan.model))


def test_a_plans_own_kernels_are_pickled_with_it() -> None:
    mine = {**KERNELS, ("MINE", "int8"): KERNELS["RELU", "int8"]}
    again = pickle.loads(pickle.dumps(make_plan(two_layers(), kernels=mine)))
    assert again.kernels.keys() == mine.keys()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ethos-u", r"made for Arm's Ethos-U by Vela; TFLM runs it only where .* as it was before Vela"),
        ("mine", r"TFLM registers no such custom operator"),
    ],
)
def test_custom_operators_that_tflm_does_not_run_are_refused_with_a_way_out(code: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"operator 0 \({code}\): .*{message}"):
        make_plan(custom(code, b"", [fed((1,), "int8")], fed((1,), "int8")))


def test_an_inference_that_ends_early_keeps_undefined_what_depends_on_undefined_elements() -> None:
    """A frame with an unwritten element goes into a buffer that lives on, though the inference ends there."""
    buffer = Tensor(-1, "buffer", (1, 2, 1, 2), "int8", is_variable=True)
    model = custom("CIRCULAR_BUFFER", pack(cycles_max=2), [fed((1, 1, 1, 2), "int8")], buffer)
    (step,) = make_plan(model).steps
    frame = np.ma.array([[[[[5, 6]]]]], np.int8, mask=[[[[[False, True]]]]])
    with pytest.raises(InferenceError) as caught:
        step.evaluate(frame, *step.memory)
    assert caught.value.results[0].tolist() == [[[[[0, 0]], [[5, None]]]]]
