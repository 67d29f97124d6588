"""CAST: the input's numbers in another type.

TFLM: `kernels/cast.cc`. Integers keep their low bits, whatever the quantisation; as bool, all but 0 is true. Floats are
cut off towards zero, NaN becomes 0, and what does not fit the nearest end of the type. TFLM's source of August 2026
leaves floats out of range to C, which does not define them, and has no cast to bool; so do the dialects whose
`scale_math` is float32 (in TFLM itself this changed with commit bfeb43a, six weeks before `scale_math`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from ..numerics import scalar
from ..numerics.quantize import code_range
from . import _affine, _unary

TYPES = ("float32", "int8", "int16", "int32", "uint32", "bool")
"""What TFLM casts from and into."""

FACTS = Facts(
    elementwise=True,
    computes=dict.fromkeys(TYPES, TYPES),
    quantized=Quantizing({}),
    c_kernels=dict.fromkeys(TYPES, "cast"),
)


@dataclass(frozen=True)
class Params:
    """The output's type, and whether floats that do not fit it are `saturated`."""

    dtype: str
    saturated: bool


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses types that TFLM does not cast into, and an output of another shape."""
    input, output = _unary.one_each(node)
    require(
        output.dtype in TYPES,
        f"output '{output.name}' is {output.dtype}; TFLM casts into {', '.join(TYPES)} only: convert again with one of "
        "these",
    )
    consistent(
        input.shape == output.shape,
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} must have one shape",
    )
    require(
        numerics.scale_math != "float32" or output.dtype != "bool",
        f"output '{output.name}' is bool, which TFLM's source of August 2026 does not cast into; choose a dialect with "
        "scale_math=double",
    )
    return Params(output.dtype, numerics.scale_math != "float32")


def evaluate(p: Params, input: Array) -> Array:
    """(B, …) → (B, …) of type `dtype`. Masked are floats that do not fit, where C leaves them undefined."""
    if input.dtype != np.float32 or p.dtype in ("float32", "bool"):
        return input.astype(p.dtype)
    low, high = code_range(p.dtype)
    whole = np.trunc(input.astype(np.float64))
    fitting = np.nan_to_num(np.clip(whole, low, high)).astype(p.dtype)
    undefined = ~((low <= whole) & (whole <= high))
    return fitting if p.saturated or not undefined.any() else np.ma.array(fitting, mask=undefined)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """One element."""
    x = input[at.index]
    yield Line("input", f"x = {x}, {x.dtype.name}", x if x.dtype == np.float32 else x.item())
    if p.dtype == "bool":
        yield Line("output", "whether x is not 0", x.item() != 0)
    elif p.dtype == "float32":
        yield Line("output", "the nearest float32", np.float32(x.item()))
    elif x.dtype == np.float32:
        yield _whole(p, float(x))
    else:
        bits = np.iinfo(p.dtype).bits
        kept = int(x) % 2**bits if p.dtype == "uint32" else scalar.wrap(int(x), bits)
        yield Line("output", f"the low {bits} bits of x", kept)


def _whole(p: Params, x: float) -> Line:
    """A float as an integer."""
    low, high = code_range(p.dtype)
    if low - 1 < x < high + 1:
        return Line("output", "cut off towards zero", int(x))
    if not p.saturated:
        return Line("undefined", f"x does not fit {p.dtype}, and C does not say what becomes of it", 0)
    if np.isnan(x):
        return Line("output", "NaN becomes 0", 0)
    return Line("output", f"beyond {p.dtype}: its nearest end", high if x > 0 else low)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Any pair of types; floats from those that vanish to those that do not fit."""
    input = _affine.draw_input(draw, make, dtype)
    output_type = draw(make.sampled_from(TYPES))
    return Node("CAST", {}, (input,), (make.tensor(input.shape, output_type, draw(make.quantization(output_type))),))


KERNELS = {("CAST", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS) for dtype in TYPES}
