"""HARD_SWISH's own facts: 16-bit arithmetic, and where it has no room."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels import hard_swish
from refengine.model import Array, Model, Quantization
from refengine.numerics.fixedpoint import Multiplier
from tests.models import fed, one_op, q

INT8 = np.arange(-128, 128).astype(np.int8)


def model(dtype: str, size: int, input: Quantization | None, output: Quantization | None) -> Model:
    return one_op("HARD_SWISH", {}, [fed((size,), dtype, input)], fed((size,), dtype, output, "y"))


def hard_swish8(input: Quantization, output: Quantization) -> Array:
    """What each int8 code becomes, −128 first."""
    return run(model("int8", 256, input, output), INT8)[0].astype(int)


@pytest.mark.parametrize("scale", [0.01, 0.05, 0.0941, 0.7, 3.0])
@pytest.mark.parametrize("zero_point", [0, -128, 55])
def test_int8_is_hard_swish_to_a_code(scale: float, zero_point: int) -> None:
    x = np.float32(scale) * (INT8.astype(np.float64) - zero_point)
    real = x * np.clip(x + 3, 0, 6) / 6 / np.float32(scale) - 10
    assert np.abs(hard_swish8(q(scale, zero_point), q(scale, -10)) - np.clip(real, -128, 127)).max() <= 1


def test_beyond_three_it_is_the_identity_or_zero() -> None:
    codes = hard_swish8(q(1.0), q(1.0))
    assert codes[128 + 3 :].tolist() == list(range(3, 128))
    assert codes[: 128 - 2].tolist() == [0] * 126


def test_float_is_the_formula_in_its_order() -> None:
    x = np.array([-3, -4, -0.0, 0.5, 3, 7, np.inf], np.float32)
    (y,) = run(model("float32", 7, None, None), x)
    expected = np.array([-0.0, -0.0, -0.0, np.float32(0.5) * np.float32(3.5) / np.float32(6), 3, 7, np.inf], np.float32)
    assert y.tobytes() == expected.tobytes()


def test_minus_infinity_is_no_number() -> None:
    (y,) = run(model("float32", 2, None, None), np.array([-np.inf, np.nan], np.float32))
    assert np.isnan(y).all()


@pytest.mark.slow
def test_scale_math_reaches_the_multipliers() -> None:
    """Cut to 16 bits, the two quotients hardly ever part: here they do."""
    fields = ("output_multiplier_fixedpoint_int16", "reluish_multiplier_fixedpoint_int16")
    rng, parted = np.random.default_rng(0), 0
    for input, output in rng.uniform(0.01, 0.1, (3000, 2)):
        double, single = (
            make_plan(model("int8", 1, q(input), q(output)), numerics=Numerics(scale_math=math)).steps[0].params
            for math in ("double", "float32")
        )
        parted += any(getattr(double, name) != getattr(single, name) for name in fields)
    assert 0 < parted < 100


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (model("int8", 4, q(1.0), q(0.007)), "16 bits"),
        (model("int8", 4, q(1.0), q(600.0)), "16 bits"),
        (model("int8", 4, q(2.0**-24), q(2.0**-24)), "16 bits"),
        (model("int8", 4, q(1.0), None), "has no positive scale"),
        (model("int16", 4, q(1.0), q(1.0)), "int16; supported here: float32, int8"),
    ],
)
def test_refusals(node: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(node)


@pytest.mark.parametrize(
    ("multiplier", "narrow"),
    [(2**30, 2**14), (2**30 + 2**15 - 1, 2**14), (2**30 + 2**15, 2**14 + 1), (2**31 - 1, 2**15 - 1)],
)
def test_multipliers_keep_their_upper_16_bits_rounded_and_saturated(multiplier: int, narrow: int) -> None:
    factor = Multiplier(np.array(multiplier), np.array(-3), np.float32(0))
    assert hard_swish._narrow(factor) == (narrow, -3)
