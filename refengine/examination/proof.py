"""What a tensor's codes can be, whatever the input: interval arithmetic over the layers as the engine runs them.

Every element of every integer tensor gets the smallest and largest code that it can have, from the weights, the biases
and what its inputs can be; the model's inputs can be any code of their types. Nothing is modelled anew: the kernels
themselves run on the ends of the intervals, so padding, groups, rounding and clamps are theirs.

- What only **copies, picks or averages** never descends where an input ascends: its ends come from its inputs' ends.
- **Sums of products** split their weights: the largest sum has positive weights meet the largest inputs and negative
  ones the smallest. Requantisation never descends either, as long as no register wraps.
- **ADD, SUB, MUL** ascend or descend in each input while the other rests: their ends are at the corners.
- Any operator whose inputs are all certain has a certain output.

Whatever else an operator does, its output may be any code of its type: that is never wrong, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..kernel import Ints
from ..kernels import KERNELS, fully_connected
from ..model import Array, Tensor
from ..numerics.quantize import code_range
from ..plan import Plan, Step
from ..reading.counterparts import stands_alone
from ..reading.float_reading import affine, is_quantized
from .measure import Summing, summing, sums

SAFE = 2**31 - 2**16
"""No register of 32 bits wraps where what is in it, scaled or not, is smaller: that leaves room for any zero point."""

WIDE = 2.0**46
"""The same of the 64-bit sums of int16 layers, which meet 16-bit multipliers."""

LARGEST = 2.0**22
"""Of results in codes before the clamp: a rescaling with larger ones may wrap."""


class Range(NamedTuple):
    """The smallest and largest code of each element: two arrays as kernels take them, with a batch axis of one."""

    low: Array
    high: Array

    @property
    def is_certain(self) -> bool:
        return np.array_equal(self.low, self.high)


def code_ranges(plan: Plan) -> dict[int, Range]:
    """What the codes of each integer tensor can be, by its index. Tensors of other types have none, nor a gap's."""
    found = {index: Range(array, array) for index, array in plan.constants.items() if array.dtype.kind in "iu"}
    found |= {tensor.index: _anything(tensor) for tensor in plan.inputs if _is_integer(tensor)}
    for step in plan.steps:
        ranges = [None if t is None else found.get(t.index) for t in step.inputs]
        known = all(t is None or x is not None for t, x in zip(step.inputs, ranges, strict=True))
        proven = _proven(plan, step, ranges) if known and len(step.outputs) == 1 else None
        for tensor in filter(_is_integer, () if step.gap else step.outputs):
            found[tensor.index] = proven or _anything(tensor)
    return found


def constant_channels(tensor: Tensor, found: Range) -> npt.NDArray[np.bool_]:
    """Which channels (of the last axis, where there are two axes or more) hold one and the same code for any input."""
    channels = tensor.shape[-1] if len(tensor.shape) > 1 else 1
    low, high = (array.reshape(-1, channels) for array in found)
    return np.asarray(low.min(axis=0) == high.max(axis=0))


def _is_integer(tensor: Tensor) -> bool:
    return tensor.dtype.lstrip("u").startswith("int")


def _anything(tensor: Tensor) -> Range:
    low, high = code_range(tensor.dtype)
    shape = (1, *tensor.shape)
    return Range(np.full(shape, low, tensor.dtype), np.full(shape, high, tensor.dtype))


def _proven(plan: Plan, step: Step, ranges: Sequence[Range | None]) -> Range | None:
    """The range of a step's output from those of its inputs; None if nothing is known of it."""
    data = step.data.dtype if step.data is not None else ""
    if step.kernel is not KERNELS.get((step.name, data)) or not stands_alone(step):  # a user's own is not known
        return None
    if all(x is None or x.is_certain for x in ranges):
        return _ends([step.evaluate(*(None if x is None else x.low for x in ranges))[0]])
    if (parts := summing(step)) is not None:
        narrow = all(t is not None and _is_narrow(t) for t in (step.inputs[0], *step.outputs))
        return _sums(plan, step, parts, ranges) if narrow else None
    if step.facts.monotone == "rising" or step.facts.shapes_only:
        corners: Iterable[tuple[int, ...]] = [(0,) * len(ranges), (1,) * len(ranges)]
    elif step.facts.monotone == "each" and _fits(step):
        corners = product((0, 1), repeat=len(ranges))
    else:
        return None
    return _ends([step.evaluate(*(x and x[end] for x, end in zip(ranges, each, strict=True)))[0] for each in corners])


def _ends(results: Sequence[Array]) -> Range | None:
    """From the smallest to the largest of some results, element by element."""
    if results[0].dtype.kind not in "iu":
        return None
    return Range(np.minimum.reduce(results), np.maximum.reduce(results))


def _fits(step: Step) -> bool:
    """Whether no result of a rescaling, even of the types' ends, is too large for its registers."""
    tensors = [t for t in step.inputs if t is not None]
    if not all(map(_is_narrow, (*tensors, *step.outputs))):
        return False
    reals = [_largest_real(tensor) for tensor in tensors]
    largest = float(np.prod(reals) if step.facts.arithmetic == "*" else np.sum(reals))
    return largest < LARGEST * affine(step.outputs[0])[0]


def _is_narrow(tensor: Tensor) -> bool:
    """Whether the tensor's codes have 16 bits at most, and its zero point is one of them: 32 bits hold differences."""
    if not is_quantized(tensor) or tensor.dtype.lstrip("u") not in ("int8", "int16"):
        return False
    low, high = code_range(tensor.dtype)
    return low <= affine(tensor)[1] <= high


def _largest_real(tensor: Tensor) -> float:
    scale, zero_point = affine(tensor)
    return scale * max(abs(code - zero_point) for code in code_range(tensor.dtype))


def _sums(plan: Plan, step: Step, parts: Summing, ranges: Sequence[Range | None]) -> Range | None:
    """Of a layer that accumulates: its kernel's sums of positive weights at one end and of negative ones at the other.

    A channel whose registers may wrap, or whose multiplier is no positive one, may give anything.
    """
    low_inputs, high_inputs = ([x and x[end] for x in ranges] for end in (0, 1))
    if not parts.weighted:
        if parts.bound.max() >= SAFE:
            return None
        low, high = sums(step, parts, low_inputs), sums(step, parts, high_inputs)
    elif (signs := _by_sign(plan, step)) is not None:
        positive, negative = signs
        low = sums(*positive, low_inputs) + sums(*negative, high_inputs)
        high = sums(*positive, high_inputs) + sums(*negative, low_inputs)
    else:
        return None
    safe = _is_safe(parts, low) & _is_safe(parts, high)
    (tensor,) = step.outputs
    ends = zip((low, high), code_range(tensor.dtype), strict=True)
    codes = (np.where(safe, parts.exact(acc), anything).astype(tensor.dtype) for acc, anything in ends)
    return Range(*(code.reshape(1, *tensor.shape) for code in codes))


def _by_sign(plan: Plan, step: Step) -> list[tuple[Step, Summing]] | None:
    """The step with its positive weights alone, and with its negative ones; None of weights that are computed."""
    weights = step.weights
    if weights is None or weights.data is None or weights.quantization is None:
        return None
    points = weights.quantization.zero_point
    offset = len(points) == 1 and isinstance(step.params, fully_connected.Params)  # others count as symmetric
    zero = points[0] if offset else 0
    found = []
    for of_sign in (np.maximum, np.minimum):
        data = of_sign(weights.data, np.asarray(zero, weights.data.dtype))
        inputs = tuple(replace(weights, data=data) if t is weights else t for t in step.inputs)
        signed = replace(step, node=step.node._replace(inputs=inputs)).prepared(plan.numerics)
        parts = summing(signed)
        assert parts is not None
        found.append((signed, parts))
    return found


def _is_safe(parts: Summing, acc: Ints) -> npt.NDArray[np.bool_]:
    """Which sums (values, channels) pass the requantisation without wrapping anywhere."""
    found = []
    for r, part in parts.split(acc):
        total, multiplier = np.abs(part + r.bias).astype(np.float64), r.multiplier
        scaled = np.ldexp(total, np.maximum(multiplier.shift, 0) if r.bits == 32 else multiplier.shift)
        found.append((scaled < SAFE) & (total < WIDE) & (multiplier.multiplier >= 0))
    return np.concatenate(found, axis=1)
