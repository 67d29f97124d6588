"""CONCATENATION: inputs one after the other along a dimension.

TFLM: `kernels/concatenation.cc`; the copies in `kernels/internal/reference/concatenation.h`. Codes are copied, never
rescaled, which is why int8 inputs must be quantised like the output, and int16 ones have no zero point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array, Tensor
from . import _affine, _copies

MAX_INPUTS = 10
MAX_RANK = 6


@dataclass(frozen=True)
class Params:
    """`axis` counts from the front of `output_shape`."""

    axis: int
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses fused activations, more than ten inputs, other quantisations, and shapes that do not fit together."""
    tensors, output = _copies.operands(node)
    require(
        len(tensors) <= MAX_INPUTS, f"{len(tensors)} inputs; TFLM concatenates at most {MAX_INPUTS}: do it in steps"
    )
    activation = node.options["fused_activation_function"]
    require(
        activation == "NONE", f"TFLM fuses no activation into CONCATENATION; make {activation} an operator of its own"
    )
    axis, rank = node.options["axis"], len(output.shape)
    require(
        rank <= MAX_RANK, f"output '{output.name}' has {rank} dimensions; TFLM takes at most {MAX_RANK}: reshape it"
    )
    consistent(-rank <= axis < rank, f"axis {axis} is outside the {rank} dimensions of output '{output.name}'")
    axis %= rank
    for tensor in tensors:
        consistent(
            len(tensor.shape) == rank
            and tensor.shape[:axis] + tensor.shape[axis + 1 :] == output.shape[:axis] + output.shape[axis + 1 :],
            f"input '{tensor.name}' {tensor.shape} and output '{output.name}' {output.shape} differ beside axis {axis}",
        )
        if output.dtype == "int8":
            require(
                _affine.params_of(tensor) == _affine.params_of(output),
                f"input '{tensor.name}' {_affine.params_of(tensor)} and output '{output.name}' "
                f"{_affine.params_of(output)} differ in scale or zero point; TFLM copies int8 codes as they are: put a "
                "QUANTIZE between",
            )
    for tensor in (*tensors, output):
        require(
            output.dtype != "int16" or _affine.params_of(tensor)[1] == 0,
            f"the zero point of '{tensor.name}' is not 0; TFLM concatenates int16 only without zero points: "
            "convert again",
        )
    consistent(
        sum(tensor.shape[axis] for tensor in tensors) == output.shape[axis],
        f"the inputs' lengths along axis {axis} do not add up to {output.shape[axis]} of output '{output.name}'",
    )
    return Params(axis, output.shape)


def evaluate(p: Params, *inputs: Array) -> Array:
    """(B, …) each → (B, *output_shape)."""
    output = np.empty((max(map(len, inputs)), *p.output_shape), inputs[0].dtype)
    along, start = np.moveaxis(output, 1 + p.axis, 0), 0
    for input in inputs:
        part = np.moveaxis(input, 1 + p.axis, 0)
        along[start : start + len(part)] = part
        start += len(part)
    return output


def explain(p: Params, at: At, *inputs: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    position = at.index[p.axis]
    for number, input in enumerate(inputs):
        length = input.shape[p.axis]
        if position < length:
            source = (*at.index[: p.axis], position, *at.index[p.axis + 1 :])
            yield _copies.copied(f"input {number}", input, source, f"{position} of its {length} along axis {p.axis}")
            return
        position -= length


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Up to ten inputs of any rank, constants among them, along any axis, counted from either end."""
    first = _affine.draw_input(draw, make, dtype, (1, 5), 4)
    shape, quantization = first.shape, first.quantization
    axis = draw(make.integers(0, len(shape) - 1))

    def resized(length: int) -> tuple[int, ...]:
        return (*shape[:axis], length, *shape[axis + 1 :])

    def fits(other: Tensor) -> bool:
        beside = (*other.shape[:axis], 1, *other.shape[axis + 1 :])
        return (len(other.shape), beside, other.quantization) == (len(shape), resized(1), quantization)

    inputs = [first]
    for _ in range(draw(make.sampled_from((1, 0, 2, 3, MAX_INPUTS - 1)))):
        beside = resized(draw(make.integers(1, 4)))
        if draw(make.integers(0, 2)) == 2:
            inputs.append(make.constant(draw(make.array(beside, dtype)), quantization))
        else:
            inputs.insert(draw(make.integers(0, 1)) * len(inputs), draw(make.input(beside, dtype, quantization, fits)))
    if inputs[0].data is not None:
        inputs.reverse()
    options = {"axis": axis - draw(make.booleans()) * len(shape), "fused_activation_function": "NONE"}
    joined = resized(sum(t.shape[axis] for t in inputs))
    return Node("CONCATENATION", options, tuple(inputs), (make.tensor(joined, dtype, quantization),))


FACTS = Facts(
    joins=True,
    copies=True,
    shares_scale=True,
    monotone="rising",
    quantized=Quantizing(),
    c_kernels=dict.fromkeys(("float32", "int8", "int16", "int32", "int64", "bool"), "copies"),
)

KERNELS = {
    ("CONCATENATION", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in ("float32", "int8", "int16", "int32", "int64", "bool")
}
