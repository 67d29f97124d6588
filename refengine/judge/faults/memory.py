"""Faults of memory: an output that was never written, or only in part, or that something else wrote over."""

from __future__ import annotations

import numpy as np

from ...model import Array
from ...tensors.difference import unlike
from ..evidence import choices, values
from ._case import Case, Fits, Variants

CHUNK = 16  # bytes; what arenas align tensors to
FILLINGS = (
    *(bytes.fromhex(4 * byte) for byte in ("00", "FF", "CD", "A5", "AA", "55", "CC", "DD", "FE")),
    b"\xde\xad\xbe\xef",
    b"\xef\xbe\xad\xde",
)
"""What debuggers, allocators and start-up code fill memory with, the commonest first."""
ANY = 40.0
"""The bits of an explanation that fits anything: more than there can be of one element."""
STARTS = 256
"""So many places where an output may break off are tried, of one that is not seen."""
DENSE = 0.15
"""The share of elements that differ, at least, where a stale buffer lies."""
LINE = 64
"""The longest line of a cache, in bytes."""


def never_written(case: Case) -> Fits:
    """The buffer holds a filling, from its start or from some element on."""
    if case.seen is None or case.seen.size < 2:
        return
    raw = np.frombuffer(case.seen.tobytes(), np.uint8)
    if raw[:4].tobytes() in FILLINGS and raw.tobytes() == (raw[:4].tobytes() * len(raw))[: len(raw)]:
        yield f"if the output was never written: it is {_filling(raw)}", case.seen, 4.0
        return
    start = _first_difference(case)
    raw = raw[(start or 0) * case.seen.itemsize :]
    if start and (raw == raw[-1]).all() and bytes([raw[-1]] * 4) in FILLINGS:
        yield (
            f"if the output was never written from its element {start} on: {_filling(raw[-4:])}",
            case.seen,
            4.0 + np.log2(case.seen.size),
        )


def unseen(case: Case) -> Variants:
    """An output that is not in the dump was never written, or not all of it."""
    if case.seen is not None:
        return
    sound = case.sound
    for filling in FILLINGS[:4]:
        held = np.resize(np.frombuffer(filling, np.uint8), sound.nbytes).view(sound.dtype).reshape(sound.shape)
        yield f"if the output was never written: it is {_filling(np.frombuffer(filling, np.uint8))}", held
    for name, array in case.memory.items():
        if array.nbytes >= sound.nbytes:
            held = np.frombuffer(array.tobytes()[: sound.nbytes], sound.dtype).reshape(sound.shape)
            yield f"if the step never ran and its buffer still holds {name}", held
    rests = {"all zeros": np.zeros_like(sound)}
    rests |= {n: a for n, a in case.memory.items() if (a.shape, a.dtype) == (sound.shape, sound.dtype)}
    row = 1 if sound.size <= STARTS else sound.shape[-1]
    row *= -(-sound.size // (row * STARTS))
    for start in range(row, sound.size, row):
        for name, rest in rests.items():
            yield f"if only the elements before {start} were written, and {name} follows", _joined(sound, rest, start)


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
            end = _first_difference(case)
            if end:
                mixed, bits = _joined(case.sound, array, end), np.log2(len(case.memory) * case.seen.size)
                yield f"if only the elements before {end} were written, and {name} follows", mixed, bits


def pieces(case: Case) -> Fits:
    """The output was never computed: whatever is wrong in it are pieces of other tensors."""
    if case.seen is None:
        return
    held = [array.tobytes() for array in case.memory.values()]
    known = {raw[i : i + CHUNK] for raw in held for i in range(0, len(raw), CHUNK)}
    mine, raw = case.sound.tobytes(), case.seen.tobytes()
    wrong = [raw[i : i + CHUNK] for i in range(0, len(raw), CHUNK) if raw[i : i + CHUNK] != mine[i : i + CHUNK]]
    telling = sum(len(set(chunk)) > 3 for chunk in wrong)
    if telling >= 4 and all(chunk in known for chunk in wrong):
        bits = len(wrong) * np.log2(1 + len(known))
        yield "if the step never ran and its buffer holds pieces of other tensors", case.seen, bits


def half_written(case: Case) -> Fits:
    """Up to some element everything is right, from there to the end it is anybody's."""
    start = _first_difference(case)
    if case.seen is None or not start or case.seen.size - start < 4:
        return
    apart = unlike(case.sound, case.seen).ravel()
    rest, count = apart[start:], int(apart.sum())
    shares = [part.mean() for part in np.array_split(rest, 4)]
    long = len(rest) > LINE // case.seen.itemsize and 8 * start >= apart.size  # pictures have quiet edges
    if long and rest.mean() >= DENSE and 2 * min(shares) > rest.mean():
        yield (
            f"if only the elements before {start} were written: the rest is stale",
            case.seen,
            values(case.sound, case.seen) + choices(len(rest), count) + np.log2(apart.size),
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
        if end == len(raw):  # as if the rest had not been written
            how = f"if its bytes from {start} on are stale, or a cache line of garbage lies over them"
        yield how, case.seen, values(case.sound, case.seen) + places


def flipped_bit(case: Case) -> Fits:
    """One bit of one element is the other way."""
    if case.seen is None:
        return
    mine, theirs = (np.frombuffer(np.ascontiguousarray(a).tobytes(), np.uint8) for a in (case.sound, case.seen))
    apart = np.flatnonzero(mine != theirs)
    if unlike(case.sound, case.seen).sum() == 1:
        yield "if a single element was damaged, after it was computed", case.seen, ANY
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
