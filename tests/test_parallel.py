"""refengine/parallel.py: the same results, in order, whoever computes them and whoever dies meanwhile."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from refengine import InputError, RefengineError
from refengine.commands import main
from refengine.parallel import AHEAD, ATTEMPTS, Processes, spread, workers

ROOT = Path(__file__).parents[1]


def square(x: int) -> int:
    return x * x


def dies_once(folder: Path, x: int) -> int:
    """Kills its process at two of the tasks, the first time."""
    flag = folder / str(x)
    if x in (1, 6) and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def dies(deadly: int, x: int) -> int:
    if x == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def inverse(x: int) -> float:
    if x < 0:
        raise InputError(f"{x} is negative")
    return 1 / x


def unpicklable(x: int) -> object:
    return lambda: x


def of_interrupts(_: object) -> object:
    return signal.getsignal(signal.SIGINT)


class KilledWorker(Exception):  # noqa: N818
    """Dask's is known by its name."""


class Fake(Executor):
    """Computes `many` tasks when they are handed out, but loses them first as `losses` tell; of others, never hears."""

    def __init__(self, losses: dict[int, list[Exception]] | None = None, many: int = 1 << 30) -> None:
        self.losses = losses or {}
        self.many = many
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if len(self.futures) < self.many:
            result = fn(*args, **kwargs)
            if self.losses.get(result):
                future.set_exception(self.losses[result].pop())
            else:
                future.set_result(result)
        self.futures.append(future)
        return future


# ---- spread ----------------------------------------------------------------------------------------------------


def test_alone_it_is_map_and_lazy() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for x in range(5):
            asked.append(x)
            yield x

    results = spread(square, tasks())
    assert asked == []
    assert next(results) == 0
    assert asked == [0]
    assert list(results) == [1, 4, 9, 16]


@pytest.mark.slow
@pytest.mark.parametrize("executor", [Fake, partial(ThreadPoolExecutor, 3), partial(Processes, 3)])
def test_results_come_in_the_tasks_order(executor: Callable[[], Executor]) -> None:
    with executor() as some:
        assert list(spread(square, range(2 * AHEAD), some)) == [x * x for x in range(2 * AHEAD)]
        assert list(spread(square, [], some)) == []


def test_few_tasks_are_handed_out_ahead() -> None:
    executor = Fake()
    results = spread(square, iter(range(10 * AHEAD)), executor)
    assert next(results) == 0
    assert len(executor.futures) == AHEAD
    next(results)
    assert len(executor.futures) == AHEAD + 1


def test_whoever_stops_early_takes_back_what_has_not_begun() -> None:
    executor = Fake(many=3)
    results = spread(square, range(10), executor)
    assert next(results) == 0
    assert isinstance(results, Generator)
    results.close()
    assert [future.cancelled() for future in executor.futures] == [False] * 3 + [True] * 7


@pytest.mark.slow
def test_what_a_task_raises_is_raised_here() -> None:
    with workers(2) as two:
        results = spread(inverse, [1, 2, -1, 4], two)
        assert [next(results), next(results)] == [1, 0.5]
        with pytest.raises(InputError, match=r"^-1 is negative$"):
            next(results)
        with pytest.raises(ZeroDivisionError) as caught:
            list(spread(inverse, [0], two))
        assert "in inverse" in str(caught.value.__cause__), "the traceback over there"
        with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
            list(spread(unpicklable, [1], two))
        assert list(spread(square, [5], two)) == [25], "none of this harms a worker"


# ---- losses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [BrokenExecutor, CancelledError, KilledWorker])
def test_a_lost_task_is_handed_out_again(loss: type[Exception]) -> None:
    tasks = list(range(50))
    executor = Fake({9: [loss()] * (ATTEMPTS - 1), 49 * 49: [loss()]})
    assert list(spread(square, tasks, executor)) == [x * x for x in tasks]
    assert len(executor.futures) == len(tasks) + ATTEMPTS


@pytest.mark.parametrize("loss", [BrokenExecutor, CancelledError, KilledWorker])
def test_but_not_forever(loss: type[Exception]) -> None:
    executor = Fake({9: [loss()] * ATTEMPTS})
    results = spread(square, range(50), executor)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    with pytest.raises(RefengineError, match=rf"^task 3 \(3\) lost its worker {ATTEMPTS} times"):
        next(results)


@pytest.mark.slow
def test_a_process_that_dies_takes_only_its_own_task_along(tmp_path: Path) -> None:
    with workers(2) as two:
        assert list(spread(partial(dies_once, tmp_path), range(20), two)) == list(range(20))
        assert len(list(tmp_path.iterdir())) == 2
        with pytest.raises(RefengineError, match=r"^task 7 \(7\) lost its worker 3 times"):
            list(spread(partial(dies, 7), range(20), two))
        assert list(spread(square, range(20), two)) == [x * x for x in range(20)]


# Python's own pool raises InvalidStateError in its thread where it breaks with tasks that were taken back.
@pytest.mark.slow
@pytest.mark.filterwarnings("default::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_pool_beyond_repair_is_replaced(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert list(spread(partial(dies_once, tmp_path), range(20), pool)) == list(range(20))
        with pytest.raises(BrokenExecutor):
            pool.submit(square, 1)


@pytest.mark.slow
def test_nor_does_a_task_that_kills_survive_that() -> None:
    with (
        ProcessPoolExecutor(2, get_context("spawn")) as pool,
        pytest.raises(RefengineError, match=r"^task 7 \(7\) lost its worker 3 times"),
    ):
        list(spread(partial(dies, 7), range(8), pool))


# ---- workers ---------------------------------------------------------------------------------------------------


def test_one_job_is_this_process() -> None:
    with workers(1) as executor:
        assert executor is None


def test_ctrl_c_is_for_the_parent_alone() -> None:
    with workers(2) as two:
        assert list(spread(of_interrupts, [0], two)) == [signal.SIG_IGN]


def test_processes_end_with_their_block_whatever_they_do() -> None:
    with Processes(2) as two:
        next(spread(sleep, [0, 1000, 1000], two))  # one is asleep by then, or starts, and one may follow
    assert two._all
    assert not any(worker.process.is_alive() for worker in two._all)


def test_processes_end_with_their_parent() -> None:
    """Even if that has no chance to say so."""
    script = (
        "from refengine.parallel import Processes; import os\n"
        "with Processes(1) as one: print(one.submit(os.getpid).result(), flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout, "the pipe ends with the last who holds it: this hangs, should the worker live on"


def test_what_a_worker_cannot_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("def f(x): return x\n")
    with workers(2) as two:
        list(spread(square, [1, 2], two))  # they have started, and with them their sys.path
        monkeypatch.syspath_prepend(tmp_path)
        from only_here import f  # type: ignore[import-not-found]

        with pytest.raises(InputError, match="cannot import what it is to do: No module named 'only_here'"):
            list(spread(f, [1], two))


def test_without_distributed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["evaluate", "dense_int8", "--scheduler", "tcp://127.0.0.1:8786"]) == 2
    assert capsys.readouterr().err == (
        "refengine: a Dask cluster needs distributed: pip install 'refengine[distributed]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--jobs", "0"], "'0' is no positive number"), (["--jobs", "2", "--scheduler", "x"], "not allowed with")],
)
def test_options_that_make_no_sense(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "dense_int8", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
