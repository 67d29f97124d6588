"""Whether pictures for a network of digits look like ink on paper, where MNIST's digits are bright on black."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..plan import Plan
from ..tensors.digits import LEAST_CONTRAST, SIDE, Pixels
from ..tensors.images import PICTURES, read_picture
from ..tensors.inputs import picture_shape, pixel_range

LOOKED_AT = 20
"""So many of many pictures."""

DIGITS = 10
BRIGHT = 192


def on_paper(plan: Plan, paths: Iterable[str | os.PathLike[str]]) -> str:
    """A sentence for whoever gives dark ink on bright paper to a network as MNIST's are; nothing where it is not so.

    Such a network takes one grey picture of 28×28 and gives ten scores. That it has learnt from MNIST its file does not
    say, and so neither does the sentence. Most of the first `LOOKED_AT` pictures must be on paper: bright along their
    edges, and darker inside.
    """
    if not _reads_digits(plan):
        return ""
    files = islice((path for path in paths if Path(path).suffix.lower() in PICTURES), LOOKED_AT)
    found = []
    for path in files:
        with suppress(InputError, OSError):  # which is told when it is that picture's turn
            found.append(_is_paper(read_picture(os.fspath(path), SIDE, SIDE, memory=plan.memory)))
    if 2 * sum(found) <= len(found):
        return ""
    ends = pixel_range(plan)
    return (
        f"{sum(found)} of {len(found)} pictures that were looked at are dark on bright, and MNIST's digits are bright "
        "on black; if the network has learnt from such, say --digit (which makes them look so), or --range "
        f"{ends.white:g} {ends.black:g} (which turns black and white round)"
    )


def _reads_digits(plan: Plan) -> bool:
    with suppress(InputError):
        is_one = len(plan.inputs) == len(plan.outputs) == 1 and prod(plan.outputs[0].shape) == DIGITS
        return is_one and picture_shape(plan.inputs[0]) == (SIDE, SIDE, 1)
    return False


def _is_paper(pixels: Pixels) -> bool:
    edge = np.median(np.concatenate([pixels[[0, -1]].ravel(), pixels[:, [0, -1]].ravel()]))
    return bool(edge >= BRIGHT and edge - pixels.min() >= LEAST_CONTRAST)
