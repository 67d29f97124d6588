"""Known faults: what a wrong kernel would have computed, by the right kernel with something changed.

A fault is a function from a `Case` to the outputs that it would give, each with a clause that completes "the
differences vanish …". A fit does the same, but reads something off the device's own output, such as where it breaks
off; it says how many bits that was worth, which the evidence has to pay for.

Devices may have computed anything, and wrong kernels make anything of it: overflows and NaN are no cause for warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import TypeVar

import numpy as np

from . import arithmetic, constants, floats, geometry, layout, memory, reals
from ._case import Case, Fault, Fit
from .dialects import DIALECTS, dialects

T = TypeVar("T")


def _quiet(finds: Mapping[str, Callable[[Case], Iterator[T]]]) -> dict[str, Callable[[Case], Iterator[T]]]:
    """Faults, or fits, that compute without warnings; whoever takes what they yield is not touched by that."""

    def quiet(find: Callable[[Case], Iterator[T]]) -> Callable[[Case], Iterator[T]]:
        @wraps(find)
        def found(case: Case) -> Iterator[T]:
            each, end = find(case), object()
            while True:
                with np.errstate(all="ignore"):
                    one = next(each, end)
                if one is end:
                    return
                yield one  # type: ignore[misc]

        return found

    return {cause: quiet(find) for cause, find in finds.items()}


FAULTS: Mapping[str, Fault] = _quiet(
    {
        "padding": geometry.padding,
        "strides": geometry.strides,
        "taps": geometry.taps,
        "pool": geometry.pools,
        "zero point": arithmetic.zero_point,
        "clamp": arithmetic.clamp,
        "bias": arithmetic.bias,
        "folded bias": arithmetic.folded_bias,
        "requantisation": arithmetic.requantisation,
        "multiplier": arithmetic.multiplier,
        "accumulator": arithmetic.accumulator,
        "channel scales": arithmetic.channel_scales,
        "average": arithmetic.average,
        "in reals": reals.in_reals,
        "lost bit": arithmetic.lost_bit,
        "softmax beta": arithmetic.softmax_beta,
        "transposed weights": layout.transposed_weights,
        "flattening": layout.flattened,
        "swapped channels": layout.swapped_channels,
        "endianness": layout.endianness,
        "signedness": layout.signedness,
        "shifted input": layout.shifted_input,
        "half precision": constants.half_precision,
        "summation order": floats.summation_order,
    }
)
"""What a fault predicts from a step and its inputs alone; of two that fit equally, the earlier one comes first."""

FITS: Mapping[str, Fit] = _quiet(
    {
        "never written": memory.never_written,
        "stale buffer": memory.stale_buffer,
        "pieces": memory.pieces,
        "limit": arithmetic.limit,
        "overwritten": memory.overwritten,
        "flipped bit": memory.flipped_bit,
        "weight bit": constants.weight_bit,
        "other bias": constants.other_bias,
        "other scale": constants.other_scale,
        "other output": constants.other_output,
        "shifted": layout.shifted,
        "permuted channels": layout.permuted,
        "half written": memory.half_written,
        "scaled": floats.scaled,
        "roundoff": floats.roundoff,
        "another exp": floats.another_exp,
    }
)
"""What is fitted to the device's own output."""

UNSEEN: Mapping[str, Fault] = _quiet({"unseen": memory.unseen})
"""What may have become of a tensor that is not in the dump."""

EVERYWHERE = ("requantisation", "summation order", "half precision", "multiplier", "lost bit")
"""Faults that a whole library, or a whole file, may have in every operator."""

CAUSES: Mapping[str, str] = {
    "dialect": "The device speaks another dialect.",
    "input": "The device was fed another input than the one given; which, the input's own verdict or the clause says.",
    "state": "What should live from one inference to the next was reset, was not reset, or is another stream's.",
    "other weights": "The device has other weights than this file's.",
    **{cause: (find.__doc__ or "").partition("\n")[0] for cause, find in {**FAULTS, **UNSEEN, **FITS}.items()},
}
"""The ids of all causes that a verdict may have, and what each means."""

__all__ = ["CAUSES", "DIALECTS", "EVERYWHERE", "FAULTS", "FITS", "UNSEEN", "Case", "Fault", "Fit", "dialects"]
