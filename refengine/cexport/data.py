"""Constants in C: arrays, structs, literals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..memory import ALIGNMENT
from ..model import Array
from ..numerics.fixedpoint import Multiplier
from .call import At, Call, Constant, Function, Place, Rows, Values

C_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "uint64": "uint64_t",
    "bool": "uint8_t",
}

WIDTH = 120


class Data:
    """The constant arrays and params of model.c, in the order they were asked for."""

    def __init__(self, offsets: Mapping[Place, int]) -> None:
        self.offsets = offsets
        self.lines: list[str] = []
        self.bytes = 0

    def constant(self, name: str, constant: Constant) -> str:
        """Define the data of an argument, for cores with Helium as it is; its name."""
        if constant.plain is None:
            return self.array(name, constant.data)
        self.lines.append("#if REFENGINE_MVE")
        self.array(name, constant.plain)
        self.bytes -= constant.plain.nbytes
        self.lines.append("#else")
        self.array(name, constant.data)
        self.lines += ["#endif", ""]
        return name

    def array(self, name: str, array: Array) -> str:
        """Define a constant array; its name."""
        flat = np.ascontiguousarray(array).reshape(-1)
        self.bytes += flat.nbytes
        kind = C_TYPES[flat.dtype.name]
        self.lines += [
            f"_Alignas({ALIGNMENT}) static const {kind} {name}[{max(1, flat.size)}] = {{",
            *_wrapped(map(number, flat.tolist() if flat.dtype != np.float32 else flat)),
            "};",
            "",
        ]
        return name

    def multipliers(self, name: str, multiplier: Multiplier) -> str:
        """Define an array of `struct multiplier`; its name."""
        rows = [_multiplier(multiplier, i) for i in range(multiplier.multiplier.size)]
        self.bytes += len(rows) * 8
        self.lines += [f"static const struct multiplier {name}[{len(rows)}] = {{", *_wrapped(rows), "};", ""]
        return name

    def structs(self, name: str, rows: Rows) -> str:
        """Define an array of structs; its name."""
        listed = [f"{{{', '.join(self._fields(f'{name}{i}', fields))}}}" for i, fields in enumerate(rows.rows)]
        self.lines += [f"static const struct {rows.struct} {name}[{len(listed)}] = {{", *_wrapped(listed), "};", ""]
        return name

    def params(self, name: str, call: Call) -> str:
        """Define the params struct of a call; its name."""
        fields = self._fields(name, call.params)
        self.lines += [f"static const struct {call.struct} {name}_params = {{", *_wrapped(fields), "};", ""]
        return f"{name}_params"

    def _fields(self, name: str, fields: Mapping[str, Any]) -> list[str]:
        return [f".{field} = {self._value(f'{name}_{field}', value)}" for field, value in fields.items()]

    def _value(self, name: str, value: Any) -> str:
        match value:
            case dict():
                return f"{{{', '.join(self._fields(name, value))}}}"
            case Values():
                return f"{{{', '.join(map(str, value))}}}"
            case At():
                return f"AT({self.offsets[value]})"
            case Function():
                return str(value)
            case Rows():
                return self.structs(name, value) if value.rows else "0"
            case Multiplier() if np.ndim(value.multiplier):
                return self.multipliers(name, value)
            case Multiplier():
                return _multiplier(value, 0)
            case np.ndarray():
                return self.array(name, value)
        return number(value)


def _multiplier(m: Multiplier, channel: int) -> str:
    multiplier, shift, scale = (field.reshape(-1)[channel] for field in (m.multiplier, m.shift, m.scale))
    return f"{{{multiplier}, {shift}{f', {number(scale)}' if m.rounding == 'xnnpack' else ''}}}"


LOWEST = {-(2**31): "INT32_MIN", -(2**63): "INT64_MIN"}


def number(value: Any) -> str:
    """A C literal with just this value."""
    if isinstance(value, np.floating):
        if np.isnan(value):
            return "NAN"
        return f"{float(value).hex()}f" if np.isfinite(value) else ("INFINITY" if value > 0 else "-INFINITY")
    number = int(value)
    if number in LOWEST:  # in C, the minus is an operator
        return LOWEST[number]
    wide = "" if abs(number) <= 2**31 else "INT64_C" if number < 2**63 else "UINT64_C"
    return f"{wide}({number})" if wide else str(number)


def _wrapped(items: Iterable[str]) -> Iterator[str]:
    """Comma-separated, in lines of at most WIDTH."""
    line = " "
    for item in items:
        if len(line) + len(item) + 2 > WIDTH and line.strip():
            yield line
            line = " "
        line += f" {item},"
    yield line if line.strip() else "  0"
