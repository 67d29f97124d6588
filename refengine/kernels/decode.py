"""TFLM_DECODE: constants from what a compressor made of them: a lookup table, zeros left out, or Huffman's code.

TFLM: `kernels/decode.cc`, `decode_state{,_lut,_prune,_huffman}.cc`. Inputs come in pairs: the encoded bits, the highest
of a byte first, and ancillary bytes, of which the first 16 say how, and the rest are tables. TFLM decodes at every
inference; here that is done once.

A trap: the compressor may give a tensor with a scale a channel **one** table, but TFLM looks for one table a channel,
and reads beyond it. Such a file is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics.lookup import channels, packed, unpacked
from . import _affine

HEADER = 16
"""Ancillary bytes in front of the tables."""

TYPES = ("int8", "int16", "int32", "int64", "float32", "bool")
LUT, HUFFMAN, PRUNE = range(3)
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Params:
    """The decoded outputs, each with a batch axis of length 1, and how every element came about: see `explain`."""

    values: tuple[Array, ...]
    stories: tuple[tuple[str, tuple[tuple[str, Ints], ...]], ...]


Story = tuple[str, tuple[tuple[str, Ints], ...]]
"""A sentence, and named numbers for each element."""


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses what TFLM's Prepare does, and bits or tables that end before the elements do."""
    pairs = list(zip(node.inputs[0::2], node.inputs[1::2], strict=False))
    consistent(
        len(node.inputs) == 2 * len(node.outputs) > 0 and None not in node.inputs,
        f"expected two inputs an output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    decoded = []
    for (encoded, ancillary), output in zip(pairs, node.outputs, strict=True):
        assert encoded is not None and ancillary is not None
        decoded.append(_decoded(encoded, ancillary, output))
    return Params(tuple(value for value, _ in decoded), tuple(story for _, story in decoded))


def _decoded(encoded: Tensor, ancillary: Tensor, output: Tensor) -> tuple[Array, Story]:
    for tensor in (encoded, ancillary):
        require(tensor.data is not None, f"'{tensor.name}' is computed, but TFLM decodes constants: convert again")
        require(tensor.shape != (0,), f"'{tensor.name}' is empty, and so no constant to TFLM: compress again")
    assert encoded.data is not None and ancillary.data is not None
    bits, header = encoded.data.tobytes(), ancillary.data.tobytes()
    consistent(len(header) >= HEADER, f"'{ancillary.name}' has {len(header)} bytes, fewer than its header's {HEADER}")
    require(
        header[0] in _DECODERS and header[1] == header[4] == 1,
        f"'{ancillary.name}' names decoder {header[0]} of version {header[1]}, {header[4]}; TFLM has 0, 1 and 2 of "
        "version 1: compress again",
    )
    require(
        output.dtype in TYPES,
        f"output '{output.name}' is {output.dtype}; TFLM decodes {', '.join(TYPES)}: convert again",
    )
    values, story = _DECODERS[header[0]](bits, header, output)
    return values.reshape(1, *output.shape), story


def _layout(output: Tensor) -> tuple[int, bool]:
    """(channels, whether along the last axis), as TFLM reads them off the output's scales."""
    quantization = output.quantization
    if not _affine.is_quantized(output) or quantization is None:
        return 1, False
    several, axis = len(quantization.scale), quantization.quantized_dimension
    last = axis == len(output.shape) - 1 and several > 1
    require(
        last or axis == 0,
        f"output '{output.name}' is quantised along dimension {axis}; TFLM decodes along the first or, of several "
        "scales, the last: convert again",
    )
    return several, last


def _enough(bits: bytes, wanted: int, output: Tensor) -> None:
    consistent(
        len(bits) * 8 >= wanted, f"output '{output.name}' needs {wanted} encoded bits, but there are {len(bits) * 8}"
    )


def _table(header: bytes, dtype: str, entries: int, output: Tensor) -> Array:
    """The first entries behind the header."""
    tables = header[HEADER:]
    size = np.dtype(dtype).itemsize
    require(
        len(tables) >= entries * size,
        f"decoding '{output.name}' takes {entries} table entries, but there are {len(tables) // size}; TFLM would read "
        "beyond them: compress again, with a table a channel where there is a scale a channel",
    )
    return np.frombuffer(tables, dtype, entries)


def _from_table(bits: bytes, header: bytes, output: Tensor) -> tuple[Array, Story]:
    width, stride, count = header[5] & 7, header[6], prod(output.shape)
    require(width, f"the indices of '{output.name}' have 0 bits, on which TFLM aborts: compress again")
    several, last = _layout(output)
    _enough(bits, width * count, output)
    index, channel = unpacked(bits, width, count), channels(count, several, last)
    entry = channel * stride + index
    dtype = "uint8" if output.dtype == "bool" else output.dtype
    values = _table(header, dtype, int(entry.max(initial=-1)) + 1, output)[entry]
    return values.astype(output.dtype), (
        f"indices of {width} bits into tables of {stride} values",
        (("channel", channel), ("index", index), ("entry", entry)),
    )


def _from_rest(bits: bytes, header: bytes, output: Tensor) -> tuple[Array, Story]:
    count = prod(output.shape)
    several, last = _layout(output)
    _enough(bits, count, output)
    points = (0,) * several
    if output.quantization is not None and _affine.is_quantized(output):
        points = output.quantization.zero_point
    require(
        output.dtype == "int8" or not any(points),
        f"output '{output.name}' is {output.dtype} with zero points that are not 0, which TFLM does not decode: "
        "convert again",
    )
    there = unpacked(bits, 1, count)
    place = np.cumsum(there) - there
    dtype = "uint8" if output.dtype == "bool" else output.dtype
    table = _table(header, dtype, int(there.sum()), output)
    zero = np.array(points, np.int64).astype(dtype)[channels(count, several, last)]
    values = np.where(there == 1, np.append(table, zero[:1])[np.minimum(place, len(table))], zero)
    return values.astype(output.dtype), (
        "one bit an element: 1 takes the next value, 0 the zero point",
        (("bit", there), ("values before", place)),
    )


def _from_huffman(bits: bytes, header: bytes, output: Tensor) -> tuple[Array, Story]:
    wide, first = bool(header[5] & 1), (header[5] >> 4) + 1
    require(
        output.dtype == "int8" or (output.dtype == "int16" and wide),
        f"output '{output.name}' is {output.dtype}; TFLM decodes Huffman's code to int8, or with 32-bit tables to "
        "int16: compress again",
    )
    dtype, shift = ("uint32", 27) if wide else ("uint16", 11)
    tables = np.frombuffer(header[HEADER : len(header) - len(header) % (4 if wide else 2)], dtype).tolist()
    stream = "".join(f"{byte:08b}" for byte in bits)
    symbols, starts, at = [], [], 0
    for _ in range(prod(output.shape)):
        starts.append(at)
        offset, used = 0, first
        while True:
            offset += int(stream[at : at + used].ljust(used, "0"), 2)
            consistent(offset < len(tables), f"the code of '{output.name}' leads beyond its tables")
            at += used
            entry = tables[offset]
            count = entry >> shift & 15
            if entry >> shift + 4:
                break
            offset, used = offset + (entry & (1 << shift) - 1), count + 1
            consistent(at <= len(stream), f"the code of '{output.name}' ends before its elements do")
        at -= max(0, used - count)
        symbols.append(entry)
    _enough(bits, at, output)
    values = np.array(symbols, np.uint32).astype(f"u{output.dtype}").view(output.dtype)
    return values, (f"Huffman's code, by tables the first of which takes {first} bits", (("bit", np.array(starts)),))


_DECODERS = {LUT: _from_table, HUFFMAN: _from_huffman, PRUNE: _from_rest}


def evaluate(p: Params, *inputs: Array) -> tuple[Array, ...]:
    """Constants → (1, *output_shape) each."""
    return p.values


def explain(p: Params, at: At, *inputs: Array) -> Iterator[Line]:
    """Element `index` of an output."""
    value, (how, numbers) = p.values[at.output][0], p.stories[at.output]
    element = int(np.ravel_multi_index(at.index, value.shape))
    for name, every in numbers:
        yield Line(name, how, int(every[element]))
    x = value[at.index]
    yield Line("value", "what stands there", x if x.dtype == np.float32 else x.item())


# ---- example -------------------------------------------------------------------------------------------------


def example(draw: Draw, make: Toolbox) -> Node:
    """One to three constants, each packed in any way."""
    inputs, outputs = [], []
    for _ in range(draw(make.integers(1, 3))):
        kind = draw(make.sampled_from((LUT, PRUNE, HUFFMAN)))
        dtype = draw(make.sampled_from(TYPES[:2] if kind == HUFFMAN else TYPES))
        shape = draw(make.shape((1, 4), 4))
        output = make.tensor(shape, dtype, _draw_quantization(draw, make, dtype, shape, kind))
        seed = draw(make.integers(0, 2**16 - 1))
        bits, header = _ENCODERS[kind](np.random.default_rng(seed), output)
        inputs += [make.constant(np.frombuffer(x, np.uint8)) for x in (bits, header)]
        outputs.append(output)
    return Node("TFLM_DECODE", {}, tuple(inputs), tuple(outputs))


def _draw_quantization(draw: Draw, make: Toolbox, dtype: str, shape: tuple[int, ...], kind: int) -> Quantization | None:
    """None, one scale, or a scale a channel along either end; zero points only where TFLM takes them."""
    if dtype not in ("int8", "int16") or not draw(make.integers(0, 3)):
        return None
    axis = draw(make.sampled_from((0, len(shape) - 1)))
    several = shape[axis] if draw(make.booleans()) else 1
    zero_points = draw(make.array((several,), "int8")) if dtype == "int8" and kind == PRUNE else [0] * several
    axis = axis if several > 1 else 0
    return Quantization(tuple(draw(make.scales(several))), tuple(map(int, zero_points)), axis)


def _header(kind: int, *details: int) -> bytes:
    return bytes((kind, 1, 0, 0, 1, *details)).ljust(HEADER, b"\0")


def _table_code(rng: np.random.Generator, output: Tensor) -> tuple[bytes, bytes]:
    width = int(rng.integers(1, 8))
    stride = int(rng.integers(1, 2**width + 1))
    table = _noise(rng, output.dtype, stride * _layout(output)[0])
    return packed(rng.integers(0, stride, prod(output.shape)), width), _header(LUT, width, stride) + table


def _rest_code(rng: np.random.Generator, output: Tensor) -> tuple[bytes, bytes]:
    there = rng.integers(0, 2, prod(output.shape))
    return packed(there, 1), _header(PRUNE) + _noise(rng, output.dtype, int(there.sum()))


def _noise(rng: np.random.Generator, dtype: str, count: int) -> bytes:
    if dtype in ("bool", "float32"):
        return rng.integers(0, 2, count).astype(dtype).tobytes()
    return rng.bytes(count * np.dtype(dtype).itemsize)


def _huffman_code(rng: np.random.Generator, output: Tensor) -> tuple[bytes, bytes]:
    """A random prefix code whose longer words take a second table."""
    wide, first = output.dtype == "int16" or bool(rng.integers(0, 2)), int(rng.integers(1, 4))
    codes = ["0", "1"]
    while len(codes) < rng.integers(2, 20):
        code = codes.pop(int(rng.integers(0, len(codes))))
        codes += [code + "0", code + "1"] if len(code) < first + 3 else [code]
    values = np.frombuffer(_noise(rng, output.dtype, len(codes)), f"u{output.dtype}").tolist()
    symbols = dict(zip(codes, values, strict=True))
    text = "".join(str(rng.choice(codes)) for _ in range(prod(output.shape)))
    text = text.ljust(-(-len(text) // 32) * 32, "0")
    tables = np.array(_huffman_tables(symbols, first, 27 if wide else 11), "uint32" if wide else "uint16")
    return packed(list(map(int, text)), 1), _header(HUFFMAN, (first - 1) << 4 | wide) + tables.tobytes()


def _huffman_tables(symbols: dict[str, int], first: int, shift: int) -> list[int]:
    """The first table, with those of longer words behind it."""

    def leaf(value: int, length: int) -> int:
        return 1 << shift + 4 | length << shift | value

    def found(word: str) -> str:
        return next((code for code in symbols if word.startswith(code)), "")

    tables = [0] * 2**first
    for i in range(2**first):
        word = f"{i:0{first}b}"
        code = found(word)
        if code:
            tables[i] = leaf(symbols[code], len(code))
            continue
        more = max(len(code) for code in symbols if code.startswith(word)) - first
        tables[i] = (more - 1) << shift | len(tables) - i
        for k in range(2**more):
            code = found(word + f"{k:0{more}b}")
            tables.append(leaf(symbols[code], len(code) - first))
    return tables


_ENCODERS = {LUT: _table_code, PRUNE: _rest_code, HUFFMAN: _huffman_code}

KERNELS = {("TFLM_DECODE", ""): Kernel(prepare, evaluate, explain, example, Facts(data=None, unpacks=True))}
