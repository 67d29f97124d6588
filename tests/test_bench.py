"""The bench's table: ratios to TFLM's one image, and a place for another checkout's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import BEFORE, HEADINGS, main, products, rows_of

from refengine import make_plan
from refengine.bundled import bundled_models

TIMES: dict[str, Any] = {
    "tflm": {"single": 4e-3},
    "refengine": {
        "operators": 3,
        "macs": 2_500_000,
        "plan": 8e-3,
        "single": 2e-3,
        "batch": 1e-4,
        "one core": 2e-4,
        "sgemm": 1e-4,
    },
    "memory": 51.2,
}


def test_figures_are_ratios_to_one_image_of_tflm() -> None:
    (row,) = rows_of({"net": TIMES})
    told = dict(zip(HEADINGS, row, strict=True))
    assert told["MACs"] == "2.50 M" and told["TFLM, one image"] == "4.00 ms"
    assert (told["refengine single"], told["refengine batch"]) == ("2.0×", "40.0×")
    assert told["LiteRT batch"] == "–" and told["of sgemm, one core"] == "50 %"
    assert told["a plan, in TFLM's images"] == "2.0"


def test_another_checkout_stands_last() -> None:
    rows = rows_of({"net": {**TIMES, "before": {"single": 4e-3, "batch": 4e-3}}, "new": TIMES})
    assert [dict(zip(HEADINGS + BEFORE, row, strict=True))["single before"] for row in rows] == ["1.0×", "–"]


def test_a_folder_without_a_bench_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.py", "--before", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "has no tools/bench.py; give the folder of a checkout" in capsys.readouterr().err


def test_products_are_those_of_the_layers_with_weights() -> None:
    """Of one image: rows times taps times outputs are the multiply-adds but for depthwise layers."""
    plan = make_plan(bundled_models()["stm32f746_int8"])
    found = products(plan)
    macs = sum(step.params.macs for step in plan.steps if step.facts.layout in ("OHWI", "OI"))
    assert np.isclose(sum(rows * taps * outputs for (_, taps, outputs), rows in found.items()), macs)
