"""SignalOverlapAdd's own facts: what overlaps is added, int16 saturates, the rest waits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Session, UnsupportedError, execute, explain, make_plan
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from tests.models import custom, fed


def overlap(dtype: str, step: int = 2, kind: int | None = None, size: int | None = None) -> Model:
    """Two frames of three."""
    options = pack(T={"float32": 0, "int16": 7}[dtype] if kind is None else kind, frame_step=step)
    return custom("SignalOverlapAdd", options, [fed((2, 3), dtype)], fed((size or 2 * step,), dtype))


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_overlaps_is_added(dtype: Any) -> None:
    session = Session(overlap(dtype))
    x = np.array([[1, 2, 3], [10, 20, 30]], dtype)
    assert session.run(x)[0].tolist() == [1, 2, 13, 20]
    assert session.run(x)[0].tolist() == [31, 2, 13, 20]
    session.reset()
    assert session.run(x)[0].tolist() == [1, 2, 13, 20]


def test_rows_of_frames_know_nothing_of_one_another() -> None:
    rows = [fed((2, 2, 3), "int16")], fed((2, 4), "int16")
    session = Session(custom("SignalOverlapAdd", pack(T=7, frame_step=2), *rows))
    x = np.array([[[1, 2, 3], [10, 20, 30]], [[4, 5, 6], [40, 50, 60]]], np.int16)
    assert session.run(x)[0].tolist() == [[1, 2, 13, 20], [4, 5, 46, 50]]
    assert session.run(x)[0].tolist() == [[31, 2, 13, 20], [64, 5, 46, 50]]


def test_int16_saturates_at_each_addition() -> None:
    session = Session(overlap("int16", step=1))
    x = np.array([[0, 30000, -30000], [30000, -30000, 1]], np.int16)
    assert session.run(x)[0].tolist() == [0, 32767]
    assert session.run(x)[0].tolist() == [-32768, 32767]


def test_an_explanation_saturates_where_the_sum_does() -> None:
    plan = make_plan(overlap("int16", step=1))
    state = None
    for frames in ([[0, 30000, -30000], [30000, -30000, 1]], [[0, 0, -30000], [-30000, -30000, 1]]):
        (record,) = execute(plan, np.array(frames, np.int16), state=state)
        told = [[line.value for line in explain(plan, record, (i,)).lines] for i in range(2)]
        assert [values[-1] for values in told] == record.outputs[0].tolist()
        state = record.state
    assert (-(2**15) in told[0], told[0][-1]) == (True, -(2**15))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (overlap("int16", kind=0), r"the option T is 0 but input 'input0' is int16, which is 7 in TFLM"),
        (overlap("int16", step=4), r"frame_step is 4 as TFLM reads it, but it must be from 1 to 3"),
        (overlap("int16", size=3), r"output 'output0' has shape \(3,\); the sums have \(4,\)"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
