"""A case as a C kernel finds it in memory: the structs of `refengine_fuzz.h` and all they point to, in one block.

Pointers are offsets into the block until whoever calls the kernel adds its address. Around the data of every tensor
lie guard bytes that nobody may write, and the outputs are filled with what is wrong in every element, so that one never
written shows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..errors import InferenceError
from ..model import Array, Quantization, Tensor
from .case import Case

TENSOR, NUMBER, SCRATCH, CASE = "PiPPNiPPiiiPN", "PiPP", "PNi" + "N" * 16, "PPiiPPiPiPNP"
"""The structs' fields, a letter each: P a pointer, N a size_t, i an int32_t or int."""

STRUCTS = TENSOR, NUMBER, SCRATCH, CASE

PIECES = 8
"""Pieces of scratch memory that one call may ask for."""

GUARD = 64
"""Guard bytes before and behind the data of a tensor, and between two pieces of scratch memory."""

ROOM = 1024, 8, 1 << 16
"""Scratch memory has so many bytes, and for each byte of a tensor so many more; never more than the last."""

FRESH, RESET, GOES_ON = 1, 2, 0
"""How the state of a call begins: `refengine_case.begins`."""

NATIVE = struct.calcsize("P")


class Image(NamedTuple):
    """`pointers` are the places of pointers in `block`; the others those of the data of each input, of what the kernel
    writes (outputs, then variables), of its memory, of the scratch memory, and of the struct about that."""

    block: bytes
    pointers: tuple[int, ...]
    inputs: tuple[slice, ...]
    results: tuple[slice, ...]
    memory: slice
    scratch: slice
    pieces: slice


def filling(expected: Array, garbage: int) -> Array:
    """What an output holds before the call: another value in every element, and another one for each `garbage`."""
    wrong = 1 if expected.dtype == bool else (0xFF, 0xAA)[garbage]
    filled: Array = (expected.reshape(-1).view(np.uint8) ^ np.uint8(wrong)).view(expected.dtype)
    return filled.reshape(expected.shape)


def begins(case: Case) -> int:
    """How the state of this call begins."""
    return FRESH if case.before is None else RESET if case.reset else GOES_ON


def image_of(case: Case, garbage: int = 0, memory: bytes | None = None, pointer: int = NATIVE) -> Image:
    """The case in memory; `garbage` (0 or 1) chooses what lies where nobody should read.

    `memory` is what the kernel kept for itself at the call before, garbage if there was none. `pointer` is the size of
    a pointer there, 4 or 8 bytes.
    """
    block, numbers, step = _Block(garbage, pointer), case.numbers, case.step
    fed = [(t, x) for t, x in zip(case.tensors, case.arrays, strict=True)]
    made = [(t, filling(x, garbage)) for t, x in zip(step.outputs, _expected(case), strict=True)]
    head, pieces = block.reserve(CASE), block.reserve(SCRATCH)
    first_tensor, first_number = block.reserve(TENSOR, len(fed) + len(made)), block.reserve(NUMBER, len(numbers))
    for i, (name, values) in enumerate(numbers.items()):
        place = block.put(values.tobytes())
        pair = (place, 0) if values.dtype == np.int32 else (0, place)
        block.write(NUMBER, first_number, i, block.text(name), values.size, *pair)
    data = []
    for i, (tensor, array) in enumerate((*fed, *made)):
        data.append(block.guarded(array.tobytes()) if array is not None else slice(0, 0))
        packed = block.guarded(packed_int4(array)) if _is_packed(tensor) and array is not None else slice(0, 0)
        block.write(TENSOR, first_tensor, i, *block.described(tensor, data[-1], packed))
    own = block.guarded(_own_memory(case, garbage) if memory is None else memory) if step.memory else slice(0, 0)
    scratch = block.guarded(block.noise(_room(data)))
    block.write(SCRATCH, pieces, 0, scratch.start, scratch.stop - scratch.start, 0, *(0,) * 2 * PIECES)
    outputs = first_tensor + len(fed) * block.layout(TENSOR).size
    block.write(
        CASE,
        head,
        0,
        block.text(case.op),
        block.text(case.dtype),
        len(fed),
        len(made),
        first_tensor,
        outputs,
        len(numbers),
        first_number,
        begins(case),
        own.start,
        own.stop - own.start,
        pieces,
    )
    variables = [data[i] for i in step.facts.updates if i < len(fed) and fed[i][0] is not None]
    about = slice(pieces, pieces + block.layout(SCRATCH).size)
    return Image(
        bytes(block.bytes),
        tuple(block.pointers),
        tuple(data[: len(fed)]),
        (*data[len(fed) :], *variables),
        own,
        scratch,
        about,
    )


def pieces_of(image: Image, after: bytes, pointer: int = NATIVE) -> list[slice]:
    """The pieces of scratch memory that a call asked for, as places in the block."""
    _, _, count, *numbers = Layout.of(SCRATCH, pointer).struct.unpack(after[image.pieces])
    starts, sizes = numbers[:PIECES], numbers[PIECES:]
    return [
        slice(image.scratch.start + start, image.scratch.start + start + size)
        for start, size in zip(starts[:count], sizes[:count], strict=True)
    ]


def _expected(case: Case) -> tuple[Array, ...]:
    """The outputs; of an inference that TFLM ends early anything."""
    try:
        return case.results[: len(case.step.outputs)]
    except InferenceError:
        return tuple(np.zeros(t.shape, t.dtype) for t in case.step.outputs)


def packed_int4(codes: Array) -> bytes:
    """Two codes to a byte, the first in the low bits, as TFLite's files have int4."""
    flat = [code & 15 for code in codes.reshape(-1).tolist()]
    flat += [0] * (len(flat) % 2)
    return bytes(low | high << 4 for low, high in zip(flat[::2], flat[1::2], strict=True))


def _is_packed(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dtype == "int4"


def _own_memory(case: Case, garbage: int) -> bytes:
    """Room for what a kernel keeps for itself, whatever form it gives that: twice what is needed, and some more."""
    size = 1024 + 2 * sum(array.nbytes for array in case.step.memory)
    return np.random.default_rng(garbage).bytes(size)


def _room(data: list[slice]) -> int:
    """Bytes of scratch memory."""
    least, times, most = ROOM
    held: int = sum(part.stop - part.start for part in data)
    return min(most, least + times * held)


@dataclass(frozen=True)
class Layout:
    """A struct of C, little-endian; `pointers` are the place and the index of each of its pointers."""

    struct: struct.Struct
    pointers: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        return self.struct.size

    @staticmethod
    @cache
    def of(fields: str, pointer: int) -> Layout:
        """Every field at a multiple of its size, as all compilers for such machines do it, and the struct too."""
        letters, pointers, place = "<", [], 0
        for i, letter in enumerate(fields):
            size = 4 if letter == "i" else pointer
            padding = -place % size
            letters += f"{padding}x" + ("i" if letter == "i" else "QI"[pointer == 4])
            place += padding
            if letter == "P":
                pointers.append((place, i))
            place += size
        return Layout(struct.Struct(f"{letters}{-place % pointer}x"), tuple(pointers))


_NOISE = [bytes((0x5A + 37 * i ^ 0xFF * garbage) & 0xFF for i in range(256)) for garbage in (0, 1)]


class _Block:
    """Bytes that grow, and where the pointers in them are; places are offsets, 0 is NULL."""

    def __init__(self, garbage: int, pointer: int) -> None:
        self.bytes = bytearray()
        self.pointers: list[int] = []
        self.pointer = pointer
        self.garbage = garbage
        self.guard = self.noise(GUARD)

    def noise(self, count: int) -> bytes:
        """Bytes that nobody should read or take for zeros."""
        return (_NOISE[self.garbage] * (count // 256 + 1))[:count]

    def layout(self, fields: str) -> Layout:
        return Layout.of(fields, self.pointer)

    def put(self, raw: bytes) -> int:
        self.bytes += b"\0" * (-len(self.bytes) % 8)
        place = len(self.bytes)
        self.bytes += raw
        return place

    def text(self, text: str) -> int:
        return self.put(text.encode() + b"\0")

    def reserve(self, fields: str, count: int = 1) -> int:
        return self.put(bytes(count * self.layout(fields).size))

    def write(self, fields: str, first: int, i: int, *values: int) -> None:
        layout = self.layout(fields)
        place = first + i * layout.size
        layout.struct.pack_into(self.bytes, place, *values)
        self.pointers += [place + at for at, letter in layout.pointers if values[letter]]

    def guarded(self, raw: bytes) -> slice:
        """Bytes between guards, aligned to 16 bytes and to no more."""
        self.put(b"")
        self.bytes += self.guard * 2
        self.bytes += self.guard[: (16 - len(self.bytes)) % 32]
        place = len(self.bytes)
        self.bytes += raw + self.guard
        return slice(place, place + len(raw))

    def described(self, tensor: Tensor | None, data: slice, packed: slice) -> tuple[Any, ...]:
        """The fields of a tensor."""
        if tensor is None:
            return self.text(""), *(0,) * 12
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
            int(tensor.is_variable),
            packed.start,
            packed.stop - packed.start,
        )
