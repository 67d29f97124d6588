"""Models that remember, for the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refengine.kernel import Node
from refengine.model import Model
from refengine.strategies import model_of
from tests.kernels.test_svdf import variable
from tests.models import const, fed, one_op, q


def remembering() -> Model:
    """An SVDF of int8, four filters of rank 1 that remember eight features each: tensor 4 is its state."""
    rng = np.random.default_rng(7)
    inputs = (
        fed((1, 6), "int8", q(2.0**-5)),
        const(rng.integers(-99, 99, (4, 6)), "int8", q(2.0**-6)),
        const(rng.integers(-9999, 9999, (4, 8)), "int16", q(2.0**-13)),
        const(rng.integers(-9999, 9999, 4), "int32", q(2.0**-22)),
        variable((1, 32), "int16", q(2.0**-9)),
    )
    options = {"rank": 1, "fused_activation_function": "NONE", "asymmetric_quantize_inputs": False}
    return model_of(Node("SVDF", options, inputs, (fed((1, 4), "int8", q(2.0**-4)),)))


def recurrent(dtype: str) -> Model:
    """An LSTM of 8 units over 4 steps."""
    rng, hidden = np.random.default_rng(1), q(2.0**-7 if dtype == "int8" else 2.0**-15)
    weights = [const(rng.integers(-90, 91, (8, depth)), "int8", q(2.0**-6)) for depth in (6,) * 4 + (8,) * 4]
    wide = "int32" if dtype == "int8" else "int64"
    biases = [const(rng.integers(-1000, 1000, 8), wide, q(2.0**-12)) for _ in range(4)]
    states = [replace(fed((1, 8), *each), is_variable=True) for each in ((dtype, hidden), ("int16", q(2.0**-12)))]
    options = {"fused_activation_function": "TANH", "cell_clip": 0.0, "time_major": False}
    x = fed((1, 4, 6), dtype, q(2.0**-6 if dtype == "int8" else 2.0**-14))
    inputs = [x, *weights, None, None, None, *biases, None, None, *states, None, None, None, None]
    return one_op("UNIDIRECTIONAL_SEQUENCE_LSTM", options, inputs, fed((1, 4, 8), dtype, hidden, "y"))
