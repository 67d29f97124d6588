"""What can go wrong, under one root: each message is one sentence that says what, where, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .text import printable, printed, shown

POSIX = os.name == "posix"


class RefengineError(Exception):
    """The root of every error that refengine raises on purpose; in its one line no foreign name does any harm."""

    @printed
    def __str__(self) -> str:
        return printable(super().__str__())


class ModelError(RefengineError, ValueError):
    """The bytes are not a well-formed `.tflite` file."""


class UnsupportedError(RefengineError, NotImplementedError):
    """The file is well-formed, but TFLM would not run it; a `LimitError` if it is refengine that does not."""


class LimitError(UnsupportedError):
    """The limit is refengine's own. `tflm_runs` is whether TFLM is known to run it all the same; else nothing is."""

    def __init__(self, message: str, tflm_runs: bool = False) -> None:
        super().__init__(message)
        self.tflm_runs = tflm_runs


class InputError(RefengineError, ValueError):
    """An input array or file does not fit the model."""


class InferenceError(RefengineError, RuntimeError):
    """TFLM's own Invoke fails on this data, or ends early; so does refengine's inference, and says where.

    `rows` are the inferences of the batch that fail, as a mask, `status` is what TFLM's Invoke returns: 1 for an error,
    15 where an operator ends the inference on purpose (kTfLiteAbort). `results` is what the operator has written
    nevertheless, None for nothing. What `execute` raises has `state`, what lives on, and `outputs`, the model's, with
    what the failing inferences leave unwritten masked; a kernel leaves both to it.
    """

    def __init__(self, message: str, rows: Any = None, status: int = 1, results: Any = None) -> None:
        super().__init__(message)
        self.rows, self.status, self.results = rows, status, results
        self.outputs: Any = None
        self.state: Any = None


def require(condition: object, message: str) -> None:
    """Raise `UnsupportedError(message)` unless `condition` holds: how `prepare` complains of what TFLM refuses."""
    if not condition:
        raise UnsupportedError(message)


def instead(name: str, known: Iterable[str]) -> str:
    """Which of the `known` names is meant, in brackets, if one is near."""
    from difflib import get_close_matches  # which nobody needs who errs not

    near = get_close_matches(name, [*known], 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def require_names(names: object, what: str) -> None:
    """Raise `InputError` for anything else than a collection of names, or None; a str is a collection of letters."""
    given = [*names] if isinstance(names, Collection) and not isinstance(names, str | bytes) else [None]
    if names is None or all(isinstance(name, str) for name in given):
        return
    such = f", such as [{names!r}]" if isinstance(names, str) else ""
    raise InputError(f"{what} are a list of names{such}, not {shown(names)}")


def require_posix(what: str) -> None:
    """Raise `InputError` on Windows: `what` needs signals, descriptors or pipes as Linux and macOS have them."""
    if not POSIX:
        raise InputError(f"{what} needs Linux or macOS, and this is {sys.platform}; inside WSL it runs")


def within_limits(condition: object, message: str, tflm_runs: bool = False) -> None:
    """Raise `LimitError` unless `condition` holds: how `prepare` complains of what only refengine cannot do."""
    if not condition:
        raise LimitError(message, tflm_runs)


def consistent(condition: object, message: str) -> None:
    """`require` what holds in every graph that a converter writes, such as shapes that fit together."""
    require(condition, f"{message}; the file contradicts itself: convert the model again")


@contextmanager
def located(place: str) -> Iterator[None]:
    """Prefix every `RefengineError` raised inside with `place`, keeping its type."""
    try:
        yield
    except RefengineError as error:
        error.args = (f"{place}: {error}",)
        raise
