"""READ_VARIABLE: the value of a resource variable.

TFLM: `kernels/read_variable.cc`, `micro_resource_variable.cc` (Read). The variable's bytes are copied as they are; TFLM
checks neither type nor size, so that this engine does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _control, _resource, assign_variable


@dataclass(frozen=True)
class Params:
    """The type and shape under which the bytes are read."""

    dtype: str
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses anything but a handle and an output."""
    consistent(
        len(node.inputs) == 1 and node.inputs[0] is not None and len(node.outputs) == 1,
        f"expected a handle and 1 output, got {node.arity}",
    )
    _control.size(node.outputs[0])
    return Params(node.outputs[0].dtype, node.outputs[0].shape)


def evaluate(p: Params, handle: Array, value: Array) -> tuple[Array, Array]:
    """(B,) handles and the variable (B, …) → (B, *output_shape), and the variable as it was."""
    return _resource.reread(value, p.dtype, p.output_shape), value


def explain(p: Params, at: At, handle: Array, value: Array) -> Iterator[Line]:
    """Element `at` of the output."""
    yield Line("handle", "the id of the variable that is read", int(handle.reshape(-1)[0]))
    element = _resource.reread(value[np.newaxis], p.dtype, p.output_shape)[0][at.index]
    yield Line("read", "what the variable held", element if p.dtype == "float32" else element.item())


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """A variable that is assigned in the same inference, before."""
    assign = assign_variable.example(draw, make, dtype)
    handle, value = assign.inputs
    assert value is not None
    output = make.tensor(value.shape, value.dtype, value.quantization)
    return Node("READ_VARIABLE", {}, (handle,), (output,), before=(*assign.before, assign._replace(before=())))


FACTS = Facts(resource="read", shares_scale=True, quantized=Quantizing({"int8": 1, "int16": 1}))

KERNELS = {
    ("READ_VARIABLE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in assign_variable.HANDLE_TYPES
}
