"""refengine/survey.py: costs by layer, TFLM's verdict, the resolver."""

from __future__ import annotations

import json

import numpy as np
import pytest

from refengine import Graph, Model, Op, Quantization, Tensor, UnsupportedError, inspect, load
from refengine.survey import tensor_bytes
from refengine.tensors.datasets import bundled_models
from tests.models import const, fed, one_op, present, q


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


def test_what_only_refengine_lacks_is_not_blamed_on_tflm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refengine.survey.KERNELS", {})
    assert inspect(chain("RELU")).runs_on_tflm == "unknown"
    assert inspect(chain("RELU", "WHERE")).runs_on_tflm == "no"


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
