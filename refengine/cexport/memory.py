"""What lives on from one inference to the next: SVDF, LSTM, buffers of frames, and resource variables."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from ..errors import require
from ..kernels._lstm import CELL, CONSTANTS, HIDDEN
from ..kernels._sigmoid import SIGMOID, Params16
from ..kernels.svdf import ACTIVATIONS
from ..kernels.unidirectional_sequence_lstm import Layer
from ..model import Tensor
from ..numerics.fixedpoint import Multiplier
from ..plan import Step
from .call import Call, Constant, Fields, Maker, Resource, given, input_of, kept_by, size_of


def _svdf_size(step: Step) -> Fields:
    s = step.params.sizes
    return {"batches": s.batch, "input_size": s.input, "filters": s.filters, "memory": s.memory, "rank": s.rank}


def _svdf_int8(step: Step) -> Call:
    p, (input, feature, time, bias, state) = step.params, given(*step.inputs)
    assert bias.data is not None
    params = _svdf_size(step) | {
        "input_offset": p.input_offset,
        "state_zero_point": p.state_zero_point,
        "output_zero_point": p.output.output_offset,
        "feature_multiplier": p.feature.multiplier,
        "output_multiplier": p.output.multiplier,
    }
    kernel = {"int8": "svdf_int8", "int16": "svdf_int8_int16"}[state.dtype]
    return Call("svdf.c", kernel, "svdf_params", params, (input, feature, time, bias, state))


def _svdf_float32(step: Step) -> Call:
    activation = list(ACTIVATIONS).index(step.params.activation)  # in the order of enum svdf_activation
    params = _svdf_size(step) | {"activation": activation}
    return Call("svdf.c", "svdf_float32", "svdf_float32_params", params, given(*step.inputs))


def _lstm_size(step: Step) -> Fields:
    s = step.params.sizes
    return {"time_major": int(s.time_major), "batches": s.batch, "steps": s.steps, "units": s.state}


def _lstm_arguments(step: Step) -> tuple[Tensor | Constant, ...]:
    names = ("weights_input", "weights_hidden", "bias")
    stacked = [
        Constant(name, np.concatenate([t.data for t in step.inputs[part] if t is not None and t.data is not None]))
        for name, part in zip(names, CONSTANTS, strict=True)
    ]
    return (input_of(step), *stacked, *given(step.inputs[HIDDEN], step.inputs[CELL]))


def _lstm(step: Step, kernel: str) -> Call:
    p = step.params

    def fields(layer: Layer, depth: int) -> Fields:
        multiplier = layer.requantize.multiplier
        gates = slice(None, None, p.sizes.state)  # the first unit of each
        return {
            "depth": depth,
            "input_offset": layer.input_offset,
            "weights_offset": np.array(layer.weights_offset, np.int32),
            "multipliers": Multiplier(
                multiplier.multiplier[gates], multiplier.shift[gates], multiplier.scale[gates], multiplier.rounding
            ),
        }

    def activation(table: Params16) -> Fields:
        shifts = {"input_multiplier": table.input_multiplier, "input_left_shift": table.input_left_shift}
        return {"size": 1} | shifts | {"table": SIGMOID.astype(np.uint16)}

    params = {
        "size": _lstm_size(step),
        "input_layer": fields(p.input, p.sizes.input),
        "hidden_layer": fields(p.hidden, p.sizes.state),
        "gate_activation": activation(p.gate_activation),
        "cell_tanh": activation(p.tanh),
        "linear_cell_gate": int(p.cell_activation is None),
        "forget_cell_mul": p.forget_cell_mul,
        "input_mul": p.input_mul,
        "output_mul": p.output_mul,
        "hidden_zero_point": p.hidden_zero_point,
        "cell_clip": -1 if p.cell_clip is None else p.cell_clip,
    }
    uses = ("sigmoid_int16.c", "unary.c")
    return Call("unidirectional_sequence_lstm.c", kernel, "lstm_params", params, _lstm_arguments(step), uses=uses)


def _lstm_float32(step: Step) -> Call:
    p = step.params
    params = {
        "size": _lstm_size(step),
        "depth": p.sizes.input,
        "linear_cell_gate": int(p.linear),
        "nan_clips": int(p.nan_clips),
        "cell_clip": p.cell_clip or np.float32(0),
    }
    source, uses = "unidirectional_sequence_lstm.c", ("sigmoid_int16.c", "unary.c")
    return Call(source, "lstm_float32", "lstm_float32_params", params, _lstm_arguments(step), uses=uses)


def _circular_buffer(step: Step) -> Call:
    """The frames lie in the output, a variable tensor, so that only the count is kept beside it."""
    _, left = kept_by(step)
    slots, cycles = step.outputs[0].shape[1], step.params.cycles_max
    params = {"slots": slots, "bytes": size_of(step) // slots, "cycles_max": cycles}
    arguments = (input_of(step), left)
    return Call(
        "circular_buffer.c", "circular_buffer", "circular_buffer_params", params, arguments, ends=step.facts.ends
    )


def resource_of(step: Step) -> Resource:
    """The resource variable of a step whose handle is known."""
    handle = input_of(step)
    require(handle.data is not None, f"{step}: the variable whose handle is '{handle.name}' is known at run time only")
    assert handle.data is not None
    return Resource(*step.node.resources[int(handle.data.reshape(-1)[0])])


def moved_resource(step: Step) -> Call:
    """The bytes of a resource variable, out of it or into it."""
    moved = step.outputs[0] if step.outputs else given(*step.inputs)[1]
    params = {"bytes": prod(moved.shape) * np.dtype(moved.dtype).itemsize}
    arguments = (resource_of(step),) if step.outputs else (moved,)
    return Call("reshape.c", "reshape", "reshape_params", params, arguments)


MAKERS: dict[str, Maker] = {
    "circular_buffer": _circular_buffer,
    "svdf_int8": _svdf_int8,
    "svdf_float32": _svdf_float32,
    "lstm_int8": partial(_lstm, kernel="lstm_int8"),
    "lstm_int16": partial(_lstm, kernel="lstm_int16"),
    "lstm_float32": _lstm_float32,
}
"""By C kernel: what makes a call of it."""
