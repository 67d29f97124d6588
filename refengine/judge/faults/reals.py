"""Faults of those who leave fixed point: codes made real, computed by the float kernel, and made codes again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ...errors import UnsupportedError
from ...kernels import KERNELS
from ...model import Array, Tensor
from ...numerics.float32 import round_half_away
from ...numerics.quantize import code_range
from ...reading.float_reading import affine, is_quantized, real_values
from ._case import Case, Variants

ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "rounded, ties away from zero": round_half_away,
    "rounded, ties to even": np.rint,
    "cut off towards zero": np.trunc,
    "rounded down": np.floor,
}
"""How a real number becomes a code."""


def in_reals(case: Case) -> Variants:
    """The operator is computed in real numbers, or looked up in a table that was, instead of in fixed point."""
    real = _computed(case)
    if real is None:
        return
    scale, zero_point = affine(case.tensor)
    for how, rounding in ROUNDINGS.items():
        codes = np.nan_to_num(rounding(real.astype(np.float64) / scale) + zero_point)
        wrong = codes.clip(*code_range(case.tensor.dtype)).astype(case.sound.dtype)
        yield f"if it is computed in real numbers and {how}", wrong


def _computed(case: Case) -> Array | None:
    """What the operator's float kernel makes of the real values, None if there is none or nothing to compute."""
    step, kernel = case.step, KERNELS.get((case.step.name, "float32"))
    if kernel is None or not step.facts.elementwise or step.facts.copies or not is_quantized(case.tensor):
        return None
    inputs, outputs = tuple(map(_real, step.inputs)), tuple(filter(None, map(_real, step.outputs)))
    node = step.node._replace(inputs=inputs, outputs=outputs)
    try:
        floats = replace(step, kernel=kernel, node=node).prepared(case.numerics)
    except UnsupportedError:
        return None
    arrays = (
        None if t is None or x is None else real_values(x, t) for t, x in zip(step.inputs, case.arrays, strict=True)
    )
    return np.asarray(floats.evaluate(*(None if x is None else x[np.newaxis] for x in arrays))[0][0])


def _real(tensor: Tensor | None) -> Tensor | None:
    """A tensor of codes as one of what they stand for."""
    if tensor is None or not is_quantized(tensor):
        return tensor
    data = None if tensor.data is None else real_values(tensor.data, tensor)
    return replace(tensor, dtype="float32", quantization=None, data=data)
