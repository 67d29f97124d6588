"""Small models by hand, for tests that want to know every number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from refengine.kernel import Kernel, Node
from refengine.model import Array, Graph, Model, Op, Quantization, Tensor
from refengine.strategies import model_of

T = TypeVar("T")


def q(scale: float | tuple[float, ...], zero_point: int = 0, dimension: int = 0) -> Quantization:
    """A quantisation with float32 scales, one or one for each channel along `dimension`."""
    scales = tuple(float(np.float32(s)) for s in (scale if isinstance(scale, tuple) else (scale,)))
    return Quantization(scales, (zero_point,) * len(scales), dimension)


def fed(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None, name: str = "x") -> Tensor:
    return Tensor(0, name, shape, dtype, quantization)


def const(values: npt.ArrayLike, dtype: str, quantization: Quantization | None = None, name: str = "c") -> Tensor:
    data = np.array(values, "int8" if dtype == "int4" else dtype)
    return Tensor(0, name, data.shape, dtype, quantization, data)


def one_op(name: str, options: dict[str, Any], inputs: Sequence[Tensor | None], *outputs: Tensor) -> Model:
    return model_of(Node(name, options, tuple(inputs), outputs))


def network(*nodes: Node) -> Model:
    """Several operators, joined where they share a tensor: fed is what none computes, given out what none reads."""
    tensors = {id(t): t for node in nodes for t in (*node.inputs, *node.outputs) if t is not None}
    place = {key: index for index, key in enumerate(tensors)}
    ops = tuple(
        Op(
            index,
            node.name,
            tuple(-1 if t is None else place[id(t)] for t in node.inputs),
            tuple(place[id(t)] for t in node.outputs),
            node.options,
        )
        for index, node in enumerate(nodes)
    )
    read, computed = {i for op in ops for i in op.inputs}, {i for op in ops for i in op.outputs}
    unset = [i for i, t in enumerate(tensors.values()) if t.data is None and not t.is_variable]
    fed = tuple(i for i in unset if i not in computed)
    out = tuple(i for i in sorted(computed) if i not in read)
    indexed = tuple(replace(t, index=index) for index, t in enumerate(tensors.values()))
    return Model((Graph(0, "main", indexed, fed, out, ops),))


def svdf(x: Tensor, units: int, rng: np.random.Generator) -> Node:
    """A float layer that remembers its last four features of (1, depth) frames."""
    options = {"rank": 1, "fused_activation_function": "RELU", "asymmetric_quantize_inputs": False}
    constants = [const(rng.normal(size=shape), "float32") for shape in ((units, x.shape[1]), (units, 4), (units,))]
    state = replace(fed((1, 4 * units), "float32", name="state"), is_variable=True)
    return Node("SVDF", options, (x, *constants, state), (fed((1, units), "float32", name="y"),))


def custom(code: str, options: bytes, inputs: Sequence[Tensor | None], *outputs: Tensor) -> Model:
    """A custom operator by its code, with its options' bytes."""
    return model_of(Node(code, {}, tuple(inputs), outputs, custom_options=options))


def present(value: T | None) -> T:
    """A field that may be None, and is not in the case at hand."""
    assert value is not None
    return value


def evaluated(kernel: Kernel, params: Any, *arrays: Array) -> Array:
    """The only output of a kernel that runs no subgraph."""
    output = present(kernel.evaluate)(params, *arrays)
    assert not isinstance(output, tuple)
    return output
