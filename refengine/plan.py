"""From what a file says to what will run: one `Step` per operator, every constant computed, every refusal made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .errors import UnsupportedError, located, require
from .kernel import Kernel, Kernels, Numerics
from .kernels import KERNELS
from .model import Array, Graph, Model, Op, Tensor
from .tflite_io import load
from .tflm_ops import TFLM_OPS


@dataclass(frozen=True, eq=False)
class Step:
    """One call: `kernel.evaluate(params, *inputs)`.

    `inputs` and `outputs` are tensors of the graph (None for an optional input left out); `last_use` are the indices of
    tensors that no later step reads.
    """

    index: int
    op: Op
    kernel: Kernel
    params: Any
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    last_use: tuple[int, ...]

    def __str__(self) -> str:
        return f"operator {self.index} ({self.op.name})"

    def __repr__(self) -> str:
        types = [f"{t.dtype} {t.shape}" for t in (*self.inputs, *self.outputs) if t is not None]
        return f"<Step {self.index} {self.op.name}: {', '.join(types[:-1])} → {types[-1]}>"


@dataclass(frozen=True, eq=False)
class Plan:
    """What will run: the steps of subgraph 0, in order, under one dialect.

    `constants` are the arrays of constant tensors by index, with the batch axis of length 1 that kernels expect.
    """

    model: Model
    graph: Graph
    numerics: Numerics
    steps: tuple[Step, ...]
    constants: Mapping[int, Array]
    kernels: Kernels = field(repr=False)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[i] for i in self.graph.inputs)

    @cached_property
    def writers(self) -> Mapping[int, Step]:
        """By tensor index, the step that computes it."""
        return {t.index: step for step in self.steps for t in step.outputs}

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return sum(getattr(step.params, "macs", 0) for step in self.steps)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[i] for i in self.graph.outputs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was made of, a third of the bytes; prepared anew where it arrives."""
        return _remade, (self.model, self.numerics, None if self.kernels is KERNELS else self.kernels)


def make_plan(
    model: Model | str | os.PathLike[str] | bytes, *, numerics: Numerics | None = None, kernels: Kernels = KERNELS
) -> Plan:
    """Prepare every operator of the model's first subgraph.

    `numerics` is the dialect to compute (TFLM's own by default); `kernels` maps (operator, dtype of its first input) to
    kernels, so that a user's own operator is ``{**KERNELS, key: mine}``.

    Raises `ModelError` for bad bytes and `UnsupportedError` for what TFLM or this engine would not run; after it
    returns, nothing in the file can raise any more.
    """
    model = model if isinstance(model, Model) else load(model)
    numerics = numerics or Numerics()
    graph = model.graphs[0]
    steps = []
    for step in prepared(graph, numerics, kernels):
        if isinstance(step, UnsupportedError):
            raise step
        steps.append(step)
    constants = {t.index: frozen(t.data[np.newaxis]) for t in graph.tensors if t.data is not None}
    return Plan(model, graph, numerics, tuple(steps), constants, kernels)


def _remade(model: Model, numerics: Numerics, kernels: Kernels | None) -> Plan:
    return make_plan(model, numerics=numerics, kernels=KERNELS if kernels is None else kernels)


def frozen(array: Array) -> Array:
    """A read-only view."""
    view: Array = array.view()
    view.flags.writeable = False
    return view


def prepared(graph: Graph, numerics: Numerics, kernels: Kernels) -> Iterator[Step | UnsupportedError]:
    """The step of each operator, or why there is none."""
    readers = {i: op.index for op in graph.ops for i in op.inputs}
    kept = {*graph.outputs, *(t.index for t in graph.tensors if t.data is not None)}
    for op in graph.ops:
        inputs = tuple(None if i < 0 else graph.tensors[i] for i in op.inputs)
        outputs = tuple(graph.tensors[i] for i in op.outputs)
        last_use = tuple(
            {i for i in (*op.inputs, *op.outputs) if i >= 0 and i not in kept and readers.get(i, op.index) == op.index}
        )
        try:
            place = f"subgraph {graph.index}, operator {op.index} ({op.custom_code or op.name})"
            with located(place), np.errstate(all="ignore"):  # scales that overflow are refused, without a warning
                _check_tensors(inputs, outputs)
                kernel = _kernel_for(op, inputs, kernels)
                params = kernel.prepare(op.options, inputs, outputs, numerics)
            yield Step(op.index, op, kernel, params, inputs, outputs, last_use)
        except UnsupportedError as error:
            yield error


def _check_tensors(inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> None:
    for tensor in filter(None, (*inputs, *outputs)):
        require(
            all(d >= 0 for d in tensor.shape),
            f"tensor '{tensor.name}' has the dynamic shape {tensor.shape}; TFLM plans all memory beforehand: "
            "convert again with fixed shapes",
        )
        require(
            not tensor.is_variable,
            f"tensor '{tensor.name}' is a variable that lives from one inference to the next; "
            "refengine has no stateful operators yet",
        )
        require(
            tensor.dtype != "string",
            f"tensor '{tensor.name}' holds strings, for which TFLM plans no memory; convert again without them",
        )
        require(
            tensor.sparsity is None,
            f"tensor '{tensor.name}' is sparse, but TFLM reads all constants as dense; convert again without sparsity",
        )
    for tensor in outputs:
        require(
            0 not in tensor.shape or tensor.shape == (0,),
            f"output '{tensor.name}' has the empty shape {tensor.shape}, which TFLM takes for a dynamic one; "
            "convert again with fixed shapes",
        )


def _kernel_for(op: Op, inputs: tuple[Tensor | None, ...], kernels: Kernels) -> Kernel:
    """The kernel for the operator at its first input's type."""
    require(inputs and inputs[0] is not None, "the first input is missing")
    assert inputs[0] is not None
    dtype = inputs[0].dtype
    if (op.name, dtype) in kernels:
        return kernels[op.name, dtype]
    known = sorted(t for name, t in kernels if name == op.name)
    require(not known, f"the first input '{inputs[0].name}' is {dtype}; supported here: {', '.join(known)}")
    require(
        op.name in TFLM_OPS,
        "TFLM has no such operator; convert again without it (TFLITE_BUILTINS_INT8 only), or "
        "give TFLM a custom kernel and refengine one through make_plan(kernels=…)",
    )
    raise UnsupportedError(
        "TFLM runs it, but refengine has no kernel for it yet; give it one through make_plan(kernels=…)"
    )
