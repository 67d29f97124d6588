"""On a real Dask cluster, a worker of which is killed in the middle, everything comes out as it does alone."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest

from refengine import InputError, parallel
from refengine.commands import main
from refengine.parallel import workers
from refengine.tensors.datasets import bundled_digits

distributed = pytest.importorskip("distributed", reason="the extra `distributed` is not installed")

ROOT = Path(__file__).parents[1]
PATHS = {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tools")))}
QUIET = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler here, and two workers in processes of their own, which are replaced when they die."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **QUIET) as two:
        yield two


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=os.environ | PATHS, cwd=ROOT)


def output(process: subprocess.Popen[str]) -> str:
    printed, complaints = process.communicate()
    assert process.returncode in (0, 1), complaints  # 1: something was found
    return printed


def busy_worker(cluster: Any, process: subprocess.Popen[str]) -> str:
    """Waits until a task is done; the address of a worker that is at another, for `process`."""

    async def look() -> str | None:
        tasks = list(cluster.scheduler.tasks.values())
        done = any(task.state == "memory" for task in tasks)
        return next((task.processing_on.address for task in tasks if done and task.processing_on), None)

    while (address := cluster.sync(look)) is None:
        assert process.poll() is None, process.communicate()
        sleep(0.02)
    return str(address)


def output_despite_a_death(cluster: Any, *arguments: object) -> str:
    """What a command prints that lets the cluster work for it, which loses a worker while that is at a task."""
    with distributed.Client(cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)
        process = started(*arguments, "--scheduler", cluster.scheduler_address)
        victim = busy_worker(cluster, process)
        os.kill(pids[victim], signal.SIGKILL)
        printed = output(process)
        assert victim not in client.run(os.getpid)
    return printed


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled digits, ten times over, as MNIST's files."""
    folder = tmp_path_factory.mktemp("digits")
    for array, name in zip(bundled_digits(), ("images-idx3", "labels-idx1"), strict=True):
        many = np.concatenate([array] * 10)
        header = np.array([0x800 + many.ndim, *many.shape], ">u4")
        (folder / f"t10k-{name}-ubyte").write_bytes(header.tobytes() + many.tobytes())
    return folder


@pytest.mark.slow
def test_evaluate(cluster: Any, digits: Path) -> None:
    command = ("-m", "refengine", "evaluate", "esp32_int8", "--data", digits, "--json")
    alone, together = (
        [line for line in printed.splitlines() if "seconds" not in line and "per_second" not in line]
        for printed in (output(started(*command)), output_despite_a_death(cluster, *command))
    )
    assert together == alone


@pytest.mark.slow
def test_conformance(cluster: Any) -> None:
    pytest.importorskip("tflite_micro", reason="the oracle's wheel is not installed")
    command = ("tools/conformance.py", "--op", "MAX_POOL_2D", "--cases", 600, "--json")
    assert output_despite_a_death(cluster, *command) == output(started(*command))


def add_is_wrong(case: Any) -> Any:
    """A kernel to fuzz."""
    return case.expected & 127 if case.op == "ADD" else case.expected


@pytest.mark.slow
def test_fuzz(cluster: Any) -> None:
    operators = ("--operator", "ADD", "CONV_2D", "--type", "int8", "--cases", 750)
    command = ("-m", "refengine", "fuzz", "--callable", "tests.test_cluster:add_is_wrong", *operators, "--json")
    printed = output_despite_a_death(cluster, *command)
    assert [bool(result["findings"]) for result in json.loads(printed)["results"]] == [True, False]
    assert printed == output(started(*command))


@pytest.mark.slow
def test_quantize(cluster: Any, tmp_path: Path) -> None:
    pictures, _ = bundled_digits()
    np.save(tmp_path / "digits.npy", np.concatenate([pictures[..., np.newaxis] / np.float32(255)] * 5))
    out = tmp_path / "int8.tflite"
    options = ("--data", tmp_path / "digits.npy", "--limit", 500, "--method", "entropy", "--report", "-o", out)
    command = ("-m", "refengine", "quantize", "stm32f746_float32", *options)
    together = output_despite_a_death(cluster, *command), out.read_bytes()
    assert together == (output(started(*command)), out.read_bytes())


@pytest.mark.slow
def test_another_refengine_is_refused(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "sources", lambda: "something else")
    with (
        pytest.raises(InputError, match=r"^the worker at tcp:.* has another refengine than runs here; install"),
        workers(scheduler=cluster.scheduler_address),
    ):
        pass


@pytest.mark.slow
def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(parallel, "PATIENCE", 0.1)
    for address in ("tcp://127.0.0.1:1", "nonsense", ""):
        assert main(["evaluate", "dense_int8", "--scheduler", address]) == 2
        complaint = capsys.readouterr().err
        assert complaint.startswith(f"refengine: no Dask scheduler answers at '{address}': ")
        assert complaint.count("\n") == 1


@pytest.mark.slow
def test_nobody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PATIENCE", 1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, **QUIET) as empty,
        pytest.raises(InputError, match=r"has no workers; start some: dask worker inproc:"),
        workers(scheduler=empty.scheduler_address),
    ):
        pass


@pytest.mark.slow
def test_the_scheduler_goes(digits: Path) -> None:
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, **QUIET) as cluster:
        address = cluster.scheduler_address
        process = started("-m", "refengine", "evaluate", "esp32_int8", "--data", digits, "--scheduler", address)
        busy_worker(cluster, process)
    _, complaints = process.communicate()
    assert process.returncode == 2
    assert complaints.splitlines()[-1] == f"refengine: the scheduler at {address} is gone"
