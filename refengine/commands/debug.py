"""Step through inferences, forwards and backwards, as gdb steps through a program.

At the prompt, help lists the commands. Without a terminal, or with --command or --script, commands are read from there
and nothing is asked. A wrong command is one line on stderr, and the session goes on. ~/.refenginerc holds commands that
every prompt begins with.

exit status: 0 done, 1 a command without a terminal was wrong, or its compare found a difference, 2 it could not begin
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from ..debugger import Console, Session
from ..debugger.conversation import colour, converse, read, width
from ..errors import InputError
from ..kernel import PRESETS
from ..plan import Plan, make_plan
from ..reading.cut_off import Intake
from ._front import (
    add_given,
    add_memory,
    add_model,
    add_numerics,
    add_one_input,
    chosen_inference,
    ears_of,
    every_stream,
    given,
    print_heard,
    warn,
)


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
    console = Console(_session(plan, args), width(), colour())
    if args.script or args.commands:
        return int(not read(console, [*script, *(args.commands or [])]))
    if sys.stdin.isatty():
        converse(console)
        return 0
    with suppress(AttributeError):  # when something else was put in its place
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    return int(not read(console, sys.stdin))


def _session(plan: Plan, args: argparse.Namespace) -> Session:
    """One inference; or, of a model that remembers, all that the input holds, at the one that --index chooses."""
    ears, intake = ears_of(plan, args), Intake(plan)
    if args.stream or plan.initial:
        streams = every_stream(plan, args.input, args, ears, intake)
        if plan.initial and len(streams) > 1:
            raise InputError(
                f"{' '.join(args.input)}: the model remembers, so each file is a stream of its own, and one session "
                "walks through one: give one file"
            )
        first, *then = (each for stream in streams for each in stream)
        session = Session(plan, *first, then=then, given=given(plan, args))
        session.enter(args.index or 0)
    else:
        session = Session(plan, *chosen_inference(plan, args, ears, intake)[0], given=given(plan, args))
    print_heard(ears)
    warn(*intake.cut_off)
    return session
