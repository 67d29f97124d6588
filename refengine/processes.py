"""Processes that refengine starts, and the signals that end it: nothing of either is left behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from . import errors
from .errors import InputError

PATIENCE = 2.0
"""Seconds that a process has to clean up after itself."""

ENDING = tuple(signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """A signal of `ENDING` came: as after Ctrl-C everything is put away, but nobody is there to go on with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` in the block when one of `ENDING` comes, and ignore all that follow: once is enough.

    Only what would end the process is taken: not what somebody ignores or handles, and nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)
        raise Terminated(number)

    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that would interrupt the block do so behind it: what it starts is known to whoever must end it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
    before = {number: handler for number, handler in before.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for each in came:
        signal.raise_signal(each)


def finished(
    command: Sequence[str], timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """What `subprocess.run` gives of a command that reads nothing, with what it writes.

    If that is interrupted, or takes too long, all processes that the command has started end with it. Raises `OSError`
    and `subprocess.TimeoutExpired`.
    """
    process = None
    try:
        with undisturbed():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                **options,
            )
        output, errors = process.communicate(timeout=timeout)
    except BaseException:
        if process is not None:
            _end_group(process)
            process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and its children: a compiler removes its temporary files if asked kindly."""
    for number in (signal.SIGTERM, signal.SIGKILL) if os.name == "posix" else ():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    process.kill()
    process.wait()


def words_of(command: str) -> list[str]:
    """The words of a command line, as the system's own shells split it. Raises `InputError` for an open quotation."""
    try:
        return shlex.split(command) if errors.POSIX else _words_on_windows(command)
    except ValueError as error:
        raise InputError(f"the command {command!r} cannot be split into words: {error}") from None


def command_of(words: Sequence[str]) -> str:
    """The command line that is split into these words again."""
    return shlex.join(words) if errors.POSIX else subprocess.list2cmdline(words)


def _words_on_windows(command: str) -> list[str]:
    """By the rules of Microsoft's C library: backslashes are themselves but before a quotation mark, of which an odd
    number of them makes a letter, and only this mark quotes."""
    words, word, begun, inside = list[str](), "", False, False
    for slashes, mark, space, other in re.findall(r'(\\*)(")|(\s+)|(\\+|[^\s"\\]+)', command):
        if mark:
            word += "\\" * (len(slashes) // 2) + '"' * (len(slashes) % 2)
            begun, inside = True, inside != (len(slashes) % 2 == 0)
        elif space and not inside:
            words += [word] * begun
            word, begun = "", False
        else:
            word, begun = word + (space or other), True
    if inside:
        raise ValueError("No closing quotation")
    return words + [word] * begun


def filled(words: Sequence[str], paths: Mapping[str, Sequence[str]]) -> list[str]:
    """The words of a command, its placeholders filled; one that is a whole word becomes as many as it has paths."""
    found: list[str] = []
    for word in words:
        if word in paths:
            found += paths[word]
            continue
        for name, those in paths.items():
            word = word.replace(name, " ".join(those))
        found.append(word)
    return found
