"""Tasks as a person types them: boxes and masks drawn, sounds heard, and how good the answers are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import Tflm
from PIL import Image

from refengine import Session, evaluate, health, make_plan
from refengine.commands import main
from refengine.model import Array, Model
from refengine.tasks.audio import Ears
from refengine.tasks.drawing import colour
from refengine.tflite_io import dump
from tests.models import const, fed, one_op, q
from tests.tasks.nets import CELLS, detector, keyword_spotter, segmenter, signal, wake_word, wav

Ask = Callable[..., str]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a command in a folder of its own; what it printed, or complained of in one line."""
    monkeypatch.chdir(tmp_path)

    def asked(*arguments: object, fails: bool = False) -> str:
        assert main([str(argument) for argument in arguments]) == (2 if fails else 0)
        printed = capsys.readouterr()
        assert (printed.out if fails else printed.err) == ""
        assert not fails or printed.err.count("\n") == 1
        return printed.err if fails else printed.out

    return asked


def save(model: Model, name: str = "net.tflite") -> str:
    Path(name).write_bytes(dump(model))
    return name


def cells(*bright: int, name: str = "cells.png", size: int = CELLS) -> str:
    """A picture with some of its 4 × 4 cells white."""
    pixels = np.zeros(CELLS * CELLS, np.uint8)
    pixels[[*bright]] = 255
    Path(name).parent.mkdir(exist_ok=True)
    square = Image.fromarray(pixels.reshape(CELLS, CELLS))
    square.resize((size, size), Image.Resampling.NEAREST).save(name)
    return name


def pixels_of(path: str) -> Array:
    with Image.open(path) as picture:
        return np.asarray(picture)


# ---- run -----------------------------------------------------------------------------------------------------


def test_boxes_are_told_and_drawn(ask: Ask) -> None:
    Path("names.txt").write_text("patch\n")
    model, picture = save(detector()), cells(5, 15)
    printed = ask("run", model, "--input", picture, "--labels", "names.txt", "-o", "drawn.png")
    assert "cells.png: 2 found\n  1.0000  class 0 (patch), top 0.2500 left 0.2500 bottom 0.5000 right" in printed
    assert "task: detection (its outputs are the four of TFLite_Detection_PostProcess; --task changes it)" in printed
    assert "wrote drawn.png" in printed
    assert pixels_of("drawn.png").shape == (CELLS, CELLS, 3)
    large = cells(5, size=200, name="large.png")
    ask("run", model, "--input", large, "--score", 0.5, "-o", "drawn.png")
    drawn = pixels_of("drawn.png")
    assert (drawn == colour(0)).all(axis=2).any() and drawn.shape == (200, 200, 3)
    assert ", 1 more below a score of 0.6" in ask("run", model, "--input", large, "--score", 0.6)
    told = json.loads(ask("run", model, "--input", picture, "--json"))
    assert told["results"][0]["detections"][0] == {"class": 0, "score": 1.0, "box": [0.25, 0.25, 0.5, 0.5]}
    assert told["task"]["name"] == "detection" and len(told["results"][0]["outputs"]) == 4


def test_a_mask_is_told_and_drawn(ask: Ask) -> None:
    pixels = np.zeros((12, 18, 3), np.uint8)
    pixels[:6], pixels[6:] = (255, 0, 0), (0, 0, 255)
    Image.fromarray(pixels).save("two.png")
    printed = ask("run", save(segmenter()), "--input", "two.png", "-o", "mask.png")
    assert "two.png: 0 50.0%, 1 50.0%\n" in printed and "task: segmentation" in printed
    drawn = pixels_of("mask.png")
    np.testing.assert_array_equal(drawn[:6], pixels[:6])  # class 0 is left as it is
    np.testing.assert_array_equal(drawn[6:], (pixels[6:].astype(int) + colour(1)) // 2)
    assert json.loads(ask("run", "net.tflite", "--input", "two.png", "--json"))["results"][0]["map"] == (
        [[0] * 6] * 3 + [[1] * 6] * 3
    )
    assert "int8" in ask("run", "net.tflite", "--input", "two.png", "--task", "none")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--input", "cells.png", "-o", "x.jpg"), "give a name that ends in .png"),
        (("--input", "cells.png", "cells.png", "-o", "x.png"), "-o draws on one picture"),
        (("--input", "x.npy", "-o", "x.png"), "-o draws on one picture"),
        (("--input", "cells.png", "--task", "none", "-o", "x.png"), "-o draws boxes or a mask, and this is neither"),
        (("--input", "cells.png", "--task", "segmentation"), "the model is not for segmentation"),
        (("--input", "cells.png", "--labels", "none.txt"), "none.txt: cannot be read"),
    ],
)
def test_what_cannot_be_drawn_is_refused(ask: Ask, arguments: tuple[str, ...], reason: str) -> None:
    cells(1)
    assert reason in ask("run", save(detector()), *arguments, fails=True)


def test_a_sound_is_heard_and_said(ask: Ask) -> None:
    model, sound = save(keyword_spotter()), wav(Path("x.wav"), signal())
    printed = ask("run", model, "--input", sound)
    assert "x.wav: 16 bits, mono, 16,000 Hz, 1 s, 0.01 s left out at the end: 1 inference\n" in printed
    assert "front end: micro_speech (windows of 30 ms, every 20 ms; int8 features)\n  guessed: " in printed
    told = json.loads(ask("run", model, "--input", sound, "--front-end", "micro_speech", "--json"))
    assert told["sounds"]["reason"] == "given" and told["sounds"]["files"][0]["rows"] == 49
    assert json.loads(ask("run", "dense_int8", "--input", cells(1), "--json"))["sounds"] is None
    assert "front end: micro_speech" in ask("debug", model, "--input", sound, "--command", "continue")
    printed = ask("explain", model, "--op", 0, "--at", "0,1", "--input", sound)
    assert "front end: micro_speech" in printed
    assert "x.wav: 16 bits" in ask("health", model, "--data", sound)


def scores(told: str) -> list[int]:
    return [each["outputs"][0]["values"][0][0] for each in json.loads(told)["results"]]


def test_a_wake_word_hears_files_as_streams(ask: Ask, tflm: Tflm) -> None:
    """Features go on through a file, and so does what the network remembers; both begin anew with the next."""
    model, plan, loud = save(wake_word()), make_plan(wake_word()), signal(8000)
    files = [wav(Path("hey.wav"), loud), wav(Path("stereo.wav"), np.stack([loud, loud], axis=1))]
    told = ask("run", model, "--stream", "--input", *files, "--json")
    fed = [[x[np.newaxis]] for x in Ears(plan).hear(files[0])]
    session = Session(plan)
    mine = [int(session.run(*x)[0][0, 0]) for x in fed]
    assert [(status, int(y[0][0, 0])) for status, y in tflm.run_stream(dump(wake_word()), fed)] == [
        (0, y) for y in mine
    ]
    assert len(set(mine)) > 5 and scores(told) == mine * 2
    printed = ask("run", model, "--stream", "--input", *files)
    assert "hey.wav: 16 bits, mono, 16,000 Hz, 0.5 s: 16 inferences\n" in printed
    assert "stereo.wav: 16 bits, stereo, the mean of both, 16,000 Hz, " in printed
    assert "front end: micro_wake_word (windows of 30 ms, every 10 ms; int8 features)\n  guessed: " in printed
    assert "state: kept from one inference of a file to the next\n" in printed
    fresh = scores(ask("run", model, "--independent", "--input", files[0], "--json"))
    assert fresh[0] == mine[0] and fresh != mine


def test_what_a_wake_word_cannot_hear_is_refused_with_a_way_out(ask: Ask) -> None:
    model = save(wake_word())
    wav(Path("slow.wav"), signal(8000), 8000)
    wav(Path("short.wav"), signal(100))
    wav(Path("empty.wav"), signal(0))
    assert "say --stream" in ask("run", model, "--input", "slow.wav", "--resample", 16000, fails=True)
    assert "--resample 16000" in ask("run", model, "--stream", "--input", "slow.wav", fails=True)
    printed = ask("run", model, "--stream", "--input", "slow.wav", "--resample", 16000)
    assert "8,000 Hz resampled to 16,000, 1 s, 0.02 s left out at the end: 32 inferences\n" in printed
    assert "0.00625 s, 0.0437 s of silence added: 1 inf" in ask("run", model, "--stream", "--input", "short.wav")
    assert "holds 0 bytes of samples" in ask("run", model, "--stream", "--input", "empty.wav", fails=True)
    assert "say --front-end" in ask("run", save(segmenter()), "--input", "short.wav", fails=True)


def test_damaged_sounds_are_refused_by_their_names(ask: Ask) -> None:
    model = save(keyword_spotter())
    Path("x.wav").write_bytes(b"RIFF")
    assert "refengine: x.wav: is no WAV file" in ask("run", model, "--input", "x.wav", fails=True)
    Path("sounds/yes").mkdir(parents=True)
    Path("sounds/yes/x.wav").write_bytes(b"RIFF")
    assert "sounds/yes/x.wav: is no WAV file" in ask("evaluate", model, "--data", "sounds", fails=True)


# ---- evaluate ------------------------------------------------------------------------------------------------


def truth(name: str, *pictures: tuple[str, list[int]]) -> None:
    images = [{"id": i, "file_name": Path(p).name, "width": 8, "height": 8} for i, (p, _) in enumerate(pictures)]
    found = [
        {"image_id": i, "category_id": 1, "bbox": [2 * (c % CELLS), 2 * (c // CELLS), 2, 2]}
        for i, (_, each) in enumerate(pictures)
        for c in each
    ]
    categories = [{"id": 1, "name": "patch"}]
    Path(name).write_text(json.dumps({"images": images, "annotations": found, "categories": categories}))


@pytest.mark.parametrize("more", [(), pytest.param(("--jobs", 2), marks=pytest.mark.slow)])
def test_boxes_against_cocos(ask: Ask, more: tuple[object, ...]) -> None:
    pictures = (cells(1, 6, name="d/a.png"), [1, 6]), (cells(3, name="d/b.png"), [3, 9])
    truth("d/truth.json", *pictures)
    printed = ask("evaluate", save(detector()), "--data", "d", *more)
    assert "mAP 0.7525 (IoU 0.50:0.95), 0.7525 (IoU 0.50): 4 things in 2 pictures, 3 detections" in printed
    assert "0 (patch)" in printed and "class 0 is category 1" in printed
    told = json.loads(ask("evaluate", "net.tflite", "--data", "d", "--limit", 1, "--json"))
    assert told["map"] == pytest.approx(1) and told["names"] == [{"class": 0, "name": "patch"}]


def test_masks_against_pngs_and_arrays(ask: Ask) -> None:
    pixels = np.zeros((2, 6, 6, 3), np.uint8)
    pixels[:, :2, :, 0], pixels[:, 2:, :, 2] = 255, 255
    masks = np.zeros((2, 6, 6), np.uint8)
    masks[:, 3:], masks[0, 0] = 1, 255
    Path("d").mkdir()
    for i in range(2):
        Image.fromarray(pixels[i]).save(f"d/{i}.bmp")
        Image.fromarray(masks[i]).save(f"d/{i}.png")
    np.savez("d.npz", x=pixels, y=masks)
    model = save(segmenter())
    for data in ("d", "d.npz"):
        told = json.loads(ask("evaluate", model, "--data", data, "--json"))
        assert told["confusion"] == [[18, 12], [0, 36]]
        assert told["mean_iou"] == pytest.approx((18 / 30 + 36 / 48) / 2)
    printed = ask("evaluate", model, "--data", "d")
    assert "mean IoU 0.6750 over 2 classes, 81.82% of the pixels right, in 2 pictures" in printed


def test_tasks_need_data_of_their_own(ask: Ask) -> None:
    assert "this is a model for detection" in ask("evaluate", save(detector()), fails=True)
    assert "is no folder of pictures and masks" in ask("evaluate", save(segmenter()), "--data", "x", fails=True)


def test_sounds_in_a_folder_for_each_class(ask: Ask) -> None:
    for i, word in enumerate(("down", "no", "up", "yes")):
        Path("words", word).mkdir(parents=True)
        loud = np.where(np.arange(16000) // 4000 == i, signal()[np.arange(16000) % 900], 0)
        wav(Path("words", word, "a.wav"), loud.astype(np.int16))
    printed = ask("evaluate", save(keyword_spotter()), "--data", "words", "--labels", "names.txt", fails=True)
    assert "names.txt: cannot be read" in printed
    printed = ask("evaluate", "net.tflite", "--data", "words")
    assert "accuracy 100.00% (4 of 4)" in printed and "3 (yes)" in printed
    assert "classes are numbered in alphabetical order" in printed and "front end: micro_speech" in printed
    Path("names.txt").write_text("up\nyes\nno\ndown\n")
    told: dict[str, Any] = json.loads(
        ask("evaluate", "net.tflite", "--data", "words", "--labels", "names.txt", "--json")
    )
    assert told["confusion"] == [[0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert told["sounds"]["front_end"] == "micro_speech"


def test_sounds_in_a_folder_for_each_class_are_for_health_too(ask: Ask) -> None:
    for word in ("no", "yes"):
        Path("words", word).mkdir(parents=True)
        wav(Path("words", word, "a.wav"), signal()[:16000].astype(np.int16))
    told = json.loads(ask("health", save(keyword_spotter()), "--data", "words", "--json"))
    assert told["inferences"] == 2 and told["sounds"]["front_end"] == "micro_speech"


# ---- sequences and arrays --------------------------------------------------------------------------------------


def remembering() -> Model:
    """Two scores, each of which is this input and the one before together."""
    x, y, state = fed((1, 2), "float32"), fed((1, 2), "float32"), replace(fed((1, 4), "float32"), is_variable=True)
    weights = [const(values, "float32") for values in (np.eye(2), np.ones((2, 2)), np.zeros(2))]
    options = {"rank": 1, "fused_activation_function": "NONE", "asymmetric_quantize_inputs": False}
    return one_op("SVDF", options, [x, *weights, state], y)


def test_sequences_begin_afresh_and_answer_at_the_end_or_by_the_largest_score() -> None:
    plan = make_plan(remembering())
    x = np.zeros((3, 4, 2), np.float32)
    x[0, 1, 1], x[1, 3, 0], x[2, 2, 1], x[2, 3, 0] = 9, 1, 1, 2
    session = Session(plan)
    outputs = np.stack([session.run(x[:, t])[0] for t in range(4)], axis=1)
    for answer, scores in (("last", outputs[:, -1]), ("max", outputs.max(axis=1))):
        *_, measured = evaluate(plan, x, np.array([1, 0, 0]), answer=answer)  # type: ignore[arg-type]
        expected = np.zeros((2, 2), np.int64)
        np.add.at(expected, ([1, 0, 0], scores.argmax(axis=1)), 1)
        np.testing.assert_array_equal(measured.confusion, expected)
    assert outputs[0, -1].argmax() != outputs[0].max(axis=0).argmax(), "the two ways differ"


def test_arrays_that_do_not_fit_are_refused_by_their_file(ask: Ask) -> None:
    model = save(keyword_spotter())
    for x, y, why in (
        (np.zeros((2, 1960)), [0, 4], "the labels are 0 to 4"),
        (np.zeros((2, 7)), [0, 1], "input 'input0' takes"),
    ):
        np.savez("data.npz", x=x, y=y)
        assert ask("evaluate", model, "--data", "data.npz", fails=True).startswith(f"refengine: data.npz: {why}")


def test_arrays_are_taken_as_they_are_or_quantised() -> None:
    kind = q(1 / 255, -128)
    plan = make_plan(one_op("RESHAPE", {}, [fed((1, 3), "int8", kind)], fed((1, 3), "int8", kind, "y")))
    real = np.eye(3)[[2, 0, 1]]
    for x in (real, (real * 255 - 128).astype(np.int8)):
        *_, measured = evaluate(plan, x, np.array([2, 0, 1]))
        assert measured.accuracy == 1


def test_one_score_says_yes_above_a_half() -> None:
    plan = make_plan(one_op("RESHAPE", {}, [fed((1, 1), "float32")], fed((1, 1), "float32", name="y")))
    *_, measured = evaluate(plan, np.array([[0.4], [0.5], [0.6]]), np.array([0, 1, 1]))
    assert measured.confusion.tolist() == [[1, 0], [1, 1]]


# ---- health ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", [False, True])
def test_anchors_are_not_suspicious(moved: bool) -> None:
    """Nor is what is computed from constants alone: they are moved about as codes here."""
    plan = make_plan(detector(moved=moved))
    pictures = np.random.default_rng(0).integers(-128, 128, (20, CELLS, CELLS, 1)).astype(np.int8)
    *_, measured = health(plan, [(pictures,)])
    assert measured.findings == []
