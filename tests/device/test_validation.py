"""Many samples on a device: what is counted is true, a line that was lost is found again, and what differs is kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from math import isnan, sqrt
from pathlib import Path

import numpy as np
import pytest

from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.device import Board, Device, LostError, Recording, Sample, validate, validation
from refengine.device.protocol import Body, Chunk, Restarted, Run, StepDone
from refengine.device.validation import Closeness, Inferences
from refengine.execute import run
from refengine.model import Array
from refengine.plan import make_plan
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from tests.commands.test_streams import totalling
from tests.device.liar import Liar, Lie, listening, pulled_out
from tests.device.memory_board import MemoryBoard

PLAN = make_plan(bundled_models()["dense_int8"])
TENSOR = PLAN.outputs[0]
DIGITS, LABELS = bundled_digits()
X = pixels_to_input(PLAN, DIGITS[:6])


def samples(count: int = 6) -> Iterator[Sample]:
    return (Sample(f"digit {i}", [(X[i : i + 1],)], int(LABELS[i])) for i in range(count))


class Failing(Liar):
    """A board that loses its line with the replies in `at`, counted over all connections."""

    heard = 0

    def __init__(self, lie: Lie, at: frozenset[int] = frozenset()) -> None:
        super().__init__(PLAN, lie)
        self.at = at

    def receive(self, timeout: float) -> bytes:
        Failing.heard += 1
        if Failing.heard in self.at:
            raise LostError("the line to it was lost (unplugged)")
        return super().receive(timeout)


def board(lie: Lie | None = None, at: frozenset[int] = frozenset(), patience: float = 0) -> Board:
    Failing.heard = 0
    return Board(lambda: Device(Failing(lie or Lie(), at), quick=0.01), PLAN, patience)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_firmware_is_right_in_every_sample(tmp_path: Path) -> None:
    with Board(lambda: Device(MemoryBoard(PLAN, tmp_path)), PLAN) as there:
        *_, found = validate(there, samples())
    assert (found.samples, found.inferences, found.differing, found.lost) == (6, 6, [], 0)
    (closeness,) = found.outputs
    assert closeness.equal == closeness.elements == 60 and closeness.rmse == 0 and closeness.cos == pytest.approx(1)
    assert [(step.runs, step.differing, step.least) for step in found.steps] == [(6, 0, 7)] * len(found.steps)
    assert found.mine is not None and (found.mine == found.theirs).all()
    answers = run(PLAN, X)[0].argmax(1)
    assert all(found.mine[label, answer] for label, answer in zip(LABELS[:6], answers, strict=True))
    assert found.mine.sum() == 6


def wrong_for(place: int) -> Lie:
    """The last step's first code is another one, in every inference of that digit."""
    last, crc = len(PLAN.steps) - 1, zlib.crc32(X[place].tobytes())
    output = run(PLAN, X[place : place + 1])[0].copy()
    output[0, 0] ^= 64
    wrong = StepDone(last, 7, zlib.crc32(output.tobytes())), Chunk(last, 0, output.tobytes())

    def replies(request: Body, truth: Iterator[Body]) -> Iterator[Body]:
        for reply in truth:
            lies = [lie for lie in wrong if type(lie) is type(reply) and lie.step == getattr(reply, "step", None)]
            meant = isinstance(request, Run) and request.inputs_crc32 == (crc,)
            yield lies[0] if meant and lies else reply

    return Lie(replies=replies)


def test_what_differs_is_told_and_kept() -> None:
    kept: list[tuple[int, str, Recording]] = []
    with board(wrong_for(2)) as there:

        def keep(place: int, sample: Sample, inputs: tuple[Array, ...], before: Inferences) -> None:
            kept.append((place, sample.name, there.record(inputs)))

        *_, found = validate(there, samples(3), keep)
    assert found.differing == [(2, "digit 2")]
    assert [step.differing for step in found.steps] == [0] * (len(PLAN.steps) - 1) + [1]
    assert found.outputs[0].elements - found.outputs[0].equal == 1
    ((place, name, recording),) = kept
    assert (place, name) == (2, "digit 2") and set(recording.tensors) >= {PLAN.inputs[0].index, TENSOR.index}


def test_a_lost_line_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "AGAIN", 0)
    with board(at=frozenset({13, 14, 15, 36}), patience=10) as there:
        there.device.restarts = 2
        *_, found = validate(there, samples())
    assert (found.samples, found.differing) == (6, [])
    assert found.lost == 2, "the second and third loss are of one search"
    assert found.restarts == 2, "those of the devices before are counted, too"


def test_a_line_that_stays_away_ends_it_and_what_was_done_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "AGAIN", 0)
    with board(at=frozenset(range(17, 10**6)), patience=0.05) as there:
        done: list[int] = []
        with pytest.raises(LostError, match=r"unplugged.*; it did not come back within 0 s$"):
            done.extend(found.samples for found in validate(there, samples()))
    assert done == [*range(1, len(done) + 1)] and 0 < len(done) < 6


def test_the_figures_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    closeness, mine, theirs = Closeness(TENSOR), [], []
    assert isnan(closeness.rmse) and isnan(closeness.nse) and isnan(closeness.l2r) and isnan(closeness.cos)
    for _ in range(5):
        r, d = (rng.integers(-128, 128, TENSOR.shape, np.int8) for _ in range(2))
        d[:, :5] = r[:, :5]
        closeness.add(r, d)
        mine.append(r)
        theirs.append(d)
    assert TENSOR.quantization is not None
    scale, zero = TENSOR.quantization.scale[0], int(TENSOR.quantization.zero_point[0])
    r, d = (((np.stack(x).astype(float) - zero) * scale).ravel() for x in (mine, theirs))
    assert closeness.equal >= 25 and closeness.elements == 50
    assert closeness.rmse == pytest.approx(sqrt(np.mean((d - r) ** 2)))
    assert closeness.mae == pytest.approx(np.mean(np.abs(d - r)))
    assert closeness.l2r == pytest.approx(np.linalg.norm(d - r) / np.linalg.norm(r))
    assert closeness.nse == pytest.approx(1 - np.sum((d - r) ** 2) / np.sum((r - r.mean()) ** 2))
    assert closeness.cos == pytest.approx(d @ r / np.linalg.norm(d) / np.linalg.norm(r))


def validated(capsys: pytest.CaptureFixture[str], lie: Lie, *arguments: str) -> tuple[int, str, str]:
    status = main(["device", "validate", "--port", listening(PLAN, lie), "--model", "dense_int8", *arguments])
    return status, *capsys.readouterr()


@pytest.mark.slow
def test_the_command_prints_and_its_status_tells(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=DIGITS[:4], y=LABELS[:4])
    data = ("--data", str(tmp_path / "data.npz"))
    status, out, _ = validated(capsys, Lie(), *data)
    assert status == 0 and "in every step: 4 of 4 samples" in out and "accuracy on the device 100.00% (4 of 4)" in out
    status, out, _ = validated(capsys, wrong_for(1), *data, "-o", str(tmp_path / "kept"), "--json")
    document = json.loads(out)
    assert status == 1 and [each["sample"] for each in document["differing"]] == [1]
    assert document["kept"] == [str(tmp_path / "kept" / "sample00001.npz")]
    assert np.array(document["confusion"]).sum() == 4
    kinds = ((), ("--random", "3"))
    told = [json.loads(validated(capsys, Lie(), *kind, "--limit", "2", "--json")[1]) for kind in kinds]
    assert [(each["samples"], each["confusion"], each["data"]) for each in told] == [
        (2, None, "2 inputs of noise (seed 0)"),
        (2, None, "2 inputs of noise (seed 3)"),
    ]


def runs_then(count: int, act: Callable[[], object]) -> Lie:
    """A device that is honest, and `act` is called with each request for a run after the first `count`."""
    heard = 0

    def replies(request: Body, truth: Iterator[Body]) -> Iterator[Body]:
        nonlocal heard
        heard += isinstance(request, Run)
        if isinstance(request, Run) and heard > count:
            act()
        yield from truth

    return Lie(replies=replies)


def fail() -> None:
    raise ConnectionError


def test_resets_are_told_and_a_clock_that_stands_still(capsys: pytest.CaptureFixture[str]) -> None:
    resets = [2, 4, 5]  # of the requests for a run

    def replies(request: Body, truth: Iterator[Body]) -> Iterator[Body]:
        if isinstance(request, Run):
            resets[:] = [count - 1 for count in resets]
            if 0 in resets:
                yield from (next(truth), Restarted())
                return
        yield from (StepDone(reply.step, 0, reply.crc32) if isinstance(reply, StepDone) else reply for reply in truth)

    status, out, _ = validated(capsys, Lie(replies=replies), "--limit", "4")
    assert status == 0 and "in every step: 4 of 4 samples" in out and "lost" not in out
    assert "the board began anew 3 times: it was reset" in out and "the clock stands still" in out
    assert json.loads(validated(capsys, Lie(), "--limit", "1", "--json")[1])["restarts"] == 0


@pytest.fixture
def heeding_interrupts() -> Iterator[None]:
    """Python does not heed them where a shell began it in the background, as it does with a suite's whole run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="threads are sent signals with POSIX only")
@pytest.mark.usefixtures("heeding_interrupts")
def test_whoever_stops_it_gets_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    main_thread = threading.main_thread().ident
    assert main_thread
    stopping = runs_then(3, lambda: signal.pthread_kill(main_thread, signal.SIGINT))
    status, out, _ = validated(capsys, stopping, "--limit", "50", "--json")
    found = json.loads(out)
    assert (status, found["interrupted"], found["samples"]) == (130, True, 3)
    assert found["outputs"][0]["elements"] == 30 and found["differing"] == []


@pytest.mark.slow
def test_a_line_that_is_lost_for_good_ends_with_2_and_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = validated(capsys, runs_then(3, fail), "--limit", "50", "--patience", "1")
    assert status == 2 and "stopped after 3 of 50" in out and "in every step: 3 of 3 samples" in out
    assert "did not come back within 1 s" in err


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
def test_a_port_that_is_pulled_out_and_put_in_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A serial port of which the operating system says that it is gone, and that has its name again afterwards."""
    port = tmp_path / "port"
    with pulled_out(PLAN, runs_then(3, fail), port):
        arguments = ("--port", str(port), "--model", "dense_int8", "--limit", "6")
        status = main(["device", "validate", *arguments])
    out, err = capsys.readouterr()
    assert status == 0, err
    assert "6 of 6 samples" in out and "the line was lost and found again 1 time\n" in out


def test_labels_that_the_model_has_not_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=DIGITS[:2], y=np.array([3, 10]))
    status, _, err = validated(capsys, Lie(), "--data", str(tmp_path / "data.npz"))
    assert status == 2 and "the labels are 3 to 10, but the model has 10 classes: give numbers below that" in err


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_model_that_remembers_begins_each_sample_afresh(tmp_path: Path) -> None:
    plan = make_plan(totalling((1, 4)))
    inputs = [(np.full((1, 4), k, np.int32),) for k in range(6)]
    with Board(lambda: Device(MemoryBoard(plan, tmp_path)), plan) as there:
        *_, found = validate(there, [Sample("a", inputs[:4]), Sample("b", inputs[3:])])
        assert there.record(inputs[2], inputs[:2]).tensors[2][0, 0] == 0 + 1 + 2 + 1
    assert (found.samples, found.inferences, found.differing) == (2, 7, [])
    assert found.outputs[0].equal == found.outputs[0].elements == 28
