"""UNIDIRECTIONAL_SEQUENCE_LSTM: a long short-term memory runs over a sequence, and its hidden states are the output.

TFLM: `kernels/unidirectional_sequence_lstm.cc`, `lstm_eval.h` (LstmStep, CalculateLstmGate, UpdateLstmCell,
UpdateLstmHidden), `lstm_eval.cc`, `lstm_eval_common.cc`. At each step, with x the input, h the hidden and c the cell
state, each of four gates is activation(W · x + bias + R · h), where all gates see the old h, and

    c = forget gate · c + input gate · cell gate, clipped if `cell_clip` is positive
    h = tanh(c) · output gate

int8 and int16 layers have int8 weights and c in int16. Both sums of a gate are rescaled to steps of 2⁻¹² and cut to
int16 before they are added; gates are in steps of 2⁻¹⁵.

Oddities, all TFLM's: the cell gate is **linear** unless its activation, the option, is TANH; the output gets h's codes,
whatever scale it states itself; biases are added whatever their scales; the weights' zero points count, that of c does
not. A scale of c that is no power of two counts as one, but for tanh alone. The options proj_clip,
asymmetric_quantize_inputs and diagonal_recurrent_tensors do nothing.

TFLM's build for CMSIS-NN hands int8 and int16 layers to another kernel (`kernels/cmsis_nn/
unidirectional_sequence_lstm.cc`), which never reads nor writes the states: there each inference begins from zero. Its
cell gate is a sigmoid unless it is TANH; the weights' zero points do not count; the sum over the hidden state, and the
product of input and cell gate, are not cut to int16 before they are added; a clip that rounds to 0 is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, Generic, TypeVar

import numpy as np

from ..errors import require, within_limits
from ..kernel import At, Facts, Kernel, Line, Node, Numerics, Quantizing, Weighed
from ..model import Array, Tensor
from ..numerics import float32, scalar, scalar_float
from ..numerics.fixedpoint import Ints, Multiplier, quantize_multiplier
from ..numerics.gemm import Gemm, exact_gemm
from ..numerics.quantize import FLOAT_MAX, code_range, product_multiplier
from ..numerics.requantize import Requantizer, requantizer
from . import _affine, _cmsis_nn, _linear, _lstm, _lstm_columns, _narrate, _sigmoid, _unary, logistic, tanh

INPUT, FORGET, CELL, OUTPUT = range(4)
"""The gates, in the order of their tensors."""

LOW, HIGH = code_range("int16")


def _time_axis(options: Mapping[str, Any]) -> int:
    return 0 if options["time_major"] else 1


FACTS = Facts(
    updates=(_lstm.HIDDEN, _lstm.CELL),
    quantized=Quantizing(
        {"int8": 1, "int16": 1},
        weighed=(
            *(Weighed(1 + gate, 12 + gate, 0) for gate in range(4)),
            *(Weighed(5 + gate, None, _lstm.HIDDEN) for gate in range(4)),
        ),
        states={_lstm.HIDDEN: "output", _lstm.CELL: "power"},
        intermediates=(
            "input_to_input_intermediate",
            "input_to_forget_intermediate",
            "input_to_cell_intermediate",
            "input_to_output_intermediate",
            "effective_hidden_scale_intermediate",
        ),
        time=_time_axis,
    ),
    c_kernels={dtype: f"lstm_{dtype}" for dtype in ("int8", "int16", "float32")},
)
"""The converter makes no int16 layer; that type's is refengine's own, by the same rules."""

P = TypeVar("P", "Params", "FloatParams")
T = TypeVar("T")
Codes = Sequence[int] | Array
Told = Generator[Line, None, T]


@dataclass(frozen=True, eq=False)
class Layer:
    """All gates' sums over the input, or over the hidden state, in steps of 2⁻¹²: TFLM's FullyConnectedParams.

    `gemm` and `requantize` have the units of one gate after those of another; `weights_offset` has one for each gate.
    """

    input_offset: int
    weights_offset: tuple[int, ...]
    gemm: Gemm
    requantize: Requantizer

    def __call__(self, codes: Array) -> Array:
        """(rows, depth) codes → (rows, 4 · state) int16."""
        return self.requantize(self.gemm(np.add(codes, self.input_offset, dtype=self.gemm.dtype)))


@dataclass(frozen=True, eq=False)
class Params:
    """Integer layers, TFLM's OpDataLSTM. `cell_activation` is None for a linear cell gate, `cell_clip` for no clip.

    CMSIS-NN's (`is_cmsis_nn`) have no states.
    """

    sizes: _lstm.Sizes
    input: Layer
    hidden: Layer
    gate_activation: _sigmoid.Params16
    cell_activation: _sigmoid.Params16 | None
    tanh: _sigmoid.Params16
    forget_cell_mul: Multiplier
    input_mul: Multiplier
    output_mul: Multiplier
    hidden_zero_point: int
    cell_clip: int | None
    cell_state_scale_power: int
    is_cmsis_nn: bool

    @property
    def macs(self) -> int:
        return self.sizes.macs

    @cached_property
    def columns(self) -> _lstm_columns.Columns | None:
        """The quicker layout, if the layer fits it; worked out once somebody asks."""
        return _lstm_columns.columns_of(self)

    def products(self, dtype: str) -> tuple[Requantizer, Requantizer, Requantizer]:
        """What rescales products of int16 codes: forget gate · cell state, input gate · cell gate, and tanh of the cell
        state · output gate, to hidden codes of `dtype`. Source: `MulElementwise`, reference/integer_ops/mul.h."""
        return self._products[dtype]

    @cached_property
    def _products(self) -> dict[str, tuple[Requantizer, Requantizer, Requantizer]]:
        def of(factor: Multiplier, zero_point: int, dtype: str) -> Requantizer:
            return requantizer(
                np.zeros(1, np.int64),
                factor,
                zero_point,
                *code_range(dtype),
                dtype,
                np.array([_lstm_columns.PRODUCT_END]),
            )

        kept = of(self.forget_cell_mul, 0, "int16")
        new = of(self.input_mul, 0, "int32" if self.is_cmsis_nn else "int16")
        hidden = {dtype: of(self.output_mul, self.hidden_zero_point, dtype) for dtype in ("int8", "int16")}
        return {dtype: (kept, new, last) for dtype, last in hidden.items()}


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float layers. Weights (4 · state, depth) are transposes of contiguous arrays; `cell_clip` is None for no clip.

    `nan_clips`: whether a NaN becomes the clip.
    """

    sizes: _lstm.Sizes
    input_weights: Array
    hidden_weights: Array
    bias: Array
    linear: bool
    cell_clip: np.float32 | None
    nan_clips: bool
    contraction: str
    libm: str

    @property
    def macs(self) -> int:
        return self.sizes.macs


# ---- int8 and int16 ------------------------------------------------------------------------------------------


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses weights with a scale for each channel, and scales for which TFLM's registers have no room."""
    tensors, sizes = _lstm.operands(node)
    input, *constants, hidden, cell = tensors
    _lstm.check_types(tensors, node.outputs[0], "int8", {"int8": "int32", "int16": "int64"}[input.dtype], "int16")
    within_limits(
        numerics.rounding != "xnnpack",
        "XNNPACK has no LSTM, so refengine knows no such rounding; choose a dialect with rounding=double or single",
    )
    (hidden_scale, hidden_zero_point), (cell_scale, _) = _affine.quantized(hidden), _affine.params_of(cell)
    require(
        0 < cell_scale < math.inf,
        f"the cell state '{cell.name}' has no positive scale, by which TFLM divides: convert the model again",
    )
    factor = partial(quantize_multiplier, rounding=numerics.rounding)
    power = _power_of_two(cell, numerics.libm)
    p = Params(
        sizes,
        _layer(input, constants[:4], constants[8:], numerics, "int16"),
        _layer(hidden, constants[4:8], (), numerics, "int32" if _cmsis_nn.speaks(numerics) else "int16"),
        _lookup(0, logistic.logistic16),
        _cell_activation(node, numerics),
        _lookup(12 + power, tanh.tanh16),
        factor(2.0**-15 * cell_scale / cell_scale),
        factor(2.0**-30 / cell_scale),
        factor(2.0**-30 / hidden_scale),
        hidden_zero_point,
        _cell_clip(node.options["cell_clip"], cell_scale, numerics),
        power,
        _cmsis_nn.speaks(numerics),
    )
    _affine.require_shift(p.output_mul, hidden)
    return p


def _cell_activation(node: Node, numerics: Numerics) -> _sigmoid.Params16 | None:
    if node.options["fused_activation_function"] == "TANH":
        return _lookup(0, tanh.tanh16)
    return _lookup(0, logistic.logistic16) if _cmsis_nn.speaks(numerics) else None


def _layer(input: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], numerics: Numerics, sums: str) -> Layer:
    """One for all gates, whose sums are cut to the type `sums`."""
    for tensor in weights:
        scales = len(tensor.quantization.scale) if tensor.quantization else 0
        require(
            scales <= 1,
            f"weights '{tensor.name}' have {scales} scales, with which TFLM's LSTM computes noise; quantise "
            "them per tensor: convert again",
        )
    (scale, zero_point), units = _affine.quantized(input), weights[0].shape[0]
    weight_scales, zero_points = zip(*map(_affine.quantized, weights), strict=True)
    if _cmsis_nn.speaks(numerics):
        zero_points = (0,) * len(weights)
    bits, limit = (32, 31) if input.dtype == "int8" else (64, 14)
    rounding = _cmsis_nn.rounding(numerics, bits, numerics.rounding)
    multiplier = product_multiplier(scale, np.repeat(weight_scales, units), 2.0**-12, rounding, numerics.scale_math)
    shift = multiplier.shift.max(initial=0)
    require(
        shift <= limit,
        f"the scales of '{input.name}' and of its weights make a factor of 2^{shift} to the gates' steps of 2^-12, and "
        f"TFLM can shift by {limit} bits at most; convert again with representative data",
    )
    offset = -np.repeat(zero_points, units)[:, np.newaxis]
    codes = _stacked(weights)
    codes = np.add(codes, offset, dtype=np.int16) if offset.any() else codes
    gemm = exact_gemm(codes, _linear.magnitude(input.dtype, -zero_point))
    bias = _stacked(biases).astype(np.int64) if biases else np.zeros(1, np.int64)
    if _cmsis_nn.speaks(numerics) and bits == 64:
        folded = zero_point * _stacked(weights).sum(axis=1, dtype=np.int64)  # into the bias
        _cmsis_nn.check_sums(_stacked(weights), np.abs(bias) + np.abs(folded), weights[0].name)
    requantize = requantizer(bias, multiplier, 0, *code_range(sums), sums, gemm.bound, bits)
    return Layer(-zero_point, tuple(-z for z in zero_points), gemm, requantize)


def _stacked(constants: Sequence[Tensor]) -> Array:
    """The gates' constants one after another."""
    return np.concatenate([tensor.data for tensor in constants if tensor.data is not None])


@cache
def _lookup(left_shift: int, function: Callable[[Ints], Ints]) -> _sigmoid.Params16:
    """The table of `function` for codes in steps of 2^(`left_shift` − 12). Source: `Sigmoid`, `Tanh`, lstm_eval.cc."""
    if left_shift < 0:
        return _sigmoid.tabulated16(3, -left_shift, function)
    return _sigmoid.tabulated16(scalar.wrap(3 << left_shift), 0, function)


def _power_of_two(cell: Tensor, libm: str) -> int:
    """The exponent of the power of two that tanh takes the cell state's scale for.

    Source: `CheckedLog2`, tensorflow/lite/kernels/internal/quantization_util.cc, in float32.
    """
    scale, two = (np.float32(x) for x in (_affine.params_of(cell)[0], 2))
    octaves = float32.log(scale, libm) * (np.float32(1) / float32.log(two, libm))
    exponent = scalar.round_half_away(float(octaves))
    require(
        -42 <= exponent <= 18,
        f"the scale of the cell state '{cell.name}' is {scale:g}; TFLM's tanh takes 2^-42 … 2^18: convert again",
    )
    return exponent


def _cell_clip(clip: float, scale: float, numerics: Numerics) -> int | None:
    """The largest code of the cell state, which may be 0. Source: `CreateLstmCellStateInfo`, lstm_eval_common.cc."""
    code = math.trunc(min(clip / scale, HIGH)) if clip > 0 else None
    return code or None if _cmsis_nn.speaks(numerics) else code


def evaluate(p: Params, *arrays: Array) -> tuple[Array, Array, Array]:
    """Input codes (B, …), constants and states (B, …) → output codes (B, …) and both new states."""
    if p.is_cmsis_nn:
        output, *_ = _run(p, *_forgotten(p, arrays))
        h, c = (np.repeat(arrays[state], len(output) // len(arrays[state]), axis=0) for state in FACTS.updates)
        return output, h, c
    return _run(p, *arrays)


def _forgotten(p: Params, arrays: Sequence[Array]) -> list[Array]:
    """The arrays with the states as they begin, all of one inference."""
    fresh = list(arrays)
    fresh[_lstm.HIDDEN] = np.full_like(arrays[_lstm.HIDDEN], p.hidden_zero_point)
    fresh[_lstm.CELL] = np.zeros_like(arrays[_lstm.CELL])
    return fresh


def _run(p: Params, *arrays: Array) -> tuple[Array, Array, Array]:
    """The sequence from the states that are given on."""
    x, h, c = _lstm.by_time(p.sizes, arrays)
    if p.columns is not None and p.columns.suit(len(h)):
        return _lstm.by_batch(p.sizes, arrays, *_lstm_columns.run(p, p.columns, x, h, c))
    return _lstm.by_batch(p.sizes, arrays, *by_rows(p, x, h, c))


def by_rows(p: Params, x: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """(steps, rows, input), (rows, state) and (rows, state) codes to the hidden states (steps, rows, state) and both
    new states."""
    over_input = p.input(x.reshape(-1, p.sizes.input)).reshape(p.sizes.steps, len(h), -1).astype(np.int32)
    outputs = np.empty((p.sizes.steps, *h.shape), h.dtype)
    kept, new, hidden = p.products(h.dtype.name)
    for step, sums in enumerate(over_input):
        gates = np.clip(sums + p.hidden(h), LOW, HIGH).astype(np.int16).reshape(len(h), 4, -1)
        i, f, o = (_unary.look_up(p.gate_activation.table, gates[:, k]) for k in (INPUT, FORGET, OUTPUT))
        g = gates[:, CELL] if p.cell_activation is None else _unary.look_up(p.cell_activation.table, gates[:, CELL])
        c = np.clip(np.add(kept(_product(f, c)), new(_product(i, g)), dtype=np.int32), LOW, HIGH).astype(np.int16)
        if p.cell_clip is not None:
            c = np.clip(c, -p.cell_clip, p.cell_clip)
        outputs[step] = h = hidden(_product(_unary.look_up(p.tanh.table, c), o))
    return outputs, h, c


def _product(a: Array, b: Array) -> Array:
    """Of int16 arrays, exact."""
    return np.multiply(a, b, dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Step(Generic[P]):
    """What one row has at one step: the input `x` and the hidden state `h` before, as numbers of `explain`'s kind.

    `told` is whether anybody listens; if not, the products are left out.
    """

    p: P
    arrays: Sequence[Array]
    x: Codes
    h: Codes
    told: bool = False


def explain(p: Params, at: At, *arrays: Array) -> Iterator[Line]:
    """One element, of the output or of a state after the last step: its gates, cell and hidden state at its step.

    What the states were before that step comes from the same arithmetic, untold.
    """
    if p.is_cmsis_nn:
        if at.output:
            state = arrays[FACTS.updates[at.output - 1]]
            yield Line("state", "as it was: CMSIS-NN's kernel neither reads nor writes it", int(state[at.index]))
            return
        arrays = tuple(_forgotten(p, arrays))
    step, row, unit = _lstm.place(p.sizes, at, arrays)
    sequence, h, c = (x.tolist() for x in _lstm.row_of(p.sizes, arrays, row))
    for x in sequence[:step]:
        untold = Step(p, arrays, x, h)
        h, c = zip(*(_untold(_hidden(untold, k, c[k])) for k in range(p.sizes.state)), strict=True)
    yield Line("before", f"the cell state of unit {unit} before step {step}", c[unit])
    yield from (_cell if at.output == 2 else _hidden)(Step(p, arrays, sequence[step], h, told=True), unit, c[unit])


def _untold(telling: Told[T]) -> T:
    """What an explanation arrives at."""
    while True:
        try:
            next(telling)
        except StopIteration as end:
            result: T = end.value
            return result


def _hidden(s: Step[Params], unit: int, c: int) -> Told[tuple[int, int]]:
    """Tell one unit's step; returns its hidden and its cell state."""
    c = yield from _cell(s, unit, c)
    o = yield from _gate(s, OUTPUT, unit)
    size = yield from _activated(tanh.explain16, s.p.tanh, c)
    yield Line("hidden state", f"tanh of the cell state {size} · output gate {o}", size * o)
    scaled = yield from _narrate.rescale(size * o, s.p.output_mul)
    ends = code_range(s.arrays[_lstm.HIDDEN].dtype.name)
    code: int = yield from _narrate.value_of(_narrate.finish(scaled, s.p.hidden_zero_point, *ends))
    return code, c


def _cell(s: Step[Params], unit: int, c: int) -> Told[int]:
    """Tell one unit's new cell state, and return it."""
    f = yield from _gate(s, FORGET, unit)
    i = yield from _gate(s, INPUT, unit)
    g = yield from _gate(s, CELL, unit)
    yield Line("kept", f"forget gate {f} · cell state {c}", f * c)
    kept = yield from _cut((yield from _narrate.rescale(f * c, s.p.forget_cell_mul)))
    yield Line("new", f"input gate {i} · cell gate {g}", i * g)
    new = yield from _narrate.rescale(i * g, s.p.input_mul)
    if not s.p.is_cmsis_nn:
        new = yield from _cut(new)
    both = scalar.wrap(kept + new)
    yield Line("cell state", f"{kept} + {new}", both)
    c = yield from _cut(both)
    if s.p.cell_clip is not None:
        c = scalar.clamp(c, -s.p.cell_clip, s.p.cell_clip)
        yield Line("clip", f"to ±{s.p.cell_clip}, the option cell_clip", c)
    return c


def _gate(s: Step[Params], gate: int, unit: int) -> Told[int]:
    """Tell one gate of a unit, and return its code."""
    weights, recurrent, bias = (s.arrays[part][gate][unit].tolist() for part in _lstm.CONSTANTS)
    name, channel = f"{_lstm.GATES[gate]} gate", gate * s.p.sizes.state + unit
    over_input = yield from _sum(s.p.input, gate, channel, s.x, weights, bias, f"{name}, input", s.told)
    over_hidden = yield from _sum(s.p.hidden, gate, channel, s.h, recurrent, 0, f"{name}, hidden state", s.told)
    both = scalar.wrap(over_input + over_hidden)
    yield Line(name, f"{over_input} + {over_hidden}, in steps of 2^-12", both)
    total = yield from _cut(both)
    if gate != CELL:
        return (yield from _activated(logistic.explain16, s.p.gate_activation, total))
    if s.p.cell_activation is not None:
        return (yield from _activated(tanh.explain16, s.p.cell_activation, total))
    yield Line("linear", "TFLM's cell gate has no activation but TANH", total)
    return total


def _sum(
    layer: Layer, gate: int, channel: int, codes: Codes, weights: list[int], bias: int, name: str, told: bool
) -> Told[int]:
    """Tell one of the two sums of a gate, and return it in steps of 2⁻¹²."""
    a, b = layer.input_offset, layer.weights_offset[gate]
    for k, (x, w) in enumerate(zip(codes, weights, strict=True) if told else ()):
        yield Line(name, f"[{k}] = {x} {a:+d}, weight {w} {b:+d}: {x + a} · {w + b}", (x + a) * (w + b))
    acc = sum((x + a) * (w + b) for x, w in zip(codes, weights, strict=True))
    bits, factor = layer.requantize.bits, layer.requantize.multiplier
    total = scalar.wrap(acc + bias, bits)
    wrapped = "" if total == acc + bias else f", wrapped to {bits} bits"
    yield Line("accumulator", f"sum of the products {acc} + bias {bias}{wrapped}", total)
    rescale = _narrate.rescale if bits == 32 else _narrate.rescale_64
    scaled = yield from rescale(total, factor, channel)
    return (yield from _cut(scaled)) if layer.requantize.dtype == "int16" else scaled


def _cut(x: int) -> Told[int]:
    """Tell where a number is cut to int16, and return it."""
    code = scalar.clamp(x, LOW, HIGH)
    if code != x:
        yield Line("clamp", "cut to int16", code)
    return code


def _activated(explain16: Callable[..., Iterator[Line]], p: _sigmoid.Params16, code: int) -> Told[int]:
    """Tell an activation of one code as its own operator does."""
    value: int = yield from _narrate.value_of(explain16(p, At(0, (0,)), np.array([code], np.int16)))
    return value


# ---- float32 -------------------------------------------------------------------------------------------------


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses hybrid layers. TFLM before commit 0c7ce51 cut the cell state from above first: NaN became the clip."""
    tensors, sizes = _lstm.operands(node)
    _lstm.check_types(tensors, node.outputs[0], *("float32",) * 3)
    clip = node.options["cell_clip"]
    return FloatParams(
        sizes,
        np.ascontiguousarray(_stacked(tensors[1:5]).T).T,
        np.ascontiguousarray(_stacked(tensors[5:9]).T).T,
        _stacked(tensors[9:13]),
        node.options["fused_activation_function"] != "TANH",
        np.float32(clip) if clip > 0 else None,
        numerics.scale_math == "float32",
        numerics.contraction,
        numerics.libm,
    )


def _bounded(x: Array) -> Array:
    """Kept within ±FLT_MAX, as TFLM's layers and products without an activation are."""
    return float32.clamp(x, -FLOAT_MAX, FLOAT_MAX)


def evaluate_float(p: FloatParams, *arrays: Array) -> tuple[Array, Array, Array]:
    """Input (B, …), constants and states (B, …) → output (B, …) and both new states, all float32."""
    x, h, c = _lstm.by_time(p.sizes, arrays)
    over_input = float32.sequential_matmul(x.reshape(-1, p.sizes.input), p.input_weights, p.contraction) + p.bias
    outputs, sigmoid = np.empty((p.sizes.steps, *h.shape), np.float32), _unary.FloatParams(p.libm)
    for step, sums in enumerate(_bounded(over_input).reshape(p.sizes.steps, len(h), -1)):
        over_hidden = float32.sequential_matmul(h, p.hidden_weights, p.contraction)
        gates = (sums + _bounded(over_hidden)).reshape(len(h), 4, -1)
        i, f, o = (logistic.evaluate_float(sigmoid, gates[:, k]) for k in (INPUT, FORGET, OUTPUT))
        g = gates[:, CELL] if p.linear else float32.tanh(gates[:, CELL], p.libm)
        c = _clipped(p, _bounded(f * c) + _bounded(i * g))
        outputs[step] = h = _bounded(float32.tanh(c, p.libm) * o)
    return _lstm.by_batch(p.sizes, arrays, outputs, h, c)


def _clipped(p: FloatParams, c: Array) -> Array:
    if p.cell_clip is None:
        return c
    clipped = float32.clamp(c, -p.cell_clip, p.cell_clip)
    return np.where(np.isnan(c), p.cell_clip, clipped) if p.nan_clips else clipped


def explain_float(p: FloatParams, at: At, *arrays: Array) -> Iterator[Line]:
    """One element, as `explain` tells it."""
    step, row, unit = _lstm.place(p.sizes, at, arrays)
    sequence, h, c = _lstm.row_of(p.sizes, arrays, row)
    for x in sequence[:step]:
        untold = Step(p, arrays, x, h)
        units = [_untold(_hidden_float(untold, k, c[k])) for k in range(p.sizes.state)]
        h, c = (np.array(state) for state in zip(*units, strict=True))
    yield Line("before", f"the cell state of unit {unit} before step {step}", c[unit])
    told = Step(p, arrays, sequence[step], h, told=True)
    yield from (_cell_float if at.output == 2 else _hidden_float)(told, unit, c[unit])


def _hidden_float(s: Step[FloatParams], unit: int, c: np.float32) -> Told[tuple[np.float32, np.float32]]:
    """Tell one unit's step; returns its hidden and its cell state."""
    c = yield from _cell_float(s, unit, c)
    o = yield from _gate_float(s, OUTPUT, unit)
    size = scalar_float.tanh(c, s.p.libm)
    yield Line("tanh", f"of the cell state, tanhf of {s.p.libm}", size)
    return (yield from _product_float("hidden state", "tanh of the cell state", size, "output gate", o)), c


def _cell_float(s: Step[FloatParams], unit: int, c: np.float32) -> Told[np.float32]:
    """Tell one unit's new cell state, and return it."""
    f = yield from _gate_float(s, FORGET, unit)
    i = yield from _gate_float(s, INPUT, unit)
    g = yield from _gate_float(s, CELL, unit)
    kept = yield from _product_float("kept", "forget gate", f, "cell state", c)
    new = yield from _product_float("new", "input gate", i, "cell gate", g)
    c = yield from _added("cell state", kept, new)
    clip = s.p.cell_clip
    if clip is not None:
        c = clip if np.isnan(c) and s.p.nan_clips else scalar_float.clamp(c, -float(clip), float(clip))
        yield Line("clip", f"to ±{clip:.9g}, the option cell_clip", c)
    return c


def _gate_float(s: Step[FloatParams], gate: int, unit: int) -> Told[np.float32]:
    """Tell one gate of a unit, and return it."""
    weights, recurrent, bias = (s.arrays[part][gate][unit] for part in _lstm.CONSTANTS)
    name = f"{_lstm.GATES[gate]} gate"
    over_input = yield from _sum_float(s, s.x, weights, bias, f"{name}, input")
    over_hidden = yield from _sum_float(s, s.h, recurrent, np.float32(0), f"{name}, hidden state")
    total = yield from _added(name, over_input, over_hidden)
    if gate == CELL and s.p.linear:
        yield Line("linear", "TFLM's cell gate has no activation but TANH", total)
        return total
    told = tanh.explain_float if gate == CELL else logistic.explain_float
    value: np.float32 = yield from _narrate.value_of(told(_unary.FloatParams(s.p.libm), At(0, (0,)), np.array([total])))
    return value


def _sum_float(s: Step[FloatParams], values: Codes, weights: Array, bias: np.float32, name: str) -> Told[np.float32]:
    """Tell one of the two sums of a gate, and return it."""
    total = np.float32(0)
    with np.errstate(all="ignore"):
        for k, (x, w) in enumerate(zip(values, weights, strict=True)):
            total = scalar_float.fma(x, w, total) if s.p.contraction == "fma" else total + x * w
            if s.told:
                yield Line(name, f"[{k}] = {x:.9g} · weight {w:.9g}, running sum {total:.9g}", total)
        total = scalar_float.clamp(total + bias, -FLOAT_MAX, FLOAT_MAX)
    yield Line("accumulator", f"the sum of the products + bias {bias:.9g}, within ±FLT_MAX", total)
    return total


def _added(name: str, a: np.float32, b: np.float32) -> Told[np.float32]:
    """Tell a sum, and return it."""
    with np.errstate(all="ignore"):
        total: np.float32 = a + b
    yield Line(name, f"{a:.9g} + {b:.9g}", total)
    return total


def _product_float(name: str, first: str, a: np.float32, second: str, b: np.float32) -> Told[np.float32]:
    """Tell a product, kept within ±FLT_MAX, and return it."""
    with np.errstate(all="ignore"):
        product = scalar_float.clamp(a * b, -FLOAT_MAX, FLOAT_MAX)
    yield Line(name, f"{first} {a:.9g} · {second} {b:.9g}", product)
    return product


KERNELS = {
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int8"): Kernel(
        prepare, evaluate, explain, partial(_lstm.example, dtype="int8"), FACTS
    ),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int16"): Kernel(
        prepare, evaluate, explain, partial(_lstm.example, dtype="int16"), FACTS
    ),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(_lstm.example, dtype="float32"), FACTS
    ),
}
