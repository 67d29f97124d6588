"""A pad to draw on in a notebook, which falls back to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..tensors.digits import Pixels, prepare_digit

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, PEN = 224, 14
"""Of the pad and of the pen's line, in pixels."""


class Pad:
    """A square to draw a digit on, white on black; where nothing is drawn, or nothing can be, a file's picture.

        from refengine.lessons import Pad

        pad = Pad("seven.png")
        pad  # shows it: with ipycanvas the pad to draw on, else the picture
        pad.digit()

    `picture` is what was drawn, a grey picture of Pillow's: the pen draws it and the canvas alike.
    """

    def __init__(self, file: str | Path) -> None:
        """`file` is any picture that Pillow reads. Raises `OSError` if there is none."""
        from PIL import Image

        with Image.open(file) as picture:
            self._fallback = picture.convert("L")
        self.picture = Image.new("L", (SIDE, SIDE))
        self._last: tuple[float, float] | None = None
        self.canvas = self._canvas()

    @property
    def is_drawn(self) -> bool:
        """Whether there is anything on it."""
        return self.picture.getbbox() is not None

    @property
    def chosen(self) -> Image:
        """What was drawn, else the file's picture."""
        return self.picture if self.is_drawn else self._fallback

    def greys(self) -> npt.NDArray[np.uint8]:
        """The same as an array, uint8 height × width."""
        return np.asarray(self.chosen)

    def digit(self) -> Pixels:
        """It as MNIST's digits are, uint8 28×28; raises `InputError` as `prepare_digit` does."""
        return prepare_digit(self.greys())

    def down(self, x: float, y: float) -> None:
        """The pen touches the pad at a pixel."""
        self._last = x, y
        self.move(x, y)

    def move(self, x: float, y: float) -> None:
        """The pen goes to a pixel, and draws if it is down."""
        if self._last is None:
            return
        from PIL import ImageDraw

        pen, half = ImageDraw.Draw(self.picture), PEN / 2
        pen.line((*self._last, x, y), fill=255, width=PEN)
        pen.ellipse((x - half, y - half, x + half, y + half), fill=255)
        if self.canvas is not None:
            self.canvas.stroke_line(*self._last, x, y)
        self._last = x, y

    def up(self, x: float, y: float) -> None:
        """The pen leaves it."""
        self._last = None

    def clear(self) -> None:
        """Nothing is drawn any more."""
        self.picture.paste(0, (0, 0, SIDE, SIDE))
        if self.canvas is not None:
            self.canvas.fill_rect(0, 0, SIDE, SIDE)

    def _canvas(self) -> Any:
        """ipycanvas's, which follows mouse and finger; None where it is not installed."""
        try:
            from ipycanvas import Canvas
        except ImportError:
            return None
        canvas = Canvas(width=SIDE, height=SIDE)
        canvas.fill_style, canvas.stroke_style = "black", "white"
        canvas.line_width, canvas.line_cap = PEN, "round"
        canvas.fill_rect(0, 0, SIDE, SIDE)
        canvas.on_mouse_down(self.down)
        canvas.on_mouse_move(self.move)
        canvas.on_mouse_up(self.up)
        canvas.on_mouse_out(self.up)
        canvas.on_touch_start(lambda touches: self.down(*touches[0]))
        canvas.on_touch_move(lambda touches: self.move(*touches[0]))
        canvas.on_touch_end(lambda touches: self.up(0, 0))
        return canvas

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The pad in a notebook that has widgets, else the picture that stands for it."""
        if self.canvas is not None:
            return self.canvas._repr_mimebundle_(**options)
        return {"image/png": self.chosen._repr_png_(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return "<Pad, drawn on>" if self.is_drawn else "<Pad, with nothing drawn: the file's picture>"
