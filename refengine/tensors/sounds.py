"""WAV files, read with suspicion: plain PCM of 8, 16, 24 or 32 bits, of one channel or several.

The standard library's `wave` knows the header that recorders of 24 bits write (WAVE_FORMAT_EXTENSIBLE) only from
Python 3.12 on, so that the chunks are walked here: a RIFF file is ``RIFF``, its length and ``WAVE``, then chunks of a
name, a length and as many bytes (and one more where that is odd), all little-endian.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..memory import MEMORY, require_room
from .arrays import read_bytes

PCM, EXTENSIBLE = 1, 0xFFFE
CODINGS = {3: "floating-point numbers", 6: "A-law", 7: "µ-law", 17: "ADPCM", 85: "MP3"}
WANTED = (b"fmt ", b"data")
BITS = (8, 16, 24, 32)

ROOM = 24
"""Bytes of memory for each sample of a file: as it is read, as int32, and while channels are averaged."""

CROSSINGS = 16
"""Of the sinc on each side, when sounds are resampled."""

FARTHEST = 64
"""How many times as many samples a second there may be, or as few."""

TILE = 1 << 16
"""Products that resampling holds at a time."""


@dataclass(frozen=True, eq=False)
class Sound:
    """`samples` (n, channels), int32: the file's `bits`, as the uppermost of 32; `rate` of them a second."""

    samples: npt.NDArray[np.int32]
    rate: int
    bits: int

    @property
    def channels(self) -> int:
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def mono(self) -> npt.NDArray[np.int32]:
        """(n,): the channels' mean, rounded down; of one channel the samples as they are."""
        mean: npt.NDArray[np.int32] = (self.samples.sum(axis=1, dtype=np.int64) // self.channels).astype(np.int32)
        return mean


def read_wav(path: str | os.PathLike[str], memory: int = MEMORY) -> Sound:
    """The sound of a WAV file.

    Raises `InputError`, without the file's name, for anything else: other codings than PCM, no samples, a header that
    announces what the file does not hold, or more than `memory`.
    """
    data = read_bytes(path, memory)
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise InputError(f"is no WAV file: it starts with {data[:12]!r}, not with RIFF, a length and WAVE")
    chunks: dict[bytes, tuple[int, memoryview]] = {}
    for name, chunk in _chunks(data):
        chunks.setdefault(name, chunk)
        if len(chunks) == len(WANTED):
            break
    if len(chunks) < len(WANTED):
        raise InputError(f"has no {'format' if b'fmt ' not in chunks else 'data'}; record or convert it again")
    (_, header), (announced, held) = chunks[b"fmt "], chunks[b"data"]
    channels, rate, bits = _format(header)
    if len(held) < announced:
        raise InputError(f"announces {announced:,} bytes of samples and holds {len(held):,}; fetch the file again")
    width = channels * bits // 8
    if not held or len(held) % width:
        raise InputError(f"holds {len(held):,} bytes of samples, of {width} each; record or convert it again")
    require_room(ROOM * (8 * len(held) // bits), memory, "the sound", InputError)
    return Sound(_samples(held, bits).reshape(-1, channels), rate, bits)


def resampled(sound: Sound, rate: int, memory: int = MEMORY) -> Sound:
    """The same with `rate` samples a second, of one channel: band-limited, by a windowed sinc; clipped at the ends.

    This is refengine's own way: no board, and no other program, gives the same bits. Raises `InputError` for rates that
    are too far apart, and for a result that exceeds `memory`.
    """
    if rate == sound.rate:
        return sound
    if not 1 / FARTHEST <= rate / sound.rate <= FARTHEST:
        raise InputError(f"has {sound.rate:,} samples a second, which is too far from {rate:,} to resample it")
    given = sound.mono()
    count = max(1, len(given) * rate // sound.rate)
    require_room(ROOM * count, memory, "the resampled sound", InputError)
    cutoff = min(1.0, rate / sound.rate)
    reach = int(np.ceil(CROSSINGS / cutoff))
    padded = np.pad(given.astype(np.float64), reach)
    out, tile = np.empty(count, np.int32), max(1, TILE // (2 * reach))
    for start in range(0, count, tile):
        ticks = np.arange(start, min(start + tile, count)) * sound.rate  # exact, where the quotient is not
        near, rest = ticks // rate, ticks % rate / rate
        offsets = np.arange(1 - reach, reach + 1)
        distance = offsets - rest[:, np.newaxis]
        weights = np.sinc(cutoff * distance) * np.cos(np.pi / 2 * np.clip(distance / (reach + 1), -1, 1)) ** 2
        taken = padded[near[:, np.newaxis] + offsets + reach]
        values = (taken * weights).sum(axis=1) / weights.sum(axis=1)
        out[start : start + tile] = np.clip(np.rint(values), -(2**31), 2**31 - 1)
    return Sound(out[:, np.newaxis], rate, sound.bits)


def _chunks(data: bytes) -> Iterator[tuple[bytes, tuple[int, memoryview]]]:
    """Of each wanted chunk the name, the length that it announces, and the bytes that there are."""
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name in WANTED:
            yield name, (size, memoryview(data)[at + 8 : at + 8 + size])
        at += 8 + size + size % 2


def _format(header: memoryview) -> tuple[int, int, int]:
    """(channels, samples a second, bits a sample)."""
    if len(header) < 16:
        raise InputError(f"has a format of {len(header)} bytes, of at least 16; record or convert it again")
    coding, channels, rate, _, width, bits = struct.unpack_from("<HHIIHH", header)
    if coding == EXTENSIBLE and len(header) >= 26:
        (coding,) = struct.unpack_from("<H", header, 24)
    if coding != PCM:
        raise InputError(f"holds {CODINGS.get(coding, f'samples of coding {coding}')}; convert it to PCM")
    if bits not in BITS:
        raise InputError(f"has {bits} bits a sample; convert it to PCM of {', '.join(map(str, BITS[:-1]))} or 32 bits")
    if not channels or not rate or width != channels * bits // 8:
        raise InputError(
            f"announces {channels} channels of {bits} bits in {width} bytes, {rate:,} times a second, which cannot be; "
            "record or convert it again"
        )
    return channels, rate, bits


def _samples(held: memoryview, bits: int) -> npt.NDArray[np.int32]:
    if bits == 8:  # the only ones without a sign
        return (np.frombuffer(held, np.uint8).astype(np.int32) - 128) << 24
    if bits == 24:
        wide = np.zeros((len(held) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(held, np.uint8).reshape(-1, 3)
        return wide.reshape(-1).view("<i4").astype(np.int32)
    return np.frombuffer(held, f"<i{bits // 8}").astype(np.int32) << (32 - bits)
