"""Which layers bring a quantised model's error, found by what happens when one is quantised alone, or left in float.

Tensors of the two models belong together by name and shape (else by their operators' order, if that is the same), the
networks' inputs and outputs by their order, and what goes into a QUANTIZE or DEQUANTIZE belongs with what comes out. So
the files of TFLite's converter can be judged as well.

A layer's **own** error arises in it: its integer kernel, on the float model's inputs quantised, against what the float
operators make of those same quantised inputs. (The rounding of its inputs is the own error of who computed them; a
MAX_POOL_2D or RESHAPE has none.) Its **whole** error is the quantised model's against the float model's, what earlier
layers pass on included. Both in real units; over the scale of the output, plain rounding is 1/√12 = 0.29.

Three experiments tell what that means for the network's outputs: **all** layers are quantised; **only** this one is
(its own error added to the float model's tensor, and the rest run in float); all are but this one, **kept** in float
(the float operators run on the quantised model's tensors, their output quantised for those that follow: what
`convert(…, keep=…)` gives).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from math import inf, log10, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np

from ..accuracy import is_classifier
from ..errors import InputError
from ..execute import execute
from ..float_reading import is_quantized, real_values
from ..model import Array, Tensor
from ..numerics.quantize import code_range, quantize
from ..parallel import spread
from ..plan import Plan, Step
from .calibrate import Ranges, Samples, tasks_of

CHANGES = ("QUANTIZE", "DEQUANTIZE")
"""The operators that hand their input on in another form."""

SURE = 2.5
"""Standard deviations of a coin's tosses: seven of seven pass, which chance does once in 128 layers."""

Values = Mapping[int, Array]
"""Arrays by tensor index, of the tensors' shapes or a batch of them."""


@dataclass(frozen=True)
class Error:
    """How far `count` values are from what they should be: Σ error², Σ wanted², the largest |error|."""

    count: int
    square: float
    signal: float
    largest: float

    def __add__(self, other: Error) -> Error:
        largest = max(self.largest, other.largest)
        return Error(self.count + other.count, self.square + other.square, self.signal + other.signal, largest)

    @property
    def rmse(self) -> float:
        """Root mean square, in real units."""
        return sqrt(self.square / self.count)

    @property
    def sqnr(self) -> float:
        """Signal over quantisation noise, in dB; infinite without an error."""
        if not self.square:
            return inf
        return 10 * log10(self.signal / self.square) if self.signal else -inf


@dataclass(frozen=True)
class Outputs:
    """The network's outputs against the float model's; `agree` samples have the same class (None: no classes).

    `squares` is Σ error² of each sample.
    """

    error: Error
    agree: int | None
    squares: tuple[float, ...]

    def __add__(self, other: Outputs) -> Outputs:
        agree = None if self.agree is None or other.agree is None else self.agree + other.agree
        return Outputs(self.error + other.error, agree, self.squares + other.squares)

    @property
    def samples(self) -> int:
        return len(self.squares)

    @property
    def agreement(self) -> float | None:
        return None if self.agree is None else self.agree / self.samples

    def as_dict(self) -> dict[str, Any]:
        return {"rmse": self.error.rmse, "max": self.error.largest, "agreement": self.agreement}


@dataclass(frozen=True, eq=False)
class LayerError:
    """One quantised operator, its errors, and the network's outputs in three experiments; see the module.

    `float_ops` are the float model's operators that it stands for. `saturated` of the values that the float model
    computes lie more than a code outside of what the output's type and scale can hold.
    """

    step: Step
    float_ops: tuple[int, ...]
    own: Error
    whole: Error
    saturated: int
    all: Outputs
    only: Outputs
    kept: Outputs

    def __add__(self, other: LayerError) -> LayerError:
        return LayerError(
            self.step,
            self.float_ops,
            self.own + other.own,
            self.whole + other.whole,
            self.saturated + other.saturated,
            self.all + other.all,
            self.only + other.only,
            self.kept + other.kept,
        )

    @property
    def tensor(self) -> Tensor:
        """The layer's output."""
        return self.step.outputs[0]

    @property
    def scale(self) -> float:
        assert self.tensor.quantization is not None
        return self.tensor.quantization.scale[0]

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
        return self.saturated / self.whole.count

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON; an infinite SQNR is None."""

        def told(error: Error) -> dict[str, float | None]:
            sqnr = error.sqnr if abs(error.sqnr) < inf else None
            in_codes = {"rmse_per_scale": error.rmse / self.scale, "max_per_scale": error.largest / self.scale}
            return {"rmse": error.rmse, "max": error.largest, "sqnr_db": sqnr} | in_codes

        return {
            "index": self.step.index,
            "operator": self.step.op.name,
            "output": self.tensor.name,
            "float_operators": list(self.float_ops),
            "own_error": told(self.own),
            "whole_error": told(self.whole),
            "saturation": self.saturation,
            "helps": self.helps,
            "outputs": {"all": self.all.as_dict(), "only": self.only.as_dict(), "kept": self.kept.as_dict()},
        }


@dataclass(frozen=True, eq=False)
class Chosen:
    """One activation of the converted model: the operator that computes it (None: it is fed), the float operators that
    this stands for, and the range that was calibrated (None: the float model has no such tensor)."""

    step: Step | None
    tensor: Tensor
    float_ops: tuple[int, ...]
    calibrated: tuple[float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON; what stayed in float has no scale."""
        quantization = self.tensor.quantization if is_quantized(self.tensor) else None
        return {
            "index": None if self.step is None else self.step.index,
            "operator": None if self.step is None else self.step.op.name,
            "float_operators": list(self.float_ops),
            "tensor": self.tensor.name,
            "dtype": self.tensor.dtype,
            "range": self.calibrated,
            "scale": None if quantization is None else quantization.scale[0],
            "zero_point": None if quantization is None else quantization.zero_point[0],
            "weight_scales": list(self.weight_scales),
        }

    @property
    def weight_scales(self) -> tuple[float, ...]:
        """One for each output channel; none of an operator without weights."""
        weights = self.step.inputs[1] if self.step is not None and len(self.step.inputs) > 1 else None
        return weights.quantization.scale if weights and weights.data is not None and weights.quantization else ()


def chosen(float_plan: Plan, quantized_plan: Plan, ranges: Ranges) -> list[Chosen]:
    """What was chosen for every activation that is fed or computed, integers such as shapes left out."""
    same = _same_tensors(float_plan, quantized_plan)
    made: list[tuple[Step | None, Tensor]] = [(None, tensor) for tensor in quantized_plan.inputs]
    made += [(step, tensor) for step in quantized_plan.steps for tensor in step.outputs]
    found = []
    for step, tensor in made:
        if is_quantized(tensor) or tensor.dtype == "float32":
            pair = None if step is None else _pair(float_plan, step, same)
            float_ops = () if pair is None else tuple(each.index for each in pair.float_steps)
            found.append(Chosen(step, tensor, float_ops, ranges.get(same.get(tensor.index, -1))))
    return found


def rank(
    float_plan: Plan, quantized_plan: Plan, batches: Iterable[tuple[Array, ...]], *, executor: Executor | None = None
) -> list[LayerError]:
    """Every quantised operator that has its counterpart in the float model, by the error that it alone brings to the
    network's outputs, the worst first.

    `batches` are inputs of the float model, each those of one run. The result is the same whatever the split.
    Raises `InputError` for models that do not belong together, inputs that do not fit, and no samples.
    """
    found: list[LayerError] = []
    for layers in spread(partial(_measured, float_plan, quantized_plan), tasks_of(float_plan, batches), executor):
        found = [a + b for a, b in zip(found, layers, strict=True)] if found else layers
    return sorted(found, key=lambda layer: -layer.only.error.square)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A quantised step, and the float steps that compute the tensor `target` from the same.

    `reads` maps the tensors that the step reads, but constants, to the float model's.
    """

    step: Step
    float_steps: tuple[Step, ...]
    reads: Mapping[int, int]
    target: int


def _measured(float_plan: Plan, plan: Plan, samples: Samples) -> list[LayerError]:
    """The layers on some samples, in the model's order."""
    same = _same_tensors(float_plan, plan)
    pairs = [pair for step in plan.steps if is_quantized(step.outputs[0]) and (pair := _pair(float_plan, step, same))]
    results = [(i, same[i]) for i in plan.graph.outputs if i in same and i not in plan.constants]
    if not pairs or not results:
        raise InputError("no operator of the quantised model computes what one of the float model does")
    inputs = [_as_codes(x, t) for x, t in zip(samples.inputs, plan.inputs, strict=True)]
    floats, codes = _values(float_plan, samples.inputs), _values(plan, inputs)

    def compared(got: Sequence[Array]) -> Outputs:
        differences = [g - np.float64(w) for g, w in zip(got, outputs, strict=True)]
        error, *others = map(_error, differences, outputs)
        squares = sum(np.square(each).reshape(samples.count, -1).sum(axis=1) for each in differences)
        agree = int((got[0].argmax(1) == outputs[0].argmax(1)).sum()) if is_classifier(float_plan) else None
        return Outputs(sum(others, start=error), agree, tuple(np.asarray(squares).tolist()))

    def of_floats(values: Values) -> Outputs:
        return compared([values[mine] for _, mine in results])

    def of_codes(values: Values) -> Outputs:
        return compared([real_values(values[i], plan.graph.tensors[i]) for i, _ in results])

    outputs = [floats[mine] for _, mine in results]
    layers, everything = [], of_codes(codes)
    for pair in pairs:
        (tensor,) = pair.step.outputs
        wanted = floats[pair.target]
        own = _own(plan, float_plan, pair, floats, samples.count).reshape(wanted.shape)
        kept = _as_codes(_by_floats(plan, float_plan, pair, codes, samples.count), tensor)
        with_own = np.asarray(wanted + own, np.float32)  # of no dimensions, NumPy makes a scalar
        without = kept.reshape(codes[tensor.index].shape)
        layers.append(
            LayerError(
                pair.step,
                tuple(step.index for step in pair.float_steps),
                _error(own, wanted),
                _error(real_values(codes[tensor.index], tensor) - np.float64(wanted), wanted),
                _outside(wanted, tensor),
                everything,
                of_floats(_what_if(float_plan, floats, pair.target, with_own)),
                of_codes(_what_if(plan, codes, tensor.index, without)),
            )
        )
    return layers


def _same_tensors(float_plan: Plan, plan: Plan) -> dict[int, int]:
    """Index of a tensor of the quantised model → of the float model's."""
    shapes = [[t.shape for t in each.inputs] for each in (plan, float_plan)]
    if shapes[0] != shapes[1] or len(plan.outputs) != len(float_plan.outputs):
        raise InputError("the quantised and the float model do not have the same inputs and outputs")
    named, known = _by_name(plan), _by_name(float_plan)
    same = {named[key]: known[key] for key in named.keys() & known.keys()}
    steps, float_steps = ([s for s in each.steps if s.op.name not in CHANGES] for each in (plan, float_plan))
    if [step.op.name for step in steps] == [step.op.name for step in float_steps]:
        for step, found in zip(steps, float_steps, strict=True):
            same.setdefault(step.outputs[0].index, found.outputs[0].index)
    same |= zip(plan.graph.inputs, float_plan.graph.inputs, strict=True)
    same |= zip(plan.graph.outputs, float_plan.graph.outputs, strict=True)
    changes = [(*step.op.inputs, *step.op.outputs) for step in plan.steps if step.op.name in CHANGES]
    for before, after in changes:
        if before in same:
            same.setdefault(after, same[before])
    for before, after in reversed(changes):
        if after in same:
            same.setdefault(before, same[after])
    return same


def _by_name(plan: Plan) -> dict[tuple[str, tuple[int, ...]], int]:
    """The computed tensors whose name and shape are theirs alone."""
    computed = [((t.name, t.shape), t.index) for step in plan.steps for t in step.outputs]
    count = Counter(key for key, _ in computed)
    return {key: index for key, index in computed if count[key] == 1}


def _pair(float_plan: Plan, step: Step, same: Mapping[int, int]) -> _Pair | None:
    """The float steps between the tensors that the step reads and the one that it computes, if there are some."""
    read = [t.index for t in step.inputs if t is not None and t.data is None]
    (output,) = step.outputs
    if not {*read, output.index} <= same.keys():
        return None
    known = {*(same[i] for i in read), *float_plan.constants}
    producers = {i: found for found in float_plan.steps for i in found.op.outputs}
    needed: set[int] = set()
    waiting = [same[output.index]]
    while waiting:
        if (tensor := waiting.pop()) in known or tensor < 0:
            continue
        if tensor not in producers:
            return None
        needed.add(producers[tensor].index)
        waiting += producers[tensor].op.inputs
    float_steps = tuple(found for found in float_plan.steps if found.index in needed)
    return _Pair(step, float_steps, {i: same[i] for i in read}, same[output.index])


def _values(plan: Plan, inputs: Sequence[Array], known: Values = MappingProxyType({})) -> dict[int, Array]:
    """All tensors that are fed or computed."""
    found = dict(zip(plan.graph.inputs, inputs, strict=True))
    for record in execute(plan, *inputs, known=known):
        found[record.step.outputs[0].index] = record.outputs[0]
    return found


def _what_if(plan: Plan, values: Values, index: int, array: Array) -> Values:
    """All tensors as they would be if tensor `index` were `array`; only what depends on it is computed."""
    changed = {index}
    for step in plan.steps:
        if changed.intersection(step.op.inputs):
            changed.update(step.op.outputs)
    known = {i: x for i, x in values.items() if i not in changed} | {index: array}
    return _values(plan, [known[i] for i in plan.graph.inputs], known)


def _own(plan: Plan, float_plan: Plan, pair: _Pair, floats: Values, count: int) -> Array:
    """The layer's integer kernel against the float operators, both on the float model's values, quantised."""
    inputs = {i: _as_codes(floats[mine], plan.graph.tensors[i]) for i, mine in pair.reads.items()}
    values = {**plan.constants, **_in_batches(inputs, plan, count)}
    codes = _evaluate(pair.step, values)
    own: Array = real_values(codes, pair.step.outputs[0]) - np.float64(
        _by_floats(plan, float_plan, pair, inputs, count)
    )
    return own


def _by_floats(plan: Plan, float_plan: Plan, pair: _Pair, codes: Values, count: int) -> Array:
    """What the float operators make of what the step's inputs stand for."""
    real = {mine: real_values(codes[i], plan.graph.tensors[i]) for i, mine in pair.reads.items()}
    values = {**float_plan.constants, **_in_batches(real, float_plan, count)}
    for step in pair.float_steps:
        values[step.outputs[0].index] = _evaluate(step, values)
    return values[pair.target]


def _in_batches(values: Values, plan: Plan, count: int) -> Values:
    """With the batch axis in front that kernels expect."""
    return {i: x.reshape(count, *plan.graph.tensors[i].shape) for i, x in values.items()}


def _evaluate(step: Step, values: Values) -> Array:
    with np.errstate(all="ignore"):
        result: Array = step.kernel.evaluate(
            step.params, *(None if t is None else values[t.index] for t in step.inputs)
        )
    return result


def _as_codes(values: Array, tensor: Tensor) -> Array:
    """Real values as the tensor holds them."""
    if not is_quantized(tensor):
        return values
    assert tensor.quantization is not None
    return quantize(values, tensor.quantization.scale[0], (*tensor.quantization.zero_point, 0)[0], tensor.dtype)


def _outside(wanted: Array, tensor: Tensor) -> int:
    """How many real values lie more than one code outside of what the tensor can hold."""
    low, high = code_range(tensor.dtype)
    assert tensor.quantization is not None
    codes = wanted / np.float64(tensor.quantization.scale[0]) + (*tensor.quantization.zero_point, 0)[0]
    return int(((codes < low - 1) | (codes > high + 1)).sum())


def _error(error: Array, wanted: Array) -> Error:
    signal = float(np.square(wanted, dtype=np.float64).sum())
    return Error(error.size, float(np.square(error).sum()), signal, float(np.abs(error).max()))
