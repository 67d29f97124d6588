"""SignalWindow's own facts: the shift rounds down, the product saturates, the weights repeat."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import const, custom, fed


def window(
    size: int = 4, weights: int = 2, shift: int = 1, dtype: str = "int16", options: bytes | None = None
) -> Model:
    packed = pack(shift=shift) if options is None else options
    inputs = [fed((size,), "int16"), const(np.arange(1, weights + 1), dtype)]
    return custom("SignalWindow", packed, [*inputs], fed((size,), "int16"))


def test_products_are_shifted_down_and_saturated() -> None:
    (y,) = run(window(), np.array([3, -3, -3, 32767], np.int16))
    assert y.tolist() == [1, -3, -2, 32767]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (window(5), r"input 'input0' \(5,\) is no multiple of the 2 weights"),
        (window(shift=32), r"option shift is 32 as TFLM reads it, but it must be from 0 to 31"),
        (window(shift=-1), r"option shift is -1"),
        (window(dtype="int8"), r"tensor 'input1' is int8; TFLM's SignalWindow takes int16 there"),
        (window(options=b""), r"the options are missing, on which TFLM crashes: write shift"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
