"""Small models by hand, for tests that want to know every number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from refengine.kernel import Node
from refengine.model import Graph, Model, Op, Quantization, Tensor
from refengine.strategies import model_of


def q(scale: float | tuple[float, ...], zero_point: int = 0, dimension: int = 0) -> Quantization:
    """A quantisation with float32 scales, one or one for each channel along `dimension`."""
    scales = tuple(float(np.float32(s)) for s in (scale if isinstance(scale, tuple) else (scale,)))
    return Quantization(scales, (zero_point,) * len(scales), dimension)


def fed(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None, name: str = "x") -> Tensor:
    return Tensor(0, name, shape, dtype, quantization)


def const(values: npt.ArrayLike, dtype: str, quantization: Quantization | None = None, name: str = "c") -> Tensor:
    data = np.array(values, "int8" if dtype == "int4" else dtype)
    return Tensor(0, name, data.shape, dtype, quantization, data)


def one_op(name: str, options: dict[str, Any], inputs: list[Tensor | None], *outputs: Tensor) -> Model:
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
    fed = tuple(i for i, t in enumerate(tensors.values()) if t.data is None and i not in computed)
    out = tuple(i for i in sorted(computed) if i not in read)
    indexed = tuple(replace(t, index=index) for index, t in enumerate(tensors.values()))
    return Model((Graph(0, "main", indexed, fed, out, ops),))


def custom(code: str, options: bytes, inputs: list[Tensor | None], *outputs: Tensor) -> Model:
    """A custom operator by its code, with its options' bytes."""
    return model_of(Node(code, {}, tuple(inputs), outputs, custom_options=options))
