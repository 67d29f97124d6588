"""ROUND: the nearest integer to the input, ties to the even one; −0.5 … 0 become +0, and −0 stays.

TFLM: `kernels/round.cc`; by hand in `kernels/internal/reference/round.h`, from the floor upwards, which is where a
negative zero loses its sign.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ..model import Array
from . import _unary


def _round(x: Array) -> Array:
    """From NumPy's, which agrees but for the sign of a zero that has come from below."""
    return np.where((x < 0) & (x >= -0.5), np.float32(0), np.rint(x))


def _round_scalar(x: Any) -> Any:
    if not 0 < abs(x) < 2**24:  # an integer, infinite, or NaN
        return x
    return np.float32(round(Fraction(float(x))))


KERNELS = {
    ("ROUND", "float32"): _unary.function_kernel(
        "ROUND", "float32", _round, _round_scalar, "the nearest integer, ties to the even one"
    )
}
