"""One small network in int8 and in float32, made so that every deliberate fault of the firmware shows.

x 1×9×9×3 → conv 5, SAME, RELU6 → max pool → depthwise, SAME, RELU → average pool → flatten → dense 16, RELU → dense 10
→ softmax. Zero points lie off centre; activations cut at both ends; the convolutions' weights are small, so that few
bits are shifted out and roundings differ often, in the first channel by halves that are exact; the first dense layer's
are large, so that its sums pass 16 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refengine.model import Array, Graph, Model, Op, Tensor
from refengine.tflite_io import dump, load
from tests.models import const, fed, q

CONV, MAX_POOL, DEPTHWISE, AVERAGE_POOL, RESHAPE, HIDDEN, LOGITS, SOFTMAX = range(8)
"""The operators."""

NONE, RELU, RELU6 = ({"fused_activation_function": name} for name in ("NONE", "RELU", "RELU6"))
SLIDING = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
DENSE = {"keep_num_dims": False, "weights_format": "DEFAULT", "quantized_bias_type": "float32"}
SMALL, LARGE = 8, 127  # the largest code of weights


def network(dtype: str, softmax: bool = True) -> Model:
    """The network as it is read from its file, so with a hash."""
    rng = np.random.default_rng(4)

    def computed(name: str, *shape: int, scale: float, zero_point: int) -> Tensor:
        return fed((1, *shape), dtype, q(scale, zero_point) if dtype == "int8" else None, name)

    def weights(*shape: int, largest: int, scale: float, axis: int = 0, biases: int = 200) -> tuple[Tensor, Tensor]:
        """Weights and bias, with a scale for each channel along `axis`."""
        channels = shape[axis]
        codes, offsets = rng.integers(-largest, largest + 1, shape), rng.integers(-biases, biases, channels)
        if dtype == "float32":
            return const(codes * scale, dtype, name="w"), const(offsets * scale / 20, dtype, name="b")
        scales = (scale, *(scale * rng.uniform(0.7, 1.3, channels - 1)).tolist())
        return const(codes, dtype, q(scales, 0, axis), "w"), const(offsets, "int32", name="b")

    return chain(
        computed("x", 9, 9, 3, scale=1 / 16, zero_point=12),
        ("CONV_2D", SLIDING | RELU6, weights(5, 3, 3, 3, largest=SMALL, scale=1 / 16),
         computed("conv", 9, 9, 5, scale=1 / 32, zero_point=-100)),
        ("MAX_POOL_2D", pool(1) | NONE, (), computed("largest", 8, 8, 5, scale=1 / 32, zero_point=-100)),
        ("DEPTHWISE_CONV_2D", SLIDING | RELU | {"depth_multiplier": 1},
         weights(1, 3, 3, 5, largest=SMALL, scale=1 / 32, axis=3),
         computed("deep", 8, 8, 5, scale=1 / 32, zero_point=-90)),
        ("AVERAGE_POOL_2D", pool(2) | NONE, (), computed("mean", 4, 4, 5, scale=1 / 32, zero_point=-90)),
        ("RESHAPE", {"new_shape": (1, 80)}, (const([1, 80], "int32", name="shape"),),
         computed("flat", 80, scale=1 / 32, zero_point=-90)),
        ("FULLY_CONNECTED", DENSE | RELU, weights(16, 80, largest=LARGE, scale=0.003, biases=9000),
         computed("hidden", 16, scale=0.03, zero_point=-80)),
        ("FULLY_CONNECTED", DENSE | NONE, weights(10, 16, largest=SMALL, scale=0.03),
         computed("logits", 10, scale=0.06, zero_point=7)),
        *([("SOFTMAX", {"beta": 1.0}, (), computed("softmax", 10, scale=1 / 256, zero_point=-128))] if softmax else []),
    )  # fmt: skip


def pool(stride: int) -> dict[str, Any]:
    """A 2×2 pool's options."""
    return {"padding": "VALID", "stride_h": stride, "stride_w": stride, "filter_height": 2, "filter_width": 2}


def chain(x: Tensor, *layers: tuple[str, dict[str, Any], tuple[Tensor, ...], Tensor]) -> Model:
    """Each layer (operator, options, constants, output) reads the output of the one before, the first one `x`."""
    tensors, last = [x], 0
    ops: list[Op] = []
    for name, options, constants, output in layers:
        first = len(tensors)
        tensors += [*constants, output]
        inputs = (last, *range(first, len(tensors) - 1))
        last = len(tensors) - 1
        ops.append(Op(len(ops), name, inputs, (last,), options))
    placed = (Tensor(i, t.name, t.shape, t.dtype, t.quantization, t.data) for i, t in enumerate(tensors))
    return load(dump(Model((Graph(0, "main", tuple(placed), (0,), (last,), tuple(ops)),))))


def picture(dtype: str) -> Array:
    rng = np.random.default_rng(7)
    if dtype == "float32":
        return rng.uniform(-4, 4, (1, 9, 9, 3)).astype(np.float32)
    return rng.integers(-128, 128, (1, 9, 9, 3), np.int8)
