"""MUL's own facts: which zero points it takes, what wraps, and which activations count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels import mul as kernel
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q

FLT_MAX = np.finfo(np.float32).max


def mul(
    dtype: str,
    input1: Quantization | None = None,
    input2: Quantization | None = None,
    output: Quantization | None = None,
    activation: str = "NONE",
    size: int = 3,
) -> Model:
    """Two fed vectors."""
    tensors = fed((size,), dtype, input1, "a"), fed((size,), dtype, input2, "b")
    return one_op("MUL", {"fused_activation_function": activation}, [*tensors], fed((size,), dtype, output, "y"))


def ints(dtype: str, *codes: int) -> np.ndarray[Any, Any]:
    return np.array(codes, dtype)


def test_int8_has_three_zero_points() -> None:
    """(7 − 3) · (1 + 3) · 0.5 · 0.5 / 0.25 = 16."""
    model = mul("int8", q(0.5, 3), q(0.5, -3), q(0.25, -10))
    assert run(model, ints("int8", 7, 3, 127), ints("int8", 1, 99, 127))[0].tolist() == [16 - 10, -10, 127]


def test_int16_products_are_wide() -> None:
    (y,) = run(mul("int16", q(1), q(1), q(2.0**15)), ints("int16", -32768, 300, 2), ints("int16", -32768, 100, 1))
    assert y.tolist() == [32767, 1, 0]


@pytest.mark.parametrize(("factor", "taken"), [(2**-17, False), (2**-16, True), (2**7, True), (2**8, False)])
def test_xnnpack_takes_factors_of_its_range(factor: float, taken: bool) -> None:
    litert = Numerics(kernels="litert", rounding="xnnpack")
    multiplier = make_plan(mul("int8", q(factor), q(1), q(1)), numerics=litert).steps[0].params.output_multiplier
    assert multiplier.rounding == ("xnnpack-int16" if taken else "double")


@pytest.mark.parametrize(("rounding", "codes"), [("double", [1, -1]), ("single", [1, 0]), ("xnnpack", [0, 0])])
def test_half_a_code_in_three_dialects(rounding: Any, codes: list[int]) -> None:
    plan = make_plan(mul("int8", q(1), q(1), q(4), size=2), numerics=Numerics(rounding=rounding))
    assert run(plan, ints("int8", 2, -2), ints("int8", 1, 1))[0].tolist() == codes


def test_without_a_right_shift_ties_go_up() -> None:
    """±3 / 2: the high multiply alone rounds towards +∞."""
    (y,) = run(mul("int8", q(1), q(1), q(2), size=2), ints("int8", 3, -3), ints("int8", 1, 1))
    assert y.tolist() == [2, -1]


def test_a_product_shifted_out_of_its_register_is_lost() -> None:
    """64 · 32 · 2²¹ is 2³²: 0 in 32 bits, where any real arithmetic saturates."""
    (y,) = run(mul("int8", q(1), q(1), q(2.0**-20), size=1), ints("int8", 64), ints("int8", 32))
    assert y.tolist() == [0]


def test_int32_wraps_and_honours_its_activation() -> None:
    a, b = ints("int32", 2**16 + 1, 3, -3), ints("int32", 2**16, 3, 3)
    assert run(mul("int32"), a, b)[0].tolist() == [2**16, 9, -9]
    assert run(mul("int32", activation="RELU6"), a, b)[0].tolist() == [6, 6, 0]
    assert run(mul("int32", activation="RELU_N1_TO_1"), a, b)[0].tolist() == [1, 1, -1]


def test_floats_are_clamped_as_cpp_does() -> None:
    a, b = np.array([1e30, -0.0, np.nan], np.float32), np.array([1e30, 1, 1], np.float32)
    assert run(mul("float32"), a, b)[0].tobytes() == np.array([FLT_MAX, -0.0, np.nan], np.float32).tobytes()
    relu = run(mul("float32", activation="RELU"), -a, b)[0]
    assert relu[:2].tobytes() == np.array([0, 0], np.float32).tobytes()
    assert np.isnan(relu[2])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            mul("int16", q(1), q(1, 5), q(1)),
            r"zero point of 'input1' is 5; TFLM multiplies int16 only with zero points of 0",
        ),
        (mul("int16", q(1), q(1), q(1, 5)), r"zero point of 'output0' is 5"),
        (mul("int8", q(2.0**20), q(2.0**20), q(1)), r"scale of output 'output0' is too small .* shift by 31 bits"),
        (mul("int8", None, q(1), q(1)), r"tensor 'input0' is int8 but has no positive scale"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


@pytest.mark.parametrize("scales", [(1, 1, 2), (1, 1, 32768), (0.013, 0.0007, 0.02), (0.001, 0.0009, 7e-6)])
@pytest.mark.parametrize("activation", ["NONE", "RELU"])
def test_many_int16_codes_by_float64_are_those_by_integers(scales: tuple[float, ...], activation: str) -> None:
    a, b = np.random.default_rng(1).integers(-(2**15), 2**15, (2, 1 << 14)).astype(np.int16)
    a[:4], b[:4] = (-(2**15), -(2**15), 2**15 - 1, 2**15 - 1), (-(2**15), 2**15 - 1, -(2**15), 2**15 - 1)
    p = make_plan(mul("int16", q(scales[0]), q(scales[1]), q(scales[2]), activation)).steps[0].params
    assert p.lines is not None
    assert np.array_equal(kernel._product_of_lines(p.lines, a, b), kernel._product(p, a, b))
