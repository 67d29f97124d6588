"""The C kernels as a shared library: their structs read off the headers, filled from what `cexport` says of a step."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from refengine.cexport.call import Argument, Call, Constant, Kept, Resource, Scratch, Several, Values
from refengine.model import Array, Tensor
from refengine.numerics.fixedpoint import Multiplier

KERNELS = Path(__file__).parents[2] / "firmware" / "kernels"
FAULTS = KERNELS.parent / "faults"
BROKEN = ("conv", "depthwise_conv", "fully_connected", "pooling", "softmax")
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion"]
Arrays = dict[int | Kept | Scratch, Array]
NUMBERS: dict[str, Any] = {"int32_t": ctypes.c_int32, "float": ctypes.c_float}


class Library:
    """All kernels, compiled with `flags` and, while they run, watched by the sanitizers among them.

    With a `fault`, those that `firmware/faults` breaks, and called by it.
    """

    def __init__(self, folder: Path, *flags: str, fault: str = "") -> None:
        path = folder / "kernels.so"
        sources = [str(path) for path in sorted(KERNELS.glob("*.c")) if path.name != "selftest.c"]
        command = ["cc", *WARNINGS, "-fPIC", "-O1", *flags]
        if fault:
            sources = [
                str(KERNELS / f"{name}.c") for name in (*BROKEN, "fold_bias", "widen_bias")
            ]  # which layers' calls may begin with
            command += [f"-DREFENGINE_FAULT_{fault}", f"-I{KERNELS}"]
            subprocess.run([*command, "-c", FAULTS / "faults.c", "-o", folder / "faults.o"], check=True)
            command += ["-include", str(FAULTS / "faults.h")]
            sources += ["-x", "none", str(folder / "faults.o")]
        subprocess.run([*command, "-shared", *sources, "-o", str(path), "-lm"], check=True)
        self.functions = ctypes.CDLL(str(path))
        self.structs = dict(
            _structs(
                "".join((KERNELS / file).read_text() for file in ("fixedpoint.h", "kernels.h")),
                has_scale="-DREFENGINE_XNNPACK_ROUNDING=1" in flags,
            )
        )

    def run(self, calls: tuple[Call, ...], inputs: Arrays, outputs: tuple[Tensor, ...]) -> list[Array]:
        """The outputs of a step's calls, for the arrays that their arguments stand for: tensors, by index, and what the
        step keeps for itself."""
        noise = np.random.default_rng(0)
        results = [
            inputs[t.index].copy()
            if t.is_variable
            else np.frombuffer(noise.bytes(_size(t)), t.dtype).copy().reshape(t.shape)
            for t in outputs
        ]
        known = inputs | {t.index: x for t, x in zip(outputs, results, strict=True)}
        known |= {a: np.zeros(a.bytes, np.uint8) for call in calls for a in call.arguments if isinstance(a, Scratch)}
        for call in calls:
            self._run(call, known, [] if call.output is None else [results[call.output]])
        return results

    def _run(self, call: Call, known: Arrays, result: list[Array]) -> None:
        kept: list[Any] = []
        params = self._struct(self.structs[call.struct], call.params, kept)
        pointers = [_pointer(a, known, kept) for a in call.arguments]
        getattr(self.functions, call.kernel)(
            ctypes.byref(params), *pointers, *(ctypes.c_void_p(x.ctypes.data) for x in result)
        )

    def _struct(self, struct: type[ctypes.Structure], fields: dict[str, Any], kept: list[Any]) -> ctypes.Structure:
        kinds = {field[0]: field[1] for field in struct._fields_}
        assert kinds.keys() == fields.keys(), f"{struct.__name__} and its fields differ"
        return struct(**{name: self._value(kinds[name], value, kept) for name, value in fields.items()})

    def _value(self, kind: Any, value: Any, kept: list[Any]) -> Any:
        match value:
            case Multiplier():
                return self._multipliers(kind, value, kept)
            case dict():
                return self._struct(kind, value, kept)
            case Values():
                return kind(*value)
            case np.ndarray():
                kept.append(value)
                return value.ctypes.data
        return value

    def _multipliers(self, kind: Any, value: Multiplier, kept: list[Any]) -> Any:
        struct = self.structs["multiplier"]
        columns = (np.atleast_1d(field).tolist() for field in value[:3])
        rows = [struct(*row[: len(struct._fields_)]) for row in zip(*columns, strict=True)]
        if kind is struct:
            return rows[0]
        kept.append((struct * len(rows))(*rows))
        return ctypes.addressof(kept[-1])


def _pointer(argument: Argument, known: Arrays, kept: list[Any]) -> Any:
    """What C gets for an argument; `kept` is what must live as long."""
    assert not isinstance(argument, Resource)
    if isinstance(argument, Several):
        kept.append(
            (ctypes.c_void_p * len(argument.arguments))(*(_pointer(a, known, kept) for a in argument.arguments))
        )
        return kept[-1]
    value = argument.data if isinstance(argument, Constant) else known[_key(argument)]
    kept.append(np.ascontiguousarray(value))
    return ctypes.c_void_p(kept[-1].ctypes.data)


def _key(argument: Tensor | Kept | Scratch) -> int | Kept | Scratch:
    return argument.index if isinstance(argument, Tensor) else argument


def _size(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize


def _structs(header: str, has_scale: bool) -> Iterator[tuple[str, type[ctypes.Structure]]]:
    """(name, ctypes structure) of each struct in the headers' text."""
    known: dict[str, Any] = dict(NUMBERS)
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    header = re.sub(r"#if REFENGINE_XNNPACK_ROUNDING\n(  float scale;\n)#endif\n", r"\1" if has_scale else "", header)
    for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", header, re.MULTILINE | re.DOTALL):
        fields: list[tuple[str, Any]] = []
        for kind, members in re.findall(r"^  (?:const )?(?:struct )?(\w+) (.*?);", body, re.MULTILINE | re.DOTALL):
            for member in re.split(r",\s*", members):
                pointer, field, length = re.fullmatch(r"(\*?)(\w+)(\[MAX_RANK\])?", member).groups()  # type: ignore[union-attr]
                if pointer:
                    fields.append((field, ctypes.c_void_p))
                else:
                    fields.append((field, known[kind] * 6 if length else known[kind]))
        known[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
        yield name, known[name]
