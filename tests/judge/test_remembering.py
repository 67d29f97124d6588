"""What a recording tells that its inference found and left: judged by it, held against what it should be, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refengine import Plan, diff, make_plan
from refengine.device import Recording
from refengine.execute import execute, infer
from refengine.judge import Dump, read_dump
from refengine.judge.page import as_html
from refengine.model import Array
from refengine.state import State
from tests.judge.streams import remembering
from tests.quantizer.test_convert import stream as remembering_window

FIRST = "is that of the first inference: reset before every one"
UNKNOWN = "is none of those that were tried; other inferences ran before it, or somebody wrote there"


def recording(plan: Plan, x: Array, state: State, before: int | None = None) -> Recording:
    """What a sound board of today records of an inference that finds that state."""
    records = [record for record in execute(plan, x, state=state) if not record.path]
    tensors = {plan.inputs[0].index: x} | {
        t.index: y
        for record in records
        for t, y in zip(record.step.writes, (*record.outputs, *record.updates), strict=True)
        if t.index not in plan.handles
    }
    found, left = ({n: y[0] for n, y in each.named().items()} for each in (state, infer(plan, None, (x,), state)[1]))
    left = {name: y for name, y in left.items() if name != f"t{plan.lasting[name].index}"}
    return Recording(tensors, {} if before is None else {"before": before}, found, left)


def dumped(recording: Recording) -> Dump:
    return Dump("device", recording.tensors, meta=recording.meta, found=recording.found, left=recording.left)


@pytest.fixture(scope="module", params=["variable tensors", "resource variables"])
def stream(request: pytest.FixtureRequest) -> tuple[Plan, list[Array], list[State]]:
    """A model that remembers, what it hears, and the states before each inference and after the last."""
    plan = make_plan(remembering() if request.param == "variable tensors" else remembering_window())
    tensor, rng = plan.inputs[0], np.random.default_rng(6)
    heard = [(100 * rng.normal(size=tensor.shape)).clip(-100, 100).astype(tensor.dtype) for _ in range(4)]
    states = [plan.initial]
    for x in heard:
        states.append(infer(plan, None, (x,), states[-1])[1])
    return plan, heard, states


def test_a_recording_alone_gives_the_state_by_which_it_is_judged(
    stream: tuple[Plan, list[Array], list[State]], tmp_path: Path
) -> None:
    """Without it, the state was taken for that of the first inference, and the wrong operator accused."""
    plan, heard, states = stream
    recording(plan, heard[3], states[3], 3).save(tmp_path / "third.npz")
    dump = read_dump(plan, tmp_path / "third.npz")
    assert dump.found.keys() == plan.lasting.keys() and not dump.problems
    report = diff(plan, dump)
    assert not report.differs
    (note,) = [note for note in report.notes if "tells the state" in note]
    assert note.endswith("by which its steps are judged; nothing tells what the ones before left")
    old = diff(plan, replace(dump, found={}, left={}))
    assert old.culprits and any("that of the first inference; none was given, and 3 inferences" in n for n in old.notes)


def test_the_recording_before_tells_all_of_the_state(
    stream: tuple[Plan, list[Array], list[State]], tmp_path: Path
) -> None:
    plan, heard, states = stream
    recording(plan, heard[2], states[2], 2).save(tmp_path / "second.npz")
    old = replace(dumped(recording(plan, heard[3], states[3])), found={})
    report = diff(plan, old, previous=tmp_path / "second.npz")
    assert not report.differs and not any("first inference" in note for note in report.notes)
    assert not diff(plan, dumped(recording(plan, heard[3], states[3])), previous=tmp_path / "second.npz").differs


def test_what_happened_in_between_is_told(stream: tuple[Plan, list[Array], list[State]]) -> None:
    """The steps are sound on what they found, so nobody is accused but whoever changed it."""
    plan, heard, states = stream
    previous = dumped(recording(plan, heard[2], states[2]))
    spoilt = states[3].holding(
        {name: x[0] ^ 1 if x.dtype.kind == "i" else x[0] + 1 for name, x in list(states[3].named().items())[:1]}
    )
    for state, how in ((states[0], FIRST), (states[2], "is what the inference before found"), (spoilt, UNKNOWN)):
        report = diff(plan, dumped(recording(plan, heard[3], state)), previous=previous)
        (held,) = report.wrong_states
        assert report.differs and not report.culprits
        assert held.meant == "the one before left (device)" and how in held.verdict
        assert (held.certainty == "open") == (state is spoilt)
        assert "all differences come from what lived on before" in report.summary and how in report.summary
        assert f"state: {held.verdict}" in str(report) and how in as_html(report)
        assert report.as_dict()["states"][0]["verdict"] == held.verdict


def test_a_first_inference_that_was_not_reset(stream: tuple[Plan, list[Array], list[State]]) -> None:
    """The recording says that none came before; what the board ran last, the recording of that tells."""
    plan, heard, states = stream
    last = dumped(recording(plan, heard[2], states[2], 2))
    wrong = dumped(recording(plan, heard[0], states[3], 0))
    (held,) = diff(plan, wrong).wrong_states
    assert (held.meant, held.certainty) == ("the first one begins with", "open")
    (held,) = diff(plan, wrong, previous=last).wrong_states
    assert held.certainty == "certain" and held.ways[0].startswith("is what the previous dump left")
    assert not diff(plan, dumped(recording(plan, heard[0], states[0], 0)), previous=last).differs


def test_a_computed_state_is_held_against_the_one_that_was_found(stream: tuple[Plan, list[Array], list[State]]) -> None:
    plan, heard, states = stream
    known = {"state": states[3], "older": states[:3]}
    assert not diff(plan, dumped(recording(plan, heard[3], states[3])), heard[3], **known).differs  # type: ignore[arg-type]
    (held,) = diff(plan, dumped(recording(plan, heard[3], states[2])), heard[3], **known).wrong_states  # type: ignore[arg-type]
    assert held.meant == "the inferences before leave" and held.ways == ("is that of 1 inference earlier",)


def test_a_resource_variable_that_is_left_wrong_is_told() -> None:
    """The step that assigns to it has no output of its own in which it would show."""
    plan = make_plan(remembering_window())
    sound = recording(plan, np.ones(plan.inputs[0].shape, np.float32), plan.initial, 0)
    assert not diff(plan, dumped(sound)).differs
    wrong = replace(sound, left={**sound.left, "resource 0": sound.left["resource 0"] + 1})
    report = diff(plan, dumped(wrong))
    (held,) = report.wrong_states
    assert held.verdict.startswith(
        "the inference left another state than a sound one leaves on its own values (resource"
    )
    assert report.summary.endswith(f"operators compared: {held.claim}.") and not report.culprits


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    plan = make_plan(remembering())
    good = recording(plan, np.ones((1, 6), np.int8), plan.initial, 0)
    replace(good, found={"t4": np.ones((2, 2), np.int16)}).save(tmp_path / "dump.npz")
    (problem,) = read_dump(plan, tmp_path / "dump.npz").problems
    assert problem.startswith("'found t4': tensor 4 '") and "the dump has int16 (2, 2)" in problem
