"""Where LiteRT's kernels are known to compute something else than refengine has of them, or nothing has been proven.

The tests and `tools/conformance.py --against litert|litert-ref` hold every other operator and type against LiteRT 2.3 on
x86-64. Whatever stands here is refused in its dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ..errors import within_limits
from ..kernel import Kernel, Node, Numerics, Prepare
from . import _litert
from ._tflm import TFLM_OPS

UNKNOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {"litert-ref": {}, "litert": {}}
"""By `Numerics.kernels` and operator, the types of the data for which LiteRT's results are not known."""


def guarded(op: str, dtype: str, kernel: Kernel) -> Kernel:
    """The kernel, but refused in the dialects in which it is not known."""
    return replace(kernel, prepare=partial(_prepare, op=op, dtype=dtype, prepare=kernel.prepare))


def _prepare(node: Node, numerics: Numerics, op: str, dtype: str, prepare: Prepare) -> object:
    if _litert.speaks(numerics):
        known = op in TFLM_OPS and dtype not in UNKNOWN[numerics.kernels].get(op, ())
        within_limits(
            known,
            f"what the kernels of {numerics.kernels} make of {op}{f' on {dtype}' if dtype else ''} is not known to "
            "refengine bit for bit; choose tflm, or give a kernel of your own to make_plan(kernels=…)",
        )
    return prepare(node, numerics)
