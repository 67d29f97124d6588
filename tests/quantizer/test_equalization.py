"""Equalised networks are what they were, their channels' ranges alike; and biases take back what is shifted."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from oracle import Tflm, host_plan

from refengine import make_plan, quantize, run
from refengine.commands import main
from refengine.kernel import Node
from refengine.model import Array, Model, Tensor
from refengine.quantizer import calibrate, convert, equalize
from refengine.quantizer.report import judge
from refengine.reading.links import Link, links
from refengine.tensors.inputs import quantize_input
from refengine.tflite_io import dump
from tests.examination.nets import DENSE, NONE, POOL, RELU, WINDOW, float_net, pictures
from tests.examination.test_findings import uneven
from tests.models import const, fed, network, present

RNG = np.random.default_rng(0)


def pairs(model: Model) -> dict[tuple[int, int], Link]:
    return {(link.first.index, link.second.index): link for link in links(make_plan(model)) if link.is_open}


def of_convolutions(activation: dict[str, str], *between: Node, end: Tensor, x: Tensor | None = None) -> Model:
    """1×6×6×2 → conv 3 → `between` → dense 2."""
    size = int(np.prod(end.shape))
    out = x or fed((1, 4, 4, 3), "float32", name="out")
    filter = const(RNG.normal(size=(3, 3, 3, 2)), "float32")
    dense = const(RNG.normal(size=(2, size)), "float32")
    return network(
        Node(
            "CONV_2D",
            WINDOW | activation,
            (fed((1, 6, 6, 2), "float32"), filter, const(np.ones(3), "float32", name="b")),
            (out,),
        ),
        *between,
        Node(
            "FULLY_CONNECTED",
            DENSE | NONE,
            (end, dense, const(np.zeros(2), "float32", name="b2")),
            (fed((1, 2), "float32", name="y"),),
        ),
    )


OUT = fed((1, 4, 4, 3), "float32", name="out")
POOLED, MEAN, PADDED, FLAT = (
    fed(shape, "float32", name=name)
    for shape, name in (((1, 2, 2, 3), "pool"), ((1, 3), "mean"), ((1, 5, 4, 3), "pad"), ((1, 48), "flat"))
)


def test_ways_on_which_channels_stay_apart() -> None:
    pool = Node("AVERAGE_POOL_2D", POOL | NONE, (OUT,), (POOLED,))
    mean = Node("MEAN", {"keep_dims": False}, (OUT, const([1, 2], "int32")), (MEAN,))
    pad = Node("PAD", {}, (OUT, const([[0, 0], [1, 0], [0, 0], [0, 0]], "int32")), (PADDED,))
    flat = Node("RESHAPE", {"new_shape": (1, 48)}, (OUT, const([1, 48], "int32")), (FLAT,))
    for activation, (way, end) in product(
        (RELU, NONE), [((), OUT), ((pool,), POOLED), ((mean,), MEAN), ((pad,), PADDED), ((flat,), FLAT)]
    ):
        (link,) = pairs(of_convolutions(activation, *way, end=end, x=OUT)).values()
        channels = np.arange(int(np.prod(end.shape))) % 3
        padding = np.arange(60) < 12 if end is PADDED else False
        np.testing.assert_array_equal(link.channels, np.where(padding, -1, channels))


def test_ways_that_no_factor_passes() -> None:
    six = {"fused_activation_function": "RELU6"}
    assert [link.is_open for link in links(make_plan(of_convolutions(six, end=OUT, x=OUT)))] == [False], "its clamp"
    mixed = fed((1, 4, 4), "float32", name="mean")
    mean = Node("MEAN", {"keep_dims": False}, (OUT, const([3], "int32")), (mixed,))
    assert not pairs(of_convolutions(RELU, mean, end=mixed, x=OUT)), "channels are mixed"
    total = Node("SUM", {"keep_dims": False}, (OUT, const([1, 2], "int32")), (MEAN,))
    assert not pairs(of_convolutions(RELU, total, end=MEAN, x=OUT)), "no channel's value comes out as it is"
    ones = Node("PADV2", {}, (OUT, const([[0, 0], [1, 0], [0, 0], [0, 0]], "int32"), const(1.0, "float32")), (PADDED,))
    assert not pairs(of_convolutions(RELU, ones, end=PADDED, x=OUT)), "what is padded with is not multiplied"
    other = Node("MAX_POOL_2D", POOL | NONE, (OUT,), (POOLED,))
    assert not pairs(of_convolutions(RELU, other, end=OUT, x=OUT)), "somebody else reads it"


def test_weights_with_two_readers_stay_as_they_are() -> None:
    weights, bias = const(RNG.normal(size=(3, 3)), "float32"), const(np.zeros(3), "float32")
    a, b, c = (fed((1, 3), "float32", name=name) for name in "abc")
    nodes = [Node("FULLY_CONNECTED", DENSE | RELU, (x, weights, bias), (y,)) for x, y in ((a, b), (b, c))]
    assert not pairs(network(*nodes))


def test_the_network_stays_what_it_is_and_both_ranges_of_a_channel_become_one() -> None:
    model, data = float_net(), pictures(20)
    made = equalize(make_plan(model))
    assert [(link.first.index, link.second.index) for link, _ in made.factors] == [(0, 1), (1, 4), (4, 5)]
    before, after = (run(make_plan(each), data)[0] for each in (model, made.model))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    weights = {t.index: present(t.data) for t in made.model.graphs[0].tensors if t.data is not None}
    for link, factors in made.factors:
        one, two = link.ranges(weights)
        np.testing.assert_allclose(one, two, rtol=0.01)
        assert (factors > 0).all() and factors.max() / factors.min() > 1.1


def test_a_channel_without_weights_stays_as_it_is() -> None:
    model, _ = uneven(np.geomspace(1, 0.1, 8))
    graph = model.graphs[0]
    alive = np.arange(8, dtype=np.float32) != 2
    tensors = tuple(replace(t, data=present(t.data) * alive) if t.shape == (1, 1, 1, 8) else t for t in graph.tensors)
    ((_, factors),) = equalize(make_plan(replace(model, graphs=(replace(graph, tensors=tensors),)))).factors
    assert factors[2] == 1 and np.isfinite(factors).all()


def test_relu_may_stand_for_another_activation() -> None:
    plan = make_plan(of_convolutions({"fused_activation_function": "RELU6"}, end=OUT, x=OUT))
    shut, opened = equalize(plan), equalize(plan, relu=True)
    assert [step.index for step in shut.clamped] == [0] and (shut.opened, shut.factors) == ((), ())
    assert [step.index for step in opened.opened] == [0] and opened.clamped == () and len(opened.factors) == 1
    small = np.random.default_rng(1).uniform(-0.1, 0.1, (5, 6, 6, 2)).astype(np.float32)
    np.testing.assert_allclose(run(make_plan(opened.model), small)[0], run(plan, small)[0], rtol=1e-4, atol=1e-4)
    large = small * 1000
    assert np.abs(run(make_plan(opened.model), large)[0] - run(plan, large)[0]).max() > 1
    minus = make_plan(of_convolutions({"fused_activation_function": "RELU_N1_TO_1"}, end=OUT, x=OUT))
    assert equalize(minus, relu=True).opened == (), "ReLU would cut off what it lets through"


def off(model: Model, quantized: Model, data: Array) -> float:
    return judge(make_plan(model), make_plan(quantized), [(data,)]).error.rmse


def test_uneven_channels_get_their_codes_back() -> None:
    model, data = uneven(np.geomspace(1, 1 / 400, 8))
    plain, equalized = (quantize(model, [(data,)], equalized=each) for each in (False, True))
    assert off(model, equalized, data) < off(model, plain, data) / 10


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_tflm_runs_what_was_equalised_bit_for_bit(tflm: Tflm, activations: str) -> None:
    data = pictures(30)
    model = quantize(float_net(), [(data,)], activations=activations, equalized=True)
    plan = host_plan(model)
    for picture in data[:3]:
        codes = quantize_input(plan, picture[None])
        (theirs,), (ours,) = tflm.run(dump(model), [codes]), run(plan, codes)
        assert theirs.tobytes() == ours.tobytes()


def test_biases_take_back_what_weights_shift() -> None:
    """One layer, positive data, and weights whose rounding all goes one way: an error of the mean alone."""
    weights = np.concatenate([[[127.0]], np.full((1, 63), 3.4)], axis=1)
    inputs = (fed((1, 64), "float32"), const(weights, "float32"), const([0.0], "float32"))
    model = network(Node("FULLY_CONNECTED", DENSE | NONE, inputs, (fed((1, 1), "float32", name="y"),)))
    data = np.random.default_rng(1).uniform(0.4, 0.6, (50, 64)).astype(np.float32)
    plan = make_plan(model)
    plain = convert(plan, calibrate(plan, [(data,)]))
    corrected = quantize(model, lambda: iter([(data,)]), equalized=True)  # no link: the biases alone change
    one, two = (run(make_plan(each), np.zeros((1, 64), np.int8))[0] for each in (plain, corrected))
    assert one != two
    assert off(model, corrected, data) < off(model, plain, data) / 10


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_the_command_tells_what_it_brought(
    activations: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = uneven(np.geomspace(1, 1 / 400, 8))
    (tmp_path / "float.tflite").write_bytes(dump(model))
    np.save(tmp_path / "x.npy", data)
    line = ["quantize", "float.tflite", "--data", "x.npy", "-o", "out.tflite", "--activations", activations]
    line = [str(tmp_path / each) if "." in each else each for each in line] + ["--equalize"]
    assert main([*line, "--equalized", str(tmp_path / "equalized.tflite"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sha256"] == make_plan(tmp_path / "float.tflite").model.sha256
    outputs = told["equalized"]["outputs"]
    assert list(outputs) == ["without it", "equalised", "and biases corrected"]
    written = make_plan(tmp_path / "out.tflite")
    float_plan = make_plan(tmp_path / "float.tflite")
    assert outputs["and biases corrected"]["rmse"] == judge(float_plan, written, [(data,)]).error.rmse
    assert outputs["and biases corrected"]["rmse"] < outputs["without it"]["rmse"] / 10
    (link,) = told["equalized"]["links"]
    assert (link["first"]["index"], link["second"]["index"]) == (0, 2)
    same = run(make_plan(tmp_path / "equalized.tflite"), data)[0]
    np.testing.assert_allclose(same, run(float_plan, data)[0], rtol=1e-4, atol=1e-5)
    assert main(line) == 0
    assert "equalised: operator 0 (DEPTHWISE_CONV_2D) with operator 2 (FULLY_CONNECTED), by" in capsys.readouterr().out
