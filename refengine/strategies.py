"""Hypothesis strategies: invented operators and models, edges first. Needs the package `hypothesis`.

`nodes(op, dtype)` draws what a kernel's `example` invents, `inputs_of(model)` arrays to feed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .kernel import Kernel, Node
from .kernels import KERNELS
from .model import Array, Graph, Model, Op, Quantization, Tensor
from .numerics.quantize import code_range

INT_KINDS = ("constant", "noise", "ends", "sparse", "ramp", "noise", "noise")
FLOAT_KINDS = (*INT_KINDS, "edges", "wide")
"""What invented arrays look like, the simplest first; mostly noise, since few elements tell two roundings apart."""

FLOAT_EDGES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 6.0, 1e-20, -1e-20, 1e-40, 3.4e38, -3.4e38], np.float32)


class Toolbox:
    """What a kernel's `example` draws from: see `refengine.kernel.Toolbox`."""

    def integers(self, low: int, high: int) -> st.SearchStrategy[int]:
        return st.integers(low, high)

    def sampled_from(self, choices: Sequence[Any]) -> st.SearchStrategy[Any]:
        return st.sampled_from(choices)

    def booleans(self) -> st.SearchStrategy[bool]:
        return st.booleans()

    def shape(self, rank: int, largest: int = 6) -> st.SearchStrategy[tuple[int, ...]]:
        return st.tuples(*[st.integers(1, largest)] * rank)

    def scale(self, low: float = 2.0**-10, high: float = 2.0**2) -> st.SearchStrategy[float]:
        return _scales(low, high)

    def zero_point(self, dtype: str) -> st.SearchStrategy[int]:
        low, high = code_range(dtype)
        return st.sampled_from((0, low, high, max(low, -1))) | st.integers(low, high)

    def quantization(self, dtype: str, zero_point: int | None = None) -> st.SearchStrategy[Quantization | None]:
        if dtype == "float32":
            return st.none()
        if zero_point is None and dtype == "int16":
            zero_point = 0
        points = self.zero_point(dtype) if zero_point is None else st.just(zero_point)
        return st.tuples(self.scale(), points).map(lambda pair: Quantization(pair[:1], pair[1:]))

    def array(
        self, shape: Sequence[int], dtype: str, low: int | None = None, high: int | None = None
    ) -> st.SearchStrategy[Array]:
        looks = st.tuples(st.sampled_from(FLOAT_KINDS if dtype == "float32" else INT_KINDS), st.integers(0, 2**32 - 1))
        return looks.map(lambda look: array_of(tuple(shape), dtype, low, high, *look))

    def tensor(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        return Tensor(0, "", tuple(shape), dtype, quantization)

    def constant(self, data: Array, quantization: Quantization | None = None, dtype: str | None = None) -> Tensor:
        return Tensor(0, "", data.shape, dtype or data.dtype.name, quantization, data)


@cache
def _scales(low: float, high: float) -> st.SearchStrategy[float]:
    """Float32 values from `low` to `high`, every second one a power of two."""
    exponents = st.integers(int(np.ceil(np.log2(low))), int(np.floor(np.log2(high))))
    powers = exponents.map(lambda e: 2.0**e)
    return powers | st.floats(float(np.float32(low)), float(np.float32(high)), width=32)


def array_of(shape: tuple[int, ...], dtype: str, low: int | None, high: int | None, kind: str, seed: int) -> Array:
    """An array of one `kind`, from a seed: shrinks to constants, whatever its size."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        bound = 4.0 if high is None else float(high)
        floor = -bound if low is None else float(low)
        noise = rng.uniform(floor, bound, shape)
        table = {
            "constant": np.full(shape, noise.flat[0] if noise.size else 0),
            "noise": noise,
            "ends": rng.choice([floor, bound], shape),
            "sparse": noise * (rng.random(shape) < 0.2),
            "ramp": np.linspace(floor, bound, noise.size).reshape(shape),
            "edges": rng.choice(FLOAT_EDGES, shape),
            "wide": noise * 10.0 ** rng.uniform(-20, 20, shape),
        }
        values = np.asarray(table[kind])
        return (values if high is None else np.clip(values, floor, bound)).astype(np.float32)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    least, most = code_range(dtype)
    floor_, top = least if low is None else low, most if high is None else high
    noise_ = rng.integers(floor_, top, shape, endpoint=True, dtype=np.int64)
    ints = {
        "constant": np.full(shape, noise_.flat[0] if noise_.size else 0),
        "noise": noise_,
        "ends": rng.choice([floor_, top], shape),
        "sparse": np.where(rng.random(shape) < 0.2, noise_, np.clip(0, floor_, top)),
        "ramp": (floor_ + np.arange(noise_.size) % min(top - floor_ + 1, 2**32)).reshape(shape),
    }
    return np.asarray(ints[kind]).astype(dtype)


def nodes(op: str, dtype: str, kernel: Kernel | None = None) -> st.SearchStrategy[Node]:
    """Random valid nodes of one operator at one type (of its first input), by the kernel's `example`."""
    example = (kernel or KERNELS[op, dtype]).example
    return st.composite(lambda draw: example(draw, Toolbox()))()


def model_of(node: Node) -> Model:
    """A model of one operator; its non-constant inputs are the model's inputs, a tensor given twice is fed once."""
    tensors: list[Tensor] = []
    seen: dict[int, int] = {}

    def place(tensor: Tensor | None, name: str) -> int:
        if tensor is None:
            return -1
        if id(tensor) not in seen:
            seen[id(tensor)] = len(tensors)
            tensors.append(replace(tensor, index=len(tensors), name=name))
        return seen[id(tensor)]

    inputs = tuple(place(t, f"input{i}") for i, t in enumerate(node.inputs))
    outputs = tuple(place(t, f"output{i}") for i, t in enumerate(node.outputs))
    fed = tuple(dict.fromkeys(i for i in inputs if i >= 0 and tensors[i].data is None))
    op = Op(0, node.name, inputs, outputs, node.options)
    return Model((Graph(0, "main", tuple(tensors), fed, outputs, (op,)),))


def inputs_of(model: Model, batch: int | None = None) -> st.SearchStrategy[tuple[Array, ...]]:
    """Arrays for the model's inputs, of the declared shapes, or `batch` of them stacked in a new leading axis."""
    graph = model.graphs[0]
    lead = () if batch is None else (batch,)
    return st.tuples(*(Toolbox().array((*lead, *graph.tensors[i].shape), graph.tensors[i].dtype) for i in graph.inputs))
