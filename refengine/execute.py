"""The one loop: walk a plan, yield what happened. Whoever wants to watch, iterates."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import prod
from types import MappingProxyType

import numpy as np
from threadpoolctl import ThreadpoolController

from .errors import InputError
from .kernel import Numerics
from .model import Array, Model, Tensor
from .plan import Plan, Step, frozen, make_plan
from .reprs import record_html, record_text

TILE_BYTES = 1 << 22
"""How much the largest step of a tile may read and write: enough to amortise Python, and it fits the cache."""

HEAVY = 1 << 20
"""From how many multiply-accumulates on a second core pays."""


@dataclass(frozen=True, eq=False)
class Record:
    """What one step did: its input and output arrays, read-only, in their tensors' dtypes and shapes.

    In a batch of N, a leading dimension 1 has become N; tensors without one have N in front. Constants stay single.
    """

    step: Step
    inputs: tuple[Array | None, ...]
    outputs: tuple[Array, ...]

    def __repr__(self) -> str:
        return record_text(self.step, self.outputs)

    def _repr_html_(self) -> str:
        return record_html(self.step, self.inputs, self.outputs)


def execute(plan: Plan, *inputs: Array, known: Mapping[int, Array] = MappingProxyType({})) -> Iterator[Record]:
    """Run `plan` on `inputs`, one `Record` a step, in order.

    Inputs have the declared dtypes and shapes; where every input declares a leading 1, they may all have N there.
    Outputs in `known`, by tensor index and as records hold them, are taken as they are instead of computed: to resume
    an inference, or to ask what if. Raises `InputError` (before the first step) for a wrong count, dtype or shape.
    """
    batch = batch_size(plan, inputs)
    values = dict(plan.constants)
    values.update(
        (t.index, frozen(np.array(x).reshape(batch or 1, *t.shape))) for t, x in zip(plan.inputs, inputs, strict=True)
    )
    for step in plan.steps:
        arrays = tuple(None if t is None else values[t.index] for t in step.inputs)
        (output,) = step.outputs
        if output.index in known:
            result = np.reshape(known[output.index], (batch or 1, *output.shape))
        else:
            with np.errstate(all="ignore"):  # inf and NaN are results here
                result = step.kernel.evaluate(step.params, *arrays)
        values[output.index] = frozen(result)
        yield Record(
            step,
            tuple(None if t is None else _shown(values[t.index], t, batch) for t in step.inputs),
            (_shown(values[output.index], output, batch),),
        )
        for index in step.last_use:
            del values[index]


def run(
    source: Plan | Model | str | os.PathLike[str] | bytes,
    *inputs: Array,
    numerics: Numerics | None = None,
    threads: int | None = None,
) -> tuple[Array, ...]:
    """The model's outputs, in its order and declared dtypes; nothing is converted silently.

    A batch (see `execute`) streams through in tiles, as many at once as `threads` (one a core), so that memory stays
    bounded whatever its length; each result is what running its input alone gives. Raises `ModelError`,
    `UnsupportedError`, `InputError`.
    """
    plan = source if isinstance(source, Plan) else make_plan(source, numerics=numerics)
    batch = batch_size(plan, inputs)
    if plan.macs * (batch or 1) < HEAVY and (batch or 1) <= tile_size(plan):
        return _outputs(plan, *inputs)
    with _blas().limit(limits=1):
        if batch is None:
            return _outputs(plan, *inputs)
        threads = threads or os.cpu_count() or 1
        tile = min(tile_size(plan), -(-batch // threads))
        slices = [slice(start, start + tile) for start in range(0, batch, tile)]
        with ThreadPoolExecutor(threads) as pool:
            tiles = list(pool.map(lambda part: _outputs(plan, *(x[part] for x in inputs)), slices))
    return tuple(np.concatenate(parts) for parts in zip(*tiles, strict=True))


@cache
def _blas() -> ThreadpoolController:
    """Holds BLAS to one thread: tiles share the cores already, and BLAS threads crawl when another program has one."""
    return ThreadpoolController().select(user_api="blas")


def batch_size(plan: Plan, inputs: tuple[Array, ...]) -> int | None:
    """N if `inputs` are a batch of N where the model declares 1, None if they have the declared shapes.

    Raises `InputError` for anything else.
    """
    if len(inputs) != len(plan.inputs):
        raise InputError(
            f"the model has {len(plan.inputs)} inputs ({', '.join(t.name for t in plan.inputs)}); "
            f"got {len(inputs)} arrays"
        )
    batches: set[int | None] = set()
    for tensor, x in zip(plan.inputs, inputs, strict=True):
        place = f"input '{tensor.name}'"
        if not isinstance(x, np.ndarray) or x.dtype != tensor.dtype:
            got = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise InputError(f"{place} is {tensor.dtype}, got {got}; convert or quantise it first (quantize_input)")
        if x.shape == tensor.shape:
            batches.add(None)
        elif tensor.shape[:1] == (1,) and x.ndim == len(tensor.shape) and x.shape[1:] == tensor.shape[1:] and len(x):
            batches.add(len(x))
        else:
            batchable = f" or (N, {', '.join(map(str, tensor.shape[1:]))})" if tensor.shape[:1] == (1,) else ""
            raise InputError(f"{place} has shape {tensor.shape}{batchable}, got {x.shape}")
    if len(batches) > 1:
        raise InputError(f"the inputs have different batch lengths ({', '.join(str(b or 1) for b in batches)})")
    return next(iter(batches), None)


def tile_size(plan: Plan) -> int:
    """How many inferences to run at once, by the largest step's inputs and outputs."""
    sizes = (
        sum(prod(t.shape) * 4 for t in (*step.inputs, *step.outputs) if t is not None and t.data is None)
        for step in plan.steps
    )
    return int(min(256, max(1, TILE_BYTES // max(1, max(sizes, default=1)))))


def _outputs(plan: Plan, *inputs: Array) -> tuple[Array, ...]:
    """The graph's outputs of one tile; copies only of what is not computed by a step."""
    batch = batch_size(plan, inputs)
    found = {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
    found.update(
        (i, _shown(plan.constants[i], plan.graph.tensors[i], batch)) for i in plan.graph.outputs if i in plan.constants
    )
    wanted = frozenset(plan.graph.outputs)
    for record in execute(plan, *inputs):
        found.update(
            (t.index, x) for t, x in zip(record.step.outputs, record.outputs, strict=True) if t.index in wanted
        )
    return tuple(found[i] for i in plan.graph.outputs)


def _shown(array: Array, tensor: Tensor, batch: int | None) -> Array:
    """A kernel's array (batch axis in front) as its tensor's shape, or as N of them."""
    if batch is None or tensor.data is not None:
        shown: Array = array[0]
        return shown
    shape = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
    merged: Array = np.broadcast_to(array, (batch, *tensor.shape)).reshape(batch, *shape)
    return merged
