"""The ranges of a float network's tensors, from what the engine records while it runs on samples of the data.

Samples are taken in order, in tasks whose size depends on the network alone, whatever batches they come in and whoever
computes them, and the engine's bits do not depend on batches: the ranges are the same whatever the split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from itertools import count
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..execute import Record, batch_size, execute, frames, require_tuple, tile_size
from ..kernel import Numerics
from ..model import Array, Tensor
from ..parallel import spread
from ..plan import Plan, Source, Step, plan_of
from ..tensors.inputs import quantize_input

Ranges = Mapping[int, tuple[float, float]]
"""By tensor index of graph 0: the (smallest, largest) real value that a quantised tensor shall hold, both float32."""

METHODS = ("minmax", "moving-average", "percentile", "entropy")

TASK = 32
"""Samples in a task, at most: enough for the engine's batches, few enough to share them among workers."""

AVERAGING = 0.01
"""What a new sample weighs in a moving average: PyTorch's `MovingAverageMinMaxObserver(averaging_constant=0.01)`."""

PERCENTILE = 99.99
"""Of Wu et al. 2020 (arXiv:2004.09602), who compare 99.9, 99.99, 99.999 and 99.9999 % for activations."""

BINS = 2048
"""Of the histograms that the entropy method cuts: as TensorRT's."""

Counts = npt.NDArray[np.int64]
T = TypeVar("T")
Inferences = list[tuple[Array, ...]]
"""The inputs of inferences that run one after the other."""

Batches = Iterable[tuple[Array, ...]] | Callable[[], Iterable[tuple[Array, ...]]]
"""The inputs of runs, or a function that gives them, as TFLite's converter is given its representative data."""

Passed = Callable[[Callable[[Plan, "Samples"], Any]], Iterator[Any]]
"""A pass over all samples: what a function measures of each task."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Some samples side by side: `count` of them, the first of which is number `first`.

    `inferences` are the batches of inputs that run one after the other; several only where a sample is a sequence.
    """

    first: int
    count: int
    inferences: tuple[tuple[Array, ...], ...]


def calibrate(
    source: Source,
    batches: Batches,
    method: str = "minmax",
    *,
    percentile: float = PERCENTILE,
    executor: Executor | None = None,
    watch: Callable[[npt.NDArray[np.float32]], None] | None = None,
) -> Ranges:
    """The range of every float32 tensor that a model is fed, computes or keeps, on `batches`, each the inputs of a run.

    `source` is a plan, or what one is made of. Inputs are float32; other floating-point numbers are narrowed to it.

    Where something lives on from one inference to the next, each of `batches` is one sample, a sequence: its inferences
    run in their order, and what lives on begins anew with the next. An operator that goes along a sequence by itself,
    as the LSTM, is watched at each step. (The converter sees its states before and after an inference only.)

    - ``minmax``: the smallest and the largest value of all: what TFLite's converter takes.
    - ``moving-average``: each sample's smallest and largest value, averaged over the samples in their order:
      the first sample's, then (1 − c) · average + c · sample's, with c = `AVERAGING`.
    - ``percentile``: the values that leave (100 − `percentile`) % of all beyond each end, as near as counting can;
      exact order statistics, 100 is ``minmax``.
    - ``entropy``: the range ±t, within the smallest and largest value, whose 8-bit codes tell most about the values:
      see `entropy_threshold`.

    The last two run the network twice, and keep `batches` if they can be iterated over only once; otherwise memory
    does not grow with the number of samples. `executor` computes the tasks, see `parallel.spread`. Of ``minmax``,
    `watch` is shown each task's smallest and largest values, (2, samples, tensors) in the order of the result.

    Raises `InputError` for an unknown method, a percentile outside (50, 100], a model without floats, inputs that do
    not fit, no samples at all, and a sample that makes a value infinite or NaN.
    """
    plan = plan_of(source)
    if method not in METHODS:
        raise InputError(f"'{method}' is no method of calibration; choose one of {', '.join(METHODS)}")
    if not 50 < percentile <= 100:
        raise InputError(f"the percentile is {percentile:g}; give one above 50 and up to 100, such as {PERCENTILE}")
    if not _watched(plan):
        raise InputError("the model has no float32 tensor: it is quantised already; give the file it was made from")
    batches = batches() if callable(batches) else batches
    if not isinstance(batches, Iterable):
        raise InputError(f"the batches are a {type(batches).__name__}; give tuples, with an array for each input")
    if iter(batches) is batches and method in ("percentile", "entropy"):
        batches = list(batches)

    def passed(measure: Callable[[Plan, Samples], T]) -> Iterator[T]:
        return spread(partial(measure, plan), tasks_of(plan, batches), executor)

    match method:
        case "minmax":
            low, high = _minmax(_shown(passed(_extremes), watch))
        case "moving-average":
            low, high = _moving_average(passed(_extremes))
        case "percentile":
            low, high = _percentiles(passed, Fraction(str(percentile)))
        case _:
            low, high = _entropy(passed)
    pairs = zip(low.astype(np.float32).tolist(), high.astype(np.float32).tolist(), strict=True)
    return {tensor.index: pair for tensor, pair in zip(_watched(plan), pairs, strict=True)}


def tasks_of(plan: Plan, batches: Iterable[tuple[Array, ...]]) -> Iterator[Samples]:
    """The samples of all batches, as many in a task as the engine runs at once; one where it can run no batch.

    Sequences in a task are of one length.
    """
    batchable = plan.inputs and all(tensor.shape[:1] == (1,) for tensor in plan.inputs)
    size = min(TASK, tile_size(plan)) if batchable else 1
    first, waiting = 0, list[Inferences]()
    for inputs in batches:
        for sample in _samples(plan, inputs):
            if waiting and len(sample) != len(waiting[0]):
                yield _together(first, waiting)
                first, waiting = first + len(waiting), []
            waiting.append(sample)
            if len(waiting) == size:
                yield _together(first, waiting)
                first, waiting = first + len(waiting), []
    if waiting:
        yield _together(first, waiting)
    elif not first:
        raise InputError("there are no samples to calibrate with; give at least one")


def _samples(plan: Plan, inputs: tuple[Array, ...]) -> list[Inferences]:
    """The samples that a batch holds: its inferences, or the sequence of them."""
    require_tuple(inputs)
    inputs = tuple(
        quantize_input(plan, x, i) if isinstance(x, np.ndarray) and x.dtype.kind == "f" and i < len(plan.inputs) else x
        for i, x in enumerate(inputs)
    )
    if plan.initial:
        return [frames(plan, inputs)]
    size = batch_size(plan, inputs)
    return [[inputs]] if size is None else [[tuple(x[i : i + 1] for x in inputs)] for i in range(size)]


def entropy_threshold(counts: Counts, top: float, levels: int) -> float:
    """Where to cut a histogram of magnitudes over [0, top] so that `levels` levels keep most of its information.

    Each candidate keeps the first i bins, i from `levels` on: the values beyond count as the last bin (the reference
    distribution p), the kept bins are merged into `levels` levels, each spread evenly over its bins that are not empty
    (q), and the smallest Kullback-Leibler divergence Σ p log(p / q) wins, the widest range of equals. The bin of the
    zeros counts as much as its neighbour. Source: Migacz, "8-bit inference with TensorRT" (GTC 2017); levels and zeros
    as in NVIDIA's pytorch-quantization, calib/histogram.py: 128 a side, 256 if all values lie on one side of zero.
    """
    bins = counts.astype(np.float64)
    bins[0] = bins[1]
    beyond = bins.sum() - np.cumsum(bins)
    best, chosen = np.inf, len(bins)
    for i in range(levels, len(bins) + 1):
        kept = bins[:i]
        some = kept > 0
        level = np.arange(i) * levels // i
        spread_out = np.bincount(level, kept, levels) / np.maximum(np.bincount(level, some, levels), 1)
        q = np.where(some, spread_out[level], 0.0)
        p = kept.copy()
        p[-1] += beyond[i - 1]
        if (divergence := _divergence(p, q)) <= best:
            best, chosen = divergence, i
    return top * chosen / len(bins)


def _divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """Kullback and Leibler's, of two histograms."""
    known = p > 0
    if not q[known].all() or not known.any():
        return np.inf
    p, q = p[known] / p.sum(), q[known] / q.sum()
    return float(np.sum(p * np.log(p / q)))


def _together(first: int, samples: list[Inferences]) -> Samples:
    def beside(inferences: Iterable[tuple[Array, ...]]) -> tuple[Array, ...]:
        parts = zip(*inferences, strict=True)
        return tuple(np.concatenate(arrays) if len(arrays) > 1 else arrays[0] for arrays in parts)

    return Samples(first, len(samples), tuple(map(beside, zip(*samples, strict=True))))


def _watched(plan: Plan) -> list[Tensor]:
    """The float32 tensors that are fed, computed or kept, as `_observed` gives their values."""
    written = (tensor for step in plan.steps for tensor in step.writes)
    return [tensor for tensor in (*plan.inputs, *written) if _is_watched(tensor)]


def _is_watched(tensor: Tensor) -> bool:
    return tensor.dtype == "float32" and 0 not in tensor.shape


def _observed(plan: Plan, samples: Samples) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Of each inference, every watched tensor by its place, in order, with its values (samples, elements)."""
    state = plan.initial
    for number, inputs in enumerate(samples.inferences):
        place = count()
        for tensor, x in zip(plan.inputs, inputs, strict=True):
            if _is_watched(tensor):
                yield next(place), _finite(x, f"input '{tensor.name}' holds", samples, number)
        for record in execute(plan, *inputs, state=state):
            state = record.state
            written = record.step.writes if record.step.subgraph == plan.graph.index else ()
            within = _within(plan, record, samples.count) if written else {}
            for tensor, x in zip(written, (*record.outputs, *record.updates), strict=False):
                if _is_watched(tensor):
                    at = next(place)
                    for values in within.get(tensor.index, (x,)):
                        yield at, _finite(values, f"{record.step} computes", samples, number)


def _within(plan: Plan, record: Record, count: int) -> Mapping[int, list[Array]]:
    """By its index, the values of each state after every step that an operator takes along the axis of time."""
    step = record.step
    time = step.facts.quantized.time if step.facts.quantized else None
    if time is None or step.data is None or step.facts.data is None:
        return {}
    axis, data = time(step.node.options), step.facts.data
    arrays = [_batched(x, tensor, count) for x, tensor in zip(record.inputs, step.inputs, strict=True)]
    sequence, one = arrays[data], _one_step(step, axis, plan.numerics)
    assert sequence is not None
    found: dict[int, list[Array]] = {}
    for frame in np.split(sequence, sequence.shape[axis + 1], axis + 1):
        arrays[data] = frame
        for place, value in zip(step.facts.updates, one.evaluate(*arrays)[len(step.outputs) :], strict=True):
            arrays[place] = value
            found.setdefault(step.op.inputs[place], []).append(value)
    return found


def _batched(array: Array | None, tensor: Tensor | None, count: int) -> Array | None:
    """A record's array as kernels take it, with the batch axis in front."""
    if array is None or tensor is None:
        return None
    return array[np.newaxis] if tensor.data is not None else array.reshape(count, *tensor.shape)


@lru_cache(maxsize=16)
def _one_step(step: Step, axis: int, numerics: Numerics) -> Step:
    """The same layer for sequences of length one."""

    def cut(tensor: Tensor) -> Tensor:
        return replace(tensor, shape=tuple(1 if i == axis else d for i, d in enumerate(tensor.shape)))

    place = step.facts.data
    inputs = tuple(cut(t) if i == place and t is not None else t for i, t in enumerate(step.inputs))
    node = step.node._replace(inputs=inputs, outputs=tuple(map(cut, step.outputs)))
    return replace(step, node=node).prepared(numerics)


def _finite(values: Array, place: str, samples: Samples, number: int) -> npt.NDArray[np.float32]:
    rows: npt.NDArray[np.float32] = values.reshape(samples.count, -1)
    if not (finite := np.isfinite(rows)).all():
        row, column = np.argwhere(~finite)[0]
        inference = f", inference {number}" if len(samples.inferences) > 1 else ""
        raise InputError(
            f"sample {samples.first + row}{inference}: {place} {rows[row, column]}, for which there is no range; "
            "leave the sample out, or mend the network"
        )
    return rows


def _extremes(plan: Plan, samples: Samples) -> npt.NDArray[np.float32]:
    """The smallest and the largest value of each sample in each tensor: float32 (2, samples, tensors)."""
    lows = np.full((len(_watched(plan)), samples.count), np.inf, np.float32)
    highs = -lows
    for tensor, rows in _observed(plan, samples):
        lows[tensor] = np.minimum(lows[tensor], rows.min(axis=1))
        highs[tensor] = np.maximum(highs[tensor], rows.max(axis=1))
    return np.array([lows.T, highs.T])


def _shown(found: Iterator[T], watch: Callable[[T], None] | None) -> Iterator[T]:
    """The same, each shown to `watch` on the way."""
    for each in found:
        if watch:
            watch(each)
        yield each


def _minmax(found: Iterator[npt.NDArray[np.float32]]) -> tuple[Array, Array]:
    low, high = next(found)
    low, high = low.min(axis=0), high.max(axis=0)
    for lows, highs in found:
        low, high = np.minimum(low, lows.min(axis=0)), np.maximum(high, highs.max(axis=0))
    return low, high


def _moving_average(found: Iterator[npt.NDArray[np.float32]]) -> tuple[Array, Array]:
    average: Array | None = None
    for extremes in found:
        for sample in extremes.astype(np.float64).swapaxes(0, 1):
            average = sample if average is None else (1 - AVERAGING) * average + AVERAGING * sample
    assert average is not None  # `tasks_of` refuses to give none
    return average[0], average[1]


def _percentiles(passed: Passed, percentile: Fraction) -> tuple[Array, Array]:
    """Exact order statistics in two passes, by counting the upper halves of all values' bits, then the lower ones."""
    upper = sum(passed(_upper_halves), start=np.int64(0)).cumsum(axis=1)
    totals = upper[:, -1].tolist()
    beyond = [int(total * (100 - percentile) / 100) for total in totals]
    ranks = [(low, total - 1 - low) for low, total in zip(beyond, totals, strict=True)]
    halves = np.array([np.searchsorted(c, each, side="right") for c, each in zip(upper, ranks, strict=True)])
    lower = sum(passed(partial(_lower_halves, halves)), start=np.int64(0)).cumsum(axis=2)
    ends = np.empty(halves.shape, np.uint32)
    for tensor, end in np.ndindex(halves.shape):
        half = halves[tensor, end]
        before = upper[tensor, half - 1] if half else 0
        rest = np.searchsorted(lower[tensor, end], ranks[tensor][end] - before, side="right")
        ends[tensor, end] = half << 16 | rest
    low, high = _from_keys(ends).T
    return low, high


def _entropy(passed: Passed) -> tuple[Array, Array]:
    """The extremes, cut at `entropy_threshold`: one pass for them, one for histograms up to the larger of them."""
    low, high = _minmax(passed(_extremes))
    tops = np.maximum(-low, high)
    histograms = sum(passed(partial(_magnitudes, tops)), start=np.int64(0))
    levels = np.where((low < 0) & (high > 0), 128, 256)
    cuts = np.array(list(map(entropy_threshold, histograms, tops.tolist(), levels.tolist())))
    return np.maximum(low, -cuts), np.minimum(high, cuts)


def _keys(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Unsigned integers in the order of the values (−0 as 0)."""
    bits = np.ascontiguousarray(values + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _from_keys(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    return np.where(keys >> 31, keys & np.uint32((1 << 31) - 1), ~keys).view(np.float32)


def _upper_halves(plan: Plan, samples: Samples) -> Counts:
    """How often each upper half of a key occurs: (tensors, 2¹⁶)."""
    return _counted(plan, samples, lambda _, x: np.bincount((_keys(x) >> 16).ravel(), minlength=1 << 16))


def _lower_halves(halves: Array, plan: Plan, samples: Samples) -> Counts:
    """How often each lower half occurs behind the upper ones in `halves` (tensors, 2): (tensors, 2, 2¹⁶)."""

    def lower(tensor: int, values: npt.NDArray[np.float32]) -> Counts:
        keys = _keys(values)
        behind = [keys[keys >> 16 == upper] & np.uint32(0xFFFF) for upper in halves[tensor]]
        return np.array([np.bincount(half, minlength=1 << 16) for half in behind])

    return _counted(plan, samples, lower)


def _magnitudes(tops: Array, plan: Plan, samples: Samples) -> Counts:
    """The histograms of all values' magnitudes, from 0 to each tensor's largest: (tensors, BINS)."""

    def histogram(tensor: int, values: npt.NDArray[np.float32]) -> Counts:
        top = float(tops[tensor])
        places = np.abs(values.astype(np.float64)) * (BINS / top if top else 0.0)
        return np.bincount(places.astype(np.int64).clip(max=BINS - 1).ravel(), minlength=BINS)

    return _counted(plan, samples, histogram)


def _counted(plan: Plan, samples: Samples, counts: Callable[[int, npt.NDArray[np.float32]], Counts]) -> Counts:
    """What `counts` counts in each watched tensor, by its place, in all inferences."""
    totals: list[Counts | int] = [0] * len(_watched(plan))
    for tensor, rows in _observed(plan, samples):
        totals[tensor] += counts(tensor, rows)
    return np.array(totals)
