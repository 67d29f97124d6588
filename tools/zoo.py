"""Make the zoo: tiny float networks, one for each rule of quantisation, with what the TFLite converter makes of them.

    python tools/zoo.py --out zoo
    python tools/zoo.py conv_relu concat --out few --pack few.tar.xz
    python tools/zoo.py --random 100 --out wild

Most are functions of TensorFlow's. What becomes of none here, such as the LSTM that the converter fuses only for some
releases of Keras, is a float file of our own, which its calibrator and quantizers take as they take the converter's.

For each network: `NAME_float32.tflite` with the ranges that the converter's calibrator saw (in the tensors' min and
max), `NAME_int8.tflite`, `NAME_int8_float32.tflite` (float32 in and out) and `NAME_int16x8.tflite`, as far as the
converter makes them, and `NAME.npz`, the calibration data, one array per input with the samples along the first
axis. What it refuses is printed with its reason. --pack packs the networks, without the data, as tests/data keeps them.

Needs the extra `train` (TensorFlow). Weights and samples come from generators seeded by the network's name.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python.xla import dynamic_update_slice
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize import calibrator

from refengine import Model
from refengine.kernel import Node
from refengine.model import Tensor
from refengine.strategies import model_of
from refengine.tflite_io import dump

SAMPLES = 8
IMAGE = (1, 6, 6, 4)
SEQUENCE = (1, 5, 9)
OPEN = (None, 6, 6, 4)  # the batch dimension left open
KINDS = {
    "int8": (tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.int8),
    "int8_float32": (tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.float32),
    "int16x8": (tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, tf.int16),
}

Network = tuple[Callable[..., Any], tuple[tuple[int | None, ...], ...]]


class Weights:
    """Random constants of a network, drawn in the order in which it asks for them."""

    def __init__(self, name: str) -> None:
        self.random = np.random.default_rng(zlib.crc32(name.encode()))

    def __call__(self, *shape: int, scale: float = 0.5, offset: float = 0.0) -> tf.Tensor:
        return tf.constant(self.random.normal(offset, scale, shape).astype(np.float32))


def conv(x: Any, w: Any, channels: int = 5, bias: bool = True, size: int = 3, **options: Any) -> Any:
    x = tf.nn.conv2d(x, w(size, size, x.shape[-1], channels), **{"strides": 1, "padding": "SAME", **options})
    return tf.nn.bias_add(x, w(channels)) if bias else x


def depthwise(x: Any, w: Any, multiplier: int = 1, strides: int = 1, **options: Any) -> Any:
    channels = x.shape[-1]
    kernel = w(3, 3, channels, multiplier)
    options = {"strides": [1, strides, strides, 1], "padding": "SAME", **options}
    return tf.nn.bias_add(tf.nn.depthwise_conv2d(x, kernel, **options), w(channels * multiplier))


def dense(x: Any, w: Any, units: int = 7, bias: bool = True) -> Any:
    x = tf.matmul(x, w(x.shape[-1], units))
    return x + w(units) if bias else x


def batch_norm(x: Any, w: Any) -> Any:
    channels = x.shape[-1]
    return x * w(channels, offset=1.0) + w(channels)


def n1_to_1(x: Any) -> Any:
    return tf.minimum(tf.maximum(x, -1.0), 1.0)


def hard_swish(x: Any) -> Any:
    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


def lenet(x: Any, w: Any) -> Any:
    x = tf.nn.max_pool2d(tf.nn.relu(conv(x, w, 4)), 2, 2, "VALID")
    x = tf.nn.relu(dense(tf.reshape(x, (1, -1)), w, 12))
    return tf.nn.softmax(dense(x, w, 10))


def residual(x: Any, w: Any) -> Any:
    y = tf.nn.relu(conv(x, w, 4))
    return tf.nn.relu(conv(y, w, 4) + x)


def mobile(x: Any, w: Any) -> Any:
    x = tf.nn.relu6(conv(x, w, 4, strides=2))
    y = tf.nn.relu6(batch_norm(depthwise(tf.nn.relu6(conv(x, w, 8, size=1)), w), w))
    return tf.nn.softmax(dense(tf.reduce_mean(conv(y, w, 4, size=1) + x, [1, 2]), w, 5))


def inception(x: Any, w: Any) -> Any:
    branches = [tf.nn.relu(conv(x, w, 3, size=1)), conv(x, w, 2) * 3.0, tf.nn.max_pool2d(x, 3, 1, "SAME")]
    return tf.nn.avg_pool2d(tf.concat(branches, -1), 2, 2, "VALID")


def squeeze_excite(x: Any, w: Any) -> Any:
    x = conv(x, w, 4)
    gate = tf.nn.relu(dense(tf.reduce_mean(x, [1, 2]), w, 3))
    return x * tf.reshape(tf.sigmoid(dense(gate, w, 4)), (1, 1, 1, 4))


def prelu(x: Any, w: Any) -> Any:
    return tf.nn.relu(x) + -w(1, 1, x.shape[-1]) * tf.nn.relu(-x)


def layer_norm(x: Any, w: Any) -> Any:
    d = x - tf.reduce_mean(x, -1, keepdims=True)
    return d * tf.math.rsqrt(tf.reduce_mean(tf.square(d), -1, keepdims=True) + 1e-3) * w(x.shape[-1], offset=1.0)


def attention(x: Any, w: Any) -> Any:
    q, k, v = (tf.einsum("abc,cd->abd", x, w(x.shape[-1], 4)) for _ in range(3))
    return tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True)), v)


def unrolled_lstm(x: Any, w: Any) -> Any:
    """Three steps as the converter sees them where it does not fuse the layer."""
    kernel, recurrent, bias = w(x.shape[-1], 16), w(4, 16), w(16)
    h = c = tf.zeros((1, 4))
    for t in range(3):
        i, f, g, o = tf.split(x[:, t] @ kernel + h @ recurrent + bias, 4, 1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
    return h


def pushed(buffer: Any, x: Any) -> Any:
    """A window of a stream, which a variable holds from one inference to the next."""
    window = tf.concat([buffer[:, x.shape[1] :], x], 1)
    buffer.assign(window)
    return window


def stream_twice(x: Any, buffer: Any, other: Any, w: Any) -> Any:
    y = tf.nn.relu(tf.nn.conv1d(pushed(buffer, x), w(3, 3, 4), 1, "VALID") + w(4))
    return dense(tf.reshape(pushed(other, y), (1, 12)), w, 5)


def inner_output(x: Any, w: Any) -> Any:
    y = tf.nn.relu(conv(x, w))
    return y, conv(y, w, 2)


NETWORKS: dict[str, Network] = {
    # convolutions
    "conv": (lambda x, w: conv(x, w), (IMAGE,)),
    "conv_no_bias": (lambda x, w: conv(x, w, bias=False), (IMAGE,)),
    "conv_relu": (lambda x, w: tf.nn.relu(conv(x, w)), (IMAGE,)),
    "conv_relu6": (lambda x, w: tf.nn.relu6(conv(x, w)), (IMAGE,)),
    "conv_n1_to_1": (lambda x, w: n1_to_1(conv(x, w)), (IMAGE,)),
    "conv_tanh": (lambda x, w: tf.tanh(conv(x, w)), (IMAGE,)),
    "conv_batch_norm": (lambda x, w: tf.nn.relu(batch_norm(conv(x, w), w)), (IMAGE,)),
    "conv_valid_stride": (lambda x, w: conv(x, w, padding="VALID", strides=2), (IMAGE,)),
    "conv_dilated": (lambda x, w: conv(x, w, dilations=2), (IMAGE,)),
    "conv_1x1": (lambda x, w: conv(x, w, size=1), (IMAGE,)),
    "conv_padded": (lambda x, w: conv(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), w, padding="VALID"), (IMAGE,)),
    "conv_large_bias": (lambda x, w: conv(x, w, bias=False) * 1e-6 + 3000.0 * w(5), (IMAGE,)),
    "conv_dead_channel": (
        lambda x, w: tf.nn.bias_add(tf.nn.conv2d(x, w(3, 3, 4, 5) * [1.0, 0, 1, 1, 0], 1, "SAME"), w(5)),
        (IMAGE,),
    ),
    "depthwise": (lambda x, w: depthwise(x, w), (IMAGE,)),
    "depthwise_multiplier": (lambda x, w: tf.nn.relu6(depthwise(x, w, 2, 2)), (IMAGE,)),
    "depthwise_valid": (lambda x, w: depthwise(x, w, padding="VALID"), (IMAGE,)),
    # matrices
    "dense": (lambda x, w: dense(x, w), ((1, 9),)),
    "dense_no_bias": (lambda x, w: dense(x, w, bias=False), ((1, 9),)),
    "dense_relu": (lambda x, w: tf.nn.relu(dense(x, w)), ((1, 9),)),
    "dense_relu6": (lambda x, w: tf.nn.relu6(dense(x, w)), ((1, 9),)),
    "dense_batch": (lambda x, w: dense(x, w), ((4, 9),)),
    "dense_rank_3": (lambda x, w: tf.nn.relu(tf.einsum("abc,cd->abd", x, w(9, 7)) + w(7)), ((1, 5, 9),)),
    "dense_dense": (lambda x, w: dense(tf.nn.relu(dense(x, w)), w, 3), ((1, 9),)),
    # pools and reductions
    "max_pool": (lambda x, w: tf.nn.max_pool2d(x, 2, 2, "VALID"), (IMAGE,)),
    "average_pool": (lambda x, w: tf.nn.avg_pool2d(x, 2, 2, "SAME"), (IMAGE,)),
    "average_pool_relu": (lambda x, w: tf.nn.relu(tf.nn.avg_pool2d(x, 3, 1, "SAME")), (IMAGE,)),
    "max_pool_relu6": (lambda x, w: tf.nn.relu6(tf.nn.max_pool2d(x, 3, 1, "SAME")), (IMAGE,)),
    "conv_average_pool": (lambda x, w: tf.nn.avg_pool2d(conv(x, w), 2, 2, "VALID"), (IMAGE,)),
    "mean": (lambda x, w: tf.reduce_mean(x, [1, 2]), (IMAGE,)),
    "mean_keep": (lambda x, w: tf.reduce_mean(x, [1, 2], keepdims=True), (IMAGE,)),
    "mean_last": (lambda x, w: tf.reduce_mean(x, -1), (IMAGE,)),
    "mean_one": (lambda x, w: tf.reduce_mean(x, 1), (IMAGE,)),
    "sum": (lambda x, w: tf.reduce_sum(x, [1, 2]), (IMAGE,)),
    "reduce_max": (lambda x, w: tf.reduce_max(x, 2), (IMAGE,)),
    "conv_reduce_max": (lambda x, w: tf.reduce_max(conv(x, w), [1, 2]), (IMAGE,)),
    # activations
    "softmax": (lambda x, w: tf.nn.softmax(x), ((1, 9),)),
    "dense_softmax": (lambda x, w: tf.nn.softmax(dense(x, w)), ((1, 9),)),
    "logistic": (lambda x, w: tf.sigmoid(x), (IMAGE,)),
    "tanh": (lambda x, w: tf.tanh(x), (IMAGE,)),
    "relu": (lambda x, w: tf.nn.relu(x), (IMAGE,)),
    "relu6": (lambda x, w: tf.nn.relu6(x), (IMAGE,)),
    "mul_relu6": (lambda x, w: tf.nn.relu6(x * 5.0), (IMAGE,)),
    "leaky_relu": (lambda x, w: tf.nn.leaky_relu(x, 0.1), (IMAGE,)),
    "conv_leaky_relu": (lambda x, w: tf.nn.leaky_relu(conv(x, w), 0.1), (IMAGE,)),
    "hard_swish": (lambda x, w: hard_swish(x), (IMAGE,)),
    "conv_hard_swish": (lambda x, w: hard_swish(conv(x, w)), (IMAGE,)),
    "logistic_dense": (lambda x, w: dense(tf.sigmoid(dense(x, w)), w, 3), ((1, 9),)),
    # arithmetic
    "add": (lambda x, y, w: x + y, (IMAGE, IMAGE)),
    "add_relu": (lambda x, y, w: tf.nn.relu(x + 2 * y), (IMAGE, IMAGE)),
    "add_constant": (lambda x, w: x + w(6, 6, 4), (IMAGE,)),
    "add_scalar": (lambda x, w: x + 0.75, (IMAGE,)),
    "add_broadcast": (lambda x, y, w: x + y, (IMAGE, (1, 1, 1, 4))),
    "add_twice": (lambda x, w: x + x, (IMAGE,)),
    "sub": (lambda x, y, w: x - y, (IMAGE, IMAGE)),
    "sub_constant": (lambda x, w: w(6, 6, 4) - x, (IMAGE,)),
    "mul": (lambda x, y, w: x * y, (IMAGE, IMAGE)),
    "mul_constant": (lambda x, w: x * w(6, 6, 4), (IMAGE,)),
    "mul_scalar": (lambda x, w: x * -3.0, (IMAGE,)),
    "mul_broadcast": (lambda x, y, w: x * y, (IMAGE, (1, 1, 1, 4))),
    "mul_zero": (lambda x, w: tf.nn.relu(x) * tf.nn.relu(1.0 - x - 1.0), (IMAGE,)),
    "square": (lambda x, w: x * x, (IMAGE,)),
    # shapes
    "concat": (lambda x, y, w: tf.concat([x, 3 * y], -1), (IMAGE, IMAGE)),
    "concat_inputs": (lambda x, y, w: tf.concat([x, y], 1), (IMAGE, IMAGE)),
    "concat_relu": (lambda x, w: tf.concat([tf.nn.relu(conv(x, w)), conv(x, w, 2)], -1), (IMAGE,)),
    "concat_constant": (lambda x, w: tf.concat([conv(x, w), w(1, 6, 6, 2)], -1), (IMAGE,)),
    "concat_pool": (lambda x, w: tf.nn.max_pool2d(tf.concat([conv(x, w), x], -1), 2, 2, "VALID"), (IMAGE,)),
    "concat_twice": (lambda x, w: tf.concat([x, tf.nn.relu(x), x], -1), (IMAGE,)),
    "concat_softmax": (lambda x, w: tf.concat([tf.nn.softmax(x), tf.sigmoid(x)], -1), ((1, 9),)),
    "concat_softmax_dense": (lambda x, w: tf.concat([tf.nn.softmax(x), dense(x, w, 4)], -1), ((1, 9),)),
    "concat_shared": (
        lambda x, w: (lambda y: (tf.concat([y, 3 * y], -1), tf.concat([y, -5 * y], 1)))(conv(x, w)),
        (IMAGE,),
    ),
    "concat_nested": (lambda x, w: tf.concat([tf.concat([conv(x, w), x], -1), 9 * x], -1), (IMAGE,)),
    "concat_slice": (lambda x, w: tf.concat([conv(x, w)[:, :3], x[:, 3:, :, :3] @ w(3, 5)], 1), (IMAGE,)),
    "concat_add": (lambda x, w: tf.concat([x, 2 * x], -1)[..., :4] + x, (IMAGE,)),
    "concat_transpose": (lambda x, w: (tf.concat([x, 5 * x], -1), tf.transpose(x, (0, 2, 1, 3))), (IMAGE,)),
    "concat_output": (lambda x, w: (lambda y: (y, tf.concat([y, 4 * y], -1)))(conv(x, w)), (IMAGE,)),
    "pool_branches": (
        lambda x, w: (lambda y: (tf.nn.max_pool2d(y, 2, 2, "VALID"), tf.nn.avg_pool2d(y, 2, 2, "VALID")))(conv(x, w)),
        (IMAGE,),
    ),
    "pad_pool_reshape": (
        lambda x, w: tf.reshape(tf.nn.max_pool2d(tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]), 3, 2, "VALID"), (1, -1)),
        (IMAGE,),
    ),
    "logistic_pool": (lambda x, w: tf.nn.avg_pool2d(tf.sigmoid(x), 2, 2, "VALID"), (IMAGE,)),
    "softmax_reshape": (lambda x, w: tf.reshape(tf.nn.softmax(dense(x, w, 6)), (2, 3)), ((1, 9),)),
    "pad": (lambda x, w: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]), (IMAGE,)),
    "pad_value": (lambda x, w: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=-1.5), (IMAGE,)),
    "pad_relu": (lambda x, w: tf.pad(tf.nn.relu(conv(x, w)), [[0, 0], [1, 1], [1, 1], [0, 0]]), (IMAGE,)),
    "reshape": (lambda x, w: tf.reshape(x, (1, -1)), (IMAGE,)),
    "conv_flatten_dense": (lambda x, w: dense(tf.reshape(conv(x, w), (1, -1)), w), (IMAGE,)),
    "squeeze": (lambda x, w: tf.squeeze(x + 1.0, [0, 2]), ((1, 6, 1, 4),)),
    "expand_dims": (lambda x, w: tf.expand_dims(x, 2), (IMAGE,)),
    "transpose": (lambda x, w: tf.transpose(x, (0, 3, 1, 2)), (IMAGE,)),
    "strided_slice": (lambda x, w: x[:, 1:5:2, ::-1, 1:], (IMAGE,)),
    "slice": (lambda x, w: conv(x, w)[:, 1:4, :, 2], (IMAGE,)),
    "pack": (lambda x, y, w: tf.stack([x, y], 1), (IMAGE, IMAGE)),
    "pack_twice": (lambda x, w: tf.stack([conv(x, w), conv(x, w)], 1), (IMAGE,)),
    "transpose_conv": (lambda x, w: tf.nn.conv2d_transpose(x, w(3, 3, 5, 4), (1, 12, 12, 5), 2), (IMAGE,)),
    "transpose_conv_bias": (
        lambda x, w: tf.nn.relu(tf.nn.conv2d_transpose(x, w(3, 3, 5, 4), (1, 12, 12, 5), 2) + w(5)),
        (IMAGE,),
    ),
    "batch_matmul": (lambda x, y, w: tf.matmul(x, y), (SEQUENCE, (1, 9, 4))),
    "batch_matmul_y": (lambda x, y, w: tf.matmul(x, y, transpose_b=True), (SEQUENCE, (1, 4, 9))),
    "batch_matmul_constant": (lambda x, w: tf.matmul(x, w(2, 9, 4)), ((2, 5, 9),)),
    "batch_matmul_constant_x": (lambda x, w: tf.matmul(w(2, 4, 5), x), ((2, 5, 9),)),
    # activations and functions
    "abs": (lambda x, w: tf.abs(x), (IMAGE,)),
    "conv_abs": (lambda x, w: tf.abs(conv(x, w)), (IMAGE,)),
    "elu": (lambda x, w: tf.nn.elu(conv(x, w)), (IMAGE,)),
    "exp": (lambda x, w: tf.exp(x), (IMAGE,)),
    "log": (lambda x, w: tf.math.log(x * x + 0.5), (IMAGE,)),
    "sqrt": (lambda x, w: tf.sqrt(x * x + 0.5), (IMAGE,)),
    "rsqrt": (lambda x, w: tf.math.rsqrt(x * x + 0.5), (IMAGE,)),
    "square_float": (lambda x, w: tf.square(x), (IMAGE,)),
    "neg": (lambda x, w: -x, (IMAGE,)),
    "sin": (lambda x, w: tf.sin(x), (IMAGE,)),
    "cos": (lambda x, w: tf.cos(x), (IMAGE,)),
    "ceil": (lambda x, w: tf.math.ceil(x * 5), (IMAGE,)),
    "floor": (lambda x, w: tf.floor(x * 5), (IMAGE,)),
    "round": (lambda x, w: tf.round(x * 5), (IMAGE,)),
    "prelu": (lambda x, w: prelu(x, w), (IMAGE,)),
    "conv_prelu": (lambda x, w: prelu(conv(x, w), w), (IMAGE,)),
    "log_softmax": (lambda x, w: tf.nn.log_softmax(x), ((1, 9),)),
    "dense_log_softmax": (lambda x, w: tf.nn.log_softmax(dense(x, w)), ((1, 9),)),
    "l2_normalize": (lambda x, w: tf.math.l2_normalize(x, -1), (IMAGE,)),
    "cumsum": (lambda x, w: tf.cumsum(x, 2), (IMAGE,)),
    # two numbers
    "div": (lambda x, y, w: x / (y * y + 1), (IMAGE, IMAGE)),
    "floor_div": (lambda x, y, w: tf.math.floordiv(x, y * y + 1), (IMAGE, IMAGE)),
    "floor_mod": (lambda x, y, w: tf.math.floormod(x, y * y + 1), (IMAGE, IMAGE)),
    "squared_difference": (lambda x, y, w: tf.math.squared_difference(x, y), (IMAGE, IMAGE)),
    "squared_difference_constant": (lambda x, w: tf.math.squared_difference(x, w(6, 6, 4)), (IMAGE,)),
    "add_n": (lambda x, y, w: tf.add_n([x, y, 2 * x]), (IMAGE, IMAGE)),
    "maximum": (lambda x, y, w: tf.maximum(x, 3 * y), (IMAGE, IMAGE)),
    "maximum_constant": (lambda x, w: tf.maximum(x, w(6, 6, 4)), (IMAGE,)),
    "maximum_broadcast": (lambda x, y, w: tf.maximum(x, y), (IMAGE, (1, 1, 1, 4))),
    "maximum_softmax": (lambda x, w: tf.maximum(tf.nn.softmax(x), x), ((1, 9),)),
    "conv_maximum": (lambda x, w: tf.maximum(conv(x, w), conv(x, w) * 2.0), (IMAGE,)),
    "minimum": (lambda x, y, w: tf.minimum(3 * x, y), (IMAGE, IMAGE)),
    "minimum_scalar": (lambda x, w: tf.minimum(x, 0.75), (IMAGE,)),
    "relu_0_to_1": (lambda x, w: tf.minimum(tf.maximum(x, 0.0), 1.0), (IMAGE,)),
    "less": (lambda x, y, w: x < 2 * y, (IMAGE, IMAGE)),
    "greater": (lambda x, w: conv(x, w) > 0.3, (IMAGE,)),
    "greater_equal": (lambda x, w: x >= w(6, 6, 4), (IMAGE,)),
    "equal": (lambda x, y, w: tf.equal(x, y), (IMAGE, IMAGE)),
    "not_equal": (lambda x, y, w: tf.not_equal(x, y), (IMAGE, IMAGE)),
    "logical": (
        lambda x, y, w: tf.logical_or(tf.logical_and(x > 0.0, y > 0.0), tf.logical_not(x > 1.0)),
        (IMAGE, IMAGE),
    ),
    "reduce_all": (lambda x, w: tf.reduce_all(x > 0, 2), (IMAGE,)),
    "reduce_min": (lambda x, w: tf.reduce_min(x, 2), (IMAGE,)),
    "select": (lambda x, w: tf.where(x > 0.0, 3 * x, -1.0), (IMAGE,)),
    "arg_max": (lambda x, w: tf.argmax(conv(x, w), -1, output_type=tf.int32), (IMAGE,)),
    "arg_min": (lambda x, w: tf.argmin(x, -1, output_type=tf.int32), (IMAGE,)),
    "cast": (lambda x, w: tf.cast(tf.cast(x * 9, tf.int32), tf.float32) + x, (IMAGE,)),
    # moves
    "split": (lambda x, w: tf.split(x, 2, -1), (IMAGE,)),
    "conv_split": (lambda x, w: (lambda parts: parts[0] * parts[1])(tf.split(conv(x, w, 4), 2, -1)), (IMAGE,)),
    "split_one": (lambda x, w: tf.split(conv(x, w, 4), 2, -1)[1], (IMAGE,)),
    "split_v": (lambda x, w: tf.split(x, (1, 3), -1), (IMAGE,)),
    "unpack": (lambda x, w: tf.unstack(x, axis=3), (IMAGE,)),
    "conv_unpack": (lambda x, w: (lambda parts: parts[0] + 2 * parts[1])(tf.unstack(conv(x, w, 2), axis=3)), (IMAGE,)),
    "gather": (lambda x, w: tf.gather(x, [3, 0, 0], axis=3), (IMAGE,)),
    "gather_constant": (lambda x, w: tf.gather(w(7, 4), tf.argmax(x, -1, output_type=tf.int32)) + 1.0, (IMAGE,)),
    "gather_nd": (lambda x, w: tf.gather_nd(x, [[0, 1], [0, 3]]), (IMAGE,)),
    "slice_op": (lambda x, w: tf.slice(x, (0, 1, 0, 2), (1, 4, 6, 2)), (IMAGE,)),
    "reverse": (lambda x, w: tf.reverse(x, [1]), (IMAGE,)),
    "broadcast_to": (lambda x, w: tf.broadcast_to(x, (3, 4, 5)), ((1, 4, 1),)),
    "mirror_pad": (lambda x, w: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], "REFLECT"), (IMAGE,)),
    "conv_mirror_pad": (lambda x, w: tf.pad(conv(x, w), [[0, 0], [1, 2], [0, 1], [0, 0]], "SYMMETRIC"), (IMAGE,)),
    "resize_bilinear": (lambda x, w: tf.image.resize(conv(x, w), (12, 9)), (IMAGE,)),
    "resize_nearest": (lambda x, w: tf.image.resize(x, (12, 9), "nearest"), (IMAGE,)),
    "depth_to_space": (lambda x, w: tf.nn.depth_to_space(x, 2), (IMAGE,)),
    "space_to_depth": (lambda x, w: tf.nn.space_to_depth(x, 2), (IMAGE,)),
    "space_to_batch": (lambda x, w: tf.space_to_batch_nd(x, [2, 2], [[0, 0], [1, 1]]), (IMAGE,)),
    "batch_to_space": (lambda x, w: tf.batch_to_space(x, [2, 2], [[0, 1], [1, 0]]), ((4, 3, 3, 2),)),
    "dynamic_update_slice": (lambda x, y, w: dynamic_update_slice(x, y, [0, 1, 2, 0]), (IMAGE, (1, 2, 3, 4))),
    # graphs
    "layer_norm": (layer_norm, (SEQUENCE,)),
    "attention": (attention, (SEQUENCE,)),
    "unrolled_lstm": (unrolled_lstm, ((1, 3, 4),)),
    "stream": (lambda x, v, w: dense(tf.reshape(pushed(v, x), (1, 12)), w, 5), ((1, 1, 3),)),
    "stream_twice": (stream_twice, ((1, 1, 3),)),
    "stream_read": (lambda x, v, w: (lambda old: [v.assign(tf.tanh(x)), old + 1.0])(v + 0.0)[1], ((1, 4),)),
    "lenet": (lenet, ((1, 8, 8, 1),)),
    "residual": (residual, (IMAGE,)),
    "mobile": (mobile, (IMAGE,)),
    "inception": (inception, (IMAGE,)),
    "squeeze_excite": (squeeze_excite, (IMAGE,)),
    "inner_output": (inner_output, (IMAGE,)),
    "two_outputs": (
        lambda x, w: (tf.nn.relu(conv(x, w)), tf.nn.softmax(dense(tf.reduce_mean(x, [1, 2]), w))),
        (IMAGE,),
    ),
    "constant_output": (lambda x, w: (x + 1.0, w(3)), (IMAGE,)),
    "shared_weights": (lambda x, w: (lambda k: tf.matmul(tf.nn.relu(tf.matmul(x, k)), k))(w(9, 9)), ((1, 9),)),
    "one_bias": (
        lambda x, w: (lambda b: dense(tf.nn.relu(dense(x, w, 5, False) + b), w, 5, False) + b)(w(5)),
        ((1, 9),),
    ),
    "shared_bias": (
        lambda x, w: (lambda b: tf.nn.relu(dense(x, w, 5, False) + b) + dense(x, w, 5, False) + b)(w(5)),
        ((1, 9),),
    ),
    "positive": (lambda x, w: x * x + 2.0, (IMAGE,)),
    "negative": (lambda x, w: -3.0 - x * x, (IMAGE,)),
    "all_zero": (lambda x, w: tf.nn.relu(-3.0 - x * x), (IMAGE,)),
    "dead_relu": (lambda x, w: conv(tf.nn.relu(conv(x, w) - 99.0), w, 2), (IMAGE,)),
    "in_place": (lambda x, w: conv(tf.nn.relu(conv(x, w, 4)) - conv(x, w, 4), w, 2), (IMAGE,)),
    "open_batch": (lambda x, w: dense(tf.reshape(x, (tf.shape(x)[0], 144)), w), (OPEN,)),
    "open_squeeze": (lambda x, w: tf.squeeze(tf.reduce_mean(x, 1, keepdims=True), 1), (OPEN,)),
    "open_expand_dims": (lambda x, w: tf.expand_dims(conv(x, w), 3), (OPEN,)),
}


VARIABLES = {"stream": ((1, 4, 3),), "stream_twice": ((1, 3, 3), (1, 3, 4)), "stream_read": ((1, 4),)}
"""The shapes of the variables that a network's function gets behind its inputs; the converter quantises them, too."""


def fed(*shape: int) -> Tensor:
    """A tensor that an operator of a float file reads or makes."""
    return Tensor(0, "", shape, "float32")


def given(w: Weights, *shape: int) -> Tensor:
    return Tensor(0, "", shape, "float32", data=w(*shape).numpy())


def integers(*values: int) -> Tensor:
    return Tensor(0, "", (len(values),), "int32", data=np.array(values, np.int32))


def state(*shape: int) -> Tensor:
    return Tensor(0, "", shape, "float32", is_variable=True)


def svdf(x: Tensor, w: Weights, units: int, memory: int, rank: int = 1) -> Node:
    options = {"rank": rank, "fused_activation_function": "RELU", "asymmetric_quantize_inputs": False}
    filters, (batch, depth) = units * rank, x.shape
    constants = given(w, filters, depth), given(w, filters, memory), given(w, units)
    return Node("SVDF", options, (x, *constants, state(batch, filters * memory)), (fed(batch, units),))


def lstm(x: Tensor, w: Weights, units: int, time_major: bool = False) -> Node:
    options = {"fused_activation_function": "TANH", "cell_clip": 10.0, "proj_clip": 0.0, "time_major": time_major,
               "asymmetric_quantize_inputs": False, "diagonal_recurrent_tensors": False}  # fmt: skip
    batch, depth = x.shape[1 if time_major else 0], x.shape[2]
    weights = [given(w, units, width) for width in (depth, units) for _ in range(4)]
    states = state(batch, units), state(batch, units)
    inputs = (x, *weights, *[None] * 3, *(given(w, units) for _ in range(4)), *[None] * 2, *states, *[None] * 4)
    return Node("UNIDIRECTIONAL_SEQUENCE_LSTM", options, inputs, (fed(*x.shape[:2], units),))


def fully_connected(x: Tensor, w: Weights, units: int) -> Node:
    options = {"fused_activation_function": "NONE", "weights_format": "DEFAULT", "keep_num_dims": False,
               "asymmetric_quantize_inputs": False}  # fmt: skip
    inputs = x, given(w, units, x.shape[-1]), given(w, units)
    return Node("FULLY_CONNECTED", options, inputs, (fed(x.shape[0], units),))


def concatenated(x: Tensor, y: Tensor) -> Node:
    options = {"axis": 2, "fused_activation_function": "NONE"}
    return Node("CONCATENATION", options, (x, y), (fed(*x.shape[:2], x.shape[2] + y.shape[2]),))


def last_step(x: Tensor) -> Node:
    """What Keras puts behind a layer that returns no sequence."""
    options = {"begin_mask": 5, "end_mask": 5, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 2}
    ends = integers(0, -1, 0), integers(0, 0, 0), integers(1, 1, 1)
    return Node("STRIDED_SLICE", options | {"offset": False}, (x, *ends), (fed(x.shape[0], x.shape[2]),))


def chained(x: Tensor, *layers: Callable[[Tensor], Node]) -> list[Node]:
    """Each layer reads what the one before it makes."""
    nodes: list[Node] = []
    for layer in layers:
        nodes.append(layer(nodes[-1].outputs[0] if nodes else x))
    return nodes


def lstm_concat(w: Weights) -> list[Node]:
    x = fed(1, 5, 3)
    return chained(x, lambda x: lstm(x, w, 4), lambda y: concatenated(y, x))


FILES: dict[str, Callable[[Weights], list[Node]]] = {
    "svdf": lambda w: [svdf(fed(1, 9), w, 4, 5)],
    "svdf_rank": lambda w: chained(fed(1, 9), lambda x: svdf(x, w, 4, 5, 2), lambda x: fully_connected(x, w, 3)),
    "svdf_twice": lambda w: chained(
        fed(1, 9), lambda x: fully_connected(x, w, 6), lambda x: svdf(x, w, 4, 5), lambda x: svdf(x, w, 3, 4)
    ),
    "lstm": lambda w: [lstm(fed(1, 5, 3), w, 4)],
    "lstm_last": lambda w: chained(
        fed(1, 5, 3), lambda x: lstm(x, w, 4), last_step, lambda x: fully_connected(x, w, 3)
    ),
    "lstm_twice": lambda w: chained(fed(1, 5, 3), lambda x: lstm(x, w, 4), lambda x: lstm(x, w, 3)),
    "lstm_time_major": lambda w: [lstm(fed(5, 1, 3), w, 4, time_major=True)],
    "lstm_batch": lambda w: [lstm(fed(2, 5, 3), w, 4)],
    "lstm_concat": lstm_concat,
    "zeros_like": lambda w: [Node("ZEROS_LIKE", {}, (fed(1, 4),), (fed(1, 4),))],
    "fill": lambda w: [Node("FILL", {}, (integers(2, 3), fed()), (fed(2, 3),))],
}


def invented(x: Any, w: Any) -> list[Any]:
    """A random graph of three to nine operators; whatever nothing reads is an output."""
    one_input = [
        conv,
        lambda x, w: tf.nn.relu(conv(x, w, 4)),
        lambda x, w: tf.nn.relu6(conv(x, w, 4, size=1)),
        depthwise,
        lambda x, w: tf.nn.max_pool2d(x, 3, 1, "SAME"),
        lambda x, w: tf.nn.avg_pool2d(x, 2, 1, "SAME"),
        lambda x, w: tf.reshape(x, (1, *x.shape[2:0:-1], x.shape[3])),
        lambda x, w: tf.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]])[:, 1:, 1:],
        lambda x, w: tf.transpose(x, (0, 2, 1, 3)),
        lambda x, w: tf.nn.softmax(x),
        lambda x, w: tf.sigmoid(x),
        lambda x, w: tf.tanh(x),
        lambda x, w: tf.nn.relu(x),
        lambda x, w: tf.nn.leaky_relu(x, 0.2),
        lambda x, w: x * w(x.shape[-1], scale=3.0),
        lambda x, w: x + w(x.shape[-1]),
        lambda x, w: w(*x.shape[2:]) - x,
        lambda x, w: x[:, ::-1, :, :2],
        lambda x, w: tf.concat([x, w(*x.shape[:3], 2)], -1),
        lambda x, w: tf.reduce_max(x, 1, keepdims=True),
        lambda x, w: conv(x, w, 3, bias=False, strides=2),
        lambda x, w: x * tf.reduce_mean(x, [1, 2], keepdims=True),
        lambda x, w: tf.abs(x),
        lambda x, w: tf.maximum(x, w(x.shape[-1])),
        lambda x, w: tf.minimum(x, 1.5),
        lambda x, w: tf.gather(x, [0, 0, x.shape[3] - 1], axis=3),
        lambda x, w: tf.split(x, (1, x.shape[1] - 1), 1)[1] if x.shape[1] > 1 else x,
        lambda x, w: tf.stack(tf.unstack(x, axis=3)[::-1], 3),
        lambda x, w: tf.image.resize(x, x.shape[1:3], "nearest"),
        lambda x, w: tf.nn.elu(x),
        lambda x, w: tf.reverse(x, [2]),
        lambda x, w: prelu(x, w),
    ]
    two_inputs = [
        lambda x, y: tf.concat([x, y], -1),
        lambda x, y: tf.concat([y, x, y], 1),
        lambda x, y: tf.concat([x, 7 * y], 2),
        lambda x, y: tf.reshape(tf.stack([x, y], 1), (1, -1, *x.shape[2:])),
        lambda x, y: x + y,
        lambda x, y: tf.nn.relu(x - y) if x is not y else x + y,
        lambda x, y: x * y,
        lambda x, y: tf.maximum(x, 2 * y),
        lambda x, y: tf.math.squared_difference(x, y),
        lambda x, y: tf.where(x > 0.2, y, -0.5),
    ]
    values, unread = [x], {0}
    for _ in range(w.random.integers(3, 10)):
        i = int(w.random.choice([len(values) - 1, w.random.integers(len(values))]))
        x = values[i]
        partners = [j for j, y in enumerate(values) if y.shape[1:3] == x.shape[1:3] and y.shape[3] == x.shape[3]]
        if w.random.random() < 0.5:
            j = int(w.random.choice(partners))
            values.append(two_inputs[w.random.integers(len(two_inputs))](x, values[j]))
            unread -= {i, j}
        else:
            values.append(one_input[w.random.integers(len(one_input))](x, w))
            unread -= {i}
        unread |= {len(values) - 1}
    return [values[i] for i in sorted(unread)]


def network(name: str) -> Network:
    return (invented, (IMAGE,)) if name.startswith("random_") else NETWORKS[name]


def main() -> None:
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in (f"random_{seed}" for seed in range(args.random)) if args.random else args.names or [*NETWORKS, *FILES]:
        samples = draw(name)
        np.savez(args.out / f"{name}.npz", *samples)
        for kind, file in make(name, samples):
            (args.out / f"{name}_{kind}.tflite").write_bytes(file)
        print(name, flush=True)
    if args.pack:
        pack(args.out, args.pack)


def pack(folder: Path, path: Path) -> None:
    """All networks of `folder` in a .tar.xz file, whose bytes depend on nothing else."""
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for file in sorted(folder.glob("*.tflite")):
            member = tarfile.TarInfo(file.name)
            member.size = file.stat().st_size
            archive.addfile(member, io.BytesIO(file.read_bytes()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which networks (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder for .tflite and .npz files")
    parser.add_argument("--random", type=int, metavar="COUNT", help="random graphs in their place")
    parser.add_argument("--pack", type=Path, help="pack the folder's networks into this file")
    args = parser.parse_args()
    if unknown := set(args.names) - NETWORKS.keys() - FILES.keys():
        parser.error(f"no such network: {', '.join(sorted(unknown))}; there are {', '.join([*NETWORKS, *FILES])}")
    return args


def draw(name: str) -> list[np.ndarray]:
    random = np.random.default_rng(zlib.crc32(f"{name} samples".encode()))
    if name in FILES:
        graph = file(name).graphs[0]
        shapes: tuple[tuple[int | None, ...], ...] = tuple(graph.tensors[i].shape for i in graph.inputs)
    else:
        shapes = network(name)[1]
    return [random.normal(0, 1, (SAMPLES, *(size or 1 for size in shape))).astype(np.float32) for shape in shapes]


def file(name: str) -> Model:
    return model_of(*FILES[name](Weights(name)))


def make(name: str, samples: list[np.ndarray]) -> Iterator[tuple[str, bytes]]:
    """(kind, file) of each kind that the converter makes; what it refuses is printed."""
    made = of_file if name in FILES else of_function
    yield "float32", made(name, samples)
    for kind in KINDS:
        try:
            yield kind, made(name, samples, kind)
        except Exception as error:  # whatever the converter raises is its answer
            print(f"{name}_{kind}: refused: {' '.join(str(error).split())[:300]}")


def of_function(name: str, samples: list[np.ndarray], kind: str | None = None) -> bytes:
    """What the converter makes of a TensorFlow function: the calibrated float file, or that of a `kind`."""
    function, shapes = network(name)
    module = tf.Module()
    module.kept = [tf.Variable(tf.zeros(shape)) for shape in VARIABLES.get(name, ())]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32) for shape in shapes])  # type: ignore[untyped-decorator]
    def call(*inputs: Any) -> Any:
        return function(*inputs, *module.kept, Weights(name))

    functions = [call.get_concrete_function()]
    made = tf.lite.TFLiteConverter.from_concrete_functions(functions, module if module.kept else None)
    made._experimental_variable_quantization = bool(module.kept)
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.representative_dataset = lambda: (list(sample) for sample in zip(*samples, strict=True))
    made._experimental_calibrate_only = kind is None
    if kind:
        ops, dtype = KINDS[kind]
        made.target_spec.supported_ops = [ops]
        made.inference_input_type = made.inference_output_type = dtype
    data: bytes = made.convert()
    return data


def of_file(name: str, samples: list[np.ndarray], kind: str | None = None) -> bytes:
    """The same of a float file of ours, by the two steps that follow in `TFLiteConverter`."""
    made = calibrator.Calibrator(calibrator.add_intermediate_tensors(dump(file(name))), [], [])

    def inputs() -> Iterator[list[np.ndarray]]:
        return map(list, zip(*samples, strict=True))

    dtype = KINDS[kind][1] if kind else None
    if dtype == tf.int16:
        data: bytes = made.calibrate_and_quantize(inputs, dtype, dtype, False, tf.int16, tf.int64)
        return data
    data = made.calibrate(inputs)
    return mlir_quantize(data, input_data_type=dtype, output_data_type=dtype) if dtype else data


if __name__ == "__main__":
    main()
