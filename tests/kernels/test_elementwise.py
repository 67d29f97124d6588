"""ABS's, RSQRT's and the others' own facts: signs, roots of zero, codes that have no absolute value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, Numerics, UnsupportedError, make_plan, run
from refengine.model import Array, Model, Quantization
from tests.models import fed, one_op, q


def model(
    op: str, dtype: str, size: int = 1, input: Quantization | None = None, output: Quantization | None = None
) -> Model:
    return one_op(op, {}, [fed((size,), dtype, input)], fed((size,), dtype, output))


def floats(op: str, *values: float) -> Array:
    return run(model(op, "float32", len(values)), np.array(values, np.float32))[0]


def codes(made: Model, *values: int, **numerics: Any) -> list[int]:
    plan = make_plan(made, numerics=Numerics(**numerics))
    codes: list[int] = run(plan, np.array(values, plan.inputs[0].dtype))[0].tolist()
    return codes


def bits(*values: float) -> bytes:
    return np.array(values, np.float32).tobytes()


# ---- floats and bools ----------------------------------------------------------------------------------------


def test_abs_clears_the_sign() -> None:
    assert floats("ABS", -0.0, -1.5, -np.inf, 2).tobytes() == bits(0.0, 1.5, np.inf, 2)


def test_square_rounds_once() -> None:
    assert floats("SQUARE", -3, 1e20, 1e-30, 4097).tobytes() == bits(9, np.inf, 0, 16785408)  # 16785409 is odd


def test_roots_and_their_inverses_at_the_edges() -> None:
    roots, inverses = floats("SQRT", 2, 0.0, -0.0, np.inf, -1), floats("RSQRT", 4, 0.0, -0.0, np.inf, -1)
    assert roots[:4].tobytes() == bits(float(np.sqrt(np.float32(2))), 0.0, -0.0, np.inf)
    assert inverses[:4].tobytes() == bits(0.5, np.inf, -np.inf, 0.0)
    assert np.isnan([roots[4], inverses[4]]).all()


def test_an_inverse_root_is_rounded_twice() -> None:
    """√7 as a float32 is a little too small, and its inverse not the float32 next to 1 / √7."""
    values = np.arange(1, 1000, dtype=np.float32)
    twice, once = floats("RSQRT", *values.tolist()), (1 / np.sqrt(values.astype(np.float64))).astype(np.float32)
    assert 0 < (twice != once).sum() < len(values)


def test_logarithms_and_waves_at_the_edges() -> None:
    logs = floats("LOG", 1, 0.0, -0.0, np.inf, -1)
    assert logs[:4].tobytes() == bits(0.0, -np.inf, -np.inf, np.inf)
    assert floats("SIN", 0.0, -0.0).tobytes() == bits(0.0, -0.0)
    assert floats("COS", 0.0, -0.0).tobytes() == bits(1, 1)
    assert np.isnan([logs[4], *floats("SIN", np.inf), *floats("COS", -np.inf)]).all()


@pytest.mark.parametrize("op", ["SIN", "COS"])
@pytest.mark.parametrize("libm", ["newlib", "newlib-fma"])
def test_a_library_that_nobody_compared_is_refused(op: str, libm: Any) -> None:
    with pytest.raises(UnsupportedError, match=rf"the bits of {op.lower()}f in the C library .* libm={libm}"):
        make_plan(model(op, "float32"), numerics=Numerics(libm=libm))


def test_not() -> None:
    assert run(model("LOGICAL_NOT", "bool", 2), np.array([True, False]))[0].tolist() == [False, True]


# ---- ABS on codes --------------------------------------------------------------------------------------------


def test_abs_is_the_distance_from_the_zero_point() -> None:
    """In one scale; then to a scale half as large."""
    assert codes(model("ABS", "int8", 3, q(0.5, 10), q(0.5, -20)), 10, 0, 127) == [-20, -10, 97]
    assert codes(model("ABS", "int8", 3, q(0.5, 10), q(0.25, -20)), 10, 0, 127) == [-20, 0, 127]


@pytest.mark.parametrize("rounding", ["double", "single"])
def test_ties_go_up(rounding: Any) -> None:
    assert codes(model("ABS", "int16", 2, q(0.5), q(2)), 6, -6, rounding=rounding) == [2, 2]


def test_int16_without_a_scale_keeps_its_lowest_code() -> None:
    assert codes(model("ABS", "int16", 3), -32768, -5, 7) == [-32768, 5, 7]
    assert codes(model("ABS", "int16", 2, q(1), q(1)), -32768, -5) == [32767, 5]


def test_scale_math_reaches_both() -> None:
    for op in ("ABS", "RSQRT"):
        double, single = (
            make_plan(model(op, "int8", 1, q(0.1), q(0.3)), numerics=Numerics(scale_math=math)).steps[0].params  # type: ignore[arg-type]
            for math in ("double", "float32")
        )
        assert double.multiplier.multiplier != single.multiplier.multiplier


# ---- RSQRT on codes ------------------------------------------------------------------------------------------


def test_int8_is_the_inverse_root_to_a_rounding() -> None:
    inputs = np.arange(-127, 128)
    given = codes(model("RSQRT", "int8", 255, q(0.25, -128), q(0.0157, -128)), *inputs.tolist())
    real = 1 / np.sqrt(0.25 * (inputs + 128)) / np.float32(0.0157) - 128
    assert np.abs(given - np.minimum(real, 127)).max() < 0.51


def test_int16_is_the_inverse_root_to_little_more_than_a_rounding() -> None:
    inputs = np.arange(1, 32768, 13)
    given = codes(model("RSQRT", "int16", len(inputs), q(2.0**-10), q(2.0**-10)), *inputs.tolist())
    real = 1 / np.sqrt(inputs / 1024) * 1024
    assert np.abs(given - np.minimum(real, 32767)).max() < 0.56  # five of Newton's steps, and 20 bits kept


def test_zero_is_the_largest_code_whatever_the_zero_point() -> None:
    assert codes(model("RSQRT", "int8", 1, q(1, 5), q(1, -100)), 5) == [127]


def test_a_negative_number_fails_its_inference_alone() -> None:
    plan = make_plan(one_op("RSQRT", {}, [fed((1, 2), "int8", q(1, 5))], fed((1, 2), "int8", q(0.1))))
    with pytest.raises(InferenceError, match=r"a code is below the zero point 5") as caught:
        run(plan, np.array([[5, 6], [4, 6], [9, 9]], np.int8))
    assert caught.value.rows.tolist() == [False, True, False]
    assert caught.value.outputs[0].mask[:, 0].tolist() == [False, True, False]


def test_scales_that_vanish_in_float32_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"have no room"):
        make_plan(model("RSQRT", "int8", 1, q(1e-30), q(1e-40)), numerics=Numerics(scale_math="float32"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (model("ABS", "int8"), r"'input0' is int8 but has no positive scale"),
        (model("ABS", "int16", 1, q(1)), r"'output0' is int16 but has no positive scale"),
        (model("ABS", "int16", 1, q(1, 3), q(1)), r"int16 takes zero points of 0 in TFLM; 'input0' has 3"),
        (model("ABS", "int8", 1, q(1), q(2.0**-40)), r"their factor is 2\^41"),
        (model("RSQRT", "int16"), r"'input0' is int16 but has no positive scale"),
        (model("RSQRT", "int16", 1, q(1), q(1, 3)), r"int16 takes zero points of 0 in TFLM; .* 'output0' 3"),
        (model("RSQRT", "int8", 1, q(2.0**20), q(2.0**20)), r"have no room"),
        (model("SQRT", "int8", 1, q(1), q(1)), r"'input0' is int8"),
        (one_op("SQUARE", {}, [fed((4,), "float32")], fed((2, 2), "float32")), r"must agree"),
    ],
)
def test_refusals(wrong: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(wrong)


@pytest.mark.parametrize("op", ["ABS", "RSQRT"])
def test_xnnpack_is_not_guessed(op: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"what XNNPACK makes of a quantised {op} is not known"):
        make_plan(model(op, "int8", 1, q(1), q(1)), numerics=Numerics(rounding="xnnpack"))
    make_plan(model(op, "float32"), numerics=Numerics(rounding="xnnpack"))
