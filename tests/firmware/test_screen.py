"""A board's display: the digit and the sentence, read back from the frame that an emulated board keeps in memory."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from refengine.device import Device, record
from refengine.device.qemu import Emulator, build, missing_tools
from refengine.plan import make_plan
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, SCALE = 480, 272, 3
SENTENCE = "It looks like the number 7"
SEVEN = "#####/....#/....#/..###/...#./..#../..#.."


def shown(emulator: Emulator, image: Path, name: str) -> npt.NDArray[np.uint16]:
    """The frame (HEIGHT, WIDTH), RGB565, as QEMU's monitor writes it from the board's memory, beside `image`."""
    file = image.parent / name
    table = subprocess.check_output(["arm-none-eabi-nm", str(image)], text=True).splitlines()
    (address,) = (line.split()[0] for line in table if line.endswith(" board_frame"))
    emulator._monitor.sendall(f'pmemsave 0x{address} {2 * WIDTH * HEIGHT} "{name}"\n'.encode())
    end = time.monotonic() + 20
    while not (file.exists() and file.stat().st_size == 2 * WIDTH * HEIGHT):
        assert time.monotonic() < end
        time.sleep(0.02)
    return np.frombuffer(file.read_bytes(), "<u2").reshape(HEIGHT, WIDTH)


def written(frame: npt.NDArray[np.uint16]) -> list[str]:
    """The sentence's letters, each as the rows of its 5 × 7 dots."""
    lines = frame[248 : 248 + 7 * SCALE, 6 : 6 + 6 * SCALE * len(SENTENCE)]
    assert {*np.unique(lines)} == {0, 0xFFFF}
    dots = lines[::SCALE, ::SCALE] > 0
    assert np.array_equal(dots.repeat(SCALE, 0).repeat(SCALE, 1), lines > 0)
    cells = (dots[:, left : left + 5] for left in range(0, dots.shape[1], 6))
    return ["/".join("".join(".#"[int(dot)] for dot in row) for row in cell) for cell in cells]


def test_a_board_shows_the_digit_and_what_it_looks_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if tools := missing_tools("mps2-an500"):
        pytest.skip(f"NOT TESTED: mps2-an500 needs {', '.join(tools)} (`make tools` installs them)")
    monkeypatch.chdir(tmp_path)  # where QEMU's monitor writes
    plan = make_plan("dense_int8")
    images, labels = bundled_digits()
    seven = pixels_to_input(plan, images[labels == 7][:1])
    image = build("mps2-an500", plan, tmp_path, options=["SCREEN=1"])
    with Emulator("mps2-an500", image) as emulator:
        assert not shown(emulator, image, "before").any()
        with Device(emulator.line) as device:
            record(device, plan, [seven])
            frame = shown(emulator, image, "after")
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
