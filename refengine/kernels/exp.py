"""EXP: output = e^input, the C library's.

TFLM: `kernels/exp.cc`.
"""

from __future__ import annotations

from ..kernel import Quantizing
from ..numerics import float32, scalar_float
from . import _unary

KERNELS = {("EXP", "float32"): _unary.library_kernel("EXP", "exp", float32.exp, scalar_float.exp, Quantizing())}
