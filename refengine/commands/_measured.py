"""How commands measure accuracy on one's own data: arrays as they are, files read as each network takes them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ..accuracy import Accuracy, Read, evaluate
from ..errors import located
from ..model import Array
from ..parallel import workers
from ..plan import Plan
from ..tasks.audio import Ears
from ..tasks.datasets import Classes
from ..tensors.images import SOUND, read_inputs
from ._front import ears_of


def reader(
    plan: Plan, data: Classes, args: argparse.Namespace, real_range: tuple[float, float] | None, ears: Ears
) -> Read | None:
    """Who reads the data's files, if there are some; front ends are chosen before that, so that errors come at once."""
    files = data.x if isinstance(data.x, list) else []
    if any(Path(file).suffix.lower() == SOUND for file in files):
        ears.choose()
    return partial(_inferences, plan, args.digit, real_range, ears) if files else None


def _inferences(
    plan: Plan, digit: bool, real_range: tuple[float, float] | None, ears: Ears, paths: Sequence[str]
) -> Sequence[Array]:
    """What each file holds for the one input, one inference after the other."""
    if all(Path(path).suffix.lower() == SOUND for path in paths):
        return ears.hear_all(paths)
    return [arrays[0] for _, arrays in read_inputs(plan, paths, digit=digit, real_range=real_range, hear=ears.hear)]


def in_the_name_of(data: Classes) -> AbstractContextManager[None]:
    """Prefix refusals of arrays with what they are; those of files tell the file."""
    return nullcontext() if isinstance(data.x, list) else located(data.name)


def measured(
    plan: Plan, data: Classes, args: argparse.Namespace, real_range: tuple[float, float] | None
) -> Iterator[Accuracy]:
    """`accuracy.evaluate`, by as many workers as the arguments say."""
    with workers(args.jobs, args.scheduler) as executor:
        read = reader(plan, data, args, real_range, ears_of(plan, args))
        options: Any = {"real_range": real_range, "executor": executor, "read": read}
        with in_the_name_of(data):
            yield from evaluate(plan, data.x, data.y, **options)
