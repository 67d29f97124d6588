"""Logits so large that TFLM's integer SOFTMAX, LOGISTIC and TANH miss their function, which TFLM does not report.

int16, where a code is worth more than about 5: products of codes and multiplier leave 32 bits and wrap around, so that
three logits far apart may each get a third. int8, from about 8 on: LOGISTIC and TANH take 0 for the curve's left end.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import require
from ..kernel import Numerics
from ..kernels import KERNELS
from ..model import Array
from ..numerics.quantize import code_range
from ..plan import Step
from ..reading.float_reading import affine, real_values

TOLERANCE = 1 / 16
"""In real units; where the kernels work, they stay below 1/50."""


def check_curve(step: Step) -> None:
    """Raise `UnsupportedError` for an integer function of fixed output scale that misses its curve at some code.

    The curve is the float32 kernel's, as far as the output's scale reaches. What is not elementwise is tried on every
    code beside the largest one, in rows of two.
    """
    curve = KERNELS.get((step.name, "float32"))
    if curve is None or not step.facts.fixed_output or step.outputs[0].dtype == "float32":
        return
    (input,), (output,) = step.inputs, step.outputs
    assert input is not None
    low, high = code_range(input.dtype)
    codes = np.arange(low, high + 1, dtype=input.dtype)
    tried = codes if step.facts.elementwise else np.stack([codes, np.full_like(codes, high)], axis=-1)
    floats = [replace(t, dtype="float32", shape=tried.shape, quantization=None) for t in (input, output)]
    node = step.node._replace(inputs=(floats[0],), outputs=(floats[1],))
    by_floats = replace(step, kernel=curve, node=node).prepared(Numerics())
    seen = _first(real_values(step.evaluate(tried[np.newaxis])[0], output), codes)
    wanted = _first(by_floats.evaluate(real_values(tried[np.newaxis], input))[0], codes)
    wanted = np.clip(wanted, *real_values(np.array(code_range(output.dtype), output.dtype), output))
    worst = int(np.abs(seen - wanted).argmax())
    require(
        abs(float(seen[worst] - wanted[worst])) <= TOLERANCE,
        f"{step}: a code of input '{input.name}' is worth {affine(input)[0]:g}, too much for TFLM's {input.dtype} "
        f"kernel: at code {codes[worst]} it gives {seen[worst]:.3g} where {wanted[worst]:.3g} is right",
    )


def _first(results: Array, codes: Array) -> Array:
    """The result for each code, without what stands beside it."""
    return results.reshape(codes.size, -1)[:, 0]
