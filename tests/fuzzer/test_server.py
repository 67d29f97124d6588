"""The C server: over pipes, a socket, and in an emulated Cortex-M7 by semihosting; it comes back after a crash."""

from __future__ import annotations

import pickle
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refengine.errors import InputError
from refengine.fuzzer import Case, Emulator, Port, check, fuzz
from refengine.fuzzer.files import SERVER
from refengine.kernel import PRESETS
from tests.fuzzer.test_case import dense
from tests.fuzzer.test_doors import ADAPTER, WRITE

FUZZ = Path(__file__).parents[2] / "firmware" / "fuzz"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

Built = Callable[..., Path]


@pytest.fixture
def server(tmp_path: Path) -> Built:
    """A server on this computer whose kernel is some statements."""

    def build(statements: str, *flags: str, source: Path = SERVER.parent) -> Path:
        kernel, program = tmp_path / "kernel.c", tmp_path / "server"
        kernel.write_text(ADAPTER % (", ".join(map(str, dense().expected.ravel())), statements))
        files = [str(source / SERVER.name), str(kernel), f"-I{source}", "-o", str(program)]
        subprocess.run(["cc", "-O1", *flags, *files], check=True)
        return program

    return build


def outcome(door: Emulator | Port, case: Case | None = None) -> tuple[str, str]:
    found = check(door, case or dense())
    return found.kind, found.message


def test_the_server_compiles_without_a_word(tmp_path: Path) -> None:
    for flags in (["-std=c99"], ["-std=c99", "-DREFENGINE_LINE"], ["-std=gnu99", "-DREFENGINE_PORT=4000"]):
        warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "-o", str(tmp_path / "server.o")]
        subprocess.run(["cc", *flags, *warnings, str(SERVER)], check=True)
    assert len(SERVER.read_text().splitlines()) < 150


@pytest.mark.parametrize(
    ("statements", "kind", "message"),
    [
        (WRITE, "equal", ""),
        ("return 1;", "skipped", ""),
        ("return -3;", "fails", "returns -3"),
        (f"{WRITE} output[1]++;", "differs", ""),
        ("output[0] = right[0];", "never written", "leaves 1 of 2 elements unwritten, the first at [0, 1]"),
        (f"{WRITE} output[2] = 0;", "writes outside", "the first byte 2 of an output of 2 bytes"),
        (f"{WRITE} input[1] = 0;", "changes its input", "writes to input 0, first to byte 1 of it"),
        (f"{WRITE} output[1] = input[3];", "unsteady", "reads memory that it was not given"),
        (f'printf("rfz1 hello"); {WRITE}', "equal", ""),
    ],
)
def test_a_pipe_is_a_door_as_the_library_is(server: Built, statements: str, kind: str, message: str) -> None:
    door = Emulator(str(server(statements)))
    found = outcome(door)
    door.close()
    assert found[0] == kind and message in found[1]


@pytest.mark.slow
def test_a_server_comes_back_after_a_crash_and_a_hang(server: Built) -> None:
    door = Emulator(str(server(f"if (input[0] == 9) abort(); while (input[0] == 8) sleep(1); {WRITE}")), time_out=1)
    assert outcome(door) == ("equal", "")
    assert outcome(door, dense([9, 5, 6])) == ("crashes", "does not return: the process is ended by SIGABRT")
    assert outcome(door) == ("equal", "")
    assert outcome(door, dense([8, 5, 6])) == ("hangs", "has not returned after 1 seconds")
    for one in (door, pickle.loads(pickle.dumps(door))):
        assert outcome(one) == ("equal", "")
        one.close()


def test_what_has_no_room_is_skipped_and_what_is_no_server_refused(server: Built) -> None:
    door = Emulator(str(server(WRITE, "-DREFENGINE_MEMORY=1024")))
    assert outcome(door)[0] == "skipped"
    door.close()
    for command, why in (
        ("nosuchserver", "nosuchserver cannot be used: No such file"),
        ("false", "the process exits with status 1"),
        ("'", "cannot be split"),
        ("", "needs a command"),
    ):
        with pytest.raises(InputError, match=why):
            check(Emulator(command), dense())


def test_another_header_is_refused(server: Built, tmp_path: Path) -> None:
    header = (SERVER.parent / "refengine_fuzz.h").read_text().replace("    int constant;\n", "")
    (tmp_path / "refengine_fuzz.h").write_text(header)
    (tmp_path / SERVER.name).write_text(SERVER.read_text())
    door = Emulator(str(server(WRITE, source=tmp_path)))
    with pytest.raises(InputError, match="another version of refengine_fuzz"):
        check(door, dense())


@pytest.fixture
def port(server: Built) -> Iterator[str]:
    """A server's socket."""
    pytest.importorskip("serial")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        number = free.getsockname()[1]
    process = subprocess.Popen([str(server(WRITE, f"-DREFENGINE_PORT={number}"))])
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", number)) == 0:
                break
        time.sleep(0.05)  # a busy machine starts a process slowly
    yield f"socket://localhost:{number}"
    process.kill()
    process.wait()


def test_a_socket_is_a_door(port: str) -> None:
    for _ in range(2):
        door = Port(port)
        assert outcome(door) == ("equal", "")
        door.close()
    with pytest.raises(InputError, match="cannot be used"):
        check(Port("/dev/nosuchport"), dense())


QEMU = "qemu-system-arm -machine {0} -display none -semihosting-config enable=on,target=native -kernel {1}"


@pytest.mark.slow
@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("make", "arm-none-eabi-gcc", "qemu-system-arm")),
    reason="no compiler or emulator for Arm",
)
@pytest.mark.parametrize("board", ["mps2-an500", "mps3-an547"])
def test_our_kernels_on_an_emulated_core(board: str, tmp_path: Path) -> None:
    command = ["make", "--silent", "-C", str(FUZZ), "image", f"BUILD={tmp_path}", f"BOARD={board}"]
    subprocess.run([*command, "DEFINES=-DREFENGINE_FMA=1"], check=True)
    door = Emulator(QEMU.format(board, tmp_path / f"{board}-semihosting.elf"))
    for op, dtype in (("CONV_2D", "int8"), ("FULLY_CONNECTED", "float32")):
        (result,) = fuzz(door, [op], [dtype], cases=20, numerics=PRESETS["cortex-m7"])
        assert result.finding is None, result.finding
        assert result.cases == 20 and result.skipped < 5 and door.room == 1 << 18
