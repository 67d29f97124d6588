"""FLOOR: the largest integer that is not above the input; −0 stays.

TFLM: `kernels/floor.cc`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _unary


def _floor(x: Any) -> Any:
    if not 0 < abs(x) < 2**24:  # an integer, infinite, or NaN
        return x
    return np.float32(math.floor(x))


KERNELS = {("FLOOR", "float32"): _unary.function_kernel("FLOOR", "float32", np.floor, _floor, "rounded down")}
