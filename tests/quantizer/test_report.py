"""The report: planted layers come out on top, leaving them in float heals, and every number is what it says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from refengine.bundled import bundled_models
from refengine.commands.quantize import _scales
from refengine.errors import InputError, RefengineError
from refengine.execute import execute, run
from refengine.kernel import Node
from refengine.kernels import FACTS
from refengine.model import Model
from refengine.plan import Plan, make_plan
from refengine.quantizer.calibrate import calibrate
from refengine.quantizer.choices import choices
from refengine.quantizer.convert import convert
from refengine.quantizer.report import LayerError, Outputs, rank
from refengine.reading.error import Error
from refengine.reading.float_reading import real_values
from refengine.strategies import Case, models
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input, quantize_input
from refengine.tflite_io import load
from tests.examination.nets import (
    CONV,
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
from tests.models import const, fed, network, q
from tests.quantizer.test_convert import RULED, quantisable

FLOATS = make_plan(float_net())
BATCHES = [(pictures(20),)]
LAYERS = 7


def by_operator(layers: list[LayerError]) -> dict[int, LayerError]:
    return {index: layer for layer in layers for index in layer.float_ops}


def poisoned() -> Model:
    """`float_net` with a channel that is always 0, which the layer "hidden" reads by huge weights: floats do not mind,
    but they make the scales of all its weights coarse."""
    (graph,) = float_net().graphs
    tensors = list(graph.tensors)

    def mended(name: str, at: slice | int, value: float) -> None:
        tensor = next(t for t in tensors if t.name == name)
        assert tensor.data is not None
        data = tensor.data.copy()
        data[..., at] = value
        tensors[tensor.index] = replace(tensor, data=data)

    mended("wd", 0, 0)
    mended("bd", 0, -1)
    mended("wh", slice(0, None, 6), 30)
    return replace(float_net(), graphs=(replace(graph, tensors=tuple(tensors)),))


@pytest.mark.parametrize(("name", "index"), [("conv", CONV), ("hidden", HIDDEN), ("logits", LOGITS)])
def test_a_scale_too_large_comes_out_on_top(name: str, index: int) -> None:
    scale, zero_point = calibrated(float_net())[name]
    healthy = by_operator(rank(FLOATS, converted(), BATCHES))
    broken = rank(FLOATS, make_plan(converted({name: (12 * scale, zero_point)})), BATCHES)
    assert broken[0].float_ops == (index,)
    assert broken[0].own.rmse > 6 * healthy[index].own.rmse
    assert broken[0].own.rmse / broken[0].scale < 0.4  # in codes it is plain rounding


def test_a_range_too_small_is_told_by_what_lies_outside() -> None:
    scale, _ = calibrated(float_net())["hidden"]
    worst, *others = rank(FLOATS, make_plan(converted({"hidden": (scale / 8, -128)})), BATCHES)
    assert worst.float_ops == (HIDDEN,)
    assert worst.saturation > 0.05
    assert all(layer.saturation < 0.01 for layer in others)


def test_weights_that_do_not_fit_their_scale_come_out_on_top_and_in_float_they_are_healed() -> None:
    model = poisoned()
    floats = make_plan(model)
    ranges = calibrate(floats, BATCHES)
    worst, *others = rank(floats, make_plan(convert(model, ranges)), BATCHES)
    assert worst.float_ops == (HIDDEN,)
    assert worst.only.error.rmse > 5 * max(layer.only.error.rmse for layer in others)
    assert worst.helps
    assert worst.gain == max(layer.gain for layer in (worst, *others)) > 0.7
    healed = rank(floats, make_plan(convert(model, ranges, keep={HIDDEN})), BATCHES)
    assert healed[0].all.error.rmse == worst.kept.error.rmse
    assert HIDDEN not in by_operator(healed)


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_kept_is_what_convert_gives(activations: str) -> None:
    ranges = calibrate(FLOATS, BATCHES)
    layers = rank(FLOATS, make_plan(convert(FLOATS.model, ranges, activations=activations)), BATCHES)
    assert set(by_operator(layers)) == set(range(LAYERS))
    for layer in layers:
        if layer.float_ops[0] in (CONV, HIDDEN, LOGITS):
            plan = make_plan(convert(FLOATS.model, ranges, activations=activations, keep={*layer.float_ops}))
            assert rank(FLOATS, plan, BATCHES)[0].all == layer.kept


def slow(floats: Plan, quantized: Plan, x: npt.NDArray[np.float32]) -> dict[int, tuple[float, float, float]]:
    """(Σ whole², Σ signal², Σ outputs'² if only this layer is quantised) of an operator: sample by sample."""
    found = dict.fromkeys(range(LAYERS), (0.0, 0.0, 0.0))
    for sample in x:
        reals = {r.step.index: r for r in execute(floats, sample[None])}
        codes = {r.step.index: r for r in execute(quantized, quantize_input(quantized, sample[None]))}
        for i, real in reals.items():
            (tensor,) = codes[i].step.outputs
            whole = real_values(codes[i].outputs[0], tensor) - real.outputs[0].astype(np.float64)
            signal = real.outputs[0].astype(np.float64)
            own = own_error(real.inputs[0], real.step, codes[i].step)
            injected = {real.step.outputs[0].index: (real.outputs[0] + own).astype(np.float32)}
            *_, last = execute(floats, sample[None], known=injected)
            shift = last.outputs[0].astype(np.float64) - reals[SOFTMAX].outputs[0]
            sums = (np.square(whole).sum(), np.square(signal).sum(), np.square(shift).sum())
            found[i] = tuple(a + float(b) for a, b in zip(found[i], sums, strict=True))  # type: ignore[assignment]
    return found


def own_error(x: Any, real: Any, quantized: Any) -> Any:
    """Of one operator on one input, by two models of one operator each."""
    (before, after), shown = (quantized.inputs[0], quantized.outputs[0]), quantized.inputs[1:]
    node = Node(quantized.op.name, quantized.op.options, (before, *shown), (after,))
    single = make_plan(network(node))
    codes = np.round(x / np.float32(before.quantization.scale[0])).clip(-300, 300) + before.quantization.zero_point[0]
    codes = codes.clip(-128, 127).astype(np.int8)
    (result,) = run(single, codes)
    floats = make_plan(network(Node(real.op.name, real.op.options, real.inputs, real.outputs)))
    (wanted,) = run(floats, real_values(codes, before))
    return real_values(result, after) - wanted.astype(np.float64)


def test_every_number_against_a_plain_loop() -> None:
    quantized = make_plan(converted())
    layers = by_operator(rank(FLOATS, quantized, BATCHES))
    for index, (whole, signal, only) in slow(FLOATS, quantized, BATCHES[0][0]).items():
        assert layers[index].total.square == pytest.approx(whole)
        assert layers[index].total.signal == pytest.approx(signal)
        assert layers[index].only.error.square == pytest.approx(only)
        assert layers[index].all.error.square == layers[SOFTMAX].total.square


def test_a_gain_by_one_sample_of_many_is_chance() -> None:
    layer = rank(FLOATS, make_plan(converted()), BATCHES)[0]
    all_squares = (1.0,) * 20

    def kept(squares: tuple[float, ...]) -> LayerError:
        def outputs(of: tuple[float, ...]) -> Outputs:
            return Outputs(Error(20, sum(of), 1.0, 1.0), of, ())

        return replace(layer, all=outputs(all_squares), kept=outputs(squares))

    assert kept((0.5,) * 20).helps
    assert not kept((0.0, *(1.01,) * 19)).helps
    assert not kept(all_squares).helps
    assert kept((*(0.1,) * 7, *(1.0,) * 13)).helps  # most samples may not change at all
    assert not kept((*(0.1,) * 6, *(1.0,) * 14)).helps
    assert kept((0.0, *(1.01,) * 19)).gain > 0


def test_layers_that_only_move_codes_have_no_error_of_their_own() -> None:
    layers = by_operator(rank(FLOATS, make_plan(converted()), BATCHES))
    for index in (MAX_POOL, RESHAPE):
        assert layers[index].own.square == layers[index].only.error.square == 0
        assert layers[index].own.sqnr == inf
        assert layers[index].total.square > 0
        assert layers[index].as_dict()["own_error"]["sqnr_db"] is None


def test_the_split_does_not_matter() -> None:
    quantized, x = make_plan(converted()), pictures(40)
    whole = [layer.as_dict() for layer in rank(FLOATS, quantized, [(x,)])]
    with ThreadPoolExecutor(2) as executor:
        parts = rank(FLOATS, quantized, [(x[:3],), (x[3:20],), (x[20:],)], executor=executor)
    assert [layer.as_dict() for layer in parts] == whole


def test_inputs_and_outputs_in_float_and_what_is_inserted_find_their_counterparts() -> None:
    model = convert(FLOATS.model, calibrate(FLOATS, BATCHES), io="float32", keep={MAX_POOL})
    layers = rank(FLOATS, make_plan(model), BATCHES)
    inserted = [layer for layer in layers if not layer.float_ops]
    assert {layer.step.op.name for layer in inserted} == {"QUANTIZE"}
    assert set(by_operator(layers)) == set(range(LAYERS)) - {MAX_POOL}
    (fed,) = (layer for layer in inserted if layer.step.index == 0)
    assert 0.2 < fed.own.rmse / fed.scale < 0.3


def test_without_names_the_order_tells() -> None:
    def nameless(model: Model) -> Plan:
        (graph,) = model.graphs
        return make_plan(
            replace(model, graphs=(replace(graph, tensors=tuple(replace(t, name="") for t in graph.tensors)),))
        )

    model = convert(FLOATS.model, calibrate(FLOATS, BATCHES), io="float32", keep={HIDDEN})
    named, unnamed = (
        rank(floats, plan, BATCHES)
        for floats, plan in ((FLOATS, make_plan(model)), (nameless(FLOATS.model), nameless(model)))
    )
    assert [(a.float_ops, a.only, a.kept) for a in named] == [(a.float_ops, a.only, a.kept) for a in unnamed]


def test_one_quantised_operator_may_stand_for_two() -> None:
    """A RELU that was fused."""
    rng = np.random.default_rng(4)
    w, b = rng.normal(size=(3, 5)).astype(np.float32), np.zeros(3, np.float32)
    options = {"keep_num_dims": False, "weights_format": "DEFAULT", "fused_activation_function": "NONE"}
    x, y, z = fed((1, 5), "float32", name="x"), fed((1, 3), "float32", name="y"), fed((1, 3), "float32", name="z")
    dense = Node("FULLY_CONNECTED", options, (x, const(w, "float32"), const(b, "float32")), (y,))
    floats = make_plan(network(dense, Node("RELU", {}, (y,), (z,))))
    scale = float(np.abs(w).max() / 127)
    codes = const(np.round(w / scale), "int8", q(scale))
    bias = const([0, 0, 0], "int32", q(scale / 64))
    (qx, qz) = fed((1, 5), "int8", q(1 / 64), name="x"), fed((1, 3), "int8", q(1 / 20, -128), name="z")
    fused = options | {"fused_activation_function": "RELU"}
    quantized = make_plan(network(Node("FULLY_CONNECTED", fused, (qx, codes, bias), (qz,))))
    (layer,) = rank(floats, quantized, [(rng.uniform(-1, 1, (30, 5)).astype(np.float32),)])
    assert layer.float_ops == (0, 1)
    assert layer.own.rmse / layer.scale < 0.4


def test_a_converters_own_file_can_be_judged() -> None:
    floats, quantized = (make_plan(bundled_models()[f"stm32f746_{kind}"]) for kind in ("float32", "int8"))
    layers = rank(floats, quantized, [(pixels_to_input(floats, bundled_digits()[0][:8]),)])
    assert sorted(by_operator(layers)) == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    assert all(layer.all.agreement == 1 for layer in layers)


JUDGEABLE = [op for op in RULED if quantisable(op, "int8") and not FACTS[op].updates]
"""What becomes codes, and remembers nothing."""


@given(models(JUDGEABLE, dtypes=["float32"], max_ops=5), st.sampled_from(["int8", "float32"]))
@settings(max_examples=30)
def test_any_model_can_be_judged(case: Case, io: str) -> None:
    """Every quantised operator is found, and those that only move codes have no error of their own."""
    model = load(case.model)
    floats = make_plan(model)
    try:
        ranges = calibrate(floats, [case.inputs])
        quantized = make_plan(convert(model, ranges, io=io))
    except RefengineError:  # infinities, scales too small
        assume(False)
    layers = rank(floats, quantized, [case.inputs])
    judged = {step.index for step in quantized.steps if step.outputs[0].dtype == "int8"}
    assert {layer.step.index for layer in layers} == judged
    for layer in layers:
        clamps = layer.step.op.options.get("fused_activation_function", "NONE") != "NONE"  # at a bound that is rounded
        assert clamps or not (layer.step.op.name in ("RESHAPE", "TRANSPOSE", "MAX_POOL_2D") and layer.own.square)
    told = {each.tensor.index for each in choices(floats, quantized, ranges)}
    assert told >= {layer.tensor.index for layer in layers}


def test_choices_tell_ranges_and_scales() -> None:
    ranges = calibrate(FLOATS, BATCHES)
    layers = choices(FLOATS, make_plan(convert(FLOATS.model, ranges)), ranges)
    assert [layer.float_ops for layer in layers] == [(), *((i,) for i in range(LAYERS))]
    (hidden,) = (layer for layer in layers if layer.tensor.name == "hidden")
    assert hidden.calibrated == ranges[next(t.index for t in FLOATS.graph.tensors if t.name == "hidden")]
    assert len(hidden.weight_scales) == 16
    assert [_scales(each) for each in ((), (0.5,), (0.5, 0.25), (0.5, 0.5))] == [
        "",
        "1: 0.5",
        "2: 0.25 … 0.5",
        "2: 0.5",
    ]
    assert hidden.as_dict()["scale"] == pytest.approx(hidden.calibrated[1] / 255)


def test_an_error_of_nothing() -> None:
    assert Error(4, 0.0, 0.0, 0.0).sqnr == inf
    assert Error(4, 1.0, 0.0, 0.0).sqnr == -inf
    assert Error(4, 1.0, 100.0, 0.0) + Error(12, 3.0, 300.0, 2.0) == Error(16, 4.0, 400.0, 2.0)
    assert Error(16, 4.0, 400.0, 2.0).rmse == 0.5
    assert Error(16, 4.0, 400.0, 2.0).sqnr == 20


def test_strangers_are_refused() -> None:
    other = make_plan(network(Node("RELU", {}, (fed((1, 2), "float32"),), (fed((1, 2), "float32", name="z"),))))
    with pytest.raises(InputError, match="do not have the same inputs and outputs"):
        rank(FLOATS, other, BATCHES)
    with pytest.raises(InputError, match="no operator of the quantised model computes"):
        rank(FLOATS, FLOATS, BATCHES)
    with pytest.raises(InputError, match="no samples"):
        rank(FLOATS, make_plan(converted()), [])
