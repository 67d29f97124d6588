"""`run --against`: two files of one network side by side, as text and JSON."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from math import isinf

from rich.table import Table

from ..accuracy import is_classifier, predictions
from ..errors import InputError
from ..kernel import PRESETS
from ..plan import Plan, make_plan
from ..reading.beside import Beside, Layer, beside
from ..reading.cut_off import Intake
from ..tensors.inputs import PixelRange
from ._front import heading, print_json, print_ranges, say, warn
from ._seen import Case
from ._tables import print_table, table_of


def against(
    args: argparse.Namespace, plan: Plan, cases: Iterable[Case], ranges: Iterable[PixelRange], intake: Intake
) -> int:
    """Run both files on what the first one is given, and tell how far their layers are apart."""
    other = make_plan(args.against, numerics=PRESETS[args.numerics[0]], memory=args.memory)
    answers, found = list[tuple[int, int]](), None
    for found in beside(plan, other, (inputs for _, inputs in cases)):
        answers += _answers(plan, other, found)
    if found is None:
        raise InputError("there is no inference to compare the two files on")
    differing = sum(mine != theirs for mine, theirs in answers) if answers else None
    if args.json:
        layers = [layer.as_dict() for layer in found.layers]
        told = {"other": args.against, "other_sha256": other.model.sha256, "layers": layers, "classes": answers}
        told |= {"cut_off": [each.as_dict() for each in intake.cut_off]}
        return print_json(heading(args, plan) | told)
    say(f"{args.model} against {args.against}, on the same inputs:")
    print_table(_table(found))
    say(_parting(found))
    if differing is not None:
        one = f"class {answers[0][0]} in both" if not differing else f"class {answers[0][0]} becomes {answers[0][1]}"
        say(one if len(answers) == 1 else f"{differing} of {len(answers)} answers differ")
    print_ranges(ranges)
    say(f"numerics: {plan.numerics}")
    warn(*intake.cut_off)
    return 0


def _answers(plan: Plan, other: Plan, found: Beside) -> Iterable[tuple[int, int]]:
    """The classes that two classifiers answer."""
    if not (is_classifier(plan) and is_classifier(other)):
        return []
    both = ([each.label for each in predictions(p, *out)] for p, out in zip((plan, other), found.outputs, strict=True))
    return zip(*both, strict=True)


def _table(found: Beside) -> Table:
    table = table_of("#", "operator", "tensor", "there", "differ", "RMSE", "largest", "SQNR\ndB")
    for column in table.columns[2:]:
        column.justify = "right"
    for layer in found.layers:
        table.add_row(layer.step.number, layer.step.name, str(layer.tensor.index), *_cells(layer))
    return table


def _cells(layer: Layer) -> tuple[str, ...]:
    if layer.other is None or not layer.error.count:
        return ("", "", "", "", "")
    differ = "" if layer.differing is None else f"{layer.differing:,} of {layer.error.count:,}"
    sqnr = layer.error.sqnr
    figures = (f"{layer.error.rmse:.3g}", f"{layer.error.largest:.3g}", "" if isinf(sqnr) else f"{sqnr:.1f}")
    return (str(layer.other.index), differ, *figures)


def _parting(found: Beside) -> str:
    """Where the two part, and how many layers that is said of."""
    compared = [layer for layer in found.layers if layer.other is not None and layer.error.count]
    idle = sum(bool(layer.calls) and layer.other is not None and not layer.error.count for layer in found.layers)
    alone = len(found.layers) - len(compared) - idle
    without = f"; {alone} have no counterpart there, by name or order" if alone else ""
    without += f"; of subgraphs that not both ran: {idle}" if idle else ""
    if found.first is None:
        return f"Tensors compared: {len(compared)}, all the same{without}."
    apart = sum(not layer.is_equal for layer in compared)
    return f"They part at {found.first.step.where}; tensors that differ: {apart} of {len(compared)}{without}."
