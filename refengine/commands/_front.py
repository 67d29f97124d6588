"""What the commands share: finding models, common arguments, and printing that suits terminals and pipes."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..errors import InferenceError, InputError, located
from ..execute import frames
from ..kernel import PRESETS
from ..memory import MEMORY, byte_count
from ..model import Array, Tensor
from ..numerics.quantize import FLOAT_MAX
from ..plan import Plan
from ..processes import Terminated
from ..reading.cut_off import Intake
from ..reading.paper import on_paper
from ..session import Session
from ..state import State
from ..tasks.audio import BUNDLED, NONE, Ears
from ..tasks.recognition import TASKS
from ..tensors.arrays import read_bytes
from ..tensors.images import read_inputs
from ..tensors.inputs import PixelRange
from ..text import SCHEMA, as_json, counted, hung, printable

FAILED, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # the last two as shells have it: 128 + the signal's number
CHIPS = "which chip has which: refengine manual dialects"
FEW = 8
"""Files that are told of one by one."""

WARNED: list[str] = []
"""What this command has warned of so far."""

WRITTEN = ("output", "html", "plots", "equalized", "reveal", "save")
"""The options that name what is written."""


def add_model(parser: argparse.ArgumentParser) -> None:
    """The argument MODEL."""
    parser.add_argument("model", metavar="MODEL", help="a .tflite file or the name of a bundled network")


def add_memory(parser: argparse.ArgumentParser) -> None:
    """The option --memory SIZE."""
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        type=bytes_allowed,
        default=MEMORY,
        help="what inferences and inputs may take: bytes, or with K, M or G (default: 1G)",
    )


def add_numerics(parser: argparse.ArgumentParser) -> None:
    """The option --numerics PRESET."""
    parser.add_argument(
        "--numerics",
        metavar="PRESET",
        choices=PRESETS,
        default="tflm",
        help=f"whose arithmetic: {', '.join(PRESETS)} (default: %(default)s)",
    )


def add_dialects(parser: argparse.ArgumentParser) -> None:
    """The option --numerics PRESET, or two."""
    parser.add_argument(
        "--numerics",
        metavar="PRESET[,OTHER]",
        type=one_or_two,
        default=["tflm"],
        help=f"whose arithmetic: {', '.join(PRESETS)} (default: tflm), or KERNELS/TARGET; with two, how they differ",
    )


def one_or_two(text: str) -> list[str]:
    """The names of one dialect, or of two."""
    names = text.split(",")
    if unknown := [name for name in names if name not in PRESETS]:
        raise argparse.ArgumentTypeError(
            f"there is no dialect {unknown[0]!r}; choose from {', '.join(PRESETS)}; {CHIPS}"
        )
    if len(names) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} are {len(names)} dialects; give one, or two to compare")
    return names


def add_partial(parser: argparse.ArgumentParser) -> None:
    """The option --partial."""
    parser.add_argument(
        "--partial",
        action="store_true",
        help="leave out the operators that would be refused, such as another vendor's, and do what can be done without",
    )


def add_given(parser: argparse.ArgumentParser) -> None:
    """The options --partial and --given DUMP."""
    add_partial(parser)
    parser.add_argument(
        "--given",
        metavar="DUMP",
        help="with --partial: the tensors behind what is left out, by name or index, in one inference (as diff reads "
        "dumps); the rest goes on from there",
    )


def given(plan: Plan, args: argparse.Namespace) -> dict[int, Array]:
    """The tensors of --given that depend on a gap, by index; what the plan computes itself, it computes."""
    if args.given and not args.partial:
        raise InputError("--given is for what --partial leaves out: say --partial, too")
    if not args.given:
        return {}
    from ..judge.dumps import read_dump  # with the whole judge, which few commands need

    behind = plan.behind()
    return {i: x for i, x in read_dump(plan, args.given).tensors.items() if i in behind}


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print JSON")


class _TwoEnds(argparse.Action):
    """Takes two numbers that differ."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: Any = None
    ) -> None:
        if values[0] == values[1]:
            parser.error(f"argument --range: black and white are both {values[0]:g}; give two values that differ")
        setattr(namespace, self.dest, values)


def add_range(parser: argparse.ArgumentParser) -> None:
    """The option --range BLACK WHITE."""
    parser.add_argument(
        "--range",
        nargs=2,
        type=finite,
        action=_TwoEnds,
        metavar=("BLACK", "WHITE"),
        help="real values of black and white (default: as the input's quantisation or the first layers tell, else 0 1)",
    )


def add_digit(parser: argparse.ArgumentParser) -> None:
    """The option --digit."""
    parser.add_argument(
        "--digit",
        action="store_true",
        help="pictures in files are drawn digits: crop, thicken, centre and scale them as MNIST's are",
    )


def add_random(parser: argparse._ActionsContainer, help: str) -> None:
    """The option --random [SEED]: the same for the same seed."""
    parser.add_argument("--random", metavar="SEED", nargs="?", type=natural, const=0, help=help)


def add_task(parser: argparse.ArgumentParser) -> None:
    """The options --task and --labels, for `task_of` and `read_names`."""
    parser.add_argument("--task", choices=TASKS, help="what the outputs mean (default: as the graph tells)")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one a line, the first for class 0")


def read_names(path: str | None) -> list[str]:
    """The lines of --labels, none without it."""
    if path is None:
        return []
    with located(path):
        data = read_bytes(path, MEMORY)
    return data.decode(errors="replace").splitlines()


def named(names: Sequence[str] | Mapping[int, str], label: int) -> str:
    """A class by its number, and its name if it has one."""
    known = names if isinstance(names, Mapping) else dict(enumerate(names))
    return f"{label} ({known[label]})" if label in known else str(label)


def sureness(score: float, is_probability: bool) -> str:
    """What a class's score says, which is a confidence if it is a probability."""
    return f"confidence {score:.4f}" if is_probability else f"score {score:.6g} (no probability)"


def add_sound(parser: argparse.ArgumentParser) -> None:
    """The options --front-end, --step, --hop and --resample, for `ears_of`."""
    sounds = parser.add_argument_group("sounds (.wav)")
    sounds.add_argument(
        "--front-end",
        metavar="NAME",
        help=f"what makes features of samples: {', '.join(BUNDLED)}, {NONE} (the samples as they are) or a .tflite "
        "file that computes them (default: as the input's shape tells, where it leaves no doubt)",
    )
    sounds.add_argument(
        "--step",
        metavar="N",
        type=positive,
        help="samples between two of its windows (default: its own; of a file, a window)",
    )
    sounds.add_argument(
        "--hop",
        metavar="N",
        type=positive,
        help="rows of features, or samples, between two inferences (default: as many as one takes)",
    )
    sounds.add_argument(
        "--resample", metavar="HZ", type=positive, help="so many samples a second, by refengine's own arithmetic"
    )


OF_SOUNDS = ("front_end", "step", "hop", "resample")
"""Its options, as `leave_out` names them."""


def ears_of(plan: Plan, args: argparse.Namespace) -> Ears:
    """Who hears the sounds among the inputs."""
    return Ears(plan, args.front_end, args.step, args.hop, args.resample)


def heard_json(ears: Ears) -> dict[str, Any] | None:
    """What was made of sounds (files that worker processes heard are not listed); null if there were none."""
    if not ears.are_used:
        return None
    made = ears.front_end
    facts = {"front_end": made.name, "reason": made.reason, "window": made.window, "step": made.step, "fed": made.fed}
    return facts | {"files": [each.as_dict() for each in ears.heard]}


def print_heard(ears: Ears) -> None:
    """What was made of sounds; of many files, of all together."""
    if not ears.are_used:
        return
    if len(ears.heard) <= FEW:
        say(*(f"{each.path}: {each}" for each in ears.heard))
    else:
        seconds, inferences = sum(each.seconds for each in ears.heard), sum(each.inferences for each in ears.heard)
        filled, cut = (sum(map(bool, ends)) for ends in zip(*((s.added, s.left_out) for s in ears.heard), strict=True))
        say(f"{counted(len(ears.heard), 'sound')} of {seconds:,.4g} s: {counted(inferences, 'inference')}")
        say(*(f"  {count:,}: {kind}" for kind, count in Counter(each.kind for each in ears.heard).items()))
        say(f"  silence added to {filled:,}, the end left out of {cut:,}")
    made = ears.front_end
    say(f"front end: {made}")
    if made.reason != "given":
        say(f"  guessed: {made.reason}; --front-end NAME changes it")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The options --jobs N and --scheduler ADDRESS, for `parallel.workers`."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", metavar="N", type=positive, default=1, help="processes (default: %(default)s)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's instead, such as tcp://host:8786")


def finite(text: str) -> float:
    if not abs(number := float(text)) <= FLOAT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is no finite number in float32")
    return number


def add_one_input(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The options --input, --index, --digit, --range and those of sounds, of commands that look at one inference."""
    parser.add_argument(
        "--input", metavar="FILE", nargs="+", required=required, help="one inference: a picture, .npy, .npz, .raw, .wav"
    )
    parser.add_argument("--index", metavar="I", type=int, help="which inference, where there are several (from 0)")
    add_digit(parser)
    add_range(parser)
    add_sound(parser)


def one_inference(plan: Plan, args: argparse.Namespace, ears: Ears | None = None) -> tuple[Array, ...]:
    """The input arrays that --input, and --index where it holds several inferences, choose."""
    return chosen_inference(plan, args, ears)[0]


def chosen_inference(
    plan: Plan, args: argparse.Namespace, ears: Ears | None = None, intake: Intake | None = None
) -> tuple[tuple[Array, ...], State]:
    """The same, and the state before it: what the inferences before it have left."""
    streams = every_stream(plan, args.input, args, ears, intake)
    found = [each for stream in streams for each in stream]
    index = 0 if args.index is None else args.index
    if not 0 <= index < len(found) or (args.index is None and len(found) > 1):
        held = f"{' '.join(args.input)}: {counted(len(found), 'inference')}"
        raise InputError(f"{held}; choose one by --index, counted from 0")
    return found[index], state_after(plan, before(streams, index) if plan.initial else ())


def every_inference(
    plan: Plan, paths: list[str], args: argparse.Namespace, ears: Ears | None = None, intake: Intake | None = None
) -> list[tuple[Array, ...]]:
    """The inferences that files hold, one after the other; `ears` and `intake` as `every_stream` has them."""
    return [each for stream in every_stream(plan, paths, args, ears, intake) for each in stream]


def every_stream(
    plan: Plan, paths: list[str], args: argparse.Namespace, ears: Ears | None = None, intake: Intake | None = None
) -> list[list[tuple[Array, ...]]]:
    """The same of each file by itself, as `run --stream` takes it; `ears` know afterwards what was made of sounds, and
    an `intake` what was cut off."""
    hear = (ears or ears_of(plan, args)).hear
    cases = read_inputs(plan, paths, digit=args.digit, real_range=args.range, real=intake is not None, hear=hear)
    return [held(plan, name, intake(arrays) if intake else arrays) for name, arrays in cases]


def before(streams: Iterable[list[tuple[Array, ...]]], index: int) -> list[tuple[Array, ...]]:
    """Those in front of the `index`-th inference of all, in its own stream."""
    for stream in streams:
        if index < len(stream):
            return stream[:index]
        index -= len(stream)
    return []


def held(plan: Plan, name: str, arrays: tuple[Array, ...]) -> list[tuple[Array, ...]]:
    """The inferences that files hold, of which a refusal tells the `name`."""
    with located(name):
        return frames(plan, arrays)


def state_after(plan: Plan, inferences: Iterable[tuple[Array, ...]]) -> State:
    """What lives on after inferences, one after the other from the first one on, as far as TFLM runs each."""
    *_, state = states_through(plan, inferences)
    return state


def states_through(plan: Plan, inferences: Iterable[tuple[Array, ...]]) -> Iterator[State]:
    """What lives on before the first of inferences, then after each of them."""
    session = Session(plan)
    yield session.state
    for inputs in inferences:
        with suppress(InferenceError):
            session.run(*inputs)
        yield session.state


def warn_of_paper(args: argparse.Namespace, plan: Plan, files: Iterable[str | os.PathLike[str]]) -> None:
    """That pictures look like ink on paper, unless it is said how to prepare them."""
    if not args.digit and args.range is None:
        warn(*filter(None, [on_paper(plan, files)]))


def leave_out(args: argparse.Namespace, why: str, *names: str) -> None:
    """Raise `InputError` if options are given that would do nothing; `why` says beside what."""
    given = {name: getattr(args, name) for name in names}
    if idle := [called(name) for name, value in given.items() if not (value is None or value is False or value == [])]:
        raise InputError(f"{why}: leave out {', '.join(idle)}")


def require_apart(args: argparse.Namespace) -> None:
    """Raise `InputError` if what a command would write is a file, or a folder, that it reads."""
    options = {name: value if isinstance(value, list) else [value] for name, value in vars(args).items()}
    given = [(name, path) for name, paths in options.items() for path in paths if isinstance(path, str)]
    for wanted, path in given:
        for name, other in given if wanted in WRITTEN else ():
            if name not in WRITTEN and is_same(path, other):
                raise InputError(
                    f"{called(wanted)} {path}: {called(name)} is that, and would be lost; give another name"
                )


def is_same(path: str, other: str) -> bool:
    """Whether both name one file or folder that is there: no device, pipe, or name of something else."""
    return all(os.path.isfile(each) or os.path.isdir(each) for each in (path, other)) and os.path.samefile(path, other)


def called(name: str) -> str:
    """An argument as one types it."""
    return {"model": "MODEL", "dump": "DUMP", "output": "-o"}.get(name, f"--{name.replace('_', '-')}")


def positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return int(text)


def bytes_allowed(text: str) -> int:
    try:
        return byte_count(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def print_ranges(ranges: Iterable[PixelRange]) -> None:
    """What black and white were taken for, why, and how to change it."""
    for each in ranges:
        why = "as --range says" if each.known_from == "given" else f"{each.reason}; --range BLACK WHITE changes it"
        say(f"pictures of '{each.input}': black is {each.black:g}, white {each.white:g} ({why})")


def heading(args: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    numerics = args.numerics if isinstance(args.numerics, str) else args.numerics[0]
    return {"model": args.model, "sha256": plan.model.sha256, "numerics": numerics}


def type_of(tensor: Tensor) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"


def numbers(values: Any) -> str:
    """Nested lists of numbers in one line; float32 with all digits that tell."""
    if isinstance(values, list):
        return f"[{' '.join(map(numbers, values))}]"
    return f"{values:.9g}" if isinstance(values, float) else str(values)


def terminal_width() -> int:
    """Columns of the terminal that is printed to; 100 in a pipe."""
    if not sys.stdout.isatty():
        return 100
    from shutil import get_terminal_size  # brings compressions

    return get_terminal_size().columns


def say(*lines: object) -> None:
    """Print lines, whatever foreign text they hold: nothing else but tables, JSON and errors reaches the terminal.

    Where that is one, long lines go on in their last column.
    """
    for line in lines:
        told = printable(line)
        print(*(hung(told, terminal_width()) if sys.stdout.isatty() else [told]), sep="\n")


def print_json(value: dict[str, Any]) -> int:
    """Print a document, see `text`; every one of a command is of this schema, and has what was warned of before."""
    warnings = {"warnings": [*WARNED]} if WARNED else {}
    print(as_json({"schema": SCHEMA} | warnings | value))
    return 0


def ended(signal: KeyboardInterrupt) -> int:
    """The exit status after Ctrl-C, or another signal."""
    return 128 + signal.number if isinstance(signal, Terminated) else INTERRUPTED


def warn(*lines: object) -> None:
    """Lines on stderr, of what a result is worth, and in the document of --json."""
    for line in lines:
        WARNED.append(str(line))
        print(f"refengine: warning: {printable(line)}", file=sys.stderr)


def fail(why: str | Exception) -> int:
    """One line on stderr; of the operating system's errors, the file and the reason."""
    if isinstance(why, OSError) and why.filename:
        why = f"{why.filename}: {why.strerror}"
    print(f"refengine: {printable(why)}", file=sys.stderr)
    return FAILED
