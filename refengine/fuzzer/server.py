"""The way to a kernel in an emulator or on a board: images of cases over a line of bytes to `refengine_server.c`."""

from __future__ import annotations

import selectors
import shlex
import signal
import struct
import subprocess
import time
import zlib
from contextlib import suppress
from typing import Any

from ..device.transport import DeviceError, Line, SerialLine
from ..errors import InputError, require_posix
from .calls import Calls
from .case import KernelError
from .image import STRUCTS, Image, Layout

REQUEST, REPLY = b"RFZ1", b"rfz1"

HELLO = struct.Struct(f"<{2 + len(STRUCTS)}I")
"""What a server says of itself: the size of a pointer, how many bytes it takes, the sizes of the structs."""

GARBLED = -(2**31)
"""The status of a request that did not arrive as it was sent."""

TIME_OUT = 10.0
"""Seconds that a call may take, the way there and back included, unless one says otherwise."""

START = 15.0
"""Seconds within which a server must answer once it is started, or was reset."""

PAUSE = 0.5
"""Seconds between two questions whether a server is there yet."""


class Server(Calls):
    """A kernel in an image with `refengine_server.c`; whoever derives from this knows how to `open` a line to it.

    That it crashes or takes more than `time_out` seconds is a `KernelError`, as all that `Calls` finds. After that the
    server must come back: the process is started again, the board resets itself by a watchdog. Raises `InputError` if
    it does not, or was built with another header.
    """

    def __init__(self, name: str, time_out: float = TIME_OUT) -> None:
        self.name, self.time_out = name, time_out
        self.room, self._pointer = 0, 0
        self._line: Line | None = None
        self._received = bytearray()
        self._number = 0

    def open(self) -> Line:
        raise NotImplementedError

    @property
    def pointer(self) -> int:
        """The size of a pointer there, for which one has to ask."""
        self._connected()
        return self._pointer

    def call(self, image: Image) -> tuple[int, bytes] | None:
        if len(image.block) + 4 * len(image.pointers) > self.room - 16:
            return None
        try:
            status, after = self._asked(image.block, image.pointers, self.time_out)
        except TimeoutError:
            self.close()
            raise KernelError("hangs", f"has not returned after {self.time_out:g} seconds") from None
        except DeviceError as error:
            self.close()
            raise KernelError("crashes", f"does not return: {error}") from None
        if status == GARBLED or len(after) != len(image.block):
            raise InputError(f"{self.name}: a case of {len(image.block):,} bytes arrived otherwise than it was sent")
        return status, after

    def _connected(self) -> None:
        """Open the line if it is not, and wait until the server answers."""
        if self._line is not None:
            return
        try:
            self._line = self.open()
            here = self._hello()
        except DeviceError as error:
            self.close()
            raise InputError(f"{self.name} cannot be used: {error}") from None
        pointer, self.room, *sizes = HELLO.unpack(here)
        if pointer not in (4, 8) or sizes != [Layout.of(fields, pointer).size for fields in STRUCTS]:
            self.close()
            raise InputError(
                f"{self.name} was built with another version of refengine_fuzz.h; write it anew with "
                "`refengine fuzz --header`, refengine_server.c with `--server`, and build again"
            )
        self._pointer = pointer

    def _hello(self) -> bytes:
        """What the server says of itself."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                return self._asked(b"", (), PAUSE)[1]
        raise DeviceError(f"nobody answers within {START:g} seconds; is refengine_server.c running there?")

    def _asked(self, block: bytes, places: tuple[int, ...], seconds: float) -> tuple[int, bytes]:
        """The status and the payload of the answer to a request. Raises `TimeoutError`."""
        assert self._line is not None
        deadline = time.monotonic() + seconds
        self._number = (self._number + 1) % 2**32
        content = struct.pack(f"<{3 + len(places)}I", self._number, len(block), len(places), *places) + block
        self._line.send(REQUEST + struct.pack("<I", zlib.crc32(content)) + content)
        return self._reply(deadline, {0, len(block) or HELLO.size})

    def _reply(self, deadline: float, sizes: set[int]) -> tuple[int, bytes]:
        """The reply to the last request, of one of some sizes; before it may lie what kernels print, and late ones."""
        while True:
            while (start := self._received.find(REPLY)) < 0:
                del self._received[: -len(REPLY) + 1]
                self._receive(deadline)
            del self._received[:start]
            while len(self._received) < 20:
                self._receive(deadline)
            crc, number, status, size = struct.unpack("<IIiI", self._received[4:20])
            if number == self._number and size in sizes:
                while len(self._received) < 20 + size:
                    self._receive(deadline)
                if zlib.crc32(self._received[8 : 20 + size]) == crc:
                    payload = bytes(self._received[20 : 20 + size])
                    del self._received[: 20 + size]
                    return status, payload
            del self._received[:1]

    def _receive(self, deadline: float) -> None:
        assert self._line is not None
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        self._received += self._line.receive(left)

    def close(self) -> None:
        """Close the line; the next case opens another."""
        self._received.clear()
        if self._line is not None:
            line, self._line = self._line, None
            line.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_line": None, "_received": bytearray()}


class Emulator(Server):
    """A command that runs such an image (QEMU with semihosting, a simulator, the image itself on this computer): its
    standard input and output are the line. It is started again after a crash or a hang."""

    def __init__(self, command: str, time_out: float = TIME_OUT) -> None:
        super().__init__(command.split()[0] if command.split() else command, time_out)
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise InputError(f"the command {command!r} cannot be split into words: {error}") from None
        if not self.words:
            raise InputError("--emulator needs a command")

    def open(self) -> Line:
        return ProcessLine(self.words)


class Port(Server):
    """A board at a serial port, or an emulator's socket (`socket://host:port`)."""

    def __init__(self, url: str, baud: int = 115200, time_out: float = TIME_OUT) -> None:
        super().__init__(url, time_out)
        self.baud = baud

    def open(self) -> Line:
        return SerialLine(self.name, self.baud)


class ProcessLine:
    """The standard input and output of a process."""

    def __init__(self, words: list[str]) -> None:
        require_posix("an emulator at the other end of a pipe")
        try:
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
            )
        except OSError as error:
            raise DeviceError(error.strerror or str(error)) from None
        self.selector = selectors.DefaultSelector()
        assert self.process.stdout is not None
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        try:
            view = memoryview(data)
            while view:
                view = view[self.process.stdin.write(view) :]
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self, timeout: float) -> bytes:
        assert self.process.stdout is not None
        if not self.selector.select(timeout):
            return b""
        data: bytes = self.process.stdout.read(1 << 16)
        if not data:
            raise self._ended()
        return data

    def _ended(self) -> DeviceError:
        with suppress(subprocess.TimeoutExpired):
            status = self.process.wait(1)
            how = f"is ended by {signal.Signals(-status).name}" if status < 0 else f"exits with status {status}"
            return DeviceError(f"the process {how}")
        return DeviceError("the process has closed its output")

    def close(self) -> None:
        self.selector.close()
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self.process.wait()
