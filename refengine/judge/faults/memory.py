"""Faults of memory: an output that was never written, or only in part, or that something else wrote over."""

from __future__ import annotations

import numpy as np

from ...model import Array
from ...tensors.difference import unlike
from ..evidence import choices, values
from ._case import Case, Fits

CHUNK = 16  # bytes; what arenas align tensors to
FILLINGS = (0x00, 0xFF, 0xCD, 0xA5, 0xAA, 0x55, 0xCC, 0xDD, 0xFE, 0xBA, 0xEF)
"""Bytes that debuggers, allocators and start-up code fill memory with."""
LINE = 64
"""The longest line of a cache, in bytes."""


def never_written(case: Case) -> Fits:
    """The buffer holds a filling, from its start or from some element on."""
    if case.seen is None or case.seen.size < 2:
        return
    raw = np.frombuffer(case.seen.tobytes(), np.uint8)
    if raw[0] in FILLINGS and (raw == raw[0]).all() or _repeats(raw):
        yield f"if the output was never written: it is {_filling(raw)}", case.seen, 6.0
        return
    if raw[-1] not in FILLINGS:
        return
    start = len(raw) - int((raw[::-1] != raw[-1]).argmax())
    start = -(-start // case.seen.itemsize)
    start = max(start, _first_difference(case) or 0)
    if (case.seen.size - start) * case.seen.itemsize >= CHUNK // 2:
        yield (
            f"if the output was never written from its element {start} on: {_filling(raw[-4:])}",
            _joined(case.sound, case.seen, start),
            6.0 + np.log2(case.seen.size),
        )


def _repeats(raw: Array) -> bool:
    """Whether the same four bytes, not all alike, stand there over and over."""
    return len(raw) >= 16 and raw.tobytes() == (raw[:4].tobytes() * len(raw))[: len(raw)] and len(set(raw[:4])) > 1


def _filling(raw: Array) -> str:
    """What a buffer that nobody wrote is full of."""
    return "all zeros" if not raw[:4].any() else f"the bytes 0x{raw[:4].tobytes().hex().upper()} over and over"


def stale_buffer(case: Case) -> Fits:
    """The output was never computed, or only its start: its buffer holds what was there before."""
    if case.seen is None:
        return
    raw, found = case.seen.tobytes(), False
    for name, array in case.memory.items():
        held = array.tobytes()
        for start in range(0, len(held) - len(raw) + 1, CHUNK):
            if held.startswith(raw, start) and not found:
                place, found = f" from byte {start} on" if start else "", True
                bits = np.log2(len(case.memory) * max(1, len(held) // CHUNK))
                yield f"if the step never ran and its buffer still holds {name}{place}", case.seen, bits
        if array.dtype == case.sound.dtype and array.shape == case.sound.shape:
            start = _first_difference(case)
            if start:
                mixed, bits = _joined(case.sound, array, start), np.log2(len(case.memory) * case.seen.size)
                yield f"if only the elements before {start} were written, and {name} follows", mixed, bits


def half_written(case: Case) -> Fits:
    """Up to some element everything is right, from there on it is anybody's."""
    if case.seen is None:
        return
    apart = unlike(case.sound, case.seen).ravel()
    start = _first_difference(case)
    if start and apart.size - start >= CHUNK and apart.size - start > LINE // case.seen.itemsize:
        yield (
            f"if only the elements before {start} were written: the rest is stale",
            case.seen,
            values(case.sound, case.seen) + choices(apart.size - start, int(apart.sum())) + np.log2(apart.size),
        )


def overwritten(case: Case) -> Fits:
    """A stretch of the output was written over: by another tensor, or by whatever has a cache line's length."""
    if case.seen is None:
        return
    apart = unlike(case.sound, case.seen).ravel()
    width = case.seen.itemsize
    first, last = int(apart.argmax()) * width, (apart.size - int(apart[::-1].argmax())) * width
    start, end = first // CHUNK * CHUNK, min(-(-last // CHUNK) * CHUNK, apart.size * width)
    raw = case.seen.tobytes()
    for name, array in case.memory.items():
        held = array.tobytes()[: end - start]
        if len(set(held)) > 3 and raw[start : start + len(held)] == held and start + len(held) >= last:
            how = f"if {name} was written over its bytes {start} to {start + len(held) - 1}"
            yield how, case.seen, np.log2(len(case.memory) * max(1, len(raw) // CHUNK))
            return
    inside = (end - start) // width
    if 0 < end - start <= LINE and inside < apart.size and apart.sum() > 1:
        places = choices(inside, int(apart.sum())) + np.log2(max(1, len(raw) // CHUNK) * 4)
        how = f"if a cache line of garbage lies over its bytes {start} to {end - 1}"
        yield how, case.seen, values(case.sound, case.seen) + places


def flipped_bit(case: Case) -> Fits:
    """One bit of one element is the other way."""
    if case.seen is None:
        return
    mine, theirs = (np.frombuffer(np.ascontiguousarray(a).tobytes(), np.uint8) for a in (case.sound, case.seen))
    apart = np.flatnonzero(mine != theirs)
    if len(apart) == 1:
        bits = int(mine[apart[0]] ^ theirs[apart[0]])
        if bits & (bits - 1) == 0:
            width = case.seen.itemsize
            place = [int(i) for i in np.unravel_index(int(apart[0]) // width, case.seen.shape)]
            bit = bits.bit_length() - 1 + 8 * (int(apart[0]) % width)
            how = f"if a single bit is flipped in memory: bit {bit} of element {place}"
            yield how, case.seen, np.log2(case.seen.size * 8 * width)


def _first_difference(case: Case) -> int | None:
    assert case.seen is not None
    apart = unlike(case.sound, case.seen).ravel()
    return int(apart.argmax()) if apart.any() else None


def _joined(first: Array, rest: Array, start: int) -> Array:
    return np.concatenate([first.ravel()[:start], rest.ravel()[start:]]).reshape(first.shape)
