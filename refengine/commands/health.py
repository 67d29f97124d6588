"""Find the layers where integers lose what the network knows.

Runs the model over data and measures, for each layer: the share of values clamped, the codes used, the bits of the
accumulator, silent channels, and the error against floats: its own, which enters there, and the total one, which is
also what earlier layers pass on. Suspicious layers are told in words, first those whose error does most to the
outputs. Errors are in codes: rounding alone gives an RMSE of 1/√12 = 0.29.

PATH is pictures, .npy, .npz, .raw or .wav files, or folders of them; or data as evaluate takes them, whose classes do
not matter here: a folder for each class, a .csv, an .npz with x and y, MNIST's IDX files, or the word digits.
"""

from __future__ import annotations

import argparse

from rich.table import Table

from ..accuracy import CHUNK
from ..errors import InputError
from ..examination import Health, health
from ..examination.plots import prepare_folder, save_plots
from ..examination.text import decided, table, told
from ..kernel import PRESETS
from ..plan import make_plan
from ..reading.float_reading import is_quantized
from ..text import counted, printable
from ._data import add_data, or_digits, read_data, require_files, split_of, warn_of_files
from ._front import (
    add_digit,
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
    print_heard,
    print_json,
    print_ranges,
    say,
)
from ._tables import print_table, progress_bar, table_of


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_numerics(parser)
    add_partial(parser)
    add_json(parser)
    add_data(parser, "what to run it on, see above (default: the bundled digits, for networks that take such pictures)")
    parser.add_argument("--float", metavar="MODEL", help="the float32 model to compare with (default: the same graph)")
    parser.add_argument("--plots", metavar="DIR", help="write activations.png and errors.png there")
    add_digit(parser)
    add_range(parser)
    add_sound(parser)


def command(args: argparse.Namespace) -> int:
    memory, partial = args.memory, args.partial
    plan = make_plan(args.model, numerics=PRESETS[args.numerics], memory=memory, partial=partial)
    float_plan = make_plan(args.float, memory=memory, partial=partial) if args.float else None
    ears = ears_of(plan, args)
    paths = or_digits(plan, args.data)
    require_files(args, plan, *paths)
    warn_of_files(args, plan, *paths)
    data, total, cases, ranges = read_data(
        plan, paths, split_of(args, paths), args.limit, args.range, CHUNK, digit=args.digit, real=True, hear=ears.hear
    )
    if args.plots and not any(map(is_quantized, plan.graph.tensors)):
        raise InputError("--plots draws the codes of quantised layers, and the model has none")
    if args.plots:
        prepare_folder(args.plots)
    measured, status = None, 0
    try:
        with progress_bar() as progress:
            task = progress.add_task(printable(args.model), total=total)
            for measured in health(plan, cases, float_plan):
                progress.update(task, completed=measured.inferences)
    except KeyboardInterrupt as signal:
        if measured is None:
            raise
        status = ended(signal)
    assert measured is not None, "data that hold nothing are refused"
    against = None if measured.floats else args.float or "the float reading of the same graph"
    plots = [str(path) for path in save_plots(measured.layers, args.plots)] if args.plots else []
    if args.json:
        done = {"data": data, "interrupted": bool(status), "float": against, "plots": plots}
        pictures = {"pictures": [vars(each) for each in ranges], "sounds": heard_json(ears)}
        print_json(heading(args, plan) | done | pictures | measured.as_dict())
        return status
    after = f", interrupted after {measured.inferences} of {total}" if status else ""
    found, layers = measured.compared
    partly = f" ({found} of {layers} layers found there, by names or order)" if found < layers else ""
    beside = f", against {against}{partly}" if against else ", in floats"
    say(f"{args.model} on {data}{after}: {counted(measured.inferences, 'inference')}{beside}")
    print_table(_table(measured))
    say(*decided(measured))
    say(*told(measured))
    if measured.unjudged:
        numbers = ", ".join(step.number for step in measured.unjudged)
        say(f"Not judged, for a gap stands before it: operators {numbers}.", *(f"  {gap.gap}" for gap in plan.gaps))
    print_ranges(ranges)
    print_heard(ears)
    say(*(f"wrote {path}" for path in plots), f"numerics: {plan.numerics}")
    return status


def _table(measured: Health) -> Table:
    headings, rows = table(measured)
    drawn = table_of(*headings)
    for column in drawn.columns[2 if measured.floats else 3 :]:
        column.justify = "left" if column.header == "error" else "right"
    for row in rows:
        drawn.add_row(*row)
    return drawn
