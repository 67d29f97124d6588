"""Tensors, steps and numbers as lines of plain text. Names in files are anybody's: they are shown as `repr` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ..model import Array, Tensor
from ..plan import Step
from ..tensors.stats import Bin, activation_of, is_quantized, real_values
from .condition import Index, elements, shown_index

NAME = 40
"""Characters of a name in a listing: the end of a longer one, where it says what it is."""

LINES = 40
"""Lines of values that `print` shows at most."""

SHOWN = 32 * (LINES + 1)
"""Values that are turned into text for that: as many as these lines could hold."""

BAR = 40
"""The length of a histogram's longest bar."""


def number(value: float) -> str:
    """Integers in full; floats with the digits that tell a float32 from its neighbours."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def real(value: float) -> str:
    return f"{value:.4g}"


def name_of(tensor: Tensor) -> str:
    name = repr(tensor.name)
    return name if len(name) <= NAME else f"'…{name[-NAME:]}"


def type_of(tensor: Tensor) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"


def operator(step: Step) -> str:
    """``CONV_2D + RELU``; a custom operator by its custom code."""
    activation = activation_of(step.op)
    return step.name if activation in ("NONE", step.name) else f"{step.name} + {activation}"


def columns(rows: Iterable[Sequence[str]], right: str = "") -> Iterator[str]:
    """Rows in columns, two spaces between; `right` has an ``r`` where a column is aligned to the right."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell.rjust(width) if right[i : i + 1] == "r" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def quantised(tensor: Tensor) -> str:
    """``, scale 0.5, zero point 3``, or nothing."""
    return f", {tensor.quantization}" if tensor.quantization and tensor.quantization.scale else ""


def about(tensor: Tensor) -> str:
    """A tensor in one line."""
    return f"{tensor.index} {name_of(tensor)} {type_of(tensor)}{quantised(tensor)}"


def reader(tensor: Tensor) -> Callable[[float], str]:
    """What turns a code into its real value, as text: nothing where there is none, or one for each channel."""
    quantization = tensor.quantization
    if quantization is None or not is_quantized(tensor) or len(quantization.scale) != 1:
        return lambda code: ""
    (scale,), zero_point = quantization.scale, (*quantization.zero_point, 0)[0]
    return lambda code: real(scale * (code - zero_point))


def values(tensor: Tensor, array: Array, at: Index | None, width: int) -> Iterator[str]:
    """The elements `at`: the index of the first of a line, raw codes, and what they stand for."""
    codes = elements(tensor, array, at)
    if not codes.size:
        yield "no elements"
        return
    places = [
        shown_index(tuple(map(int, np.unravel_index(place, array.shape))))
        for place in elements(tensor, np.arange(array.size).reshape(array.shape), at).ravel()[:SHOWN].tolist()
    ]
    reals = None if tensor.dtype == "float32" else real_values(tensor, array)
    columns = [[number(value) for value in codes.ravel()[:SHOWN].tolist()]]
    if reals is not None:
        columns.append([real(value) for value in elements(tensor, reals, at).ravel()[:SHOWN].tolist()])
    label, *widths = (max(map(len, column)) for column in (places, *columns))
    row = codes.shape[-1] if codes.ndim else 1
    most = max(1, (width - label - 5) // (sum(widths) + 2))
    chunk = row if row <= most else next(size for size in (32, 16, 10, 8, 5, 4, 2, 1) if size <= most)
    starts = [first + i for first in range(0, codes.size, row) for i in range(0, row, chunk)]
    for start in starts[:LINES]:
        cells = slice(start, min(start + chunk, start - start % row + row))
        blocks = (
            " ".join(cell.rjust(wide) for cell in column[cells]).ljust(chunk * (wide + 1) - 1)
            for column, wide in zip(columns, widths, strict=True)
        )
        yield f"{places[start]:<{label}}  {'  =  '.join(blocks)}".rstrip()
    if len(starts) > LINES:
        rest = codes.size - starts[LINES]
        yield f"… {rest:,} more of {codes.size:,} values; print a part, such as {_part(array.shape)}"


def bars(bins: Sequence[Bin]) -> Iterator[str]:
    """A histogram, each bar's length in proportion; empty bins at both ends are left out."""
    filled = [i for i, each in enumerate(bins) if each.size]
    bins = bins[filled[0] : filled[-1] + 1] if filled else []
    total, most = sum(b.size for b in bins), max((b.size for b in bins), default=1)
    rows = []
    for low, high, count in bins:
        span = f"{low:.4g} …" if isinstance(low, float) else str(low) if low == high else f"{low} …"
        rows.append(
            (
                span,
                "" if low == high else f"{high:.4g}" if isinstance(high, float) else str(high),
                str(count),
                f"{count / total:.1%}",
                _bar(count, most),
            )
        )
    yield from columns(rows, "rrrrl")


def params(value: Any, indent: str = "  ") -> Iterator[str]:
    """What `prepare` worked out, field by field; arrays by their ends."""
    items = (
        [(field.name, getattr(value, field.name)) for field in fields(value)]
        if is_dataclass(value)
        else [(f"[{i}]", item) for i, item in enumerate(value)]
    )
    for name, item in items:
        if is_dataclass(item) or (
            isinstance(item, tuple) and any(is_dataclass(i) or isinstance(i, tuple) for i in item)
        ):
            yield f"{indent}{name}:"
            yield from params(item, indent + "  ")
        elif not callable(item):
            yield f"{indent}{name} = {_short(item)}"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"{value.dtype} {value.shape}, {number(value.min().item())} … {number(value.max().item())}"
    text = " ".join(str(value.tolist() if isinstance(value, np.ndarray | np.generic) else value).split())
    return text if len(text) <= 80 else text[:79] + "…"


def _bar(count: int, most: int) -> str:
    """To an eighth of a character, and visible if there is anything."""
    eighths = max(1, round(8 * BAR * count / most)) if count else 0
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


def _part(shape: tuple[int, ...]) -> str:
    """An index of a part of that shape, by way of example."""
    return shown_index((*(0 for _ in shape[:-3]), *(slice(None) for _ in shape[-3:-1]), 0))
