"""UNIDIRECTIONAL_SEQUENCE_LSTM: a long short-term memory runs over a sequence, and its hidden states are the output.

TFLM: `kernels/unidirectional_sequence_lstm.cc`, `lstm_eval.h` (LstmStep, CalculateLstmGate, UpdateLstmCell,
UpdateLstmHidden), `lstm_eval.cc`, `lstm_eval_common.cc`. At each step, with x the input, h the hidden and c the cell
state, each of the four gates is activation(W · x + bias + R · h), and

    c = forget gate · c + input gate · cell gate, then clipped if `cell_clip` is positive
    h = output gate · tanh(c)

All gates see the old h. Activations are int8 or int16 (or float32), c is int16, weights are int8. Both sums of a gate are
rescaled to steps of 2⁻¹² and cut to int16 before they are added; gates are in steps of 2⁻¹⁵.

Oddities, all TFLM's: the cell gate is **linear** unless its activation, the option, is TANH; the output gets h's codes,
whatever scale it states itself; biases are added whatever their scales; the weights' zero points count. A scale of c
that is no power of two is one for tanh alone. The options proj_clip, asymmetric_quantize_inputs and
diagonal_recurrent_tensors do nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np

from ..errors import require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics import float32, scalar, scalar_float
from ..numerics.fixedpoint import Ints, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier
from ..numerics.gemm import Gemm, exact_gemm
from ..numerics.quantize import FLOAT_MAX, code_range, product_multiplier
from ..numerics.requantize import Requantizer, requantizer
from . import _affine, _linear, _narrate, _sigmoid, _unary, logistic, tanh

GATES = ("input", "forget", "cell", "output")
"""In the order of the tensors: weights of the input from 1 on, of the hidden state from 5 on, biases from 12 on."""

WEIGHTS, RECURRENT, BIASES, HIDDEN, CELL = 1, 5, 12, 18, 19

LEFT_OUT = {9: "peephole", 10: "peephole", 11: "peephole", 16: "projection", 17: "projection"} | dict.fromkeys(
    range(20, 24), "layer normalisation"
)
"""Inputs of variants that TFLM does not have."""

FACTS = Facts(updates=(HIDDEN, CELL))

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """TFLM's LstmSizeInfo. `input` and `state` are dimensions, `batch` is the model's own."""

    time_major: bool
    batch: int
    steps: int
    input: int
    state: int

    @property
    def macs(self) -> int:
        return self.batch * self.steps * len(GATES) * self.state * (self.input + self.state)


@dataclass(frozen=True, eq=False)
class Layer:
    """The sums of all four gates over the input or the hidden state, in steps of 2⁻¹²: TFLM's FullyConnectedParams.

    `gemm` and `requantize` have the units of the gates one after another, `weights_offset` is each gate's.
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
    """Integer layers, TFLM's OpDataLSTM; `cell_activation` is None for a linear cell gate, `cell_clip` for no clip."""

    sizes: Sizes
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

    @property
    def macs(self) -> int:
        return self.sizes.macs


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float layers. Weights (4 · state, depth) are transposes of contiguous arrays; no `cell_clip` is ∞.

    `nan_clips`: whether the clip makes a NaN +`cell_clip`.
    """

    sizes: Sizes
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


# ---- what is refused -----------------------------------------------------------------------------------------


def _operands(node: Node) -> tuple[list[Tensor], Sizes]:
    """The 15 tensors that TFLM reads, in their order, after the checks that all types share."""
    require(
        len(node.inputs) == 24 and len(node.outputs) == 1,
        f"expected 24 inputs and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    for place, tensor in enumerate(node.inputs):
        variant = LEFT_OUT.get(place)
        require(
            variant is None or tensor is None,
            f"input {place} is of an LSTM with {variant}, which TFLM does not have; build the layer without it, as "
            "Keras's LSTM",
        )
        require(
            variant is not None or tensor is not None,
            f"input {place} is left out, without which TFLM has no LSTM; build the layer with all four gates and "
            "biases, as Keras's LSTM",
        )
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    sizes = _sizes(node, tensors[0], tensors[-2])
    _check_shapes(tensors, node.outputs[0], sizes)
    for tensor in tensors[-2:]:
        require(
            tensor.is_variable,
            f"the state '{tensor.name}' is no variable tensor; convert again with TFLite's converter",
        )
    for tensor in tensors[1:-2]:
        require(tensor.data is not None, f"'{tensor.name}' is computed at run time; refengine needs it constant")
    return tensors, sizes


def _sizes(node: Node, input: Tensor, hidden: Tensor) -> Sizes:
    require(len(input.shape) == 3, f"input '{input.name}' has shape {input.shape}; TFLM takes three dimensions")
    require(
        len(hidden.shape) == 2, f"the hidden state '{hidden.name}' has shape {hidden.shape}; TFLM takes two dimensions"
    )
    time_major = bool(node.options["time_major"])
    steps, batch = input.shape[:2] if time_major else input.shape[1::-1]
    return Sizes(time_major, batch, steps, input.shape[2], hidden.shape[1])


def _check_shapes(tensors: Sequence[Tensor], output: Tensor, sizes: Sizes) -> None:
    input, *constants, hidden, cell = tensors
    shapes = [(sizes.state, sizes.input)] * 4 + [(sizes.state, sizes.state)] * 4 + [(sizes.state,)] * 4
    for tensor, shape in zip(
        (*constants, hidden, output),
        (*shapes, (sizes.batch, sizes.state), (*input.shape[:2], sizes.state)),
        strict=True,
    ):
        require(tensor.shape == shape, f"tensor '{tensor.name}' has shape {tensor.shape}; TFLM takes {shape} here")
    require(
        math.prod(cell.shape) == sizes.batch * sizes.state,
        f"the cell state '{cell.name}' has shape {cell.shape}; TFLM takes {sizes.batch * sizes.state} elements here",
    )


def _check_types(tensors: Sequence[Tensor], output: Tensor, weights: str, bias: str, cell: str) -> None:
    """Refuse what TFLM refuses at Prepare or Invoke, and types of biases and cell state that it would misread."""
    input = tensors[0]
    advice = "; " + _linear.INT8_WEIGHTS_ADVICE if input.dtype == "float32" else ""
    wanted = [weights] * 8 + [bias] * 4 + [input.dtype, cell, input.dtype]
    for tensor, dtype in zip((*tensors[1:], output), wanted, strict=True):
        require(
            tensor.dtype == dtype,
            f"'{tensor.name}' is {tensor.dtype}, but input '{input.name}' is {input.dtype}: TFLM takes {dtype} "
            f"here{advice}",
        )


# ---- int8 and int16 ------------------------------------------------------------------------------------------


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses weights with a scale for each channel, and scales for which TFLM's registers have no room."""
    tensors, sizes = _operands(node)
    input, *_, hidden, cell = tensors
    weights, recurrent, biases = tensors[1:5], tensors[5:9], tensors[9:13]
    _check_types(tensors, node.outputs[0], "int8", {"int8": "int32", "int16": "int64"}[input.dtype], "int16")
    require(
        numerics.rounding != "xnnpack",
        "XNNPACK has no LSTM, so the rounding 'xnnpack' says nothing of it; choose the rounding 'double' or 'single'",
    )
    (hidden_scale, hidden_zero_point), (cell_scale, _) = _affine.quantized(hidden), _affine.params_of(cell)
    require(0 < cell_scale < math.inf, f"the cell state '{cell.name}' has no positive scale; convert the model again")
    factor = partial(quantize_multiplier, rounding=numerics.rounding)
    p = Params(
        sizes,
        _layer(input, weights, biases, numerics),
        _layer(hidden, recurrent, None, numerics),
        _lookup(0, logistic.logistic16),
        _lookup(0, tanh.tanh16) if node.options["fused_activation_function"] == "TANH" else None,
        _lookup(12 + _power_of_two(cell), tanh.tanh16),
        factor(2.0**-15 * cell_scale / cell_scale),
        factor(2.0**-30 / cell_scale),
        factor(2.0**-30 / hidden_scale),
        hidden_zero_point,
        _cell_clip(node.options["cell_clip"], cell_scale),
    )
    for multiplier, tensor in ((p.input_mul, cell), (p.output_mul, hidden)):
        require(
            multiplier.shift <= 31,
            f"the scale of '{tensor.name}' is {_affine.params_of(tensor)[0]:g}, too small for TFLM's registers; "
            "convert again with representative data",
        )
    return p


def _layer(input: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor] | None, numerics: Numerics) -> Layer:
    """One for all gates; TFLM adds the biases to the sums over the input."""
    for tensor in weights:
        scales = len(tensor.quantization.scale) if tensor.quantization else 0
        require(
            scales <= 1,
            f"weights '{tensor.name}' have {scales} scales, of which TFLM's LSTM makes nothing; quantise them per tensor",
        )
    (scale, zero_point), states = _affine.quantized(input), weights[0].shape[0]
    offsets = tuple(-_affine.quantized(tensor)[1] for tensor in weights)
    filter_scales = np.repeat([_affine.quantized(tensor)[0] for tensor in weights], states)
    multiplier = product_multiplier(scale, filter_scales, 2.0**-12, numerics.rounding, numerics.scale_math)
    limit = 31 if input.dtype == "int8" else 14
    require(
        multiplier.shift.max(initial=0) <= limit,
        f"the scales of '{input.name}' and its weights make a factor of 2^{multiplier.shift.max(initial=0)} to steps of "
        f"2^-12, and TFLM can shift by {limit} bits at most; convert again with representative data",
    )
    stacked = np.concatenate([_data(t).astype(np.int64) + o for t, o in zip(weights, offsets, strict=True)])
    bias = np.concatenate([_data(t).astype(np.int64) for t in biases]) if biases else np.zeros(1, np.int64)
    gemm = exact_gemm(stacked, _linear.magnitude(input.dtype, -zero_point))
    bits = 32 if input.dtype == "int8" else 64
    requantize = requantizer(bias, multiplier, 0, *code_range("int16"), "int16", gemm.bound, bits)
    return Layer(-zero_point, offsets, gemm, requantize)


def _data(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data


@cache
def _lookup(left_shift: int, function: Callable[[Ints], Ints]) -> _sigmoid.Params16:
    """The table of an activation of codes in steps of 2^(`left_shift` − 12). Source: `Sigmoid`, `Tanh`, lstm_eval.cc."""
    if left_shift < 0:
        return _sigmoid.tabulated16(3, -left_shift, function)
    return _sigmoid.tabulated16(scalar.wrap(3 << left_shift), 0, function)


def _power_of_two(cell: Tensor) -> int:
    """The exponent that tanh takes the cell state's scale for.

    Source: `CheckedLog2`, tensorflow/lite/kernels/internal/quantization_util.cc, in float32. C libraries round `logf`
    one way or the other, so the few scales on which the exponent depends on that are refused.
    """
    scale = _affine.params_of(cell)[0]
    log = np.float32(math.log(scale))
    per_octave = np.float32(1) / np.float32(math.log(2))
    nearby = (np.nextafter(log, np.float32(-np.inf)), log, np.nextafter(log, np.float32(np.inf)))
    exponents = {scalar.round_half_away(float(x * per_octave)) for x in nearby}
    require(
        len(exponents) == 1,
        f"the scale {scale:.9g} of the cell state '{cell.name}' lies between two powers of two, and which one TFLM takes "
        "depends on the C library; convert again",
    )
    (exponent,) = exponents
    require(
        -30 <= 12 + exponent <= 30,
        f"the scale of the cell state '{cell.name}' is {scale:g}; TFLM's tanh takes 2^-42 … 2^18: convert again",
    )
    return exponent


def _cell_clip(clip: float, scale: float) -> int | None:
    """The largest code of the cell state, which may be 0. Source: `CreateLstmCellStateInfo`, lstm_eval_common.cc."""
    return math.trunc(min(clip / scale, 32767.0)) if clip > 0 else None


def evaluate(p: Params, input: Array, *others: Array | None) -> tuple[Array, Array, Array]:
    """(B, …) input codes, 17 constants, states (B, …) → (B, …) output codes and both new states."""
    x, h, c = _by_time(p.sizes, input, *_states(others))
    over_input = p.input(x.reshape(-1, p.sizes.input)).reshape(p.sizes.steps, len(h), -1).astype(np.int32)
    low, high = code_range("int16")
    outputs = np.empty((p.sizes.steps, *h.shape), h.dtype)
    for step, total in enumerate(over_input):
        gates = np.clip(total + p.hidden(h), low, high).astype(np.int16).reshape(len(h), len(GATES), -1)
        i, f, o = (_unary.look_up(p.gate_activation.table, gates[:, k]).astype(np.int64) for k in (0, 1, 3))
        g = gates[:, 2] if p.cell_activation is None else _unary.look_up(p.cell_activation.table, gates[:, 2])
        kept = np.clip(multiply_by_quantized_multiplier(f * c, p.forget_cell_mul), low, high)
        new = np.clip(multiply_by_quantized_multiplier(i * g, p.input_mul), low, high)
        c = np.clip(kept + new, low, high).astype(np.int16)
        if p.cell_clip is not None:
            c = np.clip(c, np.int16(-p.cell_clip), np.int16(p.cell_clip))
        product = multiply_by_quantized_multiplier(_unary.look_up(p.tanh.table, c) * o, p.output_mul)
        h = np.clip((product + p.hidden_zero_point).astype(np.int32), *code_range(h.dtype.name)).astype(h.dtype)
        outputs[step] = h
    return _by_batch(p.sizes, input, others, outputs, h, c)


def _states(others: Sequence[T]) -> tuple[T, T]:
    """The hidden and the cell state among the inputs behind the first."""
    return others[HIDDEN - 1], others[CELL - 1]


def _by_time(sizes: Sizes, input: Array, hidden: Array | None, cell: Array | None) -> tuple[Array, Array, Array]:
    """(steps, rows, input), (rows, state) and (rows, state): the rows of all inferences, as many as there are."""
    assert hidden is not None and cell is not None
    n = max(len(input), len(hidden), len(cell))
    x, h, c = (np.broadcast_to(array, (n, *array.shape[1:])) for array in (input, hidden, cell))
    x = x.transpose((1, 0, 2, 3) if sizes.time_major else (2, 0, 1, 3))
    return x.reshape(sizes.steps, -1, sizes.input), h.reshape(-1, sizes.state), c.reshape(-1, sizes.state)


def _by_batch(
    sizes: Sizes, input: Array, others: Sequence[Array | None], outputs: Array, h: Array, c: Array
) -> tuple[Array, Array, Array]:
    """(steps, rows, state), (rows, state) and (rows, state) as the output and the states have them."""
    hidden, cell = _states(others)
    assert hidden is not None and cell is not None
    sequence = outputs.reshape(sizes.steps, -1, sizes.batch, sizes.state)
    return (
        sequence.transpose((1, 0, 2, 3) if sizes.time_major else (1, 2, 0, 3)),
        h.reshape(-1, *hidden.shape[1:]),
        c.reshape(-1, *cell.shape[1:]),
    )


# ---- int8 and int16, told ------------------------------------------------------------------------------------


def explain(p: Params, at: At, input: Array, *others: Array | None) -> Iterator[Line]:
    """One element of the output or of a state: its four gates, the cell and the hidden state, at its step.

    The states before that step come from the same arithmetic, untold.
    """
    step, row, unit = _place(p.sizes, at, others)
    sequence = [codes.tolist() for codes in _rows(p.sizes, input)[row]]
    h, c = (state.reshape(-1, p.sizes.state)[row].tolist() for state in _arrays(_states(others)))
    for x in sequence[:step]:
        together = [_untold(_unit(p, k, _sums(p, others, k, x, h), c[k])) for k in range(p.sizes.state)]
        h, c = [hidden for hidden, _ in together], [cell for _, cell in together]
    yield Line("step", f"step {step} of row {row}; before it the cell state of unit {unit} is {c[unit]}", c[unit])
    yield from _taps(p, others, unit, sequence[step], h)
    told = _cell if at.output == 2 else _unit
    yield from told(p, unit, _sums(p, others, unit, sequence[step], h), c[unit])


def _arrays(some: Iterable[Array | None]) -> list[Array]:
    return [array for array in some if array is not None]


def _place(sizes: Sizes, at: At, others: Sequence[Array | None]) -> tuple[int, int, int]:
    """(step, row of the batch, unit) of an element; the states are those after the last step."""
    if at.output == 0:
        first, second, unit = at.index
        return (first, second, unit) if sizes.time_major else (second, first, unit)
    state = _arrays(_states(others))[at.output - 1]
    row, unit = divmod(int(np.ravel_multi_index(at.index, state.shape)), sizes.state)
    return sizes.steps - 1, row, unit


def _rows(sizes: Sizes, input: Array) -> Array:
    """One inference's input as (batch, steps, input)."""
    return input.swapaxes(0, 1) if sizes.time_major else input


def _untold(telling: Generator[Line, None, T]) -> T:
    """What an explanation arrives at."""
    while True:
        try:
            next(telling)
        except StopIteration as end:
            result: T = end.value
            return result


Sums = Sequence[tuple[int, int]]
"""For each gate the sums of products over the input and over the hidden state."""


def _sums(p: Params, others: Sequence[Array | None], unit: int, x: list[int], h: list[int]) -> Sums:
    return [
        (
            sum((a + p.input.input_offset) * (w + over_input) for a, w in zip(x, weights, strict=True)),
            sum((a + p.hidden.input_offset) * (w + over_hidden) for a, w in zip(h, recurrent, strict=True)),
        )
        for weights, recurrent, over_input, over_hidden in zip(
            *_weights(others, unit), p.input.weights_offset, p.hidden.weights_offset, strict=True
        )
    ]


def _weights(others: Sequence[Array | None], unit: int) -> tuple[list[list[Any]], list[list[Any]]]:
    """The weights of a unit's four gates, of the input and of the hidden state."""
    first, second = (_arrays(others[place - 1 : place + 3]) for place in (WEIGHTS, RECURRENT))
    return [w[unit].tolist() for w in first], [w[unit].tolist() for w in second]


def _taps(p: Params, others: Sequence[Array | None], unit: int, x: list[int], h: list[int]) -> Iterator[Line]:
    """Every product of the four gates."""
    for layer, name, codes, gates in zip(
        (p.input, p.hidden), ("input", "hidden state"), (x, h), _weights(others, unit), strict=True
    ):
        for gate, weights, offset in zip(GATES, gates, layer.weights_offset, strict=True):
            for k, (a, w) in enumerate(zip(codes, weights, strict=True)):
                yield Line(
                    f"{gate} gate, {name}",
                    f"[{k}] = {a} {layer.input_offset:+d}, weight {w} {offset:+d}",
                    (a + layer.input_offset) * (w + offset),
                )


def _unit(p: Params, unit: int, sums: Sums, c: int) -> Generator[Line, None, tuple[int, int]]:
    """One unit's step from its sums and cell state on; returns its hidden and its cell state."""
    c = yield from _cell(p, unit, sums, c)
    o = yield from _gate(p, 3, unit, sums)
    size = yield from _narrate.value_of(tanh.explain16(p.tanh, At(0, (0,)), np.array([c], np.int16)))
    yield Line("hidden state", f"tanh of the cell state {size} · output gate {o}", size * o)
    scaled = yield from _narrate.rescale(size * o, p.output_mul)
    low, high = (-128, 127) if p.input.requantize.bits == 32 else (-32768, 32767)
    h = yield from _narrate.value_of(_narrate.finish(scaled, p.hidden_zero_point, low, high))
    return h, c


def _cell(p: Params, unit: int, sums: Sums, c: int) -> Generator[Line, None, int]:
    """One unit's new cell state."""
    f = yield from _gate(p, 1, unit, sums)
    i = yield from _gate(p, 0, unit, sums)
    g = yield from _gate(p, 2, unit, sums)
    yield Line("kept", f"forget gate {f} · cell state {c}", f * c)
    kept = yield from _int16((yield from _narrate.rescale(f * c, p.forget_cell_mul)))
    yield Line("new", f"input gate {i} · cell gate {g}", i * g)
    new = yield from _int16((yield from _narrate.rescale(i * g, p.input_mul)))
    yield Line("cell state", f"{kept} + {new}", kept + new)
    c = yield from _int16(kept + new)
    if p.cell_clip is not None:
        c = max(min(p.cell_clip, c), -p.cell_clip)
        yield Line("clip", f"to ±{p.cell_clip}, the option cell_clip", c)
    return c


def _gate(p: Params, gate: int, unit: int, sums: Sums) -> Generator[Line, None, int]:
    """One gate of a unit, from its two sums on."""
    total, channel = 0, gate * p.sizes.state + unit
    layers = (("input", p.input.requantize, sums[gate][0]), ("hidden state", p.hidden.requantize, sums[gate][1]))
    for name, r, acc in layers:
        yield Line(f"{GATES[gate]} gate", f"sum of the products over the {name}, {r.bits} bits", acc)
        if name == "input":
            acc += int(r.bias[channel])
            yield Line("bias", f"plus bias {int(r.bias[channel])}", acc)
        acc = scalar.wrap(acc, r.bits)
        rescale = _narrate.rescale if r.bits == 32 else _narrate.rescale_64
        total += yield from _int16((yield from rescale(acc, r.multiplier, channel)))
    yield Line("sum", "of both, in steps of 2^-12", total)
    total = yield from _int16(total)
    if gate == 2 and p.cell_activation is None:
        yield Line("linear", "TFLM's cell gate has no activation but TANH", total)
        return total
    code = np.array([total], np.int16)
    if gate == 2:
        assert p.cell_activation is not None
        lines = tanh.explain16(p.cell_activation, At(0, (0,)), code)
    else:
        lines = logistic.explain16(p.gate_activation, At(0, (0,)), code)
    activated: int = yield from _narrate.value_of(lines)
    return activated


def _int16(x: int) -> Generator[Line, None, int]:
    """Cut to int16, told where it is."""
    code = scalar.clamp(x, -(2**15), 2**15 - 1)
    if code != x:
        yield Line("clamp", "to int16", code)
    return code


# ---- float32 -------------------------------------------------------------------------------------------------


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses hybrid layers. Before commit 8f6596d TFLM clipped from above first, which makes NaN the clip."""
    tensors, sizes = _operands(node)
    _check_types(tensors, node.outputs[0], *("float32",) * 3)
    data = [_data(tensor) for tensor in tensors[1:-2]]
    clip = node.options["cell_clip"]
    return FloatParams(
        sizes,
        _columns(data[0:4]),
        _columns(data[4:8]),
        np.concatenate(data[8:12]),
        node.options["fused_activation_function"] != "TANH",
        np.float32(clip) if clip > 0 else None,
        numerics.scale_math == "float32",
        numerics.contraction,
        numerics.libm,
    )


def _columns(weights: Sequence[Array]) -> Array:
    """The gates' weights one below another, laid out as `float32.sequential_matmul` likes them."""
    return np.ascontiguousarray(np.concatenate(weights).T).T


def evaluate_float(p: FloatParams, input: Array, *others: Array | None) -> tuple[Array, Array, Array]:
    """(B, …) input, 17 constants, states (B, …) → (B, …) output and both new states, all float32."""
    x, h, c = _by_time(p.sizes, input, *_states(others))
    bounded, libm = partial(float32.clamp, lo=-FLOAT_MAX, hi=FLOAT_MAX), _unary.FloatParams(p.libm)
    sums = float32.sequential_matmul(x.reshape(-1, p.sizes.input), p.input_weights, p.contraction)
    outputs = np.empty((p.sizes.steps, *h.shape), np.float32)
    for step, total in enumerate(bounded(sums + p.bias).reshape(p.sizes.steps, len(h), -1)):
        recurrent = float32.sequential_matmul(h, p.hidden_weights, p.contraction)
        gates = (total + bounded(recurrent)).reshape(len(h), len(GATES), -1)
        i, f, o = (logistic.evaluate_float(libm, gates[:, k]) for k in (0, 1, 3))
        g = gates[:, 2] if p.linear else float32.tanh(gates[:, 2], p.libm)
        c = _clipped(p, bounded(f * c) + bounded(i * g))
        h = bounded(float32.tanh(c, p.libm) * o)
        outputs[step] = h
    return _by_batch(p.sizes, input, others, outputs, h, c)


def _clipped(p: FloatParams, c: Array) -> Array:
    if p.cell_clip is None:
        return c
    clipped = float32.clamp(c, -p.cell_clip, p.cell_clip)
    return np.where(np.isnan(c), p.cell_clip, clipped) if p.nan_clips else clipped


def explain_float(p: FloatParams, at: At, input: Array, *others: Array | None) -> Iterator[Line]:
    """One element of the output or of a state, as `explain` tells it."""
    step, row, unit = _place(p.sizes, at, others)
    sequence = _rows(p.sizes, input)[row]
    h, c = (state.reshape(-1, p.sizes.state)[row] for state in _arrays(_states(others)))
    units = range(p.sizes.state)
    for x in sequence[:step]:
        together = [_untold(_unit_float(p, others, k, x, h, c[k])) for k in units]
        h, c = (np.array(state, np.float32) for state in zip(*together, strict=True))
    yield Line("step", f"step {step} of row {row}; before it the cell state of unit {unit} is {c[unit]:.9g}", c[unit])
    told = _cell_float if at.output == 2 else _unit_float
    yield from told(p, others, unit, sequence[step], h, c[unit])


Others = Sequence[Array | None]


def _unit_float(
    p: FloatParams, others: Others, unit: int, x: Array, h: Array, c: np.float32
) -> Generator[Line, None, tuple[np.float32, np.float32]]:
    """One unit's step; returns its hidden and its cell state."""
    c = yield from _cell_float(p, others, unit, x, h, c)
    o = yield from _gate_float(p, others, 3, unit, x, h)
    size = scalar_float.tanh(c, p.libm)
    yield Line("tanh", f"of the cell state, by tanhf of {p.libm}", size)
    product = yield from _product("hidden state", size, o)
    return product, c


def _cell_float(
    p: FloatParams, others: Others, unit: int, x: Array, h: Array, c: np.float32
) -> Generator[Line, None, np.float32]:
    """One unit's new cell state."""
    f = yield from _gate_float(p, others, 1, unit, x, h)
    i = yield from _gate_float(p, others, 0, unit, x, h)
    g = yield from _gate_float(p, others, 2, unit, x, h)
    kept = yield from _product("kept, forget gate · cell state", f, c)
    new = yield from _product("new, input gate · cell gate", i, g)
    with np.errstate(all="ignore"):
        c = kept + new
    yield Line("cell state", f"{kept:.9g} + {new:.9g}", c)
    if p.cell_clip is not None:
        c = p.cell_clip if np.isnan(c) and p.nan_clips else scalar_float.clamp(c, -p.cell_clip, p.cell_clip)
        yield Line("clip", f"to ±{p.cell_clip:.9g}, the option cell_clip", c)
    return c


def _product(name: str, a: np.float32, b: np.float32) -> Generator[Line, None, np.float32]:
    """Tell a product, which is kept within ±FLT_MAX."""
    with np.errstate(all="ignore"):
        product = scalar_float.clamp(a * b, -FLOAT_MAX, FLOAT_MAX)
    yield Line(name, f"{a:.9g} · {b:.9g}", product)
    return product


def _gate_float(
    p: FloatParams, others: Others, gate: int, unit: int, x: Array, h: Array
) -> Generator[Line, None, np.float32]:
    """One gate of a unit, every product of it."""
    weights, recurrent = (_arrays(others[place - 1 : place + 3])[gate][unit] for place in (WEIGHTS, RECURRENT))
    bias = _arrays(others[BIASES - 1 : BIASES + 3])[gate][unit]
    parts = []
    for name, values, row, addend in (("input", x, weights, bias), ("hidden", h, recurrent, np.float32(0))):
        taps = ((f"{GATES[gate]} gate, {name}[{k}]", a, w) for k, (a, w) in enumerate(zip(values, row, strict=True)))
        layer = _narrate.float_layer(taps, addend, p.contraction, np.float32(-FLOAT_MAX), np.float32(FLOAT_MAX))
        parts.append((yield from _narrate.value_of(layer)))
    with np.errstate(all="ignore"):
        total: np.float32 = parts[0] + parts[1]
    yield Line(f"{GATES[gate]} gate", f"{parts[0]:.9g} + {parts[1]:.9g}", total)
    if gate == 2 and p.linear:
        yield Line("linear", "TFLM's cell gate has no activation but TANH", total)
        return total
    function = tanh.explain_float if gate == 2 else logistic.explain_float
    lines = function(_unary.FloatParams(p.libm), At(0, (0,)), np.array([total]))
    activated: np.float32 = yield from _narrate.value_of(lines)
    return activated


# ---- examples ------------------------------------------------------------------------------------------------


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """A few units over a short sequence, either layout; sums that leave most gates between their ends."""
    input = draw(make.input(make.shape(3, 4), dtype, _activations(draw, make, dtype), lambda t: len(t.shape) == 3))
    time_major, states = draw(make.booleans()), draw(make.integers(1, 5))
    batch, depth = input.shape[1 if time_major else 0], input.shape[2]
    if dtype == "float32":
        constants, hidden, cell = _floats(draw, make, (depth, states, batch))
    else:
        constants, hidden, cell = _codes(draw, make, input, (depth, states, batch))
    options = {
        "fused_activation_function": draw(make.sampled_from(("TANH", "TANH", "TANH", "NONE", "RELU6"))),
        "cell_clip": draw(make.sampled_from((0.0, 10.0, 0.5, 0.0, 1e-6, -1.0))),
        "proj_clip": 0.0,
        "time_major": time_major,
        "asymmetric_quantize_inputs": False,
        "diagonal_recurrent_tensors": False,
    }
    output = make.tensor((*input.shape[:2], states), dtype, hidden.quantization)
    inputs = (input, *constants[:8], *[None] * 3, *constants[8:], *[None] * 2, hidden, cell, *[None] * 4)
    between = tuple(make.tensor((0,), "float32") for _ in range(draw(make.sampled_from((0, 5)))))
    return Node("UNIDIRECTIONAL_SEQUENCE_LSTM", options, inputs, (output,), between)


Shape = tuple[int, int, int]


def _activations(draw: Draw, make: Toolbox, dtype: str) -> Any:
    """A quantisation of the input or of the hidden state."""
    return make.quantization(dtype, asymmetric=True)


def _floats(draw: Draw, make: Toolbox, shape: Shape) -> tuple[list[Tensor], Tensor, Tensor]:
    """Constants and states of a float layer."""
    depth, states, batch = shape
    shapes = [(states, depth)] * 4 + [(states, states)] * 4 + [(states,)] * 4
    constants = [make.constant(draw(make.array(each, "float32", -2, 2))) for each in shapes]
    return constants, make.variable((batch, states), "float32"), make.variable((batch, states), "float32")


def _codes(draw: Draw, make: Toolbox, input: Tensor, shape: Shape) -> tuple[list[Tensor], Tensor, Tensor]:
    """Constants and states of an integer layer: gates of about ±2, a hidden state of about ±1, as a converter has it."""
    (depth, states, batch), dtype = shape, input.dtype
    low, high = code_range(dtype)
    fitting = draw(make.sampled_from((1.0, 1.0, 1.0, 0.7, 1.5, 2.0**-4, 2.0**7)))
    zero_point = draw(make.sampled_from((0, 0, 3, draw(make.zero_point(dtype)))))
    held = Quantization((float(np.float32(fitting * 2 / (high - low))),), (zero_point,))
    hidden = make.variable((batch, states), dtype, held)
    exponent = draw(make.sampled_from((-12, -11, -13, -12, -15, -8, -18)))
    power = draw(make.sampled_from((1.0, 1.0, 1.3, 0.9)))
    cell_scale = Quantization((float(np.float32(power * 2.0**exponent)),), (0,))
    weights = [
        _weight(draw, make, activation, (states, width))
        for activation, width in ((input, depth), (hidden, states))
        for _ in GATES
    ]
    biases = [_bias(draw, make, input, weight) for weight in weights[:4]]
    return [*weights, *biases], hidden, make.variable((batch, states), "int16", cell_scale)


def _weight(draw: Draw, make: Toolbox, activation: Tensor, shape: tuple[int, int]) -> Tensor:
    """Weights whose sums with the activation's codes reach a few units."""
    codes = draw(make.array(shape, "int8"))
    zero_point = draw(make.sampled_from((0, 0, 0, 5, -128)))
    spread = float((codes.astype(np.float64) - zero_point).std()) + 1
    scale, _ = _affine.params_of(activation)
    low, high = code_range(activation.dtype)
    reach = draw(make.sampled_from((1.0, 2.0, 0.5, 8.0, 200.0))) * draw(make.scale(2.0**-0.5, 2.0**0.5))
    fitting = reach / (scale * (high - low) * spread * shape[1] ** 0.5)
    return make.constant(codes, Quantization((float(np.float32(fitting)),), (zero_point,)))


def _bias(draw: Draw, make: Toolbox, input: Tensor, weight: Tensor) -> Tensor:
    """A bias of a few units; at times one for which the accumulator has no room."""
    unit = _affine.params_of(input)[0] * _affine.params_of(weight)[0]
    most = int(min(2.0 / unit, 2.0**31 - 1))
    bound = draw(make.sampled_from((most, most, most, 2**31 - 1)))
    codes = draw(make.array(weight.shape[:1], "int32" if input.dtype == "int8" else "int64", -bound, bound))
    return make.constant(codes, Quantization((float(np.float32(unit)),), (0,)))


KERNELS = {
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int16"): Kernel(
        prepare, evaluate, explain, partial(example, dtype="int16"), FACTS
    ),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "float32"): Kernel(
        prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS
    ),
}
