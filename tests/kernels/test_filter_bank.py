"""SignalFilterBank's own facts: neighbours share frequencies, the first sum is scratch, everything wraps."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.kernels._flexbuffer import pack
from refengine.model import Model, Tensor
from tests.models import const, custom, fed


def bank(*ranges: tuple[int, int, int], weights: tuple[int, ...] = (1, 2, 3), channels: int | None = None) -> Model:
    """Ranges of (frequency, weight, width), one more than channels; unweights are ten times the weights."""
    count = len(ranges) - 1 if channels is None else channels
    tables: list[Tensor | None] = [const(np.array(weights), "int16"), const(np.array(weights) * 10, "int16")]
    tables += [const([r[k] for r in ranges], "int16") for k in range(3)]
    inputs: list[Tensor | None] = [fed((4,), "uint32"), *tables]
    return custom("SignalFilterBank", pack(num_channels=count), inputs, fed((len(ranges) - 1,), "uint64"))


def test_a_channel_sums_the_unweighted_of_the_one_before_and_its_own() -> None:
    (y,) = run(bank((0, 0, 2), (2, 1, 2), (0, 0, 0)), np.array([1, 10, 100, 1000], np.uint32))
    assert y.tolist() == [10 * 1 + 20 * 10 + 2 * 100 + 3 * 1000, 20 * 100 + 30 * 1000]


def test_negative_weights_wrap_in_64_bits() -> None:
    (y,) = run(bank((0, 0, 0), (0, 0, 1), weights=(-1, 0, 0)), np.array([5, 0, 0, 0], np.uint32))
    assert y.tolist() == [2**64 - 5]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (bank((0, 0, 1), (3, 0, 2)), r"channel 1 takes 2 frequencies from 3 with weights from 0, which is beyond"),
        (bank((0, 2, 2), (0, 0, 0)), r"channel 0 takes 2 frequencies from 0 with weights from 2"),
        (bank((0, 0, 1), (0, 0, 1), channels=2), r"output 'output0' has shape \(1,\) for 2 channels"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_computed_tables_are_refused() -> None:
    inputs = [fed((4,), "uint32"), *(fed((3,), "int16") for _ in range(5))]
    model = custom("SignalFilterBank", pack(num_channels=1), [*inputs], fed((1,), "uint64"))
    with pytest.raises(UnsupportedError, match=r"table 'input1' is computed; TFLM runs that, but"):
        make_plan(model)
