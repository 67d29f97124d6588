"""Work spread over processes and machines: any `concurrent.futures.Executor`, the same results whatever the split.

Whoever has much to do cuts it into tasks that do not depend on the number of workers, and folds the results, which
come in the tasks' order. Functions and tasks are pickled, so functions stand at the top of a module. What all tasks
need comes with the function, by `functools.partial`: a worker unpickles it once.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import pickle
import reprlib
import signal
import socket
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar
from weakref import WeakSet

from threadpoolctl import threadpool_limits

from .errors import InputError, RefengineError
from .processes import Terminated
from .text import kind_of

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

AHEAD = 256
"""How many tasks are handed out before their results are asked for: enough for many workers, bounded memory."""

ATTEMPTS = 3
"""How often a task is handed out before its worker's death is taken for its own doing."""

PATIENCE = 5
"""Seconds to wait for a cluster's scheduler, for its first worker, and between two looks whether it is still there."""


GRACE = 2
"""Seconds that a worker process has to put away what it has."""


def spread(function: Callable[[T], R], tasks: Iterable[T], executor: Executor | None = None) -> Iterator[R]:
    """`function(task)` of every task, in the tasks' order: here, one by one as they are asked for, or by `executor`.

    A task whose worker died is handed out again, `ATTEMPTS` times in all; then `RefengineError` says which. An executor
    that is beyond repair (a process pool that lost a process) is replaced by processes of this machine. What `function`
    raises is raised here. Whoever stops early takes back the tasks that have not begun.
    """
    if executor is None:
        yield from map(function, tasks)
        return
    if not callable(getattr(executor, "submit", None)):
        raise InputError(f"the executor is {kind_of(executor)}; give one of concurrent.futures, or parallel.workers")
    pickled = pickle.dumps(function)
    waiting: deque[_Handed[T, R]] = deque()
    with ExitStack() as stack:

        def submit(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
            nonlocal executor
            assert executor is not None
            try:
                return executor.submit(work, *arguments)
            except BrokenExecutor:
                executor = stack.enter_context(Processes(os.cpu_count() or 1))
                return executor.submit(work, *arguments)
            except Exception:
                waiting.clear()  # it takes nothing any more, and so nothing back
                raise

        def hand_out(task: T) -> Future[R]:
            return submit(_work, pickled, pickle.dumps(task))

        source = enumerate(tasks)
        try:
            while True:
                waiting += (_Handed(i, task, hand_out(task)) for i, task in islice(source, AHEAD - len(waiting)))
                if not waiting:
                    return
                while wait([waiting[0].future], PATIENCE).not_done:
                    submit(bool).cancel()  # fails if nobody is there any more; Dask may not tell its futures
                if not waiting[0].lost():
                    yield waiting.popleft().future.result()
                    continue
                for one in waiting:
                    if one.future.done() and one.lost():
                        if one.attempts == ATTEMPTS:
                            raise RefengineError(f"{one} lost its worker {ATTEMPTS} times; try it alone")
                        one.future, one.attempts = hand_out(one.task), one.attempts + 1
        finally:
            for one in waiting:
                one.future.cancel()


@contextmanager
def workers(jobs: int = 1, scheduler: str | None = None, modules: Iterable[str] = ()) -> Iterator[Executor | None]:
    """`jobs` processes of this machine, or the Dask cluster whose scheduler listens at `scheduler`; None for one job.

    `modules` are Python files that a cluster's workers must import and may not have; what they import comes first.
    What still runs at the end is abandoned. Raises `InputError` if the cluster cannot be reached or has no worker, if a
    worker's refengine is not the very one that runs here, or if the extra `distributed` is not installed.
    """
    if scheduler is not None:
        with _cluster(scheduler, modules) as executor:
            yield executor
    elif jobs > 1:
        with Processes(jobs) as executor:
            yield executor
    else:
        yield None


@dataclass
class _Handed(Generic[T, R]):
    """A task that is being done elsewhere."""

    number: int
    task: T
    future: Future[R]
    attempts: int = 1

    def __str__(self) -> str:
        return f"task {self.number} ({' '.join(reprlib.repr(self.task).split())})"

    def lost(self) -> bool:
        """Whether its worker died, now that it is done."""
        try:
            error = self.future.exception()
        except CancelledError:
            return True
        return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"  # Dask's


def _work(function: bytes, task: bytes) -> Any:
    """What a worker does. It unpickles here, where it may fail: in its main loop, Dask's would die of it."""
    try:
        work, arguments = _function(function), pickle.loads(task)
    except (ImportError, AttributeError) as error:
        raise InputError(f"a worker, on {socket.gethostname()}, cannot import what it is to do: {error}") from error
    return work(arguments)


@lru_cache(maxsize=2)
def _function(pickled: bytes) -> Callable[[Any], Any]:
    """Unpickled once, whatever comes with it (a model, most often)."""
    function: Callable[[Any], Any] = pickle.loads(pickled)
    return function


# ---- processes of this machine ---------------------------------------------------------------------------------


class Processes(ThreadPoolExecutor):
    """Processes with a thread here for each, so that one that dies takes only its own task along, and is replaced.

    (In `ProcessPoolExecutor` it takes all tasks and the whole pool, and nobody learns which task it was.) Leaving the
    `with` block ends the processes, whatever they do; they also end when this process does.
    """

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs, initializer=_block_interrupts)
        self._mine = threading.local()
        self._all: list[_Worker] = []
        self._starting = threading.Lock()
        self._ended = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        return super().submit(self._call, (fn, args, kwargs))

    def _call(self, work: tuple[Any, ...]) -> Any:
        if not hasattr(self._mine, "worker"):
            with self._starting:
                if self._ended:
                    raise BrokenExecutor("nobody waits for this any more")
                self._mine.worker = _Worker()
                self._all.append(self._mine.worker)
        try:
            return self._mine.worker.call(work)
        except BrokenExecutor:
            del self._mine.worker
            raise

    def __exit__(self, *exception: object) -> None:
        self.shutdown(wait=False, cancel_futures=True)
        with self._starting:
            self._ended = True
            for worker in self._all:
                worker.process.terminate()
        for worker in self._all:
            worker.process.join(GRACE)
            worker.process.kill()  # if its kernel does not return
            worker.process.join()
        self.shutdown()


class _Worker:
    """A process and the pipe to it."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def call(self, work: tuple[Any, ...]) -> Any:
        parcel = pickle.dumps(work)  # only now: hundreds may wait, and share what is large
        try:
            self.pipe.send_bytes(parcel)
            result, error, trace = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            raise BrokenExecutor("a worker process died") from None
        if error is not None:
            raise error from RuntimeError(f"in a worker process\n{trace}")
        return result


def _block_interrupts() -> None:
    """Ctrl-C is for the main thread: processes that this one starts do not hear of it, not even while they start."""
    if os.name == "posix":
        resource_tracker.ensure_running()  # whose start would unblock it again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _serve(pipe: Connection) -> None:
    """A worker process's life: as long as somebody holds the other end of its pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with threadpool_limits(1, user_api="blas"), suppress(EOFError, ConnectionError, Terminated):
        while True:
            work = pipe.recv_bytes()
            try:
                function, args, kwargs = pickle.loads(work)
                answer = pickle.dumps((function(*args, **kwargs), None, ""))
            except Exception as error:
                answer = pickle.dumps((None, error, traceback.format_exc()))
            pipe.send_bytes(answer)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End a worker process so that it puts away what it has: processes of its own, temporary folders.

    Not by SystemExit, which Hypothesis takes for a failure of what it tries.
    """
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(number)


# ---- a Dask cluster --------------------------------------------------------------------------------------------


@contextmanager
def _cluster(address: str, modules: Iterable[str]) -> Iterator[Executor]:
    try:
        import distributed
        from distributed.diagnostics.plugin import UploadFile
    except ImportError:
        raise InputError("a Dask cluster needs distributed: pip install 'refengine[distributed]'") from None
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, distributed.TimeoutError) as error:
        client, why = None, str(error)
    if client is None:
        # One that failed stops its loop when it is collected, by a lock that the next one holds while it starts: if
        # that were the moment, both would wait for ever.
        gc.collect()
        raise InputError(f"no Dask scheduler answers at {address!r}: {why}")
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except distributed.TimeoutError:
            raise InputError(f"the scheduler at {address} has no workers; start some: dask worker {address}") from None
        _require_same(client)
        for path in modules:
            try:
                client.register_plugin(UploadFile(path), name=path)
            except ImportError as error:
                raise InputError(f"a worker at {address} cannot import {path}: {error}") from None
        executor = _Cluster(client)
        try:
            yield executor
        except Exception:
            if client.status != "running":
                raise RefengineError(f"the scheduler at {address} is gone") from None
            raise
        finally:
            executor.cancel()
        _require_same(client)  # of those that came meanwhile, too


class _Cluster(Executor):
    """Like `Client.get_executor`, whose futures mistake a result for an error if its worker is lost just then."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._waiting = WeakSet[Future[Any]]()

    def cancel(self) -> None:
        """Wait for nothing any more: asyncio complains on stderr of what still waits when its loop has ended."""
        for future in tuple(self._waiting):
            future.cancel()

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        import asyncio  # as Dask does; nobody else here needs it

        future = self.client.submit(fn, *args, **kwargs, pure=False)  # which the scheduler forgets when we do

        async def result() -> R:
            return await future  # type: ignore[no-any-return]

        waiting = asyncio.run_coroutine_threadsafe(result(), self.client.loop.asyncio_loop)
        self._waiting.add(waiting)
        return waiting


def _require_same(client: Any) -> None:
    """Raise `InputError` unless all workers have this very refengine: another might differ, and in silence."""

    def asked() -> str:  # inside, so that it is sent itself and not its name
        from refengine.parallel import sources

        return sources()

    for address, answer in client.run(asked, on_error="return").items():
        if isinstance(answer, ImportError):
            raise InputError(f"the worker at {address} has no refengine ({answer}); install the same one for all")
        if answer != sources() and isinstance(answer, str):  # and no word of one that is just being lost
            raise InputError(f"the worker at {address} has another refengine than runs here; install the same for all")


@cache
def sources() -> str:
    """Identifies this very refengine: its version would not tell two checkouts apart."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
