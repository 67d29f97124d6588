"""What a C kernel is called with, by the names of TFLM's runtime parameters: mostly those of `internal/types.h`.

The comment of `refengine_fuzz.h` tells users what there is; a test holds it against what is passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ..cexport.elements import lookup_table
from ..kernels import (
    _kiss_fft,
    _sigmoid,
    activations,
    dequantize,
    detection_postprocess,
    elementwise,
    embedding_lookup,
    leaky_relu,
    log_softmax,
    quantize,
    resize_bilinear,
    softmax,
    svdf,
)
from ..kernels import unidirectional_sequence_lstm as lstm
from ..kernels._linear import Computed
from ..kernels._window import Window
from ..kernels.transpose_conv import Scatter
from ..model import Array, Op
from ..numerics.fixedpoint import Multiplier
from ..numerics.requantize import Requantizer
from ..numerics.scalar import XNNPACK_LOWEST
from ..plan import Step
from ..tflite_io import schema

SAID = {"output_shape", "filter_shape", "input_shape", "accum_depth", "num_elements_in_axis", "sizes"}
SAID |= {"declared_shape", "outer_shape"}
"""Fields of params that repeat what the tensors' shapes say."""

OWN = {"as_bytes", "sign", "is_alpha_negative", "groups", "gemm", "shrink", "mean", "positions", "linear", "nan_clips"}
OWN |= {"macs", "highest"}
"""Fields that only this engine needs, in this form."""

ACTIVATION = {f"{prefix}activation_{side}": side for prefix in ("", "output_") for side in ("min", "max")}

TABLES = {
    (softmax.Params, "exps"),
    (softmax.Int16Params, "exp_lut"),
    (softmax.Int16Params, "one_over_one_plus_x_lut"),
    (log_softmax.Params, "scaled"),
    (log_softmax.Params, "terms"),
}
"""Tables that C kernels may want too; see these params."""

LOOKED_UP = {"lookup", "quantize_int8", "requantize"}
"""The C kernels that take codes of 8 bits by a table, or may."""

MULTIPLIERS = {
    (_sigmoid.Params, "multiplier"): ("input_multiplier", "input_left_shift"),
    (softmax.Params, "input_multiplier"): ("input_multiplier", "input_left_shift"),
    (softmax.Int16Params, "input_multiplier"): ("input_multiplier", "input_left_shift"),
    (log_softmax.Params, "input_multiplier"): ("input_multiplier", "input_left_shift"),
    (log_softmax.Params, "reverse_scaling"): ("reverse_scaling_divisor", "reverse_scaling_left_shift"),
    (activations.ReluParams, "multiplier"): ("output_multiplier", "output_shift"),
    (quantize.Params, "requantize_output_multiplier"): ("output_multiplier", "output_shift"),
    (leaky_relu.Params, "multiplier_alpha"): ("output_multiplier_alpha", "output_shift_alpha"),
    (leaky_relu.Params, "multiplier_identity"): ("output_multiplier_identity", "output_shift_identity"),
}
"""What a multiplier of these params and its shift are called where it is not `x_multiplier` and `x_shift`."""

SIDES = {quantize.FloatParams: ("output", 1), dequantize.Params: ("input", -1)}
"""Of which tensor the scale and zero point in these params are, and with which sign that is an offset."""


def _svdf(p: svdf.Params) -> Iterator[tuple[str, Any]]:
    """As TFLM's OpDataSvdf has them: a is the multiplier, b the shift, 1 is to the state and 2 from there."""
    yield "input_offset", p.input_offset
    yield "activation_state_zero_point", p.state_zero_point
    for stage, part in (("1", p.feature), ("2", p.output)):
        yield f"effective_scale_{stage}_a", part.multiplier.multiplier
        yield f"effective_scale_{stage}_b", part.multiplier.shift
    yield "output_offset", p.output.output_offset


def _lstm(p: lstm.Params) -> Iterator[tuple[str, Any]]:
    """As TFLM's OpDataLSTM has them, those of the four gates in the order of their tensors."""
    for name, layer in (("input", p.input), ("recurrent", p.hidden)):
        yield f"{name}_offset", layer.input_offset
        yield f"{name}_weights_offset", layer.weights_offset
        for field in ("multiplier", "shift"):
            units = getattr(layer.requantize.multiplier, field)
            yield f"{name}_fc_{field}", units[:: len(units) // len(layer.weights_offset)]
    for name in ("forget_cell_mul", "input_mul", "output_mul"):
        factor: Multiplier = getattr(p, name)
        yield f"{name}_multiplier", factor.multiplier
        yield f"{name}_shift", factor.shift
    yield "output_offset", p.hidden_zero_point
    yield "quantized_cell_clip", -1 if p.cell_clip is None else p.cell_clip
    yield "cell_state_scale_power", p.cell_state_scale_power


def _abs(p: elementwise.Params) -> Iterator[tuple[str, Any]]:
    """As TFLM's OpDataAbsRsqrt has them, but that its input_offset is the zero point."""
    yield "input_offset", -(p.input_offset or 0)
    yield "output_offset", p.output_offset or 0
    yield "needs_rescale", p.multiplier is not None
    yield "multiplier", p.multiplier.multiplier if p.multiplier else 0
    yield "shift", p.multiplier.shift if p.multiplier else 0


def _embedding_lookup(p: embedding_lookup.Params) -> Iterator[tuple[str, Any]]:
    """Nothing that the table's shape and scale do not say."""
    yield from ()


def _resize_bilinear(p: resize_bilinear.Params) -> Iterator[tuple[str, Any]]:
    """Where TFLM's loop finds each row and column."""
    for name, axis in (("row", p.height), ("column", p.width)):
        yield f"{name}_lower", axis.lower
        yield f"{name}_upper", axis.upper
        yield f"{name}_offset", axis.offset
    yield "one", p.one


def _fft(p: _kiss_fft.Params) -> Iterator[tuple[str, Any]]:
    """What kissfft's states hold, complex numbers as real and imaginary parts in turn."""
    yield "fft_length", p.fft_length
    yield "factors", np.array(p.factors, np.int32).reshape(-1)
    yield "twiddles", np.stack(p.twiddles, axis=-1).reshape(-1)
    yield "super_twiddles", np.stack(p.super_twiddles, axis=-1).reshape(-1)


def _detection(p: detection_postprocess.Params) -> Iterator[tuple[str, Any]]:
    """By the names of the options, from which they are read."""
    names = ("max_detections", "detections_per_class", "use_regular_nms", "nms_score_threshold", "nms_iou_threshold")
    yield from ((name, getattr(p, name)) for name in (*names, "num_classes"))
    yield "max_classes_per_detection", p.n
    yield from zip(detection_postprocess.SCALES, p.scales, strict=True)


BY_PART: dict[type, Callable[[Any], Iterator[tuple[str, Any]]]] = {
    svdf.Params: _svdf,
    lstm.Params: _lstm,
    elementwise.Params: _abs,
    embedding_lookup.Params: _embedding_lookup,
    resize_bilinear.Params: _resize_bilinear,
    _kiss_fft.Params: _fft,
    detection_postprocess.Params: _detection,
}
"""Params with parts in them whose numbers need names of their own."""


def numbers_of(step: Step) -> dict[str, Array]:
    """Arrays of one dimension, int32 or float64: the operator's options, enumerations by the schema's codes, and what
    Prepare computed, which replaces options of the same name."""
    numbers = dict(_options(step.op)) | dict(_params(step.params)) | dict(_tables(step))
    return {name: _flat(value) for name, value in numbers.items()}


def _tables(step: Step) -> Iterator[tuple[str, Any]]:
    """Of what takes each code of 8 bits to a value of its own."""
    dtype = "" if step.data is None else step.data.dtype
    if dtype in ("int8", "uint8") and step.facts.c_kernels.get(dtype) in LOOKED_UP:
        yield "table", lookup_table(step)


def _flat(value: Any) -> Array:
    array = np.atleast_1d(np.asarray(value))
    return array.astype(np.float64 if array.dtype.kind == "f" and array.size else np.int32)


def _options(op: Op) -> Iterator[tuple[str, Any]]:
    """The schema's defaults for what the operator leaves out."""
    table = schema.options_table(op.name)
    for field in schema.fields(table) if table else ():
        value = op.options.get(field.name, field.default)
        yield field.name, {name: code for code, name in field.names.items()}[value] if field.names else value


def _params(params: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(params, Computed):  # no number depends on weights
        params = params.alike
    if type(params) in BY_PART:
        yield from BY_PART[type(params)](params)
        return
    if groups := getattr(params, "groups", None):
        parts = [part[1] for part in groups if isinstance(part, tuple)]
        yield from _requantization(*parts)
    for field in fields(params):
        name, value = field.name, getattr(params, field.name)
        if name in SAID | OWN:
            continue
        if isinstance(value, (Window, Scatter)):
            yield "padding_height", value.pad[0]
            yield "padding_width", value.pad[1]
        elif isinstance(value, Requantizer):
            yield from _requantization(value)
        elif isinstance(value, Multiplier):
            names = MULTIPLIERS.get((type(params), name), (name, name.replace("multiplier", "shift")))
            yield from _factor(*names, value)
        elif is_dataclass(value):
            yield from _params(value)
        elif name in ACTIVATION:
            kind = "float" if isinstance(value, np.floating) else "quantized"
            yield f"{kind}_activation_{ACTIVATION[name]}", value
        elif name == "ranges":
            for part in ("start", "stop"):
                yield f"{part}_indices", [getattr(positions, part) for positions in value]
            yield "strides", [positions.step for positions in value]
        elif type(params) in SIDES and name in ("scale", "zero_point"):
            side, sign = SIDES[type(params)]
            yield (f"{side}_scale", value) if name == "scale" else (f"{side}_offset", sign * value)
        elif name.endswith("_zero_point"):
            yield name.replace("zero_point", "offset"), value if name.startswith("output") else -value
        elif isinstance(params, activations.ReluParams) and name == "input_offset":  # TFLM's is the zero point
            yield name, -value
        elif _is_plain(value) or (type(params), name) in TABLES:
            yield name, value


def _factor(multiplier: str, shift: str, value: Multiplier) -> Iterator[tuple[str, Any]]:
    """A factor by the names of its two numbers; XNNPACK multiplies by a float, which is called after the first."""
    yield multiplier, value.multiplier
    yield shift, value.shift
    if value.rounding in XNNPACK_LOWEST:
        yield f"{multiplier}_scale", value.scale


def _is_plain(value: Any) -> bool:
    """Whether it is a number, or several."""
    values = value if isinstance(value, tuple) else (value,)
    return all(isinstance(one, (int, float, np.floating)) for one in values)


def _requantization(*parts: Requantizer) -> Iterator[tuple[str, Any]]:
    """Of all channels, from those of each group."""
    if not parts:
        return
    numbers = [dict(_factor("output_multiplier", "output_shift", r.multiplier)) for r in parts]
    for name in numbers[0]:
        yield (
            name,
            np.concatenate([np.broadcast_to(n[name], r.bias.shape) for n, r in zip(numbers, parts, strict=True)]),
        )
    yield "output_offset", parts[0].output_offset
    yield "quantized_activation_min", parts[0].activation_min
    yield "quantized_activation_max", parts[0].activation_max
