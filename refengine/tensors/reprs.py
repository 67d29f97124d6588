"""How records show themselves in debuggers and notebooks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ..errors import InputError
from ..model import Array, Tensor
from ..plan import Step
from ..text import Html, html_table
from .stats import activation_of, real_values, stats

NOT_KNOWN = "not known"

FEW = 10
"""Values that are told one by one."""

LEAST, MOST, MAPS = 2, 96 * 96, 16
"""Pixels that a map has at least on a side, and in all at most, to be drawn; and how many maps are."""


def record_text(step: Step, outputs: Sequence[Array], unknown: Collection[int] = ()) -> str:
    """``<Record of operator 11 (SOFTMAX): int8 (1, 10), -128 … 127, which stand for 0 … 0.996094>``.

    Of tensors that are `unknown`, by index, nothing is told.
    """
    spans = (f"{x.dtype} {x.shape}, {_span(t, x, unknown)}" for t, x in zip(step.outputs, outputs, strict=True))
    return f"<Record of {step}: {'; '.join(spans) or 'nothing'}>"


def traced(
    step: Step, outputs: Sequence[Array], unknown: Collection[int] = (), path: Sequence[object] = ()
) -> Iterator[str]:
    """What a step read and gave, a line and one for each output, deeper inside where it runs in a subgraph.

    ``0 CONV_2D(0, 13, 12) → 14`` and ``int8 (1, 26, 26, 32), -128 … 127, which stand for 0 … 1.06``; few values are
    told themselves.
    """
    deeper = "  " * len(path)
    read = ", ".join("-" if t is None else str(t.index) for t in step.inputs)
    yield f"{deeper}{step.index} {step.name}({read}) → {', '.join(str(t.index) for t in step.outputs)}"
    for tensor, values in zip(step.outputs, outputs, strict=True):
        yield f"{deeper}  {values.dtype} {values.shape}, {told_values(tensor, values, unknown)}"


def told_values(tensor: Tensor, values: Array, unknown: Collection[int] = ()) -> str:
    """Between which values, and what they stand for; few values themselves, as codes and as what they stand for."""
    span = _span(tensor, values, unknown)
    if span == NOT_KNOWN or not 0 < values.size <= FEW:
        return span
    reals = None if tensor.dtype == "float32" else real_values(tensor, values)
    told = " ".join(f"{x:.9g}" for x in values.ravel().tolist())
    return told if reals is None else f"{told}, which stand for {' '.join(f'{x:.6g}' for x in reals.ravel().tolist())}"


def record_html(
    step: Step, inputs: Sequence[Array | None], outputs: Sequence[Array], unknown: Collection[int] = ()
) -> str:
    """A table of the operator's tensors: what they are, what their values look like, and the first maps as pictures."""
    headings = ("", "tensor", "type", "values", "zeros", "clamped", "maps")
    return html_table(step, headings, _rows(step, inputs, outputs, unknown))


def _rows(
    step: Step, inputs: Sequence[Array | None], outputs: Sequence[Array], unknown: Collection[int]
) -> Iterator[tuple[str, ...]]:
    tensors, arrays = (*step.inputs, *step.outputs), (*inputs, *outputs)
    roles = ["in"] * len(inputs) + ["out"] * len(outputs)
    for role, tensor, values in zip(roles, tensors, arrays, strict=True):
        if tensor is None or values is None:
            continue
        shares, picture, span = ("", ""), Html(), _span(tensor, values, unknown)
        if values.size and span != NOT_KNOWN:
            picture = _picture(values) if tensor.data is None else picture
            found = stats(tensor, values, activation_of(step.op) if role == "out" else "NONE")
            shares = (f"{found.zeros:.1%}", f"{found.below + found.above:.1%}")
        about = f"{values.dtype} {values.shape}"
        yield role, f"{tensor.index} {tensor.name}", about, span, *shares, picture


def _picture(values: Array) -> Html:
    """The first maps of an array side by side; nothing where there are none, as of a row of scores, or where they are
    large."""
    if values.ndim not in (3, 4) or min(values.shape[-3:-1]) < LEAST or values.shape[-3] * values.shape[-2] > MOST:
        return Html()
    from . import pictures  # and what draws them

    page = pictures.mosaic(pictures.grey(pictures.maps(values[:1])[:MAPS]))
    data, (height, width) = b64encode(pictures.png(page)).decode(), page.shape
    style = "image-rendering: pixelated; max-width: none"
    return Html(
        f'<img alt="the first maps" width="{2 * width}" height="{2 * height}" style="{style}" '
        f'src="data:image/png;base64,{data}">'
    )


def _span(tensor: Tensor, values: Array, unknown: Collection[int]) -> str:
    """Between which values."""
    if tensor.index in unknown or (values.size and np.ma.getmaskarray(values).all()):
        return NOT_KNOWN
    try:
        found = stats(tensor, values)
    except InputError:
        return "no values"
    reals = None if tensor.dtype == "float32" else real_values(tensor, values)
    meaning = "" if reals is None else f", which stand for {reals.min():.6g} … {reals.max():.6g}"
    return f"{found.min:.9g} … {found.max:.9g}{meaning}"
