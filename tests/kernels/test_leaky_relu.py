"""LEAKY_RELU's own facts: two multipliers, and alphas of any sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, execute, explain, make_plan, run
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q


def model(alpha: float, dtype: str, input: Quantization | None, output: Quantization | None, size: int = 4) -> Model:
    return one_op("LEAKY_RELU", {"alpha": alpha}, [fed((size,), dtype, input)], fed((size,), dtype, output, "y"))


def test_both_sides_are_requantised() -> None:
    """Codes 10 + (−8, 0, 8, 100), times 0.5 / 0.25 or a quarter of it, from −20 on."""
    (y,) = run(model(0.25, "int8", q(0.5, 10), q(0.25, -20)), np.array([2, 10, 18, 110], np.int8))
    assert y.tolist() == [-24, -20, -4, 127]


def test_a_negative_alpha_mirrors() -> None:
    (y,) = run(model(-0.5, "int8", q(1.0), q(1.0)), np.array([-7, -1, 0, 3], np.int8))
    assert y.tolist() == [3, 0, 0, 3]  # −3.5 and −0.5 are rounded, up, before the sign is put back


def test_int16_may_have_zero_points() -> None:
    (y,) = run(model(0.5, "int16", q(1.0, 100), q(1.0, -100)), np.array([0, 100, 300, 32767], np.int16))
    assert y.tolist() == [-150, -100, 100, 32567]


def test_float() -> None:
    x = np.array([-2, 0.0, -0.0, 3, np.inf, -np.inf, np.nan], np.float32)
    (y,) = run(model(0.5, "float32", None, None, 7), x)
    assert y[:6].tobytes() == np.array([-1, 0.0, -0.0, 3, np.inf, -np.inf], np.float32).tobytes()
    assert np.isnan(y[6])


@pytest.mark.parametrize(
    "alpha", [2.0**-149, 2.0**-126, 0.3, 1.0, np.nextafter(np.float32(1), np.float32(2)), 0.0, -0.5]
)
def test_the_larger_of_two_floats_is_the_one_that_is_meant(alpha: float) -> None:
    """Every exponent, both zeros and infinities, NaN."""
    x = np.concatenate(
        [np.arange(2**32, step=2**19 - 1).astype(np.uint32).view(np.float32), np.array([0, np.inf], np.float32)]
    )
    x = np.concatenate([x, -x])
    (y,) = run(model(alpha, "float32", None, None, x.size), x)
    with np.errstate(all="ignore"):
        meant = np.where(x > 0, x, x * np.float32(alpha))
    numbers = ~np.isnan(meant)
    assert np.isnan(y[~numbers]).all() and y[numbers].tobytes() == meant[numbers].tobytes()


def test_a_float_zero_takes_the_sign_of_alpha() -> None:
    (y,) = run(model(-0.5, "float32", None, None, 1), np.zeros(1, np.float32))
    assert np.signbit(y).all()


@pytest.mark.parametrize(("rounding", "codes"), [("double", [7, -7]), ("single", [7, -6]), ("xnnpack", [6, -6])])
def test_ties_in_three_dialects(rounding: Any, codes: list[int]) -> None:
    """26 · 0.25 and −26 · 0.25."""
    plan = make_plan(model(1.0, "int8", q(0.25), q(1.0), 2), numerics=Numerics(rounding=rounding))
    assert run(plan, np.array([26, -26], np.int8))[0].tolist() == codes


def test_scale_math_reaches_both_multipliers() -> None:
    double, single = (
        make_plan(model(0.1, "int16", q(0.1), q(0.3)), numerics=Numerics(scale_math=math)).steps[0].params
        for math in ("double", "float32")
    )
    assert double.multiplier_alpha.multiplier != single.multiplier_alpha.multiplier
    assert double.multiplier_identity.multiplier != single.multiplier_identity.multiplier


LIMITS = [(2**-9, 1, False), (2**-8, 1, True), (128, 1, True), (256, 0.5, False), (1, 2**-9, False), (1, 2**-8, True),
          (1, 128, True), (1, 129, False), (1, -(2**-8), True), (1, 2**-8 - 128, True)]  # fmt: skip


@pytest.mark.parametrize(("factor", "alpha", "taken"), LIMITS)
def test_xnnpack_takes_factors_of_its_range(factor: float, alpha: float, taken: bool) -> None:
    """In steps of 1/256; LiteRT's own kernel doubles and rounds high."""
    litert = Numerics(kernels="litert", rounding="xnnpack")
    params = make_plan(model(alpha, "int8", q(factor), q(1.0)), numerics=litert).steps[0].params
    assert {params.multiplier_identity.rounding, params.multiplier_alpha.rounding} == {"single" if taken else "double"}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (model(np.inf, "int8", q(1.0), q(1.0)), "alpha is inf"),
        (model(np.nan, "float32", None, None), "alpha is nan"),
        (model(0.1, "int8", q(1.0), None), "has no positive scale"),
        (model(2.0**40, "int8", q(1.0), q(1.0)), r"their factor is 2\^41"),  # of codes below zero
        (model(2.0**-20, "int8", q(1.0), q(2.0**-40)), r"their factor is 2\^41"),  # and of those above
        (one_op("LEAKY_RELU", {"alpha": 0.1}, [fed((4,), "float32")], fed((2, 2), "float32", None, "y")), "must agree"),
    ],
)
def test_refusals(node: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(node)


@pytest.mark.parametrize(("alpha", "told"), [(-0.5, True), (0.0, False), (0.5, False)])
def test_an_explanation_tells_of_a_negative_alpha_only(alpha: float, told: bool) -> None:
    plan = make_plan(model(alpha, "int8", q(1.0), q(1.0)))
    (record,) = execute(plan, np.array([-7, -1, 0, 3], np.int8))
    assert any(line.text == "alpha is negative" for line in explain(plan, record, (0,)).lines) is told
