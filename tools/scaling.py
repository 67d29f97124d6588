"""How throughput grows with workers: pictures and conformance cases a second, by processes and by a local Dask cluster.

    python tools/scaling.py --data .cache/mnist

Every worker is one process with one thread. The workers are warm: that they start is not measured. Times grow and fall
with whatever else the machine does, so the ways take turns and each counts with its best round.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import conformance
import distributed
from rich.console import Console
from rich.table import Table

from refengine import evaluate, make_plan
from refengine.bundled import bundled_models
from refengine.parallel import Processes, workers
from refengine.tensors.datasets import bundled_digits, load_mnist

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
"""In bytes. As Dask sets them, glibc returns freed memory at once, and every temporary array costs page faults."""

KEYS = [("CONV_2D", "int8"), ("FULLY_CONNECTED", "int8"), ("ADD", "int8"), ("SOFTMAX", "int8")]

Job = Callable[[Executor | None, bool], int]


@contextmanager
def dask(count: int) -> Iterator[Executor | None]:
    """A cluster of `count` workers on this machine."""
    modules = conformance.modules()
    with (
        distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
        workers(scheduler=cluster.scheduler_address, modules=modules) as executor,
    ):
        yield executor


def jobs_of(arguments: argparse.Namespace) -> dict[str, Job]:
    """What is measured: a function that does it, or as little as warms workers up, and tells how much it did."""
    plan = make_plan(bundled_models()[arguments.model])
    images, labels = load_mnist(arguments.data) if arguments.data else bundled_digits()

    def pictures(executor: Executor | None, little: bool) -> int:
        chosen = slice(1000 if little else arguments.limit)
        *_, accuracy = evaluate(plan, images[chosen], labels[chosen], executor=executor)
        return accuracy.count

    def cases(executor: Executor | None, little: bool) -> int:
        count = 20 if little else arguments.cases // len(KEYS)
        tallies, _ = conformance.examine_all(KEYS, count, 0, executor, Console(quiet=True))
        return sum(tally.counts["cases"] for tally in tallies)

    return {f"{arguments.model}, images/s": pictures, "conformance, cases/s": cases}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="esp32_int8", help="a bundled network (default: %(default)s)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="MNIST's files (default: the bundled 100 digits)")
    parser.add_argument("--limit", type=int, default=10_000, help="pictures (default: %(default)s)")
    parser.add_argument("--cases", type=int, default=4_000, help="of conformance (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each has its turn (default: %(default)s)")
    arguments = parser.parse_args()
    os.environ.update(MALLOC)
    jobs = jobs_of(arguments)
    counts = sorted({1, 2, os.cpu_count() or 1})
    best: dict[tuple[str, str], float] = {}
    with ExitStack() as stack:
        ways: dict[str, Executor | None] = {"this process (all cores)": None}
        for count in counts:
            ways[f"--jobs: {count}"] = stack.enter_context(Processes(count))
        for count in counts:
            ways[f"Dask: {count}"] = stack.enter_context(dask(count))
        for name, job in jobs.items():
            for turn in range(arguments.rounds + 1):
                for way, executor in ways.items():
                    started = perf_counter()
                    done = job(executor, not turn)
                    if turn:
                        best[name, way] = max(best.get((name, way), 0), done / (perf_counter() - started))
    table = Table("workers")
    for name in jobs:
        table.add_column(name, justify="right")
        table.add_column("growth", justify="right")
    for way in ways:
        row = []
        for name in jobs:
            row += [f"{best[name, way]:,.0f}", f"{best[name, way] / best[name, '--jobs: 1']:.2f}×"]
        table.add_row(way, *row)
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
