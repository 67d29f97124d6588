"""Run a model on pictures, sounds, arrays or random numbers.

What the outputs mean is recognised where the graph tells, or said by --task:
classes, boxes (detection) or a map of classes (segmentation). With -o, boxes
and masks are drawn on the picture, or inputs and outputs kept in an .npz.

  refengine run detector.tflite --input street.jpg --labels names.txt -o out.png
  refengine run model.tflite --random 7 --trace -o tensors.npz
  refengine run float.tflite --against int8.tflite --input street.jpg
  refengine run wakeword.tflite --input hey.wav --stream \\
    --front-end micro_wake_word
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..accuracy import Prediction, predictions, tells_probabilities
from ..dialects import parting
from ..errors import InferenceError, InputError, located
from ..execute import computable, frames, infer, run
from ..identity import identity
from ..kernel import PRESETS
from ..model import Array
from ..plan import Plan, make_plan
from ..reading.cut_off import Intake
from ..session import Session
from ..tasks.recognition import UNTOLD, Task, task_of
from ..tasks.segmentation import class_maps, shares
from ..tensors.dumps import stacked, write_dump
from ..tensors.images import ARRAYS, pixel_ranges
from ..tensors.inputs import PixelRange, dequantize_output
from ..tensors.stats import is_quantized
from ._front import (
    OF_SOUNDS,
    add_dialects,
    add_digit,
    add_given,
    add_json,
    add_memory,
    add_model,
    add_random,
    add_range,
    add_sound,
    add_task,
    ears_of,
    finite,
    given,
    heading,
    heard_json,
    leave_out,
    named,
    numbers,
    positive,
    print_heard,
    print_json,
    print_ranges,
    read_names,
    say,
    sureness,
    warn,
    warn_of_paper,
)
from ._seen import Case, fed, print_trace, shown, singly, trace_json, watched


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_dialects(parser)
    add_given(parser)
    add_json(parser)
    fed = parser.add_mutually_exclusive_group(required=True)
    fed.add_argument(
        "--input",
        metavar="FILE",
        nargs="+",
        help="pictures (PNG, JPEG, BMP, PGM, GIF …), .npy, .npz (inputs by name), .raw, .bin or .wav; several "
        "files: one inference each, or one input each where the model has several",
    )
    add_random(
        fed,
        "an inference on random numbers: every code, or real value between black and white, is as likely as any other "
        "(default: 0)",
    )
    add_digit(parser)
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
    add_task(parser)
    parser.add_argument(
        "--score", metavar="S", type=finite, default=0.5, help="of boxes, the least score (default: %(default)s)"
    )
    parser.add_argument("--top", metavar="N", type=positive, help="tell the N classes with the largest scores")
    parser.add_argument("--show", action="store_true", help="draw what the network saw")
    parser.add_argument("--trace", action="store_true", help="tell what each operator reads and gives, as it runs")
    parser.add_argument(
        "--against", metavar="OTHER", help="compare with another file of the network, layer by layer, on what it saw"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="a .png: draw boxes or the mask on the picture that is given; an .npz: all inputs and outputs by name",
    )
    add_sound(parser)


STATES = {
    "none": (),
    "kept": ("state: kept from one inference of a file to the next",),
    "fresh": ("state: every inference is as the first",),
}
"""What the text says of what lives on."""

TELLING = ("detection", "segmentation")
"""The tasks whose answers are drawn, and told of instead of numbers."""

ENDED = 15
"""What TFLM's Invoke returns where an operator ends the inference on purpose (kTfLiteAbort)."""

Ran = tuple[str, "tuple[Array | None, ...] | str"]
"""A name with the outputs, each None if it depends on a gap, or why there are none."""


def command(args: argparse.Namespace) -> int:
    plan, *others = (
        make_plan(args.model, numerics=PRESETS[name], memory=args.memory, partial=args.partial)
        for name in args.numerics
    )
    if others and (args.stream or args.partial or args.output):
        raise InputError(
            "two dialects are compared in whole inferences of their own: say --independent, or give one dialect"
        )
    task, names, ears = task_of(plan, args.task), read_names(args.labels), ears_of(plan, args)
    _check(args, task, bool(others))
    intake = Intake(plan)
    cases = fed(plan, args, ears, intake)
    if plan.initial and not (args.stream or args.independent):
        cases = iter([_the_only(plan, list(cases))])
    cases = shown(plan, cases) if args.show else cases
    ranges = pixel_ranges(plan, args.input or (), args.range)
    warn_of_paper(args, plan, args.input or ())
    if others:
        return _compared(args, plan, others[0], cases, ranges, intake)
    if args.against:
        from ._against import against  # brings tables

        return against(args, plan, cases, ranges, intake)
    known, trace = given(plan, args), list[dict[str, Any]]()
    if args.trace:
        tell = (lambda *told: trace.append(trace_json(*told))) if args.json else print_trace
        cases = watched(plan, cases, tell, args.stream, known)
    drawn = partial(_draw, plan, args, task, names) if args.output and not _is_archive(args.output) else None
    ran = _ran(plan, args, cases, known)
    results = [result for name, outputs in ran for result in _results(plan, task, name, outputs, drawn, args.top)]
    state = "none" if not plan.initial else "kept" if args.stream else "fresh"
    if args.json:
        told = {"pictures": [vars(each) for each in ranges], "sounds": heard_json(ears), "state": state}
        told |= {"cut_off": [each.as_dict() for each in intake.cut_off]}
        told |= {"task": vars(task), "drawn": args.output if drawn else None, "written": args.output}
        return print_json(heading(args, plan) | told | {"results": results} | ({"trace": trace} if args.trace else {}))
    for result in results:
        _print_result(result, names, args.score)
    if task.name in TELLING or (task.name == "none" and task.reason not in ("given", UNTOLD)):
        say(f"task: {task.name} ({task.reason}; --task changes it)" if task.reason != "given" else f"task: {task.name}")
    say(*([f"wrote {args.output}"] if args.output else []))
    print_ranges(ranges)
    print_heard(ears)
    say(*STATES[state])
    say(f"numerics: {plan.numerics}")
    warn(*intake.cut_off)
    return 0


def _ran(plan: Plan, args: argparse.Namespace, cases: Iterable[Case], known: Mapping[int, Array]) -> Iterator[Ran]:
    """The inferences' outputs; into an archive, with what went in, if that is what -o names."""
    kept = list(cases) if _is_archive(args.output) else None
    cases = cases if kept is None else kept
    if plan.gaps:
        ran = _partly(plan, cases, args, known)
    else:
        ran = _streamed(plan, cases) if args.stream else _independent(plan, cases)
    if kept is None:
        return ran
    found = list(ran)
    _write(plan, args.output, kept, found)
    return iter(found)


def _compared(
    args: argparse.Namespace,
    plan: Plan,
    other: Plan,
    cases: Iterable[Case],
    ranges: Iterable[PixelRange],
    intake: Intake,
) -> int:
    """Tell where two dialects part on each inference."""
    partings = [(name, parting(plan, other, *inputs)) for name, inputs in singly(plan, cases)]
    if args.json:
        results = [{"input": name, **found.as_dict()} for name, found in partings]
        cut_off = [each.as_dict() for each in intake.cut_off]
        return print_json(heading(args, plan) | {"other": args.numerics[1], "cut_off": cut_off, "results": results})
    for name, found in partings:
        say(f"{name}: {found}")
    classes = [found.classes for _, found in partings if found.classes]
    if len(classes) > 1:
        say(f"{sum(mine != theirs for mine, theirs in classes)} of {len(classes)} answers differ")
    print_ranges(ranges)
    say(f"numerics: {plan.numerics}", f"against: {other.numerics}")
    warn(*intake.cut_off)
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


def _partly(plan: Plan, cases: Iterable[Case], args: argparse.Namespace, known: Mapping[int, Array]) -> Iterator[Ran]:
    """The inferences of each file one by one, as far as a partial plan computes them.

    Raises `InputError` where --given, which is of one inference, meets several.
    """
    every = [(name, frames(plan, arrays)) for name, arrays in cases]
    count = sum(len(inferences) for _, inferences in every)
    if known and count != 1:
        raise InputError(f"{args.given} is of one inference, and there are {count}")
    for name, inferences in every:
        state = plan.initial
        for t, inputs in enumerate(inferences):
            place = name if len(inferences) == 1 else f"{name}[{t}]"
            try:
                outputs, after = infer(plan, None, inputs, state, known)
                yield place, computable(plan, outputs)
            except InferenceError as error:
                if not args.stream or error.status != ENDED:
                    raise
                after = error.state
                yield place, str(error)
            state = after if args.stream else state


def _results(
    plan: Plan,
    task: Task,
    name: str,
    outputs: tuple[Array | None, ...] | str,
    draw: Callable[[dict[str, Any]], None] | None,
    top: int | None,
) -> Iterator[dict[str, Any]]:
    """What `run` gave, in plain Python: a result for each of a batch where the task is known, else one for all."""
    if isinstance(outputs, str):
        yield {"input": name, "ended": outputs, "outputs": []}
        return
    known = tuple(output for output in outputs if output is not None)
    if task.name == "none" or len(known) < len(outputs):
        yield {"input": name, "outputs": [_output(plan, i, output) for i, output in enumerate(outputs)]}
        return
    answers = [*_answers(plan, task, known, top)]
    for i, (answer, rows) in enumerate(answers):
        place = name if len(answers) == 1 else f"{name}[{i}]"
        result = {"input": place} | answer | {"outputs": [_output(plan, k, row) for k, row in enumerate(rows)]}
        if draw is not None:
            draw(result)
        yield result


def _answers(
    plan: Plan, task: Task, outputs: tuple[Array, ...], top: int | None
) -> Iterator[tuple[dict[str, Any], tuple[Array, ...]]]:
    """What each of a batch is answered, and its outputs; a confidence where the scores are probabilities."""
    if task.name == "classification":
        are_probabilities = tells_probabilities(plan)
        for answer in predictions(plan, *outputs):
            confidence = answer.confidence if are_probabilities else None
            told = {"class": answer.label, "confidence": confidence, "score": answer.confidence}
            yield told | ({"top": _best(plan, answer, top)} if top else {}), (answer.output,)
    elif task.name == "detection":
        from ..tasks.detection import detections

        for i, found in enumerate(detections(outputs)):
            yield {"detections": [thing.as_dict() for thing in found]}, tuple(x[i : i + 1] for x in outputs)
    else:
        for i, classes in enumerate(class_maps(plan, outputs)):
            yield {"map": classes.tolist(), "shares": shares(classes)}, tuple(x[i : i + 1] for x in outputs)


def _best(plan: Plan, answer: Prediction, count: int) -> list[dict[str, Any]]:
    """The classes with the largest scores, the first of equals first."""
    scores = dequantize_output(plan, answer.output).tolist()
    order = sorted(range(len(scores)), key=lambda label: -scores[label])[:count]
    return [{"class": label, "score": scores[label]} for label in order]


def _write(plan: Plan, path: str, cases: Sequence[Case], ran: Sequence[Ran]) -> None:
    """All inputs and outputs into an .npz; of several inferences one after the other, of those that gave outputs."""
    outputs = [each for _, each in ran if not isinstance(each, str)]
    pairs = [*zip(plan.inputs, zip(*(arrays for _, arrays in cases), strict=True), strict=True)]
    pairs += zip(plan.outputs, zip(*outputs, strict=True), strict=True) if outputs else ()
    known = {t.index: [x for x in arrays if x is not None] for t, arrays in pairs}
    tensors = {index: stacked(plan.graph.tensors[index], arrays) for index, arrays in known.items() if arrays}
    write_dump(path, plan, tensors)


def _output(plan: Plan, index: int, values: Array | None) -> dict[str, Any]:
    tensor = plan.outputs[index]
    if values is None:
        unknown = {"values": None, "real": None, "not_known": plan.why_unknown(tensor)}
        return {**identity(tensor), "dtype": tensor.dtype, **unknown}
    real = dequantize_output(plan, values, index).tolist() if is_quantized(tensor) else None
    return {**identity(tensor), "dtype": tensor.dtype, "values": values.tolist(), "real": real}


def _is_archive(output: str | None) -> bool:
    return output is not None and Path(output).suffix.lower() == ".npz"


def _check(args: argparse.Namespace, task: Task, two_dialects: bool) -> None:
    """Refuse, before anything is run, options that would do nothing, and what cannot be drawn."""
    if args.against:
        leave_out(args, "--against compares two files", "output", "trace", "top", "task", "labels", "stream", "partial")
    if two_dialects:
        leave_out(args, "two dialects are compared operator by operator", "trace", "top", "labels", "against")
    if args.json:
        leave_out(args, "--json draws nothing", "show")
    if args.random is not None:
        leave_out(args, "--random makes the input itself", "digit", *OF_SOUNDS)
    if args.top and task.name != "classification":
        raise InputError(f"--top tells classes, and this is no classifier: {task.reason}")
    if args.output and not _is_archive(args.output):
        _check_drawing(args, task)


def _check_drawing(args: argparse.Namespace, task: Task) -> None:
    """Refuse what cannot be drawn."""
    if Path(args.output).suffix.lower() != ".png":
        raise InputError(f"-o {args.output}: give a name that ends in .png, for a drawing, or in .npz, for all values")
    if task.name not in TELLING:
        raise InputError(f"-o draws boxes or a mask, and this is neither: {task.reason}; --task says which it is")
    if len(args.input or ()) != 1 or args.digit or Path(args.input[0]).suffix.lower() in ARRAYS:
        raise InputError("-o draws on one picture: give one by --input, without --digit")


def _draw(plan: Plan, args: argparse.Namespace, task: Task, names: Sequence[str], result: dict[str, Any]) -> None:
    from ..tasks.detection import Detection
    from ..tasks.drawing import draw_boxes, draw_mask

    (source,) = args.input
    with located(source):
        if task.name == "detection":
            found = [Detection.of(each) for each in result["detections"] if each["score"] >= args.score]
            draw_boxes(source, found, args.output, dict(enumerate(names)), plan.memory)
        else:
            draw_mask(source, result["map"], args.output, plan.memory)


def _print_result(result: dict[str, Any], names: Sequence[str], least: float) -> None:
    name = partial(named, names)
    if "detections" in result:
        _print_detections(result, names, least)
        return
    if "shares" in result:
        each = ", ".join(f"{name(label)} {share:.1%}" for label, share in result["shares"].items())
        say(f"{result['input']}: {each}")
        return
    say(result["input"] + _answer(result, names) + (f": {result['ended']}" if "ended" in result else ""))
    say(*(f"  {best['score']:<11.6g} class {name(best['class'])}" for best in result.get("top", ())))
    for output in result["outputs"]:
        told = numbers(output["values"]) if output["values"] is not None else f"not known: {output['not_known']}"
        say(f"  {output['dtype']:8} {told}")
        if output["real"] is not None:
            say(f"  {'real':8} {numbers(output['real'])}")


def _answer(result: dict[str, Any], names: Sequence[str]) -> str:
    """The class, and how sure that is, where the network tells."""
    if "class" not in result:
        return ""
    return f": class {named(names, result['class'])}, {sureness(result['score'], result['confidence'] is not None)}"


def _print_detections(result: dict[str, Any], names: Sequence[str], least: float) -> None:
    found = result["detections"]
    shown = [each for each in found if each["score"] >= least]
    hidden = f", {len(found) - len(shown)} more below a score of {least:g}" if len(shown) < len(found) else ""
    say(f"{result['input']}: {len(shown)} found{hidden}")
    for each in shown:
        top, left, bottom, right = each["box"]
        say(
            f"  {each['score']:.4f}  class {named(names, each['class'])}, top {top:.4f} left {left:.4f} bottom "
            f"{bottom:.4f} right {right:.4f}"
        )
