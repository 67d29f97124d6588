"""What the commands share: finding models, common arguments, and printing that suits terminals and pipes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..errors import InputError, located
from ..execute import batch_size
from ..kernel import PRESETS
from ..model import Array, Tensor
from ..numerics.quantize import FLOAT_MAX
from ..plan import Plan
from ..tensors.datasets import bundled_digits, bundled_models, load_mnist
from ..tensors.images import pixel_ranges, read_inputs
from ..tensors.inputs import PixelRange, pixel_range, pixels_to_input

FAILED, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # the last two as shells have it: 128 + the signal's number


def add_model(parser: argparse.ArgumentParser) -> None:
    """The argument MODEL."""
    parser.add_argument("model", metavar="MODEL", help="a .tflite file or the name of a bundled network")


def add_numerics(parser: argparse.ArgumentParser) -> None:
    """The option --numerics PRESET."""
    parser.add_argument(
        "--numerics",
        metavar="PRESET",
        choices=PRESETS,
        default="tflm",
        help=f"whose arithmetic: {', '.join(PRESETS)} (default: %(default)s)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_range(parser: argparse.ArgumentParser) -> None:
    """The option --range BLACK WHITE."""
    parser.add_argument(
        "--range",
        nargs=2,
        type=finite,
        metavar=("BLACK", "WHITE"),
        help="real values of black and white (default: as the input's quantisation or the first layers tell, else 0 1)",
    )


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
    """The options --input, --index, --digit and --range of commands that look at one inference."""
    parser.add_argument(
        "--input", metavar="FILE", nargs="+", required=required, help="one inference: a picture, .npy, .npz, .raw"
    )
    parser.add_argument("--index", metavar="I", type=int, help="which inference, where there are several (from 0)")
    parser.add_argument("--digit", action="store_true", help="pictures are drawn digits: make them look like MNIST's")
    add_range(parser)


def one_inference(plan: Plan, args: argparse.Namespace) -> tuple[Array, ...]:
    """The input arrays that --input, and --index where it holds several inferences, choose."""
    found: list[tuple[Array, ...]] = []
    for _, arrays in read_inputs(plan, args.input, digit=args.digit, real_range=args.range):
        batch = batch_size(plan, arrays)
        found += [arrays] if batch is None else [tuple(x[i : i + 1] for x in arrays) for i in range(batch)]
    chosen = found if args.index is None else found[args.index : args.index + 1]
    if len(chosen) != 1:
        raise InputError(f"{' '.join(args.input)}: {len(found)} inferences; choose one by --index, counted from 0")
    return chosen[0]


def read_data(
    plan: Plan,
    paths: list[str] | None,
    split: str,
    limit: int | None,
    real_range: tuple[float, float] | None,
    chunk: int,
) -> tuple[str, int, Iterator[tuple[Array, ...]], tuple[PixelRange, ...]]:
    """(what it is, how many pictures or files, the inputs of each run, `pixel_ranges`) of at most `limit` of them.

    `paths` are a folder of MNIST's IDX files, which come in runs of `chunk`, or files as `read_inputs` takes them and
    folders of them; None are the bundled digits.
    """
    folders = [path for path in paths or () if any(Path(path).glob("*-images*idx3-ubyte*"))]
    if folders and paths != folders[:1]:
        raise InputError(f"{folders[0]}: a folder of MNIST's IDX files is all the data; give nothing beside it")
    if paths and not folders:
        files = [file for path in paths for file in _files(path)][:limit]
        return " ".join(paths), len(files), _fitting(plan, files, real_range), pixel_ranges(plan, files, real_range)
    images, _ = load_mnist(paths[0], split) if paths else bundled_digits()
    images = images[:limit]
    parts = (images[start : start + chunk] for start in range(0, len(images), chunk))
    name = paths[0] if paths else "the bundled digits (100; more with --data)"
    cases = ((pixels_to_input(plan, part, 0, real_range),) for part in parts)
    return name, len(images), cases, (pixel_range(plan, 0, real_range),)


def _fitting(plan: Plan, files: list[str], real_range: tuple[float, float] | None) -> Iterator[tuple[Array, ...]]:
    """The inferences of files, each refused by its name if it does not fit."""
    for name, inputs in read_inputs(plan, files, real_range=real_range):
        with located(name):
            batch_size(plan, inputs)
        yield inputs


def _files(path: str) -> list[str]:
    """A file as it is; of a folder all its files but hidden ones, sorted."""
    if not Path(path).is_dir():
        return [path]
    found = [str(file) for file in sorted(Path(path).rglob("*")) if file.is_file() and not file.name.startswith(".")]
    if not found:
        raise InputError(f"{path}: the folder is empty; give pictures, .npy, .npz, .raw or MNIST's IDX files")
    return found


def positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def find_model(name: str) -> str | Path:
    """A file by its path, or a bundled network by its name."""
    bundled = bundled_models()
    if not Path(name).exists() and name not in bundled:
        raise InputError(f"{name}: no such file, and no bundled network ({', '.join(bundled)})")
    return name if Path(name).exists() else bundled[name]


def print_ranges(ranges: Iterable[PixelRange]) -> None:
    """What black and white were taken for, why, and how to change it."""
    for each in ranges:
        why = "as --range says" if each.known_from == "given" else f"{each.reason}; --range BLACK WHITE changes it"
        print(printable(f"pictures of '{each.input}': black is {each.black:g}, white {each.white:g} ({why})"))


def heading(args: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    return {"model": args.model, "sha256": plan.model.sha256, "numerics": args.numerics}


def type_of(tensor: Tensor) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"


def numbers(values: Any) -> str:
    """Nested lists of numbers in one line; float32 with all digits that tell."""
    if isinstance(values, list):
        return f"[{' '.join(map(numbers, values))}]"
    return f"{values:.9g}" if isinstance(values, float) else str(values)


def progress_bar() -> Progress:
    """A bar on stderr while that is a terminal, and nothing in a pipe."""
    quiet = not sys.stderr.isatty()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=quiet),
        transient=True,
        disable=quiet,
    )


def table_of(*headings: str) -> Table:
    return Table(*headings, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def print_table(table: Table) -> None:
    """As wide as the terminal; in a pipe plain, and as wide as it needs."""
    _Console(width=None if sys.stdout.isatty() else 240, markup=False, highlight=False, emoji=False).print(table)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `commands.main`: Rich would exit with 1."""
        raise


def print_json(value: dict[str, Any]) -> int:
    print(json.dumps(value, indent=1, default=str, ensure_ascii=False))
    return 0


def printable(text: object) -> str:
    """One line without control characters: names in files are anybody's."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def fail(why: str | Exception) -> int:
    """One line on stderr; of the operating system's errors, the file and the reason."""
    if isinstance(why, OSError) and why.filename:
        why = f"{why.filename}: {why.strerror}"
    print(f"refengine: {printable(str(why))}", file=sys.stderr)
    return FAILED
