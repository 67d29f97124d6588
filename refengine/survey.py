"""What a model consists of and costs, layer by layer; whether it runs on TFLM, and what it needs to be told there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import accumulate
from math import ceil, prod
from typing import Any, Literal

import numpy as np

from .errors import LimitError, UnsupportedError
from .identity import identity
from .kernel import Kernels, Numerics
from .kernels import KERNELS
from .kernels._tflm import CUSTOM_OPS, TFLM_OPS
from .memory import MEMORY
from .model import Graph, Model, Op, Tensor
from .plan import Step, prepared
from .text import c_string


@dataclass(frozen=True, eq=False)
class Layer:
    """One operator: its tensors, what it costs per inference, and why it was refused, if it was.

    `macs` is None where a refusal keeps them unknown. `constant_bytes` are its weights, biases and other constants,
    `output_bytes` what it writes, `live_bytes` all tensors that must exist while it runs: its own and those that
    later operators still read.
    """

    op: Op
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    macs: int | None
    constant_bytes: int
    output_bytes: int
    live_bytes: int
    refusal: UnsupportedError | None

    @property
    def constants(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.inputs if t is not None and t.data is not None)


@dataclass(frozen=True, eq=False)
class Survey:
    """A model's layers (of its first subgraph) and their sums."""

    model: Model
    numerics: Numerics
    layers: tuple[Layer, ...]

    @property
    def graph(self) -> Graph:
        return self.model.graphs[0]

    @property
    def macs(self) -> int:
        """Multiplications and accumulations per inference, of the layers where they are known."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def constant_bytes(self) -> int:
        """All constants, each counted once."""
        return tensor_bytes({t.index: t for layer in self.layers for t in layer.constants}.values())

    @property
    def output_bytes(self) -> int:
        """What all layers write: the memory needed if nothing were ever given back."""
        return sum(layer.output_bytes for layer in self.layers)

    @property
    def peak_bytes(self) -> int:
        """The largest `live_bytes`: no arena can be smaller."""
        return max((layer.live_bytes for layer in self.layers), default=0)

    @property
    def refusals(self) -> tuple[UnsupportedError, ...]:
        return tuple(layer.refusal for layer in self.layers if layer.refusal)

    @property
    def runs_on_tflm(self) -> Literal["yes", "no", "unknown"]:
        """``unknown`` if all that is wrong is operators of TFLM, or custom ones, that refengine has no kernel for, or
        that take more memory than it allows itself."""
        known = {name for name, _ in KERNELS}
        judged = [layer for layer in self.layers if layer.refusal and not isinstance(layer.refusal, LimitError)]
        refused = [layer.op.kind for layer in judged]
        if any(name in known or name not in (TFLM_OPS | CUSTOM_OPS) for name in refused):
            return "no"
        return "unknown" if self.refusals else "yes"

    @property
    def resolver(self) -> str:
        """The C++ that registers exactly this model's operators, of all its subgraphs."""
        ops = sorted({(op.kind != op.name, op.kind) for graph in self.model.graphs for op in graph.ops})
        known = {(False, op): method for op, method in TFLM_OPS.items()}
        known |= {(True, code): method for code, method in CUSTOM_OPS.items()}
        calls = [
            f"resolver.{known[op]}();"
            if op in known
            else f"resolver.AddCustom({c_string(op[1])}, /* the TFLMRegistration* of your kernel */);"
            for op in ops
            if op in known or op[0]
        ]
        return "\n".join([f"tflite::MicroMutableOpResolver<{len(calls)}> resolver;", *calls])

    def as_dict(self) -> dict[str, Any]:
        """Everything but the constants' values in plain Python, for JSON."""
        return {
            "sha256": self.model.sha256,
            "description": self.model.description,
            "numerics": asdict(self.numerics),
            "subgraphs": len(self.model.graphs),
            "inputs": [_tensor(self.graph.tensors[i]) for i in self.graph.inputs],
            "outputs": [_tensor(self.graph.tensors[i]) for i in self.graph.outputs],
            "layers": [_layer(layer) for layer in self.layers],
            "macs": self.macs,
            "constant_bytes": self.constant_bytes,
            "output_bytes": self.output_bytes,
            "peak_bytes": self.peak_bytes,
            "runs_on_tflm": self.runs_on_tflm,
            "refusals": [str(refusal) for refusal in self.refusals],
            "resolver": self.resolver,
        }


def inspect(
    model: Model, *, numerics: Numerics | None = None, kernels: Kernels = KERNELS, memory: int = MEMORY
) -> Survey:
    """Look at every operator of the model's first subgraph, those that would be refused as well.

    `kernels` are those of `make_plan`, for operators of your own.
    """
    numerics = numerics or Numerics()
    graph = model.graphs[0]
    steps = prepared(model, graph, numerics, kernels, memory)
    live = _live_bytes(graph)
    return Survey(model, numerics, tuple(_look(graph, *each) for each in zip(graph.ops, steps, live, strict=True)))


def _look(graph: Graph, op: Op, step: Step | UnsupportedError, live_bytes: int) -> Layer:
    inputs = tuple(None if i < 0 else graph.tensors[i] for i in op.inputs)
    outputs = tuple(graph.tensors[i] for i in op.outputs)
    constants = [t for t in inputs if t is not None and t.data is not None]
    refusal, macs = (step, None) if isinstance(step, UnsupportedError) else (None, getattr(step.params, "macs", 0))
    return Layer(op, inputs, outputs, macs, tensor_bytes(constants), tensor_bytes(outputs), live_bytes, refusal)


def tensor_bytes(tensors: Iterable[Tensor]) -> int:
    """What tensors occupy on a device: int4 two to a byte, no alignment; 0 for dynamic shapes."""
    return sum(_bytes(tensor) for tensor in tensors)


def _bytes(tensor: Tensor) -> int:
    if tensor.dtype == "int4":
        return ceil(prod(tensor.shape) / 2)
    if tensor.data is not None:
        return tensor.data.nbytes
    try:
        return max(0, prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize
    except TypeError:  # strings and the like, which no device has
        return 0


def _live_bytes(graph: Graph) -> list[int]:
    """For each operator, the bytes of all computed tensors between their writer (or the start) and last reader."""
    end = len(graph.ops) - 1
    first = dict.fromkeys(graph.inputs, 0) | {i: op.index for op in graph.ops for i in op.outputs}
    last = {i: op.index for op in graph.ops for i in (*op.outputs, *op.inputs)} | dict.fromkeys(graph.outputs, end)
    change = [0] * (len(graph.ops) + 1)
    for tensor in graph.tensors:
        if graph.ops and tensor.data is None and tensor.index in first and tensor.index in last:
            change[first[tensor.index]] += _bytes(tensor)
            change[last[tensor.index] + 1] -= _bytes(tensor)
    return [*accumulate(change[:-1])]


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "operator": identity(layer.op),
        "options": dict(layer.op.options),
        "inputs": [None if t is None else _tensor(t) for t in layer.inputs],
        "outputs": [_tensor(t) for t in layer.outputs],
        "macs": layer.macs,
        "constant_bytes": layer.constant_bytes,
        "output_bytes": layer.output_bytes,
        "live_bytes": layer.live_bytes,
        "refusal": None if layer.refusal is None else str(layer.refusal),
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        **identity(tensor),
        "shape": tensor.shape,
        "dtype": tensor.dtype,
        "constant": tensor.data is not None,
        "bytes": tensor_bytes([tensor]),
        "quantization": tensor.quantization
        and {
            "scale": tensor.quantization.scale,
            "zero_point": tensor.quantization.zero_point,
            "quantized_dimension": tensor.quantization.quantized_dimension,
        },
    }
