"""refengine/examination/plots.py: two PNG files, and what is in them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refengine import InputError, make_plan
from refengine.examination import Health, health
from refengine.examination.plots import save_plots
from refengine.tensors.inputs import quantize_input
from tests.examination.nets import calibrated, converted, float_net, pictures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saturated() -> Health:
    scale, zero_point = calibrated(float_net())["conv"]
    plan = make_plan(converted({"conv": (scale / 4, zero_point)}))
    *_, result = health(plan, [(quantize_input(plan, pictures()),)])
    return result


def test_plots_are_written_and_not_blank(saturated: Health, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    paths = save_plots(saturated.layers, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["activations.png", "errors.png"]
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape[0] > 200 and pixels.shape[1] > 800
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


def test_without_matplotlib_the_extra_is_named(
    saturated: Health, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"^plots need matplotlib: pip install 'refengine\[plots\]'$"):
        save_plots(saturated.layers, tmp_path)
    assert not list(tmp_path.iterdir())
