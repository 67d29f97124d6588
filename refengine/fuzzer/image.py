"""A case as a C kernel finds it in memory: the structs of `refengine_fuzz.h` and all they point to, in one block.

Pointers are offsets into the block until `child` adds its address. Around the data of every tensor lie guard bytes that
nobody may write, and the output is filled with what is wrong in every element, so that one never written shows.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..model import Array, Quantization, Tensor
from .case import Case

TENSOR, NUMBER, CASE = "PiPPNiPPii", "PiPP", "PiiPPiP"
"""The structs' fields, in the letters of the module `struct`."""

GUARD = 64
"""Guard bytes before and behind the data of a tensor."""


class Image(NamedTuple):
    """`pointers` are the places of pointers in `block`, `data` the places of the inputs' data, then of the output's."""

    block: bytes
    pointers: tuple[int, ...]
    data: tuple[slice, ...]


def filling(expected: Array, garbage: int) -> Array:
    """What the output holds before the call: another value in every element, and another one for each `garbage`."""
    wrong = 1 if expected.dtype == bool else (0xFF, 0xAA)[garbage]
    filled: Array = (expected.reshape(-1).view(np.uint8) ^ np.uint8(wrong)).view(expected.dtype)
    return filled.reshape(expected.shape)


def image_of(case: Case, garbage: int = 0) -> Image:
    """The case in memory; `garbage` (0 or 1) chooses what lies where nobody should read."""
    block, tensors, numbers = _Block(garbage), (*case.tensors, case.step.outputs[0]), case.numbers
    head = block.reserve(CASE)
    first_tensor, first_number = block.reserve(TENSOR, len(tensors)), block.reserve(NUMBER, len(numbers))
    for i, (name, values) in enumerate(numbers.items()):
        place = block.put(values.tobytes())
        pair = (place, 0) if values.dtype == np.int32 else (0, place)
        block.write(NUMBER, first_number, i, block.text(name), values.size, *pair)
    data = []
    for i, (tensor, array) in enumerate(zip(tensors, (*case.arrays, filling(case.expected, garbage)), strict=True)):
        data.append(block.guarded(array) if array is not None else slice(0, 0))
        block.write(TENSOR, first_tensor, i, *block.described(tensor, data[-1]))
    inputs = len(tensors) - 1
    outputs = first_tensor + inputs * _layout(TENSOR)[0].size
    block.write(CASE, head, 0, block.text(case.op), inputs, 1, first_tensor, outputs, len(numbers), first_number)
    return Image(bytes(block.bytes), tuple(block.pointers), tuple(data))


class _Block:
    """Bytes that grow, and where the pointers in them are; places are offsets, 0 is NULL."""

    def __init__(self, garbage: int) -> None:
        self.bytes = bytearray()
        self.pointers: list[int] = []
        self.guard = bytes((0x5A + 37 * i ^ 0xFF * garbage) & 0xFF for i in range(GUARD))

    def put(self, raw: bytes) -> int:
        self.bytes += b"\0" * (-len(self.bytes) % 8)
        place = len(self.bytes)
        self.bytes += raw
        return place

    def text(self, text: str) -> int:
        return self.put(text.encode() + b"\0")

    def reserve(self, fields: str, count: int = 1) -> int:
        return self.put(bytes(count * _layout(fields)[0].size))

    def write(self, fields: str, first: int, i: int, *values: int) -> None:
        layout, pointers = _layout(fields)
        place = first + i * layout.size
        layout.pack_into(self.bytes, place, *values)
        self.pointers += [place + at for at, letter in pointers if values[letter]]

    def guarded(self, array: Array) -> slice:
        """An array between guards, aligned to 16 bytes and to no more."""
        self.put(b"")
        self.bytes += self.guard * 2
        self.bytes += self.guard[: (16 - len(self.bytes)) % 32]
        place = len(self.bytes)
        self.bytes += array.tobytes() + self.guard
        return slice(place, place + array.nbytes)

    def described(self, tensor: Tensor | None, data: slice) -> tuple[Any, ...]:
        """The fields of a tensor."""
        if tensor is None:
            return self.text(""), 0, 0, 0, 0, 0, 0, 0, 0, 0
        q = tensor.quantization or Quantization()
        points = (*q.zero_point, *(0,) * len(q.scale))[: len(q.scale)]
        return (
            self.text(tensor.dtype),
            len(tensor.shape),
            self.put(np.array(tensor.shape, np.int32).tobytes()),
            data.start,
            data.stop - data.start,
            len(q.scale),
            self.put(np.array(q.scale, np.float32).tobytes()),
            self.put(np.array(points, np.int32).tobytes()),
            q.quantized_dimension,
            int(tensor.data is not None),
        )


@cache
def _layout(fields: str) -> tuple[struct.Struct, tuple[tuple[int, int], ...]]:
    """A struct, and the place and index of each of its pointers."""
    places = ((struct.calcsize(f"@{fields[:i]}0P"), i) for i, letter in enumerate(fields) if letter == "P")
    return struct.Struct(f"@{fields}0P"), tuple(places)
