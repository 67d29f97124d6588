"""Where other libraries' kernels compute something else than refengine has of them, or nothing has been proven.

The tests and `tools/conformance.py --against litert|litert-ref` hold every other operator and type against LiteRT 2.3
on x86-64. CMSIS-NN and ESP-NN have been compared by hand. Whatever stands here is refused in its dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ..errors import within_limits
from ..kernel import Kernel, Node, Numerics, Prepare
from . import _litert
from ._tflm import TFLM_OPS

_BOTH = {
    "ADD_N": ("float32", "int8"),  # clamps infinities; int8 is refused
    "ARG_MAX": ("float32",),  # another index where there is a NaN
    "ARG_MIN": ("float32",),
    "CAST": ("float32",),  # NaN and what does not fit an integer
    "CUMSUM": ("int8",),  # refused
    "REDUCE_MAX": ("float32",),  # of infinities alone
    "REDUCE_MIN": ("float32",),
    "RSQRT": ("int16",),  # far off near 0
    "SUM": ("float32",),  # keeps the sign of a lone negative zero
    "SVDF": ("float32", "int8"),  # the same only of int16 states without a zero point
    "TRANSPOSE_CONV": ("float32", "int8", "int16"),  # wants another output shape than most that TFLM takes
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("float32", "int8", "int16"),  # other floats; codes are refused as they are here
    "ZEROS_LIKE": ("int8",),  # refused
}

_FLOATS = (
    "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CEIL", "CONV_2D", "COS", "DEPTHWISE_CONV_2D", "DIV", "ELU",
    "EXP", "FULLY_CONNECTED", "HARD_SWISH", "L2_POOL_2D", "LEAKY_RELU", "LOG", "LOGISTIC", "LOG_SOFTMAX",
    "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "NEG", "PADV2", "RELU", "RELU6", "RESIZE_BILINEAR",
    "ROUND", "RSQRT", "SIN", "SOFTMAX", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH",
)  # fmt: skip
"""XNNPACK's sums have another order, its curves are approximations, and it takes denormals for 0."""

UNKNOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "cmsis-nn": {"TRANSPOSE_CONV": ("int8",)},  # other outputs, at least where SAME or VALID give another shape
    "esp-nn": {"HARD_SWISH": ("int8",), "MEAN": ("int8",)},  # these have not been compared
    "litert-ref": {
        **_BOTH,
        "CEIL": ("float32",),  # these are not among its reference kernels
        "ELU": ("float32", "int8"),
        "ROUND": ("float32",),
        "SQUARED_DIFFERENCE": ("int16",),
        "SUM": ("float32", "int16"),  # reads int16 as bytes
    },
    "litert": {
        **_BOTH,
        **dict.fromkeys(_FLOATS, ("float32",)),
        "LOG_SOFTMAX": ("float32", "int8"),  # a table of floats
        "RSQRT": ("float32", "int16"),
        "SQUARED_DIFFERENCE": ("float32", "int16"),
    },
}
"""By `Numerics.kernels` and operator, the types of the data for which the library's results are not known."""


def guarded(op: str, dtype: str, kernel: Kernel) -> Kernel:
    """The kernel, but refused in the dialects in which it is not known."""
    return replace(kernel, prepare=partial(_prepare, op=op, dtype=dtype, prepare=kernel.prepare))


def _prepare(node: Node, numerics: Numerics, op: str, dtype: str, prepare: Prepare) -> object:
    """Refuses what is in `UNKNOWN`, and what `prepare` refuses."""
    if numerics.kernels in UNKNOWN:
        shared = op in TFLM_OPS or not _litert.speaks(numerics)  # LiteRT has none of TFLM's custom operators
        known = shared and dtype not in UNKNOWN[numerics.kernels].get(op, ())
        within_limits(
            known,
            f"what the kernels of {numerics.kernels} make of {op}{f' on {dtype}' if dtype else ''} is not known to "
            "refengine bit for bit; choose tflm, or give a kernel of your own to make_plan(kernels=…)",
        )
    return prepare(node, numerics)
