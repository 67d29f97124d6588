"""Quantise a float32 model to int8 or int16x8, as TFLite's converter does, without TensorFlow.

PATH is what to calibrate with: pictures, .npy, .npz, .raw or .wav files, or folders of them; or data as evaluate takes
them, whose classes do not matter here: a folder for each class, a .csv, an .npz with x and y, MNIST's IDX files (the
training images), or the word digits for the 100 bundled ones. LAYER is an operator's number (as
printed), its type (SOFTMAX: all such), or a part of its output's name between slashes and semicolons (conv2d_1).
Numbers are the float model's, whose operators keep their order; in the file written, QUANTIZE and DEQUANTIZE may
stand between them.

  refengine quantize stm32f746_float32 --data digits -o int8.tflite
  refengine quantize model.tflite --data mnist/ -o int8.tflite --report \\
    --method percentile --percentile 99.9
  refengine quantize model.tflite --data pictures/ -o mixed.tflite \\
    --keep SOFTMAX --io float32
  refengine quantize model.tflite --data train/ -o int8.tflite \\
    --evaluate test/ --labels names.txt
  refengine quantize lstm.tflite --data utterances/ -o int8.tflite --stream
  refengine quantize mobilenet.tflite --data pictures/ -o int8.tflite --equalize

--equalize makes the ranges of a layer's channels alike, where the next layer can make up for it (cross-layer
equalisation), and takes back by the biases what quantisation shifts on average (bias correction).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from rich.table import Table

from ..accuracy import Accuracy
from ..bundled import model_file
from ..errors import InputError, UnsupportedError, located
from ..execute import batch_size, frames
from ..files import write
from ..identity import identity
from ..model import Array, Model
from ..parallel import workers
from ..plan import Plan, Step, make_plan
from ..quantizer.calibrate import METHODS, PERCENTILE, TASK, Ranges, calibrate
from ..quantizer.choices import Choice, choices
from ..quantizer.convert import check, convert, kept_of
from ..quantizer.correction import correct_biases
from ..quantizer.equalization import Equalized, equalize
from ..quantizer.outliers import Extremes, Outliers, others, outliers
from ..quantizer.parameters import left_in_float
from ..quantizer.report import LayerError, Outputs, check_judged, judge, rank
from ..reading.error import Error
from ..tasks.datasets import Classes, classes
from ..tensors.batches import takes_pictures
from ..tensors.inputs import PixelRange, pixel_range
from ..text import counted
from ..tflite_io import dump
from ._data import add_data, read_data, require_files, split_of, warn_of_files
from ._front import (
    add_digit,
    add_json,
    add_memory,
    add_range,
    add_sound,
    add_workers,
    ears_of,
    ended,
    fail,
    heard_json,
    print_heard,
    print_json,
    print_ranges,
    read_names,
    say,
    warn,
)
from ._measured import measured
from ._tables import print_table, progress_bar, table_of
from .run import STATES

Watch = Callable[[Extremes], None]
TRIED = (99.9, 99.0)  # percentiles, where there are outliers
PIXELS = 127.0, 255.0  # between these lies the largest of many pixels
JUDGED = 100  # samples that --report runs: it runs the network many times


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="FLOAT", help="a float32 .tflite file or the name of a bundled one")
    add_data(parser, "what to calibrate with; see above", required=True, split="train", limit=500)
    parser.add_argument(
        "--evaluate",
        metavar="PATH",
        help="measure the accuracy before and after on data with classes, as evaluate takes them",
    )
    parser.add_argument("--labels", metavar="FILE", help="with --evaluate: names of the classes, one a line")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the .tflite file to write")
    parser.add_argument("--method", choices=METHODS, default="minmax", help="of calibration (default: %(default)s)")
    parser.add_argument(
        "--percentile",
        metavar="P",
        type=float,
        default=PERCENTILE,
        help="of the values that --method percentile keeps at either end (default: %(default)s)",
    )
    parser.add_argument("--activations", choices=("int8", "int16"), default="int8", help="weights are int8 always")
    parser.add_argument(
        "--io", choices=("int8", "int16", "float32"), help="type of inputs and outputs (default: the activations')"
    )
    parser.add_argument("--keep", metavar="LAYER", nargs="+", default=[], help="operators to leave in float; see above")
    parser.add_argument(
        "--report", action="store_true", help=f"rank layers by the error they bring, on the first {JUDGED} of the data"
    )
    parser.add_argument(
        "--equalize",
        action="store_true",
        help=f"equalise channels across layers and correct biases; what it brought is judged on the first {JUDGED}",
    )
    parser.add_argument(
        "--equalized", metavar="FILE", help="with --equalize: write the equalised float model, too, for health --float"
    )
    parser.add_argument(
        "--relu", action="store_true", help="with --equalize: ReLU for ReLU6, where that lets factors pass"
    )
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--stream",
        action="store_true",
        help="the inferences of a file follow one another, and what the model remembers lives on; it begins anew with "
        "each file",
    )
    several.add_argument(
        "--independent", action="store_true", help="every inference is as the first, whatever the model remembers"
    )
    add_memory(parser)
    add_json(parser)
    add_digit(parser)
    add_range(parser)
    add_sound(parser)
    add_workers(parser)


def command(args: argparse.Namespace) -> int:
    path, output = model_file(args.model), Path(args.output)
    _check_arguments(args, output)
    float_plan = make_plan(path, memory=args.memory)
    with located("--keep"):
        keep = kept_of(float_plan, args.keep)
    with located(args.model):
        check(float_plan, activations=args.activations, io=args.io, keep=keep)
        if asked := " and ".join(f"--{name}" for name in ("equalize", "report") if getattr(args, name)):
            check_judged(float_plan, asked)
    if float_plan.initial and not (args.stream or args.independent):
        raise InputError(
            "the model remembers something from one inference to the next: say --stream (those of a file follow one "
            "another, each file is a sequence) or --independent (each as the first)"
        )
    paths = [*args.data, *([args.evaluate] if args.evaluate else [])]
    require_files(args, float_plan, *paths)
    warn_of_files(args, float_plan, *dict.fromkeys(paths))
    truth = classes(args.evaluate, "test", read_names(args.labels), args.memory) if args.evaluate else None
    samples = _Samples(args, float_plan, "calibrating", args.limit)
    judged = _Samples(args, float_plan, "judging", JUDGED)
    ranking: list[LayerError] = []
    equalized: _Equalized | None = None
    odd: _Odd | None = None
    extremes: list[Extremes] = []
    try:
        accuracies = _accuracies(args, float_plan, float_plan, truth)
        with workers(args.jobs, args.scheduler) as executor:

            def quantized(plan: Plan, watch: Watch | None = None) -> tuple[Ranges, Model]:
                method, percentile = args.method, args.percentile
                ranges = calibrate(plan, samples, method, percentile=percentile, executor=executor, watch=watch)
                with located(args.model):
                    return ranges, convert(plan, ranges, activations=args.activations, io=args.io, keep=keep)

            ranges, model = quantized(float_plan, extremes.append)
            if found := outliers(extremes, ranges) if extremes else None:
                odd = _Odd(found)
                if not float_plan.initial:
                    odd.try_methods(args, float_plan, samples, keep, executor)
            if args.equalize:
                equalized = _Equalized(float_plan, equalize(float_plan, relu=args.relu))
                equalized.judge("without it", model, judged, executor)
                float_plan = make_plan(equalized.made.model, memory=args.memory)
                ranges, model = quantized(float_plan)
                equalized.judge("equalised", model, judged, executor)
                model = correct_biases(float_plan, model, judged)
                equalized.judge("and biases corrected", model, judged, executor)
            data = dump(model)
            plan = make_plan(data, memory=args.memory)
            if args.report:
                ranking = rank(float_plan, plan, judged, executor=executor)
        accuracies += _accuracies(args, float_plan, plan, truth)
        write(output, data)
        if equalized and args.equalized:
            write(args.equalized, dump(equalized.made.model))
    except KeyboardInterrupt as signal:
        fail("interrupted; nothing was written")
        return ended(signal)
    size, written = path.stat().st_size, len(data)
    done = _Done(args, samples, size, written, float_plan, plan, ranges, ranking, keep, equalized, odd, accuracies)
    if args.json:
        print_json(done.as_dict())
    else:
        done.print()
    return 0


@dataclass
class _Odd:
    """Outliers, and how far the outputs of the other samples are off by each method of calibration."""

    found: Outliers
    tried: list[tuple[str, Outputs]] = field(default_factory=list)

    def try_methods(
        self, args: argparse.Namespace, plan: Plan, samples: _Samples, keep: frozenset[int], executor: Executor | None
    ) -> None:
        left_out = self.found.samples
        rest = [*others(plan, _Samples(args, plan, "judging", JUDGED + len(left_out)), left_out)]
        tries: list[tuple[str, str, float, Iterable[tuple[Array, ...]]]] = [
            ("--method minmax", "minmax", PERCENTILE, samples),
            *((f"--method percentile --percentile {p:g}", "percentile", p, samples) for p in TRIED),
            ("--method moving-average", "moving-average", PERCENTILE, samples),
            *([("--method entropy", "entropy", PERCENTILE, samples)] if args.activations == "int8" else []),
            ("minmax without them", "minmax", PERCENTILE, others(plan, samples, left_out)),
        ]
        for name, method, percentile, batches in tries:
            ranges = calibrate(plan, batches, method, percentile=percentile, executor=executor)
            with suppress(InputError, UnsupportedError):  # what this one makes, TFLM would not run
                model = convert(plan, ranges, activations=args.activations, io=args.io, keep=keep)
                made = make_plan(model, memory=plan.memory)
                self.tried.append((name, judge(plan, made, rest, executor=executor)))

    def as_dict(self) -> dict[str, Any]:
        return self.found.as_dict() | {"tried": {name: each.as_dict() for name, each in self.tried}}


@dataclass
class _Equalized:
    """The float model as it was trained, and equalised; and how far the outputs of quantised ones are off."""

    trained: Plan
    made: Equalized
    brought: list[tuple[str, Outputs]] = field(default_factory=list)

    def judge(self, done: str, model: Model, samples: _Samples, executor: Executor | None) -> None:
        plan = make_plan(model, memory=self.trained.memory)
        self.brought.append((done, judge(self.trained, plan, samples, executor=executor)))

    def as_dict(self) -> dict[str, Any]:
        return self.made.as_dict() | {"outputs": {name: each.as_dict() for name, each in self.brought}}


def _accuracies(args: argparse.Namespace, float_plan: Plan, plan: Plan, truth: Classes | None) -> list[Accuracy]:
    """That of `plan`, with black and white as in the float model; none without --evaluate."""
    if truth is None:
        return []
    ends = args.range
    with suppress(InputError):  # of integers that are no pixels
        found = pixel_range(float_plan, 0, args.range)
        ends = found.black, found.white
    *_, accuracy = measured(plan, truth, args, ends)
    return [accuracy]


def _check_arguments(args: argparse.Namespace, output: Path) -> None:
    """Complain before hours of work, rather than after."""
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"{output} is a folder, or in none; give -o the name of a file in a folder that exists")
    if args.io not in (None, args.activations, "float32"):
        raise InputError(f"--io {args.io} is for --activations {args.io}; give both, or --io float32")
    for name in ("equalized", "relu"):
        if getattr(args, name) and not args.equalize:
            raise InputError(f"--{name} is for --equalize; give both")
    split_of(args, args.data)
    if args.labels and not args.evaluate:
        raise InputError("--labels is for --evaluate; give both")
    if args.percentile != PERCENTILE and args.method != "percentile":
        raise InputError("--percentile is for --method percentile; give both")
    if args.method == "entropy" and args.activations == "int16":
        raise InputError("--method entropy chooses ranges for 8 bits; int16 activations need no cut, use minmax")


class _Samples:
    """The first samples of the data, read anew whenever they are iterated over, with a progress bar."""

    def __init__(self, args: argparse.Namespace, plan: Plan, doing: str, limit: int) -> None:
        self.args, self.plan, self.doing, self.limit = args, plan, doing, limit
        self.name, self.count, self.ranges = "", 0, tuple[PixelRange, ...]()
        self.ears = ears_of(plan, args)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        args = self.args
        self.ears.heard.clear()
        self.name, total, cases, self.ranges = read_data(
            self.plan,
            args.data,
            split_of(args, args.data, "train"),
            self.limit,
            args.range,
            TASK,
            digit=args.digit,
            hear=self.ears.hear,
        )
        self.count = 0
        with progress_bar() as bar:
            task = bar.add_task(self.doing)
            for inputs in self._runs(cases):
                size = len(frames(self.plan, inputs)) if self.plan.initial else batch_size(self.plan, inputs) or 1
                left = self.limit - self.count
                self.count += min(size, left)
                yield inputs if size <= left else tuple(x[:left] for x in inputs)
                bar.update(task, completed=self.count, total=max(total, self.count))
                if self.count == self.limit:
                    return

    def _runs(self, cases: Iterator[tuple[Array, ...]]) -> Iterator[tuple[Array, ...]]:
        """The inputs of each file; those of each inference where something lives on, but shall not."""
        for inputs in cases:
            yield from frames(self.plan, inputs) if self.plan.initial and not self.args.stream else [inputs]


@dataclass(frozen=True)
class _Done:
    """What came of it: the model as it was, as it was calibrated (another one if it was equalised), and quantised.

    `size` and `written` are the files' bytes, `keep` the operators that were kept in float; `accuracies` are those
    before and after, if they were asked for.
    """

    args: argparse.Namespace
    samples: _Samples
    size: int
    written: int
    float_plan: Plan
    plan: Plan
    ranges: Ranges
    ranking: list[LayerError]
    keep: frozenset[int]
    equalized: _Equalized | None
    odd: _Odd | None
    accuracies: list[Accuracy]

    @cached_property
    def layers(self) -> list[Choice]:
        return choices(self.float_plan, self.plan, self.ranges)

    @property
    def left(self) -> list[Step]:
        """What the converter leaves in float although nobody kept it there."""
        left = left_in_float(self.float_plan.graph, self.args.activations)
        return [self.float_plan.steps[i] for i in left if i not in self.keep]

    @property
    def state(self) -> str:
        """What became of what lives on, from one sample to the next."""
        return "none" if not self.float_plan.initial else "kept" if self.args.stream else "fresh"

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        args, samples, steps = self.args, self.samples, self.float_plan.steps
        trained = self.equalized.trained if self.equalized else self.float_plan
        facts: dict[str, Any] = {
            "model": args.model,
            "sha256": trained.model.sha256,
            "output": args.output,
            "output_sha256": self.plan.model.sha256,
            "data": samples.name,
            "pictures": [vars(each) for each in samples.ranges],
            "sounds": heard_json(samples.ears),
            "samples": samples.count,
            "method": args.method,
            "percentile": args.percentile if args.method == "percentile" else None,
            "activations": args.activations,
            "io": args.io or args.activations,
            "state": self.state,
            "kept": [identity(step.op, step.subgraph) for step in steps if step.index in self.keep],
            "outliers": self.odd and self.odd.as_dict(),
            "left_in_float": [identity(step.op, step.subgraph) for step in self.left],
            "bytes": {"before": self.size, "after": self.written},
            "tensors": [layer.as_dict() for layer in self.layers],
        }
        if self.equalized:
            facts["equalized"] = self.equalized.as_dict()
        if args.report:
            facts["report"] = [layer.as_dict() for layer in self.ranking]
        if self.accuracies:
            both = dict(zip(("before", "after"), (each.as_dict() for each in self.accuracies), strict=True))
            facts["accuracy"] = {"data": args.evaluate, **both}
        return facts

    def print(self) -> None:
        args, samples, plan = self.args, self.samples, self.plan
        method = args.method + (f" {args.percentile:g} %" if args.method == "percentile" else "")
        say(f"{args.model}, calibrated on {_samples(samples.count)} of {samples.name} by {method}")
        print_ranges(samples.ranges)
        say(*STATES[self.state])
        print_heard(samples.ears)
        print_table(_table_of_choices(self.layers))
        warn(*_like_pixels(self.layers, self.float_plan))
        if self.odd:
            _print_outliers(self.odd)
        if self.equalized:
            _print_equalized(self.equalized)
        if args.report:
            _print_report(self.ranking)
        if left := ", ".join(f"{step.index} {step.name}" for step in self.left):
            say(f"In float, as TensorFlow's converter leaves them: {left}.")
        say(f"wrote {args.output}: {self.written:,} bytes ({self.size:,} before)")
        types = ", ".join(dict.fromkeys(tensor.dtype for tensor in (*plan.inputs, *plan.outputs)))
        say(f"TFLM runs it: all {len(plan.steps)} operators are prepared; inputs and outputs: {types}")
        if self.accuracies:
            before, after = (f"{each.accuracy:.2%} ({each.correct} of {each.count})" for each in self.accuracies)
            say(f"accuracy on {args.evaluate}: {before} before, {after} after")


def _table_of_choices(layers: list[Choice]) -> Table:
    table = table_of("#", "operator", "calibrated range", "scale", "zero\npoint", "scales of weights")
    table.columns[4].justify = "right"
    for layer in layers:
        told = layer.as_dict()
        weights = told["weight_scales"]
        table.add_row(
            _numbers(layer.float_ops),
            "input" if layer.step is None else _operator(layer.step),
            "{:.5g} … {:.5g}".format(*layer.calibrated) if layer.calibrated else "",
            told["dtype"] if told["scale"] is None else f"{told['scale']:.6g}",
            "" if told["scale"] is None else str(told["zero_point"]),
            _scales(weights),
        )
    return table


def _like_pixels(layers: Iterable[Choice], plan: Plan) -> Iterator[str]:
    """That real values given to an input are as those of pixels, where networks that take such pictures want others."""
    for tensor, layer in zip(plan.inputs, (layer for layer in layers if layer.step is None), strict=False):
        if layer.calibrated is None or not takes_pictures(tensor):
            continue
        low, high = layer.calibrated
        white = pixel_range(plan, plan.inputs.index(tensor)).white
        if low == 0 and white < PIXELS[0] < high <= PIXELS[1]:
            yield (
                f"input '{tensor.name}' was given 0 … {high:.5g}, as pixels are: if the network was trained on other "
                f"values, such as 0 … {white:g}, scale them so (of uint8 arrays and pictures, --range does it)"
            )


def _scales(scales: Sequence[float]) -> str:
    """How many, and their ends, if they have two."""
    ends = sorted({f"{each:.3g}" for each in (min(scales), max(scales))}, key=float) if scales else []
    return f"{len(scales)}: {' … '.join(ends)}" if ends else ""


def _print_outliers(odd: _Odd) -> None:
    """Which samples set the ranges, and what the ways out are worth."""
    say(f"{odd.found}.")
    if odd.tried:
        count = _samples(odd.tried[0][1].samples)
        say(f"Leave out what is no data of yours. The outputs on {count} of the others, by method:")
        say(*(f"  {name}: off by {_outputs(outputs)}" for name, outputs in odd.tried))
        methods = [(outputs.error.rmse, name) for name, outputs in odd.tried if name.startswith("--")]
        say(*(f"Of the methods, {name} is best for them." for _, name in sorted(methods)[:1]))


def _print_equalized(equalized: _Equalized) -> None:
    """Which channels were equalised, and what it brought."""
    factors = equalized.made.factors
    if not factors:
        say("Nothing to equalise: no layer is read by the next one alone, with nothing between but what factors pass.")
    for link, each in factors:
        say(f"equalised: {link.first} with {link.second}, by factors {min(each):.3g} … {max(each):.3g}")
    made = equalized.made
    say(*(f"ReLU stands for another activation: {step}" for step in made.opened))
    say(*(f"no factor passes the clamp of its activation: {step} (--relu puts ReLU there)" for step in made.clamped))
    say(f"The outputs on {_samples(equalized.brought[0][1].samples)}, by which the biases were corrected:")
    say(*(f"  {name}: off by {_outputs(outputs)}" for name, outputs in equalized.brought))
    (_, before), *_, (_, after) = equalized.brought
    if after.error.rmse >= before.error.rmse:
        say("It brought nothing here: leave --equalize out.")


def _print_report(ranking: list[LayerError]) -> None:
    """Errors inside the network are in codes, those of its outputs in real units."""
    now = ranking[0].all
    say(f"{_samples(now.samples)}: the outputs are off by {_outputs(now)}. Of the layers, the worst first:")
    table = table_of(
        "#", "operator", "own RMSE\nin codes", "SQNR\ndB", "total\nin codes", "SQNR\ndB", "out of\nrange",
        "outputs' RMSE:\nonly it in codes", "\nonly it in float",
    )  # fmt: skip
    for column in table.columns[2:]:
        column.justify = "right"
    for layer in ranking:
        table.add_row(
            _numbers(layer.float_ops),
            _operator(layer.step),
            f"{layer.own.rmse / layer.scale:.2f}",
            _decibels(layer.own),
            f"{layer.total.rmse / layer.scale:.2f}",
            _decibels(layer.total),
            f"{layer.saturation:.2%}",
            f"{layer.only.error.rmse:.3g}",
            f"{layer.kept.error.rmse:.3g}",
        )
    print_table(table)
    helpful = [layer for layer in ranking if layer.float_ops and layer.helps]
    if not helpful:
        say("No layer left in float by itself helps these samples more than chance would.")
        return
    best = max(helpful, key=lambda layer: layer.gain)
    name = f"{best.step.name} (--keep {_numbers(best.float_ops)})"
    say(f"Left in float, {name} helps most: then the outputs are off by {_outputs(best.kept)}.")


def _samples(count: int) -> str:
    return counted(count, "sample")


def _operator(step: Step) -> str:
    fused = step.op.options.get("fused_activation_function", "NONE")
    return step.name + ("" if fused == "NONE" else f" + {fused}")


def _decibels(error: Error) -> str:
    return f"{error.sqnr:.1f}" if isfinite(error.sqnr) else ""


def _outputs(outputs: Outputs) -> str:
    same = "" if outputs.agreement is None else f", and {outputs.agreement:.1%} have the float model's class"
    return f"{outputs.error.rmse:.3g} (RMSE){same}"


def _numbers(values: tuple[int, ...]) -> str:
    return " ".join(map(str, values))
