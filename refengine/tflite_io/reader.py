"""Bytes → Model: what the file says, checked until nothing in it can surprise whoever reads the model.

`FlatFile` sees to the bytes; here the indices, sizes and the order of operators are seen to.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..bundled import bundled_models, model_file
from ..errors import InputError, LimitError, ModelError, UnsupportedError, instead, located
from ..model import Array, Dimension, Graph, Model, Op, Quantization, Signature, Sparsity, Tensor, Variant
from ..text import kind_of
from . import compression as compressed
from . import schema
from .flat import FlatFile, Row, newer

IDENTIFIER = b"TFL3"
VERSION = 3
_MOST_ELEMENTS = 2**31 - 1  # TFLM counts them in an int
_MOST_DIMENSIONS = 32  # NumPy 1.26 has no more


def load(source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> Model:
    """Read a `.tflite` file: its path, its bytes, or the name of a bundled network (`bundled_models`).

    Constants are read-only views of the bytes wherever their type and place allow. Fields that the file leaves out
    have the schema's defaults, so `options` is always complete.

    Raises `InputError` for anything else, `ModelError` if the file cannot be read or is not well-formed, and
    `UnsupportedError` if it uses what came after the schema that is known (`schema.version`), or dynamic shapes.
    Constants that TFLM's lookup tables compress are read as what they stand for, and the metadata that says so is left
    out.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _load(bytes(source))
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            "a model is a path, the bytes of a file, a bundled network's name or a Model, not "
            f"{kind_of(source)}; of a Plan, give its .model"
        )
    try:
        data = _bytes_of(model_file(source))
    except FileNotFoundError as error:
        known = instead(str(source), bundled_models()) or f" ({', '.join(bundled_models())})"
        raise ModelError(f"{source}: no such file, and no bundled network{known}") from error
    except OSError as error:
        raise ModelError(f"{source}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise ModelError(f"{source}: cannot be read: {error}") from None
    with located(str(source)):
        return _load(data)


def _bytes_of(path: Path) -> bytes:
    """What a file or a pipe holds. Raises `OSError`, and `ValueError` for a device, which may have no end."""
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise ValueError("it is a device; give a file")
    return path.read_bytes()


def _load(data: bytes) -> Model:
    if data[4:8] != IDENTIFIER:
        raise ModelError(f"this is not a .tflite file: bytes 4 to 7 are {data[4:8]!r}, not {IDENTIFIER!r}")
    return _Reader(data).model()


class _Reader:
    """What the parts of one file share while they are read: the file, its buffers and its operator codes."""

    def __init__(self, data: bytes) -> None:
        self.file = FlatFile(data)
        self.row = self.file.root()
        self.unpacked: dict[tuple[int, str, int], Array] = {}
        self.tables: dict[tuple[int, int], tuple[int, int]] = {}

    def model(self) -> Model:
        if self.row["version"] != VERSION:
            raise ModelError(f"the schema version is {self.row['version']}; only version {VERSION} is known")
        if not self.row["subgraphs"]:
            raise ModelError("the model has no subgraph")
        metadata = self.metadata()
        compression = dict(reversed(metadata)).get(compressed.NAME)
        if compression is not None:
            with located(f"metadata {compressed.NAME!r}"):
                self.tables = compressed.tables_of(compression)
            metadata = tuple(entry for entry in metadata if entry[0] != compressed.NAME)
        graphs = tuple(self.graph(index, row) for index, row in enumerate(self.row["subgraphs"]))
        _check_calls(graphs)
        signatures = tuple(_signature(row, graphs) for row in self.row["signature_defs"])
        return Model(
            graphs, VERSION, self.row["description"], metadata, signatures, hashlib.sha256(self.file.data).hexdigest()
        )

    def metadata(self) -> tuple[tuple[str, bytes], ...]:
        entries = []
        for row in self.row["metadata"]:
            with located(f"metadata {row['name']!r}"):
                entries.append((row["name"], self.copied(self.buffer(row["buffer"]))))
        return tuple(entries)

    def buffer(self, index: int) -> memoryview:
        """The contents of a buffer: in the FlatBuffer, or behind it in files beyond 2 GB."""
        row = _at(self.row["buffers"], index, "buffer")
        return self.file.span(row["offset"], row["size"]) if row["offset"] > 1 else memoryview(row["data"])

    def copied(self, view: memoryview) -> bytes:
        self.file.spend(len(view))
        return bytes(view)

    def graph(self, index: int, row: Row) -> Graph:
        with located(f"subgraph {index}"):
            ops = tuple(self.op(i, op, len(row["tensors"])) for i, op in enumerate(row["operators"]))
            computed = {*row["inputs"], *(i for op in ops for i in op.outputs)}
            encoded = {i for op in ops if op.custom_code == "TFLM_DECODE" for i in op.inputs}
            tensors = tuple(
                self.tensor(
                    i,
                    {**tensor, "quantization": None} if i in encoded else tensor,
                    i in computed,
                    self.tables.get((index, i)),
                )
                for i, tensor in enumerate(row["tensors"])
            )  # TFLM's compressor leaves the decoded tensor's quantisation on the encoded bytes, where it means nothing
            for op in ops:
                with located(_operator(op.index, op.kind)):
                    compressed.check_readers(op, {i for graph, i in self.tables if graph == index})
            graph = Graph(index, row["name"], tensors, row["inputs"], row["outputs"], ops, row["debug_metadata_index"])
            _check_order(graph)
        return graph

    def op(self, index: int, row: Row, tensors: int) -> Op:
        with located(f"operator {index}"):
            code = _at(self.row["operator_codes"], row["opcode_index"], "operator code")
            number = max(code["deprecated_builtin_code"], code["builtin_code"])
            name = schema.enumeration("BuiltinOperator").get(number)
            if name is None:
                raise LimitError(newer(f"builtin operator {number}"))
        with located(_operator(index, code["custom_code"] or name)):
            for role, lowest in (("inputs", -1), ("outputs", 0), ("intermediates", 0)):
                _check_indices(role, row[role], tensors, lowest)
            options_type, options = _options(name, row)
            custom = memoryview(row["custom_options"])
            if row["large_custom_options_offset"] > 1:
                custom = self.file.span(row["large_custom_options_offset"], row["large_custom_options_size"])
            return Op(
                index,
                name,
                row["inputs"],
                row["outputs"],
                options,
                options_type,
                code["version"],
                code["custom_code"],
                self.copied(custom),
                row["intermediates"],
                row["mutating_variable_inputs"],
                row["debug_metadata_index"],
            )

    def tensor(self, index: int, row: Row, computed: bool, table: tuple[int, int] | None = None) -> Tensor:
        with located(f"tensor {index} {row['name']!r}"):
            shape, dtype = row["shape"], row["type"]
            _check_shape(shape)
            data = None
            contents = self.buffer(row["buffer"])
            if table is not None:
                data = self.looked_up(row, contents, *table)
            elif contents or not (computed or row["is_variable"] or prod(shape)):
                with located(f"buffer {row['buffer']}"):
                    data = self.constant(row["buffer"], contents, dtype, None if row["sparsity"] else shape)
            return Tensor(
                index,
                row["name"],
                shape,
                dtype,
                _quantization(row["quantization"], shape),
                data,
                row["shape_signature"],
                row["is_variable"],
                row["has_rank"],
                _sparsity(row["sparsity"]),
                tuple(
                    Variant(variant["shape"], variant["type"], variant["has_rank"])
                    for variant in row["variant_tensors"]
                ),
            )

    def constant(self, index: int, contents: memoryview, dtype: str, shape: tuple[int, ...] | None) -> Array:
        """A constant of `shape`; in one row what a sparse tensor (None) or a type unknown to NumPy has stored."""
        bits = schema.element_bits(dtype)
        if shape is not None and bits:
            expected = (prod(shape) * bits + 7) // 8
            if len(contents) < expected:
                raise ModelError(f"{len(contents)} bytes, but shape {shape} of {dtype} takes {expected}")
            contents = contents[:expected]  # runtimes leave alone what follows
        elif bits and len(contents) * 8 % bits:
            raise ModelError(f"{len(contents)} bytes are no whole number of {dtype} elements")
        key = index, dtype, len(contents)
        if key not in self.unpacked:
            self.unpacked[key] = self.unpack(contents, dtype)
        values = self.unpacked[key]
        return values if shape is None or schema.is_raw(dtype) else values[: prod(shape)].reshape(shape)

    def looked_up(self, row: Row, indices: memoryview, values: int, width: int) -> Array:
        """A constant that is compressed, by the index of the buffer with its values and the bits of its indices."""
        self.file.spend(4 * prod(row["shape"]))
        return compressed.decompressed(row, indices, self.buffer(values), width)

    def unpack(self, contents: memoryview, dtype: str) -> Array:
        """The values: a view of the file where NumPy can work on it as it is, else a copy."""
        held = schema.held_as(dtype)
        packed = np.frombuffer(contents, np.uint8 if dtype in ("bool", "int4") else held.newbyteorder("<"))
        if packed.flags.aligned and packed.dtype == held:
            return packed
        self.file.spend(5 * len(contents))  # int4: five times as many for a moment
        if dtype == "int4":  # the low nibble first, each with its sign
            values = np.stack((packed << 4, packed), axis=-1).view(np.int8).ravel() >> 4
        else:
            values = packed.astype(held)
        values.flags.writeable = False
        return values


def _at(rows: Sequence[Row], index: int, what: str) -> Row:
    if index >= len(rows):
        raise ModelError(f"{what} {index} does not exist; the file has {len(rows)}")
    return rows[index]


def _check_indices(role: str, indices: tuple[int, ...], tensors: int, lowest: int = 0) -> None:
    wrong = [index for index in indices if not lowest <= index < tensors]
    if wrong:
        raise ModelError(f"tensor {wrong[0]} among the {role} does not exist; the subgraph has {tensors}")


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) > _MOST_DIMENSIONS:
        raise ModelError(f"{len(shape)} dimensions are more than {_MOST_DIMENSIONS}")
    if prod(abs(size) or 1 for size in shape) > _MOST_ELEMENTS:
        raise ModelError(f"shape {shape} has more than {_MOST_ELEMENTS} elements")
    if min(shape, default=0) < 0:  # −1, or what a converter made of it
        raise UnsupportedError(
            f"shape {shape} is dynamic, but TFLM plans all memory beforehand; convert the model with fixed shapes"
        )


def _quantization(row: Row | None, shape: tuple[int, ...]) -> Quantization | None:
    if row is None:
        return None
    custom = bytes(row["details"][1]["custom"]) if row["details"] else b""
    scales, zero_point, dimension = len(row["scale"]), row["zero_point"], row["quantized_dimension"]
    if scales and len(zero_point) not in (0, scales):  # TFLM then takes the first for all, to save space in files
        zero_point = zero_point[:1] * scales
    quantization = Quantization(row["scale"], zero_point, dimension, row["min"], row["max"], custom)
    if quantization == Quantization():  # the converter writes an empty table where it did not quantise
        return None
    of_a_vector = len(shape) == 1 and shape[0] == scales  # biases often name the dimension of their weights
    if scales > 1 and not of_a_vector and not (0 <= dimension < len(shape) and shape[dimension] == scales):
        raise ModelError(f"{scales} scales do not fit dimension {dimension} of shape {shape}")
    return quantization


def _sparsity(row: Row | None) -> Sparsity | None:
    def index_vector(union: tuple[str, Row] | None) -> tuple[int, ...]:
        return tuple(union[1]["values"]) if union else ()

    if row is None:
        return None
    dimensions = tuple(
        Dimension(
            dimension["format"],
            dimension["dense_size"],
            index_vector(dimension["array_segments"]),
            index_vector(dimension["array_indices"]),
        )
        for dimension in row["dim_metadata"]
    )
    return Sparsity(row["traversal_order"], row["block_map"], dimensions)


def _options(operator: str, row: Row) -> tuple[str, dict[str, Any]]:
    """The name of the options table and all its fields, the schema's defaults where the file has no table."""
    expected = schema.options_table(operator)
    given = [union for union in (row["builtin_options"], row["builtin_options2"]) if union]
    if expected and not given:
        given = [(expected, {field.name: field.default for field in schema.fields(expected)})]
    if len(given) > 1 or (expected and given[0][0] != expected):
        raise ModelError(
            f"the options are {' and '.join(name for name, _ in given)}; expected {expected or 'one table'}"
        )
    options_type, options = given[0] if given else ("", {})
    return options_type, {
        name: bytes(value) if isinstance(value, memoryview) else value for name, value in options.items()
    }


def _signature(row: Row, graphs: tuple[Graph, ...]) -> Signature:
    with located(f"signature {row['signature_key']!r}"):
        if row["subgraph_index"] >= len(graphs):
            raise ModelError(f"subgraph {row['subgraph_index']} does not exist; the model has {len(graphs)}")
        tensors = len(graphs[row["subgraph_index"]].tensors)
        arguments: dict[str, dict[str, int]] = {}
        for role in ("inputs", "outputs"):
            arguments[role] = {argument["name"]: argument["tensor_index"] for argument in row[role]}
            if len(arguments[role]) < len(row[role]):
                raise ModelError(f"two of the {role} have the same name")
            _check_indices(role, tuple(arguments[role].values()), tensors)
        return Signature(row["signature_key"], row["subgraph_index"], **arguments)


def _check_order(graph: Graph) -> None:
    """Every tensor has one origin (it is fed, constant, or one operator's output), and has it before it is read."""

    def named(index: int) -> str:
        return f"tensor {index} {graph.tensors[index].name!r}"

    for role, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        _check_indices(role, indices, len(graph.tensors))
    variables = {tensor.index for tensor in graph.tensors if tensor.is_variable}
    origin = {t.index: "a constant" for t in graph.tensors if t.data is not None and t.index not in variables}
    for index in graph.inputs:
        if index in origin:
            raise ModelError(f"{named(index)} is an input, but also {origin[index]}")
        origin[index] = "an input"
    producers = {index: op for op in graph.ops for index in op.outputs}
    for op in graph.ops:
        with located(_operator(op.index, op.kind)):
            for index in (i for i in op.inputs if i >= 0 and i not in variables and i not in origin):
                if index in producers:
                    later = producers[index]
                    raise ModelError(
                        f"{named(index)} is read, but only {_operator(later.index, later.kind)} produces it"
                    )
                if op.name != "CUSTOM":  # those may be given room to work in
                    raise ModelError(f"{named(index)} is read, but nothing produces it")
            for index in op.outputs:
                if index in origin and index not in variables:
                    raise ModelError(f"{named(index)} is an output, but also {origin[index]}")
                origin[index] = f"an output of {_operator(op.index, op.kind)}"
    for index in {*graph.outputs} - variables - origin.keys():
        raise ModelError(f"{named(index)} is an output of the subgraph, but nothing produces it")


def _operator(index: int, kind: str) -> str:
    return f"operator {index} ({kind})"


def _check_calls(graphs: tuple[Graph, ...]) -> None:
    """Operators such as WHILE name subgraphs: these exist and none calls itself, not even through others."""
    calls: dict[int, set[int]] = {graph.index: set() for graph in graphs}
    for graph in graphs:
        for op in graph.ops:
            for name, callee in op.options.items():
                if not name.endswith("subgraph_index") and (op.name, name) != ("CALL", "subgraph"):
                    continue
                if not 0 <= callee < len(graphs):
                    raise ModelError(
                        f"subgraph {graph.index}, operator {op.index} ({op.name}): {name} {callee} does "
                        f"not exist; the model has {len(graphs)} subgraphs"
                    )
                calls[graph.index].add(callee)
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise ModelError(f"subgraphs {' → '.join(map(str, error.args[1]))} call each other in a circle") from error
