"""Signals and processes: whatever ends a command, nothing of it is left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from refengine.processes import Terminated, finished, terminable, undisturbed

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "this takes too long"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_sigterm_is_a_kind_of_interrupt_and_everything_is_as_before_afterwards() -> None:
    with pytest.raises(Terminated) as caught, terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert isinstance(caught.value, KeyboardInterrupt) and caught.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_second_sigterm_does_not_disturb_the_cleaning_up() -> None:
    def twice() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated), terminable():
        twice()


def test_what_somebody_else_ignores_or_handles_is_left_to_them() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_signal_waits_for_what_must_not_be_disturbed() -> None:
    done = []

    def disturbed() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")

    with pytest.raises(Terminated), terminable():
        disturbed()
    assert done == ["all of it"]


def test_a_command_is_finished_with_what_it_wrote() -> None:
    done = finished(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
@pytest.mark.slow
def test_what_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! > {shlex.quote(str(tmp_path / 'pid'))}; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        finished(["sh", "-c", script], 1)
    child = int((tmp_path / "pid").read_text())
    until(lambda: not alive(child))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_no_process_and_no_folder_behind(tmp_path: Path, number: signal.Signals, jobs: str) -> None:
    """A real command that runs real commands, ended in the middle."""
    temporary, pids = tmp_path / "tmp", tmp_path / "pids"
    temporary.mkdir()
    pids.touch()
    script = f"echo $$ >> {shlex.quote(str(pids))}; sleep 1000 & echo $! >> {shlex.quote(str(pids))}; wait"
    command = f"sh -c {shlex.quote(script)} {{model}} {{outputs}}"
    arguments = ["fuzz", "--command", command, "--operator", "RELU", "ADD", "MUL", "SUB", "--jobs", jobs]
    process = subprocess.Popen(
        [sys.executable, "-m", "refengine", *arguments],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # whoever runs the tests may ignore some (nohup, &)
    )
    until(lambda: len(pids.read_text().split()) >= 2 * int(jobs))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))
    assert os.listdir(temporary) == []
