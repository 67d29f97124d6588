"""What the command `refengine` begins with, and so nearly nothing: Ctrl-C ends it in a word from its first line on."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> int:
    """`refengine.commands.main`, whose imports take a third of a second."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # else somebody ignores it, as a shell does for what runs behind it
        signal.signal(signal.SIGINT, _end)
    from refengine.commands import main

    signal.signal(signal.SIGINT, heard)
    return main()


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: there is nothing to put away, and of exceptions raised amid imports Python loses some."""
    os.write(2, b"refengine: interrupted\n")
    os._exit(128 + number)
