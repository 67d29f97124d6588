"""From one run of a plan to its layers' measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..execute import Record, execute
from ..kernel import Ints
from ..kernels import conv, depthwise_conv, fully_connected, reduce
from ..model import Array, Tensor
from ..numerics.quantize import activation_range, code_range
from ..numerics.requantize import Requantizer
from ..plan import Plan, Step
from ..reading.float_reading import affine, is_quantized, outside, real_values
from .layer import Accumulator, Clamped, Errors, Layer

BINS = 256


def measure(
    plan: Plan, judges: Sequence[Step], inputs: tuple[Array, ...], batch: int, floats: Mapping[int, Array]
) -> Iterator[Layer]:
    """One `Layer` for each quantised input and output of a step; `judges` are the float steps to compare with."""
    for tensor, x in zip(plan.inputs, inputs, strict=True):
        if is_quantized(tensor):
            yield _layer(tensor, None, _by_channel(x, tensor))
    for record, judge in zip(execute(plan, *inputs), judges, strict=True):
        (tensor,) = record.step.outputs
        if not is_quantized(tensor):
            continue
        codes = _by_channel(record.outputs[0], tensor)
        own = _by_channel(_own(record, judge, batch), tensor)
        summing = _summing(record.step)
        total = floats.get(tensor.index)
        layer = replace(
            _layer(tensor, record.step, codes),
            clamped=_clamped_reals(tensor, own),
            own=_errors(tensor, codes, own),
            total=None if total is None else _errors(tensor, codes, _by_channel(total, tensor)),
        )
        if summing is not None:
            acc = _sums(summing, record, batch)
            clamped = _clamped_sums(summing, acc, record.step)
            layer = replace(layer, accumulator=_accumulator(summing, acc), clamped=clamped)
        yield layer


def _layer(tensor: Tensor, step: Step | None, codes: Array) -> Layer:
    """What the codes alone tell."""
    low, high = code_range(tensor.dtype)
    width = (high - low + 1) // BINS
    histogram = np.bincount((codes.reshape(-1).astype(np.int64) - low) // width, minlength=BINS)
    ends = codes.min(axis=0).astype(np.int64), codes.max(axis=0).astype(np.int64)
    return Layer(tensor, step, len(codes), *ends, histogram, None, None, None, None)


def _own(record: Record, judge: Step, batch: int) -> Array:
    """What the float step `judge` makes of the real values of the layer's own inputs."""
    arrays: list[Array | None] = []
    for x, tensor, real in zip(record.inputs, record.step.inputs, judge.inputs, strict=True):
        if x is None or tensor is None or real is None:
            arrays.append(None)
        elif real.data is not None:
            arrays.append(real.data[np.newaxis])
        else:
            arrays.append(real_values(x, tensor).reshape(batch, *tensor.shape))
    return judge.evaluate(*arrays)[0]


class _Untouched:
    """In a `Requantizer`'s place: hands the sums on as they are."""

    dtype = "int64"

    def __call__(self, acc: Array) -> Array:
        return acc.astype(np.int64)


class _Summing(NamedTuple):
    """A layer that accumulates: parameters that make its kernel give the sums, its requantizers (each of an equal
    part of the channels), and Σ|w|·max|x| of each channel, or of all in one."""

    params: Any
    requantizers: tuple[Requantizer, ...]
    bound: Ints


def _summing(step: Step) -> _Summing | None:
    untouched: Any = _Untouched()
    match step.params:
        case fully_connected.Params() as p:
            return _Summing(replace(p, requantize=untouched), (p.requantize,), p.gemm.bound)
        case conv.Params() as p:
            bound = np.concatenate([gemm.bound for gemm, _ in p.groups])
            params = replace(p, groups=tuple((gemm, untouched) for gemm, _ in p.groups))
            return _Summing(params, tuple(requantizer for _, requantizer in p.groups), bound)
        case depthwise_conv.Params() as p:
            bound = np.abs(p.weights).sum(axis=(0, 1)).reshape(-1).astype(np.int64) * _magnitude(step, p.input_offset)
            return _Summing(replace(p, requantize=untouched), (p.requantize,), bound)
        case reduce.Params() as p:
            bound = np.array([p.axes.num_elements_in_axis * _magnitude(step, 0)])
            return _Summing(replace(p, requantize=untouched), (p.requantize,), bound)
    return None


def _magnitude(step: Step, offset: int) -> int:
    """The largest |code + offset| of the step's input."""
    assert step.inputs[0] is not None
    return max(abs(code + offset) for code in code_range(step.inputs[0].dtype))


def _sums(summing: _Summing, record: Record, batch: int) -> Ints:
    """The sums (values, channels) before bias and requantisation, by the kernel itself."""
    arrays = [
        None if x is None or t is None else x[np.newaxis] if t.data is not None else x.reshape(batch, *t.shape)
        for x, t in zip(record.inputs, record.step.inputs, strict=True)
    ]
    return _by_channel(replace(record.step, params=summing.params).evaluate(*arrays)[0], record.step.outputs[0])


def _accumulator(summing: _Summing, acc: Ints) -> Accumulator:
    bias = np.concatenate([r.bias for r in summing.requantizers])
    total = acc + bias
    bound = np.broadcast_to(summing.bound + np.abs(bias), acc.shape[1])
    return Accumulator(total.min(axis=0), total.max(axis=0), bound, summing.requantizers[0].bits)


def _clamped_sums(summing: _Summing, acc: Ints, step: Step) -> Clamped:
    """What the clamp cut off, from the sums: exact."""
    limits = np.iinfo(np.int32)
    codes = np.concatenate(
        [
            replace(r, activation_min=int(limits.min), activation_max=int(limits.max), line=None).exact(part)
            for r, part in zip(summing.requantizers, np.split(acc, len(summing.requantizers), axis=1), strict=True)
        ],
        axis=1,
    )
    (tensor,) = step.outputs
    activation = step.op.options.get("fused_activation_function", "NONE")
    floor, ceiling = activation_range(activation, "int32", *affine(tensor))
    low, high = code_range(tensor.dtype)
    below, above = (codes < max(low, floor)).sum(axis=0), (codes > min(high, ceiling)).sum(axis=0)
    none = np.zeros_like(below)
    return Clamped(
        *((below, none) if floor >= low else (none, below)), *((above, none) if ceiling <= high else (none, above))
    )


def _clamped_reals(tensor: Tensor, real: Array) -> Clamped:
    """What the type cut off by more than one code, from the real values."""
    below, above = (values.sum(axis=0) for values in outside(real, tensor))
    return Clamped(np.zeros_like(below), below, np.zeros_like(above), above)


def _errors(tensor: Tensor, codes: Array, real: Array) -> Errors:
    scale, zero_point = affine(tensor)
    got = codes.astype(np.float64) - zero_point
    wanted = real / np.float64(scale)
    error = got - wanted
    return Errors(
        len(codes),
        error.sum(axis=0),
        np.square(error).sum(axis=0),
        np.square(wanted).sum(axis=0),
        np.square(got).sum(axis=0),
        (got * wanted).sum(axis=0),
        np.abs(error).max(axis=0),
    )


def _by_channel(array: Array, tensor: Tensor) -> Array:
    """(values, channels): the last axis is the channel, where there are two axes or more."""
    return array.reshape(-1, tensor.shape[-1] if len(tensor.shape) > 1 else 1)
