"""refengine/examination: what is measured is exact, and each planted defect is named, with the right layer on top."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refengine
from refengine import KERNELS, InputError, UnsupportedError, make_plan
from refengine.bundled import bundled_models
from refengine.examination import ROUNDING, Finding, Health, health
from refengine.execute import execute
from refengine.kernel import At, Facts, Kernel, Node, Numerics
from refengine.model import Array, Model
from refengine.strategies import inputs_of, model_of, nodes
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input, quantize_input
from tests.examination.nets import (
    CONV,
    DEPTHWISE,
    HIDDEN,
    LOGITS,
    MAX_POOL,
    RESHAPE,
    SOFTMAX,
    calibrated,
    converted,
    float_net,
    pictures,
)
from tests.models import const, fed, network, one_op, present, q


def examined(model: Model, float_model: Model | None = None, batch: int = 64) -> Health:
    plan = make_plan(model)
    x = quantize_input(plan, pictures())
    cases = ((x[start : start + batch],) for start in range(0, len(x), batch))
    *_, result = health(plan, cases, None if float_model is None else make_plan(float_model))
    return result


def worst(model: Model, float_model: Model | None = None) -> Finding:
    return examined(model, float_model).findings[0]


def advised(finding: Finding) -> tuple[float, int]:
    """(scale, zero point) as the advice gives them."""
    told = re.search(r"Scale (\S+) and zero point (-?\d+) would hold", finding.text)
    assert told is not None, finding.text
    return float(told[1]), int(told[2])


def place(op: int) -> str:
    return f"operator {op} ({float_net().graphs[0].ops[op].name})"


@pytest.fixture(scope="module")
def healthy() -> Health:
    return examined(converted())


# ---- planted defects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("float_model", [None, float_net()], ids=["float reading", "float model"])
def test_a_sound_network_is_found_sound(float_model: Model | None) -> None:
    result = examined(converted(), float_model)
    assert not [finding for finding in result.findings if finding.bits_lost]


@pytest.mark.parametrize(
    ("name", "op", "follow"), [("conv", CONV, ()), ("depthwise", DEPTHWISE, ("pool", "flat")), ("logits", LOGITS, ())]
)
def test_a_scale_eight_times_too_large(name: str, op: int, follow: tuple[int, ...] | tuple[str, ...]) -> None:
    scale, zero_point = calibrated(float_net())[name]
    finding = worst(converted(dict.fromkeys((name, *follow), (8 * scale, zero_point))))
    assert (finding.layer, finding.kind) == (place(op), "range")
    assert finding.bits_lost == pytest.approx(3, abs=0.4)
    assert f"the scale {8 * scale:.4g} is about " in finding.text
    assert advised(finding)[0] == pytest.approx(scale, rel=0.02)
    times = float(finding.text.split("is about ")[1].split(" times")[0])
    assert times == pytest.approx(8, rel=0.15)


def test_a_scale_far_too_large_is_told_in_plain_numbers() -> None:
    scale, zero_point = calibrated(float_net())["logits"]
    (text,) = (f.text for f in examined(converted({"logits": (300 * scale, zero_point)})).findings if f.kind == "range")
    times = text.split("is about ")[1].split(" times")[0]
    assert times.isdigit() and int(times) > 100


def test_an_array_where_tuples_are_due_is_refused() -> None:
    for source in (converted(), float_net()):
        plan = make_plan(source)
        with pytest.raises(InputError, match="the inputs are an array"):
            next(health(plan, np.zeros((2, *plan.inputs[0].shape), np.float32)))


def test_only_the_layer_that_chose_a_scale_is_blamed() -> None:
    scale, zero_point = calibrated(float_net())["depthwise"]
    planted = dict.fromkeys(("depthwise", "pool", "flat"), (8 * scale, zero_point))
    assert [f.layer for f in examined(converted(planted)).findings if f.kind == "range"] == [place(DEPTHWISE)]


@pytest.mark.parametrize(("name", "op"), [("conv", CONV), ("hidden", HIDDEN)])
def test_a_saturated_layer(name: str, op: int) -> None:
    scale, zero_point = calibrated(float_net())[name]
    finding = worst(converted({name: (scale / 4, zero_point)}))
    assert (finding.layer, finding.kind) == (place(op), "saturation")
    assert "cut off at code 127" in finding.text
    times = float(finding.text.split(f"the scale {scale / 4:.4g} is ")[1].split(" times too small")[0])
    assert times == pytest.approx(4, rel=0.03)
    assert advised(finding)[0] == pytest.approx(scale, rel=0.03) and advised(finding)[1] == zero_point


@pytest.mark.parametrize(
    ("names", "op", "shift", "way", "code"),
    [
        (["logits"], LOGITS, 100, "high", 127),
        (["logits"], LOGITS, -60, "low", -128),
        (["depthwise", "pool", "flat"], DEPTHWISE, 60, "high", 127),
    ],
)
def test_a_zero_point_off(names: list[str], op: int, shift: int, way: str, code: int) -> None:
    scale, zero_point = calibrated(float_net())[names[0]]
    finding = worst(converted(dict.fromkeys(names, (scale, zero_point + shift))))
    assert (finding.layer, finding.kind) == (place(op), "zero point")
    assert f"cut off at code {code}" in finding.text
    assert f"the zero point {zero_point + shift} is too {way}." in finding.text
    assert abs(advised(finding)[1] - zero_point) <= 1


def test_a_zero_point_that_two_tensors_disagree_about() -> None:
    scale, zero_point = calibrated(float_net())["flat"]
    finding = worst(converted({"flat": (scale, zero_point + 40)}))
    assert (finding.layer, finding.kind) == (place(RESHAPE), "offset")
    assert "shifted, by -40 codes on average" in finding.text


@pytest.mark.parametrize(("filter", "op"), [("wc", CONV), ("wh", HIDDEN)])
def test_a_dead_channel(filter: str, op: int) -> None:
    dead = converted(dead=(filter, 2))
    finding = worst(dead, float_net())
    channels = dead.graphs[0].tensors[dead.graphs[0].ops[op].outputs[0]].shape[-1]
    assert (finding.layer, finding.kind) == (place(op), "killed")
    assert 3 < finding.bits_lost <= 8
    assert finding.effect is not None and finding.effect.rmse > 0.01
    assert finding.text.startswith(
        f"In channel 2 of {channels} the code never changes, though the value in floats does, by up to "
    )
    (alone,) = [f for f in examined(dead).findings if (f.layer, f.kind) == (place(op), "dead")]
    assert "no input can change it" in alone.text, "without the float model, nothing tells that it should live"


def test_a_dead_channel_is_not_blamed_on_those_behind_it() -> None:
    findings = examined(converted(dead=("wc", 2)), float_net()).findings
    never = [f for f in findings if f.kind in ("dead", "killed", "silent")]
    assert place(CONV) in [f.layer for f in never if f.place[1] == (2,)]
    assert place(MAX_POOL) not in [f.layer for f in never]
    assert place(DEPTHWISE) not in [f.layer for f in never if 2 in f.place[1]]


def test_weights_that_do_not_stand_for_the_float_models() -> None:
    finding = worst(converted(gain=0.4), float_net())
    assert (finding.layer, finding.kind) == (place(HIDDEN), "error")
    assert "of it in channel 1," in finding.text


def test_an_input_that_is_not_scaled_as_in_training() -> None:
    plan = make_plan(converted())
    *_, result = health(plan, [(quantize_input(plan, pictures() / 255),)])
    finding = next(finding for finding in result.findings if finding.layer == "input 'x'")
    assert finding.kind == "range"
    assert finding.text.startswith("The data use only the codes -128 … -127, 2 of 256.")
    assert finding.bits_lost == pytest.approx(7, abs=0.1)


def test_sums_that_overflow() -> None:
    weights = const(np.full((2, 70_000), 127), "int8", q(0.01))
    bias = const([0, 0], "int32", q(0.01))
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}
    inputs = [fed((1, 70_000), "int8", q(1.0, -128)), weights, bias]
    plan = make_plan(one_op("FULLY_CONNECTED", options, inputs, fed((1, 2), "int8", q(1e6))))
    (calm,) = health(plan, [(np.full((1, 70_000), -127, np.int8),)])
    (finding,) = [finding for finding in calm.findings if finding.kind == "overflow"]
    assert finding.bits_lost == 0
    assert "these data need 25 of 32 bits, but the worst input 33" in finding.text
    (loud,) = health(plan, [((120 + np.arange(70_000) % 8).astype(np.int8)[None],)])
    assert [f.kind for f in loud.findings[:2]] == ["range", "overflow"], "first what is fed"
    assert loud.findings[1].text.startswith("Its sums need 33 bits and wrap around in 32")


# ---- what is measured -------------------------------------------------------------------------------------


def test_batches_add_up(healthy: Health) -> None:
    one, other = healthy.as_dict(), examined(converted(), batch=7).as_dict()
    for mine, yours in zip(one["layers"], other["layers"], strict=True):
        for key in ("codes", "clamped", "accumulator", "dead_channels"):
            assert mine[key] == yours[key]
        for key in ("own_error", "total_error"):
            assert mine[key] == pytest.approx(yours[key])


def test_a_single_inference_is_a_case_too() -> None:
    plan = make_plan(converted())
    x = quantize_input(plan, pictures())
    *_, single = health(plan, ((x[i : i + 1],) for i in range(3)))
    *_, batch = health(plan, [(x[:3],)])
    assert single.inferences == batch.inferences == 3
    np.testing.assert_array_equal(single.layers[3].histogram, batch.layers[3].histogram)


def test_sums_and_clamped_shares_are_exact(healthy: Health) -> None:
    """Against the layer explained in plain integers, element by element."""
    plan = healthy.plan
    x = quantize_input(plan, pictures())
    layers = {layer.step.index: layer for layer in healthy.layers if layer.step}
    for op in (CONV, DEPTHWISE, HIDDEN, LOGITS):
        sums: dict[int, list[int]] = {}
        below: dict[int, int] = {}
        for i in (0, 40):
            record = next(r for r in execute(plan, x[i : i + 1]) if r.step.index == op)
            for index in np.ndindex(record.outputs[0].shape):
                lines = list(record.step.kernel.explain(record.step.params, At(0, index), *record.inputs))
                value = next(int(line.value) for line in lines if line.name == "bias")
                sums.setdefault(index[-1], []).append(value)
                below[index[-1]] = below.get(index[-1], 0) + (int(lines[-2].value) < int(lines[-1].value))
        *_, two = health(plan, [(x[[0, 40]],)])
        layer = next(layer for layer in two.layers if layer.step and layer.step.index == op)
        assert present(layer.accumulator).low.tolist() == [min(sums[c]) for c in sorted(sums)]
        assert present(layer.accumulator).high.tolist() == [max(sums[c]) for c in sorted(sums)]
        cut = present(layer.clamped).below_activation + present(layer.clamped).below_type
        assert cut.tolist() == [below[c] for c in sorted(below)]
        every = present(layers[op].accumulator)
        assert (np.maximum(-every.low, every.high) <= every.bound).all()


def test_the_bound_is_reached_by_the_worst_input() -> None:
    weights = const([[3, -5, 7]], "int8", q(0.1))
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}
    inputs = [fed((1, 3), "int8", q(0.5, -3)), weights, const([-11], "int32", q(0.05))]
    plan = make_plan(one_op("FULLY_CONNECTED", options, inputs, fed((1, 1), "int8", q(1.0))))
    (result,) = health(plan, [(np.array([[-128, 127, -128]], np.int8),)])
    layer = result.layers[-1]
    assert present(layer.accumulator).low.tolist() == [3 * -125 - 5 * 130 + 7 * -125 - 11]
    assert present(layer.accumulator).bound.tolist() == [15 * 130 + 11]
    assert (present(layer.accumulator).bits, present(layer.accumulator).bound_bits) == (12, 12)


def test_rounding_alone_is_what_enters_in_a_sound_layer(healthy: Health) -> None:
    layers = {layer.step.index: layer for layer in healthy.layers if layer.step}
    assert present(layers[LOGITS].own).layer.rmse[0] == pytest.approx(ROUNDING, rel=0.1)
    assert present(layers[LOGITS].own).layer.largest[0] < 2
    assert present(layers[MAX_POOL].own).layer.rmse[0] < 0.001
    assert layers[MAX_POOL].role == layers[RESHAPE].role == "passed on"
    assert layers[CONV].role == "enters"
    assert present(layers[CONV].own).layer.rmse[0] == pytest.approx(present(layers[CONV].total).layer.rmse[0])


def test_errors_are_those_of_the_dequantised_outputs(healthy: Health) -> None:
    plan, reference = healthy.plan, make_plan(float_net())
    x = quantize_input(plan, pictures())
    *_, against = health(plan, [(x,)], reference)
    real = refengine.run(reference, ((x.astype(np.float64) + 128) / 255).astype(np.float32))[0].astype(np.float64)
    got = refengine.dequantize_output(plan, refengine.run(plan, x)[0]).astype(np.float64)
    told = against.as_dict()["layers"][-1]["total_error"]
    assert present(against.layers[-1].step).index == SOFTMAX
    assert told["rmse_per_scale"] == pytest.approx(np.sqrt(np.mean((got - real) ** 2)) * 256, rel=1e-3)
    assert told["max"] == pytest.approx(np.abs(got - real).max(), rel=1e-3)
    assert told["sqnr_db"] == pytest.approx(10 * np.log10((real**2).sum() / ((got - real) ** 2).sum()), rel=1e-3)
    assert told["cosine"] == pytest.approx((got * real).sum() / np.sqrt((got**2).sum() * (real**2).sum()), rel=1e-5)


def test_interrupted_work_is_not_lost() -> None:
    plan = make_plan(converted())
    x = quantize_input(plan, pictures())

    def cases() -> Iterator[tuple[Array, ...]]:
        yield (x[:5],)
        raise KeyboardInterrupt

    done = health(plan, cases())
    assert next(done).inferences == 5
    with pytest.raises(KeyboardInterrupt):
        next(done)


@pytest.mark.parametrize("name", [name for name in bundled_models() if "float" not in name])
def test_bundled_networks_are_sound(name: str) -> None:
    plan = make_plan(bundled_models()[name])
    images, _ = bundled_digits()
    *_, result = health(plan, [(pixels_to_input(plan, images[::25]),)])
    assert result.inferences == 4
    assert not [finding for finding in result.findings if finding.bits_lost]
    json.dumps(result.as_dict(), allow_nan=False)


def test_a_float_model_of_other_inputs_is_refused() -> None:
    other = one_op("RELU", {}, [fed((1, 3), "float32")], fed((1, 3), "float32"))
    with pytest.raises(InputError, match=r"not float32 ones of the quantised model's shapes: 'x' \(1, 10, 10, 1\)"):
        next(health(make_plan(converted()), [], make_plan(other)))


def test_a_float_model_may_have_other_names() -> None:
    model = float_net()
    (graph,) = model.graphs
    renamed = tuple(replace(t, name=f"other {t.name}") for t in graph.tensors)
    result = examined(converted(), replace(model, graphs=(replace(graph, tensors=renamed),)))
    assert result.compared == (7, 7), "the operators correspond by their order"


@pytest.mark.parametrize(
    "key",
    [
        key if key[1] == "int8" or key[0] == "QUANTIZE" else pytest.param(key, marks=pytest.mark.long)
        for key in KERNELS
        if key[1] in ("int8", "float32")
    ],
)
@settings(max_examples=5)
@given(data=st.data())
def test_any_model_the_engine_runs_can_be_examined(key: tuple[str, str], data: st.DataObject) -> None:
    plan = make_plan(model_of(data.draw(nodes(*key))))
    x = data.draw(inputs_of(plan.model))
    try:
        *_, result = health(plan, [x, x])
    except UnsupportedError:
        return  # no float32 kernel
    except InputError as error:
        assert "no quantised layer" in str(error)  # noqa: PT017
        return
    assert result.inferences == 2
    json.dumps(result.as_dict(), allow_nan=False)


# ---- operators of several outputs, and what is not compared --------------------------------------------------


def halves(dtype: str) -> Kernel:
    """A user's own operator: the first and the second half of a vector."""

    def prepare(node: Node, numerics: Numerics) -> int:
        return node.outputs[0].shape[-1]

    def evaluate(half: int, x: Array) -> tuple[Array, ...]:
        return x[..., :half], x[..., half:]

    return replace(KERNELS["RELU", dtype], prepare=prepare, evaluate=evaluate, facts=Facts())


def test_every_output_of_an_operator_is_a_layer_and_has_an_effect() -> None:
    """The codes of the second half mean half of what they meant: all of them are wrong by as much again."""
    x, y = (fed((1, 8), "int8", q(1 / 127, 0), name) for name in "xy")
    low, high = fed((1, 4), "int8", q(1 / 127, 0), "low"), fed((1, 4), "int8", q(1 / 254, 0), "high")
    split = Node("UNIQUE", {}, (y,), (low, high))
    model = network(Node("RELU", {}, (x,), (y,)), split)
    kernels = {**KERNELS, **{("UNIQUE", dtype): halves(dtype) for dtype in ("int8", "float32")}}
    plan = make_plan(model, kernels=kernels)
    codes = np.random.default_rng(0).integers(-128, 128, (50, 8)).astype(np.int8)
    *_, result = health(plan, [(codes,)])
    first, second = result.layers[-2:]
    assert [layer.tensor.name for layer in (first, second)] == ["low", "high"]
    assert first.own is not None and first.own.layer.rmse[0] < 1e-4, "the codes mean what they meant"
    wrong = codes[:, 4:].clip(0).astype(np.float64)
    assert second.own is not None and second.own.square.sum() == pytest.approx(np.square(wrong).sum())
    places = [(layer.at, (0, 1, 2, 3)) for layer in (first, second)]
    everything, (nothing, all_of_it) = result.experiment.effects(places)
    assert everything is not None and nothing is not None and all_of_it is not None
    assert nothing.rmse < 1e-6
    assert all_of_it.rmse == pytest.approx(everything.rmse, rel=1e-5)


def test_a_layer_that_depends_on_no_input_counts_once_for_each_inference() -> None:
    constant = const(np.arange(-6, 6).reshape(1, 2, 2, 3), "int8", q(0.1))
    x, positive = fed((1, 2, 2, 3), "int8", q(0.1), "x"), fed((1, 2, 2, 3), "int8", q(0.05), "positive")
    add = {"fused_activation_function": "NONE", "pot_scale_int16": False}
    y = fed((1, 2, 2, 3), "int8", q(0.2), "y")
    model = network(Node("RELU", {}, (constant,), (positive,)), Node("ADD", add, (x, positive), (y,)))
    codes = np.random.default_rng(0).integers(-128, 128, (5, 2, 2, 3)).astype(np.int8)
    *_, result = health(make_plan(model), [(codes,)])
    layer = next(layer for layer in result.layers if layer.tensor.name == "positive")
    assert layer.own is not None and layer.total is not None
    assert layer.count == layer.own.count == layer.total.count == 5 * 2 * 2
    assert layer.own.largest.max() < 1e-4
