"""refengine health, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refengine import Plan
from refengine.commands import health as command
from refengine.commands import main
from refengine.commands._front import FAILED, INTERRUPTED
from refengine.examination import Health, health
from refengine.model import Array
from refengine.tensors.datasets import bundled_digits
from refengine.tflite_io import dump
from tests.examination.nets import calibrated, converted, float_net, pictures
from tests.models import fed, one_op, q


@pytest.fixture
def broken(tmp_path: Path) -> tuple[str, str]:
    """A file whose layer "hidden" has a scale eight times too large; (it, the float model)."""
    scale, zero_point = calibrated(float_net())["hidden"]
    path, floats = tmp_path / "broken.tflite", tmp_path / "float.tflite"
    path.write_bytes(dump(converted({"hidden": (8 * scale, zero_point)})))
    floats.write_bytes(dump(float_net()))
    return str(path), str(floats)


@pytest.fixture
def arrays(tmp_path: Path) -> str:
    folder = tmp_path / "arrays"
    folder.mkdir()
    for i, picture in enumerate(pictures(12)):
        np.save(folder / f"{i:02}.npy", picture[None])
    (folder / ".hidden").write_text("not data")
    return str(folder)


def test_the_report_names_the_layer(broken: tuple[str, str], arrays: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", broken[0], "--data", arrays, "--float", broken[1]]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == f"{broken[0]} on {arrays}: 12 inferences, against {broken[1]}"
    found = next(i for i, line in enumerate(lines) if "the worst first" in line)
    assert lines[found + 2].startswith("1. operator 4 (FULLY_CONNECTED): range, about 3.")
    assert printed.err == "" and "\x1b" not in printed.out


def test_json_holds_everything(broken: tuple[str, str], arrays: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", broken[0], "--data", arrays, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["inferences"] == 12 and told["interrupted"] is False
    assert told["findings"][0]["layer"] == "operator 4 (FULLY_CONNECTED)"
    hidden = told["layers"][5]
    assert (hidden["operator"]["name"], hidden["tensor"]["name"]) == ("FULLY_CONNECTED", "hidden")
    assert hidden["accumulator"]["headroom_bits"] == 32 - hidden["accumulator"]["measured_bits"]
    assert len(hidden["channels"]["own_rmse"]) == 16
    assert set(hidden["clamped"]) == {"below_activation", "below_type", "above_activation", "above_type"}


def test_bundled_digits_idx_and_pictures_are_the_same_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, _ = bundled_digits()
    for i, image in enumerate(images[:3]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    reports = []
    for arguments in (["--data", str(tmp_path)], ["--limit", "3"]):
        assert main(["health", "dense_int8", "--json", *arguments]) == 0
        reports.append(json.loads(capsys.readouterr().out)["layers"])
    for one, other in zip(*reports, strict=True):
        assert one["accumulator"] == other["accumulator"] and one["codes"] == other["codes"]


def test_a_folder_of_idx_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = bundled_digits()
    header = bytes([0, 0, 8])
    shape = b"".join(size.to_bytes(4, "big") for size in (20, 28, 28))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(header + b"\3" + shape + images[:20].tobytes())
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(header + b"\1" + shape[:4] + labels[:20].tobytes())
    assert main(["health", "dense_int8", "--data", str(tmp_path), "--limit", "15", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inferences"] == 15


@pytest.mark.parametrize("shape", [(2, 3), (1, 3)])
def test_inferences_of_any_declared_shape_come_one_by_one(
    shape: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """(N, *declared) are N inferences for `run`, and here, whether or not a model's inputs declare a leading 1."""
    model, data = tmp_path / "relu.tflite", tmp_path / "x.npy"
    model.write_bytes(dump(one_op("RELU", {}, [fed(shape, "int8", q(0.5))], fed(shape, "int8", q(0.5)))))
    x = np.random.default_rng(7).integers(-128, 128, (5, *shape), np.int8)
    np.save(data, x)
    assert main(["health", str(model), "--data", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inferences"] == 5
    np.save(data, x[:, :, :2])
    assert main(["health", str(model), "--data", str(data)]) != 0
    assert f"x.npy: input 'input0' has shape {shape}" in capsys.readouterr().err


def test_data_with_classes_are_data_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a folder for each class, a .csv and an .npz with x and y, the first three are the first of three classes."""
    images, labels = bundled_digits()
    for label in range(3):
        (tmp_path / "all" / str(label)).mkdir(parents=True)
        for i, image in enumerate(images[labels == label][:2]):
            Image.fromarray(image).save(tmp_path / "all" / str(label) / f"{i}.png")
    (tmp_path / "lines.csv").write_text("".join(f"all/{label}/0.png,{label}\n" for label in range(3)))
    np.savez(tmp_path / "xy.npz", x=np.stack([images[labels == label][0] for label in range(3)]), y=[0, 1, 2])
    reports = []
    for name in ("all", "lines.csv", "xy.npz"):
        assert main(["health", "dense_int8", "--data", str(tmp_path / name), "--limit", "3", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["inferences"] == 3
        reports.append([(layer["accumulator"], layer["codes"]) for layer in told["layers"]])
    assert reports[0] == reports[1] == reports[2]


def test_without_data_a_foreign_model_asks_for_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(dump(one_op("RELU", {}, [fed((1, 9, 4, 1), "int8", q(0.1))], fed((1, 9, 4, 1), "int8", q(0.1)))))
    for name in ("health", "evaluate"):
        assert main([name, str(path)]) == FAILED
        told = capsys.readouterr().err
        assert told == (
            "refengine: what shall the model run on? Say --data PATH; its inputs are 'input0' int8 (1, 9, 4, 1)\n"
        )


@pytest.mark.slow
def test_plots_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    assert main(["health", "dense_int8", "--limit", "10", "--plots", str(tmp_path)]) == 0
    assert f"wrote {tmp_path / 'errors.png'}" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["activations.png", "errors.png"]


def test_ctrl_c_reports_what_was_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    whole = health

    def interrupted(plan: Plan, cases: Iterable[tuple[Array, ...]], float_plan: Plan | None) -> Iterator[Health]:
        yield next(whole(plan, cases, float_plan))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "health", interrupted)
    monkeypatch.setattr(command, "CHUNK", 7)
    assert main(["health", "dense_int8"]) == INTERRUPTED
    assert "interrupted after 7 of 100: 7 inferences" in capsys.readouterr().out


def test_ctrl_c_before_the_first_batch_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(plan: Plan, cases: Iterable[tuple[Array, ...]], float_plan: Plan | None) -> Iterator[Health]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(command, "health", interrupted)
    assert main(["health", "dense_int8"]) == INTERRUPTED
    assert capsys.readouterr() == ("", "refengine: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["stm32f746_float32", "--float", "stm32f746_float32"], "the model is of floats itself"),
        (["dense_int8", "--float", "dense_int8"], "the float model's inputs are not float32 ones"),
        (["dense_int8", "--float", "missing.tflite"], "missing.tflite: no such file"),
        (["dense_int8", "--data", "missing.npy"], "missing.npy: cannot be read"),
        (["dense_int8", "--limit", "0"], "'0' is no positive number"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: int | str | None = main(["health", *arguments])
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert status == FAILED and printed.out == ""
    assert complaint in printed.err and printed.err.count("\n") == 1


def test_an_empty_folder_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "dense_int8", "--data", str(tmp_path)]) == FAILED
    assert "the folder holds nothing to run on" in capsys.readouterr().err
