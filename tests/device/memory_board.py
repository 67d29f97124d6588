"""The firmware in this process, on a line that loses, doubles, damages and reorders bytes, and with failing power."""

from __future__ import annotations

import ctypes
import random
import subprocess
from collections import Counter
from pathlib import Path

from refengine.cexport import export
from refengine.device.protocol import END
from refengine.plan import Plan

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
NEVER = 2**32 - 1
ROOM = 1 << 20


class MemoryBoard:
    """A sound line."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        export(plan, folder / "model", name="memory")
        sources = [HERE / "memory_board.c", *(folder / "model").glob("*.c"), *(FIRMWARE / "protocol").glob("*.c")]
        sources += [FIRMWARE / "app" / f"{name}.c" for name in ("app", "console", "engine", "link", "print")]
        folders = (folder / "model", FIRMWARE / "app", FIRMWARE / "boards", FIRMWARE / "protocol")
        flags = [f"-I{path}" for path in folders]
        flags += ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", '-DBOARD_NAME="memory"']
        library = folder / "board.so"
        command = ["cc", *flags, "-DBOARD_TICKS_PER_SECOND=1000u", *map(str, sources), "-o", str(library), "-lm"]
        subprocess.run(command, check=True)
        self.library = ctypes.CDLL(str(library))
        self.library.memory_board_start()
        self.answer = ctypes.create_string_buffer(ROOM)
        self.waiting = b""

    def exchange(self, data: bytes, power_fails_at: int = NEVER) -> bytes:
        count = self.library.memory_board(data, len(data), self.answer, ROOM, ctypes.c_uint32(power_fails_at))
        return self.answer.raw[:count]

    def send(self, data: bytes) -> None:
        self.waiting += self.exchange(data)

    def receive(self, timeout: float) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    def close(self) -> None:
        pass


class FaultyLine:
    """A line to `board` where something happens to one byte in `every`, both ways. `faults` counts by kind."""

    def __init__(self, board: MemoryBoard, seed: int, every: int) -> None:
        self.board, self.random, self.every = board, random.Random(seed), every
        self.faults: Counter[str] = Counter()
        self.waiting = b""

    def send(self, data: bytes) -> None:
        cut = self.random.randrange(2000) if self._strikes("reset", 0.02) else NEVER
        self.waiting += self._damaged(self.board.exchange(self._damaged(data), cut))

    def receive(self, timeout: float) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    def close(self) -> None:
        pass

    def _strikes(self, kind: str, probability: float) -> bool:
        strikes = self.random.random() < probability
        self.faults[kind] += strikes
        return strikes

    def _damaged(self, data: bytes) -> bytes:
        frames = data.split(END + END)
        if len(frames) > 1 and self._strikes("frame doubled", 0.2):
            frames.append(self.random.choice(frames))
        if len(frames) > 1 and self._strikes("frames reordered", 0.2):
            self.random.shuffle(frames)
        out = bytearray((END + END).join(frames))
        at = 0
        while (at := at + int(self.random.expovariate(1 / self.every))) < len(out):
            kind = self.random.choice(("lost", "doubled", "damaged", "invented", "swapped", "burst", "cut"))
            self.faults[kind] += 1
            match kind:
                case "lost":
                    del out[at]
                case "doubled":
                    out.insert(at, out[at])
                case "damaged":
                    out[at] ^= 1 << self.random.randrange(8)
                case "invented":
                    out.insert(at, self.random.choice((0xC0, 0xDB, 0xDC, 0xDD, self.random.randrange(256))))
                case "swapped":
                    out[at : at + 2] = out[at : at + 2][::-1]
                case "burst":
                    out[at : at + 20] = self.random.randbytes(20)
                case "cut":
                    del out[at : at + self.random.randrange(2, 700)]
        return bytes(out)
