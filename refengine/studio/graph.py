"""The network as the page draws it: boxes and lines, and what is known of every operator and tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diagram import Box, drawn
from ..model import Tensor
from ..plan import Plan, Step
from ..tensors.stats import activation_of
from .asked import Asked
from .studio import Studio
from .words import of_step, of_tensor

WIDEST = 30
"""Characters of an operator's name in a box."""


def graph(studio: Studio, asked: Asked) -> dict[str, Any]:
    """The main graph of a network."""
    return described(studio.plan(asked))


def described(plan: Plan, colours: Mapping[int, tuple[str, str]] | None = None) -> dict[str, Any]:
    """A plan's graph; `colours` are the (status, second line) of operators' boxes."""
    used = {t.index: t for step in plan.steps for t in (*step.inputs, *step.outputs) if t is not None}
    used |= {t.index: t for t in (*plan.inputs, *plan.outputs)}
    return {
        "svg": drawn([*map(_input_box, plan.inputs), *(_box(plan, step, colours or {}) for step in plan.steps)]),
        "inputs": plan.graph.inputs,
        "outputs": plan.graph.outputs,
        "steps": [_step(step) for step in plan.steps],
        "tensors": {str(index): _tensor(plan, tensor) for index, tensor in sorted(used.items())},
        "remembers": bool(plan.initial),
    }


def _input_box(tensor: Tensor) -> Box:
    return Box(f"tensor{tensor.index}", ("input", _shape(tensor)), status="input", tip=tensor.name)


def _box(plan: Plan, step: Step, colours: Mapping[int, tuple[str, str]]) -> Box:
    status, line = colours.get(step.index, ("step", ", ".join(map(_shape, step.outputs))))
    reads = (_key(plan, t) for t in step.inputs if t is not None)
    activation = activation_of(step.op)
    fused = f" + {activation}" if activation not in ("NONE", step.name) else ""
    name = f"{step.index} {step.name}{fused}"
    shown = name if len(name) <= WIDEST else f"{name[: WIDEST - 1]}…"
    return Box(
        f"step{step.index}", (shown, line), tuple(key for key in reads if key), status, f"{name}: {of_step(step)}"
    )


def _key(plan: Plan, tensor: Tensor) -> str:
    """The box that a tensor comes from; nothing for constants."""
    if tensor.index in plan.writers:
        return f"step{plan.writers[tensor.index].index}"
    return f"tensor{tensor.index}" if tensor.index in plan.graph.inputs else ""


def _shape(tensor: Tensor) -> str:
    return f"{'×'.join(map(str, tensor.shape)) or 'scalar'} {tensor.dtype}"


def _step(step: Step) -> dict[str, Any]:
    return {
        "index": step.index,
        "name": step.name,
        "about": of_step(step),
        "inputs": [None if t is None else t.index for t in step.inputs],
        "writes": [t.index for t in step.writes],
        "macs": getattr(step.params, "macs", 0),
    }


def _tensor(plan: Plan, tensor: Tensor) -> dict[str, Any]:
    quantization = tensor.quantization
    return {
        "index": tensor.index,
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": tensor.shape,
        "scale": quantization.scale if quantization else (),
        "zero_point": quantization.zero_point if quantization else (),
        "along": quantization.quantized_dimension if quantization else 0,
        "about": of_tensor(tensor),
        "constant": tensor.index in plan.constants,
        "variable": tensor.is_variable,
        "writer": plan.writers[tensor.index].index if tensor.index in plan.writers else None,
    }
