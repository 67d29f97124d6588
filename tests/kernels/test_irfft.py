"""SignalIrfft's own facts: the signal of a spectrum, and that only float32 is divided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, execute, explain, make_plan, run
from refengine.kernels._kiss_fft import options
from refengine.model import Model
from tests.models import custom, fed


def irfft(dtype: str, length: int, size: int | None = None) -> Model:
    return custom("SignalIrfft", options(dtype, length), [fed((size or length + 2,), dtype)], fed((length,), dtype))


def spectrum(length: int) -> np.ndarray[Any, np.dtype[np.complex128]]:
    return np.fft.rfft(np.random.default_rng(length).normal(size=length) * 1000)


@pytest.mark.parametrize("length", [4, 6, 10, 12, 16, 30, 60, 120, 512])
def test_float32_is_the_inverse_transform(length: int) -> None:
    f = spectrum(length)
    (y,) = run(irfft("float32", length), f.astype(np.complex64).view(np.float32))
    assert np.allclose(y, np.fft.irfft(f), atol=0.01)


@pytest.mark.parametrize("length", [6, 16, 60, 512])
def test_fixed_point_is_the_inverse_transform(length: int) -> None:
    f = spectrum(length)
    (y,) = run(irfft("int32", length), np.rint(f.view(np.float64)).astype(np.int32))
    assert np.abs(y - np.fft.irfft(f)).max() < 8


def test_an_explanation_says_which_half_of_which_number_a_sample_is() -> None:
    plan = make_plan(irfft("int32", 16))
    (record,) = execute(plan, (np.arange(18, dtype=np.int32) * 7919) % 1000)
    for place, told in ((10, "the real part of number 5 is sample 10"), (11, "the imaginary part of number 5")):
        explanation = explain(plan, record, (place,))
        assert any(line.text.startswith(told) for line in explanation.lines)
        assert explanation.value == record.outputs[0][place]


def test_other_rows_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"do not have the 5 complex and 8 real numbers of the transform"):
        make_plan(irfft("int16", 8, 8))
