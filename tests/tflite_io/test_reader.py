"""What the reader makes of well-formed FlatBuffers: the model that they describe, or why they describe none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import ModelError, UnsupportedError, load
from refengine.bundled import bundled_models
from refengine.model import Graph, Model, Op, Quantization, Tensor
from refengine.tflite_io import dump
from refengine.tflite_io.flat import FlatFile
from refengine.tflite_io.writer import file_of
from tests.tflite_io import seeds

Row = dict[str, Any]
DENSE = dump(seeds.dense())


def root(model: Model) -> Row:
    """The tables of a model's file, to be changed and written again with `file_of`."""
    row = FlatFile(dump(model)).root()
    row["subgraphs"] = [
        {**graph, "tensors": list(graph["tensors"]), "operators": list(graph["operators"])}
        for graph in row["subgraphs"]
    ]
    return row


def changed(change: Callable[[Row], object]) -> bytes:
    """The file of two dense layers after `change` to its tables."""
    row = root(seeds.dense())
    change(row)
    return file_of(row)


def main_graph(**fields: Any) -> Model:
    """The two dense layers with other fields of their graph."""
    model = seeds.dense()
    return replace(model, graphs=(replace(model.graphs[0], **fields),))


def with_tensor(index: int, **fields: Any) -> Model:
    tensors = list(seeds.dense().graphs[0].tensors)
    tensors[index] = replace(tensors[index], **fields)
    return main_graph(tensors=tuple(tensors))


def with_op(index: int, **fields: Any) -> Model:
    ops = list(seeds.dense().graphs[0].ops)
    ops[index] = replace(ops[index], **fields)
    return main_graph(ops=tuple(ops))


# ---- the whole file ---------------------------------------------------------------------------------------


def test_from_a_path_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "dense.tflite"
    path.write_bytes(DENSE)
    assert load(path) == load(str(path)) == load(DENSE) == seeds.dense()
    assert load(path).sha256 == load(DENSE).sha256 != ""


def test_a_bundled_network_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("dense_int8") == load(bundled_models()["dense_int8"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dense_int8").write_bytes(DENSE)
    assert load("dense_int8") == load(DENSE)  # what is there comes first


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(DENSE[:500])
    with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: .* within the file's 500; the file is cut off"):
        load(path)
    with pytest.raises(ModelError, match=r"missing\.tflite: no such file, and no bundled network \(dense128_int16x8"):
        load(tmp_path / "missing.tflite")


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\x03\x04 a zip", DENSE.replace(b"TFL3", b"TFL2")])
def test_not_a_tflite_file(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"^this is not a \.tflite file: bytes 4 to 7 are"):
        load(data)


def test_another_schema_version() -> None:
    with pytest.raises(ModelError, match="the schema version is 4; only version 3 is known"):
        load(dump(replace(seeds.dense(), version=4)))


def test_no_subgraph() -> None:
    with pytest.raises(ModelError, match="no subgraph"):
        load(dump(Model(())))


# ---- tensors and their data -------------------------------------------------------------------------------


def test_constants_are_read_only_views_of_the_file() -> None:
    weights = load(DENSE).graphs[0].tensors[1].data
    assert weights is not None
    file = np.frombuffer(DENSE, np.uint8)
    assert np.shares_memory(weights, file)
    for tensor in load(dump(seeds.tensors())).graphs[0].tensors:
        assert tensor.data is None or not tensor.data.flags.writeable


def test_an_unaligned_constant_is_copied() -> None:
    """Written by nobody we know, but the engine must not read through a misaligned pointer."""
    row = root(seeds.dense())
    biases = row["subgraphs"][0]["tensors"][2]
    size = len(row["buffers"][biases["buffer"]]["data"])
    at = len(file_of(row)) + 1001
    row["buffers"] = list(row["buffers"])
    row["buffers"][biases["buffer"]] = {"offset": at, "size": size}
    data = file_of(row).ljust(at, b"\0") + np.array([7, -8, 9], "<i4").tobytes()
    bias = load(data).graphs[0].tensors[2].data
    assert bias is not None
    assert bias.flags.aligned
    assert bias.tolist() == [7, -8, 9]


def test_int4_has_the_low_nibble_first() -> None:
    row = root(seeds.tensors())
    tensor = next(t for t in row["subgraphs"][0]["tensors"] if t["name"] == "odd nibbles")
    row["buffers"] = [{"data": bytes(row["data"])} for row in row["buffers"]]
    row["buffers"][tensor["buffer"]] = {"data": bytes.fromhex("1f 8e 00 70 05")}
    codes = next(t for t in load(file_of(row)).graphs[0].tensors if t.name == "odd nibbles").data
    assert codes is not None
    assert codes.dtype == np.int8
    assert codes.tolist() == [[-1, 1, -2], [-8, 0, 0], [0, 7, 5]]


def test_bool_is_true_for_any_byte_but_zero() -> None:
    row = root(seeds.tensors())
    tensor = next(t for t in row["subgraphs"][0]["tensors"] if t["name"] == "bool")
    row["buffers"] = [{"data": bytes(row["data"])} for row in row["buffers"]]
    row["buffers"][tensor["buffer"]] = {"data": b"\x00\x01\xff"}
    flags = next(t for t in load(file_of(row)).graphs[0].tensors if t.name == "bool").data
    assert flags is not None
    assert flags.view(np.uint8).tolist() == [0, 1, 1]


def test_contents_behind_the_flatbuffer() -> None:
    """Files beyond 2 GB keep constants and custom options there."""
    row = root(seeds.dense())
    operator = row["subgraphs"][0]["operators"][1]
    operator["large_custom_options_offset"], operator["large_custom_options_size"] = 4096, 3
    assert load(file_of(row).ljust(4096) + b"big").graphs[0].ops[1].custom_options == b"big"
    with pytest.raises(ModelError, match=r"operator 1 .*: the root table: 3 bytes at 4096 are not within"):
        load(file_of(row))


def test_sparse_indices_of_any_width() -> None:
    row = root(seeds.tensors())
    tensor = next(t for t in row["subgraphs"][0]["tensors"] if t["name"] == "sparse")
    tensor["sparsity"]["dim_metadata"][1]["array_segments"] = ("Uint8Vector", {"values": b"\x00\x01\x03"})
    tensor["sparsity"]["dim_metadata"][1]["array_indices"] = ("Uint16Vector", {"values": (0, 1, 3)})
    assert load(file_of(row)) == seeds.tensors()


def test_a_constant_of_no_elements_is_a_constant() -> None:
    """RESHAPE to a scalar has one; its buffer is as empty as that of a tensor computed at run time."""
    tensors = [t for t in load(dump(seeds.tensors())).graphs[0].tensors if t.name.endswith(" empty")]
    assert len(tensors) > 10
    for tensor in tensors:
        assert tensor.data is not None
        assert tensor.data.shape == tensor.shape == (2, 0)


def test_a_computed_tensor_may_be_larger_than_the_file() -> None:
    assert load(dump(with_tensor(0, shape=(2**16, 2**14)))).graphs[0].tensors[0].data is None


@pytest.mark.parametrize(
    ("tensor", "fields", "message"),
    [
        (0, {"shape": (2**16, 2**15)}, "has more than 2147483647 elements"),
        (0, {"shape": (0, 2**31 - 1, 2**31 - 1)}, "more than 2147483647 elements"),
        (0, {"shape": (-2, -(2**30))}, "has more than 2147483647 elements"),
        (0, {"shape": (1,) * 33}, "33 dimensions are more than 32"),
        (
            1,
            {"quantization": Quantization((1.0,) * 3, (0,) * 3, 1)},
            r"3 scales do not fit dimension 1 of shape \(3, 4\)",
        ),
        (1, {"quantization": Quantization((1.0,) * 3, (0,) * 3, 2)}, "3 scales do not fit dimension 2"),
        (1, {"quantization": Quantization((1.0,) * 3, (0,) * 3, -1)}, "3 scales do not fit dimension -1"),
    ],
)
def test_ill_formed_tensors(tensor: int, fields: Row, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^subgraph 0: tensor {tensor} '\w+': .*{message}"):
        load(dump(with_tensor(tensor, **fields)))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shape", (3, 5), r"buffer 1: 12 bytes, but shape \(3, 5\) of int8 takes 15"),
        ("type", "float64", r"buffer 1: 12 bytes, but shape \(3, 4\) of float64 takes 96"),
        ("buffer", 9, "buffer 9 does not exist; the file has 5"),
    ],
)
def test_data_that_does_not_fit(field: str, value: Any, message: str) -> None:
    data = changed(lambda row: row["subgraphs"][0]["tensors"][1].update({field: value}))
    with pytest.raises(ModelError, match=f"^subgraph 0: tensor 1 'weights': {message}"):
        load(data)


@pytest.mark.parametrize("batch", [-1, -2])
def test_dynamic_shapes_are_refused_with_a_way_out(batch: int) -> None:
    """TensorFlow 2.4.4 writes −2 where SPACE_TO_BATCH_ND halves a Conv1D of an unknown batch; TFLM refuses both."""
    with pytest.raises(UnsupportedError, match=rf"tensor 0 'image': shape \({batch}, 4\) is dynamic, .* fixed shapes"):
        load(dump(with_tensor(0, shape=(batch, 4))))


def test_an_empty_quantization_is_none() -> None:
    """The converter writes such tables for everything that it did not quantise."""
    assert load(dump(with_tensor(0, quantization=Quantization()))).graphs[0].tensors[0].quantization is None


def test_a_bias_may_name_the_dimension_of_its_weights() -> None:
    scales = Quantization((1.0, 2.0, 3.0), (0, 0, 0), 3)
    assert load(dump(with_tensor(2, quantization=scales))).graphs[0].tensors[2].quantization == scales


# ---- operators and their order ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (main_graph(inputs=(7,)), "tensor 7 among the inputs does not exist; the subgraph has 7"),
        (main_graph(outputs=(-1,)), "tensor -1 among the outputs does not exist"),
        (main_graph(inputs=(0, 1)), "tensor 1 'weights' is an input, but also a constant"),
        (main_graph(inputs=(0, 0)), "tensor 0 'image' is an input, but also an input"),
        (
            main_graph(inputs=(0, 3)),
            r"operator 0 \(FULLY_CONNECTED\): tensor 3 'hidden' is an output, but also an input",
        ),
        (main_graph(inputs=()), r"operator 0 \(FULLY_CONNECTED\): tensor 0 'image' is read, but nothing produces it"),
        (main_graph(ops=()), "tensor 6 'logits' is an output of the subgraph, but nothing produces it"),
        (with_op(0, inputs=(-2, 1, 2)), r"operator 0 \(FULLY_CONNECTED\): tensor -2 among the inputs does not exist"),
        (with_op(0, outputs=(-1,)), r"operator 0 \(FULLY_CONNECTED\): tensor -1 among the outputs does not exist"),
        (with_op(0, outputs=(1,)), r"operator 0 .*: tensor 1 'weights' is an output, but also a constant"),
        (with_op(1, outputs=(3,)), r"operator 1 .*: tensor 3 'hidden' is an output, but also an output of operator 0"),
        (with_op(0, inputs=(3, 1, 2)), r"operator 0 .*: tensor 3 'hidden' is read, but only operator 0 .* produces"),
        (with_op(0, inputs=(6, 1, 2)), r"operator 0 .*: tensor 6 'logits' is read, but only operator 1 .* produces"),
        (with_op(0, intermediates=(99,)), "operator 0 .*: tensor 99 among the intermediates does not exist"),
    ],
)
def test_ill_formed_graphs(model: Model, message: str) -> None:
    with pytest.raises(ModelError, match=f"^subgraph 0: {message}"):
        load(dump(model))


def test_variables_are_read_before_anything_writes_them() -> None:
    model = with_tensor(0, is_variable=True)
    load(dump(replace(model, graphs=(replace(model.graphs[0], inputs=()),))))


def test_custom_operators_may_be_given_scratch_tensors() -> None:
    op = Op(0, "CUSTOM", (0, 1), (2,), custom_code="npu")
    graph = Graph(0, "main", tuple(Tensor(i, name, (4,), "int8") for i, name in enumerate("xsy")), (0,), (2,), (op,))
    assert load(dump(Model((graph,)))).graphs[0].ops[0].custom_code == "npu"


def test_operator_codes_are_the_larger_of_the_two_fields() -> None:
    """Old files have only the first, a byte; in new ones it is 127 where it cannot hold the code."""
    old = changed(lambda row: row["operator_codes"][0].update(builtin_code=0))
    assert load(old).graphs[0].ops[0].name == "FULLY_CONNECTED"
    new = changed(lambda row: row["operator_codes"][0].update(deprecated_builtin_code=127, builtin_code=150))
    with pytest.raises(ModelError, match=r"\(GELU\): the options are FullyConnectedOptions; expected GeluOptions"):
        load(new)


def test_operators_after_the_schema() -> None:
    data = changed(lambda row: row["operator_codes"][0].update(builtin_code=9999))
    with pytest.raises(UnsupportedError, match=r"operator 0: builtin operator 9999 is not in the schema .* older"):
        load(data)
    data = changed(lambda row: row["subgraphs"][0]["operators"][1].update(opcode_index=4))
    with pytest.raises(ModelError, match="operator 1: operator code 4 does not exist; the file has 1"):
        load(data)


def test_options_left_out_are_the_schemas_defaults() -> None:
    data = changed(lambda row: row["subgraphs"][0]["operators"][0].update(builtin_options=None))
    op = load(data).graphs[0].ops[0]
    assert op.options == seeds.dense().graphs[0].ops[1].options
    assert op.options_type == "FullyConnectedOptions"


def test_two_tables_of_options() -> None:
    data = changed(lambda row: row["subgraphs"][0]["operators"][0].update(builtin_options2=("DilateOptions", {})))
    with pytest.raises(ModelError, match="the options are FullyConnectedOptions and DilateOptions; expected"):
        load(data)


def test_subgraphs_that_call_each_other_in_a_circle() -> None:
    def calling(index: int, callee: int) -> Graph:
        op = Op(0, "CALL_ONCE", (), (), {"init_subgraph_index": callee})
        return Graph(index, "", (), (), (), (op,))

    load(dump(Model((calling(0, 1), Graph(1, "", (), (), (), ())))))
    with pytest.raises(ModelError, match=r"^subgraphs (0 → 1 → 0|1 → 0 → 1) call each other in a circle"):
        load(dump(Model((calling(0, 1), calling(1, 0)))))
    with pytest.raises(ModelError, match=r"operator 0 \(CALL_ONCE\): init_subgraph_index 1 does not exist"):
        load(dump(Model((calling(0, 1),))))


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ({"subgraph_index": 1}, "subgraph 1 does not exist; the model has 1"),
        ({"inputs": [{"name": "x", "tensor_index": 7}]}, "tensor 7 among the inputs does not exist"),
        ({"outputs": [{"name": "y"}, {"name": "y"}]}, "two of the outputs have the same name"),
    ],
)
def test_ill_formed_signatures(signature: Row, message: str) -> None:
    data = changed(lambda row: row.update(signature_defs=[{"signature_key": "serve", **signature}]))
    with pytest.raises(ModelError, match=f"^signature 'serve': {message}"):
        load(data)
