"""Layers, pools and matrices: windows, weights and biases, and the way from accumulators to codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..kernels.batch_matmul import Operands
from ..model import Array, Tensor
from ..numerics.fixedpoint import Multiplier
from ..numerics.requantize import Requantizer
from ..plan import Step
from .call import MAX_RANK, Argument, Call, Constant, Fields, Maker, Scratch, Values, data_of, given, input_of
from .packing import Packed, packed_3x3, packed_pairs


def _window(step: Step, window: Any = None) -> Fields:
    window, (input, output) = window or step.params.window, (step.inputs[0], step.outputs[0])
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
    call, filter = _plain_conv_int8(step), _filter(step)
    return _by_pairs(call, filter.reshape(len(filter), -1), _multiplier(call)) if len(step.params.groups) == 1 else call


def _plain_conv_int8(step: Step) -> Call:
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
    arguments = (input_of(step), Constant("filter", filter), bias)
    return Call("conv.c", "conv_int8", "conv_int8_params", params, arguments, patch=filter[0].size)


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


def _multiplier(call: Call) -> Multiplier:
    multiplier: Multiplier = call.params["requantize"]["output_multiplier"]
    return multiplier


def _output_offset(call: Call) -> int:
    return int(call.params["requantize"]["output_offset"])


def _conv_float32(step: Step) -> Call:
    filter = _filter(step)
    params = {"window": _window(step), "filter_depth": filter.shape[3], **_float_activation(step.params)}
    arguments = (input_of(step), Constant("filter", filter), Constant("bias", step.params.bias))
    return Call("conv.c", "conv_float32", "conv_float32_params", params, arguments)


def _depthwise_conv_int8(step: Step) -> Call:
    call = _plain_depthwise_conv_int8(step)
    return _sliding(call, _multiplier(call))


def _plain_depthwise_conv_int8(step: Step) -> Call:
    p, filter = step.params, _filter(step)
    sums = filter.reshape(-1, filter.shape[3]).sum(axis=0, dtype=np.int64)
    params = {
        "window": _window(step),
        "depth_multiplier": step.op.options["depth_multiplier"],
        "input_offset": p.input_offset,
        "requantize": _requantize(p.requantize, p.requantize.multiplier),
    }
    arguments = (input_of(step), Constant("filter", filter), _folded(p.requantize.bias, p.input_offset, sums))
    return Call("depthwise_conv.c", "depthwise_conv_int8", "depthwise_conv_int8_params", params, arguments)


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
    arguments = (input_of(step), Constant("filter", _filter(step)), Constant("bias", step.params.bias))
    return Call("depthwise_conv.c", "depthwise_conv_float32", "depthwise_conv_float32_params", params, arguments)


def _fully_connected_size(step: Step) -> Fields:
    (*lead, output_depth), accum_depth = step.outputs[0].shape, _filter(step).shape[1]
    return {"batches": prod(lead), "accum_depth": accum_depth, "output_depth": output_depth}


def _fully_connected_int8(step: Step) -> Call:
    call = _plain_fully_connected_int8(step)
    return call if step.params.weights_offset else _by_pairs(call, _filter(step), _multiplier(call))


def _plain_fully_connected_int8(step: Step) -> Call:
    p, filter = step.params, _filter(step)
    params = _fully_connected_size(step) | {
        "input_offset": p.input_offset,
        "filter_offset": p.weights_offset,
        "requantize": _requantize(p.requantize, p.requantize.multiplier),
    }
    sums = (filter.astype(np.int64) + p.weights_offset).sum(axis=1)
    bias = _folded(p.requantize.bias, p.input_offset, sums)
    arguments = (input_of(step), Constant("filter", filter), bias)
    name = "fully_connected_int8"
    return Call("fully_connected.c", name, f"{name}_params", params, arguments, patch=filter.shape[1])


def _fully_connected_float32(step: Step) -> Call:
    params = _fully_connected_size(step) | _float_activation(step.params)
    arguments = (input_of(step), Constant("filter", _filter(step)), Constant("bias", step.params.bias))
    return Call("fully_connected.c", "fully_connected_float32", "fully_connected_float32_params", params, arguments)


def _pool_int8(step: Step, kernel: str, source: str = "pooling.c") -> Call:
    params = {
        "window": _window(step),
        "activation_min": step.params.activation_min,
        "activation_max": step.params.activation_max,
    }
    return Call(source, kernel, "pool_int8_params", params, (input_of(step),))


def _pool_float32(step: Step, kernel: str) -> Call:
    params = {"window": _window(step), **_float_activation(step.params)}
    return Call("pooling.c", kernel, "pool_float32_params", params, (input_of(step),))


def _l2_pool_float32(step: Step) -> Call:
    pool = step.params.pool
    params = {"window": _window(step, pool.window), **_float_activation(pool)}
    return Call("pooling.c", "l2_pool_float32", "pool_float32_params", params, (input_of(step),))


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
    arguments = (input_of(step), Constant("filter", filter), Constant("bias", _wide_bias(parts)))
    return Call("conv_int16.c", "conv_int16", "conv_int16_params", params, arguments)


def _depthwise_conv_int16(step: Step) -> Call:
    requantize = step.params.requantize
    params = {
        "window": _window(step),
        "depth_multiplier": step.op.options["depth_multiplier"],
        "accumulator_bits": requantize.bits,
        "requantize": _requantize(requantize, requantize.multiplier),
    }
    arguments = (input_of(step), Constant("filter", _filter(step)), Constant("bias", requantize.bias))
    return Call("depthwise_conv_int16.c", "depthwise_conv_int16", "depthwise_conv_int16_params", params, arguments)


def _fully_connected_int16(step: Step) -> Call:
    call, p, filter = _plain_fully_connected_int16(step), step.params, _filter(step)
    sums = (filter.astype(np.int64) + p.weights_offset).sum(axis=1)
    bias = Constant("bias", p.requantize.bias + p.input_offset * sums)
    return replace(call, params=call.params | {"input_offset": 0}, arguments=(*call.arguments[:2], bias))


def _plain_fully_connected_int16(step: Step) -> Call:
    p = step.params
    params = _fully_connected_size(step) | {
        "input_offset": p.input_offset,
        "filter_offset": p.weights_offset,
        "accumulator_bits": p.requantize.bits,
        "requantize": _requantize(p.requantize, p.requantize.multiplier),
    }
    arguments = (input_of(step), Constant("filter", _filter(step)), Constant("bias", p.requantize.bias))
    return Call("fully_connected_int16.c", "fully_connected_int16", "fully_connected_int16_params", params, arguments)


def _transpose_conv(step: Step, kernel: str) -> Call:
    p, requantize = step.params, step.params.requantize
    params = {
        "window": _scatter(step),
        "input_offset": p.input_offset,
        "accumulator_bits": requantize.bits,
        "requantize": _requantize(requantize, requantize.multiplier),
    }
    arguments = (data_of(step), Constant("filter", _filter(step)), Constant("bias", requantize.bias))
    return Call("transpose_conv.c", kernel, "transpose_conv_params", params, arguments)


def _transpose_conv_float32(step: Step) -> Call:
    params = {"window": _scatter(step), "filter_depth": _filter(step).shape[3], **_float_activation(step.params)}
    arguments = (data_of(step), Constant("filter", _filter(step)), Constant("bias", step.params.bias))
    return Call("transpose_conv.c", "transpose_conv_float32", "conv_float32_params", params, arguments)


def _scatter(step: Step) -> Fields:
    """The window of a transposed convolution."""
    scatter, input, output = step.params.scatter, data_of(step), step.outputs[0]
    pairs = {"input": scatter.input, "output": scatter.output, "filter": scatter.filter, "stride": scatter.stride}
    window = {
        f"{name}_{side}": size
        for name, sizes in (pairs | {"padding": scatter.pad}).items()
        for side, size in zip(("height", "width"), sizes, strict=True)
    }
    depths = {"batches": input.shape[0], "input_depth": input.shape[3], "output_depth": output.shape[3]}
    return window | depths | {"dilation_height_factor": 1, "dilation_width_factor": 1}


def _batch_matmul(step: Step, kernel: str) -> Call:
    p = step.params
    params = _matrices(step, p.operands) | {
        "lhs_offset": p.lhs_offset,
        "rhs_offset": p.rhs_offset,
        "requantize": _requantize(p.requantize, _of_channels(p.requantize.multiplier)),
    }
    return Call("batch_matmul.c", kernel, "batch_matmul_params", params, given(*step.inputs))


def _batch_matmul_float32(step: Step) -> Call:
    name, params = "batch_matmul_float32", _matrices(step, step.params)
    return Call("batch_matmul.c", name, f"{name}_params", params, given(*step.inputs))


def _matrices(step: Step, operands: Operands) -> Fields:
    (lhs, rhs), output = given(*step.inputs), step.outputs[0]
    front = (1,) * (MAX_RANK - len(output.shape) + 1)

    def strides(tensor: Tensor) -> Values:
        batches = (*(1,) * (len(output.shape) - len(tensor.shape)), *tensor.shape[:-2])
        size = prod(tensor.shape[-2:])
        apart = (prod(batches[d + 1 :]) * size if n > 1 else 0 for d, n in enumerate(batches))
        return Values((*(0,) * (len(front) - 1 + 1), *apart, 0))

    (_, left), (_, right) = lhs.shape[-2:], rhs.shape[-2:]
    lhs_strides = (1, left) if operands.adj_x else (left, 1)
    rhs_strides = (right, 1) if operands.adj_y else (1, right)
    return {
        "matrices": {
            "shape": Values((*front, *output.shape[:-2], 1)),
            "input1_strides": strides(lhs),
            "input2_strides": strides(rhs),
        },
        "rows": output.shape[-2],
        "columns": output.shape[-1],
        "accum_depth": operands.accum_depth,
        "lhs_row_stride": lhs_strides[0],
        "lhs_depth_stride": lhs_strides[1],
        "rhs_column_stride": rhs_strides[0],
        "rhs_depth_stride": rhs_strides[1],
    }


def _of_channels(m: Multiplier) -> Multiplier:
    return Multiplier(np.atleast_1d(m.multiplier), np.atleast_1d(m.shift), np.atleast_1d(m.scale), m.rounding)


# ---- weights and biases that are computed at run time ----------------------------------------------------------


def computed_layer(step: Step, make: Maker) -> tuple[Call, ...]:
    """The calls of a layer of which `make` makes that of constants.

    Where the export folds the input's zero point into the bias of constants, int8 layers have a call of its own for it
    at run time; the kernel of int16 FULLY_CONNECTED does it itself. Where the kernel adds a bias of 64 bits, another
    call widens one of fewer.
    """
    places, weights, bias = step.params.places, step.weights, step.bias
    assert weights is not None
    filled = (
        t and replace(t, data=np.zeros(t.shape, t.dtype)) if i in places else t for i, t in enumerate(step.inputs)
    )
    constant = replace(step, params=step.params.alike, node=step.node._replace(inputs=tuple(filled)))
    call = PLAIN.get(make, make)(constant)
    assert isinstance(call, Call)
    input, filter, added = call.arguments
    filter = weights if step.facts.weights in places else filter
    is_fed = bias is not None and step.facts.bias in places
    if make in PLAIN and data_of(step).dtype == "int8":
        channels = step.outputs[0].shape[-1]
        scratch = Scratch(step.subgraph, step.index, 4 * channels)
        zeros = np.zeros(channels, np.int32)
        added = bias if is_fed and bias else Constant("bias", bias.data if bias and bias.data is not None else zeros)
        return _fold(call, weights, (filter, added, scratch)), replace(call, arguments=(input, filter, scratch))
    if not is_fed or bias is None:
        return (replace(call, arguments=(input, filter, added)),)
    if bias.dtype in ("int16", "int32"):
        wide = Scratch(step.subgraph, step.index, 8 * prod(bias.shape))
        return _widen(bias, wide), replace(call, arguments=(input, filter, wide))
    return (replace(call, arguments=(input, filter, bias)),)


def _widen(bias: Tensor, wide: Scratch) -> Call:
    """The call that makes a bias one of 64 bits."""
    params = {"size": prod(bias.shape)}
    return Call("widen_bias.c", f"widen_bias_{bias.dtype}", "size_params", params, (bias, wide), output=None)


def _fold(call: Call, weights: Tensor, arguments: tuple[Argument, ...]) -> Call:
    """The call that works out the bias of an int8 layer."""
    channels, last = weights.shape[0], prod(weights.shape[1:])
    of_last = call.kernel == "depthwise_conv_int8"  # channels lie in the last dimension
    if of_last:
        channels, last = weights.shape[-1], prod(weights.shape[:-1])
    params = {
        "channels": channels,
        "taps": last,
        "channel_step": 1 if of_last else last,
        "tap_step": channels if of_last else 1,
        "input_offset": call.params["input_offset"],
        "filter_offset": call.params.get("filter_offset", 0),
    }
    return Call("fold_bias.c", "fold_bias", "fold_bias_params", params, arguments, output=None)


PLAIN: dict[Maker, Maker] = {
    _conv_int8: _plain_conv_int8,
    _depthwise_conv_int8: _plain_depthwise_conv_int8,
    _fully_connected_int8: _plain_fully_connected_int8,
    _fully_connected_int16: _plain_fully_connected_int16,
}
"""By what makes the call of a layer of constants: what makes that of the kernel without proofs, and folds nothing."""

MAKERS: dict[str, Maker] = {
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
    "conv_int16": _conv_int16,
    "depthwise_conv_int16": _depthwise_conv_int16,
    "fully_connected_int16": _fully_connected_int16,
    "max_pool_int16": partial(_pool_int8, kernel="max_pool_int16", source="pooling_int16.c"),
    "average_pool_int16": partial(_pool_int8, kernel="average_pool_int16", source="pooling_int16.c"),
    "batch_matmul_float32": _batch_matmul_float32,
    "transpose_conv_float32": _transpose_conv_float32,
    "l2_pool_float32": _l2_pool_float32,
    "transpose_conv_int8": partial(_transpose_conv, kernel="transpose_conv_int8"),
    "transpose_conv_int16": partial(_transpose_conv, kernel="transpose_conv_int16"),
    "batch_matmul_int8": partial(_batch_matmul, kernel="batch_matmul_int8"),
    "batch_matmul_int16": partial(_batch_matmul, kernel="batch_matmul_int16"),
}
"""By C kernel: what makes a call of it."""
