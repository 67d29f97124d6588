"""Try your own kernels against the golden model, on cases weighted to the known traps.

Adapt your kernels to the C interface (--header prints it, --example a complete adapter), or give a Python callable that
takes a refengine.fuzzer.Case, or a command that reads and writes files. Every operator and type is tried by default;
what your kernels do not claim to compute they may skip. Outputs are compared bit for bit. The first failure of each
operator is shrunk to the smallest case, and told with the dialect or known fault that explains all failing ones, and
how certain that is: certain, likely or open. Then it is set aside, and the search goes on for the next fault; what you
know already you can --exclude: by a trait as findings tell it ("groups of channels", "2 as zero point of the *",
"CONV_2D: padding"), or by the weights' type (int4).

Kernels in an emulator or on a board take cases from refengine_server.c (--server prints it), which is compiled into the
image. With --emulator a command runs the image, and its standard input and output are the line, by semihosting or as a
process; with --port the line is a serial port or a socket.

A COMMAND contains {model}, the path of a .tflite file of one operator, {inputs}, those of one file for each of its
inputs, and {outputs}, those of the files to write, one for each output: raw bytes, in C order, little-endian. {npz} is
that of an .npz with all inputs by name. Of an operator with state the inputs are those of several inferences, one
behind another, and the outputs those of the last. It exits with 0, or with 77 for what it does not claim to compute.

exit status: 0 everything is equal, 1 something failed, 2 it could not be tried, or the kernels claim nothing of it
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..fuzzer import (
    Case,
    Command,
    Door,
    Emulator,
    Library,
    Port,
    Result,
    callable_of,
    fuzz,
    replay,
    replayed,
    save,
    told,
)
from ..fuzzer.files import EXAMPLE, HEADER, SERVER, read_stream, stem
from ..fuzzer.search import FINDINGS, chosen
from ..fuzzer.text import HEADINGS, row, summary
from ..kernel import PRESETS
from ..parallel import workers
from ..plan import make_plan
from ..processes import command_of
from ..tensors.images import read_inputs
from ..text import counted
from ._front import FAILED, add_json, add_memory, add_numerics, add_workers, ended, leave_out, positive, print_json, say
from ._tables import print_table, progress_bar, table_of

DOORS = ("library", "callable", "command", "emulator", "port")
"""The options that lead to kernels."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s KERNELS [options]"  # one of the group, which argparse would not wrap
    door = parser.add_argument_group("KERNELS, one of").add_mutually_exclusive_group()
    door.add_argument("--library", metavar="FILE", help="a shared library with refengine_kernel (see --header)")
    door.add_argument("--callable", metavar="MODULE:FUNCTION", help="a Python callable")
    door.add_argument("--command", metavar="COMMAND", dest="words", help="a command with {model} {inputs} {outputs}")
    door.add_argument("--emulator", metavar="COMMAND", help="a command that runs an image with refengine_server.c")
    door.add_argument("--port", metavar="PORT", help="such an image's line: /dev/ttyACM0, socket://host:port")
    door.add_argument("--header", action="store_true", help="print the C interface, refengine_fuzz.h")
    door.add_argument("--example", action="store_true", help="print a complete adapter to start from")
    door.add_argument("--server", action="store_true", help="print the server for emulators, refengine_server.c")
    parser.add_argument("--baud", type=positive, default=115200, help="of a serial port (default: %(default)s)")
    parser.add_argument("--operator", metavar="OP", nargs="+", help="such as CONV_2D (default: all)")
    parser.add_argument("--type", metavar="TYPE", nargs="+", help="of the first input, such as int8 (default: all)")
    parser.add_argument(
        "--cases", metavar="N", type=positive, default=1000, help="of each operator and type (default: %(default)s)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="other cases (default: %(default)s)")
    parser.add_argument("--spec", action="store_true", help="draw only what TFLite's quantization specification allows")
    parser.add_argument("--exclude", metavar="TRAIT", nargs="+", default=[], help="skip cases that have it")
    parser.add_argument(
        "--findings", metavar="N", type=positive, default=FINDINGS, help="faults of each (default: %(default)s)"
    )
    parser.add_argument("--time-out", metavar="SECONDS", type=positive, help="one case may take (default: 2; 10; 60)")
    parser.add_argument("--save", metavar="DIR", help="write each smallest failing case: .tflite, .npz and a C test")
    parser.add_argument("--replay", metavar="FILE", help="try one saved case, FILE.tflite, instead")
    parser.add_argument("--input", metavar="FILE", nargs="+", help="with --replay: its inputs (default: FILE.npz)")
    add_memory(parser)
    add_numerics(parser)
    add_workers(parser)
    add_json(parser)


def command(args: argparse.Namespace) -> int:
    for wanted, file in ((args.header, HEADER), (args.example, EXAMPLE), (args.server, SERVER)):
        if wanted:
            say(*file.read_text(encoding="utf-8").splitlines())
            return 0
    if args.replay:
        leave_out(args, "--replay tries one case", "operator", "type", "spec", "exclude")
    else:
        leave_out(args, "--input is for --replay", "input")
    door = _door(args)
    results: list[Result] = []
    status = 0
    try:
        if args.replay:
            results.append(replay(door, _saved(args)))
        else:
            _search(args, door, results)
    except KeyboardInterrupt as signal:
        status = ended(signal)
    written = [path for result in results if result.finding and args.save for path in save(result, Path(args.save))]
    if args.json:
        print_json(
            {
                "kernels": _kernels(args),
                "numerics": args.numerics,
                "seed": args.seed,
                "interrupted": bool(status),
                "results": [result.as_dict() for result in results],
                "written": [*dict.fromkeys(map(str, written))],
            }
        )
    else:
        _show(args, results, interrupted=bool(status))
    if results and not any(result.skipped < result.cases for result in results):
        return status or FAILED  # an adapter that recognises no operator must not pass
    return status or int(any(result.failing for result in results))


def _door(args: argparse.Namespace) -> Door:
    """The way to the kernels that the arguments give."""
    patience = {} if args.time_out is None else {"time_out": args.time_out}
    if args.library:
        if not Path(args.library).exists():
            raise InputError(f"{args.library}: no such file")
        return Library(args.library, **patience)
    if args.words:
        return Command(args.words, **patience)
    if args.callable:
        return callable_of(args.callable)
    if args.emulator:
        return Emulator(args.emulator, **patience)
    if args.port:
        if args.jobs > 1 or args.scheduler:
            raise InputError(f"{args.port} leads to one board; leave out --jobs and --scheduler")
        return Port(args.port, args.baud, **patience)
    raise InputError(
        "fuzz needs --library FILE, --callable MODULE:FUNCTION, --command COMMAND, --emulator COMMAND or --port PORT"
    )


def _kernels(args: argparse.Namespace) -> str:
    name: str = args.library or args.callable or args.words or args.emulator or args.port
    return name


def _saved(args: argparse.Namespace) -> Case:
    """The case that --replay names, with the inputs saved beside it unless --input gives others."""
    model = Path(args.replay)
    plan, tensors = make_plan(model, numerics=PRESETS[args.numerics], memory=args.memory), model.with_suffix(".npz")
    if not args.input and (stream := read_stream(plan, tensors)) is not None:
        return stream
    found = [arrays for _, arrays in read_inputs(plan, args.input or [str(tensors)])]
    if len(found) != 1:
        raise InputError(f"--input: {counted(len(found), 'inference')}; --replay takes one")
    return replayed(plan, found[0])


def _search(args: argparse.Namespace, door: Door, results: list[Result]) -> None:
    """Append the results as they come, so that they are there if Ctrl-C ends the search."""
    pairs = chosen(args.operator, args.type)
    with workers(args.jobs, args.scheduler) as executor, progress_bar() as bar:
        task = bar.add_task("cases", total=len(pairs) * args.cases)
        for result in fuzz(
            door,
            args.operator,
            args.type,
            cases=args.cases,
            seed=args.seed,
            numerics=PRESETS[args.numerics],
            spec=args.spec,
            exclude=args.exclude,
            findings=args.findings,
            executor=executor,
            progress=lambda cases: bar.advance(task, cases),
        ):
            results.append(result)  # noqa: PERF402  one by one: they are there when Ctrl-C comes


def _show(args: argparse.Namespace, results: list[Result], interrupted: bool) -> None:
    table = table_of(*HEADINGS)
    for column in table.columns[2:]:
        column.justify = "right"
    for result in results:
        if result.skipped < result.cases:
            table.add_row(*row(result))
    say(f"{_kernels(args)} against the golden model, numerics: {PRESETS[args.numerics]}")
    if table.row_count:
        print_table(table)
    for result in results:
        if result.failing:
            say(*told(result), *(_again(args, result) if args.save else ()), "")
    say(("interrupted; until then, " if interrupted else "") + summary(results))
    if args.exclude and not any(result.skipped for result in results):
        say(f"nothing was excluded: no case had {' or '.join(map(repr, args.exclude))}")


def _again(args: argparse.Namespace, result: Result) -> list[str]:
    """Where a case was saved, and how to see it again."""
    option = next(f"--{name}" for name in DOORS if getattr(args, name if name != "command" else "words"))
    numerics = [] if args.numerics == "tflm" else ["--numerics", args.numerics]
    lines = []
    for i, finding in enumerate(result.findings):
        path, has_test = stem(result, i, Path(args.save)), not finding.case.step.memory
        words = ["refengine", "fuzz", option, _kernels(args), *numerics, "--replay", f"{path}.tflite"]
        files = ".npz and .c" if has_test else "and .npz"
        lines += [
            f"  saved as {path}.tflite, {files}; to see it again:".replace(", and", " and"),
            f"    {command_of(words)}",
        ]
        if args.library and has_test:
            library = args.library if "/" in args.library else f"./{args.library}"
            lines.append(f"    {command_of(['cc', f'-I{args.save}', f'{path}.c', library, '-o', 'test'])} && ./test")
    return lines
