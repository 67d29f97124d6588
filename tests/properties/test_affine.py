"""From real numbers to codes and back: TFLM's `reference/quantize.h` and `reference/dequantize.h`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from refengine.kernel import Node, Numerics
from refengine.kernels import KERNELS
from refengine.model import Array
from refengine.numerics import quantize as front_end
from refengine.numerics.quantize import code_range
from tests.models import evaluated, fed, q
from tests.properties.one import every_code

FLOAT_MAX = float(np.finfo(np.float32).max)
TINY, HUGE = 2.0**-149, 2.0**127
DTYPES = ("int8", "int16")
TFLM, ARM = Numerics(), Numerics(float_to_int="arm")


def quantize(x: Array, scale: float, zero_point: int, dtype: str, numerics: Numerics = TFLM) -> Array:
    """What the QUANTIZE operator makes of float32 `x`."""
    kernel = KERNELS["QUANTIZE", "float32"]
    node = Node("QUANTIZE", {}, (fed((), "float32"),), (fed((), dtype, q(scale, zero_point)),))
    return evaluated(kernel, kernel.prepare(node, numerics), x)


def dequantize(codes: Array, scale: float, zero_point: int) -> Array:
    """What the DEQUANTIZE operator makes of `codes`."""
    kernel = KERNELS["DEQUANTIZE", codes.dtype.name]
    node = Node("DEQUANTIZE", {}, (fed((), codes.dtype.name, q(scale, zero_point)),), (fed((), "float32"),))
    return evaluated(kernel, kernel.prepare(node, TFLM), codes)


def reach(dtype: str, zero_point: int) -> int:
    """The largest |code − zero point|."""
    low, high = code_range(dtype)
    return max(high - zero_point, zero_point - low)


FLOAT_SCALES = st.floats(TINY, HUGE, width=32) | st.integers(-149, 127).map(lambda e: 2.0**e)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), scale=FLOAT_SCALES)
def test_the_grid_is_fixed(data: st.DataObject, scale: float, dtype: str) -> None:
    """All codes of a type, any zero point, any scale, down to the smallest subnormal."""
    zero_point = data.draw(st.sampled_from(code_range(dtype)) | st.integers(*code_range(dtype)))
    assume(scale * reach(dtype, zero_point) <= FLOAT_MAX)
    codes = every_code(dtype)
    assert np.array_equal(quantize(dequantize(codes, scale, zero_point), scale, zero_point, dtype), codes)


def test_the_grid_breaks_where_floats_overflow() -> None:
    """127 · 2¹²² is infinite; one octave less is not, though it is beyond 2¹²⁷."""
    for exponent, kept in ((121, True), (122, False)):
        real = dequantize(np.array([127], np.int8), 2.0**exponent, 0)
        assert np.isfinite(real).all() == kept
        assert quantize(real, 2.0**exponent, 0, "int8").item() == (127 if kept else -128)
        assert quantize(real, 2.0**exponent, 0, "int8", ARM).item() == 127


def test_the_first_code_that_float32_cannot_keep() -> None:
    """Below 2²² + 1025 nothing can break; products just above a power of two lose the most, so only those are tried."""

    def broken(k: int) -> Array:
        """Mantissas of the scales in [1, 2) with round(fl(fl(s·k) / s)) ≠ k; they need s·k in [1, 1 + j/2²²)·2ᴾ."""
        j, found = k - 2**22, []
        for power in (45, 46):
            low, high = (
                max(-(-(2**power) // k), 2**23),
                min((2**power + (j + 2) * 2 ** (power - 22)) // k + 1, 2**24 - 1),
            )
            mantissas = np.arange(low, high + 1)
            scales = (mantissas * 2.0**-23).astype(np.float32)
            back = np.floor((scales * np.float32(k) / scales).astype(np.float64) + 0.5)
            found.append(mantissas[back != k])
        return np.concatenate(found)

    first = next(k for k in range(2**22 + 1, 2**22 + 2000) if broken(k).size)
    assert (first, *broken(first)) == (4195329, 16773124)
    scale = 16773124 * 2.0**-23
    assert f"{scale:.7f}" == "1.9995122"
    code = np.array([first])
    assert front_end.quantize(front_end.dequantize(code, scale, 0), scale, 0, "int32") == code + 1


def excess(dtype: str, zero_point: int) -> float:
    """3 · 2^(b − 25), where |code − zero point| < 2ᵇ; exactly 2ᵇ at one end needs no more, for powers are exact."""
    return 3 * 2.0 ** ((reach(dtype, zero_point) - 1).bit_length() - 25)


def errors(x: Array, scale: float, zero_point: int, dtype: str) -> Array:
    """|x − dq(q(x))| / scale in float64, which is exact enough here: its own error is below 2⁻³⁰."""
    there_and_back = dequantize(quantize(x, scale, zero_point, dtype), scale, zero_point)
    error: Array = np.abs(x.astype(np.float64) - there_and_back) / scale
    return error


def beside_ties(k: Array, scales: Array) -> Array:
    """Float32 numbers at and next to (k + ½) · scale."""
    x = ((k + 0.5) * scales.astype(np.float64)).astype(np.float32)
    return np.stack([np.nextafter(x, np.float32(-np.inf)), x, np.nextafter(x, np.float32(np.inf))])


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), scale=st.floats(2.0**-100, 2.0**100, width=32))
def test_the_round_trip_is_within_half_a_step_and_a_bit(data: st.DataObject, scale: float, dtype: str) -> None:
    low, high = code_range(dtype)
    zero_point = data.draw(st.sampled_from((0, low, high)) | st.integers(low, high))
    k = np.arange(low - zero_point, high - zero_point)
    x = beside_ties(k, np.full(k.shape, scale, np.float32))
    assert errors(x, scale, zero_point, dtype).max() <= 0.5 + excess(dtype, zero_point)


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("int16", -32768), ("int8", 0), ("int16", 0)])
def test_the_bound_is_sharp(dtype: str, zero_point: int) -> None:
    """Scales just above a power of two, codes at the far end, find 98 % of the excess over a half."""
    rng = np.random.default_rng(0)
    top = code_range(dtype)[1] - zero_point
    worst = 0.0
    for _ in range(3000):
        scale = float(np.float32(1 + rng.integers(2**15, 2**17) * 2.0**-23 + 1 / (top + 1)))
        k = top - 1 - np.arange(min(60, top // 60 + 2))
        worst = max(worst, errors(beside_ties(k, np.full(k.shape, scale, np.float32)), scale, zero_point, dtype).max())
    assert 0.98 * excess(dtype, zero_point) < worst - 0.5 <= excess(dtype, zero_point)


def test_the_everyday_case_of_the_round_trip() -> None:
    x, scale = np.array([0.25], np.float32), float(np.float32(0.1))
    assert Fraction(0.25) / Fraction(scale) < Fraction(5, 2) and quantize(x, scale, 0, "int8").item() == 3


@given(
    st.lists(st.floats(-FLOAT_MAX, FLOAT_MAX, width=32), min_size=2),
    st.floats(2.0**-20, 2.0**20, width=32),
    st.integers(-128, 127),
    st.sampled_from(DTYPES),
)
def test_quantising_keeps_the_order(values: list[float], scale: float, zero_point: int, dtype: str) -> None:
    x = np.clip(np.sort(np.array(values, np.float32)), -scale * 2.0**30, scale * 2.0**30)
    ties = beside_ties(np.arange(-140, 140), np.full(280, scale, np.float32)).ravel()
    for ordered in (x, np.sort(ties)):
        assert (np.diff(quantize(ordered, scale, zero_point, dtype).astype(int)) >= 0).all()


def test_huge_numbers_wrap() -> None:
    """The last float32 that is fine, and the first that is not, on both sides and both processors."""
    x = np.array([-np.inf, -(2.0**31), -(2.0**31) + 128, 2.0**31 - 128, 2.0**31, np.inf, np.nan], np.float32)
    assert quantize(x, 1.0, 0, "int8").tolist() == [-128, -128, -128, 127, -128, -128, -128]
    assert quantize(x, 1.0, -1, "int8").tolist() == [127, 127, -128, 127, 127, 127, 127]
    assert quantize(x, 1.0, 0, "int8", ARM).tolist() == [-128, -128, -128, 127, 127, 127, 0]
    assert quantize(x, 1.0, -1, "int8", ARM).tolist() == [127, 127, -128, 127, 127, 127, -1]
    assert quantize(x, 1.0, 1, "int8", ARM).tolist() == [-128, -128, -128, 127, -128, -128, 1]
