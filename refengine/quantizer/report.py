"""Which layers bring a quantised model's error, found by what happens when one is quantised alone, or left in float.

A layer's **own** error arises in it: its integer kernel, on the float model's inputs quantised, against what the float
operators make of those same quantised inputs. (The rounding of its inputs is the own error of who computed them; a
MAX_POOL_2D or RESHAPE has none.) Its **total** error is the quantised model's against the float model's, what earlier
layers pass on included. Both in real units; over the scale of the output, plain rounding is 1/√12 = 0.29.

Three experiments tell what that means for the network's outputs: **all** layers are quantised; **only** this one is
(its own error added to the float model's tensor, and the rest run in float); all are but this one, **kept** in float
(the float operators run on the quantised model's tensors, their output quantised for those that follow: what
`convert(…, keep=…)` gives).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..accuracy import is_classifier
from ..errors import InputError, UnsupportedError
from ..identity import identity
from ..model import Array, Tensor
from ..parallel import spread
from ..plan import Plan, Source, Step, plan_of
from ..reading.counterparts import (
    Values,
    by_floats,
    check_comparable,
    computed,
    own_error,
    pair_of,
    rows,
    same_tensors,
    what_if,
)
from ..reading.error import Error, error_of
from ..reading.float_reading import affine, as_codes, is_quantized, outside, real_values
from .calibrate import Samples, tasks_of

SURE = 2.5
"""Standard deviations of a coin's tosses: seven of seven pass, which chance does once in 128 layers."""


@dataclass(frozen=True)
class Outputs:
    """The network's outputs against the float model's, and of each sample: Σ error², and whether the class is the same
    (no `agrees` where there are no classes)."""

    error: Error
    squares: tuple[float, ...]
    agrees: tuple[bool, ...]

    def __add__(self, other: Outputs) -> Outputs:
        return Outputs(self.error + other.error, self.squares + other.squares, self.agrees + other.agrees)

    @property
    def samples(self) -> int:
        return len(self.squares)

    @property
    def agreement(self) -> float | None:
        return sum(self.agrees) / self.samples if self.agrees else None

    def as_dict(self) -> dict[str, Any]:
        return {"rmse": self.error.rmse, "max": self.error.largest, "agreement": self.agreement}


@dataclass(frozen=True, eq=False)
class LayerError:
    """One quantised operator, its errors, and the network's outputs in three experiments; see the module.

    `tensor` is its output, `float_steps` are the float model's operators that it stands for. `saturated` of the values
    that the float model computes lie more than a code outside of what the output's type and scale can hold.
    """

    step: Step
    tensor: Tensor
    float_steps: tuple[Step, ...]
    own: Error
    total: Error
    saturated: int
    all: Outputs
    only: Outputs
    kept: Outputs

    def __add__(self, other: LayerError) -> LayerError:
        """The same layer on more samples."""
        measured = ("own", "total", "saturated", "all", "only", "kept")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in measured})

    @property
    def float_ops(self) -> tuple[int, ...]:
        """What `keep` takes."""
        return tuple(step.index for step in self.float_steps)

    @property
    def scale(self) -> float:
        return affine(self.tensor)[0]

    @property
    def gain(self) -> float:
        """Which part of the outputs' RMSE goes if this layer stays in float; negative if it grows."""
        return 1 - self.kept.error.rmse / self.all.error.rmse if self.all.error.rmse else 0.0

    @property
    def helps(self) -> bool:
        """Whether `gain` is more than chance: by `SURE` standard deviations, more samples get better than get worse.

        The RMSE alone is often that of a few samples between two classes, which any change may turn either way.
        """
        less = np.sign(np.subtract(self.all.squares, self.kept.squares))
        return self.gain > 0 and bool(less.sum() > SURE * np.sqrt(np.abs(less).sum()))

    @property
    def saturation(self) -> float:
        return self.saturated / self.total.count

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "operator": identity(self.step.op, self.step.subgraph),
            "float_operators": [identity(step.op, step.subgraph) for step in self.float_steps],
            "tensor": identity(self.tensor),
            "own_error": self.own.as_dict(self.scale),
            "total_error": self.total.as_dict(self.scale),
            "saturation": self.saturation,
            "helps": self.helps,
            "outputs": {"all": self.all.as_dict(), "only": self.only.as_dict(), "kept": self.kept.as_dict()},
        }


def rank(
    float_model: Source, quantized: Source, batches: Iterable[tuple[Array, ...]], *, executor: Executor | None = None
) -> list[LayerError]:
    """Every quantised operator that has its counterpart in the float model, by the error that it alone brings to the
    network's outputs, the worst first.

    `batches` are inputs of the float model, each those of one run. The result is the same whatever the split.
    Raises `InputError` for models that do not belong together, inputs that do not fit, and no samples;
    `UnsupportedError` for one that runs subgraphs or remembers something for the next inference.
    """
    float_plan, quantized_plan = _pair(float_model, quantized)
    found: list[LayerError] = []
    for layers in spread(partial(_measured, float_plan, quantized_plan), tasks_of(float_plan, batches), executor):
        found = [a + b for a, b in zip(found, layers, strict=True)] if found else layers
    return sorted(found, key=lambda layer: -layer.only.error.square)


def check_judged(float_plan: Plan, asked: str) -> None:
    """Raise `UnsupportedError` for a float model whose layers cannot be judged, which what was `asked` for needs."""
    try:
        check_comparable(float_plan)
    except UnsupportedError as error:
        without = f"or leave out {asked}: without it, the model is quantised, and refengine health judges it"
        error.args = (f"{error}; {without}",)
        raise


def judge(
    float_model: Source, quantized: Source, batches: Iterable[tuple[Array, ...]], *, executor: Executor | None = None
) -> Outputs:
    """The quantised network's outputs against the float one's, on what `rank` takes; raises what that raises."""
    float_plan, quantized_plan = _pair(float_model, quantized)
    task = partial(_judged, float_plan, quantized_plan)
    first, *more = spread(task, tasks_of(float_plan, batches), executor)
    return sum(more, start=first)


def _pair(float_model: Source, quantized: Source) -> tuple[Plan, Plan]:
    """The plans of both models, whose layers can be compared."""
    plans = plan_of(float_model), plan_of(quantized)
    for plan in plans:
        check_comparable(plan)
    return plans


def _judged(float_plan: Plan, plan: Plan, samples: Samples) -> Outputs:
    same = same_tensors(float_plan, plan)
    outputs = [i for i in plan.graph.outputs if i not in plan.constants]
    if not outputs:
        raise InputError("the network's outputs are constants: no input changes them")
    floats, codes = _both(float_plan, plan, samples)
    wanted = rows(float_plan, floats, [same[i] for i in outputs])
    return _compared(float_plan, rows(plan, codes, outputs), wanted)


def _both(float_plan: Plan, plan: Plan, samples: Samples) -> tuple[Values, Values]:
    """What both models compute of some samples."""
    (inputs,) = samples.inferences
    pairs = zip(float_plan.inputs, plan.inputs, inputs, strict=True)
    fed = [(one, two, x.reshape(samples.count, *one.shape)) for one, two, x in pairs]
    floats = computed(float_plan.steps, {**float_plan.constants, **{one.index: x for one, _, x in fed}})
    return floats, computed(plan.steps, {**plan.constants, **{two.index: as_codes(x, two) for _, two, x in fed}})


def _compared(float_plan: Plan, got: Array, wanted: Array) -> Outputs:
    """Outputs (samples, values), in real units."""
    agrees = got.argmax(axis=1) == wanted.argmax(axis=1) if is_classifier(float_plan) else np.empty(0)
    squares = np.square(got - wanted).sum(axis=1)
    return Outputs(error_of(got - wanted, wanted), tuple(squares.tolist()), tuple(agrees.tolist()))


def _measured(float_plan: Plan, plan: Plan, samples: Samples) -> list[LayerError]:
    """The layers on some samples, in the model's order."""
    same = same_tensors(float_plan, plan)
    quantized = [(step, tensor) for step in plan.steps for tensor in step.outputs if is_quantized(tensor)]
    pairs = [pair for step, tensor in quantized if (pair := pair_of(float_plan, step, tensor, same))]
    outputs = [i for i in plan.graph.outputs if i not in plan.constants]
    if not pairs or not outputs:
        raise InputError("no operator of the quantised model computes what one of the float model does")
    floats, codes = _both(float_plan, plan, samples)
    wanted = rows(float_plan, floats, [same[i] for i in outputs])

    def of_floats(values: Values) -> Outputs:
        return _compared(float_plan, rows(float_plan, values, [same[i] for i in outputs]), wanted)

    def of_codes(values: Values) -> Outputs:
        return _compared(float_plan, rows(plan, values, outputs), wanted)

    layers, everything = [], of_codes(codes)
    for pair in pairs:
        tensor = pair.output
        real = floats[pair.target]
        own = own_error(plan, float_plan, pair, floats)
        kept = as_codes(by_floats(plan, float_plan, pair, codes), tensor)
        layers.append(
            LayerError(
                pair.step,
                tensor,
                pair.float_steps,
                own=error_of(own, real),
                total=error_of(real_values(codes[tensor.index], tensor) - np.float64(real), real),
                saturated=sum(int(values.sum()) for values in outside(real, tensor)),
                all=everything,
                only=of_floats(what_if(float_plan, floats, pair.target, (real + own).astype(np.float32))),
                kept=of_codes(what_if(plan, codes, tensor.index, kept)),
            )
        )
    return layers
