"""Tell where one number came from: an output element's way through the arithmetic."""

from __future__ import annotations

import argparse

from ..errors import InputError
from ..execute import execute
from ..explanation import as_html, explain, in_dialect, side_by_side, step_at, text
from ..explanation.primer import primer
from ..files import write
from ..kernel import PRESETS
from ..plan import make_plan
from ._front import add_json, add_memory, add_one_input, find_model, one_inference, print_json, say


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a .tflite file or the name of a bundled network")
    add_one_input(parser, required=False)
    parser.add_argument("--op", help="the operator: its index, its output's name, or its name if that is unique")
    parser.add_argument("--at", metavar="I,J,…", type=_indices, help="the element of its output")
    parser.add_argument(
        "--numerics", metavar="PRESET", choices=PRESETS, help="tell it in this dialect too, side by side"
    )
    parser.add_argument("--full", action="store_true", help="show every term of long sums")
    parser.add_argument("--html", metavar="FILE", help="write a self-contained page instead")
    parser.add_argument("--primer", action="store_true", help="teach quantisation, multipliers and rounding instead")
    add_memory(parser)
    add_json(parser)


def command(args: argparse.Namespace) -> int:
    if args.primer:
        say(*primer())
        return 0
    if args.model is None or args.input is None or args.op is None or args.at is None:
        raise InputError("explain needs MODEL, --input, --op and --at (or --primer)")
    plan = make_plan(find_model(args.model), memory=args.memory)
    step = step_at(plan, args.op)
    record = next(record for record in execute(plan, *one_inference(plan, args)) if record.step is step)
    told = explain(plan, record, args.at)
    other = explain(*in_dialect(plan, record, PRESETS[args.numerics]), args.at) if args.numerics else None
    if args.html:
        write(args.html, as_html([told, other] if other else [told], args.full))
    elif args.json:
        return print_json(told.as_dict() | ({"beside": other.as_dict()} if other else {}))
    else:
        say(*(side_by_side(told, other, args.full) if other else text(told, args.full)))
    return 0


def _indices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of integers such as 0,3,4,7") from None
