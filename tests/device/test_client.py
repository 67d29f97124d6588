"""The host's end against the firmware itself, over lines that are sound, faulty, silent, or lie."""

from __future__ import annotations

import ctypes
import random
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refengine.bundled import bundled_models
from refengine.cexport.placement import offsets_of
from refengine.device import Device, DeviceError, Recording, output_steps, outputs_of, record, unequal_steps
from refengine.device.client import TRIES
from refengine.device.protocol import (
    Body,
    Chunk,
    Deframer,
    Finished,
    GetInfo,
    Refused,
    Restarted,
    Run,
    StepDone,
    Write,
    decode,
    encode,
    frame,
)
from refengine.execute import execute, infer, run
from refengine.judge import Dump, diff
from refengine.model import Array
from refengine.plan import Plan, make_plan
from tests.commands.test_streams import totalling
from tests.device.liar import Liar, Lie
from tests.device.memory_board import NEVER, FaultyLine, MemoryBoard
from tests.judge.streams import remembering

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

PLAN = make_plan(bundled_models()["stm32f746_int8"])


def digit(number: int) -> Array:
    rng = np.random.default_rng(number)
    return rng.integers(-128, 128, PLAN.inputs[0].shape, np.int8)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> MemoryBoard:
    return MemoryBoard(PLAN, tmp_path_factory.mktemp("board"))


def tensors_of(plan: Plan, x: Array) -> dict[int, Array]:
    return {r.step.outputs[0].index: r.outputs[0] for r in execute(plan, x)}


def test_the_device_tells_what_it_runs(board: MemoryBoard) -> None:
    device = Device(board)
    assert (device.info.name, device.info.board, device.info.sha256) == ("memory", "memory", PLAN.model.sha256)
    assert device.info.numerics == str(PLAN.numerics)
    live = [step for step in PLAN.steps if step.op.name not in ("SHAPE", "STRIDED_SLICE", "PACK")]
    assert [t.operator_index for t in device.steps] == [step.index for step in live]
    assert [t.shape for t in device.steps] == [step.outputs[0].shape for step in live]
    assert [t.index for t in device.inputs] == [t.index for t in PLAN.inputs]
    assert device.outputs[0].scale == PLAN.outputs[0].quantization.scale[0]  # type: ignore[union-attr]
    assert device.outputs[0].zero_point == -128


def test_every_tensor_is_the_engines(board: MemoryBoard) -> None:
    device, x = Device(board), digit(0)
    recording = record(device, PLAN, (x,))
    expected = tensors_of(PLAN, x)
    for index, tensor in recording.tensors.items():
        np.testing.assert_array_equal(tensor, x if index == PLAN.inputs[0].index else expected[index])
    assert len(recording.tensors) == len(device.steps) + 1
    assert device.retries == 0


def test_run_brings_outputs_and_judges_each_step(board: MemoryBoard) -> None:
    device, x = Device(board), digit(1)
    got = device.run((x,), output_steps(device))
    np.testing.assert_array_equal(outputs_of(device, got)[0], run(PLAN, x)[0])
    assert unequal_steps(device, PLAN, (x,), got) == ()
    assert len(unequal_steps(device, PLAN, (digit(2),), got)) > 3
    assert all(ticks == 7 for ticks in got.ticks)  # the clock of the memory board: sending and CRCs are not counted


@pytest.mark.slow
def test_thousands_of_faults_and_never_a_wrong_byte(board: MemoryBoard) -> None:
    random.seed(1)  # sequence numbers, so that every run of this test sees the same bytes
    expected = [tensors_of(PLAN, digit(number)) for number in range(4)]
    faults: Counter[str] = Counter()
    for seed in range(200):
        line = FaultyLine(board, seed, every=(1500, 2000, 3000, 10000)[seed % 4])
        device = Device(line)
        got = device.run((digit(seed // 4 % 4),), range(len(device.steps)))
        for place, tensor in got.tensors.items():
            np.testing.assert_array_equal(tensor, expected[seed // 4 % 4][device.steps[place].index])
            assert zlib.crc32(tensor.tobytes()) == got.crc32[place]
        faults += line.faults
    assert faults.total() > 5000 and min(faults.values()) > 50, faults


@pytest.mark.slow
def test_what_a_model_remembers_is_restored_over_a_bad_line(tmp_path: Path) -> None:
    """After lost replies, resets and somebody else's run the inferences before run again, in order."""
    plan = make_plan(totalling((1, 100), "int32"))
    board, frames = MemoryBoard(plan, tmp_path), [(np.full((1, 100), k, np.int32),) for k in (1, 20, 300, 4000)]
    faults: Counter[str] = Counter()
    for seed in range(20):
        line = FaultyLine(board, seed, every=(1500, 2000, 3000)[seed % 3])
        device = Device(line)
        for k, inputs in enumerate(frames):
            got = device.run(inputs, range(len(device.steps)), before=frames[:k])
            assert unequal_steps(device, plan, inputs, got, frames[:k]) == ()
            assert (outputs_of(device, got)[0] == 1 + sum(int(x[0, 0]) for (x,) in frames[: k + 1])).all()
            if seed % 5 == k:
                device.run(frames[3])
        faults += line.faults
    assert faults.total() > 100, faults


@pytest.fixture(scope="module")
def remembering_board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, MemoryBoard]:
    plan = make_plan(remembering())
    return plan, MemoryBoard(plan, tmp_path_factory.mktemp("remembering"))


def frames_of(plan: Plan) -> list[tuple[Array, ...]]:
    rng = np.random.default_rng(3)
    return [(rng.integers(-100, 100, plan.inputs[0].shape).astype(np.int8),) for _ in range(3)]


def dumped(recording: Recording) -> Dump:
    return Dump("device", recording.tensors, meta=recording.meta, found=recording.found, left=recording.left)


def test_a_recording_has_what_lived_on_before_and_after(remembering_board: tuple[Plan, MemoryBoard]) -> None:
    plan, board = remembering_board
    device, frames, state = Device(board), frames_of(plan), plan.initial
    for k, inputs in enumerate(frames):
        recording = record(device, plan, inputs, before=frames[:k])
        assert recording.meta["before"] == k and not recording.left
        np.testing.assert_array_equal(recording.found["t4"], state.variables[0, 4][0], strict=True)
        _, state = infer(plan, None, inputs, state)
        np.testing.assert_array_equal(recording.tensors[4], state.variables[0, 4][0], strict=True)
    assert device.retries == 0


def test_memory_that_was_written_between_two_inferences_is_told(remembering_board: tuple[Plan, MemoryBoard]) -> None:
    """Both inferences are sound on what they found, and the firmware knows of nothing."""
    plan, board = remembering_board
    device, frames = Device(board), frames_of(plan)
    first = record(device, plan, frames[0])
    at = offsets_of(plan)[4] + 2 * 20  # an int16 in the middle of the third filter's memory
    ctypes.c_int16.from_address(ctypes.addressof(ctypes.c_uint8.in_dll(board.library, "model_arena")) + at).value ^= 64
    second = record(device, plan, frames[1], before=frames[:1])
    report = diff(plan, dumped(second), previous=dumped(first))
    (held,) = report.wrong_states
    assert not report.culprits and held.certainty == "open"
    where = "(tensor 4 'input4' differs in 1 of 32 elements, first at [0, 20])"
    assert held.verdict.endswith(f"other inferences ran before it, or somebody wrote there {where}")
    blind = diff(plan, replace(dumped(second), found={}), previous=dumped(first))
    assert blind.culprits, "who does not know the state accuses the operator"


def test_a_state_that_is_another_in_a_second_run_is_named(remembering_board: tuple[Plan, MemoryBoard]) -> None:
    plan, board = remembering_board
    device, frames = Device(board), frames_of(plan)
    run = device.run(frames[2], before=frames[:1])
    assert device.run(frames[2], (1,), before=frames[:1], like=run).states == run.states
    with pytest.raises(DeviceError, match=r"a second run on the same inputs began with another state \(t4\): what"):
        device.run(frames[2], (1,), before=frames[1:2], like=run)


def test_the_faults_do_damage(board: MemoryBoard) -> None:
    """The test above can fail: without the CRC-32 of frames, wrong bytes would come through."""
    line = FaultyLine(board, 5, every=1500)
    sound = MemoryBoard.exchange(board, frame(encode(1, Run((0,)))))
    assert any(line._damaged(sound) != sound for _ in range(100))


class Silent:
    def send(self, data: bytes) -> None:
        self.sent = getattr(self, "sent", 0) + 1

    def receive(self, timeout: float) -> bytes:
        return b""

    def close(self) -> None:
        self.closed = True


def test_silence_has_an_end() -> None:
    line = Silent()
    with pytest.raises(DeviceError, match="nobody answers"):
        Device(line)
    assert line.sent == TRIES and line.closed


class Tampering:
    """A device that lies with a straight face: its frames are intact, their contents are not."""

    def __init__(self, board: MemoryBoard, what: str) -> None:
        self.board, self.what, self.deframer, self.runs = board, what, Deframer(), 0

    def send(self, data: bytes) -> None:
        self.board.send(data)

    def receive(self, timeout: float) -> bytes:
        return b"".join(self._changed(payload) for payload in self.deframer.feed(self.board.receive(timeout)))

    def _changed(self, payload: bytes) -> bytes:
        message = decode(payload)
        assert message is not None
        sequence, body = message
        match body:
            case Chunk() if self.what == "data":
                body = Chunk(body.step, body.offset, bytes(len(body.data)))
            case Chunk() if self.what == "place" and self.runs < 2:
                body = Chunk(body.step, body.offset + 100000, body.data)
            case StepDone() if self.what == "crc" and body.step == 0:
                self.runs += 1
                body = StepDone(body.step, body.ticks, body.crc32 ^ self.runs)
            case StepDone() if self.what == "number":
                body = StepDone(body.step + 1000, body.ticks, body.crc32)
        self.runs += self.what == "place" and isinstance(body, StepDone) and body.step == 0
        return frame(encode(sequence, body))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("what", ["data", "number"])
def test_a_lie_is_not_believed(board: MemoryBoard, what: str) -> None:
    device = Device(Tampering(board, what))
    with pytest.raises(DeviceError, match="does not finish"):
        device.run((digit(3),), (0,))


def test_a_device_that_changes_its_mind_is_named(board: MemoryBoard) -> None:
    device = Device(Tampering(board, "crc"))
    with pytest.raises(DeviceError, match="not deterministic"):
        device.run((digit(3),), (0,))


def test_what_makes_no_sense_is_refused(board: MemoryBoard) -> None:
    def answer(payload: bytes) -> list[object]:
        return [m[1] for p in Deframer().feed(board.exchange(frame(payload))) if (m := decode(p))]

    assert answer(encode(1, Run((1,)))) == [Refused(2)]  # other inputs than those written
    assert answer(encode(1, Run(()))) == [Refused(2)]
    assert answer(encode(1, StepDone(1, 2, 3))) == [Refused(0)]  # no request
    assert answer(b"RFD1") == [Refused(0)]


def test_a_wrong_input_is_told_in_time(board: MemoryBoard) -> None:
    device = Device(board)
    with pytest.raises(DeviceError, match="takes 784 bytes"):
        device.run((np.zeros(10, np.int8),))


def test_whoever_begins_anew_says_so_and_is_asked_again_at_once(board: MemoryBoard) -> None:
    class FailingPower(FaultyLine):
        def send(self, data: bytes) -> None:
            (request,) = (decode(payload) for payload in Deframer().feed(data))
            cuts = request is not None and isinstance(request[1], Run) and device.restarts < 2
            self.waiting += self.board.exchange(data, 300 if cuts else NEVER)

    device = Device(FailingPower(board, 0, 1))
    got = device.run((digit(3),), output_steps(device))
    np.testing.assert_array_equal(outputs_of(device, got)[0], run(PLAN, digit(3))[0])
    assert device.restarts == 2


def test_behind_the_last_step_nobody_waits_as_long_as_for_a_step() -> None:
    """A last message that got lost costs a moment."""

    class Watched(Liar):
        longest = 0.0

        def receive(self, timeout: float) -> bytes:
            data = super().receive(timeout)
            self.longest = timeout if not data else self.longest
            return data

    def without_end(request: Body, truth: Iterator[Body]) -> Iterator[Body]:
        return (reply for reply in truth if not isinstance(reply, Finished))

    line = Watched(PLAN, Lie(replies=without_end))
    device = Device(line, timeout=60, quick=0.5)
    device.run((digit(3),), output_steps(device))
    assert 0 < line.longest <= 0.5 and device.retries == 0


def test_a_reset_between_runs_is_counted_and_one_at_the_beginning_is_not() -> None:
    def replies(request: Body, truth: Iterator[Body]) -> Iterator[Body]:
        if isinstance(request, (GetInfo, Write)):
            yield Restarted()
        yield from truth

    device = Device(Liar(PLAN, Lie(replies=replies)))
    assert device.restarts == 0
    device.run((digit(3),))
    assert device.restarts == 2, "as often as it was written to"
