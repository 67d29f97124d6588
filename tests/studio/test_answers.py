"""refengine/studio/answers.py: what networks of every task say to a drawing, and what they say to none of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refengine import Model, make_plan
from refengine.session import Session
from refengine.studio.studio import Studio
from refengine.tflite_io import dump
from tests.models import fed, one_op
from tests.studio.conftest import Client, served
from tests.tasks.nets import detector, keyword_spotter, segmenter, signal, wav
from tests.tasks.test_commands import remembering


def dropped(client: Client, model: Model, name: str) -> str:
    told = client.post("call/drop", {"name": f"{name}.tflite"}, dump(model)).json()
    found: str = told["network"]
    return found


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture(scope="module")
def client() -> Any:
    with served(Studio(names={0: "a thing"})) as client:
        yield client


def test_things_are_found_in_a_picture(client: Client) -> None:
    cells = np.zeros((4, 4), np.uint8)
    cells[1, 2] = 255
    asked = {"network": dropped(client, detector(), "detector"), "saw": 1}
    told = client.post("call/answer", asked, png(cells)).json()
    assert told["task"] == "detection" and len(told["detections"]) == 1
    assert told["detections"][0]["name"] == "a thing" and told["detections"][0]["score"] == 1
    assert told["detections"][0]["box"] == pytest.approx([0.25, 0.5, 0.5, 0.75], abs=0.01)


def test_every_pixel_has_a_class(client: Client) -> None:
    colours = np.zeros((6, 6, 3), np.uint8)
    colours[:2, :, 0], colours[2:, :, 2] = 255, 255
    told = client.post("call/answer", {"network": dropped(client, segmenter(), "segmenter")}, png(colours)).json()
    assert told["task"] == "segmentation" and told["map"] == [[0] * 6] * 2 + [[1] * 6] * 4
    assert told["shares"] == {"a thing": pytest.approx(1 / 3), "1": pytest.approx(2 / 3)}


def test_a_sound_is_heard(client: Client, tmp_path: Path) -> None:
    sound = Path(wav(tmp_path / "x.wav", signal())).read_bytes()
    asked = {"network": dropped(client, keyword_spotter(), "spotter"), "name": "x.wav", "saw": 1}
    told = client.post("call/answer", asked, sound).json()
    assert told["task"] == "classification" and len(told["classes"]) == 4 and told["saw"]


def test_a_network_that_remembers_is_told_what_came_before(client: Client) -> None:
    network = dropped(client, remembering(), "remembering")
    x = np.random.default_rng(3).normal(size=(4, 1, 2)).astype(np.float32)
    session = Session(make_plan(remembering()))
    expected = [session.run(each)[0][0] for each in x]
    file = io.BytesIO()
    np.save(file, x)
    for frame in (2, 0, 3):
        asked = {"network": network, "name": "x.npy", "frame": frame}
        told = client.post("call/answer", asked, file.getvalue()).json()
        assert told["outputs"][0]["values"] == pytest.approx(expected[frame].tolist())


def test_a_network_of_two_inputs_and_no_task_shows_its_numbers(client: Client) -> None:
    options = {"fused_activation_function": "NONE", "pot_scale_int16": False}
    x, y = (fed((1, 3), "float32", name=name) for name in "xy")
    network = dropped(client, one_op("ADD", options, [x, y], fed((1, 3), "float32", name="z")), "sum")
    one, two = np.array([[1, 2, np.inf]], np.float32), np.array([[4, 5, 6]], np.float32)
    asked = {"network": network, "name": "both.npz"}
    told = client.post("call/answer", asked, npz(x=one, y=two)).json()
    assert [each["score"] for each in told["classes"]] == pytest.approx([5, 7, 3.4028235e38])
    noise = client.get("call/answer", {"network": network, "noise": 1}).json()
    assert noise["frames"] == 1 and all(0 <= each["score"] <= 2 for each in noise["classes"])
    wrong = (({"sample": 1}, b"", "2 inputs"), ({"name": "x.png"}, png(np.zeros((9, 9), np.uint8)), "not a picture's"))
    for parameters, body, why in wrong:
        response = client.post("call/answer", {"network": network, **parameters}, body)
        assert response.status == 400 and why in response.json()["error"]


def test_outputs_without_a_meaning_are_shown_as_they_are(client: Client) -> None:
    shape = one_op("SHAPE", {"out_type": "int32"}, [fed((1, 5, 7), "int8")], fed((3,), "int32", name="shape"))
    told = client.get("call/answer", {"network": dropped(client, shape, "shape"), "noise": 0, "saw": 1}).json()
    (output,) = told["outputs"]
    assert (told["task"], output["values"], output["real"]) == ("none", [1, 5, 7], None)
