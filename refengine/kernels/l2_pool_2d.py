"""L2_POOL_2D: output[b, y, x, c] = activation(√(mean of the input[b, iy, ix, c]² in the window)), float32 only.

Taps outside the image are skipped and do not count.

TFLM: `kernels/l2_pool_2d.cc`; the loop in `kernels/internal/reference/pooling.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..kernel import At, Facts, Kernel, Line, Node, Numerics
from ..model import Array
from ..numerics import float32, scalar_float
from . import _linear, _narrate, pooling


@dataclass(frozen=True, eq=False)
class Params:
    """What other float pools have, and how products are added."""

    pool: pooling.FloatParams
    contraction: str


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses shapes that do not fit together."""
    return Params(pooling.prepare_float(node, numerics), numerics.contraction)


def evaluate(p: Params, input: Array) -> Array:
    """(B, n, h, w, c) float32 → (B, *output_shape) float32, each sum of squares row by row from 0.0."""
    pool = p.pool
    padded = pool.window.padded(input.reshape(-1, *input.shape[2:]))
    taps = pool.window.patches(padded)
    total = np.zeros((len(padded), *pool.output_shape[1:]), np.float32)
    with np.errstate(all="ignore"):
        for fy, fx in np.ndindex(pool.window.filter):
            x = taps[:, :, :, fy, fx]
            total = _linear.accumulate(total, x, x, p.contraction)  # what pads is 0, and changes no sum
        root = float32.sqrt(np.divide(total, pool.count, dtype=np.float32))
    clamped = float32.clamp(root, pool.float_activation_min, pool.float_activation_max)
    return clamped.reshape(-1, *pool.output_shape)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` = (image, y, x, channel) of the output, as TFLM computes it."""
    image, y, x, channel = at.index
    total, count = np.float32(0), np.float32(0)
    with np.errstate(all="ignore"):
        for _, _, iy, ix in p.pool.window.taps(y, x):
            value = input[image, iy, ix, channel]
            total = scalar_float.fma(value, value, total) if p.contraction == "fma" else total + value * value
            count += np.float32(1)
            yield Line("tap", f"input[{iy}, {ix}, {channel}] = {value:.9g}, running sum of squares {total:.9g}", total)
        yield Line("mean", f"{total:.9g} / {count:g} taps inside the image", total / count)
        root = scalar_float.sqrt(total / count)
        yield Line("root", "its square root", root)
        yield from _narrate.finish_float(root, p.pool.float_activation_min, p.pool.float_activation_max)


KERNELS = {
    ("L2_POOL_2D", "float32"): Kernel(
        prepare,
        evaluate,
        explain,
        partial(pooling.example, op="L2_POOL_2D", dtype="float32"),
        Facts(c_kernels={"float32": "l2_pool_float32"}),
    )
}
