"""QUANTIZE's own facts: how floats round, what becomes of those beyond int32, and codes rescaled into codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels import quantize as kernel
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q

BELOW_HALF = float(np.nextafter(np.float32(0.5), np.float32(0)))


def quantize(
    from_type: str, input: Quantization | None, to_type: str, output: Quantization | None, size: int = 1
) -> Model:
    return one_op("QUANTIZE", {}, [fed((size,), from_type, input)], fed((size,), to_type, output))


def codes(model: Model, *values: Any, **numerics: Any) -> list[int]:
    plan = make_plan(model, numerics=Numerics(**numerics))
    return [int(run(plan, np.array([value], plan.inputs[0].dtype))[0].item()) for value in values]


@pytest.mark.parametrize(("factor", "taken"), [(2**-9, False), (2**-8, True), (128, True), (256, False)])
def test_xnnpack_takes_factors_of_its_range(factor: float, taken: bool) -> None:
    model, litert = quantize("int8", q(factor), "int8", q(1)), Numerics(kernels="litert", rounding="xnnpack")
    if taken:
        assert make_plan(model, numerics=litert).steps[0].params.requantize_output_multiplier.rounding == "single"
    else:
        with pytest.raises(UnsupportedError, match="not within 1/256 and 128"):
            make_plan(model, numerics=litert)


def test_floats_round_half_away_from_zero() -> None:
    model = quantize("float32", None, "int16", q(1, 10))
    values = [0.5, -0.5, 2.5, -2.5, BELOW_HALF, -BELOW_HALF, 8388609.0]
    assert codes(model, *values) == [11, 9, 13, 7, 10, 10, 32767]
    assert codes(quantize("float32", None, "int16", q(512.0)), 8388609.0, 8388608.0 + 256) == [16384, 16385]


def test_the_quotient_is_a_float32() -> None:
    """0.35 / 0.1 is a little less than 3.5 in float64, and just 3.5 in float32."""
    assert codes(quantize("float32", None, "int8", q(0.1)), 0.35, 100.0) == [4, 127]


@pytest.mark.parametrize(
    ("float_to_int", "zero_point", "expected"),
    [
        ("x86", 0, [-128, -128, -128, -128]),
        ("x86", 5, [-128, -128, -128, -128]),
        ("x86", -1, [127, 127, 127, 127]),
        ("arm", 0, [127, -128, 127, 0]),
        ("riscv", 0, [127, -128, 127, 127]),
        ("arm", 5, [-128, -128, -128, 5]),
        ("arm", -1, [127, 127, 127, -1]),
    ],
)
def test_beyond_int32_the_processor_decides(float_to_int: str, zero_point: int, expected: list[int]) -> None:
    """And then the zero point may wrap: INT_MIN − 1 is the largest int32."""
    model = quantize("float32", None, "int8", q(1, zero_point))
    assert codes(model, 1e10, -1e10, np.inf, np.nan, float_to_int=float_to_int) == expected


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_one_float_beyond_int32_changes_none_beside_it(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks whose floats all fit are converted without a look at each."""
    monkeypatch.setattr(kernel, "BLOCK", 100)
    values = np.random.default_rng(0).normal(0, 2.0**14, 1050).astype(np.float32)
    values[::7] = np.round(values[::7]) + np.float32(0.5)
    beyond = values.copy()
    beyond[50::100] = np.inf
    model = quantize("float32", None, dtype, q(1, 3), size=1050)
    (alone,), (beside,) = run(model, values), run(model, beyond)
    assert (beside[50::100] == np.iinfo(dtype).min).all()
    assert np.array_equal(np.delete(beside, np.s_[50::100]), np.delete(alone, np.s_[50::100]))


def test_every_pair_of_types() -> None:
    """Half the codes' distance from their zero point."""
    for from_type, to_types in {
        "int8": ("int8", "int16", "int32", "uint8"),
        "int16": ("int8", "int16", "int32"),
        "int32": ("int8", "int16"),
        "uint8": ("int8",),
    }.items():
        for to_type in to_types:
            assert codes(quantize(from_type, q(0.5, 3), to_type, q(1, 7)), 103, 3) == [57, 7]


def test_bytes_change_their_sign_bit() -> None:
    assert codes(quantize("uint8", q(0.3, 128), "int8", q(0.3, 0)), 0, 128, 255) == [-128, 0, 127]
    assert codes(quantize("int8", q(0.3, 0), "uint8", q(0.3, 128)), -128, 0, 127) == [0, 128, 255]


@pytest.mark.parametrize(("rounding", "expected"), [("double", [1, -1]), ("single", [1, 0]), ("xnnpack", [0, 0])])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_half_a_code_in_three_dialects(dtype: str, rounding: str, expected: list[int]) -> None:
    assert codes(quantize(dtype, q(0.25), "int8", q(1)), 2, -2, rounding=rounding) == expected


def test_sums_wrap() -> None:
    assert codes(quantize("int8", q(1), "int32", q(1, 2**31 - 1)), 0, 1) == [2**31 - 1, -(2**31)]
    assert codes(quantize("int32", q(2.0**-24, -2), "int16", q(1)), 2**31 - 3, 2**31 - 2) == [128, -128]
    assert codes(
        quantize("int32", q(float(np.nextafter(np.float32(1), np.float32(0)))), "int16", q(1, 32767)), 2**31 - 1
    ) == [-32768]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            quantize("float32", None, "int32", q(1)),
            r"'output0' is int32; TFLM quantises float32 into int8 or int16 only",
        ),
        (quantize("uint8", q(1), "uint8", q(1)), r"TFLM quantises uint8 into int8 only"),
        (quantize("float32", None, "int8", None), r"'output0' is int8 but has no positive scale and zero point"),
        (quantize("float32", None, "int8", Quantization((1.0,))), r"'output0' is int8 but has no positive scale"),
        (quantize("int8", None, "int8", q(1)), r"'input0' is int8 but has no positive scale"),
        (quantize("float32", None, "int8", q((1.0, 2.0)), 2), r"'output0' has a scale for each channel"),
        (quantize("int8", q(2.0**31), "int8", q(1)), r"their factor is 2\^32"),
        (one_op("QUANTIZE", {}, [fed((2,), "float32")], fed((3,), "int8", q(1))), r"must have one shape"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
