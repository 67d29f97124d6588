"""refengine/survey.py: costs by layer, TFLM's verdict, the resolver."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from refengine import (
    KERNELS,
    PRESETS,
    Graph,
    Model,
    Numerics,
    Op,
    Quantization,
    Tensor,
    UnsupportedError,
    inspect,
    load,
    make_plan,
)
from refengine.bundled import bundled_models
from refengine.kernel import Kernel
from refengine.kernels._tflm import CUSTOM_OPS
from refengine.survey import tensor_bytes
from tests.models import const, fed, one_op, present, q
from tests.test_subgraphs import program


def chain(*names: str, dtype: str = "float32", custom_code: str = "") -> Model:
    """Unary operators in a row, each tensor 1×8."""
    tensors = tuple(Tensor(i, f"t{i}", (1, 8), dtype) for i in range(len(names) + 1))
    ops = tuple(Op(i, name, (i,), (i + 1,), custom_code=custom_code) for i, name in enumerate(names))
    return Model((Graph(0, "main", tensors, (0,), (len(names),), ops),))


def test_costs_of_a_network_counted_by_hand() -> None:
    survey = inspect(load(bundled_models()["stm32f746_int8"]))
    macs = {layer.op.index: layer.macs for layer in survey.layers if layer.op.name in ("CONV_2D", "FULLY_CONNECTED")}
    assert list(macs.values()) == [26 * 26 * 32 * 9, 11 * 11 * 64 * 9 * 32, 3 * 3 * 64 * 9 * 64, 576 * 64, 64 * 10]
    assert survey.macs == sum(map(present, macs.values())) == 2_794_240
    assert survey.layers[0].constant_bytes == 32 * 3 * 3 + 4 * 32
    assert survey.layers[0].output_bytes == 26 * 26 * 32
    assert survey.layers[0].live_bytes == 28 * 28 + 26 * 26 * 32
    assert survey.peak_bytes == 26 * 26 * 32 + 13 * 13 * 32
    assert survey.runs_on_tflm == "yes"


@pytest.mark.parametrize("name", bundled_models())
def test_every_bundled_network_runs_on_tflm(name: str) -> None:
    survey = inspect(load(bundled_models()[name]))
    assert (survey.runs_on_tflm, survey.refusals) == ("yes", ())
    told = survey.as_dict()
    assert json.loads(json.dumps(told, default=str))["macs"] == survey.macs


def test_a_tensor_lives_from_its_writer_to_its_last_reader() -> None:
    tensors = tuple(Tensor(i, f"t{i}", (1, 8 * 2**i), "float32") for i in range(4))
    ops = (Op(0, "RELU", (0,), (1,)), Op(1, "RELU", (1,), (2,)), Op(2, "ADD", (2, 0), (3,)))
    survey = inspect(Model((Graph(0, "main", tensors, (0,), (3,), ops),)))
    assert [layer.live_bytes for layer in survey.layers] == [32 + 64, 32 + 64 + 128, 32 + 128 + 256]


def test_constants_that_layers_share_count_once_in_the_sum() -> None:
    tensors = (
        Tensor(0, "x", (1, 8), "float32"),
        Tensor(1, "c", (8,), "float32", data=np.ones(8, np.float32)),
        *(Tensor(i, f"t{i}", (1, 8), "float32") for i in (2, 3)),
    )
    options = {"fused_activation_function": "NONE"}
    ops = (Op(0, "MUL", (0, 1), (2,), options), Op(1, "MUL", (2, 1), (3,), options))
    survey = inspect(Model((Graph(0, "main", tensors, (0,), (3,), ops),)))
    assert [layer.constant_bytes for layer in survey.layers] == [32, 32]
    assert survey.constant_bytes == 32


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (fed((1, 3), "int4"), 2),
        (const([1, 2, 3], "int4"), 2),
        (fed((1, 3), "int16"), 6),
        (fed((), "int32"), 4),
        (fed((1, -1), "int8"), 0),
        (fed((1, 3), "resource"), 0),
        (Tensor(0, "s", (2,), "string", data=np.zeros(11, np.uint8)), 11),
    ],
)
def test_bytes_of_a_tensor(tensor: Tensor, expected: int) -> None:
    assert tensor_bytes([tensor]) == expected


def test_the_resolver_registers_each_operator_once() -> None:
    survey = inspect(chain("RELU", "TANH", "RELU"))
    assert survey.resolver.splitlines() == [
        "tflite::MicroMutableOpResolver<2> resolver;",
        "resolver.AddRelu();",
        "resolver.AddTanh();",
    ]


def test_custom_operators_are_left_to_the_user() -> None:
    survey = inspect(chain("RELU", "CUSTOM", custom_code='My"Op'))
    assert survey.runs_on_tflm == "no"
    assert "MicroMutableOpResolver<2>" in survey.resolver
    assert r'resolver.AddCustom("My\"Op", ' in survey.resolver


def test_operators_of_other_subgraphs_are_registered_too() -> None:
    main, body = chain("RELU").graphs[0], chain("LOGISTIC").graphs[0]
    assert "resolver.AddLogistic();" in inspect(Model((main, body))).resolver


def test_what_tflm_does_not_have_is_a_no_and_all_reasons_are_given() -> None:
    survey = inspect(chain("RELU", "BITCAST", "WHERE"))
    assert survey.runs_on_tflm == "no"
    assert [layer.refusal is None for layer in survey.layers] == [True, False, False]
    assert [layer.macs for layer in survey.layers] == [0, None, None]
    assert all(isinstance(refusal, UnsupportedError) for refusal in survey.refusals)
    assert "operator 1 (BITCAST): TFLM has no such operator; build the network without it" in str(survey.refusals[0])
    assert survey.resolver.splitlines() == ["tflite::MicroMutableOpResolver<1> resolver;", "resolver.AddRelu();"]


def verdicts(model: Model, **arguments: Any) -> list[str]:
    return [layer.verdict for part in inspect(model, **arguments).parts for layer in part.layers]


def test_an_operator_that_only_refengine_lacks_leaves_it_unknown_what_tflm_says_of_its_tensors() -> None:
    assert inspect(chain("RELU"), kernels={}).runs_on_tflm == "unknown"
    assert inspect(chain("RELU", "WHERE"), kernels={}).runs_on_tflm == "no"
    assert verdicts(chain("RELU", "WHERE"), kernels={}) == ["unknown", "no"]


def test_what_tflm_runs_and_refengine_does_not_yet_is_an_answer_of_its_own() -> None:
    axis = Tensor(1, "axis", (1,), "int32")
    x, y = Tensor(0, "x", (1, 4), "float32"), Tensor(2, "y", (1, 1), "float32")
    model = Model((Graph(0, "", (x, axis, y), (0, 1), (2,), (Op(0, "SUM", (0, 1), (2,), {"keep_dims": True}),)),))
    survey = inspect(model)
    assert verdicts(model) == ["not in refengine"]
    assert (survey.runs_on_tflm, survey.plan, survey.arena) == ("yes", None, {})
    assert survey.as_dict()["refusals"] == [{"runs": "not in refengine", "message": str(survey.refusals[0])}]


def test_a_dialect_that_nobody_has_compared_says_nothing_of_tflm() -> None:
    survey = inspect(chain("TANH"), numerics=Numerics(libm="newlib-double"))
    assert survey.runs_on_tflm == ("unknown" if survey.refusals else "yes")
    survey = inspect(chain("SIN"), numerics=Numerics(rounding="xnnpack"))
    assert all(layer.verdict != "no" for layer in survey.layers)


@pytest.mark.parametrize(
    ("code", "verdict", "call"),
    [
        ("FlexErf", "no", 'resolver.AddCustom("FlexErf", /* the TFLMRegistration* of your kernel */);'),
        ("edgetpu-op", "no", 'resolver.AddCustom("edgetpu-op", /* the TFLMRegistration* of your kernel */);'),
        ("ethos-u", "no", "resolver.AddEthosU();"),
        *((code, "unknown", f"resolver.{method}();") for code, method in CUSTOM_OPS.items()),
    ],
)
def test_custom_operators_are_tflms_or_the_users(code: str, verdict: str, call: str) -> None:
    """Without any kernel of refengine's."""
    model = chain("CUSTOM", custom_code=code)
    assert verdicts(model, kernels={}) == [verdict]
    assert inspect(model).resolver.splitlines()[1:] == [call]


def test_what_the_ethos_u_needs_is_said() -> None:
    assert "AddEthosU" in str(inspect(chain("CUSTOM", custom_code="ethos-u")).refusals[0])


@pytest.mark.parametrize("name", ["CALL_ONCE", "VAR_HANDLE", "CUSTOM"])
@pytest.mark.parametrize("kernels", [None, {}])
def test_an_operator_without_inputs_never_misses_one(name: str, kernels: dict[tuple[str, str], Kernel] | None) -> None:
    options = {"init_subgraph_index": 1} if name == "CALL_ONCE" else {"container": "", "shared_name": "v"}
    op = Op(0, name, (), (), options, custom_code="Mine" * (name == "CUSTOM"))
    model = Model((Graph(0, "", (), (), (), (op,)), Graph(1, "", (), (), (), ())))
    assert not [refusal for refusal in inspect(model, kernels=kernels).refusals if "missing" in str(refusal)]


def test_a_kernel_of_the_users_own_says_nothing_of_tflm() -> None:
    mine = {**KERNELS, ("Mine", "float32"): KERNELS["RELU", "float32"]}
    survey = inspect(chain("RELU", "CUSTOM", custom_code="Mine"), kernels=mine)
    assert (survey.runs_on_tflm, survey.refusals, survey.plan is None) == ("unknown", (), False)
    assert "runs it with a kernel of yours only" in next(iter(survey.doubts))[1]
    assert "resolver.AddCustom(" in survey.resolver


def test_all_subgraphs_are_shown_with_who_calls_them() -> None:
    model = program(4)
    parts = inspect(model).parts
    assert [part.graph for part in parts] == [*model.graphs]
    for part in parts[1:]:
        for subgraph, op in part.called_by:
            assert part.graph.index in op.options.values() and op in model.graphs[subgraph].ops
    assert any(part.called_by for part in parts[1:])
    assert not parts[0].called_by
    told = inspect(model).as_dict()["subgraphs"]
    assert [len(part["layers"]) for part in told] == [len(graph.ops) for graph in model.graphs]
    assert told[1]["layers"][0]["operator"]["subgraph"] == 1


def test_a_refusal_in_one_subgraph_hides_none_in_another() -> None:
    refused = inspect(Model((chain("WHERE").graphs[0], replace(chain("RELU", "BITCAST").graphs[0], index=1)))).refusals
    assert [str(each).split(":")[0] for each in refused] == [
        "subgraph 0, operator 0 (WHERE)",
        "subgraph 1, operator 1 (BITCAST)",
    ]


def test_variables_are_told_with_what_they_hold_at_first() -> None:
    model = stateful()
    survey = inspect(model)
    told = survey.as_dict()
    assert [(v["index"], v["initial"]) for v in told["variables"]] == [(1, 0)]
    assert [(r["shared_name"], r["initial"]) for r in told["resources"]] == [("v", 3)]
    broken = replace(model, graphs=(replace(model.graphs[0], ops=(*model.graphs[0].ops, Op(2, "WHERE", (0,), (0,)))),))
    assert inspect(broken).as_dict()["variables"] == told["variables"]
    assert inspect(broken).as_dict()["resources"] == told["resources"]


def stateful() -> Model:
    """A variable tensor that nobody reads, and a resource variable whose quantisation fills it with 3."""
    tensors = (
        Tensor(0, "x", (1, 4), "int8", Quantization((0.5,), (3,))),
        Tensor(1, "state", (1, 4), "int16", is_variable=True),
        Tensor(2, "handle", (), "resource"),
    )
    ops = (Op(0, "VAR_HANDLE", (), (2,), {"container": "", "shared_name": "v"}), Op(1, "ASSIGN_VARIABLE", (2, 0), ()))
    return Model((Graph(0, "", tensors, (0,), (0,), ops),))


def test_the_arena_is_told_for_both_targets() -> None:
    told = inspect(load(bundled_models()["stm32f746_int8"])).as_dict()["arena"]
    sizes = {"total": 31_984, "planned": 27_040, "persistent": 4_944, "minimum": 31_984, "without": ()}
    assert told["x86-64"] == sizes
    assert (told["arm"]["total"], told["arm"]["minimum"]) == (30_644, None)


def test_hybrid_layers_are_a_no_with_a_way_out() -> None:
    options = {
        "fused_activation_function": "NONE",
        "weights_format": "DEFAULT",
        "keep_num_dims": False,
        "asymmetric_quantize_inputs": False,
        "quantized_bias_type": "FLOAT32",
    }
    weights = const(np.ones((2, 8)), "int8", Quantization((0.5,), (0,)))
    survey = inspect(
        one_op("FULLY_CONNECTED", options, [fed((1, 8), "float32"), weights, None], fed((1, 2), "float32"))
    )
    assert survey.runs_on_tflm == "no"
    assert "TFLM has no hybrid kernels; convert again" in str(survey.refusals[0])


def test_a_model_without_operators() -> None:
    tensor = Tensor(0, "x", (1, 8), "int8", q(1.0))
    survey = inspect(Model((Graph(0, "main", (tensor,), (0,), (0,), ()),)))
    assert (survey.macs, survey.peak_bytes, survey.runs_on_tflm) == (0, 0, "yes")


def test_a_plan_is_looked_at_in_its_own_dialect() -> None:
    plan = make_plan("stm32f746_int8", numerics="single")
    assert inspect(plan).numerics == plan.numerics == PRESETS["single"]
    assert inspect(plan, numerics="tflm").numerics == PRESETS["tflm"]
    assert inspect(plan).macs == inspect("stm32f746_int8").macs
