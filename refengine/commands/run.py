"""Run a model on pictures or arrays."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ..accuracy import is_classifier, predictions
from ..execute import run
from ..identity import identity
from ..kernel import PRESETS
from ..model import Array
from ..plan import Plan, make_plan
from ..tensors.images import pixel_ranges, read_inputs
from ..tensors.inputs import dequantize_output
from ..tensors.stats import is_quantized
from ._front import (
    add_json,
    add_memory,
    add_model,
    add_numerics,
    add_range,
    find_model,
    heading,
    numbers,
    print_json,
    print_ranges,
    say,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_numerics(parser)
    add_json(parser)
    parser.add_argument(
        "--input",
        metavar="FILE",
        nargs="+",
        required=True,
        help="pictures (PNG, JPEG, BMP, PGM, GIF …), .npy, .npz (inputs by name), .raw or .bin; several "
        "files: one inference each, or one input each where the model has several",
    )
    parser.add_argument(
        "--digit",
        action="store_true",
        help="pictures are drawn digits: crop, thicken, centre and scale them as MNIST's are",
    )
    add_range(parser)


def command(args: argparse.Namespace) -> int:
    plan = make_plan(find_model(args.model), numerics=PRESETS[args.numerics], memory=args.memory)
    cases = read_inputs(plan, args.input, digit=args.digit, real_range=args.range)
    results = [result for name, arrays in cases for result in _results(plan, name, run(plan, *arrays))]
    ranges = pixel_ranges(plan, args.input, args.range)
    if args.json:
        return print_json(heading(args, plan) | {"pictures": [vars(each) for each in ranges], "results": results})
    for result in results:
        _print_result(result)
    print_ranges(ranges)
    say(f"numerics: {plan.numerics}")
    return 0


def _results(plan: Plan, name: str, outputs: tuple[Array, ...]) -> Iterator[dict[str, Any]]:
    """What `run` gave, in plain Python: one result per answer of a classifier, else one with all outputs."""
    if not is_classifier(plan):
        yield {"input": name, "outputs": [_output(plan, i, output) for i, output in enumerate(outputs)]}
        return
    answers = predictions(plan, *outputs)
    for i, answer in enumerate(answers):
        yield {
            "input": name if len(answers) == 1 else f"{name}[{i}]",
            "class": answer.label,
            "confidence": answer.confidence,
            "outputs": [_output(plan, 0, answer.output)],
        }


def _output(plan: Plan, index: int, values: Array) -> dict[str, Any]:
    tensor = plan.outputs[index]
    real = dequantize_output(plan, values, index).tolist() if is_quantized(tensor) else None
    return {**identity(tensor), "dtype": tensor.dtype, "values": values.tolist(), "real": real}


def _print_result(result: dict[str, Any]) -> None:
    answer = f": class {result['class']}, confidence {result['confidence']:.4f}" if "class" in result else ""
    say(result["input"] + answer)
    for output in result["outputs"]:
        say(f"  {output['dtype']:8} {numbers(output['values'])}")
        if output["real"] is not None:
            say(f"  {'real':8} {numbers(output['real'])}")
