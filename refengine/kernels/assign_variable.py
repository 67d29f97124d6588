"""ASSIGN_VARIABLE: a resource variable gets a value, which lives on into the next inference.

TFLM: `kernels/assign_variable.cc`, `micro_resource_variable.cc` (Allocate, Assign). The first of them, in the order of
subgraphs and operators, says how many bytes the variable has, and by its value's zero point what they are at first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox
from ..model import Array
from . import _affine, _control, _resource, var_handle

HANDLE_TYPES = ("resource", "int32")


@dataclass(frozen=True)
class Params:
    """Nothing: TFLM copies bytes."""


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses anything but a handle and a value, without outputs."""
    consistent(
        len(node.inputs) == 2 and None not in node.inputs and not node.outputs,
        f"expected a handle, a value and no outputs, got {node.arity}",
    )
    handle, value = node.inputs
    assert handle is not None and value is not None
    _control.size(value)
    require(
        handle.shape in ((), (1,)),
        f"the handle '{handle.name}' has shape {handle.shape}; TFLM takes one id: convert again",
    )
    return Params()


def evaluate(p: Params, handle: Array, input: Array, value: Array) -> tuple[Array]:
    """(B,) handles, (B, …) new and old values → the variable's new value, of the old one's type and shape."""
    return (_resource.reread(input, value.dtype.name, value.shape[1:]),)


def explain(p: Params, at: At, handle: Array, input: Array, value: Array) -> Iterator[Line]:
    """There is no output to explain."""
    yield Line("handle", "the id of the variable that is assigned", int(handle.reshape(-1)[0]))


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """A value of any type, for a variable of its own."""
    handle = handle_of(draw, make, dtype)
    value = _affine.draw_input(draw, make, draw(make.sampled_from(("float32", "int8", "int16", "int32"))), (0, 3), 4)
    return Node("ASSIGN_VARIABLE", {}, (handle.outputs[0], value), (), before=(handle,))


def handle_of(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """For an example: what makes the handle of a variable."""
    handle = var_handle.example(draw, make)
    return handle._replace(outputs=(make.tensor((), dtype),))


FACTS = Facts(resource="assign", shares_scale=True, quantized=Quantizing({"int8": 1, "int16": 1}))

KERNELS = {
    ("ASSIGN_VARIABLE", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in HANDLE_TYPES
}
