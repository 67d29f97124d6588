"""Make a failing model small: leave out what somebody's command or runtime fails without.

Operators are left out from both ends and in between, then outputs; what an operator read from one that went is fed
instead, with the values that it had. Then constants and inputs become all neutral, or all alike. A smaller model
counts if it fails in the same way: by the same exit status or signal, by hanging, or by outputs that are not
refengine's. One that refengine could not run, where it could the whole one, does not count.

COMMAND contains {model}, the path of a .tflite file, and perhaps {inputs}, those of one file of raw bytes for each
input, or {npz}, that of an .npz with all of them by name. It fails by its exit status; give a failure a status of its
own, or say by --saying what it prints, so that another failure is not taken for it.

MODULE:FUNCTION takes the file's bytes and a tuple of arrays, and returns the outputs. It fails where they are not those
of refengine, bit for bit, or by what it raises.

  refengine reduce model.tflite -o small.tflite \\
    --command './my_runtime {model} {inputs}'
  refengine reduce model.tflite -o small.tflite \\
    --runtime mine:run --input street.npy

exit status: 0 done, 2 it does not fail on the whole model, or cannot be tried
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..files import write, write_npz
from ..fuzzer import callable_of
from ..identity import identity
from ..kernel import PRESETS
from ..plan import Plan, make_plan
from ..reducer import Command, Fails, Reduced, Runtime, reduce
from ..reducer.failing import TIME_OUT
from ..tensors.dumps import dump_names
from ..tensors.inputs import random_inputs
from ..text import printable
from ..tflite_io import dump
from ._front import (
    add_json,
    add_memory,
    add_model,
    add_numerics,
    add_one_input,
    ended,
    heading,
    is_same,
    leave_out,
    natural,
    one_inference,
    positive,
    print_json,
    say,
)
from ._tables import progress_bar


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--command", metavar="COMMAND", dest="words", help="a command with {model} that fails")
    who.add_argument("--runtime", metavar="MODULE:FUNCTION", help="a Python callable that runs models")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the .tflite to write, an .npz beside it")
    parser.add_argument("--saying", metavar="REGEX", help="the command fails only where it prints something like this")
    parser.add_argument(
        "--time-out", metavar="SECONDS", type=positive, help=f"the command may take (default: {TIME_OUT:g})"
    )
    parser.add_argument(
        "--random", metavar="SEED", type=natural, default=0, help="inputs without --input (default: %(default)s)"
    )
    add_one_input(parser, required=False)
    add_memory(parser)
    add_numerics(parser)
    add_json(parser)


def command(args: argparse.Namespace) -> int:
    if Path(args.output).suffix.lower() == ".npz":
        raise InputError(f"-o {args.output}: the inputs are written there; give the model's file another name")
    if any(is_same(path, str(Path(args.output).with_suffix(".npz"))) for path in args.input or ()):
        raise InputError(f"-o {args.output}: the inputs are written beside it, over --input; give another name")
    if not Path(args.output).parent.is_dir():
        raise InputError(f"-o {args.output}: there is no such folder to write to")
    plan = make_plan(args.model, numerics=PRESETS[args.numerics], memory=args.memory, partial=True)
    inputs = one_inference(plan, args) if args.input else random_inputs(plan, args.random, args.range)
    operators, smallest, status = len(plan.steps), None, 0
    try:
        with progress_bar() as bar:
            task = bar.add_task(printable(args.model), total=operators)
            for smallest in reduce(plan, _fails(args), inputs, numerics=plan.numerics, memory=args.memory):
                bar.update(task, completed=operators - smallest.operators)
    except KeyboardInterrupt as signal:
        if smallest is None:
            raise
        status = ended(signal)
    assert smallest is not None, "the first one is the whole model"
    data, beside = dump(smallest.model), Path(args.output).with_suffix(".npz")
    write(args.output, data)
    graph = smallest.model.graphs[0]
    names = dump_names(graph.tensors)
    write_npz(beside, {names[i]: x for i, x in zip(graph.inputs, smallest.inputs, strict=True)})
    _tell(args, plan, smallest, [args.output, str(beside)], bool(status))
    return status


def _fails(args: argparse.Namespace) -> Fails:
    if args.words:
        return Command(args.words, args.time_out or TIME_OUT, args.saying or "")
    leave_out(args, "--runtime is no command", "saying", "time_out")
    return Runtime(callable_of(args.runtime), PRESETS[args.numerics])


def _tell(args: argparse.Namespace, plan: Plan, smallest: Reduced, written: list[str], is_interrupted: bool) -> None:
    before, ops = len(plan.steps), smallest.model.graphs[0].ops
    if args.json:
        told = {"failure": smallest.failure, "interrupted": is_interrupted, "tried": smallest.tried}
        told |= {"operators": before, "kept": [identity(op) for op in ops], "simplified": smallest.simplified}
        print_json(heading(args, plan) | told | {"written": written})
        return
    so_far = " so far" if is_interrupted else ""
    say(
        f"{args.model} {smallest.failure}; so does a part with {len(ops)} of its {before} operators{so_far}: "
        f"{', '.join(op.kind for op in ops)}",
        f"made neutral or all alike: {smallest.simplified} constants and inputs; models tried: {smallest.tried}",
    )
    say(*(f"wrote {path}" for path in written))
