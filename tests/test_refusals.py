"""What cannot run is refused: by whose limit, and with a way out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from refengine import LimitError, UnsupportedError, inspect, make_plan
from refengine.model import Graph, Model, Op, Tensor
from tests.models import const, custom, fed, one_op, q
from tests.test_execute import two_layers


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


def test_empty_outputs_are_refused_as_tflm_refuses_them() -> None:
    with pytest.raises(UnsupportedError, match=r"output 'output0' has the empty shape \(4, 0\)"):
        make_plan(one_op("RELU", {}, [fed((4, 0), "int8", q(1.0))], fed((4, 0), "int8", q(1.0))))


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
