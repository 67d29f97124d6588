"""CEIL: the smallest integer that is not below the input; −0 stays, and −1 … 0 become −0.

TFLM: `kernels/ceil.cc`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _unary


def _ceil(x: Any) -> Any:
    if not 0 < abs(x) < 2**24:  # an integer, infinite, or NaN
        return x
    return np.copysign(np.float32(math.ceil(x)), x)


KERNELS = {("CEIL", "float32"): _unary.function_kernel("CEIL", "float32", np.ceil, _ceil, "rounded up")}
