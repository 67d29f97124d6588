"""Boards that may be run on: emulated by QEMU, or at a serial port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from threading import Lock

from ..device import Device, DeviceError, connect, serial_ports
from ..device.qemu import boards, missing_tools
from ..device.recording import EMULATED
from ..errors import InputError
from ..plan import Plan

BAUD = 115200

PATIENCE = 30.0
"""Seconds that a board has to be built for, once the studio ends."""

Key = tuple[str, str, str]


class Boards:
    """Devices that are connected, one at a time for each (port, network, fault); `serial` are ports beside those that
    this machine lists."""

    def __init__(self, serial: Sequence[str] = ()) -> None:
        self.serial = tuple(serial)
        self._held: dict[Key, Device] = {}
        self._lock, self._is_closed = Lock(), False

    def ports(self) -> dict[str, list[str]]:
        """What may be chosen, each with the programs that are missing for it."""
        emulated = {f"{EMULATED}{board}": missing_tools(board) for board in boards()}
        lacking = [] if find_spec("serial") else ["pyserial"]
        return emulated | dict.fromkeys((*self.serial, *serial_ports()), lacking)

    @contextmanager
    def device(self, port: str, plan: Plan, name: str, fault: str = "") -> Iterator[Device]:
        """The device at a port that runs the network, for one at a time; connected now if it is not.

        What goes wrong with it ends the connection. Raises `InputError` for a port that there is not, and what
        `connect` raises.
        """
        if port not in self.ports():
            raise InputError(f"there is no board at {port[:60]!r}; choose one of {', '.join(self.ports())}")
        key = (port, name, fault)
        with self._lock:
            try:
                if self._is_closed:
                    raise DeviceError("the studio has been ended")
                if key not in self._held:
                    self._close(port)
                    options = [f"FAULT={fault}"] if fault else []
                    self._held[key] = connect(port, plan, name=name, baud=BAUD, options=options)
                yield self._held[key]
            except BaseException:
                self._close(port)
                raise

    def _close(self, port: str) -> None:
        """The device at a port, if there is one."""
        for key in [key for key in self._held if key[0] == port]:
            with suppress(DeviceError, OSError):
                self._held.pop(key).line.close()

    def close(self) -> None:
        """Disconnect all of them: one that is at work fails, one that is being built for is waited for."""
        self._close_all()
        self._is_closed = True
        if self._lock.acquire(timeout=PATIENCE):
            self._close_all()
            self._lock.release()

    def _close_all(self) -> None:
        for port in {key[0] for key in [*self._held]}:
            self._close(port)
