"""The TFLite schema as data: reader and writer share one description of every table.

`schema.json` holds it, which `tools/tflite_schema.py` learns from the generated classes of the `tflite` package: to
import those themselves takes half as long as to import NumPy.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

# Tensor types that NumPy lacks: how an array holds them, and the bits of one element (0: it varies).
_FOREIGN = {
    "int4": ("int8", 4),
    "bfloat16": ("uint8", 16),
    "string": ("uint8", 0),
    "resource": ("uint8", 0),
    "variant": ("uint8", 0),
}

FORMS = {
    type: struct.Struct(f"<{form}")
    for type, form in (
        *(("bool", "?"), ("int8", "b"), ("uint8", "B"), ("int16", "h"), ("uint16", "H"), ("int32", "i")),
        *(("uint32", "I"), ("int64", "q"), ("uint64", "Q"), ("float32", "f"), ("float64", "d")),
    )
}
"""How the file holds a number of each type."""

DTYPES = {type: np.dtype(type) for type in FORMS}

RANGES = {type: (int(np.iinfo(type).min), int(np.iinfo(type).max)) for type in FORMS if "int" in type} | {
    "bool": (0, 1)
}
"""The lowest and the highest number of each type that is not one of floats."""

Kind = Literal["scalar", "string", "table", "union"]


class Field(NamedTuple):
    """One field of a table. `type` is the NumPy name of a scalar's type, `table` the name of a nested table.

    `default` is what an absent field means, `names` the enumerators by their codes, and `codes` the other way round.
    """

    name: str
    slot: int
    kind: Kind
    vector: bool = False
    type: str = ""
    table: str = ""
    default: Any = None
    names: Mapping[int, str] | None = None
    codes: Mapping[str, int] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the file stores: the number of a scalar, the offset of anything else."""
        return DTYPES[self.type or "uint32"]

    @property
    def form(self) -> struct.Struct:
        """The same of a scalar, as it is unpacked."""
        return FORMS[self.type]

    @property
    def is_bytes(self) -> bool:
        """Whether it is a vector of bytes, which stay such."""
        return self.vector and self.type == "uint8"


COMPRESSION_VERSION = 1
COMPRESSION = {
    "CompressionMetadata": (
        Field("schema_version", 4, "scalar", type="uint32", default=COMPRESSION_VERSION),
        Field("subgraphs", 6, "table", vector=True, table="CompressedSubgraph", default=()),
    ),
    "CompressedSubgraph": (Field("lut_tensors", 4, "table", vector=True, table="LutTensor", default=()),),
    "LutTensor": (
        Field("tensor", 4, "scalar", type="int32", default=0),
        Field("value_buffer", 6, "scalar", type="uint32", default=0),
        Field("index_bitwidth", 8, "scalar", type="uint8", default=0),
    ),
}
"""The tables of a FlatBuffer of TFLM's own, in the metadata of files that it compressed: `compression/metadata.fbs`."""


@cache
def _schema() -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
    return schema


def version() -> str:
    """The version of the `tflite` package that it was learnt from."""
    return str(_schema()["version"])


@cache
def fields(table: str) -> tuple[Field, ...]:
    """The fields of a table by its name, in the order of their slots."""
    return COMPRESSION.get(table) or tuple(map(_field, _schema()["tables"][table]))


def _field(told: list[Any]) -> Field:
    name, slot, kind, vector, type, table, default, enum = told
    names = enumeration(enum) if enum else None
    if vector:
        default = b"" if type == "uint8" else ()
    elif kind == "string":
        default = ""
    elif kind == "scalar" and names is not None:
        default = names[default]
    return Field(name, slot, kind, vector, type, table, default, names, codes(enum) if enum else None)


@cache
def enumeration(name: str) -> Mapping[int, str]:
    """Code → name; tensor types in NumPy's lower case."""
    members = {int(code): member for code, member in _schema()["enumerations"][name].items()}
    return {code: member.lower() for code, member in members.items()} if name == "TensorType" else members


@cache
def codes(enumerated: str) -> Mapping[str, int]:
    """Name → code: the inverse of `enumeration`."""
    return {name: code for code, name in enumeration(enumerated).items()}


def options_table(operator: str) -> str | None:
    """The name of a builtin operator's options table, or None for one without options."""
    table: str | None = _schema()["options"].get(operator)
    return table


def is_table(name: str) -> bool:
    """Whether the schema has a table of that name."""
    return name in _schema()["tables"]


def held_as(dtype: str) -> np.dtype[Any]:
    """The NumPy type of a constant's array; uint8 stands for raw bytes, but for uint8 itself."""
    return np.dtype(_FOREIGN.get(dtype, (dtype, 0))[0])


def element_bits(dtype: str) -> int:
    """The bits that one element takes in the file, or 0 where that varies."""
    return _FOREIGN[dtype][1] if dtype in _FOREIGN else np.dtype(dtype).itemsize * 8


def is_raw(dtype: str) -> bool:
    """Whether a constant of this type is kept as the file's bytes, because NumPy has nothing like it."""
    return dtype in _FOREIGN and dtype != "int4"
