"""Small models by hand, for tests that want to know every number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refengine.kernel import Node
from refengine.model import Model, Quantization, Tensor
from refengine.strategies import model_of


def q(scale: float | tuple[float, ...], zero_point: int = 0, dimension: int = 0) -> Quantization:
    """A quantisation with float32 scales, one or one for each channel along `dimension`."""
    scales = tuple(float(np.float32(s)) for s in (scale if isinstance(scale, tuple) else (scale,)))
    return Quantization(scales, (zero_point,) * len(scales), dimension)


def fed(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None, name: str = "x") -> Tensor:
    return Tensor(0, name, shape, dtype, quantization)


def const(values: npt.ArrayLike, dtype: str, quantization: Quantization | None = None, name: str = "c") -> Tensor:
    data = np.array(values, "int8" if dtype == "int4" else dtype)
    return Tensor(0, name, data.shape, dtype, quantization, data)


def one_op(name: str, options: dict[str, Any], inputs: list[Tensor | None], *outputs: Tensor) -> Model:
    return model_of(Node(name, options, tuple(inputs), outputs))
