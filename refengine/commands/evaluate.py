"""Measure a classifier's accuracy on MNIST."""

from __future__ import annotations

import argparse

from rich.table import Table

from ..accuracy import Accuracy, evaluate
from ..kernel import PRESETS
from ..parallel import workers
from ..plan import make_plan
from ..tensors.datasets import PREFIXES, bundled_digits, load_mnist
from ..tensors.inputs import pixel_range
from ..text import printable
from ._front import (
    add_json,
    add_memory,
    add_model,
    add_numerics,
    add_range,
    add_workers,
    ended,
    find_model,
    heading,
    positive,
    print_json,
    print_ranges,
    print_table,
    progress_bar,
    say,
    table_of,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_numerics(parser)
    add_json(parser)
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST's IDX files (default: 100 bundled digits)")
    parser.add_argument("--split", choices=PREFIXES, default="test", help="which of them (default: %(default)s)")
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N pictures")
    add_range(parser)
    add_workers(parser)


def command(args: argparse.Namespace) -> int:
    plan = make_plan(find_model(args.model), numerics=PRESETS[args.numerics], memory=args.memory)
    images, labels = load_mnist(args.data, args.split) if args.data else bundled_digits()
    images, labels = images[: args.limit], labels[: args.limit]
    accuracy, status = None, 0
    try:
        with workers(args.jobs, args.scheduler) as executor, progress_bar() as progress:
            task = progress.add_task(printable(args.model), total=len(images))
            for accuracy in evaluate(plan, images, labels, real_range=args.range, executor=executor):
                progress.update(task, completed=accuracy.count)
    except KeyboardInterrupt as signal:
        status = ended(signal)
    if accuracy is None:
        return status
    data = args.data or "the bundled digits (100; more with --data)"
    pictures = pixel_range(plan, 0, args.range)
    if args.json:
        done = {"data": data, "pictures": [vars(pictures)], "interrupted": bool(status)}
        print_json(heading(args, plan) | done | accuracy.as_dict())
        return status
    say(f"{args.model} on {data}" + (f", interrupted after {accuracy.count} of {len(images)}" if status else ""))
    say(
        f"accuracy {accuracy.accuracy:.2%} ({accuracy.correct} of {accuracy.count}), "
        f"{accuracy.images_per_second:,.0f} images/s"
    )
    print_table(_confusion_table(accuracy))
    print_ranges([pictures])
    say(f"numerics: {plan.numerics}")
    return status


def _confusion_table(accuracy: Accuracy) -> Table:
    """A row per true class, a column per answer."""
    table = table_of("is \\ seen as")
    rows = accuracy.confusion.tolist()
    for label, _ in enumerate(rows):
        table.add_column(str(label), justify="right")
    for label, row in enumerate(rows):
        table.add_row(str(label), *(str(count) if count else "·" for count in row))
    return table
