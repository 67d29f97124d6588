"""refengine/tensors/inputs.py: real values and pixels into codes and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine import InputError, Model, Quantization, Tensor, dequantize_output, make_plan, quantize_input
from refengine.kernel import Node
from refengine.numerics.quantize import code_range
from refengine.tensors.inputs import picture_shape, pixel_range, pixels_to_input
from tests.models import const, fed, network, one_op, q

UNIT = q(1 / 255, -128)


def relu(tensor: Tensor, dtype: str | None = None) -> Model:
    """A model whose input and output are both like `tensor`."""
    return one_op("RELU", {}, [tensor], fed(tensor.shape, tensor.dtype, tensor.quantization, "y"))


def test_real_values_become_codes_and_ties_go_away_from_zero() -> None:
    model = relu(fed((1, 6), "int8", q(0.5, 3)))
    codes = quantize_input(model, [0.0, 0.25, -0.25, 1e9, -1e300, np.inf])
    np.testing.assert_array_equal(codes, np.array([3, 4, 2, 127, -128, 127], np.int8), strict=True)


def test_what_an_input_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"^input 'input0' is int8, and no code stands for the NaN in the array$"):
        quantize_input(relu(fed((1, 2), "int8", UNIT)), [0.0, np.nan])
    real = relu(fed((1, 3), "float32"))
    with pytest.raises(InputError, match=r"is float32, which ends at 3\.4e38; the array has 1e\+300$"):
        quantize_input(real, [np.inf, 1.0, 1e300])
    passed = quantize_input(real, [np.inf, np.nan, 3.4e38])
    np.testing.assert_array_equal(passed, np.array([np.inf, np.nan, 3.4e38], np.float32), strict=True)


def test_a_plan_serves_as_well_as_its_model() -> None:
    model = relu(fed((1, 2), "int8", UNIT))
    np.testing.assert_array_equal(quantize_input(make_plan(model), [0, 1]), quantize_input(model, [0, 1]), strict=True)


def test_float_models_take_and_give_real_values() -> None:
    model = relu(fed((1, 2), "float32"))
    x = quantize_input(model, np.array([0.1, -2]))
    np.testing.assert_array_equal(x, np.array([0.1, -2], np.float32), strict=True)
    assert dequantize_output(model, x) is x


@given(st.sampled_from(["int8", "int16"]), st.floats(2**-10, 4, width=32), st.data())
def test_codes_come_back_as_themselves(dtype: str, scale: float, data: st.DataObject) -> None:
    low, high = code_range(dtype)
    zero = data.draw(st.integers(low, high)) if dtype == "int8" else 0
    model = relu(fed((1, high - low + 1), dtype, q(scale, zero)))
    codes = np.arange(low, high + 1).astype(dtype)
    np.testing.assert_array_equal(quantize_input(model, dequantize_output(model, codes)), codes, strict=True)


def test_what_cannot_be_quantised_is_said_in_a_sentence() -> None:
    model, plain = relu(fed((1, 2), "int8", UNIT)), relu(fed((1, 2), "int32"))
    with pytest.raises(InputError, match="has no input 1: it has 1, counted from 0"):
        quantize_input(model, [0], 1)
    with pytest.raises(InputError, match="has no output -1"):
        dequantize_output(model, np.zeros(1, np.int8), -1)
    with pytest.raises(InputError, match=r"takes numbers, got an array of <U3"):
        quantize_input(model, ["one"])
    with pytest.raises(InputError, match="is int8, got float32"):
        dequantize_output(model, np.zeros(1, np.float32))
    with pytest.raises(InputError, match="is int32 without quantisation"):
        quantize_input(plain, [1.0])


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        ("float32", None, (0, 1)),
        ("int8", UNIT, (0, 1)),
        ("int8", q(0.00389, -128), (0, 1)),  # calibrated on pictures whose white was not quite reached
        ("int8", q(0.0078431, -1), (-1, 1)),
        ("int8", q(1.0, -128), (0, 255)),
        ("int8", q(0.1, 0), (-12.8, 12.7)),
        ("int16", q(1 / 32767), (0, 1)),
        ("int16", q(255 / 32767), (0, 255)),
        ("uint8", q(1 / 255, 0), (0, 1)),
    ],
)
def test_the_range_of_pixels_follows_from_the_quantisation(
    dtype: str, quantization: Quantization | None, expected: tuple[float, float]
) -> None:
    found = pixel_range(relu(fed((1, 4), dtype, quantization)))
    assert (found.black, found.white) == pytest.approx(expected)
    assert found.known_from == ("guess" if dtype == "float32" else "quantization")


def normalising(*layers: tuple[str, npt.ArrayLike], codes: Quantization | None = None) -> Model:
    """A float model of pictures whose first layers work on them with constants; a negative name has those first."""
    x = fed((1, 2, 2, 3), "float32", name="x")
    nodes = []
    for number, (name, values) in enumerate(layers):
        y = fed((1, 4, 4, 3) if name == "PAD" else x.shape, "float32", name=f"y{number}")
        constant = const([[0, 0], [1, 1], [1, 1], [0, 0]], "int32") if name == "PAD" else const(values, "float32")
        options = {} if name == "PAD" else {"fused_activation_function": "NONE"}
        nodes.append(Node(name.strip("-"), options, (constant, x) if name[0] == "-" else (x, constant), (y,)))
        x = y
    last = fed(x.shape, "int8" if codes else "float32", codes, "z")
    return network(*nodes, Node("QUANTIZE" if codes else "RELU", {}, (x,), (last,)))


@pytest.mark.parametrize(
    ("layers", "expected", "made"),
    [
        ([("MUL", 1 / 255)], (0, 255), "(MUL) make 0 … 1 of"),
        ([("DIV", 255)], (0, 255), "(DIV) make 0 … 1 of"),
        ([("MUL", 1 / 127.5), ("ADD", -1)], (0, 255), "(MUL, ADD) make -1 … 1 of"),
        ([("SUB", [123.68, 116.78, 103.94])], (0, 255), "(SUB) make -124 … 151 of"),
        ([("DIV", 255), ("SUB", [0.485, 0.456, 0.406]), ("DIV", [0.229, 0.224, 0.225])], (0, 255), "make -2.12 … 2.64"),
        ([("SUB", [0.485, 0.456, 0.406]), ("DIV", [0.229, 0.224, 0.225])], (0, 1), "(SUB, DIV) make -2.12 … 2.64 of"),
        ([("MUL", 2), ("SUB", 1)], (0, 1), "(MUL, SUB) make -1 … 1 of"),
        ([("ADD", 1), ("MUL", 127.5), ("DIV", 255), ("SUB", 3)], (0, 1), None),  # −2.5 … −2: no network's
        ([("-SUB", 1)], (0, 1), "(SUB) make 0 … 1 of"),  # dark on light
        ([("-DIV", 1)], (0, 1), None),
        ([("MUL", 0)], (0, 1), None),
        ([("MUL", np.inf)], (0, 1), None),
        ([("PAD", 0), ("MUL", [1 / 255] * 3)], (0, 255), "(MUL) make 0 … 1 of"),
        ([("MUL", 1)], (0, 1), None),
        ([], (0, 1), None),
    ],
)
def test_the_first_layers_tell_the_range_of_float_pictures(
    layers: list[tuple[str, npt.ArrayLike]], expected: tuple[int, ...], made: str | None
) -> None:
    found = pixel_range(normalising(*layers))
    assert (found.black, found.white) == expected
    assert found.known_from == ("layers" if made else "guess")
    assert (made or "a guess") in found.reason


def test_a_guess_that_the_first_layers_speak_against_is_called_hardly_right() -> None:
    assert "hardly right: the first layers (MUL) make nothing usual" in pixel_range(normalising(("MUL", 1000))).reason


def behind_weights(white: float, *, bias: float = 0.5) -> Model:
    """A layer of weights on pictures of 0 … `white`, with smaller weights the larger that is, as trained."""
    weights = np.linspace(-1, 1, 8 * 16).reshape(8, 16) / white
    x, w, b = fed((1, 16), "float32", name="x"), const(weights, "float32"), const([bias, -bias] * 4, "float32")
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "weights_format": "DEFAULT"}
    return network(Node("FULLY_CONNECTED", options, (x, w, b), (fed((1, 8), "float32", name="y"),)))


def test_a_guess_that_biases_outweigh_is_called_hardly_right() -> None:
    """A network that takes 0 … 255 has weights so small that pictures of 0 … 1 change nothing that it computes."""
    assert pixel_range(behind_weights(1)).reason == "a guess, as float32 tells nothing"
    assert "hardly right: the biases of FULLY_CONNECTED behind it are 1" in pixel_range(behind_weights(255)).reason
    assert pixel_range(behind_weights(255, bias=0)).reason == "a guess, as float32 tells nothing"
    assert "hardly right" not in pixel_range(behind_weights(np.inf)).reason  # no weight at all: it says nothing


def test_a_float_input_that_is_quantised_at_once_takes_what_its_codes_stand_for() -> None:
    found = pixel_range(normalising(codes=q(1.0, -128)))
    assert (found.black, found.white, found.known_from) == (0, 255, "quantization")


def test_codes_that_the_first_layers_speak_against_are_called_hardly_right() -> None:
    """As a network that takes 0 … 255 is quantised where it was calibrated on 0 … 1."""
    rescale = {"fused_activation_function": "NONE"}
    x, y, z = (fed((1, 2, 2, 3), "int8", each, name) for name, each in (("x", UNIT), ("y", q(1)), ("z", q(1))))
    by, minus = const(127, "int8", q(1 / 127 / 127.5)), const(-127, "int8", q(1 / 127))
    found = pixel_range(network(Node("MUL", rescale, (x, by), (y,)), Node("ADD", rescale, (y, minus), (z,))))
    assert (found.black, found.white, found.known_from) == (0, 1, "quantization")
    assert found.reason.endswith("but the first layers (MUL, ADD) make -1 … -0.992 of that, which is hardly right")
    x = fed(x.shape, "int8", q(1, -128))
    found = pixel_range(network(Node("MUL", rescale, (x, by), (y,)), Node("ADD", rescale, (y, minus), (z,))))
    assert (found.black, found.white, found.reason) == (0, 255, "its int8 codes stand for that")


def test_layers_that_others_read_beside_or_that_clamp_tell_nothing() -> None:
    x, c = fed((1, 2, 2, 3), "float32", name="x"), const(1 / 255, "float32")
    y, z = (fed(x.shape, "float32", name=name) for name in "yz")
    scaled = Node("MUL", {"fused_activation_function": "NONE"}, (x, c), (y,))
    assert pixel_range(network(scaled)).known_from == "layers"
    assert pixel_range(network(scaled, Node("RELU", {}, (x,), (z,)))).known_from == "guess"
    clamped = Node("MUL", {"fused_activation_function": "RELU6"}, (x, c), (y,))
    assert pixel_range(network(clamped)).known_from == "guess"


def test_what_the_caller_gives_holds() -> None:
    found = pixel_range(normalising(("DIV", 255)), 0, (-1, 3))
    assert (found.black, found.white, found.known_from) == (-1, 3, "given")


def test_every_grey_becomes_its_code() -> None:
    plan = make_plan(relu(fed((1, 16, 16, 1), "int8", UNIT)))
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    codes = pixels_to_input(plan, pixels)
    np.testing.assert_array_equal(codes, (pixels.astype(np.int16) - 128).astype(np.int8)[..., np.newaxis], strict=True)


def test_a_range_may_be_given() -> None:
    plan = make_plan(relu(fed((1, 1, 2, 1), "float32")))
    pixels = np.array([[[0, 255]]], np.uint8)
    assert pixels_to_input(plan, pixels).tolist() == [[[[0.0], [1.0]]]]
    assert pixels_to_input(plan, pixels, real_range=(-1, 3)).tolist() == [[[[-1.0], [3.0]]]]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 5, 7, 3), (5, 7, 3)), ((1, 5, 7), (5, 7, 1)), ((1, 784), (28, 28, 1)), ((1, 5, 7, 1), (5, 7, 1))],
)
def test_shapes_that_are_pictures(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert picture_shape(fed(shape, "float32")) == expected


@pytest.mark.parametrize("shape", [(1, 783), (1, 1), (784,), (1, 5, 7, 2), (2, 28, 28), ()])
def test_shapes_that_are_not(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="not a picture's"):
        picture_shape(fed(shape, "float32"))


def test_pictures_of_another_size_are_refused() -> None:
    plan = make_plan(relu(fed((1, 28, 28, 3), "float32")))
    with pytest.raises(InputError, match="takes pictures of 28×28×3, got 28×28×1"):
        pixels_to_input(plan, np.zeros((2, 28, 28), np.uint8))


@pytest.mark.parametrize("dtype", ["bool", "int4", "float16"])
def test_what_has_no_codes_has_no_black_and_white(dtype: str) -> None:
    with pytest.raises(InputError, match=f"is {dtype} without quantisation"):
        pixel_range(relu(fed((1, 2), dtype, UNIT)))


def test_a_tensor_with_bounds_but_no_scale_is_not_quantised() -> None:
    with pytest.raises(InputError, match="without quantisation"):
        quantize_input(relu(fed((1, 2), "int8", Quantization(min=(0.0,), max=(1.0,)))), [0.0])


@pytest.mark.parametrize(("off", "usual"), [(0.019, True), (0.021, False)])
def test_a_range_within_two_percent_of_a_usual_one_is_taken_for_it(off: float, usual: bool) -> None:
    """From 0 to 1 + off."""
    scale = (1 + off) / 255
    found = pixel_range(relu(fed((1, 4), "int8", q(scale, -128))))
    assert (found.white == 1.0) == usual
