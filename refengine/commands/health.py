"""Find the layers where integers lose what the network knows.

Runs the model over data and measures, for each layer: the share of values clamped, the codes used, the bits of the
accumulator, silent channels, and the error against floats: its own, which enters there, and the total one, which is
also what earlier layers pass on. Suspicious layers are told in words, first those whose error does most to the
outputs. Errors are in codes: rounding alone gives an RMSE of 1/√12 = 0.29.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from ..accuracy import CHUNK
from ..examination import Health, Layer, health
from ..examination.plots import prepare_folder, save_plots
from ..kernel import PRESETS
from ..plan import make_plan
from ..tensors.datasets import PREFIXES
from ..text import printable
from ._front import (
    add_json,
    add_memory,
    add_model,
    add_numerics,
    add_partial,
    add_range,
    add_sound,
    ears_of,
    ended,
    heading,
    heard_json,
    positive,
    print_heard,
    print_json,
    print_ranges,
    print_table,
    progress_bar,
    read_data,
    say,
    table_of,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_numerics(parser)
    add_partial(parser)
    add_json(parser)
    parser.add_argument(
        "--data",
        metavar="PATH",
        nargs="+",
        help="a folder of MNIST's IDX files, or pictures, arrays, sounds or folders of them (default: bundled digits)",
    )
    parser.add_argument("--split", choices=PREFIXES, default="test", help="which of MNIST's (default: %(default)s)")
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N pictures or files")
    parser.add_argument("--float", metavar="MODEL", help="the float32 model to compare with (default: the same graph)")
    parser.add_argument("--plots", metavar="DIR", help="write activations.png and errors.png there")
    add_range(parser)
    add_sound(parser)


def command(args: argparse.Namespace) -> int:
    memory, partial = args.memory, args.partial
    plan = make_plan(args.model, numerics=PRESETS[args.numerics], memory=memory, partial=partial)
    float_plan = make_plan(args.float, memory=memory, partial=partial) if args.float else None
    ears = ears_of(plan, args)
    data, total, cases, ranges = read_data(
        plan, args.data, args.split, args.limit, args.range, CHUNK, real=True, hear=ears.hear
    )
    if args.plots:
        prepare_folder(args.plots)
    measured, status = None, 0
    try:
        with progress_bar() as progress:
            task = progress.add_task(printable(args.model), total=total)
            for measured in health(plan, cases, float_plan):
                progress.update(task, completed=measured.inferences)
    except KeyboardInterrupt as signal:
        status = ended(signal)
    if measured is None:
        return status
    against = args.float or "the float reading of the same graph"
    plots = [str(path) for path in save_plots(measured.layers, args.plots)] if args.plots else []
    if args.json:
        done = {"data": data, "interrupted": bool(status), "float": against, "plots": plots}
        pictures = {"pictures": [vars(each) for each in ranges], "sounds": heard_json(ears)}
        print_json(heading(args, plan) | done | pictures | measured.as_dict())
        return status
    after = f", interrupted after {measured.inferences} of {total}" if status else ""
    found, layers = measured.compared
    partly = f" ({found} of {layers} layers found there, by names or order)" if found < layers else ""
    say(f"{args.model} on {data}{after}: {measured.inferences} inferences, against {against}{partly}")
    print_table(_table(measured))
    _print_findings(measured)
    if measured.unjudged:
        numbers = ", ".join(str(step.index) for step in measured.unjudged)
        say(f"Not judged, for a gap stands before it: operators {numbers}.", *(f"  {gap.gap}" for gap in plan.gaps))
    print_ranges(ranges)
    print_heard(ears)
    say(*(f"wrote {path}" for path in plots), f"numerics: {plan.numerics}")
    return status


def _table(measured: Health) -> Table:
    table = table_of(
        "#", "layer", "codes", "clamped\nbelow", "\nabove", "cut off\nby type", "sum bits\n(bound)", "silent",
        "own\nRMSE", "total\nRMSE", "SQNR\ndB", "cosine", "max\nerror", "error",
    )  # fmt: skip
    for column in table.columns[3:-1]:
        column.justify = "right"
    for layer in measured.layers:
        table.add_row(*_row(layer.as_dict(), layer))
    return table


def _row(told: dict[str, Any], layer: Layer) -> Iterator[str]:
    clamped, acc, own, total = told["clamped"], told["accumulator"], told["own_error"], told["total_error"]
    activation = "NONE" if layer.step is None else layer.step.op.options.get("fused_activation_function", "NONE")
    yield "" if layer.step is None else str(layer.step.index)
    name = "input" if layer.step is None else told["operator"]["name"]
    yield name + (f" + {activation}" if activation != "NONE" else "")
    yield f"{told['codes'][0]} … {told['codes'][1]}"
    yield f"{layer.below:.1%}" if clamped else ""
    yield f"{layer.above:.1%}" if clamped else ""
    yield f"{layer.lost_to_type:.2%}" if clamped else ""
    yield f"{acc['measured_bits']} ({acc['bound_bits']}) of {acc['width']}" if acc else ""
    yield (
        f"{len(layer.unchanging)} of {len(told['channels']['low'])}" if layer.step and not layer.is_inherited else ""
    )
    yield _figure(own, "rmse_per_scale", ".2f")
    yield _figure(total, "rmse_per_scale", ".2f")
    yield _figure(total, "sqnr_db", ".1f")
    yield _figure(total, "cosine", ".5f")
    yield _figure(total, "max_per_scale", ".1f")
    yield "" if layer.role == "none" else layer.role


def _figure(errors: dict[str, float | None] | None, name: str, form: str) -> str:
    """Nothing where there is nothing to compare with, or the figure is not finite."""
    value = errors and errors[name]
    return "" if value is None else format(value, form)


def _print_findings(measured: Health) -> None:
    findings = measured.findings
    plural = "s, the worst first" if len(findings) > 1 else ""
    say(f"{len(findings)} finding{plural}:" if findings else "Nothing suspicious.")
    if findings and (everything := findings[0].everything):
        say(f"(By all errors together, {everything}; measured on {everything.inferences} inferences.)")
    for number, finding in enumerate(findings, 1):
        lost = f", about {finding.bits_lost:.1f} bits lost" if finding.bits_lost else ""
        effect = f" By this alone, {finding.effect}." if finding.effect and finding.effect.rmse else ""
        say(f"{number}. {finding.layer}: {finding.kind}{lost}. {finding.text}{effect}")
