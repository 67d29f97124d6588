"""The oracle's side that loads a wheel: a process that answers over a pipe, see `oracle.py`.

    python tools/oracle_worker.py WORKER FD [--apart]

It runs in any environment with numpy, tflite and a wheel of TFLM or LiteRT, old ones too; not with refengine.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import re
import resource
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tflite

Array = npt.NDArray[Any]
Tensors = dict[tuple[int, int], Array]
Call = tuple[str, bytes, Any]  # task, model, inputs

ARENA_SIZES = (1 << 20, 1 << 24, 1 << 28, 1 << 31)  # bytes; TFLM gets the next one when it runs out of arena

_LIBC = ctypes.CDLL(None)
_LIBC.malloc.argtypes, _LIBC.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
_LIBC.sbrk.argtypes, _LIBC.sbrk.restype = [ctypes.c_ssize_t], ctypes.c_void_p
_LIBC.free.argtypes, _LIBC.free.restype = [ctypes.c_void_p], None

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a child gets when its parent dies


@cache
def tflm_runtime() -> Any:
    """The wheel's extension module, without the package around it, which needed TensorFlow until 2024.

    Raises `ModuleNotFoundError` where there is no wheel.
    """
    package = importlib.util.find_spec("tflite_micro")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'tflite_micro'")
    (path,) = (Path(package.origin).parent / "python" / "tflite_micro").glob("_runtime*.so")
    spec = importlib.util.spec_from_file_location("_runtime", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _unused(size: int) -> Iterator[None]:
    """Have the next block of so many bytes come from the system, all zeros: what was freed and would do is held
    meanwhile, for glibc looks there first, however large the block.

    Blocks from the system lie above where the heap ends now.
    """
    held, end = [], _LIBC.sbrk(0)
    while (block := _LIBC.malloc(size)) and block < end:
        held.append(block)
    _LIBC.free(block)
    try:
        yield
    finally:
        for block in held:
            _LIBC.free(block)


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
    _runtime = tflm_runtime()
    takes_decompression_memory = _runtime.InterpreterWrapper.__init__.__doc__.count("arg") > 5  # from 966490148 on

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

    def interpreter_of(model: bytes, size: int, config: Any) -> Any:
        last = (0,) if takes_decompression_memory else ()
        with _unused(size):
            return _runtime.InterpreterWrapper(model, [], size, resources(model), config, *last)

    def load(model: bytes, config: Any) -> Any:
        """An interpreter with as large an arena as it needs.

        `runtime.Interpreter` would unpack the whole file in Python only to count its resource variables, and
        that takes longer than running a small model: hence this call of what it wraps.
        """
        for size in ARENA_SIZES:
            start = os.lseek(2, 0, os.SEEK_CUR)
            try:
                return interpreter_of(model, size, config)
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
            interpreter_of(model, size, _runtime.PythonInterpreterConfig.kAllocationRecording)
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


def _serve(tasks: Mapping[str, Callable[..., Any]], connection: Connection, apart: bool) -> None:
    """Answer (task, model, inputs) with (refused?, result or message) until the other side hangs up.

    Several may come in one message, as the inputs of "each"; its result has None for those that are refused. Where each
    message is answered `apart`, one at which the child died is answered with (None, its exit status).
    """

    def each(_: bytes, calls: Sequence[Call]) -> list[Any]:
        answers = (_perform(tasks[task], model, inputs) for task, model, inputs in calls)
        return [None if refused else result for refused, result in answers]

    perform, known = _apart if apart else _perform, {**tasks, "each": each}
    while True:
        try:
            task, model, inputs = connection.recv()
        except EOFError:
            return
        connection.send(perform(known[task], model, inputs))


def _perform(task: Callable[..., Any], model: bytes, inputs: Any) -> tuple[bool, Any]:
    try:
        return False, task(model, inputs)
    except (RuntimeError, ValueError, IndexError) as error:
        return True, str(error)


def _apart(task: Callable[..., Any], model: bytes, inputs: Any) -> tuple[bool | None, Any]:
    """Perform the task in a child, whose death costs a hundredth of what loading the wheel anew does."""
    ours, theirs = Pipe(duplex=False)
    child = os.fork()
    if not child:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it may hang, and then this process is killed
        theirs.send(_perform(task, model, inputs))
        os._exit(0)
    theirs.close()
    with ours:
        try:
            answer: tuple[bool | None, Any] = ours.recv()
        except EOFError:
            answer = None, 0
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (None, status) if answer[0] is None else answer


def _main() -> None:
    parser = argparse.ArgumentParser(description="The oracle's worker process; see the module's docstring.")
    parser.add_argument("worker", choices=["tflm", "litert-ref", "litert-default"])
    parser.add_argument("fd", type=int, help="the inherited end of a multiprocessing pipe")
    parser.add_argument("--apart", action="store_true", help="perform each task in a process of its own")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an abort is an answer here, not worth a core file
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    name, _, resolver = arguments.worker.partition("-")
    tasks = _tflm_tasks() if name == "tflm" else _litert_tasks(resolver)
    _serve(tasks, Connection(arguments.fd), arguments.apart)


if __name__ == "__main__":
    _main()
