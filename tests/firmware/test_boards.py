"""The firmware on every board: built, run by QEMU, talked to on both lines; every tensor held against the engine."""

from __future__ import annotations

import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from refengine.bundled import bundled_models
from refengine.cexport import export
from refengine.commands import main
from refengine.device import Device, DeviceError, connect, record, recording, unequal_steps
from refengine.device.protocol import Body, GetInfo, GetTensor, Range, Run, Write, encode, frame
from refengine.device.qemu import FIRMWARE, Emulator, board_settings, boards, build, missing_tools
from refengine.device.recording import device_plan
from refengine.device.transport import SocketLine
from refengine.execute import execute
from refengine.model import Array
from refengine.plan import Plan, make_plan
from refengine.tensors.arrays import META
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input

pytestmark = pytest.mark.slow

ARM = ("mps2-an500", "mps2-an386", "mps2-an385", "mps3-an547")
RISC_V = ("riscv-virt-imc", "riscv-virt-imafc")
EMULATED = (*ARM, *RISC_V)
NETWORKS = ("dense_int8", "stm32f746_int8", "stm32f746_float32")


def needs(board: str) -> None:
    if tools := missing_tools(board):
        pytest.skip(f"NOT TESTED: {board} needs {', '.join(tools)} (`make tools` installs them)")


def plan_of(name: str) -> Plan:
    return make_plan(bundled_models()[name])


def digit_of(plan: Plan, label: int = 0) -> Array:
    """A bundled digit, the first of its class, as the model takes it."""
    images, labels = bundled_digits()
    first = labels.tolist().index(label)
    return pixels_to_input(plan, images[first : first + 1])


@pytest.fixture(scope="module", params=[*ARM, RISC_V[0], pytest.param(RISC_V[1], marks=pytest.mark.long), "host"])
def board(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    needs(name)
    return name


@pytest.fixture(scope="module")
def running(board: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The board with the STM32F746 article's network, and a seven as built-in digit."""
    plan = plan_of("stm32f746_int8")
    image = build(board, plan, tmp_path_factory.mktemp("build"), digit_of(plan, 7), name="stm32f746_int8")
    with Emulator(board, image) as emulator:
        yield emulator


def test_the_boards_are_those_documented() -> None:
    assert set(boards()) == {*EMULATED, "host"}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.slow
def test_every_tensor_is_what_the_engine_computes(board: str, network: str) -> None:
    """int8 whatever the board; float32 with the multiply-adds and the `expf` of the board's compiler and library."""
    plan = plan_of(network)
    with connect(f"qemu:{board}", plan, name=network) as device:
        assert device.info.board == board
        assert device.info.numerics.startswith(board_settings(board)["NUMERICS"])
        for label in (0, 3):
            x = digit_of(plan, label)
            recording = record(device, plan, (x,))
            expected = {r.step.outputs[0].index: r.outputs[0] for r in execute(device_plan(device, plan), x)}
            for index, tensor in recording.tensors.items():
                wanted = x if index == plan.inputs[0].index else expected[index]
                assert (tensor.dtype, tensor.shape, tensor.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
            assert [step["index"] for step in recording.meta["steps"]] == [t.operator_index for t in device.steps]


def test_floats_of_a_risc_v_are_what_the_engine_computes() -> None:
    """In short what `make long` tries at length: fused multiply-adds, and picolibc's expf."""
    needs(RISC_V[1])
    plan = plan_of("stm32f746_float32")
    with connect(f"qemu:{RISC_V[1]}", plan) as device:
        run = device.run((digit_of(plan),))
        assert unequal_steps(device, plan, (digit_of(plan),), run) == () and all(run.ticks[:5])


# ---- UART 0


def typed(console: SocketLine, text: str) -> str:
    """What the console says to a line, up to its next prompt."""
    console.send(text.encode() + b"\r")
    return until_prompt(console)


def until_prompt(console: SocketLine) -> str:
    said = b""
    while not said.endswith(b"\r\n> "):
        more = console.receive(60)
        assert more, f"the console fell silent after {said!r}"
        said += more
    return said.decode().replace("\r\n", "\n")


def test_a_person_at_the_console(running: Emulator, board: str) -> None:
    assert f"refengine: stm32f746_int8 on {board}; CMD=3 lists the commands" in until_prompt(running.console)
    layers = typed(running.console, "CMD=1")
    assert "input               int8    1x28x28x1  784 bytes" in layers
    assert "   0  CONV_2D             int8    1x26x26x32  21632 bytes" in layers
    assert "numerics " + board_settings(board)["NUMERICS"] in layers
    digit = typed(running.console, "CMD=2")
    assert "every step as refengine computes it" in digit and "answer 7" in digit
    assert digit.count(" ms\n") == 9 and "   7     127     0.996" in digit
    listed = typed(running.console, "CMD=3")
    assert all(f"CMD={n}" in listed for n in (1, 2, 3)) and "unknown" not in listed
    assert listed.split("CMD=1 ")[1] in typed(running.console, "help me")
    assert "unknown command" in typed(running.console, "CMD=4")
    assert "unknown command" in typed(running.console, "x" * 300)
    assert "CMD=1" in typed(running.console, "CMD=4\b3")


# ---- UART 1


@pytest.mark.parametrize("emulated", EMULATED[:1])
@pytest.mark.slow
def test_a_reset_in_the_middle_of_a_run(emulated: str, tmp_path: Path) -> None:
    needs(emulated)
    plan = plan_of("stm32f746_int8")
    with Emulator(emulated, build(emulated, plan, tmp_path), has_console=False) as emulator:
        device, x = Device(emulator.line, timeout=60), digit_of(plan)
        pressed: list[int] = []

        def press(done: int, whole: int) -> None:
            if done > 2000 * (1 + len(pressed)) and len(pressed) < 5:
                pressed.append(done)
                emulator.reset()

        tensors = device.run((x,), range(len(device.steps)), press).tensors
        expected = {r.step.outputs[0].index: r.outputs[0] for r in execute(plan, x)}
        for place, tensor in tensors.items():
            np.testing.assert_array_equal(tensor, expected[device.steps[place].index])
        assert device.restarts == len(pressed) == 5, "nobody waits for what a reset has cut off"


def test_the_tap_takes_no_memory(tmp_path: Path) -> None:
    """All RAM: the arena, two message buffers, a few words, the stack. Nothing that grows with the number of steps."""
    needs("mps2-an500")
    plan = plan_of("stm32f746_int8")
    image = build("mps2-an500", plan, tmp_path)
    printed = subprocess.run(
        ["arm-none-eabi-size", "-A", str(image)], capture_output=True, text=True, check=True
    ).stdout
    bss = next(int(line.split()[1]) for line in printed.splitlines() if line.startswith(".bss"))
    assert bss - 27040 < 2500
    symbols = subprocess.check_output(["arm-none-eabi-nm", str(image)], text=True)
    assert not {"malloc", "_malloc_r", "_sbrk", "printf"} & set(symbols.split())


def test_sanitizers_find_nothing_in_what_reads_the_line(tmp_path: Path) -> None:
    """Requests that make no sense, in frames that are intact: nothing is read or written out of bounds."""
    needs("host")
    options = ["OPT=-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"]
    image = build("host", plan_of("dense_int8"), tmp_path, options=options)
    rng = random.Random(7)
    requests: list[Body] = [
        GetInfo(),
        GetTensor(2, 0),
        Write(0, 700, bytes(84)),
        Run((1, 2), (Range(1, 2, 3), Range(0, 9, 99))),
    ]
    stream = bytearray()
    for i in range(20000):
        message = bytearray(encode(i, rng.choice(requests)))
        for _ in range(rng.randrange(4)):
            message[rng.randrange(len(message))] = rng.choice((0, 1, 4, 127, 128, 255, rng.randrange(256)))
        stream += frame(bytes(message[: rng.choice((len(message), rng.randrange(1, len(message))))]))
    stream += rng.randbytes(100000)
    ended = subprocess.run([str(image)], input=stream, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert len(ended.stdout) > 100000


# ---- make


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-s", "-C", str(FIRMWARE), *arguments], capture_output=True, text=True)


def test_make_builds_a_network_by_its_name_and_tells_its_size(board: str, tmp_path: Path) -> None:
    made = make(f"BOARD={board}", "MODEL=dense_int8", f"BUILD={tmp_path / 'build'}")
    assert made.returncode == 0, made.stderr
    assert "542700" in made.stdout and "151312" in made.stdout and ".text" in made.stdout


def test_make_check_is_the_verdict(board: str, tmp_path: Path) -> None:
    options = [f"BOARD={board}", "MODEL=dense_int8", f"BUILD={tmp_path / 'build'}"]
    sound = make("check", *options)
    assert sound.returncode == 0 and "passed" in sound.stdout
    broken = make("check", *options, "FAULT=zero_point")
    assert broken.returncode != 0 and "WRONG" in broken.stdout and "FAILED" in broken.stdout


CHECK = ("check", "engine", "print")

STANDING = """
#include <stdio.h>
#include <stdlib.h>
#include "board.h"
void board_put(int uart, uint8_t byte) { if (uart == CONSOLE) putchar(byte); }
int board_get(int uart) { (void)uart; return -1; }
uint32_t board_ticks(void) { return 5; }
_Noreturn void board_exit(int status) { exit(status); }
"""


def test_a_clock_that_stands_still_is_no_clock(tmp_path: Path) -> None:
    needs("host")
    export(plan_of("dense_int8"), tmp_path / "model")
    (tmp_path / "board.c").write_text(STANDING)
    sources = [*(tmp_path / "model").glob("*.c"), *(FIRMWARE / "app" / f"{name}.c" for name in CHECK)]
    folders = [f"-I{folder}" for folder in (tmp_path / "model", FIRMWARE / "app", FIRMWARE / "boards")]
    subprocess.run(["cc", *folders, tmp_path / "board.c", *sources, "-lm", "-o", tmp_path / "check"], check=True)
    checked = subprocess.run([tmp_path / "check"], capture_output=True, text=True)
    assert checked.returncode == 1 and "WRONG" not in checked.stdout
    assert checked.stdout.endswith("0 ticks  FAILED\nthe clock stands still: look at board_ticks()\n")


@pytest.mark.parametrize(
    "network",
    ["dense_int16x8"]
    + [pytest.param(f"{name}_int16x8", marks=pytest.mark.long) for name in ("dense128", "stm32f746", "esp32")],
)
def test_int16_networks_check_themselves(board: str, network: str, tmp_path: Path) -> None:
    done = make("check", f"BOARD={board}", f"MODEL={network}", f"BUILD={tmp_path / 'build'}")
    assert (done.returncode, done.stderr) == (0, "") and "passed" in done.stdout


def test_an_unknown_fault_is_no_sound_build(capsys: pytest.CaptureFixture[str]) -> None:
    needs("host")
    port = ["--port", "qemu:host", "--model", "dense_int8"]
    with pytest.raises(SystemExit):
        main(["device", "info", *port, "--fault", "gremlins"])
    assert "no fault 'gremlins'; there are single_rounding, round_down, " in capsys.readouterr().err
    assert main(["device", "info", *port, "--fault", "stale=1"]) == 0


@pytest.mark.parametrize("made", ["noise", "revealing"])
def test_a_device_is_recorded_on_an_input_of_our_making(
    made: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs("host")
    dump, common = str(tmp_path / "dump.npz"), ["--port", "qemu:host", "--model", "dense_int8"]
    assert main(["device", "record", *common, "--made", made, "-o", dump]) == 0
    assert main(["diff", "dense_int8", dump]) == 0, "its input is in it"
    with pytest.raises(SystemExit, match="2"):
        main(["device", "record", *common, "-o", dump])
    assert "one of the arguments --input --made is required" in capsys.readouterr().err


def test_a_live_board_runs_what_tells_the_causes_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("host")
    digit = ["--input", str(FIRMWARE.parent / "tests/data/seven.png"), "--digit"]
    wrong = ["--port", "qemu:host", "--fault", "single_rounding", "--reveal", str(tmp_path / "next.npz")]
    assert main(["diff", "esp32_int8", *digit, *wrong]) == 1
    first, second = capsys.readouterr().out.split("the device ran it:")
    assert "; likely: every difference vanishes under single rounding, or under XNNPACK's rounding" in first
    assert "; certain: every difference vanishes under single rounding." in second


def test_ctrl_c_leaves_nothing_behind() -> None:
    """Interrupted in the middle of a long step: status 130, silence, and no emulator runs on."""
    needs("mps2-an385")
    arguments = [
        "--port",
        "qemu:mps2-an385",
        "--model",
        "stm32f746_float32",
        "--input",
        str(FIRMWARE / "app/digit.png"),
    ]
    code = (
        "import signal, sys; from refengine.device import client; from refengine.commands import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored\n"
        "ask = client.Device._ask\n"
        "def told(*x):\n    answer = ask(*x); print('alive', flush=True); return answer\n"
        "client.Device._ask = told\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "device", "run", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=FIRMWARE.parent)
    assert running.stdout is not None and running.stdout.readline() == "alive\n"  # by now QEMU runs
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    assert len(children) == 1
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert (running.returncode, told) == (130, "refengine: interrupted\n")
    assert not Path(f"/proc/{children[0]}").exists()


def test_make_complains_in_one_line() -> None:
    assert f"no board 'toaster'; there are: {' '.join(sorted(boards()))}" in make("BOARD=toaster").stderr


# ---- refengine device


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("host")
    network, digit = "stm32f746_int8", str(FIRMWARE / "app" / "digit.png")
    common = ["--port", "qemu:host", "--model", network]
    assert main(["device", "info", *common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["board"] == "host"
    assert main(["device", "info", *common]) == 0
    assert "CONV_2D" in capsys.readouterr().out
    assert main(["device", "run", *common, "--input", digit]) == 0
    told = capsys.readouterr().out
    assert "class 7, confidence 0.9961" in told and "every step as refengine computes it" in told
    assert main(["device", "run", *common, "--input", digit, "--fault", "pad", "--json"]) == 1
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert not steps[0]["equal"]
    assert main(["device", "run", *common, "--input", digit, "--fault", "pad"]) == 1
    assert "; refengine diff tells why; numerics: " in capsys.readouterr().out
    dump = tmp_path / "dump.npz"
    assert main(["device", "record", *common, "--input", digit, "-o", str(dump)]) == 0
    with np.load(dump) as arrays:
        meta = json.loads(str(arrays[META]))
        plan = plan_of(network)
        assert meta["sha256"] == plan.model.sha256 and meta["numerics"] == "tflm" and meta["schema"] == 1
        for r in execute(plan, arrays[f"t{plan.inputs[0].index}"]):
            if r.step.index in [step["index"] for step in meta["steps"]]:
                np.testing.assert_array_equal(arrays[f"t{r.step.outputs[0].index}"], r.outputs[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "--port", "qemu:host"], "which model shall it run"),
        (["info", "--port", "qemu:toaster", "--model", "dense_int8"], "no board 'toaster'"),
        (["info", "--port", "/dev/nothing"], "cannot be opened"),
        (["info", "--port", "socket://localhost:1"], "socket://localhost:1"),
        (["info", "--port", "nonsense://x"], "nonsense://x"),
        (["info", "--port", "/dev/null"], "/dev/null is no serial port"),
        (["run", "--port", "qemu:host", "--model", "nothing", "--input", "x"], "no bundled network"),
        (["run", "--port", "qemu:host", "--model", "dense_int8", "--input", "x.npy"], "x.npy"),
        (["info", "--port", "/dev/null", "--model", "dense_int8", "--fault", "pad"], "--fault is for qemu: only"),
        (["record", "--port", "qemu:host", "--model", "dense_int8", "--made", "noise", "-o", "x.log"], "call it so"),
        (["validate", "--port", "qemu:host", "--model", "dense_int8", "--keep", "2"], "leave out --keep"),
        (["validate", "--port", "qemu:host", "--model", "dense_int8", "--digit"], "leave out --digit"),
        (["info"], "--port"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("serial")
    monkeypatch.setattr(recording, "MOMENT", 0)
    try:
        status = main(["device", *arguments])
    except SystemExit as ended:
        status = int(ended.code or 0)
    told = capsys.readouterr()
    assert status == 2 and told.out == "" and told.err.count("\n") == 1 and message in told.err, told.err


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(DeviceError, match=r"arm-none-eabi-gcc and qemu-system-arm.*apt install"):
        connect("qemu:mps2-an500", plan_of("dense_int8"))


def test_a_board_with_another_model_is_told_apart(tmp_path: Path) -> None:
    """Over a real serial line: a pseudoterminal between the firmware and pyserial."""
    pytest.importorskip("serial")
    needs("host")
    image = build("host", plan_of("dense_int8"), tmp_path)

    ours, theirs = pty.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    process = subprocess.Popen([str(image)], stdin=ours, stdout=ours)
    try:
        plan = plan_of("dense_int8")
        with connect(os.ttyname(theirs), plan) as device:
            assert record(device, plan, (digit_of(plan),)).tensors
        with pytest.raises(DeviceError, match="another model"):
            connect(os.ttyname(theirs), plan_of("stm32f746_int8"))
    finally:
        process.terminate()
        process.wait()
        os.close(ours)
        os.close(theirs)
