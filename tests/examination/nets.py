"""A small convolutional network, trained by nobody, and its int8 conversion, with or without a planted defect."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np

from refengine.execute import execute
from refengine.model import Graph, Model, Op, Quantization, Tensor
from refengine.plan import make_plan
from tests.models import present

WINDOW = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
POOL = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
DENSE = {"keep_num_dims": False, "weights_format": "DEFAULT", "quantized_bias_type": "float32"}
RELU, NONE = {"fused_activation_function": "RELU"}, {"fused_activation_function": "NONE"}

CONV, DEPTHWISE, MAX_POOL, RESHAPE, HIDDEN, LOGITS, SOFTMAX = range(7)
"""The operators of the network."""


def float_net(seed: int = 3) -> Model:
    """x 1×10×10×1 → conv 6 → depthwise 6 → max pool → flatten → dense 16 → dense 4 → softmax."""
    rng = np.random.default_rng(seed)
    numbers = count()
    tensors: list[Tensor] = []

    def tensor(name: str, *shape: int, data: np.ndarray | None = None) -> int:
        index = next(numbers)
        tensors.append(Tensor(index, name, shape, "float32" if data is None else data.dtype.name, None, data))
        return index

    def weights(name: str, *shape: int, taps: int) -> int:
        return tensor(name, *shape, data=(rng.normal(size=shape) / taps**0.5).astype(np.float32))

    x = tensor("x", 1, 10, 10, 1)
    conv, deep = tensor("conv", 1, 8, 8, 6), tensor("depthwise", 1, 6, 6, 6)
    pool, flat = tensor("pool", 1, 3, 3, 6), tensor("flat", 1, 54)
    hidden, logits, softmax = tensor("hidden", 1, 16), tensor("logits", 1, 4), tensor("softmax", 1, 4)
    shape = tensor("shape", 2, data=np.array([1, 54], np.int32))
    conv_inputs = (x, weights("wc", 6, 3, 3, 1, taps=4), weights("bc", 6, taps=20))
    deep_inputs = (conv, weights("wd", 1, 3, 3, 6, taps=4), weights("bd", 6, taps=20))
    hidden_inputs = (flat, weights("wh", 16, 54, taps=20), weights("bh", 16, taps=20))
    logits_inputs = (hidden, weights("wl", 4, 16, taps=4), weights("bl", 4, taps=20))
    ops = (
        Op(CONV, "CONV_2D", conv_inputs, (conv,), WINDOW | RELU),
        Op(DEPTHWISE, "DEPTHWISE_CONV_2D", deep_inputs, (deep,), WINDOW | RELU | {"depth_multiplier": 1}),
        Op(MAX_POOL, "MAX_POOL_2D", (deep,), (pool,), POOL | NONE),
        Op(RESHAPE, "RESHAPE", (pool, shape), (flat,), {"new_shape": (1, 54)}),
        Op(HIDDEN, "FULLY_CONNECTED", hidden_inputs, (hidden,), DENSE | RELU),
        Op(LOGITS, "FULLY_CONNECTED", logits_inputs, (logits,), DENSE | NONE),
        Op(SOFTMAX, "SOFTMAX", (logits,), (softmax,), {"beta": 1.0}),
    )
    return Model((Graph(0, "main", tuple(tensors), (x,), (softmax,), ops),))


def pictures(number: int = 64, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).random((number, 10, 10, 1), np.float32)


def calibrated(model: Model) -> dict[str, tuple[float, int]]:
    """(scale, zero point) of every computed tensor, so that int8 just holds what the pictures make of it."""
    found = {"x": (1 / 255, -128), "softmax": (1 / 256, -128)}
    for record in execute(make_plan(model), pictures()):
        (t,) = record.step.outputs
        low, high = min(0.0, float(record.outputs[0].min())), float(record.outputs[0].max())
        scale = float(np.float32((high - low) / 255))
        found.setdefault(t.name, (scale, round(-128 - low / scale)))
    return found | {"pool": found["depthwise"], "flat": found["depthwise"]}


def converted(
    planted: dict[str, tuple[float, int]] | None = None, dead: tuple[str, int] | None = None, gain: float = 1.0
) -> Model:
    """`float_net` as int8, as a converter would make it, but for what is planted.

    Other scales and zero points for the tensors that `planted` names; 0 for the weights and bias of `dead`'s channel;
    for channel 1 of `wh` a scale `gain` times what it should be.
    """
    model = float_net()
    activations = calibrated(model) | (planted or {})
    (graph,) = model.graphs
    made = {t.name: t for t in graph.tensors}

    for name, (scale, zero_point) in activations.items():
        quantization = Quantization((float(np.float32(scale)),), (zero_point,))
        made[name] = replace(made[name], dtype="int8", quantization=quantization)
    for op in graph.ops:
        if len(op.inputs) != 3:
            continue
        input, filter, bias = (graph.tensors[i].name for i in op.inputs)
        axis = 3 if op.name == "DEPTHWISE_CONV_2D" else 0
        real, added = present(made[filter].data), present(made[bias].data)
        others = tuple(i for i in range(real.ndim) if i != axis)
        scales = (np.abs(real).max(axis=others) / 127).astype(np.float32)
        along = [1] * real.ndim
        along[axis] = -1
        codes = np.round(real / scales.reshape(along)).astype(np.int8)
        offsets = np.round(added / (activations[input][0] * scales)).astype(np.int32)
        if dead and dead[0] == filter:
            codes[(slice(None),) * axis + (dead[1],)], offsets[dead[1]] = 0, 0
        if filter == "wh":
            scales[1] *= gain
        quantization = Quantization(tuple(scales.tolist()), (0,) * len(scales), axis)
        made[filter] = replace(made[filter], dtype="int8", quantization=quantization, data=codes)
        made[bias] = replace(made[bias], dtype="int32", data=offsets)
    return replace(model, graphs=(replace(graph, tensors=tuple(made[t.name] for t in graph.tensors)),))
