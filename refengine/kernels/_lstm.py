"""The LSTM's tensors: which there are, their shapes and layouts, what TFLM refuses of them, and examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import consistent, require, within_limits
from ..kernel import At, Draw, Node, Toolbox
from ..model import Array, Quantization, Tensor
from ..numerics.quantize import code_range
from . import _affine, _linear

GATES = ("input", "forget", "cell", "output")
"""In the order of their tensors."""

CONSTANTS = slice(1, 5), slice(5, 9), slice(12, 16)
"""The inputs that are the gates' weights of the input, those of the hidden state, and their biases."""

HIDDEN, CELL = 18, 19
"""The inputs that are states."""

LEFT_OUT = {9: "peephole", 10: "peephole", 11: "peephole", 16: "projection", 17: "projection"} | dict.fromkeys(
    range(20, 24), "layer normalisation"
)
"""Inputs of variants that TFLM does not have."""


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


def operands(node: Node) -> tuple[list[Tensor], Sizes]:
    """The 15 tensors that TFLM reads, in their order, after the checks that all types share."""
    consistent(
        len(node.inputs) == 24 and len(node.outputs) == 1,
        f"expected 24 inputs and 1 output, got {len(node.inputs)} and {len(node.outputs)}",
    )
    for place, tensor in enumerate(node.inputs):
        variant = LEFT_OUT.get(place)
        require(
            variant is None or tensor is None,
            f"input {place} is of an LSTM with {variant}, which TFLM does not have; build the layer without it, as "
            "Keras's LSTM: convert again",
        )
        require(
            variant is not None or tensor is not None,
            f"input {place} is left out, without which TFLM has no LSTM; build the layer with all four gates and "
            "biases, as Keras's LSTM: convert again",
        )
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    sizes = _sizes(node, tensors[0], tensors[-2])
    _check_shapes(tensors, node.outputs[0], sizes)
    for tensor in tensors[-2:]:
        require(
            tensor.is_variable,
            f"the state '{tensor.name}' is no variable, as TFLM needs it: convert again with TFLite's converter",
        )
    for tensor in tensors[1:-2]:
        within_limits(
            tensor.data is not None,
            f"'{tensor.name}' is computed at run time; TFLM runs that, but refengine needs it constant: convert again",
            tflm_runs=True,
        )
    return tensors, sizes


def _sizes(node: Node, input: Tensor, hidden: Tensor) -> Sizes:
    consistent(
        len(input.shape) == 3 and 0 not in input.shape,
        f"input '{input.name}' has shape {input.shape}; expected three dimensions of 1 and more",
    )
    consistent(
        len(hidden.shape) == 2, f"the hidden state '{hidden.name}' has shape {hidden.shape}; expected two dimensions"
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
        consistent(tensor.shape == shape, f"tensor '{tensor.name}' has shape {tensor.shape}; expected {shape}")
    consistent(
        math.prod(cell.shape) == sizes.batch * sizes.state,
        f"the cell state '{cell.name}' has shape {cell.shape}; expected {sizes.batch * sizes.state} elements",
    )


def check_types(tensors: Sequence[Tensor], output: Tensor, weights: str, bias: str, cell: str) -> None:
    """Refuse what TFLM refuses at Prepare or Invoke, and types of biases and cell state that it would misread."""
    input = tensors[0]
    advice = "; " + _linear.INT8_WEIGHTS_ADVICE if input.dtype == "float32" else ""
    wanted = [weights] * 8 + [bias] * 4 + [input.dtype, cell, input.dtype]
    for tensor, dtype in zip((*tensors[1:], output), wanted, strict=True):
        require(
            tensor.dtype == dtype,
            f"'{tensor.name}' is {tensor.dtype}, but input '{input.name}' is {input.dtype}: TFLM takes {dtype} "
            f"here{advice}: convert again",
        )


def by_time(sizes: Sizes, arrays: Sequence[Array]) -> tuple[Array, Array, Array]:
    """(steps, rows, input), (rows, state) and (rows, state): the rows of all inferences, as many as there are."""
    moving = arrays[0], arrays[HIDDEN], arrays[CELL]
    inferences = max(map(len, moving))
    x, h, c = (np.broadcast_to(array, (inferences, *array.shape[1:])) for array in moving)
    x = x.transpose((1, 0, 2, 3) if sizes.time_major else (2, 0, 1, 3))
    return x.reshape(sizes.steps, -1, sizes.input), h.reshape(-1, sizes.state), c.reshape(-1, sizes.state)


def by_batch(sizes: Sizes, arrays: Sequence[Array], outputs: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """(steps, rows, state), (rows, state) and (rows, state) as the output and both states have them."""
    sequence = outputs.reshape(sizes.steps, -1, sizes.batch, sizes.state)
    return (
        sequence.transpose((1, 0, 2, 3) if sizes.time_major else (1, 2, 0, 3)),
        h.reshape(-1, *arrays[HIDDEN].shape[1:]),
        c.reshape(-1, *arrays[CELL].shape[1:]),
    )


def place(sizes: Sizes, at: At, arrays: Sequence[Array]) -> tuple[int, int, int]:
    """(step, row of the batch, unit) of an element; the states are those after the last step."""
    if at.output == 0:
        first, second, unit = at.index
        return (first, second, unit) if sizes.time_major else (second, first, unit)
    shape = arrays[HIDDEN if at.output == 1 else CELL].shape
    row, unit = divmod(int(np.ravel_multi_index(at.index, shape)), sizes.state)
    return sizes.steps - 1, row, unit


def row_of(sizes: Sizes, arrays: Sequence[Array], row: int) -> tuple[Array, Array, Array]:
    """(steps, input), (state,) and (state,): one row of one inference."""
    x = arrays[0][:, row] if sizes.time_major else arrays[0][row]
    h, c = (arrays[state].reshape(-1, sizes.state)[row] for state in (HIDDEN, CELL))
    return x, h, c


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """A few units over a short sequence, either layout; sums that leave most gates between their ends."""
    shape, few = (*draw(make.shape(2, 4)), draw(make.channels())), draw(make.integers(1, 5))
    input = draw(make.input(shape, dtype, make.quantization(dtype, asymmetric=True), lambda t: len(t.shape) == 3))
    time_major, states = draw(make.booleans()), draw(make.sampled_from((few, few, draw(make.channels()))))
    batch, depth = input.shape[1 if time_major else 0], input.shape[2]
    if dtype == "float32":
        constants, hidden, cell = _floats(draw, make, (depth, states, batch))
    else:
        constants, hidden, cell = _codes(draw, make, input, (depth, states, batch))
    options = {
        "fused_activation_function": draw(make.sampled_from(("TANH", "TANH", "TANH", "NONE", "RELU6"))),
        "cell_clip": draw(make.sampled_from((*[0.0, 10.0, 0.5] * 4, 1e-6, -1.0))),
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


def _floats(draw: Draw, make: Toolbox, shape: Shape) -> tuple[list[Tensor], Tensor, Tensor]:
    """Constants and states of a float layer."""
    depth, states, batch = shape
    shapes = [(states, depth)] * 4 + [(states, states)] * 4 + [(states,)] * 4
    constants = [make.constant(draw(make.array(each, "float32", -2, 2))) for each in shapes]
    return constants, make.variable((batch, states), "float32"), make.variable((batch, states), "float32")


def _codes(draw: Draw, make: Toolbox, input: Tensor, shape: Shape) -> tuple[list[Tensor], Tensor, Tensor]:
    """Constants and states of an integer layer: mostly a hidden state of ±1, and steps of 2⁻¹² or so for the cell's."""
    (depth, states, batch), dtype = shape, input.dtype
    low, high = code_range(dtype)
    fitting = draw(make.sampled_from((*[1.0, 0.7, 1.5] * 4, 2.0**-4, 2.0**7)))
    zero_point = draw(make.sampled_from((0, 0, 3, draw(make.zero_point(dtype)))))
    held = Quantization((float(np.float32(fitting * 2 / (high - low))),), (zero_point,))
    hidden = make.variable((batch, states), dtype, held)
    exponent = draw(make.sampled_from((-12, -11, -13, -12, -15, -8, -18)))
    power = draw(make.sampled_from((1.0, 1.0, 1.3, 0.9)))
    cell_scale = Quantization((float(np.float32(power * 2.0**exponent)),), (0,))
    points = draw(make.sampled_from(((0,), (0, 0, 0, 5, -128))))  # as the converter makes them, or any
    weights = [
        _weight(draw, make, activation, (states, width), points)
        for activation, width in ((input, depth), (hidden, states))
        for _ in GATES
    ]
    biases = [_bias(draw, make, input, weight) for weight in weights[:4]]
    return [*weights, *biases], hidden, make.variable((batch, states), "int16", cell_scale)


def _weight(draw: Draw, make: Toolbox, activation: Tensor, shape: tuple[int, int], points: tuple[int, ...]) -> Tensor:
    """Weights whose sums with the activation's codes reach a few units."""
    codes = draw(make.array(shape, "int8"))
    zero_point = draw(make.sampled_from(points))
    spread = float((codes.astype(np.float64) - zero_point).std()) + 1
    scale, _ = _affine.params_of(activation)
    low, high = code_range(activation.dtype)
    reach = draw(make.sampled_from((*[1.0, 2.0, 0.5] * 3, 8.0, 200.0))) * draw(make.scale(2.0**-0.5, 2.0**0.5))
    fitting = reach / (scale * (high - low) * spread * shape[1] ** 0.5)
    return make.constant(codes, Quantization((float(np.float32(fitting)),), (zero_point,)))


def _bias(draw: Draw, make: Toolbox, input: Tensor, weight: Tensor) -> Tensor:
    """A bias of a few units; at times one for which the accumulator has no room."""
    unit = _affine.params_of(input)[0] * _affine.params_of(weight)[0]
    most = int(min(2.0 / unit, 2.0**31 - 1))
    bound = draw(make.sampled_from((most, most, most, 2**31 - 1)))
    codes = draw(make.array(weight.shape[:1], "int32" if input.dtype == "int8" else "int64", -bound, bound))
    return make.constant(codes, Quantization((float(np.float32(unit)),), (0,)))
