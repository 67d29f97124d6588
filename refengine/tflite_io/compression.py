"""TFLM's compressed constants: which tensors of a file hold indices into a table of values, and what they stand for.

TFLM: `micro/compression/metadata.fbs`, `micro_allocator.cc`, `kernels/decompress_common.cc`. The metadata entry
`COMPRESSION_METADATA` is a FlatBuffer of its own. TFLM decompresses such constants only where it is built with
`USE_TFLM_COMPRESSION` (the wheel is); other builds take the indices for values, without a word.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..errors import ModelError, UnsupportedError, require
from ..model import Array, Op
from ..numerics.lookup import channels, unpacked
from .flat import FlatFile, Row
from .schema import COMPRESSION_VERSION as VERSION

NAME = "COMPRESSION_METADATA"
TYPES = ("bool", "int8", "int16", "int32", "int64", "float32")

DECOMPRESSING = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
    "CONCATENATION": None,
    "ASSIGN_VARIABLE": (1,),
}
"""The operators that decompress, and which of their inputs; None for all."""

Table = tuple[int, int]
"""(index of the buffer with the values, bits an index)."""


def tables_of(content: bytes) -> dict[tuple[int, int], Table]:
    """(subgraph, tensor) → table of each compressed tensor. Raises `ModelError`, `UnsupportedError`."""
    file = FlatFile(content)
    row: Row = file.table("CompressionMetadata", file.follow(0))
    require(
        row["schema_version"] <= VERSION,
        f"the compression metadata is of version {row['schema_version']}, TFLM knows {VERSION}: compress again",
    )
    return {
        (graph, lut["tensor"]): (lut["value_buffer"], lut["index_bitwidth"])
        for graph, subgraph in enumerate(row["subgraphs"])
        for lut in subgraph["lut_tensors"]
    }


def decompressed(row: Row, indices: memoryview, values: memoryview, width: int) -> Array:
    """What a tensor's packed indices stand for, of its type and shape.

    Raises `UnsupportedError` for what TFLM refuses or reads beyond, `ModelError` where bits are missing.
    """
    shape, dtype = row["shape"], row["type"]
    require(
        1 <= width <= 7 and shape and dtype in TYPES,
        f"it is compressed as {dtype} {shape} with indices of {width} bits; TFLM takes 1 to 7 bits, no scalars, and "
        f"{', '.join(TYPES)}: compress again",
    )
    quantization = row["quantization"] or {"scale": (), "quantized_dimension": 0}
    several, axis = max(1, len(quantization["scale"])), quantization["quantized_dimension"]
    require(
        several == 1 or axis in (0, len(shape) - 1),
        f"it has {several} scales along dimension {axis}; TFLM decompresses along the first or the last: compress "
        "again",
    )
    count = prod(shape)
    if len(indices) * 8 < count * width:
        raise ModelError(f"{len(indices)} bytes, but {count} indices of {width} bits take {-(-count * width // 8)}")
    table = np.frombuffer(values, dtype, len(values) // np.dtype(dtype).itemsize)
    entry = channels(count, several, several > 1 and axis != 0) * (len(table) // several)
    entry += unpacked(indices, width, count)
    require(
        entry.max(initial=-1) < len(table),
        f"its indices lead beyond the {len(table)} values of its tables, where TFLM would read on: compress again",
    )
    constant: Array = table[entry].reshape(shape)
    constant.flags.writeable = False
    return constant


def check_readers(op: Op, compressed: set[int]) -> None:
    """Raise `UnsupportedError` where an operator reads the indices themselves."""
    places = DECOMPRESSING.get(op.name, ())
    for place, index in enumerate(op.inputs):
        if index in compressed and places is not None and place not in places:
            raise UnsupportedError(
                f"input {place} is tensor {index}, which is compressed, but TFLM decompresses only for weights and "
                f"biases, and {', '.join(DECOMPRESSING)}: compress again without it"
            )
