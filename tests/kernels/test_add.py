"""ADD's own facts: one scale for both inputs, which activations count, what wraps, and when TFLM would abort."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels import _broadcast
from refengine.kernels import add as kernel
from refengine.model import Model, Quantization
from tests.models import const, fed, one_op, q

FLT_MAX = np.finfo(np.float32).max


def add(
    dtype: str,
    input1: Quantization | None = None,
    input2: Quantization | None = None,
    output: Quantization | None = None,
    activation: str = "NONE",
    size: int = 3,
) -> Model:
    """Two fed vectors."""
    tensors = fed((size,), dtype, input1, "a"), fed((size,), dtype, input2, "b")
    return one_op("ADD", {"fused_activation_function": activation}, [*tensors], fed((size,), dtype, output, "y"))


def ints(dtype: str, *codes: int) -> np.ndarray[Any, Any]:
    return np.array(codes, dtype)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_each_input_has_its_scale_and_zero_point(dtype: str) -> None:
    """0.5 · (7 − 3) + 0.25 · (1 + 3) = 3, which is code 6 − 10 at scale 0.5; 71.75 is code 143.5 − 10."""
    model = add(dtype, q(0.5, 3), q(0.25, -3), q(0.5, -10))
    (y,) = run(model, ints(dtype, 7, 3, 100), ints(dtype, 1, -3, 90))
    assert y.tolist() == [-4, -10, 134 if dtype == "int16" else 127]


def test_activations_clamp_codes() -> None:
    """ReLU6 at scale ½ and zero point −1: codes −1 … 11."""
    (y,) = run(add("int8", q(0.5), q(0.5), q(0.5, -1), "RELU6"), ints("int8", -9, 3, 99), ints("int8", 0, 1, 2))
    assert y.tolist() == [-1, 3, 11]


@pytest.mark.parametrize(("factor", "taken"), [(2**-11, False), (2**-10, True), (2**7, True), (2**8, False)])
def test_xnnpack_takes_factors_of_its_range(factor: float, taken: bool) -> None:
    """XNNPACK shifts the sum only; LiteRT's own kernel its inputs as well, by 20 bits."""
    litert = Numerics(kernels="litert", rounding="xnnpack")
    params = make_plan(add("int8", q(factor), q(1), q(1)), numerics=litert).steps[0].params
    assert params.left_shift == (0 if taken else 20)
    largest = max(params.input1_multiplier.scale, params.input2_multiplier.scale)
    assert not taken or 2**20 <= largest < 2**21


@pytest.mark.parametrize(("rounding", "codes"), [("double", [1, -1]), ("single", [1, 0]), ("xnnpack", [0, 0])])
def test_half_a_code_in_three_dialects(rounding: Any, codes: list[int]) -> None:
    plan = make_plan(add("int8", q(1), q(1), q(2), size=2), numerics=Numerics(rounding=rounding))
    assert run(plan, ints("int8", 1, -1), ints("int8", 0, 0))[0].tolist() == codes


def test_int32_wraps_and_ignores_its_activation() -> None:
    (y,) = run(add("int32", activation="RELU6"), ints("int32", -5, 90, 2**31 - 1), ints("int32", 2, 9, 1))
    assert y.tolist() == [-3, 99, -(2**31)]


def test_floats_are_clamped_as_cpp_does() -> None:
    inf, nan = np.inf, np.nan
    a, b = np.array([inf, -inf, -0.0, nan, 1], np.float32), np.array([1, 1, -0.0, 1, 2**-25], np.float32)
    (y,) = run(add("float32", size=5), a, b)
    assert y.tobytes() == np.array([FLT_MAX, -FLT_MAX, -0.0, nan, 1], np.float32).tobytes()
    (y,) = run(add("float32", activation="RELU6", size=5), a, b)
    assert y.tobytes() == np.array([6, 0, -0.0, nan, 1], np.float32).tobytes()


def test_a_batch_of_a_lower_rank_broadcasts_behind_the_batch() -> None:
    """(1, 2, 1) and a constant (3,): in a batch, the constant meets the last dimension, not the batch."""
    x = fed((1, 2, 1), "int32")
    model = one_op(
        "ADD", {"fused_activation_function": "NONE"}, [const([1, 2, 3], "int32"), x], fed((1, 2, 3), "int32")
    )
    batch = np.array([[[10], [20]], [[30], [40]], [[50], [60]]], np.int32)
    assert np.array_equal(run(model, batch)[0], batch + np.array([1, 2, 3], np.int32))


@pytest.mark.parametrize(("dtype", "scale"), [("int8", 2.0**-19), ("int16", 2.0**-14)])
def test_an_output_scale_on_which_tflm_aborts(dtype: str, scale: float) -> None:
    with pytest.raises(UnsupportedError, match=r"scale .* of output 'output0' is too small .* TFLM aborts"):
        make_plan(add(dtype, q(1), q(0.5), q(scale)))
    make_plan(add(dtype, q(1), q(0.5), q(float(np.nextafter(np.float32(scale), np.float32(1))))))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (add("int32", q(1), q(1)), r"input 'input0' is int32 with a scale; TFLM adds int32 only unquantised"),
        (add("int8", q(1), q(1)), r"tensor 'output0' is int8 but has no positive scale"),
        (add("int8", q(1), q(0), q(1)), r"tensor 'input1' is int8 but has no positive scale"),
        (add("int8", q(1, 200), q(1), q(1)), r"zero point 200 of tensor 'input0' is no int8 code"),
        (
            one_op("ADD", {}, [fed((2,), "int8", q(1)), fed((2,), "int16", q(1))], fed((2,), "int8", q(1))),
            r"input 'input0' is int8, input 'input1' int16 and output 'output0' int8; they must agree",
        ),
        (
            one_op("ADD", {}, [fed((2,), "float32"), fed((3,), "float32")], fed((3,), "float32")),
            r"'input0' \(2,\) and 'input1' \(3,\) do not broadcast to output 'output0' \(3,\)",
        ),
        (
            one_op("ADD", {}, [fed((2,), "float32"), fed((1,), "float32")], fed((1, 2), "float32")),
            r"do not broadcast to output 'output0' \(1, 2\)",
        ),
        (
            one_op("ADD", {}, [fed((1,) * 7, "float32"), fed((1,), "float32")], fed((1,) * 7, "float32")),
            r"has 7 dimensions; TFLM takes at most 6",
        ),
        (
            one_op("ADD", {}, [fed((2,), "float32")], fed((2,), "float32")),
            r"expected 2 inputs and 1 output, got 1 and 1",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_six_dimensions_are_as_many_as_tflm_holds() -> None:
    x, y = fed((1, 1, 2, 1, 1, 1), "float32"), fed((1, 1, 2, 1, 1, 3), "float32")
    model = one_op("ADD", {"fused_activation_function": "NONE"}, [x, const([1, 2, 4], "float32")], y)
    (sums,) = run(model, np.array([8, 16], np.float32).reshape(x.shape))
    assert sums.ravel().tolist() == [9, 10, 12, 17, 18, 20]


def many_int16(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pairs of codes, the ends among them."""
    a, b = np.random.default_rng(seed).integers(-(2**15), 2**15, (2, 1 << 14)).astype(np.int16)
    a[:4], b[:4] = (-(2**15), -(2**15), 2**15 - 1, 2**15 - 1), (-(2**15), 2**15 - 1, -(2**15), 2**15 - 1)
    return a, b


@pytest.mark.parametrize("scales", [(0.5, 0.5, 1), (0.25, 0.5, 0.625), (0.013, 0.0007, 0.011), (0.001, 0.0009, 0.07)])
@pytest.mark.parametrize("activation", ["NONE", "RELU"])
def test_many_int16_codes_by_float64_are_those_by_integers(scales: tuple[float, ...], activation: str) -> None:
    a, b = many_int16(1)
    p = make_plan(add("int16", q(scales[0]), q(scales[1]), q(scales[2]), activation)).steps[0].params
    for params in (p, replace(p, sign=-1)):
        assert params.lines is not None
        assert np.array_equal(kernel._sum_of_lines(params, params.lines, a, b), kernel._sum(params, a, b))


def test_a_large_int16_tensor_goes_by_float64_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [np.resize(x, _broadcast.MANY) for x in many_int16(2)]
    plan = make_plan(add("int16", q(0.25), q(0.5), q(0.625), size=_broadcast.MANY))
    monkeypatch.setattr(kernel, "_sum", lambda *_: pytest.fail("by integers"))
    (by_lines,) = run(plan, *inputs)
    monkeypatch.undo()
    monkeypatch.setattr(kernel.Params, "lines", None)
    (by_integers,) = run(plan, *inputs)
    assert np.array_equal(by_lines, by_integers)


def test_lines_know_nothing_of_zero_points() -> None:
    assert make_plan(add("int16", q(0.25, 1), q(0.5), q(0.625))).steps[0].params.lines is None
