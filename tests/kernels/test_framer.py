"""SignalFramer's own facts: overlap, what is unwritten, and zeros first."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan
from refengine.execute import infer
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from refengine.state import State
from tests.models import custom, fed


def framer(size: int, step: int, prefill: bool = False, n: int = 4, frames: int | None = None) -> Model:
    options = pack(frame_size=size, frame_step=step, prefill=prefill)
    shape = (n // step if frames is None else frames, size)
    return custom("SignalFramer", options, [fed((n,), "int16")], fed(shape, "int16"), fed((), "bool"))


def outputs(model: Model, times: int) -> list[tuple[list[list[int | None]], bool]]:
    """Of inputs 1 2 3 4, 5 6 7 8, …; None where nothing is written."""
    plan, state, found = make_plan(model), State(), []
    for k in range(times):
        (y, valid), state = infer(plan, None, [np.arange(1, 5, dtype=np.int16) + 4 * k], state if k else None)
        found.append((y.tolist(), bool(valid)))
    return found


def test_frames_are_unwritten_until_there_are_samples() -> None:
    first, second = outputs(framer(5, 2), 2)
    assert first == ([[None] * 5, [None] * 5], False)
    assert second == ([[1, 2, 3, 4, 5], [3, 4, 5, 6, 7]], True)


def test_zeros_come_first_with_prefill() -> None:
    assert outputs(framer(3, 2, prefill=True), 1) == [([[0, 1, 2], [2, 3, 4]], True)]


def test_frames_shorter_than_a_step_skip_samples() -> None:
    assert outputs(framer(1, 2), 1) == [([[1], [3]], True)]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (framer(5, 3), r"input 'input0' \(4,\) has rows that are no whole number of steps of 3"),
        (framer(5, 2, frames=3), r"output 'output0' has shape \(3, 5\); the frames have \(2, 5\)"),
        (framer(1, 2, prefill=True), r"frame_step is 2 as TFLM reads it, but it must be from 1 to 1"),
        (framer(5, 0, frames=2), r"frame_step is 0"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
