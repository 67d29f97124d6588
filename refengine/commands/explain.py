"""Tell where one number came from: an output element's way through the arithmetic."""

from __future__ import annotations

import argparse
from math import prod

from ..errors import InputError
from ..execute import Record, execute
from ..explanation import as_html, explain, in_dialect, side_by_side, step_at, text
from ..explanation.primer import primer
from ..files import write
from ..kernel import PRESETS
from ..plan import Plan, Step, make_plan
from ..reading.cut_off import Intake
from ..tasks.audio import Ears
from ._front import (
    add_given,
    add_json,
    add_memory,
    add_one_input,
    chosen_inference,
    ears_of,
    given,
    heard_json,
    leave_out,
    natural,
    print_heard,
    print_json,
    say,
    warn,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a .tflite file or the name of a bundled network")
    add_one_input(parser, required=False)
    parser.add_argument(
        "--op", help="the operator: its index (1:0 in subgraph 1), its output's name, or its name if that is unique"
    )
    parser.add_argument(
        "--output",
        metavar="N",
        type=natural,
        default=0,
        help="which of several outputs; the variables that it updates count on behind them (default: %(default)s)",
    )
    parser.add_argument(
        "--time", metavar="N", type=natural, default=0, help="in a loop: which round, from 0 (default: %(default)s)"
    )
    parser.add_argument(
        "--at", metavar="I,J,…", type=_indices, help="the element of its output (default: the only one)"
    )
    parser.add_argument(
        "--numerics", metavar="PRESET", choices=PRESETS, help="tell it in this dialect too, side by side"
    )
    parser.add_argument("--full", action="store_true", help="show every term of long sums")
    parser.add_argument("--html", metavar="FILE", help="write a self-contained page instead")
    parser.add_argument("--primer", action="store_true", help="teach quantisation, multipliers and rounding instead")
    add_memory(parser)
    add_given(parser)
    add_json(parser)


BESIDE_PRIMER = ("model", "input", "index", "op", "at", "numerics", "full", "html", "json", "partial", "given")
"""What does nothing beside --primer."""

FULL = "--full shows all"


def command(args: argparse.Namespace) -> int:
    if args.primer:
        leave_out(args, "--primer teaches without a model", *BESIDE_PRIMER)
        say(*(line for part in primer() for line in part.split("\n")))
        return 0
    if args.json:
        leave_out(args, "--json holds every line", "html", "full")
    if args.model is None or args.input is None or args.op is None:
        raise InputError("explain needs MODEL, --input and --op (or --primer)")
    plan = make_plan(args.model, memory=args.memory, partial=args.partial)
    ears, intake = ears_of(plan, args), Intake(plan)
    record = _record(plan, step_at(plan, args.op), args, ears, intake)
    at = _element(record, args)
    told = explain(plan, record, at, args.output)
    other = explain(*in_dialect(plan, record, PRESETS[args.numerics]), at, args.output) if args.numerics else None
    if args.html:
        write(args.html, as_html([told, other] if other else [told], args.full, FULL))
        say(f"wrote {args.html}")
        print_heard(ears)
    elif args.json:
        sounds = {"sounds": heard_json(ears)} if ears.are_used else {}
        cut_off = {"cut_off": [each.as_dict() for each in intake.cut_off]}
        return print_json(told.as_dict() | ({"beside": other.as_dict()} if other else {}) | sounds | cut_off)
    else:
        say(*(side_by_side(told, other, args.full, FULL) if other else text(told, args.full, FULL)))
        print_heard(ears)
    warn(*intake.cut_off)
    return 0


def _element(record: Record, args: argparse.Namespace) -> tuple[int, ...]:
    """--at, or the element of an output that has one only; `explain` complains if there is no such output."""
    writes, output = record.step.writes, args.output
    shape = writes[output].shape if output < len(writes) else ()
    if args.at is not None:
        if output < len(writes) and not shape:
            raise InputError(f"output '{writes[output].name}' is a single number: leave out --at")
        return tuple(args.at)
    if prod(shape) != 1:
        raise InputError(
            f"output '{writes[output].name}' has shape {shape}: which element? --at {_first(shape)} is the first"
        )
    return (0,) * len(shape)


def _first(shape: tuple[int, ...]) -> str:
    return ",".join("0" for _ in shape)


def _record(plan: Plan, step: Step, args: argparse.Namespace, ears: Ears, intake: Intake) -> Record:
    """What the step does at its --time-th time in the inference that is chosen."""
    inputs, state = chosen_inference(plan, args, ears, intake)
    run = execute(plan, *inputs, state=state, known=given(plan, args))
    records = [record for record in run if record.step is step]
    if args.time >= len(records):
        times = {0: "not at all", 1: "once"}.get(len(records), f"{len(records)} times")
        raise InputError(f"{step} of subgraph {step.subgraph} runs {times} in this inference; --time counts from 0")
    chosen: Record = records[args.time]
    return chosen


def _indices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of integers such as 0,3,4,7") from None
