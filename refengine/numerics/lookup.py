"""Numbers packed into bits, the highest first, as TFLM's compressed constants hold them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def unpacked(packed: bytes | memoryview, width: int, count: int) -> npt.NDArray[np.int64]:
    """`count` unsigned numbers of up to 8 bits each, without gaps; the bytes must hold as many."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8, -(-count * width // 8)))[: count * width]
    numbers = np.zeros(count, np.uint8)
    for bit in bits.reshape(count, width).T:
        numbers = numbers << 1 | bit
    return numbers.astype(np.int64)


def packed(numbers: npt.ArrayLike, width: int) -> bytes:
    """The reverse of `unpacked`; the last byte is filled with zeros."""
    shifts = np.arange(width)[::-1]
    bits = (np.asarray(numbers, np.int64).reshape(-1, 1) >> shifts) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def channels(count: int, several: int, last: bool) -> npt.NDArray[np.int64]:
    """The channel, of `several`, of each of `count` elements: along the last axis, or else along the first."""
    elements = np.arange(count)
    return elements % several if last else elements // max(1, count // several)
