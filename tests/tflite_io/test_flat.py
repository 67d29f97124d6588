"""Files made to unfold: small ones whose parts point at each other many times over."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import flatbuffers
import pytest
import tflite

from refengine import ModelError, UnsupportedError, load
from refengine.tflite_io import dump, schema
from refengine.tflite_io.flat import ALLOWANCE, FlatFile
from refengine.tflite_io.writer import file_of
from tests.tflite_io import seeds
from tests.tflite_io.fuzz import limited_memory, peak_memory

MANY = 20_000


def same_offset(builder: Any, target: int, count: int = MANY) -> int:
    """A vector of `count` offsets to one place."""
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(target)
    return int(builder.EndVector())


def finished(builder: Any, **fields: int) -> bytes:
    """The file whose model has these fields, by the names of the generated functions."""
    tflite.ModelStart(builder)
    for name, offset in fields.items():
        getattr(tflite, f"ModelAdd{name}")(builder, offset)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def with_tensor(fill: Callable[[Any], None], builder: Any) -> bytes:
    """A subgraph that lists one tensor many times."""
    tflite.TensorStart(builder)
    fill(builder)
    tensor = tflite.TensorEnd(builder)
    tensors = same_offset(builder, tensor)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    graph = tflite.SubGraphEnd(builder)
    return finished(builder, Subgraphs=same_offset(builder, graph, 1))


def many_graphs() -> bytes:
    builder = flatbuffers.Builder(0)
    tflite.SubGraphStart(builder)
    return finished(builder, Subgraphs=same_offset(builder, tflite.SubGraphEnd(builder)))


def many_names() -> bytes:
    builder = flatbuffers.Builder(0)
    name = builder.CreateString("é" * 100_000)
    return with_tensor(lambda builder: tflite.TensorAddName(builder, name), builder)


def many_shapes() -> bytes:
    builder = flatbuffers.Builder(0)
    shape = same_offset(builder, builder.CreateString(""), 50_000)  # any numbers will do
    return with_tensor(lambda builder: tflite.TensorAddShape(builder, shape), builder)


def many_scales() -> bytes:
    builder = flatbuffers.Builder(0)
    scale = same_offset(builder, builder.CreateString(""), 50_000)
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scale)
    quantization = tflite.QuantizationParametersEnd(builder)
    return with_tensor(lambda builder: tflite.TensorAddQuantization(builder, quantization), builder)


def many_buffers(entries: int) -> dict[str, Any]:
    """The row of a model whose int4 tensors each have a buffer of their own, all at one place behind the FlatBuffer."""
    shape = (1 << 17,)
    buffer = {"offset": 1 << 20, "size": 1 << 16}
    tensor = [{"shape": shape, "type": "int4", "buffer": index} for index in range(entries)]
    return {
        "version": 3,
        "buffers": [buffer] * entries,
        "subgraphs": [{"tensors": tensor, "inputs": (), "outputs": (), "operators": ()}],
    }


def many_nibbles() -> bytes:
    return file_of(many_buffers(600)).ljust(1 << 20, b"\0") + bytes(1 << 16)


def many_copies() -> bytes:
    """One buffer, copied for each of many entries of metadata."""
    row = {
        "version": 3,
        "buffers": [{"data": bytes(100_000)}],
        "metadata": [{"name": str(index), "buffer": 0} for index in range(5000)],
        "subgraphs": [{"tensors": (), "inputs": (), "outputs": (), "operators": ()}],
    }
    return file_of(row)


def many_vtables() -> bytes:
    """Tables that all have the longest possible vtable."""
    data = bytearray(many_graphs())
    graph = subgraph_at(bytes(data))
    struct.pack_into("<i", data, graph, graph - len(data))
    return bytes(data) + struct.pack("<HH", 65534, 4) + bytes(65530)


def subgraph_at(data: bytes) -> int:
    """Where the first subgraph's table lies."""
    return int(tflite.Model.GetRootAs(data, 0).Subgraphs(0)._tab.Pos)


@pytest.mark.parametrize(
    "make", [many_graphs, many_names, many_shapes, many_scales, many_nibbles, many_copies, many_vtables]
)
def test_what_unfolds_is_refused_before_it_does(make: Callable[[], bytes]) -> None:
    data = make()
    with limited_memory(), peak_memory() as peak:
        peak()
        with pytest.raises(ModelError, match="unfold"):
            load(data)
        assert peak() < ALLOWANCE * len(data)


def test_shared_parts_are_fine_within_reason() -> None:
    """As some converters share equal strings and vectors, and equal constants a buffer."""
    row = many_buffers(3)
    assert len(load(file_of(row).ljust(1 << 20, b"\0") + bytes(1 << 16)).graphs[0].tensors) == 3


def test_a_length_beyond_the_file() -> None:
    data = bytearray(dump(seeds.dense()))
    at = data.index(b"two layers") - 4
    struct.pack_into("<I", data, at, 0xFFFFFFFF)
    with pytest.raises(ModelError, match=rf"^description: 4294967296 bytes at {at + 4} are not within the file's"):
        load(bytes(data))


def test_an_offset_that_wraps_around() -> None:
    """Python would index from the end of the file."""
    data = bytearray(dump(seeds.dense()))
    root = int.from_bytes(data[:4], "little")
    struct.pack_into("<i", data, root, root + 8)  # the vtable at −8
    with pytest.raises(ModelError, match=r"^the root table: 2 bytes at -8 are not within"):
        load(bytes(data))


def test_a_vtable_that_is_none() -> None:
    """Read as empty, it would pass for a table of defaults."""
    data = bytearray(dump(seeds.dense()))
    root = int.from_bytes(data[:4], "little")
    vtable = root - struct.unpack_from("<i", data, root)[0]
    struct.pack_into("<H", data, vtable, 3)
    with pytest.raises(ModelError, match=rf"^the root table: the vtable at byte {vtable} has 3 bytes"):
        load(bytes(data))
    struct.pack_into("<HHH", data, vtable, 20, 24, 100)
    with pytest.raises(ModelError, match=r"^version: byte 100 is not within the table's 24"):
        load(bytes(data))


def test_text_that_is_not_utf8() -> None:
    data = dump(seeds.dense()).replace(b"hidden", b"hi\xffden")
    with pytest.raises(ModelError, match=r"^subgraphs\[0\]\.tensors\[3\]\.name: the text at byte \d+ is not UTF-8"):
        load(data)


def test_a_field_after_the_schema() -> None:
    data = bytearray(dump(seeds.dense()))
    graph = subgraph_at(bytes(data))
    struct.pack_into("<i", data, graph, graph - len(data))
    data += struct.pack("<10H", 20, 4, 0, 0, 0, 0, 0, 0, 0, 4)  # slot 18; the schema ends at 14
    with pytest.raises(UnsupportedError, match=r"^subgraphs\[0\]: a field of SubGraph is not in the schema of tflite"):
        load(bytes(data))


def test_a_row_written_and_read_again_is_equal() -> None:
    """The two generic halves are each other's inverse on every table of every seed."""
    for model in seeds.all_models().values():
        row = FlatFile(dump(model)).root()
        assert FlatFile(file_of(row)).root() == row


def test_seeds_reach_every_field() -> None:
    """So what is done with the seeds is done with the whole schema, but for what the writer never writes."""

    def walk(table: str, row: Any) -> None:
        for field in schema.fields(table):
            value = row.get(field.name, field.default)
            if value != field.default:
                reached.add((table, field.name))
                if field.kind == "union":
                    walk(value[0], value[1])
                elif field.kind == "table":
                    for nested in value if field.vector else (value,):
                        walk(field.table, nested)

    reached: set[tuple[str, str]] = set()
    for model in seeds.all_models().values():
        walk("Model", FlatFile(dump(model)).root())
    tables = [name for name, table in vars(tflite).items() if hasattr(table, "GetRootAs")]
    every = {
        (table, field.name)
        for table in tables
        for field in schema.fields(table)
        if not field.name.endswith("_type") or field.names
    }
    assert every - reached == {
        ("Model", "metadata_buffer"),  # deprecated
        ("Buffer", "offset"), ("Buffer", "size"),  # files beyond 2 GB
        ("Operator", "large_custom_options_offset"), ("Operator", "large_custom_options_size"),
        ("Operator", "custom_options_format"),  # enumerations of one value
        ("StableHLOCompositeOptions", "composite_attributes_format"),
        ("Uint8Vector", "values"), ("Uint16Vector", "values"),  # the writer takes Int32Vector
    }  # fmt: skip
