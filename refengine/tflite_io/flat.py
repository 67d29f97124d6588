"""FlatBuffers, read with distrust: every access stays inside the file, and memory within a multiple of its size.

`FlatFile.table` turns a table into a plain dictionary, nested tables included. A FlatBuffer may point at the same bytes
from many places, so that a small file unfolds into gigabytes. Whatever is unfolded is therefore first charged
against an allowance proportional to the file. Real models use a quarter to a half of it.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ..errors import LimitError, ModelError
from . import schema

Row = dict[str, Any]

ALLOWANCE = 32  # bytes of memory for each byte of the file,
ALLOWANCE_AT_LEAST = 1 << 18  # and these for a small one
_TABLE_COST, _FIELD_COST, _NUMBER_COST, _BYTE_COST = 256, 48, 44, 8  # bytes: Python's objects, and copies of them

_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")


class FlatFile:
    """The bytes of a file; `path` is where in it we are, for an error to say so."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.path: list[str] = []
        self.allowance = max(ALLOWANCE * len(data), ALLOWANCE_AT_LEAST)

    def where(self) -> str:
        return ".".join(self.path) or "the root table"

    def damage(self, what: str) -> ModelError:
        """The error that says what is wrong here, for the caller to raise."""
        return ModelError(f"{self.where()}: {what}; the file is cut off or damaged, so get it or convert it again")

    def spend(self, size: int) -> None:
        """Charge `size` bytes of memory, before they are taken."""
        self.allowance -= size
        if self.allowance < 0:
            raise ModelError(
                f"{self.where()}: the file's {len(self.data)} bytes would unfold into more than "
                f"{ALLOWANCE} times as many; it was not made by a converter, so do not trust it"
            )

    def span(self, at: int, size: int) -> memoryview:
        """The `size` bytes from `at` on."""
        if not 0 <= at <= at + size <= len(self.data):
            raise self.outside(at, size)
        return memoryview(self.data)[at : at + size]

    def outside(self, at: int, size: int) -> ModelError:
        return self.damage(f"{size} bytes at {at} are not within the file's {len(self.data)}")

    def number(self, form: struct.Struct, at: int) -> Any:
        """The number of the given form at byte `at`."""
        if not 0 <= at <= len(self.data) - form.size:
            raise self.outside(at, form.size)
        return form.unpack_from(self.data, at)[0]

    def follow(self, at: int) -> int:
        """Where the offset at byte `at` points."""
        target: int = at + self.number(_U32, at)
        return target

    def root(self) -> Row:
        """The whole file, as `table` reads its root."""
        return self.table("Model", self.follow(0))

    def table(self, table: str, at: int) -> Row:
        """Field name → value of the table of that name at byte `at`; where absent, the schema's default.

        Vectors are tuples, but those of bytes memoryviews of the file; a union is (table name, dictionary) or None.

        Raises `ModelError`, or `LimitError` for fields and enumerators that the schema does not have: what a
        newer file says must not be ignored.
        """
        known = schema.fields(table)
        self.spend(_TABLE_COST + _FIELD_COST * len(known))
        vtable = at - self.number(_I32, at)
        slots = self.span(vtable, self.number(_U16, vtable))
        if len(slots) < 4 or len(slots) % 2:
            raise self.damage(f"the vtable at byte {vtable} has {len(slots)} bytes")
        inline = _U16.unpack_from(slots, 2)[0]
        end = known[-1].slot + 2 if known else 4
        self.spend(max(0, len(slots) - end))
        if any(slots[end:]):
            raise LimitError(f"{self.where()}: {newer(f'a field of {table}')}")
        row: Row = {}
        for field in known:
            offset = _U16.unpack_from(slots, field.slot)[0] if field.slot + 2 <= len(slots) else 0
            if not offset:
                row[field.name] = field.default
                continue
            self.path.append(field.name)
            if not 4 <= offset < inline:
                raise self.damage(f"byte {offset} is not within the table's {inline}")
            if field.vector:
                row[field.name] = self._vector(field, self.follow(at + offset))
            elif field.kind == "union":
                row[field.name] = self._union(field, row.pop(f"{field.name}_type"), at + offset)
            else:
                row[field.name] = self._single(field, at + offset)
            self.path.pop()
        return row

    def _vector(self, field: schema.Field, at: int) -> tuple[Any, ...] | memoryview:
        length, width = self.number(_U32, at), field.dtype.itemsize
        contents = self.span(at + 4, length * width)
        if field.is_bytes:
            self.spend(length * _BYTE_COST)
            return contents
        self.spend(length * _NUMBER_COST)
        if field.kind == "scalar":
            numbers = np.frombuffer(contents, field.dtype).tolist()
            return tuple(numbers if field.names is None else [self._named(field, number) for number in numbers])
        items, name = [], self.path[-1]
        for index in range(length):
            self.path[-1] = f"{name}[{index}]"
            items.append(self._single(field, at + 4 + index * width))
        self.path[-1] = name
        return tuple(items)

    def _union(self, field: schema.Field, code: int, at: int) -> tuple[str, Row] | None:
        name = self._named(field, code)
        return None if name == "NONE" else (name, self.table(name, self.follow(at)))

    def _single(self, field: schema.Field, at: int) -> Any:
        """A number, string or table: the field's, or one of its vector's."""
        if field.kind == "scalar":
            return self._named(field, self.number(field.form, at))
        if field.kind == "table":
            return self.table(field.table, self.follow(at))
        at = self.follow(at)
        text = self.span(at + 4, self.number(_U32, at) + 1)  # with the 0 that ends it
        self.spend(_TABLE_COST + 4 * len(text))  # one wide character widens all
        try:
            return str(text[:-1], "utf-8")
        except UnicodeDecodeError as error:
            raise self.damage(f"the text at byte {at} is not UTF-8") from error

    def _named(self, field: schema.Field, code: Any) -> Any:
        """An enumerator's name; other numbers as they are."""
        if field.names is None:
            return code
        if code not in field.names:
            raise LimitError(f"{self.where()}: {newer(f'the value {code}')}")
        return field.names[code]


def newer(what: str) -> str:
    """The sentence about something that this schema does not have."""
    return (
        f"{what} is not in the schema of tflite {schema.version()}; the file is damaged, or newer than that: "
        "convert the model with an older TensorFlow"
    )
