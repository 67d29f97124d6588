"""From one run of a plan to its layers' measurements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..execute import Record
from ..kernel import Ints
from ..kernels import conv, depthwise_conv, fully_connected, reduce
from ..model import Array, Tensor
from ..numerics.quantize import activation_range, code_range
from ..numerics.requantize import Requantizer
from ..plan import Plan, Step
from ..reading.counterparts import Pair, Values, by_floats, stands_alone
from ..reading.float_reading import affine, is_quantized, outside, real_values
from ..reading.inside import Counterpart, Moments, value_at
from .layer import Accumulator, At, Clamped, Errors, Floats, Layer
from .streams import by_float_step

BINS = 256


class Judge(NamedTuple):
    """The float steps that a quantised step is judged by: the float model's that compute the same from the same, else
    those of its own float reading; and the plan that they are of. `rounded` are the reading's beside another model's:
    the same but for the rounding of constants."""

    plan: Plan
    pair: Pair
    rounded: Judge | None = None


class Inside(NamedTuple):
    """What floats made of one inference inside branches and loops: the float model's records, and what stands for what
    (see `reading.inside`)."""

    counterpart: Counterpart
    records: Moments

    def beside(self, record: Record) -> Values:
        """The floats' values of what a step wrote, by tensor, as far as floats came there as well."""
        place = self.counterpart.at(record.path)
        if place is None:
            return {}
        path, there = place
        model = self.counterpart.plan
        same = ((t.index, there.same[t.index]) for t in record.step.writes if t.index in there.same)
        values = ((mine, value_at(model, there.plan, self.records, path, yours)) for mine, yours in same)
        return {index: x for index, x in values if x is not None}


def measure(
    plan: Plan,
    reading: Plan,
    judges: Mapping[At, Judge],
    records: Iterable[Record],
    batch: int,
    floats: Values,
    inside: Inside,
    constant: Mapping[At, npt.NDArray[np.bool_]],
) -> Iterator[Layer]:
    """One `Layer` for each quantised tensor that a step wrote in a run of its graph, what lives on among them.

    `judges` are for each quantised output of a step that stands alone, by (subgraph, tensor); another is judged by the
    step of the float `reading`, on what it found. `floats` are the float model's values by this plan's indices, and
    `inside` tells those of other subgraphs; `constant` tells which channels of an output are proven to hold one code
    for any input. What depends on a gap, or has no float step, is left out.
    """
    for record in records:
        step = record.step
        real = reading.plans[step.subgraph].steps[step.index]
        if not any(map(is_quantized, step.writes)) or step.gap or real.gap:
            continue
        arrays = _as_kernels_take_them(record, batch)
        by_reading = () if stands_alone(step) else _by_reading(real, record)
        beside = inside.beside(record) if record.path else floats
        written = zip(step.writes, (*record.outputs, *record.updates), strict=True)
        for place, (tensor, x) in enumerate(written):
            at = step.subgraph, tensor.index
            if is_quantized(tensor) and tensor.index not in record.unknown and (by_reading or at in judges):
                judge = None if by_reading else judges[at]
                own = by_reading[place] if judge is None else _by_judge(plan, judge, step, arrays)
                got = _by_channel(x, tensor)
                nowhere = np.zeros(got.shape[1], np.bool_)
                layer = _layer(tensor, step, got, constant.get(at, nowhere))
                layer = _judged(layer, got, plan, own, arrays, beside.get(tensor.index))
                if judge is not None and judge.rounded is not None and step.weights is not None:
                    rounded = _by_channel(_by_judge(plan, judge.rounded, step, arrays), tensor)
                    squares = _repeated(_squares(tensor, rounded, _by_channel(own, tensor)), layer.count)
                    layer = replace(layer, of_weights=squares.sum(axis=0))
                yield layer


def measure_inputs(
    plan: Plan, codes: Iterable[Array], floats: Values, constant: Mapping[At, npt.NDArray[np.bool_]]
) -> Iterator[Layer]:
    """One `Layer` for each quantised input; `floats` are the real values that were meant, by tensor index."""
    for tensor, x in zip(plan.inputs, codes, strict=True):
        if is_quantized(tensor):
            real = _by_channel(floats[tensor.index], tensor)
            errors = _errors(tensor, _by_channel(x, tensor), real)
            layer = _layer(tensor, None, _by_channel(x, tensor), constant[0, tensor.index])
            yield replace(layer, clamped=_clamped(*outside(real, tensor)), own=errors, total=errors)


def _by_reading(real: Step, record: Record) -> tuple[Array, ...]:
    """What the float reading's step makes of what the quantised one found; a branch or a loop hands on what it got."""
    if not real.facts.control:
        return by_float_step(real, record)
    return tuple(real_values(x, t) for x, t in zip(record.outputs, record.step.outputs, strict=True))


def _by_judge(plan: Plan, judge: Judge, step: Step, arrays: Sequence[Array | None]) -> Array:
    """What the float steps make of the step's inputs."""
    inputs = {t.index: x for t, x in zip(step.inputs, arrays, strict=True) if t and x is not None}
    return by_floats(plan.plans[step.subgraph], judge.plan, judge.pair, inputs)


def _judged(
    layer: Layer, got: Array, plan: Plan, own: Array, arrays: Sequence[Array | None], total: Array | None
) -> Layer:
    """The layer of the codes `got`, with what its step's inputs (as kernels take them) and the float model tell: `own`
    of the same inputs, `total` of its own."""
    step, tensor = layer.step, layer.tensor
    assert step is not None
    own = _repeated(_by_channel(own, tensor), len(got))
    layer = replace(
        layer,
        is_fed=_is_fed(plan, step),
        own=_errors(tensor, got, own),
        total=None if total is None else _errors(tensor, got, _repeated(_by_channel(total, tensor), len(got))),
    )
    if (parts := summing(step)) is None:
        cut = outside(own, tensor)
        layer = replace(layer, clamped=_clamped(*cut))
    else:
        acc = _repeated(sums(step, parts, arrays), len(got))
        clamped, cut = _clamped_sums(parts, acc, step)
        layer = replace(layer, accumulator=_accumulator(parts, acc), clamped=clamped)
    squares = np.where(cut[0] | cut[1], _squares(tensor, real_values(got, tensor), own), 0)
    return replace(layer, cut=squares.sum(axis=0))


def _is_fed(plan: Plan, step: Step) -> bool:
    """Whether the step makes codes of an input."""
    return not step.subgraph and step.facts.recodes and step.op.inputs[0] in plan.graph.inputs


def _as_kernels_take_them(record: Record, batch: int) -> list[Array | None]:
    """A record's inputs with the batch axis in front."""
    return [
        None if x is None or t is None else x[np.newaxis] if t.data is not None else x.reshape(batch, *t.shape)
        for x, t in zip(record.inputs, record.step.inputs, strict=True)
    ]


def _layer(tensor: Tensor, step: Step | None, codes: Array, constant: npt.NDArray[np.bool_]) -> Layer:
    """What the codes alone tell."""
    low, high = code_range(tensor.dtype)
    width = (high - low + 1) // BINS
    histogram = np.bincount(codes.reshape(-1).astype(np.int64) // width - low // width, minlength=BINS)
    ends = codes.min(axis=0).astype(np.int64), codes.max(axis=0).astype(np.int64)
    return Layer(tensor, step, step is None, len(codes), *ends, histogram, constant, None, None, None, None)


class _Untouched:
    """In a `Requantizer`'s place: hands the sums on as they are."""

    dtype = "int64"

    def __call__(self, acc: Array, overwrite: bool = False) -> Array:
        return acc.astype(np.int64)


class Summing(NamedTuple):
    """A layer that accumulates: parameters that make its kernel give the sums, its requantizers (each of an equal
    part of the channels), Σ|w|·max|x| of each channel, or of all in one, and whether there are weights at all."""

    params: Any
    requantizers: tuple[Requantizer, ...]
    bound: Ints
    weighted: bool = True

    def split(self, acc: Ints) -> Iterator[tuple[Requantizer, Ints]]:
        """Each requantizer with its channels of the sums (values, channels)."""
        return zip(self.requantizers, np.split(acc, len(self.requantizers), axis=1), strict=True)

    def exact(self, acc: Ints) -> Array:
        """The codes of the sums, by the integer arithmetic itself."""
        return np.concatenate([requantizer.exact(part) for requantizer, part in self.split(acc)], axis=1)


def summing(step: Step) -> Summing | None:
    """The step as one that accumulates codes, if it does."""
    untouched: Any = _Untouched()
    match step.params:
        case fully_connected.Params() as p:
            return Summing(replace(p, requantize=untouched), (p.requantize,), p.gemm.bound)
        case conv.Params() as p:
            bound = np.concatenate([gemm.bound for gemm, _ in p.groups])
            params = replace(p, groups=tuple((gemm, untouched) for gemm, _ in p.groups))
            return Summing(params, tuple(requantizer for _, requantizer in p.groups), bound)
        case depthwise_conv.Params() as p:
            bound = np.abs(p.weights).sum(axis=(0, 1)).reshape(-1).astype(np.int64) * _magnitude(step, p.input_offset)
            return Summing(replace(p, requantize=untouched), (p.requantize,), bound)
        case reduce.Params() as p:
            bound = np.array([p.axes.num_elements_in_axis * _magnitude(step, 0)])
            return Summing(replace(p, requantize=untouched), (p.requantize,), bound, weighted=False)
    return None


def _magnitude(step: Step, offset: int) -> int:
    """The largest |code + offset| of the step's input."""
    assert step.inputs[0] is not None
    return max(abs(code + offset) for code in code_range(step.inputs[0].dtype))


def sums(step: Step, parts: Summing, arrays: Iterable[Array | None]) -> Ints:
    """The sums (values, channels) before bias and requantisation, by the kernel itself."""
    return _by_channel(replace(step, params=parts.params).evaluate(*arrays)[0], step.outputs[0])


def _accumulator(parts: Summing, acc: Ints) -> Accumulator:
    bias = np.concatenate([r.bias for r in parts.requantizers])
    total = acc + bias
    bound = np.broadcast_to(parts.bound + np.abs(bias), acc.shape[1])
    return Accumulator(total.min(axis=0), total.max(axis=0), bound, parts.requantizers[0].bits)


Cut = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
"""Which values (values, channels) the type cut off, below and above."""


def _clamped_sums(parts: Summing, acc: Ints, step: Step) -> tuple[Clamped, Cut]:
    """What the clamp cut off, from the sums: exact."""
    limits = np.iinfo(np.int32)
    open_ended = (
        replace(r, activation_min=int(limits.min), activation_max=int(limits.max), line=None)
        for r in parts.requantizers
    )
    codes = parts._replace(requantizers=tuple(open_ended)).exact(acc)
    (tensor,) = step.outputs
    activation = step.op.options.get("fused_activation_function", "NONE")
    floor, ceiling = activation_range(activation, "int32", *affine(tensor))
    low, high = code_range(tensor.dtype)
    cut = codes < max(low, floor), codes > min(high, ceiling)
    below, above = (values.sum(axis=0) for values in cut)
    none, nowhere = np.zeros_like(below), np.zeros(codes.shape, np.bool_)
    clamped = Clamped(
        *((below, none) if floor >= low else (none, below)), *((above, none) if ceiling <= high else (none, above))
    )
    return clamped, (nowhere if floor >= low else cut[0], nowhere if ceiling <= high else cut[1])


def _clamped(below: npt.NDArray[np.bool_], above: npt.NDArray[np.bool_]) -> Clamped:
    """What the type alone cut off."""
    none = np.zeros(below.shape[1], np.int64)
    return Clamped(none, below.sum(axis=0), none, above.sum(axis=0))


def _squares(tensor: Tensor, got: Array, wanted: Array) -> Floats:
    """The squared differences of real values, in codes."""
    with np.errstate(invalid="ignore"):  # of infinities
        squares: Floats = np.square((got - np.float64(wanted)) / affine(tensor)[0])
    return squares


def _errors(tensor: Tensor, codes: Array, real: Array) -> Errors:
    scale, zero_point = affine(tensor)
    got = codes.astype(np.float64) - zero_point
    wanted = real / np.float64(scale)
    error = got - wanted
    with np.errstate(invalid="ignore"):  # 0 · ∞, where a value in floats is infinite
        product = got * wanted
    return Errors(
        len(codes),
        error.sum(axis=0),
        np.square(error).sum(axis=0),
        np.square(wanted).sum(axis=0),
        np.square(got).sum(axis=0),
        product.sum(axis=0),
        np.abs(error).max(axis=0),
        wanted.min(axis=0),
        wanted.max(axis=0),
    )


def _by_channel(array: Array, tensor: Tensor) -> Array:
    """(values, channels): the last axis is the channel, where there are two axes or more."""
    return array.reshape(-1, tensor.shape[-1] if len(tensor.shape) > 1 else 1)


def _repeated(values: Array, count: int) -> Array:
    """(count, channels): what depends on no input is computed once for all of a batch."""
    return values if len(values) == count else np.tile(values, (count // len(values), 1))
