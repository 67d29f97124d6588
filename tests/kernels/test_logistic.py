"""LOGISTIC's own facts: the assumed output scale, saturation, the table of int16, the cutoffs of float32."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, execute, explain, make_plan, run
from refengine.kernels._sigmoid import SIGMOID, power_of_two
from refengine.model import Array, Model, Quantization
from tests.models import fed, one_op, q

INT8, INT16 = np.arange(-128, 128).astype(np.int8), np.arange(-(2**15), 2**15).astype(np.int16)


def model(dtype: str, size: int, input: Quantization | None, output: Quantization | None) -> Model:
    return one_op("LOGISTIC", {}, [fed((size,), dtype, input)], fed((size,), dtype, output, "y"))


def logistic8(scale: float, zero_point: int = 0, output: Quantization | None = None, **numerics: Any) -> Array:
    """What each int8 code becomes, −128 first."""
    plan = make_plan(model("int8", 256, q(scale, zero_point), output or q(2**-8, -128)), numerics=Numerics(**numerics))
    return run(plan, INT8)[0].astype(int)


def logistic16(scale: float) -> Array:
    """What each int16 code becomes, −32768 first."""
    return run(model("int16", 2**16, q(scale), q(2**-15)), INT16)[0].astype(int)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def test_explanations_at_ties_zero_and_the_ends() -> None:
    """±139 at a scale of 0.0003 lie in the middle of two codes, and ±138 just below it."""
    ties = np.array([-(2**15), -139, -138, 0, 138, 139, 2**15 - 1], np.int16)
    for x, scale, output in (
        (ties, 0.0003, q(2**-15)),
        (np.array([-119, -1, 0, 1, 119], np.int8), 1 / 16, q(2**-8, -128)),
    ):
        plan = make_plan(model(str(x.dtype), x.size, q(scale), output))
        (record,) = execute(plan, x)
        for i, code in enumerate(x):
            told = explain(plan, record, (i,))
            assert told.lines[-1].value == record.outputs[0][i]
            assert any("negative" in line.text for line in told.lines) == (code < 0)


@pytest.mark.parametrize("scale", [2.0**-6, 0.0471, 0.1, 1.0])
@pytest.mark.parametrize("zero_point", [0, -128, 55])
def test_int8_is_the_sigmoid_to_a_rounding(scale: float, zero_point: int) -> None:
    real = sigmoid(np.float32(scale) * (INT8.astype(int) - zero_point)) * 256 - 128
    assert np.abs(logistic8(scale, zero_point) - np.minimum(real, 127)).max() < 0.5001


def test_zero_is_a_half_and_fifteen_saturates() -> None:
    codes = logistic8(1.0)
    assert codes[128] == 0
    assert codes[128 - 15] == -128
    assert codes[128 + 15] == 127


def test_a_scale_of_16_saturates_all_codes() -> None:
    """TFLM looks at the lower end first, and so even 0 becomes it."""
    assert logistic8(16.0, 3).tolist() == [-128] * (128 + 4) + [127] * (128 - 4)


def test_the_output_scale_is_not_read() -> None:
    assert np.array_equal(logistic8(0.1, 0, q(7.0, -128)), logistic8(0.1))


def test_the_table_is_tflms() -> None:
    """Its checksum, some entries, and that interpolating it errs by no more than a 65536th or so."""
    assert crc32(SIGMOID.astype("<u2").tobytes()) == 3092212404
    assert SIGMOID[[0, 1, 24, 66, 254, 255]].tolist() == [32768, 33451, 47911, 61599, 65534, 65535]
    between = (SIGMOID[:-1] + SIGMOID[1:]) / 2
    assert np.abs(between / 65536 - sigmoid((np.arange(255) + 0.5) / 24)).max() < 1.6 / 65536


@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 0.0003, 2.0**-20, 0.01])
def test_int16_is_the_sigmoid_to_three_codes(scale: float) -> None:
    real = sigmoid(np.float32(scale) * INT16.astype(int)) * 32768
    assert np.abs(logistic16(scale) - real).max() < 3


def test_int16_never_reaches_the_ends() -> None:
    codes = logistic16(2.0**-11)
    assert (codes[0], codes[2**15], codes[-1]) == (1, 16384, 32767)


def test_nearly_a_power_of_two_is_taken_for_one() -> None:
    """Only 2⁻¹² has no multiplier of its own; a thousandth of an octave from it counts as it."""
    assert np.array_equal(logistic16(2.0**-12 * 1.0005), logistic16(2.0**-12))
    assert not np.array_equal(logistic16(2.0**-12 * 1.002), logistic16(2.0**-12))
    assert (power_of_two(2.0**-12 * 1.0005), power_of_two(2.0**-12 * 1.002)) == (-12, None)


def test_float_cutoffs() -> None:
    x = np.array([16.62, 88, np.inf, -np.inf, 0, -103, np.nan], np.float32)
    (y,) = run(model("float32", 7, None, None), x)
    assert y.tolist()[:5] == [1.0, 1.0, 1.0, 0.0, 0.5]
    assert 0 < y[5] < 1e-44  # e^x itself
    assert np.isnan(y[6])


def test_float_depends_on_the_c_library() -> None:
    x = np.linspace(-12, 12, 1000).astype(np.float32)
    float_model = model("float32", 1000, None, None)
    ours, theirs = (run(float_model, x, numerics=Numerics(libm=libm))[0] for libm in ("glibc", "newlib"))
    assert not np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_rounding_reaches_the_input() -> None:
    """The dialects differ by a unit of Q4.27, which hardly ever shows: the plans tell."""
    for rounding in ("double", "single"):
        plan = make_plan(model("int8", 1, q(0.1), q(2**-8, -128)), numerics=Numerics(rounding=rounding))
        assert plan.steps[0].params.multiplier.rounding == rounding
    assert np.abs(logistic8(0.1, rounding="single") - logistic8(0.1)).max() <= 1


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (model("int8", 4, q(1.0), q(2**-8)), "must be -128"),
        (model("int8", 4, None, q(2**-8, -128)), "has no positive scale"),
        (model("int8", 4, q(2.0**-30), q(2**-8, -128)), "no room"),
        (model("int16", 4, q(1.0, 1), q(2**-15)), "zero point of 0; that of 'input0' is 1"),
        (model("int16", 4, q(1.0), q(2**-15, 1)), "zero point of 0; that of 'output0' is 1"),
        (model("int16", 4, q(1.0), q(2**-14)), "must be 2\\^-15"),
        (model("int16", 4, q(2.0**17), q(2**-15)), "no room"),
        (model("int16", 4, q(1e-30), q(2**-15)), "multiplier is 0"),
        (one_op("LOGISTIC", {}, [fed((4,), "int8", q(1.0))], fed((2, 2), "int8", q(2**-8, -128), "y")), "must agree"),
    ],
)
def test_refusals(node: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(node)
