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

from ..errors import require
from ..kernels import FACTS
from ..kernels._linear import Computed
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

    `source` is the kernel's file. `in_place`: output and first argument may share their memory. `patch` is how many
    taps of a window the kernel copies to the stack.
    """

    source: str
    kernel: str
    struct: str
    params: Fields
    arguments: tuple[Tensor | Constant, ...]
    in_place: bool = False
    patch: int = 0


def call_of(step: Step, constants: Mapping[int, Array]) -> Call:
    """The C call of a step; `constants` are the values of the tensors known when exporting, by index.

    Raises `UnsupportedError` for an operator or type without a C kernel, and for layers whose weights are computed.
    """
    dtype = step.data.dtype if step.data else ""
    make = CALLS.get((step.name, dtype))
    require(
        make,
        f"{step}: there is no C kernel{f' for {dtype}' if dtype else ''}; export takes int8 and float32 models of "
        f"{', '.join(dict.fromkeys(op for op, _ in CALLS))}, and whatever depends on constants only",
    )
    assert make is not None
    require(
        not isinstance(step.params, Computed),
        f"{step}: the C kernels of layers take weights and biases that are constant in the file only",
    )
    call = make(step)
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


def _pool_int8(step: Step, kernel: str) -> Call:
    params = {
        "window": _window(step),
        "activation_min": step.params.activation_min,
        "activation_max": step.params.activation_max,
    }
    return Call("pooling.c", kernel, "pool_int8_params", params, (_input(step),))


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
    require(p.dtype == "int8", f"{step}: has a C kernel from int8 to int8 only, not to {p.dtype}")
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


def _input(step: Step) -> Tensor:
    assert step.inputs[0] is not None
    return step.inputs[0]


def _tensors(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in tensors if tensor is not None)


class Values(tuple[int, ...]):
    """Numbers that stand in the struct itself, as an array."""


MAKERS: dict[str, Callable[[Step], Call]] = {
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
    "pad": _pad,
    "reshape": _reshape,
}
"""By C kernel: what makes a call of it."""

CALLS = {(op, dtype): MAKERS[kernel] for op, facts in FACTS.items() for dtype, kernel in facts.c_kernels.items()}
"""The operators with a C kernel, at each type of their data."""
