"""Where TFLM's integer kernels miss their function by far, which TFLM does not report.

Logits so large that SOFTMAX, LOGISTIC and TANH go astray. int16, where a code is worth more than about 5: products of
codes and multiplier leave 32 bits and wrap around, so that three logits far apart may each get a third. int8, from
about 8 on: LOGISTIC and TANH take 0 for the curve's left end.

Quotients so small that DIV has no bits left for them, and becomes any code. Padding that is no zero, but code 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import require
from ..kernel import Numerics
from ..kernels import KERNELS
from ..model import Array, Tensor
from ..numerics.quantize import code_range
from ..plan import Step
from ..reading.float_reading import affine, is_quantized, real_values

TOLERANCE = 1 / 16
"""In real units; where the kernels work, they stay below 1/50."""

STEPS = 2
"""Of the output's scale; where DIV works, it stays below 1."""


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


def check_quotients(step: Step) -> None:
    """Raise `UnsupportedError` for a division of codes that is off by more than `STEPS` at some pair of them."""
    if step.facts.arithmetic != "/" or not is_quantized(step.outputs[0]):
        return
    a, b = (_every_code(tensor) for tensor in step.inputs if tensor is not None)
    first, second = (codes.ravel() for codes in np.meshgrid(a, b, indexing="ij"))
    numerator, divisor = (real_values(x, t) for x, t in zip((first, second), step.inputs, strict=True) if t is not None)
    (output,) = step.outputs
    found = step.evaluate(first[np.newaxis], second[np.newaxis])[0][0]
    low, high = real_values(np.array(code_range(output.dtype), output.dtype), output)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.clip(np.divide(numerator, divisor), low, high)
    error = np.where(divisor == 0, 0, np.abs(real_values(np.ma.getdata(found), output) - wanted))
    worst = int(error.argmax())
    require(
        error[worst] <= STEPS * affine(output)[0],
        f"{step}: TFLM's {output.dtype} kernel has no bits for small quotients: {numerator[worst]:.3g} / "
        f"{divisor[worst]:.3g} gives {real_values(found[worst : worst + 1], output)[0]:.3g}",
    )


def check_zeros(step: Step) -> None:
    """Raise `UnsupportedError` for what moves codes and pads with one that does not stand for 0."""
    (output, *_), data = step.outputs or (None,), step.data
    others = [t for t in step.inputs if t is not None and t is not data]
    if output is None or data is None or not step.facts.copies or not is_quantized(data):
        return
    if any(t.data is None or is_quantized(t) for t in others):
        return
    zero = affine(data)[1]
    arrays = [np.full((1, *t.shape), zero, t.dtype) if t is data else _batched(t) for t in step.inputs]
    moved = np.ma.getdata(step.evaluate(*arrays)[0])
    wrong = moved[moved != zero]
    require(
        not wrong.size,
        f"{step}: TFLM pads with code {wrong[0] if wrong.size else zero}, which is worth "
        f"{real_values(wrong[:1], output).sum():.3g} and not 0",
    )


def _batched(tensor: Tensor | None) -> Array | None:
    return None if tensor is None or tensor.data is None else tensor.data[np.newaxis]


def _every_code(tensor: Tensor) -> Array:
    """The codes that a tensor may hold."""
    low, high = code_range(tensor.dtype)
    return np.unique(tensor.data) if tensor.data is not None else np.arange(low, high + 1).astype(tensor.dtype)


def _first(results: Array, codes: Array) -> Array:
    """The result for each code, without what stands beside it."""
    return results.reshape(codes.size, -1)[:, 0]
