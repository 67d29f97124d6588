"""Step through inferences, forwards and backwards, as gdb steps through a program.

At the prompt, help lists the commands. Without a terminal, or with --command or --script, commands are read from there
and nothing is asked. A wrong command is one line on stderr, and the session goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..debugger import Console, Session, split
from ..errors import RefengineError
from ..kernel import PRESETS
from ..plan import Plan, make_plan
from ..processes import Terminated
from ._front import (
    add_given,
    add_memory,
    add_model,
    add_numerics,
    add_one_input,
    ears_of,
    every_inference,
    fail,
    given,
    one_inference,
    print_heard,
    say,
)

PROMPT = "(refengine) "


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_numerics(parser)
    add_given(parser)
    add_one_input(parser)
    parser.add_argument(
        "--stream",
        action="store_true",
        help="debug all inferences that the input holds, one after the other, from the one of --index on; always so "
        "where something lives on from one to the next",
    )
    parser.add_argument(
        "--script", metavar="FILE", help="run the commands in a file, one or more (;) a line, # comments"
    )
    parser.add_argument(
        "--command", dest="commands", metavar="COMMANDS", action="append", help='run "break SOFTMAX; continue; stats"'
    )


def command(args: argparse.Namespace) -> int:
    script = Path(args.script).read_text(encoding="utf-8", errors="replace").splitlines() if args.script else []
    numerics = PRESETS[args.numerics]
    plan = make_plan(args.model, numerics=numerics, memory=args.memory, partial=args.partial)
    console = Console(_session(plan, args), _width(), _colour())
    if args.script or args.commands:
        _read(console, [*script, *(args.commands or [])])
        return 0
    with suppress(AttributeError):  # when something else was put in its place
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    if sys.stdin.isatty():
        _converse(console)
    else:
        _read(console, sys.stdin)
    return 0


def _session(plan: Plan, args: argparse.Namespace) -> Session:
    """One inference; or, of a model that remembers, all that the input holds, at the one that --index chooses."""
    ears = ears_of(plan, args)
    if args.stream or plan.initial:
        first, *then = every_inference(plan, args.input, args, ears)
        session = Session(plan, *first, then=then, given=given(plan, args))
        session.enter(args.index or 0)
    else:
        session = Session(plan, *one_inference(plan, args, ears), given=given(plan, args))
    print_heard(ears)
    return session


def _read(console: Console, lines: Iterable[str]) -> None:
    """Commands without a person."""
    for line in lines:
        if not line.strip().startswith("#"):
            _obey(console, split(line))
        if console.done:
            return


def _converse(console: Console) -> None:
    """A prompt, until quit or Ctrl-D; Ctrl-C returns to it."""
    _ready(console)
    say(*console.where())
    while not console.done:
        console.width = _width()
        try:
            _obey(console, split(input(PROMPT)) or [""])
        except Terminated:
            raise
        except KeyboardInterrupt:
            say("^C")
        except EOFError:
            say("")
            return


def _obey(console: Console, commands: Iterable[str]) -> None:
    """Run commands; what is wrong with one is one line, and the next is run."""
    for each in commands:
        if console.done:
            return
        try:
            for line in console.run(each):
                say(line)
        except (RefengineError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            sys.stdout.flush()
            fail(error)


def _ready(console: Console) -> None:
    """History and completion, where Python has readline."""
    with suppress(ImportError):
        import readline

        found: list[str] = []

        def complete(word: str, state: int) -> str | None:
            if state == 0:
                found[:] = console.complete(readline.get_line_buffer()[: readline.get_endidx()])
            return found[state] if state < len(found) else None

        readline.set_completer_delims(" ")
        readline.set_completer(complete)
        readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 100


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"
