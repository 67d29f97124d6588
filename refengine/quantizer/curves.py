"""Logits so large that TFLM's integer SOFTMAX, LOGISTIC and TANH miss their function, which TFLM does not report.

int16, where a code is worth more than about 5: products of codes and multiplier leave 32 bits and wrap around, so that
three logits far apart may each get a third. int8, from about 8 on: LOGISTIC and TANH take 0 for the curve's left end.
"""

from __future__ import annotations

import numpy as np

from ..errors import require
from ..model import Tensor
from ..numerics.quantize import code_range
from ..plan import Step
from ..reading.float_reading import affine

TOLERANCE = 1 / 16
"""In real units; where the kernels work, they stay below 1/50."""


def check_curve(step: Step) -> None:
    """Raise `UnsupportedError` for an integer SOFTMAX, LOGISTIC or TANH that misses its function at some input code.

    A SOFTMAX is tried on every code against the largest one, in rows of two.
    """
    if step.op.name not in ("SOFTMAX", "LOGISTIC", "TANH") or step.outputs[0].dtype == "float32":
        return
    (input,), (output,) = step.inputs, step.outputs
    assert input is not None
    scale, zero_point = affine(input)
    low, high = code_range(input.dtype)
    codes = np.arange(low, high + 1, dtype=input.dtype)
    with np.errstate(over="ignore"):
        if step.op.name == "SOFTMAX":
            rows = np.stack([codes, np.full_like(codes, high)], axis=-1)
            seen = step.evaluate(rows[np.newaxis])[0][0, :, 0]
            wanted = 1 / (1 + np.exp(step.op.options["beta"] * scale * (high - codes.astype(np.float64))))
        else:
            seen = step.evaluate(codes[np.newaxis])[0][0]
            x = scale * (codes.astype(np.float64) - zero_point)
            wanted = np.tanh(x) if step.op.name == "TANH" else 1 / (1 + np.exp(-x))
    worst = int(np.abs(_real(seen, output) - wanted).argmax())
    require(
        abs(float(_real(seen, output)[worst] - wanted[worst])) <= TOLERANCE,
        f"{step}: a code of input '{input.name}' is worth {scale:g}, too much for TFLM's {input.dtype} kernel: at code "
        f"{codes[worst]} it gives {_real(seen, output)[worst]:.3g} where {wanted[worst]:.3g} is right",
    )


def _real(codes: np.ndarray, tensor: Tensor) -> np.ndarray:
    scale, zero_point = affine(tensor)
    return scale * (codes.astype(np.float64) - zero_point)
