"""Model → bytes: the inverse of the reader.

A record becomes a plain dictionary of its schema table (in the functions named after the tables), and one function
writes any such dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from ..errors import ModelError, located
from ..model import Array, Graph, Model, Op, Quantization, Signature, Sparsity, Tensor
from . import schema
from .flat import Row

OpCode = tuple[str, int, str]  # operator name, version, custom code


def dump(model: Model) -> bytes:
    """The `.tflite` file of `model`: ``load(dump(model)) == model``.

    Options that `model` leaves out get the schema's defaults; an operator's `options_type` may be empty where its name
    implies it. Equal constants share a buffer; buffers are aligned to 16 bytes, as TFLM needs them. Buffers and
    operator codes that nothing refers to are not written, so the bytes may differ from those of the file loaded.

    Raises `ModelError` where a constant does not fit its tensor, or an operator, option or type is not the schema's.
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
    import flatbuffers  # which reading does without

    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, "Model", row), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _op_code(op: Op) -> OpCode:
    return op.name, op.version, op.custom_code


def _operator_code(name: str, version: int, custom_code: str) -> Row:
    """Runtimes take the larger of the two codes: the old field is a byte, 127 where it cannot hold the code."""
    code = _code(schema.enumeration("BuiltinOperator"), name, "operator")
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
    _code(schema.enumeration("TensorType"), tensor.dtype, "type")
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
        union = "builtin_options" if table in schema.enumeration("BuiltinOptions").values() else "builtin_options2"
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


def _code(names: Mapping[int, str], name: str, what: str) -> int:
    code = next((code for code, known in names.items() if known == name), None)
    if code is None:
        raise ModelError(f"the schema has no {what} {name!r}; it has {', '.join(names.values())}")
    return code


def _write_table(builder: Any, table: str, row: Row) -> int:
    """Write `row`, children first, and return its offset. A field that is None, missing, or a scalar that an absent
    field means, is left out."""
    given = [(field, value) for field in schema.fields(table) if (value := row.get(field.name)) is not None]
    offsets = {
        field.slot: _write_child(builder, field, value)
        for field, value in given
        if field.kind != "scalar" or field.vector
    }
    builder.StartObject((given[-1][0].slot - 2) // 2 if given else 0)
    for field, value in given:
        number = (field.slot - 4) // 2
        if field.slot in offsets:
            builder.PrependUOffsetTRelativeSlot(number, offsets[field.slot], 0)
        elif value != field.default:
            builder.PrependSlot(_flags(field.type), number, _encode(field, value), None)
        if field.kind == "union":
            builder.PrependUint8Slot(number - 1, _code(field.names or {}, value[0], "table"), 0)
    return int(builder.EndObject())


def _write_child(builder: Any, field: schema.Field, value: Any) -> int:
    """Write what a table refers to: a string, another table, or a vector of anything; return its offset."""
    if field.kind == "union":
        return _write_table(builder, value[0], value[1])
    if not field.vector:
        return _write_string_or_table(builder, field, value)
    if field.kind == "scalar":
        return _write_numbers(builder, field, value)
    offsets = [_write_string_or_table(builder, field, item) for item in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _write_string_or_table(builder: Any, field: schema.Field, value: Any) -> int:
    return int(builder.CreateString(value)) if field.kind == "string" else _write_table(builder, field.table, value)


def _write_numbers(builder: Any, field: schema.Field, values: Any) -> int:
    """Write a vector of numbers; bytes are aligned to 16, which the schema demands of buffers."""
    if not isinstance(values, (bytes, memoryview)):
        values = np.array([_encode(field, value) for value in values], field.dtype).tobytes()
    width = field.dtype.itemsize
    builder.StartVector(width, len(values) // width, 16 if width == 1 else width)
    builder.head -= len(values)
    builder.Bytes[builder.head : builder.head + len(values)] = values
    return int(builder.EndVector())


@cache
def _flags(type: str) -> Any:
    """flatbuffers' name for a scalar's type."""
    from flatbuffers import number_types

    return getattr(number_types, f"{type.capitalize()}Flags")


def _encode(field: schema.Field, value: Any) -> Any:
    """A scalar as the file has it: enumerations as their codes, integers in range."""
    if field.names is not None:
        return _code(field.names, value, field.name)
    low, high = _flags(field.type).min_val, _flags(field.type).max_val
    if low is not None and not low <= value <= high:
        raise ModelError(f"{field.name} = {value} is not in [{low}, {high}]")
    return value
