"""The host's end of the conversation: asks until it has the answer, and believes nothing that does not add up.

Every request may be lost, repeated, or meet a device that has just been reset, so each can be sent again: the device
remembers nothing but the bytes in its inputs, which a run proves by their CRC-32, and what the model remembers, which
it proves by one over the inputs of all inferences before. A tensor is believed when its bytes have the CRC-32 that the
device took of it during the same run.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeVar

import numpy as np

from ..memory import MEMORY, require_room
from ..model import Array
from ..text import counted
from .heard import Heard
from .protocol import (
    INPUT,
    OUTPUT,
    STATE,
    STATE_DIFFERS,
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
    Restarted,
    Run,
    StepDone,
    TensorInfo,
    Write,
    Written,
    decode,
    encode,
    frame,
)
from .transport import DeviceError, Line, LostError

QUICK = 1.0
"""Seconds to wait for what takes no time."""

TRIES = 8
"""How often in a row nothing may be gained before giving up."""

MOST = 1 << 14
"""How many steps, inputs, outputs and states a device may have each."""

FLOOD = 1 << 20
"""Bytes that may come for a request beyond 64 for each of the answer; whoever sends more will not end."""

MOST_DIMENSIONS = 32
"""NumPy's limit, of its oldest version."""

RANGES = 64
"""Taps in one request: it must fit the device's buffer."""

RESTARTING = "it began anew each time: look at its watchdog, its power, and its stack (STACK_BYTES in link.ld)"
SLOW = "give a slow board more time (--timeout), else look at the line and at UART 0"
"""What to look at where a run is not finished."""

Reply = TypeVar("Reply", bound=Body)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DeviceRun:
    """One inference: each step's ticks and its output's CRC-32, in order, and the tensors asked for, by place.

    The steps are those of the device's table (`Device.steps`), and `states` the CRC-32s of its states, as the inference
    found them, then as it left them.
    """

    ticks: tuple[int, ...]
    crc32: tuple[int, ...]
    tensors: Mapping[int, Array]
    states: tuple[int, ...] = ()


class _Arriving:
    """A tensor of which parts have come: `there` tells which of its bytes."""

    def __init__(self, size: int) -> None:
        self.data, self.there = bytearray(size), np.zeros(size, np.bool_)
        self.count = 0

    def put(self, offset: int, data: bytes) -> bool:
        """Whether that was new; what lies outside is not believed."""
        part = slice(offset, offset + len(data))
        if part.stop > len(self.data) or self.there[part].all():
            return False
        self.data[part] = data
        self.count += len(data) - int(self.there[part].sum())
        self.there[part] = True
        return True

    def missing(self, place: int) -> list[Range]:
        edges = np.flatnonzero(np.diff(self.there, prepend=True, append=True)).tolist()
        return [Range(place, start, end - start) for start, end in zip(edges[::2], edges[1::2], strict=True)]


@dataclass
class _Collected:
    """What has arrived of a run so far."""

    data: dict[int, _Arriving]
    done: dict[int, StepDone] = field(default_factory=dict)


class Device:
    """A device on a line. `timeout`: seconds that a step may take. Use it in a `with` statement.

    `places` are the tensors that a run tells of: the outputs of the `steps`, then the `states`, all that lives on from
    one inference to the next, as the run found them, then as it left them (of firmware before `Info.version` 2: none).
    `retries` are the requests that had to be sent again, `restarts` how often it began anew.
    """

    def __init__(self, line: Line, *, timeout: float = 30.0, quick: float = QUICK) -> None:
        self.line, self.timeout, self.quick = line, timeout, quick
        self.deframer, self.heard = Deframer(), Heard()
        self.sequence = random.getrandbits(31)
        self.last = 0.0  # when something came of that patience is renewed
        self.retries = self.restarts = 0
        try:
            self.info = self._ask(GetInfo(), Info)
            _check_info(self.info)
            self.steps = self._tensors(STEP, self.info.steps)
            self.inputs = self._tensors(INPUT, self.info.inputs)
            self.outputs = self._tensors(OUTPUT, self.info.outputs)
            self.states = self._tensors(STATE, self.info.states)
            self.places = (*self.steps, *self.states, *self.states)
            self.restarts = 0  # opening the line may have reset it
        except BaseException:
            line.close()
            raise

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def run(
        self,
        inputs: Sequence[Array],
        taps: Collection[int] = (),
        progress: Progress = lambda done, of: None,
        before: Sequence[Sequence[Array]] = (),
        like: DeviceRun | None = None,
    ) -> DeviceRun:
        """Run on `inputs` (the declared dtypes and shapes); `taps` are the `places` whose tensors to bring along.

        `before` are the inputs of the inferences that come before, of a model that remembers: the device has run them
        last, or else runs them again; without any it begins afresh. The tensors come from the very run whose CRCs are
        returned, or from one that gave the same CRCs; so did `like`, an earlier run on the same. `progress` is told how
        many bytes of all have arrived. Raises `DeviceError`.
        """
        data, history = _bytes(inputs), [_bytes(each) for each in before]
        if len(data) != len(self.inputs):
            raise DeviceError(f"the device takes {counted(len(self.inputs), 'input')}, got {len(data)}")
        for tensor, x in zip(self.inputs, data, strict=True):
            if len(x) != tensor.bytes:
                raise DeviceError(f"input '{tensor.name}' takes {tensor.bytes} bytes on the device, got {len(x)}")
        whole = sum(self.places[place].bytes for place in taps)
        require_room(whole, MEMORY, "what the device shall send", DeviceError)
        got = _Collected({place: _Arriving(self.places[place].bytes) for place in sorted(taps)}, _done(like))
        fruitless, restarts = 0, self.restarts
        while True:
            missing = [part for place, tensor in got.data.items() for part in tensor.missing(place)]
            if not missing and len(got.done) == len(self.places):
                break
            gained = self._attempt(data, missing[:RANGES], got, lambda n: progress(n, whole), history)
            believed = self._drop_wrong(got)
            fruitless = 0 if gained and believed else fruitless + 1
            self.retries += fruitless > 0
            if fruitless == TRIES:
                look_at = RESTARTING if self.restarts - restarts >= TRIES else SLOW
                raise LostError(f"{self.info.board} does not finish a run: nothing new in {TRIES} attempts; {look_at}")
        done, steps = [got.done[place] for place in range(len(self.places))], len(self.steps)
        tensors = {place: _array(self.places[place], got.data[place].data) for place in taps}
        crc32 = tuple(each.crc32 for each in done)
        return DeviceRun(tuple(each.ticks for each in done[:steps]), crc32[:steps], tensors, crc32[steps:])

    # ---- one run

    def _attempt(
        self,
        data: Sequence[bytes],
        taps: Sequence[Range],
        got: _Collected,
        progress: Callable[[int], None],
        history: Sequence[Sequence[bytes]],
    ) -> bool:
        """Write the inputs, run once, collect; whether anything new came."""
        self._write(data)
        gained, seen = False, set[int]()
        request = _run(data, history, taps)
        wanted = {tap.step for tap in taps}
        for reply in self._exchange(request):
            match reply:
                case Refused():
                    if reply.reason == STATE_DIFFERS:
                        self._replay(history)
                    return gained
                case StepDone() if reply.step < len(self.places) and reply.step not in seen:
                    seen.add(reply.step)
                    self.last = time.monotonic()
                    known = got.done.setdefault(reply.step, reply)
                    gained |= known is reply
                    if known.crc32 != reply.crc32:
                        raise DeviceError(self._undetermined(reply.step))
                case Chunk() if reply.step in wanted:
                    if got.data[reply.step].put(reply.offset, reply.data):
                        gained, self.last = True, time.monotonic()
                        progress(sum(tensor.count for tensor in got.data.values()))
                case Finished():
                    return gained
        return gained

    def _undetermined(self, place: int) -> str:
        """What is to be said of a place that was other in a second run on the same inputs."""
        if (state := place - len(self.steps)) >= 0:
            when = "began with another state" if state < len(self.states) else "left another state"
            return (
                f"a second run on the same inputs {when} ({self.places[place].name}): what lives on is not forgotten "
                "when it should be, or written by others too; look at model_reset, for uninitialised memory, and for "
                "interrupts that write into the arena"
            )
        return (
            f"step {place} ({self.steps[place].operator_name}) gave other results in a second run on the same input: "
            "the device is not deterministic; look for uninitialised memory, or interrupts that write into the arena"
        )

    def _write(self, data: Sequence[bytes]) -> None:
        for place, x in enumerate(data):
            for offset in range(0, len(x), self.info.data_bytes):
                self._ask(Write(place, offset, x[offset : offset + self.info.data_bytes]), Written)

    def _replay(self, history: Sequence[Sequence[bytes]]) -> None:
        """Run the inferences before. The next attempt tells whether the device was reset meanwhile."""
        for inference, data in enumerate(history):
            request = _run(data, history[:inference])
            for _ in range(TRIES):
                self._write(data)
                if any(_is_behind(reply) for reply in self._exchange(request)):
                    break

    def _drop_wrong(self, got: _Collected) -> bool:
        """Forget complete tensors that do not have their CRC-32, to ask for them again; whether there were none."""
        complete = [place for place, tensor in got.data.items() if tensor.there.all() and place in got.done]
        wrong = [place for place in complete if zlib.crc32(got.data[place].data) != got.done[place].crc32]
        got.data.update((place, _Arriving(self.places[place].bytes)) for place in wrong)
        return not wrong

    # ---- questions and answers

    def _tensors(self, role: int, count: int) -> tuple[TensorInfo, ...]:
        tensors = tuple(self._ask(GetTensor(role, place), TensorInfo) for place in range(count))
        for tensor in tensors:
            _check_tensor(tensor)
        return tensors

    def _ask(self, request: Body, kind: type[Reply]) -> Reply:
        """Ask until there is the answer."""
        for _ in range(TRIES):
            for reply in self._exchange(request):
                if isinstance(reply, kind):
                    self.heard = Heard()
                    return reply
                if isinstance(reply, Refused):
                    raise DeviceError(
                        f"the device refuses {type(request).__name__}: it speaks another protocol; "
                        "build its firmware with this version of refengine"
                    )
            self.retries += 1
        raise LostError(f"nobody answers ({TRIES} times asked): {self.heard}")

    def _exchange(self, request: Body) -> Iterator[Body]:
        """Send `request` once and yield its replies, until none that counts (see `last`) has come for too long."""
        self.sequence = self.sequence + 1 & 0x7FFFFFFF
        asked = encode(self.sequence, request)
        most = FLOOD
        if isinstance(request, Run):
            most += 64 * (2 * len(self.places) + sum(part.bytes for part in request.taps))
        self.line.send(frame(asked))
        patience, self.last = self.quick, time.monotonic()
        while (left := self.last + patience - time.monotonic()) > 0 and (data := self.line.receive(left)):
            most -= len(data)
            if most < 0:
                raise DeviceError(f"the device sends without end: {self.heard}")
            self.heard.add(data)
            for payload in self.deframer.feed(data):
                message = decode(payload)
                if payload == asked:
                    self.heard.echoes += 1
                elif message and isinstance(message[1], Restarted):
                    self.restarts += 1
                    if isinstance(request, Run):  # other requests it answers after it
                        return
                elif message and message[0] == self.sequence:
                    if isinstance(request, Run) and patience != (allowed := self._patience_after(message[1])):
                        patience, self.last = allowed, time.monotonic()
                    self.heard.answers += 1
                    yield message[1]
                else:
                    self.heard.messages += message is not None
                    self.heard.frames += message is None

    def _patience_after(self, reply: Body) -> float:
        """Seconds to wait for what follows in a run: what a step may take, but behind the last nothing is computed."""
        left = len(self.steps) + len(self.states)
        is_behind = isinstance(reply, (StepDone, Chunk)) and (reply.step == len(self.steps) - 1 or reply.step >= left)
        return self.quick if is_behind else self.timeout


def _bytes(inputs: Sequence[Array]) -> list[bytes]:
    return [np.ascontiguousarray(x).tobytes() for x in inputs]


def _done(run: DeviceRun | None) -> dict[int, StepDone]:
    """What a run told of its places."""
    if run is None:
        return {}
    ticks = (*run.ticks, *(0 for _ in run.states))
    return {i: StepDone(i, *told) for i, told in enumerate(zip(ticks, (*run.crc32, *run.states), strict=True))}


def _is_behind(reply: Body) -> bool:
    """Whether it tells that an inference has run, now or before."""
    return isinstance(reply, Finished) or reply == Refused(STATE_DIFFERS)


def _run(data: Sequence[bytes], history: Sequence[Sequence[bytes]], taps: Sequence[Range] = ()) -> Run:
    """The request for an inference after those of the `history`, which it names as device.fbs says."""
    name = 0
    for inputs in history:
        for x in inputs:
            name = zlib.crc32(name.to_bytes(4, "little") + zlib.crc32(x).to_bytes(4, "little"))
        name |= 1
    return Run(tuple(zlib.crc32(x) for x in data), tuple(taps), name)


def _check_info(info: Info) -> None:
    """Refuse what cannot be, before anything is built on it."""
    for what in ("steps", "inputs", "outputs", "states"):
        count = getattr(info, what)
        _require(count <= MOST, f"it has {count:,} {what}, and more than {MOST:,} are not believed")
    _require(info.outputs, "it has no outputs")
    _require(info.data_bytes, "its messages can carry 0 bytes")
    _require(info.ticks_per_second, "its clock makes 0 ticks a second")


def _check_tensor(tensor: TensorInfo) -> None:
    place = f"its tensor {tensor.index} '{tensor.name}'"
    _require(tensor.type < len(TYPES), f"{place} is of type {tensor.type}, and the last is {len(TYPES) - 1}")
    size = prod(tensor.shape) * np.dtype(TYPES[tensor.type]).itemsize
    _require(
        all(d >= 0 for d in tensor.shape) and size == tensor.bytes and len(tensor.shape) <= MOST_DIMENSIONS,
        f"{place} has {tensor.bytes:,} bytes for {TYPES[tensor.type]} {tensor.shape}",
    )
    require_room(size, MEMORY, place, DeviceError)


def _require(condition: object, lie: str) -> None:
    if not condition:
        raise DeviceError(f"the device says that {lie}: its firmware is broken, or no refengine's; build it again")


def _array(tensor: TensorInfo, data: bytearray) -> Array:
    return np.frombuffer(bytes(data), TYPES[tensor.type]).reshape(tensor.shape)
