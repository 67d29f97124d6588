"""SVDF: output[b, u] = Σ over the filters f of unit u, Σ_m time weights[f, m] · state[b, f, m], + bias[u], activated.

TFLM: `kernels/svdf.cc`, `svdf_common.cc` (PrepareSvdf, EvalIntegerSvdfReference, EvalFloatSvdfReference); the float
activations are those of `kernels/activation_utils.h`. The state is a variable: for each filter its last M features, the
oldest first, a feature being Σ_i input[b, i] · feature weights[f, i]. Every inference pushes one feature out and one
in. Unit u has `rank` filters in a row.

Oddities of the integer kernel: the state's zero point is added to a feature **after the clamp**, and the sum is kept in
the state's type, so it may wrap; the **fused activation** counts for nothing, nor do the weights' zero points, nor any
of their scales but the first. The float kernel leaves infinities as they are where there is no activation; RELU, RELU6
and RELU_N1_TO_1 turn NaN into a number.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Quantizing, Toolbox, Weighed
from ..model import Array, Quantization, Tensor
from ..numerics import float32, scalar, scalar_float
from ..numerics.fixedpoint import Ints, Multiplier
from ..numerics.gemm import Gemm, exact_gemm
from ..numerics.quantize import code_range
from ..numerics.requantize import Requantizer, requantizer
from . import _affine, _cmsis_nn, _linear, _narrate, _unary

STATE = 4
"""The input that is the state."""

FACTS = Facts(
    updates=(STATE,),
    quantized=Quantizing(
        {"int8": 3}, weighed=(Weighed(1, None, 0), Weighed(2, 3, STATE, largest=512)), states={STATE: "around"}
    ),
    c_kernels={"int8": "svdf_int8", "float32": "svdf_float32"},
)


@dataclass(frozen=True)
class Sizes:
    """The model's own batch B, the input's size I, F filters with a memory of M features each, `rank` to a unit."""

    batch: int
    input: int
    filters: int
    memory: int
    rank: int

    @property
    def units(self) -> int:
        return self.filters // self.rank

    @property
    def macs(self) -> int:
        return self.batch * self.filters * (self.input + self.memory)


@dataclass(frozen=True, eq=False)
class Params:
    """Integer layers, TFLM's OpDataSvdf: `feature` rescales to the state (effective_scale_1), `output` from there."""

    sizes: Sizes
    input_offset: int
    state_zero_point: int
    weights_feature: Gemm
    feature: Requantizer
    output: Requantizer

    @property
    def macs(self) -> int:
        return self.sizes.macs


@dataclass(frozen=True, eq=False)
class FloatParams:
    """Float layers. `weights_feature` (filters, inputs) is the transpose of a contiguous array."""

    sizes: Sizes
    weights_feature: Array
    activation: str
    contraction: str
    libm: str

    @property
    def macs(self) -> int:
        return self.sizes.macs


Operands = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _operands(node: Node) -> tuple[Operands, Sizes]:
    """(input, feature weights, time weights, bias, state, output), after the checks that all types share."""
    consistent(
        len(node.inputs) == 5 and len(node.outputs) == 1,
        f"expected 5 inputs and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    require(node.inputs[3] is not None, "the bias is left out, on which TFLM crashes; convert again with a bias")
    require(None not in node.inputs, "an input is left out, and TFLM needs all five; convert again")
    input, feature, time, bias, state = (t for t in node.inputs if t is not None)
    (output,) = node.outputs
    for tensor in (input, feature, time, state, output):
        consistent(
            len(tensor.shape) == 2 and 0 not in tensor.shape,
            f"tensor '{tensor.name}' has shape {tensor.shape}; expected two dimensions of 1 and more",
        )
    for tensor in (feature, time, bias):
        within_limits(
            tensor.data is not None,
            f"'{tensor.name}' is computed at run time; TFLM runs that, but refengine needs it constant: convert again",
            tflm_runs=True,
        )
    rank = node.options["rank"]
    require(rank > 0, f"the rank is {rank}; TFLM divides by it, so it must be 1 or more: convert again")
    sizes = Sizes(input.shape[0], input.shape[1], feature.shape[0], time.shape[1], rank)
    require(
        sizes.filters % rank == 0,
        f"{sizes.filters} filters in '{feature.name}' do not make units of {rank}, as TFLM needs: convert again",
    )
    for tensor, shape in (
        (feature, (sizes.filters, sizes.input)),
        (time, (sizes.filters, sizes.memory)),
        (bias, (sizes.units,)),
        (state, (sizes.batch, sizes.filters * sizes.memory)),
        (output, (sizes.batch, sizes.units)),
    ):
        consistent(tensor.shape == shape, f"tensor '{tensor.name}' has shape {tensor.shape}; expected {shape}")
    require(
        state.is_variable,
        f"the state '{state.name}' is no variable, as TFLM needs it: convert again with TFLite's converter",
    )
    return (input, feature, time, bias, state, output), sizes


def _check_types(operands: Operands, wanted: tuple[str, ...]) -> None:
    """Refuse other types than those `wanted` of everything behind the input."""
    input, *others = operands
    advice = "; " + _linear.INT8_WEIGHTS_ADVICE if input.dtype == "float32" else ""
    for tensor, dtype in zip(others, wanted, strict=True):
        require(
            tensor.dtype == dtype,
            f"'{tensor.name}' is {tensor.dtype}, but input '{input.name}' is {input.dtype}: TFLM takes {dtype} "
            f"here{advice}: convert again",
        )


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses a bias scale that is not state scale · time weights scale, and time weights not of the state's type."""
    operands, sizes = _operands(node)
    input, feature, time, bias, state, output = operands
    require(
        state.dtype in ("int8", "int16"),
        f"the state '{state.name}' is {state.dtype}; TFLM takes int8 or int16 here: convert again",
    )
    require(
        time.dtype == state.dtype,
        f"time weights '{time.name}' are {time.dtype} and the state '{state.name}' is {state.dtype}, for which TFLM "
        "reads memory that is not its own; convert again with both alike",
    )
    within_limits(
        not _cmsis_nn.speaks(numerics) or (state.dtype == "int16" and _affine.quantized(state)[1] == 0),
        f"the state '{state.name}' is {state.dtype} or has a zero point, which CMSIS-NN's kernel leaves out, and what "
        "it makes of such states is not known to refengine: convert again with an int16 state, or choose tflm",
    )
    _check_types(operands, ("int8", state.dtype, "int32", state.dtype, "int8"))
    within_limits(
        numerics.rounding != "xnnpack",
        "XNNPACK has no SVDF, so refengine knows no such rounding; choose a dialect with rounding=double or single",
    )
    (si, input_zero_point), (ss, state_zero_point), (so, output_zero_point) = map(
        _affine.quantized, (input, state, output)
    )
    sf, st = (_affine.params_of(weights)[0] for weights in (feature, time))
    product = np.float32(ss) * np.float32(st) if numerics.scale_math == "float32" else ss * st
    mismatch = abs(_affine.params_of(bias)[0] - float(product))
    require(
        mismatch < 1e-5,
        f"the scale of bias '{bias.name}' is not state scale · time weights scale "
        f"({_affine.params_of(bias)[0]:g}, not {ss * st:g}), as TFLM needs it: convert the model again",
    )
    low, high = code_range(state.dtype)
    assert feature.data is not None and time.data is not None and bias.data is not None
    weights = exact_gemm(feature.data, _linear.magnitude(input.dtype, -input_zero_point))
    largest = np.abs(time.data.astype(np.int64)).sum(1) * max(high - state_zero_point, state_zero_point - low)
    return Params(
        sizes,
        -input_zero_point,
        state_zero_point,
        weights,
        requantizer(
            np.zeros(1, np.int64), _multiplier((si, sf), ss, state, numerics), 0, low, high, state.dtype, weights.bound
        ),
        requantizer(
            bias.data.astype(np.int64),
            _multiplier((ss, st), so, output, numerics),
            output_zero_point,
            *code_range("int8"),
            "int8",
            largest.reshape(-1, sizes.rank).sum(1),
        ),
    )


def _multiplier(scales: tuple[float, float], divisor: float, to: Tensor, numerics: Numerics) -> Multiplier:
    """The product of the scales by that of the tensor `to`."""
    require(
        all(0 < scale < np.inf for scale in scales),
        "the weights have no positive scale, by which TFLM divides: convert the model again",
    )
    multiplier = _unary.ratio_multiplier(scales, divisor, numerics.scale_math, numerics.rounding)
    _affine.require_shift(multiplier, to)
    return multiplier


def _aligned(input: Array, state: Array, sizes: Sizes) -> tuple[Array, Array]:
    """(rows, inputs) and (rows, F, M) of all inferences: one of the two may be the same for all, the other not."""
    inferences = max(len(input), len(state))
    x, old = (np.broadcast_to(array, (inferences, *array.shape[1:])) for array in (input, state))
    return x.reshape(-1, sizes.input), old.reshape(-1, sizes.filters, sizes.memory)


def _pushed(old: Array, feature: Array) -> Array:
    """(rows, F, M) states and (rows, F) features → (rows, F, M) new states."""
    return np.concatenate([old[..., 1:], feature[..., np.newaxis]], axis=2)


def evaluate(p: Params, input: Array, feature: Array, time: Array, bias: Array, state: Array) -> tuple[Array, Array]:
    """(B, batch, inputs) codes and (B, batch, F·M) states → (B, batch, units) codes and new states."""
    rows, old = _aligned(input, state, p.sizes)
    x = np.add(rows, p.input_offset, dtype=p.weights_feature.dtype)
    pushed = _pushed(old, p.feature(p.weights_feature(x)) + state.dtype.type(p.state_zero_point))  # the sum wraps
    steps = pushed.astype(np.int64) - p.state_zero_point
    sums: Ints = np.einsum("bfm,fm->bf", steps, time[0].astype(np.int64))
    codes = p.output(sums.reshape(-1, p.sizes.units, p.sizes.rank).sum(2))
    return codes.reshape(-1, p.sizes.batch, p.sizes.units), pushed.reshape(-1, *state.shape[1:])


def explain(p: Params, at: At, input: Array, feature: Array, time: Array, bias: Array, state: Array) -> Iterator[Line]:
    """One element: of the state a feature, old or new; of the output a unit's sum over its filters' features."""
    sizes, (row, place) = p.sizes, at.index
    if at.output == 1:
        filter, step = divmod(place, sizes.memory)
        if step < sizes.memory - 1:
            yield Line("moved", "the feature that was one place further, moved up", int(state[row, place + 1]))
        else:
            yield from _explain_feature(p, filter, input[row], feature)
        return
    unit, total = place, 0
    for filter in range(unit * sizes.rank, (unit + 1) * sizes.rank):
        new = yield from _explain_feature(p, filter, input[row], feature)
        steps = [*state[row].reshape(-1, sizes.memory)[filter, 1:].tolist(), new]
        acc = 0
        for m, (s, w) in enumerate(zip(steps, time[filter].tolist(), strict=True)):
            product = (s - p.state_zero_point) * w
            acc = scalar.wrap(acc + product)
            yield Line("time", f"step {m}: (state {s} − zero point {p.state_zero_point}) · weight {w}", product)
        total = scalar.wrap(total + acc)
        yield Line("filter", f"filter {filter}: the sum over time; with the filters before it {total}", acc)
    yield from _linear.explain_requantized(total, unit, p.output)


def _explain_feature(p: Params, filter: int, input: Array, feature: Array) -> Generator[Line, None, int]:
    """Tell how a filter's new feature comes about, and return its code."""
    acc = 0
    for i, (x, w) in enumerate(zip(input.tolist(), feature[filter].tolist(), strict=True)):
        product = (x + p.input_offset) * w
        acc += product
        yield Line("input", f"input[{i}] = {x} {p.input_offset:+d}, feature weight {w} of filter {filter}", product)
    yield Line("accumulator", "sum of the products, 32 bits", scalar.wrap(acc))
    scaled = yield from _narrate.rescale(scalar.wrap(acc), p.feature.multiplier)
    clamped = scalar.clamp(scaled, p.feature.activation_min, p.feature.activation_max)
    yield Line("clamp", f"to [{p.feature.activation_min}, {p.feature.activation_max}], the state's type", clamped)
    code = scalar.wrap(clamped + p.state_zero_point, 8 * np.dtype(p.feature.dtype).itemsize)
    wrapped = "" if code == clamped + p.state_zero_point else f", wrapped to {p.feature.dtype}"
    yield Line("feature", f"{clamped} + the state's zero point {p.state_zero_point}{wrapped}", code)
    return code


# ---- float32 -------------------------------------------------------------------------------------------------


def prepare_float(node: Node, numerics: Numerics) -> FloatParams:
    """Refuses hybrid layers, and the activation SIGN_BIT: the sign of a NaN is the compiler's choice."""
    operands, sizes = _operands(node)
    _check_types(operands, ("float32",) * 5)
    activation = node.options["fused_activation_function"]
    within_limits(
        activation in ACTIVATIONS,
        f"the fused activation {activation} is not supported, for it may depend on the sign of a NaN, which is the "
        f"compiler's choice; refengine takes {', '.join(ACTIVATIONS)}: convert again",
    )
    weights = operands[1].data
    assert weights is not None
    return FloatParams(sizes, np.ascontiguousarray(weights.T).T, activation, numerics.contraction, numerics.libm)


ACTIVATIONS: Mapping[str, Callable[[Array, str], Array]] = {
    "NONE": lambda y, libm: y,
    "RELU": lambda y, libm: np.fmax(y, np.float32(0)),
    "RELU_N1_TO_1": lambda y, libm: np.fmax(np.fmin(y, np.float32(1)), np.float32(-1)),
    "RELU6": lambda y, libm: np.fmax(np.fmin(y, np.float32(6)), np.float32(0)),
    "TANH": float32.tanh,
}
"""Fused activations. C's fmax and fmin take the number where the other operand is NaN."""


def evaluate_float(
    p: FloatParams, input: Array, feature: Array, time: Array, bias: Array, state: Array
) -> tuple[Array, Array]:
    """(B, batch, inputs) float32 and (B, batch, F·M) states → (B, batch, units) float32 and new states."""
    rows, old = _aligned(input, state, p.sizes)
    pushed = _pushed(old, float32.sequential_matmul(rows, p.weights_feature, p.contraction))
    sums = np.zeros(pushed.shape[:2], np.float32)
    for step, weight in zip(np.moveaxis(pushed, 2, 0), time[0].T, strict=True):
        sums = float32.fma(weight, step, sums) if p.contraction == "fma" else sums + weight * step
    total = np.broadcast_to(bias[0], (len(rows), p.sizes.units))
    for part in np.moveaxis(sums.reshape(-1, p.sizes.units, p.sizes.rank), 2, 0):
        total = total + part
    outputs = ACTIVATIONS[p.activation](total, p.libm)
    return outputs.reshape(-1, p.sizes.batch, p.sizes.units), pushed.reshape(-1, *state.shape[1:])


def explain_float(
    p: FloatParams, at: At, input: Array, feature: Array, time: Array, bias: Array, state: Array
) -> Iterator[Line]:
    """One element, as TFLM sums it."""
    sizes, (row, place) = p.sizes, at.index
    if at.output == 1:
        filter, step = divmod(place, sizes.memory)
        if step < sizes.memory - 1:
            yield Line("moved", "the feature that was one place further, moved up", state[row, place + 1])
        else:
            yield from _explain_sum("input", input[row], feature[filter], p.contraction)
        return
    total = bias[place]
    yield Line("bias", f"the sum begins with the bias of unit {place}", total)
    for filter in range(place * sizes.rank, (place + 1) * sizes.rank):
        new = yield from _explain_sum("input", input[row], feature[filter], p.contraction)
        steps = np.append(state[row].reshape(-1, sizes.memory)[filter, 1:], new)
        part = yield from _explain_sum("time", steps, time[filter], p.contraction)
        with np.errstate(all="ignore"):
            total = total + part
        yield Line("filter", f"filter {filter} adds {part:.9g}", total)
    yield Line("activation", p.activation, _activated(total, p.activation, p.libm))


def _explain_sum(name: str, values: Array, weights: Array, contraction: str) -> Generator[Line, None, np.float32]:
    """Tell a sum of products in order from 0.0, and return it."""
    total: np.float32 = np.float32(0)
    with np.errstate(all="ignore"):
        for k, (x, w) in enumerate(zip(values, weights, strict=True)):
            total = scalar_float.fma(x, w, total) if contraction == "fma" else total + x * w
            yield Line(name, f"[{k}]: {x:.9g} · weight {w:.9g}, running sum {total:.9g}", total)
    yield Line(
        "sum", f"over the {name}, rounded to float32 {'once' if contraction == 'fma' else 'twice'} a term", total
    )
    return total


def _activated(y: np.float32, activation: str, libm: str) -> np.float32:
    """The fused activation of one number."""
    if activation == "TANH":
        return scalar_float.tanh(y, libm)
    low, high = {"NONE": (None, None), "RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}[activation]
    bounded = float(y) if high is None or y <= high else high  # NaN is not
    bounded = bounded if low is None or bounded >= low else low
    activated: np.float32 = np.float32(bounded)
    return activated


# ---- examples ------------------------------------------------------------------------------------------------


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """A few filters of any rank with a short memory; scales for which features and outputs mostly stay in range."""
    shape = draw(make.integers(1, 3)), draw(make.channels())
    input = draw(make.input(shape, dtype, make.quantization(dtype), lambda t: len(t.shape) == 2))
    (batch, depth), rank = input.shape, draw(make.sampled_from((1, 2, 1, 3)))
    filters, memory = rank * draw(make.channels()), draw(make.integers(1, 8))
    shapes = (filters, depth), (filters, memory)
    if dtype == "float32":
        feature, time = (make.constant(draw(make.array(shape, dtype, -4, 4))) for shape in shapes)
        bias = make.constant(draw(make.array((filters // rank,), dtype)))
        state, output = make.variable((batch, filters * memory), dtype), make.tensor((batch, filters // rank), dtype)
        activation = draw(make.sampled_from(tuple(ACTIVATIONS)))
    else:
        feature, time, bias, state, output = _quantized(draw, make, input, shapes, rank)
        activation = draw(make.sampled_from(("RELU", "NONE", "RELU6", "TANH")))
    options = {"rank": rank, "fused_activation_function": activation, "asymmetric_quantize_inputs": False}
    return Node("SVDF", options, (input, feature, time, bias, state), (output,))


def _quantized(
    draw: Draw, make: Toolbox, input: Tensor, shapes: tuple[tuple[int, int], tuple[int, int]], rank: int
) -> tuple[Tensor, ...]:
    """The weights, bias, state and output of an integer layer."""
    (filters, depth), (_, memory) = shapes
    units, state_type = filters // rank, draw(make.sampled_from(("int16", "int8")))
    feature, time = (
        make.constant(
            draw(make.array(shape, kind)),
            Quantization((draw(make.scale(2.0**-12, 2.0**-4)),), (draw(make.zero_point(kind)),)),
        )
        for shape, kind in zip(shapes, ("int8", state_type), strict=True)
    )
    unit = _affine.quantized(input)[0] * _affine.quantized(feature)[0]
    reach = unit * 2.0**14 * depth**0.5
    held = _affine.draw_output(draw, make, state_type, unit, -reach, reach)
    scale = min(held.scale[0], 2.0**10)  # the bias's may be off by 1e-5, float32's rounding included
    zero_point = draw(make.sampled_from((0, *held.zero_point, draw(make.zero_point(state_type)))))
    state = make.variable((input.shape[0], filters * memory), state_type, Quantization((scale,), (zero_point,)))
    unit, weights = scale * _affine.quantized(time)[0], time.data
    assert weights is not None
    spread = (weights.reshape(units, -1).astype(np.float64) ** 2).sum(1).max() ** 0.5
    most = int(min(2.0**30, 2 * spread * code_range(state_type)[1]))  # what sums mostly stay within
    low, high = draw(make.sampled_from(((-most, most),) * 6 + ((-(2**31), 2**31 - 1),)))
    bias = make.constant(draw(make.array((units,), "int32", low, high)), Quantization((float(np.float32(unit)),), (0,)))
    reach = unit * max(most, abs(low))
    output = make.tensor((input.shape[0], units), "int8", _affine.draw_output(draw, make, "int8", unit, -reach, reach))
    return feature, time, bias, state, output


KERNELS = {
    ("SVDF", "int8"): Kernel(prepare, evaluate, explain, partial(example, dtype="int8"), FACTS),
    ("SVDF", "float32"): Kernel(prepare_float, evaluate_float, explain_float, partial(example, dtype="float32"), FACTS),
}
