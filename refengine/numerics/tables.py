"""Codes looked up in tables, many of them in parts that stay in the cache.

NumPy's `take` wants places of 64 bits, so those of many codes take eight times their room and more. A function from
8 bits to 8 is looked up for two neighbours at once, in a table of all pairs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 1 << 15
"""How many places to look up at once; so few codes are not worth a table of pairs either."""


def look_up(table: Array, codes: Array) -> Array:
    """The entry of `table` (256,) or (65536,) for each of the unsigned `codes`, in their shape."""
    if codes.size < BLOCK:
        return table.take(codes)
    flat, found = codes.ravel(), np.empty(codes.size, table.dtype)
    if table.itemsize == codes.itemsize == 1:
        even = flat.size // 2 * 2
        _fill(found[:even].view(np.uint16), _of_pairs(table.tobytes()), flat[:even].view(np.uint16))
        found[even:] = table.take(flat[even:])
    else:
        _fill(found, table, flat)
    return found.reshape(codes.shape)


def _fill(found: Array, table: Array, codes: Array) -> None:
    """The entries of the `table` for all codes, in one dimension, into `found`."""
    places = np.empty(BLOCK, np.intp)
    for start in range(0, found.size, BLOCK):
        some = codes[start : start + BLOCK]
        place = places[: some.size]
        np.copyto(place, some)
        table.take(
            place, out=found[start : start + BLOCK], mode="wrap"
        )  # no place is beyond; to see to it costs a copy


@lru_cache(maxsize=32)
def _of_pairs(table: bytes) -> Array:
    """What a table of 256 bytes makes of any two bytes side by side, both read as numbers of 16 bits."""
    one = np.frombuffer(table, np.uint8).astype(np.uint16)
    pairs: Array = (one[:, np.newaxis] << np.uint16(8) | one).reshape(-1)
    return pairs
