"""Run a model on pictures or arrays."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..accuracy import is_classifier, predictions
from ..dialects import parting
from ..errors import InferenceError, InputError
from ..execute import run
from ..identity import identity
from ..kernel import PRESETS
from ..model import Array
from ..plan import Plan, make_plan
from ..session import Session
from ..tensors.images import pixel_ranges, read_inputs
from ..tensors.inputs import dequantize_output
from ..tensors.stats import is_quantized
from ._front import (
    add_dialects,
    add_json,
    add_memory,
    add_model,
    add_range,
    find_model,
    frames,
    heading,
    numbers,
    print_json,
    print_ranges,
    say,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_dialects(parser)
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
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--stream",
        action="store_true",
        help="the inferences of a file follow one another, and what the model remembers lives on; each file is a "
        "stream of its own",
    )
    several.add_argument(
        "--independent", action="store_true", help="every inference is as the first, whatever the model remembers"
    )
    add_range(parser)


STATES = {
    "none": (),
    "kept": ("state: kept from one inference of a file to the next",),
    "fresh": ("state: every inference is as the first",),
}
"""What the text says of what lives on."""

ENDED = 15
"""What TFLM's Invoke returns where an operator ends the inference on purpose (kTfLiteAbort)."""

Case = tuple[str, tuple[Array, ...]]
Ran = tuple[str, "tuple[Array, ...] | str"]
"""A name with the outputs, or why there are none."""


def command(args: argparse.Namespace) -> int:
    plan, *others = (
        make_plan(find_model(args.model), numerics=PRESETS[name], memory=args.memory) for name in args.numerics
    )
    if others and args.stream:
        raise InputError("two dialects are compared in inferences of their own: say --independent, or give one dialect")
    cases = read_inputs(plan, args.input, digit=args.digit, real_range=args.range)
    if plan.initial and not (args.stream or args.independent):
        cases = iter([_the_only(plan, list(cases))])
    if others:
        return _compared(args, plan, others[0], cases)
    ran = _streamed(plan, cases) if args.stream else _independent(plan, cases)
    results = [result for name, outputs in ran for result in _results(plan, name, outputs)]
    ranges = pixel_ranges(plan, args.input, args.range)
    state = "none" if not plan.initial else "kept" if args.stream else "fresh"
    if args.json:
        told = {"pictures": [vars(each) for each in ranges], "state": state, "results": results}
        return print_json(heading(args, plan) | told)
    for result in results:
        _print_result(result)
    print_ranges(ranges)
    say(*STATES[state])
    say(f"numerics: {plan.numerics}")
    return 0


def _compared(args: argparse.Namespace, plan: Plan, other: Plan, cases: Iterable[Case]) -> int:
    """Tell where two dialects part on each inference."""
    partings = [
        (name if len(inferences) == 1 else f"{name}[{t}]", parting(plan, other, *inputs))
        for name, arrays in cases
        for inferences in [frames(plan, arrays)]
        for t, inputs in enumerate(inferences)
    ]
    if args.json:
        results = [{"input": name, **found.as_dict()} for name, found in partings]
        return print_json(heading(args, plan) | {"other": args.numerics[1], "results": results})
    for name, found in partings:
        say(f"{name}: {found}")
    classes = [found.classes for _, found in partings if found.classes]
    if len(classes) > 1:
        say(f"{sum(mine != theirs for mine, theirs in classes)} of {len(classes)} answers differ")
    print_ranges(pixel_ranges(plan, args.input, args.range))
    say(f"numerics: {plan.numerics}", f"against: {other.numerics}")
    return 0


def _the_only(plan: Plan, cases: Sequence[Case]) -> Case:
    """The one inference that is given to a model that remembers; `InputError` if there are several."""
    count = sum(len(frames(plan, arrays)) for _, arrays in cases)
    if count != 1:
        raise InputError(
            f"the model remembers something from one inference to the next, and there are {count}: say --stream (one "
            "after the other, a stream for each file) or --independent (each as the first)"
        )
    return cases[0]


def _streamed(plan: Plan, cases: Iterable[Case]) -> Iterator[Ran]:
    """The frames of each file one after the other, beginning anew with each file.

    An operator that ends an inference on purpose, since it waits for more frames, ends no stream.
    """
    for name, arrays in cases:
        session, inferences = Session(plan), frames(plan, arrays)
        for t, inputs in enumerate(inferences):
            place = name if len(inferences) == 1 else f"{name}[{t}]"
            try:
                yield place, session.run(*inputs)
            except InferenceError as error:
                if error.status != ENDED:
                    raise
                yield place, str(error)


def _independent(plan: Plan, cases: Iterable[Case]) -> Iterator[Ran]:
    """Every inference as if it were the first, a batch at once."""
    for name, arrays in cases:
        if all(x.ndim == len(t.shape) for x, t in zip(arrays, plan.inputs, strict=True)):
            yield name, run(plan, *arrays)
        else:
            yield from ((f"{name}[{t}]", run(plan, *inputs)) for t, inputs in enumerate(frames(plan, arrays)))


def _results(plan: Plan, name: str, outputs: tuple[Array, ...] | str) -> Iterator[dict[str, Any]]:
    """What `run` gave, in plain Python: one result per answer of a classifier, else one with all outputs."""
    if isinstance(outputs, str):
        yield {"input": name, "ended": outputs, "outputs": []}
        return
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
    say(result["input"] + answer + (f": {result['ended']}" if "ended" in result else ""))
    for output in result["outputs"]:
        say(f"  {output['dtype']:8} {numbers(output['values'])}")
        if output["real"] is not None:
            say(f"  {'real':8} {numbers(output['real'])}")
