"""FlatBuffers, read with distrust: every offset stays inside the file, and no part is read again and again.

`FlatFile.table` turns a table into a plain dictionary, nested tables included. A FlatBuffer may point at the same bytes
from many places, so that a small file unfolds into gigabytes; real files hardly do. Whatever is read is therefore
charged against an allowance proportional to the file, and memory stays within a small multiple of it.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import tflite

from ..errors import ModelError, UnsupportedError
from . import schema

Row = dict[str, Any]

_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")

_TABLE_CHARGE = 32  # bytes: about what the smallest useful table takes in a file
_SHARING = 3  # a part may be pointed at from so many places, on average


class FlatFile:
    """The bytes of a file, and where in it we are: `path` is what an error names."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.view = memoryview(data)
        self.path: list[str] = []
        self.allowance = _SHARING * len(data) + 4096

    def error(self, problem: str) -> ModelError:
        """`problem`, and where: for the caller to raise."""
        return ModelError(f"{'.'.join(self.path) or 'the header'}: {problem}; the file is damaged or cut off: "
                          "get it, or convert it, again")

    def spend(self, size: int) -> None:
        """Charge `size` bytes that are about to be copied or decoded."""
        self.allowance -= size
        if self.allowance < 0:
            raise self.error(f"the file points at the same parts too often (over {_SHARING} times its "
                             f"{len(self.data)} bytes)")

    def span(self, at: int, size: int) -> memoryview:
        """The `size` bytes from `at` on."""
        if not 0 <= at <= at + size <= len(self.data):
            raise self.error(f"{size} bytes at {at} are not within the file's {len(self.data)}")
        return self.view[at:at + size]

    def number(self, form: struct.Struct, at: int) -> Any:
        """The number of the given form at byte `at`."""
        return form.unpack(self.span(at, form.size))[0]

    def follow(self, at: int) -> int:
        """Where the offset at byte `at` points."""
        target: int = at + self.number(_U32, at)
        return target

    def table(self, table: Any, at: int) -> Row:
        """Field name → value of the table of class `table` at byte `at`, the schema's defaults where a field is absent.

        Vectors are tuples, those of bytes memoryviews of the file; a union is (table name, dictionary) or None.

        Raises `UnsupportedError` for fields and enumerators that the schema does not have: it may not be ignored what
        a newer file says.
        """
        known = schema.fields(table)
        self.spend(_TABLE_CHARGE)
        vtable = at - self.number(_I32, at)
        size = self.number(_U16, vtable)
        slots = self.span(vtable, size)
        end = known[-1].slot + 2 if known else 4
        if size > end:
            self.spend(size - end)
            if any(slots[end:]):
                raise UnsupportedError(f"{'.'.join(self.path)}: the file has a field of {table.__name__} that came after "
                                       f"the schema of tflite {tflite.__version__}; update that package")
        row: Row = {}
        for field in known:
            offset = _U16.unpack_from(slots, field.slot)[0] if field.slot + 2 <= size else 0
            if not offset:
                row[field.name] = field.default
                continue
            self.path.append(field.name)
            row[field.name] = self._value(field, at + offset, row)
            self.path.pop()
        return row

    def _value(self, field: schema.Field, at: int, row: Row) -> Any:
        """The field's value, found at `at`; `row` has the fields before it."""
        if field.vector:
            return self._vector(field, self.follow(at))
        if field.kind == "scalar":
            return self._named(field, self.number(field.flags.packer_type, at))
        if field.kind == "union":
            name = self._named(field, row[f"{field.name}_type"])
            return None if name == "NONE" else (name, self.table(getattr(tflite, name), self.follow(at)))
        return self._string_or_table(field, at)

    def _vector(self, field: schema.Field, at: int) -> Any:
        length = self.number(_U32, at)
        if field.kind == "scalar":
            contents = self.span(at + 4, length * field.dtype.itemsize)
            if field.flags is schema.BYTE:
                return contents
            self.spend(len(contents))
            numbers = np.frombuffer(contents, field.dtype).tolist()
            return tuple(self._named(field, number) for number in numbers) if field.names else tuple(numbers)
        self.spend(len(self.span(at + 4, length * 4)))
        items = []
        name = self.path[-1]
        for index in range(length):
            self.path[-1] = f"{name}[{index}]"
            items.append(self._string_or_table(field, at + 4 + 4 * index))
        self.path[-1] = name
        return tuple(items)

    def _string_or_table(self, field: schema.Field, at: int) -> Any:
        target = self.follow(at)
        if field.kind == "table":
            return self.table(field.table, target)
        text = self.span(target + 4, self.number(_U32, target))
        self.spend(len(text))
        try:
            return str(text, "utf-8")
        except UnicodeDecodeError as error:
            raise self.error("the text is not UTF-8") from error

    def _named(self, field: schema.Field, code: Any) -> Any:
        """An enumerator's name; other scalars as they are."""
        if field.names is None:
            return code
        if code not in field.names:
            raise UnsupportedError(f"{'.'.join(self.path)}: {code} is not in the schema of tflite {tflite.__version__} "
                                   f"({', '.join(field.names.values())}); update that package")
        return field.names[code]
