"""Lines to a device: whatever sends bytes, receives bytes within a time, and can be closed."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, Protocol

from ..errors import RefengineError


class DeviceError(RefengineError):
    """A device, or the way to it, does not do what was asked."""


class LostError(DeviceError):
    """Nobody is at the other end of the line, or not any more: it may help to try again later."""


class Line(Protocol):
    """`receive` returns as soon as there is something, and nothing when `timeout` seconds have passed."""

    def send(self, data: bytes) -> None: ...

    def receive(self, timeout: float) -> bytes: ...

    def close(self) -> None: ...


class SocketLine:
    """One end of a connected pair of sockets; a process has the other."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    def send(self, data: bytes) -> None:
        with suppress(TimeoutError), _lost("the process"):
            self.socket.settimeout(10)
            self.socket.sendall(data)

    def receive(self, timeout: float) -> bytes:
        self.socket.settimeout(timeout)
        try:
            with _lost("the process"):
                data = self.socket.recv(1 << 16)
        except TimeoutError:
            return b""
        if not data:
            raise LostError("the process at the other end has ended; run `make -C firmware check` to see why")
        return data

    def close(self) -> None:
        self.socket.close()


class SerialLine:
    """A serial port or one of pyserial's URLs (`socket://host:port`, `rfc2217://…`), 8N1."""

    def __init__(self, url: str, baud: int) -> None:
        try:
            import serial
        except ImportError as error:
            raise DeviceError("serial ports need pyserial: pip install 'refengine[device]'") from error
        self.url = url
        try:
            self.serial: Any = serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=10, exclusive=True)
        except ValueError as error:
            raise DeviceError(f"{url}: {error}") from error
        except (serial.SerialException, OSError) as error:
            raise LostError(_why(url, error)) from error

    def send(self, data: bytes) -> None:
        with _lost(self.url):
            self.serial.write(data)

    def receive(self, timeout: float) -> bytes:
        with _lost(self.url):
            self.serial.timeout = timeout
            first = self.serial.read(1)
            self.serial.timeout = 0
            data: bytes = first + (self.serial.read(1 << 12) if first else b"")
            return data

    def close(self) -> None:
        self.serial.close()


def serial_ports() -> list[str]:
    """The serial ports that this machine has; none without pyserial."""
    try:
        from serial.tools import list_ports
    except ImportError:
        return []
    return sorted(port.device for port in list_ports.comports())


class _lost:  # noqa: N801  (a context manager, used like a function)
    """Turns what the operating system says about a dead line into a `LostError`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            raise LostError(f"the line to {self.name} was lost ({error.strerror or error})") from error


def _why(url: str, error: Exception) -> str:
    text = str(error).lower()
    if "busy" in text or "exclusively lock" in text:
        return f"{url}: another program has the port open; close it and try again"
    if "permission denied" in text:
        return f"{url}: no permission; add yourself to its group (often dialout) and log in again"
    if "no such file" in text or "could not open port" in text:
        reason = str(error).rpartition("] ")[2]  # pyserial repeats the name and numbers the error, twice
        if "://" in url:
            return f"{url}: cannot be opened ({reason}); is something listening there?"
        return f"{url}: cannot be opened ({reason}); see `python -m serial.tools.list_ports` for the ports that exist"
    if "could not configure port" in text:
        return f"{url} is no serial port; see `python -m serial.tools.list_ports` for the ports that exist"
    return f"{url}: {error}"
