"""Judge a device's tensors: where they differ from the golden model's, where that begins, and why.

DUMP is what `refengine device record` or the debugger's save wrote, any .npz with tensors by name or index (14, t14),
a folder of .npy, .raw and .bin so called, or a log in text that has them (t14: 1 2 3, int8_t t14[] = {1, 2}, CSV, xxd);
it may hold some of the tensors only. With --port the device itself is asked;
with --arena an image of its memory is read, as gdb's `dump memory` writes it.
Each step is judged again on the device's own inputs, which tells culprits from
victims; culprits are replayed under every dialect and every known fault.

exit status: 0 everything is the same, 1 something differs, 2 it could not be compared
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..device import Device, connect, entry_names, numerics_of, record
from ..errors import InputError, ModelError, UnsupportedError
from ..files import write, write_npz
from ..judge import Dump, Report, diff, read_dump, tapped, with_weights_of
from ..judge.arena import LAYOUTS, read_arena
from ..judge.page import as_html
from ..judge.revealing import as_c, separating
from ..judge.text import HEADINGS, rows, told
from ..kernel import PRESETS
from ..model import Array
from ..plan import Plan, make_plan
from ..reading.cut_off import Intake
from ..text import printable
from ..tflite_io import load
from ._front import (
    OF_SOUNDS,
    add_json,
    add_memory,
    add_model,
    add_one_input,
    add_partial,
    before,
    chosen_inference,
    ears_of,
    every_inference,
    every_stream,
    leave_out,
    natural,
    positive,
    print_heard,
    print_json,
    say,
    states_through,
    warn,
)
from ._tables import print_table, progress_bar, table_of

OLDER = 4
"""So many inferences back, a device may have the state of one still."""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_partial(parser)
    parser.add_argument("dump", metavar="DUMP", nargs="?", help="an .npz, a folder of .npy, .raw or .bin, or a log")
    parser.add_argument("--sample", type=natural, default=0, metavar="N", help="which inference of a log (from 0)")
    parser.add_argument(
        "--port", metavar="PORT", help="ask a device instead: /dev/ttyUSB0, socket://host:port, qemu:BOARD"
    )
    image = parser.add_argument_group("memory images")
    image.add_argument(
        "--arena", metavar="FILE", help="an image of the arena, read instead: by TFLM's plan or the C export's"
    )
    image.add_argument(
        "--after", metavar="K", type=int, help="taken when operator K had run and none after it (default: the last)"
    )
    image.add_argument("--layout", choices=LAYOUTS, help="whose plan (default: the one of which the image shows more)")
    image.add_argument(
        "--at", metavar="BYTE", type=natural, default=0, help="where in FILE the arena begins (default: 0)"
    )
    parser.add_argument("--bisect", action="store_true", help="with --port: CRCs first, then only the tensors needed")
    add_one_input(parser, required=False)
    parser.add_argument(
        "--numerics",
        metavar="PRESET",
        choices=PRESETS,
        help=f"whose arithmetic it should be: {', '.join(PRESETS)} (default: what the recording says, or tflm)",
    )
    parser.add_argument(
        "--previous", metavar="DUMP", help="a dump of the inference before: what stale buffers may hold"
    )
    parser.add_argument(
        "--state-inputs",
        metavar="FILE",
        nargs="+",
        help="the inputs of all inferences before, of a model that remembers: its state is computed from them "
        "(default: those before --index in --input; else what --previous left, a recording found, or is at the start)",
    )
    parser.add_argument(
        "--among",
        metavar="DIR",
        help="a folder of .tflite files of this network, older ones say: whose weights the device may have",
    )
    parser.add_argument(
        "--reveal",
        metavar="FILE",
        help="where several causes are left, write an input on which they part, an .npz or C arrays (.h), which the "
        "device is to run next; with --port it does at once, and that is judged as well",
    )
    parser.add_argument("--html", metavar="FILE", help="also write a self-contained page")
    parser.add_argument("--baud", type=positive, default=115200, help="of a serial port (default: %(default)s)")
    parser.add_argument("--timeout", type=positive, default=30, metavar="SECONDS", help="a device's step may take")
    parser.add_argument(
        "--fault", metavar="NAME", help="break qemu:'s firmware on purpose, see firmware/faults/faults.h"
    )
    parser.add_argument("--tap", nargs=0, action=_Tap, help="print a header by which firmware with TFLM prints a log")
    add_json(parser)


class _Tap(argparse.Action):
    """Prints the header and ends, whatever else is given, as ``--version`` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ..device.qemu import FIRMWARE  # brings the export

        say(*(FIRMWARE / "tflm" / "refengine_tap.h").read_text(encoding="utf-8").splitlines())
        parser.exit()


def command(args: argparse.Namespace) -> int:
    if [args.dump, args.port, args.arena].count(None) != 2:
        raise InputError("diff needs DUMP, --port PORT or --arena FILE, and one of them")
    if args.arena is None and (args.after is not None or args.layout or args.at):
        raise InputError("--after, --layout and --at are for --arena FILE")
    if args.reveal and Path(args.reveal).suffix not in (".npz", ".h", ".c"):
        raise InputError(f"--reveal {args.reveal}: an input is written as .npz, or as C arrays (.h, .c): call it so")
    models = _models_in(args.among) if args.among else []
    model, memory, partial = load(args.model), args.memory, args.partial
    plan = make_plan(model, numerics=PRESETS[args.numerics or "tflm"], memory=memory, partial=partial)
    if args.bisect and not args.port:
        raise InputError("--bisect asks a device: give its --port")
    if args.port and not args.input:
        raise InputError("--port needs --input: what to run")
    if args.dump:
        leave_out(args, "a dump is no device", "fault")
    if not args.input:
        leave_out(args, "without --input no file is read", "index", "digit", "range", *OF_SOUNDS)
    ears, intake = ears_of(plan, args), Intake(plan)
    inputs = chosen_inference(plan, args, ears, intake)[0] if args.input else ()
    earlier = _earlier(plan, args)
    dump = _dump(args, plan, inputs, earlier or ())
    said = str(dump.meta.get("numerics") or "tflm").partition(" ")[0]
    if said not in PRESETS and not args.numerics:
        raise InputError(f"{dump.name} was recorded under the unknown numerics '{said}'; choose some with --numerics")
    plan = make_plan(model, numerics=PRESETS[args.numerics or said], memory=memory, partial=partial)
    previous = read_dump(plan, args.previous) if args.previous else None
    *older, state = (None,) if earlier is None else deque(states_through(plan, earlier), maxlen=OLDER + 1)
    report = diff(plan, dump, *inputs, previous=previous, state=state, older=[*filter(None, older)])
    if args.among:
        report = with_weights_of(report, _others(models, plan), *inputs)
    if args.html:
        write(args.html, as_html(report))
    found = separating(report) if args.reveal else None
    if found:
        _write_input(args.reveal, plan, found.inputs)
    second = diff(plan, _asked(args, plan, found.inputs), *found.inputs) if found and args.port else None
    if args.json:
        more: dict[str, Any] = {
            "revealing": found and {"inputs": args.reveal, "parted": found.parted, "pairs": found.pairs}
        }
        more |= {"again": second and second.as_dict(), "cut_off": [each.as_dict() for each in intake.cut_off]}
        print_json({"model": args.model} | report.as_dict() | more)
        return int(report.differs)
    _show(args, report)
    print_heard(ears)
    if args.reveal:
        say("", f"wrote {args.reveal}: run it next; of the causes left {found}" if found else _NONE_REVEALS)
    if second:
        say("the device ran it:", "")
        _show(args, second)
    warn(*intake.cut_off)
    return int(report.differs)


_NONE_REVEALS = "--reveal: no input is needed, or none is known on which the causes part; nothing was written"


def _write_input(path: str, plan: Plan, inputs: tuple[Array, ...]) -> None:
    """An inference's inputs as `--input` takes them, or as C has them."""
    if Path(path).suffix in (".h", ".c"):
        write(path, as_c(plan, inputs))
    else:
        write_npz(path, {t.name: x for t, x in zip(plan.inputs, inputs, strict=True)})


def _models_in(folder: str) -> list[Path]:
    """A folder's models; `InputError` if there is none."""
    if not Path(folder).is_dir():
        raise InputError(f"--among {folder}: there is no such folder")
    files = sorted(Path(folder).glob("*.tflite"))
    if not files:
        raise InputError(f"--among {folder}: there is no .tflite file in it")
    return files


def _others(files: list[Path], plan: Plan) -> Iterator[tuple[str, Plan]]:
    """The plans of those models that can be planned, under the dialect of `plan`."""
    for file in files:
        with suppress(ModelError, UnsupportedError):
            yield file.name, make_plan(file, numerics=plan.numerics, memory=plan.memory)


def _earlier(plan: Plan, args: argparse.Namespace) -> Sequence[tuple[Array, ...]] | None:
    """The inferences before, by which the state is computed; None where none is to be."""
    if args.state_inputs and args.index:
        raise InputError("--index counts the inferences since the start, and so does --state-inputs: give one of them")
    if args.state_inputs:
        return every_inference(plan, args.state_inputs, args)
    if args.input and args.index and plan.initial:
        return before(every_stream(plan, args.input, args), args.index)
    return None


def _dump(
    args: argparse.Namespace, plan: Plan, inputs: tuple[Array, ...], earlier: Sequence[tuple[Array, ...]]
) -> Dump:
    """What is to be judged."""
    if args.port:
        return _asked(args, plan, inputs, earlier)
    if args.arena:
        return read_arena(plan, args.arena, *inputs, after=args.after, layout=args.layout, at=args.at)
    return read_dump(plan, args.dump, args.sample)


def _asked(
    args: argparse.Namespace, plan: Plan, inputs: tuple[Array, ...], earlier: Sequence[tuple[Array, ...]] = ()
) -> Dump:
    """What a device computes, after the inferences before."""
    options = [f"FAULT={args.fault}"] if args.fault else []
    name = Path(args.model).stem
    with (
        connect(args.port, plan, name=name, baud=args.baud, timeout=args.timeout, options=options) as device,
        progress_bar() as bar,
    ):
        task = bar.add_task("bytes")
        if args.bisect:
            return _bisected(args, device, plan, inputs, earlier)
        recording = record(device, plan, inputs, lambda n, of: bar.update(task, completed=n, total=of), earlier)
        return Dump(args.port, recording.tensors, meta=recording.meta, found=recording.found, left=recording.left)


def _bisected(
    args: argparse.Namespace,
    device: Device,
    plan: Plan,
    inputs: tuple[Array, ...],
    earlier: Sequence[tuple[Array, ...]],
) -> Dump:
    """The CRCs of one run, and the tensors that they do not prove."""
    numerics = numerics_of(device)
    judge = make_plan(plan.model, numerics=PRESETS[args.numerics or numerics], memory=plan.memory)
    names = entry_names(device)
    run = device.run(inputs, before=earlier)
    crcs = dict(zip(names, (*run.crc32, *run.states), strict=True))

    def fetch(name: str) -> Array:
        place = len(names) - 1 - names[::-1].index(name)  # the last that has it
        return device.run(inputs, (place,), before=earlier, like=run).tensors[place]

    *_, state = states_through(judge, earlier)
    dump = tapped(judge, crcs.get, fetch, *inputs, name=args.port, state=state)
    told = {"numerics": numerics, "board": device.info.board, "sha256": device.info.sha256, "before": len(earlier)}
    return replace(dump, meta=told)


def _show(args: argparse.Namespace, report: Report) -> None:
    board: Any = report.dump.meta.get("board")
    say(f"{args.model} against {report.dump.name}{f' ({board})' if board else ''}")
    say(f"numerics: {report.plan.numerics}")
    say(*(f"note: {note}" for note in (*report.dump.problems, *report.notes)))
    table = table_of(*HEADINGS)
    for column in table.columns[4:9]:
        column.justify = "right"
    for row in rows(report):
        table.add_row(*row)
    print_table(table)
    for fed in report.wrong_inputs:
        say(f"input '{printable(fed.sample.tensor.name)}': {fed.verdict}", "")
    for held in report.wrong_states:
        say(f"state: {held.verdict}", "")
    for finding in report.culprits:
        say(*told(finding), "")
    if report.next:
        say(f"dump next: {report.next[1]}")
    say(report.summary)
    if args.html:
        say(f"wrote {args.html}")
