"""The calls of the view Play: two dialects, numbers that are set by hand, and inferences in turn."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refengine
from refengine import execute, make_plan, run
from refengine.session import Session
from refengine.studio.studio import Studio
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from tests.studio.conftest import Client, served

NETWORK = "stm32f746_int8"
ASKED = {"network": NETWORK, "sample": 13}
FRONT_END = Path(refengine.__file__).parent / "tasks" / "front_ends" / "micro_wake_word.tflite"


def sample(numerics: str = "tflm") -> tuple[refengine.Plan, Any]:
    plan = make_plan(NETWORK, numerics=numerics)
    return plan, pixels_to_input(plan, bundled_digits()[0][13:14])


def test_two_dialects_part_at_the_first_element_that_differs(client: Client) -> None:
    told = client.get("call/parting", {**ASKED, "other": "xnnpack"}).json()
    (mine, x), (theirs, _) = sample(), sample("xnnpack")
    pairs = [*zip(execute(mine, x), execute(theirs, x), strict=True)]
    apart = [(m, t) for m, t in pairs if not np.array_equal(m.outputs[0], t.outputs[0])]
    m, t = apart[0]
    where = np.argwhere(m.outputs[0] != t.outputs[0])
    first = told["first"]
    assert (first["step"], first["at"], first["count"]) == (m.step.index, where[0].tolist(), len(where))
    assert first["mine"]["value"] == m.outputs[0][tuple(where[0])]
    assert first["theirs"]["value"] == t.outputs[0][tuple(where[0])]
    assert (told["steps"], told["count"]) == (len(apart), len(pairs))
    assert first["stages"] == ["multiplier", "scale"]


def test_dialects_that_agree_are_said_to(client: Client) -> None:
    told = client.get("call/parting", {**ASKED, "other": "cortex-m7"}).json()
    assert told == {"first": None, "steps": 0, "count": 12}


@pytest.mark.parametrize(("other", "why"), [("tflm", "does not part from itself"), ("mine", "no dialect 'mine'")])
def test_a_dialect_that_makes_no_sense_is_refused(client: Client, other: str, why: str) -> None:
    response = client.get("call/parting", {**ASKED, "other": other})
    assert response.status == 400 and why in response.json()["error"]


def test_what_is_set_by_hand_changes_the_answer_as_the_debuggers_set_does(client: Client) -> None:
    plan, x = sample()
    record = [*execute(plan, x)][4]
    silenced = record.outputs[0].copy()
    silenced[..., 5] = -128
    (expected,) = (r.outputs[0] for r in [*execute(plan, x, known={record.step.outputs[0].index: silenced})][-1:])
    changes = [[record.step.outputs[0].index, ":,:,:,5", 0, True, 0]]
    told = client.get("call/answer", {**ASKED, "changes": json.dumps(changes)}).json()
    assert [each["code"] for each in told["classes"]] == expected[0].tolist() and told["changes"] == 1
    as_it_was = client.get("call/answer", ASKED).json()
    assert [each["code"] for each in as_it_was["classes"]] == run(plan, x)[0][0].tolist()


def test_a_weight_is_changed_in_one_inference_and_in_no_other(client: Client) -> None:
    plan, _ = sample()
    weights = plan.steps[10].weights
    assert weights is not None
    changes = json.dumps([[weights.index, "0", -127, False, 0]])
    told = client.get("call/answer", {**ASKED, "changes": changes}).json()
    plain = client.get("call/answer", ASKED).json()
    assert told["classes"] != plain["classes"]
    element = {"step": 10, "at": "0,0"}
    taps = client.get("call/element", {**ASKED, **element, "changes": changes}).json()["lines"]
    assert all("weight -127" in line["text"] for line in taps if line["name"] == "tap")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ([0, "0,0,0,0", 500, False, 0], "holds int8 codes, -128 to 127"),
        ([0, "0,99,0,0", 0, False, 0], "there is no element"),
        ([0, "import os", 0, False, 0], "is not understood"),
        ([0, "0", 0, False, 7], "there is no inference 7"),
    ],
)
def test_a_change_that_cannot_be_is_refused(client: Client, change: list[Any], why: str) -> None:
    response = client.get("call/answer", {**ASKED, "changes": json.dumps([change])})
    assert response.status == 400 and why in response.json()["error"], response.text


def test_a_network_that_remembers_is_gone_through_in_turn() -> None:
    frames = np.random.default_rng(1).normal(0, 3000, (5, 1, 480)).astype(np.int16)
    file = io.BytesIO()
    np.save(file, frames)
    session = Session(FRONT_END)
    expected = [session.run(frame)[0] for frame in frames]
    assert not np.array_equal(expected[0], Session(FRONT_END).run(frames[1])[0])
    with served(Studio([str(FRONT_END)])) as client:
        asked = {"network": "micro_wake_word", "name": "x.npy"}
        drawing = client.post("call/answer", asked, file.getvalue()).json()["drawing"]
        output = session.plan.outputs[0]
        for frame in (3, 0, 4):
            known = {"network": "micro_wake_word", "drawing": drawing, "frame": frame}
            values = client.get("call/tensor", {**known, "tensor": output.index}).content
            assert values == expected[frame].tobytes()
        told = client.get("call/timeline", {"network": "micro_wake_word", "drawing": drawing}).json()
    assert told["remembers"] and len(told["scores"]) == 5
    real = [refengine.dequantize_output(session.plan, each)[:16].tolist() for each in expected]
    assert told["scores"] == [pytest.approx(each) for each in real]
