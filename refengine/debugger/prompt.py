"""The line that one types at the debugger: its history, suggestions and completions; and a pager for tall answers.

All of it is prompt_toolkit's. The history lives on in the home directory, as the shell's does.
"""

from __future__ import annotations

import os
import pydoc
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from os.path import expanduser

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.shortcuts import CompleteStyle

from ..text import printable
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
    return session.prompt


def paged(lines: Iterable[str]) -> None:
    """An answer; by a pager ($PAGER, else `less`) if it is taller than the terminal."""
    told: list[str] = []
    try:
        for line in lines:
            told += [printable(line)]
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
