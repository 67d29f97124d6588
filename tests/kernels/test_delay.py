"""SignalDelay's own facts: zeros first, then what came before."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import OracleCrash, Tflm

from refengine import Session, UnsupportedError, make_plan
from refengine.kernels._flexbuffer import pack
from refengine.model import Model
from refengine.tflite_io import dump
from tests.models import custom, fed


def delay(length: int, shape: tuple[int, ...] = (2, 3)) -> Model:
    return custom("SignalDelay", pack(delay_length=length), [fed(shape, "int16")], fed(shape, "int16"))


def test_each_row_comes_out_later() -> None:
    session = Session(delay(4))
    x = np.arange(1, 7, dtype=np.int16).reshape(2, 3)
    outputs = [session.run(x + 10 * k)[0].tolist() for k in range(3)]
    assert outputs == [[[0, 0, 0], [0, 0, 0]], [[0, 1, 2], [0, 4, 5]], [[3, 11, 12], [6, 14, 15]]]
    session.reset()
    assert session.run(x)[0].tolist() == outputs[0]


def test_no_delay_is_a_copy() -> None:
    assert Session(delay(0, (3,))).run(np.array([1, 2, 3], np.int16))[0].tolist() == [1, 2, 3]


def test_inferences_without_samples_are_refused(tflm: Tflm) -> None:
    with pytest.raises(UnsupportedError, match=r"has no samples, by whose number TFLM divides"):
        make_plan(delay(2, (0,)))
    with pytest.raises(OracleCrash, match="SIGFPE"):
        tflm.run(dump(delay(2, (0,))), [np.zeros(0, np.int16)])


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"delay_length is -1"):
        make_plan(delay(-1))
