"""TFLM_DECODE's own facts: three ways to pack constants, which tables are read, and layers that take the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.kernel import Node
from refengine.kernels.decode import HUFFMAN, LUT, PRUNE
from refengine.model import Model, Quantization, Tensor
from refengine.numerics.lookup import packed
from refengine.strategies import model_of
from tests.models import const, custom, fed, q


def header(kind: int, *details: int, version: int = 1) -> bytes:
    return bytes((kind, 1, 0, 0, version, *details)).ljust(16, b"\0")


def octets(data: bytes) -> Tensor:
    return const(np.frombuffer(data, np.uint8), "uint8")


def decode(bits: bytes, ancillary: bytes, output: Tensor) -> Model:
    return custom("TFLM_DECODE", b"", [octets(bits), octets(ancillary)], output)


def decoded(bits: bytes, ancillary: bytes, output: Tensor) -> Any:
    return run(decode(bits, ancillary, output))[0].tolist()


def test_indices_are_looked_up_in_a_table_a_channel() -> None:
    tables = np.array([10, 11, 12, 13, -20, -21, -22, -23], np.int8).tobytes()
    bits = packed([0, 1, 2, 3, 0, 1], 2)
    assert decoded(bits, header(LUT, 2, 4) + tables, fed((2, 3), "int8")) == [[10, 11, 12], [13, 10, 11]]
    first, last = q((1, 2), 0, 0), q((1, 2, 3), 0, 1)
    assert decoded(bits, header(LUT, 2, 4) + tables, fed((2, 3), "int8", first)) == [[10, 11, 12], [-23, -20, -21]]
    assert decoded(packed([0, 1] * 3, 2), header(LUT, 2, 2) + tables, fed((2, 3), "int8", last)) == [
        [10, 13, -20],
        [11, 12, -21],
    ]


def test_pruned_elements_are_their_channels_zero_points() -> None:
    values = np.array([1, 2, 3], np.int8).tobytes()
    points = Quantization((1.0, 1.0), (5, -6), 0)
    assert decoded(packed([1, 0, 0, 0, 1, 1], 1), header(PRUNE) + values, fed((2, 3), "int8", points)) == [
        [1, 5, 5],
        [-6, 2, 3],
    ]
    floats = np.array([1.5], np.float32).tobytes()
    assert decoded(packed([0, 1], 1), header(PRUNE) + floats, fed((2,), "float32")) == [0, 1.5]


def test_huffman_words_longer_than_the_first_table_take_a_second() -> None:
    """Words 0 → 7, 10 → −1, 11 → 3 by tables of one bit: entry 1 leads on to two more."""
    leaf = 1 << 15
    tables = [leaf | 1 << 11 | 7, 0 << 11 | 1, leaf | 1 << 11 | 255, leaf | 1 << 11 | 3]
    bits = packed([0, 1, 0, 1, 1, 0], 1).ljust(4, b"\0")
    ancillary = header(HUFFMAN, 0) + np.array(tables, np.uint16).tobytes()
    assert decoded(bits, ancillary, fed((4,), "int8")) == [7, -1, 3, 7]


def test_bits_beyond_a_short_word_are_put_back() -> None:
    """A first table of two bits, in which the word 0 takes one of them."""
    leaf = 1 << 31
    tables = [leaf | 1 << 27 | 300, leaf | 1 << 27 | 300, leaf | 2 << 27 | 1, leaf | 2 << 27 | 2]
    ancillary = header(HUFFMAN, 1 << 4 | 1) + np.array(tables, np.uint32).tobytes()
    assert decoded(packed([0, 1, 1, 0, 1, 0], 1), ancillary, fed((4,), "int16")) == [300, 2, 300, 1]


def test_a_layer_takes_what_is_decoded_for_its_weights() -> None:
    weights = fed((1, 2), "int8", q(0.5))
    inputs = (octets(packed([1, 0], 1)), octets(header(LUT, 1, 2) + np.array([-3, 4], np.int8).tobytes()))
    options = {"fused_activation_function": "NONE"}
    layer = Node("FULLY_CONNECTED", options, (fed((1, 2), "int8", q(1)), weights, None), (fed((1, 1), "int8", q(1)),))
    model = model_of(Node("TFLM_DECODE", {}, inputs, (weights,)), layer)
    assert run(model, np.array([[10, 2]], np.int8))[0].tolist() == [[(4 * 10 - 3 * 2) // 2]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (decode(b"\0", header(3), fed((2,), "int8")), r"names decoder 3 of version 1, 1; TFLM has 0, 1 and 2"),
        (decode(b"\0", header(LUT, 1, 2, version=2), fed((2,), "int8")), r"decoder 0 of version 1, 2"),
        (decode(b"", header(LUT, 1), fed((0,), "int8")), r"'input0' is empty, and so no constant to TFLM"),
        (decode(b"\0", header(LUT, 8), fed((2,), "int8")), r"the indices of 'output0' have 0 bits, on which TFLM"),
        (decode(b"\0", header(LUT, 1), fed((9,), "int8")), r"needs 9 encoded bits, but there are 8"),
        (decode(b"\0", b"\0\1", fed((2,), "int8")), r"has 2 bytes, fewer than its header's 16"),
        (decode(b"\0", header(LUT, 1, 1) + b"1", fed((2, 2), "int8", q((1, 2)))), r"takes 2 table entries, but .* 1;"),
        (decode(b"\0", header(LUT, 1), fed((2, 2), "int8", q(1, 0, 1))), r"is quantised along dimension 1; TFLM"),
        (decode(b"\0", header(PRUNE), fed((2,), "int16", q(1, 3))), r"is int16 with zero points that are not 0"),
        (decode(b"\0", header(HUFFMAN), fed((2,), "int16")), r"is int16; TFLM decodes Huffman's code to int8, or"),
        (decode(b"\0" * 4, header(HUFFMAN) + b"\0\0" * 2, fed((2,), "int8")), r"leads beyond|ends before"),
        (decode(b"\0", header(LUT, 1), fed((2,), "uint8")), r"output 'output0' is uint8; TFLM decodes int8, int16"),
        (custom("TFLM_DECODE", b"", [fed((1,), "uint8")], fed((1,), "int8")), r"expected two inputs an output"),
        (
            custom("TFLM_DECODE", b"", [fed((1,), "uint8"), octets(header(LUT, 1))], fed((1,), "int8")),
            r"'input0' is computed, but TFLM decodes constants",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
