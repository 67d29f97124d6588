"""Calibration: ranges equal to a plain loop's, whatever the split, and each method against a slow twin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine.bundled import bundled_models
from refengine.errors import InputError
from refengine.execute import execute
from refengine.kernel import Node
from refengine.plan import Plan, make_plan
from refengine.quantizer.calibrate import AVERAGING, METHODS, TASK, Samples, calibrate, entropy_threshold
from refengine.session import Session
from refengine.strategies import model_of
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from tests.models import const, fed, network, svdf

Floats = npt.NDArray[np.float32]
SUBNORMAL = float(np.finfo(np.float32).smallest_subnormal)


def twice(shape: tuple[int, ...] = (1, 3)) -> Plan:
    """y = x + x, and then its RELU."""
    x, y, z = (fed(shape, "float32", name=name) for name in "xyz")
    add = Node("ADD", {"fused_activation_function": "NONE", "pot_scale_int16": False}, (x, x), (y,))
    return make_plan(network(add, Node("RELU", {}, (y,), (z,))))


PLAN = twice()
INDEX = {tensor.name: tensor.index for tensor in PLAN.graph.tensors}
samples = st.lists(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3), min_size=1, max_size=40
).map(lambda rows: np.array(rows, np.float32))


@st.composite
def splits(draw: Callable[..., Any]) -> tuple[Floats, list[tuple[Floats]]]:
    """Samples, and the same in batches of any lengths."""
    x: Floats = draw(samples)
    cuts = sorted(draw(st.lists(st.integers(0, len(x)), max_size=4)))
    return x, [(part,) for part in np.split(x, cuts) if len(part)]


def values(x: Floats) -> dict[str, Floats]:
    return {"x": x, "y": x + x, "z": np.maximum(x + x, 0)}


@given(splits(), st.sampled_from(METHODS))
@settings(max_examples=40)
def test_the_split_does_not_matter(split: tuple[Floats, list[tuple[Floats]]], method: str) -> None:
    x, batches = split
    whole = calibrate(PLAN, [(x,)], method)
    assert calibrate(PLAN, iter(batches), method) == whole
    with ThreadPoolExecutor(3) as executor:
        assert calibrate(PLAN, batches, method, executor=executor) == whole
    assert set(whole) == set(INDEX.values())
    for low, high in whole.values():
        assert (low, high) == (np.float32(low), np.float32(high))
        assert low <= high


@given(samples)
def test_minmax_is_the_extremes(x: Floats) -> None:
    expected = {INDEX[name]: (v.min(), v.max()) for name, v in values(x).items()}
    assert calibrate(PLAN, [(x,)]) == expected


@given(samples)
def test_a_moving_average_goes_sample_by_sample(x: Floats) -> None:
    found = calibrate(PLAN, [(x,)], "moving-average")
    for name, v in values(x).items():
        low, high = float(v[0].min()), float(v[0].max())
        for row in v[1:]:
            low += AVERAGING * (float(row.min()) - low)
            high += AVERAGING * (float(row.max()) - high)
        np.testing.assert_allclose(found[INDEX[name]], (low, high), rtol=1e-6, atol=1e-6 * np.abs(v).max() + SUBNORMAL)


@given(samples, st.sampled_from([50.1, 75, 90, 99, 99.99, 100]))
def test_percentiles_are_order_statistics(x: Floats, percentile: float) -> None:
    found = calibrate(PLAN, [(x,)], "percentile", percentile=percentile)
    for name, v in values(x).items():
        ordered = sorted(v.ravel().tolist())
        beyond = int(len(ordered) * (10000 - round(percentile * 100)) // 10000)
        assert found[INDEX[name]] == (ordered[beyond], ordered[-1 - beyond])


def test_percentiles_leave_the_outliers_out() -> None:
    x = np.linspace(-1, 1, 3000, dtype=np.float32).reshape(-1, 3)
    x[500, 0], x[600, 1] = 1e6, -1e6
    low, high = calibrate(PLAN, [(x,)], "percentile", percentile=99.9)[INDEX["x"]]
    assert -1 <= low < -0.99
    assert 0.99 < high <= 1


def slow_threshold(counts: list[int], top: float, levels: int) -> float:
    """The entropy method in plain Python, step by step as its paper tells it."""
    bins = [counts[1], *counts[1:]]
    scores = {}
    for size in range(levels, len(bins) + 1):
        reference = [*bins[: size - 1], sum(bins[size - 1 :])]
        quantized = [0.0] * size
        for level in range(levels):
            members = [j for j in range(size) if j * levels // size == level and bins[j]]
            for j in members:
                quantized[j] = sum(bins[m] for m in members) / len(members)
        p, q = sum(reference), sum(quantized)
        if not p or any(r and not s for r, s in zip(reference, quantized, strict=True)):
            continue
        scores[size] = sum(r / p * log(r / p / (s / q)) for r, s in zip(reference, quantized, strict=True) if r)
    best = min(scores.values(), default=0.0)
    chosen = max((size for size, score in scores.items() if score <= best + 1e-12), default=len(bins))
    return top * chosen / len(bins)


@given(st.lists(st.integers(0, 50), min_size=16, max_size=48), st.sampled_from([4, 8, 16]))
def test_entropy_cuts_where_its_definition_says(counts: list[int], levels: int) -> None:
    assert entropy_threshold(np.array(counts), 3.0, levels) == pytest.approx(slow_threshold(counts, 3.0, levels))


def test_entropy_leaves_a_lonely_outlier_out_and_keeps_what_is_even() -> None:
    even = np.linspace(-1, 1, 30000, dtype=np.float32).reshape(-1, 3)
    assert calibrate(PLAN, [(even,)], "entropy")[INDEX["x"]] == (-1, 1)
    bell = np.random.default_rng(1).normal(size=(20000, 3)).astype(np.float32)
    bell[3, 1] = 40
    low, high = calibrate(PLAN, [(bell,)], "entropy")[INDEX["x"]]
    assert 2.4 < high < 10
    assert -high <= low == max(bell.min(), -high)


def test_constant_and_zero_tensors_have_their_range() -> None:
    for method in METHODS:
        assert calibrate(PLAN, [(np.zeros((5, 3), np.float32),)], method)[INDEX["x"]] == (0, 0)
        assert calibrate(PLAN, [(np.full((5, 3), -2, np.float32),)], method)[INDEX["z"]] == (0, 0)


@pytest.mark.parametrize(
    ("bad", "place"), [(np.nan, "input 'x' holds nan"), (-9, r"operator 0 \(LEAKY_RELU\) computes -inf")]
)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_is_refused_by_operator_and_sample(bad: float, place: str, method: str) -> None:
    x, y = fed((1, 3), "float32", name="x"), fed((1, 3), "float32", name="y")
    plan = make_plan(network(Node("LEAKY_RELU", {"alpha": 1e38}, (x,), (y,))))
    data = np.zeros((40, 3), np.float32)
    data[37, 1] = bad
    with pytest.raises(InputError, match=f"^sample 37: {place}"):
        calibrate(plan, [(data[:20],), (data[20:],)], method)


def test_a_model_without_a_batch_dimension_takes_samples_one_by_one() -> None:
    plan = twice((3,))
    found = calibrate(plan, [(np.array([i, 0, 1], np.float32),) for i in range(20)])
    assert found[plan.inputs[0].index] == (0, 19)


def test_integers_have_no_range() -> None:
    x, i, y = fed((1, 2), "float32"), const([1, 2], "int32"), fed((1, 2), "float32", name="y")
    plan = make_plan(network(Node("RESHAPE", {"new_shape": ()}, (x, i), (y,))))
    assert set(calibrate(plan, [(np.ones((1, 2), np.float32),)])) == {plan.inputs[0].index, plan.outputs[0].index}


def test_what_cannot_be_is_told() -> None:
    x = (np.ones((1, 3), np.float32),)
    with pytest.raises(InputError, match="no method of calibration; choose one of minmax, moving-average"):
        calibrate(PLAN, [x], "median")
    for percentile in (50.0, 100.5, float("nan")):
        with pytest.raises(InputError, match="the percentile is"):
            calibrate(PLAN, [x], "percentile", percentile=percentile)
    for method in METHODS:
        with pytest.raises(InputError, match="no samples"):
            calibrate(PLAN, [], method)
    with pytest.raises(InputError, match="the model has no float32 tensor: it is quantised already"):
        calibrate(make_plan(bundled_models()["dense_int8"]), [x])
    with pytest.raises(InputError, match="int64"):
        calibrate(PLAN, [(np.ones((1, 3), np.int64),)])


def test_a_name_and_real_values_of_any_width_will_do() -> None:
    assert calibrate(PLAN, [(np.full((1, 3), 0.1),)]) == calibrate(PLAN, [(np.full((1, 3), 0.1, np.float32),)])
    name = "stm32f746_float32"
    x = (pixels_to_input(make_plan(bundled_models()[name]), bundled_digits()[0][:1]),)
    assert calibrate(name, [x]) == calibrate(make_plan(bundled_models()[name]), [x])


def test_a_trained_network_against_a_plain_loop() -> None:
    plan = make_plan(bundled_models()["stm32f746_float32"])
    x = pixels_to_input(plan, bundled_digits()[0][:20])
    expected = {plan.inputs[0].index: (x.min(), x.max())}
    for record in execute(plan, x):
        for tensor, y in zip(record.step.outputs, record.outputs, strict=True):
            if tensor.dtype == "float32":
                expected[tensor.index] = (y.min(), y.max())
    assert calibrate(plan, [(x,)]) == expected


def test_tasks_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are asked for as they are needed, not before."""
    events = []
    module = sys.modules["refengine.quantizer.calibrate"]  # the package has a function of this name
    extremes: Callable[[Plan, Samples], Floats] = module._extremes

    def batches() -> Iterator[tuple[Floats]]:
        for i in range(3):
            events.append(f"asked for {i}")
            yield (np.ones((TASK, 3), np.float32),)

    def watching(plan: Plan, task: Samples) -> Floats:
        events.append(f"ran from {task.first}")
        return extremes(plan, task)

    monkeypatch.setattr(module, "_extremes", watching)
    calibrate(PLAN, batches())
    assert events == ["asked for 0", "ran from 0", "asked for 1", "ran from 32", "asked for 2", "ran from 64"]


# ---- what lives on --------------------------------------------------------------------------------------------

REMEMBERING = make_plan(model_of(svdf(fed((1, 3), "float32"), 2, np.random.default_rng(9))))


def seen(sequences: list[Floats]) -> tuple[float, float]:
    """The extremes of the output where the state lives on within each sequence, and begins anew with the next."""
    outputs = []
    for frames in sequences:
        session = Session(REMEMBERING)
        outputs += [session.run(frame[np.newaxis])[0] for frame in frames]
    return float(np.min(outputs)), float(np.max(outputs))


def frames(*lengths: int) -> list[Floats]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=(length, 3)).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("lengths", [(12,), (4, 4, 4), (5, 1, 7, 7, 2)])
def test_a_batch_is_a_sequence_where_something_lives_on(lengths: tuple[int, ...]) -> None:
    found = calibrate(REMEMBERING, [(sequence,) for sequence in frames(*lengths)])
    (output,) = REMEMBERING.graph.outputs
    assert found[output] == seen(frames(*lengths))


def test_where_sequences_end_counts() -> None:
    whole, parted = frames(12), frames(*[1] * 12)
    assert np.array_equal(np.concatenate(whole), np.concatenate(parted))
    (output,) = REMEMBERING.graph.outputs
    assert calibrate(REMEMBERING, [(whole[0],)])[output] != calibrate(REMEMBERING, [(x,) for x in parted])[output]


@pytest.mark.parametrize("method", METHODS)
def test_states_have_the_range_of_what_inferences_leave(method: str) -> None:
    """This one keeps four frames' features: what its last inference left is in it four times over, shifted."""
    (state,) = (t.index for t in REMEMBERING.graph.tensors if t.is_variable)
    session, left = Session(REMEMBERING), list[Floats]()
    for frame in frames(40)[0]:
        session.run(frame[np.newaxis])
        left.append(session.state.variables[0, state])
    low, high = calibrate(REMEMBERING, [(frames(40)[0],)], method)[state]
    if method == "minmax":
        assert (low, high) == (float(np.min(left)), float(np.max(left)))
    assert np.min(left) <= low < 0 < high <= np.max(left)


def test_a_value_that_is_not_finite_is_found_in_its_sequence() -> None:
    first, second = frames(3, 5)
    second[2, 0] = np.inf
    with pytest.raises(InputError, match="sample 1, inference 2: input 'input0' holds inf"):
        calibrate(REMEMBERING, [(first,), (second,)])


@pytest.mark.parametrize("method", METHODS)
def test_a_function_may_give_the_batches_as_for_tflites_converter(method: str) -> None:
    x = np.random.default_rng(0).random((4, 1, 3), np.float32)

    def representative() -> Iterator[tuple[Floats]]:
        yield from ((each,) for each in x)

    assert calibrate(PLAN, representative, method) == calibrate(PLAN, list(representative()), method)


def test_an_array_instead_of_batches_is_refused() -> None:
    x: Any = np.zeros((4, 1, 3), np.float32)
    for batches in (x, [x]):
        with pytest.raises(InputError, match="the inputs are an array"):
            calibrate(PLAN, batches)


@pytest.mark.parametrize(("batches", "kind"), [(None, "NoneType"), (3, "int")])
def test_what_gives_no_batches_is_refused(batches: Any, kind: str) -> None:
    with pytest.raises(InputError, match=f"the batches are a {kind}; give tuples, with an array for each input"):
        calibrate(PLAN, batches)
