"""PRELU's own facts: two multipliers, alphas with a zero point, and where float32 ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels import prelu as kernel
from refengine.model import Model, Quantization
from tests.models import const, fed, one_op, q


def prelu(
    dtype: str,
    input: Quantization | None = None,
    alpha: Quantization | None = None,
    output: Quantization | None = None,
    size: int = 4,
    alpha_type: str = "",
) -> Model:
    slope = fed((size,), alpha_type or ("float32" if dtype == "float32" else "int8"), alpha, "alpha")
    return one_op("PRELU", {}, [fed((size,), dtype, input), slope], fed((size,), dtype, output))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_each_side_of_zero_has_its_multiplier(dtype: str) -> None:
    """0.5 · (code − 10) to steps of 0.25 from −20 on; alphas are 0.125 · (code − 2)."""
    x, alpha = np.array([10, 18, 2, 0], dtype), np.array([99, 99, 6, -6], np.int8)
    (y,) = run(prelu(dtype, q(0.5, 10), q(0.125, 2), q(0.25, -20)), x, alpha)
    assert y.tolist() == [-20, -4, -28, 0]  # 0 → 0, 4 → 4, −4 · 0.5 → −2, −5 · −1 → 5


def test_results_saturate() -> None:
    (y,) = run(prelu("int8", q(1), q(1), q(1), 2), np.array([127, -128], np.int8), np.array([1, 127], np.int8))
    assert y.tolist() == [127, -128]


@pytest.mark.parametrize(("rounding", "codes"), [("double", [1, -1]), ("single", [1, 0])])
def test_half_a_code_in_two_dialects(rounding: Any, codes: list[int]) -> None:
    plan = make_plan(prelu("int8", q(0.25), q(0.5), q(1), 2), numerics=Numerics(rounding=rounding))
    assert run(plan, np.array([2, -4], np.int8), np.array([1, 1], np.int8))[0].tolist() == codes


def test_float_zeros_and_nan() -> None:
    """−0 is not below 0 and passes; NaN is not above it and is multiplied."""
    x, alpha = np.array([-0.0, -2, 3, np.nan], np.float32), np.array([5, 0.5, 5, 1], np.float32)
    (y,) = run(prelu("float32"), x, alpha)
    assert y[:3].tobytes() == np.array([-0.0, -1, 3], np.float32).tobytes() and np.isnan(y[3])
    (small,) = run(prelu("float32"), x, alpha / 8)  # of which the larger is the one that is meant
    assert small[:3].tobytes() == np.array([-0.0, -0.125, 3], np.float32).tobytes() and np.isnan(small[3])


def test_alpha_broadcasts() -> None:
    model = one_op("PRELU", {}, [fed((2, 2), "float32"), const([0.5, 2], "float32")], fed((2, 2), "float32"))
    assert run(model, np.array([[-4, -4], [1, -1]], np.float32))[0].tolist() == [[-2, -8], [1, -2]]


def of_rank(rank: int) -> Model:
    shape = (1,) * rank
    return one_op("PRELU", {}, [fed(shape, "float32"), fed((1,), "float32")], fed(shape, "float32"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (prelu("int16", q(1), q(1), q(1), alpha_type="int16"), r"alpha 'input1' is int16 .* TFLM reads int8 alphas"),
        (prelu("int8", q(1), None, q(1)), r"'input1' is int8 but has no positive scale"),
        (prelu("int8", q(1), q(2.0**-20), q(2.0**-40)), r"their factor is 2\^41"),  # of codes above zero
        (prelu("int8", q(1), q(2.0**40), q(1)), r"their factor is 2\^41"),  # and of those below
        (of_rank(5), r"has 5 dimensions; TFLM's float32 PRELU takes at most 4"),
        (one_op("PRELU", {}, [fed((2,), "float32"), fed((3,), "float32")], fed((2,), "float32")), r"do not broadcast"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_xnnpack_is_not_guessed() -> None:
    with pytest.raises(UnsupportedError, match=r"what XNNPACK makes of a quantised PRELU is not known"):
        make_plan(prelu("int8", q(1), q(1), q(1)), numerics=Numerics(rounding="xnnpack"))
    make_plan(prelu("float32"), numerics=Numerics(rounding="xnnpack"))


@pytest.mark.parametrize("x", [q(0.5), q(0.013, 37)])
@pytest.mark.parametrize("slope", [q(0.25), q(0.07, -5)])
@pytest.mark.parametrize("y", [q(0.5), q(0.011, -900)])
def test_many_int16_codes_by_float64_are_those_by_integers(
    x: Quantization, slope: Quantization, y: Quantization
) -> None:
    rng = np.random.default_rng(1)
    input, alpha = rng.integers(-(2**15), 2**15, 1 << 14).astype(np.int16), rng.integers(-128, 128, 1 << 14)
    input[:4], alpha[:4] = (-(2**15), -(2**15), 2**15 - 1, 2**15 - 1), (-128, 127, -128, 127)
    p = make_plan(prelu("int16", x, slope, y)).steps[0].params
    (identity, scaled), codes = p.lines, alpha.astype(np.int8)
    by_lines = kernel._prelu_of_lines(p, identity, scaled, input, codes)
    assert np.array_equal(by_lines, kernel._prelu(p, input, codes))
