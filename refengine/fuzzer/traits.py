"""What failing cases have in common and passing ones lack: where to look when no dialect and no known fault explains.

A trait is a phrase that completes "the failing cases have …". `traits` yields those of a case, `in_common` finds the
one that all failing cases have and fewest passing ones. That some of these have it too is no wonder: a fault does not
show in every case that has its cause.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb, prod
from typing import Any

import numpy as np

from ..kernels._window import Window
from ..model import Array, Tensor
from .case import Case

BLOCKS = (2, 4, 8, 16)
"""Numbers of elements that kernels take at a time."""

EXCEPTIONS = 1 / 3
"""The share of the passing cases that may have the trait too."""

CHANCE = 1e-6
"""How rarely cases picked blindly must all have the trait, lest it be a coincidence."""

WORDS = frozenset(
    re.findall(
        "[a-z]+",
        "a above activation an as at batch below bias both channel channels code computed constant differ different "
        "dilation dilations dimensions directions each elements even filter for fused group groups in infinity input "
        "inputs is larger less more multiple negative no not numbers of on one or other otherwise output padding point "
        "positive products quantised rows same scale shape shapes side stride strides sum than that the to up weights "
        "zero alpha axis beta exclusive mode num rank reverse",
    )
)
"""The words of letters that traits consist of; the last line's are options, whose names have more than letters else."""


@dataclass(frozen=True)
class Common:
    """A trait that all `failing` cases have, and only `exceptions` of the `passing` ones."""

    trait: str
    failing: int
    passing: int
    exceptions: int

    def __str__(self) -> str:
        return (
            f"of {self.failing + self.passing:,} cases, all {self.failing:,} that fail have {self.trait}, "
            f"and {self.exceptions or 'none'} of the {self.passing:,} that pass"
        )

    @property
    def is_telling(self) -> bool:
        holders, cases = self.failing + self.exceptions, self.failing + self.passing
        by_chance = comb(holders, self.failing) / comb(cases, self.failing)
        return self.exceptions <= EXCEPTIONS * self.passing and by_chance < CHANCE

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def in_common(failing: Sequence[Case], passing: Sequence[Case]) -> Common | None:
    """The trait of all failing cases that fewest passing ones have, the first of equals; None if that tells nothing."""
    if not failing or not passing:
        return None
    shared = set(traits(failing[0])).intersection(*map(traits, failing))
    others = Counter(trait for case in passing for trait in shared.intersection(traits(case)))
    best = min((trait for trait in traits(failing[0]) if trait in shared), key=others.__getitem__)
    found = Common(best, len(failing), len(passing), others[best])
    return found if found.is_telling else None


def traits(case: Case) -> Iterator[str]:
    """Of several that come to the same in the cases at hand, the plainest is to come first."""
    yield from _options(case)
    if isinstance(window := getattr(case.fixed.params, "window", None), Window):
        yield from _window(window)
    yield from _shapes(case)
    for name, values in case.numbers.items():
        if "shift" in name and name != "left_shift":
            yield from _shifts(name, values)
    output = case.step.outputs[0]
    for i, (tensor, array) in enumerate(zip(case.tensors, case.arrays, strict=True)):
        role = _role(case, i)
        if tensor is None or array is None:
            yield f"no {role}"
            continue
        yield from _tensor(role, tensor)
        yield from _values(role, array)
        if tensor.quantization and output.quantization:
            alike = (tensor.dtype, tensor.quantization) == (output.dtype, output.quantization)
            yield f"an output quantised {'as' if alike else 'otherwise than'} the {role}"
    yield from _tensor("output", output)
    yield from _values("output", case.expected)


def _role(case: Case, i: int) -> str:
    facts = case.step.facts
    if facts.weights is not None:
        called = {facts.weights: "filter" if "H" in facts.layout else "weights", facts.bias: "bias"}
        return called.get(i, "input" if i == facts.data else f"input {i}")
    return "input" if len(case.tensors) == 1 else f"input {i}"


def _options(case: Case) -> Iterator[str]:
    for name, value in case.options.items():
        if isinstance(value, (bool, str)):
            yield f"{name} {value}"
        elif isinstance(value, (int, float)):
            yield f"{name} {'above 1' if value > 1 else 'below 1' if value < 1 else '1'}"
            if value != 1:
                yield f"{name} other than 1"
                yield f"{name} {value:g}"
    if case.options.get("fused_activation_function", "NONE") != "NONE":
        yield "a fused activation"


def _window(window: Window) -> Iterator[str]:
    for name, sizes in (("stride", window.stride), ("dilation", window.dilation)):
        yield f"a {name} above 1" if max(sizes) > 1 else f"{name} 1"
        yield f"the same {name} in both directions" if sizes[0] == sizes[1] else f"{name}s that differ"
    yield "a 1×1 filter" if window.filter == (1, 1) else "a filter larger than 1×1"
    padding = [max(span - size, 0) for span, size in zip(window.span, window.input, strict=True)]
    yield "padding" if any(padding) else "no padding"
    yield "more padding on one side than on the other" if padding[0] % 2 or padding[1] % 2 else "even padding"


def _shapes(case: Case) -> Iterator[str]:
    shapes = [tensor.shape for tensor in case.tensors if tensor is not None]
    output, weights, layout = case.step.outputs[0].shape, case.step.weights, case.step.facts.layout
    yield f"an input of {len(shapes[0])} dimensions"
    yield "inputs of the same shape" if len(set(shapes)) == 1 else "inputs of different shapes"
    yield "a batch above 1" if shapes[0] and shapes[0][0] > 1 else "batch 1"
    if weights is not None:
        yield from _count("filter channels", weights.shape[-1:])
    yield from _count("input channels", shapes[0][-1:])
    yield from _count("output channels", output[-1:])
    if weights is not None and case.step.data is not None:
        yield from _count("rows", output[:-1])
        summed = [size for axis, size in zip(layout, weights.shape, strict=True) if axis != "O"]
        yield from _count("products in a sum", summed)
        if "H" in layout and "I" in layout:
            yield "groups of channels" if case.step.data.shape[3] > weights.shape[3] else "one group of channels"
    yield f"an output of {len(output)} dimensions"
    yield from _blocks("output elements", output)


def _count(what: str, shape: Sequence[int]) -> Iterator[str]:
    yield from _blocks(what, shape)
    n = prod(shape)
    yield f"{what} {n}"
    for block in (1, *BLOCKS):
        yield f"{what} {'above' if n > block else 'up to'} {block}"


def _blocks(what: str, shape: Sequence[int]) -> Iterator[str]:
    for block in BLOCKS:
        yield f"{what} in {'a' if prod(shape) % block == 0 else 'no'} multiple of {block}"


def _shifts(name: str, values: Array) -> Iterator[str]:
    if (values > 0).any():
        yield f"a positive {name}"
    if (values < 0).any():
        yield f"a negative {name}"
    if (values <= -31).any():
        yield f"an {name} of -31 or less" if name[0] in "aio" else f"a {name} of -31 or less"


def _tensor(role: str, tensor: Tensor) -> Iterator[str]:
    yield f"{tensor.dtype} for the {role}"
    if role == "bias":
        yield "a bias"
    elif role != "output":
        yield f"the {role} as a constant" if tensor.data is not None else f"the {role} computed"
    if (q := tensor.quantization) is None or not q.scale or role == "bias":
        return
    yield f"a scale for each channel of the {role}" if len(q.scale) > 1 else f"one scale for the {role}"
    zero = q.zero_point[0] if q.zero_point else 0
    yield f"{zero} as zero point of the {role}"
    yield f"a zero point of the {role} {'above 0' if zero > 0 else 'below 0' if zero < 0 else 'at 0'}"
    if zero:
        yield f"a zero point of the {role} that is not 0"


def _values(role: str, array: Array) -> Iterator[str]:
    if not array.size or array.dtype == bool:
        return
    if array.dtype.kind == "f":
        yield f"a NaN in the {role}" if np.isnan(array).any() else f"no NaN in the {role}"
        yield f"an infinity in the {role}" if np.isinf(array).any() else f"no infinity in the {role}"
    else:
        info = np.iinfo(array.dtype)
        for code in (info.min, info.max):
            yield f"the code {code} in the {role}" if (array == code).any() else f"no code {code} in the {role}"
    yield f"negative numbers in the {role}" if (array < 0).any() else f"no negative numbers in the {role}"
