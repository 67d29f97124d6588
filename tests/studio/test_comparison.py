"""The calls of the view Compare: what is lost, and what a dump tells."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from refengine import execute, health, make_plan, quantize
from refengine.reading.float_reading import as_codes
from refengine.studio.comparison import _found, _health_lines
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from tests.examination.test_decisions import cell, choosing, column
from tests.quantizer.test_convert import STATEFUL, sequences
from tests.studio.conftest import Client
from tests.studio.test_answers import dropped
from tests.tasks.test_commands import remembering

NETWORK = "dense_int8"
ASKED = {"network": NETWORK, "sample": 13}


def test_an_operators_colour_is_healths_error(client: Client) -> None:
    plan = make_plan(NETWORK)
    *_, measured = health(plan, [(pixels_to_input(plan, bundled_digits()[0], real=True),)])
    told = client.get("call/lost", {**ASKED, "by": "total"}).json()
    for layer in measured.layers:
        if layer.step is not None and layer.total is not None:
            assert f"{layer.total.layer.rmse[0]:.2f} codes" in told["svg"]
            assert any(line.startswith("codes ") for line in told["told"][str(layer.step.index)])
    assert told["summary"].startswith("100 inferences, the bundled digits")


def test_findings_are_told_where_they_are(client: Client) -> None:
    told = client.get("call/lost", {**ASKED, "by": "findings"}).json()
    assert 'class="culprit"' in told["svg"] or 'class="same"' in told["svg"]
    assert [each["status"] for each in told["key"]] == ["same", "culprit", "absent"]


def test_a_dropped_sequence_is_measured_as_one_stream(client: Client) -> None:
    model = quantize(STATEFUL["svdf"], sequences(STATEFUL["svdf"]))
    ((x,), *_) = sequences(model)
    *_, measured = health(model, [(as_codes(x, make_plan(model).inputs[0]),)])
    asked = {"network": dropped(client, model, "svdf"), "by": "total", "name": "x.npy"}
    file = io.BytesIO()
    np.save(file, x)
    told = client.post("call/lost", asked, file.getvalue()).json()
    assert told["summary"].startswith(f"{len(x)} inferences, the drawing") and measured.inferences == len(x)
    (layer,) = (each for each in measured.layers if each.step and not each.lives_on)
    assert layer.total is not None and f"{layer.total.layer.rmse[0]:.2f} codes" in told["svg"]


def test_a_branch_that_was_never_taken_accuses_nobody() -> None:
    """Nothing is known of it; what is found in a branch that ran stands at the operator that runs it."""
    *_, unseen = health(choosing(), [(column(1.0, 2.0),)])
    assert _found(unseen)[1] == ("absent", "a part never ran")
    (line,) = (line for line in _health_lines(unseen.plan.steps[1], unseen) if "unseen" in line)
    assert line.startswith("unseen: Its else, subgraph 2, never ran in 2 runs")
    *_, both = health(choosing(), [(column(1.0, -1.0, -3.0),)])
    assert _found(both)[1] == ("same", "nothing suspicious")
    *_, wrong = health(choosing(scaled=cell("scaled", 0.01)), [(column(4.0, 6.0, -1.0, -3.0),)])
    assert _found(wrong)[1][0] == "culprit"
    assert any(
        line.startswith("subgraph 1, operator 0 (MUL): offset") for line in _health_lines(wrong.plan.steps[1], wrong)
    )


def dumped(network: str, fault: int | None = None) -> bytes:
    """Every operator's tensor, in one of them a bit that is another one."""
    plan = make_plan(network)
    arrays = {}
    for record in execute(plan, pixels_to_input(plan, bundled_digits()[0][13:14])):
        x = np.array(record.outputs[0])
        if record.step.index == fault:
            x.reshape(-1)[3] ^= 1
        arrays[f"t{record.step.outputs[0].index}"] = x
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def test_a_dump_is_judged_and_its_culprit_coloured(client: Client) -> None:
    last = make_plan(NETWORK).steps[-1].index
    told = client.post("call/verdict", {**ASKED, "name": "d.npz"}, dumped(NETWORK, last)).json()
    assert told["svg"].count('class="culprit"') == 1 and f"the fault enters at {last} " in told["summary"]
    assert told["told"][str(last)]
    fine = client.post("call/verdict", ASKED, dumped(NETWORK)).json()
    assert 'class="culprit"' not in fine["svg"] and "no difference" in fine["summary"]


def test_a_dump_of_a_later_inference_is_judged_with_what_the_earlier_ones_left(client: Client) -> None:
    x, told = np.random.default_rng(3).normal(size=(3, 1, 2)).astype(np.float32), dict[int, str]()
    plan, file, body = make_plan(remembering()), io.BytesIO(), io.BytesIO()
    np.save(file, x)
    network = dropped(client, remembering(), "remembering")
    state = plan.initial
    for frame in x:
        *records, last = execute(plan, frame, state=state)
        state = last.state
    pairs = (pair for r in (*records, last) for pair in zip(r.step.outputs, r.outputs, strict=True))
    np.savez(body, **{f"t{t.index}": y for t, y in pairs})  # type: ignore[arg-type]
    drawing = client.post("call/answer", {"network": network, "name": "x.npy"}, file.getvalue()).json()["drawing"]
    for frame in (1, 2):
        asked = {"network": network, "drawing": drawing, "frame": frame, "name": "d.npz"}
        told[frame] = client.post("call/verdict", asked, body.getvalue()).json()["summary"]
    assert "no difference" in told[2] and "no difference" not in told[1]


@pytest.mark.parametrize(
    ("call", "more", "body", "why"),
    [
        ("lost", {"by": "luck"}, b"", "choose own, total or findings"),
        ("lost", {"network": "stm32f746_float32"}, b"", "no quantised layer"),
        ("verdict", {"name": "d.npz"}, b"no archive", "d.npz"),
        ("verdict", {}, dumped("stm32f746_int8"), ""),
    ],
)
def test_what_cannot_be_compared_is_said(
    client: Client, call: str, more: dict[str, Any], body: bytes, why: str
) -> None:
    response = client.post(f"call/{call}", {**ASKED, **more}, body)
    assert response.status == 400 and why in response.json()["error"] and "/tmp" not in response.text
