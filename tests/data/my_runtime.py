"""For the README: the property test of a runtime, here one that rounds once where TFLM rounds twice."""

import numpy as np
from hypothesis import given

import refengine
from refengine import PRESETS, strategies


def my_runtime(model, inputs):
    return refengine.run(model, *inputs, numerics=PRESETS["single"])  # yours: a simulator, a board, another language


@given(strategies.models(ops=["FULLY_CONNECTED", "RELU"], dtypes=["int8"]))
def test_my_runtime(case) -> None:
    expected = refengine.run(case.model, *case.inputs)
    for got, right in zip(my_runtime(case.model, case.inputs), expected, strict=True):
        np.testing.assert_array_equal(got, right)
