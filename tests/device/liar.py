"""A device that lies: it speaks the protocol, but says and does what its `Lie` tells it to."""

from __future__ import annotations

import os
import select
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from refengine.device.protocol import (
    INPUT,
    TYPES,
    Body,
    Chunk,
    Deframer,
    Finished,
    GetInfo,
    GetTensor,
    Info,
    Run,
    Started,
    StepDone,
    TensorInfo,
    Write,
    Written,
    decode,
    encode,
    frame,
)
from refengine.execute import execute
from refengine.model import Array, Tensor
from refengine.plan import Plan
from refengine.state import State
from tests.test_processes import until

DATA_BYTES = 512


@dataclass(frozen=True)
class Lie:
    """What is not true. `info`, `step`, `input`, `output`, `state`: fields said otherwise, of the tables' first entry.

    `replies` changes what is sent for a request, which may be without end; `wire` the bytes themselves.
    """

    info: dict[str, Any] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    replies: Callable[[Body, Iterator[Body]], Iterator[Body]] = lambda request, truth: truth
    wire: Callable[[bytes, bytes], bytes] = lambda request, reply: reply


def told(tensor: Tensor, operator: int = -1, name: str = "") -> TensorInfo:
    size = int(np.prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize
    kind = TYPES.index(tensor.dtype)
    return TensorInfo(tensor.name, tensor.index, kind, tensor.shape, size, 0.5, 0, operator, name, 0)


class Liar:
    """The line to such a device, in memory: it computes as `plan` does, and sends what `lie` makes of it."""

    def __init__(self, plan: Plan, lie: Lie, piece: int = 1 << 12) -> None:
        self.plan, self.lie, self.piece = plan, lie, piece
        self.deframer, self.closed, self.received = Deframer(), False, 0
        self.inputs = [bytearray(told(t).bytes) for t in plan.inputs]
        self.sending: Iterator[bytes] = iter(())

    def send(self, data: bytes) -> None:
        self.sending = self._answers(data, list(self.deframer.feed(data)))

    def receive(self, timeout: float) -> bytes:
        waiting = b""
        while len(waiting) < self.piece and (part := next(self.sending, b"")):
            waiting += part
        self.received += len(waiting)
        return waiting

    def close(self) -> None:
        self.closed = True

    def _answers(self, data: bytes, requests: list[bytes]) -> Iterator[bytes]:
        for payload in requests:
            message = decode(payload)
            assert message is not None
            sequence, request = message
            for reply in self.lie.replies(request, self._truth(request)):
                yield self.lie.wire(data, frame(encode(sequence, reply)))

    def _truth(self, request: Body) -> Iterator[Body]:
        """The sound answers, but for the fields that are lied about."""
        steps = [told(step.outputs[0], step.index, step.op.name) for step in self.plan.steps]
        states = [told(replace(tensor, name=name)) for name, tensor in self.plan.lasting.items()]
        match request:
            case GetInfo():
                counts = len(steps), len(self.plan.inputs), len(self.plan.outputs)
                sha256, numerics = self.plan.model.sha256, str(self.plan.numerics)
                info = Info("a", sha256, numerics, "liar", 1000, 1, DATA_BYTES, *counts, 2, len(states))
                yield replace(info, **self.lie.info)
            case GetTensor():
                tables = steps, [*map(told, self.plan.inputs)], [*map(told, self.plan.outputs)], states
                table = tables[request.role] or tables[1]  # of states that are not there, something has to be said
                place = min(request.place, len(table) - 1)
                lies = (self.lie.step, self.lie.input, self.lie.output, self.lie.state)[request.role]
                yield replace(table[place], **(lies if request.place == 0 else {}))
            case Write():
                self.inputs[request.input][request.offset : request.offset + len(request.data)] = request.data
                yield Written(request.input, request.offset, len(request.data))
            case Run():
                yield Started()
                yield from self._run(request)
                yield Finished(len(steps))

    def _run(self, request: Run) -> Iterator[Body]:
        pairs = zip(self.inputs, self.plan.inputs, strict=True)
        given = (np.frombuffer(bytes(x), t.dtype).reshape(t.shape) for x, t in pairs)
        records = [*execute(self.plan, *given)]
        states = (self.plan.initial, records[-1].state) if self.lie.info.get("version", 2) == 2 else (State(), State())
        found, left = ([x[0] for x in state.named().values()] for state in states)
        steps = len(records)
        outputs = enumerate(record.outputs[0] for record in records)
        for place, x in (*enumerate(found, steps), *outputs, *enumerate(left, steps + len(found))):
            data = np.ascontiguousarray(x).tobytes()
            yield StepDone(place, 7 if place < steps else 0, zlib.crc32(data))
            for part in request.taps:
                if part.step == place:
                    for at in range(part.offset, part.offset + part.bytes, DATA_BYTES):
                        yield Chunk(place, at, data[at : min(at + DATA_BYTES, part.offset + part.bytes)])


def listening(plan: Plan, lie: Lie, port: int = 0) -> str:
    """The pyserial URL of such a device on a socket, which serves one connection from a thread; port 0 is any."""
    server = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        with server, server.accept()[0] as connection:
            device = Liar(plan, lie)
            try:
                while data := connection.recv(1 << 12):
                    device.send(data)
                    while reply := device.receive(0):
                        connection.sendall(reply)
            except OSError:  # the other end has had enough
                pass

    threading.Thread(target=serve, daemon=True).start()
    return f"socket://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def pulled_out(plan: Plan, lie: Lie, port: Path) -> Iterator[None]:
    """Such a device at a serial port, which is pulled out at the first ConnectionError of `lie`; then an honest one.

    The port is a pseudo-terminal, and `port` a link to it, as udev makes them: there again under the same name.
    """
    import tty  # which Windows has not

    end = threading.Event()

    def serve() -> None:
        for each in (lie, Lie()):
            near, far = os.openpty()
            tty.setraw(far)
            port.symlink_to(os.ttyname(far))
            with suppress(ConnectionError):
                _answer(near, Liar(plan, each), end)
            port.unlink()
            os.close(near)
            os.close(far)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    until(port.is_symlink)
    yield
    end.set()
    thread.join()


def _answer(file: int, device: Liar, end: threading.Event) -> None:
    while not end.is_set():
        if select.select([file], [], [], 0.05)[0]:
            device.send(os.read(file, 1 << 12))
            while reply := device.receive(0):
                os.write(file, reply)


def noise(tensor: Tensor, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-99, 99, tensor.shape).astype(tensor.dtype)


__all__ = ["INPUT", "Liar", "Lie", "listening", "noise", "pulled_out", "told"]
