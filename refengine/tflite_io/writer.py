"""Model → bytes: the inverse of the reader.

A record becomes a plain dictionary of its schema table (in the functions named after the tables), and one function
writes any such dictionary: the bytes that flatbuffers' own builder gives, in half of its time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError, located
from ..model import Array, Graph, Model, Op, Quantization, Signature, Sparsity, Tensor
from . import schema
from .flat import Row

OpCode = tuple[str, int, str]  # operator name, version, custom code

_U8, _I32, _U32 = struct.Struct("<B"), struct.Struct("<i"), struct.Struct("<I")
_MOST_BYTES = 2**31 - 1  # of a FlatBuffer, some of whose offsets are signed


def dump(model: Model) -> bytes:
    """The `.tflite` file of `model`: ``load(dump(model)) == model``.

    Options that `model` leaves out get the schema's defaults; an operator's `options_type` may be empty where its name
    implies it. Equal constants share a buffer; buffers are aligned to 16 bytes, as TFLM needs them. Buffers and
    operator codes that nothing refers to are not written, so the bytes may differ from those of the file loaded.

    Raises `ModelError` where a constant does not fit its tensor, an operator, option or type is not the schema's, or
    the file would have 2 GiB.
    """
    op_codes = list(dict.fromkeys(_op_code(op) for graph in model.graphs for op in graph.ops))
    buffers: dict[bytes, int] = {b"": 0}  # contents → index; tensors without data share the empty one
    row = {
        "version": model.version,
        "description": model.description or None,
        "operator_codes": [_operator_code(*code) for code in op_codes],
        "subgraphs": [_subgraph(graph, op_codes, buffers) for graph in model.graphs],
        "metadata": [{"name": name, "buffer": _buffer(buffers, value)} for name, value in model.metadata] or None,
        "signature_defs": [_signature_def(signature) for signature in model.signatures] or None,
        "buffers": [{"data": data or None} for data in buffers],  # last: the rest has filled them by now
    }
    return file_of(row)


def file_of(row: Row) -> bytes:
    """The `.tflite` file whose root table is `row`, which may be as `FlatFile.root` gives it: its inverse."""
    return flat_buffer("Model", row, b"TFL3")


def flat_buffer(table: str, row: Row, identifier: bytes = b"") -> bytes:
    """The FlatBuffer whose root is the `table` that `row` tells."""
    written = _Written()
    return written.finished(_write_table(written, table, row), identifier)


def _op_code(op: Op) -> OpCode:
    return op.name, op.version, op.custom_code


def _operator_code(name: str, version: int, custom_code: str) -> Row:
    """Runtimes take the larger of the two codes: the old field is a byte, 127 where it cannot hold the code."""
    code = _code(schema.codes("BuiltinOperator"), name, "operator")
    return {
        "deprecated_builtin_code": min(code, 127),
        "builtin_code": code,
        "version": version,
        "custom_code": custom_code or None,
    }


def _subgraph(graph: Graph, op_codes: list[OpCode], buffers: dict[bytes, int]) -> Row:
    with located(f"subgraph {graph.index}"):
        return {
            "name": graph.name or None,
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "tensors": [_tensor(tensor, buffers) for tensor in graph.tensors],
            "operators": [_operator(op, op_codes) for op in graph.ops],
            "debug_metadata_index": graph.debug_metadata_index,
        }


def _tensor(tensor: Tensor, buffers: dict[bytes, int]) -> Row:
    with located(f"tensor {tensor.index} '{tensor.name}'"):
        return {
            "name": tensor.name or None,
            "shape": tensor.shape,
            "shape_signature": tensor.shape_signature or None,
            "has_rank": tensor.has_rank,
            "type": tensor.dtype,
            "buffer": 0 if tensor.data is None else _buffer(buffers, _contents(tensor, tensor.data)),
            "is_variable": tensor.is_variable,
            "quantization": tensor.quantization and _quantization(tensor.quantization),
            "sparsity": tensor.sparsity and _sparsity(tensor.sparsity),
            "variant_tensors": [
                {"shape": variant.shape, "type": variant.dtype, "has_rank": variant.has_rank}
                for variant in tensor.variant_tensors
            ]
            or None,
        }


def _contents(tensor: Tensor, data: Array) -> bytes:
    """The constant as the file holds it: little-endian, int4 two codes a byte, the low nibble first."""
    _code(schema.codes("TensorType"), tensor.dtype, "type")
    held = schema.held_as(tensor.dtype)
    if data.dtype != held:
        raise ModelError(f"the data is {data.dtype}; constants of type {tensor.dtype} are {held} arrays")
    if tensor.sparsity is None and not schema.is_raw(tensor.dtype) and data.shape != tensor.shape:
        raise ModelError(f"the data has shape {data.shape}, the tensor {tensor.shape}")
    if tensor.dtype == "int4":
        codes = np.append(data, np.zeros(data.size % 2, data.dtype)).view(np.uint8)
        return (codes[0::2] & 15 | codes[1::2] << 4).tobytes()
    return data.astype(held.newbyteorder("<"), copy=False).tobytes()


def _buffer(buffers: dict[bytes, int], contents: bytes) -> int:
    return buffers.setdefault(contents, len(buffers))


def _quantization(quantization: Quantization) -> Row:
    custom = ("CustomQuantization", {"custom": quantization.custom}) if quantization.custom else None
    return {
        "scale": quantization.scale or None,
        "zero_point": quantization.zero_point or None,
        "min": quantization.min or None,
        "max": quantization.max or None,
        "details": custom,
        "quantized_dimension": quantization.quantized_dimension,
    }


def _sparsity(sparsity: Sparsity) -> Row:
    def index_vector(values: tuple[int, ...]) -> tuple[str, Row] | None:
        return ("Int32Vector", {"values": values}) if values else None

    return {
        "traversal_order": sparsity.traversal_order,
        "block_map": sparsity.block_map or None,
        "dim_metadata": [
            {
                "format": dimension.format,
                "dense_size": dimension.dense_size,
                "array_segments": index_vector(dimension.array_segments),
                "array_indices": index_vector(dimension.array_indices),
            }
            for dimension in sparsity.dim_metadata
        ],
    }


def _operator(op: Op, op_codes: list[OpCode]) -> Row:
    with located(f"operator {op.index} {op.name}"):
        table = op.options_type or schema.options_table(op.name)
        row = {
            "opcode_index": op_codes.index(_op_code(op)),
            "inputs": op.inputs,
            "outputs": op.outputs,
            "intermediates": op.intermediates or None,
            "mutating_variable_inputs": op.mutating_variable_inputs or None,
            "custom_options": op.custom_options or None,
            "debug_metadata_index": op.debug_metadata_index,
        }
        if table is None or not schema.is_table(table):
            if op.options or op.options_type:
                raise ModelError(f"the schema has no options table {op.options_type!r} for {', '.join(op.options)}")
            return row
        unknown = set(op.options) - {field.name for field in schema.fields(table)}
        if unknown:
            raise ModelError(f"{table} has no option {', '.join(sorted(unknown))}")
        union = "builtin_options" if table in schema.codes("BuiltinOptions") else "builtin_options2"
        empty = ((), "", b"")
        row[union] = table, {name: value for name, value in op.options.items() if value not in empty}
        return row


def _signature_def(signature: Signature) -> Row:
    def tensor_maps(arguments: Mapping[str, int]) -> list[Row]:
        return [{"name": name, "tensor_index": index} for name, index in arguments.items()]

    return {
        "signature_key": signature.key,
        "subgraph_index": signature.subgraph,
        "inputs": tensor_maps(signature.inputs),
        "outputs": tensor_maps(signature.outputs),
    }


def _code(codes: Mapping[str, int], name: str, what: str) -> int:
    if name not in codes:
        raise ModelError(f"the schema has no {what} {name!r}; it has {', '.join(codes)}")
    return codes[name]


class _Written:
    """What is written of a FlatBuffer so far, which grows from its last byte to its first.

    Whatever is referred to is written before who refers to it. The place of a thing is how many bytes there are from
    its beginning to the file's end; `widest` is the widest alignment asked for so far.
    """

    def __init__(self) -> None:
        self.parts: list[bytes | memoryview] = []
        self.size = 0
        self.widest = 1
        self.vtables: dict[bytes, int] = {}

    def put(self, data: bytes | memoryview) -> int:
        """Write bytes in front of what there is; their place."""
        self.parts.append(data)
        self.size += len(data)
        return self.size

    def align(self, width: int, after: int = 0) -> None:
        """Have what comes after so many more bytes begin at a multiple of `width`."""
        if width > self.widest:
            self.widest = width
        if gap := -(self.size + after) % width:
            self.put(bytes(gap))

    def refer(self, place: int) -> int:
        """Write the offset to a place."""
        self.align(4)
        return self.put(_U32.pack(self.size + 4 - place))

    def vector(self, count: int, data: bytes | memoryview, width: int) -> int:
        """Write a vector of `count` elements, which begin at a multiple of `width`."""
        self.align(4, len(data))
        self.align(width, len(data))
        self.put(data)
        return self.put(_U32.pack(count))

    def text(self, text: str) -> int:
        data = text.encode()
        self.align(4, len(data) + 1)
        return self.put(_U32.pack(len(data)) + data + b"\0")

    def table(self, end: int, places: list[int]) -> int:
        """Finish a table whose last byte is the one before `end`, its fields at `places` or, where absent, 0.

        A vtable tells where the fields are; tables that look the same share one.
        """
        self.align(4)
        place = self.size + 4
        while places and not places[-1]:
            places.pop()
        offsets = (at and place - at for at in places)
        vtable = struct.pack(f"<{2 + len(places)}H", 4 + 2 * len(places), place - end, *offsets)
        known = self.vtables.get(vtable)
        if known is not None:
            return self.put(_I32.pack(known - place))
        self.put(_I32.pack(len(vtable)))
        self.vtables[vtable] = self.put(vtable)
        return place

    def finished(self, root: int, identifier: bytes) -> bytes:
        """The whole file, which begins with the offset to its root table. Raises `ModelError` if it is too large."""
        self.align(self.widest, 4 + len(identifier))
        self.put(identifier)
        self.refer(root)
        if self.size > _MOST_BYTES:
            raise ModelError(f"the file would have {self.size:,} bytes; a FlatBuffer has at most {_MOST_BYTES:,}")
        return b"".join(reversed(self.parts))


def _write_table(written: _Written, table: str, row: Row) -> int:
    """Write `row`, children first, and return its place. A field that is None or missing is left out."""
    fields = schema.fields(table)
    present = [(field, value) for field in fields if (value := row.get(field.name)) is not None]
    children = {
        field.slot: _write_child(written, field, value)
        for field, value in present
        if field.kind != "scalar" or field.vector
    }
    end, places = written.size, [0] * (fields[-1].slot // 2 - 1 if fields else 0)
    for field, value in present:
        number = field.slot // 2 - 2
        if field.slot in children:
            places[number] = written.refer(children[field.slot])
            if field.kind == "union":
                places[number - 1] = written.put(_U8.pack(_code(field.codes or {}, value[0], "table")))
        elif value != field.default:
            written.align(field.dtype.itemsize)
            places[number] = written.put(field.form.pack(_encode(field, value)))
    return written.table(end, places)


def _write_child(written: _Written, field: schema.Field, value: Any) -> int:
    """Write what a table refers to: a string, another table, or a vector of anything; return its place."""
    if field.kind == "union":
        return _write_table(written, value[0], value[1])
    if not field.vector:
        return _write_string_or_table(written, field, value)
    if field.kind == "scalar":
        return _write_numbers(written, field, value)
    places = [_write_string_or_table(written, field, item) for item in value]
    written.align(4)
    first = written.size + 4 * len(places)  # each offset counts from where it stands
    offsets = struct.pack(f"<{len(places)}I", *(first - 4 * i - place for i, place in enumerate(places)))
    return written.vector(len(places), offsets, 4)


def _write_string_or_table(written: _Written, field: schema.Field, value: Any) -> int:
    return written.text(value) if field.kind == "string" else _write_table(written, field.table, value)


def _write_numbers(written: _Written, field: schema.Field, values: Any) -> int:
    """Write a vector of numbers; bytes are aligned to 16, which the schema demands of buffers."""
    width = field.dtype.itemsize
    if not isinstance(values, (bytes, memoryview)):
        values = np.array([_encode(field, value) for value in values], field.dtype).tobytes()
    return written.vector(len(values) // width, values, 16 if width == 1 else width)


def _encode(field: schema.Field, value: Any) -> Any:
    """A scalar as the file has it: enumerations as their codes, integers in range."""
    if field.codes is not None:
        return _code(field.codes, value, field.name)
    if field.type in schema.RANGES:
        low, high = schema.RANGES[field.type]
        if not low <= value <= high:
            raise ModelError(f"{field.name} = {value} is not in [{low}, {high}]")
    return value
