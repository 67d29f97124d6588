"""The one loop: walk a plan, yield what happened. Whoever wants to watch, iterates."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import InferenceError, InputError, UnsupportedError
from .kernel import Numerics
from .memory import Memory, require_room, tensor_bytes
from .model import Array, Tensor
from .plan import Plan, Source, Step, plan_of
from .state import Rows, State, concatenated, frozen, is_masked, joined, taken, unknown
from .text import counted, kind_of, printed, shown

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

TILE_BYTES = 1 << 23
"""How much the largest step of a tile may read and write: enough to amortise Python, and it fits the cache."""

MOST_AT_ONCE = 2048
"""How many inferences a tile holds at most: those of tiny networks cost less than what a tile costs."""

HEAVY = 1 << 18
"""From how many multiply-accumulates on OpenBLAS would share a product between the cores: it must not, for its threads
crawl where another program has one."""

SHARED = 1 << 26
"""From how many on a batch is shared between them: below, threads take longer to come and go than they save."""

LOOP_LIMIT = 100_000
"""How often a loop's body may run in one inference; TFLM would go on for ever."""

Arrays = tuple[Array, ...]
NONE: Mapping[int, Array] = MappingProxyType({})


class Call(NamedTuple):
    """How a subgraph came to run: by `operator` of the calling one, as its `part`, for the `iteration`-th time."""

    operator: int
    part: str
    iteration: int = 0

    def __str__(self) -> str:
        return f"operator {self.operator}, {self.part}" + (
            f" {self.iteration}" if self.part in ("cond", "body") else ""
        )


NOTHING = State()
NOTHING_UNKNOWN: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Record:
    """What one step did: its input and output arrays, read-only, in their tensors' dtypes and shapes.

    In a batch of N, a leading dimension 1 has become N; tensors without one have N in front. Constants stay single.
    `updates` are the new values of the variables that it updates, `state` is all that lives on after it, and `memory`
    what the kernel had kept for itself before (batch axis in front in a batch). `path` is how
    its subgraph came to run, outermost call first, and `rows` the inferences of the batch that it speaks of, None for
    all. Elements that TFLM leaves unwritten are 0 in `outputs`, and marked in `undefined`, a mask or None each. So are
    those that depend on a gap of a partial plan; `unknown` are the indices of the tensors that have such, updated ones
    among them.
    """

    step: Step
    inputs: tuple[Array | None, ...]
    outputs: tuple[Array, ...]
    updates: tuple[Array, ...] = ()
    state: State = NOTHING
    memory: tuple[Array, ...] = ()
    path: tuple[Call, ...] = ()
    rows: Rows | None = None
    undefined: tuple[npt.NDArray[np.bool_] | None, ...] = ()
    unknown: frozenset[int] = NOTHING_UNKNOWN

    @printed
    def __repr__(self) -> str:
        from .tensors.reprs import record_text

        return record_text(self.step, self.outputs, self.unknown)

    def _repr_html_(self) -> str:
        from .tensors.reprs import record_html

        return record_html(self.step, self.inputs, self.outputs, self.unknown)


def execute(
    source: Source,
    *inputs: Array,
    known: Mapping[int, Array] = NONE,
    state: State | None = None,
    numerics: Numerics | str | None = None,
) -> Iterator[Record]:
    """Run a model on `inputs`, a `Record` a step, in order; those of a subgraph before that of the step that calls it.

    Inputs have the declared dtypes and shapes; where every input declares a leading 1, they may all have N there.
    Outputs in `known`, by tensor index of the main subgraph and as records hold them, are taken as they are instead of
    computed: to resume an inference, to ask what if, or to go on behind a gap of a partial plan, which computes all
    that depends on nothing unknown. What lives from one inference to the next begins as `state` has it (at first
    `plan.initial`), and the last record's `state` is where the next inference goes on; a batch is N streams that know
    nothing of each other. `numerics` is for `make_plan`, where `source` is no plan yet.

    Raises `InputError` (before the first step) for a wrong count, dtype or shape and for a batch that takes more
    than `plan.memory` at once, and `InferenceError` where TFLM's Invoke fails; in a batch, after the other inferences'
    last record.
    """
    plan = plan_of(source, numerics=numerics)
    batch = batch_size(plan, inputs)
    _check_known(plan, batch, known)
    for done in _inference(plan, batch, inputs, state, known):
        yield _record(*done)


def _check_known(plan: Plan, batch: int | None, known: object) -> None:
    """Raise `InputError` for anything else than arrays by index, as records hold those tensors."""
    if not isinstance(known, Mapping):
        raise InputError(f"known is {kind_of(known)}; give a mapping of arrays, by tensor index")
    for i, x in known.items():
        if not (isinstance(i, int | np.integer) and 0 <= i < len(plan.graph.tensors)):
            raise InputError(f"known holds {i!r}, which is no tensor's index in the main subgraph")
        tensor, one = plan.graph.tensors[i], plan.graph.tensors[i].shape
        shape = one if batch is None else (batch, *(one[1:] if one[:1] == (1,) else one))
        dtype = {"int4": "int8", "resource": "int32"}.get(tensor.dtype, tensor.dtype)  # as records hold them
        with_batch = (batch or 1, *one)  # as kernels have it
        if not isinstance(x, np.ndarray) or x.dtype != dtype or x.shape not in (shape, with_batch):
            raise InputError(f"known: tensor {i} '{tensor.name}' is an array of {dtype} {shape}, got {kind_of(x)}")


def _check_state(plan: Plan, batch: int | None, state: object) -> None:
    """Raise `InputError` for anything else than a state of this model, for so many streams."""
    if state is None or state is plan.initial:
        return
    if not isinstance(state, State):
        raise InputError(f"the state is {kind_of(state)}; give that of a record or a session of this model")
    state.require_like(plan.initial, batch or 1)


def run(
    source: Source,
    *inputs: Array,
    numerics: Numerics | str | None = None,
    threads: int | None = None,
    memory: Memory | None = None,
) -> tuple[Array, ...]:
    """The model's outputs, in its order and declared dtypes; nothing is converted silently.

    A batch (see `execute`) streams through in tiles, as many at once as `threads` (one a core), so that memory stays
    bounded whatever its length; each result is what running its input alone gives. An output that declares a leading 1
    has N there, any other has N in front. What lives from one inference to the next is fresh for each of them.

    `numerics` and `memory` are for `make_plan`, where `source` is no plan yet. Raises `ModelError`,
    `UnsupportedError` (of a partial plan too, where an output depends on a gap), `InputError`, and `InferenceError`
    where TFLM's Invoke fails.
    """
    plan = plan_of(source, numerics=numerics, memory=memory)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise InputError(f"threads is {shown(threads)}; give a number from 1 on, or leave it out for one a core")
    batch = batch_size(plan, inputs)
    results = (batch or 1) * sum(map(tensor_bytes, plan.outputs))
    require_room(results, plan.memory, "the results" + (f" of a batch of {batch}" if batch else ""), InputError)
    if plan.macs * (batch or 1) < HEAVY and (batch or 1) <= tile_size(plan):
        return defined(plan, infer(plan, batch, inputs)[0])
    _keep_what_is_freed()
    with _one_blas_thread:
        if batch is None or (batch <= tile_size(plan) and (threads == 1 or plan.macs * batch < SHARED)):
            return defined(plan, infer(plan, batch, inputs)[0])
        from concurrent.futures import ThreadPoolExecutor  # which one inference does without

        threads = threads or os.cpu_count() or 1
        tile = min(tile_size(plan), -(-batch // threads))
        threads = max(1, min(threads, plan.memory // max(1, tile * plan.working_bytes)))
        slices = [slice(start, min(start + tile, batch)) for start in range(0, batch, tile)]
        with ThreadPoolExecutor(threads) as pool:
            wholes: dict[int, Array] = {}
            tiles = list(pool.map(lambda part: _tile(plan, batch, inputs, part, wholes), slices))
    outputs = tuple(
        concatenated(parts) if any(map(is_masked, parts)) else wholes[i]
        for i, parts in enumerate(zip(*(outputs for outputs, _ in tiles), strict=True))
    )
    errors = [error for _, error in tiles if error]
    if errors:
        error = errors[0]
        lengths = [part.stop - part.start for part in slices]
        rows = [np.zeros(n, np.bool_) if e is None else e.rows for n, (_, e) in zip(lengths, tiles, strict=True)]
        error.rows, error.outputs, error.state = np.concatenate(rows), outputs, None
        raise error
    return defined(plan, outputs)


@cache
def _keep_what_is_freed() -> None:
    """Have glibc keep the memory of arrays that are gone, for the next ones.

    Until it has seen a large block freed, just below 32 MiB, it hands everything back at once, and a quarter of a
    network's time may go into pages that the kernel clears again (`M_MMAP_THRESHOLD`, `M_TRIM_THRESHOLD` of mallopt).
    """
    with suppress(MemoryError):
        np.empty(31 << 20, np.uint8)


def _tile(
    plan: Plan, batch: int, inputs: Sequence[Array], part: slice, wholes: dict[int, Array]
) -> tuple[Arrays, InferenceError | None]:
    """Some inferences of a batch, and what failed among them; what is all defined lies in its place in `wholes`, the
    outputs of the batch by their number."""
    failed = None
    try:
        outputs, _ = infer(plan, part.stop - part.start, [x[part] for x in inputs])
    except InferenceError as error:
        outputs, failed = error.outputs, error
    return tuple(x if is_masked(x) else _placed(wholes, i, batch, part, x) for i, x in enumerate(outputs)), failed


def _placed(wholes: dict[int, Array], i: int, batch: int, part: slice, x: Array) -> Array:
    """A copy of `x` as a part of the whole that it is of, which the first tile to come makes."""
    if i not in wholes:
        wholes.setdefault(i, np.empty((batch, *x.shape[1:]), x.dtype))
    placed: Array = wholes[i][part]
    placed[...] = x
    return placed


def infer(
    plan: Plan,
    batch: int | None,
    inputs: Sequence[Array],
    state: State | None = None,
    known: Mapping[int, Array] = NONE,
) -> tuple[Arrays, State]:
    """The outputs of one inference, or of `batch` side by side, and what lives on after them; see `run`.

    Elements that TFLM leaves unwritten are masked, and outputs that depend on a gap of a partial plan altogether
    (`is_unknown`); `known` is as for `execute`, which also tells what is raised.
    """
    if plan.straight and not known:
        _check_state(plan, batch, state)
        try:
            return _declared(plan, _straight(plan, batch, inputs), batch), plan.initial
        except (InferenceError, _UndefinedError):
            pass  # the walk knows where, and for whom
    walk = _inference(plan, batch, inputs, state, known)
    while True:
        try:
            next(walk)
        except StopIteration as end:
            outputs, after = end.value
            return _declared(plan, outputs, batch), after
        except InferenceError as error:
            error.outputs = _declared(plan, error.outputs, batch)
            raise


def _declared(plan: Plan, outputs: Sequence[Array], batch: int | None) -> Arrays:
    return tuple(_shown(x, t, batch, whole=True) for t, x in zip(plan.outputs, outputs, strict=True))


def defined(plan: Plan, outputs: Sequence[Array]) -> Arrays:
    """The plan's outputs with 0 where TFLM leaves them unwritten.

    Raises `UnsupportedError` where one depends on a gap of a partial plan.
    """
    for tensor, x in zip(plan.outputs, outputs, strict=True):
        if plan.gaps and is_unknown(tensor, x):
            raise UnsupportedError(f"the output '{tensor.name}' cannot be computed: {plan.why_unknown(tensor)}")
    return tuple(map(_filled, outputs))


def computable(plan: Plan, outputs: Sequence[Array]) -> tuple[Array | None, ...]:
    """The same of a partial plan, and None for an output that depends on a gap."""
    return tuple(None if is_unknown(t, x) else _filled(x) for t, x in zip(plan.outputs, outputs, strict=True))


def _filled(array: Array) -> Array:
    return np.ma.filled(array, 0) if is_masked(array) else array


def is_unknown(tensor: Tensor, array: Array) -> bool:
    """Whether nobody knows `tensor` in one of the inferences that `array`, of a partial plan, is of."""
    each = max(1, array.size // max(1, prod(tensor.shape)))
    return bool(array.size) and bool(_masked(array.reshape(each, -1)).any())


def _masked(array: Array) -> npt.NDArray[np.bool_]:
    """Of which inferences, along the first axis, nothing is defined: in a partial plan, what depends on a gap."""
    if not is_masked(array) or not array.size:
        return np.zeros(len(array), np.bool_)
    return np.asarray(np.ma.getmaskarray(array).reshape(len(array), -1).all(axis=1))


class _OneBlasThread:
    """Holds BLAS to one thread while anybody is inside, then gives the process back what it had.

    Tiles share the cores already, and BLAS threads crawl when another program has one. Several threads may be inside
    at once, so that only the last one out restores.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._limit = Lock(), 0, None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limit = _blas().limit(limits=1)
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limit is not None:
                self._limit.restore_original_limits()


_one_blas_thread = _OneBlasThread()


def require_room_for_all(plan: Plan, batch: int = 1) -> None:
    """Raise `InputError` unless every tensor that `plan` computes may be kept: for those who look back."""
    kept = batch * sum(tensor_bytes(t) for step in plan.steps for t in step.outputs)
    require_room(kept, plan.memory, "keeping every tensor that the model computes", InputError)


def kept(plan: Plan, records: Iterable[Record]) -> Iterator[Record]:
    """`records` of `plan` for those who keep them all: only running a loop tells how many those are.

    Raises `InputError` once they take more than `plan.memory`.
    """
    total = 0
    for record in records:
        total += sum(x.nbytes for x in (*record.outputs, *record.updates, *record.memory))
        require_room(total, plan.memory, "keeping every tensor that the model computes", InputError)
        yield record


@cache
def _blas() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController  # which small networks do without

    return ThreadpoolController().select(user_api="blas")


def require_tuple(inputs: object) -> None:
    """Refuse an array where a tuple of arrays is meant, since whoever iterates over one comes upon the next, and
    anything else that is no tuple or list."""
    if not isinstance(inputs, list | tuple):
        raise InputError(f"the inputs are {kind_of(inputs)}; give tuples, with an array for each input: (x,)")


def batch_size(plan: Plan, inputs: tuple[Array, ...]) -> int | None:
    """N if `inputs` are a batch of N where the model declares 1, None if they have the declared shapes.

    Raises `InputError` for anything else.
    """
    require_tuple(inputs)
    if len(inputs) != len(plan.inputs):
        raise InputError(
            f"the model has {counted(len(plan.inputs), 'input')} ({', '.join(t.name for t in plan.inputs)}); "
            f"got {counted(len(inputs), 'array')}"
        )
    batches: set[int | None] = set()
    for tensor, x in zip(plan.inputs, inputs, strict=True):
        place = f"input '{tensor.name}'"
        if not isinstance(x, np.ndarray):
            raise InputError(
                f"{place} is {tensor.dtype}, got {type(x).__name__}, which is no array; give a NumPy array"
            )
        if x.dtype != tensor.dtype:
            way = "quantise real values first (quantize_input)" if tensor.quantization else "convert it first (astype)"
            raise InputError(f"{place} is {tensor.dtype}, got {x.dtype}; {way}")
        if x.shape == tensor.shape:
            batches.add(None)
        elif tensor.shape[:1] == (1,) and x.ndim == len(tensor.shape) and x.shape[1:] == tensor.shape[1:] and len(x):
            batches.add(len(x))
        elif 0 in x.shape and 0 not in tensor.shape:
            raise InputError(f"{place} has shape {tensor.shape}, got {x.shape}, which holds no inference: give one")
        else:
            batchable = f" or (N, {', '.join(map(str, tensor.shape[1:]))})" if tensor.shape[:1] == (1,) else ""
            raise InputError(f"{place} has shape {tensor.shape}{batchable}, got {x.shape}")
    if len(batches) > 1:
        raise InputError(f"the inputs have different batch lengths ({', '.join(str(b or 1) for b in batches)})")
    return next(iter(batches), None)


def frames(plan: Plan, arrays: tuple[Array, ...]) -> list[tuple[Array, ...]]:
    """The inferences of a sequence: (T, *shape), or (T, *shape[1:]) where every input declares a leading 1.

    Raises `InputError` for anything else.
    """
    shapes = [t.shape for t in plan.inputs]
    if all(x.ndim for x in arrays) and [x.shape[1:] for x in arrays] == shapes:
        counts = {len(x) for x in arrays}
        if len(counts) > 1:
            raise InputError(f"the inputs hold different numbers of frames: {', '.join(map(str, sorted(counts)))}")
        if counts == {0}:
            raise InputError("the inputs hold no inference: there is not one frame in them")
        return [tuple(x[i, ...] for x in arrays) for i in range(counts.pop() if counts else 0)]
    batch = batch_size(plan, arrays)
    return [arrays] if batch is None else [tuple(x[i : i + 1] for x in arrays) for i in range(batch)]


def tile_size(plan: Plan) -> int:
    """How many inferences to run at once, by the largest step's inputs and outputs, and the memory there is."""
    fitting = min(TILE_BYTES // max(1, plan.widest), plan.memory // max(1, plan.working_bytes))
    return int(min(MOST_AT_ONCE, max(1, fitting)))


# ---- the walk ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Scene:
    """Where a walk is: which `plan` it follows of the `whole`, for how many inferences at once, and why."""

    whole: Plan
    plan: Plan
    batch: int | None
    path: tuple[Call, ...] = ()
    rows: Rows | None = None

    def of(self, rows: Rows) -> _Scene:
        """The same for some of the inferences."""
        if self.batch is None or len(rows) == self.batch:
            return self
        return replace(self, batch=len(rows), rows=rows if self.rows is None else self.rows[rows])

    def inside(self, graph: int, call: Call) -> _Scene:
        """The subgraph that a step calls."""
        return replace(self, plan=self.whole.plans[graph], path=(*self.path, call))

    def all(self) -> Rows:
        return np.arange(self.batch or 1)

    def lost(self, *arrays: Array | None) -> npt.NDArray[np.bool_]:
        """Which of the inferences do not know one of the arrays, because of a gap."""
        lost = np.zeros(self.batch or 1, np.bool_)
        for x in arrays if self.whole.gaps else ():
            lost |= False if x is None else _masked(x)
        return lost


Done = tuple[_Scene, Step, Sequence["Array | None"], Sequence[Array], State, Arrays]
"""What a step did, as kernels have it: where, what it read, what it wrote, the state after it, its memory before."""

Walk = Generator[Done, None, tuple[Arrays, State]]
"""Yields what steps do, returns outputs (batch in front) and the state after."""


class _UndefinedError(Exception):
    """TFLM leaves something unwritten: what depends on it is to be found out step by step."""


def _straight(plan: Plan, batch: int | None, inputs: Sequence[Array]) -> Arrays:
    """The outputs (batch in front) of a plan that is `straight`: the walk without anybody who watches."""
    assert plan.straight is not None
    steps, known = plan.straight
    values: dict[int | None, Any] = {None: None}
    fed = _fed(plan, batch, inputs)
    for found in (known.items(), zip(plan.graph.inputs, fed, strict=True)):
        values.update(found)
    value_of = values.__getitem__
    with np.errstate(all="ignore"):
        for call, reads, writes, last_use in steps:
            result = call(*map(value_of, reads))
            if type(result) is np.ndarray:  # nearly always: one output, and all of it defined
                values[writes[0]] = result
            else:
                for index, x in zip(writes, result if isinstance(result, tuple) else (result,), strict=True):
                    if is_masked(x):
                        raise _UndefinedError
                    values[index] = x
            for index in last_use:
                values.pop(index, None)
    outputs = (values[t.index] for t in plan.outputs)
    return tuple(frozen(y.copy() if any(np.may_share_memory(x, y) for x in fed) else y) for y in outputs)


def _fed(plan: Plan, batch: int | None, inputs: Iterable[Array]) -> list[Array]:
    """The inputs, read-only, batch in front; raises `InputError` where there is no room for so many at once."""
    if batch is not None:
        require_room(batch * plan.working_bytes, plan.memory, f"a batch of {batch}, all at once,", InputError)
    return [frozen(np.asarray(x).reshape(batch or 1, *t.shape)) for t, x in zip(plan.inputs, inputs, strict=True)]


def _inference(
    plan: Plan, batch: int | None, inputs: Sequence[Array], state: State | None, known: Mapping[int, Array] = NONE
) -> Walk:
    _check_state(plan, batch, state)
    scene, fed = _Scene(plan, plan, batch), _fed(plan, batch, map(np.array, inputs))
    return _entered(scene, fed, plan.initial if state is None else state, known)


def _entered(scene: _Scene, fed: Sequence[Array], state: State, known: Mapping[int, Array] = NONE) -> Walk:
    """A subgraph from its inputs on."""
    plan, graph = scene.plan, scene.plan.graph.index
    values = dict(plan.constants)
    values.update((tensor, x) for (g, tensor), x in state.variables.items() if g == graph)
    for tensor, x in zip(plan.inputs, fed, strict=True):
        values[tensor.index] = _as(tensor, x)
        if tensor.is_variable:
            state = state.with_variable(graph, tensor.index, values[tensor.index])
    return _walk(scene, values, state, 0, known)


def _as(tensor: Tensor, x: Array) -> Array:
    """An array that comes from another subgraph, where the same bytes may have another shape or type."""
    if x.shape[1:] == tensor.shape and x.dtype == tensor.dtype:
        return x
    if x.dtype == tensor.dtype:
        return frozen(x.reshape(len(x), *tensor.shape))
    read = np.ascontiguousarray(np.ma.getdata(x)).reshape(len(x), -1).view(tensor.dtype).reshape(len(x), *tensor.shape)
    return frozen(_hidden(read, np.asarray(np.ma.getmaskarray(x).reshape(len(x), -1).any(axis=1))))


def _hidden(array: Array, lost: npt.NDArray[np.bool_]) -> Array:
    """The array, masked in those of the inferences that are `lost`."""
    if not lost.any():
        return array
    every = np.repeat(array, len(lost), axis=0) if len(array) == 1 else array
    mask = np.ma.getmaskarray(every) | lost.reshape(-1, *[1] * (every.ndim - 1))
    return frozen(np.ma.array(np.ma.getdata(every), mask=mask))


def _walk(scene: _Scene, values: dict[int, Array], state: State, start: int, known: Mapping[int, Array] = NONE) -> Walk:
    """The steps from `start` on."""
    plan, batch = scene.plan, scene.batch
    for step in plan.steps[start:]:
        read = tuple(None if t is None else values[t.index] for t in step.inputs)
        memory: Arrays = ()
        try:
            if step.gap:
                results, state = step.evaluate(*read), _forgetting(scene, step, state, scene.all() >= 0)
            elif step.facts.control:
                results, state = yield from _CONTROL[step.facts.control](scene, step, read, state)
            elif known and not _leaves_something(step) and all(t.index in known for t in step.outputs):
                results = ()
            elif scene.whole.gaps and _is_nameless(scene, step, read, state):
                results, state = tuple(map(unknown, step.writes)), _forgetting(scene, step, state, scene.all() >= 0)
            elif step.remembers:
                memory = _memory(scene, step, read, state)
                results = _evaluated(scene, step, read, memory)
                state = _remembering(scene, step, read, state, results[len(step.writes) :])
            else:
                results = _evaluated(scene, step, read)
        except InferenceError as error:
            return (yield from _without(scene, values, state, step, known, error))
        for tensor, x in zip(step.writes, results, strict=False):
            values[tensor.index] = x
            if tensor.is_variable:
                state = state.with_variable(plan.graph.index, tensor.index, x)
        for tensor in step.outputs if known else ():
            if tensor.index in known:
                values[tensor.index] = frozen(np.reshape(known[tensor.index], (batch or 1, *tensor.shape)))
        yield scene, step, read, [values[t.index] for t in step.writes], state, memory
        for index in step.last_use:
            del values[index]
    return tuple(values[t.index] for t in plan.outputs), state


def _evaluated(scene: _Scene, step: Step, read: Sequence[Array | None], memory: Arrays = ()) -> Arrays:
    """What the step makes of inputs and memory; of what depends on a gap, something unknown."""
    if not scene.whole.gaps:
        return step.evaluate(*read, *memory)
    depending = () if step.facts.shapes_only else read if step.facts.resource == "assign" else (*read, *memory)
    lost = scene.lost(*depending)
    if not lost.any():
        return step.evaluate(*read, *memory)
    nothing = (*map(unknown, step.writes), *(_hidden(x[:1], np.ones(1, np.bool_)) for x in memory))
    rows = np.flatnonzero(~lost), np.flatnonzero(lost)
    if lost.all():
        return nothing
    try:
        results = step.evaluate(*(None if x is None else taken(x, rows[0]) for x in (*read, *memory)))
    except InferenceError as error:
        failing = ~lost
        failing[rows[0]] = True if error.rows is None else error.rows
        error.rows = failing
        error.results = error.results and [joined(rows, [*x]) for x in zip(error.results, nothing, strict=False)]
        raise
    return tuple(joined(rows, [*each]) for each in zip(results, nothing, strict=True))


def _forgetting(scene: _Scene, step: Step, state: State, lost: npt.NDArray[np.bool_]) -> State:
    """The state without what the step may have changed in the inferences that are `lost`: nobody knows what it did."""
    graphs = scene.whole.reached(step)
    if not scene.plan.shares(step):
        return state

    def hidden(x: Array) -> Array:
        return _hidden(x, lost)

    return State(
        {key: hidden(x) if key[0] in graphs else x for key, x in state.variables.items()},
        {key: hidden(x) for key, x in state.resources.items()},
        {key: tuple(map(hidden, kept)) if key[0] in graphs else kept for key, kept in state.memory.items()},
    )


def _leaves_something(step: Step) -> bool:
    """Whether the step has another effect than its outputs."""
    return bool(step.facts.updates or step.memory or step.facts.resource or any(t.is_variable for t in step.outputs))


def _is_nameless(scene: _Scene, step: Step, read: Sequence[Array | None], state: State) -> bool:
    """Whether nobody knows which resource variable a step of a partial plan reads or assigns, or what it is like."""
    if step.facts.resource not in ("read", "assign"):
        return False
    return bool(scene.lost(read[0]).any()) or any(n not in state.resources for _, n in _named(scene, step, read))


def _memory(scene: _Scene, step: Step, read: Sequence[Array | None], state: State) -> Arrays:
    """What the step finds that an earlier one left: the kernel's own memory, or a resource variable's value."""
    if step.facts.resource in ("read", "assign"):
        rows, names = zip(*_named(scene, step, read), strict=True)
        for name in names:
            if name not in state.resources:
                raise InferenceError(f"nothing is ever assigned to the resource variable '{name[1]}'; TFLM would fail")
        parts = [taken(state.resources[name], some) for some, name in zip(rows, names, strict=True)]
        return (joined(rows, parts),)
    return state.memory[scene.plan.graph.index, step.index]


def _remembering(scene: _Scene, step: Step, read: Sequence[Array | None], state: State, memory: Arrays) -> State:
    """The state once the step has left its new memory."""
    if step.facts.resource in ("read", "assign"):
        everybody = scene.all()
        for rows, name in _named(scene, step, read):
            rest = np.setdiff1d(everybody, rows)
            parts = [(rows, taken(memory[0], rows)), (rest, taken(state.resources[name], rest))]
            some, values = zip(*(part for part in parts if len(part[0])), strict=True)
            state = state.with_resource(name, joined(some, values))
        return state
    return state.with_memory(scene.plan.graph.index, step.index, memory)


def _named(scene: _Scene, step: Step, read: Sequence[Array | None]) -> list[tuple[Rows, tuple[str, str]]]:
    """The resource variables whose handles the step got, and the rows of each."""
    assert read[0] is not None
    handles = np.broadcast_to(np.ma.getdata(read[0]).reshape(len(read[0]), -1)[:, 0], scene.batch or 1)
    unknown = (handles < 0) | (handles >= len(step.node.resources))
    if unknown.any():
        raise InferenceError(f"{handles[unknown][0]} is no handle of a resource variable", unknown)
    return [(np.flatnonzero(handles == handle), step.node.resources[handle]) for handle in np.unique(handles)]


def _record(
    scene: _Scene, step: Step, read: Sequence[Array | None], written: Sequence[Array], state: State, memory: Arrays
) -> Record:
    shown = [_shown(x, t, scene.batch) for t, x in zip(step.writes, written, strict=True)]
    masks = [np.ma.getmaskarray(x) if is_masked(x) else None for x in shown]
    plain = [frozen(np.ma.filled(x, 0)) if is_masked(x) else x for x in shown]
    count = len(step.outputs)
    return Record(
        step,
        tuple(
            None if t is None or x is None else _shown(x, t, scene.batch)
            for t, x in zip(step.inputs, read, strict=True)
        ),
        tuple(plain[:count]),
        tuple(plain[count:]),
        state,
        memory if scene.batch is not None else tuple(np.ma.filled(x[0], 0) for x in memory),
        scene.path,
        scene.rows,
        tuple(masks[:count]) if any(x is not None for x in masks) else (),
        _unknown(scene, step, written) if scene.whole.gaps else NOTHING_UNKNOWN,
    )


def _unknown(scene: _Scene, step: Step, written: Sequence[Array]) -> frozenset[int]:
    """The indices of what the step wrote that depends on a gap."""
    return frozenset(t.index for t, x in zip(step.writes, written, strict=True) if scene.lost(x).any())


def _without(
    scene: _Scene, values: dict[int, Array], state: State, step: Step, known: Mapping[int, Array], error: InferenceError
) -> Walk:
    """Go on without the inferences that failed at `step`, then raise; what those leave unwritten is undefined."""
    if error.state is None:  # it comes from the kernel, not from a subgraph
        where = "".join(f"{call}, " for call in scene.path)
        error.args = (f"{where}{step}: {error}",)
        error.state = _kept(scene, step, state, error.results)
    n = scene.batch or 1
    failing = np.ones(n, np.bool_) if error.rows is None else np.broadcast_to(error.rows, n).copy()
    lost = np.flatnonzero(failing)
    parts = [(lost, _undefined(scene, len(lost)), error.state.of(lost))]
    sound = np.flatnonzero(~failing)
    if len(sound):
        rest = {index: taken(x, sound) for index, x in values.items()}
        some = {index: x[sound] for index, x in known.items()}
        try:
            parts.append((sound, *(yield from _walk(scene.of(sound), rest, state.of(sound), step.index, some))))
        except InferenceError as later:
            failing[sound] |= later.rows
            parts.append((sound, later.outputs, later.state))
    error.rows, error.results = failing, None
    error.outputs, error.state = _joined(parts)
    raise error


def _kept(scene: _Scene, step: Step, state: State, results: Arrays | None) -> State:
    """The state after a step that fails, or ends the inference, with what it has written by then."""
    for tensor, x in zip(step.writes, results or (), strict=False):
        if tensor.is_variable:
            state = state.with_variable(scene.plan.graph.index, tensor.index, frozen(x))
    if results and step.memory:
        memory = tuple(map(frozen, results[len(step.writes) :]))
        state = state.with_memory(scene.plan.graph.index, step.index, memory)
    return state


def _undefined(scene: _Scene, n: int) -> Arrays:
    """The outputs of `n` inferences that did not get there."""
    return tuple(np.ma.array(np.zeros((n, *t.shape), t.dtype), mask=True) for t in scene.plan.outputs)


def _joined(parts: Sequence[tuple[Rows, Arrays, State]]) -> tuple[Arrays, State]:
    """What several parts of a batch come to, together."""
    rows, results, states = zip(*parts, strict=True)
    together = tuple(joined(rows, list(xs)) for xs in zip(*results, strict=True))
    return together, State.joined(list(zip(rows, states, strict=True)))


# ---- control flow --------------------------------------------------------------------------------------------


def _attempt(scene: _Scene, fed: Sequence[Array], state: State) -> Generator[Done, None, tuple[Arrays, State, Any]]:
    """A subgraph; and the error that some of its inferences raised, whose outputs are undefined."""
    try:
        outputs, state = yield from _entered(scene, fed, state)
    except InferenceError as error:
        return error.outputs, error.state, error
    return outputs, state, None


def is_met(x: Array, n: int) -> npt.NDArray[np.bool_]:
    """Which rows hold a condition that is met: whose first byte is not 0."""
    first = np.ascontiguousarray(np.ma.getdata(x)).reshape(len(x), -1)[:, :1].view(np.uint8)[:, 0]
    return np.broadcast_to(first != 0, n)


def _concluded(
    step: Step, parts: Sequence[tuple[Rows, Arrays, State]], errors: Sequence[tuple[Rows, InferenceError]], n: int
) -> tuple[Arrays, State]:
    """What the parts come to; raises the first of `errors` with the rows of all."""
    results, state = _joined(parts)
    results = tuple(_as(t, x) for t, x in zip(step.outputs, results, strict=False))
    if errors:
        error, failing = errors[0][1], np.zeros(n, np.bool_)
        for rows, one in errors:
            failing[rows] |= one.rows
        error.rows, error.results, error.state = failing, results, state
        raise error
    return results, state


def _branch(scene: _Scene, step: Step, read: Sequence[Array | None], state: State) -> Walk:
    """Each inference takes one of two subgraphs, by the first input; the others are its inputs."""
    condition, *fed = read
    assert condition is not None
    met, lost = is_met(condition, scene.batch or 1), scene.lost(condition)
    parts, errors = [], []
    if lost.any():
        rows = np.flatnonzero(lost)
        parts.append((rows, tuple(map(unknown, step.outputs)), _forgetting(scene, step, state, lost).of(rows)))
    branches = map(np.flatnonzero, (met & ~lost, ~met & ~lost))
    for part, graph, rows in zip(("then", "else"), step.calls, branches, strict=True):
        if len(rows):
            some = [taken(x, rows) for x in fed if x is not None]
            inside = scene.of(rows).inside(graph, Call(step.index, part))
            outputs, after, error = yield from _attempt(inside, some, state.of(rows))
            parts.append((rows, outputs, after))
            errors += [(rows, error)] if error else []
    return _concluded(step, parts, errors, scene.batch or 1)


def _loop(scene: _Scene, step: Step, read: Sequence[Array | None], state: State) -> Walk:
    """A body runs on its own outputs as long as the condition's subgraph says so, for each inference."""
    (cond, body), n = step.calls, scene.batch or 1
    active, carried = scene.all(), tuple(x for x in read if x is not None)
    parts: list[tuple[Rows, Arrays, State]] = []
    errors: list[tuple[Rows, InferenceError]] = []
    for iteration in range(LOOP_LIMIT):
        for part, graph in (("cond", cond), ("body", body)):
            inside = scene.of(active).inside(graph, Call(step.index, part, iteration))
            outputs, state, error = yield from _attempt(inside, carried, state)
            going = np.ones(len(active), np.bool_)
            if part == "body":
                carried = tuple(_as(t, x) for t, x in zip(step.outputs, outputs, strict=True))
            else:
                lost = inside.lost(outputs[0])
                going = is_met(outputs[0], len(active)) & ~lost
                if lost.any():
                    carried = tuple(_hidden(x, lost) for x in carried)
                    state = _forgetting(scene.of(active), step, state, lost)
            if error:
                errors.append((active, error))
                going = going & ~error.rows
            if not going.all():
                ended = np.flatnonzero(~going)
                parts.append((active[ended], tuple(taken(x, ended) for x in carried), state.of(ended)))
                rows = np.flatnonzero(going)
                active, carried, state = active[rows], tuple(taken(x, rows) for x in carried), state.of(rows)
            if not len(active):
                return _concluded(step, parts, errors, n)
    error = InferenceError(
        f"{step}: the loop has run {LOOP_LIMIT:,} times, more than refengine follows it; TFLM goes on"
    )
    error.rows = np.ones(len(active), np.bool_)
    parts.append((active, carried, state))
    return _concluded(step, parts, [*errors, (active, error)], n)


def _once(scene: _Scene, step: Step, read: Sequence[Array | None], state: State) -> Walk:
    """A subgraph that runs at this step's first time in each stream, then never again."""
    place = scene.plan.graph.index, step.index
    flag = state.memory[place][0]
    lost = scene.lost(flag)
    if lost.any():
        state = _forgetting(scene, step, state, lost)
    ran = np.ma.getdata(flag) | lost
    first = np.flatnonzero(~ran)
    if not len(first):
        return (), state
    inside = scene.of(first).inside(step.calls[0], Call(step.index, "once"))
    _, after, error = yield from _attempt(inside, (), state.of(first))
    done = np.ones(len(first), np.bool_) if error is None else ~error.rows
    parts: list[tuple[Rows, Arrays, State]] = [(first, (), after.with_memory(*place, (frozen(done),)))]
    rest = np.flatnonzero(ran)
    parts += [(rest, (), state.of(rest))] if len(rest) else []
    return _concluded(step, parts, [(first, error)] if error else [], scene.batch or 1)


_CONTROL = {"branch": _branch, "loop": _loop, "once": _once}


def _shown(array: Array, tensor: Tensor, batch: int | None, whole: bool = False) -> Array:
    """A kernel's array (batch axis in front) as its tensor's shape, or as N of them; constants once unless `whole`."""
    if batch is None or (tensor.data is not None and not tensor.is_variable and not whole):
        shown: Array = array[0, ...]  # [0] of no more dimensions is no array, but a scalar
        return shown
    n = (batch, *array.shape[1:])
    shape = n[2:] if tensor.shape[:1] == (1,) else n[1:]
    if array.shape != n:
        array = (
            np.ma.array(np.broadcast_to(array.data, n), mask=np.broadcast_to(array.mask, n))
            if is_masked(array)
            else np.broadcast_to(array, n)
        )
    merged: Array = array.reshape(batch, *shape)
    return merged
