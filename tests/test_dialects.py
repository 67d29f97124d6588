"""Two dialects part where they do, and LiteRT computes what the dialects named after it say."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conformance import ORACLES, Task, examine
from dice import Dice, invented
from oracle import as_litert_wants, host_plan

from refengine import (
    KERNELS,
    PRESETS,
    LimitError,
    Numerics,
    Plan,
    Quantization,
    RefengineError,
    Tensor,
    execute,
    make_plan,
    strategies,
)
from refengine.bundled import bundled_models
from refengine.dialects import parting
from refengine.execute import run
from refengine.explanation import explain
from refengine.kernel import Node
from refengine.kernels import FACTS
from refengine.kernels._runtimes import UNKNOWN
from refengine.kernels._tflm import CUSTOM_OPS, TFLM_OPS
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from refengine.tflite_io import dump
from tests.kernels.test_while import cells, counting
from tests.models import const, fed, network, q

LITERT = ("litert-ref", "litert")
CODES = ("int8", "int16")
OWN = sorted(
    (dialect, op, dtype)
    for dialect in LITERT
    for op, dtype in KERNELS
    if op in TFLM_OPS and op != "RESHAPE" and dtype not in UNKNOWN[dialect].get(op, ())
    if dialect == "litert-ref" or (dtype in CODES and not FACTS[op].copies)
)
"""What LiteRT is asked about. Its usual kernels are asked about codes, and how they compute: some copies crash, as any
RESHAPE may, with what TFLM does not look at."""


def digit(plan: Plan, index: int = 18) -> Any:
    return pixels_to_input(plan, bundled_digits()[0][index : index + 1], 0)


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "op", "dtype"), OWN, ids=lambda part: part)
def test_litert_computes_its_dialects(dialect: str, op: str, dtype: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    tally = examine(Task(op, dtype, 10, zlib.crc32(f"{op} {dtype}".encode()), dialect))
    assert not tally.findings, tally.findings[0].message
    assert tally.counts["equal"], tally.counts


@pytest.mark.parametrize("dialect", LITERT)
@pytest.mark.parametrize("name", ["dense_int8", "esp32_int8", "stm32f746_int8", "esp32_int16x8", "dense_int16x8"])
def test_litert_computes_every_tensor_of_networks(dialect: str, name: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    data = bundled_models()[name].read_bytes()
    plan = host_plan(data, PRESETS[dialect])
    x = digit(plan)
    tensors = ORACLES[dialect]().tensors(data, [x])
    for record in execute(plan, x):
        for tensor, array in zip(record.step.outputs, record.outputs, strict=True):
            np.testing.assert_array_equal(array, tensors[0, tensor.index], err_msg=str(record.step))


@pytest.mark.parametrize("groups", [1, 2])
def test_int16_convolutions_of_32_bit_sums_round_ties_up_where_litert_multiplies_matrices(groups: int) -> None:
    """Eight bits are shifted out: of 6,144 elements a dozen are negative and lie halfway, which others round down."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    rng = np.random.default_rng(0)
    x, y = fed((1, 8, 8, 4), "int16", q(2.0**-10), name="x"), fed((1, 8, 8, 8), "int16", q(2.0**-8), name="y")
    weights = const(rng.integers(-127, 128, (8, 3, 3, 4 // groups)), "int8", q(0.011))
    bias = const(rng.integers(-999, 1000, 8), "int32", q(0.011 * 2.0**-10))
    options: dict[str, Any] = {"padding": "SAME", "fused_activation_function": "NONE", "quantized_bias_type": "int32"}
    options |= dict.fromkeys(("stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor"), 1)
    model = network(Node("CONV_2D", options, (x, weights, bias), (y,)))
    inputs = rng.integers(-32768, 32768, (12, 8, 8, 4)).astype(np.int16)
    data = dump(as_litert_wants(model, "int16"))
    expected = np.concatenate([z for (z,) in ORACLES["litert"]().run_many(data, [(each,) for each in inputs[:, None]])])
    (found,), (other,) = (run(make_plan(model, numerics=name), inputs) for name in ("litert", "litert-ref"))
    assert np.array_equal(found, expected)
    assert np.array_equal(found, other) == (groups == 2)


@pytest.mark.parametrize("dialect", UNKNOWN)
def test_what_a_library_computes_is_refused_where_it_is_not_known(dialect: str) -> None:
    for op, types in UNKNOWN[dialect].items():
        for dtype in types:
            node = KERNELS[op, dtype].example(lambda value: value, Dice(1))
            with pytest.raises(LimitError, match=f"what the kernels of {dialect} make of {op}"):
                make_plan(strategies.model_of(node), numerics=PRESETS[dialect])


@pytest.mark.parametrize("dialect", LITERT)
def test_litert_has_no_custom_operators_of_tflms(dialect: str) -> None:
    op, dtype = next(key for key in sorted(KERNELS) if key[0] in CUSTOM_OPS)
    node = KERNELS[op, dtype].example(lambda value: value, Dice(1))
    with pytest.raises(LimitError, match="is not known to refengine bit for bit"):
        make_plan(strategies.model_of(node), numerics=PRESETS[dialect])


def own_ways() -> Iterator[tuple[str, str, str]]:
    """(dialect, operator, type) that compute something of their own, by the parameters that they prepare."""
    for dialect, op, dtype in OWN:
        if dtype in CODES:
            yield dialect, op, dtype
    yield "esp-nn", "LOGISTIC", "int8"
    for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "SOFTMAX"):
        yield "cmsis-nn", op, "int16"
    for dtype in CODES:
        yield "cmsis-nn", "UNIDIRECTIONAL_SEQUENCE_LSTM", dtype


@pytest.mark.slow
def test_explanations_end_in_the_element_in_every_dialect() -> None:
    told = 0
    for dialect, op, dtype in own_ways():
        dice = Dice(zlib.crc32(f"{dialect} {op} {dtype}".encode()))
        for _ in range(4):
            model = strategies.model_of(KERNELS[op, dtype].example(lambda value: value, dice))
            try:
                plan = make_plan(model, numerics=PRESETS[dialect])
                record = list(execute(plan, *invented(model, dice)))[-1]
            except RefengineError:
                continue
            output = record.outputs[0]
            if not output.size or any(mask is not None for mask in record.undefined):
                continue
            index = tuple(dice.random.randrange(size) for size in output.shape)
            last = explain(plan, record, index).lines[-1].value
            assert output[index] == last, (dialect, op, dtype, plan.steps[-1].node)
            told += 1
    assert told > 200


def test_names_of_kernels_and_targets_combine() -> None:
    assert PRESETS["single/cortex-m4f"] == replace(PRESETS["cortex-m4f"], rounding="single")
    assert PRESETS["tflm/cortex-m7"] == PRESETS["cortex-m7"]
    assert str(PRESETS["esp-nn/cortex-m3"]).startswith("esp-nn/cortex-m3 (rounding=double")
    assert str(Numerics(kernels="litert")).startswith("custom litert (")
    assert "esp-nn/riscv" not in PRESETS and "none/cortex-m3" not in PRESETS
    assert [*PRESETS][:2] == ["tflm", "tflm-2026-08"] and len(PRESETS) == len([*PRESETS])


def test_two_dialects_part_at_an_operator() -> None:
    data = bundled_models()["stm32f746_int8"].read_bytes()
    plan, other = (make_plan(data, numerics=PRESETS[name]) for name in ("tflm", "litert"))
    found = parting(plan, other, digit(plan))
    assert found.first is not None and found.first[0].index == 0 and found.first[1].largest == 1
    assert (found.steps, found.count, found.classes) == (7, 12, (3, 3))
    assert str(found).startswith("they part at operator 0 (CONV_2D), where 10 of 21,632 elements differ by up to 1 LSB")
    assert found.as_dict()["first"]["difference"]["count"] == 10


def test_one_dialect_does_not_part_from_itself() -> None:
    plan = make_plan(bundled_models()["dense_int8"])
    found = parting(plan, plan, digit(plan))
    assert found.first is None and str(found) == f"the same in all {found.count} operators"


def test_rounds_of_a_loop_that_only_one_runs_are_beside_nothing() -> None:
    """Three rounds, and one: each ADD is held against the other's of that round, and WHILE against WHILE."""
    found = parting(make_plan(counting()), make_plan(counting(-3)), cells(3), cells(100))
    assert (found.steps, found.count) == (2, 3) and found.first is not None
    assert str(found).startswith("they part at subgraph 2, operator 0 (ADD), where 1 of 1 elements differ by up to 2 ")
    assert found.as_dict()["first"]["subgraph"] == found.as_dict()["first"]["outputs"][0]["subgraph"] == 2


def test_esp_nn_computes_logistic_by_a_table() -> None:
    """ESP-NN's table, of April 2026, by hand: round(256 · σ) − 128, where TFLM's fixed point is off by one."""
    node = KERNELS["LOGISTIC", "int8"].example(lambda value: value, Dice(3))
    codes = np.arange(-128, 128, dtype=np.int8)
    tensors = [replace(t, shape=(256,)) for t in (*node.inputs, *node.outputs) if t is not None]
    model = strategies.model_of(node._replace(inputs=(tensors[0],), outputs=(tensors[1],)))
    (table,) = run(make_plan(model, numerics=PRESETS["esp-nn"]), codes)
    quantization = tensors[0].quantization
    assert quantization is not None
    x = np.float32(quantization.scale[0]) * (codes.astype(np.int32) - quantization.zero_point[0]).astype(np.float32)
    sigmoid = 1 / (1 + np.exp(-x.astype(np.float64)))
    assert np.abs(table - np.clip(np.floor(sigmoid * 256 + 0.5) - 128, -128, 127)).max() == 0


def extreme(end: int, zero_point: int, depthwise: bool) -> bytes:
    """A convolution of 10 channels whose accumulators come to `end` and a little less or more; its factor is 2."""
    rng = np.random.default_rng(1)
    one = Quantization((1.0,), (0,))
    shape = (1, 1, 1, 10) if depthwise else (10, 1, 1, 10)
    weights = Tensor(-1, "", shape, "int8", replace(one, quantized_dimension=3 if depthwise else 0))
    weights = replace(weights, data=rng.integers(-5, 6, shape).astype(np.int8))
    ends = np.clip(end + np.arange(-500, 500, 100), -(2**31), 2**31 - 1)
    bias = Tensor(-1, "", (10,), "int32", one, ends.astype(np.int32))
    image = Tensor(0, "", (1, 1, 1, 10), "int8", one)
    output = Tensor(0, "", (1, 1, 1, 10), "int8", Quantization((0.5,), (zero_point,)))
    options: dict[str, Any] = {
        "padding": "VALID",
        "stride_w": 1,
        "stride_h": 1,
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }
    options |= {"fused_activation_function": "NONE"} | ({"depth_multiplier": 1} if depthwise else {})
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    return dump(strategies.model_of(Node(name, options, (image, weights, bias), (output,))))


@pytest.mark.parametrize("depthwise", [False, True])
def test_sums_at_int32s_ends_wrap_where_xnnpacks_do(depthwise: bool) -> None:
    """Its products of matrices add a negative zero point to INT_MIN, and get the largest code; others saturate."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    litert, rng, wrapped = ORACLES["litert"](), np.random.default_rng(0), 0
    for end in (2**31 - 1, -(2**31)):
        for zero_point in (-128, -3, 0, 127):
            data = extreme(end, zero_point, depthwise)
            x = rng.integers(-128, 128, (1, 1, 1, 10)).astype(np.int8)
            (codes,) = litert.run(data, [x])
            np.testing.assert_array_equal(run(make_plan(data, numerics=PRESETS["litert"]), x)[0], codes)
            (saturated,) = run(make_plan(data, numerics=PRESETS["xnnpack"]), x)
            wrapped += int((saturated != codes).sum())
    assert bool(wrapped) is not depthwise


@pytest.mark.parametrize(("scale", "activation"), [(2.0, "RELU_N1_TO_1"), (0.4, "RELU_N1_TO_1"), (2.4, "RELU6")])
def test_xnnpack_rounds_bounds_between_two_codes_to_the_even_one(scale: float, activation: str) -> None:
    """1 / 2, 1 / 0.4 and 6 / 2.4 lie halfway; TFLM goes away from zero."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    one, x = Quantization((1.0,), (0,)), np.array([-128, 127, 3, -3], np.int8)
    fed, zeros = Tensor(0, "", (4,), "int8", one), Tensor(-1, "", (4,), "int8", one, np.zeros(4, np.int8))
    output = Tensor(0, "", (4,), "int8", Quantization((scale,), (0,)))
    options = {"pot_scale_int16": False, "fused_activation_function": activation}
    data = dump(strategies.model_of(Node("ADD", options, (fed, zeros), (output,))))
    (codes,) = ORACLES["litert"]().run(data, [x])
    np.testing.assert_array_equal(run(make_plan(data, numerics=PRESETS["litert"]), x)[0], codes)
    assert (run(make_plan(data), x)[0] != codes).any()
