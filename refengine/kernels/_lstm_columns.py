"""An int8 LSTM whose sequences are columns: the numbers of `evaluate`, in a layout and in passes that suit NumPy.

Arrays are (units, sequences), so that every pass runs over long lines however few the units are, the gates whose
activation is a sigmoid are one block, and all arrays of a step stay in the cache. The sums of a gate are rescaled in
float64, where `roundings` knows how; products of codes by powers of two, as the converter makes them, are in int32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..model import Array
from ..numerics.fixedpoint import Multiplier
from ..numerics.quantize import code_range
from ..numerics.requantize import roundings

if TYPE_CHECKING:
    from . import _sigmoid
    from .unidirectional_sequence_lstm import Layer, Params

LOW, HIGH = code_range("int16")

CODE = np.int32(0xFFFF)
"""The bits of an int16 code, by which tables are looked up."""

PRODUCT_END = 1 << 30
"""No product of two int16 codes is further from 0."""

ORDER = (1, 0, 3, 2)
"""The gates as they lie here: forget and input gate first, as their products are made at once, and the cell gate last,
for its activation is another."""

UNIT = np.float32(3 << 22)
"""1.5 · 2²³: added to a float32 number of 22 bits, it rounds it, and the low bits of the pattern are its code's."""

MANY, LARGE = 32, 1 << 16
"""For several sequences, but not so many, BLAS is slow in this layout where there are so many weights."""

ELEMENTS = 1 << 17
"""How many sums of gates to hold at a time: so many that calls of NumPy cost little, and the caches have room."""


@dataclass(frozen=True, eq=False)
class Rescaling:
    """`Roundings` of the rows of arrays, but for the last one: numbers (rows, 1), or (1,) for all. `nudge` is None for
    none."""

    high: Array
    nudge: Array | None
    low: Array

    def __call__(self, numbers: Array, real: Array, result: Array) -> None:
        """The integers `numbers`, rescaled, into the float32 array `result`, where they still have to be rounded;
        `real` is float64 to work in."""
        np.copyto(real, numbers)
        np.multiply(real, self.high, out=real)
        if self.nudge is not None:
            np.add(real, self.nudge, out=real)
        np.rint(real, out=real)
        if self.low.dtype == result.dtype:
            np.copyto(result, real, casting="same_kind")
            np.multiply(result, self.low, out=result)
        else:
            np.multiply(real, self.low, out=real)
            np.copyto(result, np.rint(real, out=real), casting="same_kind")


@dataclass(frozen=True, eq=False)
class Sums:
    """One of the two sums of all gates: `weights` (4 · state, depth), the bias a last column if there is one. `reach`
    is the largest magnitude of a sum in steps of 2⁻¹² that is cut to int16."""

    weights: Array
    rescaling: Rescaling
    reach: int

    def __call__(self, codes: Array, real: Array, sums: Array) -> None:
        """Codes (depth, sequences) less their zero point, float32, into `sums` (4 · state, sequences), float32 as well,
        in steps of 2⁻¹², to be rounded; `real` is float64 to work in."""
        np.matmul(self.weights, codes, out=sums)
        gates = sums.reshape(len(ORDER), -1)
        self.rescaling(gates, real.reshape(gates.shape), gates)
        if self.reach >= HIGH:
            sums.clip(LOW, HIGH, out=sums)


@dataclass(frozen=True, eq=False)
class Columns:
    """A layer as it is needed here. Tables (65536,) are int32, in the order of codes without sign. `bits` (2, 1, 1) is
    by how much the two products that make a cell state are shifted: of forget gate and cell state, and of input and
    cell gate."""

    over_input: Sums
    over_hidden: Sums
    sigmoid: Array
    cell_activation: Array
    tanh: Array
    bits: Array
    last: Rescaling

    @property
    def is_cut(self) -> bool:
        """Whether the two sums of a gate may be beyond int16 together."""
        return self.over_input.reach + self.over_hidden.reach > HIGH

    def suit(self, sequences: int) -> bool:
        """Whether so many sequences are quicker here."""
        return not 1 < sequences < MANY or self.over_hidden.weights.size < LARGE


def columns_of(p: Params) -> Columns | None:
    """None for a layer that is not known to come out the same here."""
    if p.is_cmsis_nn:
        return None
    over_input, over_hidden = _sums(p.input), _sums(p.hidden)
    last = roundings(p.products("int8")[-1], np.array([PRODUCT_END]))
    kept_bits, new_bits = _bits(p.forget_cell_mul), _bits(p.input_mul)
    if over_input is None or over_hidden is None or last is None or kept_bits is None or new_bits is None:
        return None
    tables = _table(p.gate_activation), _table(p.cell_activation), _table(p.tanh)
    bits = np.array([kept_bits, new_bits], np.int32)[:, np.newaxis, np.newaxis]
    return Columns(over_input, over_hidden, *tables, bits, _rescaling(*last))


@cache
def _table(p: _sigmoid.Params16 | None) -> Array:
    codes = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    return (codes if p is None else p.table).astype(np.int32)


def _sums(layer: Layer) -> Sums | None:
    """A layer's, with the gates in their `ORDER`."""
    bias, gemm = layer.requantize.bias, layer.gemm
    factors = roundings(layer.requantize, gemm.bound)
    is_short = gemm.dtype == np.float32 and len(gemm.blocks) == 1
    if factors is None or not is_short or np.any(gemm.bound + np.abs(bias) >= 2**24):
        return None
    weights = gemm.blocks[0][1].T
    if bias.any():
        weights = np.concatenate([weights, bias[:, np.newaxis].astype(weights.dtype)], axis=1)
    gates = [np.split(weights, len(ORDER))[gate] for gate in ORDER]
    of_gates = (x.reshape(len(ORDER), -1)[ORDER, :1] for x in factors)
    return Sums(np.concatenate(gates), _rescaling(*of_gates), _reach(layer))


def _reach(layer: Layer) -> int:
    """The largest magnitude of a code, before it is cut to int16: the rescaling never falls."""
    ends = layer.gemm.bound * np.array([[-1], [1]])
    return int(np.abs(layer.requantize(ends).astype(np.int64)).max())


def _rescaling(high: Array, nudge: Array, low: Array) -> Rescaling:
    return Rescaling(high, nudge if nudge.any() else None, low)


def _bits(factor: Multiplier) -> int | None:
    """By how many bits it shifts to the right, if it is a power of two that leaves no product of codes beyond int16."""
    multiplier, shift = int(factor.multiplier), int(factor.shift)
    return 1 - shift if factor.rounding == "double" and multiplier == 2**30 and shift <= -14 else None


def run(p: Params, columns: Columns, x: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """(steps, rows, input), (rows, state) and (rows, state) codes to the hidden states (steps, rows, state) and both
    new states; the rows are the sequences."""
    outputs, cell = np.empty((len(x), *h.shape), h.dtype), np.empty_like(c)
    step = max(1, ELEMENTS // len(columns.over_hidden.weights))
    for start in range(0, len(h), step):
        rows = slice(start, start + step)
        cell[rows] = _run(p, columns, x[:, rows], h[rows], c[rows], outputs[:, rows])
    return outputs, outputs[-1], cell


def _run(p: Params, columns: Columns, x: Array, h: Array, c: Array, outputs: Array) -> Array:
    """The same for as many as the cache has room for; `outputs` are filled, and the new cell state is returned.

    The int32 arrays `places` and `gates` are the float32 arrays of sums, which are no longer needed then.
    """
    (_, rows, depth), n = x.shape, p.sizes.state
    codes = np.ones((*x.shape[:2], columns.over_input.weights.shape[1]), np.float32)  # a last one is the bias's
    np.add(x, p.input.input_offset, out=codes[..., :depth], dtype=np.float32)
    hidden = np.add(h.T, p.hidden.input_offset, dtype=np.float32)
    sums, over_hidden = np.empty((2, 4 * n, rows), np.float32)
    real, places, gates = np.empty(sums.shape), sums.view(np.int32), over_hidden.view(np.int32)
    products, o = gates[: 2 * n].reshape(2, n, rows), gates[2 * n : 3 * n]
    factors, sign = np.empty((2, *products.shape), np.int32)
    cell, g = factors
    cell[:] = c.T
    output = np.empty(cell.shape, h.dtype)
    low, high = (np.float32(end - p.hidden_zero_point) for end in code_range(h.dtype.name))
    lowest, largest = (LOW, HIGH) if p.cell_clip is None else (-p.cell_clip, p.cell_clip)
    for step, sequences in enumerate(codes):
        columns.over_input(sequences.T, real, sums)
        columns.over_hidden(hidden, real, over_hidden)
        np.rint(sums, out=sums)
        np.add(over_hidden, UNIT, out=over_hidden)  # which rounds, ties to even as well
        np.add(sums, over_hidden, out=sums)
        if columns.is_cut:
            sums.clip(UNIT + LOW, UNIT + HIGH, out=sums)
        np.bitwise_and(places, CODE, out=places)
        columns.sigmoid.take(places[: 3 * n], out=gates[: 3 * n], mode="wrap")
        columns.cell_activation.take(places[3 * n :], out=g, mode="wrap")
        np.multiply(products, factors, out=products)
        _shift(products, columns.bits, sign)
        np.add(products[0], products[1], out=cell)
        cell.clip(lowest, largest, out=cell)
        np.bitwise_and(cell, CODE, out=places[:n])
        columns.tanh.take(places[:n], out=g, mode="wrap")
        columns.last(np.multiply(g, o, out=o), real[:n], hidden)
        np.rint(hidden, out=hidden)
        hidden.clip(low, high, out=hidden)
        np.add(hidden, p.hidden_zero_point, out=output, casting="unsafe")
        outputs[step] = output.T
    state: Array = cell.T
    return state


def _shift(products: Array, bits: Array, sign: Array) -> None:
    """TFLM's two roundings of `products` / 2^`bits` at once, in place: of half of it, ties upwards, then of that by the
    other bits, ties away from zero. `sign` is to work in."""
    np.right_shift(products, 31, out=sign)
    np.add(products, (1 << (bits - 1)) + 1, out=products)
    np.add(products, sign, out=products)
    np.add(products, sign, out=products)
    np.right_shift(products, bits, out=products)
