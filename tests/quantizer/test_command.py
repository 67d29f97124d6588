"""refengine quantize, as a person types it."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refengine.bundled import DATA, bundled_models
from refengine.commands import main
from refengine.commands import quantize as command
from refengine.commands._front import FAILED, INTERRUPTED
from refengine.errors import UnsupportedError
from refengine.kernel import Node
from refengine.model import Model
from refengine.plan import make_plan
from refengine.quantizer import calibrate, convert, quantize
from refengine.strategies import model_of
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from refengine.tflite_io import dump, load
from tests.examination.nets import HIDDEN, LOGITS, SOFTMAX, float_net, pictures
from tests.models import fed, network, svdf


@pytest.fixture
def floats(tmp_path: Path) -> str:
    path = tmp_path / "float.tflite"
    path.write_bytes(dump(float_net()))
    return str(path)


@pytest.fixture
def arrays(tmp_path: Path) -> str:
    path = tmp_path / "pictures.npy"
    np.save(path, pictures(24))
    return str(path)


def expected(**options: object) -> Model:
    plan = make_plan(float_net())
    return load(dump(convert(plan.model, calibrate(plan, [(pictures(24),)]), **options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], {}),
        (["--activations", "int16"], {"activations": "int16"}),
        (["--io", "float32", "--keep", "logits", "SOFTMAX"], {"io": "float32", "keep": {LOGITS, SOFTMAX}}),
        (["--keep", str(HIDDEN)], {"keep": {HIDDEN}}),
        (["--jobs", "2"], {}),
    ],
)
def test_it_writes_what_convert_gives(
    floats: str, arrays: str, tmp_path: Path, options: list[str], wanted: dict[str, object]
) -> None:
    out = tmp_path / "out.tflite"
    assert main(["quantize", floats, "--data", arrays, "-o", str(out), *options]) == 0
    assert load(out) == expected(**wanted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float.tflite", "out.tflite", "pictures.npy"]


def test_the_table_has_ranges_scales_and_bytes(
    floats: str, arrays: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tflite"
    assert main(["quantize", floats, "--data", arrays, "-o", str(out), "--keep", "hidden"]) == 0
    text = capsys.readouterr().out
    assert f"calibrated on 24 samples of {arrays} by minmax" in text
    lines = {line.split()[1]: line for line in text.splitlines() if line.split()[:1] and line.split()[0].isdigit()}
    (softmax,) = (t for t in load(out).graphs[0].tensors if t.name == "softmax")
    assert softmax.quantization is not None
    assert lines["SOFTMAX"].split()[-2:] == [f"{softmax.quantization.scale[0]:.6g}", "-128"]
    assert "float32" in next(line for line in text.splitlines() if line.startswith(f" {HIDDEN} "))
    assert f"wrote {out}: {out.stat().st_size:,} bytes ({Path(floats).stat().st_size:,} before)" in text
    assert "TFLM runs it: all 9 operators are prepared" in text


def test_the_report_ranks_layers(floats: str, arrays: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", floats, "--data", arrays, "-o", str(tmp_path / "out.tflite"), "--report"]) == 0
    text = capsys.readouterr().out
    assert "24 samples: the outputs are off by" in text
    assert "have the float model's class. Of the layers, the worst first:" in text
    assert "helps" in text


def test_json_holds_everything(floats: str, arrays: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.tflite"
    options = ["--method", "percentile", "--percentile", "99.5", "--limit", "20", "--json", "--report"]
    assert main(["quantize", floats, "--data", arrays, "-o", str(out), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["method"], told["samples"], told["output_sha256"]) == ("percentile", 20, load(out).sha256)
    assert [tensor["operator"] for tensor in told["tensors"]][:2] == [
        None,
        {"subgraph": 0, "index": 0, "name": "CONV_2D"},
    ]
    plan = make_plan(float_net())
    ranges = calibrate(plan, [(pictures(24)[:20],)], "percentile", percentile=99.5)
    assert [tuple(tensor["range"]) for tensor in told["tensors"]] == list(ranges.values())
    assert [layer["operator"]["name"] for layer in told["report"]].count("FULLY_CONNECTED") == 2
    assert told["report"][0]["outputs"]["only"]["rmse"] >= told["report"][-1]["outputs"]["only"]["rmse"]


def test_digits_a_folder_of_idx_files_and_pictures_are_the_same_data(tmp_path: Path) -> None:
    images, _ = bundled_digits()
    idx, drawn = tmp_path / "mnist", tmp_path / "drawn"
    idx.mkdir()
    drawn.mkdir()
    for kind in ("images-idx3", "labels-idx1"):
        (idx / f"train-{kind}-ubyte.gz").write_bytes((DATA / f"digits-{kind}-ubyte.gz").read_bytes())
    for i in range(12):
        Image.fromarray(images[i]).save(drawn / f"{i:02}.png")
    plan = make_plan(bundled_models()["stm32f746_float32"])
    batches = [(pixels_to_input(plan, images[:12]),)]
    wanted = load(dump(convert(plan.model, calibrate(plan, batches))))
    for data in ("digits", str(idx), str(drawn)):
        out = tmp_path / "out.tflite"
        assert main(["quantize", "stm32f746_float32", "--data", data, "-o", str(out), "--limit", "12"]) == 0
        assert load(out) == wanted


def test_the_accuracy_before_and_after_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = bundled_digits()
    wrong = labels.copy()
    wrong[:3] = (wrong[:3] + 1) % 10
    np.savez(tmp_path / "xy.npz", x=images[:20], y=wrong[:20])
    out = tmp_path / "out.tflite"
    command = ["quantize", "stm32f746_float32", "--data", "digits", "--limit", "5", "-o", str(out)]
    assert main([*command, "--evaluate", str(tmp_path / "xy.npz")]) == 0
    right = "85.00% (17 of 20)"
    assert f"accuracy on {tmp_path / 'xy.npz'}: {right} before, {right} after" in capsys.readouterr().out
    assert main([*command, "--evaluate", "digits", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["accuracy"]
    assert (told["data"], told["before"]["correct"], told["after"]["correct"]) == ("digits", 100, 100)


def test_labels_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "xy.npz", x=bundled_digits()[0][:2], y=[0, 10])
    command = ["quantize", "stm32f746_float32", "--data", "digits", "-o", str(tmp_path / "out.tflite")]
    assert main([*command, "--evaluate", str(tmp_path / "xy.npz")]) == FAILED
    assert "the labels are 0 to 10, but the model has 10 classes" in capsys.readouterr().err
    assert not (tmp_path / "out.tflite").exists()


def test_ctrl_c_leaves_nothing_behind(
    floats: str, arrays: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "rank", interrupted)
    out = tmp_path / "out.tflite"
    out.write_text("precious")
    assert main(["quantize", floats, "--data", arrays, "-o", str(out), "--report"]) == INTERRUPTED
    assert capsys.readouterr().err == "refengine: interrupted; nothing was written\n"
    assert out.read_text() == "precious"


def test_what_cannot_be_written_leaves_nothing_behind(
    floats: str, arrays: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(["quantize", floats, "--data", arrays, "-o", str(tmp_path / "out.tflite")]) == FAILED
    assert capsys.readouterr().err == f"refengine: {tmp_path / 'out.tflite'}: No space left on device\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float.tflite", "pictures.npy"]


def test_what_is_no_file_is_written_to_and_a_link_stays_one(floats: str, arrays: str, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.tflite"
    os.mkfifo(pipe)
    link.symlink_to("target.tflite")
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_bytes)
        assert main(["quantize", floats, "--data", arrays, "-o", str(pipe)]) == 0
        data = read.result(10)
    assert main(["quantize", floats, "--data", arrays, "-o", str(link)]) == 0
    assert pipe.is_fifo() and link.is_symlink()
    assert (tmp_path / "target.tflite").read_bytes() == data


def test_real_values_like_pixels_are_warned_of(
    floats: str, arrays: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "raw.npy", np.rint(255 * pictures(3)))
    out = str(tmp_path / "out.tflite")
    assert main(["quantize", floats, "--data", str(tmp_path / "raw.npy"), "-o", out]) == 0
    assert "input 'x' was given 0 … 255, as pixels are" in capsys.readouterr().err
    assert main(["quantize", floats, "--data", arrays, "-o", out]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-o", "{floats}"], "MODEL is that, and would be lost; give another name"),
        (["-o", "{folder}"], "is a folder, or in none"),
        (["-o", "{folder}/none/out.tflite"], "is a folder, or in none"),
        (["--percentile", "99"], "--percentile is for --method percentile"),
        (["--method", "percentile", "--percentile", "40"], "the percentile is 40"),
        (["--method", "entropy", "--activations", "int16"], "ranges for 8 bits"),
        (["--method", "median"], "invalid choice: 'median'"),
        (["--io", "int16"], "--io int16 is for --activations int16"),
        (["--keep", "missing"], "the number, type or name 'missing'; give some of these, each by itself: 0 CONV_2D, 1"),
        (["--keep", "conv_2d"], "'conv_2d' (there is CONV_2D); give"),
        (["--range", "0", "0"], "black and white are both 0"),
        (["--split", "test"], "--split is for a folder of MNIST's IDX files"),
        (["--keep", "7"], "--keep: no operator to keep in float has the number, type or name '7'"),
        (["--range", "0", "1e39"], "no finite number in float32"),
        (["--labels", "names.txt"], "--labels is for --evaluate; give both"),
        (["--limit", "0"], "'0' is no positive number"),
        (["--data", "missing.npy"], "missing.npy: cannot be read"),
        (["--data", "digits"], "input 'x' takes pictures of 10×10×1"),
        (["--data", "{folder}/empty"], "the folder holds nothing to run on"),
        (["--data", "{folder}/mnist", "digits"], "mnist: a folder of MNIST's IDX files is all the data"),
        (["--data", "{folder}/wide.npy"], "wide.npy: input 'x' has shape"),
        (["--data", "{folder}/nan.npy"], "sample 1: input 'x' holds nan"),
    ],
)
def test_mistakes_are_one_line(
    floats: str, arrays: str, tmp_path: Path, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte").touch()
    bad = pictures(3)
    bad[1] = np.nan
    np.save(tmp_path / "nan.npy", bad)
    np.save(tmp_path / "wide.npy", np.zeros((1, 10, 11, 1), np.float32))
    before = Path(floats).read_bytes()
    given = [option.format(floats=floats, folder=tmp_path) for option in options]
    out = tmp_path / "out.tflite"
    try:
        data = [] if "--data" in given else ["--data", arrays]
        status = main(["quantize", floats, *data, "-o", str(out), *given])
    except SystemExit as error:
        status = int(str(error.code))
    told = capsys.readouterr().err
    assert status == FAILED
    assert complaint in told
    assert told.count("\n") == 1
    assert Path(floats).read_bytes() == before
    assert not out.exists()


def test_a_quantised_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.tflite")
    assert main(["quantize", "stm32f746_int8", "--data", "digits", "-o", out]) == FAILED
    assert "is int8: the model is quantised already; give the float32 file" in capsys.readouterr().err


def test_what_cannot_be_quantised_is_refused_before_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = network(Node("HARD_SWISH", {}, (fed((1, 4), "float32", name="x"),), (fed((1, 4), "float32", name="y"),)))
    path, complaint = tmp_path / "float.tflite", "operator 0 (HARD_SWISH): there is no int16 kernel for it"
    path.write_bytes(dump(model))
    unread = (pytest.fail("calibrated") for _ in range(1))
    with pytest.raises(UnsupportedError, match=re.escape(complaint)):
        quantize(model, unread, activations="int16")
    monkeypatch.setattr(command, "calibrate", lambda *args, **options: pytest.fail("calibrated"))
    out = str(tmp_path / "out.tflite")
    assert main(["quantize", str(path), "--data", str(tmp_path), "-o", out, "--activations", "int16"]) == FAILED
    assert capsys.readouterr().err.startswith(f"refengine: {path}: {complaint}")


def test_one_sample_is_one(floats: str, arrays: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.tflite")
    assert main(["quantize", floats, "--data", arrays, "-o", out, "--limit", "1"]) == 0
    assert "calibrated on 1 sample of" in capsys.readouterr().out


@pytest.fixture
def remembering(tmp_path: Path) -> str:
    path = tmp_path / "remembering.tflite"
    path.write_bytes(dump(model_of(svdf(fed((1, 3), "float32"), 2, np.random.default_rng(9)))))
    for name, length in (("a", 5), ("b", 7)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(length).normal(size=(length, 3)).astype(np.float32))
    return str(path)


@pytest.mark.parametrize(("flag", "state"), [("--stream", "kept"), ("--independent", "fresh")])
def test_what_lives_on_is_a_sequence_of_each_file_or_nothing(
    remembering: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, state: str
) -> None:
    out, files = str(tmp_path / "out.tflite"), [str(tmp_path / f"{name}.npy") for name in "ab"]
    assert main(["quantize", remembering, "--data", *files, "-o", out, flag, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["samples"]) == (state, 12)
    assert [each["float_operators"] and each["float_operators"][0]["index"] for each in told["tensors"]] == [[], 0]
    sequences = [(np.load(file),) for file in files]
    alone = [(frame[np.newaxis],) for (x,) in sequences for frame in x]
    wanted = quantize(remembering, sequences if state == "kept" else alone)
    assert Path(out).read_bytes() == dump(wanted)


def test_what_lives_on_has_to_be_said(remembering: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.tflite")
    assert main(["quantize", remembering, "--data", str(tmp_path / "a.npy"), "-o", out]) == FAILED
    assert "remembers something from one inference to the next: say --stream" in capsys.readouterr().err
    arguments = ["quantize", remembering, "--data", str(tmp_path / "a.npy"), "-o", out, "--stream", "--report"]
    assert main(arguments) == FAILED
    told = capsys.readouterr().err
    assert "operator 0 (SVDF) remembers something" in told
    assert "or leave out --report: without it, the model is quantised" in told
    assert not Path(out).exists()


def test_what_stays_in_float_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y, z = (fed((1, 4), "float32", name=name) for name in "xyz")
    path, out = tmp_path / "float.tflite", str(tmp_path / "out.tflite")
    path.write_bytes(dump(network(Node("RELU", {}, (x,), (y,)), Node("ELU", {}, (y,), (z,)))))
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32))
    arguments = ["quantize", str(path), "--data", str(tmp_path / "x.npy"), "-o", out]
    assert main(arguments) == 0
    assert "In float, as TensorFlow's converter leaves them: 1 ELU.\n" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["index"] for each in told["left_in_float"]] == [1] and told["kept"] == []
    assert main([*arguments, "--json", "--keep", "ELU"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["left_in_float"] == [] and [each["index"] for each in told["kept"]] == [1]
