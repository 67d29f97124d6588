"""A custom operator's options, read as TFLM reads them: a FlexBuffer, most often a map, by place or by name.

TFLM: `flatbuffer_utils.cc` (FlexbufferWrapper). The signal operators and CIRCULAR_BUFFER know their options by their
**place** in the map, whose keys are sorted, and take the bytes there for a signed integer, whatever they were written
as: names do not matter, and an unsigned 200 in one byte is −56. Others look names up.
"""

from __future__ import annotations

from typing import Any

from flatbuffers import flexbuffers

from ..errors import UnsupportedError, require
from ..kernel import Node
from ..numerics import scalar

VECTOR, MAP = 10, 9


def by_place(node: Node, *names: str) -> tuple[int, ...]:
    """The first int32 options of the sorted map; `names` are what they mean. Refuses what TFLM would read beyond."""
    data = node.custom_options
    require(data, f"the options are missing, on which TFLM crashes: write {', '.join(names)} and convert again")
    try:
        width, values = _vector(data)
    except (IndexError, ValueError):
        width, values = 1, b""
    require(
        len(values) >= width * len(names),
        f"the options hold {len(values) // width} values; TFLM reads {len(names)} ({', '.join(names)}) in that order: "
        "convert again with all of them",
    )
    parts = [values[k * width : (k + 1) * width] for k in range(len(names))]
    return tuple(scalar.wrap(int.from_bytes(part, "little", signed=True)) for part in parts)


def _vector(data: bytes) -> tuple[int, bytes]:
    """(bytes a value, all values) of the vector or map at the root; raises `IndexError`, `ValueError` if none is."""
    root, packed, end = data[-1], data[-2], len(data) - 2
    start = end - root - int.from_bytes(data[end - root : end], "little")
    width = 1 << (packed & 3)
    if packed >> 2 not in (VECTOR, MAP) or start < width or root not in (1, 2, 4, 8) or end < root:
        raise ValueError("no vector")
    count = int.from_bytes(data[start - width : start], "little")
    if start + count * width > end:
        raise ValueError("longer than the file")
    return width, data[start : start + count * width]


def by_name(node: Node) -> dict[str, Any]:
    """All options of the map by name; refuses bytes that are none."""
    try:
        options = flexbuffers.Loads(node.custom_options)
    except Exception as error:  # whatever a parser does on damaged bytes
        raise UnsupportedError("the options are no FlexBuffer, as TFLM takes them to be: convert again") from error
    require(isinstance(options, dict), "the options are no map of names, as TFLM takes them to be: convert again")
    named: dict[str, Any] = options
    return named


def number(options: dict[str, Any], name: str, default: float = 0) -> float:
    """An option that is a number; `default` where it is not there."""
    value = options.get(name)
    if value is None:
        return default
    require(isinstance(value, (int, float)), f"the option {name} is {value!r}, for TFLM no number: convert again")
    return float(value) if isinstance(value, float) else int(value)


def pack(**options: float) -> bytes:
    """The options as a map, integers signed: for an example."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in options.items():
            if isinstance(value, bool):
                builder.Bool(name, value)
            elif isinstance(value, int):
                builder.Int(name, value)
            else:
                builder.Float(name, value)
    return bytes(builder.Finish())
