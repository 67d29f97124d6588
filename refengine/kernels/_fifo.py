"""A queue of samples as operators keep it: the newest at the end, and how many of them count.

What TFLM keeps in a ring (`signal/src/circular_buffer.cc`) is here a row that moves left. Rows of a batch may have
queues of different lengths.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model import Array

Counts = npt.NDArray[np.int64]


def pushed(queue: Array, values: Array) -> Array:
    """(…, capacity) queues with (…, n) values behind what they hold; the oldest fall out."""
    batch = max(len(queue), len(values))
    queue, values = (np.broadcast_to(x, (batch, *x.shape[1:])) for x in (queue, values))
    kept: Array = np.concatenate((queue, values), axis=-1)[..., values.shape[-1] :]
    return kept


def oldest(queue: Array, available: Counts, count: int) -> Array:
    """The `count` oldest of the `available` samples of each row of the batch, (B, …, count)."""
    batch = max(len(queue), len(available))
    queue = np.broadcast_to(queue, (batch, *queue.shape[1:]))
    first = (queue.shape[-1] - available).reshape(-1, *(1,) * (queue.ndim - 1))
    places = np.clip(first + np.arange(count), 0, queue.shape[-1] - 1)
    return np.take_along_axis(queue, np.broadcast_to(places, (*queue.shape[:-1], count)), axis=-1)


def masked(values: Array, written: npt.NDArray[np.bool_]) -> Array:
    """`values` (B, …), undefined in those rows of the batch that are not `written`."""
    batch = max(len(values), len(written))
    values = np.broadcast_to(values, (batch, *values.shape[1:]))
    if written.all():
        return values
    mask = np.broadcast_to(~written.reshape(-1, *(1,) * (values.ndim - 1)), values.shape)
    return np.ma.array(values, mask=mask)
