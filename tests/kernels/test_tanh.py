"""TANH's own facts: the assumed output scale and zero point, saturation, and symmetry up to a rounding."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Array, Model, Quantization
from tests.models import fed, one_op, q

INT8, INT16 = np.arange(-128, 128).astype(np.int8), np.arange(-(2**15), 2**15).astype(np.int16)


def model(dtype: str, size: int, input: Quantization | None, output: Quantization | None) -> Model:
    return one_op("TANH", {}, [fed((size,), dtype, input)], fed((size,), dtype, output, "y"))


def tanh8(scale: float, zero_point: int = 0, output: Quantization | None = None) -> Array:
    """What each int8 code becomes, −128 first."""
    return run(model("int8", 256, q(scale, zero_point), output or q(2**-7)), INT8)[0].astype(int)


def tanh16(scale: float) -> Array:
    """What each int16 code becomes, −32768 first."""
    return run(model("int16", 2**16, q(scale), q(2**-15)), INT16)[0].astype(int)


@pytest.mark.parametrize("scale", [2.0**-7, 0.0213, 0.1, 1.0])
@pytest.mark.parametrize("zero_point", [0, -128, 55])
def test_int8_is_tanh_to_a_rounding(scale: float, zero_point: int) -> None:
    real = np.tanh(np.float32(scale) * (INT8.astype(np.float64) - zero_point)) * 128
    assert np.abs(tanh8(scale, zero_point) - np.minimum(real, 127)).max() < 0.5001


def test_minus_one_is_a_code_and_one_is_not() -> None:
    codes = tanh8(1.0)
    assert (codes[128], codes[128 - 15], codes[128 + 15]) == (0, -128, 127)


def test_the_output_quantisation_is_not_read() -> None:
    assert np.array_equal(tanh8(0.1, 0, q(7.0, -100)), tanh8(0.1))


@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 0.0003, 2.0**-20, 0.01])
def test_int16_is_tanh_to_three_codes(scale: float) -> None:
    real = np.tanh(np.float32(scale) * INT16.astype(np.float64)) * 32768
    assert np.abs(tanh16(scale) - real).max() < 3


def test_int16_never_reaches_minus_one() -> None:
    codes = tanh16(2.0**-11)
    assert (codes[0], codes[2**15], codes[-1]) == (-32767, 0, 32767)


def test_two_powers_of_two_need_no_multiplier() -> None:
    """2⁻¹² and 2⁻¹¹ take 3 and 6; others what keeps most bits, doubled 31 times at most."""

    def factor(scale: float) -> tuple[int, int]:
        params = make_plan(model("int16", 1, q(scale), q(2**-15))).steps[0].params
        return params.input_multiplier, params.input_left_shift

    assert [factor(2.0**-n) for n in (10, 11, 12, 13)] == [(24576, 11), (6, 0), (3, 0), (24576, 14)]
    assert [factor(2.0**-n) for n in (30, 31, 44)] == [(24576, 31), (12288, 31), (1, 31)]


def test_float_depends_on_the_c_library() -> None:
    x = np.linspace(-3, 3, 10**5).astype(np.float32)
    float_model = model("float32", x.size, None, None)
    ours, theirs = (run(float_model, x, numerics=Numerics(libm=libm))[0] for libm in ("glibc", "newlib-fma"))
    assert not np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_float_ends() -> None:
    x = np.array([np.inf, -np.inf, -0.0, 30, np.nan], np.float32)
    (y,) = run(model("float32", 5, None, None), x)
    assert y[:4].tobytes() == np.array([1, -1, -0.0, 1], np.float32).tobytes()
    assert np.isnan(y[4])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (model("int8", 4, None, q(2**-7)), "has no positive scale"),
        (model("int8", 4, q(2.0**35), q(2**-7)), "no room"),
        (model("int16", 4, q(1.0, 1), q(2**-15)), "zero point of 0; that of 'input0' is 1"),
        (model("int16", 4, q(1.0), q(2**-7)), "must be 2\\^-15"),
        (model("int16", 4, q(2.0**17), q(2**-15)), "multiplier has no room"),
        (model("int16", 4, q(2.0**-45), q(2**-15)), "multiplier is 0"),
        (one_op("TANH", {}, [fed((4,), "float32")], fed((4,), "int8", q(2**-7), "y")), "must agree"),
    ],
)
def test_refusals(node: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(node)
