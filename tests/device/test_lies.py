"""Whatever a device says or does, the host believes it or raises a `DeviceError`, in bounded time and memory."""

from __future__ import annotations

import contextlib
import math
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import count, repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine import Session, make_plan
from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.device import Device, DeviceError, Line, connect, output_steps, outputs_of, record, unequal_steps
from refengine.device.client import FLOOD, MOST, _Arriving
from refengine.device.protocol import (
    Body,
    Chunk,
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
    encode,
    frame,
)
from refengine.execute import run
from refengine.judge import Dump, diff
from tests.device.liar import Liar, Lie, listening, noise
from tests.device.test_protocol import VALUES, bodies
from tests.judge.streams import remembering

MODEL = "dense_int8"
PLAN = make_plan(bundled_models()[MODEL])
X = noise(PLAN.inputs[0])
HUGE = 2**32 - 1
QUICK = 0.1


def used(lie: Lie) -> None:
    """Everything that one does with a device."""
    device = Device(Liar(PLAN, lie), timeout=QUICK, quick=QUICK)
    got = device.run((X,), output_steps(device))
    outputs_of(device, got)
    unequal_steps(device, PLAN, (X,), got)
    record(device, PLAN, (X,))


@contextlib.contextmanager
def bounded(seconds: float = 10, room: int = 16 << 20) -> Iterator[None]:
    start = time.monotonic()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < room
    finally:
        tracemalloc.stop()
    assert time.monotonic() - start < seconds


def test_a_liar_that_tells_the_truth_is_believed() -> None:
    device = Device(Liar(PLAN, Lie()))
    got = device.run((X,), output_steps(device))
    np.testing.assert_array_equal(outputs_of(device, got)[0], run(PLAN, X)[0], strict=True)
    assert unequal_steps(device, PLAN, (X,), got) == ()
    with connect(listening(PLAN, Lie()), PLAN) as far:
        assert record(far, PLAN, (X,)).tensors.keys() == record(device, PLAN, (X,)).tensors.keys()


def saying(role: str, fields: dict[str, Any]) -> Lie:
    """One that describes a tensor of a role otherwise."""
    said: dict[str, Any] = {role: fields}
    return Lie(**said)


SAID = {
    "no room in its messages": (Lie(info={"data_bytes": 0}), "its messages can carry 0 bytes"),
    "no time": (Lie(info={"ticks_per_second": 0}), "its clock makes 0 ticks a second"),
    "no outputs": (Lie(info={"outputs": 0}), "it has no outputs"),
    "no inputs": (Lie(info={"inputs": 0}), "takes 0 inputs, got 1"),
    "two inputs": (Lie(info={"inputs": 2}), "takes 2 inputs, got 1"),
    "no steps": (Lie(info={"steps": 0}), "is computed by no step"),
    **{
        f"{number} {what}": (Lie(info={what: number}), f"it has {number:,} {what}, and more than {MOST:,} are not")
        for what in ("steps", "inputs", "outputs", "states")
        for number in (HUGE, MOST + 1)
    },
    **{
        f"{role} {what}": (saying(role, {"type": 1} | said), message)
        for role in ("step", "input", "output")
        for what, said, message in (
            ("of an unknown type", {"type": 200}, "is of type 200, and the last is 8"),
            ("of the next type", {"type": 9}, "is of type 9"),
            ("of another shape than bytes", {"shape": (7, 7), "bytes": 10}, r"has 10 bytes for int8 \(7, 7\)"),
            ("of a negative shape", {"shape": (-1, -10), "bytes": 10}, r"has 10 bytes for int8 \(-1, -10\)"),
            ("of a huge shape", {"shape": (2**31 - 1,) * 30}, "bytes for int8"),
            ("of many dimensions", {"shape": (1,) * 100, "bytes": 1}, "has 1 bytes"),
            ("of 4 GiB that it has not", {"bytes": HUGE}, "has 4,294,967,295 bytes for int8"),
            ("of 4 GiB", {"shape": (65535, 65537), "bytes": HUGE}, r"may take 4\.0 GiB of memory"),
        )
    },
}


@pytest.mark.parametrize(("lie", "message"), SAID.values(), ids=SAID)
def test_what_cannot_be_is_refused_when_it_is_said(lie: Lie, message: str) -> None:
    with bounded(2), pytest.raises(DeviceError, match=message):
        used(lie)


def answering(kind: type[Body], *lies: Callable[[Iterator[Body]], Iterator[Body]]) -> Lie:
    """One that answers requests of a kind otherwise."""

    def replies(request: Body, truth: Iterator[Body]) -> Iterator[Body]:
        return lies[0](truth) if isinstance(request, kind) else truth

    return Lie(replies=replies)


ENDLESS: dict[str, Lie] = {
    "the same chunk": answering(Run, lambda truth: repeat(Chunk(0, 0, bytes(512)))),
    "chunks beyond the tensor": answering(Run, lambda truth: (Chunk(0, at, bytes(99)) for at in count(10**6))),
    "chunks of nothing": answering(Run, lambda truth: repeat(Chunk(0, 0, b""))),
    "chunks of steps that are not": answering(Run, lambda truth: (Chunk(at, 0, b"a") for at in count(100))),
    "overlapping chunks": answering(Run, lambda truth: (Chunk(0, at % 700, bytes(84)) for at in count())),
    "the same step": answering(Run, lambda truth: repeat(StepDone(0, 1, 2))),
    "steps that are not": answering(Run, lambda truth: (StepDone(at, 1, 2) for at in count(100))),
    "starting": answering(Run, lambda truth: repeat(Started())),
    "requests": answering(GetInfo, lambda truth: repeat(GetInfo())),
    "other answers": answering(GetTensor, lambda truth: repeat(Written(0, 0, 1))),
    "other answers to writing": answering(Write, lambda truth: repeat(Finished(3))),
    "text": Lie(wire=lambda request, reply: b"hello world\n" * 1000),
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", [answering(GetInfo, lambda truth: repeat(Started())), *ENDLESS.values()])
def test_what_never_ends_is_ended(lie: Lie) -> None:
    """A flood is told at once; of what merely never answers, the patience ends."""
    with bounded(30), pytest.raises(DeviceError, match=r"sends without end|does not finish|nobody answers"):
        used(lie)


def test_a_flood_is_noticed_before_it_has_taken_time_or_memory() -> None:
    line = Liar(PLAN, ENDLESS["the same chunk"])
    device = Device(line, timeout=3600)
    before = line.received
    with bounded(10), pytest.raises(DeviceError, match=r"the device sends without end: .* \d,\d+ answers among them"):
        device.run((X,), (0,))
    assert FLOOD < line.received - before < 2 * FLOOD
    assert Liar(PLAN, Lie()).closed is False


def test_a_chunk_that_reaches_beyond_its_tensor_is_not_believed() -> None:
    arriving = _Arriving(4)
    assert not arriving.put(3, b"ab") and not arriving.put(4, b"a") and not arriving.put(0, b"")
    assert arriving.put(1, b"ab") and not arriving.put(1, b"ab")
    assert (bytes(arriving.data), arriving.count, arriving.missing(5)) == (b"\0ab\0", 2, [(5, 0, 1), (5, 3, 1)])


@pytest.mark.slow
def test_a_step_is_not_believed_to_be_another() -> None:
    """What a device says of its steps is held against the model."""
    pytest.importorskip("serial", reason="pyserial is not installed")
    for lie in (
        Lie(step={"index": 10**6}),
        Lie(step={"index": -5}),
        Lie(step={"operator_index": 3}),
        Lie(step={"type": 1, "shape": (1, 28, 28), "bytes": 784}),
        Lie(input={"shape": (784,)}),
        Lie(output={"type": 5}),
        Lie(info={"steps": 50}),
    ):
        with bounded(3), pytest.raises(DeviceError, match=r"^socket:.*: the device's \w+ are not the model's; export"):
            connect(listening(PLAN, lie), PLAN)


def test_states_are_held_against_the_model() -> None:
    pytest.importorskip("serial", reason="pyserial is not installed")
    plan = make_plan(remembering())
    for lie in (Lie(state={"name": "t5"}), Lie(state={"index": 3}), Lie(state={"type": 1, "bytes": 32})):
        with bounded(3), pytest.raises(DeviceError, match="the device's states are not the model's; export the model"):
            connect(listening(plan, lie), plan)


def test_old_firmware_tells_no_states_and_that_is_said() -> None:
    """Protocol 1: it goes on where the inference before ended, and does not tell where that was."""
    pytest.importorskip("serial", reason="pyserial is not installed")
    plan = make_plan(remembering())
    x, old_one = noise(plan.inputs[0]), Lie(info={"version": 1, "states": 0})
    old, new = (record(connect(listening(plan, lie), plan), plan, (x,)) for lie in (old_one, Lie()))
    assert [*new.found] == ["t4"] and new.found["t4"].shape == (1, 32) and not old.found
    assert old.tensors.keys() | {4} == new.tensors.keys()
    given = diff(plan, Dump("old.npz", old.tensors), state=Session(plan).state)
    assert not given.differs and any("the state before is taken for that of the first" in note for note in given.notes)


# ---- what came instead of an answer ---------------------------------------------------------------------------


class Says:
    """A line on which `reply(request)` comes."""

    def __init__(self, reply: Callable[[bytes], bytes]) -> None:
        self.reply, self.waiting = reply, b""

    def send(self, data: bytes) -> None:
        self.waiting += self.reply(data)

    def receive(self, timeout: float) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    def close(self) -> None:
        pass


def damaged(request: bytes) -> bytes:
    """An answer whose middle is lost, as a buffer that overflows loses it."""
    line = Liar(PLAN, Lie())
    line.send(request)
    answer = line.receive(0)
    return answer[:30] + answer[40:]


HEARD = {
    "silence": (lambda request: b"", "not a byte came; is the firmware running"),
    "an echo": (lambda request: request, r"\d+ bytes came, and they are what was sent: an echo; are RX and TX joined"),
    "text": (lambda request: b"boot: OK\r\n", r"80 bytes came, and they are text: 'boot: OK\\r\\nboot: OK.* UART 0"),
    "escapes": (lambda request: b"\x1b[2Jhello there", r"they are text: '\\x1b\[2Jhello"),
    "half frames": (damaged, r"frames are among them, but none is whole \(c0 .*\); is the baud rate too high"),
    "another protocol": (lambda request: frame(b"something"), "in 8 sound frames of another protocol; build"),
    "noise": (lambda request: bytes(range(128, 140)), r"neither text nor frames \(80 81 .*\); is the baud rate right"),
}


@pytest.mark.parametrize(("reply", "told"), HEARD.values(), ids=HEARD)
def test_what_came_instead_of_an_answer_is_shown(reply: Callable[[bytes], bytes], told: str) -> None:
    with pytest.raises(DeviceError, match=rf"^nobody answers \(8 times asked\): .*{told}") as caught:
        Device(Says(reply), quick=0.01)
    assert str(caught.value).isprintable()


def test_answers_to_somebody_else_are_told() -> None:
    """A program that shares the port asks too, and its answers come here."""
    other = frame(encode(7, Started()))
    with pytest.raises(DeviceError, match="in 8 messages that answer something else; does another program"):
        Device(Says(lambda request: other), quick=0.01)


def test_answers_that_are_none_are_told() -> None:
    line: Line = Liar(PLAN, answering(GetInfo, lambda truth: iter([Started()])))
    with pytest.raises(DeviceError, match="bytes came, 8 answers among them, but not what was asked for"):
        Device(line, quick=0.01)


# ---- the command line -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", ["no time", "no outputs", "no inputs", f"{HUGE} steps", "step of 4 GiB"])
@pytest.mark.parametrize("command", [("device", "info"), ("device", "run"), ("device", "record"), ("diff",)])
def test_commands_say_it_in_one_line(
    lie: str, command: tuple[str, ...], tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("serial", reason="pyserial is not installed")
    np.save(tmp_path / "x.npy", X)
    arguments = [*command, "--port", listening(PLAN, SAID[lie][0])]
    if command == ("diff",):
        arguments.insert(1, MODEL)
    elif command != ("device", "info"):
        arguments += ["--model", MODEL]
    if command != ("device", "info"):
        arguments += ["--input", str(tmp_path / "x.npy")]
    if command == ("device", "record"):
        arguments += ["-o", str(tmp_path / "out.npz")]
    harmless = command == ("device", "info") and lie == "no inputs"
    assert main(arguments) == (0 if harmless else 2)
    assert capsys.readouterr().err.count("\n") == (0 if harmless else 1)
    assert not (tmp_path / "out.npz").exists()


# ---- any lie --------------------------------------------------------------------------------------------------


def some(kind: type[Body]) -> st.SearchStrategy[dict[str, Any]]:
    """Some fields of a message otherwise."""
    return st.fixed_dictionaries({}, optional={f.name: VALUES[str(f.type)] for f in fields(kind)})


small = st.integers(0, 12)
chunks = st.builds(Chunk, small, small, st.binary(max_size=20))
replies = st.lists(bodies | chunks | st.builds(StepDone, small, small, small))


@pytest.mark.slow
@settings(max_examples=100)
@given(some(Info), some(TensorInfo), some(TensorInfo), some(TensorInfo))
def test_any_table_is_believed_or_refused(info: Any, step: Any, input: Any, output: Any) -> None:
    for key in ("steps", "inputs", "outputs"):  # whole thousands of tables take their time, as they may
        if key in info and info[key] % 3:
            info[key] %= 20
    with contextlib.suppress(DeviceError):
        used(Lie(info, step, input, output))


@pytest.mark.slow
@settings(max_examples=100)
@given(st.sampled_from([GetInfo, GetTensor, Write, Run]), replies, st.booleans())
def test_any_answers_are_believed_or_refused(kind: type[Body], answers: list[Body], truth_too: bool) -> None:
    lie = answering(kind, lambda truth: iter([*answers, *(truth if truth_too else ())]))
    with contextlib.suppress(DeviceError):
        device = Device(Liar(PLAN, lie), timeout=QUICK, quick=QUICK)
        got = device.run((X,), range(len(device.steps)))
        for step, array in got.tensors.items():
            assert array.nbytes == math.prod(array.shape) * array.itemsize == device.steps[step].bytes


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=99)), st.integers(0, 10**6), st.booleans())
def test_any_bytes_are_heard_or_refused(parts: list[bytes], cut: int, framed: bool) -> None:
    sent = iter([*parts, *repeat(b"", 10**4)])

    def wire(request: bytes, reply: bytes) -> bytes:
        part = next(sent)
        return (frame(part) if framed else part) + reply[: cut % (len(reply) + 1)]

    with contextlib.suppress(DeviceError):
        used(Lie(wire=wire))


def test_lies_are_lies() -> None:
    """The tests above can fail: what they change is changed."""
    with pytest.raises(DeviceError, match="its tensor"):
        used(replace(Lie(), step={"bytes": 1}))
