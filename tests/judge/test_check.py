"""refengine/judge/{check,pictures}.py and `refengine check-input`: from files to a verdict, or to a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import refengine
from refengine import InputError, make_plan
from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.judge import check_input, read_samples
from refengine.model import Array, Model
from refengine.tensors.datasets import bundled_digits
from refengine.tflite_io import dump
from tests.models import fed, one_op, q

MODEL = "stm32f746_int8"
PLAN = make_plan(bundled_models()[MODEL])
DIGITS = bundled_digits()[0]
SEVEN = DIGITS[70]
RIGHT = (SEVEN.astype(int) - 128).astype(np.int8).reshape(1, 28, 28, 1)
COLOURS = np.random.default_rng(4).integers(0, 256, (30, 50, 3), dtype=np.uint8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sample, and what it should have become."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(SEVEN).save("seven.png")
    Image.fromarray(COLOURS).resize((200, 120)).save("colours.png")
    np.save("right.npy", RIGHT)
    np.save("raw.npy", SEVEN.view(np.int8).reshape(RIGHT.shape))
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["check-input", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out or printed.err


def test_raw_pixels_are_named_and_the_line_that_does_it_right_is_printed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = asked(capsys, MODEL, "--fed", "raw.npy", "--sample", "seven.png")
    assert status == 1
    assert "certain: the input holds codes of uint8, as pixels are: every code is 128 off" in out
    assert "where it has 0, and the sample makes -128" in out
    assert "return (int8_t)(pixel - 128);" in out


def test_right_is_0_and_needs_no_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = asked(capsys, MODEL, "--fed", "right.npy", "--sample", "seven.png")
    assert status == 0 and "the input is right" in out and "int8_t" not in out


def test_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = asked(capsys, MODEL, "--fed", "raw.npy", "--sample", "seven.png", "--json")
    told = json.loads(out)
    (judged,) = told["inputs"]
    assert status == 1 and not told["right"] and told["sha256"] == PLAN.model.sha256
    assert (judged["index"], judged["right"], judged["certainty"], judged["cause"]) == (
        0,
        False,
        "certain",
        "off by 128",
    )
    assert judged["explanations"][0]["explained"] == judged["explanations"][0]["of"] == 784
    assert judged["explanations"][0]["bits"] > 20 and "input_from_pixel" in judged["c"]


def test_what_was_fed_may_stand_in_a_dump_or_in_bytes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = SEVEN.view(np.int8).reshape(RIGHT.shape)
    np.savez("dump.npz", t0=raw, t14=np.zeros((1, 26, 26, 32), np.int8))
    Path("raw.bin").write_bytes(raw.tobytes())
    np.savez("only.npz", t14=np.zeros((1, 26, 26, 32), np.int8))
    for file in ("dump.npz", "raw.bin"):
        assert "codes of uint8" in asked(capsys, MODEL, "--fed", file, "--sample", "seven.png")[1]
    assert "only.npz holds no input that fits" in asked(capsys, MODEL, "--fed", "only.npz", "--sample", "seven.png")[1]


def test_a_stream_knows_the_sample_before(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("stream.npy", DIGITS[69:72, ..., np.newaxis] / 255)
    np.save("stale.npy", (DIGITS[69].astype(int) - 128).astype(np.int8).reshape(RIGHT.shape))
    status, out = asked(capsys, MODEL, "--fed", "stale.npy", "--sample", "stream.npy", "--index", 1)
    assert status == 1 and "certain: the input holds the previous sample" in out
    assert asked(capsys, MODEL, "--fed", "right.npy", "--sample", "stream.npy", "--index", 1)[0] == 0
    Image.fromarray(DIGITS[69]).save("before.png")
    out = asked(capsys, MODEL, "--fed", "stale.npy", "--sample", "seven.png", "--previous", "before.png")[1]
    assert "certain: the input holds the previous sample" in out


def grey(picture: Image.Image | Array) -> Array:
    codes: Array = (np.asarray(picture).astype(int) - 128).astype(np.int8).reshape(RIGHT.shape)
    return codes


def barred(picture: Image.Image, colour: int) -> Image.Image:
    """200×120 in the middle of a square."""
    square = Image.new("L", (200, 200), colour)
    square.paste(picture, (0, 40))
    return square.resize((28, 28), Image.Resampling.BILINEAR)


@pytest.mark.parametrize(
    ("says", "make"),
    [
        ("scaled by pillow's NEAREST", lambda p: p.convert("L").resize((28, 28), Image.Resampling.NEAREST)),
        ("scaled by pillow's LANCZOS", lambda p: p.convert("L").resize((28, 28), Image.Resampling.LANCZOS)),
        ("taking the first of the pixels",
         lambda p: np.asarray(p.convert("L"))[np.arange(28) * 120 // 28][:, np.arange(28) * 200 // 28]),
        ("bars on both sides (128)", lambda p: barred(p.convert("L"), 128)),
        ("middle, and then scaled", lambda p: p.convert("L").crop((40, 0, 160, 120)).resize((28, 28), 2)),
        ("the middle of the picture, not scaled", lambda p: p.convert("L").crop((86, 46, 114, 74))),
        ("the mean of red, green and blue", lambda p: np.asarray(p.resize((28, 28), 2)).astype(int).sum(2) // 3),
        ("green only", lambda p: np.asarray(p.resize((28, 28), 2))[..., 1]),
    ],
)  # fmt: skip
def test_a_picture_becomes_another_input_by_other_rules(says: str, make: Any, here: Path) -> None:
    (sample,) = read_samples(PLAN, ["colours.png"])
    wrong = grey(make(Image.open("colours.png")))
    (verdict,) = refengine.judge.judged(PLAN, {0: wrong}, sample)
    assert verdict.certainty == "certain" and says in verdict.verdict and ("(" in says) is ("(" in verdict.verdict)
    (verdict,) = refengine.judge.judged(PLAN, {0: wrong ^ np.int8(-128)}, sample)
    assert verdict.certainty == "certain" and says in verdict.verdict and "every code is 128 off" in verdict.verdict


def test_bilinear_without_antialiasing_is_told_by_where_its_pixels_lie(here: Path) -> None:
    (sample,) = read_samples(PLAN, ["colours.png"])
    pixels = np.asarray(Image.open("colours.png").convert("L")).astype(float)
    rows, columns = (np.arange(28) * n / 28 for n in (120, 200))
    top, left = rows.astype(int), columns.astype(int)
    y, x = (rows - top)[:, None], columns - left
    mixed = [pixels[np.minimum(top + a, 119)][:, np.minimum(left + b, 199)] for a in (0, 1) for b in (0, 1)]
    made = (mixed[0] * (1 - x) + mixed[1] * x) * (1 - y) + (mixed[2] * (1 - x) + mixed[3] * x) * y
    (verdict,) = refengine.judge.judged(PLAN, {0: grey(np.round(made))}, sample)
    assert verdict.cause == "resized otherwise" and "their corners on one another" in verdict.verdict


TWO: Model = one_op(
    "ADD",
    {"fused_activation_function": "NONE"},
    [fed((1, 8, 8, 1), "int8", q(1 / 255, -128), "a"), fed((1, 8, 8, 1), "int8", q(1 / 255, -128), "b")],
    fed((1, 8, 8, 1), "int8", q(1 / 127, 0), "y"),
)


def test_of_several_inputs_each_is_judged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("two.tflite").write_bytes(dump(TWO))
    rng = np.random.default_rng(8)
    a, b = (rng.integers(0, 256, (1, 8, 8, 1)) for _ in range(2))
    right = [(x - 128).astype(np.int8) for x in (a, b)]
    plan = make_plan("two.tflite")
    samples = [np.float32(x / 255) for x in (a, b)]
    verdicts = refengine.check_input(plan, right[::-1], samples)
    assert [each.cause for each in verdicts] == ["inputs exchanged"] * 2
    assert "holds what input 'input1' should" in verdicts[0].verdict
    verdicts = refengine.check_input(plan, [right[0], right[1][:, ::-1]], samples)
    assert [each.cause for each in verdicts] == [None, "upside down"] and verdicts[0].right
    assert repr(verdicts[1]).startswith("<Fed 'input1': certain: the input is upside down")
    np.savez("sample.npz", input0=samples[0], input1=samples[1])
    np.savez("fed.npz", input1=right[1][:, ::-1])
    status, out = asked(capsys, "two.tflite", "--fed", "fed.npz", "--sample", "sample.npz")
    assert status == 1 and "'input1': certain: the input is upside down" in out and "'input0'" not in out


def test_inputs_of_other_shapes_are_not_thought_exchanged() -> None:
    tensors = [fed((1, 8, 8, 1), "int8", q(1 / 255, -128), "a"), fed((1, 8, 4, 1), "int8", q(1 / 255, -128), "b")]
    options = {"axis": 2, "fused_activation_function": "NONE"}
    plan = make_plan(one_op("CONCATENATION", options, tensors, fed((1, 8, 12, 1), "int8", q(1 / 255, -128), "y")))
    rng = np.random.default_rng(8)
    right = [rng.integers(-128, 128, t.shape).astype(np.int8) for t in plan.inputs]
    other = rng.integers(-128, 128, plan.inputs[0].shape).astype(np.int8)
    first, second = check_input(plan, [other, right[1]], right)
    assert (first.cause, first.certainty, second.right) == (None, "open", True)
    assert not any(each.preparation.id.startswith("inputs exchanged") for each in first.explanations)


def test_integers_that_stand_for_themselves_are_judged_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensor = fed((1, 40), "int32")
    Path("ids.tflite").write_bytes(
        dump(one_op("RESHAPE", {"new_shape": (1, 40)}, [tensor], fed((1, 40), "int32", name="y")))
    )
    ids = np.arange(40, dtype=np.int32).reshape(1, 40) ** 2
    np.save("ids.npy", ids)
    np.save("swapped.npy", ids.byteswap())
    status, out = asked(capsys, "ids.tflite", "--fed", "swapped.npy", "--sample", "ids.npy")
    assert status == 1 and "has the bytes of each number in the other order" in out and "#include" not in out


def test_pixels_codes_and_real_values_are_samples() -> None:
    for sample in (SEVEN, SEVEN[np.newaxis, ..., np.newaxis], RIGHT, SEVEN / 255, np.float32(SEVEN / 255).ravel()):
        (verdict,) = check_input(PLAN, RIGHT, sample)
        assert verdict.right
    (verdict,) = check_input(PLAN, RIGHT, SEVEN, real_range=(-1, 1))
    assert not verdict.right


@pytest.mark.parametrize(
    ("given", "sample", "complaint"),
    [
        (RIGHT[0], SEVEN, "input 0 is int8 (1, 28, 28, 1); it was fed int8 (28, 28, 1)"),
        (SEVEN.reshape(RIGHT.shape), SEVEN, "it was fed uint8 (1, 28, 28, 1): give just what lay in its buffer"),
        (
            RIGHT,
            SEVEN[1:],
            "its sample is real values or codes of that shape, or a picture's pixels, not uint8 (27, 28)",
        ),
        (RIGHT, [SEVEN, SEVEN], "the model has 1 input; the sample has 2 arrays"),
        ([RIGHT, RIGHT], SEVEN, "input 1 does not exist"),
    ],
)
def test_what_does_not_fit_is_refused(given: Any, sample: Any, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        check_input(PLAN, given, sample)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--fed", "none.npy", "--sample", "seven.png"], "none.npy: cannot be read"),
        (["--fed", "right.npy", "--sample", "none.png"], "none.png: cannot be read"),
        (["--fed", "seven.png", "--sample", "seven.png"], "seven.png: what a device was fed is its buffer"),
        (["--fed", "right.npy", "right.npy", "--sample", "seven.png"], "the model has 1 input"),
        (["--fed", "right.npy", "--sample", "seven.png", "seven.png"], "2 samples; choose one by --index"),
        (["--fed", "right.npy", "--sample", "seven.png", "--index", "1"], "1 sample; choose one by --index"),
        (["--fed", "right.npy"], "--sample"),
    ],
)
def test_what_cannot_be_judged_is_2_and_one_line(
    arguments: list[str], complaint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status, err = asked(capsys, MODEL, *arguments)
    except SystemExit as end:
        status, err = int(str(end.code)), capsys.readouterr().err
    assert status == 2 and complaint in err and err.count("\n") == 1
