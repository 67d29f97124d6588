"""SignalEnergy's own facts: sums of squares, and what is not written."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan
from refengine.execute import infer
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import custom, fed


def energy(start: int, end: int, size: int = 6) -> Model:
    options = pack(start_index=start, end_index=end)
    return custom("SignalEnergy", options, [fed((size,), "int16")], fed((size // 2,), "uint32"))


def test_what_is_outside_the_range_is_left_unwritten() -> None:
    ((y,), _) = infer(make_plan(energy(1, 3)), None, [np.array([1, 1, -3, 4, -32768, -32768], np.int16)])
    assert y.tolist() == [None, 25, 2**31]
    ((y,), _) = infer(make_plan(energy(2, 1)), None, [np.zeros(6, np.int16)])
    assert y.tolist() == [None] * 3


@pytest.mark.parametrize(("start", "end"), [(0, 4), (-1, 2)])
def test_a_range_beyond_the_tensors_is_refused(start: int, end: int) -> None:
    with pytest.raises(UnsupportedError, match=rf"the range from {start} to {end}, as TFLM reads it, is not within"):
        make_plan(energy(start, end))
