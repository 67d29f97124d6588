"""How records show themselves in debuggers and notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import InputError
from ..model import Array, Tensor
from ..plan import Step
from ..text import html_table
from .stats import activation_of, real_values, stats


def record_text(step: Step, outputs: Sequence[Array]) -> str:
    """``<Record of operator 11 (SOFTMAX): int8 (1, 10), -128 … 127, which stand for 0 … 0.996094>``."""
    (tensor,), (values,) = step.outputs, outputs
    return f"<Record of {step}: {values.dtype} {values.shape}, {_span(tensor, values)}>"


def record_html(step: Step, inputs: Sequence[Array | None], outputs: Sequence[Array]) -> str:
    """A table of the operator's tensors: what they are, and what their values look like."""
    return html_table(step, ("", "tensor", "type", "values", "zeros", "clamped"), _rows(step, inputs, outputs))


def _rows(step: Step, inputs: Sequence[Array | None], outputs: Sequence[Array]) -> Iterator[tuple[str, ...]]:
    tensors, arrays = (*step.inputs, *step.outputs), (*inputs, *outputs)
    roles = ["in"] * len(inputs) + ["out"] * len(outputs)
    for role, tensor, values in zip(roles, tensors, arrays, strict=True):
        if tensor is None or values is None:
            continue
        shares = ("", "")
        if values.size:
            found = stats(tensor, values, activation_of(step.op) if role == "out" else "NONE")
            shares = (f"{found.zeros:.1%}", f"{found.below + found.above:.1%}")
        about = f"{values.dtype} {values.shape}"
        yield role, f"{tensor.index} {tensor.name}", about, _span(tensor, values), *shares


def _span(tensor: Tensor, values: Array) -> str:
    """Between which values."""
    try:
        found = stats(tensor, values)
    except InputError:
        return "no values"
    reals = None if tensor.dtype == "float32" else real_values(tensor, values)
    meaning = "" if reals is None else f", which stand for {reals.min():.6g} … {reals.max():.6g}"
    return f"{found.min:.9g} … {found.max:.9g}{meaning}"
