"""Why a class got its score: what each input of the last fully connected layer contributed to the logit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..execute import Record
from ..model import Array
from ..plan import Plan, Step
from ..tensors.stats import real_values


@dataclass(frozen=True, eq=False)
class Contributions:
    """The sum behind one logit, bias + Σ inputs[i] · weights[i], as the kernel sees it, zero points taken off.

    `products` (inputs,) are int64 in units of `unit` = input scale · weights scale, or float64 and unit 1; `inputs` and
    `weights` their factors; `bias` in the same units; `code` is the logit, `logit` what it stands for.
    """

    step: Step
    label: int
    inputs: Array
    weights: Array
    products: Array
    bias: int | float
    unit: float
    code: int | float
    logit: float

    @property
    def total(self) -> int | float:
        total: int | float = self.bias + self.products.sum().item()
        return total

    @property
    def largest(self) -> Array:
        """The inputs by the size of their product, the largest first."""
        return np.argsort(-np.abs(self.products), kind="stable")


def last_layer(plan: Plan) -> Step:
    """The last fully connected one; raises `InputError` if there is none, or it computes more than one row."""
    found = [step for step in plan.steps if step.facts.layout == "OI"]
    if not found:
        raise InputError("the model has no fully connected layer, whose sums are what this takes apart")
    output = found[-1].outputs[0]
    if output.shape[-1] != np.prod(output.shape):
        raise InputError(f"{found[-1]} computes {output.shape}, not one row of logits")
    return found[-1]


def contributions(record: Record, label: int) -> Contributions:
    """Take apart logit `label` of a fully connected layer's record; raises `InputError` if there is no such class."""
    step, logits = record.step, record.outputs[0].ravel()
    x, weights, bias, *_ = (*record.inputs, None)
    assert x is not None and weights is not None
    if not 0 <= label < logits.size:
        raise InputError(f"there is no class {label}: {step} computes {logits.size} logits, counted from 0")
    wide = np.float64 if x.dtype == np.float32 else np.int64
    inputs, row, unit = x.ravel().astype(wide), weights[label].astype(wide), 1.0
    if wide is np.int64:
        inputs, row = inputs + step.params.input_offset, row + step.params.weights_offset
        unit = _scale(record, 0, 0) * _scale(record, 1, label)
    return Contributions(
        step,
        label,
        inputs,
        row,
        inputs * row,
        0 if bias is None else bias.ravel()[label].item(),
        unit,
        logits[label].item(),
        _real(record, label),
    )


def answer(record: Record) -> int:
    """The class of the largest logit."""
    return int(record.outputs[0].argmax())


def _real(record: Record, label: int) -> float:
    real = real_values(record.step.outputs[0], record.outputs[0])
    assert real is not None
    return float(real.ravel()[label])


def _scale(record: Record, operand: int, channel: int) -> float:
    """The scale of an operand, that of one channel where there are several."""
    tensor = record.step.inputs[operand]
    assert tensor is not None and tensor.quantization is not None
    scales = tensor.quantization.scale
    return scales[channel if len(scales) > 1 else 0]
