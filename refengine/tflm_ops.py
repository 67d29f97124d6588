"""Which builtin operators TFLM has kernels for, and what registers each in a `MicroMutableOpResolver`.

Read off TFLM's `micro_mutable_op_resolver.h`; the tests hold it against the wheel."""

from __future__ import annotations

TFLM_OPS: dict[str, str] = {
    "CUSTOM": "AddBuiltin",
    "DYNAMIC_UPDATE_SLICE": "AddDynamicUpdateSlice",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
}
"""Builtin operator → method of the resolver."""
