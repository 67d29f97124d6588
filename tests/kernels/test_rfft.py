"""SignalRfft's own facts: the spectrum, padding, lengths, and which sums are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels._flexbuffer import pack
from refengine.kernels._kiss_fft import options
from refengine.kernels._signal import TENSOR_TYPES
from refengine.model import Model
from tests.models import custom, fed


def rfft(dtype: str, length: int, size: int | None = None, packed: bytes | None = None) -> Model:
    made = options(dtype, length) if packed is None else packed
    return custom("SignalRfft", made, [fed((size or length,), dtype)], fed((length + 2,), dtype))


@pytest.mark.parametrize("length", [4, 6, 10, 12, 16, 30, 60, 120, 512])
def test_float32_is_the_fourier_transform(length: int) -> None:
    x = np.random.default_rng(length).normal(size=length).astype(np.float32)
    (y,) = run(rfft("float32", length), x)
    assert np.allclose(y.view(np.complex64), np.fft.rfft(x), atol=1e-4)


@pytest.mark.parametrize(("dtype", "off"), [("int16", 8), ("int32", 8)])
@pytest.mark.parametrize("length", [6, 16, 60, 512])
def test_fixed_point_is_the_transform_by_the_length(dtype: Any, off: int, length: int) -> None:
    x = np.random.default_rng(length).integers(-(2**15), 2**15, length).astype(dtype)
    (y,) = run(rfft(dtype, length), x)
    wanted = np.fft.rfft(x) / length
    assert np.abs(y[0::2] - wanted.real).max() < off and np.abs(y[1::2] - wanted.imag).max() < off


def test_rows_are_padded_with_zeros() -> None:
    x = np.array([5, -7, 9], np.int16)
    whole = np.array([5, -7, 9, 0, 0, 0, 0, 0], np.int16)
    assert np.array_equal(run(rfft("int16", 8, 3), x)[0], run(rfft("int16", 8), whole)[0])


@pytest.mark.parametrize("length", [2, 14, 15, 22, 0, -8])
def test_lengths_on_which_tflm_crashes(length: int) -> None:
    model = custom("SignalRfft", options("int16", length), [fed((1,), "int16")], fed((abs(length) + 2,), "int16"))
    with pytest.raises(UnsupportedError, match=rf"fft_length is {length} as TFLM reads it, on which its kissfft"):
        make_plan(model)


def test_a_length_in_one_unsigned_byte_is_read_as_a_negative_one() -> None:
    """TFLM reads options by their place, and signed: 240 without a second byte is −16."""
    options = bytearray(pack(T=TENSOR_TYPES["int16"], fft_length=16))
    place = options.rindex(bytes((7, 16))) + 1
    options[place] = 240
    with pytest.raises(UnsupportedError, match=r"fft_length is -16 as TFLM reads it"):
        make_plan(rfft("int16", 240, packed=bytes(options)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (rfft("int16", 8, 9), r"input 'input0' \(9,\) has rows longer than the fft_length 8"),
        (rfft("int16", 8, packed=options("int32", 8)), r"the option T is 2 but input 'input0' is int16, which is 7"),
        (rfft("int16", 8, packed=b"\1"), r"the options are no FlexBuffer"),
        (rfft("int16", 8, packed=pack(T=7)), r"the options hold 1 values; TFLM reads 2 \(T, fft_length\)"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_float32_products_that_a_compiler_contracts_are_not_known() -> None:
    with pytest.raises(UnsupportedError, match=r"in the dialect contraction=fma"):
        make_plan(rfft("float32", 8), numerics=Numerics(contraction="fma"))
    make_plan(rfft("int16", 8), numerics=Numerics(contraction="fma"))
