"""Export a model as C11 that checks itself, or a model or pictures as C arrays.

MODEL -o DIR writes DIR/model.h, model.c and the kernels they need: `cc -std=c11 DIR/*.c main.c -lm` builds them with a
main of yours that calls model_invoke(input, output), or model_selftest(), which returns 0 when every step is right.

  refengine export stm32f746_int8 -o exported
  refengine export model.tflite -o exported --numerics cortex-m7 --input x.npy

two models link together:
  refengine export model.tflite -o lib/wake --prefix wake --layout cmake

the file as an aligned array, for TFLM:
  refengine export model.tflite -o include --array

a picture, for a board without a camera; the bundled digits and their labels:
  refengine export --image digit.png -o include --bits 1
  refengine export --image digits -o include --bits 8
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..bundled import model_file
from ..cexport import LAYOUTS, Exported, Pixels, array_header, export, image_header
from ..errors import InputError, located
from ..files import write
from ..kernel import PRESETS
from ..model import Array
from ..plan import Plan, make_plan
from ..tensors.datasets import bundled_digits
from ..tensors.images import read_inputs, read_picture
from ..text import counted
from ..tflite_io import load
from ._front import add_digit, add_json, add_memory, add_numerics, heading, leave_out, print_json, say

SIZE = (28, 28)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a .tflite file or the name of a bundled network")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder to write to; made if need be")
    add_memory(parser)
    add_numerics(parser)
    add_json(parser)
    parser.add_argument(
        "--input", metavar="FILE", nargs="+", help="golden input of the self-test, as `run` takes it (default: noise)"
    )
    parser.add_argument("--prefix", help="what names and files begin with (default: model)")
    parser.add_argument("--layout", choices=LAYOUTS, help="for which tool to lay the files out (default: plain)")
    parser.add_argument("--no-names", action="store_true", help="leave out the names of the model and its tensors")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--array", action="store_true", help="write the file itself as a C array instead")
    instead.add_argument(
        "--image",
        metavar="FILE",
        nargs="+",
        help="write pictures as a C array instead, all 28×28; `digits` for MNIST's",
    )
    parser.add_argument("--bits", type=int, choices=(1, 8), default=8, help="of a pixel (default: %(default)s)")
    add_digit(parser)


def command(args: argparse.Namespace) -> int:
    if args.image or args.array:
        leave_out(args, "an array is one file by itself", "input", "prefix", "layout", "no_names")
    if args.image:
        leave_out(args, "--image writes pictures", "model")
        return _write(args, *_pictures(args))
    if args.model is None:
        raise InputError("nothing to export: give MODEL, or --image FILE (see refengine export --help)")
    path = model_file(args.model)
    if args.array:
        load(path)  # refuses what is no model
        return _write(args, *array_header(path.read_bytes(), path.name))
    plan = make_plan(path, numerics=PRESETS[args.numerics], memory=args.memory)
    with located(args.model):
        golden = _golden(plan, args.input, args.digit) if args.input else ()
    chosen = {name: value for name in ("prefix", "layout") if (value := getattr(args, name)) is not None}
    exported = export(plan, args.output, *golden, name=path.stem, names=not args.no_names, **chosen)
    if args.json:
        return print_json(heading(args, plan) | exported.as_dict())
    _print(exported)
    say(f"numerics: {plan.numerics}")
    return 0


def _golden(plan: Plan, files: list[str], digit: bool) -> tuple[Array, ...]:
    (_, golden), *others = read_inputs(plan, files, digit=digit)
    if others:
        raise InputError(f"the self-test runs one inference; {' '.join(files)} holds {1 + len(others)}")
    return golden


def _pictures(args: argparse.Namespace) -> tuple[str, str]:
    if args.image == ["digits"]:
        images, labels = bundled_digits()
        return image_header([*images], "digits", args.bits, labels.tolist())
    name = Path(args.image[0]).stem if len(args.image) == 1 else "images"
    return image_header([_picture(path, args) for path in args.image], name, args.bits)


def _picture(path: str, args: argparse.Namespace) -> Pixels:
    with located(path):
        return read_picture(path, *SIZE, digit=args.digit, memory=args.memory)


def _write(args: argparse.Namespace, file: str, text: str) -> int:
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / file, text)
    if args.json:
        return print_json({"directory": args.output, "files": [file]})
    say(f"wrote {folder / file}")
    return 0


def _print(exported: Exported) -> None:
    folded = f" ({len(exported.folded)} folded: constants)" if exported.folded else ""
    least = "the least possible" if exported.arena_bytes == exported.least_bytes else f"least {exported.least_bytes:,}"
    files, steps = counted(len(exported.files), "file"), counted(exported.steps, "step")
    say(f"wrote {files} to {exported.directory}: {steps}{folded}")
    say(f"constants {exported.constant_bytes:,} bytes")
    say(f"arena     {exported.arena_bytes:,} bytes, {least}; TFLM's greedy planner: {exported.tflm_arena_bytes:,}")
