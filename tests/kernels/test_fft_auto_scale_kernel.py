"""SignalFftAutoScale's own facts: how far there is room, and what −32768 and silence do."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, execute, explain, make_plan, run
from tests.models import custom, fed


def scaled(*samples: int) -> tuple[list[int], int]:
    size = len(samples)
    model = custom("SignalFftAutoScale", b"", [fed((size,), "int16")], fed((size,), "int16"), fed((), "int32"))
    y, bits = run(model, np.array(samples, np.int16))
    return y.tolist(), int(bits)


def test_samples_go_left_as_far_as_the_largest_leaves_room() -> None:
    assert scaled(1, -2, 255) == ([128, -256, 32640], 7)
    assert scaled(16384, 1) == ([16384, 1], 0)


def test_silence_is_not_shifted() -> None:
    assert scaled(0, 0) == ([0, 0], 0)


def test_the_sample_after_the_lowest_one_takes_its_place() -> None:
    assert scaled(-32768, 1, 0) == ([0, 16384, 0], 14)
    assert scaled(5, 0, -32768) == ([5, 0, -32768], 0)
    assert scaled(-32768, -3, -2) == ([-32768, -3, -2], 0)
    assert scaled(-32768, -3, -4) == ([0, -12288, -16384], 12)


@pytest.mark.parametrize("samples", [(-32768, 1, 0), (5, 0, -32768), (-32768, -3, -4), (1, -2, 255)])
def test_an_explanation_ends_in_the_shift_whatever_is_the_lowest(samples: tuple[int, ...]) -> None:
    size = len(samples)
    plan = make_plan(
        custom("SignalFftAutoScale", b"", [fed((size,), "int16")], fed((size,), "int16"), fed((), "int32"))
    )
    (record,) = execute(plan, np.array(samples, np.int16))
    assert explain(plan, record, (), 1).value == scaled(*samples)[1]
    assert [explain(plan, record, (i,)).value for i in range(size)] == scaled(*samples)[0]


def test_another_length_is_refused() -> None:
    model = custom("SignalFftAutoScale", b"", [fed((2,), "int16")], fed((3,), "int16"), fed((), "int32"))
    with pytest.raises(UnsupportedError, match=r"tensor 'output0' has shape \(3,\) but 'input0' \(2,\)"):
        make_plan(model)
