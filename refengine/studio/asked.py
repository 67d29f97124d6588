"""What the page asks: parameters that anybody may have written, and bytes that may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import InputError

FIGURES = 9
"""Digits of the largest number that is read."""


class Bytes(NamedTuple):
    """An answer that is no JSON; with a `name`, a file to keep."""

    data: bytes
    kind: str = "application/octet-stream"
    name: str = ""


@dataclass(frozen=True)
class Asked:
    """One request: its `parameters`, and the `body` that came with it.

    Each reading raises `InputError` for what is missing, if there is no `default`, or is none.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def text(self, name: str, default: str | None = None) -> str:
        found = self.parameters.get(name, default)
        if found is None:
            raise InputError(f"the request says nothing of '{name}'")
        return found

    def natural(self, name: str, default: int | None = None) -> int:
        """A number from 0 on."""
        if name not in self.parameters and default is not None:
            return default
        return _natural(name, self.text(name))

    def says(self, name: str) -> bool:
        """Whether it is set, to 1."""
        return self.parameters.get(name) == "1"

    def indices(self, name: str) -> tuple[int, ...]:
        """Numbers with commas between them; none in an empty text, which is the place of a scalar."""
        text = self.text(name)
        return tuple(_natural(name, part) for part in text.split(",")) if text else ()


def _natural(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= FIGURES):
        raise InputError(f"'{name}' is {text[:20]!r}, which is no number from 0 to {10**FIGURES - 1:,}")
    return int(text)
