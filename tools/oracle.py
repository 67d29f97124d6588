"""The oracles: the real TFLM and LiteRT, each in a subprocess of its own.

A worker process loads one of the two wheels (never both: together they corrupt the heap), takes a model's
bytes with input arrays over a pipe, and sends the results back. What the C++ side prints and how it dies stay
out of the caller's process: a model that the runtime refuses raises `OracleRefusal`; an abort or a hang
raises `OracleCrash`, and the next call starts a fresh worker.

Both wheels, like all C code, call the C library of the machine that they run on: `host_plan` plans in that dialect.

    with Tflm() as tflm:
        (logits,) = tflm.run(model_bytes, [image])
        every = tflm.tensors(model_bytes, [image])      # {(subgraph, tensor index): array}

TFLM's arenas come from the system, all zeros, as a static array on a board does, and never from what an earlier model
left: SPACE_TO_BATCH_ND reads a byte that it has not written.

The worker is `oracle_worker.py`, and the wheel may be another one than the pinned: `Tflm(python=…)` takes the Python
of an environment that has it, with numpy and tflite beside it.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from unittest import SkipTest

import oracle_worker
from oracle_worker import ARENA_SIZES, Array, Call, Tensors

from refengine import Model, Numerics, Plan, Tensor, make_plan
from refengine.model import Op


class OracleRefusal(Exception):  # noqa: N818
    """The runtime declined the model or its inputs; the message is what it printed."""


class OracleCrash(Exception):  # noqa: N818
    """The runtime aborted, crashed or hung; the message says how, and what it printed last."""


class OracleTimeout(OracleCrash):
    """The runtime gave no answer in time."""


class UnknownLibrary(SkipTest):
    """The oracle calls a C library whose bits nobody has compared: no test can tell who is right."""


def host_libm() -> Literal["glibc", "glibc-2.41"]:
    """What `Numerics.libm` calls this machine's C library; raises `UnknownLibrary` for one that has no name there."""
    name, version = platform.libc_ver()
    release = tuple(map(int, version.split(".")[:2])) if name == "glibc" else ()
    fused = platform.machine() == "x86_64" and " fma " in Path("/proc/cpuinfo").read_text()
    if fused and (2, 28) <= release <= (2, 41):
        return "glibc" if release <= (2, 40) else "glibc-2.41"
    raise UnknownLibrary(
        f"{name or 'the C library'} {version} on {platform.machine()} {'with' if fused else 'without'} FMA has not "
        "been compared; known are glibc 2.28 to 2.41 on x86-64 with FMA (tools/libm_exhaustive.py compares)"
    )


def host_plan(model: Model | bytes, numerics: Numerics | None = None) -> Plan:
    """The plan of what the oracles, and C code in the dialect `numerics`, compute with this machine's C library.

    Raises what `make_plan` does, and `UnknownLibrary` where the model calls functions of one that is not known.
    """
    plan = make_plan(model, numerics=numerics)
    if not any(hasattr(step.params, "libm") for step in plan.steps) or plan.numerics.libm == (libm := host_libm()):
        return plan
    return make_plan(plan.model, numerics=replace(plan.numerics, libm=libm))


class Oracle:
    """A worker process and the pipe to it; the worker starts at the first call, and again after a crash.

    `name` is what people call it, and `dialect` is refengine's preset of its arithmetic.
    """

    dialect: str
    name: str

    def __init__(self, worker: str, timeout: float, python: Path | None = None, apart: bool = False) -> None:
        self.worker = worker
        self.timeout = timeout
        self.python = python or Path(sys.executable)
        self.apart = apart
        self._process: subprocess.Popen[bytes] | None = None
        self._under_way: Future[Any] | None = None
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  the worker's stdout and stderr

    def run(self, model: bytes, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The model's outputs for `inputs`, both in the model's order, dtypes and shapes.

        Raises `OracleRefusal`, or `OracleCrash`.
        """
        return self.run_many(model, [inputs])[0]

    def run_many(self, model: bytes, inputs: Sequence[Sequence[Array]]) -> list[tuple[Array, ...]]:
        """`run` for each entry of `inputs`, loading the model once; state is reset before each."""
        answers: list[tuple[Array, ...]] = self.call("run_many", model, inputs)
        return answers

    def begin_each(self, calls: Sequence[Call]) -> Callable[[], list[Any]]:
        """Several tasks beside what the caller does meanwhile: ("run_many", model, inputs), ("run_stream", …).

        Calling what is returned waits, and gives what each gives, None where it is refused: who calls it alone hears
        why. Raises `OracleCrash` where one of them is too much.
        """
        return self._begin("each", b"", calls)

    def run_stream(
        self, model: bytes, inputs: Sequence[Sequence[Array]], resets: Collection[int] = ()
    ) -> list[tuple[int, tuple[Array, ...]]]:
        """(status, outputs) of one inference after another; state lives on, but is reset before those in `resets`.

        The status is 0, or 1 where Invoke failed (without outputs), or 15 where an operator ended it early.
        """
        answers: list[tuple[int, tuple[Array, ...]]] = self.call("run_stream", model, (inputs, tuple(resets)))
        return answers

    def tensors(self, model: bytes, inputs: Sequence[Array]) -> Tensors:
        """Every input, variable and computed tensor after one run by (subgraph, tensor index); no constants."""
        tensors: Tensors = self.call("tensors", model, inputs)
        return tensors

    def tensor_stream(
        self, model: bytes, inputs: Iterable[Sequence[Array]], resets: Collection[int] = ()
    ) -> Iterator[tuple[int, Tensors]]:
        """(status, `tensors`) of one inference after another, as `run_stream` makes them; TFLM only.

        One at a time, for all of them may be too many to hold; and so one stream at a time. Raises at once what
        loading the model raises: TFLM cannot keep the tensors of a file that plans its own memory
        (OfflineMemoryAllocation), for which its `LinearMemoryPlanner` has no room.
        """
        self.call("watch", model, None)
        return (self.call("tensors_after", b"", (arrays, k in resets)) for k, arrays in enumerate(inputs))

    def arena(self, model: bytes) -> tuple[int, int, int]:
        """(total, head, tail) in bytes, as the recording allocator counts what the model takes of its arena."""
        total, head, tail = self.call("arena", model, None)
        return total, head, tail

    def fits(self, model: bytes, arena_size: int) -> bool:
        """Whether TFLM allocates the model in an arena of that many bytes; some kernels crash where it is too small."""
        try:
            answer: bool = self.call("fits", model, arena_size)
        except OracleCrash:
            return False
        return answer

    def accepts(self, model: bytes) -> bool:
        """Whether TFLM allocates and runs the model, on inputs of zeros."""
        answer: bool = self.call("accepts", model, None)
        return answer

    def close(self) -> None:
        """Stop the worker; the next call would start another. What is under way has no answer then."""
        if self._under_way is not None:
            self._under_way.set_exception(OracleCrash(f"{self.worker} was stopped before it answered"))
            self._under_way = None
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._log.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._connection, theirs = Pipe()
        with theirs:
            return subprocess.Popen(
                [self.python, oracle_worker.__file__, self.worker, str(theirs.fileno()), *["--apart"] * self.apart],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(min(ARENA_SIZES) // 2)},
            )

    def call(self, task: str, model: bytes, inputs: Any) -> Any:
        """What one of the worker's tasks gives, by its name."""
        return self._begin(task, model, inputs)()

    def _begin(self, task: str, model: bytes, inputs: Any) -> Callable[[], Any]:
        """Have the worker begin; what is returned waits for its answer. It does one thing at a time, see `_settle`."""
        self._settle()
        self._process = self._process or self._start()
        under_way = self._under_way = Future[Any]()
        try:
            with suppress(ConnectionError):  # it has died, and whoever waits for the answer hears of it
                self._connection.send((task, bytes(model), inputs))
        except KeyboardInterrupt:  # half a task must not be taken for the next one's beginning
            self.close()
            raise

        def answer() -> Any:
            if self._under_way is under_way:
                self._settle()
            return under_way.result()

        return answer

    def _settle(self) -> None:
        """Wait for the answer to what is under way, if anything is, and keep it for whoever asks."""
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return
        try:
            under_way.set_result(self._received())
        except BaseException as error:
            under_way.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _received(self) -> Any:
        assert self._process is not None
        try:
            if not self._connection.poll(self.timeout):
                self.close()
                raise OracleTimeout(f"{self.worker} gave no answer within {self.timeout:g} s")
            refused, answer = self._connection.recv()
        except (EOFError, ConnectionError):
            status = self._process.wait()
            self.close()
            raise self._death(status) from None
        except KeyboardInterrupt:  # the answer under way must not be taken for the next call's
            self.close()
            raise
        if refused is None:
            raise self._death(answer)
        printed = self._printed()
        if refused:
            raise OracleRefusal(f"{printed}\n{answer}".strip())
        return answer

    def _death(self, status: int) -> OracleCrash:
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return OracleCrash(f"{self.worker} died ({how}): {self._printed() or 'it printed nothing'}")

    def _printed(self) -> str:
        """What the worker printed since the last call. (Both processes share the file's position.)"""
        self._log.seek(0)
        text = self._log.read().decode(errors="replace").strip()
        self._log.seek(0)
        self._log.truncate()
        return text


class Tflm(Oracle):
    """The real TFLM, from the pinned `tflite-micro` wheel: reference kernels, built for x86-64.

    `python` is the interpreter of another environment, whose wheel answers instead. Where old wheels die often, each
    task may run `apart`, in a process of its own: then a death costs little; there are no tensor streams.
    """

    dialect, name = "tflm", "TFLM"

    def __init__(self, timeout: float = 60.0, python: Path | None = None, apart: bool = False) -> None:
        super().__init__("tflm", timeout, python, apart)


class Litert(Oracle):
    """LiteRT, the second witness: its reference kernels (`"ref"`) or its usual ones (`"default"`)."""

    def __init__(self, resolver: str = "ref", timeout: float = 60.0) -> None:
        super().__init__({"ref": "litert-ref", "default": "litert-default"}[resolver], timeout)
        self.dialect, self.name = {"ref": "litert-ref", "default": "litert"}[resolver], "LiteRT"


FIRST_IN_LITERT = {"BROADCAST_TO": 2}
"""The first version of an operator that LiteRT knows, where that is not 1; TFLM does not look at versions."""


def as_litert_wants(model: Model, dtype: str) -> Model:
    """A model of one operator on `dtype` without what TFLM ignores and LiteRT refuses or misreads.

    Those are zero points of int16 data, a bias type that the options do not name, and operators' versions.
    """
    graph = model.graphs[0]
    tensors = tuple(
        replace(t, quantization=replace(t.quantization, zero_point=(0,) * len(t.quantization.zero_point)))
        if t.dtype == dtype == "int16" and t.quantization
        else t
        for t in graph.tensors
    )
    ops = tuple(
        replace(op, options=_with_bias_type(op, tensors), version=FIRST_IN_LITERT.get(op.name, op.version))
        for op in graph.ops
    )
    return replace(model, graphs=(replace(graph, tensors=tensors, ops=ops), *model.graphs[1:]))


def _with_bias_type(op: Op, tensors: Sequence[Tensor]) -> Mapping[str, Any]:
    """The operator's options, which name its bias's type."""
    if "quantized_bias_type" in op.options and op.inputs[2:] and op.inputs[2] >= 0:
        return {**op.options, "quantized_bias_type": tensors[op.inputs[2]].dtype}
    return op.options
