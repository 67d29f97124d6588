"""PAD, PADV2: the input with constant elements before and after it along each dimension.

TFLM: `kernels/pad.cc`, `pad_common.cc`; the loop in `kernels/internal/reference/pad.h`. Without a third input, int8 is
filled with the output's zero point, the code of 0.0. int16 is **filled with code 0**, whatever the zero point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _affine, _copies

MAX_RANK = 5


@dataclass(frozen=True)
class Params:
    """`left_padding` and `right_padding` for each dimension; `pad_value` where there is no third input."""

    left_padding: tuple[int, ...]
    right_padding: tuple[int, ...]
    pad_value: int
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses paddings that are computed, negative or do not lead to the output's shape, and a fill quantised apart."""
    consistent(
        len(node.inputs) in (2, 3) and None not in node.inputs[:2] and len(node.outputs) == 1,
        f"expected an input, paddings, an optional fill and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    input, paddings, fill, output = (
        node.inputs[0],
        node.inputs[1],
        node.inputs[2] if len(node.inputs) == 3 else None,
        node.outputs[0],
    )
    assert input is not None and paddings is not None and output is not None
    _copies.same_type(input, output)
    rank = len(input.shape)
    require(rank <= MAX_RANK, f"input '{input.name}' has {rank} dimensions; TFLM pads at most {MAX_RANK}: reshape it")
    require(
        paddings.data is not None and paddings.dtype == "int32" and paddings.data.size == 2 * rank,
        f"paddings '{paddings.name}' must be a constant of int32 pairs in TFLM, one for each of the {rank} dimensions "
        f"of '{input.name}'; convert again with fixed shapes",
    )
    assert paddings.data is not None
    left, right = paddings.data.reshape(-1, 2).T.tolist()
    require(
        min(left + right, default=0) >= 0, f"paddings '{paddings.name}' are negative; TFLM does not crop: use a slice"
    )
    expected = tuple(before + size + after for before, size, after in zip(left, input.shape, right, strict=True))
    consistent(
        output.shape == expected,
        f"output '{output.name}' has shape {output.shape}; input '{input.name}' {input.shape} is padded to {expected}",
    )
    if fill is not None:
        _copies.same_type(input, fill)
        consistent(prod(fill.shape) == 1, f"the fill '{fill.name}' has shape {fill.shape}; it must be one element")
        require(
            input.dtype != "int8" or _affine.params_of(fill) == _affine.params_of(output),
            f"fill '{fill.name}' {_affine.params_of(fill)} and output '{output.name}' {_affine.params_of(output)} "
            "differ in scale or zero point; TFLM copies int8 codes as they are: put a QUANTIZE between",
        )
    pad_value = _affine.params_of(output)[1] if input.dtype == "int8" else 0
    require(
        -128 <= pad_value < 128,
        f"the zero point {pad_value} of output '{output.name}' is no int8 code as TFLM needs: convert again",
    )
    return Params(tuple(left), tuple(right), pad_value, output.shape)


def evaluate(p: Params, input: Array, paddings: Array, fill: Array | None = None) -> Array:
    """(B, …), with a fill of (B, one element) → (B, *output_shape)."""
    batch = len(input) if fill is None else max(len(input), len(fill))
    output = np.empty((batch, *p.output_shape), input.dtype)
    output[...] = p.pad_value if fill is None else fill.reshape(-1, *(1,) * len(p.output_shape))
    inside = (
        slice(None),
        *(slice(left, left + size) for left, size in zip(p.left_padding, input.shape[1:], strict=True)),
    )
    output[inside] = input
    return output


def explain(p: Params, at: At, input: Array, paddings: Array, fill: Array | None = None) -> Iterator[Line]:
    """Element `index` of the output."""
    source = tuple(i - left for i, left in zip(at.index, p.left_padding, strict=True))
    for dimension, (i, size) in enumerate(zip(source, input.shape, strict=True)):
        if not 0 <= i < size:
            where = f"{'before' if i < 0 else 'after'} the input along dimension {dimension}"
            if fill is None:
                yield Line("pad", f"{where}: the padding", input.dtype.type(p.pad_value).item())
            else:
                yield _copies.copied("fill", fill, (0,) * fill.ndim, where)
            return
    yield _copies.copied("input", input, source, f"the output's index less the paddings in front {p.left_padding}")


def example(draw: Draw, make: Toolbox, dtype: str, name: str) -> Node:
    """Up to five dimensions, padded or not at either end, with the fill left out (PAD), constant or fed (PADV2)."""
    quantization = make.quantization(dtype, asymmetric=True)
    input = _affine.draw_input(draw, make, dtype, (1, MAX_RANK), 4, quantization)
    pairs = [
        (draw(make.integers(0, 3)), draw(make.integers(0, 3))) if draw(make.booleans()) else (0, 0) for _ in input.shape
    ]
    fill: tuple[Tensor, ...] = ()
    if name == "PADV2":
        value = draw(make.array((1,) * draw(make.integers(0, 1)), dtype))
        fed = make.input(
            (), dtype, input.quantization, lambda t: t.shape == () and t.quantization == input.quantization
        )
        fill = (make.constant(value, input.quantization) if draw(make.booleans()) else draw(fed),)
    padded = tuple(before + size + after for size, (before, after) in zip(input.shape, pairs, strict=True))
    inputs = (input, make.constant(np.array(pairs, np.int32)), *fill)
    return Node(name, {}, inputs, (make.tensor(padded, dtype, input.quantization),))


FACTS = Facts(
    copies=True,
    pads=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("int8", "int16", "int32", "float32"), "pad"),
)

KERNELS = {
    (name, dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype, name=name), FACTS)
    for name in ("PAD", "PADV2")
    for dtype in ("int8", "int16", "int32", "float32")
}
