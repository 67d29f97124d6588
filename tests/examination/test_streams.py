"""Quantised networks that remember: each number is that of two streams side by side, the integers' and the floats'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refengine import Session, dequantize_output, make_plan, quantize
from refengine.commands import main
from refengine.examination import Health, health
from refengine.examination.layer import Layer
from refengine.model import Array, Model, Quantization
from refengine.reading.float_reading import as_codes, float_reading, real_values
from refengine.tflite_io import dump
from tests.kernels.test_assign_variable import remembering
from tests.models import present, q
from tests.quantizer.test_convert import STATEFUL, sequences

KINDS = [("lstm", "int8"), ("lstm", "int16"), ("svdf", "int8"), ("stream", "int8"), ("stream", "int16")]


def quantized(name: str, activations: str = "int8") -> Model:
    return quantize(STATEFUL[name], sequences(STATEFUL[name]), activations=activations)


def examined(model: Model, float_model: Model | None = None, scale: float = 1.0) -> Health:
    *_, result = health(model, [(scale * x,) for (x,) in sequences(model)], float_model)
    return result


def layer_of(result: Health, name: str, lives_on: bool = False) -> Layer:
    return [each for each in result.layers if each.step and each.step.name == name and each.lives_on is lives_on][-1]


@pytest.mark.parametrize(("name", "activations"), KINDS)
@pytest.mark.parametrize("given", [False, True])
def test_total_errors_are_those_of_two_streams(name: str, activations: str, given: bool) -> None:
    model = quantized(name, activations)
    plan = make_plan(model)
    reference = make_plan(STATEFUL[name]) if given else float_reading(plan)
    result = examined(model, STATEFUL[name] if given else None)
    errors = []
    for (sequence,) in sequences(model):
        ours, theirs = Session(plan), Session(reference)
        for frame in sequence:
            (codes,), (real,) = ours.run(as_codes(frame[np.newaxis], plan.inputs[0])), theirs.run(frame[np.newaxis])
            errors.append(dequantize_output(plan, codes, 0) - np.float64(real))
    last = [each for each in result.layers if each.tensor.index == plan.graph.outputs[0]][-1]
    rmse = float(np.sqrt(np.mean(np.square(errors)))) / last.scale
    assert result.inferences == len(errors) == 36
    assert present(last.total).layer.rmse[0] == pytest.approx(rmse, rel=1e-4)
    everything, _ = result.experiment.effects([])
    assert present(everything).rmse == pytest.approx(rmse * last.scale, rel=1e-4)


@pytest.mark.parametrize("name", ["lstm", "svdf"])
def test_what_lives_on_is_beside_the_float_models_variables(name: str) -> None:
    """Hidden and cell state of an LSTM, the memory of an SVDF: what both streams hold after each inference."""
    model = quantized(name)
    plan, floats = make_plan(model), make_plan(STATEFUL[name])
    pairs = [(plan.steps[0].inputs[i], floats.steps[0].inputs[i]) for i in plan.steps[0].facts.updates]
    errors: dict[int, list[Array]] = {}
    for (sequence,) in sequences(model):
        ours, theirs = Session(plan), Session(floats)
        for frame in sequence:
            ours.run(as_codes(frame[np.newaxis], plan.inputs[0]))
            theirs.run(frame[np.newaxis])
            for mine, yours in ((present(one), present(other)) for one, other in pairs):
                held, wanted = ours.state.variables[0, mine.index], theirs.state.variables[0, yours.index]
                error = (real_values(held, mine) - np.float64(wanted)) / present(mine.quantization).scale[0]
                errors.setdefault(mine.index, []).append(error)
    layers = {each.tensor.index: each for each in examined(model, STATEFUL[name]).layers if each.lives_on}
    assert layers.keys() == errors.keys() and len(errors) == len(pairs)
    for index, found in errors.items():
        rmse = float(np.sqrt(np.mean(np.square(found))))
        assert present(layers[index].total).layer.rmse[0] == pytest.approx(rmse, rel=1e-3)


@pytest.mark.parametrize(("name", "activations"), KINDS)
def test_own_errors_are_little_more_than_rounding(name: str, activations: str) -> None:
    """Of int8 layers, what lives on included; an int16 cell adds what the tables of its sigmoids are off by."""
    result = examined(quantized(name, activations))
    for each in result.layers:
        bound = 0.4 if each.tensor.dtype == "int8" else 16
        assert present(each.own).layer.rmse[0] < bound, each


def test_a_step_that_remembers_is_judged_on_what_it_found() -> None:
    """The definition: the float operator on the real values of input and state, in each inference."""
    model = quantized("svdf")
    plan = make_plan(model)
    reading, errors = float_reading(plan), []
    for (sequence,) in sequences(model):
        session = Session(plan)
        for frame in sequence:
            before = session.state.variables
            (index,) = before
            x = as_codes(frame[np.newaxis], plan.inputs[0])
            (codes,) = session.run(x)
            state = real_values(before[index].reshape(1, -1), plan.graph.tensors[index[1]])
            of_codes, *_ = reading.steps[0].evaluate(
                real_values(x, plan.inputs[0])[np.newaxis],
                *(reading.constants[i] for i in reading.steps[0].op.inputs[1:4]),
                state[np.newaxis],
            )
            errors.append(real_values(codes, plan.outputs[0]) - np.float64(of_codes[0]))
    layer = layer_of(examined(model), "SVDF")
    rmse = float(np.sqrt(np.mean(np.square(errors)))) / layer.scale
    assert present(layer.own).layer.rmse[0] == pytest.approx(rmse, rel=1e-4)


def examined_on(model: Model, cases: list[tuple[Array, ...]]) -> Health:
    *_, result = health(model, cases)
    return result


def test_each_sequence_begins_anew() -> None:
    model = quantized("svdf")
    sequence, *_ = sequences(model)
    once, twice = examined_on(model, [sequence]), examined_on(model, [sequence] * 2)
    assert (once.inferences, twice.inferences) == (12, 24)
    for one, two in zip(once.layers, twice.layers, strict=True):
        assert present(one.total).layer.rmse == pytest.approx(present(two.total).layer.rmse)


def test_what_was_left_is_read_without_an_error() -> None:
    layer = layer_of(examined(quantized("stream")), "READ_VARIABLE")
    assert present(layer.own).largest.max() < 1e-4 and layer.is_inherited
    assert present(layer.total).layer.rmse[0] > 0.2


def test_a_variable_that_nobody_sets_up_means_0_at_first() -> None:
    """Its bytes are zero points; then it is what the inference before was given."""
    model = remembering("int8", q(0.5, -7))
    (graph,) = model.graphs
    read = replace(graph.tensors[2], quantization=q(0.5, -7))
    model = replace(model, graphs=(replace(graph, tensors=(*graph.tensors[:2], read)),))
    result = examined_on(model, [(np.array([[3, 4], [5, 6]], np.int8),)])
    _, layer = result.layers
    assert layer.codes == (-7, 4) and present(layer.total).largest.max() == 0
    assert (present(layer.total).most[0], present(layer.total).least[0]) == (11, 0)


def test_a_state_with_too_small_a_scale_is_named_without_advice_that_tflm_refuses() -> None:
    model = quantized("svdf")
    (graph,) = model.graphs
    state = next(t for t in graph.tensors if t.is_variable)
    small = replace(state, quantization=Quantization((present(state.quantization).scale[0] / 8,), (0,)))
    tensors = tuple(small if t is state else t for t in graph.tensors)
    result = examined(replace(model, graphs=(replace(graph, tensors=tensors),)))
    (finding,) = (each for each in result.findings if "state" in each.layer)
    assert finding.kind == "saturation" and "times too small" in finding.text and "would hold" not in finding.text
    assert "SVDF (state)" in result._repr_html_()


def test_an_error_is_worth_what_it_does_in_this_inference_and_later_ones() -> None:
    """Cut off at the input, a frame stays wrong in the window for three more inferences."""
    model = quantized("stream")
    result = examined(model, scale=4)
    finding = next(each for each in result.findings if each.kind == "input")
    reading, plan, errors = float_reading(make_plan(model)), make_plan(model), []
    for (sequence,) in sequences(model):
        right, cut = Session(reading), Session(reading)
        for frame in 4 * sequence[:, np.newaxis]:
            held = real_values(as_codes(frame, plan.inputs[0]), plan.inputs[0])
            errors.append(np.float64(cut.run(held)[0]) - right.run(frame)[0])
    assert present(finding.effect).rmse == pytest.approx(float(np.sqrt(np.mean(np.square(errors)))), rel=1e-5)
    assert result.findings[0] is finding and present(finding.effect).inferences == 36


def test_of_a_step_that_remembers_the_error_alone_is_tried() -> None:
    """Of this network it is the only layer, and what it adds is all there is but for the input's rounding."""
    model = quantized("lstm")
    result = examined(model)
    layer = layer_of(result, "UNIDIRECTIONAL_SEQUENCE_LSTM")
    place = (layer.at, tuple(range(len(layer.low))))
    everything, (alone,) = result.experiment.effects([place])
    assert 0.1 < present(alone).rmse / present(everything).rmse < 1.5


def test_the_command_takes_sequences(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("streams")
    model = quantized("stream")
    (folder / "stream.tflite").write_bytes(dump(model))
    for number, (sequence,) in enumerate(sequences(model)):
        np.save(folder / f"{number}.npy", sequence)
    paths = [str(folder / f"{number}.npy") for number in range(3)]
    assert main(["health", str(folder / "stream.tflite"), "--data", *paths]) == 0
    out = capsys.readouterr().out
    assert "36 inferences, against the float reading of the same graph" in out and "READ_VARIABLE" in out
