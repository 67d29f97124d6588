"""The pad to draw on: what the pen draws, and the file that takes its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import refengine
from refengine.lessons import Pad
from refengine.lessons.pad import SIDE

SEVEN = Path(__file__).parents[1] / "data" / "seven.png"


def draw(pad: Pad, *points: tuple[float, float]) -> None:
    """One stroke."""
    pad.down(*points[0])
    for point in points[1:]:
        pad.move(*point)
    pad.up(*points[-1])


def test_a_pad_without_a_drawing_is_the_file() -> None:
    pad = Pad(SEVEN)
    assert not pad.is_drawn and "nothing drawn" in repr(pad)
    greys = np.asarray(Image.open(SEVEN).convert("L"))
    assert np.array_equal(pad.greys(), greys) and np.array_equal(pad.digit(), refengine.prepare_digit(greys))


def test_a_drawn_seven_is_read_as_one_and_clearing_takes_it_back() -> None:
    pad = Pad(SEVEN)
    pad.move(5, 5)  # the pen is not down
    assert not pad.is_drawn
    draw(pad, (60, 50), (160, 50), (110, 180))
    assert pad.is_drawn and pad.greys().shape == (SIDE, SIDE)
    plan = refengine.make_plan("stm32f746_int8")
    codes = refengine.quantize_input(plan, pad.digit()[None, ..., None] / np.float32(255))
    assert refengine.run(plan, codes)[0].argmax() == 7
    pad.clear()
    assert not pad.is_drawn


def test_the_canvas_follows_the_mouse_and_draws_what_the_picture_has() -> None:
    pytest.importorskip("ipycanvas", reason="ipycanvas is not installed")
    pad = Pad(SEVEN)
    for kind, x, y in (("mouse_down", 60, 50), ("mouse_move", 160, 50), ("mouse_up", 160, 50), ("mouse_move", 9, 9)):
        pad.canvas._handle_frontend_event(pad.canvas, {"event": kind, "x": x, "y": y}, [])
    assert pad.picture.getbbox() == (53, 43, 168, 58)
    assert "application/vnd.jupyter.widget-view+json" in pad._repr_mimebundle_()


def test_without_widgets_a_notebook_shows_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pad, "_canvas", lambda self: None)
    pad = Pad(SEVEN)
    assert pad._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")
    draw(pad, (60, 50), (160, 50))
    assert pad.is_drawn


def test_a_file_that_there_is_not_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        Pad(tmp_path / "nothing.png")
