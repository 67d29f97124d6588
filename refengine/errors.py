"""What can go wrong, under one root: each message is one sentence that says what, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .text import printable


class RefengineError(Exception):
    """The root of every error that refengine raises on purpose; in its one line no foreign name does any harm."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ModelError(RefengineError, ValueError):
    """The bytes are not a well-formed `.tflite` file."""


class UnsupportedError(RefengineError, NotImplementedError):
    """The file is well-formed, but TFLM, or this engine, would not run it."""


class InputError(RefengineError, ValueError):
    """An input array or file does not fit the model."""


def require(condition: object, message: str) -> None:
    """Raise `UnsupportedError(message)` unless `condition` holds: how `prepare` complains."""
    if not condition:
        raise UnsupportedError(message)


@contextmanager
def located(place: str) -> Iterator[None]:
    """Prefix every `RefengineError` raised inside with `place`, keeping its type."""
    try:
        yield
    except RefengineError as error:
        raise type(error)(f"{place}: {error}") from error.__cause__
