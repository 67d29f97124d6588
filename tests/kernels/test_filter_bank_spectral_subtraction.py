"""SignalFilterBankSpectralSubtraction's own facts: what lives on, odd channels, the floor, clamping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Session, UnsupportedError, make_plan
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import custom, fed


def subtraction(size: int = 2, **others: Any) -> Model:
    options = {
        "alternate_one_minus_smoothing": 0, "alternate_smoothing": 4, "clamping": False, "min_signal_remaining": 0,
        "num_channels": 2, "one_minus_smoothing": 3, "smoothing": 1, "smoothing_bits": 1,
        "spectral_subtraction_bits": 2,
    }  # fmt: skip
    outputs = fed((size,), "uint32"), fed((size,), "uint32")
    packed = pack(**{**options, **others})
    return custom("SignalFilterBankSpectralSubtraction", packed, [fed((size,), "uint32")], *outputs)


def frames(model: Model, *inputs: list[int]) -> list[tuple[list[int], list[int]]]:
    session = Session(model)
    return [tuple(y.tolist() for y in session.run(np.array(x, np.uint32))) for x in inputs]  # type: ignore[misc]


def test_the_noise_lives_on_and_odd_channels_smooth_otherwise() -> None:
    """Even: 200 · ¼ = 50, then 50 · ¾ + 200 · ¼ = 87. Odd: all of the signal is noise."""
    assert frames(subtraction(), [100, 100], [100, 100]) == [([75, 0], [50, 200]), ([56, 0], [87, 200])]


def test_some_of_the_signal_remains() -> None:
    assert frames(subtraction(min_signal_remaining=2), [100, 100])[0][0] == [75, 50]


@pytest.mark.parametrize(("clamping", "after"), [(False, 300), (True, 0)])
def test_a_noise_above_the_signal_is_clamped_to_it_or_not(clamping: bool, after: int) -> None:
    model = subtraction(clamping=clamping, smoothing=4, one_minus_smoothing=3)
    assert [noise[0] for _, noise in frames(model, [200, 0], [0, 0])] == [400, after]


def test_reset_forgets_the_noise() -> None:
    session = Session(subtraction())
    first = session.run(np.array([100, 100], np.uint32))
    session.reset()
    assert all(map(np.array_equal, session.run(np.array([100, 100], np.uint32)), first))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (subtraction(num_channels=3), r"input 'input0' has shape \(2,\) for 3 channels"),
        (subtraction(smoothing_bits=32), r"smoothing_bits is 32"),
        (subtraction(spectral_subtraction_bits=64), r"spectral_subtraction_bits is 64"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
