"""Constants that TFLM's lookup tables compress: what they stand for, in files made here by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import Tflm

from refengine import ModelError, UnsupportedError, load, run
from refengine.numerics.lookup import packed
from refengine.tflite_io import compression, dump
from refengine.tflite_io.flat import FlatFile
from refengine.tflite_io.writer import file_of, flat_buffer
from tests.models import const, custom, fed, one_op, q

Row = dict[str, Any]
OPTIONS = {"fused_activation_function": "NONE"}


def metadata(*tensors: tuple[int, int, int], version: int = 1) -> bytes:
    """The FlatBuffer for (tensor, buffer of values, bits) of subgraph 0."""
    names = ("tensor", "value_buffer", "index_bitwidth")
    luts = [dict(zip(names, numbers, strict=True)) for numbers in tensors]
    row = {"schema_version": version, "subgraphs": [{"lut_tensors": luts}]}
    return flat_buffer("CompressionMetadata", row)


def compressed(
    indices: list[int], values: np.ndarray[Any, Any], width: int, scales: tuple[float, ...] = (0.5,), version: int = 1
) -> bytes:
    """A FULLY_CONNECTED of 4 inputs and 2 outputs whose weights are `indices` into `values`."""
    weights = const(np.arange(8).reshape(2, 4), "int8", q(scales))
    layer = [fed((1, 4), "int8", q(1)), weights, None]
    row = FlatFile(dump(one_op("FULLY_CONNECTED", OPTIONS, [*layer], fed((1, 2), "int8", q(4))))).root()
    buffers = list(row["buffers"])
    place = row["subgraphs"][0]["tensors"][1]["buffer"]
    buffers[place] = {"data": packed(indices, width)}
    buffers += [{"data": values.tobytes()}, {"data": metadata((1, len(buffers), width), version=version)}]
    row["metadata"] = [{"name": compression.NAME, "buffer": len(buffers) - 1}]
    row["subgraphs"][0]["operators"][0]["custom_options"] = None  # TFLM refuses builtin operators with any
    return file_of({**row, "buffers": buffers})


INDICES = [0, 1, 2, 3, 3, 2, 1, 0]
VALUES = np.array([-100, -1, 7, 127], np.int8)


def weights_of(file: bytes) -> list[list[int]]:
    data = load(file).graphs[0].tensors[1].data
    assert data is not None
    rows: list[list[int]] = data.tolist()
    return rows


@pytest.mark.parametrize("width", range(2, 8))
def test_indices_become_values(width: int) -> None:
    assert weights_of(compressed(INDICES, VALUES, width)) == [[-100, -1, 7, 127], [127, 7, -1, -100]]


def test_a_table_a_channel() -> None:
    file = compressed([0, 1, 0, 1, 0, 1, 0, 1], VALUES, 1, (0.5, 0.25))
    assert weights_of(file) == [[-100, -1, -100, -1], [7, 127, 7, 127]]


def test_what_is_written_again_is_not_compressed() -> None:
    model = load(compressed(INDICES, VALUES, 2))
    assert model.metadata == ()
    assert load(dump(model)) == model


@pytest.mark.parametrize(("width", "scales"), [(2, (0.5,)), (3, (0.5,)), (7, (0.5,)), (1, (0.5, 0.25))])
def test_tflm_computes_the_same(width: int, scales: tuple[float, ...], tflm: Tflm) -> None:
    indices = INDICES if width > 1 else [0, 1, 1, 0, 1, 1, 0, 0]
    file = compressed(indices, VALUES, width, scales)
    for x in (np.array([[1, -2, 3, 100]], np.int8), np.array([[-128, 127, 0, 1]], np.int8)):
        assert np.array_equal(run(file, x)[0], tflm.run(file, [x])[0])


@pytest.mark.parametrize(
    ("file", "kind", "message"),
    [
        (compressed(INDICES, VALUES, 2, version=2), UnsupportedError, r"of version 2, TFLM knows 1"),
        (compressed(INDICES, VALUES[:3], 2), UnsupportedError, r"beyond the 3 values of its tables"),
        (compressed(INDICES[:3], VALUES, 2), ModelError, r"1 bytes, but 8 indices of 2 bits take 2"),
    ],
)
def test_refusals(file: bytes, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        load(file)


def test_only_some_operators_decompress() -> None:
    tensors = [fed((2, 4), "int8", q(1)), const(np.arange(8).reshape(2, 4), "int8", q(1))]
    row = FlatFile(dump(one_op("ADD", OPTIONS, [*tensors], fed((2, 4), "int8", q(4))))).root()
    buffers = [*row["buffers"], {"data": VALUES.tobytes()}]
    buffers.append({"data": metadata((1, len(buffers) - 1, 2))})
    row["metadata"] = [{"name": compression.NAME, "buffer": len(buffers) - 1}]
    with pytest.raises(UnsupportedError, match=r"operator 0 \(ADD\): input 1 is tensor 1, which is compressed"):
        load(file_of({**row, "buffers": buffers}))


def test_damaged_metadata() -> None:
    row = FlatFile(compressed(INDICES, VALUES, 2)).root()
    row["buffers"] = [*row["buffers"][:-1], {"data": b"\xff" * 20}]
    with pytest.raises(ModelError, match=r"metadata 'COMPRESSION_METADATA'"):
        load(file_of(row))


def test_the_quantisation_on_encoded_bytes_means_nothing() -> None:
    """TFLM's compressor leaves it there, although as many scales do not fit the bytes."""
    bits = const(np.zeros(3), "uint8", q((0.5, 0.25)), "bits")
    ancillary = const(np.array([0, 1, 0, 0, 1, 1, 1, *[0] * 9, 7]), "uint8")
    file = dump(custom("TFLM_DECODE", b"", [bits, ancillary], fed((4, 6), "int8")))
    assert load(file).graphs[0].tensors[0].quantization is None
    assert (run(file)[0] == 7).all()
