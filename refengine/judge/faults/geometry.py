"""Faults of windows: where a convolution or a pool looks, and what of it it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...kernels._window import Window
from ._case import Case, Variants, altered, window_of, with_weights, with_window, zero_point_of


def padding(case: Case) -> Variants:
    """The window lies wrong over the image, or what lies around the image is wrong."""
    step, window = case.step, window_of(case)
    if window is None:
        return
    (top, left), need = window.pad, [max(0, s - i) for s, i in zip(window.span, window.input, strict=True)]
    ways = {
        "if the image is not padded above and left": (0, 0),
        "if the odd pixel of SAME padding goes to the top and left": (need[0] - top, need[1] - left),
        "if the window lies one row and one column too far up and left": (top + 1, left + 1),
        "if the window lies one row too far up": (top + 1, left),
        "if the window lies one column too far left": (top, left + 1),
        "if the window lies one row and one column too far down and right": (top - 1, left - 1),
        "if the window lies one row too far down": (top - 1, left),
        "if the window lies one column too far right": (top, left - 1),
        "if the paddings of height and width are exchanged": (left, top),
    }
    tried = {window.pad}
    for how, (above, before) in ways.items():
        pad = (max(0, above), max(0, before))
        if pad not in tried:
            tried.add(pad)
            yield how, case.replay(params=with_window(pad=pad))
    if window.is_padded and (image := step.inputs[0]) is not None and case.arrays[0] is not None:
        for value, called in {0: "code 0 instead of the zero point", zero_point_of(image): "values that count"}.items():
            framed = window.padded(case.arrays[0], value)
            wide = replace(image, shape=framed.shape)
            yield (
                f"if the padding is {called}",
                case.replay(options={"padding": "VALID"}, tensors={0: wide}, arrays={0: framed}),
            )


def strides(case: Case) -> Variants:
    """Height and width exchanged, or the dilation ignored."""
    window = window_of(case)
    if window is None:
        return
    for name in ("stride", "dilation"):
        mine: tuple[int, int] = getattr(window, name)
        if mine[0] != mine[1]:
            how = f"if the {name}s of height and width are exchanged"
            yield how, case.replay(params=with_window(**{name: mine[::-1]}))
    if window.dilation != (1, 1):
        yield "if the dilation is ignored", case.replay(params=with_window(dilation=(1, 1)))
        pad = _pad_of(replace(window, dilation=(1, 1)))
        if pad != window.pad:
            how = "if the dilation is ignored, and the padding is that of a window without"
            yield how, case.replay(params=with_window(dilation=(1, 1), pad=pad))


def _pad_of(window: Window) -> tuple[int, int]:
    above, before = (max(0, s - i) // 2 for s, i in zip(window.span, window.input, strict=True))
    return above, before


def taps(case: Case) -> Variants:
    """Rows or columns of the filter are skipped."""
    window = window_of(case)
    if window is None or case.weights is None or case.weights.data is None or case.weights.data.ndim != 4:
        return
    ways = {}
    for axis, name in ((1, "row"), (2, "column")):
        size = case.weights.data.shape[axis]
        for place in {0, size - 1} if size > 1 else ():
            weights = case.weights.data.copy()
            weights[(slice(None),) * axis + (place,)] = 0
            ways[f"if the {'last' if place else 'first'} {name} of the filter is skipped"] = weights
    yield from with_weights(case, ways)


def pools(case: Case) -> Variants:
    """A pool looks at less than its window, or starts its maximum at 0."""
    window, x = window_of(case), case.arrays[0]
    if window is None or case.weights is not None or x is None:
        return
    one = {"filter": (1, 1)}
    change = {"count": np.ones((1, 1, 1), np.int32)}
    alone = partial(altered, change=lambda n: one if isinstance(n, Window) else change if hasattr(n, "count") else {})
    yield "if the pool's window is 1×1 (it copies the first element of each window)", case.replay(params=alone)
    for axis, name in enumerate(("row", "column")):
        if window.filter[axis] > 1:
            fewer = tuple(f - (a == axis) for a, f in enumerate(window.filter))
            how = f"if the last {name} of the window is skipped"
            yield how, case.replay(params=with_window(filter=fewer))
            yield f"{how}, and not counted", case.replay(params=partial(altered, change=_shorter(window, axis, fewer)))
    if case.step.facts.inexact != "sums":
        yield "if the maximum starts at 0 instead of the lowest value", np.maximum(case.sound, case.sound.dtype.type(0))


def _shorter(window: Window, axis: int, fewer: tuple[int, ...]) -> Callable[[Any], Mapping[str, Any]]:
    """What makes a pool's window shorter along an axis, and a mean that of the taps that are left."""

    def change(node: Any) -> Mapping[str, Any]:
        if isinstance(node, Window):
            return {"filter": fewer}
        count = getattr(node, "count", None)
        return (
            {} if count is None else {"count": np.maximum(1, count * (window.filter[axis] - 1) // window.filter[axis])}
        )

    return change
