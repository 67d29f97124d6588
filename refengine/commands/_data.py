"""What is run on data, with the truth or without: the options --data, --split and --limit, and what they hold."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import InputError, located
from ..execute import frames
from ..model import Array, Tensor
from ..plan import Plan
from ..tasks.datasets import BUNDLED as BUNDLED_DIGITS
from ..tasks.datasets import BUNDLED_TOLD, files_in, is_mnist, left_out, without_truth
from ..tensors.batches import sequences_of
from ..tensors.datasets import PREFIXES
from ..tensors.images import pixel_ranges, read_inputs
from ..tensors.inputs import PixelRange, picture_shape, pixel_range, quantize_input
from ..text import counted
from ._front import FEW, positive, warn, warn_of_paper


def add_data(
    parser: argparse.ArgumentParser, help: str, *, required: bool = False, split: str = "test", limit: int | None = None
) -> None:
    """The options --data, of which `help` tells, --split and --limit."""
    parser.add_argument("--data", metavar="PATH", nargs="+", required=required, help=help)
    add_part(parser, split, limit)


def add_part(parser: argparse.ArgumentParser, split: str = "test", limit: int | None = None) -> None:
    """The options --split and --limit."""
    parser.add_argument("--split", choices=PREFIXES, help=f"which of MNIST's (default: {split})")
    by_default = f" (default: {limit})" if limit else ""
    parser.add_argument(
        "--limit",
        metavar="N",
        type=positive,
        default=limit,
        help=f"only the first N; folders for classes take turns{by_default}",
    )


def split_of(args: argparse.Namespace, paths: Iterable[str], default: str = "test") -> str:
    """What --split says, or the default; `InputError` for data that have no such parts."""
    if args.split is not None and not any(map(is_mnist, paths)):
        raise InputError(f"--split is for a folder of MNIST's IDX files, and {' '.join(paths)} is none: leave it out")
    return args.split or default


def or_digits(plan: Plan, paths: list[str] | None) -> list[str]:
    """What --data says, or the bundled digits for a network that takes such pictures; `InputError` for any other."""
    if paths:
        return paths
    with suppress(InputError):
        if len(plan.inputs) == 1 and picture_shape(plan.inputs[0]) == (28, 28, 1):
            return [BUNDLED_DIGITS]
    raise InputError(
        f"what shall the model run on? Say --data PATH; its inputs are {', '.join(map(_input, plan.inputs))}"
    )


def _input(tensor: Tensor) -> str:
    return f"'{tensor.name}' {tensor.dtype} {tensor.shape}"


def require_files(args: argparse.Namespace, plan: Plan, *paths: str) -> None:
    """Raise `InputError` for --digit where all the data are arrays, which stay as they are."""
    inputs = [t.name for t in plan.inputs]
    files = (path for path in paths if not is_mnist(path))
    if args.digit and not any(isinstance(without_truth(path, "", inputs, plan.memory), list) for path in files):
        raise InputError(f"--digit is for pictures in files, and {' '.join(paths)} are arrays: leave it out")


def warn_of_files(args: argparse.Namespace, plan: Plan, *paths: str) -> None:
    """What is to be known of folders before their files are run: what is left out, and what looks like paper."""
    for path in paths:
        if found := left_out(path):
            names = ", ".join(os.path.relpath(file, path) for file in found[:FEW]) + ", …" * (len(found) > FEW)
            warn(f"{path}: left out {counted(len(found), 'file')}, neither picture, array nor sound: {names}")
    warn_of_paper(args, plan, (file for path in paths for file in _files(path)))


def _files(path: str) -> Iterable[str | os.PathLike[str]]:
    return files_in(Path(path)) if os.path.isdir(path) and not is_mnist(path) else [path]


def read_data(
    plan: Plan,
    paths: list[str],
    split: str,
    limit: int | None,
    real_range: tuple[float, float] | None,
    chunk: int,
    *,
    digit: bool = False,
    real: bool = False,
    hear: Callable[[str], Array] | None = None,
) -> tuple[str, int, Iterator[tuple[Array, ...]], tuple[PixelRange, ...]]:
    """(what it is, how many pictures or files, the inputs of each run, `pixel_ranges`) of at most `limit` of them.

    `paths` are data with the truth or without, see `datasets.without_truth`. Arrays come in runs of `chunk`, sequences
    for a network that remembers one by one, files as `read_inputs` takes them. `real` leaves what would be quantised
    as it is, in float32; `hear` takes sounds.
    """
    if len(paths) > 1 and (folders := [path for path in paths if is_mnist(path)]):
        raise InputError(f"{folders[0]}: a folder of MNIST's IDX files is all the data; give nothing beside it")
    found = [without_truth(path, split, [t.name for t in plan.inputs], plan.memory) for path in paths]
    for path, x in zip(paths, found, strict=True):
        if isinstance(x, list):
            continue
        if len(paths) > 1:
            raise InputError(f"{path}: arrays are all the data; give nothing beside them")
        with located(path):
            ranges = (pixel_range(plan, 0, real_range),) if x.dtype == "uint8" else ()
        name = BUNDLED_TOLD if path == BUNDLED_DIGITS else path
        x = x[:limit]
        return name, len(x), _runs(plan, x, real_range, 1 if plan.initial else chunk, real), ranges
    files = [file for each in found if isinstance(each, list) for file in each][:limit]
    cases = _fitting(plan, files, digit, real_range, real, hear)
    return " ".join(paths), len(files), cases, pixel_ranges(plan, files, real_range)


def _runs(
    plan: Plan, x: Array, real_range: tuple[float, float] | None, chunk: int, real: bool
) -> Iterator[tuple[Array, ...]]:
    """So many pictures, rows or sequences at once."""
    for start in range(0, len(x), chunk):
        part = sequences_of(plan, x[start : start + chunk], real_range, real)
        yield from _cases(plan, (part.reshape(-1, *part.shape[2:]),))


def _fitting(
    plan: Plan,
    files: list[str],
    digit: bool,
    real_range: tuple[float, float] | None,
    real: bool,
    hear: Callable[[str], Array] | None,
) -> Iterator[tuple[Array, ...]]:
    """The inferences of files, each refused by its name if it does not fit."""
    for name, inputs in read_inputs(plan, files, digit=digit, real_range=real_range, real=real, hear=hear):
        with located(name):
            codes = (quantize_input(plan, x, i) if x.dtype.kind == "f" else x for i, x in enumerate(inputs))
            frames(plan, tuple(codes))
        yield from _cases(plan, inputs)


def _cases(plan: Plan, inputs: tuple[Array, ...]) -> list[tuple[Array, ...]]:
    """A batch or a sequence as it is, and inferences of which nothing lives on one by one, where they make no batch."""
    stacked = all(x.shape[1:] == t.shape for x, t in zip(inputs, plan.inputs, strict=True))
    return frames(plan, inputs) if stacked and not plan.initial else [inputs]
