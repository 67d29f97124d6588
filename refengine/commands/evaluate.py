"""Measure a classifier's accuracy on MNIST."""

from __future__ import annotations

import argparse
from functools import partial

from rich.table import Table

from ..accuracy import Accuracy, Comparison, compare, evaluate
from ..kernel import PRESETS
from ..parallel import workers
from ..plan import make_plan
from ..tensors.datasets import PREFIXES, bundled_digits, load_mnist
from ..tensors.inputs import pixel_range
from ..text import printable
from ._front import (
    add_dialects,
    add_json,
    add_memory,
    add_model,
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
    add_dialects(parser)
    add_json(parser)
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST's IDX files (default: 100 bundled digits)")
    parser.add_argument("--split", choices=PREFIXES, default="test", help="which of them (default: %(default)s)")
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N pictures")
    add_range(parser)
    add_workers(parser)


def command(args: argparse.Namespace) -> int:
    plan, *others = (
        make_plan(find_model(args.model), numerics=PRESETS[name], memory=args.memory) for name in args.numerics
    )
    images, labels = load_mnist(args.data, args.split) if args.data else bundled_digits()
    images, labels = images[: args.limit], labels[: args.limit]
    classify = partial(compare, plan, others[0]) if others else partial(evaluate, plan)
    found: Accuracy | Comparison | None = None
    status = 0
    try:
        with workers(args.jobs, args.scheduler) as executor, progress_bar() as progress:
            task = progress.add_task(printable(args.model), total=len(images))
            for found in classify(images, labels, real_range=args.range, executor=executor):
                progress.update(task, completed=found.count)
    except KeyboardInterrupt as signal:
        status = ended(signal)
    if found is None:
        return status
    accuracy = found.accuracies[0] if isinstance(found, Comparison) else found
    data = args.data or "the bundled digits (100; more with --data)"
    pictures = pixel_range(plan, 0, args.range)
    if args.json:
        done = {"data": data, "pictures": [vars(pictures)], "interrupted": bool(status)}
        compared = {"other": {"numerics": args.numerics[1], **found.told()}} if isinstance(found, Comparison) else {}
        print_json(heading(args, plan) | done | accuracy.as_dict() | compared)
        return status
    say(f"{args.model} on {data}" + (f", interrupted after {accuracy.count} of {len(images)}" if status else ""))
    say(
        f"accuracy {accuracy.accuracy:.2%} ({accuracy.correct} of {accuracy.count}), "
        f"{accuracy.images_per_second:,.0f} images/s"
    )
    print_table(_confusion_table(accuracy))
    print_ranges([pictures])
    if isinstance(found, Comparison):
        say(f"{found.differing} of {found.count} answers differ, accuracy {found.accuracies[1].accuracy:.2%} there")
    say(f"numerics: {plan.numerics}", *(f"against: {other.numerics}" for other in others))
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
