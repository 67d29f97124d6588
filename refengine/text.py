"""Foreign text becomes printable here, and nowhere else: for terminals, pages, C and JSON.

Names in files, from devices and of files are anybody's: they may hold escape sequences that move a cursor or set a
title, line ends that forge a line, and bidirectional controls that turn the reading order round.

JSON is what every ``--json`` prints: ASCII only, and a number that JSON has not is one of the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"``, which Python's `float` and JavaScript's `Number` read; null means that there is no
such number. Arrays are nested lists.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import cleandoc
from math import isfinite, isnan
from textwrap import fill, wrap
from typing import Any, TypeVar

import numpy as np

SCHEMA = 1
"""Of every --json document, recording, dump and corpus: another number once a key changes its meaning or goes."""


class Styled(str):
    """A line of our own whose escape sequences are meant: `printable` leaves it alone."""

    __slots__ = ()


def printable(text: object) -> str:
    """One line: whatever `str.isprintable` refuses (controls, format characters, line ends) as Python escapes it."""
    if isinstance(text, Styled):
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def kind_of(value: object) -> str:
    """The type of what somebody gave, with its article: ``an int``, ``a str``, ``an array of int8 (1, 10)``."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {value.shape}"
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def shown(value: object) -> str:
    """What somebody gave: itself where it is short, else its type."""
    return repr(value) if isinstance(value, str | int | float) and len(repr(value)) <= 40 else kind_of(value)


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun, whose plural ends in an s if none is given: ``1 input``, ``1,000 inputs``."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


LOOK_ALIKES = {
    "→": "->", "←": "<-", "↔": "<->", "…": "...", "·": ".", "×": "x", "−": "-", "±": "+-", "≈": "~", "≤": "<=",
    "≥": ">=", "√": "sqrt", "Σ": "sum", "σ": "sigma", "²": "^2", "─": "-", "━": "-", "│": "|", "▀": '"', "▄": "_",
    "█": "#", "▏": "|", "▎": "|", "▍": "|", "▌": "|", "▋": "|", "▊": "#", "▉": "#",
}  # fmt: skip
"""What we write that consoles with a code page of their own lack, and how it looks there."""

ALIKE = "refengine.alike"
"""How output is encoded there, as the `errors` of a stream: by `LOOK_ALIKES`, anything else as a question mark."""


def _alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(LOOK_ALIKES.get(c, "?") for c in missing), error.end


codecs.register_error(ALIKE, _alike)


def encodable(text: str, encoding: str | None) -> str:
    """What a stream of that encoding takes."""
    return text.encode(encoding or "utf-8", ALIKE).decode(encoding or "utf-8")


T = TypeVar("T")


def printed(method: Callable[[T], str]) -> Callable[[T], str]:
    """A `__str__` or `__repr__` that ``print`` can write wherever it is: where standard output is strict about a code
    page, in what looks alike."""

    @wraps(method)
    def told(self: T) -> str:
        strict = getattr(sys.stdout, "errors", None) == "strict"
        return encodable(method(self), sys.stdout.encoding) if strict else method(self)

    return told


def paragraphs(text: str, width: int) -> str:
    """Help of ours, filled to a width; a paragraph with indented lines, such as examples, stays as it stands."""
    told = cleandoc(text).split("\n\n")
    return "\n\n".join(each if "\n " in f"\n{each}" else fill(each, width) for each in told)


MOST_INDENT = 0.6
"""Of the width: what stands in a column further to the right goes on near the line's own beginning."""


def hung(line: str, width: int) -> list[str]:
    """A line of ours in a terminal's width: what does not fit goes on in its last column, or a little indented.

    Columns are what two spaces or more part. Sentences go on as they begin, and `Styled` lines are as wide as they
    shall be.
    """
    if len(line) <= width or isinstance(line, Styled):
        return [line]
    if line.endswith("."):
        return wrap(line, width, break_on_hyphens=False)
    own = len(line) - len(line.lstrip(" "))
    column = line.rstrip().rfind("  ") + 2
    indent = column if own < column <= MOST_INDENT * width and "  " in line.strip() else own + 2
    return wrap(line, width, subsequent_indent=" " * min(indent, width // 2), break_on_hyphens=False)


def markup(text: object) -> str:
    """One line of HTML or XML."""
    from html import escape  # brings all entities

    return escape(printable(text))


class Html(str):
    """HTML of our own, which `html_table` leaves alone."""

    __slots__ = ()


def html_table(caption: object, head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table of foreign text, for notebooks."""

    def line(cells: Iterable[object], tag: str) -> str:
        told = (cell if isinstance(cell, Html) else markup(cell) for cell in cells)
        return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in told)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><caption>{markup(caption)}</caption>{line(head, 'th')}{body}</table>"


def html_lines(title: str, lines: Iterable[object]) -> str:
    """Lines of text below a table, which can be folded away; nothing where there are none."""
    told = "\n".join(map(markup, lines))
    style = "white-space: pre-wrap; text-align: left"
    return f'<details open><summary>{title}</summary><pre style="{style}">{told}</pre></details>' if told else ""


def in_c(text: object) -> str:
    """ASCII without what could end a C string or comment: an underscore for everything else."""
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\?*' else "_" for c in str(text))


def c_string(text: str) -> str:
    """A literal of C and C++ with just these characters, in UTF-8."""
    told = (_in_string(byte) for byte in text.encode(errors="backslashreplace"))
    return f'"{"".join(told)}"'


def _in_string(byte: int) -> str:
    if not 32 <= byte < 127:
        return f"\\{byte:03o}"
    return f"\\{byte:c}" if byte in b'"\\?' else chr(byte)


def as_json(value: Any, indent: int | None = 1) -> str:
    """`value`, of plain Python, arrays and NumPy's numbers, as JSON; anything else by its `str`."""
    told = json.dumps(_plain(value), indent=indent, allow_nan=False, default=str)
    return told.replace("\x7f", "\\u007f")  # the one control character that JSON leaves as it is


def _plain(value: Any) -> Any:
    """The same in what JSON knows."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
