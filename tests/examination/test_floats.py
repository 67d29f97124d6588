"""Networks of floats have a health, too: what overflows, what never moves, and what int8 would make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refengine import InputError, make_plan, quantize, run
from refengine.commands import main
from refengine.examination import Health, health
from refengine.kernel import Node
from refengine.model import Array, Graph, Model
from refengine.session import Session
from refengine.strategies import model_of
from refengine.tflite_io import dump
from tests.examination.nets import DENSE, NONE, RELU, converted, float_net, pictures
from tests.examination.test_findings import examined, gate, kinds, uneven
from tests.kernels.test_call_once import accumulator
from tests.models import const, fed, network, one_op, present, svdf
from tests.test_partial import vendored

DEEP = "operator 0 (DEPTHWISE_CONV_2D)"


def test_every_number_is_that_of_the_arrays_whatever_the_split() -> None:
    model, data = float_net(), pictures(20)
    plan = make_plan(model)
    whole = examined(model, data)
    *_, split = health(plan, [(data[:7],), (data[7:],)])
    assert whole.as_dict() == split.as_dict()
    outputs = run(plan, data)[0]
    last = whole.floats[-1]
    np.testing.assert_array_equal(last.low, outputs.min(axis=0))
    np.testing.assert_array_equal(last.high, outputs.max(axis=0))
    assert (last.count, whole.inferences, len(whole.floats), whole.layers) == (20, 20, 8, ())
    hidden = whole.floats[5]
    assert (hidden.zeros > 0).any() and hidden.low.min() == 0
    assert "8 layers of floats on 20 inferences" in repr(whole)
    assert "smallest" in whole._repr_html_()


def test_a_sound_network_is_found_sound() -> None:
    assert [finding for finding in examined(float_net(), pictures()).findings if finding.kind != "silent"] == []


def chain(first: float, second: float) -> Model:
    """relu(x · first) · second."""
    hidden = fed((1, 1), "float32", name="hidden")
    weights = [const([[value]], "float32") for value in (first, second)]
    none = const([0.0], "float32"), const([0.0], "float32")
    return network(
        Node("FULLY_CONNECTED", DENSE | RELU, (fed((1, 1), "float32"), weights[0], none[0]), (hidden,)),
        Node("FULLY_CONNECTED", DENSE | NONE, (hidden, weights[1], none[1]), (fed((1, 1), "float32", name="y"),)),
    )


def test_an_overflow_is_told_of_where_it_arises_though_tflm_clamps_it() -> None:
    data = np.array([[1.0], [2e38], [2.0], [3e38]], np.float32)
    result = examined(chain(3, 2), data)
    (finding,) = result.findings
    assert (finding.layer, finding.kind) == ("operator 0 (FULLY_CONNECTED)", "overflow")
    assert finding.text.startswith(
        "In 2 of 4 inferences finite inputs give results here that are not: 2 beyond float32's end, 3.4e38, in channel "
        "0 of 1."
    )
    assert result.floats[1].high == [6], "of the finite ones"


def test_nan_is_told_of_where_it_arises() -> None:
    data = np.array([[1.0], [-1.0]], np.float32)
    result = examined(one_op("SQRT", {}, [fed((1, 1), "float32")], fed((1, 1), "float32", name="y")), data)
    assert [finding.text.split(":")[1][:6] for finding in result.findings] == [" 1 NaN"]
    told = json.dumps(result.as_dict(), allow_nan=False)
    assert '"nan": 1' in told


def test_a_constant_that_is_not_finite_is_named() -> None:
    inputs = [fed((1, 2), "float32"), const([[0.0, -np.inf]], "float32", name="mask")]
    model = one_op("ADD", NONE, inputs, fed((1, 2), "float32", name="y"))
    (finding,) = examined(model, np.ones((3, 2), np.float32)).findings
    assert finding.kind == "constant" and "is not finite, nor are results in 3 of 3 inferences" in finding.text


def test_what_depends_on_no_input_is_the_same_in_every_inference() -> None:
    total = fed((1, 2), "float32", name="total")
    half = Node("ADD", NONE, (const([[1.0, 2.0]], "float32"), const([[1.0, 2.0]], "float32")), (total,))
    end = Node("MUL", NONE, (fed((1, 2), "float32"), total), (fed((1, 2), "float32", name="y"),))
    result = examined(network(half, end), np.ones((4, 2), np.float32))
    assert [layer.count for layer in result.floats] == [4, 4, 4]


def test_of_a_partial_plan_what_depends_on_a_gap_is_left_out() -> None:
    plan = make_plan(vendored(float_net(), 4), partial=True)
    *_, result = health(plan, [(pictures(3),)])
    assert [None if layer.step is None else layer.step.index for layer in result.floats] == [None, 0, 1, 2, 3]
    assert [step.index for step in result.unjudged] == [4, 5, 6] and result.findings == []


def test_what_lives_on_is_measured_in_sequences() -> None:
    model = model_of(svdf(fed((1, 3), "float32"), 2, np.random.default_rng(2)))
    plan, data = make_plan(model), np.random.default_rng(3).normal(size=(2, 5, 1, 3)).astype(np.float32)
    *_, result = health(plan, [(sequence,) for sequence in data])
    fed_, output, state = result.floats
    assert (result.inferences, fed_.count, output.count, state.count) == (10, 10, 10, 10)
    outputs, states = [], []
    for sequence in data:
        session = Session(plan)
        outputs += [session.run(frame)[0] for frame in sequence]
        states.append(next(iter(session.state.variables.values())))
    np.testing.assert_array_equal(output.high, np.max(outputs, axis=(0, 1)))
    assert str(state) == "operator 0 (SVDF), state 'input4'"
    assert (state.high >= np.max(states, axis=(0, 1))).all()
    assert "SVDF (state)" in result._repr_html_()


def test_what_sets_up_variables_once_is_no_layer() -> None:
    def floats(graph: Graph) -> Graph:
        ones = (replace(t, dtype="float32", quantization=None) if t.dtype == "int8" else t for t in graph.tensors)
        made = (t if t.data is None else replace(t, data=t.data.astype(np.float32)) for t in ones)
        return replace(graph, tensors=tuple(made))

    model = Model(tuple(map(floats, accumulator(initial=5).graphs)))
    *_, result = health(model, [(np.array([[[1, -2]], [[7, 3]], [[0, 0]]], np.float32),)])
    assert [layer.step and layer.step.name for layer in result.floats] == [None, "READ_VARIABLE"]
    read = result.floats[1]
    assert (read.count, read.low.tolist(), read.high.tolist()) == (3, [1.0, -2.0], [7.0, 5.0])


def test_channels_that_int8_would_make_coarse_are_named_if_it_matters() -> None:
    model, data = uneven(np.geomspace(1, 1 / 400, 8))
    result = examined(model, data)
    (finding,) = result.findings
    assert (finding.layer, finding.kind) == (DEEP, "channels")
    codes = [int(code) for code in result.floats[1].codes[4:]]
    named = ", ".join(map(str, codes))
    assert f"channels 4, 5, 6, 7 of 8 would have {named} of 256 codes. The next layer, FULLY_CONN" in finding.text
    assert finding.effect is not None and finding.effect.changed
    quantized = examined(quantize(model, [(data,)]), data).layers[1]
    used = quantized.high - quantized.low + 1
    assert np.abs(used - result.floats[1].codes).max() <= 1, "that is what becomes of them"
    even, data = uneven(np.ones(8))
    assert examined(even, data).findings == []


def test_dead_channels_are_those_whose_weights_are_zero_others_are_silent() -> None:
    (graph,) = gate(-1.5).graphs
    alive = np.array([[1], [0]], np.float32)
    tensors = [replace(t, data=present(t.data) * alive) if t.shape == (2, 1) else t for t in graph.tensors]
    model = Model((replace(graph, tensors=tuple(tensors)),))
    data = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
    found = examined(model, data).findings
    assert kinds(found)[:2] == [("operator 0 (FULLY_CONNECTED)", kind) for kind in ("dead", "silent")]
    assert found[0].text == "The weights of channel 1 of 2 are all 0, so that no input changes it: prune."
    assert "channel 0 of 2" in found[1].text
    few: Health = examined(model, data[:9])
    assert [finding.kind for finding in few.findings] == ["dead"], "silence in nine inferences says nothing"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="is given NaN or infinity"):
        examined(float_net(), np.full((1, 10, 10, 1), value, np.float32))


def test_a_float_model_has_none_beside_it() -> None:
    with pytest.raises(InputError, match="the model is of floats itself"):
        examined(float_net(), pictures(1), float_net())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = uneven(np.geomspace(1, 1 / 400, 8))
    (tmp_path / "float.tflite").write_bytes(dump(model))
    np.save(tmp_path / "x.npy", data)
    line = ["health", str(tmp_path / "float.tflite"), "--data", str(tmp_path / "x.npy")]
    assert main(line) == 0
    printed = capsys.readouterr().out
    assert "60 inferences, in floats" in printed
    assert f"1. {DEEP}: channels. Quantised to int8, where a layer has one scale, channels 4, 5, 6, 7 of 8" in printed
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["float"] is None
    assert told["layers"][1]["coarse_channels"] == [4, 5, 6, 7]
    assert main([*line, "--plots", str(tmp_path / "plots")]) == 2
    assert "--plots draws the codes of quantised layers" in capsys.readouterr().err


def test_a_model_of_integers_alone_has_no_health() -> None:
    model = one_op("ADD", {"fused_activation_function": "NONE"}, [fed((1, 2), "int32")] * 2, fed((1, 2), "int32"))
    with pytest.raises(InputError, match=r"no quantised layer, and none of float32"):
        list(health(make_plan(model), [(np.zeros((1, 2), np.int32),)]))


def test_quantised_models_are_measured_as_before() -> None:
    codes: Array = np.zeros((1, 10, 10, 1), np.int8)
    assert examined(converted(), codes).floats == ()
