"""SignalStacker's own facts: the first frame is repeated, and nothing is written until there are enough."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan
from refengine.execute import infer
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import custom, fed


def stacker(left: int, right: int, step: int, channels: int = 2, size: int | None = None) -> Model:
    options = pack(
        num_channels=channels, stacker_left_context=left, stacker_right_context=right, stacker_step=step
    )
    outputs = fed((size or channels * (left + right + 1),), "int16"), fed((), "bool")
    return custom("SignalStacker", options, [fed((2,), "int16")], *outputs)


def test_frames_are_stacked_with_their_neighbours() -> None:
    plan, state = make_plan(stacker(1, 1, 2)), None
    found = []
    for k in range(5):
        (y, valid), state = infer(plan, None, [np.array([k, 10 + k], np.int16)], state)
        found.append(y.tolist() if valid else None)
        assert bool(np.ma.is_masked(y)) != bool(valid)
    assert found == [None, [0, 10, 0, 10, 1, 11], None, [1, 11, 2, 12, 3, 13], None]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (stacker(0, 1, 3), r"stacker_step is 3 as TFLM reads it, but it must be from 1 to 2"),
        (stacker(-1, 1, 1), r"stacker_left_context is -1"),
        (stacker(1, 0, 1, size=5), r"do not hold one and 2 frames of 2 channels"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
