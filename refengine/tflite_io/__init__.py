"""`.tflite` files: `load` reads one into a `Model`, `dump` writes a `Model` into bytes."""

from .reader import load
from .writer import dump

__all__ = ["dump", "load"]
