"""refengine/studio/application.py: who may ask what, and what a wrong request is told."""

from __future__ import annotations

import io
import itertools
import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import refengine
from refengine.studio import application as module
from refengine.studio.application import HEADERS, PAGE
from refengine.studio.calls import CALLS
from refengine.studio.studio import Studio
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.images import read_inputs

SEVEN = Path(__file__).parents[1] / "data" / "seven.png"
NETWORK = "stm32f746_int8"


def refused(response: Any, status: int, why: str) -> None:
    """Whether a response says why in one sentence, and nothing of what is inside."""
    assert response.status == status, response.text
    assert [*response.json()] == ["error"] and why in response.json()["error"]
    assert "\n" not in response.json()["error"] and "Traceback" not in response.text


def test_the_page_and_all_that_it_asks_for_are_served(client: Any) -> None:
    for path in (PAGE / "index.html", *PAGE.iterdir()):
        found = client.get(path.name)
        assert (found.status, found.content) == (200, path.read_bytes())
        assert {name.lower(): value for name, value in HEADERS.items()}.items() <= found.headers.items()
    assert client.get("").text == (PAGE / "index.html").read_text(encoding="utf-8")
    assert client.get("studio.js").headers["content-type"].startswith("text/javascript")


def test_the_page_fetches_nothing_from_anywhere_else() -> None:
    """Nor does it run a script that is not a file of its own."""
    for path in PAGE.iterdir():
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"https?:|//cdn|@import|eval\(|new Function", source), path
        pattern = r'from "\./([^"]+)"' if path.suffix == ".js" else r'(?:src|href)="([^":#]+)"'
        assert set(re.findall(pattern, source)) <= {file.name for file in PAGE.iterdir()}


def test_a_drawing_is_answered_as_run_answers_it(client: Any) -> None:
    plan = refengine.make_plan(NETWORK)
    ((_, inputs),) = read_inputs(plan, [str(SEVEN)], digit=True)
    (expected,) = refengine.run(plan, *inputs)
    told = client.post(
        "call/answer", params={"network": NETWORK, "digit": 1, "name": "7.png"}, content=SEVEN.read_bytes()
    )
    answer = told.json()
    assert [each["code"] for each in answer["classes"]] == expected[0].tolist()
    assert (answer["label"], answer["task"], answer["frames"]) == (7, "classification", 1)
    once_more = client.get("call/answer", params={"network": "dense_int8", "drawing": answer["drawing"]}).json()
    assert once_more["label"] == 7


def test_an_answer_takes_at_most_ten_times_what_run_takes(client: Any) -> None:
    """The best of some, each in turn with one of the other: of a drawing that is new to the studio, with all steps."""
    plan = refengine.make_plan(NETWORK)
    drawings = (f"{i}.png" for i in itertools.count())

    def alone() -> None:
        ((_, inputs),) = read_inputs(plan, [str(SEVEN)], digit=True)
        refengine.run(plan, *inputs)

    def served() -> None:
        asked = {"network": NETWORK, "digit": 1, "saw": 1, "name": next(drawings)}
        assert client.post("call/answer", params=asked, content=SEVEN.read_bytes()).json()["label"] == 7

    def seconds(work: Callable[[], None]) -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    served()
    both = [(seconds(alone), seconds(served)) for _ in range(8)]
    run, answer = (min(column) for column in zip(*both, strict=True))
    assert answer <= 10 * run, (answer, run)


def test_what_the_network_saw_is_told_step_by_step(client: Any) -> None:
    asked = {"network": NETWORK, "digit": 1, "name": "7.png", "saw": 1}
    saw = client.post("call/answer", params=asked, content=SEVEN.read_bytes()).json()["saw"]
    names = [step["name"] for step in saw]
    assert names[0] == "given" and names[1] == "ink" and "thickened" in names and "as 28×28 numbers" in names
    assert (saw[-1]["height"], saw[-1]["width"]) == (28, 28)


@pytest.mark.parametrize(
    ("path", "why"),
    [("/", "open the address"), ("/other/", "open the address"), ("/other/call/choices", "open the address"),
     ("a/b/c/d", "open the address"), ("nothing.js", "no file 'nothing.js'"), ("..%2fstudio.py", "open the address"),
     ("%2e%2e", "no file '..'"), ("..", "no file '..'"), ("call/nothing", "no call 'nothing'")],
)  # fmt: skip
def test_what_there_is_not_is_said(client: Any, path: str, why: str) -> None:
    refused(client.get(path), 404, why)


def test_another_host_and_another_page_are_refused(client: Any) -> None:
    for headers in (
        {"host": "evil.example:8000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "[::"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9000"},
        {"sec-fetch-site": "cross-site"},
    ):
        refused(client.get("call/choices", headers=headers), 403, "the studio answers")
        refused(client.post("call/drop", headers=headers, content=b"x"), 403, "the studio answers")
    own = {"origin": f"http://127.0.0.1:{client.address.port}", "sec-fetch-site": "same-origin"}
    assert client.get("call/choices", headers=own).status == 200
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("", headers=followed).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_refused(client: Any, method: str) -> None:
    for path in ("studio.js", "", "call/choices"):
        refused(client._asked(method, path, None, None, None), 405, "the studio's")
    refused(client._asked(method, "/", None, None, None), 404, "open the address")


def test_too_much_is_refused_whatever_it_says_of_itself(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UPLOAD", 1000)
    refused(client.post("call/drop", content=bytes(1001)), 413, "too large")
    parts = (bytes(400) for _ in range(3))
    refused(client.post("call/drop", content=parts), 413, "too large")
    refused(client.post("call/drop", headers={"content-length": "9" * 15}), 413, "too large")


def test_who_goes_away_in_the_middle_leaves_the_studio_as_it_was(client: Any) -> None:
    with socket.create_connection(("127.0.0.1", client.address.port)) as line:
        head = f"POST /{client.address.token}/call/drop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
        line.sendall(head.encode() + bytes(10))
    assert client.get("call/choices").status == 200


@pytest.mark.parametrize(
    ("call", "parameters", "why"),
    [
        ("answer", {}, "nothing drawn"),
        ("answer", {"network": NETWORK, "drawing": "none"}, "is not kept any more"),
        ("answer", {"sample": 3}, "says nothing of 'network'"),
        ("answer", {"network": "nobody", "sample": 3}, "no network 'nobody'"),
        ("answer", {"network": NETWORK, "numerics": "mine", "sample": 3}, "no dialect 'mine'"),
        ("answer", {"network": NETWORK, "sample": 100}, "the last is 99"),
        ("answer", {"network": NETWORK, "sample": "-1"}, "no number from 0"),
        ("answer", {"network": NETWORK, "sample": "9" * 100}, "no number from 0"),
        ("answer", {"network": NETWORK, "sample": "٣"}, "no number from 0"),
        ("answer", {"network": NETWORK, "sample": 3, "frame": 1}, "there is no inference 1"),
        ("answer", {"network": NETWORK, "sample": 3, "changes": "[[0]]"}, "no list of"),
        ("answer", {"network": NETWORK, "sample": 3, "changes": "[" * 5000}, "no list of"),
        ("answer", {"network": NETWORK, "sample": 3, "changes": '[[999,"",1,false,0]]'}, "there is no tensor 999"),
        ("answer", {"network": NETWORK, "sample": 3, "changes": '[[0,"x",1,false,0]]'}, ""),
        (
            "answer",
            {"network": NETWORK, "sample": 3, "changes": json.dumps([[0, "", 1, False, 0]] * 101)},
            "101 changes",
        ),
        ("drop", {"name": "x.tflite"}, "x.tflite: "),
    ],
)
def test_a_bad_request_is_answered_by_one_sentence(
    client: Any, call: str, parameters: dict[str, Any], why: str
) -> None:
    refused(client.get(f"call/{call}", params=parameters), 400, why)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("x.png", b"no picture", "x.png: cannot be read"),
        ("x.npy", b"no array", "x.npy: "),
        ("x.npz", b"PK\x03\x04", "x.npz: "),
        ("x.wav", b"RIFF", "x.wav: "),
        ("../../x.raw", b"12", "x.raw: holds 2 bytes"),
        ("\x1b[2J.png", b"no", "2J.png: cannot be read"),
        ("", b"no", "drawing: cannot be read"),
    ],
)
def test_a_file_that_is_none_is_told_of_by_its_own_name(client: Any, name: str, data: bytes, why: str) -> None:
    response = client.post("call/answer", params={"network": NETWORK, "name": name}, content=data)
    refused(response, 400, why)
    assert response.json()["error"].startswith(why), "no folder of ours in front of it"


def test_a_fault_of_ours_is_one_sentence_too(client: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(studio: Studio, asked: Any) -> dict[str, Any]:
        raise ZeroDivisionError("inside")

    monkeypatch.setitem(CALLS, "choices", fail)
    response = client.get("call/choices")
    refused(response, 500, "the studio itself has failed")
    assert "inside" not in response.text and "inside" in caplog.text, "the terminal tells, the page does not"


def test_memory_that_there_is_not_is_said(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(studio: Studio, asked: Any) -> dict[str, Any]:
        raise MemoryError

    monkeypatch.setitem(CALLS, "choices", fail)
    refused(client.get("call/choices"), 400, "out of memory")


def test_arrays_and_samples_and_noise_are_drawings_too(client: Any) -> None:
    plan = refengine.make_plan(NETWORK)
    x = refengine.quantize_input(plan, bundled_digits()[0][:3, :, :, np.newaxis] / 255)
    file = io.BytesIO()
    np.save(file, x)
    expected = refengine.run(plan, x)[0]
    asked = {"network": NETWORK, "name": "x.npy"}
    for frame in range(3):
        answer = client.post("call/answer", params={**asked, "frame": frame}, content=file.getvalue()).json()
        assert [each["code"] for each in answer["classes"]] == expected[frame].tolist()
        assert (answer["frames"], answer["frame"]) == (3, frame)
    sample = client.get("call/answer", params={"network": NETWORK, "sample": 2}).json()
    assert [each["code"] for each in sample["classes"]] == expected[2].tolist()
    noise = [client.get("call/answer", params={"network": NETWORK, "noise": n}).json() for n in (1, 1, 2)]
    assert noise[0]["classes"] == noise[1]["classes"] != noise[2]["classes"]


def test_a_network_may_be_dropped_onto_the_page(client: Any) -> None:
    data = refengine.bundled.bundled_models()["dense_int8"].read_bytes()
    told = client.post("call/drop", params={"name": "mine.tflite"}, content=data).json()
    assert told["network"] == "mine" and "mine" in told["networks"]
    again = client.post("call/drop", params={"name": "mine.tflite"}, content=data).json()
    assert again["network"] == "mine (2)"
    assert (
        client.get("call/answer", params={"network": "mine", "sample": 70}).json()["label"] == bundled_digits()[1][70]
    )


def test_a_picture_in_colours_reaches_a_network_that_is_no_reader_of_digits(client: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 10, 10)).save(file, "PNG")
    answer = client.post("call/answer", params={"network": NETWORK, "saw": 1}, content=file.getvalue()).json()
    assert answer["saw"][0]["name"] == "given"
    assert "ink" not in [step["name"] for step in answer["saw"]]
