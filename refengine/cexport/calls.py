"""A step as a C call: which kernel of `firmware/kernels`, and its params struct, field by field.

One function per C kernel turns what `prepare` worked out into the fields of the C struct of the same name
(`firmware/kernels/kernels.h`). The only arithmetic here is folding: what depends on constants alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..errors import InferenceError, require
from ..kernels import FACTS
from ..kernels._linear import Computed
from ..kernels._sigmoid import SIGMOID
from ..model import Array, Tensor
from ..numerics.fixedpoint import Multiplier
from ..numerics.requantize import Requantizer
from ..plan import Step
from .packing import Packed, packed_3x3, packed_pairs

MAX_RANK = 6

Fields = dict[str, Any]
"""int, np.float32, Multiplier (one or an array of them), an array (a pointer to constant data), or nested fields."""


class Constant(NamedTuple):
    """An argument that is constant data; `plain` is the same where the C says REFENGINE_MVE, if that differs."""

    name: str
    data: Array
    plain: Array | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """`kernel(&params, *arguments, output)`: `params` of type `struct`, arguments tensors or constants.

    `source` is the kernel's file, `output` the number of the step's output that it writes, whole or in part.
    `in_place`: output and first argument may share their memory. `patch` is how many taps of a window the kernel
    copies to the stack.
    """

    source: str
    kernel: str
    struct: str
    params: Fields
    arguments: tuple[Tensor | Constant, ...]
    in_place: bool = False
    output: int = 0
    patch: int = 0


def calls_of(step: Step, constants: Mapping[int, Array]) -> tuple[Call, ...]:
    """The C calls of a step, ordered by what they write; `constants` are the tensors known when exporting, by index.

    Raises `UnsupportedError` for an operator or type without a C kernel, and for layers whose weights are computed.
    """
    dtype = step.data.dtype if step.data else ""
    make = CALLS.get((step.name, dtype))
    require(
        make,
        f"{step}: there is no C kernel{f' for {dtype}' if dtype else ''}; export takes "
        f"{', '.join(dict.fromkeys(op for op, _ in CALLS))}, and whatever depends on constants only",
    )
    assert make is not None
    require(
        not isinstance(step.params, Computed),
        f"{step}: the C kernels of layers take weights and biases that are constant in the file only",
    )
    made = make(_with(constants, step))
    return tuple(_placed(call, constants) for call in ((made,) if isinstance(made, Call) else made))


def _with(constants: Mapping[int, Array], step: Step) -> Step:
    """The step with the inputs that are known when exporting as constants."""
    inputs = (t and replace(t, data=constants[t.index][0]) if t and t.index in constants else t for t in step.inputs)
    return replace(step, node=step.node._replace(inputs=tuple(inputs)))


def _placed(call: Call, constants: Mapping[int, Array]) -> Call:
    """The call with the arguments that are known when exporting as constants."""
    arguments = tuple(
        Constant(f"input{i + 1}", constants[a.index][0]) if isinstance(a, Tensor) and a.index in constants else a
        for i, a in enumerate(call.arguments)
    )
    return replace(call, arguments=arguments, in_place=call.in_place and isinstance(arguments[0], Tensor))


# ---- layers ------------------------------------------------------------------------------------------------


def _window(step: Step) -> Fields:
    window, (input, output) = step.params.window, (step.inputs[0], step.outputs[0])
    assert input is not None
    names = ("input", "output", "filter", "stride")
    pairs = {
        f"{name}_{side}": size
        for name in names
        for side, size in zip(("height", "width"), getattr(window, name), strict=True)
    }
    dilation, pad = window.dilation, window.pad
    return pairs | {
        "batches": input.shape[0],
        "input_depth": input.shape[3],
        "output_depth": output.shape[3],
        "dilation_height_factor": dilation[0],
        "dilation_width_factor": dilation[1],
        "padding_height": pad[0],
        "padding_width": pad[1],
    }


def _requantize(r: Requantizer, multiplier: Multiplier) -> Fields:
    return {
        "output_multiplier": multiplier,
        "per_channel": int(np.size(multiplier.multiplier) > 1),
        "output_offset": r.output_offset,
        "output_activation_min": r.activation_min,
        "output_activation_max": r.activation_max,
    }


def _joined(parts: Sequence[Multiplier]) -> Multiplier:
    """The multipliers of all channels, from those of each group."""
    return Multiplier(
        np.concatenate([part.multiplier for part in parts]),
        np.concatenate([part.shift for part in parts]),
        np.concatenate([part.scale for part in parts]),
        parts[0].rounding,
    )


def _float_activation(p: Any) -> Fields:
    return {"float_activation_min": p.float_activation_min, "float_activation_max": p.float_activation_max}


def _filter(step: Step) -> Array:
    assert step.inputs[1] is not None and step.inputs[1].data is not None
    return step.inputs[1].data


def _folded(bias: Array, offset: int, sums: Array) -> Constant:
    """What the input's zero point adds to each channel's sum of products, joined with the bias, in 32 bits."""
    return Constant("bias", (bias + offset * sums.astype(np.int64)).astype(np.int32))


def _conv_int8(step: Step) -> Call:
    p, filter = step.params, _filter(step)
    parts = [requantize for _, requantize in p.groups]
    multiplier = _joined([part.multiplier for part in parts])
    sums = filter.reshape(len(filter), -1).sum(axis=1, dtype=np.int64)
    params = {
        "window": _window(step),
        "filter_depth": filter.shape[3],
        "input_offset": p.input_offset,
        "requantize": _requantize(parts[0], multiplier),
    }
    bias = _folded(np.concatenate([part.bias for part in parts]), p.input_offset, sums)
    arguments = (_input(step), Constant("filter", filter), bias)
    call = Call("conv.c", "conv_int8", "conv_int8_params", params, arguments, patch=filter[0].size)
    return _by_pairs(call, filter.reshape(len(filter), -1), multiplier) if len(parts) == 1 else call


def _by_pairs(call: Call, rows: Array, multiplier: Multiplier) -> Call:
    """The call of the packed twin of a layer's kernel, where that gives the same codes."""
    return _packed(call, packed_pairs(rows, _bias(call), multiplier, _output_offset(call)))


def _packed(call: Call, packed: Packed | None) -> Call:
    """The call of the packed twin, if there is one."""
    if packed is None:
        return call
    input, filter, _ = call.arguments
    assert isinstance(filter, Constant)
    arguments = (input, Constant("filter", packed.filter, filter.data), Constant("bias", packed.bias))
    per_channel = int(packed.multiplier.shift.size > 1)
    requantize = {"output_multiplier": packed.multiplier, "per_channel": per_channel}
    params = call.params | {"requantize": call.params["requantize"] | requantize}
    return replace(call, kernel=f"{call.kernel}_packed", params=params, arguments=arguments)


def _bias(call: Call) -> Array:
    bias = call.arguments[2]
    assert isinstance(bias, Constant)
    return bias.data


def _output_offset(call: Call) -> int:
    return int(call.params["requantize"]["output_offset"])


def _conv_float32(step: Step) -> Call:
    filter = _filter(step)
    params = {"window": _window(step), "filter_depth": filter.shape[3], **_float_activation(step.params)}
    arguments = (_input(step), Constant("filter", filter), Constant("bias", step.params.bias))
    return Call("conv.c", "conv_float32", "conv_float32_params", params, arguments)


def _depthwise_conv_int8(step: Step) -> Call:
    p, filter = step.params, _filter(step)
    sums = filter.reshape(-1, filter.shape[3]).sum(axis=0, dtype=np.int64)
    params = {
        "window": _window(step),
        "depth_multiplier": step.op.options["depth_multiplier"],
        "input_offset": p.input_offset,
        "requantize": _requantize(p.requantize, p.requantize.multiplier),
    }
    arguments = (_input(step), Constant("filter", filter), _folded(p.requantize.bias, p.input_offset, sums))
    call = Call("depthwise_conv.c", "depthwise_conv_int8", "depthwise_conv_int8_params", params, arguments)
    return _sliding(call, p.requantize.multiplier)


def _sliding(call: Call, multiplier: Multiplier) -> Call:
    """The call of the packed twin, for filters of 3 × 3, or of a convolution's, where all share one input channel."""
    w, filter = call.params["window"], call.arguments[1]
    assert isinstance(filter, Constant)
    channels = np.moveaxis(filter.data[0], 2, 0)
    if w["input_depth"] == 1:
        shared = {key: value for key, value in call.params.items() if key != "depth_multiplier"} | {"filter_depth": 1}
        arguments = (call.arguments[0], Constant("filter", channels[..., np.newaxis]), call.arguments[2])
        conv = Call("conv.c", "conv_int8", "conv_int8_params", shared, arguments, patch=channels[0].size)
        twin = _by_pairs(conv, channels.reshape(len(channels), -1), multiplier)
        return call if twin is conv else twin
    dilation = (w["dilation_height_factor"], w["dilation_width_factor"])
    if call.params["depth_multiplier"] != 1 or channels.shape[1:] != (3, 3) or dilation != (1, 1) or len(channels) % 4:
        return call
    is_tall = w["output_height"] > w["output_width"]
    height, width = (_direction(w, "height", w["input_width"], w["output_width"]), _direction(w, "width", 1, 1))
    params = {
        "batches": w["batches"],
        "depth": w["input_depth"],
        "input_offset": call.params["input_offset"],
        "along": height if is_tall else width,
        "across": width if is_tall else height,
        "requantize": call.params["requantize"],
    }
    rows = np.swapaxes(channels, 1, 2) if is_tall else channels
    packed = packed_3x3(rows, _bias(call), multiplier, _output_offset(call))
    twin = replace(call, struct="depthwise_conv_int8_packed_params", params=params)
    return _packed(twin, packed) if packed else call


def _direction(window: Fields, side: str, input_step: int, output_step: int) -> Fields:
    depth = window["input_depth"]
    return {
        "input_size": window[f"input_{side}"],
        "output_size": window[f"output_{side}"],
        "stride": window[f"stride_{side}"],
        "padding": window[f"padding_{side}"],
        "input_step": input_step * depth,
        "output_step": output_step * depth,
    }


def _depthwise_conv_float32(step: Step) -> Call:
    params = {
        "window": _window(step),
        "depth_multiplier": step.op.options["depth_multiplier"],
        **_float_activation(step.params),
    }
    arguments = (_input(step), Constant("filter", _filter(step)), Constant("bias", step.params.bias))
    return Call("depthwise_conv.c", "depthwise_conv_float32", "depthwise_conv_float32_params", params, arguments)


def _fully_connected_size(step: Step) -> Fields:
    (*lead, output_depth), accum_depth = step.outputs[0].shape, _filter(step).shape[1]
    return {"batches": prod(lead), "accum_depth": accum_depth, "output_depth": output_depth}


def _fully_connected_int8(step: Step) -> Call:
    p, filter = step.params, _filter(step)
    params = _fully_connected_size(step) | {
        "input_offset": p.input_offset,
        "filter_offset": p.weights_offset,
        "requantize": _requantize(p.requantize, p.requantize.multiplier),
    }
    sums = (filter.astype(np.int64) + p.weights_offset).sum(axis=1)
    bias = _folded(p.requantize.bias, p.input_offset, sums)
    arguments = (_input(step), Constant("filter", filter), bias)
    name = "fully_connected_int8"
    call = Call("fully_connected.c", name, f"{name}_params", params, arguments, patch=filter.shape[1])
    return call if p.weights_offset else _by_pairs(call, filter, p.requantize.multiplier)


def _fully_connected_float32(step: Step) -> Call:
    params = _fully_connected_size(step) | _float_activation(step.params)
    arguments = (_input(step), Constant("filter", _filter(step)), Constant("bias", step.params.bias))
    return Call("fully_connected.c", "fully_connected_float32", "fully_connected_float32_params", params, arguments)


# ---- the others --------------------------------------------------------------------------------------------


def _pool_int8(step: Step, kernel: str, source: str = "pooling.c") -> Call:
    params = {
        "window": _window(step),
        "activation_min": step.params.activation_min,
        "activation_max": step.params.activation_max,
    }
    return Call(source, kernel, "pool_int8_params", params, (_input(step),))


def _pool_float32(step: Step, kernel: str) -> Call:
    params = {"window": _window(step), **_float_activation(step.params)}
    return Call("pooling.c", kernel, "pool_float32_params", params, (_input(step),))


def _rows(step: Step) -> Fields:
    *lead, depth = step.outputs[0].shape
    return {"rows": prod(lead), "depth": depth}


def _softmax_int8(step: Step) -> Call:
    exps = np.trim_zeros(step.params.exps.astype(np.int32), "b")
    params = _rows(step) | {"exps_length": len(exps), "exps": exps}
    kernel = {"int8": "softmax_int8", "int16": "softmax_int8_int16"}[step.params.output_type]
    return Call("softmax.c", kernel, "softmax_int8_params", params, (_input(step),))


def _softmax_float32(step: Step) -> Call:
    params = _rows(step) | {"beta": step.params.beta}
    return Call("softmax.c", "softmax_float32", "softmax_float32_params", params, (_input(step),))


def _broadcast(step: Step) -> Fields:
    """Shape and strides, dimensions joined with the next one where both inputs' elements simply follow each other."""
    output = step.outputs[0].shape
    ones = (1,) * (MAX_RANK - len(output))

    def strides(tensor: Tensor | None) -> list[int]:
        assert tensor is not None
        shape = (1,) * (MAX_RANK - len(tensor.shape)) + tensor.shape
        return [0 if shape[d] == 1 else prod(shape[d + 1 :]) for d in range(MAX_RANK)]

    rows = list(zip(ones + output, strides(step.inputs[0]), strides(step.inputs[1]), strict=True))
    joined = [rows.pop()]
    while rows:
        (outer, first, second), (inner, first_step, second_step) = rows.pop(), joined[0]
        if inner == 1:
            joined[0] = (outer, first, second)
        elif (first, second) == (inner * first_step, inner * second_step):
            joined[0] = (outer * inner, first_step, second_step)
        elif outer != 1:
            joined.insert(0, (outer, first, second))
    front = [(1, 0, 0)] * (MAX_RANK - len(joined))
    names = ("shape", "input1_strides", "input2_strides")
    return {name: Values(values) for name, values in zip(names, zip(*front, *joined, strict=True), strict=True)}


def _add_int8(step: Step) -> Call:
    p, first = step.params, step.inputs[:2]
    names = (
        "left_shift",
        "input1_offset",
        "input2_offset",
        "output_offset",
        "input1_multiplier",
        "input2_multiplier",
        "output_multiplier",
        "output_activation_min",
        "output_activation_max",
    )
    params = {"broadcast": _broadcast(step)} | {name: getattr(p, name) for name in names}
    return Call("add.c", "add_int8", "add_int8_params", params, _tensors(*first))


def _add_float32(step: Step) -> Call:
    p = step.params
    params = {
        "broadcast": _broadcast(step),
        "output_activation_min": np.float32(p.output_activation_min),
        "output_activation_max": np.float32(p.output_activation_max),
    }
    return Call("add.c", "add_float32", "add_float32_params", params, _tensors(*step.inputs[:2]))


def _size(step: Step) -> int:
    return prod(step.outputs[0].shape)


def _relu_int8(step: Step) -> Call:
    p = step.params
    names = ("input_offset", "multiplier", "output_offset", "quantized_activation_min", "quantized_activation_max")
    params = {"size": _size(step)} | {name: getattr(p, name) for name in names}
    return Call("activations.c", "relu_int8", "relu_int8_params", params, (_input(step),))


def _relu6_int8(step: Step) -> Call:
    params = {"size": _size(step), "zero": step.params.zero, "six": step.params.six}
    return Call("activations.c", "relu6_int8", "relu6_int8_params", params, (_input(step),))


def _relu_float32(step: Step, kernel: str) -> Call:
    return Call("activations.c", kernel, "size_params", {"size": _size(step)}, (_input(step),))


def _reduced(step: Step, axis: tuple[int, ...]) -> Fields:
    """The dimensions kept and those reduced, each in order, with ones in front, and their strides in the input."""
    input = _input(step)
    strides = [prod(input.shape[d + 1 :]) for d in range(len(input.shape))]

    def part(dimensions: list[int]) -> tuple[Values, Values]:
        front = MAX_RANK - len(dimensions)
        return (
            Values((1,) * front + tuple(input.shape[d] for d in dimensions)),
            Values((0,) * front + tuple(strides[d] for d in dimensions)),
        )

    kept, reduced = part([d for d in range(len(input.shape)) if d not in axis]), part(list(axis))
    return {"kept_shape": kept[0], "kept_strides": kept[1], "reduced_shape": reduced[0], "reduced_strides": reduced[1]}


def _sum_int8(step: Step) -> Call:
    r = step.params.requantize
    params = {
        "axes": _reduced(step, step.params.axes.axis),
        "bias": int(np.int64(r.bias.item()).astype(np.int32)),
        "multiplier": r.multiplier,
        "output_offset": r.output_offset,
    }
    return Call("reduce.c", "sum_int8", "sum_int8_params", params, (_input(step),))


def _sum_float32(step: Step) -> Call:
    axes, mean = step.params.axes, step.params.mean
    params = {"axes": _reduced(step, axes.axis), "divisor": np.float32(axes.num_elements_in_axis if mean else 1)}
    return Call("reduce.c", "sum_float32", "sum_float32_params", params, (_input(step),))


def _quantize_int8(step: Step) -> Call:
    p = step.params
    if p.dtype != "int8":
        return _lookup(step)
    params = {
        "size": _size(step),
        "input_zero_point": p.input_zero_point,
        "output_zero_point": p.output_zero_point,
        "requantize_output_multiplier": p.requantize_output_multiplier,
    }
    return Call("quantize.c", "quantize_int8", "quantize_int8_params", params, (_input(step),))


def _quantize_float32(step: Step) -> Call:
    p = step.params
    require(p.dtype == "int8", f"{step}: has a C kernel from float32 to int8 only, not to {p.dtype}")
    params = {"size": _size(step), "scale": p.scale, "zero_point": p.zero_point}
    return Call("quantize.c", "quantize_float32", "quantize_float32_params", params, (_input(step),))


def _dequantize_int8(step: Step) -> Call:
    params = {"size": _size(step), "scale": step.params.scale, "zero_point": step.params.zero_point}
    return Call("dequantize.c", "dequantize_int8", "dequantize_int8_params", params, (_input(step),))


def _pad(step: Step) -> Call:
    p, input, fill = step.params, _input(step), step.inputs[2] if len(step.inputs) == 3 else None
    require(fill is None or fill.data is not None, f"{step}: the C kernel takes a constant fill only")
    value = np.array(p.pad_value, input.dtype) if fill is None or fill.data is None else fill.data
    front = MAX_RANK - len(input.shape)
    params = {
        "element_size": value.itemsize,
        "input_shape": Values((1,) * front + input.shape),
        "left_padding": Values((0,) * front + p.left_padding),
        "output_shape": Values((1,) * front + p.output_shape),
        "pad_value": np.frombuffer(value.tobytes(), np.uint8),
    }
    return Call("pad.c", "pad", "pad_params", params, (input,))


def _reshape(step: Step) -> Call:
    bytes = _size(step) * np.dtype(step.outputs[0].dtype).itemsize
    return Call("reshape.c", "reshape", "reshape_params", {"bytes": bytes}, (_input(step),), in_place=True)


# ---- int16 layers -------------------------------------------------------------------------------------------


def _wide_bias(parts: Sequence[Requantizer]) -> Array:
    return np.concatenate([part.bias for part in parts])


def _conv_int16(step: Step) -> Call:
    filter = _filter(step)
    parts = [requantize for _, requantize in step.params.groups]
    params = {
        "window": _window(step),
        "filter_depth": filter.shape[3],
        "accumulator_bits": parts[0].bits,
        "requantize": _requantize(parts[0], _joined([part.multiplier for part in parts])),
    }
    arguments = (_input(step), Constant("filter", filter), Constant("bias", _wide_bias(parts)))
    return Call("conv_int16.c", "conv_int16", "conv_int16_params", params, arguments)


def _depthwise_conv_int16(step: Step) -> Call:
    requantize = step.params.requantize
    params = {
        "window": _window(step),
        "depth_multiplier": step.op.options["depth_multiplier"],
        "accumulator_bits": requantize.bits,
        "requantize": _requantize(requantize, requantize.multiplier),
    }
    arguments = (_input(step), Constant("filter", _filter(step)), Constant("bias", requantize.bias))
    return Call("depthwise_conv_int16.c", "depthwise_conv_int16", "depthwise_conv_int16_params", params, arguments)


def _fully_connected_int16(step: Step) -> Call:
    p, filter = step.params, _filter(step)
    params = _fully_connected_size(step) | {
        "filter_offset": p.weights_offset,
        "accumulator_bits": p.requantize.bits,
        "requantize": _requantize(p.requantize, p.requantize.multiplier),
    }
    sums = (filter.astype(np.int64) + p.weights_offset).sum(axis=1)
    bias = Constant("bias", p.requantize.bias + p.input_offset * sums)
    arguments = (_input(step), Constant("filter", filter), bias)
    return Call("fully_connected_int16.c", "fully_connected_int16", "fully_connected_int16_params", params, arguments)


def _softmax_int16(step: Step) -> Call:
    p = step.params
    tables = {name: getattr(p, name).astype(np.int16) for name in ("exp_lut", "one_over_one_plus_x_lut")}
    params = _rows(step) | {"input_multiplier": p.input_multiplier} | tables
    return Call("softmax_int16.c", "softmax_int16", "softmax_int16_params", params, (_input(step),))


def _sum_int16(step: Step) -> Call:
    return replace(_sum_int8(step), source="requantize.c", kernel="sum_int16")


def _quantize(step: Step) -> Call:
    """From codes: of 8 bits by a table, else as the types of input and output say."""
    p, dtype = step.params, _input(step).dtype
    if dtype in ("int8", "uint8"):
        return _lookup(step)
    params = {
        "size": _size(step),
        "input_zero_point": p.input_zero_point,
        "output_zero_point": p.output_zero_point,
        "requantize_output_multiplier": p.requantize_output_multiplier,
    }
    kernel = f"quantize_{dtype}_{p.dtype}"
    return Call("requantize.c", kernel, "quantize_int8_params", params, (_input(step),))


def _dequantize_int16(step: Step) -> Call:
    return replace(_dequantize_int8(step), source="requantize.c", kernel="dequantize_int16")


# ---- pairs of elements --------------------------------------------------------------------------------------


def _scaled_pair(step: Step, kernel: str) -> Call:
    return replace(_add_int8(step), source="sub.c", kernel=kernel)


def _mul(step: Step, kernel: str) -> Call:
    p = step.params
    names = (
        "input1_zero_point",
        "input2_zero_point",
        "output_zero_point",
        "output_multiplier",
        "output_activation_min",
        "output_activation_max",
    )
    params = {"broadcast": _broadcast(step)} | {name: getattr(p, name) for name in names}
    return Call("mul.c", kernel, "mul_params", params, _tensors(*step.inputs[:2]))


def _pair(step: Step, source: str, kernel: str) -> Call:
    """Of floats or int32, clamped at the end."""
    p, dtype = step.params, _input(step).dtype
    number = np.float32 if dtype == "float32" else int
    names = ("output_activation_min", "output_activation_max")
    params = {"broadcast": _broadcast(step)} | {name: number(getattr(p, name)) for name in names}
    return Call(source, kernel, f"pair_{dtype}_params", params, _tensors(*step.inputs[:2]))


def _plain_pair(step: Step, source: str, kernel: str) -> Call:
    """Of what needs no params but the shapes."""
    return Call(source, kernel, "pair_params", {"broadcast": _broadcast(step)}, _tensors(*step.inputs))


def _of_params(step: Step, source: str, kernel: str, struct: str, *names: str) -> Call:
    """Of what has its params' fields `names` as they are."""
    params = {"broadcast": _broadcast(step)} | {name: getattr(step.params, name) for name in names}
    return Call(source, kernel, struct, params, _tensors(*step.inputs[:2]))


def _comparison_int8(step: Step, kernel: str) -> Call:
    names = ("input1_zero_point", "input2_zero_point", "input1_multiplier", "input2_multiplier")
    return _of_params(step, "comparisons.c", kernel, "comparison_int8_params", *names)


def _div_int8(step: Step) -> Call:
    names = (
        "input1_zero_point",
        "input2_zero_point",
        "output_zero_point",
        "output_multiplier",
        "output_activation_min",
        "output_activation_max",
    )
    call = _of_params(step, "div.c", "div_int8", "div_int8_params", *names)
    return replace(call, params=call.params | {"shifts_modulo_64": int(step.params.processor == "x86")})


def _prelu(step: Step, kernel: str) -> Call:
    names = ("input_zero_point", "alpha_zero_point", "output_zero_point", "output_multiplier_1", "output_multiplier_2")
    return _of_params(step, "prelu.c", kernel, "prelu_params", *names)


def _squared_difference(step: Step, kernel: str) -> Call:
    p = step.params
    names = (
        "left_shift",
        "input1_zero_point",
        "input2_zero_point",
        "output_zero_point",
        "input1_multiplier",
        "input2_multiplier",
        "output_multiplier",
    )
    params = {"broadcast": _broadcast(step)} | {name: getattr(p, name) for name in names}
    return Call("squared_difference.c", kernel, "squared_difference_params", params, _tensors(*step.inputs))


# ---- others with a kernel of their own ----------------------------------------------------------------------


def _transpose_conv(step: Step, kernel: str) -> Call:
    p, filter, input, output = step.params, _filter(step), _data(step), step.outputs[0]
    scatter, requantize = p.scatter, p.requantize
    pairs = {"input": scatter.input, "output": scatter.output, "filter": scatter.filter, "stride": scatter.stride}
    window = {
        f"{name}_{side}": size
        for name, sizes in (pairs | {"padding": scatter.pad}).items()
        for side, size in zip(("height", "width"), sizes, strict=True)
    }
    depths = {"batches": input.shape[0], "input_depth": input.shape[3], "output_depth": output.shape[3]}
    params = {
        "window": window | depths | {"dilation_height_factor": 1, "dilation_width_factor": 1},
        "input_offset": p.input_offset,
        "accumulator_bits": requantize.bits,
        "requantize": _requantize(requantize, requantize.multiplier),
    }
    arguments = (input, Constant("filter", filter), Constant("bias", requantize.bias))
    return Call("transpose_conv.c", kernel, "transpose_conv_params", params, arguments)


def _resize_bilinear(step: Step) -> Call:
    p, input, output = step.params, _input(step), step.outputs[0]
    sizes = {"batches": input.shape[0], "input_height": input.shape[1], "input_width": input.shape[2]}
    axes = {
        f"{name}_{part}": getattr(axis, part).astype(np.int32)
        for name, axis in (("row", p.height), ("column", p.width))
        for part in ("lower", "upper", "offset")
    }
    params = {
        **sizes,
        "depth": input.shape[3],
        "output_height": output.shape[1],
        "output_width": output.shape[2],
        "bits": p.one.bit_length() - 1,
        "ties_away": int(p.rounding == "double"),
        **axes,
    }
    return Call("resize_bilinear.c", "resize_bilinear_int8", "resize_bilinear_params", params, (input,))


def _batch_matmul(step: Step, kernel: str) -> Call:
    p, (lhs, rhs), output = step.params, _tensors(*step.inputs), step.outputs[0]
    front = (1,) * (MAX_RANK - len(output.shape) + 1)

    def strides(tensor: Tensor) -> Values:
        batches = (*(1,) * (len(output.shape) - len(tensor.shape)), *tensor.shape[:-2])
        size = prod(tensor.shape[-2:])
        apart = (prod(batches[d + 1 :]) * size if n > 1 else 0 for d, n in enumerate(batches))
        return Values((*(0,) * (len(front) - 1 + 1), *apart, 0))

    (_, left), (_, right) = lhs.shape[-2:], rhs.shape[-2:]
    lhs_strides = (1, left) if p.operands.adj_x else (left, 1)
    rhs_strides = (right, 1) if p.operands.adj_y else (1, right)
    params = {
        "matrices": {
            "shape": Values((*front, *output.shape[:-2], 1)),
            "input1_strides": strides(lhs),
            "input2_strides": strides(rhs),
        },
        "rows": output.shape[-2],
        "columns": output.shape[-1],
        "accum_depth": p.operands.accum_depth,
        "lhs_row_stride": lhs_strides[0],
        "lhs_depth_stride": lhs_strides[1],
        "rhs_column_stride": rhs_strides[0],
        "rhs_depth_stride": rhs_strides[1],
        "lhs_offset": p.lhs_offset,
        "rhs_offset": p.rhs_offset,
        "requantize": _requantize(p.requantize, _of_channels(p.requantize.multiplier)),
    }
    return Call("batch_matmul.c", kernel, "batch_matmul_params", params, (lhs, rhs))


def _of_channels(m: Multiplier) -> Multiplier:
    return Multiplier(np.atleast_1d(m.multiplier), np.atleast_1d(m.shift), np.atleast_1d(m.scale), m.rounding)


def _arg_min_max(step: Step, largest: bool) -> Call:
    input, axis = _input(step), step.params.axis
    sizes = {"outer": prod(input.shape[:axis]), "count": input.shape[axis], "inner": prod(input.shape[axis + 1 :])}
    kernel = f"arg_min_max_{input.dtype}"
    return Call("arg_min_max.c", kernel, "arg_min_max_params", sizes | {"largest": int(largest)}, (input,))


def _float_function(step: Step, kernel: str) -> Call:
    return replace(_relu_float32(step, kernel), source="unary.c")


def _leaky_relu_float32(step: Step) -> Call:
    params = {"size": _size(step), "alpha": step.params.alpha}
    return Call("unary.c", "leaky_relu_float32", "leaky_relu_params", params, (_input(step),))


def _sigmoid_int16(step: Step, kernel: str) -> Call:
    p = step.params
    params = {
        "size": _size(step),
        "input_multiplier": p.input_multiplier,
        "input_left_shift": p.input_left_shift,
        "table": SIGMOID.astype(np.uint16),
    }
    return Call("sigmoid_int16.c", kernel, "sigmoid_int16_params", params, (_input(step),))


def _elementwise(step: Step, kernel: str) -> Call:
    return Call("elementwise.c", kernel, "size_params", {"size": _size(step)}, (_input(step),))


def _abs_int16(step: Step) -> Call:
    p, unscaled = (
        step.params,
        Multiplier(np.zeros((), np.int64), np.zeros((), np.int64), np.ones((), np.float32), "double"),
    )
    params = {
        "size": _size(step),
        "rescales": int(p.multiplier is not None),
        "abs_of_lowest": int(p.table[1 << 15]),
        "multiplier": p.multiplier or unscaled,
    }
    return Call("elementwise.c", "abs_int16", "abs_int16_params", params, (_input(step),))


def _rsqrt_int16(step: Step) -> Call:
    params = {"size": _size(step), "multiplier": step.params.multiplier}
    return Call("elementwise.c", "rsqrt_int16", "rsqrt_int16_params", params, (_input(step),))


def _leaky_relu_int16(step: Step) -> Call:
    p = step.params
    names = ("input_zero_point", "output_zero_point", "multiplier_identity", "multiplier_alpha")
    params = {"size": _size(step)} | {name: getattr(p, name) for name in names}
    params["sign"] = -1 if p.is_alpha_negative else 1
    return Call("elementwise.c", "leaky_relu_int16", "leaky_relu_int16_params", params, (_input(step),))


CAST_TYPES = ("float32", "int8", "int16", "int32", "uint32", "bool")
"""`enum cast_type`."""


def _cast(step: Step) -> Call:
    types = {"from": CAST_TYPES.index(_input(step).dtype), "to": CAST_TYPES.index(step.params.dtype)}
    return Call("cast.c", "cast", "cast_params", {"size": _size(step)} | types, (_input(step),))


def _line(step: Step) -> Fields:
    """The size of an operator along an axis."""
    p, shape = step.params, _input(step).shape
    sizes = {"outer": prod(shape[: p.axis]), "count": shape[p.axis], "inner": prod(shape[p.axis + 1 :])}
    return {"size": sizes | {"exclusive": int(p.exclusive), "reverse": int(p.reverse)}}


def _cumsum_int8(step: Step) -> Call:
    params = _line(step) | {
        name: getattr(step.params, name) for name in ("input_offset", "output_offset", "output_multiplier")
    }
    return Call("cumsum.c", "cumsum_int8", "cumsum_int8_params", params, (_input(step),))


def _cumsum_float32(step: Step) -> Call:
    return Call("cumsum.c", "cumsum_float32", "cumsum_float32_params", _line(step), (_input(step),))


def _extreme(step: Step, kernel: str) -> Call:
    params = {"axes": _reduced(step, step.params.axis)}
    return Call("reduce_extremes.c", kernel, "axes_params", params, (_input(step),))


def _select(step: Step) -> Call:
    tensors, shape = _tensors(*step.inputs), step.outputs[0].shape
    ones = (1,) * (MAX_RANK - len(shape))

    def strides(tensor: Tensor) -> Values:
        padded = (1,) * (MAX_RANK - len(tensor.shape)) + tensor.shape
        return Values(0 if padded[d] == 1 else prod(padded[d + 1 :]) for d in range(MAX_RANK))

    names = ("condition_strides", "x_strides", "y_strides")
    params = {"element_size": np.dtype(tensors[1].dtype).itemsize, "shape": Values(ones + shape)}
    params |= {name: strides(tensor) for name, tensor in zip(names, tensors, strict=True)}
    return Call("select.c", "select_elements", "select_params", params, tensors)


# ---- codes of 8 bits by table -------------------------------------------------------------------------------


def _lookup(step: Step) -> Call:
    """Every value that the operator gives, computed by its own kernel for the 256 codes.

    Codes on which TFLM's Invoke fails are taken for the nearest above that it takes.
    """
    input = _input(step)
    codes = np.arange(256, dtype=np.uint8).view(input.dtype)[:, np.newaxis]
    assert step.kernel.evaluate is not None
    try:
        values = np.asarray(step.kernel.evaluate(step.params, codes)).reshape(-1)
    except InferenceError as error:
        least = codes[~error.rows].min()
        values = np.asarray(step.kernel.evaluate(step.params, np.maximum(codes, least))).reshape(-1)
    bits = 8 * values.itemsize
    params = {"size": _size(step), "table": values.view(f"uint{bits}")}
    return Call("lookup.c", f"lookup_{bits}", f"lookup_{bits}_params", params, (input,))


# ---- what only moves elements -------------------------------------------------------------------------------


def _copies(step: Step) -> tuple[Call, ...]:
    """Each output from each input that reaches it, by where the operator's own kernel takes the elements from."""
    inputs = [t for t in step.inputs if t is not None]
    sources = inputs if step.facts.joins else [_data(step)]
    for tensor in inputs:
        require(
            tensor in sources or tensor.data is not None,
            f"{step}: input '{tensor.name}' says what moves where and is computed at run time; the C kernels take "
            "constant ones only",
        )
    starts = np.cumsum([0, *(prod(t.shape) for t in sources)])
    calls = []
    for number, taken in enumerate(_taken(step, sources, starts)):
        for source, start, end in zip(sources, starts, starts[1:], strict=False):
            places = np.flatnonzero((taken >= start) & (taken < end))
            if places.size:
                calls.append(_copied(step, source, taken[places] - start, places, number))
    return tuple(calls)


def _data(step: Step) -> Tensor:
    assert step.data is not None
    return step.data


def _taken(step: Step, sources: Sequence[Tensor], starts: Array) -> list[Array]:
    """For each output, which element of the `sources`, counted through, each of its elements is.

    The kernel moves the elements' numbers, a few bits at a time so that any type holds them.
    """
    bits = 1 if sources[0].dtype == "bool" else 7
    outputs = [np.zeros(prod(t.shape), np.int64) for t in step.outputs]
    assert step.kernel.evaluate is not None
    for shift in range(0, max(1, int(starts[-1]).bit_length()), bits):
        digits = {
            id(t): ((start + np.arange(prod(t.shape))) >> shift & (1 << bits) - 1).astype(t.dtype).reshape(1, *t.shape)
            for t, start in zip(sources, starts, strict=False)
        }
        arrays = [None if t is None else digits[id(t)] if id(t) in digits else _row(t) for t in step.inputs]
        moved = step.kernel.evaluate(step.params, *arrays)
        for output, x in zip(outputs, moved if isinstance(moved, tuple) else (moved,), strict=True):
            output += np.asarray(x).reshape(-1).astype(np.int64) << shift
    return outputs


def _row(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data[np.newaxis]


def _copied(step: Step, source: Tensor, taken: Array, places: Array, number: int) -> Call:
    """`output[places] = source[taken]`, as nested strides or, where there are none, block by block."""
    size = np.dtype(source.dtype).itemsize
    by_input = np.argsort(taken, kind="stable") if len(places) < prod(step.outputs[number].shape) else slice(None)
    nests = _nested(np.stack([taken[by_input], places[by_input]], axis=1))
    if nests is not None:
        front = [(1, (0, 0))] * (MAX_RANK - len(nests))
        shape, strides = zip(*front, *nests, strict=True)
        inputs, outputs = zip(*strides, strict=True)
        params = {
            "element_size": size,
            "shape": Values(shape),
            "input_start": int(taken[by_input][0]),
            "output_start": int(places[by_input][0]),
            "input_strides": Values(inputs),
            "output_strides": Values(outputs),
        }
        return Call("copies.c", "copy_elements", "copy_params", params, (source,), output=number)
    require(
        len(places) == prod(step.outputs[number].shape),
        f"{step}: elements of '{source.name}' go to places of '{step.outputs[number].name}' without regular strides, "
        "for which there is no C kernel",
    )
    block = _block(taken)
    params = {"count": len(taken) // block, "bytes": block * size, "starts": (taken[::block] * size).astype(np.int32)}
    return Call("copies.c", "gather_blocks", "gather_params", params, (source,), output=number)


def _nested(pairs: Array) -> list[tuple[int, tuple[int, int]]] | None:
    """(count, strides) from the outermost loop to the innermost that count through `pairs` (n, 2); None beyond 6."""
    nests: list[tuple[int, tuple[int, int]]] = []
    while len(pairs) > 1:
        steps = np.diff(pairs, axis=0)
        longest = _first(np.any(steps != steps[0], axis=1)) + 1
        count = next((n for n in range(longest, 1, -1) if len(pairs) % n == 0 and _regular(pairs, n)), 1)
        if count == 1 or len(nests) == MAX_RANK:
            return None
        nests.insert(0, (count, (int(steps[0, 0]), int(steps[0, 1]))))
        pairs = pairs[::count]
    return nests


def _first(where: Array) -> int:
    """The first place that is true, or the length."""
    places = np.flatnonzero(where)
    return int(places[0]) if places.size else len(where)


def _regular(pairs: Array, count: int) -> bool:
    """Whether every row of `count` goes on by the steps of the first."""
    return bool(np.all(np.diff(pairs.reshape(-1, count, 2), axis=1) == pairs[1] - pairs[0]))


def _block(taken: Array) -> int:
    """The most elements that always lie side by side."""
    longest = _first(np.diff(taken) != 1) + 1
    rows = (n for n in range(longest, 1, -1) if len(taken) % n == 0)
    return next((n for n in rows if np.all(np.diff(taken.reshape(-1, n), axis=1) == 1)), 1)


def _input(step: Step) -> Tensor:
    assert step.inputs[0] is not None
    return step.inputs[0]


def _tensors(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in tensors if tensor is not None)


class Values(tuple[int, ...]):
    """Numbers that stand in the struct itself, as an array."""


MAKERS: dict[str, Callable[[Step], Call | tuple[Call, ...]]] = {
    "conv_int8": _conv_int8,
    "conv_float32": _conv_float32,
    "depthwise_conv_int8": _depthwise_conv_int8,
    "depthwise_conv_float32": _depthwise_conv_float32,
    "fully_connected_int8": _fully_connected_int8,
    "fully_connected_float32": _fully_connected_float32,
    "max_pool_int8": partial(_pool_int8, kernel="max_pool_int8"),
    "max_pool_float32": partial(_pool_float32, kernel="max_pool_float32"),
    "average_pool_int8": partial(_pool_int8, kernel="average_pool_int8"),
    "average_pool_float32": partial(_pool_float32, kernel="average_pool_float32"),
    "softmax_int8": _softmax_int8,
    "softmax_float32": _softmax_float32,
    "add_int8": _add_int8,
    "add_float32": _add_float32,
    "relu_int8": _relu_int8,
    "relu_float32": partial(_relu_float32, kernel="relu_float32"),
    "relu6_int8": _relu6_int8,
    "relu6_float32": partial(_relu_float32, kernel="relu6_float32"),
    "sum_int8": _sum_int8,
    "sum_float32": _sum_float32,
    "quantize_int8": _quantize_int8,
    "quantize_float32": _quantize_float32,
    "dequantize_int8": _dequantize_int8,
    "conv_int16": _conv_int16,
    "depthwise_conv_int16": _depthwise_conv_int16,
    "fully_connected_int16": _fully_connected_int16,
    "max_pool_int16": partial(_pool_int8, kernel="max_pool_int16", source="pooling_int16.c"),
    "average_pool_int16": partial(_pool_int8, kernel="average_pool_int16", source="pooling_int16.c"),
    "softmax_int16": _softmax_int16,
    "sum_int16": _sum_int16,
    "requantize": _quantize,
    "dequantize_int16": _dequantize_int16,
    "add_int16": partial(_scaled_pair, kernel="add_int16"),
    "add_int32": partial(_pair, source="sub.c", kernel="add_int32"),
    "sub_int8": partial(_scaled_pair, kernel="sub_int8"),
    "sub_int16": partial(_scaled_pair, kernel="sub_int16"),
    "sub_float32": partial(_pair, source="sub.c", kernel="sub_float32"),
    "sub_int32": partial(_pair, source="sub.c", kernel="sub_int32"),
    "mul_int8": partial(_mul, kernel="mul_int8"),
    "mul_int16": partial(_mul, kernel="mul_int16"),
    "mul_float32": partial(_pair, source="mul.c", kernel="mul_float32"),
    "mul_int32": partial(_pair, source="mul.c", kernel="mul_int32"),
    **{
        f"{op}_{dtype}": partial(_plain_pair, source="maximum_minimum.c", kernel=f"{op}_{dtype}")
        for op in ("maximum", "minimum")
        for dtype in ("int8", "int16", "int32", "int64", "float32")
    },
    "squared_difference_int8": partial(_squared_difference, kernel="squared_difference_int8"),
    "squared_difference_int16": partial(_squared_difference, kernel="squared_difference_int16"),
    **{
        kernel: partial(_plain_pair, source="squared_difference.c", kernel=kernel)
        for kernel in ("squared_difference_float32", "squared_difference_int32")
    },
    **{
        f"{op}_int8": partial(_comparison_int8, kernel=f"{op}_int8")
        for op in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
    },
    **{
        kernel: partial(_plain_pair, source="comparisons.c", kernel=kernel)
        for kernel in (
            *(
                f"{op}_{dtype}"
                for op in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
                for dtype in ("float32", "int32", "int64")
            ),
            "equal_bool",
            "not_equal_bool",
            "logical_and",
            "logical_or",
        )
    },
    "div_int8": _div_int8,
    "div_float32": partial(_pair, source="div.c", kernel="div_float32"),
    "div_int32": partial(_pair, source="div.c", kernel="div_int32"),
    "floor_div_float32": partial(_plain_pair, source="div.c", kernel="floor_div_float32"),
    "floor_mod_float32": partial(_plain_pair, source="div.c", kernel="floor_mod_float32"),
    "prelu_int8": partial(_prelu, kernel="prelu_int8"),
    "prelu_int16": partial(_prelu, kernel="prelu_int16"),
    "prelu_float32": partial(_plain_pair, source="prelu.c", kernel="prelu_float32"),
    "select": _select,
    **{
        kernel: partial(_extreme, kernel=kernel)
        for kernel in ("reduce_max_int8", "reduce_max_float32", "reduce_min_int8", "reduce_min_float32", "reduce_all")
    },
    "cast": _cast,
    "cumsum_int8": _cumsum_int8,
    "cumsum_float32": _cumsum_float32,
    **{
        kernel: partial(_elementwise, kernel=kernel)
        for kernel in (
            *(
                f"{op}_float32"
                for op in ("abs", "neg", "sqrt", "rsqrt", "square", "exp", "log", "sin", "cos", "elu", "ceil", "floor")
            ),
            "round_float32",
            "logical_not",
        )
    },
    "abs_int16": _abs_int16,
    "rsqrt_int16": _rsqrt_int16,
    "leaky_relu_int16": _leaky_relu_int16,
    "transpose_conv_int8": partial(_transpose_conv, kernel="transpose_conv_int8"),
    "transpose_conv_int16": partial(_transpose_conv, kernel="transpose_conv_int16"),
    "resize_bilinear_int8": _resize_bilinear,
    "batch_matmul_int8": partial(_batch_matmul, kernel="batch_matmul_int8"),
    "batch_matmul_int16": partial(_batch_matmul, kernel="batch_matmul_int16"),
    "logistic_float32": partial(_float_function, kernel="logistic_float32"),
    "tanh_float32": partial(_float_function, kernel="tanh_float32"),
    "hard_swish_float32": partial(_float_function, kernel="hard_swish_float32"),
    "leaky_relu_float32": _leaky_relu_float32,
    "logistic_int16": partial(_sigmoid_int16, kernel="logistic_int16"),
    "tanh_int16": partial(_sigmoid_int16, kernel="tanh_int16"),
    "relu_int16": lambda step: replace(_relu_int8(step), source="unary.c", kernel="relu_int16"),
    "relu6_int16": lambda step: replace(_relu6_int8(step), source="unary.c", kernel="relu6_int16"),
    "arg_max": partial(_arg_min_max, largest=True),
    "arg_min": partial(_arg_min_max, largest=False),
    "lookup": _lookup,
    "copies": _copies,
    "pad": _pad,
    "reshape": _reshape,
}
"""By C kernel: what makes a call of it."""

CALLS = {(op, dtype): MAKERS[kernel] for op, facts in FACTS.items() for dtype, kernel in facts.c_kernels.items()}
"""The operators with a C kernel, at each type of their data."""
