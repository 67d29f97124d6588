"""A runtime for the manual: refengine's own, but wrong where a model has a MAX_POOL_2D."""

from __future__ import annotations

import numpy as np

import refengine


def run(model: bytes, inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """The outputs of a model that has such an operator are one code off."""
    outputs = refengine.run(model, *inputs)
    wrong = any(op.name == "MAX_POOL_2D" for op in refengine.load(model).graphs[0].ops)
    return [x ^ 1 if wrong else x for x in outputs]
