"""Firmware on this computer: built with `make`, run by QEMU (or as a process: the board `host`), and stopped again."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from ..cexport import export
from ..errors import require_posix
from ..kernel import PRESETS
from ..model import Array
from ..plan import Plan, make_plan
from ..processes import finished
from .transport import DeviceError, SocketLine

HERE = Path(__file__).parent
FIRMWARE = next(
    (path for path in (HERE / "firmware", HERE.parents[1] / "firmware") if (path / "boards").is_dir()), HERE
)
"""Boards and application: beside this file in an installed package, else the repository's own."""

SHIFT = 6
"""QEMU's clock: 2^SHIFT virtual nanoseconds for every instruction, so that ticks are the same on every computer."""

DEBIAN = {
    "qemu-system-arm": "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    "qemu-system-riscv32": "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc",
}
"""The packages that a board needs, by its emulator."""

FAULTS = (
    "single_rounding", "round_down", "pad", "clamp", "zero_point", "output_offset", "missing_bias", "endianness",
    "narrow_accumulator", "transposed_weights", "swapped_channels", "pool_short", "softmax_beta", "no_reset",
)  # fmt: skip
"""What firmware may be built with, to see it found: those of `firmware/faults/faults.h` that need a name only."""


def boards() -> dict[str, dict[str, str]]:
    """The boards in `firmware/boards` by name, each with its settings (`NUMERICS`, `TICKS_PER_SECOND` …)."""
    files = sorted((FIRMWARE / "boards").glob("*/board.mk"))
    return {
        file.parent.name: dict(re.findall(r"^(\w+) :?= (.*)$", file.read_text(encoding="utf-8"), re.M))
        for file in files
    }


def board_settings(board: str) -> dict[str, str]:
    known = boards()
    if board not in known:
        raise DeviceError(f"no board '{board}'; there are: {', '.join(known) or 'none in this installation'}")
    return known[board]


def missing_tools(board: str) -> list[str]:
    """The programs that are needed for a board and not there."""
    settings = board_settings(board)
    emulator, compiler = _emulator(settings), settings.get("CROSS", "arm-none-eabi-") + "gcc"
    needed = ["make", *([compiler, emulator] if emulator else ["cc"])]
    return [tool for tool in needed if shutil.which(tool) is None]


def _emulator(settings: Mapping[str, str]) -> str:
    """The program that a board runs in; none for this computer's own."""
    return settings.get("QEMU", "").partition(" ")[0]


def build(
    board: str, source: Plan, folder: Path, *golden: Array, name: str = "model", options: Sequence[str] = ()
) -> Path:
    """Export the model for `board`, with the board's arithmetic, and build the firmware in `folder`; the image.

    `golden` is the built-in input (noise by default), `options` go to `make` (`FAULT=pad`). Raises `DeviceError` when
    tools are missing or the build fails, and what `export` raises.
    """
    require_posix("firmware in an emulator")
    settings = board_settings(board)
    numerics = PRESETS[settings["NUMERICS"]]
    if tools := missing_tools(board):
        packages = f"make {DEBIAN.get(_emulator(settings), 'gcc')}"
        raise DeviceError(f"{board} needs {' and '.join(tools)}; on Debian: sudo apt install {packages}")
    plan = make_plan(source.model, numerics=numerics, kernels=source.kernels, memory=source.memory)
    export(plan, folder / "model", *golden, name=name)
    command = [
        "make",
        "-s",
        "-j2",
        "-C",
        str(FIRMWARE),
        f"BOARD={board}",
        f"MODEL={folder / 'model'}",
        f"BUILD={folder}",
    ]
    made = finished([*command, *options], env=_environment())
    if made.returncode:
        said = made.stderr.decode(errors="replace").splitlines()
        problems = [line for line in said if "rror" in line or "***" in line]
        problem = problems[0] if problems else "see `make -C firmware`"
        raise DeviceError(f"the firmware for {board} does not build: {problem}")
    return folder / "app.elf"


class Emulator:
    """A board that runs an image: `line` is its UART 1, `console` its UART 0. Use it in a `with` statement.

    Whoever wants a console reads it: a board waits until what it says has room, and three greetings fill a socket.
    `has_console=False` lets UART 0 lead nowhere.
    """

    def __init__(self, board: str, image: Path, *, has_console: bool = True) -> None:
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        self.console, self.line = SocketLine(ours[0]), SocketLine(ours[1])
        self._monitor: socket.socket = ours[2]
        files = [end.fileno() for end in theirs]
        host = board == "host"
        command = [str(image)] if host else _qemu(board, image, files, has_console)
        environment = _environment() | ({"CONSOLE": str(files[0])} if host and has_console else {})
        self.process = subprocess.Popen(
            command,
            stdin=files[1] if host else subprocess.DEVNULL,
            stdout=files[1] if host else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=files,
            env=environment,
        )
        for end in theirs:
            end.close()

    def reset(self) -> None:
        """Press the board's reset button (QEMU only)."""
        self._monitor.sendall(b"system_reset\n")

    def close(self) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()
        for end in (self.line, self.console, self._monitor):
            end.close()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EmulatedLine:
    """UART 1 of a board that is built and started for it, and stopped when it is closed."""

    def __init__(self, board: str, plan: Plan, name: str = "model", options: Sequence[str] = ()) -> None:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="refengine-")))
            image = build(board, plan, folder, name=name, options=options)
            self.emulator = stack.enter_context(Emulator(board, image, has_console=False))
            self._stack = stack.pop_all()

    def send(self, data: bytes) -> None:
        self.emulator.line.send(data)

    def receive(self, timeout: float) -> bytes:
        return self.emulator.line.receive(timeout)

    def close(self) -> None:
        self._stack.close()


def _qemu(board: str, image: Path, files: Sequence[int], has_console: bool) -> list[str]:
    """Both UARTs and the monitor on sockets that the process inherits: no port to choose, no file to leave behind."""
    settings = board_settings(board)
    command = [*settings["QEMU"].split(), "-display", "none"]
    for name, file in zip(("console", "link", "monitor"), files, strict=True):
        leads_nowhere = name == "console" and not has_console
        command += ["-chardev", f"null,id={name}" if leads_nowhere else f"socket,id={name},fd={file}"]
    return [
        *command, "-serial", "chardev:console", *settings.get("UART1", "-serial chardev:link").split(),
        "-mon", "chardev=monitor,mode=readline", "-kernel", str(image),
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    """Ours, without what an outer `make` put there for its own children."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
