"""Findings say what is proven, stand in the order of what they do to the outputs, and give advice that works."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refengine
from refengine import InputError, make_plan, quantize
from refengine.bundled import bundled_models
from refengine.examination import Finding, Health, health
from refengine.examination.effect import Effect, Sampler
from refengine.examination.findings import activation_quantization
from refengine.kernel import Node
from refengine.model import Array, Model
from refengine.numerics.quantize import code_range, dequantize
from refengine.numerics.quantize import quantize as as_codes
from refengine.quantizer import calibrate, convert, equalize
from refengine.reading.counterparts import same_tensors
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import dequantize_output, pixels_to_input, quantize_input
from tests.examination.nets import DENSE, NONE, RELU, WINDOW, converted, float_net, pictures
from tests.models import const, fed, network, present, q


def quantized(model: Model, data: Array, io: str | None = None) -> Model:
    return convert(model, calibrate(make_plan(model), [(data,)]), io=io)


def examined(model: Model, data: Array, float_model: Model | None = None) -> Health:
    *_, result = health(make_plan(model), [(data,)], None if float_model is None else make_plan(float_model))
    return result


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.layer, finding.kind) for finding in findings]


# ---- inputs that do not fit -------------------------------------------------------------------------------


def doubling() -> Model:
    """y = 2x."""
    inputs = (fed((1, 1), "float32"), const([[2.0]], "float32"), const([0.0], "float32"))
    return network(Node("FULLY_CONNECTED", DENSE | NONE, inputs, (fed((1, 1), "float32", name="y"),)))


CALIBRATED = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
TO_THREE = np.linspace(0, 3, 100, dtype=np.float32)[:, None]


@pytest.mark.parametrize("io", [None, "float32"])
def test_data_outside_of_what_the_input_holds_come_first(io: str | None) -> None:
    float_model = doubling()
    result = examined(quantized(float_model, CALIBRATED, io), TO_THREE, float_model)
    finding = result.findings[0]
    assert finding.kind == "input"
    assert finding.text.startswith("Of the data, 66 % at 1 (the largest is 3) are cut off, by up to 2: ")
    assert "Scale 0.01176 and zero point -128 would hold its values (0 … 3)." in finding.text
    last = result.layers[-1]
    assert last.total is not None
    assert last.total.layer.largest[0] * last.scale == pytest.approx(6 - 2, rel=1e-3), "x = 3 gives 2 instead of 6"
    assert finding.effect is not None
    wanted = np.minimum(TO_THREE, 1) - TO_THREE
    assert finding.effect.rmse == pytest.approx(2 * np.sqrt(np.square(wanted).mean()), rel=1e-2)


def test_data_that_fit_are_no_finding() -> None:
    float_model = doubling()
    assert examined(quantized(float_model, CALIBRATED), CALIBRATED[::2], float_model).findings == []


def test_codes_are_taken_for_what_they_stand_for() -> None:
    model = quantized(doubling(), CALIBRATED)
    codes = quantize_input(make_plan(model), TO_THREE)
    assert examined(model, codes, doubling()).findings == [], "whatever was cut off is no longer to be seen"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"'x' is given NaN or infinity in inference 1 \(from 0\)"):
        examined(quantized(doubling(), CALIBRATED), np.array([[0], [value]], np.float32))


# ---- channels that never change ---------------------------------------------------------------------------


def uneven(gains: Array) -> tuple[Model, Array]:
    """A depthwise layer that scales its 8 channels by `gains`, and a dense one that makes up for it; its data."""
    rng = np.random.default_rng(1)
    x = fed((1, 4, 4, 8), "float32")
    deep, flat = fed((1, 4, 4, 8), "float32", name="deep"), fed((1, 128), "float32", name="flat")
    filter = const((gains * rng.uniform(0.5, 1, 8)).reshape(1, 1, 1, 8), "float32")
    weights = const(rng.normal(size=(4, 16, 8)) / gains / 16, "float32")
    nodes = (
        Node(
            "DEPTHWISE_CONV_2D",
            WINDOW | NONE | {"depth_multiplier": 1},
            (x, filter, const(np.zeros(8), "float32")),
            (deep,),
        ),
        Node("RESHAPE", {"new_shape": (1, 128)}, (deep, const([1, 128], "int32")), (flat,)),
        Node(
            "FULLY_CONNECTED",
            DENSE | NONE,
            (flat, const(present(weights.data).reshape(4, 128), "float32"), const(np.zeros(4), "float32")),
            (fed((1, 4), "float32", name="y"),),
        ),
    )
    return network(*nodes), rng.normal(size=(60, 4, 4, 8)).astype(np.float32)


def test_a_channel_too_small_for_its_scale_is_alive() -> None:
    float_model, data = uneven(np.geomspace(1, 1 / 400, 8))
    result = examined(quantized(float_model, data), data)
    place = "operator 0 (DEPTHWISE_CONV_2D)"
    coarse, killed = (next(f for f in result.findings if f.kind == kind) for kind in ("channels", "killed"))
    assert kinds(result.findings)[0] == (coarse.layer, coarse.kind) == (place, "channels")
    deep = result.layers[1]
    used = [deep.high[c] - deep.low[c] + 1 for c in (4, 5, 6, 7)]
    assert f"Channels 4, 5, 6, 7 of 8 use {', '.join(map(str, used))} of 256 codes" in coarse.text
    assert killed.text.startswith("In channel 7 of 8 the code never changes, though the value in floats does")
    assert (deep.killed, deep.dead, deep.silent) == ([7], [], [])
    assert "Equalise them with those of the next layer, FULLY_CONNECTED," in coarse.text
    assert examined(quantize(float_model, [(data,)], equalized=True), data).findings == []
    assert coarse.effect is not None and killed.effect is not None and coarse.everything is not None
    assert coarse.everything.rmse * 1.1 > coarse.effect.rmse > killed.effect.rmse > 0
    assert coarse.effect.changed is not None and coarse.effect.changed > 0


def test_another_float_model_than_the_one_it_was_made_from_is_named() -> None:
    float_model, data = uneven(np.geomspace(1, 1 / 400, 8))
    equalized = equalize(make_plan(float_model)).model
    model = quantize(float_model, [(data,)], equalized=True)
    first = examined(model, data, float_model).findings[0]
    assert first.kind == "float model" and "the weights of operators 0, 2 are up to" in first.text
    assert examined(model, data, equalized).findings == []
    plain = quantized(float_model, data)
    assert "float model" not in [kind for _, kind in kinds(examined(plain, data, float_model).findings)]


def test_coarse_channels_that_nothing_behind_can_make_up_for() -> None:
    float_model, data = uneven(np.geomspace(1, 1 / 400, 8))
    graph = float_model.graphs[0]
    read_twice = replace(float_model, graphs=(replace(graph, outputs=(*graph.outputs, graph.ops[0].outputs[0])),))
    found = [f for f in examined(quantized(read_twice, data), data).findings if f.kind == "channels"]
    assert ["or train channels that are more alike." in finding.text for finding in found] == [True]


def test_what_helps_is_told_beside_the_float_model_as_well() -> None:
    """The dense layer makes up for the gains, so its weights differ as much, and int8 rounds the small ones away: with
    the float model that is an error, and of which channels; it hides not the activations'."""
    float_model, data = uneven(np.geomspace(1, 1 / 400, 8))
    model = quantized(float_model, data)
    by_itself, beside = (examined(model, data, other).findings for other in (None, float_model))
    assert [[f.place for f in found if f.kind == "channels"] for found in (by_itself, beside)] == [
        [((0, 6), (4, 5, 6, 7))]
    ] * 2
    assert "--float tells what that brings" in next(f.text for f in by_itself if f.kind == "channels")
    (coarse,) = (f for f in beside if f.kind == "channels")
    (weights,) = (f for f in beside if f.kind == "error")
    assert weights.layer == "operator 2 (FULLY_CONNECTED)"
    assert "Its weights, as they are rounded, make " in weights.text
    assert re.search(r"Those that read channels 0, .* of 128 of its input use .* of 256 codes", weights.text)
    assert "with the layer before, DEPTHWISE_CONV_2D (quantize --equalize)" in weights.text
    wide = convert(float_model, calibrate(make_plan(float_model), [(data,)]), activations="int16")
    left = examined(wide, data, float_model).findings[0].everything
    told = re.search(r"is not enough: the weights alone.* RMSE of (\S+), all errors together (\S+)\.$", coarse.text)
    assert left is not None and told is not None and coarse.everything is not None
    assert float(told[1]) == pytest.approx(left.rmse, rel=0.1), "what 16x8 leaves indeed"
    assert float(told[2]) == pytest.approx(coarse.everything.rmse, rel=0.01)


def test_what_is_cut_off_is_blamed_for_the_error_that_it_makes_alone() -> None:
    """A few values are cut off by little, and the error is that of rounded weights."""
    float_model, data = uneven(np.geomspace(1, 1 / 400, 8))
    ranges = dict(calibrate(make_plan(float_model), [(data,)]))
    y = make_plan(float_model).outputs[0].index
    ranges[y] = (0.85 * ranges[y][0], 0.85 * ranges[y][1])
    result = examined(convert(float_model, ranges), data, float_model)
    dense = result.layers[-1]
    assert dense.lost_to_type > 0 and dense.own is not None and dense.cut is not None
    assert 0 < dense.cut.sum() < 0.1 * dense.own.square.sum()
    assert [f.kind for f in result.findings if f.layer == str(dense)] == ["error"]
    ranges[y] = (0.3 * ranges[y][0], 0.3 * ranges[y][1])
    (finding, *_) = (
        f for f in examined(convert(float_model, ranges), data, float_model).findings if f.layer == str(dense)
    )
    assert finding.kind == "saturation" and " of the squared error by them)" in finding.text


def test_channels_whose_weights_share_a_scale() -> None:
    inputs = (
        fed((1, 2), "int8", q(1 / 128)),
        const([[127, -127], [7, -7], [0, 0], [-2, 1]], "int8", q(1 / 127)),
        const(np.zeros(4), "int32", q(1 / 128 / 127)),
    )
    model = network(Node("FULLY_CONNECTED", DENSE | NONE, inputs, (fed((1, 4), "int8", q(1 / 64), name="y"),)))
    data = np.array([[0.5, -0.5], [-1, 0.5]], np.float32)
    (finding,) = [each for each in examined(model, data).findings if each.kind == "weights"]
    assert finding.text.startswith("The weights of channels 1, 3 of 4 use 15, 4 of 256 codes, since all channels share")


def test_channels_that_are_all_killed_are_not_told_of_twice() -> None:
    float_model, data = uneven(np.array([1, 1, 1, 1, 1, 1, 1, 1 / 1000]))
    findings = examined(quantized(float_model, data), data).findings
    assert kinds(findings)[0] == ("operator 0 (DEPTHWISE_CONV_2D)", "killed")
    assert "channels" not in [finding.kind for finding in findings]


def gate(bias: float) -> Model:
    """y = 3 · relu(x + bias) + 1 and relu(x) for x of −1 … 1."""
    hidden = fed((1, 2), "float32", name="hidden")
    first = (fed((1, 1), "float32"), const([[1.0], [1.0]], "float32"), const([bias, 0.0], "float32"))
    second = (hidden, const([[3.0, 0.0], [0.0, 1.0]], "float32"), const([1.0, 0.0], "float32"))
    return network(
        Node("FULLY_CONNECTED", DENSE | RELU, first, (hidden,)),
        Node("FULLY_CONNECTED", DENSE | NONE, second, (fed((1, 2), "float32", name="y"),)),
    )


ANY = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]


@pytest.mark.parametrize(("bias", "kind"), [(-1.5, "dead"), (-0.9, "silent")])
def test_dead_is_what_no_input_wakes_and_silent_what_these_did_not(bias: float, kind: str) -> None:
    float_model = gate(bias)
    model = quantized(float_model, ANY)
    result = examined(model, ANY[ANY[:, 0] < 0.85], float_model)
    hidden = [finding for finding in result.findings if finding.layer == "operator 0 (FULLY_CONNECTED)"]
    assert [finding.kind for finding in hidden if finding.place[1] == (0,)] == [kind]
    text = next(finding.text for finding in hidden if finding.place[1] == (0,))
    assert ("no input can change it" in text) == (kind == "dead")
    assert ("silent in 185 inferences" in text) == (kind == "silent")
    (woken,) = refengine.run(make_plan(model), quantize_input(make_plan(model), np.array([[1.0]], np.float32)))
    assert (dequantize_output(model, woken)[0, 0] > 1.1) == (kind == "silent")


def test_silence_in_few_inferences_says_nothing_but_a_proof_does() -> None:
    few = ANY[:9]
    assert "silent" not in [f.kind for f in examined(quantized(gate(-0.9), ANY), few).findings]
    assert "dead" in [f.kind for f in examined(quantized(gate(-1.5), ANY), few).findings]


# ---- what findings are worth ------------------------------------------------------------------------------


def test_a_layer_without_an_error_is_not_the_first_of_a_constant_network() -> None:
    """No input opens the first layer, so the second gives its biases, which its scale rounds: that is the error."""
    hidden = fed((1, 8), "float32", name="hidden")
    first = (fed((1, 2), "float32"), const(np.full((8, 2), 0.1), "float32"), const(np.full(8, -9.0), "float32"))
    second = (hidden, const(np.ones((4, 8)), "float32"), const([100.0, 100.0, 3.0, 4.0], "float32"))
    float_model = network(
        Node("FULLY_CONNECTED", DENSE | RELU, first, (hidden,)),
        Node("FULLY_CONNECTED", DENSE | NONE, second, (fed((1, 4), "float32", name="y"),)),
    )
    data = np.random.default_rng(0).random((50, 2), np.float32)
    findings = examined(quantized(float_model, data), data, float_model).findings
    assert kinds(findings) == [("operator 1 (FULLY_CONNECTED)", "dead"), ("operator 0 (FULLY_CONNECTED)", "dead")]
    assert findings[0].text.endswith("prune, and add its value to the biases that follow.")
    assert findings[1].text.endswith("prune.")
    effects = [finding.effect.rmse for finding in findings if finding.effect]
    step = 100 / 255
    rounding = [0, 0, 3 - step * round(3 / step), 4 - step * round(4 / step)]
    assert effects == [pytest.approx(np.sqrt(np.square(rounding).mean()), rel=1e-3), 0]


def test_an_effect_is_what_the_layers_own_error_alone_does() -> None:
    """Worked out anew: the killed channel of "hidden" put in place of the float model's, and the rest run in floats."""
    float_model, x = float_net(), pictures()
    (finding,) = [f for f in examined(converted(dead=("wh", 2)), x, float_model).findings if f.kind == "killed"]
    plan = make_plan(float_model)
    records = list(refengine.execute(plan, x))
    hidden = next(r for r in records if r.step.outputs[0].name == "hidden")
    index = hidden.step.outputs[0].index
    what_if = hidden.outputs[0].copy()
    what_if[:, 2] = 0
    *_, changed = refengine.execute(plan, x, known={index: what_if})
    error = changed.outputs[0].astype(np.float64) - records[-1].outputs[0]
    assert finding.effect is not None
    assert finding.effect.rmse == pytest.approx(np.sqrt(np.square(error).mean()), rel=0.02)
    classes = changed.outputs[0].argmax(1) != records[-1].outputs[0].argmax(1)
    assert finding.effect.changed == classes.sum()
    assert finding.effect.inferences == len(x)


def test_effects_are_measured_on_a_hundred_inferences_drawn_from_all() -> None:
    x, samplers = np.arange(1000, dtype=np.float32).reshape(1000, 1), [Sampler(), Sampler()]
    samplers[0].add((x,))
    for start in range(0, 1000, 7):
        samplers[1].add((x[start : start + 7],))
    one, other = ([int(x.item()) for (x,) in sampler.chosen] for sampler in samplers)
    assert one == other and len(set(one)) == 100, "whatever the split"
    assert 400 < np.mean(one) < 600 and max(one) > 950
    finding, *_ = examined(converted(dead=("wh", 2)), pictures(130), float_net()).findings
    assert finding.effect is not None and finding.effect.inferences == 100


# ---- advice -----------------------------------------------------------------------------------------------


@given(
    low=st.floats(-1e6, 1e6, width=32), high=st.floats(-1e6, 1e6, width=32), dtype=st.sampled_from(["int8", "int16"])
)
def test_advised_scales_and_zero_points_hold_what_they_are_to(low: float, high: float, dtype: str) -> None:
    low, high = min(low, high), max(low, high)
    advised = activation_quantization(low, high, dtype)
    if advised is None:
        assert max(abs(low), abs(high)) < 1e-30, "too little for any scale"
        return
    scale, zero_point = advised
    least, most = code_range(dtype)
    assert least <= zero_point <= most and scale > 0 and float(np.float32(scale)) == scale
    assert dtype == "int8" or zero_point == 0
    ends = np.array([low, high], np.float32)
    back = dequantize(as_codes(ends, scale, zero_point, dtype), scale, zero_point)
    np.testing.assert_allclose(back, ends, rtol=1e-5, atol=1.01 * scale)


def test_what_a_layer_is_given_is_not_mended_by_its_zero_point() -> None:
    """The logits' scale holds the float model's values; only the killed channel before drives them beyond."""
    findings = examined(converted(dead=("wh", 2)), pictures(), float_net()).findings
    (finding,) = [f for f in findings if f.layer == "operator 5 (FULLY_CONNECTED)"]
    assert finding.kind == "saturation"
    assert "floats make such values, too, so that this is wrong already. Mend the layers before" in finding.text
    assert findings.index(finding) > [f.kind for f in findings].index("killed")


# ---- against another model --------------------------------------------------------------------------------


def test_all_layers_of_a_model_with_float_inputs_and_outputs_are_compared() -> None:
    float_model = float_net()
    model = quantized(float_model, pictures(), io="float32")
    result = examined(model, pictures(), float_model)
    assert result.compared == (8, 8)
    names = [layer.step.op.name for layer in result.layers if layer.step and layer.total is not None]
    assert names[0] == "QUANTIZE" and names[-1] == "SOFTMAX"


def test_health_finds_the_counterparts_that_quantize_finds() -> None:
    plan = make_plan(bundled_models()["stm32f746_int8"])
    float_plan = make_plan(bundled_models()["stm32f746_float32"])
    images, _ = bundled_digits()
    *_, result = health(plan, [(pixels_to_input(plan, images[:2]),)], float_plan)
    same = same_tensors(float_plan, plan)
    assert all((layer.tensor.index in same) == (layer.total is not None) for layer in result.layers)
    assert result.compared == (9, 9)


def test_a_float_model_of_other_outputs_is_refused() -> None:
    other = network(Node("RELU", {}, (fed((1, 1), "float32"),), (fed((1, 1), "float32", name="z"),)))
    wide = (fed((1, 1), "float32"), const([[1.0], [1.0]], "float32"), const([0.0, 0.0], "float32"))
    two = network(Node("FULLY_CONNECTED", DENSE | NONE, wide, (fed((1, 2), "float32", name="y"),)))
    model = quantized(doubling(), CALIBRATED)
    assert examined(model, CALIBRATED[:2], other).inferences == 2
    with pytest.raises(InputError, match="do not have the same inputs and outputs"):
        examined(model, CALIBRATED[:2], two)


# ---- what is not finite -----------------------------------------------------------------------------------


def test_effects_that_are_not_finite_are_the_worst_and_none_in_json() -> None:
    finding = Finding("operator 0", "error", 1.0, "", ((0, 0), (0,)), Effect(1, 1, 4.0, None))
    broken = replace(finding, effect=Effect(1, 1, np.nan, None))
    dead = replace(finding, effect=None)
    cut = replace(finding, kind="input", effect=None)
    assert sorted([dead, finding, broken, cut], key=lambda each: each.order) == [cut, broken, finding, dead]
    told = broken.as_dict()["effect"]
    assert told == {"inferences": 1, "rmse": None, "changed_classes": None}


@pytest.mark.parametrize("ends", [(-np.inf, 1.0), (0.0, np.nan), (0.0, 0.0)])
def test_nothing_is_advised_where_nothing_helps(ends: tuple[float, float]) -> None:
    assert activation_quantization(*ends, "int8") is None
