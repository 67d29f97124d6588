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

The worker is this same file: ``python tools/oracle.py WORKER FD``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from unittest import SkipTest

import numpy.typing as npt
import tflite

from refengine import Model, Numerics, Plan, Tensor, make_plan
from refengine.model import Op

Array = npt.NDArray[Any]
Tensors = dict[tuple[int, int], Array]

ARENA_SIZES = (1 << 20, 1 << 24, 1 << 28, 1 << 31)  # bytes; TFLM gets the next one when it runs out of arena


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
    if not any(hasattr(step.params, "libm") for step in plan.steps):
        return plan
    return make_plan(plan.model, numerics=replace(plan.numerics, libm=host_libm()))


class Oracle:
    """A worker process and the pipe to it; the worker starts at the first call, and again after a crash.

    `name` is what people call it, and `dialect` is refengine's preset of its arithmetic.
    """

    dialect: str
    name: str

    def __init__(self, worker: str, timeout: float) -> None:
        self.worker = worker
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  the worker's stdout and stderr

    def run(self, model: bytes, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The model's outputs for `inputs`, both in the model's order, dtypes and shapes.

        Raises `OracleRefusal`, or `OracleCrash`.
        """
        return self.run_many(model, [inputs])[0]

    def run_many(self, model: bytes, inputs: Sequence[Sequence[Array]]) -> list[tuple[Array, ...]]:
        """`run` for each entry of `inputs`, loading the model once; state is reset before each."""
        outputs: list[tuple[Array, ...]] = self._call("run_many", model, inputs)
        return outputs

    def run_stream(
        self, model: bytes, inputs: Sequence[Sequence[Array]], resets: Collection[int] = ()
    ) -> list[tuple[int, tuple[Array, ...]]]:
        """(status, outputs) of one inference after another; state lives on, but is reset before those in `resets`.

        The status is 0, or 1 where Invoke failed (without outputs), or 15 where an operator ended it early.
        """
        answers: list[tuple[int, tuple[Array, ...]]] = self._call("run_stream", model, (inputs, tuple(resets)))
        return answers

    def tensors(self, model: bytes, inputs: Sequence[Array]) -> Tensors:
        """Every input, variable and computed tensor after one run by (subgraph, tensor index); no constants."""
        tensors: Tensors = self._call("tensors", model, inputs)
        return tensors

    def tensor_stream(
        self, model: bytes, inputs: Iterable[Sequence[Array]], resets: Collection[int] = ()
    ) -> Iterator[tuple[int, Tensors]]:
        """(status, `tensors`) of one inference after another, as `run_stream` makes them; TFLM only.

        One at a time, for all of them may be too many to hold; and so one stream at a time. Raises at once what
        loading the model raises: TFLM cannot keep the tensors of a file that plans its own memory
        (OfflineMemoryAllocation), for which its `LinearMemoryPlanner` has no room.
        """
        self._call("watch", model, None)
        return (self._call("tensors_after", b"", (arrays, k in resets)) for k, arrays in enumerate(inputs))

    def arena(self, model: bytes) -> tuple[int, int, int]:
        """(total, head, tail) in bytes, as the recording allocator counts what the model takes of its arena."""
        total, head, tail = self._call("arena", model, None)
        return total, head, tail

    def fits(self, model: bytes, arena_size: int) -> bool:
        """Whether TFLM allocates the model in an arena of that many bytes; some kernels crash where it is too small."""
        try:
            answer: bool = self._call("fits", model, arena_size)
        except OracleCrash:
            return False
        return answer

    def accepts(self, model: bytes) -> bool:
        """Whether TFLM allocates and runs the model, on inputs of zeros."""
        answer: bool = self._call("accepts", model, None)
        return answer

    def close(self) -> None:
        """Stop the worker; the next call would start another."""
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

    def _start(self) -> subprocess.Popen[bytes]:
        self._connection, theirs = Pipe()
        with theirs:
            return subprocess.Popen(
                [sys.executable, __file__, self.worker, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(min(ARENA_SIZES) // 2)},
            )

    def _call(self, task: str, model: bytes, inputs: Any) -> Any:
        self._process = self._process or self._start()
        try:
            self._connection.send((task, bytes(model), inputs))
            if not self._connection.poll(self.timeout):
                self.close()
                raise OracleTimeout(f"{self.worker} gave no answer within {self.timeout:g} s")
            refused, answer = self._connection.recv()
        except (EOFError, ConnectionError):
            status = self._process.wait()
            self.close()
            how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            printed = self._printed() or "it printed nothing"
            raise OracleCrash(f"{self.worker} died ({how}): {printed}") from None
        except KeyboardInterrupt:  # the answer under way must not be taken for the next call's
            self.close()
            raise
        printed = self._printed()
        if refused:
            raise OracleRefusal(f"{printed}\n{answer}".strip())
        return answer

    def _printed(self) -> str:
        """What the worker printed since the last call. (Both processes share the file's position.)"""
        self._log.seek(0)
        text = self._log.read().decode(errors="replace").strip()
        self._log.seek(0)
        self._log.truncate()
        return text


class Tflm(Oracle):
    """The real TFLM, from the pinned `tflite-micro` wheel: reference kernels, built for x86-64."""

    dialect, name = "tflm", "TFLM"

    def __init__(self, timeout: float = 60.0) -> None:
        super().__init__("tflm", timeout)


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


# ---- the worker's side ------------------------------------------------------------------------------------


def _computed(model: bytes) -> Iterator[tuple[int, int]]:
    """(subgraph, tensor index) of each graph input, variable and operator output that NumPy can hold."""
    unreadable = {tflite.TensorType.STRING, tflite.TensorType.RESOURCE, tflite.TensorType.VARIANT}
    root = tflite.Model.GetRootAsModel(model, 0)
    for g in range(root.SubgraphsLength()):
        graph = root.Subgraphs(g)
        ops = [graph.Operators(i) for i in range(graph.OperatorsLength())]
        indices = {graph.Inputs(i) for i in range(graph.InputsLength())}
        indices |= {op.Outputs(i) for op in ops for i in range(op.OutputsLength())}
        indices |= {i for i in range(graph.TensorsLength()) if graph.Tensors(i).IsVariable()}
        yield from ((g, i) for i in sorted(indices - {-1}) if graph.Tensors(i).Type() not in unreadable)


def _tflm_tasks() -> Mapping[str, Callable[..., Any]]:
    from tflite_micro.python.tflite_micro import _runtime

    def resources(model: bytes) -> int:
        """How many resource variables the model has: what TFLM reserves room for."""
        root = tflite.Model.GetRootAsModel(model, 0)
        codes = [root.OperatorCodes(i) for i in range(root.OperatorCodesLength())]
        kinds = [max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes]
        if tflite.BuiltinOperator.VAR_HANDLE not in kinds:
            return 0
        graphs = [root.Subgraphs(i) for i in range(root.SubgraphsLength())]
        ops = (graph.Operators(i) for graph in graphs for i in range(graph.OperatorsLength()))
        return len({named(op) for op in ops if kinds[op.OpcodeIndex()] == tflite.BuiltinOperator.VAR_HANDLE})

    def named(op: Any) -> tuple[bytes, bytes]:
        options, table = tflite.VarHandleOptions(), op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options.Container(), options.SharedName()

    def load(model: bytes, config: Any) -> Any:
        """An interpreter with as large an arena as it needs.

        `runtime.Interpreter` would unpack the whole file in Python only to count its resource variables, and
        that takes longer than running a small model: hence this call of what it wraps.
        """
        for size in ARENA_SIZES:
            start = os.lseek(2, 0, os.SEEK_CUR)
            try:
                return _runtime.InterpreterWrapper(model, [], size, resources(model), config, 0)
            except RuntimeError:
                printed = os.pread(2, 1 << 16, start).lower()
                if size == ARENA_SIZES[-1] or not any(word in printed for word in (b"arena", b"alloc", b"resize")):
                    raise
                os.ftruncate(2, start)
                os.lseek(2, start, os.SEEK_SET)
        raise AssertionError("unreachable")

    def invoke(interpreter: Any, inputs: Sequence[Array]) -> None:
        for i, array in enumerate(inputs):
            interpreter.SetInputTensor(array, i)
        interpreter.Invoke()

    def run_many(model: bytes, inputs: Sequence[Sequence[Array]]) -> list[tuple[Array, ...]]:
        graph = tflite.Model.GetRootAsModel(model, 0).Subgraphs(0)
        interpreter = load(model, _runtime.PythonInterpreterConfig.kAllocationRecording)
        answers = []
        for arrays in inputs:
            interpreter.Reset()
            invoke(interpreter, arrays)
            answers.append(tuple(interpreter.GetOutputTensor(i) for i in range(graph.OutputsLength())))
        return answers

    def status_of(interpreter: Any, inputs: Sequence[Array], reset: bool) -> int:
        """What Invoke returns."""
        if reset:
            interpreter.Reset()
        for i, array in enumerate(inputs):
            interpreter.SetInputTensor(array, i)
        try:
            return int(interpreter.Invoke() or 0)
        except RuntimeError:
            return 1

    def run_stream(model: bytes, stream: tuple[Sequence[Sequence[Array]], Sequence[int]]) -> Any:
        graph = tflite.Model.GetRootAsModel(model, 0).Subgraphs(0)
        interpreter = load(model, _runtime.PythonInterpreterConfig.kAllocationRecording)
        answers = []
        for k, arrays in enumerate(stream[0]):
            status = status_of(interpreter, arrays, k in stream[1])
            count = 0 if status == 1 else graph.OutputsLength()
            answers.append((status, tuple(interpreter.GetOutputTensor(i) for i in range(count))))
        return answers

    def tensors(model: bytes, inputs: Sequence[Array]) -> Tensors:
        interpreter = load(model, _runtime.PythonInterpreterConfig.kPreserveAllTensors)
        invoke(interpreter, inputs)
        return read(interpreter, _computed(model))

    def read(interpreter: Any, places: Iterable[tuple[int, int]]) -> Tensors:
        return {(g, i): interpreter.GetTensor(i, g)["tensor_data"] for g, i in places}

    watched: list[Any] = []

    def watch(model: bytes, _: None) -> None:
        watched.clear()  # and its arena, before there is another
        watched.extend((load(model, _runtime.PythonInterpreterConfig.kPreserveAllTensors), list(_computed(model))))

    def tensors_after(_: bytes, inference: tuple[Sequence[Array], bool]) -> tuple[int, Tensors]:
        interpreter, places = watched
        return status_of(interpreter, *inference), read(interpreter, places)

    def arena(model: bytes, _: None) -> list[int]:
        interpreter = load(model, _runtime.PythonInterpreterConfig.kAllocationRecording)
        start = os.lseek(2, 0, os.SEEK_CUR)
        interpreter.PrintAllocations()
        printed = os.pread(2, 1 << 16, start).decode()
        return [int(n) for n in re.findall(r"Arena allocation (?:total|head|tail) (\d+)", printed)]

    def fits(model: bytes, size: int) -> bool:
        try:
            config = _runtime.PythonInterpreterConfig.kAllocationRecording
            _runtime.InterpreterWrapper(model, [], size, resources(model), config, 0)
        except RuntimeError:
            return False
        return True

    def accepts(model: bytes, _: None) -> bool:
        try:
            return not load(model, _runtime.PythonInterpreterConfig.kAllocationRecording).Invoke()
        except RuntimeError:
            return False

    tasks = (run_many, run_stream, tensors, watch, tensors_after, arena, fits, accepts)
    return {task.__name__: task for task in tasks}


def _litert_tasks(resolver: str) -> Mapping[str, Callable[..., Any]]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = {"ref": OpResolverType.BUILTIN_REF, "default": OpResolverType.AUTO}[resolver]

    def load(model: bytes, preserve: bool) -> Any:
        interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=kind,
            num_threads=1,
            experimental_preserve_all_tensors=preserve,
        )
        interpreter.allocate_tensors()
        return interpreter

    def invoke(interpreter: Any, inputs: Sequence[Array]) -> None:
        for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()

    def run_many(model: bytes, inputs: Sequence[Sequence[Array]]) -> list[tuple[Array, ...]]:
        interpreter = load(model, preserve=False)
        outputs = [detail["index"] for detail in interpreter.get_output_details()]
        answers = []
        for arrays in inputs:
            interpreter.reset_all_variables()
            invoke(interpreter, arrays)
            answers.append(tuple(interpreter.get_tensor(i) for i in outputs))
        return answers

    def tensors(model: bytes, inputs: Sequence[Array]) -> Tensors:
        interpreter = load(model, preserve=True)
        invoke(interpreter, inputs)
        return {(g, i): interpreter.get_tensor(i, g) for g, i in _computed(model)}

    return {"run_many": run_many, "tensors": tensors}


def _serve(tasks: Mapping[str, Callable[..., Any]], connection: Connection) -> None:
    """Answer (task, model, inputs) with (refused?, result or message) until the other side hangs up."""
    while True:
        try:
            task, model, inputs = connection.recv()
        except EOFError:
            return
        try:
            answer = (False, tasks[task](model, inputs))
        except (RuntimeError, ValueError, IndexError) as error:
            answer = (True, str(error))
        connection.send(answer)


def _main() -> None:
    parser = argparse.ArgumentParser(description="The oracle's worker process; see the module's docstring.")
    parser.add_argument("worker", choices=["tflm", "litert-ref", "litert-default"])
    parser.add_argument("fd", type=int, help="the inherited end of a multiprocessing pipe")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an abort is an answer here, not worth a core file
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    name, _, resolver = arguments.worker.partition("-")
    tasks = _tflm_tasks() if name == "tflm" else _litert_tasks(resolver)
    _serve(tasks, Connection(arguments.fd))


if __name__ == "__main__":
    _main()
