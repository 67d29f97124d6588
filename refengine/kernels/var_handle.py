"""VAR_HANDLE: the handle of a resource variable, by which READ_VARIABLE and ASSIGN_VARIABLE name it.

TFLM: `kernels/var_handle.cc`, `micro_resource_variable.cc`. A handle's value is the variable's id: how many variables
came before it, over all subgraphs in the order of their operators. Two operators of one container and shared name mean
one variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array


@dataclass(frozen=True)
class Params:
    """TFLM's OpData."""

    resource_id: int
    output_shape: tuple[int, ...]


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses anything but one output of one element, and names that TFLM would compare with a null pointer."""
    consistent(
        not node.inputs and len(node.outputs) == 1,
        f"expected no inputs and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    (output,) = node.outputs
    container, shared_name = node.options["container"], node.options["shared_name"]
    require(
        output.dtype in ("resource", "int32") and output.shape in ((), (1,)),
        f"output '{output.name}' is {output.dtype} {output.shape}; TFLM writes one int32 there, the variable's id: "
        "convert again",
    )
    require(shared_name, "the variable has no shared name, on which TFLM crashes: convert again")
    containers = {other for other, name in node.resources if name == shared_name}
    require(
        len(containers) == 1 or "" not in containers,
        f"the variable '{shared_name}' has a container in one place and none in another, which TFLM mixes up; "
        "convert again",
    )
    return Params(node.resources.index((container, shared_name)), output.shape)


def evaluate(p: Params) -> Array:
    """() → (1, *output_shape) int32."""
    return np.full((1, *p.output_shape), p.resource_id, np.int32)


def explain(p: Params, at: At) -> Iterator[Line]:
    """The id."""
    yield Line("id", f"{p.resource_id} resource variables came before this one", p.resource_id)


def example(draw: Draw, make: Toolbox) -> Node:
    """Any names."""
    names = {"container": draw(make.sampled_from(("", "c"))), "shared_name": draw(make.sampled_from(("v", "w")))}
    resources = ((names["container"], names["shared_name"]),)
    return Node("VAR_HANDLE", names, (), (make.tensor((), "int32"),), resources=resources)


KERNELS = {("VAR_HANDLE", ""): Kernel(prepare, evaluate, explain, example, Facts(data=None, resource="handle"))}
