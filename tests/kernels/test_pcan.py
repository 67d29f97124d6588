"""SignalPCAN's own facts: where the gain comes from, how it is compressed, and that a negative gain is huge."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import const, custom, fed


def pcan(lut: list[int], shift: int = 0, size: int = 1) -> Model:
    table = const(lut, "int16")
    inputs = [fed((size,), "uint32"), fed((size,), "uint32"), table]
    return custom("SignalPCAN", pack(snr_shift=shift), [*inputs], fed((size,), "uint32"))


def table(**entries: int) -> list[int]:
    """125 zeros but for ``at<place>`` entries."""
    lut = [0] * 125
    for name, value in entries.items():
        lut[int(name[2:])] = value
    return lut


def gained(lut: list[int], x: int, noise: int, shift: int = 0) -> int:
    return int(run(pcan(lut, shift), np.array([x], np.uint32), np.array([noise], np.uint32))[0][0])


def test_little_noise_reads_the_table() -> None:
    lut = table(at0=5000, at1=9000, at2=100)
    assert [gained(lut, 1, noise) for noise in (0, 1, 2)] == [5000**2 >> 20, (9000 >> 6) - 64, 100**2 >> 20]


def test_more_noise_takes_a_quadratic_in_its_octave() -> None:
    """Noise 6 is halfway from 4 to 8: place 4 · 3 − 6; 16384 there, and 512 of 1024 along the line and curve."""
    lut = table(at6=16384, at7=-1000, at8=200)
    gain = 16384 + ((((200 * 512) >> 5) - 32000) * 512 + 2**14 >> 15)
    assert gained(lut, 1, 6) == (gain >> 6) - 64


def test_a_negative_gain_is_huge() -> None:
    assert gained(table(at0=-1), 1, 0) == (2**32 - 1 >> 6) - 64


def test_the_square_wraps_before_it_is_shifted() -> None:
    assert gained(table(at0=8191), 1, 0) == 8191**2 >> 20
    assert gained(table(at0=32767), 2**31, 0, shift=40) == ((32767 << 31) >> 40) ** 2 >> 20


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (pcan([0] * 124), r"the table 'input2' has 124 entries, but TFLM reads up to 125"),
        (pcan([0] * 125, shift=64), r"snr_shift is 64"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
