"""SignalFilterBankLog's own facts: logarithms with 16 bits, small numbers, and what wraps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import custom, fed


def log(size: int = 4, bits: int = 0, scale: int = 1600) -> Model:
    options = pack(input_correction_bits=bits, output_scale=scale)
    return custom("SignalFilterBankLog", options, [fed((size,), "uint32")], fed((size,), "int16"))


def test_natural_logarithms_times_the_scale() -> None:
    numbers = [2, 1000, 65536, 2**29]
    (y,) = run(log(), np.array(numbers, np.uint32))
    assert y.tolist() == [round(1600 * math.log(x)) for x in numbers]


def test_zero_and_one_give_zero_and_the_correction_comes_first() -> None:
    assert run(log(2), np.array([0, 1], np.uint32))[0].tolist() == [0, 0]
    assert run(log(2, bits=3), np.array([1, 2**29], np.uint32))[0].tolist() == [round(1600 * math.log(8)), 0]


def test_the_scaled_logarithm_wraps_and_is_clamped() -> None:
    """ln 2 is 45426 of 65536: times 65536 it is clamped; times −1 it wraps to almost 2^32."""
    assert run(log(1, scale=65536), np.array([2], np.uint32))[0].tolist() == [32767]
    assert run(log(1, scale=-1), np.array([2], np.uint32))[0].tolist() == [32767]
    assert run(log(1, scale=94548), np.array([2], np.uint32))[0].tolist() == [(94548 * 45426 + 32768) % 2**32 >> 16]


def test_a_shift_beyond_the_word_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"input_correction_bits is 32"):
        make_plan(log(bits=32))
