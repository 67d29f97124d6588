"""`refengine device validate`: many samples on a device, as ST's tool of that name does it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path
from typing import Any

from ..accuracy import class_count, require_labels
from ..device import Board, Device, DeviceError, Sample, Validation, validate
from ..device.validation import PATIENCE, Inferences
from ..errors import InputError, located
from ..execute import frames
from ..identity import identified
from ..judge.revealing import inputs_of
from ..model import Array
from ..plan import Plan
from ..tasks.datasets import Classes, classes
from ..tensors.batches import sequences_of
from ..tensors.images import read_inputs
from ..text import counted
from ._data import add_part, require_files, split_of, warn_of_files
from ._front import (
    add_digit,
    add_json,
    add_random,
    add_sound,
    ears_of,
    ended,
    held,
    leave_out,
    positive,
    print_json,
    read_names,
    say,
)
from ._tables import confusion_table, print_table, progress_bar, table_of

TRIED = 10
"""Inputs of noise without `--limit`, as ST's tool has it."""

TOLD = 10
"""Samples that differ are named, to so many."""

KEPT = 8
"""So many samples that differ are kept, unless `--keep` says how many."""

STILL = "the clock stands still: look at the board's board_ticks()"

FIGURES = ("rmse", "mae", "l2r", "nse", "cos")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this action alone."""
    fed = parser.add_mutually_exclusive_group()
    fed.add_argument("--data", metavar="PATH", help="labelled data for classes, as `evaluate` takes it")
    fed.add_argument("--input", metavar="FILE", nargs="+", help="inferences, as `run` takes them")
    add_random(fed, f"noise, --limit N of it (default: {TRIED} inputs, of seed 0)")
    add_part(parser)
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one a line, the first for class 0")
    add_digit(parser)
    parser.add_argument("-o", "--output", metavar="FOLDER", help="keep what differs there, for `refengine diff`")
    parser.add_argument("--keep", metavar="N", type=positive, help=f"with -o: at most so many (default: {KEPT})")
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=positive,
        default=int(PATIENCE),
        help="to wait for a line that was lost (default: %(default)s)",
    )
    add_sound(parser)
    add_json(parser)


def command(args: argparse.Namespace, plan: Plan, connect: Callable[[], Device]) -> int:
    """Run the samples; 0 if every step of each is refengine's, 1 if not, 2 if the line was lost for good."""
    if args.output is None:
        leave_out(args, "nothing is kept without -o FOLDER", "keep")
    elif any(Path(path).resolve().parent == Path(args.output).resolve() for path in args.input or ()):
        raise InputError(f"-o {args.output}: files of --input are there, which may be lost; give another folder")
    source = _source(args, plan)
    found, failure, status = None, None, 0
    with Board(connect, plan, args.patience) as board:
        keeper = _Keeper(args, board)
        try:
            with progress_bar() as bar:
                task = bar.add_task("samples", total=source.total)
                for found in validate(board, source.samples, keeper.keep):
                    bar.update(task, completed=found.samples)
        except KeyboardInterrupt as signal:
            if found is None:
                raise
            status = ended(signal)
        except DeviceError as error:
            if found is None:
                raise
            failure = error
        if found is not None:
            report = _Report(args, board, found, source, keeper, interrupted=bool(status))
            report.print_json() if args.json else report.print()
            status = status or int(bool(found.differing))
    if failure:
        raise failure
    return status


class _Source:
    """The samples, how many they are, what they are called, and the classes' names."""

    def __init__(self, samples: Iterator[Sample], total: int, name: str, names: tuple[str, ...] = ()) -> None:
        self.samples, self.total, self.name, self.names = samples, total, name, names


def _source(args: argparse.Namespace, plan: Plan) -> _Source:
    names = tuple(read_names(args.labels))
    if args.data:
        require_files(args, plan, args.data)
        warn_of_files(args, plan, args.data)
        data = classes(args.data, split_of(args, [args.data]), names, plan.memory).first(args.limit)
        with located(data.name):
            require_labels(data.y, class_count(plan))
        return _Source(
            _labelled(args, plan, data),
            len(data.x),
            f"the first {len(data.x)} of {data.name}" if args.limit else data.name,
            tuple(data.names) or names,
        )
    leave_out(args, "without --data there are no parts of it", "split")
    if args.input:
        ears = ears_of(plan, args)
        cases = [*read_inputs(plan, args.input, digit=args.digit, real_range=args.range, hear=ears.hear)]
        if plan.initial:
            each = [Sample(name, held(plan, name, arrays)) for name, arrays in cases][: args.limit]
            return _Source(iter(each), len(each), f"{counted(len(each), 'sequence')} of {' '.join(args.input)}")
        each = [Sample(name, [inputs]) for name, arrays in cases for inputs in held(plan, name, arrays)][: args.limit]
        return _Source(iter(each), len(each), f"{counted(len(each), 'inference')} of {' '.join(args.input)}")
    leave_out(args, "without --data and --input there is noise", "digit")
    count, seed = args.limit or TRIED, args.random or 0
    noise = (Sample(f"noise {i}", [inputs]) for i, inputs in enumerate(inputs_of(plan, count, seed)))
    return _Source(noise, count, f"{counted(count, 'input')} of noise (seed {seed})")


def _labelled(args: argparse.Namespace, plan: Plan, data: Classes) -> Iterator[Sample]:
    ears = ears_of(plan, args)
    for place, label in enumerate(data.y.tolist()):
        if isinstance(data.x, list):
            name = data.x[place]
            with located(name):
                cases = read_inputs(plan, [name], digit=args.digit, real_range=args.range, hear=ears.hear)
                inferences = [inputs for _, arrays in cases for inputs in frames(plan, arrays)]
        else:
            name = f"{data.name}[{place}]"
            (sequence,) = sequences_of(plan, data.x[place : place + 1], args.range)
            inferences = [(x.reshape(plan.inputs[0].shape),) for x in sequence]
        yield Sample(name, inferences, label)


class _Keeper:
    """Writes the first inferences that differ, at most `--keep` of them, into the folder of `-o`."""

    def __init__(self, args: argparse.Namespace, board: Board) -> None:
        self.board = board
        self.folder = Path(args.output) if args.output else None
        self.most, self.kept = args.keep or KEPT, list[Path]()
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)

    def keep(self, place: int, sample: Sample, inputs: tuple[Array, ...], before: Inferences) -> None:
        if self.folder is None or len(self.kept) == self.most:
            return
        path = self.folder / f"sample{place:05}.npz"
        if path not in self.kept:
            self.board.record(inputs, before).save(path)
            self.kept.append(path)


class _Report:
    def __init__(
        self,
        args: argparse.Namespace,
        board: Board,
        found: Validation,
        source: _Source,
        keeper: _Keeper,
        interrupted: bool,
    ) -> None:
        self.args, self.board, self.found, self.source = args, board, found, source
        self.keeper, self.interrupted = keeper, interrupted

    @property
    def hertz(self) -> int:
        return self.board.device.info.ticks_per_second

    def print(self) -> None:
        found, info = self.found, self.board.device.info
        after = "" if found.samples == self.source.total else f", stopped after {found.samples} of {self.source.total}"
        say(f"{self.args.model} on {info.board}: {self.source.name}{after}")
        same = found.samples - len(found.differing)
        say(f"bit for bit as refengine computes it, in every step: {same} of {found.samples} samples")
        if found.theirs is not None and found.mine is not None:
            count = int(found.theirs.sum())
            theirs, mine = (int(table.trace()) for table in (found.theirs, found.mine))
            say(f"accuracy on the device {theirs / count:.2%} ({theirs} of {count}), by refengine {mine / count:.2%}")
            print_table(confusion_table(found.theirs, self.source.names))
        print_table(self._outputs())
        print_table(self._steps())
        say(*self._differing())
        if found.lost:
            say(f"the line was lost and found again {counted(found.lost, 'time')}")
        if found.restarts:
            say(f"the board began anew {counted(found.restarts, 'time')}: it was reset, or resets itself")
        if found.inferences and not any(step.ticks for step in found.steps):
            say(STILL)
        say(f"numerics: {info.numerics}")

    def _outputs(self) -> Any:
        table = table_of("output", "equal", "RMSE", "MAE", "L2r", "NSE", "cosine")
        for each in self.found.outputs:
            shares = f"{each.equal:,} of {each.elements:,}"
            table.add_row(each.tensor.name, shares, *(_figure(getattr(each, name)) for name in FIGURES))
        return table

    def _steps(self) -> Any:
        table = table_of("#", "operator", "ms: mean", "least", "most", "share", "differs in")
        for column in table.columns[2:]:
            column.justify = "right"
        whole = sum(step.ticks for step in self.found.steps)
        for told, step in zip(self.board.device.steps, self.found.steps, strict=True):
            times = (step.ticks / max(step.runs, 1), step.least, step.most)
            milliseconds = (f"{1000 * ticks / self.hertz:.3f}" for ticks in times)
            share = f"{step.ticks / whole:.1%}" if whole else "-"
            differs = f"{step.differing} of {step.runs}" if step.differing else "-"
            table.add_row(str(told.operator_index), told.operator_name, *milliseconds, share, differs)
        return table

    def _differing(self) -> Iterator[str]:
        found = self.found
        if not found.differing:
            return
        names = [f"{place} ({name})" for place, name in found.differing[:TOLD]]
        yield f"different: {', '.join(names)}" + (" …" if len(found.differing) > TOLD else "")
        if self.keeper.kept:
            yield f"kept {len(self.keeper.kept)}; why: refengine diff {self.args.model} {self.keeper.kept[0]}"
        else:
            yield "-o FOLDER keeps them, and refengine diff tells why"

    def print_json(self) -> None:
        found, info = self.found, self.board.device.info
        confusion = None if found.theirs is None else found.theirs.tolist()
        mine = None if found.mine is None else found.mine.tolist()
        print_json({
            "model": self.args.model,
            "sha256": info.sha256,
            "board": info.board,
            "numerics": info.numerics,
            "data": self.source.name,
            "samples": found.samples,
            "inferences": found.inferences,
            "interrupted": self.interrupted,
            "lost": found.lost,
            "restarts": found.restarts,
            "differing": [{"sample": place, "name": name} for place, name in found.differing],
            "kept": [*map(str, self.keeper.kept)],
            "confusion": confusion,
            "refengine_confusion": mine,
            "names": list(self.source.names),
            "outputs": [
                identified(each.tensor.index, each.tensor.name)
                | {"elements": each.elements, "equal": each.equal}
                | {name: None if isnan(value := getattr(each, name)) else value for name in FIGURES}
                for each in found.outputs
            ],
            "steps": [
                {
                    "operator": identified(told.operator_index, told.operator_name),
                    "ticks": {"mean": step.ticks / max(step.runs, 1), "least": step.least, "most": step.most},
                    "differing": step.differing,
                }
                for told, step in zip(self.board.device.steps, found.steps, strict=True)
            ],
            "ticks_per_second": info.ticks_per_second,
        })  # fmt: skip


def _figure(value: float) -> str:
    return "-" if isnan(value) else f"{value:.6g}"
