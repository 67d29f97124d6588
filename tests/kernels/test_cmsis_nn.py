"""CMSIS-NN's int16 layers cut scaled sums to 32 bits, its LSTM forgets; where its kernels part, they are refused.

The expected numbers are the arithmetic by hand, in fractions. CMSIS-NN itself has been compared outside of these tests:
`refengine manual dialects` has the version and the counts.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest

from refengine import PRESETS, LimitError, Session, UnsupportedError, execute, make_plan, run
from refengine.explanation import explain
from refengine.kernel import Numerics
from refengine.model import Array, Model, Tensor
from refengine.numerics.fixedpoint import quantize_multiplier
from refengine.numerics.requantize import requantizer
from tests.kernels.test_unidirectional_sequence_lstm import lstm, variable
from tests.models import const, fed, one_op, q

CMSIS_NN = PRESETS["cmsis-nn"]
SINGLE_STEP = {"padding": "VALID", "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1}
WINDOW = SINGLE_STEP | {"fused_activation_function": "NONE"}
DENSE = {"fused_activation_function": "NONE", "keep_num_dims": False}
ONE = q(1.0)


def in_register(x: int) -> int:
    """`x` as 32 bits keep it."""
    return (x + 2**31) % 2**32 - 2**31


def narrowed(acc: int, factor: Fraction) -> int:
    """An int16 code: twice the product in a 32-bit register, one added there, halved, and clamped then."""
    doubled = in_register(floor(2 * acc * factor))
    return max(-32768, min(floor(Fraction(in_register(doubled + 1), 2)), 32767))


def saturated(acc: int, factor: Fraction) -> int:
    """The same code in TFLM, which rounds and clamps what it has."""
    return max(-32768, min(floor(acc * factor + Fraction(1, 2)), 32767))


def layer(op: str, bias: int | None, step: float = 1.0, bias_type: str = "int64") -> Model:
    """One weight of 100, with a bias; the output's `step` divides."""
    biases = [] if bias is None else [const([bias], bias_type, ONE)]
    if op == "FULLY_CONNECTED":
        return one_op(op, DENSE, [fed((1, 1), "int16", ONE), const([[100]], "int8", ONE), *biases], out((1, 1), step))
    options = WINDOW | ({"depth_multiplier": 1} if op == "DEPTHWISE_CONV_2D" else {})
    inputs = [fed((1, 1, 1, 1), "int16", ONE), const([[[[100]]]], "int8", ONE), *biases]
    return one_op(op, options, inputs, out((1, 1, 1, 1), step))


def out(shape: tuple[int, ...], step: float) -> Tensor:
    return fed(shape, "int16", q(step), "y")


def code(model: Model, x: int, numerics: Numerics = CMSIS_NN) -> int:
    plan = make_plan(model, numerics=numerics)
    return int(run(plan, np.full(plan.inputs[0].shape, x, np.int16))[0].item())


LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@pytest.mark.parametrize("op", LAYERS)
@pytest.mark.parametrize(
    ("bias", "x", "step", "factor", "mine", "tflm"),
    [
        (0, 300, 1.0, Fraction(1), 30000, 30000),
        (0, 301, 2.0, Fraction(1, 2), 15050, 15050),
        (1, 300, 2.0, Fraction(1, 2), 15001, 15001),  # a tie goes up in both
        (2**30 - 30001, 300, 1.0, Fraction(1), 32767, 32767),  # the largest sum of which twice as much fits 32 bits
        (2**30 - 30000, 300, 1.0, Fraction(1), -32768, 32767),
        (-(2**30) - 30001, 300, 1.0, Fraction(1), 32767, -32768),
        (2**31 - 30000, 300, 1.0, Fraction(1), 0, -32768),  # TFLM's 32 bits wrap, too, a bit later
        (2**31 - 30000 + 77, 300, 1.0, Fraction(1), 77, -32768),
        (2**25, 0, 2.0**-6, Fraction(64), 0, -32768),
        (2**24, 0, 2.0**-6, Fraction(64), -32768, 32767),
    ],
)
def test_scaled_sums_are_cut_to_32_bits(
    op: str, bias: int, x: int, step: float, factor: Fraction, mine: int, tflm: int
) -> None:
    assert narrowed(100 * x + bias, factor) == mine
    assert saturated(in_register(floor((100 * x + bias) * factor + Fraction(1, 2))), Fraction(1)) == tflm
    model = layer(op, bias, step)
    assert (code(model, x), code(model, x, Numerics())) == (mine, tflm)


def test_a_product_of_matrices_is_cut_too() -> None:
    """22,978 · 32,767 · 2 fits 32 bits, twice as much does not."""
    model = one_op(
        "BATCH_MATMUL",
        {"adj_x": False, "adj_y": False, "asymmetric_quantize_inputs": False},
        [fed((1, 1), "int16", q(2.0**-6)), const([[32767]], "int16", q(2.0**-6))],
        out((1, 1), 2.0**-13),
    )
    assert narrowed(22978 * 32767, Fraction(2)) == -32768
    assert (code(model, 22978), code(model, 22978, Numerics())) == (-32768, 32767)


def test_explanations_tell_the_cut() -> None:
    plan = make_plan(layer("FULLY_CONNECTED", 2**30), numerics=CMSIS_NN)
    (record,) = execute(plan, np.zeros((1, 1), np.int16))
    lines = explain(plan, record, (0, 0)).lines
    assert lines[-1].value == -32768
    assert any("cut to 32 bits before that" in line.text and line.value == -(2**30) for line in lines)


@pytest.mark.parametrize("reach", [2**20, 2**29, 2**31])
def test_a_line_is_taken_only_where_nothing_can_wrap(reach: int) -> None:
    factor = quantize_multiplier(0.75, "narrow")
    made = requantizer(np.zeros(1, np.int64), factor, 0, -32768, 32767, "int16", np.array([reach]), 64)
    assert (made.line is not None) is (reach <= 2**29)
    acc = np.random.default_rng(0).integers(-reach, reach + 1, (1000, 1))
    expected = [narrowed(x, Fraction(3, 4)) for x in acc[:, 0].tolist()]
    assert made(acc)[:, 0].tolist() == expected


def test_a_convolution_without_a_bias_has_32_bits() -> None:
    """TFLM's build takes a bias left out for an int32 one: so the multiplier of 1 / 116 keeps its 31 bits, not 15."""
    assert code(layer("CONV_2D", None, 116.0), 32767) == round(Fraction(3276700, 116)) == 28247
    reduced = round(Fraction(2**15 * 64, 116))
    assert narrowed(3276700, Fraction(reduced, 2**15 * 64)) == 28248
    assert code(layer("DEPTHWISE_CONV_2D", None, 116.0), 32767) == 28248
    for op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        assert code(layer(op, None, 116.0), 32767, Numerics()) == 28248


def test_a_dense_layer_ignores_the_zero_point_of_its_weights() -> None:
    weights = const([[100]], "int8", q(1.0, 3))
    model = one_op("FULLY_CONNECTED", DENSE, [fed((1, 1), "int16", ONE), weights], out((1, 1), 1.0))
    assert (code(model, 5), code(model, 5, Numerics())) == (500, 485)


@pytest.mark.parametrize("op", LAYERS)
@pytest.mark.parametrize("place", ["input", "output"])
def test_zero_points_of_int16_are_refused(op: str, place: str) -> None:
    model = changed(layer(op, 0), {"input": 0, "output": -1}[place], quantization=q(1.0, 5))
    with pytest.raises(UnsupportedError, match="has a zero point, and TFLM with CMSIS-NN takes int16 layers only with"):
        make_plan(model, numerics=CMSIS_NN)


def changed(model: Model, place: int, **fields: Any) -> Model:
    """The model with other fields of the tensor at a place."""
    (graph,) = model.graphs
    tensors = list(graph.tensors)
    tensors[place] = replace(tensors[place], **fields)
    return replace(model, graphs=(replace(graph, tensors=tuple(tensors)),))


def wide(size: tuple[int, int], channels: int, depth: int, weight: int, groups: int = 1) -> Model:
    """A 1×1 convolution with all weights alike."""
    weights = const(np.full((channels, 1, 1, depth // groups), weight), "int8", ONE)
    inputs = [fed((1, *size, depth), "int16", ONE), weights, const([0] * channels, "int64", ONE)]
    return one_op("CONV_2D", WINDOW, inputs, out((1, *size, channels), 2.0**17))


@pytest.mark.parametrize(
    ("size", "channels", "depth", "weight", "known"),
    [
        ((1, 1), 2, 520, 126, True),  # 520 · 126 · 32768 fits 31 bits
        ((1, 1), 2, 520, 127, False),
        ((1, 2), 2, 520, 127, True),  # pairs of pixels go on in 64 bits
        ((3, 3), 2, 1024, 127, False),
        ((1, 2), 3, 520, 127, True),
        ((1, 2), 3, 514, 127, False),  # an odd last channel, and taps that do not come in fours
        ((1, 1), 2, 512, -128, False),
    ],
)
def test_sums_on_which_the_kernels_part_are_refused(
    size: tuple[int, int], channels: int, depth: int, weight: int, known: bool
) -> None:
    model = wide(size, channels, depth, weight)
    if not known:
        with pytest.raises(LimitError, match="plain C, DSP and Helium kernels make different sums"):
            make_plan(model, numerics=CMSIS_NN)
        return
    plan = make_plan(model, numerics=CMSIS_NN)
    x = np.full(plan.inputs[0].shape, 32767, np.int16)
    assert set(run(plan, x)[0].ravel().tolist()) == {saturated(depth * weight * 32767, Fraction(1, 2**17))}


def test_dense_layers_have_512_products_in_32_bits() -> None:
    """Helium's and DSP's: 512 weights of −128 and codes of −32,768 make 2³¹."""
    for weight, known in ((-128, False), (127, True)):
        weights = const(np.full((1, 600), weight), "int8", ONE)
        model = one_op("FULLY_CONNECTED", DENSE, [fed((1, 600), "int16", ONE), weights], out((1, 1), 2.0**17))
        if known:
            assert code(model, -32768) == saturated(-600 * 127 * 32768, Fraction(1, 2**17))
            continue
        with pytest.raises(LimitError, match="different sums"):
            make_plan(model, numerics=CMSIS_NN)


@pytest.mark.parametrize(("bias", "known"), [(2**31 - 64 * 2**15 - 1, True), (2**31 - 64 * 2**15, False)])
def test_biases_of_an_int16_lstm_fit_32_bits_with_what_is_added(bias: int, known: bool) -> None:
    """Helium's kernel begins its 32-bit sums with them. The weight is 64."""
    model = lstm("int16", biases=(0, 0, 0, bias))
    make_plan(model)
    if known:
        make_plan(model, numerics=CMSIS_NN)
        return
    with pytest.raises(LimitError, match="different sums"):
        make_plan(model, numerics=CMSIS_NN)


def test_weights_that_are_computed_count_as_the_largest() -> None:
    model = changed(wide((1, 1), 2, 516, 1), 1, data=None)
    graph = replace(model.graphs[0], inputs=(0, 1))
    with pytest.raises(LimitError, match="different sums"):
        make_plan(replace(model, graphs=(graph,)), numerics=CMSIS_NN)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (wide((1, 2), 2, 4, 1, groups=2), "knows no groups of channels"),
        (layer("FULLY_CONNECTED", 0, bias_type="int32"), "reads an int64 one, beyond its end"),
        (
            one_op(
                "FULLY_CONNECTED",
                DENSE,
                [fed((1, 1), "int16", ONE), const([[1], [2]], "int8", q((1.0, 2.0)))],
                out((1, 2), 1.0),
            ),
            "no int16 dense layer with a scale for each channel",
        ),
        (
            one_op(
                "BATCH_MATMUL",
                {"adj_x": False, "adj_y": False, "asymmetric_quantize_inputs": False},
                [fed((1,) * 5, "int16", ONE), fed((1,) * 5, "int16", ONE)],
                out((1,) * 5, 1.0),
            ),
            "multiplies matrices of up to 4 dimensions",
        ),
    ],
)
def test_what_its_kernels_cannot_do_is_refused(model: Model, message: str) -> None:
    make_plan(model)
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model, numerics=CMSIS_NN)


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", 0), ("int16", 3)])
def test_states_of_svdf_are_int16_without_a_zero_point(dtype: str, zero_point: int) -> None:
    def model(dtype: str, zero_point: int) -> Model:
        inputs = [fed((1, 1), "int8", ONE), const([[1]], "int8", ONE), const([[1, 1]], dtype, ONE)]
        state = variable((1, 2), dtype, q(1.0, zero_point))
        options = {"rank": 1, "fused_activation_function": "NONE", "asymmetric_quantize_inputs": False}
        return one_op("SVDF", options, [*inputs, const([0], "int32", ONE), state], fed((1, 1), "int8", ONE, "y"))

    with pytest.raises(LimitError, match="which CMSIS-NN's kernel leaves out"):
        make_plan(model(dtype, zero_point), numerics=CMSIS_NN)
    session = Session(model("int16", 0), numerics=CMSIS_NN)
    assert [session.run(np.array([[x]], np.int8))[0].item() for x in (5, 7)] == [5, 12]  # which lives on


def test_the_probability_of_one_wraps() -> None:
    """Of a single logit the tables make 32,768 of 2¹⁵: TFLM saturates, CMSIS-NN stores its 16 bits."""
    for count in (1, 40):  # by code, and by arrays
        x, y = fed((count, 1), "int16", ONE), out((count, 1), 1 / 32768)
        model = one_op("SOFTMAX", {"beta": 1.0}, [x], y)
        zeros = np.zeros((count, 1), np.int16)
        for numerics, expected in ((CMSIS_NN, -32768), (Numerics(), 32767)):
            plan = make_plan(model, numerics=numerics)
            (record,) = execute(plan, zeros)
            assert (record.outputs[0] == expected).all()
            assert explain(plan, record, (0, 0)).lines[-1].value == expected


# ---- LSTM ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_an_lstm_keeps_no_state(dtype: str) -> None:
    x: Array = np.array([64, -100], dtype).reshape(1, 2, 1)
    model = lstm(dtype, steps=2, r=50)
    mine, tflm = Session(model, numerics=CMSIS_NN), Session(model)
    first, *others = [mine.run(x)[0].tolist() for _ in range(3)]
    assert others == [first, first]
    assert tflm.run(x)[0].tolist() == first != tflm.run(x)[0].tolist()
    plan = make_plan(model, numerics=CMSIS_NN)
    record = list(execute(plan, x))[-1]
    assert [state.tolist() for state in record.updates] == [[[0]], [[0]]]
    assert [explain(plan, record, (0, 0), output).lines[-1].value for output in (1, 2)] == [0, 0]


def test_a_batch_has_states_for_each_that_none_has_written() -> None:
    plan = make_plan(lstm(steps=2, r=50), numerics=CMSIS_NN)
    xs = np.array([64, -100, 3, 9, 7, 8], np.int8).reshape(3, 2, 1)
    together = run(plan, xs)[0]
    assert together.tolist() == [run(plan, x[np.newaxis])[0][0].tolist() for x in xs]


def hidden(model: Model, *values: int, numerics: Numerics = CMSIS_NN) -> list[int]:
    plan = make_plan(model, numerics=numerics)
    x = np.array(values, plan.inputs[0].dtype).reshape(plan.inputs[0].shape)
    codes: list[int] = run(plan, x)[0].ravel().tolist()
    return codes


def test_a_cell_gate_is_a_sigmoid_unless_it_is_tanh() -> None:
    """σ(0) · σ(0) is 0.25, and h is σ(0) · tanh(0.25) = 0.1225 in steps of 2⁻⁷; TFLM's is linear, and 0."""
    model = lstm(activation="NONE")
    assert hidden(model, 0) == [16]
    assert hidden(model, 0, numerics=Numerics()) == [0]


def test_weights_of_an_lstm_have_no_zero_point() -> None:
    asymmetric = {place: const([[64]], "int8", q(2.0**-6, 64)) for place in range(1, 5)}
    assert hidden(lstm(changes=asymmetric), 64) == hidden(lstm(), 64) == [47]
    assert hidden(lstm(changes=asymmetric), 64, numerics=Numerics()) == [0]


def test_a_clip_of_0_is_none() -> None:
    model = lstm(cell_clip=1e-6)
    assert hidden(model, 64) == [47]
    assert hidden(model, 64, numerics=Numerics()) == [0]


def test_the_sum_over_the_hidden_state_is_not_cut() -> None:
    """At the second step −3.97 units of the input meet 47 of the hidden state, which TFLM adds as 8.

    Its gates are σ(4.03), so c is 0.9825 · 0.980 + 0.9825 · tanh(4.03), and h is 0.9825 · tanh(1.945) = 120.7 / 2⁷;
    those here are open, c is 1.980, and h is tanh(1.980) = 123.2 / 2⁷.
    """
    recurrent = {place: const([[127]], "int8", q(0.5)) for place in range(5, 9)}
    model = lstm(steps=2, w=127, changes=recurrent)
    assert hidden(model, 127, -128) == [95, 123]
    assert hidden(model, 127, -128, numerics=Numerics()) == [95, 121]
