"""The LSTM's own facts: what its gates do, which scales count, how its cell state is cut, and how states live on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import Tflm

from refengine import Numerics, Session, UnsupportedError, execute, make_plan, run
from refengine.execute import Record
from refengine.explanation import explain
from refengine.kernel import Node
from refengine.kernels import _lstm_columns
from refengine.kernels import unidirectional_sequence_lstm as kernel
from refengine.model import Array, Model, Quantization, Tensor
from refengine.numerics import scalar
from refengine.strategies import model_of
from refengine.tflite_io import dump
from tests.models import const, fed, q

NAN = float("nan")
BIASES = {"int8": "int32", "int16": "int64", "float32": "float32"}
GATES = ("input", "forget", "cell", "output")


def variable(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> Tensor:
    return Tensor(0, "", shape, dtype, quantization, is_variable=True)


def lstm(
    dtype: str = "int8",
    steps: int = 1,
    w: float = 64,
    r: float = 0,
    biases: tuple[float, ...] = (0, 0, 0, 0),
    cell_clip: float = 0.0,
    activation: str = "TANH",
    time_major: bool = False,
    changes: Mapping[int, Tensor | None] | None = None,
    output: Tensor | None = None,
) -> Model:
    """One unit over one input, weights `w` and `r` in all gates; integers have sums in steps of 2⁻¹², as the gates.

    So has c; h is in steps of 2⁻⁷ (int16: 2⁻¹⁵). `changes` replace inputs.
    """
    floats, kind = dtype == "float32", dtype if dtype == "float32" else "int8"
    scale = None if floats else q(2.0**-6)
    bias_scale, cell_scale = (None, None) if floats else (q(2.0**-12), q(2.0**-12))
    held = {"int8": q(2.0**-7), "int16": q(2.0**-15), "float32": None}[dtype]
    shape = (steps, 1, 1) if time_major else (1, steps, 1)
    inputs: list[Tensor | None] = [fed(shape, dtype, scale)]
    inputs += [const([[w]], kind, scale) for _ in range(4)] + [const([[r]], kind, scale) for _ in range(4)]
    inputs += [None] * 3 + [const([bias], BIASES[dtype], bias_scale) for bias in biases] + [None] * 2
    inputs += [variable((1, 1), dtype, held), variable((1, 1), dtype if floats else "int16", cell_scale)] + [None] * 4
    for place, tensor in (changes or {}).items():
        inputs[place] = tensor
    options = {
        "fused_activation_function": activation,
        "cell_clip": cell_clip,
        "proj_clip": 0.0,
        "time_major": time_major,
        "asymmetric_quantize_inputs": False,
        "diagonal_recurrent_tensors": False,
    }
    y = output or fed((*shape[:2], 1), dtype, held)
    return model_of(Node("UNIDIRECTIONAL_SEQUENCE_LSTM", options, tuple(inputs), (y,)))


def sequence(dtype: str, *values: float) -> Array:
    return np.array(values, dtype).reshape(1, -1, 1)


def last(model: Model, *values: float, numerics: Numerics | None = None) -> Record:
    """What the one operator does to one sequence."""
    plan = make_plan(model, numerics=numerics)
    x = np.array(values, plan.inputs[0].dtype).reshape(plan.inputs[0].shape)
    return list(execute(plan, x))[-1]


def states(model: Model, *values: float, numerics: Numerics | None = None) -> list[float]:
    """The hidden and the cell state after one sequence."""
    return [x.item() for x in last(model, *values, numerics=numerics).updates]


OPEN, CLOSED = 30_000, -30_000
"""Biases, in steps of 2⁻¹², that a gate of integers cannot overlook."""


def test_one_step_by_hand() -> None:
    """All sums are 1: c = σ(1) · tanh(1) is 2281 / 2¹², and h = σ(1) · tanh(c) is 47 / 2⁷."""
    assert states(lstm(), 64) == [47, 2281]
    assert states(lstm("int16"), 64) == [pytest.approx(0.3696 * 2**15, abs=2), 2281]
    assert states(lstm("float32", w=1), 1) == [pytest.approx(0.369606, abs=1e-6), pytest.approx(0.556770, abs=1e-6)]


def test_the_output_is_the_hidden_state_of_every_step() -> None:
    record = last(lstm(steps=3, r=20), 64, -64, 30)
    hidden, cell = record.updates
    assert record.outputs[0].shape == (1, 3, 1)
    assert record.outputs[0][0, 2] == hidden[0]
    assert len({*record.outputs[0].ravel().tolist()}) == 3
    assert cell.dtype == np.int16


def test_each_gate_has_its_place_among_the_tensors() -> None:
    """Input, forget, cell, output: closing one leaves what it guards out."""
    assert states(lstm(biases=(CLOSED, 0, 0, 0)), 64)[1] == pytest.approx(0, abs=6)
    assert states(lstm(biases=(0, 0, 0, CLOSED)), 64) == [0, 2281]
    kept = Session(lstm(biases=(0, OPEN, 0, 0)))
    forgotten = Session(lstm(biases=(0, CLOSED, 0, 0)))
    for session in (kept, forgotten):
        session.run(sequence("int8", 127))
    assert kept.run(sequence("int8", 64))[0] > forgotten.run(sequence("int8", 64))[0] == 47
    assert states(lstm(biases=(OPEN, 0, OPEN, 0)), 0)[1] == pytest.approx(2**12, abs=4)


def test_states_live_on_from_one_sequence_to_the_next() -> None:
    whole = run(lstm(steps=4, r=50), sequence("int8", 64, -100, 3, 90))[0].ravel().tolist()
    session = Session(lstm(steps=2, r=50))
    parts = [session.run(sequence("int8", *half))[0].ravel().tolist() for half in ((64, -100), (3, 90))]
    assert [*parts[0], *parts[1]] == whole


def test_a_reset_makes_int16_states_zero_whatever_their_zero_point() -> None:
    """TFLM resets to a zero point in int8 only."""
    for dtype, scale, first in (("int8", 2.0**-7, 5), ("int16", 2.0**-15, 0)):
        plan = make_plan(lstm(dtype, changes={18: variable((1, 1), dtype, q(scale, 5))}))
        assert plan.initial.variables[0, 13].item() == first


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_the_layouts_compute_the_same(dtype: str) -> None:
    x = np.arange(-3, 3, dtype=dtype).reshape(2, 3, 1)
    hidden, cell = variable((2, 1), dtype, q(2.0**-7)), variable((2, 1), "int16", q(2.0**-12))
    shapes = {18: hidden, 19: hidden if dtype == "float32" else cell}
    results = []
    for time_major in (False, True):
        shape = (3, 2, 1) if time_major else (2, 3, 1)
        changes = {**shapes, 0: fed(shape, dtype, q(2.0**-2))}
        model = lstm(dtype, w=3, r=2, time_major=time_major, changes=changes, output=fed(shape, dtype))
        results.append(run(model, x.swapaxes(0, 1).copy() if time_major else x)[0])
    assert np.array_equal(results[0], results[1].swapaxes(0, 1))
    assert results[0][0, 0] != results[0][1, 0]


def test_streams_of_a_batch_have_states_of_their_own() -> None:
    session, alone = Session(lstm(steps=2, r=50)), Session(lstm(steps=2, r=50))
    x = np.array([[[64], [1]], [[-64], [5]], [[3], [90]]], np.int8)
    session.run(x)
    alone.run(x[1:2])
    assert np.array_equal(session.run(x[::-1].copy())[0][1:2], alone.run(x[1:2])[0])


@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6", "RELU_N1_TO_1", "SIGN_BIT"])
def test_a_cell_gate_without_tanh_is_linear(activation: str) -> None:
    """A sum of −1 is −4096 / 2¹² and counts as −4096 / 2¹⁵: c = σ(−1) · −⅛."""
    assert states(lstm(activation=activation), -64)[1] == pytest.approx(-0.26894 * 2**12 / 8, abs=1)
    assert states(lstm("float32", w=-2, activation=activation), 1)[1] == pytest.approx(-2 * 0.119203)


def test_the_outputs_own_quantisation_does_not_count() -> None:
    assert last(lstm(output=fed((1, 1, 1), "int8", q(9.0, 99))), 64).outputs[0].item() == 47
    assert last(lstm(output=fed((1, 1, 1), "int8")), 64).outputs[0].item() == 47


def test_weights_have_zero_points_that_count_and_biases_scales_that_do_not() -> None:
    moved = {k: const([[74]], "int8", q(2.0**-6, 10)) for k in range(1, 5)}
    assert states(lstm(changes=moved), 64) == [47, 2281]
    scaled = {k: const([0], "int32", q(7.0)) for k in range(12, 16)}
    assert states(lstm(changes=scaled), 64) == [47, 2281]


def test_sums_are_cut_to_int16_one_by_one() -> None:
    """40000 − 4850 is 32767 − 4850, in steps of 2⁻¹²; a linear cell gate shows it as the cell state."""
    session = Session(lstm(w=0, r=-100, biases=(OPEN, CLOSED, 40_000, OPEN), activation="NONE"))
    session.run(sequence("int8", 0))
    assert session.state.variables[0, 13].item() == 97
    session.run(sequence("int8", 0))
    assert session.state.variables[0, 14].item() == pytest.approx((32767 - 4850) / 8, rel=2e-3)


@pytest.mark.parametrize(("clip", "cell"), [(0.25, 1024), (1e-6, 0), (0.0, 2281), (-1.0, 2281), (1e9, 2281)])
def test_a_positive_clip_cuts_the_cell_state_even_to_nothing(clip: float, cell: int) -> None:
    assert states(lstm(cell_clip=clip), 64)[1] == cell


def test_any_clip_keeps_the_smallest_code_away() -> None:
    """±32767 is the largest clip."""
    fine = {19: variable((1, 1), "int16", q(2.0**-15))}
    biases = (OPEN, OPEN, CLOSED, 0)
    assert states(lstm(biases=biases, changes=fine), 0)[1] == pytest.approx(-32768, abs=60)
    for clip, lowest in ((0.0, -32768), (99.0, -32767)):
        session = Session(lstm(biases=biases, changes=fine, cell_clip=clip))
        session.run(sequence("int8", 0))
        session.run(sequence("int8", 0))
        assert session.state.variables[0, 14].item() == lowest


def test_nan_passes_the_clip_but_in_older_tflm() -> None:
    model = lstm("float32", cell_clip=0.5, w=1)
    assert np.isnan(states(model, NAN)).all()
    assert states(model, NAN, numerics=Numerics(scale_math="float32"))[1] == 0.5


def test_floats_are_kept_within_flt_max_but_for_the_sum_of_a_gate() -> None:
    model = lstm("float32", steps=2, w=3e38, activation="NONE", biases=(0, 0, 3e38, 0))
    cell = last(model, 1, 1).updates[1].item()
    assert cell == np.inf  # two products within FLT_MAX, added
    assert last(replace_steps(model), 1).updates[1].item() == np.finfo(np.float32).max


def replace_steps(model: Model) -> Model:
    """The same model over one step."""
    (graph,) = model.graphs
    tensors = tuple(replace(t, shape=(1, 1, 1)) if t.shape == (1, 2, 1) else t for t in graph.tensors)
    return replace(model, graphs=(replace(graph, tensors=tensors),))


@pytest.mark.parametrize(
    ("scale", "left_shift"), [(2.0**-12, 0), (1.3 * 2.0**-12, 0), (1.5 * 2.0**-12, 1), (2.0**-15, -3)]
)
def test_tanh_takes_the_cells_scale_for_a_power_of_two(scale: float, left_shift: int) -> None:
    p = make_plan(lstm(changes={19: variable((1, 1), "int16", q(scale))})).steps[0].params
    assert (p.tanh.input_multiplier, p.tanh.input_left_shift) == (3 << max(left_shift, 0), max(-left_shift, 0))
    real = 2.0**-30 / float(np.float32(scale))
    assert (int(p.input_mul.multiplier), int(p.input_mul.shift)) == scalar.quantize_multiplier(real)


@pytest.mark.parametrize(("scale_math", "real"), [("double", float), ("float32", np.float32)])
def test_two_precisions_of_scales(scale_math: Any, real: Any) -> None:
    changes: dict[int, Tensor | None] = {0: fed((1, 1, 1), "int8", q(0.1)), 3: const([[1]], "int8", q(0.3))}
    p = make_plan(lstm(changes=changes), numerics=Numerics(scale_math=scale_math)).steps[0].params
    factor = p.input.requantize.multiplier
    wanted = scalar.quantize_multiplier(float(real(np.float32(0.1)) * real(np.float32(0.3))) / 2.0**-12)
    assert (int(factor.multiplier[2]), int(factor.shift[2])) == wanted


def test_single_rounding_is_another_dialect_and_xnnpack_none() -> None:
    model = lstm(steps=8, r=77)
    x = [64, -3, 99, -101, 7, 55, -64, 31]
    double, single = (last(model, *x, numerics=Numerics(rounding=r)).outputs[0] for r in ("double", "single"))
    assert np.abs(double.astype(int) - single).max() <= 1
    with pytest.raises(UnsupportedError, match="XNNPACK has no LSTM"):
        make_plan(model, numerics=Numerics(rounding="xnnpack"))
    make_plan(lstm("float32"), numerics=Numerics(rounding="xnnpack"))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_an_explanation_tells_all_gates_in_tflms_order(dtype: str) -> None:
    """Of a later step, and of the cell state without the output gate."""
    model = lstm(dtype, steps=3, w=1 if dtype == "float32" else 64, r=1, cell_clip=10.0)
    plan, record = make_plan(model), last(model, 1, 2, 3)
    for output, index, gates in (
        (0, (0, 1, 0), ["forget", "input", "cell", "output"]),
        (1, (0, 0), ["forget", "input", "cell", "output"]),
        (2, (0, 0), ["forget", "input", "cell"]),
    ):
        explanation = explain(plan, record, index, output)
        names = [line.name for line in explanation.lines]
        assert [name.split()[0] for name in names if name in {f"{gate} gate" for gate in GATES}] == gates
        assert {"kept", "new", "cell state", "clip"} <= {*names}
        assert ("hidden state" in names) == (output != 2)
        assert explanation.value == (*record.outputs, *record.updates)[output][index].item()


def test_an_explanation_tells_where_an_accumulator_wraps() -> None:
    """64 · 127 and a bias beside it are far from 2³¹, which the bias alone comes near."""
    for bias, wraps in ((1000, False), (2**31 - 1, True)):
        model = lstm(w=127, biases=(bias, 0, 0, 0))
        told = [line.text for line in explain(make_plan(model), last(model, 64), (0, 0, 0)).lines]
        (first,) = [text for text in told if f"+ bias {bias}" in text]
        assert first.endswith(", wrapped to 32 bits") is wraps


def test_multiplications_are_counted() -> None:
    assert make_plan(lstm(steps=3)).macs == 3 * 4 * 2


def changed(place: int, tensor: Tensor | None, dtype: str = "int8") -> Model:
    return lstm(dtype, changes={place: tensor})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        *[(changed(k, const([1], "int8", q(1))), "LSTM with peephole, which TFLM does not have") for k in (9, 10, 11)],
        *[(changed(k, const([1], "int8", q(1))), "LSTM with projection") for k in (16, 17)],
        *[(changed(k, const([1], "int16", q(1))), "LSTM with layer normalisation") for k in (20, 23)],
        *[(changed(k, None), rf"input {k} is left out") for k in (1, 5, 12, 15, 18, 19)],
        (changed(0, fed((1, 1), "int8", q(1))), r"input 'input0' has shape \(1, 1\); expected three dimensions"),
        (changed(0, fed((1, 1, 0), "int8", q(1))), r"'input0' has shape \(1, 1, 0\); expected three dimensions of 1"),
        (changed(18, variable((1,), "int8", q(1))), r"hidden state 'input18' has shape \(1,\); expected two"),
        (changed(2, const([[1, 1]], "int8", q(1))), r"'input2' has shape \(1, 2\); expected \(1, 1\)"),
        (changed(6, const([[1, 1]], "int8", q(1))), r"'input6' has shape \(1, 2\); expected \(1, 1\)"),
        (changed(13, const([1, 1], "int32", q(1))), r"'input13' has shape \(2,\); expected \(1,\)"),
        (changed(18, variable((2, 1), "int8", q(1))), r"'input18' has shape \(2, 1\); expected \(1, 1\)"),
        (changed(19, variable((2, 1), "int16", q(1))), r"cell state 'input19' has shape \(2, 1\); expected 1 elem"),
        (lstm(output=fed((1, 1), "int8", q(1))), r"'output0' has shape \(1, 1\); expected \(1, 1, 1\)"),
        (changed(18, fed((1, 1), "int8", q(1))), r"the state 'input18' is no variable"),
        (changed(4, fed((1, 1), "int8", q(1))), r"'input4' is computed at run time"),
        (changed(4, const([[1]], "int4", q(1))), r"'input4' is int4, but input 'input0' is int8: TFLM takes int8 here"),
        (changed(14, const([1], "int64", q(1))), r"'input14' is int64, .*: TFLM takes int32 here"),
        (changed(14, const([1], "int32", q(1)), "int16"), r"'input14' is int32, .*: TFLM takes int64 here"),
        (changed(18, variable((1, 1), "int16", q(1))), r"'input18' is int16, .*: TFLM takes int8 here"),
        (changed(19, variable((1, 1), "int8", q(1))), r"'input19' is int8, .*: TFLM takes int16 here"),
        (
            changed(19, variable((1, 1), "int16", q(1)), "float32"),
            r"'input19' is int16, .* is float32: TFLM takes floa",
        ),
        (changed(4, const([[1]], "int8", q(1)), "float32"), r"TFLM takes float32 here; TFLM has no hybrid kernels"),
        (lstm(output=fed((1, 1, 1), "int16", q(1))), r"'output0' is int16, .*: TFLM takes int8 here"),
        (changed(3, const([[1]], "int8", q((1, 2)))), r"weights 'input3' have 2 scales"),
        (changed(3, const([[1]], "int8")), r"'input3' is int8 but has no positive scale"),
        (changed(19, variable((1, 1), "int16")), r"the cell state 'input19' has no positive scale"),
        (changed(19, variable((1, 1), "int16", q(2.0**-43))), r"TFLM's tanh takes 2\^-42 … 2\^18"),
        (changed(19, variable((1, 1), "int16", q(2.0**19))), r"TFLM's tanh takes 2\^-42 … 2\^18"),
        (changed(18, variable((1, 1), "int8", q(2.0**-62))), r"scale of output 'input18' is too small"),
        (changed(3, const([[1]], "int8", q(2.0**26))), r"make a factor of 2\^33 to the gates' steps"),
        (changed(3, const([[1]], "int8", q(2.0**9)), "int16"), r"2\^16 to the gates' steps .* by 14 bits at most"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


@pytest.mark.parametrize(("dtype", "scale"), [("int8", 2.0**24), ("int16", 2.0**7)])
@pytest.mark.parametrize("code", [-3, 1, 2, 90])
def test_the_largest_factor_that_tflm_can_shift_by_is_taken(dtype: str, scale: float, code: int, tflm: Tflm) -> None:
    model = changed(3, const([[1]], "int8", q(scale)), dtype)
    x = sequence(dtype, code)
    assert run(model, x)[0].tolist() == tflm.run(dump(model), [x])[0].tolist()
    with pytest.raises(UnsupportedError):
        make_plan(changed(3, const([[1]], "int8", q(2 * scale)), dtype))


def with_an_intermediate(shape: tuple[int, ...]) -> Model:
    model = lstm()
    (graph,) = model.graphs
    extra = Tensor(len(graph.tensors), "effective hidden scale", shape, "int8", q(1))
    ops = (replace(graph.ops[0], intermediates=(extra.index,)),)
    return replace(model, graphs=(replace(graph, tensors=(*graph.tensors, extra), ops=ops),))


@pytest.mark.parametrize("shape", [(1,), (2, 1)])
def test_intermediates_with_elements_are_refused_as_tflm_does(shape: tuple[int, ...], tflm: Tflm) -> None:
    make_plan(with_an_intermediate((0,)))
    assert tflm.accepts(dump(with_an_intermediate((0,))))
    with pytest.raises(UnsupportedError, match="'effective hidden scale' has the shape"):
        make_plan(with_an_intermediate(shape))
    assert not tflm.accepts(dump(with_an_intermediate(shape)))


def layer(rng: np.random.Generator) -> Model:
    """An int8 layer of any size, whose gates are mostly between their ends, as a converter makes them or nearly so."""
    steps, depth, state = (int(x) for x in rng.integers(1, (6, 20, 40)))
    reach = rng.choice([0.2, 1.0, 4.0, 30.0])  # of a gate's sums
    ordinary = rng.random() < 0.5  # or of powers of two, with ties

    def weights(width: int) -> Tensor:
        scale = 2.0**-7 * reach / 74 / width**0.5 if ordinary else 2.0 ** int(rng.integers(-11, -6))
        codes = rng.integers(-127, 128, (state, width)) * (rng.random((state, 1)) > 0.1)
        return const(codes, "int8", q(scale, int(rng.choice([0, 0, 3]))))

    bias_end = int(rng.choice([1, 3000, 200_000]))
    biases = [const(rng.integers(-bias_end, bias_end, state), "int32", q(2.0**-12)) for _ in range(4)]
    point = int(rng.integers(-128, 128))
    hidden = q(0.0079 if ordinary else 2.0**-7, int(rng.choice([0, 0, -128, 5])))
    input = fed((1, steps, depth), "int8", q(0.99 if ordinary else 1.0, point))
    cell = variable((1, state), "int16", q(2.0 ** int(rng.integers(-15, -8))))
    gates = [*[weights(depth) for _ in range(4)], *[weights(state) for _ in range(4)]]
    inputs = [input, *gates, *[None] * 3, *biases, *[None] * 2, variable((1, state), "int8", hidden), cell, *[None] * 4]
    options = {
        "fused_activation_function": str(rng.choice(["TANH", "NONE"])),
        "cell_clip": float(rng.choice([0.0, 0.3])),
        "proj_clip": 0.0,
        "time_major": False,
        "asymmetric_quantize_inputs": False,
        "diagonal_recurrent_tensors": False,
    }
    output = fed((1, steps, state), "int8", hidden)
    return model_of(Node("UNIDIRECTIONAL_SEQUENCE_LSTM", options, tuple(inputs), (output,)))


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
@example(116538)  # ties in a gate whose first unit has no weights
def test_sequences_as_columns_come_to_the_same(seed: int) -> None:
    """Row by row, by the requantisers of each sum and product, is what it means; columns are quick."""
    rng = np.random.default_rng(seed)
    p = make_plan(layer(rng)).steps[0].params
    assert p.columns is not None
    rows = int(rng.integers(1, 9))
    x = rng.integers(-128, 128, (p.sizes.steps, rows, p.sizes.input)).astype(np.int8)
    h = rng.integers(-128, 128, (rows, p.sizes.state)).astype(np.int8)
    c = rng.integers(LOWEST, -LOWEST, h.shape).astype(np.int16) >> np.int16(rng.integers(0, 12))
    quick, meant = _lstm_columns.run(p, p.columns, x, h, c), kernel.by_rows(p, x, h, c)
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(quick, meant, strict=True))


def test_sums_are_cut_only_where_they_reach_the_ends_of_int16() -> None:
    """The layers above are of both kinds, and the farthest that a sum comes to is what is said of it."""
    kinds = set()
    for seed in range(40):
        p = make_plan(layer(np.random.default_rng(seed))).steps[0].params
        ends = p.hidden.gemm.bound * np.array([[-1], [1]])
        assert p.columns.over_hidden.reach == np.abs(p.hidden.requantize.exact(ends).astype(int)).max()
        kinds.add((p.columns.over_hidden.reach >= -LOWEST - 1, p.columns.is_cut))
    assert kinds == {(True, True), (False, True), (False, False)}


@pytest.mark.parametrize("seed", range(8))
def test_layers_of_many_units_are_tflms(seed: int, tflm: Tflm) -> None:
    rng = np.random.default_rng(seed)
    model = layer(rng)
    x = rng.integers(-128, 128, make_plan(model).inputs[0].shape).astype(np.int8)
    assert np.array_equal(run(model, x)[0], tflm.run(dump(model), [x])[0])


LOWEST = -(2**15)


def test_usual_layers_have_columns_and_the_cache_limits_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would pass, and the engine be slow."""
    for steps, activation, clip in ((1, "TANH", 0.0), (5, "NONE", 0.25)):
        plan = make_plan(lstm(steps=steps, r=33, biases=(5, 0, -700, 9), activation=activation, cell_clip=clip))
        assert plan.steps[0].params.columns.suit(1)
        x = np.random.default_rng(0).integers(-128, 128, (40, steps, 1)).astype(np.int8)
        whole = run(plan, x)[0]
        monkeypatch.setattr(_lstm_columns, "ELEMENTS", 4 * 7)
        assert np.array_equal(run(plan, x)[0], whole)
        monkeypatch.setitem(plan.steps[0].params.__dict__, "columns", None)
        assert np.array_equal(run(plan, x)[0], whole)


@pytest.mark.parametrize("bits", [15, 16, 21])
def test_products_are_shifted_as_tflm_scales_them(bits: int) -> None:
    """By a power of two: a rounding by one bit, ties upwards, then one by the others, ties away from zero."""
    half = 1 << (bits - 1)
    products = np.array([k * half + d for k in range(-9, 10) for d in (-2, -1, 0, 1, 2)] + [LOWEST * 32767], np.int32)
    wanted = [scalar.multiply_by_quantized_multiplier(x, 2**30, 1 - bits) for x in products.tolist()]
    _lstm_columns._shift(products, np.array(bits), np.empty_like(products))
    assert products.tolist() == wanted


def test_layers_that_do_not_fit_have_no_columns() -> None:
    """A cell state whose scale is no power of two, one that products leave, and a bias beyond float32."""
    for change in ({19: variable((1, 1), "int16", q(1.3 * 2.0**-12))}, {19: variable((1, 1), "int16", q(2.0**-17))}):
        assert make_plan(lstm(changes=change)).steps[0].params.columns is None
    assert make_plan(lstm(biases=(0, 2**24, 0, 0))).steps[0].params.columns is None
    assert make_plan(lstm("int16")).steps[0].params.columns is None
    assert make_plan(lstm(), numerics=Numerics(rounding="single")).steps[0].params.columns is None
