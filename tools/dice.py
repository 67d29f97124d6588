"""Random cases, fast: models of one operator as its kernel's `example` invents them, and inputs for any model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refengine import KERNELS, Model, Quantization, Tensor, strategies
from refengine.strategies import toolbox
from refengine.tflite_io import dump

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]

RUNS = 8
"""Inputs a model: preparing one takes longer than running it, and roundings differ only in rare elements."""


class Dice:
    """The toolbox of kernels' examples with a plain random source: values at once, and `draw` is the identity.

    The edges weigh as in `strategies.Toolbox`, whose cases shrink; these take a fifth of the time.
    """

    cannot: tuple[type[Exception], ...] = ()
    """What an example may raise, for want of anything to draw."""

    def __init__(self, random_seed: int) -> None:
        self.random = random.Random(random_seed)
        self.rng = np.random.default_rng(random_seed % 2**64)
        """What arrays are drawn from: seeding a generator for each would take longer than filling it."""

    def integers(self, low: int, high: int) -> int:
        return self.random.choice((low, high) if self.random.random() < 0.1 else range(low, high + 1))

    def sampled_from(self, choices: Sequence[Any]) -> Any:
        return self.random.choice(choices)

    def booleans(self) -> bool:
        return self.random.random() < 0.5

    def shape(self, rank: int | tuple[int, int], largest: int = 6) -> tuple[int, ...]:
        count = rank if isinstance(rank, int) else self.integers(*rank)
        return tuple(self.integers(1, largest) for _ in range(count))

    def channels(self) -> int:
        return self.random.choice((self.integers(1, 5), self.random.choice(toolbox.BESIDE_LANES)))

    def image(self) -> tuple[int, ...]:
        return toolbox.cheap_image((self.integers(1, 2), self.integers(1, 9), self.integers(1, 9), self.channels()))

    def scale(self, low: float = 2.0**-10, high: float = 2.0**2) -> float:
        exponent = self.random.uniform(np.log2(low), np.log2(high))
        return float(np.float32(2.0 ** (round(exponent) if self.random.random() < 0.3 else exponent)))

    def scales(self, count: int, low: float = 2.0**-10, high: float = 2.0**2) -> tuple[float, ...]:
        kind = self.random.choice(("equal", "powers", "apart"))
        return toolbox.scales_of(self.scale(low, high), count, kind, self.random.getrandbits(32))

    def zero_point(self, dtype: str) -> int:
        info = np.iinfo(dtype)
        low, high = int(info.min), int(info.max)
        return self.random.choice((0, low, high, *[self.random.randint(low, high)] * 4))

    def quantization(
        self, dtype: str, low: float | None = None, high: float | None = None, asymmetric: bool = False
    ) -> Quantization | None:
        if dtype not in ("int8", "int16", "uint8"):
            return None
        zero_point = 0 if dtype == "int16" and not asymmetric else self.zero_point(dtype)
        finer = toolbox.finer(dtype)
        return Quantization((self.scale(low or 2.0**-10 * finer, high or 2.0**2 * finer),), (zero_point,))

    def array(self, shape: Sequence[int], dtype: str, low: int | None = None, high: int | None = None) -> Array:
        kind = self.random.choice(strategies.FLOAT_KINDS if dtype == "float32" else strategies.INT_KINDS)
        return strategies.array_of(tuple(shape), dtype, low, high, kind, self.random.getrandbits(32), self.rng)

    def input(
        self,
        shape: Sequence[int],
        dtype: str,
        quantization: Quantization | None = None,
        fits: Callable[[Tensor], bool] | None = None,
    ) -> Tensor:
        return self.tensor(shape, dtype, quantization)

    def tensor(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        return Tensor(0, "", tuple(shape), dtype, quantization)

    def variable(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        return Tensor(-1, "", tuple(shape), dtype, quantization, is_variable=True)

    def constant(self, data: Array, quantization: Quantization | None = None, dtype: str | None = None) -> Tensor:
        return Tensor(0, "", data.shape, dtype or data.dtype.name, quantization, data)


def invented(model: Model, dice: Dice) -> Arrays:
    """Inputs for a model; a float array in eight has infinities and NaN in it."""

    def array(tensor: Tensor) -> Array:
        x = dice.array(tensor.shape, tensor.dtype)
        if x.dtype == np.float32 and dice.random.random() < 0.125:
            x = np.where(dice.rng.random(x.shape) < 0.2, dice.rng.choice(toolbox.NOT_FINITE, x.shape), x)
        return x

    return tuple(array(model.graphs[0].tensors[i]) for i in model.graphs[0].inputs)


def drawn(op: str, dtype: str, count: int, random_seed: int) -> Iterator[tuple[bytes, list[Arrays]]]:
    """`count` models of one operator as files, each with `RUNS` inputs; the same ones for the same seed."""
    dice = Dice(random_seed)
    for _ in range(count):
        model = strategies.model_of(KERNELS[op, dtype].example(lambda value: value, dice))
        yield dump(model), [invented(model, dice) for _ in range(RUNS)]
