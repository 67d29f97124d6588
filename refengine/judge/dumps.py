"""Dumps: the tensors that somebody else's inference left behind, as this model's tensors.

A dump may hold any part of the model's tensors. What does not fit is told (`Dump.problems`), not raised.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, located
from ..model import Array, Tensor
from ..plan import Plan
from ..tensors.arrays import FOUND, LEFT, META, read_bytes, read_npy, read_npz
from ..text import SCHEMA, kind_of, printable
from .logs import tensors_of, unread

EXACT = 0.01
"""How far real values may be from a code's, in codes."""

RAW = {".bin", ".raw"}


@dataclass(frozen=True)
class Dump:
    """`tensors` by index, each with its tensor's dtype and shape; `problems` are sentences about what was left out.

    `recomputed` are indices of tensors that nobody sent, because their CRC proved what they hold; `unsigned` those
    whose codes came as unsigned numbers, which may be their bits or count from the lowest code. `notes` say what was
    read how. `crcs` are the CRC-32s of tensors' bytes, by index, whether the bytes are there or not. `found` and `left`
    are what lived on before the inference and after it, by the names that `State.named` gives, and `found_crcs` CRC-32s
    of what did before; variable tensors of the main graph are left as `tensors` has them.
    """

    name: str
    tensors: Mapping[int, Array]
    problems: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    recomputed: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    unsigned: frozenset[int] = frozenset()
    crcs: Mapping[int, int] = field(default_factory=dict)
    found: Mapping[str, Array] = field(default_factory=dict)
    found_crcs: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, Array] = field(default_factory=dict)


def read_dump(plan: Plan, path: str | os.PathLike[str], sample: int = 0) -> Dump:
    """The tensors of a dump of `plan`'s model.

    `path` is an `.npz`, a folder of `.npy`, `.raw` and `.bin` (the bytes, little-endian), or text (see `logs`), of
    which `sample` counts the inferences. Entries are called by a tensor's name, its index, or ``t`` and its index; in
    file names, other characters than letters and digits may have become ``_``. Raises `InputError` if it cannot be
    read, holds none of the model's tensors, or says that it is of another model.
    """
    path = Path(path)
    if (text := _text(path, plan.memory)) is not None:
        names = _names(plan.graph.tensors)
        with located(str(path)):
            reading = tensors_of(plan, text, lambda name: names.get(name) or names.get(_plain(name)), sample)
        if not reading.arrays and not reading.crcs:
            why = [*reading.left_out, unread(text, names.get)]
            raise InputError(f"{path} holds none of the model's tensors; {why[0]}")
        dump = _fitted(plan, str(path), reading.arrays, {}) if reading.arrays else Dump(str(path), {})
        notes = (*reading.notes, *reading.left_out, *dump.notes)
        return replace(dump, notes=notes, crcs=reading.crcs, found_crcs=reading.found_crcs)
    arrays = dict(_folder(path, plan.memory) if path.is_dir() else _npz(path, plan.memory))
    if sample:
        raise InputError(f"{path} is of one inference, and no text: there is no sample {sample}")
    if path.is_dir() and not arrays:
        raise InputError(f"{path} is a folder without .npy, .raw or .bin; a dump has one for each tensor")
    meta = _meta(path, arrays.pop(META, None))
    sha256 = str(meta.get("sha256") or plan.model.sha256)
    if plan.model.sha256 and sha256 != plan.model.sha256:
        raise InputError(
            f"{path} is a dump of another model: its sha256 is {sha256[:16]}…, this model's {plan.model.sha256[:16]}…"
        )
    return _fitted(plan, str(path), arrays, meta)


def dump_of(plan: Plan, arrays: Mapping[Any, npt.ArrayLike], name: str) -> Dump:
    """The same of arrays by what `read_dump` lets entries be called, or by the tensors' indices as numbers; `name` is
    what reports call their maker.

    Raises `InputError` for other keys, for what is no array of numbers, and if none is of the model's tensors.
    """
    return _fitted(plan, name, {_key(key, name): _numbers(key, x, name) for key, x in arrays.items()}, {})


def _key(key: object, name: str) -> str:
    if isinstance(key, bool) or not isinstance(key, str | int | np.integer):
        raise InputError(f"{name} holds {key!r}; call tensors by their names, or by their indices")
    return str(key)


def _numbers(key: object, values: npt.ArrayLike, name: str) -> Array:
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {kind_of(values)} for {key!r}, which is no array of numbers")
    return array


def _fitted(plan: Plan, path: str, arrays: Mapping[str, Array | bytes], meta: Mapping[str, Any]) -> Dump:
    if not arrays:
        raise InputError(f"{path} is empty: give some of the model's tensors, by name, by index, or as t and index")
    names = _names(plan.graph.tensors)
    tensors: dict[int, Array] = {}
    problems: list[str] = []
    unknown: list[str] = []
    recoded: dict[tuple[str, str], list[Tensor]] = {}
    unsigned: set[int] = set()
    states: dict[str, dict[str, Array]] = {FOUND: {}, LEFT: {}}
    for name, array in arrays.items():
        when = next((when for when in states if name.startswith(when) and name[len(when) :] in plan.lasting), None)
        if when:
            lasting = name.removeprefix(when)
            try:
                states[when][lasting] = as_tensor(plan.lasting[lasting], array)
            except InputError as error:
                problems.append(f"'{name}': {error}")
            continue
        tensor = names.get(name) or names.get(_plain(name))
        if tensor is None:
            unknown.append(name)
            continue
        try:
            tensors[tensor.index] = as_tensor(tensor, array)
            if not isinstance(array, bytes) and array.dtype != tensor.dtype:
                held = "real values" if array.dtype.kind == "f" else f"{array.dtype} numbers"
                recoded.setdefault((tensor.dtype, held), []).append(tensor)
                if array.dtype.kind == "u" and array.itemsize == tensors[tensor.index].itemsize:
                    unsigned.add(tensor.index)
        except InputError as error:
            problems.append(str(error))
    if not tensors and not problems:
        held = "but " + ", ".join(unknown[:5]) + (" …" if len(unknown) > 5 else "") if unknown else "and no others"
        raise InputError(f"{path} holds none of the model's tensors (by name, by index, or as t and index), {held}")
    if unknown:
        problems.append(f"the model has no tensor called {', '.join(map(repr, unknown))}")
    notes = tuple(_read_as(*types, of) for types, of in recoded.items())
    return Dump(
        path,
        tensors,
        tuple(problems),
        meta,
        notes=notes,
        unsigned=frozenset(unsigned),
        found=states[FOUND],
        left=states[LEFT],
    )


def as_tensor(tensor: Tensor, array: Array | bytes) -> Array:
    """The array in the tensor's dtype and shape; a flat one, or leading ones more or less, are the same numbers."""
    place, wanted = f"tensor {tensor.index} '{tensor.name}'", f"{tensor.dtype} {tensor.shape}"
    if isinstance(array, bytes):
        dtype = np.dtype(tensor.dtype).newbyteorder("<")
        size = dtype.itemsize * int(np.prod(tensor.shape))
        if len(array) != size:
            raise InputError(f"{place} is {wanted}, {size} bytes; the dump has {len(array)}")
        return np.frombuffer(array, dtype).astype(tensor.dtype).reshape(tensor.shape)
    array = _recoded(tensor, array)
    if array.size and array.dtype.kind == "f" and np.dtype(tensor.dtype).kind == "i":
        held = f"{array.dtype} {array.shape}, {array.min():g} to {array.max():g}"
        raise InputError(f"{place} is {wanted}; the dump has {held}: neither its codes nor what they stand for")
    if array.dtype != tensor.dtype or (_bare(array.shape) != _bare(tensor.shape) and array.shape != (array.size,)):
        raise InputError(f"{place} is {wanted}; the dump has {array.dtype} {array.shape}")
    if array.size != int(np.prod(tensor.shape)):
        raise InputError(f"{place} is {wanted}; the dump has {array.size} value{'s'[array.size == 1 :]}")
    return np.ascontiguousarray(array, tensor.dtype).reshape(tensor.shape)


def spelled(tensor: Tensor) -> str:
    """What notes call a tensor."""
    return f"tensor {tensor.index} '{printable(tensor.name)}'"


def called(tensor: Tensor) -> str:
    """The same of a tensor of `Plan.lasting`."""
    return spelled(tensor) if tensor.index >= 0 else printable(tensor.name)


def _recoded(tensor: Tensor, array: Array) -> Array:
    """The same codes where the dump holds them in a wider type, as unsigned numbers, or as the real values they mean.

    Unsigned numbers of the same width are taken for the codes' bits; `unshifted` has them otherwise. What is none of
    that is handed on as it is.
    """
    wanted = np.dtype(tensor.dtype)
    if array.dtype == wanted or wanted.kind != "i" or array.dtype.kind not in "iuf":
        return array
    if array.dtype.kind == "f":
        return _coded(tensor, array)
    if array.dtype.kind == "u" and array.dtype.itemsize == wanted.itemsize:
        return array.view(wanted)
    bounds = np.iinfo(wanted)
    inside = array.size == 0 or (bounds.min <= array.min() and array.max() <= bounds.max)
    return array.astype(wanted) if inside else array


def _coded(tensor: Tensor, real: Array) -> Array:
    """Real values as codes, if all of them are a code's."""
    if tensor.quantization is None or len(tensor.quantization.scale) != 1 or not np.isfinite(real).all():
        return real
    codes = real.astype(np.float64) / tensor.quantization.scale[0] + tensor.quantization.zero_point[0]
    near, bounds = np.rint(codes), np.iinfo(tensor.dtype)
    inside = bounds.min <= near.min(initial=0) and near.max(initial=0) <= bounds.max
    return near.astype(tensor.dtype) if inside and np.abs(codes - near).max(initial=0) <= EXACT else real


def _read_as(dtype: str, held: str, tensors: Sequence[Tensor]) -> str:
    """What was made of arrays of another type than their tensors', in words."""
    if len(tensors) == 1:
        return f"{spelled(tensors[0])} is {dtype}; the {held} in the dump were read as its codes"
    which = f"tensors {', '.join(str(tensor.index) for tensor in tensors)}"
    return f"{which} are {dtype}; the {held} in the dump were read as their codes"


def unshifted(dump: Dump, index: int) -> Array:
    """A tensor that is `unsigned` in the dump, its numbers counting from the lowest code instead of being the bits."""
    codes = dump.tensors[index]
    lowest = np.array(np.iinfo(codes.dtype).min, codes.dtype)
    return np.asarray(codes ^ lowest)


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without leading ones."""
    while shape[:1] == (1,):
        shape = shape[1:]
    return shape


def _names(tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    """What a dump may call each tensor; names that several tensors have call none. Whole names win over plain ones."""
    tensors = [tensor for tensor in tensors if tensor.data is None]
    names: dict[str, Tensor] = {}
    for spell in (lambda t: _plain(t.name), lambda t: t.name, lambda t: f"t{t.index}", lambda t: str(t.index)):
        spelt = [spell(tensor) for tensor in tensors]
        count = Counter(spelt)
        names.update((name, t) for name, t in zip(spelt, tensors, strict=True) if name and count[name] == 1)
    return names


def _plain(name: str) -> str:
    """A name as people make file names of it."""
    return re.sub(r"\W", "_", name)


def _text(path: Path, memory: int) -> str | None:
    """What a file holds, if it is text; of others, None."""
    if not path.is_file() or path.suffix.lower() in {".npz", ".npy", *RAW}:
        return None
    with located(str(path)):
        data = read_bytes(path, memory)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as PowerShell's > writes it
        return data.decode("utf-16", errors="replace")
    return None if data.count(0) * 20 > len(data) else data.decode(errors="replace")  # lines that open bring zeros


def _npz(path: Path, memory: int) -> Mapping[str, Array]:
    if path.suffix.lower() != ".npz" and path.exists():
        raise InputError(f"{path}: a dump is an .npz, a folder of .npy, .raw or .bin, or a log in text")
    with located(str(path)):
        return read_npz(path, memory)


def _folder(path: Path, memory: int) -> Iterator[tuple[str, Array | bytes]]:
    """The tensors of a folder's files, which together take no more than `memory`."""
    for file in sorted(path.iterdir()):
        with located(str(file)):
            found: Array | bytes
            if file.suffix.lower() == ".npy":
                name, found = file.stem, read_npy(file, memory)
            elif file.suffix.lower() in RAW:
                name, found = file.stem, read_bytes(file, memory)
            elif file.name in (META, f"{META}.json"):
                name, found = META, read_bytes(file, memory)
            else:
                continue
        memory -= len(found) if isinstance(found, bytes) else found.nbytes
        yield name, found


def _meta(path: Path, value: Array | bytes | None) -> Mapping[str, Any]:
    if value is None:
        return {}
    try:
        text = bytes(value).decode() if isinstance(value, bytes) or value.dtype == np.uint8 else str(value)
        meta = json.loads(text)
    except (ValueError, RecursionError):  # the last one for brackets without end
        meta = None
    if not isinstance(meta, dict):
        raise InputError(f"{path}: its {META} is no JSON object; record it again")
    if meta.get("schema", SCHEMA) != SCHEMA:
        raise InputError(f"{path} is of schema {meta['schema']}, and this refengine reads {SCHEMA}; record it again")
    return meta
