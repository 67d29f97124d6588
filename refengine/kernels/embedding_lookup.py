"""EMBEDDING_LOOKUP: rows of a table, chosen by a row of ids.

TFLM: `kernels/embedding_lookup.cc`. Rows of int8 are copied, or for a float32 output become scale · code, by the
table's **first** scale, even where it has one for each row. Invoke fails on an id that is no row of the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import InferenceError, consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Quantization, Tensor
from . import _affine, _copies


@dataclass(frozen=True)
class Params:
    """`scale` is None where rows are copied; TFLM's OpData."""

    rows: int
    scale: np.float32 | None


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses ids that are no row of int32 or lie outside the table, and a zero point where codes become floats."""
    ids, table, output = _copies.given(node, "ids", "table")
    require(
        ids.dtype == "int32" and len(ids.shape) == 1,
        f"the ids '{ids.name}' are {ids.dtype} {ids.shape}; TFLM takes a row of int32: convert again",
    )
    require(
        len(table.shape) >= 2,
        f"the table '{table.name}' has shape {table.shape}; TFLM takes 2 dimensions or more: convert again",
    )
    _copies.declared(output, ids.shape + table.shape[1:], f"what '{ids.name}' {ids.shape} chooses of '{table.name}'")
    scale = None
    if table.dtype == "int8" and output.dtype == "float32":
        real, zero_point = _affine.quantized(table)
        require(
            zero_point == 0,
            f"the zero point {zero_point} of table '{table.name}' is not 0; TFLM makes floats of symmetric codes only: "
            "convert again with symmetric weights",
        )
        scale = np.float32(real)
    else:
        _copies.same_type(table, output)
    p = Params(table.shape[0], scale)
    if ids.data is not None:
        consistent(not _outside(p, ids.data[np.newaxis]).any(), _complaint(p))
    return p


def _outside(p: Params, ids: Array) -> Array:
    """Which inferences have an id that is no row."""
    return np.asarray(((ids < 0) | (ids >= p.rows)).any(axis=1))


def _complaint(p: Params) -> str:
    return f"an id lies outside the table's rows 0 … {p.rows - 1}, on which TFLM's Invoke fails"


def evaluate(p: Params, ids: Array, table: Array) -> Array:
    """(B, ids) int32 and (B, rows, …) → (B, ids, …). Raises `InferenceError` for ids that are no rows."""
    outside = _outside(p, ids)
    if outside.any():
        raise InferenceError(_complaint(p), rows=np.broadcast_to(outside, max(len(ids), len(table))))
    chosen: Array = table[np.arange(len(table))[:, np.newaxis], ids]
    return chosen if p.scale is None else p.scale * chosen.astype(np.float32)


def explain(p: Params, at: At, ids: Array, table: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    row = int(ids[at.index[0]])
    yield Line("row", f"ids[{at.index[0]}]", row)
    yield (line := _copies.copied("table", table, (row, *at.index[1:]), f"row {row}"))
    if p.scale is not None:
        yield Line("real", f"scale {p.scale:.9g} · {line.value}", p.scale * np.float32(line.value))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Tables constant or fed, of floats, or of codes that stay such or become floats; ids constant or computed."""
    shape = draw(make.shape((2, 4), 4))
    hybrid = dtype == "int8" and draw(make.booleans())
    quantization = Quantization((draw(make.scale()),), (0,)) if hybrid else make.quantization(dtype)

    def fits(tensor: Tensor) -> bool:
        return len(tensor.shape) >= 2 and not (hybrid and _affine.params_of(tensor)[1])

    table = draw(make.input(shape, dtype, quantization, fits))
    if draw(make.booleans()):
        table = make.constant(draw(make.array(table.shape, dtype)), table.quantization)
    count = draw(make.integers(1, 4))
    ids, before = _copies.draw_positions(draw, make, (count,), 0, table.shape[0] - 1)
    chosen = (count, *table.shape[1:])
    output = make.tensor(chosen, "float32") if hybrid else make.tensor(chosen, dtype, table.quantization)
    return Node("EMBEDDING_LOOKUP", {}, (ids, table), (output,), before=before)


FACTS = Facts(
    data=1,
    shares_scale=True,
    computes={"int8": ("int8", "float32")},
    quantized=Quantizing({"int8": 1}),
    c_kernels=dict.fromkeys(("float32", "int8"), "embedding_lookup"),
)
"""The converter gives table and output scales of their own, which TFLM ignores; refengine's share one."""

KERNELS = {
    ("EMBEDDING_LOOKUP", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8")
}
