"""Measure how good a model's answers are: accuracy, mAP of boxes, or mean IoU of masks.

PATH is the data. For classes: a folder of MNIST's IDX files, or the word digits
for the 100 bundled ones; a folder with a folder for each class, of pictures,
arrays or sounds; a .csv whose lines are a file and its class, or numbers and a
class (in the column label, or the last; pixels if the columns are called so); an
.npz with x and y, where x may be sequences (N × T × …), each of which begins afresh. For
boxes: a folder of pictures with COCO's JSON, or that file; an .npz whose y is
N × M × 5: class, top, left, bottom, right. For masks: a folder of pictures with
PNGs beside them (a.jpg and a.png, a.png and a_mask.png, or folders images and
masks), whose numbers are classes and 255 where nobody is asked; an .npz whose y
is N × H × W.

  refengine evaluate stm32f746_int8 --data mnist/
  refengine evaluate keywords.tflite --data speech_commands/ --labels labels.txt
  refengine evaluate wakeword.tflite --data clips/ \\
    --front-end micro_wake_word --answer max
  refengine evaluate detector.tflite --data coco/val2017/
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..accuracy import Accuracy, Comparison, compare, evaluate, gives_scores
from ..errors import InputError
from ..kernel import PRESETS
from ..parallel import workers
from ..plan import Plan, make_plan
from ..reading.cut_off import cut_off_of
from ..tasks.datasets import Classes, boxes, classes, masks
from ..tasks.detection import Precision, Scorer
from ..tasks.evaluation import evaluate_detection, evaluate_segmentation
from ..tasks.recognition import Task, task_of
from ..tasks.segmentation import Overlap
from ..tensors.images import pixel_ranges
from ..tensors.inputs import PixelRange, pixel_range
from ..text import counted, printable
from ._data import add_part, or_digits, require_files, split_of, warn_of_files
from ._front import (
    add_dialects,
    add_digit,
    add_json,
    add_memory,
    add_model,
    add_range,
    add_sound,
    add_task,
    add_workers,
    ears_of,
    ended,
    heading,
    heard_json,
    leave_out,
    named,
    print_heard,
    print_json,
    print_ranges,
    read_names,
    say,
    warn,
)
from ._measured import in_the_name_of, reader
from ._tables import confusion_table, print_table, progress_bar, table_of

T = TypeVar("T")

ANSWERS = {"last": "the last output", "max": "the largest score of all outputs"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_dialects(parser)
    add_json(parser)
    parser.add_argument(
        "--data", metavar="PATH", help="see above (default: the bundled digits, for networks that take such pictures)"
    )
    add_part(parser)
    add_task(parser)
    parser.add_argument(
        "--answer",
        choices=ANSWERS,
        default="last",
        help="the class of a sequence or a sound: of its last output, or of the largest score (default: %(default)s)",
    )
    parser.add_argument(
        "--first-category",
        metavar="ID",
        type=int,
        default=1,
        help="COCO's category that is the model's class 0 (default: %(default)s)",
    )
    add_digit(parser)
    add_range(parser)
    add_sound(parser)
    add_workers(parser)


def command(args: argparse.Namespace) -> int:
    plan, *others = (make_plan(args.model, numerics=PRESETS[name], memory=args.memory) for name in args.numerics)
    task = task_of(plan, args.task)
    if task.name == "none" and task.reason != "given" and gives_scores(plan):
        raise InputError(f"{task.reason}: say --task classification if it is the latter")
    if task.name not in ("detection", "segmentation"):
        return _classes(args, plan, *others)
    if others:
        raise InputError(f"two dialects are compared by classes, and this is a model for {task.name} ({task.reason})")
    return _pictures(args, plan, task)


def _last(args: argparse.Namespace, results: Iterable[T], total: int, done: str) -> tuple[T, int]:
    """The last result, while a bar shows how much of `total` is done (an attribute of it); the exit status.

    Ctrl-C ends it with the result until then, if there is one.
    """
    result = None
    try:
        with progress_bar() as progress:
            bar = progress.add_task(printable(args.model), total=total)
            for result in results:
                progress.update(bar, completed=getattr(result, done))
    except KeyboardInterrupt as signal:
        if result is None:
            raise
        return result, ended(signal)
    assert result is not None, "data that hold nothing are refused"
    return result, 0


# ---- classes -------------------------------------------------------------------------------------------------


def _classes(args: argparse.Namespace, plan: Plan, *others: Plan) -> int:
    """The accuracy, and beside that how many answers differ in the other dialect, if there is one."""
    names, ears = read_names(args.labels), ears_of(plan, args)
    (path,) = or_digits(plan, [args.data] if args.data else None)
    require_files(args, plan, path)
    data = classes(path, split_of(args, [path]), names, plan.memory).first(args.limit)
    warn_of_files(args, plan, path)
    files = data.x if isinstance(data.x, list) else []
    read = reader(plan, data, args, args.range, ears)
    with workers(args.jobs, args.scheduler) as executor:
        options: Any = {"real_range": args.range, "executor": executor, "answer": args.answer, "read": read}
        results: Iterable[Accuracy | Comparison] = (
            compare(plan, others[0], data.x, data.y, **options) if others else evaluate(plan, data.x, data.y, **options)
        )
        with in_the_name_of(data):
            found, status = _last(args, results, len(data.x), "count")
    accuracy, cut_off = found.accuracies[0] if isinstance(found, Comparison) else found, cut_off_of(plan, data.x)
    ranges = list(pixel_ranges(plan, files, args.range)) if files else _ranges(plan, data, args.range)
    if args.json:
        done = {"data": data.name, "pictures": [vars(each) for each in ranges], "interrupted": bool(status)}
        done |= {"sounds": heard_json(ears), "answer": args.answer, "names": list(data.names or names)}
        done |= {"cut_off": [each.as_dict() for each in cut_off]}
        compared = {"other": {"numerics": args.numerics[1], **found.told()}} if isinstance(found, Comparison) else {}
        print_json(heading(args, plan) | done | accuracy.as_dict() | compared)
        return status
    after = f", interrupted after {accuracy.count} of {len(data.x)}" if status else ""
    say(f"{args.model} on {data.name}{after}")
    say(
        f"accuracy {accuracy.accuracy:.2%} ({accuracy.correct} of {accuracy.count}), "
        f"{accuracy.images_per_second:,.0f} images/s"
    )
    print_table(confusion_table(accuracy.confusion, data.names or names))
    say(*([data.told] if data.told else []))
    if plan.initial or ears.are_used:
        say(f"several inferences are answered by {ANSWERS[args.answer]}; --answer changes it")
    print_ranges(ranges)
    print_heard(ears)
    if isinstance(found, Comparison):
        say(f"{found.differing} of {found.count} answers differ, accuracy {found.accuracies[1].accuracy:.2%} there")
    say(f"numerics: {plan.numerics}", *(f"against: {other.numerics}" for other in others))
    warn(*cut_off)
    return status


def _ranges(plan: Plan, data: Classes, given: tuple[float, float] | None) -> list[PixelRange]:
    """What black and white stood for, if arrays held pictures."""
    return [pixel_range(plan, 0, given)] if getattr(data.x, "dtype", None) == "uint8" else []


# ---- boxes and masks -----------------------------------------------------------------------------------------


def _pictures(args: argparse.Namespace, plan: Plan, task: Task) -> int:
    leave_out(args, "drawn digits have classes", "digit")
    if args.data is None:
        raise InputError(f"this is a model for {task.name} ({task.reason}): give pictures with the truth by --data")
    split_of(args, [args.data])
    result: Scorer | Overlap
    with workers(args.jobs, args.scheduler) as executor:
        options: Any = {"real_range": args.range, "executor": executor}
        if task.name == "detection":
            found = boxes(args.data, args.first_category, plan.memory).first(args.limit)
            names, total = found.names, len(found.items)
            result, status = _last(args, evaluate_detection(plan, found, **options), total, "pictures")
        else:
            masked = masks(args.data, plan.memory).first(args.limit)
            names, total = masked.names, len(masked.items)
            result, status = _last(args, evaluate_segmentation(plan, masked, **options), total, "pictures")
    names, ranges = dict(enumerate(read_names(args.labels))) or names, [pixel_range(plan, 0, args.range)]
    if args.json:
        done = {"data": args.data, "pictures": [vars(each) for each in ranges], "interrupted": bool(status)}
        told = {"task": vars(task), "names": [{"class": c, "name": name} for c, name in names.items()]}
        measured = result.precision if isinstance(result, Scorer) else result
        print_json(heading(args, plan) | done | told | measured.as_dict())
        return status
    say(f"{args.model} on {args.data}" + (f", interrupted after {result.pictures} of {total}" if status else ""))
    if isinstance(result, Scorer):
        _print_precision(result.precision, names)
        say(f"class 0 is category {args.first_category}; --first-category ID changes it")
    else:
        _print_overlap(result, names)
    say(f"task: {task.name}" + ("" if task.reason == "given" else f" ({task.reason})"))
    print_ranges(ranges)
    say(f"numerics: {plan.numerics}")
    return status


def _print_precision(measured: Precision, names: Mapping[int, str]) -> None:
    say(
        f"mAP {measured.map:.4f} (IoU 0.50:0.95), {measured.map50:.4f} (IoU 0.50): "
        f"{counted(measured.truths, 'thing')} in {counted(measured.pictures, 'picture')}, "
        f"{counted(measured.found, 'detection')}"
    )
    table = table_of("class", "AP\n0.50:0.95", "AP\n0.50")
    for column in table.columns[1:]:
        column.justify = "right"
    for label, (precision, at_half) in measured.by_class.items():
        table.add_row(named(names, label), f"{precision:.4f}", f"{at_half:.4f}")
    print_table(table)


def _print_overlap(measured: Overlap, names: Mapping[int, str]) -> None:
    told = measured.as_dict()
    say(
        f"mean IoU {measured.mean:.4f} over {len(told['classes'])} classes, {measured.accuracy:.2%} of the pixels "
        f"right, in {counted(measured.pictures, 'picture')}"
    )
    table = table_of("class", "IoU")
    table.columns[1].justify = "right"
    for each in told["classes"]:
        table.add_row(named(names, each["class"]), f"{each['iou']:.4f}")
    print_table(table)
