"""Writing is the inverse of reading, and the real TFLM runs what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite
from oracle import Tflm

import refengine
from refengine import ModelError, load
from refengine.model import Array, Model, Op, Tensor
from refengine.tflite_io import dump, writer
from refengine.tflite_io.flat import FlatFile
from refengine.tflite_io.writer import flat_buffer
from tests.tflite_io import seeds

BUNDLED = sorted((Path(refengine.__file__).parent / "data").glob("*.tflite"))


@pytest.mark.parametrize("name", seeds.all_models())
def test_read_is_what_was_written(name: str) -> None:
    model = seeds.all_models()[name]
    assert load(dump(model)) == model


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_files_read_written_and_read_again_are_equal(path: Path) -> None:
    model = load(path)
    written = dump(model)
    assert load(written) == model
    assert dump(load(written)) == written


def fed(model: Model) -> list[Array]:
    """Random values for the model's inputs."""
    rng = np.random.default_rng(1)
    tensors = [model.graphs[0].tensors[i] for i in model.graphs[0].inputs]
    return [rng.integers(-128, 128, tensor.shape).astype(tensor.dtype) for tensor in tensors]


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_tflm_computes_the_same_from_what_is_written(path: Path, tflm: Tflm) -> None:
    """Every tensor, not only the outputs."""
    model = load(path)
    ours, theirs = (tflm.tensors(data, fed(model)) for data in (dump(model), path.read_bytes()))
    assert ours.keys() == theirs.keys()
    assert all(ours[key].tobytes() == theirs[key].tobytes() for key in theirs)


def test_tflm_runs_a_model_made_by_hand(tflm: Tflm) -> None:
    model = seeds.dense()
    (logits,) = tflm.run(dump(model), fed(model))
    assert logits.shape == (1, 2)


def test_what_is_written_is_what_flatbuffers_own_builder_gives() -> None:
    """Strings, vectors, gaps between numbers of different widths, and two tables that share a vtable."""
    builder = flatbuffers.Builder(0)
    graphs = []
    for name in ("one", "three"):
        inputs = builder.CreateNumpyVector(np.arange(len(name), dtype=np.int32))
        text = builder.CreateString(name)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddInputs(builder, inputs)
        tflite.SubGraphAddName(builder, text)
        graphs.append(tflite.SubGraphEnd(builder))
    tflite.ModelStartSubgraphsVector(builder, len(graphs))
    for graph in reversed(graphs):
        builder.PrependUOffsetTRelative(graph)
    subgraphs = builder.EndVector()
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    builder.Finish(tflite.ModelEnd(builder))
    rows = [{"name": name, "inputs": range(len(name))} for name in ("one", "three")]
    assert flat_buffer("Model", {"version": 3, "subgraphs": rows}) == bytes(builder.Output())


def test_a_file_beyond_what_offsets_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(dump(seeds.dense()))
    monkeypatch.setattr(writer, "_MOST_BYTES", size)
    assert len(dump(seeds.dense())) == size
    monkeypatch.setattr(writer, "_MOST_BYTES", size - 1)
    with pytest.raises(ModelError, match=f"the file would have {size:,} bytes; a FlatBuffer has at most {size - 1:,}"):
        dump(seeds.dense())


def test_buffers_are_aligned_to_16_bytes() -> None:
    for model in (seeds.tensors(), seeds.dense()):
        data = dump(model)
        start = np.frombuffer(data, np.uint8).ctypes.data
        views = [tensor.data for tensor in load(data).graphs[0].tensors if tensor.data is not None and tensor.data.size]
        offsets = [view.ctypes.data - start for view in views if np.shares_memory(view, np.frombuffer(data, np.uint8))]
        assert len(offsets) >= 4
        assert all(offset % 16 == 0 for offset in offsets)


def test_equal_constants_share_a_buffer() -> None:
    weights = Tensor(0, "w", (1000,), "int8", data=np.arange(1000).astype(np.int8))
    graph = replace(seeds.dense().graphs[0], tensors=(weights,) * 50, inputs=(), outputs=(0,), ops=())
    assert len(dump(Model((graph,)))) < 10_000


def test_an_operator_needs_neither_all_options_nor_their_type() -> None:
    ops = (
        replace(seeds.dense().graphs[0].ops[0], options={"fused_activation_function": "RELU"}, options_type=""),
        replace(seeds.dense().graphs[0].ops[1], options={}, options_type=""),
    )
    model = replace(seeds.dense(), graphs=(replace(seeds.dense().graphs[0], ops=ops),))
    assert load(dump(model)) == seeds.dense()


def first_op(**fields: Any) -> Model:
    graph = seeds.dense().graphs[0]
    return Model((replace(graph, ops=(replace(graph.ops[0], **fields), graph.ops[1])),))


def first_weights(**fields: Any) -> Model:
    graph = seeds.dense().graphs[0]
    weights = replace(graph.tensors[1], **fields)
    return Model((replace(graph, tensors=(graph.tensors[0], weights, *graph.tensors[2:])),))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (first_op(name="CONV2D"), "^the schema has no operator 'CONV2D'; it has ADD, AVERAGE_POOL_2D, "),
        (
            first_op(options={"activation": "RELU"}),
            "^subgraph 0: operator 0 FULLY_CONNECTED: FullyConnectedOptions has no",
        ),
        (
            first_op(options={"fused_activation_function": "RELU7"}),
            "the schema has no fused_activation_function 'RELU7'",
        ),
        (first_op(options_type="DenseOptions"), "the schema has no options table 'DenseOptions'"),
        (first_op(inputs=(2**31,)), r"inputs = 2147483648 is not in \[-2147483648, 2147483647\]"),
        (first_weights(dtype="int5"), "'weights': the schema has no type 'int5'"),
        (first_weights(dtype="int16"), "'weights': the data is int8; constants of type int16 are int16 arrays"),
        (first_weights(shape=(4, 3)), r"'weights': the data has shape \(3, 4\), the tensor \(4, 3\)"),
    ],
)
def test_what_the_schema_cannot_say(model: Model, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        dump(model)


def test_operator_codes_fit_old_and_new_runtimes() -> None:
    """The old field is a byte, so new operators leave 127 in it."""
    model = seeds.operators(["CONV_2D", "GELU"])
    codes = FlatFile(dump(model)).root()["operator_codes"]
    assert [(code["deprecated_builtin_code"], code["builtin_code"]) for code in codes] == [(3, 3), (127, 150)]


def test_operators_of_one_kind_share_a_code() -> None:
    op = Op(0, "RELU", (0,), (1,))
    tensors = tuple(Tensor(i, "", (1,), "int8") for i in range(4))
    ops = (
        op,
        replace(op, index=1, inputs=(1,), outputs=(2,)),
        replace(op, index=2, inputs=(2,), outputs=(3,), version=2),
    )
    model = Model((replace(seeds.dense().graphs[0], tensors=tensors, outputs=(3,), ops=ops),))
    assert [op.version for op in load(dump(model)).graphs[0].ops] == [1, 1, 2]
