"""What Windows and macOS would meet, as far as Linux can tell: parts that are POSIX's, consoles, files, processes.

Nothing here runs on Windows or macOS; `refengine manual platforms` says so.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import refengine
from refengine import errors, execute, reducer
from refengine.commands import main
from refengine.device.qemu import build
from refengine.files import write, write_npz
from refengine.fuzzer import Emulator, Library
from refengine.processes import command_of, words_of
from refengine.text import ALIKE, encodable

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "refengine"

MODULES = {"curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
"""Modules that Windows lacks (readline and curses are not in every Python elsewhere, either)."""

OS = "chown fork forkpty getpgid getuid killpg mkfifo openpty sched_getaffinity setsid sysconf uname wait waitid"
SIGNAL = "ITIMER_REAL SIGALRM SIGHUP SIGKILL SIGPIPE SIGUSR1 SIG_BLOCK alarm pause pthread_sigmask setitimer sigwait"
PIPES = {"select.select", "selectors.DefaultSelector", "socket.AF_UNIX"}
NAMES = {f"os.{name}" for name in OS.split()} | {f"signal.{name}" for name in SIGNAL.split()} | PIPES
"""Calls and constants that Windows lacks, or has for sockets only."""

LAST_NAMES = {name.rpartition(".")[2] for name in NAMES}

KEYWORDS = {"pass_fds", "preexec_fn", "start_new_session"}
"""Options of `subprocess` that do nothing there, or are refused."""

POSIX = {
    "refengine/device/qemu.py": {"pass_fds"},  # refused by `build`
    "refengine/fuzzer/child.py": {"signal.ITIMER_REAL", "signal.setitimer"},  # whom `Library` starts, which is refused
    "refengine/fuzzer/doors.py": {"signal.SIGALRM"},  # in `Library`
    "refengine/fuzzer/server.py": {"selectors.DefaultSelector", "start_new_session"},  # refused by `ProcessLine`
    "refengine/parallel.py": {"signal.SIG_BLOCK", "signal.pthread_sigmask"},  # where os.name is posix
    "refengine/processes.py": {"os.killpg", "signal.SIGKILL", "start_new_session"},  # likewise; the last does nothing
}
"""By file, the parts that are POSIX's, and what is there instead."""


@cache
def sources() -> dict[str, ast.Module]:
    """The package's files, parsed; not while tests are collected, which every process does."""
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def posix_parts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ({f"{node.module}.{alias.name}" for alias in node.names} & NAMES)
            yield from {str(node.module)} & MODULES
        elif isinstance(node, ast.Attribute) and node.attr in LAST_NAMES:
            yield from {ast.unparse(node)} & NAMES
        elif isinstance(node, ast.keyword):
            yield from {str(node.arg)} & KEYWORDS


@pytest.mark.slow
def test_the_posix_parts_are_few_and_known() -> None:
    found = {name: {*posix_parts(tree)} for name, tree in sources().items()}
    assert {name: parts for name, parts in found.items() if parts} == POSIX


@pytest.mark.parametrize(
    "source",
    ["import fcntl", "from resource import getrlimit", "os.fork()", "f(preexec_fn=g)", "from signal import alarm"],
)
def test_a_posix_part_is_found(source: str) -> None:
    assert [*posix_parts(ast.parse(source))]


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("a library of kernels", lambda: Library("mine.dll")),
        ("an emulator at the other end of a pipe", lambda: Emulator("qemu-system-arm").open()),
        ("firmware in an emulator", lambda: build("mps2-an500", refengine.make_plan("dense_int8"), Path())),
    ],
)
def test_what_windows_cannot_do_is_refused_in_a_sentence(
    what: str, call: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "POSIX", False)
    with pytest.raises(
        refengine.InputError, match=f"{what}.* needs Linux or macOS, and this is .*; inside WSL it runs"
    ):
        call()


# ---- processes -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_are_started_by_spawn_everywhere() -> None:
    """As Windows and macOS start them: what a worker needs is pickled, and modules are imported anew."""
    calls = [
        ast.unparse(node)
        for tree in sources().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and "multiprocessing" in ast.unparse(node.func)
    ]
    assert calls == ["multiprocessing.get_context('spawn')"]
    assert not [name for name, tree in sources().items() if "ProcessPoolExecutor(" in ast.unparse(tree)]


# ---- consoles and files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_a_console_with_a_code_page_gets_what_looks_alike(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    seven, commands = str(ROOT / "tests" / "data" / "seven.png"), "goto 2; show out[48:54]; info arena; nonsense"
    command = ["-m", "refengine", "debug", "stm32f746_int8", "--input", seven, "--digit", "--command", commands]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert b"->" in done.stdout
    picture = done.stdout.decode(encoding).splitlines()[2:9]
    assert any("#" in line or "█" in line for line in picture) and not any("?" in line for line in picture)


def test_what_is_written_looks_alike_and_the_rest_is_a_question_mark() -> None:
    assert encodable("1×2 → “3” …", "ascii") == "1x2 -> ?3? ..."
    assert encodable("1×2 → “3” …", "cp1252") == "1×2 -> “3” …"
    assert encodable("1×2 → “3” …", None) == "1×2 → “3” …"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", ALIKE)


@pytest.mark.slow
def test_a_python_script_on_such_a_console_may_print() -> None:
    script = (
        "import numpy as np, refengine\n"
        "plan, x = refengine.make_plan('dense_int8'), np.zeros((1, 28, 28, 1), np.int8)\n"
        "records = [*refengine.execute(plan, x)]\n"
        "report = refengine.diff(plan, {records[-1].step.outputs[0].index: records[-1].outputs[0] ^ 1}, x)\n"
        "print(plan, repr(plan.steps[0]), records, refengine.load('dense_int8'), str(plan.model))\n"
        "print(report, repr(report), refengine.Interpreter('dense_int8'))\n"
        "print(refengine.explain(plan, records[-1], (0, 3)), plan.graph.ops[0], [*refengine.health(plan, [(x,)])])\n"
        "print(refengine.inspect(plan), refengine.Session(plan), plan.numerics)\n"
        "print(refengine.InputError('1 → 2 …'))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"->" in done.stdout and b"1 -> 2 \x85" in done.stdout


def test_a_python_script_on_such_a_console_may_debug() -> None:
    call = "refengine.debug('dense_int8', np.zeros((1, 28, 28, 1), np.int8), commands='show')"
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "0"}
    subprocess.run(
        [sys.executable, "-c", f"import numpy as np, refengine; {call}"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )


def text_without_encoding(tree: ast.AST) -> Iterator[str]:
    """Calls that read or write text in whatever encoding a machine has."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function, given = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
        opens = function == "open" and not any("b" in ast.unparse(mode) for mode in call.args[1:2])
        as_text = any(keyword.arg == "text" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)
        text = function.rpartition(".")[2] in ("read_text", "write_text") or as_text  # of subprocess
        if (opens or text) and "encoding" not in given:
            yield ast.unparse(call)


@pytest.mark.slow
def test_text_files_are_of_one_encoding_everywhere() -> None:
    found = {name: [*text_without_encoding(tree)] for name, tree in sources().items()}
    assert {name: calls for name, calls in found.items() if calls} == {
        "refengine/fuzzer/child.py": ["open(os.devnull)"]
    }


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are seen in /proc only")
@pytest.mark.parametrize(
    "command",
    [
        ["quantize", "{}/float.tflite", "-o", "{}/x.npy", "--data", "{}/real.npy"],
        [
            "debug",
            "dense_int8",
            "--input",
            "{}/x.npy",
            "--command",
            "save all {0}/d.npz; compare {0}/d.npz; save 0 {0}/d.npz",
        ],
        ["diff", "dense_int8", "{}/d.npz", "--html", "{}/d.html"],
    ],
)
def test_no_file_is_replaced_while_it_is_open(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which Windows refuses."""
    replace, replaced = os.replace, list[str]()

    def strictly(source: str, target: str) -> None:
        held = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir() if link.exists()}
        assert not held & {os.path.realpath(source), os.path.realpath(target)}
        replaced.append(str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", strictly)
    (tmp_path / "float.tflite").write_bytes(refengine.bundled.bundled_models()["stm32f746_float32"].read_bytes())
    np.save(tmp_path / "real.npy", np.random.default_rng(0).random((4, 28, 28, 1), np.float32))
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28, 1), np.int8))
    plan = refengine.make_plan("dense_int8")
    (y,) = refengine.run(plan, np.zeros((1, 28, 28, 1), np.int8))
    write_npz(tmp_path / "d.npz", {"t0": np.zeros((1, 28, 28, 1), np.int8), f"t{plan.outputs[0].index}": y})
    assert main([part.format(tmp_path) for part in command]) == 0
    assert replaced


def test_a_file_that_somebody_holds_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: str, target: str) -> None:
        raise PermissionError(13, "The process cannot access the file", str(source), 32, str(target))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(PermissionError) as found:
        write(tmp_path / "held.npz", b"")
    assert found.value.filename == str(tmp_path / "held.npz") and not list(tmp_path.iterdir())


# ---- another BLAS ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stm32f746_int8", "stm32f746_float32"])
def test_a_blas_that_nobody_can_limit_gives_the_same_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = refengine.make_plan(name)
    x = refengine.quantize_input(plan, np.random.default_rng(0).random((300, 28, 28, 1)))
    (expected,) = refengine.run(plan, x)
    asked: list[Any] = []

    def unknown() -> Any:
        """What threadpoolctl finds where NumPy has Apple's Accelerate: nothing that it knows."""
        asked.append(ThreadpoolController().select(user_api="nobody's"))
        return asked[-1]

    monkeypatch.setattr(sys.modules[execute.__module__], "_blas", unknown)
    (found,) = refengine.run(plan, x)
    assert found.tobytes() == expected.tobytes() and [each.info() for each in asked] == [[]]


# ---- command lines ---------------------------------------------------------------------------------------------

COMMANDS = [
    [r"C:\tools\rt.exe", "{model}"],
    [r"C:\Program Files\rt.exe", "--say", 'a "b" c', "{model}", ""],
    ["a\\\\", 'b"', 'c\\"', "d e\\", "it's"],
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_split_as_windows_does_it_there(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert words_of(command_of(words)) == words
    monkeypatch.setattr(errors, "POSIX", False)
    assert words_of(command_of(words)) == words
    assert words_of(r"C:\tools\rt.exe {model}  {inputs}") == [r"C:\tools\rt.exe", "{model}", "{inputs}"]
    assert reducer.Command(r"C:\tools\rt.exe {model}").words[0] == r"C:\tools\rt.exe"
    with pytest.raises(errors.InputError, match="cannot be split into words: No closing quotation"):
        words_of('rt.exe "{model}')
