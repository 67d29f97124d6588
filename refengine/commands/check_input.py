"""Tell how what a device was fed was prepared, by the sample that it was made from.

Which of the ways that people go wrong makes this input of this sample, how certain that is, and the lines of C that do
it right for this model's scale and zero point.

  refengine check-input model.tflite --fed input.npy --sample picture.png
  refengine check-input model.tflite --fed x.npz --sample frames.npy --index 5
"""

from __future__ import annotations

import argparse

from ..cexport import input_lines
from ..errors import InputError
from ..judge import Fed, Sample, judged, read_fed, read_samples
from ..plan import Plan, make_plan
from ..tensors.images import pixel_ranges
from ..text import counted
from ._front import (
    add_digit,
    add_json,
    add_memory,
    add_model,
    add_range,
    natural,
    print_json,
    print_ranges,
    say,
    type_of,
)

LISTED = 3
"""How many explanations to list that are worth less than the best."""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument(
        "--fed", metavar="FILE", nargs="+", required=True, help="the input's buffer: .npy, .raw, .bin, or a dump"
    )
    parser.add_argument(
        "--sample", metavar="FILE", nargs="+", required=True, help="what it was made from: a picture, .npy, .npz, .raw"
    )
    parser.add_argument(
        "--index",
        metavar="I",
        type=natural,
        help="which sample, where there are several (from 0); those before it are what a stale buffer may hold",
    )
    parser.add_argument("--previous", metavar="FILE", nargs="+", help="the sample before: what a stale buffer may hold")
    add_digit(parser)
    add_range(parser)
    add_memory(parser)
    add_json(parser)


def command(args: argparse.Namespace) -> int:
    plan = make_plan(args.model, memory=args.memory)
    samples, index = _samples(plan, args.sample, args), args.index or 0
    if index >= len(samples) or (args.index is None and len(samples) > 1):
        held = f"{' '.join(args.sample)}: {counted(len(samples), 'sample')}"
        raise InputError(f"{held}; choose one by --index, counted from 0")
    before = (_samples(plan, args.previous, args) if args.previous else samples[:index])[-1:]
    given = read_fed(plan, args.fed)
    verdicts = dict(zip(given, judged(plan, given, samples[index], *before), strict=True))
    lines = {i: input_lines(plan, i, args.range) for i in verdicts}
    wrong = not all(fed.right for fed in verdicts.values())
    if args.json:
        told = [fed.as_dict() | {"c": lines[i]} for i, fed in verdicts.items()]
        print_json({"model": args.model, "sha256": plan.model.sha256, "right": not wrong, "inputs": told})
        return int(wrong)
    print_ranges(pixel_ranges(plan, args.sample, args.range))
    for i, fed in verdicts.items():
        _show(args, fed, lines[i])
    return int(wrong)


def _samples(plan: Plan, paths: list[str], args: argparse.Namespace) -> list[tuple[Sample, ...]]:
    return read_samples(plan, paths, digit=args.digit, real_range=args.range)


def _show(args: argparse.Namespace, fed: Fed, lines: str | None) -> None:
    say(f"{args.model}, {type_of(fed.sample.tensor)} '{fed.sample.tensor.name}': {fed.verdict}")
    if fed.difference is not None:
        first = fed.difference
        say(f"  first at {list(first.first)}, where it has {first.theirs:g}, and the sample makes {first.mine:g}")
        others = [each for each in fed.explanations if each not in fed.fitting]
        say(*(f"  {'less likely' if each.complete else 'not all'}: {each}" for each in others[:LISTED]))
        if lines:
            say("", "what does it right:", *lines.splitlines())
