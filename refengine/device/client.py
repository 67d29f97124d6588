"""The host's end of the conversation: asks until it has the answer, and believes nothing that does not add up.

Every request may be lost, repeated, or meet a device that has just been reset, so each can be sent again: the device
remembers nothing but the bytes in its inputs, and a run proves these by their CRC-32. A tensor is believed when its
bytes have the CRC-32 that the device took of it during the same run.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ..model import Array
from .protocol import (
    INPUT,
    OUTPUT,
    STEP,
    TYPES,
    Body,
    Chunk,
    Deframer,
    Finished,
    GetInfo,
    GetTensor,
    Info,
    Range,
    Refused,
    Run,
    StepDone,
    TensorInfo,
    Write,
    Written,
    decode,
    encode,
    frame,
)
from .transport import DeviceError, Line

QUICK = 1.0
"""Seconds to wait for what takes no time."""

TRIES = 8
"""How often in a row nothing may be gained before giving up."""

RANGES = 32
"""Taps in one request: it must fit the device's buffer."""

Reply = TypeVar("Reply", bound=Body)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DeviceRun:
    """One inference: each step's ticks and its output's CRC-32, in order, and the outputs asked for, by step.

    The steps are those of the device's table (`Device.steps`).
    """

    ticks: tuple[int, ...]
    crc32: tuple[int, ...]
    tensors: Mapping[int, Array]


@dataclass
class _Collected:
    """What has arrived of a run so far."""

    done: dict[int, StepDone] = field(default_factory=dict)
    data: dict[int, dict[int, bytes]] = field(default_factory=dict)  # step → offset → bytes


class Device:
    """A device on a line. `timeout`: seconds that a step may take. Use it in a `with` statement."""

    def __init__(self, line: Line, *, timeout: float = 30.0, quick: float = QUICK) -> None:
        self.line, self.timeout, self.quick = line, timeout, quick
        self.deframer = Deframer()
        self.sequence = random.getrandbits(31)
        self.retries = 0
        try:
            self.info = self._ask(GetInfo(), Info)
            self.steps = self._tensors(STEP, self.info.steps)
            self.inputs = self._tensors(INPUT, self.info.inputs)
            self.outputs = self._tensors(OUTPUT, self.info.outputs)
        except BaseException:
            line.close()
            raise

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def run(
        self, inputs: Sequence[Array], taps: Collection[int] = (), progress: Progress = lambda done, of: None
    ) -> DeviceRun:
        """Run on `inputs` (the declared dtypes and shapes); `taps` are places in `steps` whose outputs to bring along.

        The outputs come from the very run whose CRCs are returned, or from one that gave the same CRCs. `progress` is
        told how many bytes of all have arrived. Raises `DeviceError`.
        """
        data = [np.ascontiguousarray(x).tobytes() for x in inputs]
        for tensor, x in zip(self.inputs, data, strict=True):
            if len(x) != tensor.bytes:
                raise DeviceError(f"input '{tensor.name}' takes {tensor.bytes} bytes on the device, got {len(x)}")
        got = _Collected()
        whole = sum(self.steps[step].bytes for step in taps)
        fruitless = 0
        while True:
            missing = self._missing(got, taps)
            if not missing and len(got.done) == len(self.steps):
                break
            gained = self._attempt(data, missing[:RANGES], got, lambda n: progress(n, whole))
            believed = self._drop_wrong(got, taps)
            fruitless = 0 if gained and believed else fruitless + 1
            self.retries += fruitless > 0
            if fruitless == TRIES:
                raise DeviceError(
                    f"{self.info.board} does not finish a run: nothing new in {TRIES} attempts; give a slow board more "
                    "time (--timeout), else look at the line and at UART 0"
                )
        done = [got.done[step] for step in range(len(self.steps))]
        tensors = {step: self._array(self.steps[step], got.data.get(step, {})) for step in taps}
        return DeviceRun(tuple(d.ticks for d in done), tuple(d.crc32 for d in done), tensors)

    # ---- one run

    def _attempt(
        self, data: Sequence[bytes], taps: Sequence[Range], got: _Collected, progress: Callable[[int], None]
    ) -> bool:
        """Write the inputs, run once, collect; whether anything new came."""
        for place, x in enumerate(data):
            for offset in range(0, len(x), self.info.data_bytes):
                self._ask(Write(place, offset, x[offset : offset + self.info.data_bytes]), Written)
        gained = False
        request = Run(tuple(zlib.crc32(x) for x in data), tuple(taps))
        wanted = {tap.step for tap in taps}
        for reply in self._exchange(request):
            match reply:
                case Refused():
                    return gained
                case StepDone() if reply.step < len(self.steps):
                    known = got.done.setdefault(reply.step, reply)
                    gained |= known is reply
                    if known.crc32 != reply.crc32:
                        raise DeviceError(
                            f"step {reply.step} ({self.steps[reply.step].operator_name}) gave other results "
                            "in a second run on the same input: the device is not deterministic; look for "
                            "uninitialised memory, or interrupts that write into the arena"
                        )
                case Chunk() if reply.step in wanted:
                    parts = got.data.setdefault(reply.step, {})
                    gained |= reply.offset not in parts
                    parts[reply.offset] = reply.data
                    progress(sum(len(part) for parts in got.data.values() for part in parts.values()))
                case Finished():
                    return gained
        return gained

    def _missing(self, got: _Collected, taps: Collection[int]) -> list[Range]:
        """The parts of `taps` that have not arrived, in order."""
        missing = []
        for step in sorted(taps):
            at = 0
            for offset, part in sorted(got.data.get(step, {}).items()):
                if offset > at:
                    missing.append(Range(step, at, offset - at))
                at = max(at, offset + len(part))
            if at < self.steps[step].bytes:
                missing.append(Range(step, at, self.steps[step].bytes - at))
        return missing

    def _drop_wrong(self, got: _Collected, taps: Collection[int]) -> bool:
        """Forget complete tensors that do not have their CRC-32, to ask for them again; whether there were none."""
        complete = set(taps) & got.done.keys() - {part.step for part in self._missing(got, taps)}
        wrong = [step for step in complete if zlib.crc32(self._joined(step, got.data[step])) != got.done[step].crc32]
        for step in wrong:
            del got.data[step]
        return not wrong

    def _joined(self, step: int, parts: Mapping[int, bytes]) -> bytes:
        data = bytearray(self.steps[step].bytes)
        for offset, part in parts.items():
            data[offset : offset + len(part)] = part
        return bytes(data[: self.steps[step].bytes])

    def _array(self, tensor: TensorInfo, parts: Mapping[int, bytes]) -> Array:
        data = self._joined(self.steps.index(tensor), parts)
        return np.frombuffer(data, TYPES[tensor.type]).reshape(tensor.shape)

    # ---- questions and answers

    def _tensors(self, role: int, count: int) -> tuple[TensorInfo, ...]:
        return tuple(self._ask(GetTensor(role, place), TensorInfo) for place in range(count))

    def _ask(self, request: Body, kind: type[Reply]) -> Reply:
        """Ask until there is the answer."""
        for _ in range(TRIES):
            for reply in self._exchange(request):
                if isinstance(reply, kind):
                    return reply
                if isinstance(reply, Refused):
                    raise DeviceError(
                        f"the device refuses {type(request).__name__}: it speaks another protocol; "
                        "build its firmware with this version of refengine"
                    )
            self.retries += 1
        raise DeviceError(
            f"nobody answers ({TRIES} times asked); is the firmware running, the port its UART 1, the baud rate right?"
        )

    def _exchange(self, request: Body) -> Iterator[Body]:
        """Send `request` once and yield its replies, until none has come for too long."""
        self.sequence = self.sequence + 1 & 0x7FFFFFFF
        self.line.send(frame(encode(self.sequence, request)))
        patience = self.quick
        last = time.monotonic()
        while (left := last + patience - time.monotonic()) > 0 and (data := self.line.receive(left)):
            for payload in self.deframer.feed(data):
                message = decode(payload)
                if message and message[0] == self.sequence:
                    patience = self.timeout if isinstance(request, Run) else self.quick
                    last = time.monotonic()
                    yield message[1]
