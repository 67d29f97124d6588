"""A few samples that set most ranges are named, and what helps is tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import make_plan
from refengine.commands import main
from refengine.model import Array
from refengine.quantizer import calibrate
from refengine.quantizer.outliers import Outliers, others, outliers
from refengine.tflite_io import dump
from tests.examination.nets import float_net, pictures


def found(data: Array, batch: int = 7) -> Outliers | None:
    extremes: list[Any] = []
    batches = [(data[start : start + batch],) for start in range(0, len(data), batch)]
    ranges = calibrate(make_plan(float_net()), batches, watch=extremes.append)
    return outliers(extremes, ranges)


def test_a_sample_that_sets_most_ranges_is_named_whatever_the_batches() -> None:
    data = pictures(100)
    narrow = calibrate(make_plan(float_net()), [(np.delete(data, 41, axis=0),)])
    data[41] *= 255
    told = found(data)
    assert told is not None and told == found(data, batch=100)
    assert told.samples == (41,) and told.count == 100
    for tensor, (_, without) in told.widened.items():
        low, high = narrow[tensor]
        assert without == (min(low, 0), max(high, 0))
    assert len(told.widened) == 7, "of 8 tensors all but the probabilities"
    assert told.bits > 7
    assert str(told).startswith("Sample 41 of 100 (counted from 0) alone sets 7 of 8 ranges, and takes up to")


def test_ordinary_data_have_none() -> None:
    assert found(pictures(100)) is None


def test_more_than_one_in_a_hundred_are_no_outliers_but_data() -> None:
    data = pictures(100)
    data[[3, 41]] *= 255
    assert found(data) is None
    assert (more := found(np.concatenate([data, pictures(50, seed=6)]))) is not None and more.samples == (3, 41)


def test_of_few_samples_none_is_an_outlier() -> None:
    data = pictures(19)
    data[3] *= 255
    assert found(data) is None


def test_an_outlier_in_one_tensor_alone_does_not_set_all_ranges() -> None:
    extremes = np.tile(np.array([[[0]], [[1]]], np.float32), (1, 50, 4))
    extremes[1, 7, 2] = 9
    assert outliers([extremes], dict.fromkeys(range(4), (0.0, 1.0))) is None
    extremes[1, 7, 3] = 9
    told = outliers([extremes], dict.fromkeys(range(4), (0.0, 1.0)))
    assert told is not None and told.widened == {2: ((0, 9), (0, 1)), 3: ((0, 9), (0, 1))}


def test_the_others_are_all_but_those() -> None:
    data = pictures(40)
    left = [x for (x,) in others(make_plan(float_net()), [(data[:33],), (data[33:],)], (0, 31, 39))]
    np.testing.assert_array_equal(np.concatenate(left), np.delete(data, [0, 31, 39], axis=0))


@pytest.mark.slow
def test_the_command_tries_what_helps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pictures(60)
    data[41] *= 255
    (tmp_path / "float.tflite").write_bytes(dump(float_net()))
    np.save(tmp_path / "x.npy", data)
    names = ["float.tflite", "x.npy", "out.tflite"]
    model, x, out = (str(tmp_path / name) for name in names)
    line = ["quantize", model, "--data", x, "-o", out]
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["outliers"]
    assert told["samples"] == [41]
    rmse = {name: each["rmse"] for name, each in told["tried"].items()}
    assert rmse["minmax without them"] < rmse["--method minmax"] / 3
    assert main(line) == 0
    printed = capsys.readouterr().out
    best = min((name for name in rmse if name.startswith("--")), key=lambda name: rmse[name])
    assert f"Of the methods, {best} is best for them." in printed
    assert "on 59 samples of the others" in printed
    assert main([*line, "--method", "percentile", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outliers"] is None
