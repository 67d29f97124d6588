"""A board's display: the digit and the sentence, read back from the frame that an emulated board keeps in memory."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from refengine.device import Device, record
from refengine.device.qemu import Emulator, boards, build, missing_tools
from refengine.plan import make_plan
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input

pytestmark = pytest.mark.slow

Frame = npt.NDArray[np.uint16]

WIDTH, HEIGHT, SCALE = 480, 272, 3
BYTES = 2 * WIDTH * HEIGHT
SENTENCE = "It looks like the number 7"
SEVEN = "#####/....#/....#/..###/...#./..#../..#.."


def shown(emulator: Emulator, board: str, image: Path, name: str) -> Frame:
    """The frame (HEIGHT, WIDTH), RGB565, out of the memory of a board that runs `image`."""
    tool = boards()[board].get("CROSS", "arm-none-eabi-") + "nm" if board != "host" else "nm"
    table = subprocess.check_output([tool, str(image)], text=True).splitlines()
    (address,) = (int(line.split()[0], 16) for line in table if line.endswith(" board_frame"))
    read = of_process if board == "host" else of_board
    return np.frombuffer(read(emulator, address, image.parent / name), "<u2").reshape(HEIGHT, WIDTH)


def of_board(emulator: Emulator, address: int, file: Path) -> bytes:
    """As QEMU's monitor writes it, in the folder that QEMU was started in, from the processor's addresses."""
    emulator._monitor.sendall(f'memsave 0x{address:x} {BYTES} "{file.name}"\n'.encode())
    end = time.monotonic() + 20
    while not (file.exists() and file.stat().st_size == BYTES):
        assert time.monotonic() < end
        time.sleep(0.02)
    return file.read_bytes()


def of_process(emulator: Emulator, address: int, file: Path) -> bytes:
    """As Linux has it of a process, which lies wherever it was loaded."""
    process = Path("/proc", str(emulator.process.pid))
    if not process.exists():
        pytest.skip("NOT TESTED: a process shows its memory in Linux's /proc only")
    maps = (process / "maps").read_text().splitlines()
    base = next(int(line.partition("-")[0], 16) for line in maps if line.endswith("/app.elf"))
    with (process / "mem").open("rb") as memory:
        memory.seek(address if address > base else address + base)  # fixed, or position-independent
        return memory.read(BYTES)


def written(frame: Frame) -> list[str]:
    """The sentence's letters, each as the rows of its 5 × 7 dots."""
    lines = frame[248 : 248 + 7 * SCALE, 6 : 6 + 6 * SCALE * len(SENTENCE)]
    assert {*np.unique(lines)} == {0, 0xFFFF}
    dots = lines[::SCALE, ::SCALE] > 0
    assert np.array_equal(dots.repeat(SCALE, 0).repeat(SCALE, 1), lines > 0)
    cells = (dots[:, left : left + 5] for left in range(0, dots.shape[1], 6))
    return ["/".join("".join(".#"[int(dot)] for dot in row) for row in cell) for cell in cells]


QUICK = ("host", "mps2-an500")
"""Tried by `make test`; the others take longer."""

BOARDS = [pytest.param(b, "dense_int8", marks=() if b in QUICK else pytest.mark.long) for b in boards()]
TYPES = [("host", "dense_int16x8"), pytest.param("host", "stm32f746_float32", marks=pytest.mark.long)]


@pytest.mark.parametrize(("board", "network"), [*BOARDS, *TYPES])
def test_a_board_shows_the_digit_and_what_it_looks_like(
    board: str, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tools := missing_tools(board):
        pytest.skip(f"NOT TESTED: {board} needs {', '.join(tools)} (`make tools` installs them)")
    monkeypatch.chdir(tmp_path)  # where QEMU's monitor writes
    plan = make_plan(network)
    images, labels = bundled_digits()
    seven = pixels_to_input(plan, images[labels == 7][:1])
    image = build(board, plan, tmp_path, options=["SCREEN=1"])
    with Emulator(board, image) as emulator:
        assert not shown(emulator, board, image, "before").any()
        with Device(emulator.line) as device:
            record(device, plan, [seven])
            frame = shown(emulator, board, image, "after")
    picture = frame[16 : 16 + 28 * 8, 16 : 16 + 28 * 8]
    grey = images[labels == 7][0].astype(np.uint16)
    assert np.array_equal(picture, (grey >> 3 << 11 | grey >> 2 << 5 | grey >> 3).repeat(8, 0).repeat(8, 1))
    below = frame.copy()
    below[16 : 16 + 28 * 8, 16 : 16 + 28 * 8] = 0
    assert not below[:248].any() and not below[248 + 7 * SCALE :].any(), "nothing else is drawn"
    letters = written(frame)
    assert letters[-1] == SEVEN
    by_letter = dict(zip(SENTENCE, letters, strict=True))
    assert [by_letter[letter] for letter in SENTENCE] == letters, "the same letter looks the same"
    assert len({*letters}) == len({*SENTENCE}) and by_letter[" "] == "/".join(["....."] * 7)
