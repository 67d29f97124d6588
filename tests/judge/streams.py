"""Models that remember, for the judge."""

from __future__ import annotations

import numpy as np

from refengine.kernel import Node
from refengine.model import Model
from refengine.strategies import model_of
from tests.kernels.test_svdf import variable
from tests.models import const, fed, q


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
