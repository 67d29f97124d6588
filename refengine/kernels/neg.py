"""NEG: output = −input, the sign bit flipped, of zeros too.

TFLM: `kernels/neg.cc`.
"""

from __future__ import annotations

import operator

import numpy as np

from . import _unary

KERNELS = {("NEG", "float32"): _unary.function_kernel("NEG", "float32", np.negative, operator.neg, "−x")}
