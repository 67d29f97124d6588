"""What is said over the line: frames of `firmware/protocol/frame.h`, messages of `firmware/protocol/device.fbs`.

A message is a dataclass with the name and the fields, in order, of its table; the annotations are the field's types and
tell `encode` and `decode` all that they need.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeAlias, get_args

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

uint8: TypeAlias = int
int32: TypeAlias = int
uint32: TypeAlias = int
float32: TypeAlias = float

IDENTIFIER = b"RFD1"
STEP, INPUT, OUTPUT, STATE = range(4)
"""Roles, for `GetTensor`."""

UNKNOWN_REQUEST, OUT_OF_RANGE, INPUT_DIFFERS, STATE_DIFFERS = range(4)
"""Reasons, in `Refused`."""

TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool", "uint32", "uint64")


class Range(NamedTuple):
    """A part of a step's output, or of a state; see device.fbs for the numbers of these."""

    step: int
    offset: int
    bytes: int


# ---- messages: the members of union Body, in order


@dataclass(frozen=True)
class GetInfo:
    pass


@dataclass(frozen=True)
class GetTensor:
    role: uint8
    place: uint32


@dataclass(frozen=True)
class Write:
    input: uint32
    offset: uint32
    data: bytes


@dataclass(frozen=True)
class Run:
    inputs_crc32: tuple[uint32, ...]
    taps: tuple[Range, ...] = ()
    history: uint32 = 0


@dataclass(frozen=True)
class Info:
    """What runs where: `sha256` is that of the .tflite, `numerics` the dialect that the firmware was exported for."""

    name: str
    sha256: str
    numerics: str
    board: str
    ticks_per_second: uint32
    arena_bytes: uint32
    data_bytes: uint32
    steps: uint32
    inputs: uint32
    outputs: uint32
    version: uint32 = 0
    states: uint32 = 0


@dataclass(frozen=True)
class TensorInfo:
    """A tensor, and the operator whose output it is, if any."""

    name: str
    index: int32
    type: uint8
    shape: tuple[int32, ...]
    bytes: uint32
    scale: float32
    zero_point: int32
    operator_index: int32
    operator_name: str
    golden_crc32: uint32


@dataclass(frozen=True)
class Written:
    input: uint32
    offset: uint32
    bytes: uint32


@dataclass(frozen=True)
class Started:
    pass


@dataclass(frozen=True)
class StepDone:
    step: uint32
    ticks: uint32
    crc32: uint32


@dataclass(frozen=True)
class Chunk:
    step: uint32
    offset: uint32
    data: bytes


@dataclass(frozen=True)
class Finished:
    steps: uint32


@dataclass(frozen=True)
class Refused:
    reason: uint8


@dataclass(frozen=True)
class Restarted:
    """Sent unasked when a device begins."""


Body: TypeAlias = (
    GetInfo | GetTensor | Write | Run
    | Info | TensorInfo | Written | Started | StepDone | Chunk | Finished | Refused | Restarted
)  # fmt: skip
BODIES = get_args(Body)

NUMBERS: dict[str, Any] = {
    "uint8": number_types.Uint8Flags,
    "int32": number_types.Int32Flags,
    "uint32": number_types.Uint32Flags,
    "float32": number_types.Float32Flags,
}


def encode(sequence: int, body: Body) -> bytes:
    """The message as a FlatBuffer."""
    builder = flatbuffers.Builder(256)
    values = [_append(builder, f.type, getattr(body, f.name)) for f in fields(body)]
    builder.StartObject(len(values))
    for slot, (f, value) in enumerate(zip(fields(body), values, strict=True)):
        if f.type in NUMBERS:
            builder.PrependSlot(NUMBERS[str(f.type)], slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    table = builder.EndObject()
    builder.StartObject(3)
    builder.PrependUint32Slot(0, sequence, 0)
    builder.PrependUint8Slot(1, 1 + BODIES.index(type(body)), 0)
    builder.PrependUOffsetTRelativeSlot(2, table, 0)
    builder.Finish(builder.EndObject(), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def decode(data: bytes) -> tuple[int, Body] | None:
    """(sequence number, message), or None for anything else."""
    if data[4:8] != IDENTIFIER:
        return None
    try:
        message = Table(bytearray(data), int.from_bytes(data[:4], "little"))
        kind = _read(message, 1, "uint8") or len(BODIES) + 1  # none is no message
        body = Table(message.Bytes, message.Indirect(message.Pos + message.Offset(8)))
        table = BODIES[kind - 1]
        return _read(message, 0, "uint32"), table(*(_read(body, i, str(f.type)) for i, f in enumerate(fields(table))))
    except (struct.error, IndexError, ValueError, TypeError, OverflowError):  # what Table raises on bytes that are none
        return None


def _append(builder: Any, kind: object, value: Any) -> Any:
    """A number as it is, anything else appended: its offset."""
    match kind:
        case "str":
            return builder.CreateString(value)
        case "bytes":
            return builder.CreateByteVector(value)
        case "tuple[Range, ...]":
            builder.StartVector(12, len(value), 4)
            for number in reversed([number for part in value for number in part]):
                builder.PrependUint32(number)
            return builder.EndVector()
        case "tuple[int32, ...]" | "tuple[uint32, ...]":
            builder.StartVector(4, len(value), 4)
            for number in reversed(value):
                builder.PrependInt32(number) if kind == "tuple[int32, ...]" else builder.PrependUint32(number)
            return builder.EndVector()
    return value


def _read(table: Any, slot: int, kind: str) -> Any:
    offset = table.Offset(4 + 2 * slot)
    if kind in NUMBERS:
        return table.Get(NUMBERS[kind], table.Pos + offset) if offset else 0
    if kind == "str":
        return table.String(table.Pos + offset).decode() if offset else ""
    start, length = (table.Vector(offset), table.VectorLen(offset)) if offset else (0, 0)
    width = {"bytes": 1, "tuple[Range, ...]": 12}.get(kind, 4)
    data = bytes(table.Bytes[start : start + width * length])
    if len(data) != width * length:
        raise ValueError("a vector beyond the buffer")
    match kind:
        case "bytes":
            return data
        case "tuple[Range, ...]":
            return tuple(Range(*part) for part in struct.iter_unpack("<III", data))
    return struct.unpack(f"<{length}{'i' if kind == 'tuple[int32, ...]' else 'I'}", data)


# ---- frames

LONGEST = 1 << 16
"""Bytes without an END that are remembered: more than any frame."""

END, ESCAPE = b"\xc0", b"\xdb"
ESCAPED_END, ESCAPED_ESCAPE = b"\xdb\xdc", b"\xdb\xdd"


def frame(payload: bytes) -> bytes:
    """`payload` as it goes over the line."""
    covered = len(payload).to_bytes(4, "little") + payload
    whole = covered + zlib.crc32(covered).to_bytes(4, "little")
    return END + whole.replace(ESCAPE, ESCAPED_ESCAPE).replace(END, ESCAPED_END) + END


class Deframer:
    """Finds the intact frames in whatever comes in."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` completes; damaged frames are dropped."""
        *complete, rest = (self.rest + data).split(END)
        self.rest = rest[-LONGEST:]
        for escaped in complete:
            whole = escaped.replace(ESCAPED_END, END).replace(ESCAPED_ESCAPE, ESCAPE)
            covered, crc = whole[:-4], whole[-4:]
            intact = zlib.crc32(covered).to_bytes(4, "little") == crc and len(covered) > 4
            if intact and int.from_bytes(covered[:4], "little") == len(covered) - 4:
                yield covered[4:]
