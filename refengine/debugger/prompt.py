"""The line that one types at the debugger: its history, suggestions and completions; and a pager for tall answers.

All of it is prompt_toolkit's. The history lives on in the home directory, as the shell's does.
"""

from __future__ import annotations

import os
import pydoc
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from os.path import expanduser
from types import FrameType

from prompt_toolkit import Application, PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.shortcuts import CompleteStyle

from ..processes import ENDING, Terminated
from ..text import hung, printable
from .console import Console

HISTORY = "~/.refengine_history"


def prompt_of(console: Console, words: str) -> Callable[[], str]:
    """What asks for a line; raises `KeyboardInterrupt` for Ctrl-C and `EOFError` for Ctrl-D."""
    session: PromptSession[str] = PromptSession(
        words,
        history=_History(expanduser(HISTORY)),
        auto_suggest=AutoSuggestFromHistory(),
        completer=_Completer(console),
        complete_while_typing=False,
        complete_style=CompleteStyle.COLUMN,
        enable_history_search=True,
        enable_suspend=True,
    )

    def ask() -> str:
        with _ended_by_signals(session.app):
            return session.prompt()

    return ask


@contextmanager
def _ended_by_signals(app: Application[str]) -> Iterator[None]:
    """A signal that ends the process ends the prompt first, which puts the terminal back and raises `Terminated`.

    Raised wherever the signal finds the program, as `terminable` has it, it would leave the terminal without an echo.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)
        if app.loop is None or not app.is_running:
            raise Terminated(number)
        app.loop.call_soon_threadsafe(partial(app.exit, exception=Terminated(number)))

    mine = threading.current_thread() is threading.main_thread()
    taken = {number: signal.getsignal(number) for number in ENDING} if mine else {}
    taken = {number: handler for number, handler in taken.items() if callable(handler)}
    try:
        for number in taken:
            signal.signal(number, end)
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def paged(lines: Iterable[str]) -> None:
    """An answer; by a pager ($PAGER, else `less`) if it is taller than the terminal."""
    told: list[str] = []
    try:
        for line in lines:
            told += hung(printable(line), shutil.get_terminal_size().columns)
    finally:  # what comes before an error is an answer, too
        tall = len(told) >= shutil.get_terminal_size().lines
        if tall and (os.environ.get("PAGER") or shutil.which("less")):
            os.environ.setdefault("LESS", "FRX")  # colours as they are, and the answer stays in sight
            pydoc.pager("\n".join(told))
        else:
            print(*told, sep="\n", end="\n" * bool(told))


class _Completer(Completer):
    """What the console completes, in the command that the cursor is in; beside a command, what it does."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        command = document.text_before_cursor.rpartition(";")[2].lstrip()
        word = command.rpartition(" ")[2]
        for name in self.console.complete(command):
            about = self.console.about(name) if name == name.strip() and word == command else ""
            yield Completion(name, -len(word), display_meta=about)


class _History(FileHistory):
    """Lines that are kept if they can be: a home that nobody may write to is no reason to stop."""

    def load_history_strings(self) -> Iterable[str]:
        with suppress(OSError):
            yield from super().load_history_strings()

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)
