"""The trained networks that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(__file__).parent / "data"


def bundled_models() -> dict[str, Path]:
    """The files of the networks, by name (`"stm32f746_int8"`), wherever a model is asked for the name will do.

    Beside them, `stm32f746.json` is the card of a network's files: how it was trained, and its accuracy.
    """
    return {path.stem: path for path in sorted(DATA.glob("*.tflite"))}


def model_file(name: str | os.PathLike[str]) -> Path:
    """The file at a path, or else the bundled network of that name; the path if there is neither."""
    path = Path(name)
    return path if path.is_file() else bundled_models().get(os.fspath(name), path)
